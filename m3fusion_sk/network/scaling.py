"""Input normalisation: part of the network, so that raw rasters can be fed to it."""

import numpy as np
import torch
from torch import nn

from ..rows import row_blocks
from .blocks import PatchBlock


class InputScaler(nn.Module):
    """``(x - center) / scale`` per band, from any number type, in the network's arithmetic."""

    def __init__(self, center, scale):
        super().__init__()
        self.register_buffer("center", torch.as_tensor(center))
        self.register_buffer("scale", torch.as_tensor(scale))

    def forward(self, x):  # (n, ...) of any dtype, or PatchBlock -> (n, ...)
        if isinstance(x, PatchBlock):
            return x.map(self)
        return (x.to(self.center.dtype) - self.center).div_(self.scale)


def fit_scaler(X, name, normalize, weights):
    """The scaler of one source.

    Parameters
    ----------
    X : MultiSource
        Training samples.
    name : str
        Source to scale.
    normalize : {"standard", "minmax", None}
        Zero mean and unit deviation, the range from 0 to 1, or nothing, per band.
    weights : array of shape (n_samples,)
        Weight of each sample; a weight of 2 counts as the sample twice.
    """
    shape = X.specs[name].band_shape
    if normalize is None:
        return InputScaler(np.zeros(shape), np.ones(shape))
    statistics = standard_statistics if normalize == "standard" else range_statistics
    center, scale = statistics(band_blocks(X, name, weights))
    constant = scale <= 1e-12 * np.abs(center)  # but for rounding: it carries nothing, and becomes 0
    scale = np.where(constant, 1.0, scale)
    return InputScaler(center.reshape(shape), scale.reshape(shape))


def band_blocks(X, name, weights):
    """Blocks of a source as (values (n, positions, bands) in float64, weights (n,)), a few rows at a time."""
    spec = X.specs[name]
    for rows in row_blocks(len(X), spec.size, values_at_once=2**18):  # some copies of each stay small
        block = np.moveaxis(X.gather(name, rows).astype(np.float64), 1 + spec.band_axis, -1)
        yield block.reshape(len(block), -1, spec.n_channels), weights[rows]


def scaled_rows(X, name, scaler, weights):
    """Blocks of a source as (scaled values (n, ...) in float64, weights (n,)), a few rows at a time."""
    center, scale = (part.numpy() for part in (scaler.center, scaler.scale))
    for rows in row_blocks(len(X), X.specs[name].size, values_at_once=2**19):
        yield (X.gather(name, rows).astype(np.float64) - center) / scale, weights[rows]


def standard_statistics(blocks):
    """Weighted mean and deviation per band; blocks are joined as by Chan, Golub and LeVeque (1979)."""
    total, mean, squares = 0.0, 0.0, 0.0
    for values, weights in blocks:
        n, block_mean, block_squares = _moments(values, weights)
        delta = block_mean - mean
        squares = squares + block_squares + delta**2 * (total * n / (total + n))
        mean = mean + delta * (n / (total + n))
        total = total + n
    return mean, np.sqrt(squares / total)


def _moments(values, weights):
    """Weight, mean and sum of squared deviations of a block, per band and without what is missing (NaN)."""
    missing = np.isnan(values)
    if not missing.any():
        n = weights.sum() * values.shape[1]
        mean = np.einsum("npb,n->b", values, weights) / n
        return n, mean, np.einsum("npb,n->b", (values - mean) ** 2, weights)
    known = np.where(missing, 0, weights[:, None, None])
    n = np.maximum(known.sum(axis=(0, 1)), np.finfo(float).tiny)  # a block may lack a band
    values = np.where(missing, 0, values)
    mean = np.einsum("npb,npb->b", values, known) / n
    return n, mean, np.einsum("npb,npb->b", (values - mean) ** 2, known)


def range_statistics(blocks):
    """Minimum and range per band; weights do not matter, since none is zero."""
    low, high = np.inf, -np.inf
    for values, _ in blocks:
        low = np.fmin(low, np.fmin.reduce(values, axis=(0, 1)))  # without what is missing (NaN)
        high = np.fmax(high, np.fmax.reduce(values, axis=(0, 1)))
    known = low <= high
    return np.where(known, low, 0.0), np.where(known, high - low, 0.0)
