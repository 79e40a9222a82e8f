"""What one sample looks like in each source: its kind, its axes, and every error about shapes.

A specification is inferred once, in ``fit``, and is from then on the only description of shapes.
"""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from numbers import Integral
from typing import ClassVar

__all__ = ["PatchSeriesSpec", "PatchSpec", "SeriesSpec", "VectorSpec"]


class _Spec:
    """Common to the kinds of sources: everything follows from the names of the axes."""

    kind: ClassVar[str]
    axes: ClassVar[tuple[str, ...]]  # of one sample
    letters: ClassVar[tuple[str, ...]]  # of each axis in column names
    band_axis: ClassVar[int]  # among the axes of one sample
    rank_hint: ClassVar[str]

    @property
    def shape(self):
        """Shape of one sample."""
        return tuple(getattr(self, axis) for axis in self.axes)

    @property
    def size(self):
        """Number of values of one sample."""
        return math.prod(self.shape)

    @property
    def n_channels(self):
        """Number of bands: of features, for a vector."""
        return self.shape[self.band_axis]

    @property
    def band_shape(self):
        """Shape of one value per band, such that it broadcasts against samples."""
        return tuple(n if axis == self.band_axis else 1 for axis, n in enumerate(self.shape))

    @property
    def column_suffixes(self):
        """Names of the flattened values, in C order: ``t00_b00``, ``t00_b01``, ..."""
        widths = [max(2, len(str(n - 1))) for n in self.shape]
        suffixes = [""]
        for letter, n, width in zip(self.letters, self.shape, widths, strict=True):
            suffixes = [f"{s}_{letter}{i:0{width}}" for s in suffixes for i in range(n)]
        return suffixes


@dataclass(frozen=True)
class SeriesSpec(_Spec):
    """A time series: each sample is an array of shape (n_dates, n_bands).

    Parameters
    ----------
    n_dates : int
        Number of dates (or of steps along any other sequence, such as wavelength).
    n_bands : int
        Number of bands at each date.

    Examples
    --------
    >>> from m3fusion_sk.sources import SeriesSpec
    >>> SeriesSpec(n_dates=34, n_bands=16).size
    544
    """

    n_dates: int
    n_bands: int

    kind = "series"
    axes = ("n_dates", "n_bands")
    letters = ("t", "b")
    band_axis = 1
    rank_hint = "For a single band use {x}[:, :, None]; for a single date {x}[:, None, :]."


@dataclass(frozen=True)
class PatchSpec(_Spec):
    """An image patch around the sample: each sample has shape (n_bands, height, width).

    Parameters
    ----------
    n_bands : int
        Number of bands.
    height, width : int
        Size of the patch, in pixels of its own image.

    Examples
    --------
    >>> from m3fusion_sk.sources import PatchSpec
    >>> PatchSpec(n_bands=5, height=25, width=25).shape
    (5, 25, 25)
    """

    n_bands: int
    height: int
    width: int

    kind = "patch"
    axes = ("n_bands", "height", "width")
    letters = ("b", "r", "c")
    band_axis = 0
    rank_hint = "For one band use {x}[:, None]."


@dataclass(frozen=True)
class VectorSpec(_Spec):
    """Plain features: each sample has shape (n_features,).

    Parameters
    ----------
    n_features : int
        Number of features.
    names : tuple of str, optional
        Theirs, where a DataFrame told them.

    Examples
    --------
    >>> from m3fusion_sk.sources import VectorSpec
    >>> VectorSpec(n_features=3).column_suffixes
    ['_f00', '_f01', '_f02']
    """

    n_features: int
    names: tuple | None = field(default=None, compare=False, repr=False)

    kind = "vector"
    axes = ("n_features",)
    letters = ("f",)
    band_axis = 0
    rank_hint = "For one feature use {x}[:, None]."


@dataclass(frozen=True)
class PatchSeriesSpec(_Spec):
    """A series of image patches: each sample has shape (n_dates, n_bands, height, width).

    Parameters
    ----------
    n_dates : int
        Number of dates.
    n_bands : int
        Number of bands at each date.
    height, width : int
        Size of the patches, in pixels of their own image.

    Examples
    --------
    >>> from m3fusion_sk.sources import PatchSeriesSpec
    >>> PatchSeriesSpec(n_dates=4, n_bands=2, height=9, width=9).column_suffixes[-1]
    '_t03_b01_r08_c08'
    """

    n_dates: int
    n_bands: int
    height: int
    width: int

    kind = "patch series"
    axes = ("n_dates", "n_bands", "height", "width")
    letters = ("t", "b", "r", "c")
    band_axis = 1
    rank_hint = "For a single band use {x}[:, :, None]; for a single date {x}[:, None]."


KINDS = (VectorSpec, SeriesSpec, PatchSpec, PatchSeriesSpec)


def spec_of_kind(kind):
    """The kind of source of that name: "series", "patch", ..."""
    return {spec.kind: spec for spec in KINDS}[kind]


