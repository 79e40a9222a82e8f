"""What is inside of pipelines, searches and calibrated classifiers: the part that can answer a question."""

from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

__all__ = ["find_inside", "first_inside"]

_THRESHOLD = (FixedThresholdClassifier, TunedThresholdClassifierCV)


def find_inside(estimator, method, what):
    """The part of an estimator that has a method, and what brings samples into the form that it takes.

    Parameters
    ----------
    estimator : estimator
        Pipelines are followed to their last step, fitted searches to their best estimator, calibrated
        classifiers to their only classifier, frozen estimators to what is frozen.
    method : str
    what : str
        Who asks, for the message.

    Returns
    -------
    part : estimator
    prepare : callable
        ``prepare(X)`` is X after the steps before `part`.

    Raises
    ------
    TypeError
        If no part has the method.
    sklearn.exceptions.NotFittedError
        If the part that has it is not fitted.
    """
    part, steps = estimator, []
    while not hasattr(part, method):
        if isinstance(part, Pipeline):
            steps += [part[:-1]] if len(part) > 1 else []
            part = part[-1]
            continue
        inner, why = _inner(part)
        if inner is None:
            raise TypeError(
                f"{what} needs a method {method}, as M3FusionClassifier has it, also at the end of a "
                f"pipeline or in a fitted search; got {_path(estimator, part)}{why}."
            )
        part = inner
    if isinstance(part, BaseEstimator) and not hasattr(part, "classes_"):
        check_is_fitted(part)

    def prepare(X):
        for step in steps:
            X = step.transform(X)
        return X

    return part, prepare


def first_inside(estimator):
    """The part of an estimator that samples come to first: the first step of a pipeline; None if unknown.

    Of several models, as of a vote, one is asked: they were fitted to the same samples.
    """
    part = estimator
    while not hasattr(part, "sources_"):
        if isinstance(part, Pipeline):
            steps = [step for _, step in part.steps if step not in (None, "passthrough")]
        else:
            steps = [_inner(part)[0], *_several(part)]
        part = next((step for step in steps if step is not None), None)
        if part is None:
            return None
    return part


def _several(part):
    """The fitted models of what holds some that take the same samples."""
    if isinstance(part, CalibratedClassifierCV):
        return [each.estimator for each in getattr(part, "calibrated_classifiers_", [])]
    return getattr(part, "estimators_", []) if isinstance(part, VotingClassifier | StackingClassifier) else []


def _inner(part):
    """What a wrapper holds, or None and why there is no such thing."""
    if hasattr(part, "best_estimator_"):
        return part.best_estimator_, ""
    if isinstance(part, FrozenEstimator):
        return part.estimator, ""
    if isinstance(part, _THRESHOLD) and hasattr(part, "estimator_"):
        return part.estimator_, ""
    if isinstance(part, CalibratedClassifierCV):
        fitted = getattr(part, "calibrated_classifiers_", [])
        if len(fitted) == 1:
            return fitted[0].estimator, ""
        if not fitted:
            return None, ", which is not fitted"
        return None, f", which holds {len(fitted)} models: for one, calibrate with ensemble=False"
    if hasattr(part, "param_grid") or hasattr(part, "param_distributions"):
        return None, ", which has no best_estimator_: fit it, with refit=True"
    return None, ", which has none"


def _path(estimator, part):
    """Names of the whole and of the part in question."""
    names = dict.fromkeys([type(estimator).__name__, type(part).__name__])
    return " with ".join(names)
