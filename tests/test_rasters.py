import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rasters import ORIGIN, centre_pixel, coded, folder, nested_grids, write

from m3fusion_sk.mapping import PatchRaster, SeriesRaster, VectorRaster
from m3fusion_sk.mapping.grid import Alignment, Grid

EXAMPLES = 500 if os.environ.get("M3FUSION_SOAK") else 50


def read_all(raster, target=None):
    """Values and validity of all pixels of the target grid, by default of the source's own."""
    reader = raster.open("x")
    alignment = Alignment.between(target or reader.grid, reader.grid)
    rows, cols = np.indices(alignment.target.shape)
    values, valid = reader.read(alignment, rows.ravel(), cols.ravel())
    assert values.dtype == reader.dtype
    assert values.shape == (rows.size, *reader.spec.shape)
    return np.asarray(values), valid


def target_of(case, like):
    target = case["target"]
    transform = type(like.transform)(
        target["pixel"], 0, target["origin"][0], 0, -target["pixel"], target["origin"][1]
    )
    return Grid(like.crs, transform, *target["shape"], "target.tif")


def write_source(path, values, case, **profile):
    return write(path, values, case["source"]["pixel"], case["source"]["origin"], **profile)


# ----- vectors


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=nested_grids())
def test_a_vector_is_the_pixel_at_the_target_centre(case):
    image = coded(2, *case["source"]["shape"])
    with folder() as place:
        raster = VectorRaster(write_source(place / "v.tif", image, case))
        values, valid = read_all(raster, target_of(case, raster.open("x").grid))
    for i, (row, col) in enumerate(np.ndindex(case["target"]["shape"])):
        centre = centre_pixel(case, row, col)
        assert valid[i] == (centre is not None)
        np.testing.assert_array_equal(values[i], image[:, *centre] if centre else [0, 0])


def test_files_on_one_grid_are_joined_as_features(tmp_path):
    image = coded(3, 4, 5, "uint8")
    paths = [write(tmp_path / "a.tif", image[:2]), write(tmp_path / "b.tif", image[2:].astype("int16"))]
    values, valid = read_all(VectorRaster(paths))
    assert values.dtype == np.int16
    assert valid.all()
    np.testing.assert_array_equal(values.T.reshape(3, 4, 5), image)


def test_bands_are_counted_from_one(tmp_path):
    image = coded(3, 4, 5)
    values, _ = read_all(VectorRaster(write(tmp_path / "a.tif", image), bands=[3, 1]))
    np.testing.assert_array_equal(values.T.reshape(2, 4, 5), image[[2, 0]])


def test_a_vector_with_one_missing_feature_is_invalid(tmp_path):
    image = coded(2, 1, 5, "float32")
    image[0, 0, 0], image[1, 0, 1], image[:, 0, 2] = np.nan, -9999, np.inf
    values, valid = read_all(VectorRaster(write(tmp_path / "a.tif", image, nodata=-9999)))
    assert valid.tolist() == [False, False, False, True, True]
    np.testing.assert_array_equal(values, [[0, 0], [0, 0], [0, 0], [4, 9], [5, 10]])


def test_files_may_have_nodata_values_of_their_own(tmp_path):
    first = write(tmp_path / "a.tif", np.array([[[1, 2, 3]]], "uint8"), nodata=1)
    second = write(tmp_path / "b.tif", np.array([[[1, 2, 3]]], "uint8"), nodata=3)
    third = write(tmp_path / "c.tif", np.array([[[1, 2, 3]]], "uint8"))
    assert read_all(VectorRaster([first, second, third]))[1].tolist() == [False, True, False]
    assert read_all(VectorRaster([first, second], nodata=2))[1].tolist() == [True, False, True]


