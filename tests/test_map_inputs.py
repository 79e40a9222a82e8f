"""Sources as users have them: files by date and band, arrays of all kinds, scale and offset."""

import pickle
from datetime import date

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray
import zarr
from affine import Affine
from made_rasters import ORIGIN, coded, write
from rasterio.windows import Window
from test_predictor import CodeReader, read_map

from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, RasterArray, Scene, SeriesRaster, VectorRaster

CRS = "EPSG:32631"
HEIGHT, WIDTH = 6, 8
PLACE = Affine(10, 0, ORIGIN[0], 0, -10, ORIGIN[1])
DATES = ["2018-05-01", "2018-05-11", "2018-06-20"]


def values(n_dates=3, n_bands=2, dtype="uint16"):
    return coded(n_dates * n_bands, HEIGHT, WIDTH, dtype).reshape(n_dates, n_bands, HEIGHT, WIDTH)


def all_of(source, extra=()):
    scene = Scene({"s": source, **dict(extra)}, grid="s")
    return scene.read(Window(0, 0, WIDTH, HEIGHT))["s"]


def expected(series):
    """(n_dates, n_bands, height, width) as samples row by row."""
    return series.transpose(2, 3, 0, 1).reshape(HEIGHT * WIDTH, *series.shape[:2])


def write_by_date_and_band(place, series, dates=DATES):
    return [
        [write(place / f"S2A_{d.replace('-', '')}T0635_B0{b}.tif", series[i, b][None]) for b in range(2)]
        for i, d in enumerate(dates)
    ]


# ----- files


def test_a_series_is_one_file_for_each_date_and_band(tmp_path):
    series = values()
    paths = write_by_date_and_band(tmp_path, series)
    np.testing.assert_array_equal(all_of(SeriesRaster(paths)), expected(series))
    np.testing.assert_array_equal(all_of(SeriesRaster(paths, n_bands=2, dates=DATES)), expected(series))
    by_date = dict(zip(DATES, paths, strict=True))
    source = SeriesRaster(by_date)
    np.testing.assert_array_equal(all_of(source), expected(series))
    assert source.open("s").days.tolist() == [0, 10, 50]
    by_day = {date(2018, 5, 1): paths[0], date(2018, 5, 11): paths[1]}
    assert SeriesRaster(by_day).open("s").days.tolist() == [0, 10]


def test_dates_in_the_names_of_files_bring_them_into_order(tmp_path):
    series = values()
    paths = write_by_date_and_band(tmp_path, series)
    masks = [write(tmp_path / f"SCL_{d}.tif", np.full((1, HEIGHT, WIDTH), 4, "u1")) for d in DATES]
    shuffled = [paths[2], paths[0], paths[1]]
    source = SeriesRaster(shuffled, dates="names", mask=[masks[1], masks[2], masks[0]])
    np.testing.assert_array_equal(all_of(source), expected(series))
    assert source.open("s").days.tolist() == [0, 10, 50]
    assert [path[-8:-4] for path in source.open("s").mask.stack.paths] == ["5-01", "5-11", "6-20"]
    single = [path[1] for path in shuffled]
    np.testing.assert_array_equal(all_of(SeriesRaster(single, dates="names")), expected(series[:, 1:]))


def test_files_are_not_sorted_away_from_what_is_given_in_their_order(tmp_path):
    paths = write_by_date_and_band(tmp_path, values())
    stack = write(tmp_path / "scl.tif", np.full((3, HEIGHT, WIDTH), 4, "u1"))
    factors = [[1, 1], [10, 10], [100, 100]]
    for given, words in (
        ({"mask": stack}, "mask"),
        ({"scale": factors, "offset": factors}, "scale and offset"),
    ):
        with pytest.raises(
            ValueError, match=f"files in the order of their dates where {words} say something"
        ):
            SeriesRaster(paths[::-1], dates="names", **given).open("s")
        SeriesRaster(paths, dates="names", **given).open("s")
    SeriesRaster(paths[::-1], dates="names", scale=[[2, 3]]).open("s")


