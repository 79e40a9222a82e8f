"""Rows of anything that has rows: numpy, memmap, zarr, views of images."""

import math

import numpy as np


class SelectedRows:
    """Some rows of an array, gathered only when they are asked for.

    Parameters
    ----------
    values : array of shape (n, ...)
        Anything with a shape, a dtype and row indexing.
    rows : array of int of shape (n_samples,)
        Positions in `values`, none negative.
    """

    def __init__(self, values, rows):
        nested = isinstance(values, SelectedRows)
        self.values = values.values if nested else values
        self.rows = values.rows[rows] if nested else rows

    @property
    def shape(self):
        return (len(self.rows), *self.values.shape[1:])

    @property
    def dtype(self):
        return self.values.dtype

    def __getitem__(self, index):
        return take_rows(self.values, self.rows[index])


class MappedRows:
    """Rows computed from those of an array, only when they are asked for.

    Parameters
    ----------
    values : array of shape (n_samples, ...)
        Anything with a shape, a dtype and row indexing.
    function : callable
        From rows of `values` to as many rows of shape `row_shape`; each row by itself.
    row_shape : tuple of int
    dtype : numpy.dtype
    """

    def __init__(self, values, function, row_shape, dtype):
        self.values, self.function = values, function
        self.shape, self.dtype = (values.shape[0], *row_shape), np.dtype(dtype)

    def __getitem__(self, index):
        return self.function(take_rows(self.values, index))


def map_rows(values, function, row_shape, dtype):
    """Rows computed from those of an array: now, if it is in memory, else as they are read."""
    base = values.values if isinstance(values, SelectedRows) else values
    lazy = MappedRows(values, function, row_shape, dtype)
    if not isinstance(base, np.ndarray) or isinstance(base, np.memmap):
        return lazy
    blocks = row_blocks(lazy.shape[0], math.prod(row_shape))
    if len(blocks) == 1:
        return np.ascontiguousarray(lazy[blocks[0]], dtype)
    out = np.empty(lazy.shape, dtype)
    for rows in blocks:
        out[rows] = lazy[rows]
    return out


class ExchangedRows:
    """Rows of an array whose values at one place are those of other rows, exchanged as they are read.

    Parameters
    ----------
    values : array of shape (n_samples, ...)
        Anything with a shape, a dtype and row indexing.
    rows : array of int of shape (n_samples,)
        The row that each row gets its values at `place` from.
    place : tuple
        Index into blocks of rows: ``(slice(None), 3)`` is the fourth date of a series. What one of both rows
        lacks there (NaN) stays as it is.
    """

    def __init__(self, values, rows, place):
        self.values, self.rows, self.place = values, np.asarray(rows), place
        self.shape, self.dtype = tuple(values.shape), values.dtype

    def __getitem__(self, index):
        block = np.array(take_rows(self.values, index))
        own, other = block[self.place], take_rows(self.values, self.rows[index])[self.place]
        if block.dtype.kind == "f":
            other = np.where(np.isnan(own) | np.isnan(other), own, other)
        block[self.place] = other
        return block


LAZY_ROWS = (SelectedRows, MappedRows, ExchangedRows)


def decodes_chunks(values):
    """Whether single rows cost as much as all of their chunk, as in zarr."""
    while isinstance(values, LAZY_ROWS):
        values = values.values
    return hasattr(values, "oindex")


def row_blocks(n_rows, row_size, values_at_once=2**21):
    """Slices that cover all rows in order, each of about `values_at_once` values."""
    step = max(1, values_at_once // max(1, row_size))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def take_rows(values, index):
    """Rows as an array, by a slice or by integers; contiguous rows of an array without a copy."""
    if isinstance(index, slice):
        if index.step is not None and index.step < 1:  # not known to zarr
            index = np.arange(values.shape[0])[index]
    else:
        index = _as_positions(index, values.shape[0])
        if len(index) and index[-1] - index[0] + 1 == len(index) and (np.diff(index) == 1).all():
            index = slice(int(index[0]), int(index[-1]) + 1)
    if isinstance(values, np.ndarray) and not isinstance(index, slice):
        return np.asarray(values).take(index, axis=0)
    if hasattr(values, "oindex"):  # zarr
        return np.asarray(values.oindex[index])
    return np.asarray(values[index])


def _as_positions(index, n):
    """Positions from 0, of masks and of positions from the end too."""
    index = np.asarray(index)
    if index.dtype.kind == "b":
        if index.shape != (n,):
            raise IndexError(f"A mask of rows must have shape ({n},); got {index.shape}.")
        return np.flatnonzero(index)
    index = index.astype(np.intp)
    if len(index) and (index.min() < -n or index.max() >= n):
        raise IndexError(f"Rows must lie between {-n} and {n - 1}; got {index.min()} to {index.max()}.")
    return np.where(index < 0, index + n, index) if len(index) and index.min() < 0 else index
