"""What the package offers by name."""

import subprocess
import sys

import m3fusion_sk
from m3fusion_sk import mapping

TOP_LEVEL = {
    "GapFiller",
    "M3FusionClassifier",
    "MultiSource",
    "SelectSources",
    "SpectralIndices",
    "StackedFeatures",
    "StratifiedGroupShuffleSplit",
    "__version__",
    "land_cover_scores",
    "make_land_cover",
    "make_scene",
    "paper_settings",
    "stacked_forest",
}
MAPPING = {"ChunkedPredictor", "PatchRaster", "Scene", "SeriesRaster", "VectorRaster"}


def test_the_public_names_are_these():
    assert set(m3fusion_sk.__all__) == TOP_LEVEL
    assert sorted(m3fusion_sk.__all__) == m3fusion_sk.__all__
    assert set(mapping.__all__) == MAPPING
    for name in TOP_LEVEL:
        assert hasattr(m3fusion_sk, name)


def test_every_public_object_is_documented():
    for module, names in ((m3fusion_sk, TOP_LEVEL - {"__version__"}), (mapping, MAPPING)):
        for name in names:
            text = getattr(module, name).__doc__
            assert "Examples\n" in text, name


def test_the_package_is_imported_without_its_extras():
    blocked = ["rasterio", "geopandas", "matplotlib", "dask", "onnx", "onnxruntime", "rio_cogeo", "spyndex"]
    code = f"""
import sys
for name in {blocked}:
    sys.modules[name] = None
import m3fusion_sk
for name in m3fusion_sk.__all__:
    getattr(m3fusion_sk, name)
try:
    import m3fusion_sk.mapping
except ImportError as error:
    assert 'pip install "m3fusion_sk[raster]"' in str(error), error
else:
    raise SystemExit("mapping was imported without rasterio")
for call in (
    lambda: m3fusion_sk.make_scene("nowhere"),
    lambda: plot_confusion(None),
    lambda: m3fusion_sk.SpectralIndices({{"ts": ["R", "N"]}}).fit({{"ts": [[[1.0, 2.0]]]}}),
):
    from m3fusion_sk.plotting import plot_confusion
    try:
        call()
    except ImportError as error:
        assert 'pip install "m3fusion_sk[' in str(error), error
    else:
        raise SystemExit("ran without its extra")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
