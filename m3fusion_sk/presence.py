"""Which samples have a source, or a date or band of it: NaN stands for what they lack."""

import numpy as np

from .patchview import PatchView
from .rows import row_blocks

__all__ = ["may_lack", "present"]


def may_lack(values):
    """Whether there can be NaN among values: not in integers, nor in patches of an image without."""
    return values.has_gaps if isinstance(values, PatchView) else np.dtype(values.dtype).kind == "f"


def present(X, name, place=None):
    """Which samples have any value of a source, or of the part at `place`: array of bool (n_samples,).

    Parameters
    ----------
    X : MultiSource
    name : str
    place : tuple, optional
        Index into blocks of samples: ``(slice(None), 3)`` is the fourth date of a series.
    """
    has = np.ones(len(X), bool)
    if not may_lack(X.values_of(name)):
        return has
    for rows in row_blocks(len(X), X.specs[name].size):
        block = X.gather(name, rows)
        block = block if place is None else block[place]
        has[rows] = ~np.isnan(block).reshape(len(block), -1).all(axis=1)
    return has
