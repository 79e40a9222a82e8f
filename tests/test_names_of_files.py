"""What names of files and bands tell of dates: which date is meant, and that all of them are looked at."""

import numpy as np
import pytest
import rasterio
import xarray
from affine import Affine
from test_scene_surprises import AXES, CRS, DATES, SIDE, first, image, products, scene_of, write

from m3fusion_sk.mapping import RasterArray, SeriesRaster, VectorRaster
from m3fusion_sk.mapping.namedates import dates_of_names

ISO = [f"{date[:4]}-{date[4:6]}-{date[6:]}" for date in DATES]


def described(path, values, texts):
    write(path, values)
    with rasterio.open(path, "r+") as file:
        for band, text in enumerate(texts, start=1):
            if text:
                file.set_band_description(band, text)
    return path


@pytest.mark.parametrize("form", ["v20200902_{d}{}", "20181231_{d}_of{}", "x_{d}{}", "{d}_{made}{}"])
def test_the_first_date_that_differs_is_meant(tmp_path, form):
    paths = products(tmp_path, form, [1, 2, 3, 4], made=DATES[::-1])
    assert first(SeriesRaster(paths[::-1], dates="names")) == [1, 2, 3, 4]
    masks = products(tmp_path, "SCL_" + form, [4, 4, 9, 4], made=DATES[::-1], dtype="uint8")
    masked = SeriesRaster(paths, mask=masks[::-1], dates="names", fill=None)
    assert np.isnan(first(masked)).tolist() == [False, False, True, False]


def test_bands_of_a_date_are_found_by_it(tmp_path):
    pairs = [[tmp_path / f"v20200902_{d}_{b}.tif" for b in ("B4", "B8")] for d in DATES]
    for i, pair in enumerate(pairs):
        for k, path in enumerate(pair):
            write(path, image(10 * k + i))
    assert first(SeriesRaster(pairs[::-1], dates="names")) == [0, 10, 1, 11, 2, 12, 3, 13]
    texts = [f"20200902_{d}_{b}" for d in DATES for b in ("B4", "B8")]
    stack = described(tmp_path / "stack.tif", image(1, 8), texts)
    assert scene_of(SeriesRaster(stack, dates="names")).specs["s"].dates == tuple(ISO)


def test_names_with_different_numbers_of_dates_tell_no_order(tmp_path):
    names = ["20180105_x", "20180205_x", "v20200902_20180305_x", "20180405_x"]
    paths = [write(tmp_path / f"{name}.tif", image(i)) for i, name in enumerate(names)]
    assert first(SeriesRaster(paths)) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="got more dates in some than in others"):
        scene_of(SeriesRaster(paths, dates="names"))


@pytest.mark.parametrize("given", ["list", "dates", "dict"])
def test_files_of_all_bands_are_looked_at(tmp_path, given):
    b4, b8 = ([write(tmp_path / f"{b}_{d}.tif", image(1)) for d in DATES] for b in ("B4", "B8"))
    pairs = [list(pair) for pair in zip(b4, b8[::-1], strict=True)]
    source = {
        "list": lambda: SeriesRaster(pairs),
        "dates": lambda: SeriesRaster(pairs, dates=ISO),
        "dict": lambda: SeriesRaster(dict(zip(ISO, pairs, strict=True))),
    }[given]()
    with pytest.raises(ValueError, match="must have its files in the order of its dates"):
        scene_of(source)


def test_bands_of_a_mask_are_looked_at(tmp_path):
    paths = products(tmp_path, "x_{d}{}", [0, 1, 2, 3])
    mask = described(tmp_path / "m.tif", image(4, 4, "uint8"), [DATES[i] for i in (0, 2, 1, 3)])
    for given in (ISO, "names", xarray.DataArray(np.array(ISO, "datetime64[ns]"), dims="time")):
        with pytest.raises(ValueError, match="must have its bands of the mask in the order of its dates"):
            scene_of(SeriesRaster(paths, mask=mask, dates=given))


def array(value, date):
    coords = {**AXES, "time": np.datetime64(date, "ns")}
    return xarray.DataArray(image(value), coords, ("band", "y", "x"), attrs={"crs": CRS})


