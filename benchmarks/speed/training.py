"""Epochs of training against the plain loop, at the paper's sizes and at small ones."""

import statistics
import time

import numpy as np
import torch
from plain import PlainM3Fusion, fit

from m3fusion_sk import M3FusionClassifier, MultiSource, paper_settings

from .turns import PRECISIONS

N_SAMPLES = {"paper's sizes": 256, "small sizes": 2048}
SIZES = {
    "paper's sizes": {"hidden_size": 1024, "n_filters": 256},
    "small sizes": {"hidden_size": 64, "n_filters": 16},
}
TARGETS = {"paper's sizes": 0.95, "small sizes": 0.9}


def rows(rounds, small):
    """Speed of an epoch of ours over that of the plain loop, and of bfloat16 over float32."""
    table = []
    for name in ["small sizes"] if small else SIZES:
        X, y = samples(128 if small else N_SAMPLES[name])
        candidates = {
            "plain": _plain(X, y, SIZES[name]),
            **{kind: _ours(X, y, SIZES[name], kind) for kind in PRECISIONS if kind != "int8"},
        }
        seconds = {candidate: [] for candidate in candidates}
        for _ in range(rounds):
            for candidate, epoch in candidates.items():
                seconds[candidate].append(epoch())
        for candidate, parts in seconds.items():
            base = "float32" if candidate == "bfloat16" else "plain"
            wanted = 1.8 if candidate == "bfloat16" and name == "paper's sizes" else TARGETS[name]
            table.append(
                {
                    "sizes": name,
                    "how": candidate,
                    "samples a second": round(len(y) / statistics.median(parts), 1),
                    "times": round(
                        statistics.median(a / b for a, b in zip(seconds[base], parts, strict=True)), 2
                    ),
                    "of": base,
                    "asked for": None if candidate == "plain" else wanted,
                }
            )
    return table


def samples(n, n_dates=34, n_bands=16):
    rng = np.random.default_rng(0)
    series = rng.normal(size=(n, n_dates, n_bands)).astype(np.float32)
    patch = rng.normal(size=(n, 5, 25, 25)).astype(np.float32)
    return MultiSource(ts=series, patch=patch), np.arange(n) % 13


def _plain(X, y, sizes):
    network = PlainM3Fusion(16, 5, 13, **sizes)
    series, patch, codes = (torch.as_tensor(part) for part in (X["ts"], X["patch"], y))

    def epoch():
        start = time.perf_counter()
        fit(network, series, patch, codes, epochs=2)
        return (time.perf_counter() - start) / 2

    return epoch


def _ours(X, y, sizes, dtype):
    settings = {**paper_settings(), **sizes, "dtype": dtype, "max_epochs": 3, "random_state": 0}

    def epoch():
        history = M3FusionClassifier(**settings).fit(X, y).history_
        return statistics.mean(row["dur"] for row in history[1:])

    return epoch
