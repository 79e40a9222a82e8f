"""A linear discriminant: classes with a common, shrunken covariance."""

import numpy as np
import torch
from torch import nn

SHRINKAGE = 0.1  # of the covariance within classes towards a multiple of the identity
LEAST_VARIANCE = 1e-3  # of a direction within classes, where a value has 1 in all
LEAST_DEVIATION = 1e-4  # of a value, in that of the value that deviates most: less is noise
FARTHEST = 40.0  # deviations from the center: what lies farther counts as if it lay there
EVIDENCE = 0.5  # what a value counts: pixels of an object are no independent samples
ABSENT = -1e4  # logit of a class without training samples


class LinearDiscriminant(nn.Module):
    """Log-probabilities of classes that differ in their means alone.

    Where training objects are few, it errs less than a network, and it errs elsewhere.

    Parameters
    ----------
    n_values : int
        Of a sample; 0 makes no discriminant.
    n_classes : int

    References
    ----------
    Friedman, J. H. (1989). Regularized discriminant analysis. Journal of the American Statistical
    Association 84(405), 165-175.
    """

    def __init__(self, n_values, n_classes):
        super().__init__()
        parts = {
            "center": torch.zeros(n_values),
            "scale": torch.zeros(n_values),
            "weight": torch.zeros(n_values, n_classes),
            "bias": torch.zeros(n_classes),
            "trusted": torch.zeros(1),  # 1 where it has seen all classes
        }
        for name, values in parts.items():  # the oldest safetensors cannot hold empty tensors
            self.register_buffer(name, values, persistent=n_values > 0)

    def forward(self, values):  # (n, n_values) -> (n, classes)
        scaled = ((values - self.center) * self.scale).clamp(-FARTHEST, FARTHEST)
        return torch.log_softmax(scaled @ self.weight + self.bias, dim=1)

    def fit(self, moments, prior):
        """Learn the classes.

        Parameters
        ----------
        moments : ClassMoments or None
            Of the samples that have the values; None, of none, is trusted with nothing.
        prior : array of shape (n_classes,)
            Share of each class in all training samples.
        """
        known = moments is not None and (moments.share[prior > 0] > 0).all()
        self.trusted.fill_(known)
        if known:
            for name, values in _discriminant(moments, prior).items():
                getattr(self, name).copy_(torch.as_tensor(values))
        return self


def _discriminant(moments, prior):
    """Center and scale of the values, weight and bias of the log odds."""
    center = moments.share @ moments.means
    means = (moments.means - center) * (moments.share > 0)[:, None]
    within = moments.within
    deviation = np.sqrt(np.maximum(np.diag(within) + moments.share @ means**2, 0))
    varies = deviation > max(LEAST_DEVIATION * deviation.max(), np.finfo(float).tiny)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    within *= scale
    within *= scale[:, None]
    ridge = max(SHRINKAGE * np.trace(within) / len(within), LEAST_VARIANCE)
    within *= 1 - SHRINKAGE
    within[np.diag_indices(len(within))] += ridge
    means = means * scale
    weight = np.linalg.solve(within, means.T)
    with np.errstate(divide="ignore"):
        log_prior = np.maximum(np.log(prior), ABSENT)
    bias = log_prior - (means * weight.T).sum(axis=1) / 2
    return {"center": center, "scale": scale, "weight": EVIDENCE * weight, "bias": EVIDENCE * bias}
