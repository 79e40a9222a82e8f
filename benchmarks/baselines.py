"""Classical models on stacked features, each with a small grid that is searched on training objects only."""

import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from m3fusion_sk import StackedFeatures

INNER_FOLDS = 3
TUNING_SAMPLES = 2000  # rows on which a grid is searched, spread evenly over the training objects

GRIDS = {
    "random forest": {"model__max_features": ["sqrt", 0.1], "model__min_samples_leaf": [1, 4]},
    "extra trees": {"model__max_features": ["sqrt", 0.1], "model__min_samples_leaf": [1, 4]},
    "boosting": {"model__learning_rate": [0.05, 0.15], "model__max_leaf_nodes": [8, 31]},
    "logistic regression": {"model__C": [0.003, 0.03, 0.3]},
    "pca + logistic regression": {"pca__n_components": [32, 64, 128], "model__C": [0.03, 0.3, 3]},
    "rbf svm": {"model__C": [1, 10, 100], "model__gamma": ["scale", 0.001, 0.0001]},
}


def steps_of(name, seed):
    """The steps behind the stacked features."""
    trees = {"random forest": RandomForestClassifier, "extra trees": ExtraTreesClassifier}
    if name in trees:
        return [("model", trees[name](500, random_state=seed))]
    if name == "boosting":  # of a tenth of the features at each split, as for the forests
        model = HistGradientBoostingClassifier(max_features=0.1, early_stopping=False, random_state=seed)
        return [("model", model)]
    if name == "rbf svm":
        return [("scale", StandardScaler()), ("model", SVC(random_state=seed))]
    pca = [("pca", PCA(whiten=True, random_state=seed))] if name.startswith("pca") else []
    return [("scale", StandardScaler()), *pca, ("model", LogisticRegression(max_iter=300))]


def tuned(name, X, y, groups, seed=0):
    """The baseline with the settings that are best on inner folds of the training objects.

    Returns
    -------
    fitted : Pipeline
        Fitted on all of X.
    chosen : dict
        The settings chosen.
    """
    pipeline = Pipeline([("features", StackedFeatures()), *steps_of(name, seed)])
    rows = spread(groups, TUNING_SAMPLES, seed)
    grid = {**GRIDS[name], **({"features__patch": ["flatten", "statistics"]} if has_patches(X) else {})}
    cv = list(
        StratifiedGroupKFold(INNER_FOLDS, shuffle=True, random_state=seed).split(rows, y[rows], groups[rows])
    )
    if "pca__n_components" in grid:
        most = min(min(len(train) for train, _ in cv), X.shape[1])
        grid["pca__n_components"] = sorted({min(n, most) for n in grid["pca__n_components"]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        search = GridSearchCV(pipeline, grid, cv=cv, refit=False).fit(X[rows], y[rows])
        return pipeline.set_params(**search.best_params_).fit(X, y), search.best_params_


def has_patches(X):
    return any(spec.kind == "patch" for spec in X.specs.values())


def spread(groups, most, seed):
    """At most `most` rows, taken in turn from all groups: the first of each, then the second, ..."""
    order = np.random.default_rng(seed).permutation(len(groups))
    turn, seen = np.empty(len(groups)), {}
    for row in order:
        turn[row] = seen[groups[row]] = seen.get(groups[row], -1) + 1
    return np.sort(order[np.argsort(turn[order], kind="stable")[:most]])
