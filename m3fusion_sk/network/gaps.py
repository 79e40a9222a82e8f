"""What is missing: dates of a series, and whole sources of a sample. NaN stands for both."""

import torch
from torch import nn

from .blocks import PatchBlock


def lacking_dates(x):  # (n, dates, ...) -> (n, dates): a date lacks if one of its values does
    return torch.isnan(x).flatten(2).any(dim=2)


def has_values(x):  # (n, ...) -> (n,)
    if isinstance(x, PatchBlock):  # made of images without gaps only
        return torch.ones(len(x), dtype=torch.bool, device=x.image.device)
    return ~torch.isnan(x).flatten(1).all(dim=1)


def carried(x, lacking):
    """Lacking dates hold the values of the last date before that does not lack, else of the first after.

    x is of shape (n, dates, ...), lacking of shape (n, dates). A sample without any date becomes 0.
    """
    dates = torch.arange(x.shape[1], device=x.device)
    last = torch.where(lacking, -1, dates).cummax(dim=1).values
    first = (~lacking).int().argmax(dim=1, keepdim=True)
    source = torch.where(last < 0, first, last).view(*last.shape, *[1] * (x.ndim - 2))
    nowhere = lacking.all(dim=1).view(-1, *[1] * (x.ndim - 1))
    return torch.gather(x, 1, source.expand_as(x)).masked_fill(nowhere, 0)


class SourceDropout(nn.Module):
    """While training, withholds each source of a sample at random; one that is there always remains."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, present):  # (n, sources) -> (n, sources)
        if not self.training or not self.rate:
            return present
        draw = torch.rand(present.shape, device=present.device).masked_fill(~present, -1)
        kept = draw >= self.rate
        luckiest = nn.functional.one_hot(draw.argmax(dim=1), present.shape[1]).bool()
        return present & (kept | luckiest)
