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
    filled = values.astype(np.float64 if wide else np.float32)
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
    """`missing`, and the other places without a number; band by band if there are any."""
    by_band = missing if missing.ndim == 3 else missing[:, :, None]
    others = ~(np.isfinite(values) | by_band)
    return by_band | others if others.any() else missing


def _fill_block(values, missing, days):
    """Fill `values` in place."""
    place = np.nonzero(missing)  # (rows, dates) or (rows, dates, bands)
    before, after = (neighbour[place] for neighbour in _valid_neighbours(missing))
    never = before > after  # no valid date on either side
    before, after = np.where(never, 0, before), np.where(never, 0, after)
    span = days[after] - days[before]
    weight = np.divide(days[place[1]] - days[before], span, out=np.zeros_like(span), where=span > 0)
    if missing.ndim == 2:
        weight = weight[:, None]  # one for all bands of the date
    low = values[place[0], before, *place[2:]].astype(np.float64)
    high = values[place[0], after, *place[2:]]
    low[never], high[never] = np.nan, np.nan
    values[place] = low + weight * (high - low)


def _valid_neighbours(missing):
    """Positions of the last valid date before and the first after each date, along axis 1.

    Beyond the first or last valid date both are that date; without any valid date before > after.
    """
    n_dates = missing.shape[1]
    dates = np.arange(n_dates).reshape(1, n_dates, *[1] * (missing.ndim - 2))
    last = np.maximum.accumulate(np.where(missing, -1, dates), axis=1)
    first = np.minimum.accumulate(np.where(missing, n_dates, dates)[:, ::-1], axis=1)[:, ::-1]
    before = np.where(last < 0, first, last)
    after = np.where(first == n_dates, last, first)
    return before, after
