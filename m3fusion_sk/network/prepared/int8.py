"""Products of small integers by oneDNN: unsigned values of 8 bits times signed weights of 8 bits."""

from functools import cache

import torch

LARGEST = 255  # of a stored value


def check_available():
    """Refuse where torch has no such products."""
    if not hasattr(torch.ops.onednn, "qlinear_pointwise") or not torch.backends.mkldnn.is_available():
        raise ValueError(
            "precision='int8' needs a torch with oneDNN, as builds for x86 processors have; this one lacks"
            " it. Use precision='float32'."
        )


@cache
def largest_weight():
    """127, or 63 on processors without VNNI, which add pairs of products in 16 bits: tried out once."""
    q, weight = torch.full((4, 64), LARGEST, dtype=torch.uint8), torch.full((32, 64), 127, dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weight, None)
    of_weight = torch.ones(32), torch.zeros(32, dtype=torch.int64)
    sums = torch.ops.onednn.qlinear_pointwise(
        q, 1.0, 0, packed, *of_weight, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return 127 if (sums == LARGEST * 127 * 64).all() else 63


def quantized(weight):  # (outputs, ...) -> int8 of the same shape, scale and zero point of each output
    """Weights as integers, each output with its own scale."""
    largest = weight.abs().flatten(1).amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    scale = largest / largest_weight()
    integers = (weight / scale.view(-1, *[1] * (weight.dim() - 1))).round().to(torch.int8)
    return integers, scale, torch.zeros(len(scale), dtype=torch.int64)


class Int8Linear:
    """``scale * (q - zero) @ weight.T``, plus another array, of stored values q."""

    def __init__(self, weight, scale, zero=0):
        integers, self.weight_scale, self.weight_zero = quantized(weight.float())
        self.weight = torch.ops.onednn.qlinear_prepack(integers, None)
        self.scale, self.zero = scale, zero

    def __call__(self, q, other=None, relu=False):  # (n, inputs) uint8 -> (n, outputs) float32
        first = q, self.scale, self.zero, self.weight, self.weight_scale, self.weight_zero
        after, kind = ("relu" if relu else "none", [], ""), torch.float32
        if other is None:
            return torch.ops.onednn.qlinear_pointwise(*first, None, 1.0, 0, kind, *after)
        return torch.ops.onednn.qlinear_pointwise.binary(
            *first, other, None, 1.0, 0, kind, 1.0, 0, "add", 1.0, *after
        )


class Int8Convolution:
    """A convolution of stored values and ReLU, to float32, or to stored values of a given scale from 0.

    Without padding what a zero point other than 0 adds is the same everywhere, and goes into the bias.
    """

    def __init__(self, weight, bias, padding, scale, zero, out_scale=None):
        integers, self.weight_scale, self.weight_zero = quantized(weight.float())
        if not padding:
            sums = integers.flatten(1).sum(dim=1, dtype=torch.float64) * self.weight_scale
            bias, zero = bias - scale * zero * sums, 0
        self.place = [1, 1], [padding, padding], [1, 1], 1
        self.weight = torch.ops.onednn.qconv_prepack(
            integers, self.weight_scale, scale, zero, *self.place, None
        )
        self.scale, self.zero, self.bias = scale, zero, bias.float()
        self.to = (1.0, 0, torch.float32) if out_scale is None else (out_scale, 0, torch.uint8)

    def __call__(self, q):  # (n, inputs, height, width) uint8, channels last -> (n, outputs, ...)
        first = q, self.scale, self.zero, self.weight, self.weight_scale, self.weight_zero, self.bias
        return torch.ops.onednn.qconv2d_pointwise(*first, *self.place, *self.to, "relu", [], "")
