"""The comparison of the paper: every model on each source alone and on all of them, on the same splits."""

import time
from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline

from .gapfiller import GapFiller
from .labels import check_groups, check_labels, check_same_length
from .metrics import land_cover_scores
from .preprocessing import SelectSources
from .spectral import SpectralIndices
from .validation import as_multisource

__all__ = ["as_text", "compare_by_source", "rows_by_source", "score_row", "summarize"]

ALL_SOURCES = "all"
STEPS = {GapFiller: "source", SpectralIndices: "bands"}  # and the parameter that names their sources


def rows_by_source(models, sources):
    """The rows of the comparison.

    Parameters
    ----------
    models : dict of str to estimator
        Unfitted classifiers that take a `MultiSource`.
    sources : sequence of str
        Names of the sources.

    Returns
    -------
    dict of (str, str) to Pipeline
        An unfitted pipeline for each model and each source alone, and for ``"all"`` sources if there are
        several. What a model or a step of a pipeline is told by source (`alpha`, `source` of a `GapFiller`,
        `bands` of `SpectralIndices`) is that of the sources that it gets; steps for others only are left out.

    Examples
    --------
    >>> from m3fusion_sk import stacked_forest
    >>> from m3fusion_sk.protocol import rows_by_source
    >>> list(rows_by_source({"forest": stacked_forest()}, ["ts", "patch"]))
    [('forest', 'ts'), ('forest', 'patch'), ('forest', 'all')]
    """
    if ALL_SOURCES in sources:
        raise ValueError(
            f"Sources must have other names than {ALL_SOURCES!r}, which stands for all; got {sources}."
        )
    chosen = {name: [name] for name in sources}
    if len(chosen) > 1:
        chosen[ALL_SOURCES] = list(sources)
    return {
        (model, label): make_pipeline(SelectSources(names), _for_sources(estimator, names, sources))
        for label, names in chosen.items()
        for model, estimator in models.items()
    }


def _for_sources(estimator, names, sources):
    """An unfitted copy for these sources: what is told by source is theirs."""
    parts, own = {"": estimator, **estimator.get_params()}, {}
    for name, value in parts.items():
        around, _, last = name.rpartition("__")
        if last == "alpha" and isinstance(value, Mapping) and set(value) == set(sources):
            own[name] = {source: value[source] for source in names}
        elif type(value) in STEPS and isinstance(parts[around], Pipeline):
            own[name] = _step_for(value, STEPS[type(value)], names)
    return clone(estimator).set_params(**own)


def _step_for(step, parameter, names):
    """A step of a pipeline for these sources, which does nothing where it is for others only."""
    value = getattr(step, parameter)
    told = [value] if isinstance(value, str) else list(value or ())
    kept = [name for name in told if name in names]
    if kept == told:
        return clone(step)
    of_kept = {name: value[name] for name in kept} if isinstance(value, Mapping) else kept
    return clone(step).set_params(**{parameter: of_kept}) if kept else "passthrough"


def score_row(pipeline, X, y, objects, train, test):
    """Fit on the rows `train`, score on the rows `test`.

    Parameters
    ----------
    pipeline : estimator
        From `rows_by_source`; it is cloned.
    X : MultiSource
        Samples.
    y, objects : array of shape (n_samples,)
        Class and object of each sample.
    train, test : array of int
        Rows.

    Returns
    -------
    fitted : Pipeline
    scores : LandCoverScores
        Of the test rows, with the vote of each object.
    seconds : dict
        ``fit_seconds`` and ``predict_seconds``.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import make_land_cover, stacked_forest
    >>> from m3fusion_sk.protocol import rows_by_source, score_row
    >>> X, y, objects = make_land_cover(300, n_dates=4, n_bands=3, patch_size=5, random_state=0)
    >>> pipeline = rows_by_source({"forest": stacked_forest(10, random_state=0)}, X.names)["forest", "ts"]
    >>> rows = np.arange(300)
    >>> fitted, scores, seconds = score_row(pipeline, X, y, objects, rows[::2], rows[1::2])
    >>> "accuracy" in scores.summary, sorted(seconds)
    (True, ['fit_seconds', 'predict_seconds'])
    """
    y, objects = check_labels("y", y), check_groups(objects, len(X), "objects")
    check_same_length(X=X, y=y)
    start = time.perf_counter()
    fitted = clone(pipeline).fit(X[train], y[train])
    middle = time.perf_counter()
    predicted = fitted.predict(X[test])
    seconds = {"fit_seconds": middle - start, "predict_seconds": time.perf_counter() - middle}
    return fitted, land_cover_scores(y[test], predicted, labels=np.unique(y), groups=objects[test]), seconds


