"""What newcomers give a scene: names of real products, masks of booleans, dates without a file."""

import pickle

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import xarray
from affine import Affine
from made_rasters import ORIGIN, write
from rasterio.windows import Window
from test_predictor import CodeReader, read_map

from m3fusion_sk import M3FusionClassifier
from m3fusion_sk.mapping import (
    ChunkedPredictor,
    PatchSeriesRaster,
    RasterArray,
    Scene,
    SeriesRaster,
    VectorRaster,
)

CRS = "EPSG:32631"
SIDE = 6
PLACE = Affine(10, 0, ORIGIN[0], 0, -10, ORIGIN[1])
DATES = ["20180105", "20180205", "20180305", "20180405"]
SENTINEL = "S2{}_MSIL2A_{d}T105421_N0500_R051_T31TCJ_{d}T131245"
LANDSAT = "LC0{}_L2SP_199030_{d}_{made}_02_T1"
AXES = {
    "y": ORIGIN[1] - 10.0 * np.arange(SIDE) - 5,
    "x": ORIGIN[0] + 10.0 * np.arange(SIDE) + 5,
}


def image(value, n_bands=1, dtype="float32"):
    return np.full((n_bands, SIDE, SIDE), value, dtype)


def scene_of(source, **options):
    return Scene({"s": source}, grid="s", **options)


def first(source):
    """The first pixel of a source, raveled."""
    return np.asarray(scene_of(source).read(Window(0, 0, 1, 1))["s"]).ravel().tolist()


def products(place, form, values, dates=DATES, made=DATES, **kind):
    """Files by date, named in the manner of a product of two satellites in turn."""
    paths = []
    for i, value in enumerate(values):
        name = form.format("AB"[i % 2], d=dates[i], made=made[i])
        paths.append(write(place / f"{name}.tif", image(value, **kind)))
    return paths


# ----- two dates in a name


@pytest.mark.parametrize("given", [{}, {"dates": DATES}])
@pytest.mark.parametrize("form", [SENTINEL, LANDSAT])
def test_files_of_products_in_the_order_of_their_satellites_are_refused(tmp_path, form, given):
    made = ["20200903", "20200902", "20200904", "20200901"]
    paths = products(tmp_path, form, [1, 2, 3, 4], made=made)
    by_satellite = sorted(paths)
    assert by_satellite != paths
    with pytest.raises(ValueError, match=r"its files in the order of its dates.*dates='names'"):
        first(SeriesRaster(by_satellite, **given))
    assert first(SeriesRaster(paths, **given)) == [1, 2, 3, 4]
    assert first(SeriesRaster(by_satellite, dates="names")) == [1, 2, 3, 4]


def test_a_day_of_processing_that_all_share_hides_no_other_order(tmp_path):
    paths = sorted(products(tmp_path, LANDSAT, [1, 2, 3, 4], made=["20200902"] * 4))
    for given in ({}, {"dates": DATES}):
        with pytest.raises(ValueError, match="its files in the order of its dates"):
            first(SeriesRaster(paths, **given))


@pytest.mark.parametrize("given", [{}, {"dates": DATES}])
def test_masks_of_products_in_the_order_of_their_satellites_are_refused(tmp_path, given):
    files = [write(tmp_path / f"{d}.tif", image(i)) for i, d in enumerate(DATES)]
    masks = products(tmp_path, "SCL_" + SENTINEL, [4, 9, 4, 4], dtype="uint8")
    with pytest.raises(ValueError, match="its masks in the order of its dates"):
        first(SeriesRaster(files, mask=sorted(masks), **given))
    found = first(SeriesRaster(files, mask=masks, fill=None, **given))
    np.testing.assert_array_equal(found, [0, np.nan, 2, 3])


