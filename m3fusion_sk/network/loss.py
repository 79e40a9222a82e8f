"""The training loss: cross-entropy of the fusion head, plus those of the auxiliary heads by weight."""

import torch
from torch import nn


class FusionLoss(nn.Module):
    """``L_fusion + sum over sources of alpha_s * L_s``, each a weighted mean over the samples.

    Weights are 1 on average over all training samples, so that a batch counts by the weights in it.

    Parameters
    ----------
    alpha : dict of str to float
        Weight of the auxiliary loss of each source.
    may_lack : bool, default=False
        Whether samples may lack sources.
    """

    def __init__(self, alpha, may_lack=False):
        super().__init__()
        self.alpha = dict(alpha)
        self.of_source = known_cross_entropy if may_lack else weighted_cross_entropy

    def heads(self, outputs, targets):  # -> scalar, {name: scalar}
        fused, auxiliary = outputs
        loss = {name: self.of_source(logits, *targets) for name, logits in auxiliary.items()}
        return weighted_cross_entropy(fused, *targets), loss

    def total(self, fused, auxiliary):
        return fused + sum(self.alpha[name] * loss for name, loss in auxiliary.items())

    def forward(self, outputs, targets):
        return self.total(*self.heads(outputs, targets))


def known_cross_entropy(logits, classes, weights):
    """The same over samples that have the source: the head of a source that lacks says NaN."""
    known = ~torch.isnan(logits[:, 0])
    if known.all():
        return weighted_cross_entropy(logits, classes, weights)
    return (
        weighted_cross_entropy(logits[known], classes[known], weights[known])
        if known.any()
        else 0 * weights.sum()
    )


def weighted_cross_entropy(logits, classes, weights):  # (n, classes), (n,) or (n, classes), (n,) -> scalar
    losses = nn.functional.cross_entropy(logits, classes, reduction="none")  # by code or by proportions
    return (weights * losses).sum() / len(losses)
