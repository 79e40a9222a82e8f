"""Reading time series, their masks and their gaps."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..dates import as_days, as_text
from ..gaps import fill_linear
from ..sources import SeriesSpec
from .arrays import is_boolean
from .bandnames import names_of_bands
from .calendar import (
    are_in_names,
    arrange,
    arrange_masks,
    check_bands_of_mask,
    check_dates_of_bands,
    check_dates_of_mask,
    check_one_order,
    check_times,
    dates_of_bands,
)
from .grid import Alignment, is_count
from .stack import Stack, warn_of_undeclared
from .vectors import read_inside

__all__ = ["SeriesReader"]


class SeriesReader:
    """Reads a `SeriesRaster`."""

    def __init__(self, name, raster):
        _check_choice(name, "order", raster.order, ("date", "band"))
        _check_choice(name, "fill", raster.fill, ("linear", None))
        files, self.per_date, dates = arrange(name, raster)
        stack = Stack.open(name, files, nodata=raster.nodata)
        if raster.nodata is None:
            warn_of_undeclared(name, stack)
        _check_order(name, raster, self.per_date, stack)
        self.grid = stack.grid
        self.by_band = raster.order == "band"
        self.fill = raster.fill
        self.dates = _dates(name, dates, stack, self.by_band, self.per_date)
        mask = arrange_masks(name, raster, files, self.per_date, self.dates)
        self.mask = None if mask is None else _Mask(name, mask, raster.valid, self.grid)
        self.spec = _infer_spec(name, raster.n_bands, self, stack)
        if self.by_band:
            stack = replace(stack, order=np.arange(stack.n_bands).reshape(self.spec.shape[::-1]).T.ravel())
        _check_names(name, raster, self, stack)
        self.spec = replace(self.spec, bands=names_of_bands(stack, self.spec.n_bands))
        self.stack = stack.scaled_by(name, raster.scale, raster.offset, self.spec.shape)
        self.days = None
        if self.dates is not None:
            self.days = as_days(self.dates, self.spec.n_dates, f"dates of source {name!r}")
            self.spec = replace(self.spec, dates=as_text(self.dates))
        self.has_gaps = self.mask is not None or self.stack.may_lack_data
        self.dtype = np.dtype(np.float32) if self.has_gaps else self.stack.dtype
        self.paths = self.stack.paths + (self.mask.stack.paths if self.mask else ())

    @property
    def stacks(self):
        return [self.stack] if self.mask is None else [self.stack, self.mask.stack]

    def facts(self):
        """What the values depend on beside the stacks, for a run's key."""
        valid = None if self.mask is None else sorted(self.mask.codes.tolist())
        days = None if self.days is None else self.days.tolist()
        return {"by_band": self.by_band, "fill": self.fill, "days": days, "valid": valid}

    @property
    def filler(self):
        """What stands in pixels that are nodata."""
        return np.nan if self.fill is None and self.has_gaps else 0

    def read(self, alignment, rows, cols):
        """Values of shape (n_pixels, n_dates, n_bands), with `filler` where invalid."""
        return read_inside(self, alignment, rows, cols, self.filler)

    def read_pixels(self, rows, cols):
        """The same for pixels of the series' own grid."""
        values = self.stack.pixels(rows, cols).reshape(-1, *self.spec.shape)
        missing = self._missing(values, rows, cols) if self.has_gaps else None
        values = self._scaled(values)
        if missing is None:
            return values, np.ones(len(values), bool)
        valid = ~missing.all(axis=1).reshape(len(values), -1).any(axis=1)
        values = self._fill(values, missing) if missing.any() else values.astype(self.dtype, copy=False)
        values[~valid] = self.filler
        return values, valid

    def _scaled(self, values):
        """With scale and offset, which are given date by date."""
        return self.stack.scaled(values.reshape(len(values), -1), axis=1).reshape(values.shape)

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

    def __init__(self, name, mask, valid, grid):
        self.stack = Stack.open(name, mask)
        self.alignment = Alignment.between(grid, self.stack.grid)
        self.codes = np.ravel(list(valid) if isinstance(valid, Iterable) else valid)
        if any(map(is_boolean, mask if isinstance(mask, list | tuple) else [mask])):
            _check_boolean_codes(name, valid, self.codes)
        if self.codes.dtype.kind == "b":  # booleans are read as 0 and 1
            self.codes = self.codes.astype(np.uint8)
        if self.codes.dtype.kind not in "iuf" or not self.codes.size:
            raise ValueError(
                f"valid of source {name!r} must list the codes of {self.stack.paths[0]} that are usable, "
                f"such as (4, 5, 6, 7); got {valid!r}."
            )

    def missing(self, rows, cols):
        """Missing dates of the series' pixels, (n_pixels, n_dates)."""
        rows, cols, inside = self.alignment.centres(rows, cols)
        missing = np.ones((len(rows), self.stack.n_bands), bool)
        if inside.any():
            codes = self.stack.pixels(rows[inside], cols[inside])
            missing[inside] = ~np.isin(codes, self.codes)
        return missing


