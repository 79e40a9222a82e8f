"""Scores of a classification, as they stand in land cover reports."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    precision_recall_fscore_support,
)

from .labels import check_labels, check_same_length, check_same_type, majority, ordered_classes
from .targets import check_weights

__all__ = ["LandCoverScores", "land_cover_scores"]


@dataclass(frozen=True, eq=False, repr=False)
class LandCoverScores:
    """What `land_cover_scores` returns.

    Attributes
    ----------
    summary : pandas.Series
        Scores of the whole: accuracy, f1_weighted, f1_macro, kappa and, with objects, object_accuracy.
    per_class : pandas.DataFrame
        By class: precision (user's accuracy), recall (producer's accuracy), f1 and support. Of a class
        without true samples recall is NaN, and so is f1 if none is predicted either.
    confusion : pandas.DataFrame
        Number, or weight, of samples of each true class (rows) in each predicted class (columns).

    Examples
    --------
    >>> from m3fusion_sk import land_cover_scores
    >>> scores = land_cover_scores(["crops", "crops", "water"], ["crops", "water", "water"])
    >>> scores.confusion.loc["crops", "water"], round(scores.per_class.loc["water", "recall"], 2)
    (np.int64(1), np.float64(1.0))
    >>> print(scores.summary["accuracy"].round(4))
    0.6667
    """

    summary: pd.Series
    per_class: pd.DataFrame
    confusion: pd.DataFrame

    def __repr__(self):
        tables = (self.summary.to_frame().T.to_string(index=False), self.per_class, self.confusion)
        with pd.option_context("display.float_format", "{:.4f}".format, "display.width", 1000):
            parts = [part if isinstance(part, str) else part.to_string() for part in tables]
        return "\n\n".join(parts)


def land_cover_scores(y_true, y_pred, *, labels=None, groups=None, sample_weight=None):
    """Accuracy, F-measures, kappa, the scores of each class and the confusion matrix.

    Parameters
    ----------
    y_true, y_pred : array of shape (n_samples,)
        True and predicted class of each sample.
    labels : sequence, optional
        Classes in the order of the tables, among them all that occur. The sorted classes that occur by
        default.
    groups : array of shape (n_samples,), optional
        Object of each sample, for the accuracy by object: each object votes with its samples.
    sample_weight : array of shape (n_samples,), optional
        Weight of each sample.

    Returns
    -------
    LandCoverScores
        With ``summary``, ``per_class`` and ``confusion``; ``print`` shows all three.

    Raises
    ------
    ValueError
        If there are no samples, lengths differ, labels are missing (NaN) or of mixed types, `labels` lacks
        one that occurs, or a weight is negative or NaN.

    See Also
    --------
    StratifiedGroupShuffleSplit : splits by object, to which these scores belong.

    Notes
    -----
    ``f1_weighted`` weights the classes by their support: the F-measure of the M3Fusion paper. ``f1_macro``
    is the plain mean over the classes that occur. A class that is never predicted has precision and
    f1 of 0; kappa is NaN where only one class occurs. The true and the predicted class of an object are
    the most frequent ones (by weight) of its samples, the first in the order of `labels` if tied; an
    object without any weight does not count.

    References
    ----------
    Cohen, J. (1960). A coefficient of agreement for nominal scales. Educational and Psychological
    Measurement 20, 37-46.

    Examples
    --------
    >>> from m3fusion_sk.metrics import land_cover_scores
    >>> scores = land_cover_scores(["a", "a", "b", "c"], ["a", "b", "b", "b"])
    >>> scores.summary.round(4).to_dict()
    {'accuracy': 0.5, 'f1_weighted': 0.4583, 'f1_macro': 0.3889, 'kappa': 0.2727}
    >>> scores.per_class
           precision  recall        f1  support
    class
    a       1.000000     0.5  0.666667        2
    b       0.333333     1.0  0.500000        1
    c       0.000000     0.0  0.000000        1
    >>> scores.confusion
    predicted  a  b  c
    true
    a          1  1  0
    b          0  1  0
    c          0  1  0
    """
    true, predicted = check_labels("y_true", y_true), check_labels("y_pred", y_pred)
    weights = None if sample_weight is None else check_weights(sample_weight, len(true))
    check_same_length(y_true=true, y_pred=predicted, groups=groups)
    check_same_type(y_true=true, y_pred=predicted)
    labels = ordered_classes(labels, true, predicted)
    codes = labels.get_indexer(true), labels.get_indexer(predicted)
    summary = _summary(*codes, weights)
    if groups is not None:
        objects = pd.factorize(check_labels("groups", groups))[0]
        summary["object_accuracy"] = _object_accuracy(*codes, objects, weights)
    per_class, confusion = _tables(*codes, labels, weights)
    return LandCoverScores(pd.Series(summary, name="score"), per_class, confusion)


def _summary(true, predicted, weights):
    if weights is not None:  # a class without any weight is none
        counts = weights > 0
        true, predicted, weights = true[counts], predicted[counts], weights[counts]
    f1 = {
        f"f1_{average}": precision_recall_fscore_support(
            true, predicted, average=average, sample_weight=weights, zero_division=0
        )[2]
        for average in ("weighted", "macro")
    }
    several = len(np.union1d(true, predicted)) > 1
    return {
        "accuracy": accuracy_score(true, predicted, sample_weight=weights),
        **{name: float(value) for name, value in f1.items()},
        "kappa": cohen_kappa_score(true, predicted, sample_weight=weights) if several else np.nan,
    }


def _tables(true, predicted, labels, weights):
    precision, recall, f1, support = precision_recall_fscore_support(
        true, predicted, labels=np.arange(len(labels)), sample_weight=weights, zero_division=0
    )
    counts = count_pairs(true, predicted, len(labels), len(labels), weights)
    recall[support == 0] = np.nan
    f1[(support == 0) & (counts.sum(axis=0) == 0)] = np.nan
    per_class = pd.DataFrame(
        {"precision": precision, "recall": recall, "f1": f1, "support": support}, index=labels.rename("class")
    )
    return per_class, pd.DataFrame(counts, index=labels.rename("true"), columns=labels.rename("predicted"))


def _object_accuracy(true, predicted, objects, weights):
    """Share of the objects with any weight whose most frequent classes agree."""
    if weights is not None:
        counts = weights > 0
        true, predicted, objects, weights = (each[counts] for each in (true, predicted, objects, weights))
    return float(np.mean(majority(objects, true, weights) == majority(objects, predicted, weights)))


def count_pairs(rows, columns, n_rows, n_columns, weights=None):
    """Number, or weight, of each pair of codes."""
    counts = np.bincount(rows * n_columns + columns, weights, minlength=n_rows * n_columns)
    return counts.reshape(n_rows, n_columns)
