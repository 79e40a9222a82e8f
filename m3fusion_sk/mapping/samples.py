"""Samples from labelled polygons and points."""

import warnings
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from ..axisnames import named_as
from ..multisource import MultiSource
from .grid import is_count
from .shapefile import check_shapefile
from .shapes import are_points, burn, extent, locate, to_pixels

__all__ = ["Labelled", "Samples", "called", "labelled_layer", "take_samples"]

_REASONS = "missing_label", "missing_group", "outside", "empty", "nodata_objects"
_X_AND_Y = "x and y from {} to {}"
_AS_LAYER = (
    "Make a layer of longitudes and latitudes: geopandas.GeoDataFrame(table, "
    "geometry=geopandas.points_from_xy(table.lon, table.lat), crs='EPSG:4326')."
)


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Labelled pixels of a scene, row by row over its grid.

    Attributes
    ----------
    X : MultiSource
        The sources of each sample, in memory.
    y : array of shape (n_samples,)
        Labels: integers, or text of a plain string type, without blanks around it.
    groups : array of shape (n_samples,)
        The object that each sample comes from: its value in the field `group`, or else the position of its
        polygon or point in the layer, from 0.
    rows, cols : array of int of shape (n_samples,)
        Pixel of each sample in the target grid.
    report : dict of str to int
        ``objects`` in the layer, of which ``kept`` gave samples and the others did not: ``missing_label``,
        ``missing_group``, ``outside`` (not touching the image), ``empty`` (no pixel inside that a later
        object does not take) and ``nodata_objects``. ``pixels`` is the number of samples, ``nodata_pixels``
        that of pixels dropped since a required source has no data, ``overlapping_pixels`` that of pixels in
        more than one object, ``thinned_pixels`` that of pixels beyond the most that an object may give,
        and ``without_<source>`` that of samples that lack an optional source.
    dropped : dict of int to str
        Position in the layer of each object that gave no sample, and the reason, as in `report`.
    """

    X: MultiSource
    y: np.ndarray
    groups: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    report: dict = field(default_factory=dict)
    dropped: dict = field(default_factory=dict)

    def __len__(self):
        return len(self.y)

    def __repr__(self):
        return f"Samples({len(self)} of {self.report['kept']} objects, {len(np.unique(self.y))} classes)"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled pixels before any source is read, row by row.

    Attributes
    ----------
    rows, cols : array of int of shape (n_pixels,)
    objects : array of int of shape (n_pixels,)
        Position of the object of each pixel among all objects.
    labels, groups : array of shape (n_objects,)
    lost : dict of int to str
        Objects that have no pixel, and why.
    n_overlapping : int
    source : str
        What they are read from, for messages.
    """

    rows: np.ndarray
    cols: np.ndarray
    objects: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    lost: dict
    n_overlapping: int
    source: str


def labelled_layer(scene, layer, label, group, inside):
    """The pixels in polygons and at points."""
    frame = _load(layer)
    _check_fields(frame, [label] if group is None else [label, group], layer)
    labelled = _has_value(frame[label])
    named = labelled & (True if group is None else _has_value(frame[group]))
    lost = dict.fromkeys(np.flatnonzero(~named).tolist(), "missing_group")
    lost |= dict.fromkeys(np.flatnonzero(~labelled).tolist(), "missing_label")
    positions, kept = np.flatnonzero(named), frame[named]
    shapes = to_pixels(kept, scene.grid, called(layer))
    outside = ~locate(shapes, scene.grid)
    if inside == "whole" and (are_points(shapes) & ~outside).any():
        raise ValueError(
            f"inside='whole' is for polygons; {called(layer)} has points, which hold no pixel. Leave it out."
        )
    lost |= dict.fromkeys(positions[outside].tolist(), "outside")
    rows, cols, objects, n_overlapping = burn(shapes, ~outside, scene.grid, inside)
    objects = positions[objects]
    lost |= dict.fromkeys(sorted({*positions[~outside].tolist()} - {*objects.tolist()}), "empty")
    labels = _of_all(_as_labels(kept[label], label) if len(kept) else np.zeros(0, int), positions, len(frame))
    groups = np.arange(len(frame))
    if group is not None and len(kept):
        groups = _of_all(_as_labels(kept[group], group), positions, len(frame))
    place = extent(shapes, scene.grid)
    source = called(layer) if place is None else f"{called(layer)}, which covers {_X_AND_Y.format(*place)}"
    return Labelled(rows, cols, objects, labels, groups, lost, n_overlapping, source)


