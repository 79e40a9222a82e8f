"""Reference samples: places of a class map to be looked at, drawn at random within each class."""

import warnings
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from .classcodes import open_codes
from .shares import allot

__all__ = ["ReferenceSample", "draw_reference_sample"]

LARGEST_STRETCH = 1.01  # of pixels that count as equal


@dataclass(frozen=True, eq=False)
class ReferenceSample:
    """What `draw_reference_sample` returns.

    Attributes
    ----------
    points : pandas.DataFrame
        One row for each sampled pixel, in random order: ``row`` and ``col``, ``x`` and ``y`` of the centre
        where the map has coordinates, and ``mapped``, the class in the map.
    strata : pandas.DataFrame
        By class of the map: ``n_pixels``, ``area`` and ``n_samples``.
    unit : str
        Unit of ``area``: "m2" or the square of another unit of the map, or "pixel" where the map has no
        projected coordinates, or those of a system such as Mercator, whose metres are none on the ground.
    crs : str or None
        Reference system of ``x`` and ``y``, as WKT.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.reference import draw_reference_sample
    >>> sample = draw_reference_sample(np.repeat([[1, 2]], 50, axis=0), 20, least=5, random_state=0)
    >>> len(sample.points), sample.unit, sample.areas.to_dict()
    (20, 'pixel', {1: 50.0, 2: 50.0})
    """

    points: pd.DataFrame
    strata: pd.DataFrame
    unit: str
    crs: str | None

    @property
    def areas(self):
        """Area of each class of the map, as `estimate_areas` takes it; its ``attrs`` hold the unit."""
        areas = self.strata["area"].copy()
        areas.attrs.update(unit=self.unit, total=areas.sum())  # which pandas keeps with other values too
        return areas

    def write(self, path):
        """Write the points as a layer with an empty field ``reference``, to be filled in QGIS, say.

        The class in the map is not in the layer, so that whoever labels the points does not know it.

        Parameters
        ----------
        path : path
            Such as ``reference.gpkg``. It must not exist: labels may be in it.

        Raises
        ------
        FileExistsError
            If there is such a file.
        ValueError
            If the map had no coordinates.
        ImportError
            If geopandas is missing.
        """
        geopandas = _import_geopandas()
        if "x" not in self.points:
            raise ValueError("write needs coordinates; draw the sample from the map's file, not its array.")
        if Path(path).exists():
            raise FileExistsError(f"{path} exists and may hold labels. Choose another name.")
        places = geopandas.points_from_xy(self.points["x"], self.points["y"], crs=self.crs)
        layer = self.points.drop(columns="mapped").assign(reference="")
        geopandas.GeoDataFrame(layer, geometry=places).to_file(path)

    def read(self, path):
        """Read the labels of a layer that `write` wrote and someone has filled.

        Draw the sample again, from the same map with the same numbers and seed, if it is no longer there.

        Parameters
        ----------
        path : path
            With the fields ``row``, ``col`` and ``reference``, in any order of the points.

        Returns
        -------
        array of shape (n_samples,)
            The class of each of ``points``, as `estimate_areas` takes it: text, or integers where the map has
            no names.

        Raises
        ------
        ValueError
            If the layer has other points, or some are not labelled, or by other than codes where the map has
            no names.
        ImportError
            If geopandas is missing.

        Warns
        -----
        UserWarning
            If labels are no class of the map: they may be misspelt.
        """
        layer = _import_geopandas().read_file(path)
        places = pd.MultiIndex.from_frame(self.points[["row", "col"]])
        labels = _labels(path, layer, places)
        classes = self.strata.index
        if classes.dtype.kind in "iu":
            labels = _as_codes(path, labels).astype(classes.dtype)
        strange = pd.Index(labels).unique().difference(classes).tolist()
        if strange:
            warnings.warn(
                f"reference holds {strange} in {path}, which are no classes of the map, {classes.tolist()}. "
                "Correct them if they are misspelt.",
                stacklevel=2,
            )
        return labels


