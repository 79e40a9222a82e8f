"""Importance of sources, dates and bands, by exchanging their values between objects."""

from numbers import Integral

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state

from .axisnames import labels_of
from .labels import as_labels, check_by_source, check_groups, in_own_type
from .multisource import MultiSource
from .presence import present
from .rows import ExchangedRows
from .validation import as_multisource

__all__ = ["grouped_importance"]

_AXIS = {"date": ("n_dates",), "band": ("n_bands", "n_features")}


def grouped_importance(
    estimator,
    X,
    y,
    *,
    by="source",
    groups=None,
    scoring=None,
    n_repeats=5,
    labels=None,
    random_state=None,
    n_jobs=None,
):
    """How much the score falls when a source, a date or a band holds the values of other objects.

    Values are exchanged as whole blocks: all of a source, all bands of a date, or a band at all dates and
    pixels, so that what belongs together stays together. Single columns, as
    `sklearn.inspection.permutation_importance` exchanges them, say little where neighbours hold the same.

    Parameters
    ----------
    estimator : fitted classifier
        Any that takes a `MultiSource`, pipelines included.
    X : MultiSource or dict of str to array
        Samples, of objects that did not train. To ask about some classes, give their samples alone. Where
        some lack a source, a date or a band (NaN), those that have it exchange it among themselves, and
        the others stay without: the question is what the values tell, not that they are there.
    y : array of shape (n_samples,)
        True classes.
    by : {"source", "date", "band"}, default="source"
        What is exchanged: dates of series; bands of series and patches, and features of vectors.
    groups : array of shape (n_samples,), optional
        Object of each sample. Each sample then gets the values of one drawn from the samples of all other
        objects, each as likely, so that a pixel never gets those of its own parcel, which resemble its own.
        Without, samples are exchanged.
    scoring : str or callable, optional
        As in scikit-learn; the estimator's own score (accuracy) by default.
    n_repeats : int, default=5
        Number of exchanges of each block.
    labels : dict of str to sequence, optional
        Names of the dates or bands by source, for the table: ``{"ts": ["2018-05-01", ...]}``; by default
        those that X knows, else numbers from 0.
    random_state : int, RandomState or None, default=None
        Seed of the exchanges.
    n_jobs : int, optional
        Number of processes.

    Returns
    -------
    pandas.DataFrame
        ``importance``, the mean fall of the score, and ``std`` over the repeats; indexed by source, or by
        source and date or band. ``table.attrs["score"]`` is the score of X as it is. NaN for what fewer
        than two samples (or objects) have, which cannot be exchanged.

    Raises
    ------
    ValueError
        If a parameter is not as described, or there is no date or band.

    See Also
    --------
    source_contributions : the same question for single decisions.
    m3fusion_sk.plotting.plot_importance : the figure.

    Notes
    -----
    Two blocks that tell the same can replace each other: both then seem unimportant. Exchanging a date
    makes series that do not occur; models may behave oddly on them. A whole source is exchanged with its
    gaps; of a date or band only values are, at places where both samples have one.

    References
    ----------
    Breiman, L. (2001). Random forests. Machine Learning 45, 5-32.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import stacked_forest
    >>> from m3fusion_sk.explain import grouped_importance
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = {"ts": rng.normal(size=(40, 3, 2)), "terrain": rng.normal(size=(40, 2))}
    >>> X["ts"][:, 1] += 9 * y[:, None]
    >>> forest = stacked_forest(20, random_state=0).fit(X, y)
    >>> grouped_importance(forest, X, y, random_state=0)["importance"].round(1).to_dict()
    {'ts': 0.5, 'terrain': 0.0}
    """
    X, y = as_multisource(X), _complete(y)
    groups = None if groups is None else check_groups(groups, len(X))
    if not isinstance(n_repeats, Integral) or n_repeats < 1:
        raise ValueError(f"n_repeats must be an integer from 1; got {n_repeats!r}.")
    blocks = _blocks(X.specs, by)
    names = _names(blocks, X.specs, by, {**_known(X.specs, by), **check_by_source("labels", labels)})
    if not (scoring is None or callable(scoring) or isinstance(scoring, str)):
        raise TypeError(f"scoring must be one score, as text or a callable, or None; got {scoring!r:.200}.")
    scorer = check_scoring(estimator, scoring=scoring)
    orders = _orders(X, blocks, groups, n_repeats, check_random_state(random_state))
    score = scorer(estimator, X, y)
    scores = Parallel(n_jobs=n_jobs)(
        delayed(_score)(scorer, estimator, X, y, block, rows)
        for block, of_block in zip(blocks, orders, strict=True)
        for rows in of_block
    )
    falls = score - np.reshape(scores, (len(blocks), n_repeats))
    table = pd.DataFrame({"importance": falls.mean(axis=1), "std": _deviation(falls)}, index=names)
    table.attrs["score"] = float(score)
    return table


