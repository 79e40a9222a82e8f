"""The patch encoder: four convolutions and the mean over space."""

import torch
from torch import nn
from torch.nn.functional import linear

from .initialization import glorot

WIDE_STEM_SIDE = (
    20  # "auto": from this side on, at least 7x7 pixels remain behind the 7x7 stem and its pooling
)
POOLED_SIDE = 12  # a 3x3 stem is pooled from this side on
VALID_SIDE = 5  # the second convolution is valid from this input side on
SMALLEST_RANGE = 1e-6  # of sizes: where all are 0, as in constant patches
MINIMUM_SIDE = {"7x7": 12, "3x3": 3, "auto": 3}


def resolve_stem(stem, side):
    """The first convolution, "7x7" or "3x3", for patches whose shorter side is `side` pixels."""
    if stem == "auto":
        return "7x7" if side >= WIDE_STEM_SIDE else "3x3"
    return stem


class ConvBlock(nn.Sequential):
    """Convolution, ReLU, batch normalisation, in this order; of one map, or 1x1 pixels of two."""

    def __init__(self, n_inputs, n_filters, size, padding=0):
        super().__init__(
            nn.Conv2d(n_inputs, n_filters, size, padding=padding), nn.ReLU(), nn.BatchNorm2d(n_filters)
        )

    def forward(self, *maps):  # (n, inputs, height, width) -> (n, filters, ...), channels last
        convolution, relu, norm = self
        sums = convolution(*maps) if len(maps) == 1 else _pointwise(convolution, *maps)
        return _with_fast_gradients(norm(relu(sums)))

    def affine(self):
        """Scale and shift of the normalisation, as it has been learned, for each filter."""
        norm = self[2]
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return scale.detach(), (norm.bias - norm.running_mean * scale).detach()

    def sizes(self, maps):
        """How far normalised maps are from their shift, which is where nothing was."""
        return (maps - self.affine()[1][:, None, None]).abs()


def _pointwise(convolution, a, b):
    """A convolution of 1x1 pixels, over the channels of two maps: products, by which torch learns faster."""
    of_a, of_b = convolution.weight.flatten(1).split([a.shape[1], b.shape[1]], dim=1)
    a, b = (maps.permute(0, 2, 3, 1) for maps in (a, b))
    return (linear(a, of_a, convolution.bias) + linear(b, of_b)).permute(0, 3, 1, 2)


def _with_fast_gradients(maps):
    """Normalised maps whose gradients get their layout: with another torch takes five to ten times longer."""
    if maps.requires_grad:
        maps.register_hook(_channels_last)
    return maps


def _channels_last(maps):
    return maps.contiguous(memory_format=torch.channels_last)


class Dihedral(nn.Module):
    """While training, turns and flips each patch at random; a patch that is not square is only flipped.

    Parameters
    ----------
    height, width : int
        Of the patches, in pixels.
    """

    def __init__(self, height, width):
        super().__init__()
        pixels = torch.arange(height * width).reshape(height, width)
        ways = [
            torch.rot90(pixels, n_turns).flip(axes).flatten()
            for n_turns in range(4 if height == width else 1)
            for axes in ([], [0], [1], [0, 1])
        ]
        self.register_buffer("ways", torch.stack(ways), persistent=False)  # where each pixel comes from

    def forward(self, x):  # (n, bands, height, width) -> the same
        if not self.training:
            return x
        chosen = torch.randint(len(self.ways), (len(x),), device=x.device)
        pixels = self.ways[chosen][:, None].expand(-1, x.shape[1], -1)
        return x.flatten(2).gather(2, pixels).reshape(x.shape)


class PatchEncoder(nn.Module):
    """From the pixels around a sample to one feature of ``2 * n_filters`` values.

    With the 7x7 stem and 25x25 pixels, the maps measure 19, 9, 7, 7 and 7 pixels.
    """

    def __init__(self, spec, n_filters, stem="7x7", augment=False):
        super().__init__()
        side, twice = min(spec.height, spec.width), 2 * n_filters
        wide = resolve_stem(stem, side) == "7x7"
        pooled = wide or side >= POOLED_SIDE
        side = (side - 6 if wide else side) // (2 if pooled else 1)
        valid = side >= (3 if wide else VALID_SIDE)
        self.augment = Dihedral(spec.height, spec.width) if augment else nn.Identity()
        self.conv1 = ConvBlock(spec.n_bands, n_filters, 7 if wide else 3, padding=0 if wide else 1)
        self.pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.conv2 = ConvBlock(n_filters, twice, 3, padding=0 if valid else 1)
        self.conv3 = ConvBlock(twice, twice, 3, padding=1)
        self.conv4 = ConvBlock(2 * twice, twice, 1)
        self.n_outputs = twice
        self.register_buffer("ranges", torch.zeros(3, 2))  # 0 and the largest size behind the first three
        glorot(self)

    def forward(self, x):  # (n, bands, 25, 25) -> (n, 512)
        x = _channels_last(self.augment(x))
        x = self.pool(self.conv1(x))  # (n, 256, 9, 9)
        a = self.conv2(x)  # (n, 512, 7, 7)
        b = self.conv3(a)  # (n, 512, 7, 7)
        return self.conv4(a, b).mean(dim=(2, 3))  # (n, 512)

    def record_ranges(self, x):
        """Widen the ranges of values between the layers by those of these patches, for `precision` "int8"."""
        pooled = self.pool(self.conv1(_channels_last(x)))
        second = self.conv2(pooled)
        convolution, relu, _ = self.conv3
        found = self.conv1.sizes(pooled), self.conv2.sizes(second), relu(convolution(second))
        largest = torch.stack([part.max() for part in found]).clamp(min=SMALLEST_RANGE)
        self.ranges[:, 1].copy_(torch.maximum(self.ranges[:, 1], largest))
