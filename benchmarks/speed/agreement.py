"""What less arithmetic changes: classes and accuracy of a trained network, by each precision.

The network is the one that paper_size.py trains, where it is there; else one of a quarter of its sizes,
trained here for some minutes on the same made data.
"""

from pathlib import Path

import joblib
import numpy as np
from datasets import made

from m3fusion_sk import M3FusionClassifier, paper_settings

from .turns import PRECISIONS

TRAINED = Path(__file__).parents[1] / "output" / "paper_size" / "network.joblib"
QUARTER = {"hidden_size": 256, "n_filters": 64, "max_epochs": 12, "schedule": "one-cycle", "lr": 1e-3}
WANTED = {"bfloat16": (0.999, 0.1), "int8": (0.995, 0.3)}


def rows(rounds, small):
    data = made(5, n_samples=400 if small else 10_000)
    train, test = next(iter(data.cv.split(data.X, data.y, data.groups)))
    name, network = _network(data.X[train], data.y[train], small)
    X, y = data.X[test], data.y[test]
    exact = network.set_params(precision="float32").predict_proba(X)
    table = []
    for precision in PRECISIONS:
        proba = network.set_params(precision=precision).predict_proba(X)
        labels = network.classes_[proba.argmax(axis=1)]
        share, points = WANTED.get(precision, (None, None))
        table.append(
            {
                "network": name,
                "precision": precision,
                "same class": round(float((proba.argmax(axis=1) == exact.argmax(axis=1)).mean()), 4),
                "asked for": share,
                "accuracy": round(float((labels == y).mean()), 4),
                "points of accuracy allowed": points,
                "largest difference of a probability": round(float(np.abs(proba - exact).max()), 4),
            }
        )
    return table


def _network(X, y, small):
    if TRAINED.exists() and not small:
        network, _ = joblib.load(TRAINED)
        return f"the paper's, {network.n_iter_} epochs", network
    settings = {**paper_settings(), **QUARTER, "random_state": 0}
    if small:
        settings |= {"hidden_size": 16, "n_filters": 4, "max_epochs": 2}
    network = M3FusionClassifier(**settings).fit(X, y)
    return f"{settings['hidden_size']} units, {settings['n_filters']} filters", network
