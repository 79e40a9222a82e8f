"""Products of small integers by oneDNN: unsigned values of 8 bits times signed weights of 8 bits."""

from functools import cache, lru_cache, partial

import torch

LARGEST = 255  # of a stored value
LAYOUTS = 4  # of a filter that are kept: each size of maps wants its own
CONSTANTS = 16  # channels that hold it, to carry what values lack at a border


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


def to_bytes(values):  # of float, from 0 to less than 256 -> uint8, without their fractions
    """torch is faster by way of signed integers than straight."""
    return values.to(torch.int16).to(torch.int8).view(torch.uint8)


def quantized(weight, scale=None):  # (outputs, ...) -> int8 of the same shape, scales
    """Weights as integers, each output with its own scale."""
    scale = _scale(weight) if scale is None else scale
    return (weight / scale.view(-1, *[1] * (weight.dim() - 1))).round().to(torch.int8), scale


def _scale(weight):
    largest = weight.abs().flatten(1).amax(dim=1)
    return torch.where(largest > 0, largest, 1) / largest_weight()


class Int8Linear:
    """``(scale * q + shift) @ weight.T + bias``, or its sum with another array, of stored values q.

    The shift counts with the weights as they are rounded, so that their errors matter as much as values
    differ from its opposite: choose it so that the sums are small. Weights that are rounded already come with
    the scale of each output.
    """

    def __init__(self, weight, scale, bias=None, shift=None, weight_scale=None):
        integers, weight_scale = quantized(weight.float(), weight_scale)
        packed = torch.ops.onednn.qlinear_prepack(integers, None)
        self.given = scale, 0, packed, weight_scale, _zeros(integers)
        self.bias = None if bias is None else bias.float()
        if shift is not None:
            of_shift = ((integers * shift).sum(dim=1) * weight_scale).float()
            self.bias = of_shift if bias is None else self.bias + of_shift

    def __call__(self, q):  # (n, inputs) uint8 -> (n, outputs) float32
        to = self.bias, 1.0, 0, torch.float32
        return torch.ops.onednn.qlinear_pointwise(q, *self.given, *to, "none", [], "")

    def add_to(self, sums, q, relu=False):  # (n, outputs) float32, contiguous, which are changed
        to = self.bias, 1.0, 0, torch.float32, 1.0, 0, "sum", 1.0, "relu" if relu else "none"
        return torch.ops.onednn.qlinear_pointwise.binary(q, *self.given, sums, *to, [], "")


class Int8Convolution:
    """A convolution of ``scale * q``, and ReLU, of stored values q; to float32, or to stored values.

    Filters are integers with the scale of each output: `quantized`, or `shifted` where q stands for other
    values. They are laid out for the size of the maps; others oneDNN lays out again at each call.
    """

    def __init__(self, integers, weight_scale, bias, padding, scale, out_scale=None, relu=True):
        place = [1, 1], [padding, padding], [1, 1], 1
        to = (1.0, 0, torch.float32) if out_scale is None else (out_scale, 0, torch.uint8)
        filters = partial(_laid_out, integers, weight_scale, scale, place)
        self.laid_out = lru_cache(LAYOUTS)(filters)  # for maps of this shape, and so many threads
        self.before = scale, 0
        self.behind = weight_scale, _zeros(integers), bias, *place, *to, "relu" if relu else "none", [], ""

    def __call__(self, q):  # (n, inputs, height, width) uint8, channels last -> (n, outputs, ...)
        filters = self.laid_out(q.shape, torch.get_num_threads())
        return torch.ops.onednn.qconv2d_pointwise(q, *self.before, filters, *self.behind)


def _laid_out(integers, weight_scale, scale, place, shape, n_threads):  # which oneDNN looks up by itself
    return torch.ops.onednn.qconv_prepack(integers, weight_scale, scale, 0, *place, list(shape))


def _zeros(integers):
    """Zero points of the outputs."""
    return torch.zeros(len(integers), dtype=torch.int64)


def shifted(weight, bias, padding, scale, shift):
    """Filters of ``scale * q + shift`` as those of stored values ``scale * q``: integers, scales and bias.

    Without a border the shift goes into the bias, with the weights as they are rounded. With one, where it is
    lacking as all values are, it goes into the weights of channels that hold the largest stored value,
    `CONSTANTS` of them behind the others: with zero points instead, oneDNN could not skip the border.
    """
    weight, steps = weight.float(), shift.float().view(1, -1, 1, 1) / scale
    integers, weight_scale = quantized(weight, _scale_with_constants(weight, steps) if padding else None)
    sums = (integers * steps).sum(dim=1)  # of each output and tap
    if padding:
        constants = _spread(sums / LARGEST)
        integers = torch.cat([integers, constants.to(torch.int8)], dim=1)
        sums = sums - LARGEST * constants.sum(dim=1)  # less than half a constant: of the border too
    return integers, weight_scale, bias.float() + scale * weight_scale * sums.sum(dim=(1, 2))


def _scale_with_constants(weight, steps):
    """The scale of each output, with room for what the constants carry, by weights that are rounded."""
    sums = 1.1 * (weight * steps).sum(dim=1, keepdim=True)
    return _scale(torch.cat([weight, sums / (LARGEST * CONSTANTS)], dim=1))


def _spread(sums):  # (outputs, 3, 3) -> (outputs, CONSTANTS, 3, 3)
    """Integers with these sums, but for rounding."""
    shares = (torch.arange(CONSTANTS) + 0.5) / CONSTANTS - 0.5  # some are rounded up, some down
    parts = (sums[:, None] / CONSTANTS + shares.view(-1, 1, 1)).round()
    return parts.clamp(-largest_weight(), largest_weight())


def with_constants(weight, bias, largest):
    """Filters, and behind them those of the channels that hold the largest stored value."""
    more = weight.new_zeros(CONSTANTS, *weight.shape[1:])
    return torch.cat([weight, more]), torch.cat([bias, bias.new_full((CONSTANTS,), largest)])
