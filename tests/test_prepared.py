"""Networks made ready for prediction: the same results by less work, or nearly the same in fewer digits."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import max_pool2d

from m3fusion_sk import M3FusionClassifier, MultiSource, make_land_cover, paper_settings
from m3fusion_sk.network import inference, prepared
from m3fusion_sk.network.blocks import batches_of_neighbours, block_of
from m3fusion_sk.network.patch import PatchEncoder
from m3fusion_sk.network.prepared import int8, patches, products
from m3fusion_sk.patchview import PatchView
from m3fusion_sk.sources import PatchSpec

SMALL = {
    **paper_settings(),
    "hidden_size": 16,
    "n_filters": 4,
    "max_epochs": 2,
    "stem": "auto",
    "random_state": 0,
}


def overlapping(n_rows, n_cols, size, step=5, n_bands=3, seed=0):
    """Patches around every pixel of a small grid, as a map has them."""
    rng = np.random.default_rng(seed)
    sides = (size[0] + step * (n_rows - 1), size[1] + step * (n_cols - 1))
    image = rng.integers(0, 3000, (n_bands, *sides)).astype(np.uint16)
    rows, cols = np.meshgrid(step * np.arange(n_rows), step * np.arange(n_cols), indexing="ij")
    return PatchView(image, rows.ravel(), cols.ravel(), size)


def samples(size=(25, 25), step=5, n_dates=5):
    view = overlapping(7, 9, size, step)
    series = np.random.default_rng(1).normal(2000, 500, (len(view), n_dates, 4)).astype(np.float32)
    return MultiSource(ts=series, patch=view), np.arange(len(view)) % 3


def as_trained(clf, X, compute=inference.proba):
    """What the trained network gives, layer by layer and patch by patch."""
    return inference.run(clf.net_.module_, X.materialize(), compute)


@pytest.mark.parametrize("size", [(25, 25), (24, 31), (13, 20), (12, 12), (5, 5)])
@pytest.mark.parametrize("step", [1, 2, 5])
@pytest.mark.parametrize("of_neighbours", [True, False])
def test_shared_patches_give_what_single_ones_give(size, step, of_neighbours, monkeypatch):
    monkeypatch.setattr(patches.Layers, "shares_third", lambda *_: of_neighbours)
    X, y = samples(size, step)
    stem = "7x7" if min(size) >= 12 else "auto"
    clf = M3FusionClassifier(**{**SMALL, "dtype": "float64", "stem": stem}).fit(X, y)
    for compute in (inference.proba, inference.features):
        expected = as_trained(clf, X, compute)
        prepared = clf.net_.for_prediction("float32")
        assert np.abs(inference.run(prepared, X, compute) - expected).max() < 1e-10
        assert np.abs(inference.run(prepared, X.materialize(), compute) - expected).max() < 1e-10
        assert np.abs(inference.run(prepared, X[::-3], compute) - expected[::-3]).max() < 1e-10


@pytest.mark.parametrize("at_once", [("AT_ONCE", 8), ("POOLED_AT_ONCE", 8 * 4 * 9 * 9)])
def test_patches_are_computed_some_at_a_time(at_once, monkeypatch):
    X, y = samples()
    clf = M3FusionClassifier(**{**SMALL, "dtype": "float64"}).fit(X, y)
    expected, numbers, last = as_trained(clf, X), [], patches.Layers.last
    monkeypatch.setattr(patches, *at_once)  # eight patches
    monkeypatch.setattr(patches, "FIRST_AT_ONCE", 3 * 4 * 25 * 25)  # three patches
    monkeypatch.setattr(patches.Layers, "last", lambda *given: numbers.append(given[-1][0]) or last(*given))
    of_phases = [7, 7, 6, 8, 8, 8, 7, 6, 6]  # of four and three rows, five and four columns
    for some, of_parts in ((X, of_phases), (X.materialize(), [8, 8, 8, 8, 8, 8, 8, 7])):
        assert np.abs(clf.predict_proba(some) - expected).max() < 1e-10
        assert numbers == of_parts
        numbers.clear()


@settings(deadline=None)
@given(height=st.integers(3, 9), width=st.integers(3, 9))
def test_pooling_is_that_of_torch_on_every_or_every_second_pixel(height, width):
    maps = torch.randn(3, 4, height, width, generator=torch.Generator().manual_seed(height * 10 + width))
    maps = maps.contiguous(memory_format=torch.channels_last)
    assert torch.equal(patches._largest(maps, 1), max_pool2d(maps, 2, stride=1))
    assert torch.equal(patches._largest(maps, 2), max_pool2d(maps, 2))


def test_patches_are_shared_by_networks_that_can_do_without_them_where_all_are_there(monkeypatch):
    X, y = samples()
    clf = M3FusionClassifier(**{**SMALL, "dtype": "float64", "missing_sources": "drop"}).fit(X, y)
    shared, made = [], inference.block_of
    monkeypatch.setattr(inference, "block_of", lambda view: shared.append(view) or made(view))
    expected = as_trained(clf, X)
    assert not shared and np.abs(clf.predict_proba(X) - expected).max() < 1e-10 and shared
    shared.clear()
    lacking = np.arange(len(y)) % 4 == 0
    part = X.replace(patch=X["patch"].without(lacking, np.float32))
    assert np.abs(clf.predict_proba(part) - as_trained(clf, part)).max() < 1e-10 and not shared
    np.testing.assert_allclose(clf.predict_proba(part)[~lacking], expected[~lacking], atol=1e-10)


@pytest.mark.parametrize("kind", ["gru", "attention", "conv"])
@pytest.mark.parametrize("more", [{}, {"date_embedding": 8, "linear_path": 3, "patch_path": 3}])
def test_every_encoder_gives_what_it_gave(kind, more):
    X, y = samples()
    clf = M3FusionClassifier(**{**SMALL, **more, "series_encoder": kind, "dtype": "float64"}).fit(X, y)
    assert np.abs(clf.predict_proba(X) - as_trained(clf, X)).max() < 1e-10
    assert np.abs(clf.attention(X)["ts"] - as_trained(clf, X, inference.attention)["ts"]).max() < 1e-10


@pytest.mark.parametrize("emulated", [True, False])
@pytest.mark.parametrize("kind", ["gru", "attention"])
def test_integers_go_with_bfloat16_only_where_that_is_fast(kind, emulated, monkeypatch):
    for module in (prepared, patches):
        monkeypatch.setattr(module, "computes_bfloat16", lambda: not emulated)
    X, y = samples()
    clf = M3FusionClassifier(**{**SMALL, "series_encoder": kind}).fit(X, y)
    network = clf.net_.for_prediction("int8")
    series, patch = network.encoders
    assert patch.layers.kind is (torch.float32 if emulated else torch.bfloat16)
    assert isinstance(series, prepared.AutocastSeriesEncoder) is (kind == "attention" and not emulated)
    assert np.abs(clf.set_params(precision="int8").predict_proba(X) - as_trained(clf, X)).max() < 0.05


@pytest.mark.parametrize("precision, most", [("float32", 1e-10), ("bfloat16", 0.02), ("int8", 0.03)])
def test_lacking_dates_carry_the_state_over_in_every_arithmetic(precision, most):
    X, y = samples()
    series = np.array(X["ts"])
    series[np.random.default_rng(2).random(series.shape[:2]) < 0.4] = np.nan
    series[:3] = np.nan  # no date at all
    X = X.replace(ts=series)
    clf = M3FusionClassifier(**{**SMALL, "missing": "mask", "missing_sources": "drop", "dtype": "float64"})
    clf.fit(X, y).set_params(precision=precision)
    assert np.abs(clf.predict_proba(X) - as_trained(clf, X)).max() < most
    attention = clf.attention(X)["ts"]
    assert (attention[:3] == 0).all() and (attention[np.isnan(series[..., 0])] == 0).all()
    assert np.abs(attention - as_trained(clf, X, inference.attention)["ts"]).max() < 5 * most


def test_patch_series_are_prepared_at_each_date():
    rng = np.random.default_rng(0)
    X, y = MultiSource(cube=rng.normal(size=(20, 3, 2, 13, 13))), np.arange(20) % 2
    clf = M3FusionClassifier(**{**SMALL, "dtype": "float64"}).fit(X, y)
    assert np.abs(clf.predict_proba(X) - as_trained(clf, X)).max() < 1e-10
    for precision in ("bfloat16", "int8"):
        assert np.abs(clf.set_params(precision=precision).predict_proba(X) - as_trained(clf, X)).max() < 0.05


@pytest.fixture(scope="module")
def trained():
    X, y, groups = make_land_cover(700, n_dates=8, n_bands=4, patch_size=13, random_state=0)
    first = np.unique(groups)[::2]
    train = np.isin(groups, first)
    recipe = {**SMALL, "max_epochs": 40, "optimizer": "adamw", "lr": 3e-3, "schedule": "one-cycle"}
    clf = M3FusionClassifier(**{**recipe, "hidden_size": 32, "n_filters": 8, "stem": "7x7"})
    return clf.fit(X[train], y[train]), X[~train], y[~train]


@pytest.mark.parametrize("precision, agreement, most", [("bfloat16", 0.99, 0.06), ("int8", 0.97, 0.2)])
def test_less_arithmetic_maps_nearly_the_same_classes(trained, precision, agreement, most):
    clf, X, y = trained
    exact = clf.set_params(precision="float32").predict_proba(X)
    proba = clf.set_params(precision=precision).predict_proba(X)
    assert 0 < np.abs(proba - exact).max() < most
    assert (proba.argmax(axis=1) == exact.argmax(axis=1)).mean() >= agreement
    right = [(clf.classes_[p.argmax(axis=1)] == y).mean() for p in (proba, exact)]
    assert abs(right[0] - right[1]) < 0.02
    assert np.abs(proba.sum(axis=1) - 1).max() < 1e-5


def test_the_precision_is_chosen_at_prediction_time(trained):
    clf, X, _ = trained
    exact = clf.set_params(precision="float32").predict_proba(X)
    small = clf.set_params(precision="int8").predict_proba(X)
    assert (clf.set_params(precision="float32").predict_proba(X) == exact).all()
    assert (clf.set_params(precision="int8").predict_proba(X) == small).all()
    clf.set_params(precision="half")
    with pytest.raises(ValueError, match=r"precision must be one of \('float32', 'bfloat16', 'int8'\); got"):
        clf.predict_proba(X)
    clf.set_params(precision="float32")


def test_ranges_are_saved_with_the_model(trained, tmp_path):
    clf, X, _ = trained
    expected = clf.set_params(precision="int8").predict_proba(X)
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(tmp_path / "model.m3f")
    assert twin.precision == "int8"
    assert (twin.predict_proba(X) == expected).all()
    assert (pickle.loads(pickle.dumps(clf)).predict_proba(X) == expected).all()
    clf.set_params(precision="float32")


def test_a_model_without_ranges_says_what_to_do(trained):
    clf, X, _ = trained
    clf = pickle.loads(pickle.dumps(clf)).set_params(precision="int8")
    clf.net_.module_.encoders[1].ranges.zero_()
    with pytest.raises(ValueError, match="needs the ranges of values that fit records"):
        clf.predict_proba(X)


@pytest.mark.parametrize("side", [5, 13, 25])
def test_constant_patches_can_be_integers_too(side):
    X, y = samples()
    X = X.replace(patch=np.full((len(y), 2, side, side), 7.0))
    clf = M3FusionClassifier(**{**SMALL, "precision": "int8"}).fit(X, y)
    assert np.abs(clf.predict_proba(X) - as_trained(clf, X)).max() < 0.03


def test_ranges_of_values_with_their_shift_are_taken_as_sizes(trained):
    """Models saved before sizes were recorded have the least and largest value."""
    clf, X, _ = trained
    exact = clf.predict_proba(X)
    before = pickle.loads(pickle.dumps(clf)).set_params(precision="int8")
    encoder = before.net_.module_.encoders[1]
    for i, block in enumerate((encoder.conv1, encoder.conv2)):
        shift = block.affine()[1]
        encoder.ranges[i] = torch.stack([shift.min(), encoder.ranges[i, 1] + shift.max()])
    assert np.abs(before.predict_proba(X) - exact).max() < 0.2


@pytest.mark.parametrize("side", [4, 13, 25])
def test_values_far_from_zero_cost_integers_no_accuracy(side):
    """Maps of a large mean and small deviations: what rounded weights make of the mean must cancel."""
    torch.manual_seed(0)
    encoder = PatchEncoder(PatchSpec(3, side, side), 16, stem="auto")
    x = 5 + torch.randn(300, 3, side, side)
    with torch.no_grad():
        for _ in range(60):
            encoder(x)  # statistics of the normalisations
        encoder.eval().record_ranges(x)
        exact = encoder(x)
        rounded = patches.PreparedPatchEncoder(encoder, "int8")(x)
    errors = (rounded - exact).square().mean(dim=0).sqrt() / exact.std(dim=0)
    assert 0 < errors.median() < 0.09
    assert ((rounded - exact).mean(dim=0) / exact.std(dim=0)).abs().median() < 0.05


@pytest.mark.parametrize("side", [4, 13, 25])
@pytest.mark.parametrize("precision, most", [("float32", 1e-12), ("int8", 0.1)])
def test_normalisations_may_turn_large_into_small(side, precision, most):
    torch.manual_seed(0)
    encoder = PatchEncoder(PatchSpec(3, side, side), 16, stem="auto").double().eval()
    x = torch.randn(40, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        for block in (encoder.conv1, encoder.conv2, encoder.conv3, encoder.conv4):
            block[2].weight.uniform_(-1, 1)
        encoder.record_ranges(x)
        exact, found = encoder(x), patches.PreparedPatchEncoder(encoder, precision)(x)
    assert (found - exact).abs().max() < most * exact.std()


@pytest.mark.parametrize("side", [3, 4])
def test_first_layers_of_many_bands_can_go_with_integers(side, monkeypatch):
    """Large enough for fewer products, beside the constants that the second layer needs at its border."""
    monkeypatch.setattr(patches, "computes_bfloat16", lambda: False)
    encoder = PatchEncoder(PatchSpec(256, side, side), 256, stem="auto").eval()
    x = torch.randn(3, 256, side, side)
    with torch.no_grad():
        encoder.record_ranges(x)
        exact, found = encoder(x), patches.PreparedPatchEncoder(encoder, "int8")(x)
    assert (found - exact).abs().max() < 0.1 * exact.std()


def test_training_that_goes_on_is_seen_by_predictions():
    X, y = samples()
    clf = M3FusionClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    before = clf.predict_proba(X)
    clf.partial_fit(X, y)
    assert np.abs(clf.predict_proba(X) - as_trained(clf, X)).max() < 1e-5
    assert np.abs(clf.predict_proba(X) - before).max() > 1e-5
    assert pickle.loads(pickle.dumps(clf.net_)).prepared is None


@settings(max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 7), st.data())
def test_batches_of_neighbours_hold_every_row_once(n_rows, n_cols, step, data):
    view = overlapping(n_rows, n_cols, (6, 6), step, n_bands=1)
    kept = data.draw(st.lists(st.integers(0, len(view) - 1), min_size=1, max_size=60))
    for some in (view, view.take(np.array(kept))):
        batches = list(batches_of_neighbours(some, 256))
        assert sorted(np.concatenate(batches)) == list(range(len(some)))
        assert max(map(len, batches)) <= 256
    assert len(list(batches_of_neighbours(view, 256))) <= -(-n_rows // 16) * -(-n_cols // 16)


def test_a_block_holds_the_patches_of_its_view():
    view = overlapping(6, 8, (9, 11), step=3).take(np.arange(10, 40))
    block = block_of(view)
    assert (block.patches().numpy() == view[:]).all()
    assert block.image.dtype == torch.uint16  # integers until the batch
    assert block_of(view.take(np.array([0, 29]))) is None  # two patches share too little


def test_integer_products_are_those_of_integers():
    rng = np.random.default_rng(0)
    weight, bias, other, q = (
        torch.from_numpy(rng.normal(size=shape).astype(np.float32))
        for shape in ((12, 32), 12, (5, 12), (5, 32))
    )
    q = (100 * q).clamp(0, 255).to(torch.uint8)
    integers, scale = (part.numpy() for part in int8.quantized(weight))
    assert np.abs(integers * scale[:, None] - weight.numpy()).max() <= scale.max() / 2 * 1.001
    expected = 0.02 * scale * (q.numpy().astype(np.int64) @ integers.T.astype(np.int64)) + bias.numpy()
    linear = int8.Int8Linear(weight, 0.02, bias)
    np.testing.assert_allclose(linear(q), expected, rtol=1e-5, atol=1e-5)
    moved = int8.Int8Linear(weight, 0.02, bias, shift=-0.7)(q)
    np.testing.assert_allclose(moved, expected - 0.7 * scale * integers.sum(axis=1), rtol=1e-5, atol=1e-4)
    expected += other.numpy()
    for relu, sums in ((False, expected), (True, np.maximum(expected, 0))):
        place = other.clone()
        added = linear.add_to(place, q, relu)
        np.testing.assert_allclose(added, sums, rtol=1e-5, atol=1e-5)
        assert added.data_ptr() == place.data_ptr()  # no memory of its own


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("n", "size"), [(1, 20), (1, 256), (7, 300), (1500, 256)])
def test_products_of_floats_are_the_same_whether_packed_or_not(kind, n, size):
    generator = torch.Generator().manual_seed(0)
    weight, bias, x, other = (
        torch.randn(shape, generator=generator, dtype=torch.float64).to(kind)
        for shape in ((size + 4, size), size + 4, (n, size), (n, size + 4))
    )
    linear = products.FloatLinear(weight, kind, bias)
    if kind == torch.float64 or size < products.LEAST:
        assert not linear.packed
    expected = (x.double() @ weight.double().T).numpy()
    near = {"atol": {torch.float64: 1e-12, torch.float32: 1e-4, torch.bfloat16: 0.1}[kind]}
    near["rtol"] = 2**-7 if kind == torch.bfloat16 else 0  # sums may be rounded twice
    np.testing.assert_allclose(linear(x).double(), expected + bias.double().numpy(), **near)
    without, expected = products.FloatLinear(weight, kind), expected + other.double().numpy()
    np.testing.assert_allclose(without(x).double(), expected - other.double().numpy(), **near)
    for relu, sums in ((False, expected), (True, np.maximum(expected, 0))):
        place = other.clone()
        assert without.add_to(place, x, relu) is place
        np.testing.assert_allclose(place.double(), sums, **near)
    np.testing.assert_allclose(linear.add_to(other, x).double(), expected + bias.double().numpy(), **near)


LAID_OUT = """
import torch
from m3fusion_sk.network.prepared.int8 import Int8Convolution, quantized
from m3fusion_sk.network.prepared.products import FloatLinear