def _complete(y):
    """True classes, or whatever the score takes, of which none is missing."""
    y = as_labels(y)
    missing = pd.isna(y).sum() if y.ndim == 1 else 0
    if missing:
        raise ValueError(f"y must have no missing values; got {missing} NaN or None. Drop these samples.")
    return in_own_type(y)


def _deviation(falls):
    """Over the repeats (blocks, repeats); NaN for a single one."""
    return falls.std(axis=1, ddof=1) if falls.shape[1] > 1 else np.full(len(falls), np.nan)


def _score(scorer, estimator, X, y, block, rows):
    """The score with a block exchanged; NaN where it cannot be."""
    return np.nan if rows is None else scorer(estimator, exchanged(X, block[0], rows, block[1]), y)


def exchanged(X, name, rows, place=None):
    """X whose source `name` holds the values of other rows: all of them, or those at `place`."""
    if place is None:
        return MultiSource({n: (X[rows] if n == name else X).rows_of(n) for n in X.names})
    return X.replace(**{name: ExchangedRows(X.rows_of(name), rows, place)})


def _blocks(specs, by):
    """(source, place) of what is exchanged at once."""
    if by == "source":
        return [(name, None) for name in specs]
    if by not in _AXIS:
        raise ValueError(f"by must be 'source', 'date' or 'band'; got {by!r}.")
    blocks = []
    for name, spec in specs.items():
        axes = [axis for axis, word in enumerate(spec.axes) if word in _AXIS[by]]
        blocks += [(name, (*[slice(None)] * (axis + 1), i)) for axis in axes for i in range(spec.shape[axis])]
    if not blocks:
        raise ValueError(f"by={by!r} needs a source with such; X has {list(specs.values())}.")
    return blocks


def _known(specs, by):
    """Names of dates or bands that a scene, a table or the user told."""
    parts = {"date": ["dates"], "band": ["names", "bands"]}.get(by, [])
    return {name: labels for part in parts for name, labels in labels_of(specs, part).items()}


def _names(blocks, specs, by, labels):
    if by == "source":
        return pd.Index([name for name, _ in blocks], name="source")
    unknown = [name for name in labels if name not in specs]
    pairs = []
    for name, place in blocks:
        given = None if labels.get(name) is None else list(labels[name])  # of a Series, by position
        n = sum(other == name for other, _ in blocks)
        if unknown or (given is not None and len(given) != n):
            raise ValueError(
                f"labels must name each {by} of sources of X; got {len(given or [])} for {name!r}, which has "
                f"{n}, and unknown sources {unknown}."
            )
        pairs.append((name, place[-1] if given is None else given[place[-1]]))
    return pd.MultiIndex.from_tuples(pairs, names=["source", by])


def _orders(X, blocks, groups, n_repeats, rng):
    """For each block the rows to take values from in each repeat; None where no two can exchange."""
    if groups is not None:
        groups = pd.factorize(groups)[0]
        if groups.max() < 1:
            raise ValueError(f"groups must name two objects or more; got {groups.max() + 1}.")
    everywhere = np.arange(len(X))
    common, orders = [_partners(everywhere, groups, rng) for _ in range(n_repeats)], []
    for name, place in blocks:
        has = present(X, name, place)
        orders.append(common if has.all() else [_among(has, groups, rng) for _ in common])
    return orders


def _among(has, groups, rng):
    """Partners among the samples that have the block; the others keep to themselves."""
    rows, order = np.flatnonzero(has), np.arange(len(has))
    if len(np.unique(rows if groups is None else groups[rows])) < 2:
        return None
    order[rows] = _partners(rows, groups, rng)
    return order


def _partners(rows, groups, rng):
    """For each of the rows the one whose values it gets: of another object, where there are objects."""
    return rng.permutation(rows) if groups is None else draw_others(groups[rows], groups, rows, rng)


def draw_others(own, groups, rows, rng, n_draws=None):
    """For each object of `own` a row, or `n_draws` of them, of those of other objects, each as likely.

    >>> import numpy as np
    >>> from m3fusion_sk.importance import draw_others
    >>> draw_others(np.array([1, 1]), np.array([1, 0, 1]), np.arange(3), np.random.RandomState(0)).tolist()
    [1, 1]
    """
    donors = rows[np.argsort(groups[rows], kind="stable")]  # samples of an object follow each other
    start, stop = (np.searchsorted(groups[donors], own, side) for side in ("left", "right"))
    n_others = len(donors) - (stop - start)
    chosen = rng.randint(n_others, size=None if n_draws is None else (n_draws, len(own)))
    return donors[np.where(chosen < start, chosen, chosen + stop - start)]