@pytest.mark.parametrize("given", [{}, {"dates": DATES}])
@pytest.mark.parametrize("form", ["{d}T105421_{d}T131245_T31TCJ_{}", "20200902_{d}_{}"])
def test_bands_described_by_products_in_another_order_are_refused(tmp_path, given, form):
    """As Earth Engine calls them, by acquisition, processing, tile and band; or after a day of processing."""
    texts = [form.format(band, d=d) for d in DATES for band in ("B4", "B8")]
    orders = {"right": range(8), "other": [0, 1, 4, 5, 2, 3, 6, 7], "mixed": [0, 2, 1, 3, 4, 5, 6, 7]}
    for called, order in orders.items():
        with rasterio.open(write(tmp_path / f"{called}.tif", image(1, 8)), "r+") as file:
            file.descriptions = [texts[i] for i in order]
    assert len(first(SeriesRaster(tmp_path / "right.tif", n_bands=2, **given))) == 8
    for called, words in (
        ("other", "its bands in the order of its dates"),
        ("mixed", "Give the other order"),
    ):
        with pytest.raises(ValueError, match=words):
            first(SeriesRaster(tmp_path / f"{called}.tif", n_bands=2, **given))


@pytest.mark.parametrize(
    ("form", "made"),
    [
        ("made{made}_of_{d}", ["20200904", "20200903", "20200902", "20200901"]),  # processed first
        ("v{made}_{d}", ["20200901"] * 4),  # a version that all share
        ("c_{d}_{made}", ["20180131", "20180228", "20180331", "20180430"]),  # composites
        ("c_{d}_{made}", ["20181231"] * 4),
    ],
)
def test_other_dates_in_names_are_no_disagreement(tmp_path, form, made):
    paths = products(tmp_path, form + "{}", [1, 2, 3, 4], made=made)
    middles = ["2018-01-16", "2018-02-15", "2018-03-16", "2018-04-15"]
    for given in ({}, {"dates": DATES}, {"dates": middles}):
        assert first(SeriesRaster(paths, **given)) == [1, 2, 3, 4]


def test_dates_of_folders_do_not_count(tmp_path):
    folders = [tmp_path / f"2020010{9 - i}" for i in range(4)]
    for folder in folders:
        folder.mkdir()
    paths = [write(folder / f"B4_{d}.tif", image(1)) for folder, d in zip(folders, DATES, strict=True)]
    assert first(SeriesRaster(paths)) == [1] * 4


# ----- nodata


def test_nodata_that_only_some_files_declare_is_told(tmp_path):
    paths = [write(tmp_path / f"{d}.tif", image(-9999)) for d in DATES]
    told = write(tmp_path / "told.tif", image(-9999), nodata=-9999)
    words = r"told.tif declares -9999.0, .*20180105.tif \(and 3 others\), where none .* give nodata=-9999.0"
    for source in (SeriesRaster([*paths, told]), PatchSeriesRaster([*paths, told], size=3)):
        with pytest.warns(UserWarning, match=words):
            scene_of(source)
    scene_of(VectorRaster([*paths, told]))  # of products of their own, which may differ
    scene_of(SeriesRaster([*paths, told], nodata=-9999))  # said for all
    scene_of(SeriesRaster(paths))  # of none
    with pytest.warns(UserWarning, match="where none is declared"):
        scene_of(SeriesRaster([paths[0], RasterArray(image(1), PLACE, CRS, nodata=0)]))


def test_nodata_that_cannot_be_mistaken_is_not_told(tmp_path):
    bare = write(tmp_path / "bare.tif", image(1, dtype="uint8"))
    real = write(tmp_path / "real.tif", image(1))
    low = write(tmp_path / "low.tif", image(1, dtype="int16"), nodata=-9999)
    none = write(tmp_path / "none.tif", image(1), nodata=np.nan)
    scene_of(SeriesRaster([bare, low]))  # bytes hold no -9999
    scene_of(SeriesRaster([real, none]))  # NaN is none everywhere
    scene_of(SeriesRaster([low, write(tmp_path / "other.tif", image(1, dtype="uint8"), nodata=255)]))
    codes = [write(tmp_path / f"c{i}.tif", image(4, dtype="uint8"), nodata=(0, None)[i]) for i in (0, 1)]
    scene_of(SeriesRaster([real, real], mask=codes))  # of codes, the valid ones are named


