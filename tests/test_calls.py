"""The table of calls: everything of scikit-learn that takes an estimator, for every form of X.

Each call returns numbers that depend on which rows met which labels. They must be the same, bit for bit, for
every form of the same samples. What scikit-learn makes impossible is in `IMPOSSIBLE`, with its message.
"""

import copy
import functools
import pickle
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import estimator_html_repr, resample
from sklearn.utils.fixes import parse_version

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource, SelectSources, StackedFeatures

N = 60
LAYOUT = {"ts": (4, 2), "patch": (1, 3, 3)}
SMALL = {"hidden_size": 4, "n_filters": 2, "max_epochs": 4, "batch_size": 16, "lr": 0.02, "random_state": 0}
FAQ = (Path(__file__).parents[1] / "docs" / "faq.md").read_text()


@functools.cache
def made():
    rng = np.random.default_rng(0)
    y = np.array(["crop", "forest", "water"])[np.arange(N) % 3]
    ts = rng.normal(size=(N, 4, 2)) + 2 * (y == "crop")[:, None, None]
    patch = rng.integers(0, 99, (N, 1, 3, 3)) + 60 * (y == "water")[:, None, None, None]
    return MultiSource(ts=ts.astype("f4"), patch=patch.astype("u2")), y, np.arange(N) // 2


FORMS = {
    "MultiSource": lambda X: X,
    "dict": lambda X: dict(X.items()),
    "DataFrame": lambda X: pd.DataFrame(np.asarray(X), columns=X.column_names),
    "flat": np.asarray,
}
FLATTENING = {"bagging", "adaboost", "permutation_importance", "standard_scaler"}  # names are lost


def arguments(form, call, tmp_path):
    X, y, groups = made()
    names_are_known = form == "DataFrame" and call not in FLATTENING
    clf = M3FusionClassifier(**SMALL, layout=None if names_are_known else LAYOUT)
    return SimpleNamespace(clf=clf, X=FORMS[form](X), y=y, groups=groups, tmp_path=tmp_path)


def proba(model, X):
    return model.predict_proba(X)


# ----- calls


def fit_and_predict(a):
    model = a.clf.fit(a.X, a.y)
    assert (model.predict(a.X) == a.y).mean() == model.score(a.X, a.y)
    return np.hstack([model.predict_proba(a.X), model.transform(a.X), model.attention(a.X)["ts"]])


def partial_fit(a):
    return proba(a.clf.partial_fit(a.X, a.y, classes=np.unique(a.y)), a.X)


def split_train_test(a):
    X, X_test, y, _ = train_test_split(a.X, a.y, random_state=0, stratify=a.y)
    return proba(a.clf.fit(X, y), X_test)


def resampling(a):
    X, y = resample(a.X, a.y, random_state=0, n_samples=40)
    return proba(a.clf.fit(X, y), X)


def folds_by_group(a):
    splits = StratifiedGroupKFold(3).split(a.X, a.y, a.groups)
    return np.concatenate([np.concatenate(split) for split in splits])


def score_cross_validated(a):
    return cross_val_score(
        a.clf,
        a.X,
        a.y,
        groups=a.groups,
        cv=StratifiedGroupKFold(3),
        error_score="raise",
        scoring="neg_log_loss",
    )


def cross_validation(a):
    cv = StratifiedGroupKFold(3)
    result = cross_validate(
        a.clf, a.X, a.y, groups=a.groups, cv=cv, params={"groups": a.groups}, scoring="neg_log_loss",
        return_train_score=True, error_score="raise",
    )  # fmt: skip
    return np.hstack([result["test_score"], result["train_score"]])


def predict_cross_validated(a):
    return cross_val_predict(a.clf, a.X, a.y, cv=3, method="predict_proba")


def _searched(search, a):
    search.fit(a.X, a.y, groups=a.groups)
    return np.hstack([search.cv_results_["mean_test_score"], np.ravel(search.predict_proba(a.X))])


SEARCH = {"cv": StratifiedGroupKFold(3), "scoring": "neg_log_loss", "error_score": "raise"}


