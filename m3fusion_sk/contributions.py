"""The share of each source in single decisions, as Shapley values."""

from dataclasses import dataclass
from itertools import combinations
from math import factorial
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from .importance import draw_others
from .labels import check_groups
from .multisource import MultiSource
from .presence import present
from .validation import as_multisource

__all__ = ["SourceContributions", "source_contributions"]

_MOST_SOURCES = 10


@dataclass(frozen=True, eq=False)
class SourceContributions:
    """What `source_contributions` returns.

    Attributes
    ----------
    predicted : array of shape (n_samples,)
        The class of each decision.
    contributions : pandas.DataFrame
        What each source (columns) adds to the probability of the predicted class of each sample (rows);
        with ``base`` they sum up to that probability.
    base : pandas.Series
        Mean probability of that class where all sources hold other samples' values.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from m3fusion_sk.explain import SourceContributions
    >>> adds = pd.DataFrame({"ts": [0.4, 0.1], "patch": [0.1, -0.1]})
    >>> parts = SourceContributions(np.array(["crops", "water"]), adds, pd.Series([0.3, 0.5]))
    >>> parts.shares["ts"].round(2).tolist()
    [0.8, 0.5]
    >>> parts.by_class().loc["crops", "patch"]
    np.float64(0.1)
    """

    predicted: np.ndarray
    contributions: pd.DataFrame
    base: pd.Series

    @property
    def shares(self):
        """Size of each source's contribution as a part of the sum of all sizes; equal where all are 0."""
        size = self.contributions.abs()
        total = size.sum(axis=1)
        return size.div(total.where(total > 0), axis=0).fillna(1 / size.shape[1])

    def by_class(self):
        """Mean contributions over the samples of each predicted class."""
        return self.contributions.groupby(pd.Index(self.predicted, name="predicted")).mean()


def source_contributions(estimator, X, *, background=None, groups=None, n_draws=16, random_state=None):
    """What each source adds to the probability of the class that is decided for, sample by sample.

    These are the Shapley values of the sources: the mean over all orders in which the sources could
    become known of what a source adds to the probability. As long as a source is unknown, it holds the
    values of samples drawn from the background.

    Parameters
    ----------
    estimator : fitted classifier
        Any with ``predict_proba`` and ``classes_`` that takes a `MultiSource`, pipelines included.
    X : MultiSource or dict of str to array
        Samples to explain: hundreds rather than millions, since each takes ``2 ** n_sources * n_draws``
        predictions. A source that a sample lacks (NaN) stays so, and contributes 0 to its decision.
    background : MultiSource or dict of str to array, optional
        Samples that stand for the unknown; the other samples of X by default. Values of a source come from
        samples that have it.
    groups : array of shape (n_samples,), optional
        Object of each sample of X, without a background. Samples that stand for the unknown are then of
        other objects, each as likely.
    n_draws : int, default=16
        Draws from the background for each sample.
    random_state : int, RandomState or None, default=None
        Seed of the draws.

    Returns
    -------
    SourceContributions
        With ``contributions``, ``shares`` and ``by_class()``.

    Raises
    ------
    ValueError
        If a parameter is not as described, X has more than 10 sources, or no sample of the background has
        one that samples of X have.

    See Also
    --------
    grouped_importance : importance for the score of many samples.
    m3fusion_sk.plotting.plot_contributions : the figure.

    Notes
    -----
    Other pixels of a parcel tell nearly what its pixels tell. Where they stand for the unknown, as they do
    without `groups` and without a background, contributions are too small, most of all in large objects.

    References
    ----------
    Shapley, L. S. (1953). A value for n-person games. Contributions to the Theory of Games 2, 307-317.
    Lundberg, S. M., Lee, S.-I. (2017). A unified approach to interpreting model predictions. NeurIPS 30.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import stacked_forest
    >>> from m3fusion_sk.explain import source_contributions
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = {"ts": 9 * y[:, None, None] + rng.normal(size=(40, 3, 2)), "terrain": rng.normal(size=(40, 2))}
    >>> forest = stacked_forest(20, random_state=0).fit(X, y)
    >>> source_contributions(forest, X, random_state=0).shares.mean().round(1).to_dict()
    {'ts': 1.0, 'terrain': 0.0}
    """
    X = as_multisource(X)
    objects = _objects(X, background, groups)
    background = X if background is None else as_multisource(background)
    _check(X, background, n_draws)
    _check_others(objects)
    names = X.names
    proba = estimator.predict_proba(X)
    codes = np.argmax(proba, axis=1)
    rng = check_random_state(random_state)
    everywhere = np.arange(len(background))
    draws = _draws(objects, np.arange(len(X)), everywhere, n_draws, rng)
    unknown = {name: _Unknown(name, X, background, draws, rng, objects) for name in names}
    values = {frozenset(names): proba[np.arange(len(X)), codes].astype(float)}
    for known in _subsets(names):
        if known not in values:
            values[known] = _value(estimator, X, unknown, known, codes)
    contributions = pd.DataFrame({name: _shapley(values, name, names) for name in names})
    base = pd.Series(values[frozenset()], name="base")
    return SourceContributions(np.asarray(estimator.classes_)[codes], contributions, base)