def _check_boolean_codes(name, valid, codes):
    if not set(codes.tolist()) <= {0, 1} or not codes.size:
        raise ValueError(
            f"valid of source {name!r} must be (True,) where its mask of booleans is true for usable "
            f"observations, or (False,) where it is true for clouds; got {valid!r}."
        )


def _check_names(name, raster, reader, stack):
    """Refuse files, bands and masks that say that they are of other dates, or in another order."""
    if isinstance(raster.path, Mapping):
        check_times(name, stack, reader.per_date, reader.dates)
    if reader.mask is not None:
        _check_mask(name, raster, reader, stack)
    if reader.per_date is None:
        check_dates_of_bands(name, stack, reader.spec, reader.dates)
    _check_descriptions(name, stack, reader.spec)


def _check_mask(name, raster, reader, stack):
    """Refuse a mask whose names or times hold the dates of the series in another order, or other ones."""
    mask = reader.mask.stack
    check_bands_of_mask(name, mask, reader.dates)
    if raster.dates is None:
        days = as_text(reader.dates) if isinstance(raster.path, Mapping) else None
        times = stack.dates(reader.per_date) if days is None else np.array(days, "datetime64[D]")
        check_dates_of_mask(name, times, mask.dates())


def _check_choice(name, parameter, value, choices):
    if value not in choices:
        raise ValueError(
            f"{parameter} of source {name!r} must be one of {', '.join(map(repr, choices))}; got {value!r}."
        )


def _check_order(name, raster, per_date, stack):
    known = per_date is not None or np.ndim(stack.files[0].dates) == 1
    if raster.order == "band" and known:
        raise ValueError(
            f"order of source {name!r} must be 'date' where each date has its own file, or an array has a "
            "dimension of dates; got 'band', which is about the bands of one stack. Leave it out."
        )


def _check_descriptions(name, stack, spec):
    """Refuse bands that say that they stand in another order at another date."""
    texts = stack.descriptions
    by_date = [texts[i : i + spec.n_bands] for i in range(0, len(texts), spec.n_bands)]
    check_one_order(name, [of_date for of_date in by_date if all(of_date)])


def _dates(name, dates, stack, by_band, per_date):
    """The dates as given, or as names and coordinates have them; None if they are not known."""
    if are_in_names(dates):
        return dates_of_bands(name, stack, by_band)
    return stack.dates(per_date) if dates is None else dates


def _infer_spec(name, n_bands, reader, stack):
    """Numbers of dates and bands, from all that say something about them."""
    _check_bands(name, n_bands, reader.per_date, stack)
    counts, mask = {}, reader.mask
    if reader.per_date is not None:
        counts["files" if reader.per_date == 1 else "lists of files"] = len(stack.files) // reader.per_date
    elif n_bands is not None:
        counts[f"{stack.n_bands} bands / n_bands={n_bands}"] = stack.n_bands // n_bands
    n_own = getattr(stack.files[0], "n_dates", None)
    if n_own is not None and len(stack.files) == 1:
        counts["dates of the array"] = n_own
    if reader.dates is not None:
        counts["dates"] = np.size(reader.dates)
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


def _check_bands(name, n_bands, per_date, stack):
    """Refuse an n_bands that the files cannot have."""
    if n_bands is not None and not is_count(n_bands):
        raise ValueError(f"n_bands of source {name!r} must be a positive integer; got {n_bands!r}.")
    if per_date is None:
        if n_bands is not None and stack.n_bands % n_bands:
            raise ValueError(
                f"Source {name!r} must have n_bands={n_bands} bands for each date; {stack.paths[0]} "
                f"has {stack.n_bands} bands, which is no multiple. Correct n_bands."
            )
        return
    counts = [file.n_bands for file in stack.files]
    of_dates = [sum(counts[i : i + per_date]) for i in range(0, len(counts), per_date)]
    expected = of_dates[0] if n_bands is None else n_bands
    for i, count in enumerate(of_dates):
        if count != expected:
            raise ValueError(
                f"Source {name!r} must have {expected} bands in the file of each date; "
                f"{stack.paths[i * per_date]} has {count}. Correct n_bands, or the list of files."
            )
