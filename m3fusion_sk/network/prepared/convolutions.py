"""Convolutions of floats, with fewer products where that is faster."""

import torch
from torch.nn.functional import conv2d

from .winograd import WinogradConvolution, saves_time


class FloatConvolution:
    """A convolution of maps, channels last.

    Parameters
    ----------
    layer : Conv2d
        Trained; it is not changed.
    kind : torch.dtype
        Of the arithmetic.
    scale : tensor of shape (n_outputs,), optional
        What the layer's outputs are multiplied with.
    """

    def __init__(self, layer, kind, scale=None):
        weight, bias, self.padding = layer.weight.detach(), layer.bias.detach(), layer.padding[0]
        if scale is not None:
            weight, bias = weight * scale[:, None, None, None], bias * scale
        self.weight = weight.to(kind).contiguous(memory_format=torch.channels_last)
        self.bias = bias.to(kind)
        fewer = saves_time(self.weight, self.padding)
        self.winograd = WinogradConvolution(self.weight, self.bias, self.padding) if fewer else None

    def __call__(self, maps):  # (n, inputs, height, width) -> (n, outputs, ...)
        if self.winograd is not None and self.winograd.takes(maps):
            return self.winograd(maps)
        return conv2d(maps, self.weight, self.bias, padding=self.padding)
