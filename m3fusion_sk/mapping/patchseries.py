"""Reading series of image patches: one block of all dates for all patches of a read."""

import numpy as np

from ..sources import PatchSeriesSpec
from .grid import as_sides
from .patches import read_patches, reflect
from .series import SeriesReader

__all__ = ["PatchSeriesReader"]


class PatchSeriesReader:
    """Reads a `PatchSeriesRaster`: as a series every pixel of the block, with its mask and its filling."""

    def __init__(self, name, raster):
        self.size = as_sides(raster.size, f"size of source {name!r}")
        self.series = SeriesReader(name, raster)
        of_series = self.series.spec
        self.spec = PatchSeriesSpec(*of_series.shape, *self.size, of_series.dates, of_series.bands)
        self.grid, self.dtype, self.paths = self.series.grid, self.series.dtype, self.series.paths
        self.stacks, self.dates = self.series.stacks, self.series.dates

    def facts(self):
        """What the values depend on beside the stacks, for a run's key."""
        return self.series.facts()

    def read(self, alignment, rows, cols):
        """A `PatchView` of shape (n_pixels, n_dates, n_bands, height, width), any patches where invalid."""
        return read_patches(self, alignment, rows, cols)

    def block(self, row_range, col_range):
        """All dates of these half-open ranges, which may reach over the image; and where there are any."""
        rows = reflect(np.arange(*row_range), self.grid.height)
        cols = reflect(np.arange(*col_range), self.grid.width)
        (own_rows, at_rows), (own_cols, at_cols) = (np.unique(p, return_inverse=True) for p in (rows, cols))
        pixels = np.meshgrid(own_rows, own_cols, indexing="ij")
        values, valid = self.series.read_pixels(*(axis.ravel() for axis in pixels))
        values[~valid] = 0  # as in patches of one date
        image = np.moveaxis(values.reshape(*pixels[0].shape, *self.series.spec.shape), (0, 1), (2, 3))
        place = np.ix_(at_rows, at_cols)
        return image[:, :, place[0], place[1]], valid.reshape(pixels[0].shape)[place]
