"""The linear paths beside the encoders."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from m3fusion_sk import M3FusionClassifier, MultiSource
from m3fusion_sk.network import linear_path
from m3fusion_sk.network.linear_path import POOLED_VALUES, LinearPath
from m3fusion_sk.sources import PatchSpec, SeriesSpec

SMALL = {"hidden_size": 8, "n_filters": 4, "batch_size": 16, "max_epochs": 1, "random_state": 0}


def test_the_linear_path_whitens_the_training_samples():
    rng = np.random.default_rng(0)
    X = MultiSource(ts=(rng.normal(size=(200, 12)) @ rng.normal(size=(12, 12))).reshape(200, 4, 3) + 5000)
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 1}, dtype="float64", linear_path=6)
    components = clf.fit(X, np.arange(200) % 2).transform(X)[:, 8:]
    np.testing.assert_allclose(components.mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(np.cov(components.T, bias=True), np.eye(6), atol=1e-6)


def test_components_are_the_leading_ones_of_scikit_learn():
    rows = np.random.default_rng(0).normal(size=(50, 6)) * [5, 4, 3, 2, 1, 0.5]
    path = LinearPath(SeriesSpec(3, 2), 3).fit([(rows.reshape(50, 3, 2), np.ones(50))])
    got = path(torch.from_numpy(rows).reshape(50, 3, 2)).numpy()
    expected = PCA(3, whiten=True).fit_transform(rows) * np.sqrt(50 / 49)
    np.testing.assert_allclose(np.abs(got), np.abs(expected), rtol=1e-6)


def test_components_beyond_the_rank_are_zero_and_there_are_never_more_than_values():
    rows = np.outer(np.arange(5.0), [1, 2, 3, 4])
    path = LinearPath(SeriesSpec(2, 2), 64).fit([(rows.reshape(5, 2, 2), np.ones(5))])
    assert path.n_outputs == 4
    components = path(torch.from_numpy(rows).reshape(5, 2, 2))
    assert components[:, 0].std() > 0.5
    assert components[:, 1:].abs().max() == 0


@pytest.mark.parametrize(
    "shape", [(1, 3, 3), (3, 8, 8), (5, 25, 25), (4, 16, 21), (4, 304, 304), (600, 5, 5)]
)
def test_patches_are_averaged_over_odd_squares_around_their_centre(shape):
    path = LinearPath(PatchSpec(*shape), 64)
    assert path.n_outputs == min(64, len(path.center))
    assert len(path.center) <= max(POOLED_VALUES, shape[0])
    side = path.pool.kernel_size
    assert side % 2 == 1
    rows, cols = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in shape[1:]), indexing="ij")
    pooled = path.pool(torch.stack([rows, cols])[None])[0]
    middle = torch.tensor([shape[1] // 2, shape[2] // 2], dtype=torch.float32)
    if shape[1] % 2 and shape[2] % 2 and pooled.shape[1] % 2 and pooled.shape[2] % 2:
        assert torch.equal(pooled[:, pooled.shape[1] // 2, pooled.shape[2] // 2], middle)


def test_the_path_of_patches_is_the_pca_of_their_averages():
    rng = np.random.default_rng(0)
    patch = rng.normal(0, 1, (120, 5, 25, 25)) + 3 * rng.normal(0, 1, (120, 5, 1, 1))
    X = MultiSource(patch=patch)
    clf = M3FusionClassifier(**SMALL, patch_path=4, dtype="float64", normalize=None)
    got = clf.fit(X, np.arange(120) % 2).transform(X)[:, 8:]
    padded = np.pad(patch, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    averages = np.nanmean(padded.reshape(120, 5, 9, 3, 9, 3), axis=(3, 5)).reshape(120, -1)
    expected = PCA(4, whiten=True).fit_transform(averages) * np.sqrt(120 / 119)
    np.testing.assert_allclose(np.abs(got), np.abs(expected), rtol=1e-6, atol=1e-9)


def test_a_class_that_differs_in_a_small_direction_is_found_by_the_path_alone():
    """Spectra: the classes differ in a direction with a hundredth of the variance of the largest."""
    rng = np.random.default_rng(0)
    codes = np.arange(400) % 2
    latent = rng.normal(0, 1, (400, 12)) * np.geomspace(10, 0.1, 12)
    latent[:, 11] += np.where(codes, 0.2, -0.2)
    X = MultiSource(ts=(latent @ np.linalg.qr(rng.normal(size=(12, 12)))[0]).reshape(400, 6, 2))
    settings = {**SMALL, "max_epochs": 60, "linear_path": 0}
    scores = [
        M3FusionClassifier(**{**settings, "linear_path": n})
        .fit(X[:200], codes[:200])
        .score(X[200:], codes[200:])
        for n in (0, 12)
    ]
    assert scores[1] > 0.9
    assert scores[1] > scores[0] + 0.1


@pytest.mark.parametrize("n, components", [(3, 8), (11, 8), (19, 4), (60, 8)])
def test_few_samples_of_many_values_give_the_same_components(n, components, monkeypatch):
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(3, 1, (n, 5, 4)) * np.arange(1, 5), rng.integers(0, 3, n).astype(float)
    weights[:3] = 1, 2, 1
    blocks = [(rows[:2], weights[:2]), (rows[2:], weights[2:])]
    expected = LinearPath(SeriesSpec(5, 4), components).fit(blocks)
    monkeypatch.setattr(linear_path, "LARGE", 19)
    path = LinearPath(SeriesSpec(5, 4), components).fit(iter(blocks))
    np.testing.assert_allclose(path.center, expected.center, rtol=1e-10)
    np.testing.assert_allclose(path.projection, expected.projection, rtol=1e-6, atol=1e-8)
    assert (path.projection != 0).any(axis=0).sum() == min(components, (weights > 0).sum() - 1, 20)
    assert LinearPath(SeriesSpec(5, 4), components).fit(iter([])).projection.abs().max() == 0


def test_long_series_cost_what_their_samples_cost(monkeypatch):
    sizes, eigh = [], linear_path.eigh
    monkeypatch.setattr(linear_path, "eigh", lambda a, **how: sizes.append(len(a)) or eigh(a, **how))
    rows = np.random.default_rng(0).normal(size=(60, 100, 60)).astype(np.float32)
    path = LinearPath(SeriesSpec(100, 60), 16).fit([(rows, np.ones(60))])
    assert sizes == [60]  # not 6,000
    got = path(torch.from_numpy(rows).double()).numpy()
    np.testing.assert_allclose(np.cov(got.T, bias=True), np.eye(16), atol=1e-5)
