"""Descriptions of sources on disk. They only store what is given; `Scene` opens and checks them."""

from dataclasses import dataclass
from typing import Any

from .arrays import RasterArray
from .patches import PatchReader
from .patchseries import PatchSeriesReader
from .series import SeriesReader
from .vectors import VectorReader

__all__ = ["PatchRaster", "PatchSeriesRaster", "RasterArray", "SeriesRaster", "VectorRaster"]


@dataclass(frozen=True, eq=False)
class SeriesRaster:
    """A time series on disk: for each pixel of the target grid an array of shape (n_dates, n_bands).

    On a finer grid than the target's, the pixel at the target pixel's centre counts; on a coarser one,
    the pixel that contains the target pixel's centre.

    Parameters
    ----------
    path : path, RasterArray or DataArray; or list of these, list of lists, or dict by date
        One stack with the bands of all dates; one file for each date; or, as inner lists, the files of the
        bands of each date. A dict has dates as keys, and None for a date without a file: all its pixels are
        missing. Arrays stand for files: numpy, memmap and zarr as
        `RasterArray`, xarray's DataArray as it is (with its time coordinate as dates, also in a list of one
        for each date).
    n_bands : int, optional
        Bands of a date. For one stack it follows from `dates` or from the mask when it is left out.
    dates : sequence of str, datetime64 or date, or "names", optional
        The dates in ascending order, as text (``"2018-05-01"``, ``"20180501"``) or dates; or "names": those
        in the names of the files (of several in each name, the first that differs), which are then brought
        into order, or in the descriptions of the stack's bands. Gaps are filled linearly in time; without
        dates, equal steps are assumed.
    order : {"date", "band"}, default="date"
        Order of one stack's bands: date by date, then band, or band by band, then date.
    mask : path, RasterArray or DataArray; or list of these, or dict by date, optional
        Raster with one band per date, or one file for each date, such as a scene classification. It may
        have a grid of its own that nests in the series': the mask's pixel at the centre of the series'
        pixel counts. Beyond its extent every date is missing. Arrays may hold booleans.
    valid : collection of int, default=(4, 5, 6, 7)
        Codes of the mask that mean a usable observation. The default is that of Sentinel-2's scene
        classification: vegetation, bare, water, unclassified. For booleans (True,), or (False,) where these
        are clouds.
    fill : {"linear", None}, default="linear"
        How missing values are filled: linearly in time, the nearest valid one at either end; or not at
        all, which leaves NaN (for `GapFiller`).
    nodata : float, optional
        Value that means missing, before scaling; by default what the file declares. NaN and infinity
        always do.
    scale, offset : float or array, optional
        Values are ``raw * scale + offset``, as float32: one number for all, or numbers that broadcast
        against (n_dates, n_bands), such as one for each band.
        ``scale="file"`` takes both as the file declares them. Left out, values stay raw.

    Notes
    -----
    Values have the raster's own integer type where nothing can be missing (integers, no mask, no nodata
    value, no scale), else they are float32. A pixel is nodata if one of its bands has no valid date at all.
    A file's internal mask is not read, and an alpha band is a band like the others: use `mask` or `nodata`.

    Examples
    --------
    >>> from m3fusion_sk.mapping import SeriesRaster
    >>> SeriesRaster("s2_20m.tif", n_bands=6, mask="scl.tif").valid
    (4, 5, 6, 7)
    """

    path: Any
    n_bands: int | None = None
    dates: Any = None
    order: str = "date"
    mask: Any = None
    valid: Any = (4, 5, 6, 7)
    fill: str | None = "linear"
    nodata: float | None = None
    scale: Any = None
    offset: Any = None

    def open(self, name):
        """The reader of this source; `name` is for messages."""
        return SeriesReader(name, self)


