"""A linear path beside an encoder: whitened principal components of the flattened source."""

import numpy as np
import torch
from scipy.linalg import eigh
from torch import nn

from ..sources import PatchSpec

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
        self.pool = pooling(spec) if isinstance(spec, PatchSpec) else nn.Identity()
        size = self.flatten(torch.zeros(1, *spec.shape)).shape[1] if n_components else 0
        self.n_outputs = min(n_components, size)
        used = self.n_outputs > 0  # the oldest safetensors cannot hold empty tensors
        self.register_buffer("center", torch.zeros(size), persistent=used)
        self.register_buffer("projection", torch.zeros(size, self.n_outputs), persistent=used)

    def flatten(self, x):  # (n, dates, bands) or (n, bands, height, width) -> (n, size)
        return self.pool(x).flatten(1)

    def forward(self, x):  # (n, ...) -> (n, components)
        return (self.flatten(x) - self.center) @ self.projection

    def fit(self, blocks):
        """Learn center and components from blocks of scaled samples (n, ...) and their weights (n,)."""
        moments = weighted_moments(
            (self.flatten(torch.as_tensor(values)).numpy(), weights) for values, weights in blocks
        )
        if moments is None:  # no training sample has this source
            return self
        center, covariance = moments
        size = len(center)
        variance, vectors = eigh(covariance, subset_by_index=(size - self.n_outputs, size - 1))
        variance, vectors = variance[::-1], vectors[:, ::-1]
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        kept = variance > 1e-6 * max(variance[0], np.finfo(float).tiny)  # beyond the rank there is noise
        scale = np.where(kept, 1 / np.sqrt(np.where(kept, variance, 1)), 0)
        self.center, self.projection = (
            torch.as_tensor(center),
            torch.as_tensor(np.ascontiguousarray(vectors * scale)),
        )
        return self


def pooling(spec):
    """The averages over squares that leave few values of a patch."""
    for side in range(1, max(spec.height, spec.width) + 2, 2):
        n_rows, n_cols = -(-spec.height // side), -(-spec.width // side)
        if spec.n_bands * n_rows * n_cols <= POOLED_VALUES:
            break
    margins = (n_rows * side - spec.height) // 2, (n_cols * side - spec.width) // 2
    return nn.AvgPool2d(side, padding=margins, ceil_mode=True, count_include_pad=False)


def weighted_moments(blocks):
    """Mean and covariance over weighted rows, in float64; None without rows."""
    total, first, second, shift = 0.0, 0.0, 0.0, None
    for values, weights in blocks:
        shift = values[0] if shift is None else shift  # near the mean: no digits are lost
        moved = values - shift
        total += weights.sum()
        first = first + weights @ moved
        second = second + (moved * weights[:, None]).T @ moved
    if shift is None:
        return None
    mean = first / total
    return shift + mean, second / total - np.outer(mean, mean)
