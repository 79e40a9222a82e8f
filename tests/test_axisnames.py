"""Names along the axes of sources: bands that a scene, a file or the user named."""

import numpy as np
import pytest
import rasterio
from sklearn.pipeline import make_pipeline

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource, stacked_forest
from m3fusion_sk.mapping import (
    ChunkedPredictor,
    PatchRaster,
    PatchSeriesRaster,
    RasterArray,
    Scene,
    SeriesRaster,
    VectorRaster,
)

SMALL = {"hidden_size": 4, "n_filters": 4, "max_epochs": 2, "batch_size": 16, "random_state": 0}
NAMES = ("B02", "B03", "B08")
TRANSFORM = rasterio.Affine(10, 0, 300_000, 0, -10, 7_700_000)


def samples(names=NAMES, n=40):
    rng = np.random.default_rng(0)
    X = MultiSource(ts=rng.normal(size=(n, 4, 3)), terrain=rng.normal(size=(n, 2)))
    return X.with_bands(ts=names, terrain=["height", "slope"]), np.arange(n) % 2


def write(path, values, names=None):
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=len(values), height=values.shape[1],
        width=values.shape[2], crs="EPSG:32740", transform=TRANSFORM,
    ) as file:  # fmt: skip
        file.write(values.astype("float32"))
        for band, name in enumerate(names or (), start=1):
            file.set_band_description(band, name)
    return path


def test_names_of_bands_stay_with_the_samples():
    X, _ = samples()
    others = X[[1]].materialize(), MultiSource(X), X.replace(terrain=X["terrain"])
    for part in (X[3:5], X.select(["ts"]), *others):
        assert part.specs["ts"].bands == NAMES
    assert X == X and X.specs == MultiSource(X.arrays()).specs  # they do not count where shapes are compared
    assert X.replace(ts=X["ts"][..., ::-1]).specs["ts"].bands is None  # of other values nothing is known
    unnamed = MultiSource(X.arrays())
    assert MultiSource.concatenate([unnamed, X]).specs["ts"].bands == NAMES


@pytest.mark.parametrize(
    "bands",
    [["B02", "B03"], ["B02", "B03", "B03"], [2, 3, 8], "B02", ["B02", "B03", None]],
)
def test_names_must_be_one_text_for_each_band(bands):
    with pytest.raises(ValueError, match=r"bands of X\['ts'\] must be 3 names, each once"):
        samples(bands)


@pytest.mark.parametrize(
    "model",
    [M3FusionClassifier(**SMALL), stacked_forest(5), make_pipeline(GapFiller(), stacked_forest(5))],
    ids=["network", "forest", "pipeline"],
)
def test_bands_in_another_order_than_in_fit_are_refused(model):
    X, y = samples()
    model.fit(X, y)
    swapped, _ = samples(("B08", "B03", "B02"))
    with pytest.raises(ValueError, match=r"X\['ts'\] must have its bands in the order of fit.*got \['B08'"):
        model.predict(swapped)
    for names in (NAMES, ("blue", "green", "nir")):  # which may be another way of writing
        model.predict(X.with_bands(ts=names))
    model.predict(X.arrays())


def test_names_stay_where_gaps_are_filled_and_tables_are_cut():
    X, _ = samples()
    gaps = X.with_dates(ts=["2018-05-01", "2018-05-03", "2018-05-09", "2018-06-01"])
    gaps["ts"][0, 1] = np.nan
    filled = GapFiller().fit_transform(gaps)
    assert filled.specs["ts"].bands == NAMES and filled.specs["ts"].dates == gaps.specs["ts"].dates
    back = MultiSource.from_flat(np.asarray(X), gaps.specs)
    assert back.specs["ts"].bands == NAMES and back.specs["ts"].dates == gaps.specs["ts"].dates


def test_parts_with_bands_in_another_order_are_not_joined():
    with pytest.raises(ValueError, match="in the order of the parts before"):
        MultiSource.concatenate([samples()[0], samples(("B08", "B03", "B02"))[0]])


