"""Dates in the names of files and bands: the one place that finds them."""

import datetime
import re
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np

__all__ = ["columns_of", "dates_of_names", "days_of", "vary", "without_dates"]

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")


def without_dates(text):
    """The words of a name."""
    return re.findall(r"[^\W_]+", _DATE.sub(" ", text))


def days_of(dates):
    """Days as text, of dates or of names: the first that each holds; None unless all are known."""
    return next(iter(columns_of(dates)), None)


def columns_of(dates):
    """Days as text, of dates or of names: a list for each place at which all of them hold one."""
    if hasattr(dates, "__array__"):  # pandas and xarray too
        dates = np.asarray(dates)
    several = isinstance(dates, Iterable) and np.shape(dates) != ()
    return [list(days) for days in zip(*map(_found_in, dates), strict=False)] if several else []


def vary(columns):
    """Those that are not the same throughout: a date that all names share says nothing."""
    return [days for days in columns if len(set(days)) > 1]


def dates_of_names(names):
    """The date of each name: at the first place, of those that hold dates, where they differ.

    Returns
    -------
    list of str, or None
        None where a name holds none, or some hold more than others.

    Examples
    --------
    >>> from m3fusion_sk.mapping.namedates import dates_of_names
    >>> dates_of_names(["v20200902_20180105.tif", "v20200902_20180205.tif"])
    ['2018-01-05', '2018-02-05']
    """
    if len({len(_found_in(name)) for name in names}) > 1:
        return None
    columns = columns_of(names)
    return next(iter([*vary(columns), *columns]), None)


def _found_in(value):
    """All days that a date or a name holds, as text."""
    if isinstance(value, PathLike):
        value = Path(value).name
    if isinstance(value, str):
        return ["-".join(found.group(1, 3, 4)) for found in _DATE.finditer(value)]
    if isinstance(value, datetime.datetime):
        value = value.date() if value == value else None  # in its own time zone; not a time is no date
    return [str(np.datetime64(value, "D"))] if isinstance(value, datetime.date | np.datetime64) else []
