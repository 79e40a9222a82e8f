"""Each message of the page of questions is really met, as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import sklearn
from affine import Affine
from shapely.geometry import LineString, box
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import Perceptron
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from m3fusion_sk import M3FusionClassifier, MultiSource, StratifiedGroupShuffleSplit
from m3fusion_sk.mapping import ChunkedPredictor, RasterArray, Scene, SeriesRaster, VectorRaster
from m3fusion_sk.mapping.run import locked

FAQ = Path(__file__).parents[1] / "docs" / "faq.md"
ADVICE = "Where do `groups` go with early stopping?"
HEADINGS = [title for title in re.findall(r"^### (.+)$", FAQ.read_text(), re.MULTILINE) if title != ADVICE]
RNG = np.random.default_rng(0)
Y = np.repeat([0, 1], 30)
ARRAYS = {"ts": RNG.normal(size=(60, 4, 2)), "patch": RNG.normal(size=(60, 2, 5, 5))}
HERE = Affine(10, 0, 320_000, 0, -10, 7_690_000)


def fit(X=None, y=Y, **settings):
    settings = {"max_epochs": 1, "hidden_size": 4, "n_filters": 2, **settings}
    return M3FusionClassifier(**settings).fit(ARRAYS if X is None else X, y)


def gaps(rows, dates):
    ts = ARRAYS["ts"].copy()
    ts[rows, dates] = np.nan
    return {**ARRAYS, "ts": ts}


def raster(n_bands=4, pixel=10, shift=0, crs="EPSG:32740", size=8):
    place = Affine(pixel, 0, 320_000 + shift, 0, -pixel, 7_690_000)
    return RasterArray(np.ones((n_bands, size, size), np.uint8), place, crs)


def scene(**others):
    return Scene({"ts": SeriesRaster(raster(), n_bands=2), **others}, grid="ts")


def layer(shape, field="class"):
    return gpd.GeoDataFrame({field: ["forest"]}, geometry=[shape], crs="EPSG:32740")


def predict_another_season(_):
    X = MultiSource(ARRAYS)
    n = X.specs["ts"].n_dates
    spring, autumn = ([f"2018-{month:02}-{day + 1:02}" for day in range(n)] for month in (4, 9))
    model = M3FusionClassifier(max_epochs=1).fit(X.with_dates(ts=spring), Y)
    model.predict(X.with_dates(ts=autumn))  # a warning, which is an error here


def predict_bands_the_other_way(_):
    X = MultiSource(ARRAYS)
    fit(X.with_bands(ts=["red", "nir"])).predict(X.with_bands(ts=["nir", "red"]))


def predict_without_scale(_):
    positive = MultiSource(ARRAYS).replace(ts=10 + ARRAYS["ts"])
    fit(positive).predict(positive.replace(ts=1e5 * positive["ts"]))  # a warning too


def some_declare(_):
    told = RasterArray(*(getattr(raster(), part) for part in ("values", "transform", "crs")), nodata=0)
    scene(ts=SeriesRaster([raster(), told]))  # a warning as well


def sort_by_satellite(folder):
    for path in (folder / "S2A_20180511.tif", folder / "S2B_20180501.tif"):
        with rasterio.open(path, "w", "GTiff", 8, 8, 1, "EPSG:32740", HERE, "uint8"):
            pass
    scene(ts=SeriesRaster(sorted(folder.glob("S2*"))))


def map_twice(folder):
    path, source = folder / "map.tif", Scene({"v": VectorRaster(raster())}, grid="v")
    for estimator in (DummyClassifier(), DummyClassifier(strategy="uniform", random_state=0)):
        ChunkedPredictor(estimator.fit([[0]] * 2, [1, 2])).predict(source, path)


def map_of(estimator):
    def call(folder):
        ChunkedPredictor(estimator).predict(scene(), folder / "map.tif")

    return call


def map_twice_at_once(folder):
    with locked(folder / "map.tif"), locked(folder / "map.tif"):
        pass


def on_a_full_disk(folder):
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_faq import map_twice
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from pathlib import Path
map_twice(Path({str(folder)!r}))
"""
    raise_last_line(code)


def without(package, call):
    def run(folder):
        raise_last_line(f"import sys; sys.modules[{package!r}] = None\n{call}")

    return run


