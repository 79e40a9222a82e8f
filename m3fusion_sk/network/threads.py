"""Batches side by side: threads that compute by themselves wait less than those that share each step."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

MOST_THREADS = 8  # each needs memory for a batch; with more cores they share steps, some in each thread
_UNDER_WAY = []  # numbers of cores of the calls that have threads now


def in_threads(compute, batches, most):
    """Yield what `compute` gives for each batch, in order; the threads share the cores that torch may use.

    Parameters
    ----------
    compute : callable
        Called with a batch in one of the threads, where what torch keeps for each of them (inference mode,
        autocast) is at its default.
    batches : iterable
        Taken in the calling thread, one more than there are threads.
    most : int
        Threads, at most: the number of batches, say. With one, the calling thread computes.

    Notes
    -----
    A thread of torch's cores is told so by ``torch.set_num_threads``, which others take over that use torch
    for the first time meanwhile. They are set back by the next call of this function in them.
    """
    n_cores = max([torch.get_num_threads(), *_UNDER_WAY])
    n_threads = min(n_cores, most, MOST_THREADS)
    if n_threads <= 1:
        yield from map(compute, batches)
        return
    each = n_cores // n_threads
    with (
        _set_back(n_cores),
        ThreadPoolExecutor(n_threads, "batch", torch.set_num_threads, (each,)) as threads,
    ):
        pending = deque()
        try:
            for batch in batches:
                pending.append(threads.submit(compute, batch))
                if len(pending) > n_threads:  # one waits, so that no thread does
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


@contextmanager
def _set_back(n_cores):
    """Threads that begin later take over the number of torch's threads that was set last."""
    _UNDER_WAY.append(n_cores)
    try:
        yield
    finally:
        _UNDER_WAY.remove(n_cores)
        torch.set_num_threads(n_cores)
