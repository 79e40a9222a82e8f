"""A linear path beside an encoder: whitened principal components of the flattened source."""

import numpy as np
import torch
from scipy.linalg import eigh
from torch import nn

from ..sources import PatchSeriesSpec, PatchSpec
from .moments import class_moments

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
        moments = class_moments(
            (self.flatten(torch.as_tensor(values)).numpy(), weights[:, None]) for values, weights in blocks
        )
        if moments is None:  # no training sample has this source
            return self
        center, covariance = moments.means[0], moments.within
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
