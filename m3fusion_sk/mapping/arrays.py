"""Arrays in place of raster files: numpy, memmap, zarr, xarray."""

import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from .files import as_nodata, check_bands, check_nodata, check_numbers, hash_rows
from .grid import Grid, called_array

__all__ = ["ArrayFile", "RasterArray", "is_array", "is_boolean"]

_BYTES_AT_ONCE = 2**26  # that are hashed
_TIMES = "time", "t", "date", "dates"  # names of a dimension of dates, also where it has no coordinates
_REGULAR = 1e-3  # of a pixel: how far coordinates may lie from equal steps


@dataclass(frozen=True, eq=False)
class RasterArray:
    """An array with a place on the ground, which stands for a raster file.

    Parameters
    ----------
    values : array of shape (n_bands, height, width) or (n_dates, n_bands, height, width)
        Anything with a shape, a dtype and slices: numpy, memmap, zarr. Read window by window; booleans as
        0 and 1.
    transform : affine.Affine
        From (column, row) to coordinates (x, y), as in rasterio.
    crs : str, int or rasterio.crs.CRS, optional
        Coordinate reference system, such as "EPSG:32740".
    nodata : float, optional
        Value that means missing. NaN and infinity always do.

    Examples
    --------
    >>> import numpy as np
    >>> from affine import Affine
    >>> from m3fusion_sk.mapping import RasterArray, VectorRaster
    >>> slope = RasterArray(np.zeros((1, 20, 30)), Affine(10, 0, 320000, 0, -10, 7690000), "EPSG:32740")
    >>> VectorRaster(slope).path.values.shape
    (1, 20, 30)
    """

    values: Any
    transform: Affine
    crs: Any = None
    nodata: float | None = None


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """Bands of an array, as `RasterFile` has them of a file."""

    path: str
    bands: tuple
    grid: Grid
    dtype: np.dtype
    nodata: tuple
    descriptions: tuple
    declared: tuple
    dates: Any
    values: Any

    @classmethod
    def open(cls, name, array, bands=None, nodata=None):
        """Look at an array of source `name`."""
        plain = array, (1, 0), None, ()
        array, declared, dates, texts = _from_xarray(name, array) if _is_xarray(array) else plain
        values, path = array.values, called_array(name)
        if not all(hasattr(values, a) for a in ("shape", "dtype")) or len(values.shape) not in (2, 3, 4):
            raise ValueError(
                f"Source {name!r} must be an array of shape (n_bands, height, width) or (n_dates, n_bands, "
                f"height, width); got {getattr(values, 'shape', type(values).__name__)}."
            )
        if np.ma.isMaskedArray(values):
            raise ValueError(
                f"The array of source {name!r} must be a plain one; got a masked array, whose mask would be "
                "lost. Fill it with a value that stands for nodata, and name that value: "
                "RasterArray(values.filled(-9999), ...), nodata=-9999."
            )
        if not isinstance(array.transform, Affine):
            raise TypeError(
                f"The transform of source {name!r} must be an affine.Affine, as rasterio has it, from "
                f"(column, row) to (x, y); got {array.transform!r:.200}. Six numbers become one by "
                "Affine(*numbers), in the order of GDAL by Affine.from_gdal(*numbers)."
            )
        dtype = _as_read(np.dtype(values.dtype))
        check_numbers(name, path, dtype)
        bands = check_bands(name, path, bands, int(np.prod(values.shape[:-2], dtype=int)))
        grid = Grid(_as_crs(array.crs), array.transform, *map(int, values.shape[-2:]), path)
        check_nodata(name, nodata)
        missing = as_nodata(array.nodata if nodata is None else nodata, dtype)
        n = len(bands)
        descriptions = tuple(texts[band - 1] for band in bands) if texts else (None,) * n
        scales = tuple((float(part),) * n for part in declared)
        return cls(path, bands, grid, dtype, (missing,) * n, descriptions, scales, dates, values)

    @property
    def n_bands(self):
        return len(self.bands)

    @property
    def n_dates(self):
        """Size of the dimension of dates, where there is one."""
        return self.values.shape[0] if len(self.values.shape) == 4 else None

    def read(self, rows, cols):
        """Values of the half-open ranges of rows and columns, as (n_bands, height, width)."""
        block = self._slice(rows, cols)
        block = block.reshape(-1, *block.shape[-2:])
        if self.bands == tuple(range(1, len(block) + 1)):
            return block
        return block[np.array(self.bands) - 1]

    def _slice(self, *rows_and_cols):
        _check_mapped(self.path, self.values)
        try:
            block = np.asarray(self.values[(..., *(slice(*each) for each in rows_and_cols))])
        except Exception as error:  # the type depends on the library that holds the values
            raise OSError(
                f"{self.path} cannot be read at rows and columns {rows_and_cols}: {error}. What it is stored "
                "in may be damaged."
            ) from error
        return block.astype(_as_read(block.dtype), copy=False)

    def files(self):
        return []

    def watched(self):
        """Files and folders on this machine that the values come from: the values are hashed, not they."""
        return _origins(self.values)

    def facts(self):
        """What a run's key holds: the values themselves, and what they mean."""
        shape, height = list(map(int, self.values.shape)), self.grid.height
        row_bytes = self.dtype.itemsize * math.prod(shape) // height
        step = max(1, _BYTES_AT_ONCE // row_bytes)
        content = hash_rows(lambda *rows: self._slice(rows, (0, shape[-1])), height, step)
        return [list(self.bands), self.dtype.str, list(map(str, self.nodata)), shape, content]

    def __getstate__(self):
        """A mapped file goes to other processes by its name, not by its values."""
        mapped = _Mapped.of(self.values)
        return {**vars(self), "values": self.values if mapped is None else mapped}

    def __setstate__(self, state):
        if isinstance(state["values"], _Mapped):
            state["values"] = state["values"].open()
        vars(self).update(state)


@dataclass(frozen=True)
class _Mapped:
    """A memory-mapped array, by its place in a file."""

    filename: Any
    dtype: np.dtype
    offset: int
    shape: tuple

    @classmethod
    def of(cls, values):
        """Where an array, or a part of one, is mapped from; None if it is not as it lies in a file."""
        if not isinstance(values, np.memmap) or not values.flags["C_CONTIGUOUS"]:
            return None
        whole = _whole_of(values)
        if whole.filename is None or whole.mode == "c":
            return None
        before = values.ctypes.data - whole.ctypes.data  # a part has the offset of the whole array
        return cls(whole.filename, values.dtype, whole.offset + before, values.shape)

    def open(self):
        return np.memmap(self.filename, self.dtype, "r", self.offset, self.shape)


def _mapping_of(values):
    """The memory map that an array is a part of, or None."""
    while values is not None and not isinstance(values, np.memmap):
        values = getattr(values, "base", None)
    return values


def _whole_of(mapped):
    """The memory map that another is a part of, which has its offset."""
    while isinstance(mapped.base, np.memmap):
        mapped = mapped.base
    return mapped


def _check_mapped(called, values):
    """Refuse a file that is shorter than the map of it: reading on would end the process, without a word."""
    mapped = _mapping_of(values) if isinstance(values, np.ndarray) else None
    if mapped is None or mapped.filename is None or not Path(mapped.filename).exists():
        return
    mapped = _whole_of(mapped)
    needed, there = mapped.offset + mapped.nbytes, Path(mapped.filename).stat().st_size
    if there < needed:
        raise OSError(
            f"{called} is mapped from {mapped.filename}, which must have {needed} bytes; it has {there} now. "
            "It was cut short since it was opened."
        )


def _origins(values):
    """What an array is stored in: of memory maps, local zarr stores and files that xarray opened."""
    if isinstance(values, np.ndarray):
        place = getattr(_mapping_of(values), "filename", None)
    elif _is_xarray(values):
        place = values.encoding.get("source")
    else:
        store = getattr(values, "store", None)
        place = next((p for p in (getattr(store, a, None) for a in ("root", "path")) if p is not None), None)
    if not isinstance(place, str | PathLike) or not Path(place).exists():
        return []
    place = Path(place).absolute()  # a link may lead elsewhere later
    return [place, *place.rglob("*")] if place.is_dir() else [place]


def is_array(value):
    """Whether it stands for a raster file."""
    return isinstance(value, RasterArray) or _is_xarray(value)


def _as_read(dtype):
    """The type that values are read in: codes 0 and 1 for booleans."""
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype


def is_boolean(value):
    """Whether it is an array of booleans that stands for a file."""
    values = value.values if isinstance(value, RasterArray) else value
    return is_array(value) and getattr(getattr(values, "dtype", None), "kind", None) == "b"


def _is_xarray(value):
    return all(hasattr(value, a) for a in ("dims", "coords", "attrs", "transpose", "dtype"))


def _from_xarray(name, array):
    """A DataArray as a `RasterArray`; with its declared scale and offset, dates or None, names of bands."""
    y, x = (_dimension(name, array, names) for names in (("y", "lat", "latitude"), ("x", "lon", "longitude")))
    others = [dim for dim in array.dims if dim not in (y, x)]
    others.sort(key=lambda dim: not _is_time(array, dim))  # dates before bands, whatever the order was
    if sum(_is_time(array, dim) for dim in others) > 1:
        raise ValueError(f"Source {name!r} must have one dimension of dates; its array has {array.dims}.")
    array = array.transpose(*others, y, x)
    (top, height), (left, width) = _axis(name, array, y), _axis(name, array, x)
    transform = Affine(width, 0, left - width / 2, 0, height, top - height / 2)
    times = [array.coords[dim].values for dim in others if dim in array.coords]
    alone = [array.coords[name].values for name in _TIMES if name in array.coords]
    times += [values for values in alone if not values.ndim]  # that of a single date has no dimension
    dates = next((values for values in times if values.dtype.kind == "M"), None)
    declared = array.attrs.get("scale_factor", 1), array.attrs.get("add_offset", 0)
    nodata = array.attrs.get("_FillValue", array.attrs.get("nodata"))
    return RasterArray(array, transform, _crs_of(array), nodata), declared, dates, _texts(array, others)


def _texts(array, others):
    """What the bands of all dates are called by a coordinate of text; nothing where there is none."""
    bands = [dim for dim in others if not _is_time(array, dim) and dim in array.coords]
    if len(bands) != 1 or array.coords[bands[0]].dtype.kind not in "OU":
        return ()
    texts = array.coords[bands[0]].values.tolist()
    if not all(isinstance(text, str) for text in texts):
        return ()
    return texts * math.prod(array.sizes[dim] for dim in others if dim != bands[0])


def _is_time(array, dim):
    return dim in _TIMES or (dim in array.coords and array.coords[dim].dtype.kind == "M")


def _dimension(name, array, names):
    found = [dim for dim in array.dims if dim in names]
    if len(found) != 1:
        raise ValueError(
            f"Source {name!r} must have one dimension named {' or '.join(map(repr, names))}; its array has "
            f"{array.dims}. Rename it first, with array.rename."
        )
    return found[0]


def _axis(name, array, dim):
    """First coordinate and step."""
    if dim not in array.coords or array.sizes[dim] < 2:
        raise ValueError(
            f"Source {name!r} must have at least two coordinates along {dim!r}, the pixels' centres; else "
            "write RasterArray(values, transform, crs)."
        )
    values = np.asarray(array.coords[dim].values, dtype=np.float64)
    step = (values[-1] - values[0]) / (len(values) - 1)
    if not np.allclose(values, values[0] + step * np.arange(len(values)), rtol=0, atol=_REGULAR * abs(step)):
        raise ValueError(f"Source {name!r} must have equal steps along {dim!r}; got {values[:4]}...")
    return float(values[0]), float(step)


def _crs_of(array):
    """The reference system as rioxarray and CF write it: in the attributes of a coordinate."""
    names = array.encoding.get("grid_mapping"), array.attrs.get("grid_mapping"), "spatial_ref", "crs"
    for name in names:
        if name in array.coords:
            attributes = array.coords[name].attrs
            text = attributes.get("crs_wkt") or attributes.get("spatial_ref")
            if text:
                return text
    return array.attrs.get("crs")


def _as_crs(crs):
    return None if crs is None else CRS.from_user_input(crs)
