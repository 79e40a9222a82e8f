"""Callbacks of scikit-learn 1.9 and newer: fits and epochs as tasks; before 1.9 nothing at all."""

import pickle

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from m3fusion_sk import M3FusionClassifier, MultiSource

try:
    from sklearn import callback as callbacks
except ImportError:
    callbacks = None

needs_callbacks = pytest.mark.skipif(callbacks is None, reason="scikit-learn before 1.9 has no callbacks")
SMALL = {"hidden_size": 4, "n_filters": 2, "max_epochs": 3, "batch_size": 16, "random_state": 0}


def make_samples(n=48):
    rng = np.random.default_rng(0)
    y = np.array(["crop", "water"])[np.arange(n) % 2]
    ts = rng.normal(size=(n, 4, 2)) + 2 * (y == "crop")[:, None, None]
    return MultiSource(ts=ts, patch=rng.normal(size=(n, 1, 5, 5))), y


class Recorder:
    """Notes each task; asks for the model of the moment; may end training after an epoch."""

    max_propagation_depth = None

    def __init__(self, stop_after=None):
        self.stop_after, self.begun, self.ended, self.scores = stop_after, [], [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((context.estimator_name, context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.ended.append((context.estimator_name, context.task_name, context.task_id))
        if context.estimator_name == "M3FusionClassifier":
            self.scores.append(fitted_estimator.score(X, y))
        epochs = sum(name == "epoch" for _, name, _ in self.ended)
        return context.task_name == "epoch" and epochs == self.stop_after


def epochs_of(tasks):
    return [number for _, name, number in tasks if name == "epoch"]


@needs_callbacks
def test_each_epoch_is_a_task_and_sees_the_model_as_it_is_then():
    X, y = make_samples()
    recorder = Recorder()
    clf = M3FusionClassifier(**SMALL).set_callbacks(recorder).fit(X, y)
    assert epochs_of(recorder.begun) == epochs_of(recorder.ended) == [0, 1, 2]
    assert recorder.ended[-1] == ("M3FusionClassifier", "fit", 0)
    assert recorder.scores[-1] == recorder.scores[-2] == clf.score(X, y)
    one = M3FusionClassifier(**{**SMALL, "schedule": "constant"})
    recorder = Recorder()
    parts = one.set_callbacks(recorder)
    scores = [parts.partial_fit(X, y, classes=np.unique(y)).score(X, y) for _ in range(3)]
    assert recorder.scores[::2] == scores
    assert {name for _, name, _ in recorder.begun} == {"partial_fit", "epoch"}


@needs_callbacks
def test_watching_changes_nothing_and_leaves_nothing_behind():
    X, y = make_samples()
    plain = M3FusionClassifier(**SMALL).fit(X, y)
    watched = M3FusionClassifier(**SMALL).set_callbacks(Recorder()).fit(X, y)
    np.testing.assert_array_equal(watched.predict_proba(X), plain.predict_proba(X))
    watched.set_callbacks()
    assert len(pickle.dumps(watched)) < 1.02 * len(pickle.dumps(plain))
    assert set(vars(watched)) == set(vars(plain))


@needs_callbacks
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_callback_may_end_training(early_stopping):
    X, y = make_samples()
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 50}, early_stopping=early_stopping)
    clf.set_callbacks(Recorder(stop_after=2)).fit(X, y)
    assert clf.n_iter_ == 2
    assert clf.predict(X).shape == (48,)


@needs_callbacks
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_shows_its_fits_and_their_epochs(n_jobs, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    X, y = make_samples()
    search = GridSearchCV(
        M3FusionClassifier(**SMALL), {"alpha": [0.1, 0.3]}, cv=StratifiedKFold(2), n_jobs=n_jobs
    )
    search.set_callbacks(callbacks.ProgressBar(max_propagation_depth=None)).fit(X, y)
    shown = capsys.readouterr().out
    assert shown.count("M3FusionClassifier - fit") >= 5  # 2 settings x 2 folds, and the refit
    assert "GridSearchCV" in shown and "100%" in shown


@needs_callbacks
def test_the_scores_of_each_epoch_can_be_monitored():
    X, y = make_samples()
    monitor = callbacks.ScoringMonitor(scoring="accuracy")
    clf = M3FusionClassifier(**SMALL).set_callbacks(monitor).fit(X, y, sample_weight=np.arange(48) % 3)
    log = monitor.get_logs().data_as_pandas
    epochs = log[log["task_name"] == "epoch"]
    assert epochs["task_id"].tolist() == [0, 1, 2]
    rows = np.arange(48) % 3 > 0  # the others have no weight
    assert epochs["accuracy"].iloc[-1] == clf.score(X[rows], y[rows], (np.arange(48) % 3)[rows])


def test_before_callbacks_existed_there_are_none_and_fitting_is_the_same():
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    assert hasattr(clf, "set_callbacks") == (callbacks is not None)
    assert clf.n_iter_ == 3