linear = FloatLinear(torch.randn(2048, 1024), torch.float32)
filters = quantized(torch.randn(528, 256, 3, 3))
convolution = Int8Convolution(*filters, torch.zeros(528), 0, 0.1, out_scale=1.0)
print("packed", linear.packed)
for n_threads in (1, 2):
    torch.set_num_threads(n_threads)
    for n, side in ((1024, 46), (128, 7)):
        maps = torch.zeros(4, 256, side, side, dtype=torch.uint8)
        maps = maps.contiguous(memory_format=torch.channels_last)
        for _ in range(3):
            linear.add_to(torch.zeros(n, 2048), torch.zeros(n, 1024))
            linear(torch.zeros(n, 1024))
            convolution(maps)
"""


def test_weights_are_laid_out_once_for_so_many_rows_or_such_maps_and_threads():
    command = [sys.executable, "-c", LAID_OUT]
    told = {**os.environ, "ONEDNN_VERBOSE": "1"}
    lines = subprocess.run(command, check=True, capture_output=True, text=True, env=told).stdout.splitlines()
    if "packed False" in lines:
        pytest.skip("this processor multiplies without packing")
    assert sum(",convolution," in line for line in lines) == 36
    laid_out = [line for line in lines if ",reorder," in line and ("2048x1024" in line or "528x256" in line)]
    assert len(laid_out) == 8


def test_bytes_are_values_without_their_fractions():
    values = torch.cat([torch.arange(256) + part for part in (0.0, 0.4, 0.999)]).reshape(2, 3, 8, 16)
    values = values.contiguous(memory_format=torch.channels_last)
    stored = int8.to_bytes(values)
    assert stored.dtype == torch.uint8 and stored.stride() == values.stride()
    assert (stored == values.floor()).all()


def test_the_largest_products_do_not_overflow():
    weight = torch.ones(16, 4, 3, 3)
    q = torch.full((2, 4, 7, 7), 255, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    maps = int8.Int8Convolution(*int8.quantized(weight), torch.zeros(16), 0, 1.0)(q)
    np.testing.assert_allclose(maps, 255 * 36, rtol=1e-5)
    sums = int8.Int8Linear(weight.flatten(1), 1.0)(q.flatten(1)[:, :36])
    np.testing.assert_allclose(sums, 255 * 36, rtol=1e-5)


def test_filters_without_weights_give_their_bias():
    q = torch.full((2, 4, 7, 7), 255, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    weight, bias = int8.with_constants(torch.zeros(3, 4, 3, 3), torch.ones(3), 7.0)
    maps = int8.Int8Convolution(*int8.quantized(weight), bias, 1, 0.1)(q)
    assert (maps[:, :3] == 1).all() and (maps[:, 3:] == 7).all() and maps.shape[1] == 3 + int8.CONSTANTS


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("shift", [0, 0.3, 300])
def test_integer_convolutions_are_those_of_shifted_values_within_their_border(padding, shift):
    rng = np.random.default_rng(0)
    weight, bias, shifts, q = (
        torch.from_numpy(rng.normal(size=size).astype(np.float32))
        for size in ((6, 4, 3, 3), 6, 4, (2, 4, 7, 7))
    )
    shifts, q = shift * shifts, (100 * q).clamp(0, 255).to(torch.uint8)
    values = 0.05 * q.double() + shifts[:, None, None]
    if padding:
        q = torch.cat([q, torch.full((2, int8.CONSTANTS, 7, 7), 255, dtype=torch.uint8)], dim=1)
    q = q.contiguous(memory_format=torch.channels_last)
    filters = int8.shifted(weight, bias, padding, 0.05, shifts)
    integers, scale = int8.quantized(weight, filters[1])
    rounded = (integers * scale.view(-1, 1, 1, 1)).double()
    expected = torch.conv2d(values, rounded, bias.double(), padding=padding).relu()
    maps = int8.Int8Convolution(*filters, padding, 0.05)(q)
    rounding = 1e-5 * expected.max() + 1e-4
    at_border = 0.05 * 255 * scale.max() * 2.5 if padding else rounding  # five taps may lack
    assert (maps - expected).abs().max() < at_border
    assert (maps - expected)[..., 1:-1, 1:-1].abs().max() < rounding
    stored = int8.Int8Convolution(*filters, padding, 0.05, out_scale=0.5)(q)
    np.testing.assert_allclose(0.5 * stored.double(), maps.double().clamp(max=127.5), atol=0.2501 + 1e-4)
