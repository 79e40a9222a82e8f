"""Batches of a container: whole blocks at a time, never sample by sample."""

import math

import numpy as np
import torch

from ..rows import decodes_chunks

BYTES_AHEAD = 2**26  # of batches that are read at once


class Batches:
    """Iterates over (inputs, (codes, weights)) in batches, in a new order at each epoch.

    Parameters
    ----------
    X : MultiSource
    codes : array of int of shape (n_samples,)
        Class codes.
    weights : array of shape (n_samples,)
    batch_size : int
        A last batch of one sample joins the one before it: batch normalisation needs two.
    dtype : torch.dtype
        Of the weights.
    seed : int or None
        Seed of the order; None keeps the order. A single batch keeps it as well.
    """

    def __init__(self, X, codes, weights, batch_size, dtype, seed=None):
        self.X = X
        self.codes = torch.as_tensor(codes, dtype=torch.int64)
        self.weights = torch.as_tensor(weights, dtype=dtype)
        self.cuts = batch_cuts(len(X), batch_size)
        self.generator = None if seed is None or len(self) == 1 else torch.Generator().manual_seed(seed)

    def __len__(self):
        return len(self.cuts)

    def position(self):
        """The state of the generator of orders; None where the order is kept."""
        return None if self.generator is None else self.generator.get_state()

    def resume(self, position):
        """Draw orders from a state on that `position` gave, of other batches too."""
        if position is not None and self.generator is not None:
            self.generator.set_state(position)

    def __iter__(self):
        order = None
        if self.generator is not None:
            order = torch.randperm(len(self.X), generator=self.generator)
        for cuts in self._groups():
            first, last = cuts[0][0], cuts[-1][1]
            rows = slice(first, last) if order is None else order[first:last]
            inputs = gather_tensors(self.X, rows if order is None else rows.numpy())
            targets = self.codes[rows], self.weights[rows]
            for start, stop in cuts:
                part = slice(start - first, stop - first)
                yield {name: x[part] for name, x in inputs.items()}, tuple(each[part] for each in targets)

    def _groups(self):
        """Batches that are read at once: one, or more where each would decode most of the chunks."""
        n, values = 1, [self.X.rows_of(name) for name in self.X.names]
        if any(map(decodes_chunks, values)):
            row = sum(each.dtype.itemsize * math.prod(each.shape[1:]) for each in values)
            n = max(1, BYTES_AHEAD // (row * self.cuts[0][1]))
        return [self.cuts[i : i + n] for i in range(0, len(self.cuts), n)]


def batch_cuts(n_samples, batch_size):
    """(start, stop) of each batch, all of `batch_size` but the last; never a last batch of one."""
    starts = list(range(0, n_samples, batch_size))
    if len(starts) > 1 and n_samples - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n_samples], strict=True))


def gather_tensors(X, rows):
    """Rows of every source as tensors, in the number type of the source."""
    return {name: gather_tensor(X, name, rows) for name in X.names}


def gather_tensor(X, name, rows):
    """Rows of one source as a tensor, in the number type of the source."""
    return as_tensor(X.gather(name, rows))


def as_tensor(array):
    """A tensor of an array, without a copy where torch can share its memory."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    array = np.require(array, dtype=array.dtype.newbyteorder("="), requirements=["C", "W"])
    return torch.from_numpy(array)
