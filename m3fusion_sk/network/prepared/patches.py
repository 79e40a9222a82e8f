"""The patch encoder for prediction: what neighbouring patches have in common is computed once.

The first convolution, its pooling and the second convolution see no border of the patch, so that their values
are those of the whole image: pooled everywhere, they are set apart in four, for patches that start on even
and odd rows and columns. The third convolution sees the border of each patch, so from there on each patch is
by itself.
"""

import math

import torch
from torch import nn
from torch.nn.functional import pad

from ..blocks import PatchBlock
from ..processor import computes_bfloat16
from .convolutions import FloatConvolution
from .int8 import (
    CONSTANTS,
    LARGEST,
    Int8Convolution,
    Int8Linear,
    check_available,
    shifted,
    to_bytes,
    with_constants,
)
from .products import FloatLinear

AT_ONCE = 256  # patches, those of all dates too, so that their maps stay small
POOLED_AT_ONCE = 3 << 19  # values of their pooled maps, so that the next ones stay in the processor
FIRST_AT_ONCE = 1 << 22  # the same of the first map of single patches


class PreparedPatchEncoder(nn.Module):
    """A `PatchEncoder` for prediction, without gradients, of patches or of a `PatchBlock`."""

    def __init__(self, encoder, precision):
        super().__init__()
        self.n_outputs = encoder.n_outputs
        self.pooled = isinstance(encoder.pool, nn.MaxPool2d)
        convolutions = [block[0] for block in (encoder.conv1, encoder.conv2)]
        self.shares = self.pooled and not any(any(part.padding) for part in convolutions)
        kind = torch.bfloat16 if precision == "bfloat16" else encoder.conv1[0].weight.dtype
        self.layers = Int8Layers(encoder) if precision == "int8" else FloatLayers(encoder, kind)

    def forward(self, x):  # (n, bands, 25, 25) or PatchBlock -> (n, 512)
        if not isinstance(x, PatchBlock):
            return torch.cat([self._single(part) for part in x.chunk(self._n_parts(len(x), x.shape[2:]))])
        return self._shared(x) if self.shares else self(x.patches())

    def _n_parts(self, n, size):  # of n patches: what follows the pooled maps is computed part by part
        values = len(self.layers.one.weight) * math.prod(self._pooled_sides(size))
        return max(1, -(-n // min(AT_ONCE, max(1, POOLED_AT_ONCE // values))))

    def _pooled_sides(self, size):  # of a patch
        padding, kernel = self.layers.one.padding, self.layers.one.weight.shape[2]
        return [(side + 2 * padding - kernel + 1) // (2 if self.pooled else 1) for side in size]

    def _single(self, x):  # (n, bands, height, width) -> (n, outputs)
        maps = self.layers.second(self.layers.normalised(self._pooled(x)))
        flat = _flat(maps)
        return self.layers.last(flat, self.layers.half(flat), (len(maps), *maps.shape[2:]))

    def _pooled(self, x):  # of the first map, before its ReLU; some patches at a time
        x = x.contiguous(memory_format=torch.channels_last)
        if not self.pooled:
            return self.layers.first(x)
        n = max(1, FIRST_AT_ONCE // (len(self.layers.one.weight) * x.shape[2] * x.shape[3]))
        return torch.cat([_largest(self.layers.first(part), 2) for part in x.split(n)])

    def _shared(self, block):
        maps = self._of_image(block)
        flat, sides = _flat(maps), [side - 2 for side in self._pooled_sides(block.size)]
        half, places = self.layers.half(flat), _places(block, maps.shape[2:], sides)
        parts = places.chunk(self._n_parts(len(block), block.size))
        return torch.cat([self._at(flat, half, part, sides) for part in parts])

    def _of_image(self, block):  # -> (4, filters, about half the height, about half the width)
        """Maps of the second convolution, for patches that start on even and odd rows and columns."""
        more = [0 if size % 2 else 2 for size in block.size]  # so that the last pixels of even sizes count
        image = pad(block.image[None], (0, more[1], 0, more[0]))
        maps = self.layers.first(image.contiguous(memory_format=torch.channels_last))
        return self.layers.second(_in_four_ways(self.layers.normalised(_largest(maps, 1))))

    def _at(self, flat, half, places, sides):  # (n, positions) of maps -> (n, outputs)
        n, places = len(places), places.flatten()
        return self.layers.last(flat.index_select(0, places), half.index_select(0, places), (n, *sides))


def _flat(maps):  # (n, channels, height, width), channels last -> (positions, channels)
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _places(block, shape, sides):  # -> (n, positions)
    """Where the maps of each patch lie in those of the image, laid flat: from its row and column on."""
    n_rows, n_cols = shape
    phase = 2 * (block.rows % 2) + block.cols % 2
    first = (phase * n_rows + block.rows // 2) * n_cols + block.cols // 2
    inside = torch.arange(sides[0])[:, None] * n_cols + torch.arange(sides[1])
    return first[:, None] + inside.flatten().to(first.device)


def _largest(maps, step):
    """Maximum over 2x2 pixels that start on each row and column, or on every second."""
    rows = torch.maximum(maps[:, :, :-1:step], maps[:, :, 1::step])
    return torch.maximum(rows[..., :-1:step], rows[..., 1::step])


def _in_four_ways(maps):  # (1, filters, height, width) -> (4, filters, half the height, half the width)
    """Every second pixel, from even or odd rows and columns on."""
    height, width = (n - n % 2 for n in maps.shape[2:])
    return torch.cat([maps[:, :, row:height:2, col:width:2] for row in (0, 1) for col in (0, 1)])


class Layers:
    """What every arithmetic has in common: the first layer, in floats, and the way from the third on.

    ReLU and normalisation of the first are behind the pooling, which leaves single patches a quarter of the
    values: the largest comes out the same. A filter whose normalisation turns large into small has the
    opposite sign until then.
    Each arithmetic has its own `normalised`, `second`, `half`, `third` and `second_half`.
    """

    def __init__(self, encoder, kind, weight, bias, sign):
        self.out, self.kind, self.norm = encoder.conv1[0].weight.dtype, kind, encoder.conv4.affine()
        self.one = FloatConvolution(weight, bias, encoder.conv1[0].padding[0], kind)
        self.sign = sign.to(kind)[:, None, None]

    def first(self, x):  # before its ReLU
        return self.one(x.to(self.kind))

    def last(self, flat, half, shape):  # (positions, filters) twice, (n, height, width) -> (n, outputs)
        n, height, width = shape
        maps = self.third(flat.view(n, height, width, -1).permute(0, 3, 1, 2))
        sums = self.second_half.add_to(half, _flat(maps), relu=True)
        scale, shift = self.norm
        return sums.view(n, height * width, -1).mean(dim=1, dtype=self.out) * scale + shift


class FloatLayers(Layers):
    """The layers in float64, float32 or bfloat16."""

    def __init__(self, encoder, kind):
        sign = _Sizes(encoder.conv1).sign
        layer = encoder.conv1[0]
        super().__init__(encoder, kind, *_scaled(layer.weight, layer.bias, sign), sign)
        layers = encoder.conv2[0], encoder.conv3[0]
        self.two, self.three = (
            FloatConvolution(layer.weight, layer.bias, layer.padding[0], kind) for layer in layers
        )
        self.norms = [
            [part.to(kind)[:, None, None] for part in block.affine()]
            for block in (encoder.conv1, encoder.conv2)
        ]
        first, second, bias = _last_products(encoder)
        self.half = FloatLinear(first, kind, bias)  # what the second convolution adds to the last
        self.second_half = FloatLinear(second, kind)

    def normalised(self, maps):  # what was pooled of the first, which is overwritten
        scale, shift = self.norms[0]
        return torch.addcmul(shift, maps.mul_(self.sign).relu_(), scale, out=maps)

    def second(self, x):
        scale, shift = self.norms[1]
        maps = self.two(x).relu_()
        return torch.addcmul(shift, maps, scale, out=maps)

    def third(self, maps):
        return self.three(maps).relu_()


def _last_products(encoder):
    """The last convolution, of 1x1, as two products and a bias; the third normalisation is in the second."""
    weight, bias = (part.detach() for part in (encoder.conv4[0].weight, encoder.conv4[0].bias))
    first, second = weight.flatten(1).chunk(2, dim=1)
    scale, shift = encoder.conv3.affine()
    return first.contiguous(), second * scale, bias + second @ shift


class Int8Layers(Layers):
    """The first layer in bfloat16 where that is fast, the others in integers whose ranges `fit` recorded.

    What is stored of normalised maps are sizes from 0 on, in steps: `_Sizes`. The filters write them, those
    of the next layer know the rest.
    """

    def __init__(self, encoder):
        check_available()
        steps = ((encoder.ranges[:, 1] - encoder.ranges[:, 0]) / LARGEST).tolist()
        if not all(steps):
            raise ValueError(
                "precision='int8' needs the ranges of values that fit records; this model was saved without "
                "them. Fit it again, or use precision='float32'."
            )
        layer, one, two = encoder.conv1[0], _Sizes(encoder.conv1), _Sizes(encoder.conv2)
        weight, bias = _scaled(layer.weight, layer.bias, one.sign * one.scale / steps[0])
        sign = one.sign
        if encoder.conv2[0].padding[0]:  # constants where the second sees a border
            weight, bias = with_constants(weight, bias, LARGEST)
            sign = pad(sign, (0, CONSTANTS), value=1)
        kind = torch.bfloat16 if computes_bfloat16() else torch.float32
        super().__init__(encoder, kind, weight, bias, sign)
        self.second = _convolution(encoder.conv2[0], one, steps[:2], two)
        self.third = _convolution(encoder.conv3[0], two, steps[1:])
        first_half, second_half, bias = _last_products(encoder)
        first_half, shift = (pad(part, (0, CONSTANTS)) for part in (first_half * two.sign, two.shift))
        self.half = Int8Linear(first_half, steps[1], bias, shift)
        mean = encoder.conv3[2].running_mean
        self.second_half = Int8Linear(second_half, steps[2], second_half @ mean, -mean)

    def normalised(self, maps):  # -> stored
        return to_bytes(maps.mul_(self.sign).float().add_(0.5).clamp_(0, LARGEST))


class _Sizes:
    """Normalised maps as ``sign * (u + shift)`` of ``u = scale * maps``, which is 0 or more."""

    def __init__(self, block):
        scale, shift = block.affine()
        self.scale, self.sign = scale.abs(), torch.where(scale < 0, -1, 1).to(scale)
        self.shift = shift * self.sign


def _scaled(weight, bias, scale):
    """Weight and bias of a layer whose outputs are multiplied."""
    return weight * scale[:, None, None, None], bias * scale


def _convolution(layer, inputs, steps, outputs=None):
    """A convolution of sizes, whose maps are stored; scaled as outputs, with constants for the next."""
    weight, bias = layer.weight.detach() * inputs.sign[:, None, None], layer.bias.detach()
    if outputs is not None:
        weight, bias = _scaled(weight, bias, outputs.scale)
        weight, bias = with_constants(weight, bias, LARGEST * steps[1])
    padding = layer.padding[0]
    return Int8Convolution(*shifted(weight, bias, padding, steps[0], inputs.shift), padding, *steps)
