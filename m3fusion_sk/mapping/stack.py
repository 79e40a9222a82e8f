"""Bands on disk: one file, or several on the same grid, read by clipped windows only."""

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike, fspath

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from .grid import Grid, check_crs

__all__ = ["Stack"]


@dataclass(frozen=True)
class Stack:
    """The bands of one source, from one or several files.

    Files are opened for each read and closed again, so that a stack can go to threads and processes.

    Parameters
    ----------
    paths : tuple of str
        The files, in order.
    bands : tuple of tuple of int
        Bands to read of each file, counted from 1.
    grid : Grid
        The grid that the files share.
    dtype : numpy.dtype
        The type that holds the values of all files.
    nodata : tuple of (float, int or None)
        For each band of the stack, the value that means no data.
    """

    paths: tuple
    bands: tuple
    grid: Grid
    dtype: np.dtype
    nodata: tuple

    @classmethod
    def open(cls, name, paths, bands=None, nodata=None):
        """Look at the files of source `name` and check that they belong together."""
        paths = _as_paths(name, paths)
        files = [_describe(name, path, bands, nodata) for path in paths]
        for path, (grid, *_) in zip(paths, files, strict=True):
            check_crs(files[0][0], grid)
            if not grid.same_as(files[0][0]):
                raise ValueError(
                    f"Source {name!r} must have all its files on one grid; {path} has shape {grid.shape} and "
                    f"bounds {grid.bounds}, {paths[0]} has {files[0][0].shape} and {files[0][0].bounds}. "
                    "Declare files on other grids as sources of their own."
                )
        grids, bands, dtypes, nodatas = zip(*files, strict=True)
        return cls(paths, bands, grids[0], np.result_type(*dtypes), sum(nodatas, ()))

    @property
    def n_bands(self):
        return sum(map(len, self.bands))

    @property
    def may_lack_data(self):
        """Whether some values may mean no data."""
        return self.dtype.kind == "f" or any(value is not None for value in self.nodata)

    def read(self, rows, cols):
        """Values of the half-open ranges of rows and columns, as (n_bands, height, width)."""
        window = Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])
        values = np.empty((self.n_bands, rows[1] - rows[0], cols[1] - cols[0]), self.dtype)
        start = 0
        for path, bands in zip(self.paths, self.bands, strict=True):
            values[start : start + len(bands)] = _read(path, bands, window, self.grid.shape)
            start += len(bands)
        return values

    def pixels(self, rows, cols):
        """Values of single pixels, all inside the grid, as (n_pixels, n_bands)."""
        top, left = int(rows.min()), int(cols.min())
        block = self.read((top, int(rows.max()) + 1), (left, int(cols.max()) + 1))
        flat = (rows - top) * block.shape[2] + (cols - left)
        return np.ascontiguousarray(block.reshape(len(block), -1).T).take(flat, axis=0)

    def missing(self, values, axis):
        """Where values mean no data; `axis` is that of the bands."""
        missing = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
        nodata = set(self.nodata)
        if len(nodata) == 1:
            value = nodata.pop()
            return missing if value is None else missing | (values == value)
        shape = [1] * values.ndim
        shape[axis] = -1
        each = np.array([np.nan if value is None else value for value in self.nodata], np.float64)
        return missing | (values == each.reshape(shape))


def _as_paths(name, paths):
    several = not isinstance(paths, str | PathLike) and isinstance(paths, Iterable)
    listed = list(paths) if several else [paths]
    if not listed or not all(isinstance(path, str | PathLike) for path in listed):
        raise TypeError(f"Source {name!r} must name a file, or a list of files; got {paths!r}.")
    return tuple(fspath(path) for path in listed)


def _describe(name, path, bands, nodata):
    """Grid, bands, type and nodata value of each band of one file."""
    try:
        with rasterio.open(path) as file:
            grid, count, dtypes, declared = Grid.of(file), file.count, file.dtypes, file.nodatavals
    except RasterioError as error:
        raise OSError(
            f"Source {name!r} must be a raster that can be opened; {path} is not: {error}."
        ) from error
    bands = _check_bands(name, path, bands, count)
    dtypes = [np.dtype(dtypes[band - 1]) for band in bands]
    dtype = np.result_type(*dtypes)
    if dtype.kind not in "iuf":
        raise ValueError(f"Source {name!r} must hold real numbers; {path} holds {dtype}. Convert it first.")
    values = [declared[band - 1] if nodata is None else nodata for band in bands]
    return grid, bands, dtype, tuple(map(_as_nodata, values, dtypes))


def _check_bands(name, path, bands, count):
    if bands is None:
        return tuple(range(1, count + 1))
    bands = (bands,) if isinstance(bands, int | np.integer) else tuple(bands)
    if not bands or not all(isinstance(b, int | np.integer) and 1 <= b <= count for b in bands):
        raise ValueError(
            f"bands of source {name!r} must be numbers from 1 to {count}, the bands of {path}; got {bands}."
        )
    return tuple(int(band) for band in bands)


def _as_nodata(value, dtype):
    """The value in the band's own type, so that comparing converts nothing."""
    if value is None:
        return None
    if dtype.kind == "f":
        return float(np.asarray(value, dtype))
    return int(value) if float(value).is_integer() else float(value)


def _read(path, bands, window, shape):
    try:
        with rasterio.open(path) as file:
            if file.shape != shape:
                raise ValueError(f"it has shape {file.shape}, not {shape}")
            if len({file.dtypes[band - 1] for band in bands}) > 1:  # which cannot be read at once
                return np.stack([file.read(band, window=window) for band in bands])
            return file.read(bands, window=window)
    except (RasterioError, IndexError, ValueError) as error:
        raise OSError(
            f"{path} cannot be read at {window}: {str(error).rstrip('.')}. The file may be damaged or "
            "changed since the scene was opened: try gdalinfo -checksum."
        ) from error
