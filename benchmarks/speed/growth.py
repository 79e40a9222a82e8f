"""How time grows with what is asked for, and what small things cost."""

import subprocess
import sys

import numpy as np
import torch

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource, paper_settings

from .training import samples
from .turns import in_turns, median, ratio


def rows(rounds, small):
    parts = _samples(rounds, small), _shapes(rounds, small), [_cores(rounds, small)], _gaps(rounds, small)
    return [*(row for part in parts for row in part), _importing(rounds)]


def _network(n_epochs=1):
    return M3FusionClassifier(
        hidden_size=8, n_filters=4, max_epochs=n_epochs, random_state=0, schedule="constant"
    )


def _series(n, n_dates=12, n_bands=4):
    rng = np.random.default_rng(0)
    return MultiSource(ts=rng.normal(size=(n, n_dates, n_bands)).astype(np.float32)), np.arange(n) % 5


def _samples(rounds, small):
    """Time for each sample in prediction, from few to many."""
    sizes = (1_000, 4_000) if small else (100_000, 400_000, 1_600_000, 4_000_000)
    X, y = _series(sizes[-1])
    network = _network().fit(X[:1000], y[:1000])
    seconds = in_turns({n: lambda n=n: network.predict_proba(X[:n]) for n in sizes}, rounds)
    each = {n: median(parts) / n for n, parts in seconds.items()}
    return [
        {"what": f"predict {n} samples", "times": round(each[n] / each[sizes[0]], 3), "of": "the least, each"}
        for n in sizes
    ]


def _shapes(rounds, small):
    """Time for each epoch, date and band, by twice as many."""
    n, table = 500 if small else 4000, []
    X, y = _series(n, 24, 8)
    more = {"dates": _series(n, 48, 8)[0], "bands": _series(n, 24, 16)[0]}
    candidates = {"once": lambda: _network(4).fit(X, y), "epochs": lambda: _network(8).fit(X, y)}
    candidates |= {name: lambda name=name: _network(4).fit(more[name], y) for name in more}
    seconds = in_turns(candidates, rounds)
    for name in ("epochs", "dates", "bands"):
        times = ratio(seconds[name], seconds["once"])
        table.append({"what": f"fit with twice the {name}", "times": round(times, 2), "of": "once"})
    return table


def _cores(rounds, small):
    """What two cores make of the speed of one, half of it, in prediction at the paper's sizes."""
    X, y = samples(32 if small else 1024)
    sizes = {"max_epochs": 1} | ({"hidden_size": 8, "n_filters": 4} if small else {})
    network = M3FusionClassifier(**{**paper_settings(), **sizes}, random_state=0).fit(X[:32], y[:32])
    before = torch.get_num_threads()

    def predict(n_threads):
        torch.set_num_threads(n_threads)
        network.predict_proba(X)

    try:
        seconds = in_turns({n: lambda n=n: predict(n) for n in (1, 2)}, rounds)
    finally:
        torch.set_num_threads(before)
    return {
        "what": "efficiency of two cores",
        "times": round(ratio(seconds[1], seconds[2]) / 2, 2),
        "of": "twice one core",
        "asked for": 0.9,
    }


def _gaps(rounds, small):
    """GapFiller against a loop of numpy.interp over pixels and bands: with and without learning the means."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100 if small else 2000, 34, 10))
    values[rng.random(values.shape[:2]) < 0.3] = np.nan
    X = MultiSource(ts=values)
    fitted = GapFiller().fit(X)
    candidates = {
        "GapFiller": lambda: GapFiller().fit_transform(X)["ts"],
        "GapFiller, once fitted": lambda: fitted.transform(X)["ts"],
        "loop": lambda: _interpolated(values),
    }
    seconds = in_turns(candidates, max(rounds, 9))
    of = {"of": "a loop of numpy.interp", "asked for": 50}
    return [
        {"what": name, "times": round(ratio(seconds["loop"], seconds[name]), 1), **of}
        for name in candidates
        if name != "loop"
    ]


def _interpolated(values):
    dates, filled = np.arange(values.shape[1]), values.copy()
    for pixel in filled:
        for band in pixel.T:
            known = ~np.isnan(band)
            if known.any():
                band[:] = np.interp(dates, dates[known], band[known])
    return filled


IMPORTING = """
import time, torch, sklearn.ensemble, skorch
start = time.perf_counter()
import m3fusion_sk
print(time.perf_counter() - start)
"""


def _importing(rounds):
    """Seconds that the import adds to those of what it stands on, in new processes."""
    command = [sys.executable, "-c", IMPORTING]
    seconds = [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(max(rounds, 5))
    ]
    return {"what": "seconds that the import adds", "times": round(median(seconds), 3), "asked for": 0.3}
