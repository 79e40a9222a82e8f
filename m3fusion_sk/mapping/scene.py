"""A scene: named sources on their own grids, seen from the pixels of one of them."""

import re
from collections.abc import Mapping

import numpy as np
from rasterio.windows import Window

from ..axisnames import named_as
from ..multisource import MultiSource
from .files import hash_files
from .grid import Alignment
from .labelraster import is_label_raster, labelled_raster
from .optional import check_optional, nan_type, with_nan
from .rasters import PatchRaster, PatchSeriesRaster, SeriesRaster, VectorRaster
from .samples import labelled_layer, take_samples

__all__ = ["Scene"]


class Scene:
    """Sources on disk that describe the same place, read by pixels of the target grid.

    Nothing is resampled. A source on a finer grid gives the pixel, or the patch around the pixel, at the
    target pixel's centre; one on a coarser grid the pixel that contains this centre. Training samples and
    maps get their pixels from the same function, `extract`.

    Parameters
    ----------
    sources : dict of str to SeriesRaster, PatchRaster, VectorRaster or PatchSeriesRaster
        The sources by name. An estimator trained on samples of one scene predicts on any scene with the
        same names, bands in the same order and dates at the same times of the year; one of scikit-learn's
        that takes plain tables, with the same order of sources too.
    grid : str
        Name of the source whose pixels are the target grid.
    optional : str or collection of str, default=()
        Sources that a pixel may lack, such as an image at very high resolution that covers a part of the
        scene. The others are required: a pixel without data in one of them is nodata. A pixel without data
        in an optional source has NaN in all of its values, in samples and in maps, as estimators expect it
        that can do without: ``M3FusionClassifier(missing_sources="drop")``. Optional sources are float32,
        or float64 where they were. Where all sources are optional, a pixel needs one of them.

    Attributes
    ----------
    grid : Grid
        The target grid: ``crs``, ``transform``, ``height``, ``width``, ``bounds``.
    shape : (int, int)
        Rows and columns of the target grid.
    sources : dict
        The sources as given.
    optional : frozenset of str
        Names of the optional sources.
    specs : dict of str to SeriesSpec, PatchSpec, VectorSpec or PatchSeriesSpec
        What one sample looks like in each source.
    paths : tuple of str
        All files that the scene reads.

    Raises
    ------
    ValueError
        If a source's grid does not nest in the target's (another reference system, rotated or non-square
        pixels, a ratio that is not an integer, edges more than 1 % of the finer pixel apart), or covers
        no part of it; or if bands, dates and masks do not fit together.
    OSError
        If a file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import rasterio
    >>> from rasterio.windows import Window
    >>> from m3fusion_sk.mapping import PatchRaster, Scene, SeriesRaster
    >>> def write(path, n_bands, size, pixel):
    ...     with rasterio.open(
    ...         path, "w", driver="GTiff", dtype="uint16", count=n_bands, height=size, width=size,
    ...         crs="EPSG:32740", transform=rasterio.Affine(pixel, 0, 320000, 0, -pixel, 7690000),
    ...     ) as file:
    ...         file.write(np.ones((n_bands, size, size), "uint16"))
    ...     return path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     s2 = write(Path(folder, "s2.tif"), n_bands=6, size=4, pixel=10)
    ...     spot = write(Path(folder, "spot.tif"), n_bands=3, size=20, pixel=2)
    ...     scene = Scene({"s2": SeriesRaster(s2, n_bands=2), "spot": PatchRaster(spot, size=5)}, grid="s2")
    ...     X = scene.read(Window(col_off=0, row_off=0, width=4, height=2))
    >>> X
    MultiSource(8 samples, s2: series (3, 2) uint16, spot: patch (3, 5, 5) uint16)
    """

    def __init__(self, sources, grid, optional=()):
        self.sources = _as_sources(sources)
        self.optional = check_optional(optional, self.sources)
        if grid not in self.sources:
            raise ValueError(f"grid must name one of the sources {list(self.sources)}; got {grid!r}.")
        self._readers = {name: source.open(name) for name, source in self.sources.items()}
        self.grid = self._readers[grid].grid
        self._alignments = {
            name: Alignment.between(self.grid, reader.grid) for name, reader in self._readers.items()
        }
        required = {name: a for name, a in self._alignments.items() if name not in self.optional}
        _check_common(required or self._alignments)
        self.specs = {name: reader.spec for name, reader in self._readers.items()}
        self.paths = tuple(path for reader in self._readers.values() for path in reader.paths)

    @property
    def shape(self):
        return self.grid.shape

    @property
    def dtypes(self):
        """Type of the values of each source, whatever is read."""
        return {
            name: nan_type(reader.dtype) if name in self.optional else reader.dtype
            for name, reader in self._readers.items()
        }

    def dates(self, name):
        """Dates of a series as they were given or found, one text each; ``t00``, ... if they are unknown."""
        dates = getattr(self._readers[name], "dates", None)
        if dates is None:
            return [f"t{i:02}" for i in range(self.specs[name].n_dates)]
        return [re.sub(r"[T ]00:00:00(\.0+)?$", "", str(date)) for date in dates]

    def files(self):
        """All files on this machine that the values come from, those of virtual rasters included."""
        return list(dict.fromkeys(path for stack in self.stacks() for path in stack.on_disk()))

    def watched(self):
        """Those files, and what arrays are stored in: what may not change while the scene is read."""
        return list(dict.fromkeys(path for stack in self.stacks() for path in stack.watched()))

    def stacks(self):
        """The stacks of bands of all sources, in their order."""
        return [stack for reader in self._readers.values() for stack in reader.stacks]

    def fingerprint(self):
        """All that the values of the scene depend on, the content of its files as SHA-256; nested dicts."""
        files = {
            name: [path for stack in reader.stacks for path in stack.on_disk()]
            for name, reader in self._readers.items()
        }
        hashes = hash_files(list(dict.fromkeys(path for of_source in files.values() for path in of_source)))
        sources = {}
        for name, reader in self._readers.items():
            alignment = self._alignments[name]
            sources[name] = {
                "kind": type(reader).__name__,
                "optional": name in self.optional,
                "spec": list(reader.spec.shape),
                "place": [
                    getattr(alignment, part) for part in ("finer", "coarser", "row_shift", "col_shift")
                ],
                "reading": reader.facts(),
                "stacks": [stack.facts() for stack in reader.stacks],
                "content": [hashes[path] for path in files[name]],
            }
        return {"shape": list(self.shape), "sources": sources}

    def extract(self, rows, cols):
        """Values of any pixels of the target grid, and which of them have data in every required source.

        Parameters
        ----------
        rows, cols : array of int of shape (n_samples,)
            Rows and columns of the pixels, one at least; what lies between them is read too, so ask for
            neighbours.

        Returns
        -------
        X : MultiSource
            Patches as `PatchView`. Pixels without data hold NaN in optional sources, in required ones a
            filler: 0 in series (NaN where gaps are left) and vectors, any patch of the neighbourhood in
            patches.
        valid : array of bool of shape (n_samples,)
            False where a required source has no data, or every source has none.

        Raises
        ------
        ValueError
            If `rows` and `cols` are not one position for each of some pixels.
        OSError
            If a file cannot be read or has changed since the scene was opened.
        """
        rows, cols = _check_pixels(rows, cols)
        values, has_data = {}, {}
        for name, reader in self._readers.items():
            values[name], has_data[name] = reader.read(self._alignments[name], rows, cols)
            if name in self.optional:
                values[name] = with_nan(values[name], ~has_data[name])
        required = [has for name, has in has_data.items() if name not in self.optional]
        valid = np.logical_and.reduce([np.logical_or.reduce(list(has_data.values())), *required])
        return named_as(MultiSource(values), self.specs), valid

    def read(self, window):
        """All sources for the pixels of a window of the target grid.

        Parameters
        ----------
        window : rasterio.windows.Window
            Of whole pixels, within the grid.

        Returns
        -------
        MultiSource
            One sample per pixel, row by row. Pixels without data hold a filler (see `extract`).

        Raises
        ------
        TypeError
            If it is no window.
        ValueError
            If the window is empty, not of whole pixels or reaches over the grid.
        OSError
            If a file cannot be read or has changed since the scene was opened.
        """
        return self.extract(*self.pixels(window))[0]

    def pixels(self, window):
        """Rows and columns of a window's pixels, row by row."""
        row, col, height, width = _check_window(window, self.grid)
        rows, cols = np.indices((height, width))
        return (rows + row).ravel(), (cols + col).ravel()

    def sample(
        self,
        polygons,
        label=None,
        group=None,
        *,
        inside="centre",
        max_pixels=None,
        random_state=0,
        block_size=256,
    ):
        """Samples of the pixels in labelled polygons or at points, or in a raster of labels.

        A pixel belongs to a polygon if its centre lies inside, and to a point in it; to the later of several.

        Parameters
        ----------
        polygons : path, GeoDataFrame; or path, RasterArray, DataArray, VectorRaster of a raster
            Polygons or points as GeoPackage, shapefile, GeoJSON or anything that geopandas reads, in any
            reference system: they are reprojected to the scene's. Or a raster of class codes, where 0,
            negative codes and nodata mean no label, on a grid that nests in the scene's.
        label : str, or dict of int to str for a raster
            Field with the class, text or integer. Objects without a label (None, NaN, infinity, empty
            text) are dropped. For a raster, the names of those codes that are wanted; all codes by default.
        group : str, or a raster for a raster, optional
            Field that says which samples stay together in a split; by default each polygon or point is a
            group of its own, named by its position in the layer: 0, 1, ... For a raster of labels, a raster
            of objects; by default, pixels of one class that touch are an object.
        inside : {"centre", "whole"}, default="centre"
            Whether a pixel is in a polygon by its centre, or only as a whole.
        max_pixels : int, optional
            Most pixels of an object (of all shapes with the same value of `group`), chosen by chance among
            those with data.
        random_state : int, default=0
            Seed of that choice.
        block_size : int, default=256
            Pixels are read in squares of this many pixels. The result does not depend on it.

        Returns
        -------
        Samples
            With ``X`` (`MultiSource`), ``y``, ``groups``, ``rows`` and ``cols`` (in the target grid), row
            by row over the grid whatever the order in the layer; ``report``, a dict of counts; and
            ``dropped``, the objects without samples and why.

        Raises
        ------
        ValueError
            If a field is missing or holds neither text nor integers, the layer has no reference system, or
            no sample is left.
        """
        if inside not in ("centre", "whole"):
            raise ValueError(f"inside must be 'centre' or 'whole'; got {inside!r}.")
        if is_label_raster(polygons):
            if inside != "centre":
                raise ValueError(f"inside={inside!r} is for polygons; leave it out for a raster of labels.")
            labelled = labelled_raster(self, polygons, label, group)
        elif label is None:
            raise TypeError(
                "sample needs the name of the field with the class: scene.sample(polygons, 'class')."
            )
        else:
            labelled = labelled_layer(self, polygons, label, group, inside)
        return take_samples(self, labelled, max_pixels, random_state, block_size)

    def __repr__(self):
        parts = [f"{name}: {spec.kind} {spec.shape}" for name, spec in self.specs.items()]
        return f"Scene({self.shape[0]} x {self.shape[1]} pixels, {', '.join(parts)})"