# ----- layers and images without a reference system


def test_the_side_without_a_reference_system_is_told_how_to_get_one(tmp_path):
    layer = geopandas.GeoDataFrame({"y": [1]}, geometry=[shapely.Point(0, 0)], crs=CRS)
    data = xarray.DataArray(image(1), dims=("band", "y", "x"), coords=AXES)
    array = r"the array of source 's' has none.*RasterArray\(.*write_crs.*attrs\['crs'\]"
    for source, words in (
        (RasterArray(image(1), PLACE), array),
        (data, array),
        (write(tmp_path / "b.tif", image(1), crs=None), r"b.tif has none.*rio edit-info --crs"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            scene_of(VectorRaster(source)).sample(layer, "y")
        assert "set_crs" not in str(caught.value)
    with pytest.raises(ValueError, match=r"GeoDataFrame has none.*set_crs") as caught:
        scene_of(VectorRaster(RasterArray(image(1), PLACE, CRS))).sample(
            layer.set_crs(None, allow_override=True), "y"
        )
    assert "RasterArray" not in str(caught.value)


def test_the_advice_for_arrays_of_xarray_works():
    data = xarray.DataArray(image(1), dims=("band", "y", "x"), coords=AXES)
    data.attrs["crs"] = CRS
    assert scene_of(VectorRaster(data)).grid.crs == rasterio.CRS.from_user_input(CRS)


# ----- masks of booleans


def clear():
    """Usable on all dates but the second."""
    values = np.ones((4, SIDE, SIDE), bool)
    values[1] = False
    return values


@pytest.mark.parametrize("kind", [SeriesRaster, lambda *a, **k: PatchSeriesRaster(*a, size=1, **k)])
def test_masks_may_hold_booleans(kind):
    series = RasterArray(np.arange(4.0)[:, None, None] * image(10), PLACE, CRS)
    data = xarray.DataArray(clear(), dims=("time", "y", "x"), coords=AXES, attrs={"crs": CRS})
    each = [RasterArray(values[None], PLACE, CRS) for values in clear()]
    for mask in (data, RasterArray(clear(), PLACE, CRS), each):
        for valid in ((True,), (1,), True, np.array([True])):
            found = first(kind(series, n_bands=1, mask=mask, valid=valid, fill=None))
            np.testing.assert_array_equal(found, [0, np.nan, 20, 30])
    clouds = RasterArray(~clear(), PLACE, CRS)
    assert first(kind(series, n_bands=1, mask=clouds, valid=(False,))) == [0, 10, 20, 30]


def test_a_mask_of_booleans_needs_valid_codes_of_its_own():
    series, mask = (RasterArray(values, PLACE, CRS) for values in (image(1, 4), clear()))
    with pytest.raises(
        ValueError, match=r"valid of source 's' must be \(True,\) where .* got \(4, 5, 6, 7\)"
    ):
        first(SeriesRaster(series, n_bands=1, mask=mask))
    by_date = {d: RasterArray(values[None], PLACE, CRS) for d, values in zip(DATES, clear(), strict=True)}
    with pytest.raises(ValueError, match=r"valid of source 's' must be \(True,\)"):
        first(SeriesRaster(series, n_bands=1, dates=DATES, mask=by_date))


def test_booleans_are_codes_wherever_arrays_are(tmp_path):
    np.save(tmp_path / "m.npy", clear())
    mapped = np.load(tmp_path / "m.npy", mmap_mode="r")
    scene = scene_of(VectorRaster(RasterArray(mapped, PLACE, CRS)))
    assert scene.dtypes["s"] == np.uint8
    for each in (scene, pickle.loads(pickle.dumps(scene))):
        found = each.read(Window(0, 0, 1, 1))["s"]
        np.testing.assert_array_equal(found, np.array([[1, 0, 1, 1]], "uint8"), strict=True)
    assert scene.fingerprint()["sources"]["s"]["stacks"][0]["files"][0][1] == "|u1"


# ----- the same time twice


def test_two_images_of_one_time_fill_each_other():
    """Tiles of one overpass, say: each has what the other lacks."""
    values = np.stack([image(1), image(2), image(4)])
    values[0, :, :, :3], values[1, :, :, 3:] = np.nan, np.nan
    times = np.array(["2018-01-05T10:54:21"] * 2 + ["2018-02-05T10:54:21"], "M8[ns]")
    data = xarray.DataArray(
        values, dims=("time", "band", "y", "x"), coords={"time": times, **AXES}, attrs={"crs": CRS}
    )
    found = np.asarray(scene_of(SeriesRaster(data)).read(Window(0, 0, SIDE, 1))["s"])[:, :, 0]
    assert found.tolist() == [[2, 2, 4]] * 3 + [[1, 1, 4]] * 3


# ----- dates without a file


def by_date(place, without=("20180305",), **kind):
    """Files by date with the values 0, 10, 20, 30; None for some dates."""
    return {
        d: None if d in without else write(place / f"{d}.tif", image(10 * i, **kind))
        for i, d in enumerate(DATES)
    }


def test_a_date_without_a_file_is_missing(tmp_path):
    files = by_date(tmp_path, dtype="uint8")
    assert np.isnan(first(SeriesRaster(files, fill=None))).tolist() == [False, False, True, False]
    np.testing.assert_allclose(first(SeriesRaster(files)), [0, 10, 10 + 20 * 28 / 59, 30])
    assert first(SeriesRaster(files, scale=0.5, fill=None))[3] == 15
    assert first(SeriesRaster(by_date(tmp_path, DATES[:1]))) == [10, 10, 20, 30]
    assert first(PatchSeriesRaster(by_date(tmp_path, DATES[3:]), size=1)) == [0, 10, 20, 20]
    with pytest.raises(ValueError, match="Source 's' must have files for one date at least; got None"):
        first(SeriesRaster(dict.fromkeys(DATES)))
    with pytest.raises(TypeError, match="must name a file, or a list of files"):
        first(SeriesRaster([*filter(None, files.values()), None], dates=DATES))


def test_a_date_without_the_files_of_its_bands_is_missing(tmp_path):
    bands = {d: [write(tmp_path / f"{d}_{b}.tif", image(int(b[1]))) for b in ("B4", "B8")] for d in DATES[:2]}
    found = first(SeriesRaster({DATES[0]: None, **{d: bands[d] for d in DATES[1:2]}}, fill=None))
    np.testing.assert_array_equal(found, [np.nan, np.nan, 4, 8])
    with pytest.raises(ValueError, match="the bands of all dates in one order"):
        first(SeriesRaster({DATES[0]: bands[DATES[0]], DATES[1]: bands[DATES[1]][::-1], DATES[2]: None}))
    with pytest.raises(ValueError, match="its files in the order of its dates"):
        first(SeriesRaster({DATES[0]: bands[DATES[1]], DATES[1]: bands[DATES[0]], DATES[2]: None}))
    with pytest.raises(TypeError, match="must name a file, or a list of files"):
        first(SeriesRaster({DATES[0]: bands[DATES[0]], DATES[1]: [bands[DATES[1]][0], None]}))


def test_masks_go_with_dates_that_have_no_file(tmp_path):
    files = by_date(tmp_path)
    masks = {d: write(tmp_path / f"m{d}.tif", image(9 if d == DATES[1] else 4, dtype="uint8")) for d in DATES}
    lacking = {d: mask for d, mask in masks.items() if d != DATES[2]}
    for mask in (masks, lacking, {**masks, DATES[2]: None}, list(masks.values())):
        found = first(SeriesRaster(files, mask=mask, fill=None))
        assert np.isnan(found).tolist() == [False, True, True, False]
    for mask in ({**masks, DATES[1]: None}, {d: m for d, m in masks.items() if d != DATES[1]}):
        with pytest.raises(
            ValueError, match=r"mask .* must have a file for each date; got none for .*20180205"
        ):
            first(SeriesRaster(files, mask=mask))


def test_arrays_by_date_may_lack_a_date():
    arrays = {d: RasterArray(image(i, 2, "uint16"), PLACE, CRS) for i, d in enumerate(DATES)}
    source = SeriesRaster({**arrays, DATES[1]: None}, fill=None)
    np.testing.assert_array_equal(first(source), [0, 0, np.nan, np.nan, 2, 2, 3, 3])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_maps_and_samples_of_a_scene_that_lacks_a_date(tmp_path, n_jobs):
    """The map is that of a scene with a file without data, and another run once the file is there."""
    lacking = scene_of(SeriesRaster(by_date(tmp_path, dtype="uint8")))
    empty = by_date(tmp_path, without=(), dtype="uint8")
    with_empty = {**empty, DATES[2]: RasterArray(image(255, dtype="uint8"), PLACE, CRS, nodata=255)}
    predictor = ChunkedPredictor(CodeReader(), 4, n_jobs=n_jobs)
    path = predictor.predict(lacking, tmp_path / "map.tif")
    assert predictor.predict(lacking, tmp_path / "map.tif") == path  # finished
    layer = geopandas.GeoDataFrame(
        {"y": ["a"]}, geometry=[shapely.box(ORIGIN[0], ORIGIN[1] - 60, ORIGIN[0] + 60, ORIGIN[1])], crs=CRS
    )
    same = pickle.loads(pickle.dumps(lacking))
    for scene in (same, scene_of(SeriesRaster(with_empty, nodata=255))):
        np.testing.assert_array_equal(scene.sample(layer, "y").X["s"], lacking.sample(layer, "y").X["s"])
    assert (read_map(path) > 0).all()
    whole = scene_of(SeriesRaster(empty))
    assert whole.fingerprint() != lacking.fingerprint() == same.fingerprint()
    with pytest.raises(FileExistsError, match="exists already"):
        predictor.predict(whole, tmp_path / "map.tif")


# ----- docs/maps.md: a scene with other dates


def trained(tmp_path, missing="mask"):
    """A network for four dates, and the files of another scene with three of these."""
    rng = np.random.default_rng(0)
    X = {"s": rng.normal(size=(40, 4, 1)).astype("float32")}
    X["s"][::3, 2] = np.nan
    network = M3FusionClassifier(max_epochs=1, hidden_size=4, missing=missing, random_state=0)
    return network.fit(X, np.arange(40) % 2), by_date(tmp_path)


def test_a_scene_that_lacks_a_date_can_be_mapped(tmp_path):
    network, files = trained(tmp_path)
    for fill in (None, "linear"):
        path = ChunkedPredictor(network).predict(
            scene_of(SeriesRaster(files, fill=fill)), tmp_path / f"{fill}.tif"
        )
        assert (read_map(path) > 0).all()


def test_an_xarray_that_lacks_a_date_is_reindexed():
    times = np.array([f"{d[:4]}-{d[4:6]}-{d[6:]}" for d in DATES], "M8[ns]")
    values = np.array([0, 10, 30.0])[:, None, None, None] * image(1)
    coords = {"time": times[[0, 1, 3]], **AXES}
    data = xarray.DataArray(values, dims=("time", "band", "y", "x"), coords=coords, attrs={"crs": CRS})
    whole = data.reindex(time=times)
    np.testing.assert_array_equal(first(SeriesRaster(whole, fill=None)), [0, 10, np.nan, 30])
    np.testing.assert_allclose(first(SeriesRaster(whole)), [0, 10, 10 + 20 * 28 / 59, 30])
