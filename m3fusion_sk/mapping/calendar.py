"""The dates of a series and its files in their order, from what users have: stacks, lists, names."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np

from .namedates import columns_of, dates_of_names, days_of, vary, without_dates
from .stack import NoFile, check_no_dataset, is_file

__all__ = [
    "are_in_names",
    "arrange",
    "arrange_masks",
    "check_bands_of_mask",
    "check_dates_of_bands",
    "check_dates_of_mask",
    "check_one_order",
    "check_times",
    "dates_of_bands",
    "what_differs",
]

NAMES = "names"  # dates: those in the names of files or bands


def are_in_names(dates):
    """Whether the dates are those in the names of files or bands."""
    return isinstance(dates, str) and dates == NAMES


def arrange(name, raster):
    """Files of a series date by date, how many a date has (None for one stack), and dates or None."""
    path, dates = raster.path, raster.dates
    check_no_dataset(name, path)
    by_date = isinstance(path, Mapping)
    if by_date:
        if dates is not None:
            raise ValueError(f"dates of source {name!r} must be left out where the files are given by date.")
        dates, path = list(path), list(path.values())
    if is_file(path):
        return path, None, dates
    if not isinstance(path, list | tuple):
        return path, 1, dates  # which the stack refuses
    groups = _as_groups(name, path, by_date)
    if len(set(map(len, groups))) != 1 or not groups[0]:
        raise ValueError(
            f"Source {name!r} must have equally many files for each date; got {list(map(len, groups))}. None "
            "in a dict by date stands for a date without files."
        )
    there = [i for i, group in enumerate(groups) if not _is_empty(group)]
    if all(isinstance(path, str | PathLike) for i in there for path in groups[i]):
        check_one_order(name, [[Path(path).name for path in groups[i]] for i in there])
    if are_in_names(dates):
        groups, dates = _sorted_by_name(name, raster, groups)
    else:
        known = [dates[i] for i in there] if by_date else dates
        for files in zip(*(groups[i] for i in there), strict=True):
            _check_sequence(name, "files", files, known)
    return [part for group in groups for part in group], len(groups[0]), dates


def _sorted_by_name(name, raster, groups):
    """Files date by date in the order of the dates in their names, and these."""
    found = _dates_of_groups(name, groups)
    if len(groups[0]) == 1 and raster.n_bands is None:
        _check_dates_differ(name, groups, found)
    order = np.argsort(found, kind="stable")
    if (np.diff(order) < 0).any():
        _check_sortable(name, raster)
    return [groups[i] for i in order], [found[i] for i in order]


def _as_groups(name, path, by_date):
    """Files date by date; where a dict by date has None, as many that stand for none."""
    groups = [list(part) if isinstance(part, list | tuple) else [part] for part in path]
    if not by_date or all(part is not None for part in path):
        return groups
    like = next((group for group, part in zip(groups, path, strict=True) if part is not None), None)
    if like is None:
        raise ValueError(
            f"Source {name!r} must have files for one date at least; got None for all {len(groups)} dates. "
            "Leave the source out."
        )
    return [
        group if part is not None else [NoFile(file) for file in like]
        for group, part in zip(groups, path, strict=True)
    ]


def _is_empty(group):
    """Whether a date has no files."""
    return bool(group) and isinstance(group[0], NoFile)


def _check_dates_differ(name, groups, dates):
    """Refuse single files of one date, which are those of its bands."""
    twice = next((date for date in dates if dates.count(date) > 1), None)
    if twice is not None:
        same = [Path(group[0]).name for group, date in zip(groups, dates, strict=True) if date == twice]
        raise ValueError(
            f"Source {name!r} must have one file for each date, or a list of files for each; got {same} "
            f"for {twice}. Write [[{same[0]!r}, {same[1]!r}], ...] for bands; where these are images of one "
            "day, give n_bands, the bands of each."
        )


def check_one_order(name, names):
    """Refuse bands whose names, for each date, say that they stand in another order at another date."""
    bands = [what_differs(each) for each in names]
    for others, theirs in zip(bands, names, strict=True):  # none, where no date has any
        if others != bands[0] and sorted(others) == sorted(bands[0]):
            raise ValueError(
                f"Source {name!r} must have the bands of all dates in one order; got {names[0]} and {theirs}."
            )


def check_dates_of_bands(name, stack, spec, dates):
    """Refuse the bands of a stack whose descriptions hold its dates in another order."""
    known, columns = days_of(dates), vary(columns_of(stack.descriptions))
    columns = [days for days in columns if known is None or set(known) == set(days)]
    by_date = [np.reshape(days, (spec.n_dates, spec.n_bands)) for days in columns]
    of_dates = [days[:, 0].tolist() for days in by_date if (days == days[:, :1]).all()]
    _check_columns(name, "bands", of_dates, dates)
    for days in [] if of_dates else columns:
        if sorted(days) == np.repeat(np.unique(days), spec.n_bands).tolist():  # all bands of each, somewhere
            raise _wrong_order(name, stack, days, "Give the other order")


def check_times(name, stack, per_date, dates):
    """Refuse arrays, given by date, that bring another date with them."""
    for date, file in zip(days_of(dates) or (), stack.files[:: per_date or 1], strict=False):
        time = file.dates if np.size(file.dates) == 1 else None
        if time is not None and (np.abs(np.ravel(time) - np.datetime64(date)) > np.timedelta64(1, "D")).any():
            raise ValueError(
                f"Source {name!r} must have for each date the array of that time; that of {date} is of "
                f"{days_of(np.ravel(time))[0]}."
            )


def check_bands_of_mask(name, mask, dates):
    """Refuse a mask whose bands say that they stand in another order."""
    if all(mask.descriptions):
        _check_sequence(name, "bands of the mask", mask.descriptions, dates)


def check_dates_of_mask(name, dates, of_mask):
    """Refuse an array as mask that brings other dates with it than the series."""
    if dates is None or of_mask is None or len(dates) != len(of_mask):
        return
    if (np.abs(dates - of_mask) > np.timedelta64(1, "D")).any():
        raise ValueError(
            f"mask of source {name!r} must have the dates of the series, {days_of(dates[:4])}...; its array "
            f"has {days_of(of_mask[:4])}... Select them: mask.sel(time=series.time), or drop its coordinate."
        )


def _check_sequence(name, what, named, dates):
    """Refuse files or masks whose names hold the dates of the series in another order."""
    if dates is not None or dates_of_names(named) is not None:  # else their places mean different things
        _check_columns(name, what, columns_of(named), dates)


def _check_columns(name, what, columns, dates):
    """Refuse dates from names that are those of the series, but in another order.

    Names may hold several dates, of which it is not known what each means: of acquisition, of processing, the
    first and the last of a composite. It is enough that those at one place are in order.
    """
    named = vary(columns)
    known = [sorted(days) for days in named] if dates is None else columns_of(dates)
    pairs = [(days, theirs) for days in known for theirs in named if sorted(days) == sorted(theirs)]
    if pairs and all(days != theirs for days, theirs in pairs):
        days, theirs = pairs[0]
        raise ValueError(
            f"Source {name!r} must have its {what} in the order of its dates, {days[:4]}...; the names hold "
            f"{theirs[:4]}... Sort them, or leave that to dates='names'; if other dates are meant, give them."
        )


def what_differs(names):
    """Of each name what not all of them have: the band, not the date, hour or tile."""
    words = [without_dates(name) for name in names]
    common = set.intersection(*map(set, words))
    return [[word for word in each if word not in common] for each in words]


def dates_of_bands(name, stack, by_band):
    """The dates that the descriptions of a stack's bands name, each once, in their order.

    All bands of a date follow each other or, `by_band`, all dates of a band.
    """
    descriptions = stack.descriptions
    found = dates_of_names([text or "" for text in descriptions])
    if found is None:
        raise _no_date(name, f"description of each band of {stack.paths[0]}", descriptions)
    dates = list(dict.fromkeys(found))
    n_bands = len(found) // len(dates)
    orders = {"date": np.repeat(dates, n_bands).tolist(), "band": dates * n_bands}
    if found != orders["band" if by_band else "date"]:
        fits = next((order for order, expected in orders.items() if found == expected), None)
        todo = "Sort the bands, or give the dates" if fits is None else f"Give order={fits!r}"
        raise _wrong_order(name, stack, found, todo)
    return dates


def _wrong_order(name, stack, days, todo):
    return ValueError(
        f"Source {name!r} must have all bands of each date one after the other, or with order='band' all "
        f"dates of each band; the descriptions in {stack.paths[0]} name {days[:6]}... {todo}."
    )


def _check_sortable(name, raster):
    """Refuse to sort files where something else is given date by date in their order."""
    mask, by_date = raster.mask, {"scale": raster.scale, "offset": raster.offset}
    ordered = [what for what, values in by_date.items() if np.ndim(values) == 2 and len(values) > 1]
    if mask is not None and not isinstance(mask, list | tuple | Mapping):
        ordered.append("mask")
    if ordered:
        raise ValueError(
            f"Source {name!r} must have its files in the order of their dates where {' and '.join(ordered)} "
            "say something about each date. Sort the files, and these with them."
        )


def arrange_masks(name, raster, files, per_date, dates):
    """Masks given by date, or by their names, in the order of the dates; others as they are."""
    mask, is_list = raster.mask, isinstance(raster.mask, list | tuple)
    if is_list and are_in_names(raster.dates):
        named = _dates_of_files(mask) is not None
        return _by_name(name, mask, dates) if named or per_date is not None else mask
    if is_list:
        known = dates if dates is not None or per_date is None else files[::per_date]
        _check_sequence(name, "masks", mask, known)
    if not isinstance(mask, Mapping):
        return mask
    if dates is None:
        raise ValueError(
            f"mask of source {name!r} can be given by date only where the dates are given too; give dates, "
            "or a list of masks."
        )
    per_file = zip(dates, files[::per_date], strict=False) if per_date is not None else ()
    without = [date for date, file in per_file if isinstance(file, NoFile)]
    return _masks_by_date(name, mask, list(dates), without)


def _masks_by_date(name, mask, dates, without):
    """Masks from a dict; dates `without` a file need none."""
    masks = [mask.get(date) for date in dates]
    lacking = [d for d, each in zip(dates, masks, strict=True) if each is None and d not in without]
    if lacking:
        raise ValueError(f"mask of source {name!r} must have a file for each date; got none for {lacking}.")
    like = next((each for each in masks if each is not None), None)
    return [NoFile(like) if each is None else each for each in masks]


def _dates_of_groups(name, groups):
    """The date of each inner list, by the names of its files."""
    files, size = [file for group in groups for file in group], len(groups[0])
    found = _dates_of_files(files)
    if found is None:
        raise _no_date(name, "name of each file", files)
    found = [found[i : i + size] for i in range(0, len(found), size)]
    for dates, group in zip(found, groups, strict=True):
        if len(set(dates)) > 1:
            raise ValueError(
                f"Source {name!r} must have files of one date in each inner list; got {sorted(set(dates))} "
                f"for {[Path(path).name for path in group]}."
            )
    return [dates[0] for dates in found]


def _dates_of_files(files):
    are_paths = all(isinstance(file, str | PathLike) for file in files)
    return dates_of_names([Path(file).name for file in files]) if are_paths else None


def _no_date(name, where, texts):
    alike = next((text for text in texts if dates_of_names([text]) is None), None)
    got = "more dates in some than in others" if alike is None and None not in texts else f"{alike!s:.200}"
    return ValueError(
        f"dates='names' of source {name!r} needs a date, such as 2018-05-01 or 20180501, in the {where}; got "
        f"{got}. Give the dates."
    )


def _by_name(name, mask, dates):
    found, named = {}, _dates_of_files(mask)
    if named is None:
        raise _no_date(name, "name of each file", mask)
    for date, path in zip(named, mask, strict=True):
        found.setdefault(date, []).append(path)
    if sorted(date for date in found for _ in found[date]) != sorted(dates):
        raise ValueError(
            f"mask of source {name!r} must have one file for each date of the series, by the dates in their "
            f"names; the series has {dates[:4]}..., the mask {sorted(found)[:4]}..."
        )
    return [found[date].pop(0) for date in dates]  # those of one day in their order
