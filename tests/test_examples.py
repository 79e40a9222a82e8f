"""The examples run, as files, on small sizes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *arguments, cwd):
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_quickstart_prints_scores_of_both_models(tmp_path):
    out = run("quickstart.py", 400, 2, cwd=tmp_path)
    assert out.index("forest") < out.index("network") < out.index("attention by date")


def test_grid_search_tries_every_setting(tmp_path):
    out = run("grid_search.py", 1500, 1, cwd=tmp_path)
    assert out.count("{'ts': 0.5, 'patch': 0.1}") >= 2
    assert "best: {'alpha'" in out


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


def test_average_seeds_scores_each_network_and_their_mean_and_maps_it(tmp_path):
    out = run("average_seeds.py", "out", 100, 3, 2, 1, cwd=tmp_path)
    assert out.index("seed 0: accuracy") < out.index("seed 1: accuracy") < out.index("average of 2: accuracy")
    assert (tmp_path / "out" / "map.tif").stat().st_size > 1000


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


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_examples_are_short_and_open_with_why(path):
    lines = path.read_text().splitlines()
    assert 30 <= len(lines) <= 115
    assert lines[0].startswith('"""')