def test_masks_are_given_by_date_wherever_dates_are(tmp_path):
    paths, series = write_by_date_and_band(tmp_path, values()), values()
    whole = write(tmp_path / "whole.tif", series.reshape(6, HEIGHT, WIDTH))
    clear, cloudy = (write(tmp_path / f"{n}.tif", np.full((1, HEIGHT, WIDTH), n, "u1")) for n in (4, 9))
    masks = dict(zip(DATES, (clear, cloudy, clear), strict=True))
    filled = all_of(SeriesRaster(paths, dates=DATES, mask=[clear, cloudy, clear]))
    assert (filled[:, 1] != expected(series)[:, 1]).any()
    for source in (
        SeriesRaster(whole, dates=DATES, mask=masks),
        SeriesRaster(paths, dates=DATES, mask=masks),
        SeriesRaster(paths[::-1], dates="names", mask=masks),
    ):
        np.testing.assert_array_equal(all_of(source), filled)
    with pytest.raises(ValueError, match=r"mask of source 's' can be given by date only where the dates are"):
        SeriesRaster(whole, n_bands=2, mask=masks).open("s")


def test_dates_in_the_descriptions_of_bands_are_those_of_a_stack(tmp_path):
    path = described(tmp_path / "s.tif", values(), [f"{d}_{band}" for d in DATES for band in ("B02", "B03")])
    source = SeriesRaster(path, dates="names")
    assert source.open("s").days.tolist() == [0, 10, 50]
    np.testing.assert_array_equal(all_of(source), expected(values()))
    assert Scene({"s": source}, grid="s").dates("s") == DATES
    given = SeriesRaster(path, dates=pd.DatetimeIndex(DATES))
    assert Scene({"s": given}, grid="s").dates("s") == DATES


def described(path, series, names):
    with rasterio.open(write(path, series.reshape(-1, HEIGHT, WIDTH)), "r+") as file:
        file.descriptions = names
    return path


def test_the_order_of_described_bands_is_never_guessed(tmp_path):
    by_date = [f"{d}_{band}" for d in DATES for band in ("B02", "B03")]
    by_band = [f"{d}_{band}" for band in ("B02", "B03") for d in DATES]
    dates = described(tmp_path / "dates.tif", values(), by_date)
    bands = described(tmp_path / "bands.tif", values().swapaxes(0, 1), by_band)
    found = all_of(SeriesRaster(bands, dates="names", order="band"))
    np.testing.assert_array_equal(found, expected(values()))
    with pytest.raises(ValueError, match=r"all bands of each date one after .*\.\.\. Give order='band'"):
        all_of(SeriesRaster(bands, dates="names"))
    with pytest.raises(ValueError, match=r"all bands of each date one after .*\.\.\. Give order='date'"):
        all_of(SeriesRaster(dates, dates="names", order="band"))
    uneven = described(tmp_path / "uneven.tif", values(), [by_date[i] for i in (0, 1, 1, 2, 4, 5)])
    with pytest.raises(ValueError, match="Sort the bands, or give the dates"):
        all_of(SeriesRaster(uneven, dates="names"))


@pytest.mark.parametrize("n_dates", [2, 3])  # 2 x 2 bands could be either
def test_bands_that_name_their_dates_in_another_order_are_refused_without_being_asked(tmp_path, n_dates):
    days, series = DATES[:n_dates], values(n_dates)
    by_band = [f"{band}_{d}" for band in ("B02", "B03") for d in days]
    by_date = [f"{band}_{d}" for d in days for band in ("B02", "B03")]
    bands = described(tmp_path / "bands.tif", series.swapaxes(0, 1), by_band)
    dates = described(tmp_path / "dates.tif", series, by_date)
    np.testing.assert_array_equal(all_of(SeriesRaster(bands, n_bands=2, order="band")), expected(series))
    np.testing.assert_array_equal(all_of(SeriesRaster(dates, dates=days)), expected(series))
    for path, order in ((bands, "date"), (dates, "band")):
        for given in ({"n_bands": 2}, {"dates": days}):
            with pytest.raises(ValueError, match=r"all dates of each band; .*Give the other"):
                SeriesRaster(path, order=order, **given).open("s")
    with pytest.raises(ValueError, match="must have its bands in the order of its dates"):
        SeriesRaster(described(tmp_path / "back.tif", series, by_date[::-1]), n_bands=2).open("s")


