"""The examples run, as files, on small sizes."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))


def run(name, *arguments, cwd):
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_map_scene_writes_table_maps_figures_and_report(tmp_path):
    out = run("map_scene.py", "out", 120, 4, 2, 10, cwd=tmp_path)
    folder = tmp_path / "out"
    for name in ("map.tif", "map_forest.tif", "map.png", "report.json", "report.html"):
        assert (folder / name).stat().st_size > 1000, name
    report = json.loads((folder / "report.json").read_text())
    rows = [(row["model"], row["sources"]) for row in report["table"]]
    assert rows == [(model, source) for source in ("ts", "patch", "all") for model in ("forest", "network")]
    for row in report["table"]:
        assert 0 < row["accuracy"] < 1
        assert f"{row['accuracy']:.4f}" in out
    assert f"Look at {folder / 'report.html'}" in out
    sections = re.findall(r'<section id="(\w+)"', (folder / "report.html").read_text())
    assert sections == [
        "maps", "scores", "classes", "confusion", "attention", "importance", "calibration", "areas", "origin"
    ]  # fmt: skip


def test_many_sensors_fits_searches_and_maps_five_sources(tmp_path):
    out = run("many_sensors.py", "out", 60, 3, 1, cwd=tmp_path)
    kinds = "s2_10m: series (3, 4) float32, s2_20m: series (3, 6) float32, s1: series (6, 2) float32, "
    assert kinds + "vhsr: patch (5, 15, 15) uint16, terrain: vector (2,) float32" in out
    assert all(text in out for text in ("alpha:", "accuracy", "alone", "map.tif"))
    with rasterio.open(tmp_path / "out" / "map.tif") as file:
        codes = file.read(1)
    assert codes.shape == (60, 60) and (codes > 0).all() and len(np.unique(codes)) > 1


def test_dask_cluster_searches_and_writes_a_map(tmp_path):
    out = run("dask_cluster.py", "out", 60, 3, 1, cwd=tmp_path)
    assert out.index("{'alpha': 0.1}") < out.index("{'alpha': 0.3}") < out.index("wrote out/map.tif")
    assert (tmp_path / "out" / "map.tif").stat().st_size > 500


PROGRAMS = {"map_scene", "many_sensors", "dask_cluster"}  # tried above; `make docs` runs all others
OTHERS = [path for path in FILES if path.stem not in PROGRAMS]


@pytest.mark.skipif(
    not os.environ.get("M3FUSION_SOAK"), reason="make docs runs them; here with M3FUSION_SOAK=1"
)
@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_every_example_runs_as_a_file(path, tmp_path):
    run(path.name, cwd=tmp_path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_examples_are_short_open_with_why_and_draw_a_figure(path):
    text = path.read_text()
    lines = text.splitlines()
    assert 35 <= len(lines) <= (200 if path.stem == "tutorial" else 110)
    assert lines[0] == '"""' and set(lines[2]) == {"="}, "a title first"
    assert re.search(r"\b(plt|pyplot)\.|plot_", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_examples_use_public_names_only(path):
    for module, names in re.findall(
        r"^from (m3fusion_sk\S*) import \(?([^()]+?)\)?$", path.read_text(), re.M
    ):
        for name in filter(None, re.split(r"[\s,]+", names)):
            assert name in importlib.import_module(module).__all__, f"{module}.{name}"


def test_the_gallery_has_an_order_for_every_example():
    tree = ast.parse((EXAMPLES.parent / "docs" / "examples_setup.py").read_text())
    (order,) = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "ORDER"
    ]
    assert sorted(ast.literal_eval(order)) == [path.stem for path in FILES]
    assert len(FILES) >= 11
