"""Whether probabilities can be believed, and what temperature scaling on held-out objects does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import StratifiedGroupKFold

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover
from m3fusion_sk.calibration import calibration_scores

CLASSES = np.array(["a", "b", "c"])


def made(seed, n=300):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([0.7, 1, 2], n)
    return CLASSES[[rng.choice(3, p=p) for p in proba]], proba, rng.uniform(0.2, 3, n)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.booleans())
def test_brier_and_log_loss_equal_scikit_learn(seed, weighted):
    y, proba, weights = made(seed)
    weights = weights if weighted else None
    summary = calibration_scores(y, proba, CLASSES, sample_weight=weights).summary
    brier = brier_score_loss(y, proba, labels=CLASSES, sample_weight=weights)
    np.testing.assert_allclose(summary["brier"], brier)
    np.testing.assert_allclose(summary["log_loss"], log_loss(y, proba, labels=CLASSES, sample_weight=weights))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 25))
def test_the_calibration_error_equals_a_loop_over_the_bins(seed, n_bins):
    y, proba, weights = made(seed)
    confidence, hit = proba.max(axis=1), CLASSES[proba.argmax(axis=1)] == y
    expected = 0
    for k in range(n_bins):
        here = (confidence > k / n_bins) & (confidence <= (k + 1) / n_bins)
        if here.any():
            gap = np.average(hit[here], weights=weights[here]) - np.average(
                confidence[here], weights=weights[here]
            )
            expected += abs(gap) * weights[here].sum() / weights.sum()
    scores = calibration_scores(y, proba, CLASSES, n_bins=n_bins, sample_weight=weights)
    np.testing.assert_allclose(scores.summary["calibration_error"], expected, atol=1e-12)
    np.testing.assert_allclose(scores.reliability["count"].sum(), weights.sum())


def test_true_probabilities_are_calibrated_and_sharpened_ones_are_not():
    y, proba, _ = made(0, n=20_000)
    assert calibration_scores(y, proba, CLASSES).summary["calibration_error"] < 0.015
    sharp = proba**3 / (proba**3).sum(axis=1, keepdims=True)
    scores = calibration_scores(y, sharp, CLASSES)
    assert scores.summary["calibration_error"] > 0.08
    assert scores.summary["confidence"] > scores.summary["accuracy"]
    assert "calibration_error" in str(scores) and "0.9" in str(scores)


@pytest.fixture(scope="module")
def overconfident():
    """A network that has seen few objects for many epochs, and sides of objects that it has not seen."""
    X, y, objects = make_land_cover(2400, n_objects=120, n_dates=6, n_bands=3, patch_size=5, random_state=0)
    split = StratifiedGroupShuffleSplit(1, train_size=0.15, random_state=0)
    train, rest = next(split.split(X, y, objects))
    half, other = next(
        StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=1).split(X[rest], y[rest], objects[rest])
    )
    eager = {"dropout": 0, "mixup": 0, "linear_vote": 0, "max_epochs": 40}
    network = M3FusionClassifier(hidden_size=32, n_filters=4, random_state=0, **eager)
    return network.fit(X[train], y[train]), X, y, objects, rest[half], rest[other]


def test_temperature_scaling_on_held_out_objects_makes_a_network_honest(overconfident):
    network, X, y, _, held_out, test = overconfident
    calibrated = CalibratedClassifierCV(FrozenEstimator(network), method="temperature")
    calibrated.fit(X[held_out], y[held_out])
    before, after = (
        calibration_scores(y[test], model.predict_proba(X[test]), model.classes_).summary
        for model in (network, calibrated)
    )
    assert before["confidence"] > before["accuracy"] + 0.05
    assert after["calibration_error"] < 0.7 * before["calibration_error"]
    assert after["log_loss"] < before["log_loss"]
    assert after["brier"] < before["brier"]
    assert after["accuracy"] == before["accuracy"]  # a temperature changes no prediction
    (part,) = calibrated.calibrated_classifiers_
    assert part.calibrators[0].beta_ < 1  # the inverse temperature: probabilities become softer


def test_calibration_takes_splits_by_object(overconfident):
    network, X, y, objects, held_out, test = overconfident
    rows = np.concatenate([held_out, test])
    X, y, objects = X[rows], y[rows], objects[rows]
    splits = list(StratifiedGroupKFold(2).split(X, y, objects))
    model = CalibratedClassifierCV(
        network.set_params(max_epochs=2), method="temperature", cv=splits, ensemble=False
    )
    proba = model.fit(X, y).predict_proba(X[:5])
    assert proba.shape == (5, len(model.classes_))
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"classes": ["a", "b"]}, "proba must have one column for each of the classes"),
        ({"classes": ["a", "b", "x"]}, r"classes must hold every class of y_true; \['c'\]"),
        ({"proba": np.full((3, 3), 0.5)}, "sum to 1 for each sample"),
        ({"proba": np.full((2, 3), 1 / 3)}, "one value for each sample"),
        ({"y_true": [1, 2, 3]}, "y_true and classes must hold labels of one type"),
        ({"n_bins": 0}, "n_bins must be an integer from 1"),
        ({"y_true": ["a", None, "b"]}, "y_true must have no missing values"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    good = {"y_true": ["a", "b", "c"], "proba": np.eye(3), "classes": CLASSES}
    with pytest.raises(ValueError, match=message):
        calibration_scores(**{**good, **arguments})


def test_classes_are_no_probabilities():
    with pytest.raises(ValueError, match=r"proba must hold probabilities .* predict_proba gives them: could"):
        calibration_scores(["a", "b"], ["a", "b"], ["a", "b"])
