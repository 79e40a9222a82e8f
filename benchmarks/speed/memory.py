"""Memory of `fit` beyond the data: patches that are mapped from a file of 10 GB."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from m3fusion_sk import M3FusionClassifier

PATCH, N_DATES, N_BANDS = (5, 25, 25), 12, 4
GIGABYTES, FEW = 10, 2_000
ALLOWED = 300  # megabytes beside parameters and activations, which the few samples take too


def rows(rounds, small):
    """Peak of a fit on few samples, and on as many as fill the file, in a process each."""
    many = 4_000 if small else round(GIGABYTES * 1e9 / (4 * np.prod(PATCH)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "patches.dat")
        np.memmap(path, np.float32, "w+", shape=(many, *PATCH))  # holes, which read as zeros
        found = {n: _in_process(path, many, n) for n in (FEW, many)}
    return [
        {
            "what": f"fit of {n} samples, {4 * n * np.prod(PATCH) / 1e9:.2f} GB of patches",
            "megabytes": round(megabytes),
            "more than few": round(megabytes - found[FEW]),
            "asked for": ALLOWED,
        }
        for n, megabytes in found.items()
    ]


def _in_process(path, n_rows, n_samples):
    command = [sys.executable, "-m", "speed.memory", str(path), str(n_rows), str(n_samples)]
    folder = Path(__file__).parents[1]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def _anonymous():
    """Megabytes of this process that are no pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


class Peak:
    """The most memory while something runs."""

    def __enter__(self):
        self.before = self.most = _anonymous()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.over.is_set():
            self.most = max(self.most, _anonymous())
            time.sleep(0.01)

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()


def main():
    path, n_rows, n_samples = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    patches = np.memmap(path, np.float32, "r", shape=(n_rows, *PATCH))[:n_samples]
    series = np.random.default_rng(0).normal(size=(n_samples, N_DATES, N_BANDS)).astype(np.float32)
    y = np.arange(n_samples) % 5
    network = M3FusionClassifier(hidden_size=8, n_filters=4, max_epochs=1, random_state=0)
    with Peak() as peak:
        network.fit({"ts": series, "patch": patches}, y)
    print(peak.most - peak.before)


if __name__ == "__main__":
    main()
