"""The share that linear discriminants have in the probabilities, beside the network."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..rows import row_blocks
from .batches import gather_tensor
from .discriminant import ABSENT, EVIDENCE, LinearDiscriminant
from .moments import ClassMoments, class_moments

MOST_VALUES = 2048  # of a source that takes part: the covariance takes memory by their square
MOST_TOGETHER = 4096  # of all of them: sources that come later take no part


class LinearVote(nn.Module):
    """A discriminant on the values of all sources, and for samples that lack some, one for each source.

    A discriminant that has not seen all classes of the training samples abstains.

    Parameters
    ----------
    n_values : dict of str to int
        Of a sample in each source; sources with more than 2,048 take no part, nor do those with which the sum
        would be more than 4,096.
    n_classes : int
    share : float
        In the probabilities, from 0 for none to below 1.
    may_lack : bool
        Whether samples may lack sources.
    """

    def __init__(self, n_values, n_classes, share, may_lack):
        super().__init__()
        taken = {}
        for name, n in n_values.items() if share > 0 else ():
            if n <= MOST_VALUES and n + sum(taken.values()) <= MOST_TOGETHER:
                taken[name] = n
        self.names, self.share = list(taken), share
        self.joint = LinearDiscriminant(sum(taken.values()), n_classes)
        alone = taken.values() if may_lack and len(n_values) > 1 else ()
        self.singles = nn.ModuleList(LinearDiscriminant(n, n_classes) for n in alone)

    def forward(self, logits, values, present):
        """The logits of both together.

        Parameters
        ----------
        logits : tensor of shape (n, classes)
            Of the network.
        values : dict of str to tensor of shape (n, n_values)
            NaN where a sample lacks a source.
        present : dict of str to tensor of bool of shape (n,)
            Which samples have a source; empty where all have all.
        """
        if not self.names:
            return logits
        linear = self.joint(torch.cat([values[name] for name in self.names], dim=1))
        if not self.singles:
            return mixed(logits, linear, self.share * self.joint.trusted)
        present = torch.stack([present[name] for name in self.names])[:, :, None]  # (sources, n, 1)
        complete = present.all(dim=0) & (self.joint.trusted > 0)
        trusted = torch.stack([single.trusted for single in self.singles])[:, None]
        voting = present & (trusted > 0)
        parts = zip(self.singles, self.names, strict=True)
        parts = torch.stack([single(values[name]) for single, name in parts])
        mean = torch.where(voting, parts, 0).sum(dim=0) / voting.sum(dim=0).clamp(min=1)
        linear = torch.where(complete, linear, mean)
        return mixed(logits, linear, self.share * (complete | voting.any(dim=0)))

    def learn(self, tally):
        """Take over what a `Tally` knows."""
        for discriminant, moments in zip((self.joint, *self.singles), tally.moments, strict=True):
            discriminant.fit(moments, tally.classes.share)

    def distrust_without(self, codes):
        """Let those abstain that have never seen one of these classes, and will learn of no more samples."""
        for discriminant in (self.joint, *self.singles):
            if (discriminant.bias[torch.as_tensor(codes)] <= EVIDENCE * ABSENT / 2).any():
                discriminant.trusted.fill_(0)


class Tally(NamedTuple):
    """What is known of the training samples.

    Parameters
    ----------
    classes : ClassMoments
        Of all of them, of no value: the share of each class.
    moments : tuple of (ClassMoments or None)
        For each discriminant: of the samples that have its sources.
    """

    classes: ClassMoments
    moments: tuple

    def joined(self, other):
        """Of the samples of both; exactly this one where both are equal."""
        pairs = zip(self.moments, other.moments, strict=True)
        return Tally(
            self.classes.joined(other.classes),
            tuple(a.joined(b) if a and b else a or b for a, b in pairs),
        )


def tally(network, X, weights, known=None):
    """Go through samples for the discriminants of a network.

    Parameters
    ----------
    network : FusionNetwork
    X : MultiSource
    weights : array of shape (n_samples, n_classes)
    known : Tally, optional
        Of other samples, to be joined.
    """
    names = network.vote.names
    chosen = [names, *([name] for name in names if network.vote.singles)]
    before = known.moments if known else [None] * len(chosen)
    moments = tuple(
        class_moments(flat_blocks(network, X, weights, some), a and a.shift)
        for some, a in zip(chosen, before, strict=True)
    )
    new = Tally(class_moments([(np.zeros((len(X), 0)), weights)]), moments)
    return known.joined(new) if known else new


def flat_blocks(network, X, weights, names):
    """What a discriminant sees of the samples that have its sources, a few at a time.

    Yields
    ------
    values : array of shape (n, n_values), in float64
    weights : array of shape (n, n_classes)
    """
    device = next(network.parameters()).device
    size = sum(X.specs[name].size for name in names)
    for rows in row_blocks(len(X) if names else 0, size, max(2**17, 256 * size)):
        inputs = {name: gather_tensor(X, name, rows).to(device) for name in names}
        with torch.no_grad():
            there = torch.stack(list(network.present(inputs).values())).all(dim=0)
            values = torch.cat(list(network.flat_values(inputs).values()), dim=1)[there]
        yield values.cpu().numpy().astype(np.float64), weights[rows][there.cpu().numpy()]


def mixed(first, second, share):
    """Logarithm of the mean of two tables of probabilities, that are given as logits.

    Parameters
    ----------
    first, second : tensor of shape (n, classes)
    share : tensor of shape (1,) or (n, 1)
        Of the second.

    Notes
    -----
    Rows do not depend on their neighbours, to the last bit: torch.logaddexp rounds the last elements of a
    table in another way.
    """
    mean = (1 - share) * torch.softmax(first, dim=1) + share * torch.softmax(second, dim=1)
    return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()
