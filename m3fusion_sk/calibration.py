"""How far the probabilities of a classifier can be believed."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd

from .labels import check_labels, check_same_length, check_same_type
from .targets import check_weights

__all__ = ["CalibrationScores", "calibration_scores"]


@dataclass(frozen=True, eq=False)
class CalibrationScores:
    """What `calibration_scores` returns.

    Attributes
    ----------
    summary : pandas.Series
        ``calibration_error`` (the expected calibration error), ``largest_error`` (of a bin), ``brier``,
        ``log_loss``, ``accuracy`` and ``confidence`` (mean probability of the predicted class).
    reliability : pandas.DataFrame
        By bin of confidence, from ``low`` to ``high``: ``count`` (or weight) of the samples, their mean
        ``confidence`` and their ``accuracy``; NaN in bins without samples.

    Examples
    --------
    >>> from m3fusion_sk.calibration import calibration_scores
    >>> scores = calibration_scores(["a", "b"], [[0.95, 0.05], [0.65, 0.35]], ["a", "b"])
    >>> scores.summary[["accuracy", "confidence"]].tolist()
    [0.5, 0.8]
    >>> scores.reliability.dropna()[["count", "accuracy"]].to_numpy().tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """

    summary: pd.Series
    reliability: pd.DataFrame

    def __str__(self):
        summary = self.summary.to_frame().T.to_string(index=False, float_format="{:.4f}".format)
        return f"{summary}\n\n{self.reliability.to_string(float_format='{:.4f}'.format)}"


def calibration_scores(y_true, proba, classes, *, n_bins=10, sample_weight=None):
    """Reliability, expected calibration error, Brier score and log loss of probabilities.

    Where a well calibrated classifier gives its predicted class a probability of 0.8, it is right in 80 %
    of the cases.

    Parameters
    ----------
    y_true : array of shape (n_samples,)
        True classes, of objects that did not train.
    proba : array of shape (n_samples, n_classes)
        Probabilities, as ``predict_proba`` gives them.
    classes : array of shape (n_classes,)
        Class of each column: the classifier's ``classes_``.
    n_bins : int, default=10
        Number of bins of equal width of the predicted class's probability.
    sample_weight : array of shape (n_samples,), optional
        Weight of each sample.

    Returns
    -------
    CalibrationScores
        With ``summary`` and ``reliability``; ``print`` shows both.

    Raises
    ------
    ValueError
        If lengths differ, labels are missing or not among `classes`, or probabilities do not lie between
        0 and 1 and sum to 1.

    See Also
    --------
    m3fusion_sk.plotting.plot_reliability : the reliability diagram.
    sklearn.calibration.CalibratedClassifierCV : temperature scaling (``method="temperature"``, from
        scikit-learn 1.8).

    Notes
    -----
    The calibration error is that of the predicted class: the mean over the bins of the difference of
    accuracy and confidence, weighted by the samples in the bin (Guo et al., 2017). The Brier score is the
    sum over all classes of the squared difference from the truth, from 0 to 2, of which half is often
    given for two classes. In the log loss, probabilities below 1e-15 count as that.

    Both errors of bins are too large in small tests, since differences by chance do not cancel: with
    probabilities that are exactly right (10 classes, simulated), the calibration error is 0.06 on average
    for 200 samples and 0.01 for 5,000. ``largest_error`` is 0.4 and 0.14 there, since it often is that of a
    bin with a sample or two: look at the ``count`` in ``reliability``, or give fewer bins. Pixels of one
    object are alike and count as fewer samples.

    References
    ----------
    Guo, C., Pleiss, G., Sun, Y., Weinberger, K. Q. (2017). On calibration of modern neural networks.
    ICML 2017.
    Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. Monthly Weather
    Review 78, 1-3.

    Examples
    --------
    >>> from m3fusion_sk.calibration import calibration_scores
    >>> proba = [[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.1, 0.9]]
    >>> scores = calibration_scores(["a", "b", "b", "b"], proba, classes=["a", "b"], n_bins=5)
    >>> scores.summary.round(3)[["calibration_error", "brier"]].tolist()
    [0.25, 0.46]
    >>> scores.reliability.dropna()
       low  high  count  confidence  accuracy
    3  0.6   0.8    1.0         0.7  1.000000
    4  0.8   1.0    3.0         0.9  0.666667
    """
    true, proba = check_labels("y_true", y_true), _as_numbers(proba)
    weights = check_weights(sample_weight, len(true))
    check_same_length(y_true=true, proba=proba)
    codes = _codes(true, proba, classes)
    if not isinstance(n_bins, Integral) or n_bins < 1:
        raise ValueError(f"n_bins must be an integer from 1; got {n_bins!r}.")
    table = _reliability(codes, proba, weights, n_bins)
    return CalibrationScores(pd.Series(_summary(codes, proba, weights, table), name="score"), table)


def _as_numbers(proba):
    try:
        return np.asarray(proba, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "proba must hold probabilities of shape (n_samples, n_classes), as predict_proba gives them: "
            f"{error}."
        ) from None


def _reliability(codes, proba, weights, n_bins):
    confidence, hit = proba.max(axis=1), proba.argmax(axis=1) == codes
    edges = np.linspace(0, 1, n_bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    count = np.bincount(place, weights, minlength=n_bins)

    def mean(values):
        total = np.bincount(place, weights * values, minlength=n_bins)
        return np.divide(total, count, out=np.full(n_bins, np.nan), where=count > 0)

    columns = {"low": edges[:-1], "high": edges[1:], "count": count}
    return pd.DataFrame({**columns, "confidence": mean(confidence), "accuracy": mean(hit)})


def _summary(codes, proba, weights, table):
    gap = (table["accuracy"] - table["confidence"]).abs()
    share = weights / weights.sum()
    truth = np.zeros_like(proba)
    truth[np.arange(len(codes)), codes] = 1
    of_truth = np.maximum(proba[np.arange(len(codes)), codes], 1e-15)
    return {
        "calibration_error": float((gap * table["count"]).sum() / table["count"].sum()),
        "largest_error": float(gap.max()),
        "brier": float(share @ ((proba - truth) ** 2).sum(axis=1)),
        "log_loss": float(-share @ np.log(of_truth)),
        "accuracy": float(share @ (proba.argmax(axis=1) == codes)),
        "confidence": float(share @ proba.max(axis=1)),
    }


def _codes(true, proba, classes):
    """Column of each sample's class; checked with the probabilities."""
    classes = pd.Index(np.asarray(classes))
    if proba.ndim != 2 or proba.shape[1] != len(classes) or classes.has_duplicates:
        raise ValueError(
            f"proba must have one column for each of the classes {classes.tolist()}; got shape {proba.shape}."
        )
    sums = proba.sum(axis=1)
    if not ((proba >= 0).all() and np.allclose(sums, 1, atol=1e-3)):
        raise ValueError(
            f"proba must lie between 0 and 1 and sum to 1 for each sample; got {proba.min()} to "
            f"{proba.max()}, sums from {sums.min()} to {sums.max()}."
        )
    check_same_type(y_true=true, classes=classes)
    codes = classes.get_indexer(true)
    if (codes < 0).any():
        unknown = pd.Index(true[codes < 0]).unique().tolist()
        raise ValueError(f"classes must hold every class of y_true; {unknown} are not in {classes.tolist()}.")
    return codes
