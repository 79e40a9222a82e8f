"""Maps whose runs are killed: absent or complete, and after a resume as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from doomed_runs import POINTS

N_KILLS = 1000 if os.environ.get("M3FUSION_SOAK") else 40


@pytest.mark.timeout(3600)
def test_a_killed_run_leaves_no_half_map_and_is_resumed_to_the_same_map(tmp_path):
    script = Path(__file__).with_name("doomed_runs.py")
    command = [sys.executable, str(script), str(tmp_path), str(N_KILLS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["wrong"] == [], (tmp_path / "stderr.txt").read_text()
    assert sum(found["kills"].values()) == N_KILLS
    assert set(found["kills"]) == {*POINTS, "journal", "clock"}
