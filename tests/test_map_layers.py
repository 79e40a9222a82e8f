"""What a run writes: layers, the report, the quick-look; each a valid cloud-optimised GeoTIFF."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from colorvision import least_distance
from made_rasters import coded, write
from rasterio.vrt import WarpedVRT
from rio_cogeo import cog_validate
from scipy.stats import entropy as scipy_entropy
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from test_predictor import CodeReader, read_map, write_scene

from m3fusion_sk import GapFiller, M3FusionClassifier, SelectSources
from m3fusion_sk.mapping import ChunkedPredictor, Scene, SeriesRaster, VectorRaster
from m3fusion_sk.mapping.layers import entropy, margin
from m3fusion_sk.mapping.legend import PALETTE, UNSURE_COLOR, Legend
from m3fusion_sk.synthetic.landscape import CLASSES

OUTPUTS = ["class", "proba", "entropy", "margin", "attention", "features"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("scene")


@pytest.fixture(scope="module")
def scene(place):
    return write_scene(place, 30, 41)


@pytest.fixture(scope="module")
def everything(scene):
    """All pixels of the scene, row by row, and which have data."""
    return scene.extract(*(axis.ravel() for axis in np.indices(scene.shape)))


@pytest.fixture(scope="module")
def network(everything):
    X, valid = everything
    y = np.where(
        np.arange(valid.sum()) % 3 == 0, "wood", np.where(np.arange(valid.sum()) % 3 == 1, "lake", "town")
    )
    return M3FusionClassifier(hidden_size=4, n_filters=2, max_epochs=2, random_state=0).fit(X[valid], y)


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.profile, file.tags(), file.descriptions, file.scales


@pytest.mark.parametrize("piped", [True, False])
def test_a_map_without_data_has_the_bands_of_any_other(everything, tmp_path, piped):
    X, valid = everything
    X = X[valid].select(["s2"])
    network = M3FusionClassifier(hidden_size=4, max_epochs=1, random_state=0)
    model = (make_pipeline(GapFiller(), network) if piped else network).fit(X, np.arange(len(X)) % 3)
    n_dates, n_bands = X["s2"].shape[1:]
    write(tmp_path / "s.tif", np.zeros((n_dates * n_bands, 9, 8), "uint16"), nodata=0)
    nowhere = Scene({"s2": SeriesRaster(tmp_path / "s.tif", n_bands=n_bands)}, grid="s2")
    ChunkedPredictor(model, outputs=["proba", "features"]).predict(nowhere, tmp_path / "map.tif")
    n_features = model.transform(X[:1]).shape[1]
    found = read(tmp_path / "map_features.tif")[0]
    assert len(found) == n_features and np.isnan(found).all()


@pytest.mark.parametrize(
    ("dtype", "step", "nodata"), [("uint8", 0.004, 255), ("uint16", 2e-5, 65535), ("float32", 1, np.nan)]
)
def test_every_layer_says_what_the_estimator_says(scene, everything, network, tmp_path, dtype, step, nodata):
    X, valid = everything
    path = ChunkedPredictor(network, (11, 17), outputs=OUTPUTS, dtype=dtype).predict(
        scene, tmp_path / "map.tif"
    )
    proba = network.predict_proba(X[valid]).astype(float)
    attention, best = network.attention(X[valid]), np.sort(proba, axis=1)
    expected = {
        "proba": proba,
        "entropy": scipy_entropy(proba, axis=1)[:, None] / np.log(3),
        "margin": best[:, -1:] - best[:, -2:-1],
        "attention_s2": attention["s2"],
    }
    for name, values in expected.items():
        found, profile, tags, _, scales = read(tmp_path / f"map_{name}.tif")
        assert (profile["dtype"], tags["LAYER"].replace(":", "_")) == (dtype, name)
        np.testing.assert_equal(profile["nodata"], nodata)
        np.testing.assert_allclose(scales, step)
        flat = found.reshape(len(found), -1).T
        np.testing.assert_array_equal(flat[~valid], np.full_like(flat[~valid], nodata))
        np.testing.assert_allclose(
            flat[valid] * scales[0], values, atol=step / 2 + 1e-5 if step < 1 else 1e-5
        )
    features, profile, *_ = read(tmp_path / "map_features.tif")
    flat = features.reshape(len(features), -1).T
    np.testing.assert_allclose(flat[valid], network.transform(X[valid]), atol=1e-5)
    assert (profile["dtype"], np.isnan(flat[~valid]).all()) == ("float32", True)
    assert read(tmp_path / "map_proba.tif")[3] == ("lake", "town", "wood")
    assert read(tmp_path / "map_features.tif")[3] == tuple(network.get_feature_names_out())
    codes = read_map(path).ravel()
    sure = best[:, -1] - best[:, -2] > 1e-5
    np.testing.assert_array_equal(codes[valid][sure], proba.argmax(axis=1)[sure] + 1)
    assert (codes[~valid] == 0).all()
    for file in tmp_path.glob("map*.tif"):
        assert cog_validate(file, strict=True) == (True, [], [])
    assert len(list(tmp_path.glob("map*.tif"))) == len(OUTPUTS)


@pytest.mark.parametrize("size", [20, 700])
@pytest.mark.parametrize("chunk", [256, (100, 333)])
def test_every_file_is_a_valid_cloud_optimised_geotiff(tmp_path, size, chunk):
    values = np.arange(size * size).reshape(1, size, size) % 250 + 1
    values[0, :3, :3] = 0
    scene = Scene({"v": VectorRaster(write(tmp_path / "v.tif", values.astype("uint8"), nodata=0))}, grid="v")
    estimator = Soft(range(1, 6))
    ChunkedPredictor(estimator, chunk, outputs=OUTPUTS[:4]).predict(scene, tmp_path / "map.tif")
    for path in tmp_path.glob("map*.tif"):
        valid, errors, warnings = cog_validate(path, strict=True)
        assert (valid, errors, warnings) == (True, [], [])
        with rasterio.open(path) as file:
            assert (file.crs, file.transform, file.shape) == (
                scene.grid.crs,
                scene.grid.transform,
                scene.shape,
            )
            assert file.overviews(1) == ([] if size < 256 else [2, 4])
    assert len(list(tmp_path.glob("map*.tif"))) == 4


class Soft(CodeReader):
    """Probabilities that differ from pixel to pixel."""

    def predict_proba(self, X):
        z = np.asarray(X["v"], float) * np.arange(1, 6) % 255 + 1
        return z / z.sum(axis=1, keepdims=True)


def test_overviews_of_classes_are_classes(tmp_path):
    values = np.kron(np.random.default_rng(0).integers(1, 4, (100, 100)), np.ones((6, 6)))[None]
    scene = Scene({"v": VectorRaster(write(tmp_path / "v.tif", values.astype("uint8") * 70))}, grid="v")
    path = ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "map.tif")
    with rasterio.open(path) as file:
        full, half = file.read(1), file.read(1, out_shape=(300, 300))
    np.testing.assert_array_equal(half, full[::2, ::2])


def test_the_report_says_what_was_done(scene, tmp_path):
    estimator = CodeReader()
    path = ChunkedPredictor(estimator, 7, outputs="entropy").predict(scene, tmp_path / "map.tif")
    report = json.loads((tmp_path / "map.report.json").read_text())
    codes = read_map(path)
    for row in report["classes"]:
        assert row["pixels"] == (codes == row["code"]).sum()
    assert report["pixels"] == {"all": 1230, "predicted": (codes > 0).sum(), "skipped": (codes == 0).sum()}
    for each in report["outputs"].values():
        assert hashlib.sha256((tmp_path / each["file"]).read_bytes()).hexdigest() == each["sha256"]
    assert set(report["outputs"]) == {"class", "entropy"}
    assert set(report["seconds_of_all_chunks"]) == {"read", "cut", "predict", "write"}
    assert report["seconds_of_all_chunks"]["cut"] > 0
    assert report["this_run"]["pixels"] == 1230
    assert report["this_run"]["pixels_per_second"] > 0
    assert report["chunks"]["all"] == 5 * 6
    contents = [source["content"] for source in report["inputs"]["scene"]["sources"].values()]
    assert contents == [[hashlib.sha256(Path(p).read_bytes()).hexdigest()] for p in scene.paths]
    with rasterio.open(path) as file:
        assert file.tags()["M3FUSION_RUN_KEY"] == report["run_key"]


def test_a_quicklook_is_drawn_on_demand(scene, tmp_path):
    from PIL import Image

    ChunkedPredictor(CodeReader(["wood", "lake"]), quicklook=True).predict(scene, tmp_path / "map.tif")
    picture = np.asarray(Image.open(tmp_path / "map.png").convert("RGB"))
    assert min(picture.shape[:2]) > 500
    for color in PALETTE[:2]:
        assert (picture == color).all(axis=2).mean() > 0.01


def test_dates_name_the_bands_of_attention(tmp_path):
    dates = ["2018-05-01", "20180511", "2018-06-01"]
    series = SeriesRaster(write(tmp_path / "s.tif", coded(6, 9, 9, "uint16")), dates=dates)

    class Attentive(CodeReader):
        def attention(self, X):
            return {"s": np.full((len(X), 3), [0.2, 0.5, 0.3])}

    scene = Scene({"s": series}, grid="s")
    ChunkedPredictor(Attentive(), outputs="attention").predict(scene, tmp_path / "map.tif")
    found, _, _, descriptions, scales = read(tmp_path / "map_attention_s.tif")
    assert list(descriptions) == dates
    np.testing.assert_allclose(found[:, 0, 0] * scales[0], [0.2, 0.5, 0.3])


@pytest.mark.parametrize("kind", ["pipeline", "search", "calibrated"])
def test_layers_come_from_the_network_inside_of_another_estimator(scene, everything, network, tmp_path, kind):
    X, valid = everything
    y = network.predict(X[valid])
    y[:2] = network.classes_[:2]  # two classes at least
    frozen = FrozenEstimator(network)
    model = {
        "pipeline": make_pipeline(GapFiller(), frozen),
        "search": GridSearchCV(make_pipeline(frozen), {"memory": [None]}, cv=KFold(2)),
        "calibrated": CalibratedClassifierCV(frozen, method="temperature", cv=KFold(2), ensemble=False),
    }[kind].fit(X[valid], y)
    outputs = ["attention", "features"]
    path = ChunkedPredictor(model, 17, outputs=outputs, dtype="float32").predict(scene, tmp_path / "map.tif")
    attention = read(path.with_name("map_attention_s2.tif"))[0].reshape(3, -1).T
    np.testing.assert_allclose(attention[valid], network.attention(X[valid])["s2"], atol=1e-5)
    features = read(path.with_name("map_features.tif"))[0]
    features = features.reshape(len(features), -1).T
    np.testing.assert_allclose(features[valid], network.transform(X[valid]), atol=1e-5)


def test_attention_is_written_of_the_series_that_the_network_has(scene, everything, tmp_path):
    X, valid = everything
    select = SelectSources([name for name in X.names if name != "s2"])
    settings = {"hidden_size": 4, "n_filters": 2, "max_epochs": 1}
    model = make_pipeline(select, M3FusionClassifier(**settings)).fit(X[valid], np.arange(valid.sum()) % 2)
    with pytest.raises(ValueError, match="outputs='attention' needs a series"):
        ChunkedPredictor(model, outputs="attention").predict(scene, tmp_path / "map.tif")


def test_a_scene_without_any_data_gives_an_empty_map(tmp_path):
    scene = Scene(
        {"v": VectorRaster(write(tmp_path / "v.tif", np.zeros((1, 9, 9), "u1"), nodata=0))}, grid="v"
    )
    path = ChunkedPredictor(CodeReader(), 4, outputs=["proba", "margin"]).predict(scene, tmp_path / "map.tif")
    assert (read_map(path) == 0).all()
    assert (read(tmp_path / "map_proba.tif")[0] == 255).all()


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5])
def test_no_band_of_a_layer_stands_for_transparency(tmp_path, n_classes):
    """GDAL takes four bands of bytes for colours and alpha, and leaves values out of overviews by that."""
    values = np.zeros((1, 600, 600), "u1")
    values[:, :, 300:] = 1
    scene = Scene({"v": VectorRaster(write(tmp_path / "v.tif", values))}, grid="v")

    class Halves:
        classes_ = np.arange(n_classes)

        def predict_proba(self, X):
            last = np.asarray(X["v"], float)[:, :1] / 2
            return np.hstack([1 - last, *[0 * last] * (n_classes - 2), last])

        def content_hash(self):
            return "halves"

    ChunkedPredictor(Halves(), 256, outputs=["proba"]).predict(scene, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map_proba.tif") as file:
        assert {each.name for each in file.colorinterp} <= {"gray", "undefined"}
        assert file.overviews(n_classes) and file.nodata == 255
        coarse = file.read(n_classes, out_shape=(300, 300))
        with WarpedVRT(file) as warped:
            np.testing.assert_array_equal(warped.read(), file.read())
        half = round(0.5 / file.scales[0])
    assert (coarse[:, :149] == 0).all() and (coarse[:, 151:] == half).all()


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (
            {"outputs": "probability"},
            ValueError,
            r"outputs must be some of 'class', .*; got \['probability'\]",
        ),
        ({"outputs": []}, ValueError, "outputs must be some of"),
        ({"outputs": [1]}, ValueError, "outputs must be some of"),
        ({"outputs": "attention"}, TypeError, "attention.*; got RandomForestClassifier, which has none"),
        ({"outputs": ["features"]}, TypeError, "needs a method transform"),
        ({"dtype": "int16"}, ValueError, "dtype must be one of 'uint8', 'uint16', 'float32'; got 'int16'"),
        ({"batch_size": 0}, ValueError, "batch_size must be a positive integer; got 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be a number of processes"),
        ({"n_jobs": 1.5}, ValueError, "n_jobs must be a number of processes"),
    ],
)
def test_parameters_must_be_as_described(scene, tmp_path, options, kind, words):
    forest = RandomForestClassifier(1).fit(np.zeros((2, 1)), [1, 2])
    with pytest.raises(kind, match=words):
        ChunkedPredictor(forest, **options).predict(scene, tmp_path / "map.tif")
    assert list(tmp_path.iterdir()) == []


def test_layers_never_replace_a_source(tmp_path):
    scene = Scene({"v": VectorRaster(write(tmp_path / "map_proba.tif", coded(1, 4, 4, "u1")))}, grid="v")
    with pytest.raises(ValueError, match=r"must not replace a source of its scene; got .*map_proba.tif"):
        ChunkedPredictor(CodeReader(), outputs="proba").predict(scene, tmp_path / "map.tif", overwrite=True)


def test_entropy_and_margin_have_known_values():
    proba = np.array([[0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(entropy(proba), [1, 0, 0.5])
    np.testing.assert_allclose(margin(proba), [0, 1, 0])
    assert (entropy(proba[:, :1]), margin(proba[:, :1])[0]) == (pytest.approx(np.zeros(3)), 1)


# ----- unsure pixels


def test_pixels_below_the_threshold_are_unsure_with_a_code_of_their_own(scene, everything, network, tmp_path):
    X, valid = everything
    proba = network.predict_proba(X[valid])
    at = int(0.4 * len(proba))
    threshold = float(np.sort(proba.max(axis=1))[at : at + 2].mean())  # between two pixels
    path = ChunkedPredictor(network, (11, 17), reject=threshold, outputs=["proba"]).predict(
        scene, tmp_path / "map.tif"
    )
    codes, _, tags, _, _ = read(path)
    flat = codes.reshape(-1)
    expected = np.where(proba.max(axis=1) < threshold, 4, proba.argmax(axis=1) + 1)
    np.testing.assert_array_equal(flat[valid], expected)
    assert (flat[~valid] == 0).all()
    assert 0.3 < (expected == 4).mean() < 0.5
    names = {str(k): name for k, name in enumerate([*network.classes_, "unsure"], start=1)}
    assert json.loads(tags["CLASS_NAMES"]) == names
    with rasterio.open(path) as file:
        assert file.colormap(1)[4] == (220, 220, 220, 255)
    assert read(tmp_path / "map_proba.tif")[3] == tuple(network.classes_)  # the classes, and nothing else
    report = json.loads((tmp_path / "map.report.json").read_text())
    counted = {entry["name"]: entry["pixels"] for entry in report["classes"]}
    assert counted["unsure"] == (expected == 4).sum()
    assert report["pixels"]["predicted"] == valid.sum()
    with pytest.raises(FileExistsError):  # another threshold is another map
        ChunkedPredictor(network, (11, 17), reject=0.99, outputs=["proba"]).predict(scene, path)


@pytest.mark.parametrize(
    ("colors", "least"),
    [
        (Legend.of(range(1, 9)).colors, 25),
        (Legend.of(range(1, 14)).colors, 20),
        (Legend.of(range(1, 19)).colors, 15),
        ([land.color for land in CLASSES], 20),
    ],
)
def test_colours_of_classes_are_told_apart_with_any_colour_vision(colors, least):
    white_and_unsure = [(255, 255, 255), UNSURE_COLOR]
    assert min(least_distance(colors).values()) > least
    assert min(least_distance([color, white_and_unsure[0]])["all cones"] for color in colors) > 15
    assert min(least_distance([color, white_and_unsure[1]])["all cones"] for color in colors) > 15


def test_unsure_comes_after_the_largest_code():
    legend = Legend.of([11, 255], reject=0.5)
    assert legend.codes.tolist() == [11, 255, 256] and legend.codes.dtype == np.uint16
    assert legend.codes_of(np.array([[0.5, 0.5], [0.2, 0.8], [0.49, 0.0]])).tolist() == [11, 255, 256]
    assert (legend.n_classes, legend.names) == (2, ("11", "255", "unsure"))
    assert type(Legend.of([1, 2], reject=np.float32(0.5)).reject) is float
    assert Legend.of([11, 255]).codes_of(np.array([[0.1, 0.0]])).tolist() == [11]


@pytest.mark.parametrize(
    "labels, reject, message",
    [
        (["a", "b"], 0, "reject must be a probability above 0"),
        (["a", "b"], 60, "reject must be a probability above 0, such as 0.6"),
        (["a", "b"], True, "reject must be a probability"),
        (["a", "unsure"], 0.5, "'unsure', which is a class already"),
        ([1, 65_534], 0.5, "code 65534 is taken, so that none is left for 'unsure'. Leave reject out"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(labels, reject, message):
    with pytest.raises(ValueError, match=message):
        Legend.of(labels, reject=reject)
