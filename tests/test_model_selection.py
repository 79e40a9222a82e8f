import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, cross_validate

from m3fusion_sk import MultiSource
from m3fusion_sk.model_selection import StratifiedGroupShuffleSplit


@st.composite
def labelled_objects(draw):
    """Class of each object, object and class of each sample; at least one class has two objects."""
    classes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=30))
    classes = np.array([*classes, classes[0]])
    groups = np.repeat(np.arange(len(classes)), draw(st.integers(1, 4)))
    groups = np.random.default_rng(draw(st.integers(0, 9))).permutation(groups)
    return classes, groups, classes[groups]


@settings(deadline=None)
@given(labelled_objects(), st.floats(0.01, 0.99), st.integers(0, 5))
def test_the_laws_of_the_split(labelled, train_size, seed):
    classes, groups, y = labelled
    splitter = StratifiedGroupShuffleSplit(2, train_size=train_size, random_state=seed)
    for train, test in splitter.split(y, y, groups):
        assert not set(groups[train]) & set(groups[test])
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(len(y)))
        assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()
        for code in set(classes.tolist()):
            n = np.sum(classes == code)
            n_train = np.sum(classes[np.unique(groups[train])] == code)
            assert abs(n_train - train_size * n) <= 1
            assert n_train == 1 if n == 1 else 1 <= n_train < n


@settings(deadline=None, max_examples=50)
@given(labelled_objects(), st.integers(0, 5))
def test_the_same_seed_draws_the_same_objects_whatever_the_order_of_samples(labelled, seed):
    _, groups, y = labelled
    order = np.random.default_rng(seed).permutation(len(y))
    splitter = StratifiedGroupShuffleSplit(2, random_state=seed)
    shuffled = splitter.split(None, y[order], groups[order])
    for (train, _), (other, _) in zip(splitter.split(None, y, groups), shuffled, strict=True):
        assert set(groups[train]) == set(groups[order][other])


def test_thirty_percent_of_the_objects_of_each_class_train():
    objects = np.repeat(["sugar cane", "greenhouse crops", "shadows"], [496, 50, 38])
    groups = np.arange(len(objects))
    train, test = next(StratifiedGroupShuffleSplit(1, random_state=0).split(objects, objects, groups))
    assert pd.Series(objects[train]).value_counts().to_dict() == {
        "sugar cane": 149,
        "greenhouse crops": 15,
        "shadows": 11,
    }
    assert len(train) + len(test) == 584


def test_draws_differ_from_each_other_and_between_seeds():
    y = np.zeros(40)
    splits = [
        tuple(train)
        for seed in (0, 1)
        for train, _ in StratifiedGroupShuffleSplit(3, random_state=seed).split(y, y, np.arange(40))
    ]
    assert len(set(splits)) == 6


def test_a_test_size_leaves_objects_out_of_both_sides():
    y, groups = np.repeat([0, 1], 50), np.arange(100)
    splitter = StratifiedGroupShuffleSplit(1, train_size=0.5, test_size=0.2, random_state=0)
    train, test = next(splitter.split(None, y, groups))
    assert np.bincount(y[train]).tolist() == [25, 25] and np.bincount(y[test]).tolist() == [10, 10]


def test_the_only_object_of_a_class_trains():
    y, groups = np.array(list("aaabbc")), np.array([1, 2, 3, 4, 4, 5])
    for train, test in StratifiedGroupShuffleSplit(5, random_state=0).split(None, y, groups):
        assert set(y[train]) == set("abc") and set(y[test]) == {"a"}


def test_an_object_of_several_classes_counts_as_its_most_frequent_and_stays_whole():
    y = np.array([0, 0, 1] + [0] * 3 + [1] * 4)
    groups = np.array([7] * 3 + [8] * 3 + [9, 9, 10, 10])
    for train, _ in StratifiedGroupShuffleSplit(5, train_size=0.5, random_state=0).split(y, y, groups):
        assert len({7, 8} & set(groups[train])) == 1 and len({9, 10} & set(groups[train])) == 1
        assert (np.sum(groups[train] == 7)) in (0, 3)


@pytest.mark.parametrize(
    "groups", [list("aabbccdd"), pd.Categorical(list("aabbccdd")), pd.Series([5, 5, 6, 6, 7, 7, 8, 8])]
)
def test_objects_may_have_names_of_any_kind(groups):
    y = pd.Series(["crop", "water"] * 4, index=range(10, 18))
    train, test = next(StratifiedGroupShuffleSplit(1).split(None, y, groups))
    assert len(train) + len(test) == 8


def test_repr_shows_the_parameters():
    assert repr(StratifiedGroupShuffleSplit(3, random_state=0)).split() == (
        ["StratifiedGroupShuffleSplit(n_splits=3,", "random_state=0,", "test_size=None,", "train_size=0.3)"]
    )
    assert StratifiedGroupShuffleSplit(3).get_n_splits() == 3


