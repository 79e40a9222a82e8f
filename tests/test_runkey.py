"""What a run is known by: one weight, one byte, one parameter more or less is another run."""

import pickle
import random
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import zarr
from made_rasters import coded, write, write_vrt
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import BallTree, KernelDensity, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from test_predictor import CodeReader, write_scene
from test_store import stop_after

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource, make_land_cover, stacked_forest
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, RunMismatch, Scene, SeriesRaster, VectorRaster
from m3fusion_sk.mapping.runkey import hash_estimator

HASH = """
import sys, joblib
from m3fusion_sk import M3FusionClassifier
from m3fusion_sk.mapping.runkey import hash_estimator
for path in sys.argv[1:]:
    print(hash_estimator(M3FusionClassifier.load(path) if path.endswith("m3f") else joblib.load(path)))
"""


@pytest.fixture(scope="module")
def samples():
    return make_land_cover(60, n_dates=4, n_bands=2, patch_size=7, random_state=0)[:2]


@pytest.fixture(scope="module")
def network(samples):
    return M3FusionClassifier(hidden_size=4, n_filters=2, max_epochs=1, random_state=0).fit(*samples)


@pytest.fixture(scope="module")
def forest(samples):
    return stacked_forest(n_estimators=3, random_state=0).fit(*samples)


# ----- models


FACTOR, TABLE = 2.0, np.arange(3)


def scaled(X):
    return [FACTOR * value + TABLE[0] for value in X]


@pytest.mark.parametrize(("name", "value"), [("FACTOR", 3.0), ("TABLE", np.arange(1, 4))])
def test_a_function_counts_with_the_numbers_and_arrays_that_it_names(monkeypatch, name, value):
    before = hash_estimator(FunctionTransformer(scaled))
    assert hash_estimator(FunctionTransformer(scaled)) == before
    monkeypatch.setattr(sys.modules[__name__], name, value)
    assert hash_estimator(FunctionTransformer(scaled)) != before


def test_a_vote_of_networks_is_hashed_by_what_they_learned_and_by_their_parameters(samples):
    def vote(seeds, epochs=1):
        settings = {"hidden_size": 4, "n_filters": 2, "max_epochs": epochs}
        networks = [(f"seed {n}", M3FusionClassifier(**settings, random_state=n)) for n in seeds]
        return hash_estimator(VotingClassifier(networks, voting="soft").fit(*samples))

    assert vote((0, 1)) == vote((0, 1))
    assert len({vote((0, 1)), vote((0, 2)), vote((0, 1), 2)}) == 3


def test_a_model_has_the_same_hash_in_every_process(network, forest, samples, tmp_path):
    network.save(tmp_path / "model.m3f")
    wrapped = make_pipeline(FunctionTransformer(), network)
    flat = np.asarray(samples[0])
    others = [
        make_pipeline(StandardScaler(), SVC()),
        HistGradientBoostingClassifier(max_iter=3),
        KNeighborsClassifier(algorithm="kd_tree"),
        LogisticRegression(max_iter=2000),
        VotingClassifier([("a", DecisionTreeClassifier()), ("b", GaussianNB())]),
    ]
    models = [forest, wrapped, *(other.fit(flat, samples[1]) for other in others)]
    paths = [str(tmp_path / "model.m3f"), *(str(tmp_path / f"{i}.joblib") for i in range(len(models)))]
    for model, path in zip(models, paths[1:], strict=True):
        joblib.dump(model, path)
    command = [sys.executable, "-c", HASH, *paths]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == [hash_estimator(model) for model in (network, *models)]
    assert len(set(found)) == len(paths)


def test_each_single_weight_counts(network):
    before = hash_estimator(network)
    twin = pickle.loads(pickle.dumps(network))
    wrapped = make_pipeline(FunctionTransformer(), network)
    within = hash_estimator(wrapped)
    for tensor in twin.net_.module_.state_dict().values():
        i = tuple(random.Random(0).randrange(n) for n in tensor.shape)
        kept = tensor[i].item()
        whole = not tensor.is_floating_point()
        tensor[i] = kept + 1 if whole else float(np.nextafter(np.float32(kept), np.float32(9)))
        assert hash_estimator(twin) != before
        assert hash_estimator(make_pipeline(FunctionTransformer(), twin)) != within
        tensor[i] = kept
    assert hash_estimator(twin) == before


