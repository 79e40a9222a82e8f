"""Patches of neighbouring pixels, from the same resolution to a tenth, against the same one by one."""

import numpy as np

from m3fusion_sk import M3FusionClassifier, MultiSource, paper_settings
from m3fusion_sk.patchview import PatchView

from .turns import PRECISIONS, in_turns, median, ratio

SIDE, STEPS = 32, (1, 2, 3, 4, 5, 10)


def neighbours(step, side, n_bands=5):
    """Patches of 25x25 pixels around a square of pixels, so many pixels of the image apart."""
    rows, cols = (step * axis.ravel() for axis in np.indices((side, side)))
    sides = 2 * (step * (side - 1) + 25,)
    image = np.random.default_rng(0).integers(0, 255, (n_bands, *sides)).astype(np.uint8)
    return MultiSource(patch=PatchView(image, rows, cols, (25, 25)))


def rows(rounds, small):
    side, n_filters = (16, 8) if small else (SIDE, 256)
    X = neighbours(5, side)
    settings = {**paper_settings(), "n_filters": n_filters, "max_epochs": 1, "random_state": 0}
    classifier = M3FusionClassifier(**settings).fit(X[:64].materialize(), np.arange(64) % 13)
    return [
        _row(classifier.set_params(precision=precision), neighbours(step, side), step, rounds)
        for precision in PRECISIONS
        for step in STEPS
    ]


def _row(classifier, X, step, rounds):
    single = X.materialize()
    seconds = in_turns(
        {
            "single": lambda: classifier.predict_proba(single),
            "neighbours": lambda: classifier.predict_proba(X),
        },
        rounds,
    )
    return {
        "precision": classifier.precision,
        "pixels apart": step,
        "single patches a second": round(len(X) / median(seconds["single"]), 1),
        "neighbours a second": round(len(X) / median(seconds["neighbours"]), 1),
        "times": round(ratio(seconds["single"], seconds["neighbours"]), 2),
    }