def write_vrt(path, *bands):
    """A virtual raster of 1 x 3 pixels from (file, type, nodata value) of each band."""
    parts = [
        f"""<VRTRasterBand dataType="{kind}" band="{i}"><NoDataValue>{nodata}</NoDataValue>
        <SimpleSource><SourceFilename>{file}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>
        </VRTRasterBand>"""
        for i, (file, kind, nodata) in enumerate(bands, start=1)
    ]
    geo = f"<SRS>EPSG:32631</SRS><GeoTransform>{ORIGIN[0]}, 10, 0, {ORIGIN[1]}, 0, -10</GeoTransform>"
    path.write_text(f'<VRTDataset rasterXSize="3" rasterYSize="1">{geo}{"".join(parts)}</VRTDataset>')
    return path


def test_bands_of_a_file_may_have_nodata_values_of_their_own(tmp_path):
    small = write(tmp_path / "a.tif", np.array([[[1, 2, 3]]], "uint8"))
    real = write(tmp_path / "b.tif", np.array([[[1, 2, 0.1]]], "float32"))
    wide = write(tmp_path / "c.tif", np.array([[[1, 2, 3]]], "float64"))
    path = write_vrt(tmp_path / "v.vrt", (small, "Byte", 1), (real, "Float32", 0.1), (wide, "Float64", -9))
    values, valid = read_all(VectorRaster(path))
    assert valid.tolist() == [False, True, False]
    np.testing.assert_array_equal(values, [[0, 0, 0], [2, 2, 2], [0, 0, 0]])
    assert read_all(VectorRaster(path, bands=[2, 3]))[1].tolist() == [True, True, False]
    assert read_all(VectorRaster(path, bands=[3, 1]))[1].tolist() == [False, True, True]
    assert read_all(VectorRaster(path, nodata=2))[1].tolist() == [True, False, True]


def test_a_float32_nodata_value_is_recognised(tmp_path):
    image = np.array([[[0.1, 0.2]]], "float32")
    assert read_all(VectorRaster(write(tmp_path / "a.tif", image), nodata=0.1))[1].tolist() == [False, True]


# ----- patches


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=nested_grids(), size=st.tuples(st.integers(1, 15), st.integers(1, 15)))
def test_patches_are_cut_from_the_whole_reflected_image(case, size):
    image = coded(2, *case["source"]["shape"])
    with folder() as place:
        raster = PatchRaster(write_source(place / "p.tif", image, case), size=size)
        values, valid = read_all(raster, target_of(case, raster.open("x").grid))
    height, width = size
    padded = np.pad(image, [(0, 0), (height, height), (width, width)], mode="reflect")
    for i, (row, col) in enumerate(np.ndindex(case["target"]["shape"])):
        centre = centre_pixel(case, row, col)
        assert valid[i] == (centre is not None)
        if centre:
            top, left = centre[0] - height // 2 + height, centre[1] - width // 2 + width
            np.testing.assert_array_equal(
                values[i], padded[:, top : top + height, left : left + width], strict=True
            )


def test_patches_of_an_image_keep_its_type_and_are_not_cut_before_they_are_needed(tmp_path):
    path = write(tmp_path / "p.tif", coded(3, 50, 50, "uint16"), pixel=2)
    reader = PatchRaster(path, size=25, bands=(1, 3)).open("spot")
    target = Grid(reader.grid.crs, reader.grid.transform @ reader.grid.transform.scale(5), 10, 10, "t.tif")
    rows, cols = (i.ravel() for i in np.indices((10, 10)))
    values, _ = reader.read(Alignment.between(target, reader.grid), rows, cols)
    assert values.shape == (100, 2, 25, 25)
    assert values.dtype == np.uint16
    assert values.image.shape == (2, 70, 70)  # 10 pixels on each side


def test_missing_values_of_a_patch_read_as_zero(tmp_path):
    image = coded(2, 3, 3, "float32")
    image[0, 0, 0], image[:, 1, 1] = np.nan, -1
    values, valid = read_all(PatchRaster(write(tmp_path / "p.tif", image, nodata=-1), size=3))
    assert valid.tolist() == [True] * 4 + [False] + [True] * 4  # one band missing is not enough
    np.testing.assert_array_equal(values[0, :, 1, 1], [0, 10])
    np.testing.assert_array_equal(values[1, :, 2, 1], [0, 0])
    assert np.isfinite(values).all()


# ----- series


