"""Area estimates, against the article's own worked examples and against simulated samples."""

import numpy as np
import pandas as pd
import pytest

from m3fusion_sk.areas import estimate_areas, reference_sample_size

CLASSES = ["deforestation", "forest gain", "stable forest", "stable non-forest"]
TABLE_8 = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
PIXELS = [200_000, 150_000, 3_200_000, 6_450_000]  # of 0.09 ha


def as_samples(counts, classes):
    """(reference, mapped) labels of an error matrix with mapped classes in rows."""
    rows, cols = np.indices(np.shape(counts)).reshape(2, -1)
    repeat = np.ravel(counts)
    return np.array(classes)[np.repeat(cols, repeat)], np.array(classes)[np.repeat(rows, repeat)]


@pytest.fixture(scope="module")
def example():
    areas = dict(zip(CLASSES, np.multiply(PIXELS, 0.09), strict=True))
    return estimate_areas(*as_samples(TABLE_8, CLASSES), areas)


def test_areas_equal_those_of_olofsson_2014(example):
    """Page 54: area in hectares, plus and minus its 95 % confidence interval."""
    margin = (example.areas["high"] - example.areas["low"]) / 2
    published = [(21158, 6158), (11686, 3756), (285770, 15510), (581386, 16282)]
    for name, (area, interval) in zip(CLASSES, published, strict=True):
        assert example.areas.loc[name, "area"] == pytest.approx(area, abs=1)
        assert margin[name] == pytest.approx(interval, abs=2)
    np.testing.assert_allclose(example.areas["area"].sum(), 900_000)


def test_accuracies_equal_those_of_olofsson_2014(example):
    """Page 54, given with two digits.

    The article prints the intervals of two producer's accuracies as 0.23 and 0.01. Its equation 7 gives
    0.25 and 0.02 for them (see the next test), as other implementations have noted too.
    """
    users, producers = example.accuracy["users"], example.accuracy["producers"]
    np.testing.assert_array_equal(users.round(2), [0.88, 0.73, 0.93, 0.96])
    np.testing.assert_array_equal(producers.round(2), [0.75, 0.85, 0.93, 0.96])
    margins = [(example.accuracy[f"{n}_high"] - example.accuracy[n]).round(2) for n in ("users", "producers")]
    np.testing.assert_array_equal(margins[0], [0.07, 0.10, 0.04, 0.02])
    np.testing.assert_array_equal(margins[1].iloc[[0, 2]], [0.21, 0.03])
    assert round(example.overall["accuracy"], 2) == 0.95
    assert round(example.overall["high"] - example.overall["accuracy"], 2) == 0.02
    table_9 = [
        [0.0176, 0, 0.0013, 0.0011],
        [0, 0.0110, 0.0016, 0.0024],
        [0.0019, 0, 0.2967, 0.0213],
        [0.0040, 0.0020, 0.0179, 0.6212],
    ]
    np.testing.assert_allclose(example.proportions, table_9, atol=6e-5)


def test_producers_variances_follow_equation_7_term_by_term(example):
    n, N = np.array(TABLE_8, float), np.array(PIXELS, float)
    n_mapped = n.sum(axis=1)
    for j, name in enumerate(CLASSES):
        N_j = sum(N[i] * n[i, j] / n_mapped[i] for i in range(4))
        U, P = n[j, j] / n_mapped[j], N[j] * n[j, j] / n_mapped[j] / N_j
        first = N[j] ** 2 * (1 - P) ** 2 * U * (1 - U) / (n_mapped[j] - 1)
        second = P**2 * sum(
            N[i] ** 2 * n[i, j] / n_mapped[i] * (1 - n[i, j] / n_mapped[i]) / (n_mapped[i] - 1)
            for i in range(4)
            if i != j
        )
        variance = (first + second) / N_j**2
        assert example.accuracy.loc[name, "producers_se"] == pytest.approx(variance**0.5, rel=1e-12)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    weight, share = np.array([0.1, 0.3, 0.6]), np.array([[0.8, 0.15, 0.05], [0.1, 0.85, 0.05], [0, 0.1, 0.9]])
    truth, hits, errors = weight @ share, np.zeros(3), []
    producers, hits_producers = (weight * share.diagonal()) / truth, np.zeros(3)
    for _ in range(400):
        counts = [rng.multinomial(120, row) for row in share]
        result = estimate_areas(
            *as_samples(counts, list("abc")), dict(zip("abc", weight, strict=True)), level=0.9
        )
        hits += (result.areas["low"] <= truth) & (truth <= result.areas["high"])
        table = result.accuracy
        hits_producers += (table["producers_low"] <= producers) & (producers <= table["producers_high"])
        errors.append(result.areas["area"] - truth)
    assert (np.abs(hits / 400 - 0.9) < 0.05).all(), hits
    assert (np.abs(hits_producers / 400 - 0.9) < 0.06).all(), hits_producers
    np.testing.assert_allclose(np.mean(errors, axis=0), 0, atol=0.004)  # without bias


def test_a_perfect_map_has_its_own_areas_and_no_uncertainty():
    y = np.repeat(["a", "b"], [5, 6])
    result = estimate_areas(y, y, {"b": 3.0, "a": 1.0})
    assert result.areas["area"].tolist() == [3.0, 1.0] == result.areas["mapped"].tolist()
    assert (result.areas["se"] == 0).all() and result.overall["accuracy"] == 1
    assert "users" in str(result) and "mapped" in str(result)
    assert "of one class (mapped: samples): {'b': 6, 'a': 5}." in result.notes[0] in str(result)


