"""Convolutions of floats, with fewer products where that is faster."""

import math

import torch
from torch.nn.functional import conv2d

from .winograd import WinogradConvolution, saves_time


class FloatConvolution:
    """A convolution of maps, channels last, in steps of one pixel.

    Parameters
    ----------
    weight : tensor of shape (n_outputs, n_inputs, height, width)
    bias : tensor of shape (n_outputs,)
    padding : int
    kind : torch.dtype
        Of the arithmetic.
    """

    def __init__(self, weight, bias, padding, kind):
        self.weight = weight.detach().to(kind).contiguous(memory_format=torch.channels_last)
        self.bias, self.padding = bias.detach().to(kind), padding
        fewer = saves_time(self.weight, padding)
        self.winograd = WinogradConvolution(self.weight, self.bias, padding) if fewer else None

    def __call__(self, maps):  # (n, inputs, height, width) -> (n, outputs, ...)
        if self.winograd is not None and self.winograd.takes(maps):
            return self.winograd(maps)
        return conv2d(maps, self.weight, self.bias, padding=self.padding)

    def cost(self, sides):
        """Of a map with so many outputs, in products for each input and output channel."""
        if self.winograd is not None and self.winograd.takes_outputs(sides):
            return self.winograd.cost(sides)
        return math.prod(self.weight.shape[2:]) * math.prod(sides)