def grid_search(a):
    return _searched(GridSearchCV(a.clf, {"alpha": [0.1, {"ts": 0.5, "patch": 0.1}]}, **SEARCH), a)


def randomized_search(a):
    search = RandomizedSearchCV(a.clf, {"hidden_size": [2, 4, 8]}, n_iter=2, random_state=0, **SEARCH)
    return _searched(search, a)


def halving_search(a):
    cv = {"cv": StratifiedGroupKFold(3), "error_score": "raise"}
    search = HalvingGridSearchCV(a.clf, {"hidden_size": [2, 4]}, random_state=0, min_resources=30, **cv)
    return _searched(search, a)


def curve_of_learning(a):
    sizes, *scores = learning_curve(
        a.clf, a.X, a.y, cv=3, train_sizes=[0.5, 1.0], scoring="neg_log_loss", shuffle=True, random_state=0,
        error_score="raise",
    )  # fmt: skip
    return np.hstack([sizes, *map(np.ravel, scores)])


def incremental_curve(a):
    _, *scores = learning_curve(
        a.clf, a.X, a.y, cv=3, train_sizes=[0.5, 1.0], exploit_incremental_learning=True, shuffle=True,
        random_state=0, error_score="raise", scoring="neg_log_loss",
    )  # fmt: skip
    return np.ravel(scores)


def curve_of_validation(a):
    scores = validation_curve(
        a.clf, a.X, a.y, param_name="lr", param_range=[0.01, 0.03], cv=3, scoring="neg_log_loss",
        error_score="raise",
    )  # fmt: skip
    return np.ravel(scores)


def permutation_test(a):
    cv = StratifiedGroupKFold(3)
    score, others, p = permutation_test_score(
        a.clf, a.X, a.y, groups=a.groups, n_permutations=2, cv=cv, random_state=0, scoring="neg_log_loss"
    )
    return np.hstack([score, others, p])


def pipeline_with_memory(a):
    steps = [("fill", GapFiller(layout=a.clf.layout)), ("clf", a.clf)]
    model = Pipeline(steps, memory=str(a.tmp_path / "cache"))
    first = model.fit(a.X, a.y).predict_proba(a.X)
    np.testing.assert_array_equal(model.fit(a.X, a.y).predict_proba(a.X), first)  # from the cache
    return first


def function_transformer(a):
    return proba(make_pipeline(FunctionTransformer(lambda X: X), a.clf).fit(a.X, a.y), a.X)


def column_transformer_slices(a):
    series, patch = slice(0, 8), slice(8, 17)
    scale = ColumnTransformer([("ts", StandardScaler(), series), ("patch", "passthrough", patch)])
    model = make_pipeline(scale, a.clf.set_params(layout=LAYOUT)).fit(a.X, a.y)
    return proba(model, a.X)


def column_transformer_prefixes(a):
    scale = ColumnTransformer(
        [("ts", StandardScaler(), make_column_selector("^ts_"))],
        remainder="passthrough", verbose_feature_names_out=False,
    ).set_output(transform="pandas")  # fmt: skip
    model = make_pipeline(scale, a.clf.set_params(layout=None)).fit(a.X, a.y)
    assert list(model[-1].sources_) == ["ts", "patch"]
    np.testing.assert_array_equal(proba(model, a.X), reference("ColumnTransformer, slices"))
    return proba(model, a.X)


def column_transformer_names(a):
    return ColumnTransformer([("ts", StandardScaler(), ["ts"])]).fit(a.X, a.y)


def feature_union(a):
    union = FeatureUnion([("network", a.clf), ("raw", StackedFeatures(layout=a.clf.layout))])
    return union.fit(a.X, a.y).transform(a.X)


def standard_scaler(a):
    return proba(make_pipeline(StandardScaler(), a.clf).fit(a.X, a.y), a.X)


def voting(a):
    other = make_pipeline(StackedFeatures(layout=a.clf.layout), StandardScaler(), LogisticRegression())
    return proba(VotingClassifier([("a", a.clf), ("b", other)], voting="soft").fit(a.X, a.y), a.X)


