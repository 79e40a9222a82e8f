"""Mixup of a training batch."""

import numpy as np
import pytest
import torch

from m3fusion_sk import M3FusionClassifier, MultiSource
from m3fusion_sk.network.loss import weighted_cross_entropy
from m3fusion_sk.network.mixup import mix

SMALL = {"hidden_size": 6, "n_filters": 2, "max_epochs": 3, "batch_size": 16, "random_state": 0}


@pytest.fixture
def batch():
    """Values that are their own sample number, so that mixed ones tell the share and the partner."""
    n = 12
    inputs = {
        "ts": torch.arange(n, dtype=torch.int16)[:, None, None].expand(n, 4, 2),
        "patch": torch.arange(n)[:, None, None, None].expand(n, 1, 3, 3).to(torch.uint16),
    }
    return inputs, (torch.arange(n) % 3, torch.arange(1, n + 1, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(5))
def test_all_sources_and_the_target_of_a_sample_are_mixed_in_the_same_proportion(batch, seed):
    torch.manual_seed(seed)
    inputs, (shares, weights) = mix(*batch, 0.4, 3)
    mixed = inputs["ts"][:, 0, 0]
    assert mixed.dtype == torch.float64
    torch.testing.assert_close(inputs["ts"], mixed[:, None, None].expand(12, 4, 2))
    torch.testing.assert_close(inputs["patch"], mixed[:, None, None, None].expand(12, 1, 3, 3))
    torch.testing.assert_close(weights, mixed + 1)  # weights are sample numbers from 1
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(12, dtype=torch.float64))
    assert mixed.sum() == pytest.approx(66)  # each sample is a partner once


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_that_of_both_samples_by_their_shares(batch, seed):
    codes, weights = batch[1]
    torch.manual_seed(seed)
    concentration = torch.tensor(0.4, dtype=torch.float64)
    share = torch.distributions.Beta(concentration, concentration).sample().item()
    partner = torch.randperm(12)
    torch.manual_seed(seed)
    _, targets = mix(*batch, 0.4, 3)
    logits = torch.randn(12, 3, dtype=torch.float64)
    parts = torch.nn.functional.cross_entropy(logits, codes, reduction="none")
    others = torch.nn.functional.cross_entropy(logits, codes[partner], reduction="none")
    both = share * weights * parts + (1 - share) * weights[partner] * others
    torch.testing.assert_close(weighted_cross_entropy(logits, *targets), both.mean())


def test_gaps_are_filled_from_the_partner_only_if_asked_for(batch):
    inputs, targets = batch
    ts = inputs["ts"].double()
    ts[0, 1, 0] = torch.nan
    mixed = {}
    for gaps in (True, False):
        torch.manual_seed(1)  # which gives no sample itself as its partner
        mixed[gaps] = mix({"ts": ts}, targets, 0.4, 3, gaps=gaps)[0]["ts"]
    assert not mixed[True].isnan().any()
    lost = mixed[False].isnan()
    assert lost.sum() == 2 and lost[0, 1, 0]  # of the sample, and of the one whose partner it is
    assert torch.equal(mixed[False][~lost], mixed[True][~lost])


@pytest.mark.parametrize(
    ("settings", "may"),
    [
        ({}, False),
        ({"missing": "fill"}, True),
        ({"missing": "mask"}, True),
        ({"missing_sources": "drop"}, True),
    ],
)
def test_gaps_are_looked_for_where_settings_allow_them(settings, may):
    X, y = MultiSource(ts=np.random.default_rng(0).normal(size=(20, 5, 2))), np.arange(20) % 2
    assert M3FusionClassifier(**SMALL, **settings).fit(X, y).net_.module_.may_have_gaps is may


def test_a_low_concentration_leaves_samples_almost_whole(batch):
    torch.manual_seed(0)
    distances = []
    for _ in range(100):
        shares = mix(*batch, 0.01, 3)[1][0]
        distances.append(torch.minimum(shares, 1 - shares).max().item())
    assert np.median(distances) < 1e-6


def test_what_one_of_a_pair_lacks_comes_from_the_other():
    torch.manual_seed(0)
    whole = torch.arange(12.0)[:, None, None].expand(12, 4, 2).clone()
    gappy = whole.clone()
    gappy[::2, 1:3] = float("nan")  # every other sample lacks two dates
    gappy[3] = float("nan")  # one lacks the source
    targets = (torch.arange(12) % 3, torch.ones(12))
    torch.manual_seed(5)
    expected = mix({"ts": whole}, targets, 0.4, 3)[0]["ts"]
    torch.manual_seed(5)
    mixed = mix({"ts": gappy}, targets, 0.4, 3)[0]["ts"]
    torch.manual_seed(5)
    torch.distributions.Beta(*torch.tensor([0.4, 0.4], dtype=torch.float64)).sample()
    partner = torch.randperm(12)
    both = gappy.isnan() & gappy[partner].isnan()
    neither = ~gappy.isnan() & ~gappy[partner].isnan()
    torch.testing.assert_close(mixed.isnan(), both)
    torch.testing.assert_close(mixed[neither], expected[neither])
    alone = gappy.isnan() & ~both
    torch.testing.assert_close(mixed[alone], whole[partner][alone])


def make_samples(n=48):
    rng = np.random.default_rng(0)
    y = np.array(["a", "b"])[np.arange(n) % 2]
    return MultiSource(ts=rng.integers(0, 999, (n, 5, 2)), height=rng.normal(size=(n, 3))), y


def test_mixup_changes_what_is_learned_and_repeats_with_the_seed():
    X, y = make_samples()
    plain, mixed, again = (
        M3FusionClassifier(**SMALL, mixup=mixup).fit(X, y).predict_proba(X) for mixup in (0, 0.5, 0.5)
    )
    assert np.abs(plain - mixed).max() > 1e-4
    np.testing.assert_array_equal(mixed, again)


def test_vectors_alone_are_not_mixed():
    X, y = make_samples()
    table = X["height"]
    plain, mixed = (
        M3FusionClassifier(**SMALL, mixup=mixup).fit(table, y).predict_proba(table) for mixup in (0, 0.5)
    )
    np.testing.assert_array_equal(plain, mixed)
