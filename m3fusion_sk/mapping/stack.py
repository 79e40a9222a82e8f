"""Bands of one source: of one raster, or of several on the same grid."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import Any

import numpy as np

from .arrays import ArrayFile, is_array
from .files import RasterFile
from .grid import check_crs

__all__ = ["NoFile", "Stack", "check_no_dataset", "is_file", "warn_of_undeclared"]

DECLARED = "file"  # scale: as the file declares it


@dataclass(frozen=True, eq=False)
class NoFile:
    """Stands for a file of a date that has none; `like` is that of another date."""

    like: Any


@dataclass(frozen=True, eq=False)
class Blank:
    """Bands of a date without a file, like those of another date's: all their values mean no data."""

    path: str
    bands: tuple
    grid: Any
    dtype: np.dtype
    descriptions: tuple
    declared: tuple

    dates = None

    @classmethod
    def of(cls, file):
        """As many bands as `file` has."""
        return cls(file.path, file.bands, file.grid, file.dtype, file.descriptions, file.declared)

    @property
    def n_bands(self):
        return len(self.bands)

    @property
    def nodata(self):
        return (0,) * self.n_bands

    def read(self, rows, cols):
        """Values that mean no data, as (n_bands, height, width)."""
        return np.zeros((self.n_bands, rows[1] - rows[0], cols[1] - cols[0]), self.dtype)

    def files(self):
        return []

    def watched(self):
        return []

    def facts(self):
        """What a run's key holds."""
        return ["no file", self.n_bands, self.dtype.str]


