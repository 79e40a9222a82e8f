"""Sources that a pixel of a scene may lack: sampled, mapped and resumed."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from made_rasters import ORIGIN, write
from sklearn.dummy import DummyClassifier

from m3fusion_sk import M3FusionClassifier
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, RunMismatch, Scene, SeriesRaster, VectorRaster

SIDE = 20
COVERED = 12  # columns that the image reaches
OUTPUTS = ["proba", "entropy", "margin", "attention", "features"]
BRIGHT = np.indices((SIDE, SIDE)).sum(axis=0) // 4 % 2 == 1  # pixels of the second class


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Series, with some pixels without any date; image over the western part, with a hole; terrain."""
    place, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    s2 = rng.integers(500, 900, (6, SIDE, SIDE)) + 500 * BRIGHT
    s2[:, 3:5, 2:9] = 0
    spot = rng.integers(500, 900, (2, 5 * SIDE, 5 * COVERED)) + 500 * BRIGHT.repeat(5, 0).repeat(5, 1)[:, :60]
    spot[:, 50:75, 20:40] = 0
    terrain = rng.normal(300, 50, (1, SIDE, SIDE)).astype("float32")
    terrain[0, -1] = np.nan
    return {
        "s2": write(place / "s2.tif", s2.astype("uint16"), nodata=0),
        "spot": write(place / "spot.tif", spot.astype("uint16"), pixel=2, nodata=0),
        "terrain": write(place / "terrain.tif", terrain),
    }


def make_scene(files, optional=("s2", "spot"), names=("s2", "spot", "terrain")):
    raster = {
        "s2": SeriesRaster(files["s2"], n_bands=2, dates=["2018-05-01", "2018-06-01", "2018-07-01"]),
        "spot": PatchRaster(files["spot"], size=5),
        "terrain": VectorRaster(files["terrain"]),
    }
    return Scene({name: raster[name] for name in names}, grid="s2", optional=optional)


def everywhere(scene):
    return scene.extract(*(axis.ravel() for axis in np.indices(scene.shape)))


def lacking(X, name):
    return np.isnan(X[name]).reshape(len(X), -1).all(axis=1)


@pytest.fixture(scope="module")
def network(files):
    X, valid = everywhere(make_scene(files))
    clf = M3FusionClassifier(hidden_size=8, n_filters=2, max_epochs=8, missing_sources="drop", random_state=0)
    return clf.fit(X[valid], np.where(BRIGHT.ravel()[valid], "bright", "dark"))


def test_a_pixel_without_an_optional_source_has_nan_there_and_all_else_as_it_is(files):
    X, valid = everywhere(make_scene(files))
    whole, complete = everywhere(make_scene(files, optional=()))
    expected = np.ones((SIDE, SIDE), bool)
    expected[-1] = False  # the terrain is required
    np.testing.assert_array_equal(valid, expected.ravel())
    hole = np.zeros((SIDE, SIDE), bool)
    hole[3:5, 2:9] = True
    np.testing.assert_array_equal(lacking(X, "s2"), hole.ravel())
    outside = np.ones((SIDE, SIDE), bool)
    outside[:, :COVERED] = False
    outside[10:15, 4:8] = True
    np.testing.assert_array_equal(lacking(X, "spot"), outside.ravel())
    np.testing.assert_array_equal(complete, valid & ~lacking(X, "s2") & ~lacking(X, "spot"))
    for name in X.names:
        there = ~lacking(X, name)
        np.testing.assert_array_equal(X[name][there], whole[name][there])
        assert not np.isnan(X[name][there & valid]).any()
    assert X["spot"].dtype == make_scene(files).dtypes["spot"] == np.float32
    assert whole["spot"].dtype == np.uint16


def test_one_name_is_enough_and_where_all_are_optional_a_pixel_needs_one(files):
    assert make_scene(files, "spot").optional == {"spot"}
    scene = make_scene(files, ("s2", "spot"), names=("s2", "spot"))
    X, valid = everywhere(scene)
    np.testing.assert_array_equal(valid, ~(lacking(X, "s2") & lacking(X, "spot")))


