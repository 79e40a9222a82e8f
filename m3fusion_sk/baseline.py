"""The baseline: a random forest on the stacked values of all sources."""

from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from .preprocessing import StackedFeatures

__all__ = ["stacked_forest"]


def stacked_forest(
    n_estimators=500,
    *,
    patch="flatten",
    layout=None,
    random_state=None,
    n_jobs=None,
    **forest_parameters,
):
    """A random forest on the stacked values of all sources: what the network is compared with.

    Parameters
    ----------
    n_estimators : int, default=500
        Number of trees.
    patch : {"flatten", "statistics", "centre"}, default="flatten"
        What becomes of a patch, as in `StackedFeatures`.
    layout : dict of str to tuple, optional
        Shape of one sample in each source, where X is a flat table.
    random_state : int, RandomState or None, default=None
        Seed of the trees.
    n_jobs : int, optional
        Number of threads.
    **forest_parameters
        Further parameters of `sklearn.ensemble.RandomForestClassifier`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        With the steps "features" and "forest": a grid search names their parameters
        ``features__patch`` and ``forest__max_features``. X may be all that `M3FusionClassifier` takes.

    See Also
    --------
    StackedFeatures : the table that the forest sees.
    M3FusionClassifier : the network.

    References
    ----------
    Breiman, L. (2001). Random forests. Machine Learning 45, 5-32.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.baseline import stacked_forest
    >>> y = np.repeat(["forest", "water"], 10)
    >>> X = {"ts": np.ones((20, 4, 2)) * (y == "water")[:, None, None], "patch": np.zeros((20, 1, 5, 5))}
    >>> stacked_forest(n_estimators=10, random_state=0).fit(X, y).score(X, y)
    1.0
    """
    forest = RandomForestClassifier(
        n_estimators, random_state=random_state, n_jobs=n_jobs, **forest_parameters
    )
    return Pipeline([("features", StackedFeatures(patch=patch, layout=layout)), ("forest", forest)])