def test_a_class_that_the_map_lacks_gets_an_area_and_may_be_misspelt():
    reference, mapped = ["a", "a", "wetland", "b", "b", "a"], ["a", "a", "a", "b", "b", "b"]
    result = estimate_areas(reference, mapped, {"a": 30.0, "b": 60.0})
    assert "no class ['wetland'], as the reference has" in result.notes[0]
    told = estimate_areas(reference, mapped, {"a": 30.0, "b": 60.0, "wetland": 0.0})
    pd.testing.assert_frame_equal(told.areas, result.areas)
    assert told.notes == ()
    assert result.areas.index.tolist() == ["a", "b", "wetland"]
    np.testing.assert_allclose(result.areas.loc["wetland", ["mapped", "area"]], [0, 10])
    assert np.isnan(result.accuracy.loc["wetland", "users"])
    assert result.accuracy.loc["wetland", "producers"] == 0


def test_mapped_areas_may_be_a_series_and_zero_for_an_unused_class():
    areas = pd.Series({"a": 1.0, "b": 1.0, "never": 0.0})
    result = estimate_areas(["a", "b", "b", "a"], ["a", "a", "b", "b"], areas)
    assert result.areas.loc["never"].tolist() == [0, 0, 0, 0, 0]
    assert result.proportions.to_numpy().sum() == pytest.approx(1)


def test_all_wrong_samples_have_no_spread_either():
    found = estimate_areas(list("abaaa"), list("aabbb"), {"a": 1, "b": 1, "c": 0})
    assert len(found.notes) == 1 and "{'b': 3}" in found.notes[0]
    mixed = estimate_areas(list("abaac"), list("aabbb"), {"a": 1, "b": 1, "c": 0})
    assert mixed.notes == () and mixed.areas.loc["c", "se"] > 0


def test_the_optimal_sample_size_is_that_of_the_article():
    areas = dict(zip(CLASSES, PIXELS, strict=True))
    accuracy = dict(zip(CLASSES, [0.7, 0.6, 0.9, 0.95], strict=True))
    assert reference_sample_size(areas, accuracy, 0.01, allocation="optimal") == 641
    assert reference_sample_size(areas, accuracy, 0.01) == 673
    assert reference_sample_size(areas, 0.5, 0.05) == 100
    assert reference_sample_size({"a": 1.0}, 0.1, 0.01) == reference_sample_size({"a": 1.0}, 0.9, 0.01) == 900
    assert reference_sample_size({"a": 1.0, "b": 2.0, "never": 0.0}, 1.0) == 4


@pytest.mark.parametrize("allocation", ["proportional", "optimal"])
def test_samples_of_that_size_have_the_standard_error(allocation):
    weight, accuracy = np.array([0.8, 0.15, 0.05]), np.array([0.99, 0.7, 0.5])
    maps = dict(enumerate(weight)), dict(enumerate(accuracy))
    n = reference_sample_size(*maps, 0.01, allocation=allocation)
    share = weight * (np.sqrt(accuracy * (1 - accuracy)) if allocation == "optimal" else 1)
    sizes = np.round(n * share / share.sum()).astype(int)
    right = np.random.default_rng(0).binomial(sizes, accuracy, size=(20_000, 3)) / sizes
    assert (right @ weight).std() == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"map_areas": [1, 2]}, TypeError, "map_areas must be a dict or Series"),
        ({"map_areas": {"a": 1, "b": -1}}, ValueError, "map_areas must hold a finite area from 0"),
        (
            {"map_areas": {"a": 1}},
            ValueError,
            r"area of every mapped class; \['b'\] have samples and no area",
        ),
        ({"map_areas": {"a": 1, "b": 1, "c": 1}}, ValueError, r"two samples or more; \['c'\] have fewer"),
        ({"reference": ["a"]}, ValueError, "one value for each sample"),
        ({"reference": ["a", None, "b", "b"]}, ValueError, "reference must have no missing values"),
        (
            {"reference": [1, 1, 2, 2]},
            ValueError,
            "must hold labels of one type; got {'reference': 'numbers'",
        ),
        ({"map_areas": {1: 1, 2: 2}}, ValueError, "'map_areas': 'numbers'"),
        ({"level": 95}, ValueError, "level must be a number between 0 and 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    good = {"reference": list("aabb"), "mapped": list("aabb"), "map_areas": {"a": 1, "b": 2}}
    with pytest.raises(error, match=message):
        estimate_areas(**{**good, **arguments})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"users_accuracy": 1.2}, "users_accuracy must be a share"),
        ({"users_accuracy": {"a": 0.5}}, "for each of"),
        ({"users_accuracy": {"a": 0.5, "b": 0.5, "c": 0.5}}, "and no other"),
        ({"users_accuracy": [0.5, 0.5]}, r"must be one number, or a dict or Series .*; got \[0\.5, 0\.5\]"),
        ({"standard_error": 0}, "standard_error must be a positive number"),
        ({"allocation": "equal"}, "allocation must be 'proportional' or 'optimal'; got 'equal'"),
    ],
)
def test_wrong_conjectures_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        reference_sample_size(**{"map_areas": {"a": 1, "b": 2}, "users_accuracy": 0.8, **arguments})
