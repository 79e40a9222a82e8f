"""Whole numbers in given proportions."""

import numpy as np


def allot(total, weights, least=0, most=np.inf):
    """Whole numbers that sum to `total`, in proportion to `weights` and within limits (Webster's method).

    >>> from m3fusion_sk.shares import allot
    >>> allot(10, [6, 3, 0.1], least=1).tolist()
    [6, 3, 1]
    """
    weights = np.asarray(weights, dtype=float)
    most = np.broadcast_to(most, weights.shape)
    least = np.minimum(np.broadcast_to(least, weights.shape), most)
    counts = np.maximum(least, np.minimum(most, weights / weights.sum() * (total - least.sum()) // 1))
    while counts.sum() < total:
        counts[np.argmax(np.where(counts < most, weights / (2 * counts + 1), -1))] += 1
    return counts.astype(int)