def stacking(a):
    return proba(StackingClassifier([("a", a.clf)], LogisticRegression(), cv=3).fit(a.X, a.y), a.X)


def stacking_with_passthrough(a):
    final = LogisticRegression(max_iter=2000)
    return proba(StackingClassifier([("a", a.clf)], final, cv=3, passthrough=True).fit(a.X, a.y), a.X)


def bagging(a):
    return proba(BaggingClassifier(a.clf, 2, random_state=0).fit(a.X, a.y), a.X)


def adaboost(a):
    return proba(AdaBoostClassifier(a.clf, n_estimators=2, random_state=0).fit(a.X, a.y), a.X)


def calibration(a):
    return proba(CalibratedClassifierCV(a.clf, cv=3).fit(a.X, a.y), a.X)


def calibration_of_a_fitted_model(a):
    frozen = FrozenEstimator(a.clf.fit(a.X, a.y))
    return proba(CalibratedClassifierCV(frozen, cv=3).fit(a.X, a.y), a.X)


def tuned_threshold(a):
    model = TunedThresholdClassifierCV(a.clf, cv=StratifiedKFold(3)).fit(a.X, a.y == "crop")
    return np.hstack([model.best_threshold_, model.predict(a.X)])


def one_vs_rest(a):
    return proba(OneVsRestClassifier(a.clf).fit(a.X, a.y), a.X)


def importance_by_permutation(a):
    result = permutation_importance(a.clf.fit(a.X, a.y), a.X, a.y, n_repeats=1, random_state=0)
    return result.importances_mean


def cloning(a):
    twin = clone(a.clf.fit(a.X, a.y))
    assert not hasattr(twin, "classes_")
    return proba(twin.fit(a.X, a.y), a.X)


def pickling(a):
    return proba(pickle.loads(pickle.dumps(a.clf.fit(a.X, a.y))), a.X)


def deep_copying(a):
    return proba(copy.deepcopy(a.clf.fit(a.X, a.y)), a.X)


def joblib_dump(a):
    joblib.dump(a.clf.fit(a.X, a.y), a.tmp_path / "model.joblib")
    return proba(joblib.load(a.tmp_path / "model.joblib"), a.X)


def html_repr(a):
    text = estimator_html_repr(a.clf.fit(a.X, a.y))
    assert "M3FusionClassifier" in text and "hidden_size" in text and "Fitted" in text
    return np.zeros(1)


def array_api_dispatch(a):
    with config_context(array_api_dispatch=True):
        X, y = resample(a.X, a.y, random_state=0)
        return proba(a.clf.fit(X, y), X)


def output_as_a_table(a):
    table = a.clf.fit(a.X, a.y).set_output(transform="pandas").transform(a.X)
    assert list(table.columns) == a.clf.get_feature_names_out().tolist()
    selected = SelectSources(["ts"], layout=a.clf.layout).set_output(transform="pandas")
    names = list(selected.fit_transform(a.X).columns)
    assert names[:2] == ["ts_t00_b00", "ts_t00_b01"] and len(names) == 8
    return table.to_numpy()


