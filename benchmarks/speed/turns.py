"""Timing in turns."""

import statistics
import time


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
