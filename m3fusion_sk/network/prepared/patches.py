"""The patch encoder for prediction: what neighbouring patches have in common is computed once.

The first convolution, its pooling and the second convolution see no border of the patch, so that their values
are those of the whole image: pooled everywhere, they are set apart in four, for patches that start on even
and odd rows and columns. The third convolution sees the border of each patch: where patches lie close
together it is computed for all and corrected along the borders, else from there on each patch is by itself.
"""

import math
from functools import partial

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
from .neighbours import LEAST_SIDE, NeighbourConvolution, flat, grid_of
from .products import FloatLinear

AT_ONCE = 256  # patches, those of all dates too, so that their maps stay small
POOLED_AT_ONCE = 3 << 19  # values of their pooled maps, so that the next ones stay in the processor
FIRST_AT_ONCE = 1 << 22  # the same of the first map of single patches
COST_OF_GRID = 11_000_000  # products that take as long as what is around those of a grid, as measured


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
            n_parts = self._n_parts(len(x), self._pooled_sides(x.shape[2:]))
            return torch.cat([self._single(part) for part in x.chunk(n_parts)])
        return self._shared(x) if self.shares else self(x.patches())

    def _n_parts(self, n, pooled):  # of n patches: what follows the pooled maps is computed part by part
        values = len(self.layers.one.weight) * math.prod(pooled)
        return max(1, -(-n // min(AT_ONCE, max(1, POOLED_AT_ONCE // values))))

    def _pooled_sides(self, size):  # of a patch
        padding, kernel = self.layers.one.padding, self.layers.one.weight.shape[2]
        return [(side + 2 * padding - kernel + 1) // (2 if self.pooled else 1) for side in size]

    def _single(self, x):  # (n, bands, height, width) -> (n, outputs)
        maps = self.layers.second(self.layers.normalised(self._pooled(x)))
        pixels = flat(maps)
        return self.layers.last(pixels, self.layers.half(pixels), (len(maps), *maps.shape[2:]))

    def _pooled(self, x):  # of the first map, before its ReLU; some patches at a time
        x = x.contiguous(memory_format=torch.channels_last)
        if not self.pooled:
            return self.layers.first(x)
        n = max(1, FIRST_AT_ONCE // (len(self.layers.one.weight) * x.shape[2] * x.shape[3]))
        return torch.cat([_largest(self.layers.first(part), 2) for part in x.split(n)])

    def _shared(self, block):
        maps = self.layers.first(block.image[None].contiguous(memory_format=torch.channels_last))
        maps, phases = self.layers.normalised(_largest(maps, 1)), _phases(block)
        parts = [self._of_phase(maps, block.rows[rows], block.cols[rows], block.size) for rows in phases]
        return torch.cat(parts).index_select(0, torch.cat(phases).argsort().to(maps.device))

    def _of_phase(self, maps, rows, cols, size):
        """Patches that start on even or odd rows and columns, from maps that are pooled everywhere."""
        pooled = self._pooled_sides(size)
        parts = [_every_second(starts, side) for starts, side in zip((rows, cols), pooled, strict=True)]
        maps = maps[:, :, parts[0], parts[1]].contiguous(memory_format=torch.channels_last)
        maps, starts = self.layers.second(maps), [(start - start.min()) // 2 for start in (rows, cols)]
        sides = [side - 2 for side in pooled]
        if min(sides) >= LEAST_SIDE:
            grid, index = grid_of(*starts, sides, maps.device)
            if self.layers.shares_third(grid, len(index)):
                return self.layers.of_neighbours(maps, grid).index_select(0, index.to(maps.device))
        return self._apart(maps, starts, sides, self._n_parts(len(rows), pooled))

    def _apart(self, maps, starts, sides, n_parts):
        """Each patch by itself, some at a time, from the third convolution on."""
        pixels, places = flat(maps), _places(*starts, maps.shape[3], sides).to(maps.device)
        half = self.layers.half(pixels)
        return torch.cat([self._at(pixels, half, part, sides) for part in places.chunk(n_parts)])

    def _at(self, pixels, half, places, sides):  # (n, positions) of maps -> (n, outputs)
        n, places = len(places), places.flatten()
        return self.layers.last(pixels.index_select(0, places), half.index_select(0, places), (n, *sides))


def _phases(block):
    """Which patches start on even and odd rows and columns, as far as there are any."""
    phase = 2 * (block.rows % 2) + block.cols % 2
    return [(phase == each).nonzero()[:, 0] for each in phase.unique()]


def _every_second(starts, side):
    """From the first start on, as many as patches of this side need."""
    first, last = int(starts.min()), int(starts.max())
    return slice(first, last + 2 * side - 1, 2)


def _places(rows, cols, width, sides):  # -> (n, positions)
    """Where the maps of each patch lie in one of this width, laid flat: from its row and column on."""
    inside = torch.arange(sides[0])[:, None] * width + torch.arange(sides[1])
    return (rows * width + cols)[:, None] + inside.flatten()


def _largest(maps, step):
    """Maximum over 2x2 pixels that start on each row and column, or on every second."""
    rows = torch.maximum(maps[:, :, :-1:step], maps[:, :, 1::step])
    return torch.maximum(rows[..., :-1:step], rows[..., 1::step])


class Layers:
    """What every arithmetic has in common: the first layer, in floats, and the way from the third on.

    ReLU and normalisation of the first are behind the pooling, which leaves single patches a quarter of the
    values: the largest comes out the same. A filter whose normalisation turns large into small has the
    opposite sign until then.
    Each arithmetic has its own `normalised`, `second`, `half`, `third`, `neighbours`, `stored` and
    `second_half`.
    """

    def __init__(self, encoder, kind, weight, bias, sign):
        self.out, self.kind, self.norm = encoder.conv1[0].weight.dtype, kind, encoder.conv4.affine()
        self.one = FloatConvolution(weight, bias, encoder.conv1[0].padding[0], kind)
        self.sign = sign.to(kind)[:, None, None]

    def first(self, x):  # before its ReLU
        return self.one(x.to(self.kind))

    def last(self, pixels, half, shape):  # (positions, filters) twice, (n, height, width) -> (n, outputs)
        n, height, width = shape
        maps = self.third(pixels.view(n, height, width, -1).permute(0, 3, 1, 2))
        sums = self.second_half.add_to(half, flat(maps), relu=True)
        return self._normalised_last(sums.view(n, height * width, -1).mean(dim=1, dtype=self.out))

    def of_neighbours(self, maps, grid):  # (1, filters, *grid.shape) -> (patches of the grid, outputs)
        half = self.half(flat(maps))
        halves = half, half.index_select(0, grid.places)
        whole, border = (
            self.second_half.add_to(half, self.stored(sums), relu=True)
            for half, sums in zip(halves, self.neighbours(maps, grid), strict=True)
        )
        return self._normalised_last(grid.means(whole, border, self.out))

    def shares_third(self, grid, n_patches):
        """Whether the third convolution and the last are faster for a whole grid than for so many patches."""
        more, single = COST_OF_GRID / len(self.norm[0]) ** 2, self.cost(grid.size) + math.prod(grid.size)
        return self.neighbours is not None and grid.cost + more < n_patches * single

    def cost(self, sides):
        """Products of the third convolution of a patch, for each input and output channel."""
        return 9 * math.prod(sides)

    def _normalised_last(self, means):
        scale, shift = self.norm
        return means * scale + shift


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
        self.neighbours = None  # differences of bfloat16 would let outliers leak into patches beside them
        if kind != torch.bfloat16:
            linear = partial(FloatLinear, kind=kind)
            self.neighbours = NeighbourConvolution(self.three, encoder.conv3[0].weight.detach(), linear)
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

    def stored(self, sums):  # of the third
        return sums.relu_()

    def cost(self, sides):
        return self.three.cost(sides)


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
        filters = _filters(encoder.conv2[0], one, steps[:2], two)
        self.second = Int8Convolution(*filters, encoder.conv2[0].padding[0], *steps[:2])
        filters = _filters(encoder.conv3[0], two, steps[1:])
        self.third = Int8Convolution(*filters, 1, *steps[1:])
        self.neighbours = _of_neighbours(*filters, *steps[1:])
        first_half, second_half, bias = _last_products(encoder)
        first_half, shift = (pad(part, (0, CONSTANTS)) for part in (first_half * two.sign, two.shift))
        self.half = Int8Linear(first_half, steps[1], bias, shift)
        mean = encoder.conv3[2].running_mean
        self.second_half = Int8Linear(second_half, steps[2], second_half @ mean, -mean)

    def normalised(self, maps):  # -> stored
        return to_bytes(maps.mul_(self.sign).float().add_(0.5).clamp_(0, LARGEST))

    def stored(self, sums):
        return to_bytes(sums.clamp_(0, LARGEST))


class _Sizes:
    """Normalised maps as ``sign * (u + shift)`` of ``u = scale * maps``, which is 0 or more."""

    def __init__(self, block):
        scale, shift = block.affine()
        self.scale, self.sign = scale.abs(), torch.where(scale < 0, -1, 1).to(scale)
        self.shift = shift * self.sign


def _scaled(weight, bias, scale):
    """Weight and bias of a layer whose outputs are multiplied."""
    return weight * scale[:, None, None, None], bias * scale


def _filters(layer, inputs, steps, outputs=None):
    """Those of a convolution of sizes: integers, scales and bias; scaled as outputs, with constants."""
    weight, bias = layer.weight.detach() * inputs.sign[:, None, None], layer.bias.detach()
    if outputs is not None:
        weight, bias = _scaled(weight, bias, outputs.scale)
        weight, bias = with_constants(weight, bias, LARGEST * steps[1])
    return shifted(weight, bias, layer.padding[0], steps[0], inputs.shift)


def _of_neighbours(integers, scale, bias, step, out_step):
    """The third convolution of a map, whose sums are what will be stored, before fractions are cut off."""
    scale, bias = scale / out_step, bias / out_step + 0.5
    whole = Int8Convolution(integers, scale, bias, 1, step, relu=False)
    linear = partial(Int8Linear, scale=step, weight_scale=scale)
    return NeighbourConvolution(whole, integers * scale[:, None, None, None], linear)
