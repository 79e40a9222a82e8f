"""The codes of a class map, in memory or in a raster of any size, read some rows at a time."""

import json
from os import PathLike

import numpy as np

__all__ = ["ArrayCodes", "FileCodes", "open_codes"]

EARTH_RADIUS = 6_378_137.0  # metres, at the equator
_FLATTENING = 1 / 298.257223563  # of the ellipsoid of WGS 84, of that radius
_TOLERANCE = 0.01  # of areas that count as those on the ground: those of UTM are 0.1 to 0.5 % off
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


def _ground_areas(file):
    """Square metres on the ground of 25 pixels of a raster; of fewer, where some are not on the earth."""
    rows, cols = (np.linspace(0, n - 1, 5) + 0.5 for n in file.shape)
    areas = np.array([_ground_area(file, row, col) for row in rows for col in cols])
    return areas[np.isfinite(areas) & (areas > 0)]


def _ground_area(file, row, col):
    """By a tenth of a pixel around its centre, since large ones may reach over a pole."""
    from rasterio.warp import transform

    a, b, c, d, e, f = file.transform[:6]
    x, y = col + np.array([-0.05, 0.05, 0, 0]), row + np.array([0, 0, -0.05, 0.05])
    try:
        degrees = transform(file.crs, "EPSG:4326", a * x + b * y + c, d * x + e * y + f)
    except Exception:  # of a private type: the place or the whole system is not on the earth
        return np.nan
    left, right, top, bottom = _on_ellipsoid(*np.where(np.isfinite(degrees), degrees, np.nan))
    return 100 * np.linalg.norm(np.cross(right - left, bottom - top))


def _on_ellipsoid(longitude, latitude):
    """Points in metres from the centre of the earth, of shape (n, 3)."""
    a, b = np.radians([longitude, latitude])
    squared = _FLATTENING * (2 - _FLATTENING)
    radius = EARTH_RADIUS / np.sqrt(1 - squared * np.sin(b) ** 2)
    return np.transpose(radius * [np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), (1 - squared) * np.sin(b)])


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
    transform, crs, unit, pixel_area, stretch, ground = None, None, "pixel", 1.0, 1.0, None

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
            self.unit, self.pixel_area, self.stretch, self.ground = "pixel", 1.0, 1.0, None
            if file.crs and (file.crs.is_geographic or file.crs.is_projected):
                self._measure(file)

    def _measure(self, file):
        """Areas in the map's unit, if they are those on the ground, which a part of all systems keeps."""
        found, nominal = _ground_areas(file), abs(file.transform.determinant)
        if len(found):
            self.stretch = float(found.max() / found.min())
        if not file.crs.is_projected:
            return
        unit, metres = file.crs.linear_units_factor
        self.ground = float(found.mean() / (nominal * metres**2)) if len(found) else np.nan
        if abs(self.ground - 1) < _TOLERANCE:
            self.unit = "m2" if unit in ("metre", "meter") else f"{unit}2"
            self.pixel_area = nominal

    def __str__(self):
        return str(self.path)

    def blocks(self):
        """(first row, codes) of some rows at a time."""
        height, width = self.shape
        with self._open(self.path) as file:
            for top in range(0, height, _ROWS_AT_ONCE):
                stop = min(top + _ROWS_AT_ONCE, height)
                yield top, file.read(1, window=((top, stop), (0, width)), masked=True).filled(0)
