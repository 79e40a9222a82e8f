"""The inner hold-out of early stopping: by object where objects are known."""

import warnings

import numpy as np

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
    objects = everything if groups is None else groups
    if not _can_hold_out(targets.codes, objects):
        warnings.warn(
            "early_stopping holds out objects of classes that have at least two; no class has. Training "
            "goes on for max_epochs.",
            UserWarning,
            stacklevel=3,
        )
        return everything, everything[:0]
    splitter = StratifiedGroupShuffleSplit(1, train_size=1 - settings.validation_fraction, random_state=seed)
    return next(splitter.split(everything[:, None], targets.codes, objects))


def check_groups(groups, n_samples):
    groups = np.asarray(groups)
    if groups.shape != (n_samples,):
        raise ValueError(
            f"groups must have shape ({n_samples},), one object for each sample; got shape {groups.shape}."
        )
    return groups


def _can_hold_out(codes, objects):
    pairs = np.unique(np.stack([codes, np.unique(objects, return_inverse=True)[1]]), axis=1)
    return np.bincount(pairs[0]).max() > 1
