"""Splits of labelled samples: by object and, within each class, in given proportions."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.model_selection import BaseShuffleSplit
from sklearn.utils import check_random_state

from .labels import as_labels, in_own_type, majority

__all__ = ["StratifiedGroupShuffleSplit"]


class StratifiedGroupShuffleSplit(BaseShuffleSplit):
    """Random splits of objects, class by class: the usual protocol of object-based validation.

    Of the objects of each class (say, of the parcels of each crop) a fraction is drawn for training and
    the rest is for testing. All samples of an object stay on one side, so that pixels of one parcel
    never serve for both.

    Parameters
    ----------
    n_splits : int, default=10
        Number of independent draws.
    train_size : float, default=0.3
        Fraction of the objects of each class that train.
    test_size : float, optional
        Fraction of the objects of each class that test. All that do not train by default. It leaves
        `train_size` as it is: what neither names is on no side.
    random_state : int, RandomState or None, default=None
        Seed of the draws. The same objects are drawn whatever the order of the samples.

    See Also
    --------
    sklearn.model_selection.StratifiedGroupKFold : folds that use each object for testing once.
    land_cover_scores : the scores of one split.

    Notes
    -----
    The number of training objects of a class is rounded to the nearest integer, but each side gets at
    least one object of every class that has two or more. The only object of a class trains, and the
    class is then absent from the test. An object whose samples carry several classes counts as one of
    its most frequent class (the first in sorted order, if tied) and stays whole.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.model_selection import StratifiedGroupShuffleSplit
    >>> y = np.array(["forest"] * 6 + ["water"] * 4)
    >>> objects = np.array([1, 1, 1, 2, 2, 3, 4, 4, 5, 5])
    >>> split = StratifiedGroupShuffleSplit(n_splits=2, train_size=0.3, random_state=1)
    >>> for train, test in split.split(y, y, groups=objects):
    ...     print(set(objects[train].tolist()), set(objects[test].tolist()))
    {1, 5} {2, 3, 4}
    {3, 4} {1, 2, 5}
    """

    __metadata_request__split = {"groups": True}  # as in scikit-learn's own splitters of groups

    def __init__(self, n_splits=10, *, train_size=0.3, test_size=None, random_state=None):
        self.n_splits = n_splits
        self.train_size = train_size
        self.test_size = test_size
        self.random_state = random_state

    def split(self, X, y=None, groups=None):
        """Draw the splits.

        Parameters
        ----------
        X : MultiSource, array or DataFrame with n_samples rows, or None
            The samples, of which only the number matters.
        y : array of shape (n_samples,)
            Class of each sample.
        groups : array of shape (n_samples,)
            Object of each sample.

        Yields
        ------
        train, test : array of int
            Rows on each side, in ascending order.

        Raises
        ------
        TypeError
            If X is a dict, of which no rows can be taken, or `n_splits` or a size is not a number.
        ValueError
            If y or `groups` is missing, incomplete or of another length; a size is out of range; or
            there are no two objects of one class to put on different sides.
        """
        self._check_parameters()
        y = _codes("y", "the class", y)
        groups = _codes("groups", "the object", groups)
        _check_lengths(X, y, groups)
        class_of_object = majority(groups, y) if len(groups) else groups
        _check_objects(class_of_object)
        rng = check_random_state(self.random_state)
        for _ in range(self.n_splits):
            train, test = self._draw(class_of_object, rng)
            yield np.flatnonzero(train[groups]), np.flatnonzero(test[groups])

    def _draw(self, class_of_object, rng):
        train, test = np.zeros((2, len(class_of_object)), dtype=bool)
        for code in np.unique(class_of_object):
            objects = rng.permutation(np.flatnonzero(class_of_object == code))
            n_train, n_test = self._allot(len(objects))
            train[objects[:n_train]] = True
            test[objects[n_train : n_train + n_test]] = True
        return train, test

    def _allot(self, n_objects):
        """Numbers of training and testing objects of a class."""
        if n_objects == 1:
            return 1, 0
        n_train = min(max(1, round(self.train_size * n_objects)), n_objects - 1)
        if self.test_size is None or abs(self.train_size + self.test_size - 1) < 1e-9:
            return n_train, n_objects - n_train
        return n_train, min(max(1, round(self.test_size * n_objects)), n_objects - n_train)

    def _check_parameters(self):
        if not isinstance(self.n_splits, Integral) or self.n_splits < 1:
            raise ValueError(f"n_splits must be a positive integer; got {self.n_splits!r}.")
        sizes = {"train_size": self.train_size, "test_size": self.test_size}
        for name, size in sizes.items():
            if name == "test_size" and size is None:
                continue
            if not isinstance(size, Real) or not 0 < size < 1:
                raise ValueError(
                    f"{name} must be a fraction of the objects of each class, between 0 and 1; got {size!r}."
                )
        if self.test_size is not None and self.train_size + self.test_size > 1 + 1e-9:
            raise ValueError(
                f"train_size and test_size must not exceed 1 together; got {self.train_size} + "
                f"{self.test_size}. Leave test_size out to test on all that does not train."
            )


def _codes(name, meaning, values):
    """Integer codes of labels, in the sorted order of the labels."""
    if values is None:
        raise ValueError(
            f"StratifiedGroupShuffleSplit needs {name}: {meaning} of each sample; got None. Pass "
            f"{name}= to split, cross_validate or fit."
        )
    if np.ndim(values) != 1:
        raise ValueError(f"{name} must have shape (n_samples,); got shape {np.shape(values)}.")
    values = as_labels(values)
    missing = pd.isna(values).sum()
    if missing:
        raise ValueError(
            f"{name} must give {meaning} of every sample; {missing} of {len(values)} are missing (NaN or "
            "None). Drop these samples."
        )
    return pd.factorize(in_own_type(values), sort=True)[0]


def _check_lengths(X, y, groups):
    if isinstance(X, Mapping):
        raise TypeError(
            f"X must be indexed by sample; got a {type(X).__name__}. Write MultiSource(X), which every "
            "splitter and search can slice."
        )
    n_samples = len(y) if X is None else X.shape[0] if hasattr(X, "shape") else len(X)
    if not n_samples == len(y) == len(groups):
        raise ValueError(
            f"X, y and groups must have the same number of samples; got {n_samples}, {len(y)} and "
            f"{len(groups)}."
        )


def _check_objects(class_of_object):
    n_objects = len(class_of_object)
    if not n_objects or np.bincount(class_of_object).max() < 2:
        raise ValueError(
            "StratifiedGroupShuffleSplit needs at least two objects of one class, to have one to test on; "
            f"got {n_objects} object(s) of {len(np.unique(class_of_object))} classes. Check that groups "
            "holds the object of each sample, and y its class."
        )