def test_names_travel_with_a_saved_model_and_change_no_hash(tmp_path):
    X, y = samples()
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(tmp_path / "model.m3f")
    assert twin.sources_["ts"].bands == NAMES and twin.sources_["terrain"].bands == ("height", "slope")
    assert twin.content_hash() == clf.content_hash()
    assert clf.content_hash() == M3FusionClassifier(**SMALL).fit(X.arrays(), y).content_hash()


# ----- what scenes tell


def test_every_kind_of_raster_tells_the_names_that_its_files_have(tmp_path):
    values = np.ones((4, 9, 9))
    dates, bands = ("2018-05-01", "2018-06-01"), ("B02", "B03")
    stack = write(tmp_path / "stack.tif", values, [f"{date} {band}" for date in dates for band in bands])
    by_band = write(tmp_path / "band.tif", values, [f"{band} {date}" for band in bands for date in dates])
    image = write(tmp_path / "image.tif", values, ["red", "green", "blue", "nir"])
    height, slope = (write(tmp_path / f"dem_{what}.tif", values[:1]) for what in ("height", "slope"))
    scene = Scene(
        {
            "s2": SeriesRaster(stack, n_bands=2),
            "by_band": SeriesRaster(by_band, n_bands=2, order="band"),
            "patch": PatchRaster(image, size=3, bands=[4, 1]),
            "moving": PatchSeriesRaster(stack, n_bands=2, size=3),
            "terrain": VectorRaster([height, slope]),
            "unnamed": VectorRaster(write(tmp_path / "plain.tif", values)),
            "single": VectorRaster(height),
        },
        grid="s2",
    )
    X, _ = scene.extract([4], [4])
    assert {name: spec.bands for name, spec in X.specs.items()} == {
        "s2": ("B02", "B03"),
        "by_band": ("B02", "B03"),
        "patch": ("nir", "red"),
        "moving": ("B02", "B03"),
        "terrain": ("height", "slope"),
        "unnamed": None,
        "single": None,
    }


def test_coordinates_of_xarray_name_the_bands():
    xarray = pytest.importorskip("xarray")
    array = xarray.DataArray(
        np.ones((2, 3, 4, 4), "float32"),
        dims=("time", "band", "y", "x"),
        coords={
            "time": np.array(["2018-05-01", "2018-06-01"], "datetime64[ns]"),
            "band": list(NAMES),
            "y": 7_699_995.0 - 10 * np.arange(4),
            "x": 300_005.0 + 10 * np.arange(4),
        },
        attrs={"crs": "EPSG:32740"},
    )
    for given in (array, array.transpose("band", "y", "time", "x")):
        assert Scene({"s2": SeriesRaster(given)}, grid="s2").specs["s2"].bands == NAMES
    numbered = array.assign_coords(band=[1, 2, 3])  # which tell nothing
    assert Scene({"s2": SeriesRaster(numbered)}, grid="s2").specs["s2"].bands is None
    one_date = array.isel(time=0)
    assert Scene({"v": VectorRaster(one_date)}, grid="v").specs["v"].bands == NAMES
    chosen = VectorRaster(one_date, bands=[3, 1])
    assert Scene({"v": chosen}, grid="v").specs["v"].bands == ("B08", "B02")


def test_a_scene_with_bands_in_another_order_is_refused_before_its_map(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 8, 8))
    right = write(tmp_path / "right.tif", values, NAMES)
    swapped = write(tmp_path / "swapped.tif", values[::-1], NAMES[::-1])
    scenes = [Scene({"v": VectorRaster(path)}, grid="v") for path in (right, swapped)]
    X, _ = scenes[0].extract(*(axis.ravel() for axis in np.indices((8, 8))))
    clf = M3FusionClassifier(**SMALL).fit(X, np.arange(64) % 2)
    ChunkedPredictor(clf).predict(scenes[0], tmp_path / "map.tif")
    with pytest.raises(ValueError, match=r"X\['v'\] must have its bands in the order of fit"):
        ChunkedPredictor(clf).predict(scenes[1], tmp_path / "swapped_map.tif")
    assert not (tmp_path / "swapped_map.tif.run").exists()
    plain = RasterArray(values.astype("float32"), TRANSFORM, "EPSG:32740")  # of which nothing is known
    ChunkedPredictor(clf).predict(Scene({"v": VectorRaster(plain)}, grid="v"), tmp_path / "plain.tif")