@dataclass(frozen=True, eq=False)
class PatchRaster:
    """An image on disk, of which each sample is a patch of shape (n_bands, height, width).

    With k image pixels to a side of a target pixel, the patch of target pixel (row, col) is centred on
    image pixel ``row * k + k // 2`` (likewise columns), counted from the target grid's origin, and starts
    ``size // 2`` before it. Beyond the image it is continued by reflection without repeating the edge.

    Parameters
    ----------
    path : path, RasterArray or DataArray; or list of these
        The image; several files on one grid are joined by their bands.
    size : int or (int, int), default=25
        Side of a patch, or height and width, in pixels of the image.
    bands : sequence of int, optional
        Bands to read of each file, counted from 1 as in rasterio; all by default.
    nodata : float, optional
        Value that means missing, before scaling; by default what the file declares. NaN and infinity
        always do.
    scale, offset : float or array, optional
        Values are ``raw * scale + offset``, as float32: one number for all, or one for each band.
        ``scale="file"`` takes both as the file declares them. Left out, values stay raw.

    Notes
    -----
    Values keep the image's type, unless they are scaled. Missing values within a patch read as 0. A pixel
    is nodata where the patch's centre lies outside the image or misses all its bands. A file's internal
    mask is not read, and an alpha band is a band like the others: use `bands` and `nodata`.

    Examples
    --------
    >>> from m3fusion_sk.mapping import PatchRaster
    >>> PatchRaster("spot.tif", size=25, bands=[1, 2, 3]).size
    25
    """

    path: Any
    size: Any = 25
    bands: Any = None
    nodata: float | None = None
    scale: Any = None
    offset: Any = None

    def open(self, name):
        """The reader of this source; `name` is for messages."""
        return PatchReader(name, self)


@dataclass(frozen=True, eq=False)
class VectorRaster:
    """Plain features on disk: for each pixel the value of each band, shape (n_features,).

    On a finer grid than the target's, the pixel at the target pixel's centre counts; on a coarser one,
    the pixel that contains the target pixel's centre.

    Parameters
    ----------
    path : path, RasterArray or DataArray; or list of these
        The raster; the bands of several files on one grid are joined as features.
    bands : sequence of int, optional
        Bands to read of each file, counted from 1 as in rasterio; all by default.
    nodata : float, optional
        Value that means missing, before scaling; by default what the file declares. NaN and infinity
        always do.
    scale, offset : float or array, optional
        Values are ``raw * scale + offset``, as float32: one number for all, or one for each band.
        ``scale="file"`` takes both as the file declares them. Left out, values stay raw.

    Notes
    -----
    Values keep the raster's type, unless they are scaled. A pixel is nodata where one of its features is
    missing. A file's internal mask is not read, and an alpha band is a band like the others: use `bands`
    and `nodata`.

    Examples
    --------
    >>> from m3fusion_sk.mapping import VectorRaster
    >>> VectorRaster(["elevation.tif", "slope.tif"]).path
    ['elevation.tif', 'slope.tif']
    """

    path: Any
    bands: Any = None
    nodata: float | None = None
    scale: Any = None
    offset: Any = None

    def open(self, name):
        """The reader of this source; `name` is for messages."""
        return VectorReader(name, self)


@dataclass(frozen=True, eq=False)
class PatchSeriesRaster:
    """Images of several dates on disk, of which each sample is a series of patches.

    Of shape (n_dates, n_bands, height, width); each date's patch lies as in `PatchRaster`.

    Parameters
    ----------
    path, n_bands
        As in `SeriesRaster`.
    size : int or (int, int), default=9
        Side of a patch, or height and width, in pixels of the images.
    dates, order, mask, valid, fill, nodata, scale, offset
        As in `SeriesRaster`, for each pixel of the images: missing dates are filled pixel by pixel.

    Notes
    -----
    Values have the type that `SeriesRaster` gives them. A pixel is nodata where the patch's centre lies
    outside the images or has a band without any valid date. Other pixels of a patch that have one read as
    0 at all dates. With ``fill=None`` a date with NaN anywhere in the patch is one that the sample lacks for
    ``M3FusionClassifier(missing="mask")``: with clouds, the smaller the patches the fewer dates are lost.

    Examples
    --------
    >>> from m3fusion_sk.mapping import PatchSeriesRaster
    >>> PatchSeriesRaster("s2_stack.tif", n_bands=10, size=9).fill
    'linear'
    """

    path: Any
    n_bands: int | None = None
    size: Any = 9
    dates: Any = None
    order: str = "date"
    mask: Any = None
    valid: Any = (4, 5, 6, 7)
    fill: str | None = "linear"
    nodata: float | None = None
    scale: Any = None
    offset: Any = None

    def open(self, name):
        """The reader of this source; `name` is for messages."""
        return PatchSeriesReader(name, self)