def series_values(n_dates=3, n_bands=2, height=4, width=5, dtype="uint16"):
    return coded(n_dates * n_bands, height, width, dtype).reshape(n_dates, n_bands, height, width)


def as_samples(series):
    """(n_dates, n_bands, height, width) as (n_samples, n_dates, n_bands)."""
    return series.reshape(*series.shape[:2], -1).transpose(2, 0, 1)


def test_a_stack_is_ordered_by_date_or_by_band(tmp_path):
    series = series_values()
    by_date = write(tmp_path / "d.tif", series.reshape(-1, 4, 5))
    by_band = write(tmp_path / "b.tif", series.transpose(1, 0, 2, 3).reshape(-1, 4, 5))
    for raster in (
        SeriesRaster(by_date, n_bands=2),
        SeriesRaster(by_date, dates=["2018-01-01", "2018-01-03", "2018-02-01"]),
        SeriesRaster(by_date, dates=["20180101", "20180103", "20180201"]),
        SeriesRaster(by_band, n_bands=2, order="band"),
    ):
        values, valid = read_all(raster)
        assert valid.all()
        np.testing.assert_array_equal(values, as_samples(series), strict=True)


def test_compact_dates_give_the_spacing(tmp_path):
    path = write(tmp_path / "s.tif", np.array([10, 0, 40], "uint8").reshape(3, 1, 1), nodata=0)
    values, _ = read_all(SeriesRaster(path, dates=["20180130", "20180201", "20180205"]))
    assert values[0, 1, 0] == 20


def test_a_series_may_be_one_file_per_date(tmp_path):
    series = series_values()
    paths = [write(tmp_path / f"{i}.tif", image) for i, image in enumerate(series)]
    values, _ = read_all(SeriesRaster(paths))
    np.testing.assert_array_equal(values, as_samples(series), strict=True)
    assert read_all(SeriesRaster(paths[:1], n_bands=2))[0].shape == (20, 1, 2)
    with pytest.raises(
        ValueError, match="order of source 'x' must be 'date' where each date has its own file"
    ):
        SeriesRaster(paths, order="band").open("x")


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=nested_grids())
def test_a_series_is_the_pixel_at_the_target_centre(case):
    series = series_values(3, 2, *case["source"]["shape"], dtype="int32")
    image = series.reshape(6, *case["source"]["shape"])
    with folder() as place:
        raster = SeriesRaster(write_source(place / "s.tif", image, case), n_bands=2)
        values, valid = read_all(raster, target_of(case, raster.open("x").grid))
    for i, (row, col) in enumerate(np.ndindex(case["target"]["shape"])):
        centre = centre_pixel(case, row, col)
        assert valid[i] == (centre is not None)
        np.testing.assert_array_equal(values[i], series[..., *centre] if centre else np.zeros((3, 2)))


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=nested_grids(max_ratio=4), seed=st.integers(0, 99))
def test_a_mask_on_its_own_grid_makes_dates_missing(case, seed):
    """Here the series has the target's grid and the mask a coarser or finer one, of another extent."""
    rng = np.random.default_rng(seed)
    height, width = case["target"]["shape"]
    series = rng.integers(1, 1000, (4, 2, height, width)).astype("uint16")
    codes = rng.integers(3, 10, (4, *case["source"]["shape"])).astype("uint8")
    dates = np.array(["2018-01-01", "2018-01-06", "2018-01-26", "2018-03-01"], "datetime64[D]")
    with folder() as place:
        path = write(
            place / "s.tif",
            series.reshape(8, height, width),
            case["target"]["pixel"],
            case["target"]["origin"],
        )
        mask = write_source(place / "m.tif", codes, case)
        filled, valid = read_all(SeriesRaster(path, dates=dates, mask=mask))
        left, valid_too = read_all(SeriesRaster(path, n_bands=2, mask=mask, fill=None))
    np.testing.assert_array_equal(valid, valid_too)
    days = dates.astype(float)
    for i, (row, col) in enumerate(np.ndindex(height, width)):
        centre = centre_pixel(case, row, col)
        clear = np.isin(codes[:, *centre], (4, 5, 6, 7)) if centre else np.zeros(4, bool)
        truth = series[:, :, row, col].astype("float32")
        assert valid[i] == clear.any()
        np.testing.assert_array_equal(left[i], np.where(clear[:, None], truth, np.nan), strict=True)
        for band in range(2):
            expected = np.interp(days, days[clear], truth[clear, band]) if clear.any() else np.zeros(4)
            np.testing.assert_allclose(filled[i, :, band], expected, rtol=1e-6)