def _as_sources(sources):
    kinds = SeriesRaster, PatchRaster, VectorRaster, PatchSeriesRaster
    if not isinstance(sources, Mapping) or not sources:
        raise TypeError(
            'Scene needs a dict of sources by name, such as {"s2": SeriesRaster("s2.tif", n_bands=10)}; got '
            f"{sources!r}."
        )
    for name, source in sources.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"Names of sources must be non-empty strings; got {name!r}.")
        if not hasattr(source, "open") or not hasattr(source, "path"):
            raise TypeError(
                f"Source {name!r} must be a {', a '.join(kind.__name__ for kind in kinds)}; got "
                f"{type(source).__name__}. Write, for instance, {name}=PatchRaster({str(source)!r:.80})."
            )
    return dict(sources)


def _check_common(alignments):
    rows = np.logical_and.reduce([alignment.covered_rows() for alignment in alignments.values()])
    cols = np.logical_and.reduce([alignment.covered_cols() for alignment in alignments.values()])
    if not (rows.any() and cols.any()):
        covered = ", ".join(f"{name}: {a.source.path} {a.source.bounds}" for name, a in alignments.items())
        raise ValueError(
            "Sources must have a part of the grid in common; each of them covers another part (x and y from, "
            f"x and y to): {covered}. Leave one of them out, or give images of the same place."
        )


