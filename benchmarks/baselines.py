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
TREES = 500
TUNING_TREES = 100

GRIDS = {
    "random forest": {"model__max_features": ["sqrt", 0.1], "model__min_samples_leaf": [1, 4]},
    "extra trees": {"model__max_features": ["sqrt", 0.1], "model__min_samples_leaf": [1, 4]},
    "boosting": {"model__learning_rate": [0.05, 0.15], "model__max_leaf_nodes": [8, 31]},
    "logistic regression": {"model__C": [0.003, 0.03, 0.3]},
    "pca + logistic regression": {"pca__n_components": [32, 64, 128], "model__C": [0.03, 0.3, 3]},
    "rbf svm": {"model__C": [1, 10, 100], "model__gamma": ["scale", 0.001, 0.0001]},
}


def steps_of(name, seed, n_trees=TREES):
    """The steps behind the stacked features."""
    trees = {"random forest": RandomForestClassifier, "extra trees": ExtraTreesClassifier}
    if name in trees:
        return [("model", trees[name](n_trees, random_state=seed))]
    if name == "boosting":  # of a tenth of the features at each split, as for the forests
        model = HistGradientBoostingClassifier(
            l2_regularization=1,  # without any, leaves of rare classes can grow without bound: 0.35 on a fold
            max_features=0.1,
            early_stopping=False,
            random_state=seed,
        )
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
        The settings chosen; none where the objects are too few for inner folds.
    """
    rows = spread(groups, TUNING_SAMPLES, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        folds = inner_folds(y[rows], groups[rows], seed)
        if not folds:
            return pipeline_of(name, seed).fit(X, y), {}
        grid = grid_of(name, X, min(len(train) for train, _ in folds))
        search = GridSearchCV(pipeline_of(name, seed, TUNING_TREES), grid, cv=folds, refit=False)
        chosen = search.fit(X[rows], y[rows]).best_params_
        return pipeline_of(name, seed).set_params(**chosen).fit(X, y), chosen


def pipeline_of(name, seed, n_trees=TREES):
    return Pipeline([("features", StackedFeatures()), *steps_of(name, seed, n_trees)])


def inner_folds(y, groups, seed):
    """Folds by object, as many as there are objects where these are few, with two classes to train on."""
    n_folds = min(INNER_FOLDS, len(np.unique(groups)))
    if n_folds < 2:
        return []
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    return [
        (train, test)
        for train, test in folds.split(y, y, groups)
        if len(np.unique(y[train])) > 1 and len(test)
    ]


def grid_of(name, X, n_train):
    """The settings to try: patches as they are and as statistics, no more components than samples."""
    grid = dict(GRIDS[name])
    if has_patches(X):  # boosting on thousands of pixel values takes a quarter of an hour for a fit
        grid["features__patch"] = ["statistics"] if name == "boosting" else ["flatten", "statistics"]
    if "pca__n_components" in grid:
        most = min(n_train, X.shape[1])
        grid["pca__n_components"] = sorted({min(n, most) for n in grid["pca__n_components"]})
    return grid


def has_patches(X):
    return any(spec.kind == "patch" for spec in X.specs.values())


def spread(groups, most, seed):
    """At most `most` rows, taken in turn from all groups: the first of each, then the second, ..."""
    order = np.random.default_rng(seed).permutation(len(groups))
    turn, seen = np.empty(len(groups)), {}
    for row in order:
        turn[row] = seen[groups[row]] = seen.get(groups[row], -1) + 1
    return np.sort(order[np.argsort(turn[order], kind="stable")[:most]])
