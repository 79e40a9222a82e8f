"""Gaps in time series, filled linearly in time."""

import math

import numpy as np

from .dates import as_days
from .rows import row_blocks

__all__ = ["fill_linear"]

_VALUES_AT_ONCE = 1 << 20  # keeps the temporary arrays small beside the series itself


def fill_linear(values, missing, days=None):
    """Fill missing dates linearly in time between the valid dates on either side.

    Before the first valid date of a pixel its first valid value is taken, after the last one its last
    valid value. What stands in a missing place is never read.

    Parameters
    ----------
    values : array of shape (n_samples, n_dates, n_bands)
        The series. NaN and infinity are missing whatever `missing` says.
    missing : array of bool of shape (n_samples, n_dates) or (n_samples, n_dates, n_bands)
        True where a date is missing: in all its bands, or band by band.
    days : array of shape (n_dates,), optional
        The dates in ascending order: numbers (days, say), datetime64 or text such as "2018-05-11" or
        "20180511". Equal steps by default. Between two observations of the same day the earlier in the
        series counts.

    Returns
    -------
    array of shape (n_samples, n_dates, n_bands)
        A copy: float32, or float64 if `values` are floats of at least that size. Valid values are
        unchanged; NaN where a series has no valid date at all.

    Raises
    ------
    ValueError
        If the shapes disagree or the days are not ascending.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.gaps import fill_linear
    >>> series = np.array([[[10], [0], [40], [0]]])
    >>> fill_linear(series, missing=[[False, True, False, True]], days=[0, 1, 3, 9])[0, :, 0]
    array([10., 20., 40., 40.], dtype=float32)
    """
    values, missing = np.asarray(values), np.asarray(missing, dtype=bool)
    _check_shapes(values, missing)
    days = as_days(np.arange(values.shape[1]) if days is None else days, values.shape[1], "days")
    wide = values.dtype.kind == "f" and values.dtype.itemsize >= 8
    filled = values.astype(np.float64 if wide else np.float32, order="C")
    for rows in row_blocks(len(values), math.prod(values.shape[1:]), _VALUES_AT_ONCE):
        block = filled[rows]
        _fill_block(block, _with_not_finite(block, missing[rows]), days)
    return filled


def _check_shapes(values, missing):
    if values.ndim != 3 or missing.shape not in (values.shape[:2], values.shape):
        raise ValueError(
            "fill_linear needs values of shape (n_samples, n_dates, n_bands) and missing of shape "
            f"(n_samples, n_dates) or that of values; got {values.shape} and {missing.shape}."
        )


def _with_not_finite(values, missing):
    """`missing`, and the other places without a number; band by band only where bands differ."""
    by_band = missing if missing.ndim == 3 else missing[:, :, None]
    others = ~(np.isfinite(values) | by_band)
    missing = by_band | others if others.any() else by_band
    first = missing[:, :, :1]
    return first[:, :, 0] if missing.shape[2] == 1 or (missing == first).all() else missing


def _fill_block(values, missing, days):
    """Fill `values` in place."""
    by_date = np.ascontiguousarray(np.moveaxis(missing, 1, 0))  # (dates, rows) or (dates, rows, bands)
    place = np.nonzero(by_date)
    before, after = (neighbour[place] for neighbour in _valid_neighbours(by_date))
    never = before < 0  # no valid date on either side
    span = days[after] - days[before]
    weight = np.divide(days[place[0]] - days[before], span, out=np.zeros_like(span), where=span > 0)
    flat = values.reshape(-1, values.shape[2]) if missing.ndim == 2 else values.reshape(-1)
    here, low, high = (_positions(values, place, dates) for dates in (place[0], before, after))
    low, high = flat.take(low, axis=0), flat.take(high, axis=0)
    weight = weight.astype(values.dtype).reshape(-1, *[1] * (low.ndim - 1))
    low[never], high[never] = np.nan, np.nan
    flat[here] = low + weight * (high - low)


def _positions(values, place, dates):
    """Where the places (date, row) or (date, row, band) lie at other dates, in the values laid flat."""
    positions = place[1] * values.shape[1] + dates
    return positions * values.shape[2] + place[2] if len(place) == 3 else positions


def _valid_neighbours(missing):  # (dates, ...) -> before, after: (dates, ...)
    """Positions of the last valid date before and the first after each date.

    Beyond the first or last valid date both are that date; -1 without any valid date.
    """
    before = np.empty(missing.shape, np.int32)
    after = np.empty_like(before)
    _sweep(missing, before, range(len(missing)))
    _sweep(missing, after, range(len(missing) - 1, -1, -1))
    return np.where(before < 0, after, before), np.where(after < 0, before, after)


def _sweep(missing, found, dates):
    """Fill `found` with the last date that was not missing, in this order of dates; -1 before the first."""
    last = np.full(missing.shape[1:], -1, np.int32)
    for date in dates:
        np.copyto(last, np.int32(date), where=~missing[date])
        found[date] = last