def _as_codes(path, labels):
    """Numbers that someone wrote down as text."""
    codes = pd.to_numeric(pd.Series(labels), errors="coerce").to_numpy()
    wrong = labels[~np.isfinite(codes) | (codes != np.rint(codes))]
    if len(wrong):
        raise ValueError(
            f"reference must hold codes of classes in {path}, since the map has no names; got "
            f"{pd.unique(wrong).tolist()!s:.80}. Write the code of each class instead."
        )
    return codes


def _labels(path, layer, places):
    """The text in the field ``reference`` at each place."""
    lacking = [name for name in ("row", "col", "reference") if name not in layer]
    if lacking:
        raise ValueError(f"{path} must have the fields that `write` gave it; it lacks {lacking}.")
    labels = layer.drop_duplicates(["row", "col"]).set_index(["row", "col"])["reference"]
    found = places.isin(labels.index)
    if len(layer) != len(places) or not found.all():
        raise ValueError(
            f"{path} must have the {len(places)} points of this sample; it has {len(layer)} points, "
            f"{found.sum()} of them of this sample. Draw it again with the map and the seed of that time."
        )
    labels = labels.reindex(places).fillna("").astype(str).str.strip().to_numpy()
    empty = (labels == "").sum()
    if empty:
        raise ValueError(f"reference must be filled for all points of {path}; {empty} are empty.")
    return labels


def _import_geopandas():
    try:
        import geopandas
        import pyogrio  # noqa: F401 - which reads and writes for geopandas
    except ImportError as error:
        raise ImportError('Layers need geopandas and pyogrio: pip install "m3fusion_sk[raster]".') from error
    return geopandas


def draw_reference_sample(class_map, n_samples, *, least=50, random_state=None):
    """Draw pixels of a class map at random within each class, for a reference of areas and accuracy.

    Parameters
    ----------
    class_map : path or array of int of shape (height, width)
        A map that `ChunkedPredictor` wrote, or any raster of class codes; read some rows at a time. No class
        is 0, what the file declares as nodata, and what its mask, or that of a masked array, leaves out.
    n_samples : int or dict
        Number of pixels in all, shared among the classes by area but for `least`; or the number for each
        class, by name (by code, where the map has no names).
    least : int, default=50
        Fewest pixels of a class, if it has as many: rare classes need 50 to 100 for a fair estimate of
        their user's accuracy.
    random_state : int, RandomState or None, default=None
        Seed.

    Returns
    -------
    ReferenceSample
        With ``points``, ``strata``, ``areas``, ``write`` and ``read``.

    Raises
    ------
    TypeError, ValueError
        If the map is not one of class codes, or a number is not as described.

    See Also
    --------
    estimate_areas : what to do with the labelled sample.
    reference_sample_size : how many samples.

    Notes
    -----
    Pixels are drawn without replacement, each of a class with the same probability. A map of the same
    codes gives the same pixels, whether it is a file or an array.

    References
    ----------
    Olofsson, P., et al. (2014). Good practices for estimating area and assessing accuracy of land change.
    Remote Sensing of Environment 148, 42-57.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.reference import draw_reference_sample
    >>> codes = np.array([[1, 1, 1, 2], [1, 1, 2, 0]])
    >>> sample = draw_reference_sample(codes, {1: 2, 2: 2}, random_state=0)
    >>> sample.strata
            n_pixels  area  n_samples
    mapped
    1              5   5.0          2
    2              2   2.0          2
    >>> len(sample.points)
    4
    """
    source = open_codes(class_map)
    _warn_of_ground(source)
    counts = source.count()
    if not counts:
        raise ValueError(f"class_map must hold classes; {source} is all nodata.")
    names = _class_names(source, counts)
    sizes = _sizes(n_samples, least, dict(zip(names, counts.values(), strict=True)))
    _warn_of_few(sizes)
    rng = check_random_state(random_state)
    ranks = {
        code: np.sort(_drawn(rng, count, sizes[name]))
        for (code, count), name in zip(counts.items(), names, strict=True)
    }
    points = _points(source, ranks).sample(frac=1, random_state=rng).reset_index(drop=True)
    strata = pd.DataFrame(
        {
            "n_pixels": list(counts.values()),
            "area": np.array(list(counts.values())) * source.pixel_area,
            "n_samples": [sizes[name] for name in names],
        },
        index=pd.Index(names, name="mapped"),
    )
    return ReferenceSample(points, strata, source.unit, source.crs)


