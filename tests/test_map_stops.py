"""Runs that are interrupted or given damaged inputs, and what is told meanwhile."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_rasters import coded, write
from test_predictor import CodeReader, read_map, write_scene

from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster, VectorRaster

N_MUTANTS = 200 if os.environ.get("M3FUSION_SOAK") else 20
SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which jobs in the background ignore
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_predictor import CodeReader, write_scene
from m3fusion_sk.mapping import ChunkedPredictor

class Slow(CodeReader):
    def predict_proba(self, X):
        time.sleep(float(sys.argv[2]))
        return super().predict_proba(X)

place = Path(sys.argv[1])
ChunkedPredictor(Slow(), 5, verbose=1).predict(write_scene(place), place / "map.tif")
"""


def test_ctrl_c_keeps_the_chunks_and_says_how_to_resume(tmp_path):
    script = tmp_path / "make map.py"
    script.write_text(SLOW.format(tests=os.path.dirname(__file__)))
    journal = tmp_path / "map.tif.run" / "journal.jsonl"
    command = [sys.executable, str(script), str(tmp_path)]
    with subprocess.Popen([*command, "0.2"], stderr=subprocess.PIPE, text=True) as running:
        while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        told = running.stderr.read()
    assert running.returncode != 0
    kept = journal.read_bytes().count(b"\n")
    assert f"Stopped. {kept} of 12 chunks are kept in {tmp_path}/map.tif.run; to resume, run the same" in told
    assert f"{sys.executable} '{script}' {tmp_path} 0.2" in told
    assert "Traceback" in told  # it stays an interrupt for those who wait for it
    assert not (tmp_path / "map.tif").exists()
    result = subprocess.run([*command, "0"], capture_output=True, text=True, check=True)
    report = json.loads((tmp_path / "map.report.json").read_text())
    assert report["chunks"] == {"all": 12, "in_this_run": 12 - kept}
    assert "px/s" in result.stderr  # the progress bar
    expected = ChunkedPredictor(CodeReader(), 5).predict(write_scene(tmp_path), tmp_path / "other.tif")
    np.testing.assert_array_equal(read_map(tmp_path / "map.tif"), read_map(expected))


def test_nothing_is_told_unless_asked(tmp_path, capsys):
    ChunkedPredictor(CodeReader(), 5).predict(write_scene(tmp_path), tmp_path / "map.tif")
    assert capsys.readouterr() == ("", "")


# ----- damaged inputs


def truncated(content, rng):
    return content[: rng.randrange(len(content))]


def overwritten(content, rng):
    start = rng.randrange(len(content) - 200)
    return content[:start] + rng.randbytes(200) + content[start + 200 :]


def emptied(content, rng):
    start = rng.randrange(len(content) // 2)
    return content[:start] + bytes(len(content) // 2) + content[start + len(content) // 2 :]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("damage", [truncated, overwritten, emptied])
@pytest.mark.parametrize("victim", ["s2.tif", "mask.tif", "dem.tif", "spot.tif"])
@pytest.mark.timeout(1800)
def test_damaged_rasters_are_errors_that_name_them_or_other_values(tmp_path, victim, damage):
    noise = np.random.default_rng(0).integers(1, 4000, (6, 70, 70)).astype("uint16")
    options = {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16}
    write(tmp_path / "s2.tif", noise, **options)
    write(tmp_path / "mask.tif", noise[:3].astype("uint8") % 8, **options)
    write(tmp_path / "dem.tif", noise[:1, :14, :14], pixel=50, **options)
    write(tmp_path / "spot.tif", noise[:2].repeat(2, axis=1).repeat(2, axis=2), pixel=5, **options)
    content, rng = (tmp_path / victim).read_bytes(), random.Random(victim + damage.__name__)

    def make():
        sources = {
            "s2": SeriesRaster(tmp_path / "s2.tif", n_bands=2, mask=tmp_path / "mask.tif"),
            "dem": VectorRaster(tmp_path / "dem.tif"),
            "spot": PatchRaster(tmp_path / "spot.tif", size=3),
        }
        path = ChunkedPredictor(CodeReader(), 32).predict(
            Scene(sources, grid="s2"), tmp_path / "map.tif", True
        )
        codes = read_map(path)
        path.unlink()
        return codes

    expected, n_errors, n_silent = make(), 0, 0
    for _ in range(N_MUTANTS):
        (tmp_path / victim).write_bytes(damage(content, rng))
        try:
            n_silent += not np.array_equal(make(), expected)
        except (OSError, ValueError) as error:
            assert victim in str(error), error
            n_errors += 1
        assert not (tmp_path / "map.tif").exists()
    assert n_errors >= 0.5 * N_MUTANTS
    if damage is truncated:
        assert n_silent == 0


@pytest.mark.parametrize("name", ["labels.gpkg", "labels.geojson"])
@pytest.mark.timeout(1800)
def test_damaged_layers_are_errors_that_name_them_or_samples(tmp_path, name):
    import geopandas
    import shapely

    scene, rng = write_scene(tmp_path), random.Random(name)
    squares = [shapely.box(500_000 + 30 * i, 5_629_900, 500_030 + 30 * i, 5_629_960) for i in range(5)]
    layer = geopandas.GeoDataFrame({"class": list("abcde")}, geometry=squares, crs="EPSG:32631")
    path = tmp_path / name
    layer.to_file(path)
    content, n_errors = path.read_bytes(), 0
    for i in range(N_MUTANTS):
        path.write_bytes((truncated, emptied)[i % 2](content, rng))
        try:
            scene.sample(path, "class")
        except (OSError, ValueError) as error:
            n_errors += 1
            assert name in str(error) or "labelled pixels" in str(error) or "field 'class'" in str(error), (
                error
            )
    assert n_errors > 0.3 * N_MUTANTS


def test_a_missing_input_under_way_is_an_error_that_names_it(tmp_path):
    path = write(tmp_path / "v.tif", coded(1, 9, 9, "uint8"))
    scene = Scene({"v": VectorRaster(path)}, grid="v")

    class Meddling(CodeReader):
        def predict_proba(self, X):
            if self.n_calls == 2:
                path.unlink()
            return super().predict_proba(X)

    with pytest.raises(OSError, match=r"v\.tif"):
        ChunkedPredictor(Meddling(), 3).predict(scene, tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()
    assert Path(tmp_path / "map.tif.run").is_dir()
