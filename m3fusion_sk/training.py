"""One training run: from checked samples and targets to a finished net."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .network import inference
from .network.batches import Batches
from .network.build import build_network
from .network.net import make_net


def train(settings, X, targets, sides, alpha, device, seed):
    """Build and train a network.

    Parameters
    ----------
    settings : M3FusionClassifier
        Read for its parameters.
    X : MultiSource
        Samples that have a weight.
    targets : Targets
        Their codes and weights.
    sides : (array of int, array of int)
        Rows to train on, and rows to watch or none.
    alpha : dict of str to float
    device : str
    seed : int
        Of initial weights, order and dropout; torch's global generators are left as they were.
    """
    with torch.random.fork_rng(devices=[device] if torch.device(device).type == "cuda" else []):
        torch.manual_seed(seed)
        rows, held_out = sides
        network = build_network(settings, X[rows], len(targets.classes), targets.sample_weight[rows])
        dtype = next(network.parameters()).dtype

        def batches(rows, size, seed=None):
            return Batches(X[rows], targets.codes[rows], targets.loss_weight[rows], size, dtype, seed)

        pair = (
            batches(rows, settings.batch_size, seed),
            batches(held_out, inference.BATCH_SIZE) if len(held_out) else None,
        )
        return make_net(network, alpha, settings, pair, device).fit(pair).finish()


def warn_about_end(settings, net, history):
    """Say so where training ended in another way than it should."""
    if net.interrupted and not history:
        raise KeyboardInterrupt("fit was interrupted before the end of its first epoch")
    if net.interrupted:
        warnings.warn(
            f"fit was interrupted after epoch {len(history)} of {settings.max_epochs}; what it learned "
            "is kept.",
            UserWarning,
            stacklevel=3,
        )
    last = history[-1]["train_loss"]
    if not np.isfinite(last):
        warnings.warn(
            f"Training diverged: the loss of epoch {len(history)} is {last}. Lower lr={settings.lr}, or look "
            "for extreme values in X.",
            ConvergenceWarning,
            stacklevel=3,
        )
