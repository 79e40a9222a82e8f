"""Timing in turns."""

import statistics
import time

from m3fusion_sk.network.processor import computes_bfloat16

PRECISIONS = [name for name in ("float32", "bfloat16", "int8") if name != "bfloat16" or computes_bfloat16()]


def in_turns(candidates, rounds, warm=1):
    """Seconds of each candidate in each round; the rounds go through all of them.

    Parameters
    ----------
    candidates : dict of str to callable
    rounds : int
    warm : int
        Rounds before, which are not timed.

    Returns
    -------
    dict of str to list of float
    """
    seconds = {name: [] for name in candidates}
    for turn in range(warm + rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if turn >= warm:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median(seconds):
    return statistics.median(seconds)


def ratio(first, second):
    """The median over rounds of how many times longer the first took."""
    return statistics.median(a / b for a, b in zip(first, second, strict=True))