def test_dates_in_descriptions_that_are_others_do_not_count(tmp_path):
    """Of processing, or of what is compared: of bands of files of their own, and beside other dates."""
    texts = ["difference to 20160101", "difference to 20170101"]
    paths = [described(tmp_path / f"x_2018010{i}.tif", values(1), texts) for i in (1, 2)]
    by_date = dict(zip(DATES[:2], paths, strict=True))
    for source in (SeriesRaster(paths), SeriesRaster(paths, dates="names"), SeriesRaster(by_date)):
        assert source.open("s").spec.shape == (2, 2)
    stack = described(tmp_path / "stack.tif", values(2), texts * 2)
    assert SeriesRaster(stack, dates=DATES[:2]).open("s").spec.shape == (2, 2)
    with pytest.raises(ValueError, match="Give the other order"):
        SeriesRaster(stack, n_bands=2).open("s")


def test_files_and_masks_in_another_order_than_their_names_say_are_refused(tmp_path):
    """Sorted by satellite, as names of Sentinel-2 are, beside masks that are sorted by date."""
    named = ["S2A_20180501", "S2A_20180620", "S2B_20180511"]
    paths = [write(tmp_path / f"{name}.tif", values()[i]) for i, name in enumerate(named)]
    codes = np.full((1, HEIGHT, WIDTH), 4, "u1")
    masks = [write(tmp_path / f"SCL_{d.replace('-', '')}.tif", codes) for d in DATES]
    for given in ({}, {"dates": DATES}, {"dates": pd.DatetimeIndex(DATES)}):
        with pytest.raises(ValueError, match=r"must have its files in the order of its dates.*dates='names'"):
            SeriesRaster(paths, **given).open("s")
    in_order = [paths[0], paths[2], paths[1]]
    for given in ({}, {"dates": DATES}):
        with pytest.raises(ValueError, match="must have its masks in the order of its dates"):
            SeriesRaster(in_order, mask=[masks[0], masks[2], masks[1]], **given).open("s")
        assert len(SeriesRaster(in_order, mask=masks, **given).open("s").mask.stack.paths) == 3
    assert SeriesRaster(paths, mask=masks, dates="names").open("s").paths[1] == str(paths[2])
    two = [write(tmp_path / f"2020010{5 - i}_of_2018050{i}.tif", values()[0]) for i in (1, 2)]
    assert SeriesRaster(two).open("s").days is None  # which of the dates in a name is meant is not known
    other = SeriesRaster(paths, dates=["2020-01-01", "2020-01-03", "2020-01-05"])  # of other days: as told
    assert other.open("s").days.tolist() == [0, 2, 4]


def test_bands_described_in_another_order_at_another_date_are_refused(tmp_path):
    paths = [
        described(tmp_path / f"{d}.tif", values()[i], names)
        for i, (d, names) in enumerate(zip(DATES, (["B4", "B8"], ["B4", "B8"], ["B8", "B4"]), strict=True))
    ]
    assert all_of(SeriesRaster(paths[:2], dates="names")).shape[1:] == (2, 2)
    with pytest.raises(ValueError, match=r"bands of all dates in one order; .*\('B8', 'B4'\)"):
        all_of(SeriesRaster(paths, dates="names"))
    whole = described(tmp_path / "s.tif", values(2), ["1_B4", "1_B8", "2_B8", "2_B4"])
    with pytest.raises(ValueError, match="bands of all dates in one order"):
        all_of(SeriesRaster(whole, n_bands=2))