def test_mask_and_series_may_both_be_coarser_than_the_target(tmp_path):
    path = write(tmp_path / "s.tif", series_values(2, 1, 2, 2).reshape(2, 2, 2), pixel=20)
    codes = np.full((2, 2, 2), 4, "uint8")
    codes[0, 0, 1] = 9
    mask = write(tmp_path / "m.tif", codes, pixel=20)
    target = Grid(SeriesRaster(path, n_bands=1).open("x").grid.crs, transform(10), 4, 4, "t.tif")
    values, _ = read_all(SeriesRaster(path, n_bands=1, mask=mask), target)
    first = values[:, 0, 0].reshape(4, 4)
    np.testing.assert_array_equal(first, [[1, 1, 6, 6], [1, 1, 6, 6], [3, 3, 4, 4], [3, 3, 4, 4]])


def transform(pixel):
    from affine import Affine

    return Affine(pixel, 0, ORIGIN[0], 0, -pixel, ORIGIN[1])


@pytest.mark.parametrize("order", ["date", "band"])
def test_nodata_values_are_missing_in_their_band_only(tmp_path, order):
    series = series_values(3, 2, 1, 3)
    series[1, 0, 0, 0] = 0  # one value
    series[:, 1, 0, 1] = 0  # a band at all dates
    stack = series if order == "date" else series.transpose(1, 0, 2, 3)
    path = write(tmp_path / "s.tif", stack.reshape(6, 1, 3), nodata=0)
    values, valid = read_all(SeriesRaster(path, n_bands=2, order=order))
    assert values.dtype == np.float32
    assert valid.tolist() == [True, False, True]
    expected = as_samples(series).astype("float32")
    expected[0, 1, 0] = (expected[0, 0, 0] + expected[0, 2, 0]) / 2
    np.testing.assert_array_equal(values[[0, 2]], expected[[0, 2]])
    assert (values[1] == 0).all()
    gaps, valid = read_all(SeriesRaster(path, n_bands=2, order=order, fill=None))
    assert np.isnan(gaps[0]).sum() == 1
    assert np.isnan(gaps[1]).all()
    assert valid.tolist() == [True, False, True]


def test_nodata_and_mask_add_up(tmp_path):
    series = np.array([[10, 20, 0, 40]], "int16").reshape(4, 1, 1)
    path = write(tmp_path / "s.tif", series)
    mask = write(tmp_path / "m.tif", np.array([4, 9, 4, 4], "uint8").reshape(4, 1, 1))
    for valid in ([4], {4}, frozenset({4, 5}), range(4, 6), np.array([4]), 4):
        values, _ = read_all(SeriesRaster(path, n_bands=1, mask=mask, nodata=0, valid=valid))
        np.testing.assert_allclose(values.ravel(), [10, 20, 30, 40])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_and_huge_nodata_of_a_float_series_are_missing(tmp_path, dtype):
    huge = np.finfo(dtype).min
    series = np.array([1, np.nan, 3, huge, np.inf, 9], dtype).reshape(6, 1, 1)
    path = write(tmp_path / "s.tif", series, nodata=huge)
    values, _ = read_all(SeriesRaster(path, n_bands=1))
    np.testing.assert_allclose(values.ravel(), np.array([1, 2, 3, 5, 7, 9], "float32"), strict=True)
    left, _ = read_all(SeriesRaster(path, n_bands=1, fill=None))
    assert np.isnan(left.ravel()).tolist() == [False, True, False, True, True, False]


