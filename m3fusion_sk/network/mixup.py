"""Mixup: training on samples between samples, all sources of a pair in the same proportion."""

import torch
from torch.nn.functional import one_hot


def mix(inputs, targets, concentration, n_classes, gaps=True):
    """A batch of samples mixed in pairs.

    Parameters
    ----------
    inputs : dict of str to tensor of shape (n, ...)
        Of any number type; NaN where a sample lacks a date or a source.
    targets : (tensor of shape (n,), tensor of shape (n,))
        Class codes and weights; the weights' number type becomes that of the values.
    concentration : float
        Of the beta distribution that the proportion of the batch is drawn from: below 1 most pairs are
        close to one of both, towards 0 nothing is mixed.
    n_classes : int
    gaps : bool, default=True
        Whether there can be NaN.

    Returns
    -------
    inputs : dict of str to tensor of shape (n, ...)
    targets : (tensor of shape (n, n_classes), tensor of shape (n,))
        Proportions of the classes and weights: a pair counts each sample by its weight and its share.

    References
    ----------
    Zhang, H., Cisse, M., Dauphin, Y. N., Lopez-Paz, D. (2018). mixup: Beyond Empirical Risk Minimization.
    International Conference on Learning Representations.
    """
    codes, weights = targets
    concentration = torch.tensor(concentration, dtype=torch.float64)  # float32 underflows below 0.1
    share = torch.distributions.Beta(concentration, concentration, validate_args=False).sample().item()
    partner = torch.randperm(len(codes)).to(codes.device)

    def between(values):
        return torch.lerp(values.index_select(0, partner), values, share)

    def observed(values):  # what one of a pair lacks is taken whole from the other
        others = values.index_select(0, partner)
        mixed = torch.lerp(others, values, share)
        return torch.where(mixed.isnan(), torch.where(values.isnan(), others, values), mixed)

    by_class = between(one_hot(codes, n_classes) * weights[:, None])
    weights = between(weights)
    mixed = {
        name: (observed if gaps and x.is_floating_point() else between)(x.to(weights.dtype))
        for name, x in inputs.items()
    }
    return mixed, (by_class / weights[:, None], weights)
