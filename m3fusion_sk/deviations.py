"""How far scores depend on the objects that they were measured on."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from .labels import check_labels, check_same_length, check_same_type, majority, ordered_classes
from .metrics import count_pairs

__all__ = ["ScoreDraws", "draw_scores"]


@dataclass(frozen=True, eq=False)
class ScoreDraws:
    """What `draw_scores` returns for a model: a row for each draw.

    Attributes
    ----------
    summary : pandas.DataFrame
        Columns accuracy, f1_weighted, f1_macro, kappa and object_accuracy, as in `land_cover_scores`.
    f1 : pandas.DataFrame
        F-measure of each class (columns); NaN where a draw has nothing of it, and in all draws for a class
        that fewer than two objects have true samples of.
    """

    summary: pd.DataFrame
    f1: pd.DataFrame

    def __sub__(self, other):
        """Differences, draw by draw: both models were scored on the same objects."""
        return ScoreDraws(self.summary - other.summary, self.f1 - other.f1)


def draw_scores(y_true, predictions, groups, *, labels=None, n_draws=200, random_state=0):
    """Scores of test objects drawn with replacement, for their standard errors and those of differences.

    Pixels of an object are alike, so that deviations over single pixels would be far too small: whole
    objects are drawn, as many as there are.

    Parameters
    ----------
    y_true : array of shape (n_samples,)
        True class of each sample.
    predictions : dict of str to array of shape (n_samples,)
        Predicted classes by name of the model. All models are scored on the same draws.
    groups : array of shape (n_samples,)
        Object of each sample.
    labels : sequence, optional
        All classes, in the order by which ties in the vote of an object are settled; by default those that
        occur, sorted.
    n_draws : int, default=200
        Number of draws.
    random_state : int, RandomState or None, default=0
        Seed.

    Returns
    -------
    dict of str to ScoreDraws
        Their ``std()`` are standard errors; those of ``draws["a"] - draws["b"]`` are paired. All NaN with a
        single object, which tells nothing about others.

    Raises
    ------
    ValueError
        If lengths differ or labels are missing.

    Notes
    -----
    This is the bootstrap by clusters. It tells about the test objects only: not about another choice of
    training objects, nor about the seed of the training. With few objects of a class it is too small; with
    one there is none, since its F is the same in all draws.

    References
    ----------
    Efron, B., Tibshirani, R. J. (1993). An Introduction to the Bootstrap. Chapman and Hall.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.deviations import draw_scores
    >>> y, objects = np.repeat(["a", "b"], 50), np.arange(100) // 5
    >>> predicted = np.where(objects % 4 == 0, "a", y)
    >>> draws = draw_scores(y, {"network": y, "forest": predicted}, objects)
    >>> float(draws["network"].summary["accuracy"].std())
    0.0
    >>> bool(0.05 < (draws["network"] - draws["forest"]).summary["accuracy"].std() < 0.15)
    True
    """
    true = check_labels("y_true", y_true)
    objects = pd.factorize(check_labels("groups", groups))[0]
    predictions = {str(name): check_labels(name, values) for name, values in predictions.items()}
    check_same_length(y_true=true, groups=objects, **predictions)
    check_same_type(y_true=true, **predictions)
    if not isinstance(n_draws, Integral) or n_draws < 1:
        raise ValueError(f"n_draws must be an integer from 1; got {n_draws!r}.")
    classes = ordered_classes(labels, true, *predictions.values())
    n_objects = objects.max() + 1
    rng = check_random_state(random_state)
    times = rng.multinomial(n_objects, np.full(n_objects, 1 / n_objects), size=n_draws)
    true = classes.get_indexer(true)
    return {
        name: _drawn(true, classes.get_indexer(values), objects, times, classes)
        for name, values in predictions.items()
    }


def _few(true, objects, n_classes):
    """Which classes have true samples in fewer than two objects."""
    pairs = np.unique(np.stack([true, objects]), axis=1)
    return np.bincount(pairs[0], minlength=n_classes) < 2


def _drawn(true, predicted, objects, times, classes):
    hits = majority(objects, true) == majority(objects, predicted)
    summaries, f1s = [], []
    for weights in times:
        counts = count_pairs(true, predicted, *[len(classes)] * 2, weights[objects])
        summary, f1 = scores_of_counts(counts)
        summaries.append({**summary, "object_accuracy": float(hits @ weights / weights.sum())})
        f1s.append(f1)
    f1 = np.where(_few(true, objects, len(classes)), np.nan, f1s)
    drawn = ScoreDraws(pd.DataFrame(summaries), pd.DataFrame(f1, columns=classes))
    if times.shape[1] > 1:
        return drawn
    return ScoreDraws(drawn.summary * np.nan, drawn.f1 * np.nan)


def scores_of_counts(counts):
    """The scores of `land_cover_scores` from a confusion matrix, and F by class, much faster."""
    counts = np.asarray(counts, dtype=np.float64)
    truth, predicted, right = counts.sum(axis=1), counts.sum(axis=0), counts.diagonal()
    total = counts.sum()
    occurring = truth + predicted > 0
    f1 = np.divide(2 * right, truth + predicted, out=np.full(len(counts), np.nan), where=occurring)
    by_chance = truth @ predicted / total**2
    accuracy = right.sum() / total
    summary = {
        "accuracy": accuracy,
        "f1_weighted": np.nansum(f1 * truth) / total,
        "f1_macro": np.nanmean(f1),
        "kappa": (accuracy - by_chance) / (1 - by_chance) if occurring.sum() > 1 else np.nan,
    }
    return summary, f1
