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


def in_full(encoder, x, lacking):
    """Attention over the dates with a state, keys and values for each of them, as it is written down."""
    states, attention = encoder.states(encoder.embedding(x)), encoder.attention
    keys = attention.keys(states).unflatten(2, (attention.n_heads, -1))
    scores = (keys * attention.queries).sum(dim=3) / attention.queries.shape[1] ** 0.5
    scores = scores.masked_fill(lacking[:, :, None], -torch.inf)
    weights = torch.softmax(scores, dim=1).masked_fill(lacking[:, :, None], 0)  # (n, dates, heads)
    values = states.unflatten(2, (attention.n_heads, -1))
    return attention.output((weights[..., None] * values).sum(dim=1).flatten(1)), weights.mean(dim=2)


@pytest.mark.parametrize("date_embedding", [None, 6])
@pytest.mark.parametrize("hidden_size", [7, 16])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_attention_is_that_over_states_of_all_dates(date_embedding, hidden_size, share):
    torch.manual_seed(0)
    encoder = SeriesEncoder(SeriesSpec(9, 3), hidden_size, date_embedding, "attention").double()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # biases too
    x, lacking = torch.randn(6, 9, 3, dtype=torch.float64), torch.rand(6, 9) < share
    lacking[2] = share > 0  # one has no date at all
    found = encoder.attend(x, lacking if share else None)
    gradients = torch.autograd.grad(found[0].square().sum(), list(encoder.parameters()))
    expected = in_full(encoder, x, lacking)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    of_all = torch.autograd.grad(expected[0].square().sum(), list(encoder.parameters()))
    torch.testing.assert_close(gradients, of_all, rtol=1e-8, atol=1e-8)


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
