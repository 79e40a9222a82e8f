"""Dates of a series: the one place that reads them."""

import re

import numpy as np

_DAY = np.timedelta64(1, "D")
_EARLIEST, _LATEST = np.datetime64("1900-01-01"), np.datetime64("2200-01-01")


def as_days(dates, n_dates, what="dates"):
    """Days since the first date.

    Parameters
    ----------
    dates : sequence of str, datetime64, datetime or number
        ``"2018-05-11"``, ``"20180511"`` (as in names of Sentinel products), datetime64, or days as numbers
        below 1,900; in ascending order.
    n_dates : int
        How many there must be.
    what : str
        What the error message calls them.

    Returns
    -------
    array of float64 of shape (n_dates,)

    Raises
    ------
    ValueError
        If they are not dates, not between 1900 and 2200, not in order, or not as many.

    Examples
    --------
    >>> from m3fusion_sk.dates import as_days
    >>> as_days(["20180130", "2018-02-01", "20180203"], 3)
    array([0., 2., 4.])
    """
    try:
        days = _parsed(np.asarray(dates))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} must be such as '2018-05-11', '20180511' or datetime64, between 1900 and 2200; got "
            f"{_short(dates)}."
        ) from error
    if days.shape != (n_dates,):
        raise ValueError(
            f"{what} must have one date for each of the {n_dates} of the series; got {days.size}: "
            f"{_short(dates)}."
        )
    if not np.isfinite(days).all() or (np.diff(days) < 0).any():
        raise ValueError(
            f"{what} must be in ascending order, none missing; got {_short(dates)}. Sort them, and the "
            "series with them."
        )
    return days


def as_text(dates):
    """Days of the calendar as text, "2018-05-01": a tuple, or None where they are unknown or numbers.

    Examples
    --------
    >>> from m3fusion_sk.dates import as_text
    >>> as_text(["20180501", "2018-05-11T10:30"])
    ('2018-05-01', '2018-05-11')
    """
    if dates is None or np.asarray(dates).dtype.kind in "iuf":
        return None
    return tuple(_as_datetimes(np.asarray(dates)).astype("datetime64[D]").astype(str).tolist())


def furthest_in_year(dates, others):
    """Most days between a date and its counterpart, whatever their years, and which it is.

    Parameters
    ----------
    dates, others : sequence of str
        Days as text, equally many.

    Examples
    --------
    >>> from m3fusion_sk.dates import furthest_in_year
    >>> furthest_in_year(["2018-05-01", "2018-12-30"], ["2020-05-04", "2019-01-12"])
    (13, 1)
    """
    apart = np.abs(_days_of_year(dates) - _days_of_year(others))
    apart = np.minimum(apart, 365 - apart)
    return int(apart.max()), int(apart.argmax())


def _days_of_year(dates):
    days = np.asarray(dates, "datetime64[D]")
    return (days - days.astype("datetime64[Y]")).astype(int)


def _parsed(dates):
    if dates.dtype.kind in "iuf":
        if dates.size and dates.min() >= 1900:  # no day number, but a year or 20180511
            raise ValueError("dates as numbers")
        return dates.astype(np.float64)
    dates = _as_datetimes(dates)
    if np.isnat(dates).any():
        return np.full(dates.shape, np.nan)
    if dates.size and (dates.min() < _EARLIEST or dates.max() > _LATEST):
        raise ValueError("not between 1900 and 2200")
    return (dates - dates[:1]) / _DAY


def _as_datetimes(dates):
    if dates.dtype.kind in "OUS":
        iso = [_as_iso(date) for date in dates.ravel()]
        return np.array(iso, dtype="datetime64[s]").reshape(dates.shape)
    if dates.dtype.kind != "M":
        raise ValueError("not dates")
    return dates


def _as_iso(date):
    if isinstance(date, bytes):
        date = date.decode()
    if not isinstance(date, str):
        return np.datetime64(date, "s")
    compact = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", date)
    return np.datetime64("-".join(compact.groups()) if compact else date, "s")


def _short(dates):
    text = repr(dates)
    return text if len(text) < 200 else text[:200] + "..."