@pytest.mark.parametrize("form", ["S2A_{}T063511_B{}.tif", "{}B{}.tif", "{}.B{}"])
@pytest.mark.parametrize("dates", ["names", ["2018-05-01", "2018-05-11"]])
def test_hours_and_satellites_in_names_hide_no_other_order(tmp_path, dates, form):
    names = [form.format(date, b) for date in ("20180501", "20180511") for b in (4, 8)]
    names[2:] = [name.replace("S2A", "S2B").replace("3511", "3509") for name in names[2:]]
    paths = [write(tmp_path / name, values()[0, :1]) for name in names]
    assert all_of(SeriesRaster([paths[:2], paths[2:]], dates=dates)).shape[1:] == (2, 2)
    with pytest.raises(ValueError, match="bands of all dates in one order"):
        all_of(SeriesRaster([paths[:2], paths[:1:-1]], dates=dates))


def test_masks_of_a_stack_go_by_the_dates_in_their_names(tmp_path):
    stack = described(tmp_path / "s.tif", values(), [f"{d}_{b}" for d in DATES for b in ("B4", "B8")])
    codes = [np.full((1, HEIGHT, WIDTH), 9 if i == 1 else 4, "u1") for i in range(3)]
    masks = [write(tmp_path / f"m{d}.tif", code) for d, code in zip(DATES, codes, strict=True)]
    whole = write(tmp_path / "m.tif", np.vstack(codes))
    arrays = [RasterArray(code, PLACE, CRS) for code in codes]  # without names, in order
    for mask in (masks[::-1], dict(zip(DATES, masks, strict=True)), [whole], arrays):
        found = all_of(SeriesRaster(stack, dates="names", mask=mask, fill=None))
        assert np.isnan(found).all(axis=(0, 2)).tolist() == [False, True, False]


def test_masks_of_images_of_one_day_are_in_their_order(tmp_path):
    names = ["20180501_a", "20180501_b", "20180502_a"]
    paths = [write(tmp_path / f"{name}.tif", values()[0]) for name in names]
    codes = [np.full((1, HEIGHT, WIDTH), 9 if i == 1 else 4, "u1") for i in range(3)]
    masks = [write(tmp_path / f"m{name}.tif", code) for name, code in zip(names, codes, strict=True)]
    source = SeriesRaster(paths, n_bands=2, dates="names", mask=[masks[2], *masks[:2]], fill=None)
    assert np.isnan(all_of(source)).all(axis=(0, 2)).tolist() == [False, True, False]


def test_masks_by_date_fill_gaps_as_a_mask_of_many_bands_does(tmp_path):
    series, codes = values(), np.full((3, HEIGHT, WIDTH), 4, "u1")
    codes[1, 2:4] = 9
    paths = write_by_date_and_band(tmp_path, series)
    masks = {d: write(tmp_path / f"m{d}.tif", codes[i][None]) for i, d in enumerate(DATES)}
    one = write(tmp_path / "mask.tif", codes)
    by_date = SeriesRaster(dict(zip(DATES, paths, strict=True)), mask=masks)
    at_once = SeriesRaster(paths, dates=DATES, mask=one)
    np.testing.assert_array_equal(all_of(by_date), all_of(at_once))
    filled = series.astype(float)
    filled[1, :, 2:4] = series[0, :, 2:4] + (series[2, :, 2:4].astype(float) - series[0, :, 2:4]) * 10 / 50
    np.testing.assert_allclose(all_of(by_date), expected(filled), rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: SeriesRaster([p[0], p[1][:1]]), r"equally many files for each date; got \[2, 1\]"),
        (lambda p: SeriesRaster([[p[0][0], p[1][0]]], dates="names"), "files of one date in each inner list"),
        (lambda p: SeriesRaster({DATES[0]: p[0]}, dates=[DATES[0]]), "dates .* must be left out"),
        (
            lambda p: SeriesRaster({DATES[0]: p[0]}, mask={}),
            "mask of source 's' must have a file for each date",
        ),
        (lambda p: SeriesRaster({DATES[1]: p[1], DATES[0]: p[0]}), "must be in ascending order"),
        (lambda p: SeriesRaster(p[0][0], dates="names"), "in the description of each band"),
        (lambda p: SeriesRaster(p, order="band"), "order of source 's' must be 'date'"),
        (lambda p: SeriesRaster([3]), "must name a file, or a list of files"),
        (lambda p: SeriesRaster(np.zeros((2, 3, 3))), "Write an array as RasterArray"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, change, words):
    with pytest.raises((ValueError, TypeError), match=words):
        all_of(change(write_by_date_and_band(tmp_path, values())))


