import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3fusion_sk.labels import majority
from m3fusion_sk.metrics import land_cover_scores

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=40)


def _columns(rows):
    return np.array(rows).T


@settings(deadline=None)
@given(pairs, st.booleans())
def test_scores_equal_the_formulas_on_the_confusion_matrix(rows, weighted):
    true, predicted, weights = _columns(rows)
    scores = land_cover_scores(true, predicted, sample_weight=weights if weighted else None)
    c = scores.confusion.to_numpy().astype(float)
    n, rows, columns, hits = c.sum(), c.sum(axis=1), c.sum(axis=0), c.diagonal()
    assert n == (weights.sum() if weighted else len(true))
    np.testing.assert_allclose(scores.summary["accuracy"], hits.sum() / n)
    f1 = 2 * hits / (rows + columns)
    np.testing.assert_allclose(scores.per_class["f1"], f1)
    np.testing.assert_allclose(scores.per_class["support"], rows)
    np.testing.assert_allclose(scores.per_class["precision"] * columns, hits)
    recall = np.divide(hits, rows, where=rows > 0, out=np.full(len(c), np.nan))
    np.testing.assert_allclose(scores.per_class["recall"], recall)
    np.testing.assert_allclose(scores.summary["f1_macro"], f1.mean())
    np.testing.assert_allclose(scores.summary["f1_weighted"], (f1 * rows).sum() / n)
    chance = (rows * columns).sum() / n**2
    kappa = (hits.sum() / n - chance) / (1 - chance) if len(c) > 1 else np.nan
    np.testing.assert_allclose(scores.summary["kappa"], kappa, atol=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), min_size=1))
def test_the_majority_of_an_object_is_its_heaviest_class(rows):
    objects, codes, weights = _columns(rows)
    for given_weights in (None, weights):
        each = np.ones(len(rows)) if given_weights is None else weights
        votes = np.zeros((6, 4))
        np.add.at(votes, (objects, codes), each)
        expected = []
        for known in np.unique(objects):
            here = np.unique(codes[objects == known])  # a class without any sample never wins
            expected.append(here[votes[known, here].argmax()])
        assert majority(objects, codes, given_weights).tolist() == expected


def test_types_of_labels_are_those_that_came():
    when = np.array(["2018-05-01", "2018-06-01"], "datetime64[ns]")
    assert land_cover_scores(when, [pd.Timestamp(when[0])] * 2).summary["accuracy"] == 0.5
    large = np.array([2**53 + 1, 2**53 + 2])
    assert land_cover_scores(large, large[::-1]).confusion.index.tolist() == large.tolist()


def test_scores_show_their_tables():
    scores = land_cover_scores(["a", "b"], ["a", "a"])
    assert repr(scores) == str(scores) and "accuracy" in repr(scores) and "precision" in repr(scores)


@settings(deadline=None, max_examples=30)
@given(pairs)
def test_integer_weights_equal_repeated_samples(rows):
    true, predicted, weights = _columns(rows)
    weighted = land_cover_scores(true, predicted, sample_weight=weights)
    repeated = land_cover_scores(np.repeat(true, weights), np.repeat(predicted, weights))
    pd.testing.assert_series_equal(weighted.summary, repeated.summary)
    pd.testing.assert_frame_equal(weighted.confusion, repeated.confusion, check_dtype=False)


def test_confusion_has_true_classes_in_rows():
    confusion = land_cover_scores(["crop", "crop", "water"], ["water", "crop", "water"]).confusion
    assert confusion.loc["crop", "water"] == 1 and confusion.loc["water", "crop"] == 0
    assert confusion.index.name == "true" and confusion.columns.name == "predicted"


def test_objects_vote_with_their_samples():
    true = ["a"] * 5 + ["b"] * 4
    predicted = ["a", "a", "b", "b", "b"] + ["b", "b", "a", "b"]
    groups = [1, 1, 1, 2, 2, 3, 3, 3, 3]
    assert land_cover_scores(true, predicted, groups=groups).summary["object_accuracy"] == 2 / 3
    weights = [1, 1, 5, 1, 1, 1, 1, 1, 1]
    scores = land_cover_scores(true, predicted, groups=groups, sample_weight=weights)
    assert scores.summary["object_accuracy"] == 1 / 3


def test_objects_without_weight_do_not_count():
    arguments = {"y_true": ["a", "b", "b"], "y_pred": ["b", "b", "a"], "groups": [1, 2, 3]}
    scores = land_cover_scores(**arguments, sample_weight=[1, 1, 0])
    assert scores.summary["object_accuracy"] == 1 / 2
    assert land_cover_scores(**arguments).summary["object_accuracy"] == 1 / 3


def test_a_tied_vote_goes_to_the_first_class():
    summary = land_cover_scores(["a", "a"], ["b", "a"], groups=["x", "x"]).summary
    assert summary["object_accuracy"] == 1


