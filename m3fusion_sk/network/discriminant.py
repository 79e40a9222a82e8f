"""A linear discriminant on the values of all sources, which votes beside the fusion head."""

import numpy as np
import torch
from torch import nn

from ..rows import row_blocks
from .batches import gather_tensor

SHRINKAGE = 0.1  # of the covariance within classes towards a multiple of the identity
LEAST_VARIANCE = 1e-3  # of a direction within classes, where a value has 1 in all
EVIDENCE = 0.5  # what a value counts: pixels of an object are no independent samples
ABSENT = -1e4  # logit of a class without training samples


class LinearDiscriminant(nn.Module):
    """Log-probabilities of classes with a common, shrunken covariance.

    Where training objects are few, it errs less than a network, and it errs elsewhere.

    Parameters
    ----------
    n_values : int
        Of a sample in all sources; 0 makes no discriminant.
    n_classes : int

    References
    ----------
    Friedman, J. H. (1989). Regularized discriminant analysis. Journal of the American Statistical
    Association 84(405), 165-175.
    """

    def __init__(self, n_values, n_classes):
        super().__init__()
        used = n_values > 0  # the oldest safetensors cannot hold empty tensors
        self.register_buffer("center", torch.zeros(n_values), persistent=used)
        self.register_buffer("weight", torch.zeros(n_values, n_classes), persistent=used)
        self.register_buffer("bias", torch.zeros(n_classes), persistent=used)

    def forward(self, values):  # (n, n_values) -> (n, classes)
        logits = (values - self.center) @ self.weight + self.bias
        return torch.log_softmax(logits, dim=1)

    def fit(self, moments):
        """Take the classes' means and covariance over; None, of no rows, makes all classes alike."""
        if moments is not None:
            for buffer, values in zip(self.buffers(), _discriminant(moments), strict=True):
                buffer.copy_(torch.as_tensor(values))
        return self


def _discriminant(moments):
    """Center, weight and bias of the log odds, of `ClassMoments`."""
    center = moments.share @ moments.means
    means = (moments.means - center) * (moments.share > 0)[:, None]
    within = moments.within
    deviation = np.sqrt(np.diag(within) + moments.share @ means**2)
    scale = np.where(deviation > 1e-9, 1 / np.where(deviation > 1e-9, deviation, 1), 0)
    scaled = within * np.outer(scale, scale)
    ridge = max(SHRINKAGE * np.trace(scaled) / len(scaled), LEAST_VARIANCE)
    shrunken = (1 - SHRINKAGE) * scaled + ridge * np.eye(len(scaled))
    weight = scale[:, None] * np.linalg.solve(shrunken, (means * scale).T)
    with np.errstate(divide="ignore"):
        prior = np.maximum(np.log(moments.share), ABSENT)
    bias = prior - (means * weight.T).sum(axis=1) / 2
    return center, EVIDENCE * weight, EVIDENCE * bias


def flat_blocks(network, X, weights):
    """What a network's discriminant sees of samples that have all sources, a few at a time.

    Parameters
    ----------
    network : FusionNetwork
    X : MultiSource
    weights : array of shape (n_samples, n_classes)

    Yields
    ------
    values : array of shape (n, n_values), in float64
    weights : array of shape (n, n_classes)
    """
    device = next(network.parameters()).device
    for rows in row_blocks(len(X), sum(spec.size for spec in X.specs.values()), values_at_once=2**19):
        inputs = {name: gather_tensor(X, name, rows).to(device) for name in X.names}
        with torch.no_grad():
            complete = torch.stack(list(network.present(inputs).values())).all(dim=0)
            values = network.flat_values(inputs)[complete]
        yield values.cpu().numpy().astype(np.float64), weights[rows][complete.cpu().numpy()]


def vote(network, discriminant, share):
    """Logarithm of the mean of two tables of probabilities, that are given as logits.

    Parameters
    ----------
    network, discriminant : tensor of shape (n, classes)
    share : float
        Of the discriminant.

    Notes
    -----
    Rows do not depend on their neighbours, to the last bit: torch.logaddexp rounds the last elements of a
    table in another way.
    """
    mean = (1 - share) * torch.softmax(network, dim=1) + share * torch.softmax(discriminant, dim=1)
    return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()