def infer_spec(name, shape):
    """The specification of a source from the shape (n_samples, ...) of its values."""
    spec = {len(spec.axes): spec for spec in KINDS}.get(len(shape) - 1)
    if spec is None:
        raise ValueError(
            f"X[{name!r}] must have 2 to {1 + max(len(spec.axes) for spec in KINDS)} dimensions "
            f"({_kinds_in_words()}); got shape {tuple(shape)}."
        )
    if 0 in shape[1:]:
        raise ValueError(
            f"X[{name!r}] is a {spec.kind} and needs at least one value along each of "
            f"({', '.join(spec.axes)}); got shape {tuple(shape)}."
        )
    return spec(*(int(n) for n in shape[1:]))


def spec_from_layout(name, shape):
    """The specification of one entry of ``layout``: ``(34, 16)``, ``(5, 25, 25)``, ``(3,)`` or ``3``."""
    shape = (shape,) if isinstance(shape, Integral) else shape
    if not isinstance(shape, Sequence) or not all(isinstance(n, Integral) and n > 0 for n in shape):
        raise ValueError(
            f"layout[{name!r}] must be a tuple of positive integers, such as (n_dates, n_bands) or "
            f"(n_bands, height, width); got {shape!r}."
        )
    return infer_spec(name, (0, *shape))


def check_shape(name, shape, spec):
    """Refuse values whose shape (n_samples, ...) is not the one seen in ``fit``."""
    if len(shape) - 1 != len(spec.axes):
        hint = spec.rank_hint.format(x=f"X[{name!r}]")
        raise ValueError(
            f"X[{name!r}] must have {len(spec.axes) + 1} dimensions (n_samples, {', '.join(spec.axes)}); "
            f"got shape {tuple(shape)}. {hint}"
        )
    for axis, expected, got in zip(spec.axes, spec.shape, shape[1:], strict=True):
        if got != expected:
            raise ValueError(
                f"X[{name!r}] must have {axis}={expected}, as in fit; got {axis}={got} (shape "
                f"{tuple(shape)}). Give the same {spec.kind} as in fit, or fit again."
            )


def check_columns(given, specs, where="fit"):
    """Refuse sources from tables whose columns are not those seen before, in their order."""
    for name, spec in specs.items():
        expected, got = (getattr(each, "names", None) for each in (spec, given[name]))
        if expected and got and expected != got:
            raise ValueError(
                f"X[{name!r}] must have the columns {list(expected)} of {where}, in their order; got "
                f"{list(got)}."
            )


def check_names(names, sources, others_allowed=False):
    """Refuse samples that lack a source of ``fit``, or have another."""
    missing = [name for name in sources if name not in names]
    unknown = [name for name in names if name not in sources]
    if missing:
        spec = sources[missing[0]]
        raise ValueError(
            f"X lacks the source {missing[0]!r}: expected {list(sources)}, as in fit; got {list(names)}. Add "
            f"X[{missing[0]!r}] with shape (n_samples, {', '.join(map(str, spec.shape))})."
        )
    if unknown and not others_allowed:
        raise ValueError(
            f"X has the source {unknown[0]!r}, which fit did not see: fit saw {list(sources)}, X has "
            f"{list(names)}. Leave it out, for instance with SelectSources({list(sources)})."
        )


def check_lengths(lengths: Mapping[str, int]):
    """Refuse sources that disagree about the number of samples."""
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"Sources must have the same number of samples; got {dict(lengths)}. Row i of every source "
            "must describe the same sample."
        )


def column_names(sources):
    """Names of the flattened columns of several sources, in declaration order."""
    return [name + suffix for name, spec in sources.items() for suffix in spec.column_suffixes]


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


def places_in(table, sources):
    """Which columns hold the values of sources, one after the other: as names tell, or all as they are."""
    parsed, order = parse_columns(getattr(table, "columns", []))
    if not parsed:
        return slice(None)
    shapes = [{name: (spec.kind, spec.shape) for name, spec in each.items()} for each in (parsed, sources)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"Columns must name {dict(sources)}, not {parsed}; or pass table.to_numpy().")
    order = iter(order)
    places = {name: [next(order) for _ in range(spec.size)] for name, spec in parsed.items()}
    return [place for name in sources for place in places[name]]


def _parse_column(name):
    for spec, pattern in _column_patterns(KINDS):
        match = pattern.fullmatch(str(name))
        if match:
            return match[1], spec, tuple(map(int, match.groups()[1:]))
    return None


@cache
def _column_patterns(kinds):
    """How columns of each kind are named, the longest suffix first."""
    suffixes = {spec: "".join(rf"_{letter}(\d+)" for letter in spec.letters) for spec in reversed(kinds)}
    return [(spec, re.compile(f"(.+?){suffix}")) for spec, suffix in suffixes.items()]


def warn_of_near_names(names):
    """Tell of columns that are nearly named by source, and would be plain features."""
    near = [name for name in names if re.fullmatch(r"(?i).+?(_[tbrcf]\d+){2,4}\s*", str(name))]
    if near:
        warnings.warn(
            f"Columns such as {near[0]!r} are plain features: they are not named as those of series, "
            "ts_t00_b00, or patches, patch_b00_r00_c00, are. Rename them, or give the layout.",
            stacklevel=2,
        )


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


def _kinds_in_words():
    return "; ".join(f"{spec.kind}: (n_samples, {', '.join(spec.axes)})" for spec in KINDS)
