"""Runs that meet a full disk: a limit on the size of files, or a small file system in memory.

    python tests/full_disks.py FOLDER {limit,tmpfs} N_SIZES

prints a JSON object: how often a run ended with our own error, how often it got through, and all that went
wrong. Each run is a fork of this process, as in `doomed_runs`.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from doomed_runs import N_CHUNKS, NAMES, SHAPE, digest, ended, make_map, n_lines
from made_rasters import write

from m3fusion_sk.mapping import MapNotWritten

ROOM = "64m"


def fork_run(folder, log, limit=None):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        sys.stderr = open(log.parent / "stderr.txt", "a")  # noqa: SIM115
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        make_map(folder, log, source=log.parent / "v.tif")
        code = 0
    except MapNotWritten as error:
        code = 3 if "could not be written" in str(error) and "run the same call again" in str(error) else 4
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def mount(folder, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


def one_size(place, i, size, kind, expected):
    """Exit status of a run that is short of room, and what was wrong with it or with its resume."""
    folder, wrong = place / f"{kind}{i}", []
    folder.mkdir()
    if kind == "tmpfs":
        mount(folder, f"size={size}")
    try:
        status = ended(fork_run(folder, place / "log", size if kind == "limit" else None), 600)
        if status not in (0, 3):
            wrong.append(f"{size} bytes: ended with {status}")
        there = {name: digest(folder / name) for name in expected}
        if any(found not in (None, expected[name]) for name, found in there.items()):
            wrong.append(f"{size} bytes: a map is not as undisturbed")
        if status == 3 and there["map.tif"] is not None:
            wrong.append(f"{size} bytes: a run that failed left a map")
        proved = n_lines(folder)
        if kind == "tmpfs":
            mount(folder, f"remount,size={ROOM}")
        log = place / f"log{i}"
        if ended(fork_run(folder, log), 600) != 0:
            wrong.append(f"{size} bytes: the resume failed")
        if {name: digest(folder / name) for name in expected} != expected:
            wrong.append(f"{size} bytes: the resumed map is not as undisturbed")
        calls = log.stat().st_size if log.exists() else 0
        if calls != (N_CHUNKS - proved if status else 0):
            wrong.append(f"{size} bytes: {calls} chunks computed after {proved} were kept")
    finally:
        if kind == "tmpfs":
            subprocess.run(["umount", str(folder)], check=True)
    return status, wrong


def main(place, kind, n_sizes):
    place = Path(place)
    values = np.arange(SHAPE[0] * SHAPE[1]).reshape(1, *SHAPE) % 251 + 1
    write(place / "v.tif", values.astype("uint8"))
    reference = place / "reference"
    reference.mkdir()
    assert ended(fork_run(reference, place / "log"), 600) == 0, (place / "stderr.txt").read_text()
    expected = {name: digest(reference / name) for name in NAMES[1:]}
    largest = max(path.stat().st_size for path in reference.iterdir())
    if kind == "tmpfs":
        sizes = np.linspace(4096, 30 * largest, int(n_sizes)).astype(int) // 4096 * 4096
    else:
        sizes = np.geomspace(50, 1.2 * largest, int(n_sizes)).astype(int)
    statuses, wrong = [], []
    for i, size in enumerate(sizes.tolist()):
        status, found = one_size(place, i, size, kind, expected)
        statuses.append(status)
        wrong += found
    print(json.dumps({"refused": statuses.count(3), "through": statuses.count(0), "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