def test_parameters_and_thresholds_count(network, forest):
    before = hash_estimator(network)
    assert hash_estimator(pickle.loads(pickle.dumps(network)).set_params(alpha=0.31)) != before
    before, twin = hash_estimator(forest), pickle.loads(pickle.dumps(forest))
    tree = twin[-1].estimators_[1].tree_
    tree.threshold[0] = np.nextafter(tree.threshold[0], np.inf)
    assert hash_estimator(twin) != before
    tree.threshold[0] = np.nextafter(tree.threshold[0], -np.inf)
    assert hash_estimator(twin) == before


@pytest.mark.parametrize(
    "model",
    [
        KNeighborsClassifier(algorithm="kd_tree"),
        KNeighborsClassifier(algorithm="ball_tree"),
        MLPClassifier((3,), max_iter=200, tol=1, n_iter_no_change=1),
        HistGradientBoostingClassifier(max_iter=3, max_features=0.5),
        RandomForestClassifier(3, random_state=np.random.default_rng(0).integers(9)),
        make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=np.random.RandomState(0))),
        GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=KFold(2)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_a_session_does_beside_does_not_make_another_model(samples, model):
    X, y = np.asarray(samples[0]), samples[1]
    before = hash_estimator(model.fit(X, y))
    if isinstance(model, GridSearchCV):  # whose seconds differ
        assert hash_estimator(clone(model).fit(X, y)) == before
    np.random.random()  # noqa: NPY002 - the global generator, as other code may use it
    model.predict_proba(X)
    of_session = {name for name in model.get_params() if name.endswith(("n_jobs", "verbose"))}
    model.set_params(**{name: 2 if name.endswith("n_jobs") else True for name in of_session})
    assert hash_estimator(model) == before
    assert hash_estimator(pickle.loads(pickle.dumps(model))) == before
    assert hash_estimator(clone(model).fit(X[::2], y[::2])) != before


def test_weights_and_metrics_of_trees_count():
    X = np.arange(12.0)[:, None]
    weighted = [KernelDensity().fit(X, sample_weight=weights) for weights in (X[:, 0] + 1, 12 - X[:, 0])]
    measured = [BallTree(X, metric=metric) for metric in ("euclidean", "manhattan")]
    assert len({hash_estimator(model) for model in (*weighted, *measured)}) == 4


class Linked(BaseEstimator):
    """An estimator that knows itself, as callbacks and parents are known."""

    def fit(self, X, y=None):
        self.me_, self.scaler_ = self, FunctionTransformer(self.scale)
        self.twice_ = [self.scaler_, self.scaler_]
        return self

    def scale(self, X):
        return X


def test_estimators_that_know_themselves_have_a_hash():
    assert hash_estimator(Linked().fit(None)) == hash_estimator(Linked().fit(None))
    model = Linked().fit(None)
    for _ in range(40):  # each is met once, though there are 2 ** 40 ways to it
        model = make_pipeline(model, model)
    assert hash_estimator(model) != hash_estimator(Linked())


class Ensemble(list, BaseEstimator):
    pass


def test_what_an_estimator_holds_as_a_list_counts():
    assert hash_estimator(Ensemble([1])) != hash_estimator(Ensemble([2]))


def test_dates_that_gaps_are_filled_by_count_and_names_of_bands_do_not():
    X = MultiSource(ts=np.zeros((4, 3, 1)))
    days = ["2018-05-01", "2018-05-02", "2018-05-10"]
    plain, dated, named = (
        hash_estimator(GapFiller().fit(part)) for part in (X, X.with_dates(ts=days), X.with_bands(ts=["B04"]))
    )
    assert plain == named != dated


