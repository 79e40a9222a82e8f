"""Runs that are interrupted, and what is told meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from made_rasters import coded, write
from test_predictor import CodeReader, read_map, write_scene

from m3fusion_sk.mapping import ChunkedPredictor, Scene, VectorRaster

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
