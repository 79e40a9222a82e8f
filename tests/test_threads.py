"""Batches side by side: the same results in order, on the cores that torch may use, nothing left behind."""

import threading

import numpy as np
import pytest
import torch

from m3fusion_sk import M3FusionClassifier, make_land_cover
from m3fusion_sk.network.threads import in_threads


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("n_cores", "n_batches", "n_threads", "each"), [(4, 2, 2, 2), (3, 9, 3, 1), (5, 2, 2, 2)]
)
def test_threads_share_the_cores(set_threads, n_cores, n_batches, n_threads, each):
    set_threads(n_cores)
    meeting = threading.Barrier(n_threads, timeout=60)

    def compute(batch):
        if batch < n_threads:
            meeting.wait()  # as many at a time, or an error
        return batch, threading.get_ident(), torch.get_num_threads()

    batches, idents, threads_each = zip(*in_threads(compute, list(range(n_batches))), strict=True)
    assert batches == tuple(range(n_batches)) and set(threads_each) == {each}
    assert len(set(idents)) == n_threads and threading.get_ident() not in idents
    assert torch.get_num_threads() == n_cores
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [n_cores]


@pytest.mark.parametrize(("n_cores", "n_batches"), [(1, 3), (4, 1), (2, 0)])
def test_what_needs_no_threads_stays_in_the_calling_one(set_threads, n_cores, n_batches):
    set_threads(n_cores)
    found = list(in_threads(lambda batch: (batch, threading.get_ident()), list(range(n_batches))))
    assert found == [(batch, threading.get_ident()) for batch in range(n_batches)]


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_error_ends_the_work_on_all_batches(set_threads, error):
    set_threads(2)
    begun, given_up = [], threading.Event()

    def compute(batch):
        begun.append(batch)
        if batch == 1:
            raise error("here")
        if batch > 1:
            given_up.wait(1)
        return batch

    with pytest.raises(error, match="here"):
        for batch in in_threads(compute, list(range(100))):
            assert batch == 0
    assert len(begun) < 10
    assert torch.get_num_threads() == 2


def test_probabilities_are_the_same_bit_for_bit_by_any_number_of_threads(set_threads):
    X, y, *_ = make_land_cover(700, n_dates=5, patch_size=9, random_state=0)
    settings = {"hidden_size": 8, "n_filters": 4, "max_epochs": 1, "random_state": 0, "series_encoder": "gru"}
    classifier = M3FusionClassifier(**settings).fit(X[:200], y[:200])
    probabilities = []
    for n_threads in (1, 2, 3):
        set_threads(n_threads)
        probabilities.append(classifier.predict_proba(X))
    np.testing.assert_array_equal(probabilities[1], probabilities[0])
    np.testing.assert_array_equal(probabilities[2], probabilities[0])
