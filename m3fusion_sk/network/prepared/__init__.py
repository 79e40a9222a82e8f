"""Networks made ready for prediction: folded, packed, and in the arithmetic that is asked for.

`prepare` gives a network with the same interface whose encoders are others; the weights that need no
change are shared with the trained one.
"""

import copy

import torch
from torch import nn

from ..patch import PatchEncoder
from ..patchseries import PatchSeriesEncoder
from ..processor import computes_bfloat16
from ..recurrence import Recurrence
from ..series import SeriesEncoder
from .patches import PreparedPatchEncoder
from .series import PreparedSeriesEncoder


def prepare(network, precision):
    """A network for prediction.

    Parameters
    ----------
    network : FusionNetwork
        Trained, in evaluation mode; it is not changed.
    precision : {"float32", "bfloat16", "int8"}
        Arithmetic of the encoders. "float32" is that of the network, which may be float64 too. "int8" is of
        the convolutions and of the recurrence; what is neither takes bfloat16, or the arithmetic of the
        network where the processor would have to emulate that.

    Returns
    -------
    FusionNetwork
    """
    prepared = copy.copy(network)
    prepared._modules = dict(network._modules)
    prepared.encoders = nn.ModuleList(_prepared(encoder, precision) for encoder in network.encoders)
    return prepared.eval()


def _prepared(encoder, precision):
    """The encoder for this arithmetic; its features are those of the trained one but for rounding."""
    if isinstance(encoder, PatchEncoder):
        return PreparedPatchEncoder(encoder, precision)
    if isinstance(encoder, PatchSeriesEncoder):
        both = copy.copy(encoder)
        both._modules = dict(encoder._modules)
        both.patch, both.series = (_prepared(part, precision) for part in (encoder.patch, encoder.series))
        return both
    if isinstance(encoder, SeriesEncoder):
        if isinstance(encoder.states, Recurrence):
            return PreparedSeriesEncoder(encoder, precision)
        return AutocastSeriesEncoder(encoder) if _takes_bfloat16(precision) else encoder
    return encoder  # of vectors: it costs nothing


def _takes_bfloat16(precision):
    """Whether what has no arithmetic of its own is computed in bfloat16."""
    return precision == "bfloat16" or (precision == "int8" and computes_bfloat16())


class AutocastSeriesEncoder(nn.Module):
    """A series encoder whose products are of bfloat16, chosen by torch."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.n_outputs = encoder, encoder.n_outputs

    def attend(self, x, lacking=None):
        with torch.autocast(x.device.type, torch.bfloat16):
            feature, weights = self.encoder.attend(x, lacking)
        return feature.to(x.dtype), weights.to(x.dtype)

    def forward(self, x, lacking=None):
        return self.attend(x, lacking)[0]