def test_labels_fix_the_order_and_may_hold_absent_classes():
    scores = land_cover_scores([2, 1], [2, 2], labels=[3, 2, 1])
    assert scores.confusion.index.tolist() == scores.per_class.index.tolist() == [3, 2, 1]
    assert scores.per_class.loc[3, ["precision", "support"]].tolist() == [0, 0]
    assert scores.per_class.loc[3, ["recall", "f1"]].isna().all()  # nothing could be found
    assert scores.per_class.loc[1].tolist() == [0, 0, 0, 1]
    pd.testing.assert_series_equal(scores.summary, land_cover_scores([2, 1], [2, 2]).summary)


def test_one_class_only_has_no_kappa():
    summary = land_cover_scores(["a", "a"], ["a", "a"]).summary
    assert summary["accuracy"] == 1 and np.isnan(summary["kappa"])
    weighted = land_cover_scores(["a", "b"], ["a", "b"], sample_weight=[1, 0]).summary
    assert np.isnan(weighted["kappa"])


@pytest.mark.parametrize("make", [list, np.array, pd.Series, pd.Categorical])
def test_labels_come_in_any_container(make):
    scores = land_cover_scores(make(["x", "y", "y"]), make(["x", "y", "x"]))
    assert scores.confusion.to_numpy().tolist() == [[1, 0], [1, 1]]


def test_printing_shows_all_three_tables():
    text = str(land_cover_scores(["crop", "water"], ["crop", "crop"]))
    for word in ("accuracy", "f1_weighted", "kappa", "precision", "support", "predicted", "0.5000"):
        assert word in text


def test_scores_cannot_be_replaced():
    with pytest.raises(dataclasses.FrozenInstanceError):
        land_cover_scores([1], [1]).summary = None


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"y_pred": [1, 1]}, "one value for each sample; got {'y_true': 3, 'y_pred': 2}"),
        ({"groups": [1, 1]}, "one value for each sample; got .*'groups': 2"),
        ({"sample_weight": [1, 1]}, r"one weight for each sample; got shape \(2,\)"),
        ({"sample_weight": [1, 1, -1]}, "sample_weight must be finite and not negative"),
        ({"sample_weight": [0, 0, 0]}, "only zero weights"),
        ({"sample_weight": [1, np.nan, 1]}, "must be finite"),
        ({"y_true": [], "y_pred": []}, "y_true must have shape .* with a sample at least"),
        ({"y_pred": [[1], [2], [2]]}, r"y_pred must have shape \(n_samples,\).*got \(3, 1\)"),
        ({"y_true": [1, np.nan, 2]}, "y_true must have no missing values; got 1 NaN, None or empty text"),
        ({"groups": [1, None, 2]}, "groups must have no missing values"),
        ({"labels": [1, 3]}, r"labels must hold every class that occurs.*without \[2\]"),
        ({"labels": [1, 2, 2]}, "each once"),
        ({"y_pred": ["1", "2", "2"]}, "labels of one type"),
        (
            {"y_pred": np.array([1, "2", 2], object)},
            "y_pred must hold labels of one type; got numbers and text",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        land_cover_scores(**{"y_true": [1, 1, 2], "y_pred": [1, 2, 2], **arguments})


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("dtype", [object, str])
def test_labels_that_nobody_has_given_are_missing(blank, dtype):
    true = np.array(["forest", blank, "water", "forest"], dtype=dtype)
    with pytest.raises(ValueError, match="y_true must have no missing values; got 1 NaN, None or empty text"):
        land_cover_scores(true, ["forest"] * 4)


@pytest.mark.parametrize("values", [["a", np.nan, "b"], ["a", None, "b"], ["a", "", "b"]])
def test_missing_labels_in_a_list_are_no_class(values):
    with pytest.raises(ValueError, match="no missing values"):
        land_cover_scores(values, ["a", "b", "b"])


def test_labels_of_several_types_are_refused_and_lists_are_as_arrays():
    with pytest.raises(ValueError, match="labels of one type"):
        land_cover_scores(["a", 1, "1"], ["a", "b", "b"])
    with pytest.raises(ValueError, match="labels of one type"):
        land_cover_scores([True, False], [1, 0])
    assert land_cover_scores([True, False], [True, True]).summary["accuracy"] == 0.5
    objects = np.array(["a", "b"], dtype=object)
    assert land_cover_scores(objects, ["a", "b"]).per_class.index.tolist() == ["a", "b"]


def test_a_class_without_weight_counts_in_no_mean():
    scores = land_cover_scores(["a", "a", "c", "b"], ["a", "a", "c", "a"], sample_weight=[1, 1, 1, 0]).summary
    assert scores["f1_macro"] == scores["kappa"] == scores["accuracy"] == 1