def test_an_estimator_that_cannot_be_hashed_is_refused(tmp_path):
    class Local:
        classes_ = np.array([1, 2])

        def predict_proba(self, X):
            return np.full((len(X), 2), 0.5)

    scene = write_scene(tmp_path)
    with pytest.raises(TypeError, match=r"Local must have a content that can be hashed.*content_hash\(\)"):
        ChunkedPredictor(Local()).predict(scene, tmp_path / "map.tif")


# ----- inputs and parameters


def key_of(scene):
    return scene.fingerprint()


def test_each_single_byte_of_an_input_counts(tmp_path):
    scene, rng = write_scene(tmp_path), random.Random(0)
    before = key_of(scene)
    for path in scene.paths:
        content = Path(path).read_bytes()
        for _ in range(5):
            i = rng.randrange(len(content))
            Path(path).write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
            try:
                assert key_of(scene) != before
            except OSError as error:  # a byte of the header: it says another place or type now
                assert "has changed since the scene was made" in str(error) or "can be opened" in str(error)
        Path(path).write_bytes(content)
    assert key_of(scene) == before


def test_files_of_virtual_rasters_count_at_any_depth(tmp_path):
    write(tmp_path / "v.tif", coded(1, 4, 5, "uint8"))
    write_vrt(tmp_path / "inner.vrt", "v.tif", 4, 5)
    write_vrt(tmp_path / "outer.vrt", "inner.vrt", 4, 5)
    scene = Scene({"v": VectorRaster(tmp_path / "outer.vrt")}, grid="v")
    assert {path.name for path in scene.files()} == {"outer.vrt", "inner.vrt", "v.tif"}
    before = key_of(scene)
    write(tmp_path / "v.tif", coded(1, 4, 5, "uint8", start=2))
    assert key_of(scene) != before


def test_files_that_a_virtual_raster_lacks_are_told_before_a_map(tmp_path):
    write(tmp_path / "v.tif", coded(1, 4, 5, "uint8"))
    write_vrt(tmp_path / "inner.vrt", "v.tif", 4, 5)
    scene = Scene({"v": VectorRaster(write_vrt(tmp_path / "outer.vrt", "inner.vrt", 4, 5))}, grid="v")
    (tmp_path / "v.tif").rename(tmp_path / "w.tif")
    with (
        pytest.warns(UserWarning, match=r"inner.vrt has parts in .*v.tif, which is not there: reading them"),
        pytest.raises(OSError, match=r"outer.vrt cannot be read"),
    ):
        ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "map.tif")


@pytest.mark.parametrize("folder", ["mine!", "plain", "a!b!", "{c}"])
def test_names_with_signs_count_as_others_do(tmp_path, folder):
    (tmp_path / folder).mkdir()
    path = write(tmp_path / folder / "v.tif", coded(1, 4, 5, "uint8"))
    scenes = [Scene({"v": VectorRaster(path)}, grid="v")]
    scenes += [Scene({"v": VectorRaster(write_vrt(tmp_path / folder / "v.vrt", "v.tif", 4, 5))}, grid="v")]
    before = [key_of(scene) for scene in scenes]
    assert all(path in scene.files() for scene in scenes)
    write(path, coded(1, 4, 5, "uint8", start=2))
    assert all(key_of(scene) != key for scene, key in zip(scenes, before, strict=True))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_chunks_of_zarr_that_gdal_reads_count(tmp_path, zarr_format):
    import rasterio

    shape = {"shape": (8, 8), "chunks": (4, 4), "dtype": "u1", "compressors": None}
    store = zarr.create_array(tmp_path / "v.zarr", zarr_format=zarr_format, **shape)
    store[:] = coded(1, 8, 8, "uint8")[0]
    try:
        rasterio.open(tmp_path / "v.zarr").close()
    except rasterio.errors.RasterioIOError:
        pytest.skip("this GDAL reads no such Zarr")
    scene = Scene({"v": VectorRaster(tmp_path / "v.zarr")}, grid="v")
    before = key_of(scene)
    store[7, 7] = 1
    assert key_of(scene) != before


