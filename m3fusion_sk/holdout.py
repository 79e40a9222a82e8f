"""The inner hold-out of early stopping: by object where objects are known."""

import warnings

import numpy as np

from .labels import check_groups
from .model_selection import StratifiedGroupShuffleSplit


def hold_out(settings, targets, groups, n_samples, seed):
    """Rows to train on and rows to watch, as positions among the samples that have a weight.

    Objects (samples, where `groups` is None) are drawn within each class; a class with a single object
    keeps it for training.
    """
    everything = np.arange(len(targets.rows))
    if groups is not None:
        groups = check_groups(groups, n_samples)[targets.rows]
    if not settings.early_stopping:
        return everything, everything[:0]
    splitter = StratifiedGroupShuffleSplit(1, train_size=1 - settings.validation_fraction, random_state=seed)
    objects = everything if groups is None else groups
    try:
        train, valid = next(splitter.split(everything[:, None], targets.codes, objects))
    except ValueError as error:  # there are not two objects of any class
        return _nothing_held_out(everything, error)
    if len(np.unique(targets.codes[train])) < 2:
        return _nothing_held_out(everything, "the objects that would be left to train are of one class")
    return train, valid


def _nothing_held_out(everything, reason):
    warnings.warn(
        f"early_stopping cannot hold anything out, so training goes on for max_epochs: {reason}",
        UserWarning,
        stacklevel=4,
    )
    return everything, everything[:0]
