"""Labels and objects as users give them: one value for each sample, none missing, all of one type."""

from collections.abc import Mapping
from functools import reduce

import numpy as np
import pandas as pd


def as_labels(values):
    """Labels as an array: a list's as they are, which numpy may turn into text; NaN where they are masked."""
    if isinstance(values, np.ma.MaskedArray):
        return values.astype(object).filled(np.nan) if np.ma.is_masked(values) else values.data
    return np.asarray(values) if hasattr(values, "dtype") else np.asarray(values, dtype=object)


def in_own_type(labels):
    """Labels of which none is missing: text as text and numbers as numbers, if that changes none of them."""
    if not labels.dtype.hasobject:
        return labels
    try:
        plain = np.asarray(labels.tolist())
    except ValueError:  # tuples of several lengths
        return labels
    same = plain.shape == labels.shape and (plain.astype(object) == labels).all()
    return plain if same else labels


def check_labels(name, values):
    """Labels in their own type, of one kind: none missing, none blank."""
    values = as_labels(values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} must have shape (n_samples,), with a sample at least; got {values.shape}.")
    missing = (pd.isna(values) | _is_blank(values)).sum()
    if missing:
        raise ValueError(
            f"{name} must have no missing values; got {missing} NaN, None or empty text. Drop these samples."
        )
    kinds = _kinds_of_labels(values)
    if len(kinds) > 1:
        raise ValueError(f"{name} must hold labels of one type; got {' and '.join(sorted(kinds))}.")
    return in_own_type(values)


def check_groups(groups, n_samples, name="groups"):
    """Objects, one for each sample."""
    groups = as_labels(groups)
    if groups.shape != (n_samples,):
        raise ValueError(
            f"{name} must have shape ({n_samples},), one object for each sample; got shape {groups.shape}."
        )
    missing = pd.isna(groups).sum()
    if missing:
        raise ValueError(f"{name} must name the object of each sample; {missing} are missing (NaN or None).")
    return in_own_type(groups)


def check_same_length(**arrays):
    """Refuse arrays, by what they are called, of other lengths; None is none."""
    lengths = {name: len(values) for name, values in arrays.items() if values is not None}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"All must have one value for each sample; got {lengths} values.")


def check_same_type(**arrays):
    """Refuse labels as text beside labels as numbers, which would never agree."""
    kinds = {name: _kinds_of_labels(as_labels(values)) for name, values in arrays.items()}
    if len(set().union(*kinds.values())) > 1:
        found = {name: " and ".join(sorted(kind)) for name, kind in kinds.items()}
        raise ValueError(f"{' and '.join(arrays)} must hold labels of one type; got {found}.")


def check_by_source(name, values):
    """Names, of dates say, by source; for None there are none."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise TypeError(
            f"{name} must be a dict by source, such as {{'ts': ['2018-05-01', ...]}}; got a "
            f"{type(values).__name__}."
        )
    return values


def ordered_classes(labels, *values):
    """All classes, as an index: those that occur, sorted, or `labels`, which must hold them."""
    occurring = reduce(pd.Index.union, (pd.Index(each).unique() for each in values)).unique()
    if labels is None:
        return occurring.sort_values()
    labels = pd.Index(list(labels))
    lacking = occurring.difference(labels).tolist()
    if lacking or labels.has_duplicates:
        raise ValueError(
            f"labels must hold every class that occurs, each once; got {labels.tolist()} without {lacking}."
        )
    return labels


def majority(objects, codes, weights=None):
    """Most frequent class of each object, by weight, in the order of the objects: the first, if tied."""
    n_codes = codes.max() + 1
    pairs, places = np.unique(objects * n_codes + codes, return_inverse=True)  # never more than samples
    counts = np.bincount(places, weights)
    order = np.lexsort((pairs % n_codes, -counts, pairs // n_codes))
    first = np.unique(pairs[order] // n_codes, return_index=True)[1]
    return pairs[order][first] % n_codes


def _is_blank(values):
    """True for text without a letter, as fields that nobody has filled in are read."""
    if values.dtype.kind not in "OUT":
        return np.zeros(len(values), bool)
    return np.array([isinstance(value, str) and not value.strip() for value in values])


def _kinds_of_labels(values):
    if values.dtype.kind == "O":
        return {_kind_of_label(value) for value in values}
    return {{"b": "truth values", **dict.fromkeys("UST", "text")}.get(values.dtype.kind, "numbers")}


def _kind_of_label(value):
    if isinstance(value, str):
        return "text"
    return "truth values" if isinstance(value, bool | np.bool_) else "numbers"