def test_files_of_bands_are_not_taken_for_dates_or_for_each_other(tmp_path):
    files = write_by_date_and_band(tmp_path, values(2), DATES[:2])
    flat = [path for group in files for path in group]
    with pytest.raises(ValueError, match=r"one file for each date.*B00.tif', .*B01.tif'\] for 2018-05-01"):
        all_of(SeriesRaster(flat, dates="names"))
    with pytest.raises(ValueError, match="the bands of all dates in one order"):
        all_of(SeriesRaster([files[0], files[1][::-1]], dates="names"))
    with pytest.raises(TypeError, match=r"files in a list.*sorted\(...\)"):
        all_of(SeriesRaster(tmp_path.glob("*.tif"), dates="names"))


def test_names_without_dates_are_refused(tmp_path):
    path = write(tmp_path / "B02.tif", values()[0])
    with pytest.raises(ValueError, match=r"needs a date, such as .* in the name of each file; got .*B02.tif"):
        all_of(SeriesRaster([path, path], dates="names"))
    dated = write(tmp_path / "20180501.tif", values()[0])
    with pytest.raises(ValueError, match="one file for each date of the series, by the dates in their names"):
        other = write(tmp_path / "20180502.tif", values()[0, :1])
        all_of(SeriesRaster([dated], dates="names", mask=[other]))


def test_a_raster_that_is_placed_by_points_is_refused(tmp_path):
    points = [rasterio.control.GroundControlPoint(r, c, 10 * c, -10 * r) for r, c in ((0, 0), (0, 9), (9, 0))]
    profile = {"width": 9, "height": 9, "count": 1, "dtype": "uint8", "crs": CRS}
    with rasterio.open(tmp_path / "s.tif", "w", driver="GTiff", gcps=points, **profile) as file:
        file.write(np.ones((1, 9, 9), "u1"))
    with pytest.raises(ValueError, match=r"must have a grid of pixels; .* has 3 ground control points"):
        VectorRaster(tmp_path / "s.tif").open("s")


# ----- arrays


def arrays(place):
    """The same values in every kind of array."""
    series = values()
    stored = np.lib.format.open_memmap(place / "s.npy", "w+", series.dtype, series.shape)
    stored[:] = series
    stored.flush()
    kept = zarr.create_array(
        store=place / "s.zarr", shape=series.shape, dtype=series.dtype, chunks=(1, 1, 4, 4), overwrite=True
    )
    kept[:] = series
    x, y = ORIGIN[0] + 10 * np.arange(WIDTH) + 5, ORIGIN[1] - 10 * np.arange(HEIGHT) - 5
    from rasterio.crs import CRS as Reference

    coordinates = {
        "time": np.array(DATES, "datetime64[ns]"),
        "y": y,
        "x": x,
        "spatial_ref": ((), 0, {"crs_wkt": Reference.from_string(CRS).to_wkt()}),
    }
    labelled = xarray.DataArray(series, dims=("time", "band", "y", "x"), coords=coordinates)
    return {
        "numpy": RasterArray(series, PLACE, CRS),
        "flat": RasterArray(series.reshape(6, HEIGHT, WIDTH), PLACE, CRS),
        "memmap": RasterArray(np.load(place / "s.npy", mmap_mode="r"), PLACE, 32631),
        "zarr": RasterArray(kept, PLACE, CRS),
        "xarray": labelled,
        "xarray in another order": labelled.transpose("x", "time", "y", "band").transpose(
            "y", "x", "time", "band"
        ),
    }


