"""Batches side by side: threads that compute by themselves wait less than those that share each step."""

from concurrent.futures import ThreadPoolExecutor

import torch


def in_threads(compute, batches):
    """Yield what `compute` gives for each batch, in order; the threads share the cores that torch may use.

    Parameters
    ----------
    compute : callable
        Called with a batch in one of the threads, where what torch keeps for each of them (inference mode,
        say) is at its default.
    batches : list
        One alone is computed in the calling thread.
    """
    n_cores = torch.get_num_threads()
    n_threads = min(n_cores, len(batches))
    if n_threads <= 1:
        yield from map(compute, batches)
        return
    with ThreadPoolExecutor(n_threads, "batch", torch.set_num_threads, (n_cores // n_threads,)) as threads:
        try:
            yield from threads.map(compute, batches)
        finally:
            torch.set_num_threads(n_cores)  # which threads that begin later take over
