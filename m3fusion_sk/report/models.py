"""What a report says about fitted models, asked of them in one go."""

import numpy as np
from sklearn.pipeline import Pipeline

from ..calibration import calibration_scores
from ..explain import attention_by_class, grouped_importance
from ..metrics import check_labels, check_same_length
from ..validation import as_multisource

__all__ = ["describe_models"]


def describe_models(models, X, y, *, groups=None, dates=None, n_repeats=3, random_state=0):
    """Predictions, calibration, attention and importances of fitted models, for `land_cover_report`.

    Parameters
    ----------
    models : dict of str to fitted classifier
        With ``predict_proba``, by name. Attention and importances are those of the first.
    X : MultiSource or dict of str to array
        Test samples, of objects that did not train.
    y : array of shape (n_samples,)
        Their true classes.
    groups : array of shape (n_samples,), optional
        Their objects.
    dates : dict of str to sequence, optional
        Names of the dates of each series.
    n_repeats : int, default=3
        Exchanges of each source and each date for the importances, which take a prediction each.
    random_state : int, RandomState or None, default=0
        Seed of the exchanges.

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
        "calibration": {n: calibration_scores(y, p, models[n].classes_) for n, p in probas.items()},
        "importance": _importances(first, X, y, groups, dates, n_repeats, random_state),
        "models": dict(models),
    }
    if hasattr(_last(first), "attention") and _series(X):
        found["attention"] = attention_by_class(first, X, y, dates=dates)
    return found


def _importances(model, X, y, groups, dates, n_repeats, random_state):
    how = {"groups": groups, "n_repeats": n_repeats, "random_state": random_state}
    found = {"of sources": grouped_importance(model, X, y, **how)}
    if _series(X):
        found["of dates"] = grouped_importance(model, X, y, by="date", labels=dates, **how)
    return found


def _series(X):
    return [name for name, spec in X.specs.items() if "n_dates" in spec.axes]


def _last(model):
    return model[-1] if isinstance(model, Pipeline) else model