def test_arrays_of_single_dates_bring_these_with_them(tmp_path):
    whole = arrays(tmp_path)["xarray"]
    each = [whole.isel(time=i) for i in range(3)]
    for parts in (each, [part.expand_dims("time") for part in each]):
        source = SeriesRaster(parts)
        assert source.open("s").days.tolist() == [0, 10, 50]
        np.testing.assert_array_equal(all_of(source), all_of(SeriesRaster(whole)))
        with pytest.raises(ValueError, match="dates of source 's' must be in ascending order"):
            SeriesRaster(parts[::-1]).open("s")
    by_band = [[part.isel(band=b) for b in range(2)] for part in each]
    assert SeriesRaster(by_band).open("s").days.tolist() == [0, 10, 50]
    published = np.datetime64("2020-01-01", "ns")
    per_pixel = xarray.full_like(whole[0, 0], 0).drop_vars(("time", "spatial_ref")).astype("M8[ns]")
    for time in (published, per_pixel):  # not of each date
        others = [part.assign_coords(time=time) for part in each]
        assert SeriesRaster(others).open("s").days is None
    unknown = [part.drop_vars("time") for part in each]
    assert SeriesRaster(unknown).open("s").days is None
    assert SeriesRaster(unknown, dates=DATES).open("s").days.tolist() == [0, 10, 50]


def test_masks_bring_the_dates_of_their_series(tmp_path):
    series = arrays(tmp_path)["xarray"]
    mask = xarray.full_like(series.isel(band=0), 4).astype("u1")
    assert SeriesRaster(series, mask=mask).open("s").days.tolist() == [0, 10, 50]
    later = mask.assign_coords(time=mask.time + np.timedelta64(365, "D"))
    for other in (mask.isel(time=[2, 1, 0]), later, [later.isel(time=i) for i in range(3)]):
        with pytest.raises(ValueError, match=r"must have the dates of the series, .*mask.sel.time="):
            SeriesRaster(series, mask=other).open("s")
    night = mask.assign_coords(time=mask.time - np.timedelta64(1, "h"))
    assert SeriesRaster(series, mask=night).open("s").mask is not None
    assert SeriesRaster(series, mask=later, dates=DATES).open("s").mask is not None  # as told
    assert SeriesRaster(series, mask=later.drop_vars("time")).open("s").mask is not None


@pytest.mark.parametrize("kind", ["numpy", "flat", "memmap", "zarr", "xarray", "xarray in another order"])
def test_arrays_stand_for_files(tmp_path, kind):
    array = arrays(tmp_path)[kind]
    file = SeriesRaster(write(tmp_path / "s.tif", values().reshape(6, HEIGHT, WIDTH)), n_bands=2)
    source = SeriesRaster(array, n_bands=2)
    np.testing.assert_array_equal(all_of(source), all_of(file))
    assert Scene({"f": file, "s": source}, grid="f").shape == (HEIGHT, WIDTH)  # the same place
    if kind == "xarray":
        assert source.open("s").days.tolist() == [0, 10, 50]
    flat = SeriesRaster(array, n_bands=2)
    scene = pickle.loads(pickle.dumps(Scene({"s": flat}, grid="s")))
    np.testing.assert_array_equal(
        scene.read(Window(2, 1, 3, 2))["s"], all_of(file).reshape(6, 8, 3, 2)[1:3, 2:5].reshape(6, 3, 2)
    )


@pytest.mark.parametrize("kind", ["numpy", "memmap", "zarr", "xarray"])
def test_maps_of_arrays_are_those_of_files_and_known_by_their_values(tmp_path, kind):
    array = arrays(tmp_path)[kind]
    file = SeriesRaster(write(tmp_path / "s.tif", values().reshape(6, HEIGHT, WIDTH)), n_bands=2)
    whole = ChunkedPredictor(CodeReader()).predict(Scene({"s": file}, grid="s"), tmp_path / "file.tif")
    scene = Scene({"s": SeriesRaster(array, n_bands=2)}, grid="s")
    path = ChunkedPredictor(CodeReader(), 3).predict(scene, tmp_path / "map.tif")
    np.testing.assert_array_equal(read_map(path), read_map(whole))
    before = scene.fingerprint()
    assert Scene({"s": SeriesRaster(arrays(tmp_path)[kind], n_bands=2)}, grid="s").fingerprint() == before
    changed = values()
    changed[2, 1, 5, 7] += 1
    other = RasterArray(changed, PLACE, CRS) if kind != "xarray" else array.copy(data=changed)
    assert Scene({"s": SeriesRaster(other, n_bands=2)}, grid="s").fingerprint() != before


