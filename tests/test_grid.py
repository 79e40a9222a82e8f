import os

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rasters import containing, nested_grids
from rasterio.crs import CRS

from m3fusion_sk.mapping.grid import Alignment, Grid, as_sides, called_array

EXAMPLES = 500 if os.environ.get("M3FUSION_SOAK") else 50


def grid(pixel=10, origin=(500_000, 5_630_000), shape=(20, 30), crs="EPSG:32631", path="grid.tif"):
    transform = Affine(pixel, 0, origin[0], 0, -pixel, origin[1])
    return Grid(CRS.from_user_input(crs) if crs else None, transform, *shape, path)


def from_case(case):
    return grid(case["pixel"], case["origin"], case["shape"])


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=nested_grids())
def test_centres_are_the_pixels_that_hold_the_target_centres(case):
    target, source = case["target"], case["source"]
    alignment = Alignment.between(from_case(target), from_case(source))
    rows, cols = np.arange(-3, 15), np.arange(-3, 15)
    x = [(side["origin"][0], side["pixel"]) for side in (target, source)]
    y = [(-side["origin"][1], side["pixel"]) for side in (target, source)]
    assert alignment.centre_rows(rows).tolist() == [containing(int(i), *y) for i in rows]
    assert alignment.centre_cols(cols).tolist() == [containing(int(i), *x) for i in cols]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    pixel=st.sampled_from([0.1, 0.3, 1 / 3, 8.983152841195215e-05]),
    ratio=st.integers(1, 50),
    offset=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    finer=st.booleans(),
)
def test_decimal_pixel_sizes_align_as_integers_do(pixel, ratio, offset, finer):
    fine = grid(pixel, (321_456.7 + offset[0] * pixel, 7_654_321.9 - offset[1] * pixel), (3000, 3000))
    coarse = grid(pixel * ratio, (321_456.7, 7_654_321.9), (40, 40))
    if finer:
        alignment = Alignment.between(coarse, fine)
        assert alignment.centre_cols(7) == 7 * ratio + ratio // 2 - offset[0]
        assert alignment.centre_rows([0, 9]).tolist() == [i * ratio + ratio // 2 - offset[1] for i in (0, 9)]
    else:
        alignment = Alignment.between(fine, coarse)
        assert alignment.centre_cols(100) == (100 + offset[0]) // ratio
        assert alignment.centre_rows([0, 100]).tolist() == [(i + offset[1]) // ratio for i in (0, 100)]


def test_the_centre_of_an_even_ratio_is_the_pixel_after_the_middle():
    alignment = Alignment.between(grid(8), grid(2))
    assert (alignment.finer, alignment.coarser) == (4, 1)
    assert alignment.centre_rows([0, 1]).tolist() == [2, 6]


def test_covered_rows_and_columns_are_those_whose_centre_is_inside():
    target = grid(10, (0, 0), (4, 5))
    source = grid(30, (-20, 20), (2, 2))  # x from -20 to 40, y from 20 to -40
    alignment = Alignment.between(target, source)
    assert alignment.covered_rows().tolist() == [True, True, True, True]
    assert alignment.covered_cols().tolist() == [True, True, True, True, False]


def test_grids_without_a_reference_system_align():
    assert Alignment.between(grid(crs=None), grid(5, crs=None)).finer == 2


def test_grids_that_both_run_upwards_align():
    def upwards(pixel, path):
        return Grid(None, Affine(pixel, 0, 0, 0, pixel, 0), 60 // pixel, 60 // pixel, path)

    assert Alignment.between(upwards(6, "a.tif"), upwards(2, "b.tif")).centre_rows(1) == 4


@pytest.mark.parametrize("miss", [0.009, -0.009])
def test_edges_may_miss_by_less_than_a_hundredth_pixel(miss):
    alignment = Alignment.between(grid(10), grid(2, (500_000 + 2 * miss, 5_630_000)))
    assert alignment.centre_cols(0) == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (grid(2, (500_001, 5_630_000), path="b.tif"), r"offset by 0.500 columns to the \w+ and 0.000 rows,"),
        (
            grid(2, (500_000, 5_630_000.5), path="b.tif"),
            r"0.000 columns and 0.250 rows to the north, in pixels",
        ),
        (
            grid(2, (500_000.03, 5_629_999.3), path="b.tif"),
            r"0.015 columns to the east and 0.350 rows to the sou",
        ),
        (
            grid(2, (499_999.3, 5_630_000), path="b.tif"),
            r"0.350 columns to the west and 0.000 rows, in pixels",
        ),
        (grid(30, (500_003, 5_630_000), path="b.tif"), r"0.300 columns to the east .* in pixels of 10 m \("),
        (
            grid(30, (499_997, 5_630_004), path="b.tif"),
            r"0.300 columns to the west and 0.400 rows to the north",
        ),
        (
            grid(2, (500_000.7, 5_630_000), path="b.tif"),
            r"correct that instead, with rio edit-info --transform",
        ),
    ],
)
def test_edges_that_miss_are_an_error_with_both_files_and_the_offset(source, words):
    with pytest.raises(ValueError, match=rf"b.tif must share pixel edges with grid.tif.*{words}"):
        Alignment.between(grid(10), source)


@pytest.mark.parametrize(
    ("crs", "words"),
    [
        ("EPSG:4326", "2 degrees"),
        ("EPSG:2263", "2 US survey foot"),
        (None, "2"),
        ('LOCAL_CS["here",UNIT["metre",1]]', "2 m"),
    ],
)
def test_the_size_of_pixels_has_the_unit_of_the_coordinates(crs, words):
    with pytest.raises(ValueError, match=rf"0.350 columns to the east and .* in pixels of {words} \(allowed"):
        Alignment.between(grid(10, (0, 0), crs=crs), grid(2, (0.7, 0), crs=crs))


def test_grids_that_run_the_other_way_are_offset_by_their_coordinates():
    target, source = (Grid(None, Affine(-p, 0, x, 0, p, 0), 60 // p, 60 // p) for p, x in ((6, 0), (2, 0.7)))
    with pytest.raises(ValueError, match=r"0.350 columns to the east and 0.000 rows,"):
        Alignment.between(target, source)


def test_edges_that_drift_apart_are_an_error():
    target = grid(10, shape=(100, 100))
    assert Alignment.between(target, grid(2 * (1 + 1e-5), shape=(500, 500))).finer == 5  # 0.005 pixels
    with pytest.raises(ValueError, match=r"0\.000 columns and 0\.000 rows where they begin.* 0\.050 .* end"):
        Alignment.between(target, grid(2 * (1 + 1e-4), shape=(500, 500)))


@pytest.mark.parametrize("pixel", [4, 15, 2.005, 7.5])
def test_a_ratio_that_is_no_integer_is_an_error_with_both_files(pixel):
    with pytest.raises(ValueError, match=r"b.tif must have pixels that nest in those of grid.tif.*ratio"):
        Alignment.between(grid(10, shape=(200, 200)), grid(pixel, path="b.tif", shape=(200, 200)))


def test_a_flipped_grid_is_an_error():
    flipped = Grid(None, Affine(10, 0, 0, 0, 10, 0), 5, 5, "b.tif")
    with pytest.raises(ValueError, match=r"b.tif must .*same direction as a.tif; .*10 x 10 .*10 x -10. Flip"):
        Alignment.between(Grid(None, Affine(10, 0, 0, 0, -10, 50), 5, 5, "a.tif"), flipped)


def test_another_reference_system_is_an_error_with_both_files():
    words = r"reference system of grid.tif, EPSG:32631; it has EPSG:32632.*rio warp --dst-crs EPSG:32631"
    with pytest.raises(ValueError, match=words):
        Alignment.between(grid(), grid(crs="EPSG:32632", path="b.tif"))


def test_a_raster_without_a_reference_system_should_be_given_one():
    for target, source, has in [
        (grid(), grid(crs=None, path="b.tif"), "EPSG:32631; it has none"),
        (grid(crs=None, path="b.tif"), grid(path="grid.tif"), "none; it has EPSG:32631"),
    ]:
        with pytest.raises(ValueError, match=has) as caught:
            Alignment.between(target, source)
        assert "assign it to b.tif, for instance with rio edit-info --crs EPSG:32631" in str(caught.value)
        assert "warp" not in str(caught.value)
    with pytest.raises(
        ValueError, match=r"assign it to the array of source 's', .* RasterArray\(values, trans"
    ):
        Alignment.between(grid(), grid(crs=None, path=called_array("s")))


@pytest.mark.parametrize("origin", [(500_300, 5_630_000), (500_000, 5_630_200), (400_000, 5_630_000)])
def test_grids_that_do_not_overlap_are_an_error_with_both_files(origin):
    with pytest.raises(ValueError, match=r"b.tif must overlap grid.tif"):
        Alignment.between(grid(), grid(origin=origin, path="b.tif"))


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (Affine(10, 0, 0, 0, -10, 0) @ Affine.rotation(3), "b.tif.*rotated or sheared"),
        (Affine(10, 2, 0, 0, -10, 0), "b.tif.*rotated or sheared"),
        (Affine(10, 0, 0, 0, -12, 0), "b.tif must have square pixels; they are 10.* wide and 12.* high"),
    ],
)
def test_rotated_and_non_square_pixels_are_an_error(transform, words):
    with pytest.raises(ValueError, match=words):
        Grid(None, transform, 5, 5, "b.tif")


@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 30)), size=st.tuples(*[st.integers(1, 40)] * 2))
def test_windows_cover_the_grid_once(shape, size):
    seen = np.zeros(shape, int)
    for window in grid(shape=shape).windows(*size):
        assert window.height <= size[0]
        assert window.width <= size[1]
        seen[window.toslices()] += 1
    assert (seen == 1).all()


def test_sides_are_one_number_or_two():
    assert as_sides(7, "size") == as_sides([np.int8(7), 7], "size") == (7, 7)
    for wrong in (0, True, 2.5, (3,), "25", None):
        with pytest.raises(
            ValueError, match=r"size must be a positive number of pixels, or \(height, width\)"
        ):
            as_sides(wrong, "size")


def test_bounds_are_smallest_and_largest_coordinates():
    assert grid().bounds == (500_000, 5_629_800, 500_300, 5_630_000)
