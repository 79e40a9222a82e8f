"""The codes of a class map, in memory or in a raster of any size, read some rows at a time."""

import json
from os import PathLike

import numpy as np

__all__ = ["ArrayCodes", "FileCodes", "open_codes"]

WEB_MERCATOR, EARTH_RADIUS = 3857, 6_378_137.0  # EPSG code of metres that shrink towards the poles; metres
_ROWS_AT_ONCE = 512


def open_codes(class_map):
    """The codes of a path or of an array of shape (height, width).

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.classcodes import open_codes
    >>> open_codes(np.array([[2, 1, 1], [0, 0, 2]])).count()
    {1: 2, 2: 2}
    """
    return FileCodes(class_map) if isinstance(class_map, str | PathLike) else ArrayCodes(class_map)


def _stretch(file):
    """How many times as large the largest pixels of a raster are on the ground as its smallest."""
    _, bottom, _, top = file.bounds
    if file.crs and file.crs.is_geographic:
        sides = np.cos(np.radians([bottom, top]))
    elif file.crs and file.crs.to_epsg() == WEB_MERCATOR:
        sides = 1 / np.cosh(np.array([bottom, top]) / EARTH_RADIUS) ** 2
    else:
        return 1.0
    return float(max(sides) / max(min(sides), 1e-9))


class _Codes:
    """What both have: blocks of codes, where 0 is nodata."""

    def count(self):
        """Number of pixels of each code but 0, which is nodata, in the order of the codes."""
        total = {}
        for _, block in self.blocks():
            for code, n in _counted(block):
                total[code] = total.get(code, 0) + n
        return {code: total[code] for code in sorted(total) if code}


def _counted(block):
    """Pairs of code and number; codes of 8 and 16 bits need no sorting."""
    if block.dtype.kind == "u" and block.dtype.itemsize <= 2:
        counts = np.bincount(block.ravel())
        codes = np.flatnonzero(counts)
        counts = counts[codes]
    else:
        codes, counts = np.unique(block, return_counts=True)
    return zip(codes.tolist(), counts.tolist(), strict=True)


class ArrayCodes(_Codes):
    """Class codes in memory, and the little that is known about them."""

    names = {}
    transform, crs, unit, pixel_area, stretch = None, None, "pixel", 1.0, 1.0

    def __init__(self, codes):
        codes = np.ma.filled(codes, 0) if isinstance(codes, np.ma.MaskedArray) else np.asarray(codes)
        if codes.ndim != 2 or codes.dtype.kind not in "iu":
            raise TypeError(
                "class_map must be a path, or an array of integer codes of shape (height, width); got "
                f"shape {codes.shape} and dtype {codes.dtype}."
            )
        self.codes = codes

    def __str__(self):
        return f"the array of shape {self.codes.shape}"

    def blocks(self):
        """(first row, codes) of some rows at a time."""
        for top in range(0, len(self.codes), _ROWS_AT_ONCE):
            yield top, self.codes[top : top + _ROWS_AT_ONCE]


class FileCodes(_Codes):
    """Class codes in a raster."""

    def __init__(self, path):
        try:
            import rasterio
        except ImportError as error:
            raise ImportError('Maps need rasterio: pip install "m3fusion_sk[raster]".') from error
        self._open, self.path = rasterio.open, path
        with rasterio.open(path) as file:
            if np.dtype(file.dtypes[0]).kind not in "iu":
                raise TypeError(f"class_map must hold integer codes; {path} holds {file.dtypes[0]}.")
            names = json.loads(file.tags().get("CLASS_NAMES", "{}"))
            self.names = {int(code): name for code, name in names.items()}
            self.transform, self.shape = file.transform, file.shape
            self.crs = file.crs.to_wkt() if file.crs else None
            self.unit, self.pixel_area, self.stretch = "pixel", 1.0, _stretch(file)
            if file.crs and file.crs.is_projected and file.crs.to_epsg() != WEB_MERCATOR:
                unit = file.crs.linear_units
                self.unit = "m2" if unit in ("metre", "meter") else f"{unit}2"
                self.pixel_area = abs(file.transform.determinant)

    def __str__(self):
        return str(self.path)

    def blocks(self):
        """(first row, codes) of some rows at a time."""
        height, width = self.shape
        with self._open(self.path) as file:
            for top in range(0, height, _ROWS_AT_ONCE):
                stop = min(top + _ROWS_AT_ONCE, height)
                yield top, file.read(1, window=((top, stop), (0, width)), masked=True).filled(0)
