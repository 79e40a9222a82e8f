"""What is not installed says which `pip install` brings it, where it is needed and not before."""

import subprocess
import sys

import pytest

BEGIN = """
import os, sys
for name in {blocked!r}:
    sys.modules[name] = None
import numpy as np
"""
SCENE = """
from affine import Affine
from sklearn.dummy import DummyClassifier
from m3fusion_sk.mapping import ChunkedPredictor, RasterArray, Scene, VectorRaster
values = RasterArray(np.ones((1, 8, 8), "uint8"), Affine(10, 0, 320000, 0, -10, 7690000), "EPSG:32740")
scene = Scene({"v": VectorRaster(values)}, grid="v")
estimator = DummyClassifier().fit([[0]] * 2, [1, 2])
"""
SAMPLE = SCENE + "scene.sample('parcels.gpkg', 'class')"
MAKE = "import m3fusion_sk; m3fusion_sk.make_scene('made')"
PLOT = "from m3fusion_sk.plotting import *; "
WRITE = """
from m3fusion_sk.reference import draw_reference_sample
draw_reference_sample(np.ones((9, 9), int), 9, least=1).write("points.gpkg")
"""
FIT = """
from m3fusion_sk import M3FusionClassifier, SpectralIndices
ts = np.arange(16.0).reshape(4, 2, 2)
"""
ONNX = FIT + "M3FusionClassifier(max_epochs=1).fit({'ts': ts}, [0, 1, 0, 1]).to_onnx('model.onnx')"
REPORT = """
from m3fusion_sk import land_cover_report
land_cover_report("report.html", ["a", "b"], {"model": ["a", "b"]})
"""
CALLS = {  # what is missing: (extra, calls that need it)
    "rasterio": (
        "raster",
        [
            "import m3fusion_sk.mapping",
            MAKE,
            PLOT + "plot_class_map('map.tif')",
            PLOT + "plot_map_pair('a.tif', 'b.tif')",
            PLOT + "plot_where_right('t.tif', 'a.tif', 'b.tif')",
            PLOT + "densest_zone('map.tif', None, 3)",
            "from m3fusion_sk.reference import *; draw_reference_sample('map.tif', 10)",
        ],
    ),
    "filelock": ("raster", ["import m3fusion_sk.mapping"]),
    "geopandas": ("raster", [SAMPLE, MAKE, WRITE]),
    "pyogrio": ("raster", [SAMPLE, MAKE, WRITE]),
    "matplotlib": (
        "plot",
        [
            PLOT + "plot_confusion(None)",
            PLOT + "plot_learning_curve(None)",
            SCENE + "ChunkedPredictor(estimator, quicklook=True).predict(scene, 'map.tif')",
        ],
    ),
    "jinja2": ("plot", [REPORT]),
    "onnx": ("onnx", [ONNX]),
    "spyndex": ("indices", [FIT + "SpectralIndices({'ts': ['R', 'N']}).fit({'ts': ts})"]),
    "distributed": ("dask", [SCENE + "ChunkedPredictor(estimator, client=0).predict(scene, 'map.tif')"]),
}
EVERY = sorted({*CALLS, "dask", "onnxruntime", "xarray", "zarr", "rich", "rio_cogeo", "shapely"})


def outcomes(blocked, calls, folder):
    """What each call raises, in one process that lacks some packages."""
    lines = [BEGIN.format(blocked=blocked)]
    for call in calls:
        body = "\n".join(f"    {line}" for line in call.strip().splitlines())
        lines.append(f"try:\n{body}\n    print('nothing')")
        lines.append("except Exception as error:\n    print(type(error).__name__, error)")
    command = [sys.executable, "-c", "\n".join(lines)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("package", CALLS)
def test_a_missing_package_says_which_extra_brings_it(package, tmp_path):
    extra, calls = CALLS[package]
    found = outcomes([package], calls, tmp_path)
    assert len(found) == len(calls)
    for text in found:
        assert text.startswith("ImportError") and package in text, text
        assert f'pip install "m3fusion_sk[{extra}]"' in text, text


def test_arrays_need_no_extra(tmp_path):
    names = "import m3fusion_sk\nfor name in m3fusion_sk.__all__:\n    getattr(m3fusion_sk, name)"
    call = names + FIT + "M3FusionClassifier(max_epochs=1).fit({'ts': ts}, [0, 1, 0, 1]).predict({'ts': ts})"
    assert outcomes(EVERY, [call], tmp_path) == ["nothing"]


def test_scenes_and_maps_need_the_raster_extra_only(tmp_path):
    call = SCENE + "ChunkedPredictor(estimator).predict(scene, 'map.tif')"
    others = [name for name in EVERY if CALLS.get(name, ("",))[0] != "raster" and name != "shapely"]
    assert outcomes(others, [call], tmp_path) == ["nothing"]


def test_a_client_must_be_one(tmp_path):
    (text,) = outcomes(
        [], [SCENE + "ChunkedPredictor(estimator, client=0).predict(scene, 'map.tif')"], tmp_path
    )
    assert text.startswith("TypeError client must be a distributed.Client") and "got int" in text