CALLS = {
    "fit": fit_and_predict,
    "partial_fit": partial_fit,
    "train_test_split": split_train_test,
    "resample": resampling,
    "StratifiedGroupKFold": folds_by_group,
    "cross_val_score": score_cross_validated,
    "cross_validate": cross_validation,
    "cross_val_predict": predict_cross_validated,
    "GridSearchCV": grid_search,
    "RandomizedSearchCV": randomized_search,
    "HalvingGridSearchCV": halving_search,
    "learning_curve": curve_of_learning,
    "learning_curve, incremental": incremental_curve,
    "validation_curve": curve_of_validation,
    "permutation_test_score": permutation_test,
    "Pipeline with memory": pipeline_with_memory,
    "FunctionTransformer": function_transformer,
    "ColumnTransformer, slices": column_transformer_slices,
    "ColumnTransformer, prefixes": column_transformer_prefixes,
    "ColumnTransformer, names": column_transformer_names,
    "FeatureUnion": feature_union,
    "standard_scaler": standard_scaler,
    "VotingClassifier": voting,
    "StackingClassifier": stacking,
    "StackingClassifier, passthrough": stacking_with_passthrough,
    "bagging": bagging,
    "adaboost": adaboost,
    "CalibratedClassifierCV": calibration,
    "CalibratedClassifierCV, FrozenEstimator": calibration_of_a_fitted_model,
    "TunedThresholdClassifierCV": tuned_threshold,
    "OneVsRestClassifier": one_vs_rest,
    "permutation_importance": importance_by_permutation,
    "clone": cloning,
    "pickle": pickling,
    "deepcopy": deep_copying,
    "joblib": joblib_dump,
    "HTML": html_repr,
    "set_output": output_as_a_table,
    "array_api_dispatch": array_api_dispatch,
}

COUNTED = r"Found input variables with inconsistent numbers of samples: \[2, 60"
COUNTED_CALLS = [
    "train_test_split", "resample", "StratifiedGroupKFold", "cross_val_score", "cross_validate",
    "cross_val_predict", "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "learning_curve",
    "learning_curve, incremental",
    "validation_curve", "permutation_test_score", "StackingClassifier", "StackingClassifier, passthrough",
    "CalibratedClassifierCV", "CalibratedClassifierCV, FrozenEstimator", "TunedThresholdClassifierCV",
    "array_api_dispatch",
]  # fmt: skip
NOT_2D = "Expected 2D array, got scalar array instead"
NO_SELECTOR = "make_column_selector can only be applied to pandas dataframes"
NO_NAMES = "Specifying the columns using strings is only supported for dataframes"
IMPOSSIBLE = {
    **{(call, "dict"): COUNTED for call in COUNTED_CALLS},
    **{(call, "dict"): NOT_2D for call in ("bagging", "adaboost", "permutation_importance")},
    ("FunctionTransformer", "dict"): "^0$",
    ("ColumnTransformer, slices", "dict"): "^0$",
    ("ColumnTransformer, prefixes", "dict"): "^0$",
    ("ColumnTransformer, names", "dict"): "^0$",
    ("standard_scaler", "dict"): r"float\(\) argument must be a string or a real number, not 'dict'",
    ("ColumnTransformer, prefixes", "MultiSource"): NO_SELECTOR,
    ("ColumnTransformer, prefixes", "flat"): NO_SELECTOR,
    ("ColumnTransformer, names", "MultiSource"): NO_NAMES,
    ("ColumnTransformer, names", "flat"): NO_NAMES,
    ("ColumnTransformer, names", "DataFrame"): "Some column names are not columns of the dataframe: {'ts'}",
    ("array_api_dispatch", "MultiSource"): "is not a supported array type",
}
OLD = parse_version(sklearn.__version__) < parse_version("1.9")
if OLD:  # where it refused DataFrames too
    del CALLS["array_api_dispatch"]


@functools.cache
def reference(call):
    with tempfile.TemporaryDirectory() as folder:
        return CALLS[call](arguments("MultiSource", call, Path(folder)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", CALLS)
def test_every_call_takes_every_form_or_says_why_not(call, form, tmp_path):
    message = IMPOSSIBLE.get((call, form))
    if message is None:
        result = CALLS[call](arguments(form, call, tmp_path))
        if (call, "MultiSource") not in IMPOSSIBLE:
            np.testing.assert_array_equal(result, reference(call))
        return
    message = "." if OLD else message  # scikit-learn worded some otherwise
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError), match=message) as caught:
        CALLS[call](arguments(form, call, tmp_path))
    assert not any("m3fusion_sk" in str(entry.path) for entry in caught.traceback[1:])  # it is not ours


@pytest.mark.parametrize("message", sorted({*IMPOSSIBLE.values()}))
def test_the_faq_has_each_message(message):
    message = message.replace("^0$", "KeyError: 0")
    assert re.search(message, FAQ.replace("`", ""))
