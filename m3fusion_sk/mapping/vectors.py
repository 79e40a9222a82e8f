"""Reading pixels: the values of a source for any pixels of the target grid, and where there are none.

Each reader has a `grid`, a `spec` (one sample), a `dtype` (of all reads), `paths`, `stacks`, `facts()`, and
`read(alignment, rows, cols)`, which returns the values of the target pixels and whether each of them is
valid. What a pixel gets never depends on the other pixels of the same read.
"""

import numpy as np

from ..sources import VectorSpec
from .bandnames import names_of_bands
from .stack import Stack

__all__ = ["VectorReader", "read_inside"]


class VectorReader:
    """Reads a `VectorRaster`."""

    def __init__(self, name, raster):
        stack = Stack.open(name, raster.path, raster.bands, raster.nodata)
        self.stack = stack.scaled_by(name, raster.scale, raster.offset)
        self.stacks = [self.stack]
        self.spec = VectorSpec(self.stack.n_bands, bands=names_of_bands(self.stack))
        self.grid, self.dtype, self.paths = self.stack.grid, self.stack.dtype, self.stack.paths

    def facts(self):
        """What the values depend on beside the stacks, for a run's key."""
        return {}

    def read(self, alignment, rows, cols):
        """Values of shape (n_pixels, n_features), 0 where invalid."""
        return read_inside(self, alignment, rows, cols)

    def read_pixels(self, rows, cols):
        """The same for pixels of the source's own grid."""
        values = self.stack.pixels(rows, cols)
        valid = ~self.stack.missing(values, axis=1).any(axis=1)
        values = self.stack.scaled(values, axis=1)
        values[~valid] = 0
        return values, valid


def read_inside(reader, alignment, rows, cols, filler=0):
    """Values of the target pixels whose centre lies inside the source; `filler` for the invalid others."""
    rows, cols, inside = alignment.centres(rows, cols)
    if inside.all():
        return reader.read_pixels(rows, cols)
    values = np.full((len(rows), *reader.spec.shape), filler, reader.dtype)
    valid = np.zeros(len(rows), bool)
    if inside.any():
        values[inside], valid[inside] = reader.read_pixels(rows[inside], cols[inside])
    return values, valid
