"""Maps of large scenes: memory, where the time goes, and how much of it the network has.

    python benchmarks/map_speed.py memory --megapixels 1 4 40
    python benchmarks/map_speed.py speed --side 45 --pairs 3

`memory` maps parts of a virtual scene of the size of Reunion (6656x5913 pixels of 10 m with 34 dates x 10
bands, and five bands at 2 m), whose values are made when they are read, with a cheap estimator that looks at
every value; each part in a process of its own. Interrupted runs go on with the chunks that are there.
`speed` compares, in turns, the map by the paper-size network with its `predict_proba` on the same pixels in
memory: patch by patch, and as views of the image, which share what neighbours have in common, as maps do.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from affine import Affine
from speed.turns import in_turns, median

from m3fusion_sk import M3FusionClassifier, make_scene, paper_settings
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, RasterArray, Scene, SeriesRaster

OUTPUT = Path(__file__).parent / "output"
FULL = 6656, 5913
N_DATES, N_BANDS, RATIO, FINE_BANDS = 34, 10, 5, 5


class Virtual:
    """An array that repeats a block of noise in both directions, made when it is read."""

    def __init__(self, n_bands, height, width, block=512):
        self.shape, self.dtype, self.side = (n_bands, height, width), np.dtype("uint16"), block
        self.block = np.random.default_rng(0).integers(1, 4000, (n_bands, block, block), "uint16")

    def __getitem__(self, key):
        rows, cols = (
            np.arange(*part.indices(n)) % self.side for part, n in zip(key[-2:], self.shape[1:], strict=True)
        )
        return self.block[:, rows[:, None], cols]


class Cheap:
    """Five classes from sums over all values of a sample."""

    classes_ = np.arange(1, 6)

    def content_hash(self):
        return "cheap"

    def predict_proba(self, X):
        total = sum(np.asarray(X[name]).reshape(len(X), -1).sum(axis=1, dtype=np.int64) for name in X.names)
        return np.eye(5)[total % 5]


def virtual_scene(height, width):
    place = Affine(10, 0, 320_000, 0, -10, 7_690_000)
    fine = Affine(2, 0, 320_000, 0, -2, 7_690_000)
    series = Virtual(N_DATES * N_BANDS, height, width, block=256)
    image = Virtual(FINE_BANDS, RATIO * height, RATIO * width)
    return Scene(
        {
            "ts": SeriesRaster(RasterArray(series, place, "EPSG:32740"), n_bands=N_BANDS),
            "patch": PatchRaster(RasterArray(image, fine, "EPSG:32740"), size=25),
        },
        grid="ts",
    )


def one_part(height, width):
    """Map a part of the virtual scene; its report with the peak of memory, on the last line."""
    path = OUTPUT / f"virtual_{height}x{width}.tif"
    start = time.perf_counter()
    ChunkedPredictor(Cheap(), 256, verbose=1).predict(virtual_scene(height, width), path)
    report = json.loads(path.with_name(path.stem + ".report.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({**report, "peak_gb": peak, "seconds": time.perf_counter() - start}))


def memory(megapixels):
    print("| pixels | peak memory | seconds | read | cut | predict | write |\n" + "| --- " * 7 + "|")
    for size in megapixels:
        height, width = (round(n * min(1, (size * 1e6 / (FULL[0] * FULL[1])) ** 0.5)) for n in FULL)
        command = [sys.executable, __file__, "part", str(height), str(width)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        steps = [
            f"{found['seconds_of_all_chunks'][step]:.0f}" for step in ("read", "cut", "predict", "write")
        ]
        row = [f"{height}x{width}", f"{found['peak_gb']:.3f} GB", f"{found['seconds']:.0f}", *steps]
        print("| " + " | ".join(row) + " |", flush=True)


def speed(side, pairs):
    with tempfile.TemporaryDirectory() as folder:
        made = make_scene(Path(folder, "scene"), shape=(side, side), n_dates=N_DATES, random_state=0)
        series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
        scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=25)}, grid="ts")
        X, valid = scene.extract(*(axis.ravel() for axis in np.indices(scene.shape)))
        views = X[valid]
        X = views.materialize()
        settings = {**paper_settings(), "max_epochs": 1, "random_state": 0}
        network = M3FusionClassifier(**settings).fit(X[:64], np.arange(64) % 13)
        paths = (Path(folder, f"{i}.tif") for i in itertools.count())
        ways = {
            "patches": lambda: network.predict_proba(X),
            "views": lambda: network.predict_proba(views),
            "map": lambda: ChunkedPredictor(network, 16).predict(scene, next(paths)),
        }
        seconds = in_turns(ways, pairs, warm=0)
        print({name: f"{len(X) / median(seconds[name]):.1f} px/s" for name in ways})
        for name in ("patches", "views"):
            ratios = np.divide(seconds[name], seconds["map"])
            print(
                f"{len(X)} pixels: a map has {np.median(ratios):.3f} of the speed of predict_proba on {name} "
                f"({ratios.round(3).tolist()})"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    part = commands.add_parser("memory")
    part.add_argument("--megapixels", type=float, nargs="+", default=[1, 4])
    part = commands.add_parser("speed")
    part.add_argument("--side", type=int, default=45)
    part.add_argument("--pairs", type=int, default=3)
    part = commands.add_parser("part")
    part.add_argument("shape", type=int, nargs=2)
    arguments = parser.parse_args()
    OUTPUT.mkdir(exist_ok=True)
    if arguments.what == "memory":
        memory(arguments.megapixels)
    elif arguments.what == "speed":
        speed(arguments.side, arguments.pairs)
    else:
        one_part(*arguments.shape)


if __name__ == "__main__":
    main()