@dataclass(frozen=True, eq=False)
class Stack:
    """The bands of one source, from one or several files.

    Files are opened for each read and closed again, so that a stack can go to threads and processes.

    Parameters
    ----------
    files : tuple of RasterFile or ArrayFile
        In order, all on one grid.
    scale, offset : array of float32 of shape (n_bands,), or None
        Values are ``raw * scale + offset``; None leaves them as they are.
    order : array of int of shape (n_bands,), or None
        Which band of the files each band is; None for their own order.
    """

    files: tuple
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None
    order: np.ndarray | None = None

    @classmethod
    def open(cls, name, paths, bands=None, nodata=None):
        """Look at the files of source `name` and check that they belong together."""
        files = [_open(name, path, bands, nodata) for path in _as_paths(name, paths)]
        first = files[0]
        for file in files:
            check_crs(first.grid, file.grid)
            if not file.grid.same_as(first.grid):
                raise ValueError(
                    f"Source {name!r} must have all its files on one grid; {file.path} has shape "
                    f"{file.grid.shape} and bounds {file.grid.bounds}, {first.path} has {first.grid.shape} "
                    f"and {first.grid.bounds}. Declare files on other grids as sources of their own."
                )
        return cls(tuple(files))

    def scaled_by(self, name, scale, offset, shape=None):
        """The same bands with a scale and an offset, which broadcast against `shape`, (n_bands,) by default.

        `scale` "file" takes both as the files declare them.
        """
        if scale is None and offset is None:
            return self
        if isinstance(scale, str) and scale == DECLARED and offset is None:
            declared = (self._of_bands([file.declared[i] for file in self.files]) for i in (0, 1))
            scale, offset = (np.array(values, np.float32) for values in declared)
            return replace(self, scale=scale, offset=offset)
        given = {"scale": 1 if scale is None else scale, "offset": 0 if offset is None else offset}
        shape = (self.n_bands,) if shape is None else shape
        return replace(self, **{what: _as_factor(name, what, value, shape) for what, value in given.items()})

    def _of_bands(self, parts):
        """What the files have for each of their bands, in the order of the bands here."""
        values = sum(parts, ())
        return values if self.order is None else tuple(values[band] for band in self.order)

    @property
    def paths(self):
        return tuple(file.path for file in self.files)

    @property
    def grid(self):
        return self.files[0].grid

    @property
    def raw_dtype(self):
        """The type that holds the values of all files."""
        return np.result_type(*(file.dtype for file in self.files))

    @property
    def dtype(self):
        """Type of the values after scaling."""
        raw = self.raw_dtype
        return raw if self.scale is None else np.dtype("f8" if raw == np.float64 else "f4")

    @property
    def nodata(self):
        """For each band, the value that means no data."""
        return self._of_bands([file.nodata for file in self.files])

    @property
    def descriptions(self):
        """Of each band, as the file has it, or None."""
        return self._of_bands([file.descriptions for file in self.files])

    def dates(self, per_date=None):
        """Those that arrays bring with them: one array all, or each its own, `per_date` of them the same."""
        found = [file.dates for file in self.files[:: per_date or 1]]
        if len(found) == 1:
            return found[0] if np.ndim(found[0]) else None
        if any(dates is None or np.size(dates) != 1 for dates in found):
            return None
        dates = np.concatenate([np.ravel(dates) for dates in found])
        return dates if len(np.unique(dates)) == len(dates) else None  # of all: of their publication, say

    @property
    def n_bands(self):
        return sum(file.n_bands for file in self.files)

    @property
    def may_lack_data(self):
        """Whether some values may mean no data."""
        return self.raw_dtype.kind == "f" or any(value is not None for value in self.nodata)

    def on_disk(self):
        """All files on this machine that the values come from."""
        return [path for file in self.files for path in file.files()]

    def watched(self):
        """Files on this machine that may not change while the values are read."""
        return [path for file in self.files for path in file.watched()]

    def facts(self):
        """What the values depend on beside the content of the files, for a run's key."""
        grid = self.grid
        scaling = [None if part is None else part.tolist() for part in (self.scale, self.offset)]
        place = [grid.crs.to_wkt() if grid.crs else None, list(grid.transform[:6]), list(grid.shape)]
        return {"grid": place, "scaling": scaling, "files": [file.facts() for file in self.files]}

    def read(self, rows, cols):
        """Raw values of the half-open ranges of rows and columns, as (n_bands, height, width)."""
        values = self._read(rows, cols)
        return values if self.order is None else values[self.order]

    def _read(self, rows, cols):
        if len(self.files) == 1:
            return self.files[0].read(rows, cols)
        values = np.empty((self.n_bands, rows[1] - rows[0], cols[1] - cols[0]), self.raw_dtype)
        start = 0
        for file in self.files:
            values[start : start + file.n_bands] = file.read(rows, cols)
            start += file.n_bands
        return values

    def pixels(self, rows, cols):
        """Raw values of single pixels, all inside the grid, as (n_pixels, n_bands)."""
        top, left = int(rows.min()), int(cols.min())
        block = self.read((top, int(rows.max()) + 1), (left, int(cols.max()) + 1))
        flat = (rows - top) * block.shape[2] + (cols - left)
        values = np.array(block.reshape(len(block), -1).T, order="C")  # never the user's own array
        del block  # a chunk of a long series is large: two copies of it at most
        whole = np.array_equal(flat, np.arange(len(values)))
        return values if whole else values.take(flat, axis=0)

    def scaled(self, values, axis):
        """Raw values with scale and offset; `axis` is that of the bands."""
        if self.scale is None:
            return values
        shape = [1] * values.ndim
        shape[axis] = -1
        values = values.astype(self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # of what means no data
            values *= self.scale.reshape(shape)
            values += self.offset.reshape(shape)
        return values

    def missing(self, values, axis):
        """Where raw values mean no data; `axis` is that of the bands."""
        missing = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
        nodata = set(self.nodata)
        if len(nodata) == 1:
            value = nodata.pop()
            return missing if value is None else missing | (values == value)
        shape = [1] * values.ndim
        shape[axis] = -1
        each = np.array([np.nan if value is None else value for value in self.nodata], np.float64)
        return missing | (values == each.reshape(shape))


def _open(name, path, bands, nodata):
    if isinstance(path, NoFile):
        return Blank.of(_open(name, _as_text(path.like), bands, nodata))
    return (ArrayFile if is_array(path) else RasterFile).open(name, path, bands, nodata)


def warn_of_undeclared(name, stack):
    """Tell of bands of a series for which no nodata value is declared, beside others that have one."""
    files = [file for file in stack.files if not isinstance(file, Blank)]
    bare = [file for file in files if None in file.nodata]
    declared = [(file.path, value) for file in files for value in file.nodata if _is_number(value)]
    declared = [(path, value) for path, value in declared if any(_may_hold(f.dtype, value) for f in bare)]
    if declared:
        path, value = declared[0]
        others = f" (and {len(bare) - 1} others)" if len(bare) > 1 else ""
        alone = len({value for _, value in declared}) == 1
        remedy = f"give nodata={value}" if alone else "declare it in these files, with rio edit-info --nodata"
        warnings.warn(
            f"Source {name!r} should have a nodata value for all of its bands, or for none: {path} declares "
            f"{value}, which is a value like others in {bare[0].path}{others}, where none is declared. If it "
            f"means no data there too, {remedy}; else declare another value for these, one they do not have.",
            stacklevel=2,
        )


def _is_number(nodata):
    """Whether it is a value that means no data only where that is declared."""
    return nodata is not None and np.isfinite(nodata)


def _may_hold(dtype, value):
    """Whether a type has this value."""
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max and float(value).is_integer()


def _as_paths(name, paths):
    if isinstance(paths, Iterator):
        raise TypeError(
            f"Source {name!r} must have its files in a list, whose order stays the same; got {paths!r:.200}. "
            "Write sorted(...) around it."
        )
    check_no_dataset(name, paths)
    several = not is_file(paths) and isinstance(paths, Iterable) and not isinstance(paths, np.ndarray)
    listed = list(paths) if several else [paths]
    if not listed or not all(is_file(path) or isinstance(path, NoFile) for path in listed):
        raise TypeError(
            f"Source {name!r} must name a file, or a list of files; got {paths!r:.200}. Write an array as "
            "RasterArray(values, transform, crs)."
        )
    return tuple(map(_as_text, listed))


def _as_text(path):
    """A path as text; what else stands for a file as it is."""
    return fspath(path) if isinstance(path, PathLike) else path


def check_no_dataset(name, path):
    """Refuse several arrays of xarray in place of one."""
    if hasattr(path, "data_vars"):
        raise TypeError(
            f"Source {name!r} must be one array; got a Dataset with {list(path.data_vars)}. Choose one of "
            "them, as in dataset['name'], or stack them with dataset.to_dataarray()."
        )


def is_file(path):
    """Whether it is one file, or an array that stands for one."""
    return isinstance(path, str | PathLike) or is_array(path)


def _as_factor(name, what, value, shape):
    try:
        values = np.broadcast_to(np.asarray(value, dtype=np.float32), shape).ravel()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} of source {name!r} must be a number, or numbers that broadcast against {shape}; got "
            f"{value!r:.200}."
        ) from error
    if not np.isfinite(values).all():
        raise ValueError(f"{what} of source {name!r} must be finite; got {value!r:.200}.")
    return values