def _warn_of_ground(source):
    if source.stretch > LARGEST_STRETCH:
        found = f"differ {source.stretch:.2f} times in size on the ground: areas and the sample are biased"
    elif source.ground is not None and source.unit == "pixel":
        size = (
            "not known to be as large" if np.isnan(source.ground) else f"{source.ground:.2f} times as large"
        )
        found = f"are {size} on the ground as its coordinates say: areas are counted in pixels"
    else:
        return
    remedy = "Reproject the map to UTM or to an equal-area system first."
    warnings.warn(f"Pixels of {source} {found}. {remedy}", stacklevel=3)


def _warn_of_few(sizes):
    few = {name: size for name, size in sizes.items() if size < 2}
    if few:
        warnings.warn(
            f"Classes have fewer than two pixels in the sample: {few}. Their errors cannot be estimated, and "
            "estimate_areas refuses them. Draw more, or join them with other classes in the map.",
            stacklevel=3,
        )


def _class_names(source, counts):
    """The name of each code that occurs, or the code itself in a map without names."""
    names = [source.names.get(code, code) for code in counts]
    unnamed = [code for code in counts if code not in source.names]
    if (source.names and unnamed) or len(set(names)) < len(names):
        raise ValueError(
            f"CLASS_NAMES of {source} must give each code a name of its own; got {source.names} for the "
            f"codes {list(counts)}. Correct the tag, or join codes of one class in the map."
        )
    return names


def _drawn(rng, count, size):
    """Ranks without replacement; memory in proportion to `size`, not to the map."""
    if size * 3 >= count:
        return rng.permutation(count)[:size]
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < size:  # uniform among sets of distinct ranks, since the order of arrival is kept
        more = rng.randint(0, count, 2 * size, dtype=np.int64)
        _, first = np.unique(np.concatenate([drawn, more]), return_index=True)
        drawn = np.concatenate([drawn, more])[np.sort(first)]
    return drawn[:size]


def _points(source, ranks):
    """Places of the pixels that have these ranks among those of their code, row by row."""
    seen, parts = dict.fromkeys(ranks, 0), []
    for top, block in source.blocks():
        for code, wanted in ranks.items():
            places = np.flatnonzero(block == code)
            here = wanted[slice(*np.searchsorted(wanted, [seen[code], seen[code] + len(places)]))]
            rows, cols = np.divmod(places[here - seen[code]], block.shape[1])
            names = [source.names.get(code, code)] * len(rows)
            parts.append(pd.DataFrame({"row": rows + top, "col": cols, "mapped": names}))
            seen[code] += len(places)
    points = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    if source.transform is not None:
        a, b, c, d, e, f = source.transform[:6]
        col, row = points["col"] + 0.5, points["row"] + 0.5
        points.insert(2, "x", a * col + b * row + c)
        points.insert(3, "y", d * col + e * row + f)
    return points


def _sizes(n_samples, least, counts):
    """Number of samples of each class."""
    if isinstance(n_samples, dict):
        wrong = {k: n for k, n in n_samples.items() if not _is_count(n) or n > counts.get(k, 0)}
        if wrong or set(n_samples) != set(counts):
            raise ValueError(
                f"n_samples must hold for each class of the map at most its pixels, {counts}; got "
                f"{n_samples}."
            )
        return dict(n_samples)
    if not _is_count(n_samples) or not _is_count(least):
        raise ValueError(
            "n_samples must be a positive integer or a dict of such by class, and least an integer from 0; "
            f"got {n_samples!r} and {least!r}."
        )
    total = sum(counts.values())
    if not sum(min(least, count) for count in counts.values()) <= n_samples <= total:
        raise ValueError(
            f"n_samples must lie between least={least} for each of {len(counts)} classes and the {total} "
            f"pixels of the map; got {n_samples}. Draw more, or lower least."
        )
    pixels = np.array(list(counts.values()))
    return dict(
        zip(counts, allot(n_samples, pixels, np.minimum(least, pixels), pixels).tolist(), strict=True)
    )


def _is_count(value):
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 0
