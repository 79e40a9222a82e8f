"""Importance and contributions where samples lack sources, dates and bands; networks inside of others."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource
from m3fusion_sk.explain import (
    attention_by_class,
    compare_heads,
    grouped_importance,
    source_contributions,
)
from m3fusion_sk.importance import exchanged

LACKS_TS, LACKS_PATCH = slice(0, None, 4), slice(1, None, 3)


def make_samples(n=240, seed=0):
    """Both sources tell the classes apart; dates lack here and there, whole sources too, never both."""
    rng = np.random.default_rng(seed)
    y = np.array(["dry", "wet"])[rng.permutation(n) % 2]
    level = np.where(y == "dry", 1.0, -1.0)
    ts = rng.normal(size=(n, 4, 2))
    ts[:, 2] += 2 * level[:, None]
    patch = rng.normal(size=(n, 2, 5, 5)) + level[:, None, None, None] * [[[1.5]], [[0]]]
    ts[rng.random((n, 4)) < 0.2] = np.nan
    lacks = np.zeros((2, n), bool)
    lacks[0, LACKS_TS], lacks[1, LACKS_PATCH] = True, True
    lacks[0] &= ~lacks[1]
    ts[lacks[0]], patch[lacks[1]] = np.nan, np.nan
    kept = ~(np.isnan(ts).all(axis=(1, 2)) & np.isnan(patch).all(axis=(1, 2, 3)))
    return MultiSource(ts=ts, patch=patch)[kept].materialize(), y[kept], np.arange(n)[kept] // 4


@pytest.fixture(scope="module")
def study():
    X, y, _ = make_samples(480)
    network = M3FusionClassifier(
        hidden_size=8,
        n_filters=4,
        max_epochs=20,
        batch_size=32,
        missing="mask",
        missing_sources="drop",
        random_state=0,
    )
    return network.fit(X, y), *make_samples(seed=1)


def gaps(X):
    return {name: np.isnan(X.gather(name)) for name in X.names}


class Watching:
    """Asks a network, and keeps what it was asked."""

    def __init__(self, network):
        self.network, self.classes_, self.seen = network, network.classes_, []

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        self.seen.append(X)
        return self.network.predict_proba(X)

    def score(self, X, y):
        self.seen.append(X)
        return self.network.score(X, y)


@pytest.mark.parametrize("by", ["source", "date", "band"])
@pytest.mark.parametrize("in_objects", [False, True])
def test_what_a_sample_lacks_it_lacks_in_every_exchange(study, by, in_objects):
    network, X, y, objects = study
    watching, groups = Watching(network), objects if in_objects else None
    table = grouped_importance(watching, X, y, by=by, groups=groups, n_repeats=2, random_state=0)
    assert np.isfinite(table).all(axis=None)
    own, absent = gaps(X), {}
    for name in X.names:
        absent[name] = own[name].reshape(len(X), -1).all(axis=1)
    for mixed in watching.seen:
        for name, lacking in gaps(mixed).items():
            np.testing.assert_array_equal(lacking.reshape(len(X), -1).all(axis=1), absent[name])
            if by != "source":  # a whole source is exchanged with its gaps
                np.testing.assert_array_equal(lacking, own[name])


def test_importance_finds_what_tells_the_classes_apart_among_gaps(study):
    network, X, y, objects = study
    sources = grouped_importance(network, X, y, groups=objects, random_state=0)["importance"]
    assert sources.min() > 0.1
    dates = grouped_importance(network, X, y, by="date", random_state=0)["importance"]
    assert dates.idxmax() == ("ts", 2) and dates.drop(index=[("ts", 2)]).abs().max() < 0.05
    bands = grouped_importance(network, X, y, by="band", random_state=0)["importance"]
    assert bands["patch"].idxmax() == 0 and abs(bands["patch", 1]) < 0.05


def test_exchanged_values_come_from_samples_that_have_them_and_all_take_part(study):
    network, X, y, objects = study
    watching = Watching(network)
    grouped_importance(watching, X, y, groups=objects, n_repeats=1, random_state=0)
    of_patch = watching.seen[2].gather("patch")
    has = ~np.isnan(X["patch"]).all(axis=(1, 2, 3))
    firsts, own = of_patch[has, 0, 0, 0], X["patch"][has, 0, 0, 0]
    assert np.isin(firsts, own).all()
    owner = dict(zip(own, objects[has], strict=True))
    assert all(owner[value] != group for value, group in zip(firsts, objects[has], strict=True))


def test_what_fewer_than_two_objects_have_has_no_importance(study):
    network, X, y, _ = study
    has = ~np.isnan(X["patch"]).all(axis=(1, 2, 3))
    table = grouped_importance(network, X, y, groups=np.where(has, 0, np.arange(len(X)) + 1), n_repeats=1)
    assert np.isnan(table.loc["patch", "importance"]) and np.isfinite(table.loc["ts", "importance"])


def test_places_keep_their_gaps_in_rows_read_one_by_one(study):
    _, X, _, _ = study
    rows = np.random.default_rng(0).permutation(len(X))
    mixed = exchanged(X, "ts", rows, (slice(None), slice(None), 1))
    own, other = X["ts"][:, :, 1], X["ts"][rows][:, :, 1]
    expected = np.where(np.isnan(own) | np.isnan(other), own, other)
    np.testing.assert_array_equal(mixed["ts"][:, :, 1], expected)
    np.testing.assert_array_equal(mixed["ts"][:, :, 0], X["ts"][:, :, 0])
    np.testing.assert_array_equal(mixed[[5, 2]]["ts"], mixed["ts"][[5, 2]])


def test_a_source_that_a_sample_lacks_contributes_nothing_to_its_decision(study):
    network, X, _, _ = study
    watching = Watching(network)
    result = source_contributions(watching, X[:60], background=X[60:], n_draws=3, random_state=0)
    for name in X.names:
        absent = np.isnan(X.gather(name, slice(0, 60))).reshape(60, -1).all(axis=1)
        assert 0 < absent.sum() < 60
        assert (result.contributions.loc[absent, name] == 0).all()
        assert (result.contributions.loc[~absent, name] != 0).any()
        for mixed in watching.seen:
            lacking = np.isnan(mixed.gather(name)).reshape(60, -1).all(axis=1)
            np.testing.assert_array_equal(lacking, absent)
    total = result.base + result.contributions.sum(axis=1)
    np.testing.assert_allclose(total, network.predict_proba(X[:60]).max(axis=1), rtol=1e-5)
    np.testing.assert_allclose(result.shares.sum(axis=1), 1)


def test_a_background_without_a_source_is_refused(study):
    network, X, _, _ = study
    has = ~np.isnan(X["patch"]).all(axis=(1, 2, 3))
    with pytest.raises(ValueError, match="background must have 'patch' in some sample"):
        source_contributions(network, X, background=X[~has])


class SignOfA:
    """Sure of a class by the sign of source a, undecided without."""

    classes_ = np.array(["x", "z"])

    def predict_proba(self, X):
        a = np.asarray(X["a"])[:, 0]
        p = np.where(np.isnan(a), 0.5, np.where(a > 0, 0.9, 0.1))
        return np.column_stack([1 - p, p])


def test_no_sample_stands_for_its_own_unknown():
    a = np.full((20, 1), np.nan)
    a[3], a[7] = 1, -1  # each can be exchanged for the other only
    X = MultiSource(a=a, b=np.zeros((20, 1)))
    parts = source_contributions(SignOfA(), X, n_draws=20, random_state=0)
    expected = np.where(np.isin(np.arange(20), [3, 7]), 0.8, 0)
    np.testing.assert_allclose(parts.contributions["a"], expected, atol=1e-12)
    with pytest.raises(ValueError, match="background must have 'a' in some sample beside the one to explain"):
        source_contributions(SignOfA(), X[:5])


# ----- networks inside of others


def wrapped(kind, network, X, y):
    """Something that holds the network, or one like it, fitted."""
    if kind == "pipeline":
        return make_pipeline(GapFiller(), FrozenEstimator(network)).fit(X, y)
    if kind == "search":
        grid = {"max_epochs": [1, 2]}
        return GridSearchCV(M3FusionClassifier(**network.get_params()), grid, cv=2).fit(X, y)
    if kind == "search for a pipeline":
        steps = make_pipeline(GapFiller(), M3FusionClassifier(**network.get_params()))
        return GridSearchCV(steps, {"m3fusionclassifier__max_epochs": [1, 2]}, cv=2).fit(X, y)
    frozen = FrozenEstimator(network)
    if kind == "calibrated pipeline":
        frozen = FrozenEstimator(make_pipeline(GapFiller(), frozen).fit(X, y))
    return CalibratedClassifierCV(frozen, method="temperature", cv=2, ensemble=False).fit(X, y)


KINDS = ["pipeline", "search", "search for a pipeline", "calibrated", "calibrated pipeline"]


@pytest.mark.parametrize("kind", KINDS)
def test_studies_of_the_network_find_it_inside(study, kind):
    network, X, y, _ = study
    X, y = X[:80], y[:80]
    has = ~np.any([np.isnan(X[name]).reshape(80, -1).all(axis=1) for name in X.names], axis=0)
    model = wrapped(kind, network, X, y)
    assert attention_by_class(model, X, y)["ts"].shape == (2, 4)
    assert compare_heads(model, X[has], y[has]).accuracy.index.tolist() == ["fusion", "ts", "patch"]
    if kind == "calibrated":
        pd.testing.assert_frame_equal(
            attention_by_class(model, X, y)["ts"], attention_by_class(network, X, y)["ts"]
        )


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda network, X, y: CalibratedClassifierCV(network, cv=2).fit(X, y),
            "CalibratedClassifierCV, which holds 2 models: for one, calibrate with ensemble=False",
        ),
        (
            lambda network, X, y: CalibratedClassifierCV(network),
            "CalibratedClassifierCV, which is not fitted",
        ),
        (
            lambda network, X, y: GridSearchCV(network, {"lr": [0.01]}, cv=2, refit=False).fit(X, y),
            "GridSearchCV, which has no best_estimator_: fit it, with refit=True",
        ),
    ],
)
def test_where_there_is_no_network_the_reason_is_told(study, make, message):
    network, X, y, _ = study
    short = M3FusionClassifier(**{**network.get_params(), "max_epochs": 1})
    with pytest.raises(TypeError, match=f"attention_by_class needs a method attention.*got {message}"):
        attention_by_class(make(short, X[:60], y[:60]), X, y)
