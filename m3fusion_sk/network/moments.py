"""Weighted moments by class, gathered block by block and joined over calls."""

from typing import NamedTuple

import numpy as np


class ClassMoments(NamedTuple):
    """What a linear discriminant needs to know of rows in K classes.

    Parameters
    ----------
    weight : float
        Of all rows.
    shift : array of shape (n_values,)
        Taken off the values, so that no digits are lost; near their mean.
    share : array of shape (K,)
        Of each class in the weight.
    first : array of shape (K, n_values)
        Sums of the shifted values of each class, over the weight.
    second : array of shape (n_values, n_values)
        Sum of their products, over the weight.
    """

    weight: float
    shift: np.ndarray
    share: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @property
    def means(self):
        """Of each class, (K, n_values); zeros for a class without rows."""
        return (self.shift + self._shifted_means()) * (self.share > 0)[:, None]

    @property
    def within(self):
        """Covariance of the values about the mean of their class."""
        return self.second - (self._shifted_means() * self.share[:, None]).T @ self._shifted_means()

    def of(self, values):
        """The moments of some of the values, a slice."""
        return ClassMoments(
            self.weight, self.shift[values], self.share, self.first[:, values], self.second[values, values]
        )

    def joined(self, other):
        """The moments of the rows of both, which have the same shift; exactly these where both are equal."""
        part = other.weight / (self.weight + other.weight)
        averages = (a + (b - a) * part for a, b in zip(self[2:], other[2:], strict=True))
        return ClassMoments(self.weight + other.weight, self.shift, *averages)

    def _shifted_means(self):
        return self.first / np.where(self.share > 0, self.share, 1)[:, None]


def class_moments(blocks, shift=None):
    """Moments of blocks of (values (n, n_values), weights by class (n, K)); None without rows.

    Parameters
    ----------
    blocks : iterable of (array, array)
    shift : array of shape (n_values,), optional
        By default the first row.
    """
    sums = None
    for values, weights in blocks:
        if not len(values):
            continue
        shift = values[0].copy() if shift is None else shift
        moved = values - shift
        parts = weights.sum(axis=0), weights.T @ moved, (moved * weights.sum(axis=1)[:, None]).T @ moved
        sums = [np.zeros(part.shape) for part in parts] if sums is None else sums
        for total, part in zip(sums, parts, strict=True):
            total += part
    if sums is None:
        return None
    weight = sums[0].sum()
    for total in sums:
        total /= weight
    return ClassMoments(weight, shift, *sums)
