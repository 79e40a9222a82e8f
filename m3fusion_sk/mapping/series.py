"""Reading time series, their masks and their gaps."""

from collections.abc import Iterable
from os import PathLike

import numpy as np

from ..dates import as_days
from ..gaps import fill_linear
from ..sources import SeriesSpec
from .grid import Alignment, is_count
from .stack import Stack
from .vectors import read_inside

__all__ = ["SeriesReader"]


class SeriesReader:
    """Reads a `SeriesRaster`."""

    def __init__(self, name, raster):
        _check_choice(name, "order", raster.order, ("date", "band"))
        _check_choice(name, "fill", raster.fill, ("linear", None))
        _check_order(name, raster)
        self.stack = Stack.open(name, raster.path, nodata=raster.nodata)
        self.grid = self.stack.grid
        self.mask = None if raster.mask is None else _Mask(name, raster, self.grid)
        self.by_band = raster.order == "band"
        self.fill = raster.fill
        self.spec = _infer_spec(name, raster, self.stack, self.mask)
        self.days = None
        if raster.dates is not None:
            self.days = as_days(raster.dates, self.spec.n_dates, f"dates of source {name!r}")
        self.has_gaps = self.mask is not None or self.stack.may_lack_data
        self.dtype = np.dtype(np.float32) if self.has_gaps else self.stack.dtype
        self.paths = self.stack.paths + (self.mask.stack.paths if self.mask else ())

    @property
    def filler(self):
        """What stands in pixels that are nodata."""
        return np.nan if self.fill is None and self.has_gaps else 0

    def read(self, alignment, rows, cols):
        """Values of shape (n_pixels, n_dates, n_bands), with `filler` where invalid."""
        return read_inside(self, alignment, rows, cols, self.filler)

    def read_pixels(self, rows, cols):
        """The same for pixels of the series' own grid."""
        values = self._by_date(self.stack.pixels(rows, cols))
        if not self.has_gaps:
            return values, np.ones(len(values), bool)
        missing = self._missing(values, rows, cols)
        valid = ~missing.all(axis=1).reshape(len(values), -1).any(axis=1)
        values = self._fill(values, missing) if missing.any() else values.astype(self.dtype, copy=False)
        values[~valid] = self.filler
        return values, valid

    def _by_date(self, values):
        n_dates, n_bands = self.spec.shape
        if not self.by_band:
            return values.reshape(-1, n_dates, n_bands)
        return np.ascontiguousarray(values.reshape(-1, n_bands, n_dates).transpose(0, 2, 1))

    def _missing(self, values, rows, cols):
        """Missing dates, (n_pixels, n_dates), or missing values, (n_pixels, n_dates, n_bands)."""
        dates = None if self.mask is None else self.mask.missing(rows, cols)
        if not self.stack.may_lack_data:
            return dates
        flat = self.stack.missing(values.reshape(len(values), -1), axis=1)
        missing = flat.reshape(values.shape)
        if missing.any():
            return missing if dates is None else missing | dates[:, :, None]
        return missing[:, :, 0] if dates is None else dates

    def _fill(self, values, missing):
        if self.fill == "linear":
            return fill_linear(values, missing, self.days).astype(self.dtype, copy=False)
        if values.dtype.kind == "f":
            values[missing] = np.nan  # before they could overflow
        values = values.astype(self.dtype, copy=False)
        values[missing] = np.nan
        return values


class _Mask:
    """The mask of a series, on a grid that nests in the series' or holds it."""

    def __init__(self, name, raster, grid):
        self.stack = Stack.open(name, raster.mask)
        self.alignment = Alignment.between(grid, self.stack.grid)
        self.codes = np.ravel(list(raster.valid) if isinstance(raster.valid, Iterable) else raster.valid)
        if self.codes.dtype.kind not in "iuf" or not self.codes.size:
            raise ValueError(
                f"valid of source {name!r} must list the codes of {self.stack.paths[0]} that are usable, "
                f"such as (4, 5, 6, 7); got {raster.valid!r}."
            )

    def missing(self, rows, cols):
        """Missing dates of the series' pixels, (n_pixels, n_dates)."""
        rows, cols, inside = self.alignment.centres(rows, cols)
        missing = np.ones((len(rows), self.stack.n_bands), bool)
        if inside.any():
            codes = self.stack.pixels(rows[inside], cols[inside])
            missing[inside] = ~np.isin(codes, self.codes)
        return missing


def _is_one_file(raster):
    return isinstance(raster.path, str | PathLike)


def _check_choice(name, parameter, value, choices):
    if value not in choices:
        raise ValueError(
            f"{parameter} of source {name!r} must be one of {', '.join(map(repr, choices))}; got {value!r}."
        )


def _check_order(name, raster):
    if raster.order == "band" and not _is_one_file(raster):
        raise ValueError(
            f"order of source {name!r} must be 'date' where each date has its own file; got 'band', which is "
            "about the bands of one stack. Leave it out."
        )


def _infer_spec(name, raster, stack, mask):
    """Numbers of dates and bands, from all that say something about them."""
    _check_bands(name, raster, stack)
    counts = {}
    if not _is_one_file(raster):
        counts["files"] = len(stack.paths)
    elif raster.n_bands is not None:
        counts[f"{stack.n_bands} bands / n_bands={raster.n_bands}"] = stack.n_bands // raster.n_bands
    if raster.dates is not None:
        counts["dates"] = np.size(raster.dates)
    if mask is not None:
        counts[f"bands of the mask {mask.stack.paths[0]}"] = mask.stack.n_bands
    n_dates = next(iter(counts.values()), None)
    if n_dates is None:
        raise ValueError(
            f"Source {name!r} must say how the {stack.n_bands} bands of {stack.paths[0]} are shared among "
            "dates. Give n_bands (bands of a date) or dates."
        )
    if len(set(counts.values())) > 1 or not n_dates or stack.n_bands % n_dates:
        raise ValueError(
            f"Source {name!r} must have one number of dates that divides its {stack.n_bands} bands; got "
            f"{', '.join(f'{n} ({what})' for what, n in counts.items())} for {stack.paths[0]}. Correct "
            "n_bands, dates or mask."
        )
    return SeriesSpec(n_dates, stack.n_bands // n_dates)


def _check_bands(name, raster, stack):
    """Refuse an n_bands that the files cannot have."""
    if raster.n_bands is not None and not is_count(raster.n_bands):
        raise ValueError(f"n_bands of source {name!r} must be a positive integer; got {raster.n_bands!r}.")
    if _is_one_file(raster):
        if raster.n_bands is not None and stack.n_bands % raster.n_bands:
            raise ValueError(
                f"Source {name!r} must have n_bands={raster.n_bands} bands for each date; {stack.paths[0]} "
                f"has {stack.n_bands} bands, which is no multiple. Correct n_bands."
            )
        return
    expected = len(stack.bands[0]) if raster.n_bands is None else raster.n_bands
    for path, bands in zip(stack.paths, stack.bands, strict=True):
        if len(bands) != expected:
            raise ValueError(
                f"Source {name!r} must have {expected} bands in the file of each date; {path} has "
                f"{len(bands)}. Correct n_bands, or the list of files."
            )