def test_samples_lack_what_their_pixels_lack_and_the_report_counts_them(files):
    (x, y), end = ORIGIN, 10 * SIDE
    fields = geopandas.GeoDataFrame(
        {"class": ["dark", "bright"]},
        geometry=[shapely.box(x, y - end / 2, x + end, y), shapely.box(x, y - end, x + end, y - end / 2)],
        crs="EPSG:32631",
    )
    scene = make_scene(files)
    samples = scene.sample(fields, label="class", block_size=7)
    X, valid = everywhere(scene)
    np.testing.assert_array_equal(samples.rows * SIDE + samples.cols, np.flatnonzero(valid))
    for name in X.names:
        np.testing.assert_array_equal(samples.X[name], X[name][valid])
    assert samples.report["without_spot"] == lacking(X, "spot")[valid].sum() > 100
    assert samples.report["without_s2"] == 14
    assert samples.report["nodata_pixels"] == SIDE
    few = scene.sample(fields, label="class", max_pixels=30)
    assert few.report["pixels"] == 60 and few.report["without_spot"] > 0


@pytest.mark.parametrize("chunk", [256, 7])
def test_the_map_and_its_layers_say_what_the_network_says_of_the_samples(files, network, tmp_path, chunk):
    scene = make_scene(files)
    X, valid = everywhere(scene)
    ChunkedPredictor(network, chunk, outputs=OUTPUTS, dtype="float32").predict(scene, tmp_path / "map.tif")
    found = {}
    for path in tmp_path.glob("map*.tif"):
        with rasterio.open(path) as file:
            found[path.stem] = file.read().reshape(file.count, -1).T
    proba, attention = network.predict_proba(X[valid]), network.attention(X[valid])["s2"]
    np.testing.assert_allclose(found["map_proba"][valid], proba, atol=1e-5)
    sure = np.abs(proba[:, 0] - 0.5) > 1e-4
    np.testing.assert_array_equal(found["map"][valid, 0][sure], proba.argmax(axis=1)[sure] + 1)
    assert (found["map"][~valid] == 0).all() and np.isnan(found["map_proba"][~valid]).all()
    np.testing.assert_allclose(found["map_features"][valid], network.transform(X[valid]), atol=1e-4)
    has = ~lacking(X, "s2")[valid]
    np.testing.assert_allclose(found["map_attention_s2"][valid][has], attention[has], atol=1e-5)
    assert np.isnan(found["map_attention_s2"][valid][~has]).all() and not has.all()


def test_runs_know_which_sources_are_optional(files, network, tmp_path):
    path = ChunkedPredictor(network).predict(make_scene(files, "spot"), tmp_path / "map.tif")
    before = path.stat().st_mtime_ns
    ChunkedPredictor(network).predict(make_scene(files, ["spot"]), path)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(RunMismatch):
        ChunkedPredictor(network).predict(make_scene(files), path)


def test_a_scene_without_the_source_is_mapped_as_if_every_pixel_lacked_it(files, network, tmp_path):
    alone = make_scene(files, (), names=("s2", "terrain"))
    path = ChunkedPredictor(network).predict(alone, tmp_path / "map.tif")
    X, valid = everywhere(alone)
    with rasterio.open(path) as file:
        codes = file.read(1).ravel()[valid]
    assert (codes == network.predict_proba(X[valid]).argmax(axis=1) + 1).mean() > 0.99


def test_an_estimator_that_needs_all_sources_says_so(files, tmp_path):
    scene = make_scene(files, "spot")
    X, valid = everywhere(scene)
    whole = X[valid & ~lacking(X, "spot")]
    clf = M3FusionClassifier(hidden_size=4, n_filters=2, max_epochs=1).fit(whole, np.arange(len(whole)) % 2)
    with pytest.raises(ValueError, match=r"X\['spot'\] contains.*NaN"):
        ChunkedPredictor(clf).predict(scene, tmp_path / "map.tif")


def test_unknown_names_are_refused(files):
    with pytest.raises(ValueError, match=r"optional must name sources among \['s2', .*; got \['vhsr'\]"):
        make_scene(files, "vhsr")
    with pytest.raises(TypeError, match="optional must be a name of a source, or a list of such; got True"):
        make_scene(files, True)


def test_optional_sources_may_have_no_pixel_in_common_with_a_chunk(files, tmp_path):
    scene = make_scene(files, "spot")
    X, valid = scene.extract(np.arange(5), np.full(5, SIDE - 1))
    assert valid.all() and np.isnan(X["spot"]).all() and X["spot"].shape == (5, 2, 5, 5)
    estimator = DummyClassifier().fit([[0], [1]], ["a", "b"])
    ChunkedPredictor(estimator, 4).predict(scene, tmp_path / "map.tif")
