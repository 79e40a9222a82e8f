"""Convolutions by fewer products: the same maps, and only where they are faster."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_prepared import SMALL, as_trained, samples
from torch.nn.functional import conv2d

from m3fusion_sk import M3FusionClassifier
from m3fusion_sk.network.prepared import winograd
from m3fusion_sk.network.prepared.convolutions import FloatConvolution
from m3fusion_sk.network.prepared.winograd import WinogradConvolution


def channels_last(*shape, dtype=torch.float64, seed=0):
    made = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=made, dtype=dtype).contiguous(memory_format=torch.channels_last)


@settings(deadline=None)
@given(
    st.tuples(*[st.integers(1, 13)] * 2),
    st.integers(0, 1),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(0, 2**60),
)
def test_fewer_products_give_the_same_maps(size, padding, counts, seed):
    n, n_inputs, n_outputs = counts
    height, width = (side + 2 * (1 - padding) for side in size)  # so that a pixel remains
    maps = channels_last(n, n_inputs, height, width, seed=seed)
    weight, bias = channels_last(n_outputs, n_inputs, 3, 3), channels_last(n_outputs, 1, 1, 1).flatten()
    found = WinogradConvolution(weight, bias, padding)(maps)
    expected = conv2d(maps, weight, bias, padding=padding)
    assert found.shape == expected.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("size, padding, products", [((7, 7), 1, 121), ((9, 9), 0, 121), ((8, 3), 1, 12 * 5)])
def test_how_many_products_there_are(size, padding, products):
    into, back, points = winograd._steps(*size, padding)
    assert len(points) == products == into.shape[0] == back.shape[1]
    outputs = np.prod([side + 2 * padding - 2 for side in size])
    assert products < 0.3 * 9 * outputs


def test_rounding_is_a_few_times_that_of_plain_sums():
    maps, weight = channels_last(8, 256, 7, 7), channels_last(64, 256, 3, 3) / 48
    bias, exact = torch.zeros(64), conv2d(maps, weight, padding=1)
    maps, weight = maps.float(), weight.float()
    errors = [
        (found - exact).square().mean().sqrt() / exact.square().mean().sqrt()
        for found in (WinogradConvolution(weight, bias, 1)(maps), conv2d(maps, weight, padding=1))
    ]
    assert errors[0] < 4 * errors[1] < 1e-5


def convolution(n_inputs, n_outputs, size=3, padding=1, kind=torch.float32, device=None):
    weight = torch.zeros(n_outputs, n_inputs, size, size, device=device)
    return FloatConvolution(weight, torch.zeros(n_outputs, device=device), padding, kind)


@pytest.mark.parametrize(
    "filters, others",
    [
        ((255, 256), {}),
        ((256, 255), {}),
        ((256, 256), {"kind": torch.bfloat16}),
        ((256, 256), {"device": "meta"}),
        ((256, 256, 5), {}),
        ((256, 256, 3, 2), {}),
    ],
)
def test_small_filters_and_other_arithmetic_stay_plain(filters, others):
    assert convolution(*filters, **others).winograd is None


@pytest.mark.parametrize("shape, fewer", [((8, 8), True), ((8, 9), False), ((60, 60), False)])
@pytest.mark.parametrize("n", [1, 200])
def test_large_maps_stay_plain(shape, fewer, n, monkeypatch):
    taken = []
    monkeypatch.setattr(WinogradConvolution, "__call__", lambda self, maps: taken.append(len(maps)))
    with torch.inference_mode():
        convolution(256, 256)(torch.zeros(1, 256, *shape).expand(n if fewer else 1, -1, -1, -1))
    assert bool(taken) is fewer


@pytest.mark.parametrize("size", [(25, 25), (24, 31), (13, 20), (5, 5)])
def test_networks_give_what_they_gave(size, monkeypatch):
    """With fewer products everywhere, so that small networks show what large ones do."""
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(winograd, "MOST_OUTPUTS", 100)
    X, y = samples(size)
    clf = M3FusionClassifier(**{**SMALL, "dtype": "float64"}).fit(X, y)
    taken, convolve = [], WinogradConvolution.__call__
    monkeypatch.setattr(
        WinogradConvolution, "__call__", lambda self, maps: taken.append(maps.shape) or convolve(self, maps)
    )
    for some in (X, X.materialize(), X[:1]):
        taken.clear()
        assert np.abs(clf.predict_proba(some) - as_trained(clf, some)).max() < 1e-10
        assert taken


def test_probabilities_of_float32_are_those_of_plain_sums(monkeypatch):
    X, y = samples()
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    expected = clf.predict_proba(X)
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)
    clf.net_.prepared = None
    found = clf.predict_proba(X)
    assert 0 < np.abs(found - expected).max() < 1e-5
