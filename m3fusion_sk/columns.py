"""Names of flattened columns: ``ts_t00_b00``, ``patch_b00_r00_c00``, ``terrain_f00``; written and read."""

import math
import re
import warnings
from functools import cache

import numpy as np

from .sources import VectorSpec, all_kinds


def column_names(sources):
    """Names of the flattened columns of several sources, in declaration order."""
    return [name + suffix for name, spec in sources.items() for suffix in spec.column_suffixes]


def take_columns(X, columns):
    """Some of the flattened columns of samples; only the sources that hold them are read."""
    wanted = np.arange(X.shape[1])[columns]
    table = np.empty((len(X), np.size(wanted)), X.dtype)
    start = 0
    for name, spec in X.specs.items():
        here = (np.ravel(wanted) >= start) & (np.ravel(wanted) < start + spec.size)
        if here.any():
            flat = X.gather(name).reshape(len(X), spec.size)
            table[:, here] = flat[:, np.ravel(wanted)[here] - start]
        start += spec.size
    return table[:, 0] if np.ndim(wanted) == 0 else table


def parse_columns(names):
    """Read sources from column names such as ``ts_t00_b00``, ``patch_b00_r00_c00``, ``terrain_f00``.

    Returns
    -------
    sources : dict or None
        Name to specification; None where the columns are not named this way.
    order : list of int
        Position of each flattened value among the columns.
    """
    parsed = [_parse_column(name) for name in names]
    strange = [name for name, p in zip(names, parsed, strict=True) if p is None]
    if strange and not any(p is not None and p[1] is not VectorSpec for p in parsed):
        return None, []
    if strange:
        raise ValueError(
            f"Columns must all be named by source, as ts_t00_b00 (series), patch_b00_r00_c00 (patch) or "
            f"terrain_f00 (vector); got {strange[:3]} beside such names. Rename or drop them."
        )
    columns = {}
    for position, (name, spec, index) in enumerate(parsed):
        columns.setdefault((name, spec), {}).setdefault(index, []).append(position)
    sources, order = {}, []
    for (name, spec), positions in columns.items():
        if name in sources:
            raise ValueError(f"Columns of source {name!r} describe two kinds of sources. Rename one of them.")
        sources[name] = _spec_of_columns(name, spec, positions)
        order += [positions[index][0] for index in sorted(positions)]
    return sources, order


def places_in(columns, sources):
    """Which columns hold the values of sources, one after the other: as names tell, or all as they are."""
    parsed, order = parse_columns(columns)
    if not parsed:
        return slice(None)
    shapes = [{name: (spec.kind, spec.shape) for name, spec in each.items()} for each in (parsed, sources)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"Columns must name {dict(sources)}, not {parsed}; or pass table.to_numpy().")
    order = iter(order)
    places = {name: [next(order) for _ in range(spec.size)] for name, spec in parsed.items()}
    return [place for name in sources for place in places[name]]


def _parse_column(name):
    for spec, pattern in _column_patterns(all_kinds()):
        match = pattern.fullmatch(str(name))
        if match:
            return match[1], spec, tuple(map(int, match.groups()[1:]))
    return None


@cache
def _column_patterns(kinds):
    """How columns of each kind are named, the longest suffix first."""
    suffixes = {spec: "".join(rf"_{letter}(\d+)" for letter in spec.letters) for spec in reversed(kinds)}
    return [(spec, re.compile(f"(.+?){suffix}")) for spec, suffix in suffixes.items()]


_NEARLY_NAMED = re.compile(r"(?i).+?(_[tbrcf]\d+){2,4}\s*")
_DAY = re.compile(r"(19|20)\d\d([_.-]?)(0[1-9]|1[0-2])\2([0-2]\d|3[01])(?!\d)")


def warn_of_near_names(names):
    """Tell of columns that are nearly named by source, or by band and date, and would be plain features."""
    near = [name for name in names if _NEARLY_NAMED.fullmatch(str(name))] or _of_bands_and_dates(names)
    if near:
        warnings.warn(
            f"Columns such as {near[0]!r} are plain features: they are not named as those of series, "
            "ts_t00_b00 (date, band), or patches, patch_b00_r00_c00, are. Rename them, or give the layout, "
            "{'X': n_features} for plain features.",
            stacklevel=2,
        )


def _of_bands_and_dates(names):
    """Columns that hold each of some bands at each of some dates."""
    found = {name: _DAY.search(str(name)) for name in names}
    found = {name: (match[0], _DAY.sub("", str(name))) for name, match in found.items() if match}
    dates, bands = map(set, zip(*found.values(), strict=True)) if found else ((), ())
    return list(found) if min(len(dates), len(bands)) > 1 and len(found) == len(dates) * len(bands) else []


def _spec_of_columns(name, spec, positions):
    steps = [sorted(set(axis)) for axis in zip(*positions, strict=True)]
    shape = tuple(len(axis) for axis in steps)
    if len(positions) != math.prod(shape) or any(len(p) > 1 for p in positions.values()):
        raise ValueError(
            f"Columns of source {name!r} must hold every combination of ({', '.join(spec.axes)}) once: "
            f"expected {' x '.join(map(str, shape))} = {math.prod(shape)} columns, got "
            f"{sum(map(len, positions.values()))}."
        )
    return spec(*shape)
