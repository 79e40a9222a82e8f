"""Searches in several processes: the same numbers, little memory, progress over fits and epochs."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedGroupKFold
from sklearn.pipeline import Pipeline

from m3fusion_sk import M3FusionClassifier, MultiSource

SMALL = {"max_epochs": 2, "batch_size": 16, "lr": 0.02, "random_state": 0}
MIB = 2**20


def make_samples(n=60, seed=0):
    rng = np.random.default_rng(seed)
    y = np.array(["crop", "forest", "water"])[np.arange(n) % 3]
    ts = rng.normal(size=(n, 4, 2)) + (y == "crop")[:, None, None]
    patch = rng.integers(0, 99, (n, 1, 5, 5)) + 40 * (y == "water")[:, None, None, None]
    return MultiSource(ts=ts.astype("f4"), patch=patch.astype("u2")), y, np.arange(n) // 2


@pytest.fixture
def one_thread():
    """In this process as in each worker, since the last digits depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with parallel_config(backend="loky", inner_max_num_threads=1):
        yield
    torch.set_num_threads(before)


def test_two_processes_give_the_numbers_of_one_bit_for_bit(one_thread):
    X, y, objects = make_samples()
    grid = {
        "alpha": [0.0, 0.3, {"ts": 0.5, "patch": 0.1}],
        "hidden_size": [4, 8],
        "n_filters": [2, 4],
    }
    clf = M3FusionClassifier(**SMALL, early_stopping=True)
    settings = {"cv": StratifiedGroupKFold(2), "scoring": "neg_log_loss", "error_score": "raise"}
    one, two = (
        GridSearchCV(clf, grid, n_jobs=n_jobs, return_train_score=True, **settings).fit(X, y, groups=objects)
        for n_jobs in (1, 2)
    )
    scores = [key for key in one.cv_results_ if key.startswith(("split", "mean_t", "mean_train", "rank"))]
    scores = [key for key in scores if not key.endswith("_time")]
    assert len(scores) > 6
    for key in scores:
        np.testing.assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    assert len(np.unique(one.cv_results_["mean_test_score"])) == 12  # no two of the settings are the same
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert one.best_params_ == two.best_params_


def test_another_process_gives_the_same_model_for_a_seed(one_thread):
    X, y, _ = make_samples()

    def fit(seed):
        return M3FusionClassifier(**{**SMALL, "random_state": seed}).fit(X, y).predict_proba(X)

    from joblib import Parallel, delayed

    here, other = fit(0), fit(1)
    there = Parallel(n_jobs=2)(delayed(fit)(seed) for seed in (0, 1))
    np.testing.assert_array_equal(there[0], here)
    np.testing.assert_array_equal(there[1], other)
    assert np.abs(here - other).max() > 1e-3


# ----- memory


class Watch(TransformerMixin, BaseEstimator):
    """A step that notes how much memory its process takes beyond what a small fit takes."""

    def __init__(self, folder, settings):
        self.folder = folder
        self.settings = settings

    def fit(self, X, y=None):
        M3FusionClassifier(**self.settings).fit(X[:600], y[:600]).predict(X[:600])  # imports, first buffers
        note = Path(self.folder) / f"{os.getpid()}-{time.monotonic_ns()}"
        threading.Thread(target=watch, args=(note, own_memory()), daemon=True).start()
        return self

    def transform(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


def watch(note, before):
    most, end = -1, time.monotonic() + 300
    while not (note.parent / "done").exists() and note.parent.exists() and time.monotonic() < end:
        added = own_memory() - before
        if added > most:
            most = added
            note.with_suffix(".new").write_text(str(most))
            note.with_suffix(".new").replace(note)  # whole, whenever it is read
        time.sleep(0.02)


def own_memory():
    """Memory that this process alone holds: pages of mapped files, which can be dropped, do not count."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Anonymous:"))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads Linux's /proc")
def test_each_worker_adds_less_than_a_fifth_of_the_data(tmp_path, one_thread):
    size = 200 * MIB
    n_samples = size // (400 * 4)
    blocks = np.lib.format.open_memmap(tmp_path / "table.npy", "w+", "f4", (n_samples, 400))
    rng = np.random.default_rng(0)
    for rows in np.array_split(np.arange(n_samples), 16):
        blocks[rows] = rng.random((len(rows), 400), dtype="f4")
    blocks.flush()
    del blocks
    X = MultiSource(table=np.load(tmp_path / "table.npy", mmap_mode="r"))
    y, objects = np.arange(n_samples) % 2, np.arange(n_samples) // 2 % 50
    settings = {"max_epochs": 1, "batch_size": 256, "random_state": 0}
    notes = tmp_path / "notes"
    notes.mkdir()
    clf = M3FusionClassifier(**settings)
    model = Pipeline([("watch", Watch(str(notes), settings)), ("clf", clf)])
    search = GridSearchCV(
        model, {"clf__alpha": [0.1, 0.2]}, cv=GroupKFold(2), n_jobs=2, refit=False, error_score="raise"
    )
    search.fit(X, y, groups=objects)
    (notes / "done").touch()
    added = [int(note.read_text()) for note in notes.glob("*-*[0-9]")]
    assert len(added) == 4
    print({"added MiB": [round(n / MIB, 1) for n in added], "data MiB": size // MIB})
    assert 0 < max(added) < 0.2 * size