def test_patches_and_vectors_come_from_arrays_too(tmp_path):
    image, terrain = coded(2, 5 * HEIGHT, 5 * WIDTH), coded(1, 3, 4)
    fine, coarse = Affine(2, 0, ORIGIN[0], 0, -2, ORIGIN[1]), Affine(20, 0, ORIGIN[0], 0, -20, ORIGIN[1])
    by_array = {
        "s": SeriesRaster(RasterArray(values(), PLACE, CRS), n_bands=2),
        "spot": PatchRaster(RasterArray(image, fine, CRS), size=5, bands=[2]),
        "dem": VectorRaster(RasterArray(terrain, coarse, CRS, nodata=3)),
    }
    by_file = {
        "s": SeriesRaster(write(tmp_path / "s.tif", values().reshape(6, HEIGHT, WIDTH)), n_bands=2),
        "spot": PatchRaster(write(tmp_path / "p.tif", image, pixel=2), size=5, bands=[2]),
        "dem": VectorRaster(write(tmp_path / "d.tif", terrain, pixel=20, nodata=3)),
    }
    one, other = (Scene(sources, grid="s") for sources in (by_array, by_file))
    pixels = one.pixels(Window(0, 0, WIDTH, HEIGHT))
    (X, valid), (Y, there) = one.extract(*pixels), other.extract(*pixels)
    np.testing.assert_array_equal(valid, there)
    assert not valid.all()
    for name in X.names:
        np.testing.assert_array_equal(np.asarray(X[name]), np.asarray(Y[name]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RasterArray(np.zeros(5), PLACE, CRS), r"array of shape \(n_bands, height, width\)"),
        (lambda: RasterArray([[1]], PLACE, CRS), r"array of shape .*; got list"),
        (lambda: RasterArray(np.zeros((1, 4, 4), complex), PLACE, CRS), "must hold real numbers"),
        (lambda: RasterArray(np.zeros((1, 4, 4)), Affine(10, 1, 0, 0, -10, 0)), "rotated or sheared"),
        (
            lambda: xarray.DataArray(np.zeros((1, 4, 4)), dims=("band", "row", "col")),
            "one dimension named 'y'",
        ),
        (lambda: xarray.DataArray(np.zeros((1, 4, 4)), dims=("band", "y", "x")), "at least two coordinates"),
        (
            lambda: xarray.DataArray(
                np.zeros((1, 3, 3)), dims=("band", "y", "x"), coords={"y": [3, 2, 1], "x": [1, 2, 4]}
            ),
            "equal steps along 'x'",
        ),
    ],
)
def test_arrays_must_have_a_shape_and_a_place(make, words):
    with pytest.raises(ValueError, match=words):
        Scene({"v": VectorRaster(make())}, grid="v")


# ----- scale and offset


def test_scale_and_offset_apply_to_values_and_not_to_nodata(tmp_path):
    series = values(dtype="int16")
    series[1, 0, 0, 0] = -9999
    path = write(tmp_path / "s.tif", series.reshape(6, HEIGHT, WIDTH), nodata=-9999)
    found = all_of(SeriesRaster(path, n_bands=2, scale=0.0001, offset=[[-0.1, 0.2], [0, 0], [1, 1]]))
    scaled = series * 1e-4 + np.array([[-0.1, 0.2], [0, 0], [1, 1]])[:, :, None, None]
    scaled[1, 0, 0, 0] = (scaled[0, 0, 0, 0] + scaled[2, 0, 0, 0]) / 2  # filled after scaling
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(scaled), rtol=1e-5)


def test_scale_and_offset_can_be_those_of_the_file(tmp_path):
    import rasterio

    image = coded(2, HEIGHT, WIDTH, "int16")
    path = write(tmp_path / "v.tif", image)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.5, 2), (1, -1)
    scaled = (image * np.array([0.5, 2])[:, None, None] + np.array([1, -1])[:, None, None]).reshape(2, -1).T
    np.testing.assert_allclose(all_of(VectorRaster(path, scale="file")), scaled)
    np.testing.assert_allclose(all_of(VectorRaster(path, scale=[0.5, 2], offset=[1, -1])), scaled)
    np.testing.assert_array_equal(all_of(VectorRaster(path)), image.reshape(2, -1).T)