def raise_last_line(code):
    """What a process of its own ends with, as an error here."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    raise RuntimeError(result.stderr.strip().splitlines()[-1].partition(": ")[2])


def with_dispatch(folder):
    with sklearn.config_context(array_api_dispatch=True):
        StandardScaler().fit(MultiSource(ARRAYS))


ONNX = """
import numpy as np
from m3fusion_sk import M3FusionClassifier
M3FusionClassifier(max_epochs=1).fit(np.eye(4), [0, 1, 0, 1]).to_onnx("model.onnx")
"""
CALLS = {
    "Found input variables": lambda _: train_test_split(ARRAYS, Y),
    "Expected 2D array, got scalar": lambda _: AdaBoostClassifier().fit(ARRAYS, Y),
    "float() argument": lambda _: StandardScaler().fit(ARRAYS),
    "KeyError: 0": lambda _: ColumnTransformer([("a", "passthrough", [0])]).fit(ARRAYS),
    "Specifying the columns": lambda _: ColumnTransformer([("a", "passthrough", ["ts"])]).fit(
        MultiSource(ARRAYS)
    ),
    "make_column_selector can": lambda _: make_column_selector("^ts_")(MultiSource(ARRAYS)),
    "MultiSource is not a supported": with_dispatch,
    "X must be a table": lambda _: fit(ARRAYS["ts"]),
    "X must name its sources": lambda _: fit(list(ARRAYS.values())),
    "X[...] must be a plain array": lambda _: fit({"ts": np.ma.masked_array(ARRAYS["ts"])}),
    "Input X['ts'] contains NaN or infinity": lambda _: fit(gaps(0, 1)),
    "Input X['patch'] contains NaN in a part": lambda _: fit(
        {**ARRAYS, "patch": np.where(ARRAYS["patch"] > 2, np.nan, ARRAYS["patch"])},
        missing="mask",
        missing_sources="drop",
    ),
    "Input X['ts'] contains nothing but": lambda _: fit(gaps(0, slice(None)), missing="fill"),
    "X['patch'] must have patches": lambda _: fit(stem="7x7"),
    "classes must hold": lambda _: fit(classes=[0, 2]),
    "alpha must have": lambda _: fit(alpha={"ts": 0.1}),
    "StratifiedGroupShuffleSplit needs groups": lambda _: next(StratifiedGroupShuffleSplit().split(Y, Y)),
    "StratifiedGroupShuffleSplit needs at least": lambda _: next(
        StratifiedGroupShuffleSplit().split(Y, Y, np.zeros(60))
    ),
    "X[...] must have its dates": predict_another_season,
    "X[...] must have its bands": predict_bands_the_other_way,
    "X[...] lies far from what fit saw": predict_without_scale,
    "Source 'ts' must say how": lambda _: Scene({"ts": SeriesRaster(raster())}, grid="ts"),
    "Source 'ts' must have its files": sort_by_satellite,
    "Source 'ts' should have a nodata": some_declare,
    "Source 'ts' must have n_bands": lambda _: Scene({"ts": SeriesRaster(raster(), n_bands=3)}, grid="ts"),
    "... must have the reference": lambda _: scene(v=VectorRaster(raster(crs="EPSG:4326"))),
    "... must have pixels that nest": lambda _: scene(v=VectorRaster(raster(pixel=3))),
    "... must share pixel edges": lambda _: scene(v=VectorRaster(raster(shift=4))),
    "There must be labelled": lambda _: scene().sample(layer(box(0, 0, 9, 9)), "class"),
    "The layer must have the field": lambda _: scene().sample(layer(box(0, 0, 9, 9), "crop"), "class"),
    "The layer must hold polygons": lambda _: scene().sample(layer(LineString([(0, 0), (1, 1)])), "class"),
    "The map ... exists already": map_twice,
    "ChunkedPredictor needs a classifier": map_of(Perceptron().fit([[0], [1]], [1, 2])),
    "... could not be written": on_a_full_disk,
    "Another run is writing": map_twice_at_once,
    "m3fusion_sk.mapping needs": without("rasterio", "import m3fusion_sk.mapping"),
    "Figures need matplotlib": without(
        "matplotlib", "from m3fusion_sk.plotting import plot_confusion as p; p(None)"
    ),
    "to_onnx needs": without("onnx", ONNX),
}


def matches(title, text):
    """Three dots stand for anything; at the end for nothing too."""
    parts = [re.escape(part) for part in title.split("...")]
    return re.match(".+".join(parts).removesuffix(".+"), text)


@pytest.mark.parametrize("title", HEADINGS, ids=lambda title: title[:40])
def test_the_message_is_met_as_it_stands_there(title, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (call,) = [call for start, call in CALLS.items() if title.startswith(start)]
    with pytest.raises(Exception) as caught:
        call(tmp_path)
    named = f"{type(caught.value).__name__}: {caught.value}"
    assert matches(title, str(caught.value)) or matches(title, named), named


def test_every_call_has_its_question():
    assert len(CALLS) == len(HEADINGS)
