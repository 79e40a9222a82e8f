"""What the package offers by name."""

import ast
import importlib
import inspect
import pydoc
import re
from pathlib import Path

import pytest

import m3fusion_sk
from m3fusion_sk import mapping, plotting, report

TOP_LEVEL = {
    "GapFiller",
    "M3FusionClassifier",
    "MultiSource",
    "SelectSources",
    "SpectralIndices",
    "StackedFeatures",
    "StratifiedGroupShuffleSplit",
    "__version__",
    "land_cover_report",
    "land_cover_scores",
    "make_land_cover",
    "make_scene",
    "paper_settings",
    "stacked_forest",
}
MAPPING = {
    "ChunkedPredictor",
    "MapBusy",
    "MapNotWritten",
    "PatchRaster",
    "PatchSeriesRaster",
    "RasterArray",
    "RunMismatch",
    "Scene",
    "SeriesRaster",
    "VectorRaster",
}
REFERENCE = Path(__file__).parents[1] / "docs" / "api.rst"
NOTHING_RETURNED = {"M3FusionClassifier.save", "M3FusionClassifier.to_onnx"}


def test_the_public_names_are_these():
    assert set(m3fusion_sk.__all__) == TOP_LEVEL
    assert sorted(m3fusion_sk.__all__) == m3fusion_sk.__all__
    assert set(mapping.__all__) == MAPPING
    for name in TOP_LEVEL:
        assert hasattr(m3fusion_sk, name)


def names_in_the_reference():
    """Module and name of everything that docs/api.rst lists."""
    module = None
    for line in REFERENCE.read_text().splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.removeprefix(".. currentmodule:: ")
        elif re.fullmatch(r"   \w+", line):
            yield module, line.strip()


@pytest.mark.skipif(not REFERENCE.exists(), reason="the pages are not part of the wheel")
def test_every_public_object_is_documented_with_an_example():
    listed = list(names_in_the_reference())
    for module, name in listed:
        assert "Examples\n" in getattr(importlib.import_module(module), name).__doc__, (module, name)
    for module, names in [(m3fusion_sk, TOP_LEVEL - {"__version__"}), (mapping, MAPPING)]:
        assert {name for place, name in listed if place == module.__name__} == names
    for part in (plotting, report):
        assert "Examples\n" in "".join(getattr(part, name).__doc__ for name in part.__all__)


HEADING = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}$", re.MULTILINE)
OF_PYTHON = {"self", "cls"}


def sections(thing):
    """The sections of a numpydoc docstring, by heading."""
    parts = HEADING.split(inspect.getdoc(thing) or "")
    return {"Summary": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented(section):
    lines = [line for line in section.splitlines() if line and not line.startswith(" ")]
    return {name.strip().lstrip("*") for line in lines for name in line.split(":")[0].split(",")}


def public_methods(thing):
    for name, member in inspect.getmembers(thing):
        ours = str(getattr(member, "__module__", "")).startswith("m3fusion_sk")
        if not name.startswith("_") and ours and (inspect.isfunction(member) or inspect.ismethod(member)):
            yield f"{thing.__name__}.{name}", member


def documented_things():
    for name in sorted(TOP_LEVEL - {"__version__"}):
        thing = getattr(m3fusion_sk, name)
        yield name, thing
        if inspect.isclass(thing):
            yield from public_methods(thing)
    for part in (plotting, report):
        yield from ((name, getattr(part, name)) for name in part.__all__)


@pytest.mark.parametrize(
    ("name", "thing"), list(documented_things()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_parameter_and_result_is_documented(name, thing):
    found, signature = sections(thing), inspect.signature(thing)
    assert found["Summary"].strip(), name
    missing = set(signature.parameters) - OF_PYTHON - documented(found.get("Parameters", ""))
    assert not missing, f"{name} does not document {sorted(missing)}"
    one_liner = not set(signature.parameters) - OF_PYTHON
    if not inspect.isclass(thing) and name not in NOTHING_RETURNED and not one_liner:
        assert {"Returns", "Yields"} & set(found), f"{name} does not say what it returns"


def test_the_help_of_the_classifier_is_enough_to_use_it():
    text = pydoc.render_doc(m3fusion_sk.M3FusionClassifier, renderer=pydoc.plaintext)
    parameters = inspect.signature(m3fusion_sk.M3FusionClassifier).parameters
    for name in parameters:
        assert re.search(rf"^ \|  {name} : ", text, re.MULTILINE), name
    for default in (p for p in parameters.values() if p.default not in (None, inspect.Parameter.empty)):
        stated = re.search(rf"^ \|  {default.name} : .*default=(\S+)$", text, re.MULTILINE)[1]
        assert ast.literal_eval(stated) == default.default, default.name
    for word in (
        "n_dates, n_bands",
        "n_bands, height,",
        "predict_proba(self, X)",
        "Raises",
        ">>> clf.predict",
    ):
        assert word in text, word
