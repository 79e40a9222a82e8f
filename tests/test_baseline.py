import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    cross_val_predict,
    cross_validate,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils import resample

from m3fusion_sk import MultiSource
from m3fusion_sk.baseline import stacked_forest
from m3fusion_sk.model_selection import StratifiedGroupShuffleSplit
from m3fusion_sk.preprocessing import SelectSources


@pytest.fixture(scope="module")
def y():
    return np.repeat(["crop", "forest", "water"], 20)


@pytest.fixture(scope="module")
def groups():
    return np.arange(60) // 4


@pytest.fixture(scope="module")
def X(y):
    """Crop and forest differ in the series, forest and water in the patch."""
    rng = np.random.default_rng(0)
    ts = rng.normal(size=(60, 5, 2)).astype("f4") + 6 * (y == "crop")[:, None, None]
    patch = rng.integers(0, 50, (60, 2, 5, 5)) + 100 * (y == "water")[:, None, None, None]
    return MultiSource(ts=ts, patch=patch.astype("u2"))


@pytest.fixture
def forest():
    return stacked_forest(10, random_state=0)


def test_the_forest_takes_every_form_of_x(X, y, forest):
    frame = pd.DataFrame(np.asarray(X), columns=X.column_names)
    expected = forest.fit(X, y).predict_proba(X)
    for form in (dict(X.items()), frame, frame.to_numpy()):
        proba = stacked_forest(10, random_state=0).fit(form, y).predict_proba(form)
        np.testing.assert_array_equal(proba, expected)


def test_parameters_reach_the_features_and_the_forest():
    model = stacked_forest(7, patch="centre", layout={"p": (1, 3, 3)}, random_state=3, n_jobs=2, max_depth=4)
    assert model["features"].get_params() == {"patch": "centre", "layout": {"p": (1, 3, 3)}}
    parameters = model["forest"].get_params()
    names = ("n_estimators", "random_state", "n_jobs", "max_depth")
    assert [parameters[name] for name in names] == [7, 3, 2, 4]
    assert model.fit(np.ones((4, 9)), [0, 1, 0, 1])["forest"].n_features_in_ == 1
    assert stacked_forest()["forest"].n_estimators == 500


def test_fusion_tells_apart_what_one_source_cannot(X, y, groups, forest):
    cv = StratifiedGroupShuffleSplit(3, train_size=0.5, random_state=0)
    both, ts = (
        cross_validate(model, X, y, groups=groups, cv=cv)["test_score"].mean()
        for model in (forest, make_pipeline(SelectSources(["ts"]), forest))
    )
    assert both > 0.95
    assert ts < 0.85


def test_train_test_split_keeps_samples_and_labels_together(X, y, forest):
    train, test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    assert isinstance(train, MultiSource) and len(train) + len(test) == 60
    assert forest.fit(train, y_train).score(test, y_test) > 0.9


def test_group_folds_and_a_search_over_both_steps_run_in_parallel(X, y, groups, forest):
    grid = {"features__patch": ["flatten", "statistics"], "forest__max_features": [0.1, "sqrt"]}
    search = GridSearchCV(forest, grid, cv=StratifiedGroupKFold(3), n_jobs=2, error_score="raise")
    search.fit(X, y, groups=groups)
    assert search.best_score_ > 0.9 and search.n_features_in_ == 60
    assert search.predict(X).shape == (60,)


def test_cross_val_predict_gives_rows_in_order(X, y, forest):
    proba = cross_val_predict(forest, X, y, cv=3, method="predict_proba")
    assert proba.shape == (60, 3)
    assert (np.unique(y)[proba.argmax(axis=1)] == y).mean() > 0.9


def test_resample_repeats_samples_in_every_source(X, y):
    rows = np.arange(60)
    drawn, drawn_rows = resample(X, rows, random_state=0)
    np.testing.assert_array_equal(drawn["patch"], X["patch"][drawn_rows])


def test_permutation_importance_flattens_the_container(X, y, forest):
    forest.fit(X, y)
    importance = permutation_importance(forest, X, y, n_repeats=1, random_state=0)
    assert importance.importances_mean.shape == (60,)