def test_works_in_cross_validation_and_search_with_and_without_metadata_routing():
    y, groups = np.repeat(["a", "b"], 20), np.arange(40) // 4
    X = MultiSource(v=np.ones((40, 2)))
    cv = StratifiedGroupShuffleSplit(3, random_state=0)
    assert len(cross_validate(DummyClassifier(), X, y, groups=groups, cv=cv)["test_score"]) == 3
    search = GridSearchCV(DummyClassifier(), {"strategy": ["prior", "uniform"]}, cv=cv)
    assert search.fit(X, y, groups=groups).n_splits_ == 3
    with config_context(enable_metadata_routing=True):
        scores = cross_validate(DummyClassifier(), X, y, cv=cv, params={"groups": groups})
        assert len(scores["test_score"]) == 3
        search.fit(X, y, groups=groups)


Y, GROUPS = np.repeat([0, 1], 4), np.arange(8)


@pytest.mark.parametrize(
    "groups",
    [
        [1, "1", 2, "2", 3, "3", 4, "4"],
        [10**18 + i for i in range(7)] + [2**63 + 5],
        pd.Series([(i // 4, i % 4) for i in range(8)]),
        np.ma.masked_equal(GROUPS, 99),
    ],
    ids=["text and numbers", "large", "tuples", "nothing masked"],
)
def test_objects_that_differ_are_never_one(groups):
    for train, test in StratifiedGroupShuffleSplit(3, train_size=0.5, random_state=0).split(Y, Y, groups):
        assert len(train) == len(test) == 4 and len(np.union1d(train, test)) == 8


@pytest.mark.parametrize(
    "X, y, groups, error, message",
    [
        (Y, Y, None, ValueError, "needs groups: the object of each sample; got None"),
        (Y, None, GROUPS, ValueError, "needs y: the class of each sample; got None"),
        (Y, Y, GROUPS[:7], ValueError, "same number of samples; got 8, 8 and 7"),
        (Y[:6], Y, GROUPS, ValueError, "same number of samples; got 6, 8 and 8"),
        (list(Y), Y[:5], GROUPS, ValueError, "same number of samples; got 8, 5 and 8"),
        ({"ts": Y}, Y, GROUPS, TypeError, r"indexed by sample; got a dict. Write MultiSource\(X\)"),
        (Y, Y, np.where(GROUPS < 3, np.nan, 1), ValueError, "groups must give .* 3 of 8 are missing"),
        (Y, [None, *"abcdefg"], GROUPS, ValueError, "y must give the class of every sample; 1 of 8"),
        (Y, np.ma.masked_equal(Y, 0), GROUPS, ValueError, "y must give the class of every sample; 4 of 8"),
        (Y, np.ones((8, 2)), GROUPS, ValueError, r"y must have shape \(n_samples,\); got shape \(8, 2\)"),
        (Y, Y, Y * 0, ValueError, r"at least two objects of one class.*got 1 object\(s\) of 1 cl"),
        (Y, Y, Y, ValueError, r"two objects of one class.*got 2 object\(s\) of 2.*and y its"),
        ([], [], [], ValueError, r"at least two objects of one class.*got 0 object\(s\)"),
    ],
)
def test_wrong_labels_and_objects_are_refused(X, y, groups, error, message):
    with pytest.raises(error, match=message):
        next(StratifiedGroupShuffleSplit(1).split(X, y, groups))


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"train_size": 0}, "train_size must be a fraction .* between 0 and 1; got 0"),
        ({"train_size": 1.0}, "train_size must be a fraction"),
        ({"train_size": 30}, "train_size must be a fraction"),
        ({"train_size": None}, "train_size must be a fraction"),
        ({"test_size": -0.2}, "test_size must be a fraction"),
        ({"test_size": "half"}, "test_size must be a fraction"),
        ({"test_size": 0.8}, r"must not exceed 1 together; got 0.3 \+ 0.8"),
        ({"n_splits": 0}, "n_splits must be a positive integer; got 0"),
        ({"n_splits": 2.5}, "n_splits must be a positive integer; got 2.5"),
    ],
)
def test_wrong_sizes_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        next(StratifiedGroupShuffleSplit(**parameters).split(Y, Y, GROUPS))


def test_samples_without_an_object_in_a_list_are_refused():
    y = ["a", "a", "b", "b"]
    with pytest.raises(ValueError, match="1 of 4 are missing"):
        next(StratifiedGroupShuffleSplit(1).split(np.zeros(4), y, ["p1", "p1", np.nan, "p2"]))


def test_halves_leave_no_object_out():
    y, objects = np.zeros(5, int), np.arange(5)
    split = StratifiedGroupShuffleSplit(1, train_size=0.5, test_size=0.5, random_state=0)
    train, test = next(split.split(objects, y, objects))
    assert sorted([*train, *test]) == [0, 1, 2, 3, 4]
