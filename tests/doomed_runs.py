"""Runs that are killed: real processes, killed by SIGKILL at named points, by the journal and by the clock.

    python tests/doomed_runs.py FOLDER N_KILLS [SEED]

prints a JSON object with the number of kills of each kind and a list of all that went wrong. Each run is a
fork of this process, which has loaded everything and opened nothing, so that a kill costs no start.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from made_rasters import write

import m3fusion_sk.wholefile
from m3fusion_sk.mapping import ChunkedPredictor, Scene, VectorRaster, assembly, run, store, workers

SHAPE, CHUNK = (300, 280), (64, 100)
N_CHUNKS = 15
NAMES = ["map.report.json", "map.tif", "map_margin.tif"]
POINTS = [
    "before a chunk's write",
    "in a chunk's write",
    "before a chunk's rename",
    "after a chunk's rename",
    "in a journal line",
    "after a journal line",
    "in assembly",
    "in overview building",
    "before the final rename",
    "after the final rename",
    "in the removal of the chunks",
]


class Counting:
    """A cheap estimator that notes each call in a file."""

    classes_ = np.arange(1, 6)

    def __init__(self, log):
        self.log = log

    def content_hash(self):
        return "counting"

    def predict_proba(self, X):
        with open(self.log, "ab") as file:
            file.write(b".")
        z = np.asarray(X["v"], np.float64) * np.arange(1, 6) % 97 + 1
        return z / z.sum(axis=1, keepdims=True)


def make_map(folder, log, source=None):
    scene = Scene({"v": VectorRaster(source or folder.parent / "v.tif")}, grid="v")
    at_once = CHUNK[0] * CHUNK[1]  # one call for each chunk
    predictor = ChunkedPredictor(Counting(log), CHUNK, outputs=["class", "margin"], batch_size=at_once)
    return predictor.predict(scene, folder / "map.tif")


# ----- dying


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point, nth, folder):
    """Let this process die the nth time that it comes to a point."""
    left = [nth]

    def due():
        left[0] -= 1
        return left[0] == 0

    def around(module, name, before=lambda *a: None, after=lambda *a: None, wanted=lambda *a: True):
        inner = getattr(module, name)

        def outer(*arguments, **named):
            now = wanted(*arguments) and due()
            if now:
                before(*arguments)
            result = inner(*arguments, **named)
            if now:
                after(*arguments)
            return result

        setattr(module, name, outer)

    def cut_and_die(descriptor):
        os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        die()

    def torn(journal, record):
        line = journal._line(record)
        with open(journal.path, "ab") as file:
            file.write(line[: len(line) // 2])
        die()

    def is_chunk(source, target):
        return str(target).endswith(".npz")

    def is_chunk_descriptor(descriptor):
        return os.readlink(f"/proc/self/fd/{descriptor}").endswith(".npz.partial")

    def is_map(finished, path):
        return path.name == "map.tif"

    def mark(*arguments):
        (folder / "optimising").touch()

    def half_removed(path):
        for name in sorted(p for p in path.rglob("*") if p.is_file())[: nth + 1]:
            name.unlink()
        die()

    kill = lambda *a: die()  # noqa: E731
    how = {
        POINTS[0]: lambda: around(workers, "write_chunk", before=kill),
        POINTS[1]: lambda: around(os, "fsync", before=cut_and_die, wanted=is_chunk_descriptor),
        POINTS[2]: lambda: around(os, "replace", before=kill, wanted=is_chunk),
        POINTS[3]: lambda: around(os, "replace", after=kill, wanted=is_chunk),
        POINTS[4]: lambda: around(store.Journal, "append", before=torn),
        POINTS[5]: lambda: around(store.Journal, "append", after=kill),
        POINTS[6]: lambda: around(assembly.Mosaic, "read", before=kill),
        POINTS[7]: lambda: around(assembly, "_optimise", before=mark),
        POINTS[8]: lambda: around(run, "publish", before=kill, wanted=is_map),
        POINTS[9]: lambda: around(run, "publish", after=kill, wanted=is_map),
        POINTS[10]: lambda: around(store.shutil, "rmtree", before=half_removed),
    }
    if point in ("before the final rename", "after the final rename", "in the removal of the chunks"):
        left[0] = 1
    elif point in ("in assembly", "in overview building"):
        left[0] = min(nth, 6 if point == "in assembly" else 2)
    how[point]()


def fork_run(folder, log, point=None, nth=1):
    """A process that makes the map."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        sys.stderr = open(folder.parent / "stderr.txt", "a")  # noqa: SIM115
        if point is not None:
            arm(point, nth, folder)
        make_map(folder, log)
        code = 0
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def ended(pid, seconds=0.0):
    """Exit status of a process if it ends in time, else None."""
    stop = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= stop:
            return None
        time.sleep(0.001)


