"""Gaps in time series, filled linearly in time."""

import math

import numpy as np

from .dates import as_days
from .rows import row_blocks

__all__ = ["fill_linear"]

VALUES_AT_ONCE = 1 << 18  # temporary arrays stay in the processor's cache


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
    for rows in row_blocks(len(values), math.prod(values.shape[1:]), VALUES_AT_ONCE):
        fill_block(filled[rows], _with_not_finite(filled[rows], missing[rows]), days)
    return filled


def _check_shapes(values, missing):
    fits = values.ndim == 3 and missing.shape in (values.shape[:2], values.shape)
    if not fits or not all(values.shape[1:]):
        raise ValueError(
            "fill_linear needs values of shape (n_samples, n_dates, n_bands), with a date and a band, and "
            "missing of shape (n_samples, n_dates) or that of values; got "
            f"{values.shape} and {missing.shape}."
        )


def _with_not_finite(values, missing):
    """`missing`, and the other places without a number; of all bands or band by band."""
    by_band = missing if missing.ndim == 3 else missing[:, :, None]
    others = ~(np.isfinite(values) | by_band)
    return by_band | others if others.any() else missing


def fill_block(values, missing, days):
    """Fill a few series in place.

    Parameters
    ----------
    values : array of float of shape (n_samples, n_dates, n_bands), C-contiguous
    missing : array of bool of shape (n_samples, n_dates) or that of `values`
    days : array of float of shape (n_dates,)

    Returns
    -------
    bool
        Whether some had no valid date at all, and are NaN now.
    """
    here = _missing_dates(missing)
    if here is not None:
        return _fill_dates(values, here, days)
    n_samples, n_dates, n_bands = values.shape
    apart = np.moveaxis(values, 1, 2).reshape(-1, n_dates, 1).copy()  # each band a series of its own
    never = _fill_dates(apart, np.flatnonzero(np.moveaxis(missing, 1, 2)), days)
    values[:] = np.moveaxis(apart.reshape(n_samples, n_bands, n_dates), 1, 2)
    return never


def _missing_dates(missing):
    """Positions of the missing dates, in the series laid flat; None where bands lack different ones."""
    if missing.ndim == 2:
        return np.flatnonzero(missing)
    here, n_bands = np.flatnonzero(missing[:, :, 0].copy()), missing.shape[2]  # faster by the copy
    if np.count_nonzero(missing) != n_bands * len(here):  # counting is fast, comparing is not
        return None
    return here if missing.reshape(-1, n_bands).take(here, axis=0).all() else None


def _fill_dates(values, here, days):
    """Fill dates that are missing in all bands, in place; whether some series have no date at all."""
    n_samples, n_dates, n_bands = values.shape
    before, after = _valid_neighbours(here, n_samples * n_dates)
    first = here // n_dates * n_dates  # of the series; remainders take longer
    none_before, none_after = before < first, after >= first + n_dates
    np.copyto(before, after, where=none_before)
    np.copyto(after, before, where=none_after)
    never = none_before & none_after
    start = days.take(before - first, mode="clip")
    span = days.take(after - first, mode="clip") - start
    span += span == 0  # where both are the same date, or dates of the same day
    weight = (days.take(here - first) - start) / span
    rows = values.view(np.dtype((np.void, values.itemsize * n_bands))).ravel()  # all bands are moved at once
    filled, step = (
        rows.take(at, mode="clip").view(values.dtype).reshape(-1, n_bands) for at in (before, after)
    )
    if never.any():
        filled[never] = np.nan
    step -= filled
    step *= weight.astype(values.dtype).repeat(n_bands).reshape(step.shape)  # faster than by broadcasting
    filled += step
    rows.put(here, filled.view(rows.dtype), mode="clip")
    return bool(never.any())


def _valid_neighbours(here, n):
    """Positions, in series laid flat of n dates in all, of the valid dates around missing ones.

    Where a series has no valid date on one side, the position is of another series, or outside of all.
    """
    valid = np.ones(n + 2, bool)  # with one on either side
    valid[1:-1][here] = False
    valid = np.flatnonzero(valid) - 1
    n_before = here - np.arange(len(here))  # valid dates that precede each missing one
    return valid.take(n_before), valid.take(n_before + 1)