def test_the_type_does_not_depend_on_what_is_read(tmp_path):
    path = write(tmp_path / "s.tif", series_values().reshape(-1, 4, 5), nodata=0)
    assert read_all(SeriesRaster(path, n_bands=2))[0].dtype == np.float32
    plain = write(tmp_path / "p.tif", series_values().reshape(-1, 4, 5))
    assert read_all(SeriesRaster(plain, n_bands=2))[0].dtype == np.uint16
    assert read_all(SeriesRaster(plain, n_bands=2, nodata=65_000))[0].dtype == np.float32


# ----- bad input


@pytest.fixture
def stack(tmp_path):
    return write(tmp_path / "stack.tif", series_values().reshape(-1, 4, 5))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, r"'x' must say how the 6 bands of .*stack.tif.*Give n_bands"),
        ({"n_bands": 4}, r"'x' must have n_bands=4.*stack.tif has 6 bands"),
        ({"n_bands": 0}, r"n_bands of source 'x' must be a positive integer; got 0"),
        ({"n_bands": "2"}, r"n_bands of source 'x' must be a positive integer; got '2'"),
        (
            {"n_bands": 2, "dates": ["2018-01-01"]},
            r"got 3 \(6 bands / n_bands=2\), 1 \(dates\) for .*stack.tif",
        ),
        ({"dates": ["2018-01-01"] * 4}, r"divides its 6 bands; got 4 \(dates\)"),
        ({"dates": ["2018-02-01", "2018-01-01"]}, "dates of source 'x' must be in ascending order"),
        ({"dates": ["spring", "summer", "autumn"]}, "dates of source 'x' must be such as .*'spring'"),
        ({"dates": [None, "2018-01-01"]}, "dates of source 'x' must be .* none missing"),
        ({"dates": []}, r"divides its 6 bands; got 0 \(dates\)"),
        ({"n_bands": True}, r"n_bands of source 'x' must be a positive integer; got True"),
        ({"n_bands": 2, "order": "bands"}, "order of source 'x' must be one of 'date', 'band'; got 'bands'"),
        ({"n_bands": 2, "fill": "cubic"}, "fill of source 'x' must be one of 'linear', None; got 'cubic'"),
    ],
)
def test_series_that_do_not_fit_together_are_refused(stack, parameters, words):
    with pytest.raises(ValueError, match=words):
        SeriesRaster(stack, **parameters).open("x")


def test_a_mask_must_have_a_band_for_each_date(stack, tmp_path):
    mask = write(tmp_path / "mask.tif", coded(2, 4, 5, "uint8"))
    with pytest.raises(ValueError, match=r"3 \(6 bands / n_bands=2\), 2 \(bands of the mask .*mask.tif\)"):
        SeriesRaster(stack, n_bands=2, mask=mask).open("x")


def test_a_mask_must_be_aligned_to_the_series_and_have_valid_codes(stack, tmp_path):
    mask = write(tmp_path / "mask.tif", coded(3, 4, 5, "uint8"), origin=(ORIGIN[0] + 5, ORIGIN[1]))
    with pytest.raises(ValueError, match=r"mask.tif must share pixel edges with .*stack.tif.*0.500"):
        SeriesRaster(stack, n_bands=2, mask=mask).open("x")
    mask = write(tmp_path / "mask.tif", coded(3, 4, 5, "uint8"))
    for valid in ([], "clear", {"4"}, None):
        with pytest.raises(ValueError, match=r"valid of source 'x' must list the codes of .*mask.tif"):
            SeriesRaster(stack, n_bands=2, mask=mask, valid=valid).open("x")


def test_files_of_a_series_must_have_the_same_bands_and_grid(stack, tmp_path):
    other = write(tmp_path / "other.tif", coded(5, 4, 5, "uint16"))
    with pytest.raises(ValueError, match=r"must have 6 bands in the file of each date; .*other.tif has 5"):
        SeriesRaster([stack, other]).open("x")
    for i, (shape, x) in enumerate([((4, 6), ORIGIN[0]), ((4, 5), ORIGIN[0] + 10)]):
        path = write(tmp_path / f"{i}.tif", coded(6, *shape, "uint16"), origin=(x, ORIGIN[1]))
        with pytest.raises(ValueError, match=rf"'x' must have all its files on one grid; .*{i}.tif"):
            SeriesRaster([stack, path]).open("x")