def kill_when(pid, condition, delay=0.0):
    """Kill a process some time after a condition holds; its exit status."""
    while (status := ended(pid)) is None and not condition():
        time.sleep(0.0005)
    if status is None:
        status = ended(pid, delay)
    if status is not None:
        return status
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# ----- judging


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def n_lines(folder):
    """Whole lines in the journal."""
    try:
        return (folder / "map.tif.run" / "journal.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


class Trials:
    """One kill after the other, and what became of the maps."""

    def __init__(self, folder, seed):
        self.folder, self.random = folder, random.Random(seed)
        self.wrong, self.kinds, self.n_maps = [], Counter(), 0
        values = np.arange(SHAPE[0] * SHAPE[1]).reshape(1, *SHAPE) % 251 + 1
        write(folder / "v.tif", values.astype("uint8"))
        start = time.monotonic()
        reference = folder / "reference"
        reference.mkdir()
        assert ended(fork_run(reference, folder / "log"), 600) == 0, (folder / "stderr.txt").read_text()
        self.seconds = time.monotonic() - start
        assert (folder / "log").stat().st_size == N_CHUNKS
        self.expected = {name: digest(reference / name) for name in NAMES[1:]}

    def go(self, n_kills):
        while self.kinds.total() < n_kills:
            self.one_map(n_kills)
            (self.folder / "so_far.json").write_text(json.dumps([self.kinds, self.n_maps, self.wrong]))
        return {"kills": self.kinds, "maps": self.n_maps, "wrong": self.wrong}

    def one_map(self, n_kills):
        """Kill a map in the making once to three times, then let it be completed."""
        self.n_maps += 1
        folder = self.folder / f"map{self.n_maps}"
        folder.mkdir()
        for _ in range(self.random.randint(1, 3)):
            if self.kinds.total() < n_kills:
                self.kill(folder)
        log = folder.parent / f"log{self.n_maps}"
        proved, done = n_lines(folder), (folder / "map.tif").exists()
        status = ended(fork_run(folder, log), 600)
        self.check(status == 0, f"map {self.n_maps}: the resumed run ended with {status}")
        self.check_files(folder, complete=True)
        calls = log.stat().st_size if log.exists() else 0
        expected = 0 if done else N_CHUNKS - proved
        self.check(calls == expected, f"map {self.n_maps}: computed {calls} chunks, not {expected}")
        shutil.rmtree(folder)

    def kill(self, folder):
        i = self.kinds.total()
        kind = POINTS[i] if i < len(POINTS) else self.random.choice([*POINTS, *["journal", "clock"] * 6])
        log, nth = folder.parent / "log", self.random.randint(1, 9)
        if kind == "journal":
            pid, before = fork_run(folder, log), n_lines(folder)
            status = kill_when(
                pid, lambda: n_lines(folder) >= before + nth, self.random.random() * self.seconds / 20
            )
        elif kind == "clock":
            status = kill_when(fork_run(folder, log), lambda: True, self.random.random() * self.seconds * 1.1)
        elif kind == "in overview building":
            (folder / "optimising").unlink(missing_ok=True)
            pid = fork_run(folder, log, kind, nth)
            status = kill_when(pid, (folder / "optimising").exists, self.random.random() * 0.02)
            (folder / "optimising").unlink(missing_ok=True)
        else:
            status = ended(fork_run(folder, log, kind, nth), 600)
        if status == -signal.SIGKILL:
            self.kinds[kind] += 1
        self.check(status in (0, -signal.SIGKILL), f"{kind}: ended with {status}")
        self.check_files(folder, complete=status == 0)

    def check_files(self, folder, complete):
        """Every final name is absent or stands for the whole file."""
        for name, expected in self.expected.items():
            found = digest(folder / name)
            right = found == expected or (found is None and not complete)
            self.check(right, f"map {self.n_maps}: {name} is not as undisturbed")
        if complete:
            names = sorted(path.name for path in folder.iterdir())
            self.check(names == NAMES, f"map {self.n_maps}: {names}")

    def check(self, holds, what):
        if not holds:
            self.wrong.append(what)


def main(folder, n_kills, seed=0):
    assert m3fusion_sk.wholefile.os is os
    print(json.dumps(Trials(Path(folder), int(seed)).go(int(n_kills))))


if __name__ == "__main__":
    main(*sys.argv[1:])
