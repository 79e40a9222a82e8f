"""What one sample looks like in each source: its kind, its axes, and every error about shapes.

A specification is inferred once, in ``fit``, and is from then on the only description of shapes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    dates : tuple of str, optional
        The dates, as "2018-05-01", where a scene told them. They do not count where series are compared.
    bands : tuple of str, optional
        Names of the bands, where a scene told them. They do not count either.

    Examples
    --------
    >>> from m3fusion_sk.sources import SeriesSpec
    >>> SeriesSpec(n_dates=34, n_bands=16).size
    544
    """

    n_dates: int
    n_bands: int
    dates: tuple | None = field(default=None, compare=False, repr=False)
    bands: tuple | None = field(default=None, compare=False, repr=False)

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
    bands : tuple of str, optional
        As of a `SeriesSpec`.

    Examples
    --------
    >>> from m3fusion_sk.sources import PatchSpec
    >>> PatchSpec(n_bands=5, height=25, width=25).shape
    (5, 25, 25)
    """

    n_bands: int
    height: int
    width: int
    bands: tuple | None = field(default=None, compare=False, repr=False)

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
    bands : tuple of str, optional
        As of a `SeriesSpec`.

    Examples
    --------
    >>> from m3fusion_sk.sources import VectorSpec
    >>> VectorSpec(n_features=3).column_suffixes
    ['_f00', '_f01', '_f02']
    """

    n_features: int
    names: tuple | None = field(default=None, compare=False, repr=False)
    bands: tuple | None = field(default=None, compare=False, repr=False)

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
    dates, bands : tuple of str, optional
        As of a `SeriesSpec`.

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
    dates: tuple | None = field(default=None, compare=False, repr=False)
    bands: tuple | None = field(default=None, compare=False, repr=False)

    kind = "patch series"
    axes = ("n_dates", "n_bands", "height", "width")
    letters = ("t", "b", "r", "c")
    band_axis = 1
    rank_hint = "For a single band use {x}[:, :, None]; for a single date {x}[:, None]."


KINDS = (VectorSpec, SeriesSpec, PatchSpec, PatchSeriesSpec)


def all_kinds():
    """The kinds of sources, as they are now."""
    return KINDS


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


def check_names(names, sources, others_allowed=False):
    """Refuse samples that lack a source of ``fit``, or have another."""
    missing = [name for name in sources if name not in names]
    unknown = [name for name in names if name not in sources]
    if missing:
        spec = sources[missing[0]]
        raise ValueError(
            f"X lacks the source {missing[0]!r}: expected {list(sources)}, as in fit; got {list(names)}. Add "
            f"X[{missing[0]!r}] with shape (n_samples, {', '.join(map(str, spec.shape))}); only a model "
            "that was fitted with missing_sources='drop' can do without."
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


def _kinds_in_words():
    return "; ".join(f"{spec.kind}: (n_samples, {', '.join(spec.axes)})" for spec in KINDS)