def _objects(X, background, groups):
    """Code of each sample's object, which none is drawn from; None with a background of others."""
    if background is None:
        return np.arange(len(X)) if groups is None else pd.factorize(check_groups(groups, len(X)))[0]
    if groups is not None:
        raise ValueError(
            "groups says which samples of X may stand for each other; with a background, which stands for "
            "all, leave it out, and keep the objects of X out of the background."
        )
    return None


def _check_others(objects):
    if objects is not None and objects.max() < 1:
        raise ValueError("background must be given to explain a single sample or object; got None.")


def _draws(objects, samples, rows, n_draws, rng):
    """(n_draws, len(samples)) of the rows of the background, of other objects than the samples'."""
    if objects is None:
        return rows[rng.randint(len(rows), size=(n_draws, len(samples)))]
    return draw_others(objects[samples], objects, rows, rng, n_draws)


def _subsets(names):
    return [frozenset(part) for size in range(len(names) + 1) for part in combinations(names, size)]


class _Unknown:
    """The values of a source while it is unknown: other samples' ones, where a sample has it at all."""

    def __init__(self, name, X, background, draws, rng, objects):
        self.name, self.background, self.draws = name, background, draws
        self.lacking, has = ~present(X, name), present(background, name)
        if not has.all() and not self.lacking.all():
            self.draws = np.where(has[draws], draws, self._donors(has, objects, rng))

    def _donors(self, has, objects, rng):
        """Samples that have the source, for each draw of each sample that has it too."""
        donors, samples = np.flatnonzero(has), np.flatnonzero(~self.lacking)
        if len(donors if objects is None else np.unique(objects[donors])) < (1 if objects is None else 2):
            raise ValueError(
                f"background must have {self.name!r} in some sample beside the one to explain (with "
                "groups, of another object); all are NaN. Give others."
            )
        found = self.draws.copy()
        found[:, samples] = _draws(objects, samples, donors, len(found), rng)
        return found

    def draw(self, i):
        """Values of each sample in draw `i`."""
        rows = self.background[self.draws[i]]
        if not self.lacking.any():
            return rows.rows_of(self.name)
        values = rows.gather(self.name)
        values = values.astype(np.result_type(values.dtype, np.float32))
        values[self.lacking] = np.nan
        return values


def _value(estimator, X, unknown, known, codes):
    """Mean probability of the decided class where only the sources `known` are the sample's own."""
    total, n_draws = np.zeros(len(X)), len(unknown[X.names[0]].draws)
    for i in range(n_draws):
        mixed = {name: X.rows_of(name) if name in known else unknown[name].draw(i) for name in X.names}
        total += estimator.predict_proba(MultiSource(mixed))[np.arange(len(X)), codes]
    return total / n_draws


def _shapley(values, name, names):
    n, total = len(names), 0.0
    for known in _subsets([other for other in names if other != name]):
        weight = factorial(len(known)) * factorial(n - len(known) - 1) / factorial(n)
        total = total + weight * (values[known | {name}] - values[known])
    return total


def _check(X, background, n_draws):
    if len(X.names) > _MOST_SOURCES:
        raise ValueError(f"X must have at most {_MOST_SOURCES} sources; got {len(X.names)}. Join some.")
    if background.specs != X.specs:
        raise ValueError(f"background must have the sources of X, {X.specs}; got {background.specs}.")
    if not len(X) or not len(background):
        raise ValueError(f"X and background must have samples; got {len(X)} and {len(background)}.")
    if not isinstance(n_draws, Integral) or n_draws < 1:
        raise ValueError(f"n_draws must be an integer from 1; got {n_draws!r}.")
