"""Maps of a made scene at the paper's sizes, by each precision, against the plain network in memory."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch
from plain import PlainM3Fusion, predict_proba

from m3fusion_sk import M3FusionClassifier, make_scene, paper_settings
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster

from .turns import PRECISIONS, in_turns, median, ratio

N_BANDS = 16
TARGETS = {"float32": 1.2, "bfloat16": 2.6, "int8": 4.0}


def sizes(small):
    return {"hidden_size": 32, "n_filters": 8} if small else {"hidden_size": 1024, "n_filters": 256}


def made_scene(folder, side, n_dates=34):
    made = make_scene(folder, shape=(side, side), n_dates=n_dates, n_bands=N_BANDS, random_state=0)
    series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
    return Scene({"ts": series, "patch": PatchRaster(made.patch, size=25)}, grid="ts")


def all_pixels(scene):
    """Samples of every pixel, in memory."""
    X, _ = scene.extract(*(axis.ravel() for axis in np.indices(scene.shape)))
    return X


def plain_inputs(X):
    """Standardised float32 tensors of both sources."""
    return [torch.as_tensor(_standard(np.asarray(X[name], np.float32))) for name in X.names]


def _standard(values):
    return (values - values.mean()) / values.std()


def rows(rounds, small):
    side = 40 if small else 96
    with tempfile.TemporaryDirectory() as folder:
        scene = made_scene(Path(folder, "scene"), side)
        X = all_pixels(scene)
        settings = {**paper_settings(), **sizes(small), "max_epochs": 1, "random_state": 0}
        classifier = M3FusionClassifier(**settings).fit(X[:64].materialize(), np.arange(64) % 13)
        plain, n_plain = PlainM3Fusion(N_BANDS, 5, 13, **sizes(small)), min(len(X), 256)
        series, patch = plain_inputs(X[:n_plain].materialize())
        seconds = in_turns(
            {
                "plain": lambda: predict_proba(plain, series, patch),
                **{name: _mapped(classifier, name, scene, Path(folder)) for name in PRECISIONS},
            },
            rounds,
        )
        n_pixels = {"plain": n_plain, **dict.fromkeys(PRECISIONS, len(X))}
    per_pixel = {name: [part / n_pixels[name] for part in parts] for name, parts in seconds.items()}
    return [
        {
            "how": name,
            "pixels a second": round(1 / median(per_pixel[name]), 1),
            "times plain": round(ratio(per_pixel["plain"], per_pixel[name]), 2),
            "asked for": TARGETS.get(name),
        }
        for name in per_pixel
    ]


def _mapped(classifier, precision, scene, folder):
    names = itertools.count()  # a finished map would be left as it is

    def run():
        network = classifier.set_params(precision=precision)
        ChunkedPredictor(network, 32).predict(scene, folder / f"{precision}_{next(names)}.tif")

    return run