def _of_all(values, positions, n):
    """Values of some objects, at their positions among all."""
    spread = np.zeros(n, values.dtype)
    spread[positions] = values
    return spread


def take_samples(scene, labelled, max_pixels, random_state, block_size):
    """The samples of `Scene.sample`, from labelled pixels."""
    if not is_count(block_size):
        raise ValueError(f"block_size must be a positive integer; got {block_size!r}.")
    if max_pixels is not None and not is_count(max_pixels):
        raise ValueError(f"max_pixels must be a positive integer or None; got {max_pixels!r}.")
    rows, cols, objects = labelled.rows, labelled.cols, labelled.objects
    n_thinned, n_nodata, with_pixels = 0, 0, set(objects.tolist())
    if max_pixels is not None:
        valid = _validity(scene, rows, cols, block_size)
        rows, cols, objects, n_nodata = rows[valid], cols[valid], objects[valid], int((~valid).sum())
        groups = np.unique(labelled.groups, return_inverse=True)[1]
        chosen = _at_most(groups[objects], max_pixels, random_state)
        with_pixels -= {*objects.tolist()} - {*objects[chosen].tolist()}  # what lost all has data
        rows, cols, objects, n_thinned = rows[chosen], cols[chosen], objects[chosen], int((~chosen).sum())
    X, valid, lacking = _extract(scene, rows, cols, block_size)
    n_nodata += int((~valid).sum())
    rows, cols, objects = rows[valid], cols[valid], objects[valid]
    nodata = dict.fromkeys(sorted(with_pixels - {*objects.tolist()}), "nodata_objects")
    dropped = dict(sorted((labelled.lost | nodata).items()))
    report = {**_count(labelled, dropped, len(rows), n_nodata, n_thinned), **lacking}
    _check_any(report, scene, labelled.source)
    labels, groups = labelled.labels[objects], labelled.groups[objects]
    _warn_of_spellings(np.unique(labelled.labels[np.unique(objects)]).tolist())
    return Samples(X, labels, groups, rows, cols, report, dropped)


def _warn_of_spellings(classes):
    """Tell of names of classes that are one name, perhaps, or stand for none."""
    texts = [label for label in classes if isinstance(label, str)]
    plain = [" ".join(text.casefold().split()) for text in texts]
    doubtful = {name for name in plain if plain.count(name) > 1} | {"nan", "none", "null"}
    strange = [text for text, name in zip(texts, plain, strict=True) if name in doubtful]
    if strange:
        warnings.warn(
            f"label has the classes {strange}: they differ in case or blanks only, or are words for a "
            "missing label. Join them, or drop these objects, in the layer.",
            stacklevel=4,
        )


def _validity(scene, rows, cols, block_size):
    """Which pixels have data in all sources."""
    valid = np.zeros(len(rows), bool)
    for pixels in _squares(rows, cols, block_size):
        valid[pixels] = scene.extract(rows[pixels], cols[pixels])[1]
    return valid


def _at_most(objects, n, random_state):
    """A choice of at most n pixels of each object, by chance."""
    order = np.random.default_rng(random_state).permutation(len(objects))
    order = order[np.argsort(objects[order], kind="stable")]
    ordered = objects[order]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    chosen = np.zeros(len(objects), bool)
    chosen[order[rank < n]] = True
    return chosen


def _load(layer):
    try:
        import geopandas
        import pyogrio  # noqa: F401 - which reads for geopandas
    except ImportError as error:
        raise ImportError(
            'Sampling a layer needs geopandas and pyogrio: pip install "m3fusion_sk[raster]".'
        ) from error
    if isinstance(layer, geopandas.GeoDataFrame):
        return layer
    if not isinstance(layer, str | PathLike):
        raise TypeError(f"polygons must be a path or a GeoDataFrame; got {type(layer).__name__}. {_AS_LAYER}")
    check_shapefile(layer)
    try:
        frame = geopandas.read_file(layer)
    except Exception as error:  # the type depends on the engine behind geopandas
        raise OSError(f"polygons must be a layer that can be read; {layer} is not: {error}") from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise ValueError(f"polygons must be a layer with geometries; {layer} is a table without. {_AS_LAYER}")
    return frame


