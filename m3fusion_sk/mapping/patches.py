"""Reading image patches: one block for all patches of a read, continued by reflection at the edges."""

import numpy as np

from ..patchview import PatchView
from ..sources import PatchSpec
from .bandnames import names_of_bands
from .grid import as_sides
from .stack import Stack

__all__ = ["PatchReader", "read_patches", "reflect"]


class PatchReader:
    """Reads a `PatchRaster`."""

    def __init__(self, name, raster):
        stack = Stack.open(name, raster.path, raster.bands, raster.nodata)
        self.stack = stack.scaled_by(name, raster.scale, raster.offset)
        self.stacks = [self.stack]
        self.size = as_sides(raster.size, f"size of source {name!r}")
        self.spec = PatchSpec(self.stack.n_bands, *self.size, names_of_bands(self.stack))
        self.grid, self.dtype, self.paths = self.stack.grid, self.stack.dtype, self.stack.paths

    def facts(self):
        """What the values depend on beside the stacks, for a run's key."""
        return {}

    def read(self, alignment, rows, cols):
        """A `PatchView` of shape (n_pixels, n_bands, height, width), any patch where invalid."""
        return read_patches(self, alignment, rows, cols)

    def block(self, row_range, col_range):
        """The image in these half-open ranges, which may reach over it; and where it has data, if not all."""
        block = self._reflected(row_range, col_range)
        if not self.stack.may_lack_data:
            return self.stack.scaled(block, axis=0), None
        missing = self.stack.missing(block, axis=0)
        block = self.stack.scaled(block, axis=0)
        if missing.any():  # in a copy: the block may be a part of the user's array
            block = np.where(missing, block.dtype.type(0), block)
        return block, ~missing.all(axis=0)

    def _reflected(self, row_range, col_range):
        """The block of these half-open ranges, which may reach over the image."""
        rows = reflect(np.arange(*row_range), self.grid.height)
        cols = reflect(np.arange(*col_range), self.grid.width)
        top, left = int(rows.min()), int(cols.min())
        block = self.stack.read((top, int(rows.max()) + 1), (left, int(cols.max()) + 1))
        for axis, positions in ((1, rows - top), (2, cols - left)):
            if not np.array_equal(positions, np.arange(block.shape[axis])):
                block = block.take(positions, axis=axis)
        return block


def read_patches(reader, alignment, rows, cols):
    """Patches of a reader that has a `block`; and which lie in the image, with data in the middle."""
    rows, cols, inside = alignment.centres(rows, cols)
    if not inside.any():
        nowhere = np.zeros(len(rows), np.intp)
        return PatchView(np.zeros(reader.spec.shape, reader.dtype), nowhere, nowhere, reader.size), inside
    rows, *row_range = _reach(rows, inside, reader.size[0])
    cols, *col_range = _reach(cols, inside, reader.size[1])
    block, valid = reader.block(row_range, col_range)
    if valid is not None:
        inside = inside & valid[rows + reader.size[0] // 2, cols + reader.size[1] // 2]
    return PatchView(block, rows, cols, reader.size), inside


def _reach(centres, inside, size):
    """First pixel of each patch counted from where the block starts, and the block's start and end."""
    starts = centres - size // 2
    first, last = int(starts[inside].min()), int(starts[inside].max())
    return np.where(inside, starts - first, 0), first, last + size


def reflect(positions, n):
    """Positions on a line of n pixels that goes on by reflection without repeating the edge."""
    if n == 1:
        return np.zeros_like(positions)
    positions = positions % (2 * (n - 1))
    return np.minimum(positions, 2 * (n - 1) - positions)
