"""Names of the bands of a source, as its files or arrays tell them."""

from pathlib import Path

from .calendar import what_differs

__all__ = ["names_of_bands"]


def names_of_bands(stack, n_bands=None):
    """What each band of a stack is called, without the words that all have: of the first date of a series.

    Parameters
    ----------
    stack : Stack
    n_bands : int, optional
        Number of bands of a date; all by default.

    Returns
    -------
    tuple of str, or None
        None where they have no names, or not each its own.
    """
    texts = list(_texts(stack))[:n_bands]
    names = tuple(" ".join(words) for words in what_differs(texts)) if texts else ()
    return names if len(set(names)) == len(names) > 1 else None


def _texts(stack):
    """Descriptions of the bands; else the names of the files, where each holds one."""
    if all(stack.descriptions):
        return stack.descriptions
    alone = stack.order is None and all(file.n_bands == 1 for file in stack.files)
    return [Path(path).stem for path in stack.paths] if alone else ()