def called(labels, otherwise="the GeoDataFrame"):
    """What labels are called in messages: by their path if they have one."""
    return fspath(labels) if isinstance(labels, str | PathLike) else otherwise


def _check_fields(frame, fields, layer):
    there = [name for name in frame.columns if name != frame.geometry.name]
    for name in fields:
        if name not in there:
            raise ValueError(
                f"The layer must have the field {name!r}; {called(layer)} has {there}. Name one of these."
            )
        if there.count(name) > 1:
            raise ValueError(
                f"The layer must have one field {name!r}; {called(layer)} has {there}. Rename the others."
            )


def _count(labelled, dropped, n_pixels, n_nodata, n_thinned):
    reasons = list(dropped.values())
    return {
        "objects": len(labelled.labels),
        **{why: reasons.count(why) for why in _REASONS},
        "kept": len(labelled.labels) - len(dropped),
        "pixels": n_pixels,
        "nodata_pixels": n_nodata,
        "overlapping_pixels": labelled.n_overlapping,
        "thinned_pixels": n_thinned,
    }


def _check_any(report, scene, source):
    if not report["pixels"]:
        raise ValueError(
            f"There must be labelled pixels with data of {Path(scene.grid.path).name}; none is left of "
            f"{report['objects']} objects of {source}: {report}. Check their place, labels, reference system "
            f"and masks (the grid covers {_X_AND_Y.format(scene.grid.bounds[:2], scene.grid.bounds[2:])})."
        )


def _extract(scene, rows, cols, block_size):
    """Samples of the pixels that have data, read square by square; which those are; what some lack."""
    values = {
        name: np.empty((len(rows), *spec.shape), scene.dtypes[name]) for name, spec in scene.specs.items()
    }
    valid, lacking = np.zeros(len(rows), bool), dict.fromkeys(sorted(scene.optional), 0)
    for pixels in _squares(rows, cols, block_size):
        X, valid[pixels] = scene.extract(rows[pixels], cols[pixels])
        for name in values:
            block = values[name][pixels] = X.gather(name)
            if name in lacking:
                absent = np.isnan(block).reshape(len(block), -1).all(axis=1)
                lacking[name] += int((absent & valid[pixels]).sum())
    if not valid.all():
        for name in values:  # one at a time: patches may fill the memory
            values[name] = values[name][valid]
    return (
        named_as(MultiSource(values), scene.specs),
        valid,
        {f"without_{name}": n for name, n in lacking.items()},
    )


def _squares(rows, cols, block_size):
    """Positions of the pixels in each square that has any."""
    if not len(rows):
        return []
    keys = np.stack([rows // block_size, cols // block_size])
    order = np.lexsort(keys[::-1])
    starts = np.flatnonzero(np.diff(keys[:, order], axis=1).any(axis=0)) + 1
    return np.split(order, starts)


def _has_value(column):
    """Where a field holds something: not None, NaN, infinity or empty or blank text."""
    column = column.map(lambda value: value.strip() if isinstance(value, str) else value)
    return ~(column.isna() | column.isin(["", np.inf, -np.inf])).to_numpy(bool)


def _as_labels(column, name):
    """Labels of the objects as a plain array: integers or text."""
    values = column.to_numpy()
    if values.dtype.kind == "O":
        if len({str if isinstance(value, str) else type(value) for value in values}) > 1:
            raise _wrong_labels(name, values, "text or integers, not both")
        values = np.char.strip(values.tolist()) if isinstance(values[0], str) else np.array(values.tolist())
    if values.dtype.kind == "f" and (values == np.round(values)).all() and np.abs(values).max() < 2**53:
        return values.astype(np.int64)  # integers with gaps come as floats
    if values.dtype.kind not in "biuU" or values.ndim != 1:
        raise _wrong_labels(name, column.to_numpy(), f"text or integers, not {type(column.iloc[0]).__name__}")
    return values


def _wrong_labels(name, values, expected):
    return ValueError(
        f"The field {name!r} must hold {expected}; got {values[:5].tolist()}... Convert it first, for "
        f"instance with polygons[{name!r}].astype(str)."
    )
