"""Patches at equal steps in one map: what they share, and what each has at its border."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d
from torch.testing import assert_close

from m3fusion_sk.network.blocks import block_of
from m3fusion_sk.network.patch import PatchEncoder
from m3fusion_sk.network.prepared import neighbours, patches
from m3fusion_sk.network.prepared.convolutions import FloatConvolution
from m3fusion_sk.network.prepared.neighbours import NeighbourConvolution, PatchGrid, flat, grid_of
from m3fusion_sk.network.prepared.products import FloatLinear
from m3fusion_sk.network.prepared.winograd import WinogradConvolution, _steps
from m3fusion_sk.patchview import PatchView
from m3fusion_sk.sources import PatchSpec

CPU, EXACT = torch.device("cpu"), {"rtol": 0, "atol": 1e-12}
GRIDS = st.builds(
    PatchGrid,
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(3, 8), st.integers(3, 8)),
)


def made(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def cut(maps, grid):  # (1, channels, height, width) -> (patches, channels, ...), in order
    (down, right), (height, width) = grid.steps, grid.size
    return torch.cat(
        [
            maps[:, :, down * row : down * row + height, right * col : right * col + width]
            for row, col in np.ndindex(*grid.n_patches)
        ]
    )


def on_map(maps):
    return maps.contiguous(memory_format=torch.channels_last)


@settings(deadline=None, max_examples=60)
@given(GRIDS)
def test_grids_say_where_borders_of_patches_lie(grid):
    """The values at those places are the borders of the patches that are cut out."""
    maps = torch.arange(float(np.prod(grid.shape))).view(1, 1, *grid.shape)
    single = cut(maps, grid)[:, 0].long()
    found = set(grid.places.tolist())
    inside = torch.zeros_like(single, dtype=torch.bool)
    inside[:, 1:-1, 1:-1] = True
    assert set(single[~inside].tolist()) <= found
    (n_rows, n_cols), (height, width) = grid.n_patches, grid.shape
    assert grid.n_places == [n_rows * width] * 2 + [height * n_cols] * 2 + [n_rows * n_cols] * 4
    assert len(grid.places) == sum(grid.n_places)
    corners = grid.places.split(grid.n_places)[4:]
    for places, (row, col) in zip(corners, ((0, 0), (0, -1), (-1, 0), (-1, -1)), strict=True):
        assert torch.equal(places, single[:, row, col])


@settings(deadline=None, max_examples=60)
@given(GRIDS)
def test_sums_are_those_of_a_convolution_of_each_patch(grid):
    weight, bias, maps = made(5, 3, 3, 3), made(5, seed=1), made(1, 3, *grid.shape, seed=2)
    whole = FloatConvolution(weight, bias, 1, torch.float64)
    convolution = NeighbourConvolution(whole, weight, partial(FloatLinear, kind=torch.float64))
    inside, border = convolution(on_map(maps), grid)
    assert_close(inside, flat(conv2d(maps, weight, bias, padding=1)), **EXACT)
    each = conv2d(cut(maps, grid), weight, bias, padding=1)
    corners = border.split(grid.n_places)[4:]
    for sums, (row, col) in zip(corners, ((0, 0), (0, -1), (-1, 0), (-1, -1)), strict=True):
        assert_close(sums, each[:, :, row, col], **EXACT)
    assert_close(grid.means(inside, border, torch.float64), each.mean(dim=(2, 3)), **EXACT)


@settings(deadline=None)
@given(st.data())
def test_the_grid_of_patches_is_the_coarsest_that_holds_them_all(data):
    starts = [
        torch.tensor(data.draw(st.lists(st.integers(0, 12), min_size=6, max_size=6))) * data.draw(step)
        for step in (st.integers(1, 5), st.integers(1, 5))
    ]
    rows, cols = (part - part.min() for part in starts)
    grid, index = grid_of(rows, cols, (3, 4), CPU)
    (down, right), n_cols = grid.steps, grid.n_patches[1]
    assert torch.equal(index // n_cols * down, rows) and torch.equal(index % n_cols * right, cols)
    for steps, part in zip(grid.steps, (rows, cols), strict=True):
        assert steps == (np.gcd.reduce(part.numpy()) or 1)
    assert grid.shape == (int(rows.max()) + 3, int(cols.max()) + 4)
    assert grid_of(rows, cols, (3, 4), CPU)[0] is grid  # its places are looked up once


def test_what_a_grid_costs_is_what_it_multiplies():
    grid = PatchGrid((3, 4), (5, 2), (7, 6))
    height, width = grid.shape
    lines, corners = sum(grid.n_places[:4]), sum(grid.n_places[4:])
    taps = 9 * height * width + 3 * lines + corners
    assert grid.cost == taps + height * width + lines + corners  # and the last convolution, of 1x1


@pytest.mark.parametrize("sides", [(7, 7), (3, 8), (4, 4), (5, 10)])
def test_what_fewer_products_cost_is_their_number(sides):
    n_points = len(_steps(*sides, 1)[2])
    assert WinogradConvolution(made(2, 2, 3, 3), made(2), 1).cost(sides) == 2.4 * n_points


def block(n_rows, n_cols, step, chosen=slice(None), size=(25, 25)):
    sides = (size[0] + step * (n_rows - 1), size[1] + step * (n_cols - 1))
    image = np.random.default_rng(0).normal(size=(3, *sides)).astype(np.float32)
    rows, cols = (step * axis.ravel()[chosen] for axis in np.indices((n_rows, n_cols)))
    return block_of(PatchView(image, rows, cols, size))


def encoder(n_filters):
    torch.manual_seed(0)
    made = PatchEncoder(PatchSpec(3, 25, 25), n_filters).eval()
    made.record_ranges(torch.randn(40, 3, 25, 25))
    return made


@pytest.mark.parametrize("precision, most", [("float32", 1e-5), ("int8", 1e-5)])
@pytest.mark.parametrize("step", [1, 2, 3, 5])
@torch.no_grad()
def test_every_arithmetic_gives_neighbours_what_it_gives_single_patches(precision, most, step, monkeypatch):
    monkeypatch.setattr(patches.Layers, "shares_third", lambda *_: True)
    some, prepared = block(5, 7, step), patches.PreparedPatchEncoder(encoder(8), precision)
    single = prepared(some.patches())
    assert (prepared(some) - single).abs().max() < most * single.std()


@torch.no_grad()
def test_patches_that_lack_some_of_a_grid_are_its_others(monkeypatch):
    monkeypatch.setattr(patches.Layers, "shares_third", lambda *_: True)
    prepared, chosen = patches.PreparedPatchEncoder(encoder(8), "float32"), np.arange(48) % 5 > 0
    all_of_them = prepared(block(6, 8, 3))
    assert_close(prepared(block(6, 8, 3, chosen)), all_of_them[torch.from_numpy(chosen)], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("n_filters", "step", "side", "shared"),
    [
        (64, 1, 16, 4),
        (64, 2, 16, 1),
        (64, 5, 16, 4),
        (64, 5, 3, 0),
        (64, 7, 16, 0),
        (16, 2, 16, 1),
        (16, 5, 8, 0),
    ],
)
@torch.no_grad()
def test_neighbours_share_where_that_is_less_work(n_filters, step, side, shared, monkeypatch):
    """Small networks have more around their products; patches far apart share nothing."""
    made, of_neighbours = [], patches.Layers.of_neighbours
    monkeypatch.setattr(patches.Layers, "of_neighbours", lambda *a: made.append(a) or of_neighbours(*a))
    patches.PreparedPatchEncoder(encoder(n_filters), "float32")(block(side, side, step))
    assert len(made) == shared


@torch.no_grad()
def test_only_rows_and_columns_on_which_patches_start_are_computed(monkeypatch):
    """At even steps all start on even ones: a quarter of the pooled maps."""
    prepared, sizes = patches.PreparedPatchEncoder(encoder(8), "float32"), []
    second = prepared.layers.second
    monkeypatch.setattr(prepared.layers, "second", lambda x: sizes.append(x.shape) or second(x))
    prepared(block(5, 6, 4))
    assert [tuple(size) for size in sizes] == [(1, 8, 9 + 2 * 4, 9 + 2 * 5)]


@torch.no_grad()
def test_an_outlier_stays_out_of_the_patches_beside_it():
    """Differences of bfloat16 would hold its rounding, so patches are by themselves there."""
    some = block(8, 8, 2)
    outlier = torch.zeros_like(some.image)
    outlier[0, 0, 2] = 1e4
    far = some.map(lambda image: image + outlier)
    for precision, most in (("float32", 1e-4), ("bfloat16", 1e-12), ("int8", 1e-6)):
        prepared = patches.PreparedPatchEncoder(encoder(64), precision)
        beside = (prepared(far) - prepared(some))[some.cols > 2]
        assert beside.abs().max() <= most * prepared(some).std()


def test_places_can_be_on_another_device():
    grid = PatchGrid((2, 3), (5, 5), (7, 7), torch.device("meta"))
    assert {part.device.type for part in (*grid.lines[0], *grid.corners[0], grid.places)} == {"meta"}
    assert neighbours._grid.cache_info().maxsize == 16
