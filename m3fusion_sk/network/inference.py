"""Prediction in batches: whatever a network can tell about samples, as arrays."""

import numpy as np
import torch

from .batches import gather_tensors

BATCH_SIZE = 256


def run(network, X, compute, batch_size=BATCH_SIZE):
    """Apply `compute` to the samples, batch by batch.

    Parameters
    ----------
    network : FusionNetwork
        In evaluation mode.
    X : MultiSource
    compute : callable
        ``compute(network, inputs)`` gives a tensor of shape (n, ...), or a dict of them.
    batch_size : int

    Returns
    -------
    array of shape (n_samples, ...), or dict of arrays
    """
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = []
        for start in range(0, len(X), batch_size):
            inputs = gather_tensors(X, slice(start, start + batch_size))
            parts.append(compute(network, {name: x.to(device) for name, x in inputs.items()}))
        return _concatenate(parts)


def _concatenate(parts):
    if isinstance(parts[0], dict):
        return {name: _concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate([part.cpu().numpy() for part in parts])


def proba(network, inputs):
    """Probabilities of the fusion head."""
    return torch.softmax(network(inputs)[0], dim=1)


def proba_by_source(network, inputs):
    """Probabilities of the auxiliary heads; of the only head, for a single source."""
    fused, auxiliary = network(inputs)
    logits = auxiliary or dict.fromkeys(network.sources, fused)
    return {name: torch.softmax(part, dim=1) for name, part in logits.items()}


def attention(network, inputs):
    """Weight of each date, for each series."""
    return network.attention(inputs)


def features(network, inputs):
    """Features of all sources, side by side."""
    return torch.cat(list(network.features(inputs).values()), dim=1)