def compare_by_source(models, X, y, groups, cv, *, objects=None, report=None):
    """Score every model on each source alone and on all, on the same splits by object.

    Parameters
    ----------
    models : dict of str to estimator
        Unfitted classifiers that take a `MultiSource`.
    X : MultiSource, or dict of str to array
        Samples.
    y : array of shape (n_samples,)
        Labels.
    groups : array of shape (n_samples,)
        Object of each sample; no object is on both sides of a split.
    cv : splitter
        Such as `StratifiedGroupShuffleSplit`, which keeps each object on one side.
    objects : array of shape (n_samples,), optional
        What votes in ``object_accuracy``, where that is not what is split: crowns of plots, for instance.
    report : callable, optional
        Called with each row as it is finished, as a dict.

    Returns
    -------
    pandas.DataFrame
        One row for each split, model and choice of sources: scores and seconds.

    Raises
    ------
    ValueError
        If lengths differ, labels or objects are missing, or a split has an object on both sides.

    Notes
    -----
    Models that are unfitted clones see training rows only: every choice inside a model must be made there.

    Examples
    --------
    >>> from m3fusion_sk import StratifiedGroupShuffleSplit, make_land_cover, stacked_forest
    >>> from m3fusion_sk.protocol import compare_by_source, summarize
    >>> X, y, groups = make_land_cover(400, n_dates=4, n_bands=3, patch_size=5, random_state=0)
    >>> cv = StratifiedGroupShuffleSplit(2, random_state=0)
    >>> models = {"forest": stacked_forest(10, random_state=0)}
    >>> table = summarize(compare_by_source(models, X, y, groups, cv))
    >>> table.index.tolist()
    [('forest', 'ts'), ('forest', 'patch'), ('forest', 'all')]
    """
    _check_splitter(cv)
    X = as_multisource(X)
    y, groups = check_labels("y", y), check_groups(groups, len(X))
    rows, objects = [], groups if objects is None else check_groups(objects, len(X), "objects")
    codes = pd.factorize(groups)[0]
    for split, (train, test) in enumerate(cv.split(X, y, groups)):
        _check_apart(codes, train, test, cv)
        for (model, sources), pipeline in rows_by_source(models, X.names).items():
            _, scores, seconds = score_row(pipeline, X, y, objects, train, test)
            rows.append({"split": split, "model": model, "sources": sources, **scores.summary, **seconds})
            if report is not None:
                report(rows[-1])
    return pd.DataFrame(rows)


def _check_splitter(cv):
    if not hasattr(cv, "split"):
        raise TypeError(
            "cv must be a splitter of objects, such as StratifiedGroupShuffleSplit(10, random_state=0); got "
            f"{cv!r}."
        )


def _check_apart(codes, train, test, cv):
    """Refuse splits with an object on both sides, which would be known before it is tested."""
    shared = np.intersect1d(codes[train], codes[test])
    if len(shared):
        raise ValueError(
            f"cv must keep each object on one side; {type(cv).__name__} puts {len(shared)} of "
            f"{codes.max() + 1} on both. Use StratifiedGroupShuffleSplit, or a splitter of scikit-learn that "
            "minds groups."
        )


def summarize(table):
    """Mean and standard deviation of each row of the comparison over the splits.

    Splits draw from the same objects and overlap: the deviation says how much a score depends on the split.
    It is no standard error of the mean, nor becomes one when divided by the square root of their number.

    Parameters
    ----------
    table : pandas.DataFrame
        From `compare_by_source`.

    Returns
    -------
    pandas.DataFrame
        By model and sources; the columns are pairs of a score and "mean" or, of several splits, "std".

    Examples
    --------
    >>> import pandas as pd
    >>> from m3fusion_sk.protocol import summarize
    >>> rows = [(0, "forest", "ts", 0.8), (1, "forest", "ts", 0.9)]
    >>> table = pd.DataFrame(rows, columns=["split", "model", "sources", "accuracy"])
    >>> summarize(table).loc[("forest", "ts"), ("accuracy", "mean")].round(2)
    np.float64(0.85)
    """
    grouped = table.drop(columns="split").groupby(["model", "sources"], sort=False)
    return grouped.agg(["mean", "std"]) if table["split"].nunique() > 1 else grouped.agg(["mean"])


def as_text(summary):
    """A summary as aligned text: ``0.8543 +- 0.0021``.

    Parameters
    ----------
    summary : pandas.DataFrame
        From `summarize`.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> from m3fusion_sk.protocol import as_text, summarize
    >>> rows = [(0, "forest", "ts", 0.8), (1, "forest", "ts", 0.9)]
    >>> table = pd.DataFrame(rows, columns=["split", "model", "sources", "accuracy"])
    >>> print(as_text(summarize(table)))
                             accuracy
    model  sources
    forest ts       0.8500 +- 0.0707
    """
    text = pd.DataFrame(index=summary.index)
    for column in summary.columns.get_level_values(0).unique():
        digits = 1 if column.endswith("seconds") else 4
        part = summary[column]
        text[column] = part["mean"].map(f"{{:.{digits}f}}".format)
        if "std" in part and not column.endswith("seconds"):
            text[column] += part["std"].map(f" +- {{:.{digits}f}}".format).where(part["std"].notna(), "")
    return text.to_string()
