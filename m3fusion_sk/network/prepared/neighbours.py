"""A convolution of 3x3 pixels that sees the border of each patch, of patches at equal steps in one map.

Inside a patch its values are those of the whole map, which neighbours share. At its border they lack the
products with what lies beyond, by a row or a column of the filter: these are taken off, along the lines that
all patches in a row or column share.
"""

import math
from functools import cached_property, lru_cache
from itertools import product

import torch
from torch.nn.functional import avg_pool2d, pad

ENDS = (0, 1)  # first and last row or column
LEAST_SIDE = 3  # of a patch, for something to be inside
LINES = [(True, False)] * 2 + [(False, True)] * 2  # whether rows and columns are patches' or the map's
CORNERS = [(True, True)] * 4


class PatchGrid:
    """Patches at equal steps in a map that they cover: the places of their borders.

    Parameters
    ----------
    n_patches : (int, int)
        Along rows and columns of the map.
    steps : (int, int)
        From each patch to the next, in pixels.
    size : (int, int)
        Height and width of a patch.
    device : torch.device
        Of the places.
    """

    def __init__(self, n_patches, steps, size, device="cpu"):
        self.n_patches, self.steps, self.size, self.device = n_patches, steps, size, device
        axes = list(zip(n_patches, steps, size, strict=True))
        self.shape = tuple(step * (n - 1) + side for n, step, side in axes)
        self._starts = [step * torch.arange(n) for n, step, _ in axes]

    @property
    def cost(self):
        """Products for each input and output channel, of this convolution and one of 1x1 behind it."""
        on_lines, at_corners = sum(self.n_places[:4]), sum(self.n_places[4:])
        return 10 * math.prod(self.shape) + 4 * on_lines + 2 * at_corners

    @property
    def n_places(self):
        """How many there are of each kind, in their order."""
        return [math.prod(self._shape_of(kind)) for kind in LINES + CORNERS]

    def _shape_of(self, kind):
        axes = zip(kind, self.n_patches, self.shape, strict=True)
        return tuple(n if own else n_pixels for own, n, n_pixels in axes)

    @cached_property
    def lines(self):
        """Of first and last rows and columns of patches: places, and (n, 3) of the pixels beyond."""
        return [self._line(axis, end) for axis in (0, 1) for end in ENDS]

    @cached_property
    def corners(self):
        """Places of corners, in the map and among those of the lines that cross, and of the pixels beyond."""
        return [self._corner(*ends) for ends in product(ENDS, ENDS)]

    @cached_property
    def places(self):
        """Those of lines and corners, one after the other."""
        return torch.cat([places for places, *_ in (*self.lines, *self.corners)])

    def _line(self, axis, end):
        pixels, three = [torch.arange(side) for side in self.shape], torch.arange(3)
        pixels[axis], beyond = self._ends(axis)[end], [three, three]
        beyond[axis] = 2 * end
        return self._at(*pixels), self._around(*pixels, *beyond)

    def _corner(self, row_end, col_end):
        rows, cols = self._ends(0)[row_end], self._ends(1)[col_end]
        in_rows = torch.arange(len(rows))[:, None] * self.shape[1] + cols
        in_cols = rows[:, None] * len(cols) + torch.arange(len(cols))
        beyond = self._around(rows, cols, 2 * row_end, 2 * col_end)
        return self._at(rows, cols), *(part.flatten().to(self.device) for part in (in_rows, in_cols)), beyond

    def _ends(self, axis):
        return self._starts[axis], self._starts[axis] + self.size[axis] - 1

    def _at(self, rows, cols):
        return (rows[:, None] * self.shape[1] + cols).flatten().to(self.device)

    def _around(self, rows, cols, down, right):
        """Places in the map with a border of one pixel, counted from the upper left neighbour."""
        width = self.shape[1] + 2
        places = (rows[:, None] * width + cols).flatten()[:, None] + (down * width + right)
        return places.to(self.device)

    def means(self, whole, border, dtype):
        """Mean of each patch, of values at all pixels of the map and at `places`, where these count instead.

        Parameters
        ----------
        whole : tensor of shape (height * width, n_channels)
        border : tensor of shape (n_places, n_channels)
        dtype : torch.dtype
            Of the means.

        Returns
        -------
        tensor of shape (n_patches, n_channels)
        """
        sums = self._sums(whole, (False, False)).to(dtype)
        for part, kind in zip(border.split(self.n_places), LINES + CORNERS, strict=True):
            sums += self._sums(part, kind)
        return sums.permute(0, 2, 3, 1).flatten(0, 2) / math.prod(self.size)

    def _sums(self, values, kind):
        """Over each patch without its border."""
        axes = zip(kind, self.size, self.steps, strict=True)
        ways = [(slice(None), 1, 1) if own else (slice(1, -1), side - 2, step) for own, side, step in axes]
        inside, window, steps = zip(*ways, strict=True)
        maps = values.view(1, *self._shape_of(kind), -1)[:, inside[0], inside[1]].permute(0, 3, 1, 2)
        return avg_pool2d(maps, window, steps, divisor_override=1)


