"""Standard errors over objects: against scores of rows that are really repeated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3fusion_sk import land_cover_scores
from m3fusion_sk.deviations import draw_scores, scores_of_counts
from m3fusion_sk.metrics import count_pairs


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 60))
def test_scores_of_counts_are_those_of_land_cover_scores(seed, n_classes, n):
    true, predicted = np.random.default_rng(seed).integers(0, n_classes, (2, n))
    summary, f1 = scores_of_counts(count_pairs(true, predicted, n_classes, n_classes))
    expected = land_cover_scores(true, predicted, labels=range(n_classes))
    for name, value in expected.summary.items():
        np.testing.assert_allclose(summary[name], value, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(f1, expected.per_class["f1"])  # of a class that does not occur: NaN in both


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    objects = np.repeat(np.arange(40), rng.integers(1, 30, 40))
    y = np.array(["a", "b", "c"])[rng.integers(0, 3, 40)][objects]
    wrong = rng.random(40)[objects] < 0.3  # whole objects are wrong at once
    return y, {"good": y, "poor": np.where(wrong, "c", y)}, objects


def test_each_draw_is_the_score_of_its_objects_rows(samples):
    y, predictions, objects = samples
    draws = draw_scores(y, predictions, objects, n_draws=5, random_state=3)
    times = np.random.RandomState(3).multinomial(40, np.full(40, 1 / 40), size=5)
    for k, weights in enumerate(times):
        rows = np.repeat(np.arange(len(y)), weights[objects])
        expected = land_cover_scores(y[rows], predictions["poor"][rows]).summary
        for name, value in expected.items():
            np.testing.assert_allclose(draws["poor"].summary[name][k], value, atol=1e-12, err_msg=name)


def test_objects_deviate_more_than_pixels_would_say(samples):
    y, predictions, objects = samples
    by_object = draw_scores(y, predictions, objects)["poor"].summary["accuracy"].std()
    by_pixel = draw_scores(y, predictions, np.arange(len(y)))["poor"].summary["accuracy"].std()
    assert by_object > 2 * by_pixel


def test_equal_objects_have_the_textbook_error():
    objects, hits = np.repeat(np.arange(100), 5), np.repeat(np.arange(100) % 4 > 0, 5)
    y = np.full(500, "a")
    draws = draw_scores(y, {"m": np.where(hits, "a", "b")}, objects, n_draws=2000)["m"].summary
    assert draws["accuracy"].std() == pytest.approx(np.sqrt(0.75 * 0.25 / 100), rel=0.07)
    np.testing.assert_allclose(draws["object_accuracy"], draws["accuracy"])


def test_differences_are_paired(samples):
    y, predictions, objects = samples
    draws = draw_scores(y, {**predictions, "same": predictions["poor"]}, objects)
    difference = draws["poor"] - draws["same"]
    assert (difference.summary == 0).all(axis=None)
    assert list(difference.f1.columns) == ["a", "b", "c"]


def test_lengths_and_missing_labels_are_refused(samples):
    y, predictions, objects = samples
    with pytest.raises(ValueError, match="one value for each sample"):
        draw_scores(y, predictions, objects[:-1])
    with pytest.raises(ValueError, match="poor must have no missing values"):
        draw_scores(y, {"poor": np.array([None] * len(y))}, objects)


def test_classes_that_never_occur_and_the_order_of_ties():
    y, other = ["a", "b", "a", "b"], ["b", "b", "a", "b"]
    draws = draw_scores(y, {"m": y, 2: other}, [1, 1, 2, 3], labels=["c", "b", "a"])
    assert draws["m"].f1["c"].isna().all() and list(draws) == ["m", "2"]
    scores = land_cover_scores(y, other, labels=["c", "b", "a"], groups=[1, 1, 2, 3]).summary
    assert scores["object_accuracy"] == 1 == draws["2"].summary["object_accuracy"].min()  # b before a
    with pytest.raises(ValueError, match=r"every class that occurs, .*\['b', 'c'\] without \['a'\]"):
        draw_scores(y, {"m": y}, [1, 1, 2, 3], labels=["b", "c"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_draws": 0}, "n_draws must be an integer from 1; got 0"),
        ({"n_draws": -1}, "n_draws must be an integer from 1; got -1"),
        ({"labels": ["a", "b", "a"]}, "labels must hold every class that occurs, each once"),
        ({"predictions": {"m": [1, 2, 1]}}, "y_true and m must hold labels of one type"),
    ],
)
def test_wrong_draws_are_refused(arguments, message):
    given = {"y_true": ["a", "b", "a"], "predictions": {"m": ["a"] * 3}, "groups": [1, 2, 3]}
    with pytest.raises(ValueError, match=message):
        draw_scores(**{**given, **arguments})


def test_a_class_with_true_samples_of_one_object_has_no_deviation():
    y, objects = np.repeat(["a", "b", "c"], [6, 6, 2]), np.repeat(np.arange(7), 2)
    poor = np.where(np.isin(objects, [1, 3]), "d", y)
    draws = draw_scores(y, {"m": y, "poor": poor}, objects)
    for f1 in (draws["m"].f1, draws["poor"].f1, (draws["m"] - draws["poor"]).f1):
        assert f1[["c", "d"]].isna().all(axis=None) and f1[["a", "b"]].notna().any(axis=None)
    assert draws["poor"].summary["f1_macro"].std() > 0


def test_a_single_object_tells_nothing_about_others():
    draws = draw_scores(["a", "b", "a"], {"m": ["a", "a", "a"]}, [7, 7, 7])
    assert draws["m"].summary.isna().all().all() and draws["m"].f1.isna().all().all()