def test_missing_values_within_a_patch_stay_0(tmp_path):
    image = coded(1, HEIGHT, WIDTH, "int16")
    image[0, 0, 0] = -1
    path = write(tmp_path / "p.tif", image, nodata=-1)
    found = np.asarray(all_of(PatchRaster(path, size=3, scale=2, offset=7)))
    assert found[WIDTH + 1, 0].tolist() == [[0, 11, 13], [25, 27, 29], [41, 43, 45]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": [1, 2, 3]}, r"scale of source 's' must be .* broadcast against \(2,\); got \[1, 2, 3\]"),
        ({"scale": "none"}, "scale of source 's' must be a number"),
        ({"offset": np.nan}, "offset of source 's' must be finite"),
    ],
)
def test_scale_and_offset_must_be_numbers(tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        all_of(VectorRaster(write(tmp_path / "v.tif", coded(2, 4, 4)), **options))


def test_two_series_have_their_own_calendars(tmp_path):
    codes = np.full((2, HEIGHT, WIDTH), 4, "u1")
    codes[0] = 9
    one = SeriesRaster(RasterArray(values(), PLACE, CRS), n_bands=2, dates=DATES)
    radar = RasterArray(values(2, 1), PLACE, CRS)
    other = SeriesRaster(radar, dates=["2017-01-01", "2017-01-07"], mask=RasterArray(codes, PLACE, CRS))
    X = Scene({"s2": one, "s1": other}, grid="s2").read(Window(0, 0, WIDTH, HEIGHT))
    np.testing.assert_array_equal(X["s2"], expected(values()))
    np.testing.assert_array_equal(X["s1"], expected(values(2, 1)[[1, 1]]))


def test_an_array_that_does_not_decode_is_an_error_that_names_its_source(tmp_path):
    kept = zarr.create_array(store=tmp_path / "s.zarr", shape=(1, 6, 8), dtype="u1", chunks=(1, 6, 8))
    kept[:] = coded(1, 6, 8, "uint8")
    scene = Scene({"v": VectorRaster(RasterArray(kept, PLACE, CRS))}, grid="v")
    (chunk,) = (path for path in (tmp_path / "s.zarr" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:5])
    with pytest.raises(OSError, match="the array of source 'v' cannot be read at rows and columns"):
        ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()


def test_masked_arrays_are_refused_since_their_mask_would_be_lost():
    masked = np.ma.masked_less(np.ones((1, HEIGHT, WIDTH)), 0)
    with pytest.raises(ValueError, match=r"source 'v' must be a plain one; .*RasterArray\(values.filled"):
        Scene({"v": VectorRaster(RasterArray(masked, PLACE))}, grid="v")


@pytest.mark.parametrize("transform", [None, tuple(PLACE)[:6], PLACE.to_gdal()])
def test_the_place_of_an_array_is_an_affine(transform):
    source = VectorRaster(RasterArray(np.ones((1, HEIGHT, WIDTH)), transform))
    with pytest.raises(TypeError, match=r"transform of source 'v' must be an affine.Affine.*from_gdal"):
        Scene({"v": source}, grid="v")


def test_one_array_of_a_dataset_is_chosen():
    dataset = pytest.importorskip("xarray").Dataset({"b4": (("y", "x"), np.ones((HEIGHT, WIDTH)))})
    for source in (VectorRaster(dataset), SeriesRaster(dataset, n_bands=1)):
        with pytest.raises(TypeError, match=r"must be one array; got a Dataset with \['b4'\]. Choose one"):
            Scene({"v": source}, grid="v")


def test_an_array_with_a_dimension_of_dates_says_how_many_there_are():
    array = RasterArray(np.zeros((3, 2, HEIGHT, WIDTH), np.uint8), PLACE)
    assert SeriesRaster(array).open("s").spec.shape == (3, 2)
    with pytest.raises(ValueError, match=r"6 bands / n_bands=3.*dates of the array"):
        SeriesRaster(array, n_bands=3).open("s")
