"""Looking inside: dates that are attended to, what each head knows, which sources decide."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .axisnames import labels_of
from .contributions import SourceContributions, source_contributions
from .importance import grouped_importance
from .inside import find_inside
from .labels import check_by_source, check_labels, check_same_length, check_same_type

__all__ = [
    "HeadComparison",
    "SourceContributions",
    "attention_by_class",
    "compare_heads",
    "grouped_importance",
    "source_contributions",
]

FUSION = "fusion"


def attention_by_class(estimator, X, y=None, *, dates=None):
    """Mean weight of each date in the attention of the network, by class.

    Parameters
    ----------
    estimator : fitted M3FusionClassifier
        Or a pipeline that ends in one, a fitted search for one, or a calibrated one, also with a threshold.
    X : MultiSource, dict of str to array, DataFrame or array
        Samples.
    y : array of shape (n_samples,), optional
        Class of each sample; the one that `estimator` predicts by default.
    dates : dict of str to sequence, optional
        Names of the dates of each series, for the columns; by default those that the network knows from
        `fit`, else numbers from 0.

    Returns
    -------
    dict of str to pandas.DataFrame
        For each series a table of classes (rows) and dates (columns); each row sums to 1. Samples that
        lack a series are left out of its table.

    Raises
    ------
    TypeError
        If the estimator has no attention.
    ValueError
        If lengths differ, `dates` are not those of its series, or the network has no series.

    See Also
    --------
    M3FusionClassifier.attention : the weights of each sample.
    m3fusion_sk.plotting.plot_attention : the figure.

    Notes
    -----
    Weights say which dates' states make up the feature. The state of a recurrence holds earlier dates
    too, so a date may matter without weight; `grouped_importance` with ``by="date"`` asks the other way.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import M3FusionClassifier
    >>> from m3fusion_sk.explain import attention_by_class
    >>> rng, y = np.random.default_rng(0), np.repeat(["crops", "forest"], 20)
    >>> X = {"ts": rng.normal(size=(40, 5, 2)) + (y == "crops")[:, None, None]}
    >>> clf = M3FusionClassifier(hidden_size=8, max_epochs=2, random_state=0).fit(X, y)
    >>> attention_by_class(clf, X, y)["ts"].shape
    (2, 5)
    """
    dates = check_by_source("dates", dates)
    network, prepare = find_inside(estimator, "attention", "attention_by_class")
    y = check_labels("y", estimator.predict(X) if y is None else y)
    X = prepare(X)
    check_same_type(y=y, classes=network.classes_)
    tables = {}
    attention = network.attention(X)
    known = labels_of(network.sources_, "dates")
    for name, weights in attention.items():
        check_same_length(y=y, X=weights)
        columns = list(dates.get(name, known.get(name, range(weights.shape[1]))))
        if len(columns) != weights.shape[1] or not set(dates) <= set(attention):
            raise ValueError(
                f"dates must name the {weights.shape[1]} dates of {name!r}, and series among "
                f"{list(attention)}; got {len(columns)} dates, and names for {list(dates)}."
            )
        frame = pd.DataFrame(weights, columns=pd.Index(columns, name="date"))
        has = weights.any(axis=1)  # samples without this series have no weights to average
        tables[name] = frame[has].groupby(pd.Index(y[has], name="class")).mean()
    if not tables:
        raise ValueError(f"attention_by_class needs a series; the network has {network.sources_}.")
    return tables


@dataclass(frozen=True, eq=False)
class HeadComparison:
    """What `compare_heads` returns. Heads are "fusion", as `predict` has it, and the sources by name.

    Attributes
    ----------
    accuracy : pandas.Series
        Accuracy of each head.
    recall : pandas.DataFrame
        Share of the samples of each class (rows) that each head (columns) gets right.
    disagreement : pandas.DataFrame
        Share of the samples to which two heads give different classes.
    predictions : pandas.DataFrame
        The class that each head (columns) gives to each sample (rows).
    divergence : array of shape (n_samples,)
        How far the sources' heads disagree about a sample: Jensen-Shannon divergence of their
        probabilities as a part of its maximum, from 0 (the same) to 1 (each is sure of another class).

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import M3FusionClassifier
    >>> from m3fusion_sk.explain import compare_heads
    >>> y = np.repeat(["crops", "water"], 20)
    >>> level = (y == "water")[:, None, None] * 9.0
    >>> X = {"ts": level + np.zeros((40, 4, 2)), "patch": np.random.default_rng(0).normal(size=(40, 1, 5, 5))}
    >>> clf = M3FusionClassifier(hidden_size=8, n_filters=4, max_epochs=20, random_state=0).fit(X, y)
    >>> heads = compare_heads(clf, X, y)
    >>> heads.accuracy["ts"], heads.recall.shape, heads.divergence.shape
    (np.float64(1.0), (2, 3), (40,))
    """

    accuracy: pd.Series
    recall: pd.DataFrame
    disagreement: pd.DataFrame
    predictions: pd.DataFrame
    divergence: np.ndarray


def compare_heads(estimator, X, y):
    """What each source's head knows on its own, and where the heads disagree.

    Parameters
    ----------
    estimator : fitted M3FusionClassifier
        With two sources or more; or a pipeline that ends in one, a fitted search for one, a calibrated one
        or one with a threshold, of which the network's own heads are compared: "fusion" is without these.
    X : MultiSource, dict of str to array, DataFrame or array
        Samples, of objects that did not train.
    y : array of shape (n_samples,)
        True classes.

    Returns
    -------
    HeadComparison

    Raises
    ------
    TypeError
        If the estimator has no heads by source.
    ValueError
        If lengths differ, there is a single source, or samples lack one.

    See Also
    --------
    M3FusionClassifier.predict_proba_by_source : the probabilities of each head.
    m3fusion_sk.plotting.plot_heads : the figure.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import M3FusionClassifier
    >>> from m3fusion_sk.explain import compare_heads
    >>> rng, y = np.random.default_rng(0), np.repeat(["crops", "forest"], 40)
    >>> X = {"ts": rng.normal(size=(80, 5, 2)) + 3 * (y == "crops")[:, None, None],
    ...      "noise": rng.normal(size=(80, 2))}
    >>> clf = M3FusionClassifier(hidden_size=8, random_state=0).fit(X, y)
    >>> heads = compare_heads(clf, X, y)
    >>> bool(heads.accuracy["ts"] > 0.95 > heads.accuracy["noise"])
    True
    """
    network, prepare = find_inside(estimator, "predict_proba_by_source", "compare_heads")
    X = prepare(X)
    y = check_labels("y", y)
    check_same_type(y=y, classes=network.classes_)
    by_source = network.predict_proba_by_source(X)
    if len(by_source) < 2:
        raise ValueError(f"compare_heads needs two sources or more; the network has {list(by_source)}.")
    lacking = sum(np.isnan(proba).any(axis=1) for proba in by_source.values()) > 0
    if lacking.any():
        raise ValueError(
            f"compare_heads needs samples that have all sources; {lacking.sum()} of {len(lacking)} lack one. "
            "Leave these out."
        )
    probas = {FUSION: network.predict_proba(X), **by_source}
    predictions = pd.DataFrame({name: network.classes_[p.argmax(axis=1)] for name, p in probas.items()})
    check_same_length(X=predictions, y=y)
    right = predictions.eq(pd.Series(y), axis=0)
    values = predictions.to_numpy()
    unlike = (values[:, :, None] != values[:, None, :]).mean(axis=0)
    return HeadComparison(
        right.mean().rename("accuracy"),
        right.groupby(pd.Index(y, name="class")).mean(),
        pd.DataFrame(unlike, index=predictions.columns, columns=predictions.columns),
        predictions,
        divergence(np.stack(list(by_source.values()))),
    )


def divergence(probas):
    """Jensen-Shannon divergence of probabilities (n_heads, n_samples, n_classes), from 0 to 1."""
    probas = np.asarray(probas, dtype=np.float64)
    most = _entropy(_even_shares(probas.shape[0], probas.shape[2]))
    spread = _entropy(probas.mean(axis=0)) - _entropy(probas).mean(axis=0)
    return np.clip(spread / most, 0, 1)


def _even_shares(n_heads, n_classes):
    """Shares of the classes where each head is sure of one, and they disagree as much as they can."""
    return np.bincount(np.arange(n_heads) % n_classes) / n_heads


def _entropy(proba):
    return -(proba * np.log(np.maximum(proba, 1e-300))).sum(axis=-1)