def _check_pixels(rows, cols):
    rows, cols = np.asarray(rows), np.asarray(cols)
    whole = rows.dtype.kind in "iu" and cols.dtype.kind in "iu"
    if rows.ndim != 1 or rows.shape != cols.shape or not len(rows) or not whole:
        raise ValueError(
            "rows and cols must be a whole row and column for each pixel, of one pixel at least; got shapes "
            f"{rows.shape} and {cols.shape} of {rows.dtype} and {cols.dtype}."
        )
    return rows, cols


def _check_window(window, grid):
    if not isinstance(window, Window):
        raise TypeError(
            "A window must be a rasterio.windows.Window, such as Window(col_off=0, row_off=0, width=256, "
            f"height=256); got {window!r:.80}."
        )
    bounds = (window.row_off, window.col_off, window.height, window.width)
    row, col, height, width = bounds
    whole = all(float(part).is_integer() for part in bounds) and height > 0 and width > 0
    if not whole or min(row, col) < 0 or row + height > grid.height or col + width > grid.width:
        raise ValueError(
            f"A window must hold whole pixels of the grid, which has {grid.height} rows and {grid.width} "
            f"columns; got rows {window.row_off} to {window.row_off + window.height} and columns "
            f"{window.col_off} to {window.col_off + window.width}."
        )
    return tuple(map(int, bounds))
