"""The comparison by source."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline

from m3fusion_sk import (
    GapFiller,
    M3FusionClassifier,
    MultiSource,
    SpectralIndices,
    StratifiedGroupShuffleSplit,
    make_land_cover,
    stacked_forest,
)
from m3fusion_sk.protocol import as_text, compare_by_source, rows_by_source, score_row, summarize


def make_samples(n=120):
    rng = np.random.default_rng(0)
    y = np.arange(n) // 2 % 4
    a, b = rng.normal(4 * (y % 2)[:, None], 1, (n, 3)), rng.normal(4 * (y // 2)[:, None], 1, (n, 2))
    return MultiSource(a=a, b=b), y, np.arange(n) // 2


def test_the_rows_are_every_model_on_each_source_and_on_all():
    rows = rows_by_source({"forest": stacked_forest(), "network": M3FusionClassifier()}, ["ts", "patch"])
    assert list(rows) == [
        ("forest", "ts"),
        ("network", "ts"),
        ("forest", "patch"),
        ("network", "patch"),
        ("forest", "all"),
        ("network", "all"),
    ]
    assert list(rows_by_source({"forest": stacked_forest()}, ["ts"])) == [("forest", "ts")]


def test_sources_that_tell_half_each_are_better_together():
    X, y, groups = make_samples()
    models = {"forest": stacked_forest(20, random_state=0)}
    cv = StratifiedGroupShuffleSplit(3, train_size=0.5, random_state=0)
    seen = []
    table = compare_by_source(models, X, y, groups, cv, report=seen.append)
    assert len(table) == len(seen) == 9
    accuracy = summarize(table)["accuracy"]["mean"]
    assert accuracy["forest", "a"] < 0.75
    assert accuracy["forest", "b"] < 0.75
    assert accuracy["forest", "all"] > 0.9
    assert "+-" in as_text(summarize(table))


def test_all_models_see_the_same_splits_and_training_rows_only():
    X, y, groups = make_samples()
    calls = []

    class Spy(DummyClassifier):
        def fit(self, X, y):
            calls.append(X["a"][:, 0] if "a" in X else X["b"][:, 0])
            return super().fit(np.zeros((len(X), 1)), y)

        def predict(self, X):
            return super().predict(np.zeros((len(X), 1)))

    cv = StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0)
    rows = next(cv.split(X, y, groups))[0]
    compare_by_source({"one": Spy(), "two": Spy()}, X, y, groups, cv)
    train = X["a"][rows, 0]
    assert len(calls) == 6
    for values in (calls[0], calls[1], calls[4], calls[5]):
        np.testing.assert_array_equal(values, train)


def test_objects_vote_where_they_are_not_what_is_split():
    X, y, groups = make_samples()
    train, test = np.flatnonzero(groups < 30), np.flatnonzero(groups >= 30)
    pipeline = rows_by_source({"forest": stacked_forest(20, random_state=0)}, X.names)["forest", "all"]
    fitted, scores, seconds = score_row(pipeline, X, y, groups, train, test)
    predicted = fitted.predict(X[test])
    assert scores.summary["accuracy"] == pytest.approx((predicted == y[test]).mean())
    assert 0 <= scores.summary["object_accuracy"] <= 1
    assert set(seconds) == {"fit_seconds", "predict_seconds"}


def test_labels_and_objects_may_be_series_with_any_index():
    X, y, groups = make_samples()
    models = {"forest": stacked_forest(5, random_state=0)}
    cv = StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0)
    index = np.arange(len(y))[::-1] + 7
    columns = pd.DataFrame({"y": y, "groups": groups, "objects": groups // 2}, index=index)
    tables = [
        compare_by_source(models, X, y, groups, cv, objects=groups // 2),
        compare_by_source(models, X, columns["y"], columns["groups"], cv, objects=columns["objects"]),
    ]
    scores = [table.drop(columns=["fit_seconds", "predict_seconds"]) for table in tables]
    pd.testing.assert_frame_equal(*scores)


def test_what_a_comparison_needs_is_checked():
    X, y, groups = make_samples()
    models, cv = {"dummy": DummyClassifier()}, StratifiedGroupShuffleSplit(1, random_state=0)
    with (
        pytest.warns(UserWarning, match="The groups parameter is ignored by StratifiedKFold"),
        pytest.raises(ValueError, match=r"on one side; StratifiedKFold puts \d+ of \d+ on both\. Use Strat"),
    ):
        compare_by_source(models, X, y, groups, StratifiedKFold(3, shuffle=True, random_state=0))
    with pytest.raises(TypeError, match=r"cv must be a splitter of objects, such as .*; got 3"):
        compare_by_source(models, X, y, groups, 3)
    for objects in (np.arange(9999), groups[:50]):
        with pytest.raises(ValueError, match=rf"objects must have shape \({len(y)},\)"):
            compare_by_source(models, X, y, groups, cv, objects=objects)
    missing = [np.nan, *map(str, y[1:])]
    with pytest.raises(ValueError, match="y must have no missing values; got 1 NaN"):
        compare_by_source(models, X, missing, groups, cv)
    with pytest.raises(ValueError, match="groups must name the object of each sample; 1 are missing"):
        compare_by_source(models, X, y, missing, cv)


def test_weights_by_source_are_those_of_the_sources_of_a_row():
    network = M3FusionClassifier(alpha={"ts": 0.5, "patch": 0.1})
    models = {"alone": network, "last": make_pipeline(GapFiller(), network)}
    rows = rows_by_source(models, ["ts", "patch"])
    found = {row: pipeline[-1] for row, pipeline in rows.items()}
    assert found["alone", "patch"].alpha == {"patch": 0.1}
    assert found["alone", "all"].alpha == {"ts": 0.5, "patch": 0.1}
    assert found["last", "ts"][-1].alpha == {"ts": 0.5}
    assert network.alpha == {"ts": 0.5, "patch": 0.1}
    by_class = M3FusionClassifier(alpha={"crops": 0.5, "water": 0.1})  # of another meaning, or misspelt
    assert rows_by_source({"m": by_class}, ["ts", "patch"])["m", "ts"][-1].alpha == by_class.alpha


def test_one_split_has_no_deviation():
    X, y, groups = make_samples()
    cv = StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0)
    summary = summarize(compare_by_source({"forest": stacked_forest(5, random_state=0)}, X, y, groups, cv))
    assert list(summary["accuracy"].columns) == ["mean"]
    assert "+-" not in as_text(summary)


@pytest.mark.parametrize("splits, shown", [([3], "0.5000"), ([3, 4], "0.5000 +- 0.0000")])
def test_what_has_no_deviation_is_shown_without(splits, shown):
    rows = [{"split": k, "model": "m", "sources": "ts", "accuracy": 0.5} for k in splits]
    assert as_text(summarize(pd.DataFrame(rows))).split("ts")[-1].strip() == shown
    rows[0]["accuracy"] = np.nan
    assert "+-" not in as_text(summarize(pd.DataFrame(rows)))


def test_steps_for_other_sources_are_left_out_of_a_row():
    X, y, groups = make_land_cover(200, n_objects=40, n_dates=4, n_bands=3, patch_size=5, random_state=0)
    bands = {"ts": ["B02", "B04", "B08"], "patch": ["B02", "B03", "B04", "B08", "B05"]}
    dates = ["2018-01-01", "2018-02-01", "2018-02-11", "2018-03-01"]
    steps = GapFiller("ts", dates=dates), SpectralIndices(bands, ["NDVI"])
    models = {"forest": make_pipeline(*steps, stacked_forest(5, random_state=0))}
    found = {sources: pipeline[-1] for (_, sources), pipeline in rows_by_source(models, X.names).items()}
    assert found["ts"][0].get_params() == steps[0].get_params() == found["all"][0].get_params()
    assert found["patch"].steps[0][1] == "passthrough"
    told = [set(found[sources][1].bands) for sources in ("ts", "patch", "all")]
    assert told == [{"ts"}, {"patch"}, set(bands)]
    cv = StratifiedGroupShuffleSplit(1, random_state=0)
    table = compare_by_source(models, dict(X.items()), y, groups, cv)  # a dict is taken too
    assert table["sources"].tolist() == ["ts", "patch", "all"]
    searched = rows_by_source({"a": GridSearchCV(models["forest"], {}, cv=cv)}, X.names)["a", "patch"][-1]
    assert searched.estimator.steps[0][1] == "passthrough"


class Foreign(DummyClassifier):
    """With parameters of the names that ours have."""

    def __init__(self, source="ts", bands=None):
        super().__init__()
        self.source, self.bands = source, bands


def test_parameters_of_other_estimators_are_their_own():
    models = {
        "alone": Foreign(bands=[np.arange(2)]),
        "searched": GridSearchCV(Foreign(), {}),
        "voting": VotingClassifier([("a", Foreign(bands=["ts"]))]),
    }
    for (name, _), row in rows_by_source(models, ["ts", "patch"]).items():
        assert repr(row[-1]) == repr(models[name])
