"""A linear path beside an encoder: whitened principal components of the flattened source."""

from itertools import chain

import numpy as np
import torch
from scipy.linalg import eigh
from torch import nn

from ..sources import PatchSeriesSpec, PatchSpec
from .moments import class_moments

LARGE = 1024  # values, whose covariance takes longer than products of fewer samples
POOLED_VALUES = 512  # patches are averaged over squares until at most this many values remain


class LinearPath(nn.Module):
    """Principal components of a scaled source, each of variance 1 over the training samples.

    Parameters
    ----------
    spec : SeriesSpec, PatchSpec or VectorSpec
        A patch is averaged over the smallest squares of an odd side that leave at most 512 values, so
        that the centre of the middle square is the sample.
    n_components : int
        At most as many as there are values; 0 for none.
    """

    def __init__(self, spec, n_components):
        super().__init__()
        self.pool = pooling(spec)
        self.n_values = self.flatten(torch.zeros(1, *spec.shape)).shape[1]
        size = self.n_values if n_components else 0
        self.n_outputs = min(n_components, size)
        used = self.n_outputs > 0  # the oldest safetensors cannot hold empty tensors
        self.register_buffer("center", torch.zeros(size), persistent=used)
        self.register_buffer("projection", torch.zeros(size, self.n_outputs), persistent=used)

    def flatten(self, x):  # (n, dates, bands) or (n, bands, height, width) -> (n, size)
        return self.pool(x).flatten(1)

    def components(self, values):  # (n, size) -> (n, components)
        return (values - self.center) @ self.projection

    def forward(self, x):  # (n, ...) -> (n, components)
        return self.components(self.flatten(x))

    def fit(self, blocks):
        """Learn center and components from blocks of scaled samples (n, ...) and their weights (n,)."""
        blocks = ((self.flatten(torch.as_tensor(values)).numpy(), weights) for values, weights in blocks)
        found = _principal(blocks, *self.projection.shape)
        if found is None:  # no training sample has this source
            return self
        center, variance, vectors = found
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        kept = variance > 1e-6 * max(variance[0], np.finfo(float).tiny)  # beyond the rank there is noise
        scale = np.where(kept, 1 / np.sqrt(np.where(kept, variance, 1)), 0)
        self.center = torch.as_tensor(center)
        self.projection = torch.as_tensor(np.ascontiguousarray(vectors * scale))
        return self


def _principal(blocks, size, n):
    """Center, and the n largest variances and their directions, of blocks of rows with weights."""
    rows = _few_rows(blocks, size) if size > LARGE else []
    if rows and sum(len(values) for values, _ in rows) < size:
        return _of_few_rows(*(np.concatenate(parts) for parts in zip(*rows, strict=True)), n)
    moments = class_moments((values, weights[:, None]) for values, weights in chain(rows, blocks))
    if moments is None:
        return None
    variance, vectors = eigh(moments.within, subset_by_index=(size - n, size - 1))
    return moments.means[0], variance[::-1], vectors[:, ::-1]


def _few_rows(blocks, most):
    """The first blocks, until they have so many rows."""
    rows, n = [], 0
    for values, weights in blocks:
        rows.append((values, weights))
        n += len(values)
        if n >= most:
            break
    return rows


def _of_few_rows(values, weights, n):
    """The same of fewer rows than values, by their products with each other; 0 where there are none."""
    share = weights.astype(np.float64) / weights.sum()
    center = share @ values
    moved = np.sqrt(share)[:, None] * (values - center)
    first = max(len(moved) - n, 0)
    squares, left = eigh(moved @ moved.T, subset_by_index=(first, len(moved) - 1))
    variance, vectors = np.zeros(n), np.zeros((len(center), n))
    found = len(squares)
    variance[:found] = squares[::-1].clip(0)
    lengths = np.sqrt(np.where(variance > 0, variance, 1))[:found]
    vectors[:, :found] = moved.T @ left[:, ::-1] / lengths
    return center, variance, vectors


def pooling(spec):
    """The averages that leave few values of patches: over squares, or over all pixels of each date."""
    if isinstance(spec, PatchSeriesSpec):
        return nn.AdaptiveAvgPool3d((None, 1, 1))  # of (n, dates, bands, height, width)
    if not isinstance(spec, PatchSpec):
        return nn.Identity()
    return square_means(spec)


def square_means(spec):
    """The averages over the smallest squares of an odd side that leave at most 512 values of a patch."""
    for side in range(1, max(spec.height, spec.width) + 2, 2):
        n_rows, n_cols = -(-spec.height // side), -(-spec.width // side)
        if spec.n_bands * n_rows * n_cols <= POOLED_VALUES:
            break
    margins = (n_rows * side - spec.height) // 2, (n_cols * side - spec.width) // 2
    return nn.AvgPool2d(side, padding=margins, ceil_mode=True, count_include_pad=False)
