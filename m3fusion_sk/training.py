"""One training run: from checked samples and targets to a net and what it leaves on the classifier."""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from .network import inference
from .network.batches import Batches, batch_cuts
from .network.build import build_network, resolve_device
from .network.net import FusionNet, epochs_for, make_net
from .network.prepared.ranges import record_ranges
from .network.processor import warn_of_emulation
from .network.vote import Tally, tally
from .progress import FitTask, with_callbacks
from .settings import auxiliary_weights
from .targets import Targets


class Run(NamedTuple):
    """What to train on, and from where.

    Parameters
    ----------
    method : {"fit", "partial_fit"}
    settings : M3FusionClassifier or namespace
        Read for its parameters.
    X : MultiSource
        Samples that have a weight.
    targets : Targets
        Their codes and weights.
    sides : (array of int, array of int)
        Rows to train on, and rows to watch or none.
    seed : int
        Of initial weights, order and dropout; torch's global generators are left as they were.
    before : FusionNet, optional
        A net of an earlier run, whose network goes on learning.
    """

    method: str
    settings: object
    X: object
    targets: Targets
    sides: tuple
    seed: int
    before: FusionNet | None


@with_callbacks
def learn(classifier, run):
    """Train, and set the fitted attributes; training that fails leaves no ``net_`` behind."""
    past = [] if run.before is None else classifier.history_
    alpha = auxiliary_weights(run.settings.alpha, classifier.sources_)
    device = resolve_device(run.settings.device)
    if run.settings.dtype == "bfloat16":
        warn_of_emulation("dtype", device, stacklevel=5)
    task = FitTask(classifier, run.method, _training_samples(run), run.targets.classes, _n_epochs(run))
    known = _continued_tally(run)
    vars(classifier).pop("net_", None)  # from here on its network changes
    net = train(run, alpha, device, task, len(past), known)
    new = net.epochs(first=len(past) + 1)
    if net.interrupted and not new and run.before is None:
        raise KeyboardInterrupt("fit was interrupted before the end of its first epoch")
    classifier.history_ = past + new
    classifier.n_iter_ = len(classifier.history_)
    classifier.classes_ = run.targets.classes
    classifier.net_ = net
    task.end(net.module_)
    _tell_about_the_end(run, net, new)
    return classifier


def train(run, alpha, device, task, n_past=0, known=None):
    """Build a network, or take the one of before and its `n_past` epochs, and train it."""
    seed = run.seed + n_past  # so that a run that goes on does not repeat the orders of the one before
    with torch.random.fork_rng(devices=_gpus(device)):
        torch.manual_seed(seed)
        network = _network(run)
        if run.before is None:
            known = _tally(network, run)
        if known is not None:
            network.vote.learn(known)
        elif run.before is not None:
            network.vote.distrust_without(np.unique(run.targets.codes))
        pair = _batches(run, next(network.parameters()).dtype, seed)
        net = make_net(network, alpha, run.settings, pair, device, task).initialize()
        net.seed = run.seed
        if run.before is not None and run.before.position is not None:
            net.go_on_from(run.before)
            pair[0].resume(run.before.position.order)
            _set_noise(run.before.position.noise, device)
        net.partial_fit(pair)
        record_ranges(net.module_, run.X[run.sides[0]], seed)
        goes_on = run.method == "partial_fit"
        position = Position(pair[0].position(), _noise(device), known) if goes_on else None
        return net.finish(position)


class Position(NamedTuple):
    """Where `partial_fit` left off.

    Parameters
    ----------
    order : Tensor or None
        State of the generator of orders.
    noise : tuple of Tensor
        States of those of dropout.
    tally : Tally or None
        What the linear discriminants know of all samples so far; None where `fit` taught them.
    """

    order: torch.Tensor | None
    noise: tuple
    tally: Tally | None


def _n_epochs(run):
    n_batches = len(batch_cuts(len(run.sides[0]), run.settings.batch_size))
    return epochs_for(run.settings.max_epochs, n_batches)


def _network(run):
    if run.before is not None:
        return run.before.module_
    rows, targets = run.sides[0], run.targets
    return build_network(run.settings, run.X[rows], len(targets.classes), targets.sample_weight[rows])


def _tally(network, run, known=None):
    """What the linear discriminants learn from the samples of a run, and what they know already."""
    rows, targets = run.sides[0], run.targets
    weights = np.zeros((len(rows), len(targets.classes)))
    weights[np.arange(len(rows)), targets.codes[rows]] = targets.loss_weight[rows]
    return tally(network, run.X[rows], weights, known)


def _continued_tally(run):
    """The same for a call of `partial_fit` that goes on from others; None where they stay as they are."""
    position = None if run.before is None else run.before.position
    if run.method == "fit" or position is None or position.tally is None:
        return None
    return _tally(run.before.module_, run, position.tally)


def _batches(run, dtype, seed):
    rows, held_out = run.sides

    def batches(rows, size, seed=None):
        weights = run.targets.loss_weight[rows]
        weights = weights / weights.mean()  # over all batches: each counts by its own
        return Batches(run.X[rows], run.targets.codes[rows], weights, size, dtype, seed)

    return (
        batches(rows, run.settings.batch_size, seed),
        batches(held_out, inference.BATCH_SIZE) if len(held_out) else None,
    )


def _gpus(device):
    return [device] if torch.device(device).type == "cuda" else []


def _noise(device):
    return (torch.get_rng_state(), *(torch.cuda.get_rng_state(gpu) for gpu in _gpus(device)))


def _set_noise(states, device):
    torch.set_rng_state(states[0])
    for state, gpu in zip(states[1:], _gpus(device), strict=False):  # the device may be another one now
        torch.cuda.set_rng_state(state, gpu)


def _training_samples(run):
    """What callbacks of scikit-learn see, made for those only that ask."""
    rows, targets = run.sides[0], run.targets
    weights = targets.sample_weight[rows]
    return {
        "X": lambda: run.X[rows],
        "y": lambda: targets.classes[targets.codes[rows]],
        "metadata": None if (weights == 1).all() else {"sample_weight": weights},
    }


def _tell_about_the_end(run, net, history):
    """Say so where training ended in another way than it should."""
    if net.interrupted and run.method == "partial_fit":
        raise KeyboardInterrupt("partial_fit was interrupted; what it learned is kept")  # out of loops too
    if net.interrupted:
        warnings.warn(
            f"fit was interrupted after epoch {len(history)} of {_n_epochs(run)}; what it learned is kept.",
            UserWarning,
            stacklevel=5,
        )
    last = history[-1]["train_loss"] if history else 0.0
    if not np.isfinite(last):
        warnings.warn(
            f"Training diverged: the loss of epoch {len(history)} is {last}. Lower lr={run.settings.lr}, or "
            "look for extreme values in X.",
            ConvergenceWarning,
            stacklevel=5,
        )
