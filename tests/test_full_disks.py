"""Maps on full disks: our own error, finished chunks kept, and a resume that completes the map."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

N_SIZES = 20


def run(tmp_path, kind):
    script = Path(__file__).with_name("full_disks.py")
    command = [sys.executable, str(script), str(tmp_path), kind, str(N_SIZES)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["wrong"] == [], (tmp_path / "stderr.txt").read_text()
    assert found["refused"] + found["through"] == N_SIZES
    assert found["refused"] >= 5
    assert found["through"] >= 1


@pytest.mark.timeout(1200)
def test_a_limit_on_file_sizes_is_met_with_our_own_error(tmp_path):
    run(tmp_path, "limit")


@pytest.mark.timeout(1200)
def test_a_full_file_system_is_met_with_our_own_error(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if os.geteuid() != 0 or mounted.returncode:
        pytest.skip("a file system can only be mounted by root, and not in every container")
    subprocess.run(["umount", str(tmp_path)], check=True)
    run(tmp_path, "tmpfs")
