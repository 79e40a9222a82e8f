"""Batches, input statistics and prediction in batches."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from m3fusion_sk import M3FusionClassifier, MultiSource
from m3fusion_sk.network import inference
from m3fusion_sk.network.batches import Batches, as_tensor, batch_cuts
from m3fusion_sk.network.build import empty_network
from m3fusion_sk.network.scaling import band_blocks, fit_scaler, range_statistics, standard_statistics
from m3fusion_sk.patchview import PatchView


def container(n=10, dtype=np.float64):
    rng = np.random.default_rng(0)
    return MultiSource(
        ts=rng.integers(0, 9000, (n, 4, 3)).astype(dtype),
        patch=rng.integers(0, 255, (n, 2, 5, 5)).astype(np.uint8),
        v=rng.normal(size=(n, 2)),
    )


@given(st.integers(1, 200), st.integers(1, 50))
def test_batches_cover_every_sample_once_and_none_is_a_last_single(n_samples, batch_size):
    cuts = batch_cuts(n_samples, batch_size)
    assert [row for start, stop in cuts for row in range(start, stop)] == list(range(n_samples))
    if batch_size > 1:
        assert cuts[-1][1] - cuts[-1][0] > 1 or n_samples == 1
    assert all(stop - start == batch_size for start, stop in cuts[:-1])


class Chunks:
    """Rows that only whole chunks can be read for, as zarr has them; it counts how often it is asked."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.n_reads = values, values.shape, values.dtype, 0
        self.oindex = self

    def __getitem__(self, index):
        self.n_reads += 1
        return self.values[index]


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_of_chunked_arrays_are_read_many_at_once_and_are_the_same(monkeypatch, seed):
    values, codes = np.arange(600.0).reshape(100, 3, 2), np.arange(100)
    chunks = Chunks(values)
    monkeypatch.setattr("m3fusion_sk.network.batches.BYTES_AHEAD", 40 * values[0].nbytes)
    for X in (MultiSource(ts=chunks), MultiSource(ts=chunks)[np.arange(100)]):
        chunks.n_reads = 0
        found = list(Batches(X, codes, codes / 7, 8, torch.float64, seed=seed))
        assert chunks.n_reads == 3  # of 5 batches each, of which there are 13
        expected = list(Batches(MultiSource(ts=values), codes, codes / 7, 8, torch.float64, seed=seed))
        assert len(found) == len(expected) == 13
        for (inputs, targets), (others, their_targets) in zip(found, expected, strict=True):
            assert torch.equal(inputs["ts"], others["ts"])
            assert all(map(torch.equal, targets, their_targets))


def test_rows_of_all_sources_codes_and_weights_stay_together():
    X = MultiSource(ts=np.arange(50.0)[:, None, None], v=np.arange(50.0)[:, None])
    batches = Batches(X, np.arange(50), np.arange(50) / 7, 8, torch.float64, seed=3)
    seen = []
    for inputs, (codes, weights) in batches:
        assert (inputs["ts"][:, 0, 0] == codes).all()
        assert (inputs["v"][:, 0] == codes).all()
        assert torch.equal(weights, codes.double() / 7)
        seen += codes.tolist()
    assert sorted(seen) == list(range(50))
    assert seen != list(range(50))


def orders(seed, batch_size=4, epochs=2):
    X = container(20)
    batches = Batches(X, np.arange(20), np.ones(20), batch_size, torch.float32, seed)
    return [torch.cat([codes for _, (codes, _) in batches]).tolist() for _ in range(epochs)]


def test_the_order_is_new_in_each_epoch_and_the_same_for_a_seed():
    first, second = orders(1)
    assert first != second
    assert orders(1) == [first, second]
    assert orders(2) != [first, second]
    assert orders(None) == [list(range(20))] * 2
    assert orders(1, batch_size=20) == [list(range(20))] * 2  # one batch: its order does not matter


@pytest.mark.parametrize("dtype", ["u1", "i2", "<u2", ">u2", "i4", "<f4", ">f8", "?", "i8", "f2"])
def test_every_number_type_becomes_a_tensor_of_the_same_values(dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)[::-1]
    tensor = as_tensor(array)
    assert np.array_equal(tensor.numpy(), array)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array.flags.writeable = False
        as_tensor(array)


def test_contiguous_rows_are_shared_with_torch_not_copied():
    array = np.zeros((10, 3), np.float32)
    assert np.shares_memory(as_tensor(MultiSource(v=array).gather("v", slice(2, 5))).numpy(), array)


def statistics_oracle(values, weights):
    repeated = np.repeat(values, weights, axis=0)
    return repeated.mean(axis=(0, 1)), repeated.std(axis=(0, 1))


@pytest.mark.parametrize("step", [1, 3, 100])
def test_statistics_are_those_of_repeated_samples_however_they_are_cut(step):
    rng = np.random.default_rng(0)
    values, weights = rng.normal(5000, 3, (11, 4, 3)), rng.integers(1, 5, 11)
    blocks = [(values[i : i + step], weights[i : i + step].astype(float)) for i in range(0, 11, step)]
    for got, expected in zip(standard_statistics(blocks), statistics_oracle(values, weights), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    low, spread = range_statistics(blocks)
    np.testing.assert_array_equal(low, values.min(axis=(0, 1)))
    np.testing.assert_array_equal(low + spread, values.max(axis=(0, 1)))


@pytest.mark.parametrize(("name", "axes"), [("ts", (0, 1)), ("patch", (0, 2, 3)), ("v", (0,))])
def test_each_band_of_each_source_is_scaled_by_itself(name, axes):
    X = container(30)
    scaled = fit_scaler(X, name, "standard", np.ones(30)).double()(torch.from_numpy(X[name])).numpy()
    np.testing.assert_allclose(scaled.mean(axis=axes), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(axis=axes), 1)
    ranged = fit_scaler(X, name, "minmax", np.ones(30)).double()(torch.from_numpy(X[name])).numpy()
    np.testing.assert_allclose(ranged.min(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(ranged.max(axis=axes), 1)
    same = fit_scaler(X, name, None, np.ones(30)).double()(torch.from_numpy(X[name])).numpy()
    np.testing.assert_array_equal(same, X[name])


def test_a_constant_band_becomes_zero_not_nan():
    X = MultiSource(v=np.full((5, 1), 7.0))
    for normalize in ("standard", "minmax"):
        scaled = fit_scaler(X, "v", normalize, np.ones(5))(torch.full((5, 1), 7.0))
        assert (scaled == 0).all()


def test_statistics_of_a_patch_view_are_those_of_its_patches():
    image = np.random.default_rng(0).integers(0, 99, (2, 12, 12)).astype(np.uint16)
    view = PatchView(image, np.arange(8), np.arange(8)[::-1], (5, 5))
    blocks = [list(band_blocks(MultiSource(p=v), "p", np.ones(8))) for v in (view, np.asarray(view))]
    for got, expected in zip(*blocks, strict=True):
        np.testing.assert_array_equal(got[0], expected[0])


def test_prediction_does_not_depend_on_the_batch_size():
    X = container(23)
    settings = M3FusionClassifier(hidden_size=4, n_filters=2, dtype="float64")
    network = empty_network(settings, X.specs, 3).eval()
    results = [inference.run(network, X, inference.proba, batch_size=b) for b in (1, 5, 22, 100)]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-10)
