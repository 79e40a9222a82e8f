"""Prediction in batches: whatever a network can tell about samples, as arrays."""

from contextlib import closing
from itertools import pairwise, starmap

import numpy as np
import torch

from .batches import gather_tensor
from .blocks import batches_of_neighbours, block_of, view_of
from .threads import in_threads

BATCH_SIZE = 256  # of each thread; larger ones are hardly faster, and leave cores without work at the end
BYTES_AT_ONCE = 2**27  # of the samples of all threads


def run(network, X, compute, batch_size=BATCH_SIZE):
    """Apply `compute` to the samples, batch by batch; on a processor, as many at a time as torch has threads.

    Parameters
    ----------
    network : FusionNetwork
        In evaluation mode.
    X : MultiSource
    compute : callable
        ``compute(network, inputs)`` gives a tensor of shape (n, ...), or a dict of them.
    batch_size : int, default=256

    Returns
    -------
    array of shape (n_samples, ...), or dict of arrays
    """
    device = next(network.parameters()).device
    results, views = None, _shared_views(network, X)
    batches = list(_batches(views, len(X), batch_size))

    @torch.inference_mode()
    def part_of(batch):
        rows, inputs = batch
        return rows, compute(network, {name: x.to(device) for name, x in inputs.items()})

    inputs = ((rows, _inputs(X, rows, views)) for rows in batches)  # read in this thread only
    most = min(len(batches), _most_at_once(X, batch_size)) if device.type == "cpu" else 1
    with closing(in_threads(part_of, inputs, most)) as parts:
        for rows, part in parts:
            results = _room(part, len(X)) if results is None else results
            _put(part, results, rows)
    return results


def _most_at_once(X, batch_size):
    """As many batches as fit into memory, as float32."""
    size = 4 * sum(spec.size for spec in X.specs.values())
    return max(1, BYTES_AT_ONCE // (size * batch_size))


def _shared_views(network, X):
    """The sources whose patches are cut from one image, where the network computes common parts once."""
    encoders = zip(network.sources, network.encoders, strict=True)
    views = {name: view_of(X, name) for name, encoder in encoders if getattr(encoder, "shares", False)}
    return {name: view for name, view in views.items() if view is not None and not view.has_gaps}


def _batches(views, n_samples, batch_size):
    """Rows of each batch: neighbours of the first image, or in order, an even number of equal ones."""
    for view in views.values():
        return batches_of_neighbours(view, batch_size)
    n_batches = -(-n_samples // batch_size)
    if n_batches > 1:
        n_batches = min(n_samples, n_batches + n_batches % 2)
    return starmap(slice, pairwise(np.linspace(0, n_samples, n_batches + 1).astype(int).tolist()))


def _inputs(X, rows, views):
    blocks = {name: block_of(view.take(rows)) for name, view in views.items()}
    blocks = {name: block for name, block in blocks.items() if block is not None}
    return {name: blocks[name] if name in blocks else gather_tensor(X, name, rows) for name in X.names}


def _room(part, n_samples):
    """Arrays for all samples, made once: parts kept between the batches would scatter the heap."""
    if isinstance(part, dict):
        return {name: _room(values, n_samples) for name, values in part.items()}
    return np.empty((n_samples, *part.shape[1:]), part[:0].cpu().numpy().dtype)


def _put(part, results, rows):
    if isinstance(part, dict):
        for name, values in part.items():
            _put(values, results[name], rows)
    else:
        results[rows] = part.cpu().numpy()


def proba(network, inputs):
    """Probabilities of the fusion head, in which linear discriminants have their share."""
    return torch.softmax(network.predict(inputs)[0], dim=1)


def proba_by_source(network, inputs):
    """Probabilities of the auxiliary heads; of the only head, for a single source."""
    fused, auxiliary = network.predict(inputs)
    logits = auxiliary or dict.fromkeys(network.sources, fused)
    return {name: torch.softmax(part, dim=1) for name, part in logits.items()}


def attention(network, inputs):
    """Weight of each date, for each series."""
    return network.attention(inputs)


def features(network, inputs):
    """Features of all sources, side by side."""
    return torch.cat(list(network.features(inputs).values()), dim=1)