def test_times_of_arrays_must_be_those_of_their_dates():
    arrays = {date: array(i, date) for i, date in enumerate(ISO)}
    assert first(SeriesRaster(arrays)) == [0, 1, 2, 3]
    swapped = {**arrays, ISO[1]: arrays[ISO[2]], ISO[2]: arrays[ISO[1]]}
    with pytest.raises(ValueError, match="that of 2018-02-05 is of 2018-03-05"):
        scene_of(SeriesRaster(swapped))
    times = np.array([f"2019{date[4:]}" for date in ISO], "datetime64[ns]")
    usable = np.ones((4, SIDE, SIDE), bool)
    mask = xarray.DataArray(usable, {**AXES, "time": times}, ("time", "y", "x"), attrs={"crs": CRS})
    for given in (arrays, {**arrays, ISO[1]: None}):
        with pytest.raises(ValueError, match="mask of source 's' must have the dates of the series"):
            scene_of(SeriesRaster(given, mask=mask, valid=(True,)))
    padded = mask.assign_coords(time=np.array(ISO, "datetime64[ns]")).isel(time=[0, 1, 3])
    padded = padded.reindex(time=np.array(ISO, "datetime64[ns]"))  # 1 and NaN, no booleans any more
    masked = SeriesRaster(arrays, mask=padded, valid=(True,), fill=None)
    assert np.isnan(first(masked)).tolist() == [False, False, True, False]


@pytest.mark.parametrize("files", [[[]], {"2018-01-01": []}, {"2018-01-01": [], "2018-02-01": None}])
def test_a_date_with_an_empty_list_is_refused(files):
    with pytest.raises(ValueError, match="must have equally many files for each date"):
        scene_of(SeriesRaster(files))


def test_other_codes_for_masks_of_booleans_are_refused():
    values, place = image(1, 2), Affine(10, 0, 0, 0, -10, 0)
    mask = RasterArray(np.ones((2, SIDE, SIDE), bool), place, CRS)
    with pytest.raises(ValueError, match=r"valid of source 's' must be \(True,\)"):
        scene_of(SeriesRaster(RasterArray(values, place, CRS), n_bands=1, mask=mask, valid=(1.5, 0)))


@pytest.mark.parametrize(
    ("names", "dates"),
    [
        (["a_2018_01_05.tif", "a_2018.02.05.tif"], ["2018-01-05", "2018-02-05"]),
        (["a.tif", "b_20180105.tif"], None),
        (["20180105"], ["2018-01-05"]),
        (["20180105", "20180105"], ["2018-01-05", "2018-01-05"]),
        ([], None),
    ],
)
def test_dates_are_found_in_names(names, dates):
    assert dates_of_names(names) == dates


# ----- names of bands


def test_names_of_files_count_where_descriptions_do_not_tell(tmp_path):
    paths = [described(tmp_path / f"{name}.tif", image(1), ["b1"]) for name in ("elevation", "slope")]
    assert scene_of(VectorRaster(paths)).specs["s"].bands == ("elevation", "slope")
    two = [write(tmp_path / f"{name}.tif", image(1)) for name in ("S1A_20180101", "S1B_20180107")]
    assert scene_of(VectorRaster(two)).specs["s"].bands is None  # before and after, by different satellites


def test_dates_without_descriptions_hide_no_other_order(tmp_path):
    rgb, bgr, none = (
        described(tmp_path / f"{i}.tif", image(1, 3), texts)
        for i, texts in enumerate((["red", "green", "blue"], ["blue", "green", "red"], []))
    )
    known = scene_of(SeriesRaster(dict(zip(ISO, [none, rgb, rgb, none], strict=True))))
    assert known.specs["s"].bands == ("red", "green", "blue")
    with pytest.raises(ValueError, match="bands of all dates in one order"):
        scene_of(SeriesRaster(dict(zip(ISO, [rgb, rgb, bgr, none], strict=True))))
    assert scene_of(SeriesRaster([none, none])).specs["s"].bands is None
