"""Labels and weights: from what a user calls y to class codes."""

from numbers import Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from .labels import as_labels, in_own_type


class Targets(NamedTuple):
    """What to learn for each sample that has a weight.

    ``rows`` are those samples among all that were given; ``codes``, ``sample_weight`` and
    ``loss_weight`` (with class weights) have one value for each of them.
    """

    classes: np.ndarray
    rows: np.ndarray
    codes: np.ndarray
    sample_weight: np.ndarray
    loss_weight: np.ndarray


def encode_targets(estimator, X, y, sample_weight, classes, n_present=2, goes_on=False):
    """Check y and the weights against X, and encode them by `classes`: by those of y, if None.

    At least `n_present` classes must be there. Where training goes on, they are those of the net of before.
    """
    y = check_y(estimator, X, y)
    weights = in_float32(check_weights(sample_weight, len(X)))
    rows = np.flatnonzero(weights)
    y, weights = y[rows], weights[rows]
    classes = check_classes(y, classes, n_present, goes_on)
    codes = np.searchsorted(classes, y)
    factors = class_factors(estimator.class_weight, classes, codes, weights)[codes]
    kept = factors > 0  # a class of weight 0 keeps its column and trains nothing
    return Targets(classes, rows[kept], codes[kept], weights[kept], (weights * factors)[kept])


def check_y(estimator, X, y):
    """Labels of all samples of X; text in an array of objects stays so, as scikit-learn has it."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None. Give one label "
            "for each sample."
        )
    is_array = hasattr(y, "dtype")
    y = column_or_1d(as_labels(_without_marks(y)), warn=True)
    if y.dtype.hasobject and pd.isna(y).any():
        raise ValueError(f"y must have a label for each sample; {pd.isna(y).sum()} of {len(y)} are missing.")
    y = y if is_array and len(y) and isinstance(y[0], str) else in_own_type(y)
    assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    check_consistent_length(X, y)
    return y


def _without_marks(y):
    """Labels of pandas' types that mark missing values, as numpy has them: as floats, if some are missing."""
    plain = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    return y if plain is None or pd.isna(y).any() else y.to_numpy(plain)


def check_weights(sample_weight, n_samples):
    """Weights as floats, one for each sample."""
    if sample_weight is None:
        return np.ones(n_samples)
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"sample_weight must be numbers, one for each sample; got others: {error}. Objects go by name: "
            "fit(X, y, groups=objects)."
        ) from None
    weights = np.full(n_samples, weights) if weights.ndim == 0 else weights
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight for each sample; got shape "
            f"{weights.shape}."
        )
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("sample_weight must be finite and not negative; got NaN, infinity or less than 0.")
    if not weights.any():
        raise ValueError("sample_weight must be positive somewhere; got only zero weights.")
    return weights


def in_float32(weights):
    """Weights of which float32 loses none but those that count nothing beside the largest."""
    most = weights.max()
    weights = weights if 1e-20 < most < 1e20 else weights / most
    return np.where(weights < 1e-30 * weights.max(), 0, weights)


def named_classes(estimator, classes, before, needed=False):
    """The classes that are known before y is looked at: from a net of before, or as named, or None."""
    classes = None if classes is None else np.unique(np.asarray(classes))
    if before is not None:
        if classes is not None and not np.array_equal(classes, estimator.classes_):
            raise ValueError(
                f"classes must stay those of the fit that goes on, {estimator.classes_.tolist()}; got "
                f"{classes.tolist()}. For others fit anew, with warm_start=False."
            )
        return estimator.classes_
    if needed and classes is None:
        raise ValueError(
            "classes must be passed on the first call to partial_fit, since later samples may bring classes "
            "that y lacks; got None. Write partial_fit(X, y, classes=np.unique(all_labels))."
        )
    if classes is not None and len(classes) < 2:
        raise ValueError(f"classes must name at least two classes; got {classes.tolist()}.")
    return classes


def check_classes(y, classes, n_present, goes_on):
    """Sorted classes, which must hold every label of y; their codes, where y has those."""
    present = np.unique(y)
    if len(present) < n_present:
        raise ValueError(
            "y must have at least two classes among samples with a weight; got one class: "
            f"{present.tolist()}."
        )
    if classes is None:
        return present
    codes = np.arange(len(classes))
    unknown = np.setdiff1d(present, classes)
    if not len(unknown):
        return classes
    encoded = bool(present.dtype.kind in "iu" and np.isin(present, codes).all())
    if encoded and classes.dtype.kind in "US" and not goes_on:
        return codes  # the labels' codes, as scikit-learn's voting, stacking and cross_val_predict give them
    raise ValueError(
        f"classes must hold every label of y; {unknown.tolist()} are not among {classes.tolist()}."
        + f" If scikit-learn encoded the labels before, pass classes=range({len(classes)})."
        * (encoded and not goes_on)
    )


def class_factors(class_weight, classes, codes, weights):
    """The factor of each class: from None, "balanced" or a dict by label, as in scikit-learn.

    "Balanced" counts samples by their weights, so that a weight of 2 is the sample twice.
    """
    factors = np.ones(len(classes))
    if class_weight is None:
        return factors
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(codes, weights, minlength=len(classes))
        seen = totals > 0
        factors[seen] = weights.sum() / (seen.sum() * totals[seen])
        return factors
    if not isinstance(class_weight, dict):
        raise ValueError(f"class_weight must be None, 'balanced' or a dict by class; got {class_weight!r}.")
    unknown = [label for label in class_weight if label not in classes]
    without = [label for label in classes.tolist() if label not in class_weight]
    if unknown and without:  # as misspelt names have; a part of y may just lack classes
        raise ValueError(
            f"class_weight must name classes of y, {classes.tolist()}; got {unknown}, and no weight for "
            f"{without}."
        )
    for i, label in enumerate(classes.tolist()):
        factors[i] = check_factor(label, class_weight.get(label, 1.0))
    if not factors[codes].any():
        raise ValueError(f"class_weight must be positive for a class of y; got {class_weight!r}.")
    return factors


def check_factor(label, factor):
    if not isinstance(factor, Real) or not 0 <= factor < np.inf:
        raise ValueError(f"class_weight must hold finite numbers from 0; got {factor!r} for {label!r}.")
    return factor
