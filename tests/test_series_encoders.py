"""The other series encoders, and the linear path beside them."""

import numpy as np
import pytest
import torch

from m3fusion_sk import M3FusionClassifier, MultiSource
from m3fusion_sk.network.linear_path import LinearPath, weighted_moments
from m3fusion_sk.network.series import SeriesEncoder
from m3fusion_sk.sources import SeriesSpec

KINDS = ("gru", "attention", "conv")
SMALL = {"hidden_size": 8, "batch_size": 16, "max_epochs": 15, "lr": 0.01, "random_state": 0}


def make_series(n=120, seed=0):
    """Two classes with the same values in another order: only what sees time can tell them apart."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    early = np.where(np.arange(8) < 4, 2.0, 0.0)
    ts = np.where((codes == 0)[:, None], early, early[::-1])[:, :, None] + rng.normal(0, 0.5, (n, 8, 2))
    return MultiSource(ts=ts), codes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("date_embedding", [None, 6])
@pytest.mark.parametrize("hidden_size", [7, 16])
def test_every_encoder_gives_a_feature_and_weights_that_sum_to_one(kind, date_embedding, hidden_size):
    torch.manual_seed(0)
    encoder = SeriesEncoder(SeriesSpec(9, 3), hidden_size, date_embedding, kind)
    x = torch.randn(5, 9, 3)
    feature, weights = encoder.attend(x)
    assert feature.shape == (5, hidden_size) == (5, encoder.n_outputs)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(5))
    assert weights.std(dim=0).max() > 1e-4
    torch.testing.assert_close(encoder(x), feature)


@pytest.mark.parametrize("kind", KINDS)
def test_every_encoder_learns_the_order_of_dates(kind):
    X, y = make_series()
    clf = M3FusionClassifier(**SMALL, series_encoder=kind, date_embedding=None).fit(X, y)
    test_X, test_y = make_series(seed=1)
    assert clf.score(test_X, test_y) > 0.9
    assert clf.attention(test_X)["ts"].shape == (120, 8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("linear_path", [0, 5])
def test_every_encoder_is_saved_exactly(kind, linear_path, tmp_path):
    X, y = make_series(24)
    settings = {**SMALL, "max_epochs": 2, "series_encoder": kind, "linear_path": linear_path}
    clf = M3FusionClassifier(**settings).fit(X, y)
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(tmp_path / "model.m3f")
    np.testing.assert_array_equal(twin.predict_proba(X), clf.predict_proba(X))
    assert clf.transform(X).shape == (24, 8 + linear_path)


def test_the_linear_path_whitens_the_training_samples():
    rng = np.random.default_rng(0)
    X = MultiSource(ts=(rng.normal(size=(200, 12)) @ rng.normal(size=(12, 12))).reshape(200, 4, 3) + 5000)
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 1}, dtype="float64", linear_path=6, feature_norm=False)
    components = clf.fit(X, np.arange(200) % 2).transform(X)[:, 8:]
    np.testing.assert_allclose(components.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(np.cov(components.T, bias=True), np.eye(6), atol=1e-6)


def test_components_are_the_leading_ones_of_scikit_learn():
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(0).normal(size=(50, 6)) * [5, 4, 3, 2, 1, 0.5]
    path = LinearPath(SeriesSpec(3, 2), 3).fit([(rows, np.ones(50))])
    got = path(torch.from_numpy(rows).reshape(50, 3, 2)).numpy()
    expected = PCA(3, whiten=True).fit_transform(rows) * np.sqrt(50 / 49)
    np.testing.assert_allclose(np.abs(got), np.abs(expected), rtol=1e-6)


def test_components_beyond_the_rank_are_zero_and_there_are_never_more_than_values():
    rows = np.outer(np.arange(5.0), [1, 2, 3, 4])
    path = LinearPath(SeriesSpec(2, 2), 64).fit([(rows, np.ones(5))])
    assert path.n_outputs == 4
    components = path(torch.from_numpy(rows).reshape(5, 2, 2))
    assert components[:, 0].std() > 0.5
    assert components[:, 1:].abs().max() == 0


def test_moments_of_weighted_blocks_are_those_of_repeated_rows():
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(3000, 2, (9, 3)), rng.integers(1, 4, 9)
    blocks = [(rows[i : i + 4], weights[i : i + 4].astype(float)) for i in (0, 4, 8)]
    mean, covariance = weighted_moments(blocks)
    repeated = np.repeat(rows, weights, axis=0)
    np.testing.assert_allclose(mean, repeated.mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(repeated.T, bias=True), rtol=1e-8, atol=1e-8)
