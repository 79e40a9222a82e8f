"""The series encoders by name."""

import numpy as np
import pytest
import torch

from m3fusion_sk import M3FusionClassifier, MultiSource
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
