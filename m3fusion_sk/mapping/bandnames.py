"""Names of the bands of a source, as its files or arrays tell them."""

from pathlib import Path

from .calendar import what_differs
from .namedates import columns_of

__all__ = ["names_of_bands"]


def names_of_bands(stack, n_bands=None):
    """What each band of a stack is called, without the words that all have.

    Parameters
    ----------
    stack : Stack
    n_bands : int, optional
        Number of bands of a date, of a series; all by default.

    Returns
    -------
    tuple of str, or None
        None where they have no names, not each its own, or dates in them that are no date of a series.
    """
    alone = stack.order is None and all(file.n_bands == 1 for file in stack.files)
    of_files = [Path(path).stem for path in stack.paths] if alone else []
    for texts in (stack.descriptions, of_files):
        names = _first_named(texts, n_bands or len(texts))
        if names and (n_bands is not None or not columns_of(texts)):
            return names
    return None


def _first_named(texts, n_bands):
    """Names of the bands of the first date that has a name of its own for each."""
    for start in range(0, len(texts), n_bands or 1):
        part = texts[start : start + n_bands]
        names = tuple(" ".join(words) for words in what_differs(part)) if all(part) else ()
        if len(set(names)) == len(names) > 1:
            return names
    return None