def test_statistics_beside_an_input_do_not_count(tmp_path):
    scene = write_scene(tmp_path)
    before = key_of(scene)
    for path in scene.paths:
        Path(path + ".aux.xml").write_text("<PAMDataset></PAMDataset>")
    assert key_of(scene) == before


def test_files_in_archives_count(tmp_path):
    import zipfile

    path = write(tmp_path / "v.tif", coded(1, 4, 5, "uint8"))
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.write(path, "inside/v.tif")
    for name in (f"zip://{tmp_path}/v.zip!inside/v.tif", f"/vsizip/{tmp_path}/v.zip/inside/v.tif"):
        scene = Scene({"v": VectorRaster(name)}, grid="v")
        assert [found.name for found in scene.files()] == ["v.zip"]


SERIES, SPOT = {"n_bands": 2, "nodata": 3}, {"size": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"fill": None},
        {"order": "band"},
        {"n_bands": 3},
        {"nodata": 4},
        {"scale": 0.5},
        {"offset": 1},
        {"dates": ["2018-05-01", "2018-05-02", "2018-05-09"]},
        {"mask": "mask.tif"},
        {"mask": "mask.tif", "valid": (1,)},
        {"size": 3},
        {"chunk_size": 6},
        {"batch_size": 100},
        {"colors": {7: (1, 2, 3)}},
        {"outputs": ["class", "proba"]},
        {"outputs": ["class", "proba"], "dtype": "uint16"},
        {"classes": range(1, 251)},
        {"grid": "spot"},
    ],
    ids=str,
)
def test_each_single_parameter_counts(tmp_path, change):
    write_scene(tmp_path)
    write(tmp_path / "mask.tif", np.full((3, 13, 17), 4, "uint8"))

    def run(change, estimator=CodeReader):
        change = dict(change)
        classes = change.pop("classes", None)
        series = {k: change.pop(k) for k in list(change) if k in SeriesRaster.__dataclass_fields__}
        if "mask" in series:
            series["mask"] = tmp_path / series["mask"]
        spot = {k: change.pop(k) for k in list(change) if k in ("size",)}
        sources = {
            "s2": SeriesRaster(tmp_path / "s2.tif", **{**SERIES, **series}),
            "spot": PatchRaster(tmp_path / "spot.tif", **{**SPOT, **spot}),
        }
        scene = Scene(sources, grid=change.pop("grid", "s2"))
        reader = estimator() if classes is None else estimator(classes)
        return ChunkedPredictor(reader, **{"chunk_size": 5, **change}), scene

    sources = {
        "s2": SeriesRaster(tmp_path / "s2.tif", **SERIES),
        "spot": PatchRaster(tmp_path / "spot.tif", **SPOT),
    }
    stop_after(Scene(sources, grid="s2"), tmp_path / "map.tif", 3)
    predictor, scene = run(change)
    with pytest.raises(RunMismatch, match=r"chunks of another run, differing in \w+"):
        predictor.predict(scene, tmp_path / "map.tif")
    predictor, scene = run({})
    predictor.predict(scene, tmp_path / "map.tif")


def test_an_altered_input_or_model_is_never_resumed(tmp_path):
    scene = write_scene(tmp_path)
    stop_after(scene, tmp_path / "map.tif", 3)
    content = (tmp_path / "spot.tif").read_bytes()
    (tmp_path / "spot.tif").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunMismatch, match=r"differing in scene.sources.spot.content"):
        ChunkedPredictor(CodeReader(), 5).predict(scene, tmp_path / "map.tif")
    (tmp_path / "spot.tif").write_bytes(content)
    forest = RandomForestClassifier(1, random_state=0).fit(np.zeros((2, 1)), [1, 2])
    with pytest.raises(RunMismatch, match=r"differing in .*model"):
        ChunkedPredictor(forest, 5).predict(scene, tmp_path / "map.tif")