class NeighbourConvolution:
    """The convolution, before its ReLU, at all pixels of a map and at the borders of its patches.

    Parameters
    ----------
    whole : callable
        The convolution of maps, which sees a border of one pixel around them.
    weight : tensor of shape (n_outputs, n_inputs, 3, 3)
        Its filters.
    linear : callable
        Makes of a weight of shape (n_outputs, n) a product whose `add_to` adds to sums.
    """

    def __init__(self, whole, weight, linear):
        self.whole = whole
        rows = [-weight[:, :, 2 * end].mT.flatten(1) for end in ENDS]
        cols = [-weight[..., 2 * end].mT.flatten(1) for end in ENDS]
        self.lines = [linear(part) for part in rows + cols]
        self.corners = [linear(weight[:, :, 2 * i, 2 * j]) for i, j in product(ENDS, ENDS)]

    def __call__(self, maps, grid):
        """Sums at all pixels and at `grid.places`, each of shape (n, n_outputs).

        Parameters
        ----------
        maps : tensor of shape (1, n_inputs, *grid.shape)
            Channels last.
        grid : PatchGrid
        """
        whole, around = flat(self.whole(maps)), flat(pad(maps, (1, 1, 1, 1)))
        border = whole.index_select(0, grid.places)
        parts = border.split(grid.n_places)
        for sums, linear, (_, beyond) in zip(parts[:4], self.lines, grid.lines, strict=True):
            linear.add_to(sums, _rows_of(around, beyond))
        crossing = product(parts[:2], parts[2:4])
        corners = zip(parts[4:], self.corners, grid.corners, crossing, strict=True)
        for sums, linear, (_, in_rows, in_cols, beyond), (row, col) in corners:
            # of both lines, from each of which the products of the pixel beyond the corner were taken off
            sums.neg_().add_(row.index_select(0, in_rows)).add_(col.index_select(0, in_cols))
            linear.add_to(sums, _rows_of(around, beyond))
        return whole, border


def _rows_of(pixels, places):  # (n, taps) of them -> (n, taps * channels)
    return pixels.index_select(0, places.flatten()).view(len(places), -1)


def flat(maps):  # (n, channels, height, width), channels last -> (positions, channels)
    """Pixels of all maps, one after the other."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def grid_of(rows, cols, size, device):
    """The grid of equal steps that patches lie in, as many as there may be between them; where each is in it.

    Parameters
    ----------
    rows, cols : tensor of int of shape (n_patches,)
        Where each patch begins, from 0 on.
    size : (int, int)
    device : torch.device
        Of the grid.

    Returns
    -------
    PatchGrid
    tensor of int of shape (n_patches,)
    """
    steps = [math.gcd(*starts.tolist()) or 1 for starts in (rows, cols)]
    n_patches = [int(starts.max()) // step + 1 for starts, step in zip((rows, cols), steps, strict=True)]
    index = rows // steps[0] * n_patches[1] + cols // steps[1]
    return _grid(tuple(n_patches), tuple(steps), tuple(size), device), index


_grid = lru_cache(maxsize=16)(PatchGrid)
