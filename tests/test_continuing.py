"""Training that goes on: `partial_fit`, `warm_start`, and what starts anew."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from m3fusion_sk import M3FusionClassifier, MultiSource

SMALL = {
    "hidden_size": 8,
    "n_filters": 3,
    "max_epochs": 4,
    "batch_size": 16,
    "lr": 0.01,
    "dropout": 0.3,
    "schedule": "constant",
    "random_state": 0,
}
LABELS = np.array(["crops", "forest", "water"])


def make_samples(n=90, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    ts = rng.normal(0, 1, (n, 6, 2)) + 2 * (codes == 0)[:, None, None]
    patch = rng.normal(1000, 100, (n, 1, 5, 5)) + 300 * (codes == 2)[:, None, None, None]
    return MultiSource(ts=ts.astype(np.float32), patch=patch.astype(np.uint16)), LABELS[codes]


@pytest.fixture(scope="module")
def samples():
    return make_samples()


def assert_equal_models(a, b, X):
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
    np.testing.assert_array_equal(a.classes_, b.classes_)
    assert a.n_iter_ == b.n_iter_ == len(a.history_) == len(b.history_)
    for ours, theirs in zip(a.history_, b.history_, strict=True):
        assert {**ours, "dur": 0} == {**theirs, "dur": 0}


# ----- partial_fit


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"batch_size": 512},
        {"class_weight": "balanced", "optimizer": "adam"},
        {"dtype": "float64", "alpha": 0.1},
    ],
    ids=str,
)
def test_n_calls_with_the_same_samples_are_n_epochs_of_fit(samples, parameters):
    X, y = samples
    whole = M3FusionClassifier(**{**SMALL, **parameters}).fit(X, y)
    parts = M3FusionClassifier(**{**SMALL, **parameters})
    for _ in range(SMALL["max_epochs"]):
        assert parts.partial_fit(X, y, classes=LABELS) is parts
    assert_equal_models(parts, whole, X)


def test_a_pickle_goes_on_where_it_was(samples):
    X, y = samples
    whole = M3FusionClassifier(**SMALL).fit(X, y)
    parts = M3FusionClassifier(**SMALL)
    for _ in range(SMALL["max_epochs"]):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, y, classes=LABELS)))
    assert_equal_models(parts, whole, X)


def test_chunks_that_lack_classes_teach_the_whole_task(samples):
    X, y = samples
    order = np.argsort(y, kind="stable")
    clf = M3FusionClassifier(**SMALL, classes=LABELS[::-1]).partial_fit(X[::3], y[::3])
    assert clf.classes_.tolist() == LABELS.tolist()
    for _ in range(15):
        for rows in np.array_split(np.random.default_rng(0).permutation(order), 4):
            clf.partial_fit(X[rows], y[rows])
    test, truth = make_samples(seed=1)
    assert clf.score(test, truth) > 0.9
    assert clf.n_iter_ == 61


def test_a_single_class_is_enough_for_a_chunk_and_the_scaling_stays(samples):
    X, y = samples
    clf = M3FusionClassifier(**SMALL).partial_fit(X, y, classes=LABELS)
    center = clf.net_.module_.scalers[0].center.clone()
    shifted = X.replace(ts=X["ts"] + 5)
    clf.partial_fit(shifted[y == "crops"], y[y == "crops"])
    np.testing.assert_array_equal(clf.net_.module_.scalers[0].center, center)
    np.testing.assert_allclose(center[0], X["ts"].mean(axis=(0, 1)), rtol=1e-4)


def test_sample_weights_count_in_partial_fit(samples):
    X, y = samples
    weights = (np.arange(90) < 60).astype(float)
    weighted = M3FusionClassifier(**SMALL).partial_fit(X, y, LABELS, sample_weight=weights)
    cut = M3FusionClassifier(**SMALL).partial_fit(X[:60], y[:60], LABELS)
    assert_equal_models(weighted, cut, X)


def test_partial_fit_goes_on_from_a_fit_a_file_and_a_changed_learning_rate(samples, tmp_path):
    X, y = samples
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    loss = clf.history_[-1]["train_loss"]
    clf.save(tmp_path / "model.m3f")
    for twin in (clf, M3FusionClassifier.load(tmp_path / "model.m3f")):
        for _ in range(12):
            twin.partial_fit(X, y)
        assert twin.history_[-1]["train_loss"] < loss
        assert [row["epoch"] for row in twin.history_] == list(range(1, 17))
    before = clf.predict_proba(X)
    clf.set_params(lr=1e-12, weight_decay=0.0, feature_norm=False).partial_fit(X, y)
    step = np.abs(clf.predict_proba(X) - before).max()
    clf.set_params(lr=0.05).partial_fit(X, y)
    assert np.abs(clf.predict_proba(X) - before).max() > 5 * step


def test_early_stopping_and_the_schedule_do_not_matter_in_partial_fit(samples):
    X, y = samples
    plain = M3FusionClassifier(**SMALL).partial_fit(X, y, LABELS)
    other = M3FusionClassifier(**{**SMALL, "schedule": "one-cycle", "max_epochs": 9}, early_stopping=True)
    assert_equal_models(plain, other.partial_fit(X, y, LABELS), X)


def refused_calls(X, y):
    return {
        "columns": ((X.select(["ts"]), y), "X lacks the source 'patch'"),
        "labels": ((X, np.where(y == "water", "sea", y)), r"classes must hold every label.*\['sea'\]"),
        "classes": ((X, y, ["crops", "forest"]), "classes must stay those of the fit that goes on"),
        "weights": ((X, y, None, np.zeros(len(y))), "got only zero weights"),
        "single": ((X[:1], y[:1]), "X must have at least 2 samples with a weight for batch normalisation"),
    }


@pytest.mark.parametrize("case", list(refused_calls(*make_samples(6))))
def test_a_refused_call_leaves_the_model_as_it_was(samples, case):
    X, y = samples
    arguments, message = refused_calls(X, y)[case]
    clf = M3FusionClassifier(**SMALL).partial_fit(X, y, LABELS)
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(*arguments)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    assert clf.n_iter_ == 1


def test_the_first_call_must_know_all_classes(samples):
    X, y = samples
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        M3FusionClassifier(**SMALL).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"classes must hold every label of y; \['water'\] are not among"):
        M3FusionClassifier(**SMALL).partial_fit(X, y, LABELS[:2])
    with pytest.raises(ValueError, match=r"classes must name at least two classes; got \['crops'\]"):
        M3FusionClassifier(**SMALL).partial_fit(X[y == "crops"], y[y == "crops"], ["crops"])


# ----- warm_start


def test_a_warm_start_goes_on_and_a_cold_one_resets(samples):
    X, y = samples
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    cold = clf.predict_proba(X)
    clf.set_params(warm_start=True).fit(X, y)
    assert clf.n_iter_ == 8
    assert clf.history_[4]["train_loss"] < clf.history_[0]["train_loss"]
    assert np.abs(clf.predict_proba(X) - cold).max() > 1e-3
    clf.set_params(warm_start=False).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), cold)
    assert clf.n_iter_ == 4


def test_fit_after_partial_fit_and_after_other_samples_is_a_fresh_fit(samples):
    X, y = samples
    fresh = M3FusionClassifier(**SMALL).fit(X, y)
    used = M3FusionClassifier(**SMALL).fit(X.select(["ts"])[:30], np.char.upper(y[:30]))
    assert_equal_models(used.fit(X, y), fresh, X)
    used.partial_fit(X, y)
    assert_equal_models(used.fit(X, y), fresh, X)


def test_a_warm_start_of_an_unfitted_or_cloned_classifier_is_a_fit(samples):
    X, y = samples
    warm = M3FusionClassifier(**SMALL, warm_start=True).fit(X, y)
    assert_equal_models(warm, M3FusionClassifier(**SMALL).fit(X, y), X)
    assert_equal_models(clone(warm).fit(X, y), M3FusionClassifier(**SMALL).fit(X, y), X)


def test_a_warm_start_keeps_the_same_samples_held_out(samples, monkeypatch, tmp_path):
    from m3fusion_sk import classifier

    X, y = samples
    seen = []

    def recorded(*arguments):
        seen.append(hold_out(*arguments))
        return seen[-1]

    hold_out = classifier.hold_out
    monkeypatch.setattr(classifier, "hold_out", recorded)
    settings = {**SMALL, "early_stopping": True, "warm_start": True}
    for random_state in (None, 3, np.random.RandomState(0)):
        clf = M3FusionClassifier(**{**settings, "random_state": random_state})
        clf.fit(X, y, groups=np.arange(90) // 2)
        if random_state is None:
            clf.save(tmp_path / "model.m3f")
            clf = M3FusionClassifier.load(tmp_path / "model.m3f")
        clf.fit(X, y, groups=np.arange(90) // 2)
        for first, second in zip(*seen[-2:], strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_size": 16}, "hidden_size must be 8, as built; to change it fit anew; got 16"),
        ({"series_encoder": "conv"}, "series_encoder must be 'attention', as built"),
        ({"dtype": "float64"}, "dtype must be 'float32', in which the network is"),
        ({"classes": ["crops", "sea"]}, "classes must stay those of the fit that goes on"),
        ({"warm_start": "yes"}, "warm_start must be True or False; got 'yes'"),
        ({"alpha": {"ts": 1.0}}, r"alpha must have one weight for each source"),
        ({"device": "abacus"}, "device must be 'auto' or a device that this torch can use"),
    ],
)
def test_parameters_that_are_refused_in_a_warm_start_leave_the_model_as_it_was(samples, parameters, message):
    X, y = samples
    clf = M3FusionClassifier(**SMALL, warm_start=True).fit(X, y)
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        clf.set_params(**parameters).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


# ----- interrupts and failures


class Raise(Callback):
    def __init__(self, error):
        self.error = error

    def on_batch_end(self, net, **kwargs):
        raise self.error


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_interrupt_while_going_on_leaves_a_usable_model(samples, method):
    X, y = samples
    clf = M3FusionClassifier(**SMALL, warm_start=True).fit(X, y)
    clf.set_params(callbacks=[Raise(KeyboardInterrupt)])
    if method == "fit":
        with pytest.warns(UserWarning, match="fit was interrupted after epoch 0 of 4; what it learned is"):
            clf.fit(X, y)
    else:  # which is called in loops: the interrupt must end these too
        with pytest.raises(KeyboardInterrupt, match="what it learned is kept"):
            clf.partial_fit(X, y)
    assert clf.n_iter_ == 4
    assert clf.score(X, y) > 0.5
    clf.set_params(callbacks=None).partial_fit(X, y)
    assert clf.n_iter_ == 5


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_that_fails_halfway_leaves_no_model(samples, method):
    X, y = samples
    clf = M3FusionClassifier(**SMALL, warm_start=True).fit(X, y)
    clf.set_params(callbacks=[Raise(MemoryError)])
    with pytest.raises(MemoryError):
        getattr(clf, method)(X, y)
    with pytest.raises(NotFittedError):
        clf.predict(X)
    clf.set_params(callbacks=None).fit(X, y)
    assert clf.n_iter_ == 4


# ----- labels


@pytest.mark.parametrize("method", ["partial_fit", "fit"])
def test_training_that_goes_on_takes_no_codes_for_names(samples, method):
    X, y = samples
    clf = M3FusionClassifier(**SMALL, warm_start=True).fit(X, y)
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=r"every label of y; \[0, 1\] are not among \['crops'.*\]\.$"):
        getattr(clf, method)(X[:60], np.arange(60) % 2)
    np.testing.assert_array_equal(clf.classes_, LABELS)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


@pytest.mark.parametrize("dtype, expected", [("Int64", "int64"), ("UInt8", "uint8"), ("boolean", "bool")])
def test_labels_that_may_be_missing_keep_their_type(samples, dtype, expected):
    X, y = samples
    labels = pd.Series((y == "water").astype(int), dtype=dtype)
    clf = M3FusionClassifier(**SMALL).fit(X, labels)
    assert clf.classes_.dtype == clf.predict(X[:2]).dtype == expected
    labels[3] = pd.NA
    with pytest.raises(ValueError, match=r"missing|NaN"):
        clf.fit(X, labels)


@pytest.mark.parametrize(
    "callbacks", [["a"], Callback(), "print_log", [("name", 3)]], ids=["names", "one", "text", "numbers"]
)
def test_callbacks_that_are_none_leave_a_model_as_it_was(samples, callbacks):
    X, y = samples
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    with pytest.raises(ValueError, match="callbacks must be None or a list of callbacks of skorch; got"):
        clf.set_params(callbacks=callbacks).partial_fit(X, y)
    assert clf.predict(X[:1])[0] in LABELS
    clf.set_params(callbacks=[Callback, ("named", Callback())]).partial_fit(X, y)
