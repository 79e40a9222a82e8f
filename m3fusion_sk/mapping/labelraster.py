"""Labels that come as a raster instead of polygons."""

from collections.abc import Mapping
from numbers import Real
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..labels import check_labels
from .grid import Alignment
from .rasters import VectorRaster
from .samples import Labelled, called
from .stack import is_file
from .vectors import read_inside

__all__ = ["is_label_raster", "labelled_raster"]

_SUFFIXES = {".tif", ".tiff", ".vrt", ".img", ".jp2", ".asc", ".png", ".bil", ".bip", ".bsq"}


def is_label_raster(labels):
    """Whether labels are a raster, not a layer of polygons."""
    if isinstance(labels, str | PathLike):
        return Path(fspath(labels)).suffix.lower() in _SUFFIXES
    return isinstance(labels, VectorRaster) or is_file(labels)


def labelled_raster(scene, labels, names, group):
    """The pixels of a raster of classes: 0, what is below and nodata mean no label.

    Parameters
    ----------
    scene : Scene
    labels : path, RasterArray, DataArray or VectorRaster
        One band of integers, on a grid that nests in the scene's.
    names : dict of int to str, or None
        Classes by code; other codes are left out. By default the codes are the labels.
    group : like `labels`, optional
        Raster of objects; by default, pixels of one class that touch (by a side or a corner) are an object.
        What has a class but no object is no sample.
    """
    if names is not None and not isinstance(names, Mapping):
        raise TypeError(f"label must be a dict of names by code for a raster of labels; got {names!r}.")
    wrong = [code for code in names or () if not isinstance(code, Real) or code <= 0 or code % 1]
    if wrong:
        raise ValueError(
            "label must name codes, integers from 1 since 0 means no label, as {1: 'forest'}; got "
            f"{wrong}. Recode the raster."
        )
    if names:
        check_labels("label", list(names.values()))
    codes = _read(scene, labels, "labels")
    if names is not None:
        codes = np.where(np.isin(codes, list(names)), codes, 0)
    objects = _touching(codes) if group is None else _read(scene, group, "group")
    rows, cols = np.nonzero(codes > 0)
    pairs = np.stack([objects[rows, cols], codes[rows, cols]])
    (groups, classes), positions = np.unique(pairs, axis=1, return_inverse=True)
    if names is not None:
        classes = np.array([names[code] for code in classes.tolist()])
    lost = dict.fromkeys(np.flatnonzero(groups <= 0).tolist(), "missing_group")
    known = (groups > 0)[positions.ravel()]
    pixels = rows[known], cols[known], positions.ravel()[known]
    return Labelled(*pixels, classes, groups, lost, 0, called(labels, "the raster of labels"))


def _read(scene, raster, what):
    """Codes of all pixels of the scene's grid."""
    raster = raster if isinstance(raster, VectorRaster) else VectorRaster(raster)
    reader = raster.open(what)
    if reader.stack.n_bands != 1 or reader.dtype.kind not in "iu":
        raise ValueError(
            f"A raster of {what} must have one band of integers; {reader.paths[0]} has "
            f"{reader.stack.n_bands} of {reader.dtype}. Choose a band with VectorRaster(path, bands=[1]); "
            "make other numbers integers, for instance with gdal_translate -ot Int32."
        )
    alignment = Alignment.between(scene.grid, reader.grid)
    codes = np.zeros(scene.shape, np.int64)
    for window in scene.grid.windows(256, scene.grid.width):
        values, valid = read_inside(reader, alignment, *scene.pixels(window))
        codes[window.row_off : window.row_off + window.height] = np.where(valid, values[:, 0], 0).reshape(
            window.height, window.width
        )
    return codes


def _touching(codes):
    """Number, from 1, of the object of each labelled pixel: touching pixels of one class."""
    objects, n = np.zeros(codes.shape, np.int64), 0
    for code in np.unique(codes[codes > 0]):
        found, n_found = ndimage.label(codes == code, structure=np.ones((3, 3)))
        objects[found > 0] = found[found > 0] + n
        n += n_found
    return objects
