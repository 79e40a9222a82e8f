"""What a report says about fitted models, asked of them in one go."""

import numpy as np
from sklearn.utils import check_random_state

from ..calibration import calibration_scores
from ..explain import attention_by_class, grouped_importance
from ..inside import find_inside
from ..labels import check_labels, check_same_length, check_same_type
from ..validation import as_multisource

__all__ = ["describe_models"]


def describe_models(models, X, y, *, groups=None, dates=None, n_repeats=3, max_samples=2000, random_state=0):
    """Predictions, calibration, attention and importances of fitted models, for `land_cover_report`.

    Parameters
    ----------
    models : dict of str to fitted classifier
        With ``predict_proba``, by name. Attention and importances are those of the first.
    X : MultiSource or dict of str to array
        Test samples, of objects that did not train.
    y : array of shape (n_samples,)
        Their true classes. One that did not train has a probability of 0, and counts as wrong.
    groups : array of shape (n_samples,), optional
        Their objects.
    dates : dict of str to sequence, optional
        Names of the dates of each series.
    n_repeats : int, default=3
        Exchanges of each source and each date for the importances.
    max_samples : int, default=2000
        Samples, drawn at random, for the importances: they take a prediction for each exchange.
    random_state : int, RandomState or None, default=0
        Seed of the draw and of the exchanges.

    Returns
    -------
    dict
        Arguments of `land_cover_report`: ``y_true``, ``predictions``, ``groups``, ``calibration``,
        ``importance``, ``models`` and, where the first model has it, ``attention``.

    Raises
    ------
    ValueError
        If there are no models, or lengths differ.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import stacked_forest
    >>> from m3fusion_sk.report import describe_models
    >>> rng, y = np.random.default_rng(0), np.repeat(["crops", "forest"], 20)
    >>> X = {"ts": rng.normal(size=(40, 3, 2)) + (y == "crops")[:, None, None]}
    >>> forest = stacked_forest(10, random_state=0).fit(X, y)
    >>> found = describe_models({"forest": forest}, X, y)
    >>> sorted(found["importance"]), len(found["predictions"]["forest"])
    (['of dates', 'of sources'], 40)
    """
    if not models:
        raise ValueError("models must hold a fitted classifier or more by name; got none.")
    X, y = as_multisource(X), check_labels("y", y)
    check_same_length(X=X, y=y, groups=groups)
    probas = {name: model.predict_proba(X) for name, model in models.items()}
    first = next(iter(models.values()))
    found = {
        "y_true": y,
        "predictions": {n: np.asarray(models[n].classes_)[p.argmax(axis=1)] for n, p in probas.items()},
        "groups": groups,
        "calibration": {n: _calibration(y, p, models[n].classes_) for n, p in probas.items()},
        "importance": _importances(
            first, *_some(max_samples, X, y, groups, random_state), dates, n_repeats, random_state
        ),
        "models": dict(models),
    }
    attention = _attention(first, X, y, dates or {})
    return {**found, "attention": attention} if attention else found


def _calibration(y, proba, classes):
    """As `calibration_scores`; a class that did not train has a probability of 0."""
    check_same_type(y_true=y, classes=classes)
    others = np.setdiff1d(y, classes)
    proba = np.hstack([proba, np.zeros((len(proba), len(others)), proba.dtype)])
    return calibration_scores(y, proba, [*classes, *others])


def _some(n, X, y, groups, random_state):
    """At most n of the samples, with their classes and objects."""
    if len(y) <= n:
        return X, y, groups
    rows = np.sort(check_random_state(random_state).choice(len(y), n, replace=False))
    return X[rows], y[rows], None if groups is None else np.asarray(groups)[rows]


def _importances(model, X, y, groups, dates, n_repeats, random_state):
    how = {"groups": groups, "n_repeats": n_repeats, "random_state": random_state}
    found = {"of sources": grouped_importance(model, X, y, **how)}
    if _series(X.specs):
        found["of dates"] = grouped_importance(model, X, y, by="date", labels=dates, **how)
    return found


def _attention(model, X, y, dates):
    """Weights of the dates of each series that the model sees; None where it has none."""
    try:
        network, _ = find_inside(model, "attention", "describe_models")
    except TypeError:
        return None
    seen = _series(network.sources_)
    known = {name: days for name, days in dates.items() if name in seen}
    return attention_by_class(model, X, y, dates=known) if seen else None


def _series(specs):
    return [name for name, spec in specs.items() if "n_dates" in spec.axes]