@pytest.mark.parametrize(("crs", "advice"), [("EPSG:32632", "rio warp"), (None, "assign it to .*other.tif")])
def test_files_in_different_reference_systems_are_refused_with_both(stack, tmp_path, crs, advice):
    other = write(tmp_path / "other.tif", coded(6, 4, 5, "uint16"), crs=crs)
    words = rf"other.tif must have the .* of .*stack.tif, EPSG:32631; it has {crs or 'none'}.*{advice}"
    with pytest.raises(ValueError, match=words):
        VectorRaster([stack, other]).open("x")


@pytest.mark.parametrize("size", [0, -3, 2.5, (3,), (3, 0), "25", None, True])
def test_the_size_of_patches_must_be_positive(stack, size):
    with pytest.raises(ValueError, match="size of source 'x' must be a positive number of pixels"):
        PatchRaster(stack, size=size).open("x")


@pytest.mark.parametrize("bands", [[0], [7], [], ["1"], [1.0]])
@pytest.mark.parametrize("kind", [PatchRaster, VectorRaster])
def test_bands_must_be_in_the_file(stack, kind, bands):
    with pytest.raises(ValueError, match="bands of source 'x' must be numbers from 1 to 6"):
        kind(stack, bands=bands).open("x")


def test_files_that_are_no_rasters_are_named(tmp_path):
    (tmp_path / "text.tif").write_text("no raster")
    for name in ("missing.tif", "text.tif"):
        with pytest.raises(OSError, match=rf"Source 'x' must be a raster that can be opened; .*{name}"):
            VectorRaster(tmp_path / name).open("x")
    for paths in ([], None, 3, [3]):
        with pytest.raises(TypeError, match="Source 'x' must name a file, or a list of files"):
            VectorRaster(paths).open("x")


def test_complex_rasters_are_refused(tmp_path):
    path = write(tmp_path / "c.tif", np.ones((1, 2, 2), "complex64"))
    with pytest.raises(ValueError, match=r"'x' must hold real numbers; .*c.tif holds complex64"):
        VectorRaster(path).open("x")


def test_a_file_that_is_cut_off_is_named_when_it_is_read(tmp_path):
    path = write(tmp_path / "cut.tif", coded(6, 64, 64), tiled=True, blockxsize=16, blockysize=16)
    reader = VectorRaster(path).open("x")
    path.write_bytes(path.read_bytes()[:20_000])
    alignment = Alignment.between(reader.grid, reader.grid)
    with pytest.raises(OSError, match=r"cut.tif cannot be read at Window"):
        reader.read(alignment, np.array([0, 63]), np.array([0, 63]))


@pytest.mark.parametrize(
    "later",
    [
        coded(6, 10, 64),  # windows beyond it would be clipped
        coded(6, 1, 1),  # and one value be taken for many
        coded(6, 80, 80),
        coded(5, 64, 64),
    ],
    ids=lambda image: str(image.shape),
)
def test_a_file_that_has_changed_since_is_named_when_it_is_read(tmp_path, later):
    path = write(tmp_path / "changed.tif", coded(6, 64, 64))
    reader = VectorRaster(path).open("x")
    alignment = Alignment.between(reader.grid, reader.grid)
    write(path, later)
    for rows in (np.array([0, 1]), np.array([60, 63])):
        with pytest.raises(
            OSError, match=r"changed.tif cannot be read at Window.* changed since the scene was"
        ):
            reader.read(alignment, rows, rows)
    path.unlink()
    with pytest.raises(OSError, match=r"changed.tif cannot be read at Window"):
        reader.read(alignment, rows, rows)


@pytest.mark.parametrize("kind", [SeriesRaster, PatchRaster, VectorRaster])
def test_what_is_not_read_is_said(kind):
    assert "internal mask is not read" in " ".join(kind.__doc__.split())
