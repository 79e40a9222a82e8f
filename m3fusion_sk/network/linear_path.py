"""A linear path beside the series encoder: whitened principal components of the flattened series."""

import numpy as np
import torch
from torch import nn


class LinearPath(nn.Module):
    """Principal components of scaled series, each of variance 1 over the training samples."""

    def __init__(self, spec, n_components):
        super().__init__()
        self.n_outputs = min(n_components, spec.size)
        self.register_buffer("center", torch.zeros(spec.size))
        self.register_buffer("projection", torch.zeros(spec.size, self.n_outputs))

    def forward(self, x):  # (n, dates, bands) -> (n, components)
        return (x.flatten(1) - self.center) @ self.projection

    def fit(self, blocks):
        """Learn center and components from blocks of scaled series (n, size) and their weights (n,)."""
        center, covariance = weighted_moments(blocks)
        variance, vectors = np.linalg.eigh(covariance)
        variance, vectors = variance[::-1][: self.n_outputs], vectors[:, ::-1][:, : self.n_outputs]
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        kept = variance > 1e-6 * max(variance[0], np.finfo(float).tiny)  # beyond the rank there is noise
        scale = np.where(kept, 1 / np.sqrt(np.where(kept, variance, 1)), 0)
        self.center, self.projection = torch.as_tensor(center), torch.as_tensor(vectors * scale)
        return self


def weighted_moments(blocks):
    """Mean and covariance over weighted rows, in float64."""
    total, first, second, shift = 0.0, 0.0, 0.0, None
    for values, weights in blocks:
        shift = values[0] if shift is None else shift  # near the mean: no digits are lost
        moved = values - shift
        total += weights.sum()
        first = first + weights @ moved
        second = second + (moved * weights[:, None]).T @ moved
    mean = first / total
    return shift + mean, second / total - np.outer(mean, mean)
