"""Batches side by side: the same results in order, on the cores that torch may use, nothing left behind."""

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from m3fusion_sk import M3FusionClassifier, MultiSource, make_land_cover
from m3fusion_sk.network import inference
from m3fusion_sk.network.threads import MOST_THREADS, in_threads


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def threads_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize(
    ("n_cores", "n_batches", "n_threads", "each"),
    [(4, 2, 2, 2), (3, 9, 3, 1), (5, 2, 2, 2), (20, 9, MOST_THREADS, 2)],
)
def test_threads_share_the_cores(set_threads, n_cores, n_batches, n_threads, each):
    set_threads(n_cores)
    meeting = threading.Barrier(n_threads, timeout=60)

    def compute(batch):
        if batch < n_threads:
            meeting.wait()  # as many at a time, or an error
        return batch, threading.get_ident(), torch.get_num_threads()

    batches, idents, threads_each = zip(*in_threads(compute, range(n_batches), n_batches), strict=True)
    assert batches == tuple(range(n_batches)) and set(threads_each) == {each}
    assert len(set(idents)) == n_threads and threading.get_ident() not in idents
    assert torch.get_num_threads() == n_cores
    assert threads_of_a_new_thread() == n_cores


@pytest.mark.parametrize(("n_cores", "n_batches"), [(1, 3), (4, 1), (2, 0)])
def test_what_needs_no_threads_stays_in_the_calling_one(set_threads, n_cores, n_batches):
    set_threads(n_cores)
    found = list(in_threads(lambda batch: (batch, threading.get_ident()), range(n_batches), n_batches))
    assert found == [(batch, threading.get_ident()) for batch in range(n_batches)]


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_error_ends_the_work_on_all_batches(set_threads, error):
    set_threads(2)
    begun = []

    def compute(batch):
        begun.append(batch)
        if batch == 1:
            raise error("here")
        if batch > 1:
            time.sleep(1)  # while the rest is given up
        return batch

    with pytest.raises(error, match="here"):
        for batch in in_threads(compute, range(100), 100):
            assert batch == 0
    assert len(begun) < 10
    assert torch.get_num_threads() == 2


def test_batches_are_read_in_the_calling_thread_one_ahead(set_threads):
    set_threads(2)
    read, computed = [], []

    def batches():
        for batch in range(20):
            assert batch <= len(computed) + 4  # two at work, one waiting, one handed over
            read.append(threading.get_ident())
            yield batch

    for batch in in_threads(lambda batch: computed.append(batch) or batch, batches(), 20):
        assert len(computed) > batch
    assert set(read) == {threading.get_ident()} and len(read) == 20


def test_calls_that_overlap_leave_the_number_of_threads_as_it_was(set_threads):
    set_threads(4)
    begun, may_end, numbers = threading.Event(), threading.Event(), []

    def slowly(batch):
        begun.set()
        assert may_end.wait(60)

    def later():
        numbers.append(torch.get_num_threads())  # taken over from the other call's threads
        list(in_threads(str, range(2), 2))
        numbers.append(torch.get_num_threads())

    first = threading.Thread(target=lambda: list(in_threads(slowly, range(2), 2)))
    second = threading.Thread(target=later)
    first.start()
    assert begun.wait(60)
    second.start()
    second.join()
    may_end.set()
    first.join()
    assert numbers == [2, 4] and threads_of_a_new_thread() == 4


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 300))
def test_batches_in_order_are_even_in_number_and_of_equal_size(n_samples, batch_size):
    batches = list(inference._batches({}, n_samples, batch_size))
    rows = np.concatenate([np.arange(n_samples)[batch] for batch in batches])
    assert (rows == np.arange(n_samples)).all()
    sizes = [batch.stop - batch.start for batch in batches]
    assert min(sizes) >= 1 and max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    assert len(batches) % 2 == 0 or len(batches) in (1, n_samples)


def test_large_samples_are_computed_a_few_at_a_time():
    for side, most in {25: 52, 101: 3, 999: 1}.items():
        X = MultiSource(patch=np.broadcast_to(np.float32(1), (500, 4, side, side)))
        assert inference._most_at_once(X, 256) == most


def test_probabilities_are_the_same_bit_for_bit_by_any_number_of_threads(set_threads):
    X, y, *_ = make_land_cover(700, n_dates=5, patch_size=9, random_state=0)
    small = {"hidden_size": 8, "n_filters": 4, "max_epochs": 1, "random_state": 0, "series_encoder": "gru"}
    classifier = M3FusionClassifier(**small).fit(X[:200], y[:200])
    probabilities = []
    for n_threads in (1, 2, 3):
        set_threads(n_threads)
        probabilities.append(classifier.predict_proba(X))
    np.testing.assert_array_equal(probabilities[1], probabilities[0])
    np.testing.assert_array_equal(probabilities[2], probabilities[0])
