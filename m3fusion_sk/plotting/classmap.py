"""A class map as it is shown: not more pixels than can be seen, with names, colours and coordinates."""

import json
from dataclasses import dataclass

import numpy as np

from ..classcodes import EARTH_RADIUS

__all__ = ["ClassMap"]

_WEB_MERCATOR = 3857  # EPSG code of metres that shrink towards the poles
_METRES_PER_DEGREE = 111_320  # along the equator and, within 0.6 %, along meridians


@dataclass(frozen=True, eq=False)
class ClassMap:
    """The codes of a class map, and what they mean.

    Attributes
    ----------
    codes : array of int of shape (height, width)
        As shown, from north to south and west to east; 0 is nodata.
    names : dict of int to str
        Name of each code.
    colors : dict of int to (float, float, float)
        Red, green and blue of each code, from 0 to 1.
    bounds : (float, float, float, float)
        Left, bottom, right and top in coordinates of the map.
    shape : (int, int)
        Height and width of what was read, in pixels of the file.
    unit : str
        Unit of the coordinates: "m", "degree", or "pixel" where the map has no coordinates.
    metres : float or None
        Metres along x of one unit of the coordinates, in the middle of the map; None if unknown.
    crs : str or None
        Coordinate reference system.
    path : str
    """

    codes: np.ndarray
    names: dict
    colors: dict
    bounds: tuple
    shape: tuple
    unit: str
    metres: float | None
    crs: str | None
    path: str

    @classmethod
    def read(cls, path, bounds=None, side=2000):
        """Read a class map, or the part of it within `bounds`, at no more than `side` pixels a side.

        Raises
        ------
        ImportError
            If rasterio is missing.
        ValueError
            If it is no class map, or has nothing within `bounds`.
        """
        try:
            import rasterio
        except ImportError as error:
            raise ImportError('Maps need rasterio: pip install "m3fusion_sk[raster]".') from error
        with rasterio.open(path) as file:
            if "CLASS_NAMES" not in file.tags():
                raise ValueError(
                    f"{path} must be a class map that ChunkedPredictor wrote; it has no tag CLASS_NAMES."
                )
            window = _window(file, bounds)
            shape = window.height, window.width
            codes = file.read(1, window=window, out_shape=_at_most(shape, side))
            codes = codes[:: -1 if file.transform.e > 0 else 1, :: -1 if file.transform.a < 0 else 1]
            names = {int(code): name for code, name in json.loads(file.tags()["CLASS_NAMES"]).items()}
            colors, crs = _colors(file, names), file.crs
            edges = _edges(file.transform, window)
        unit, metres = _unit(crs, (edges[1] + edges[3]) / 2)
        crs = crs.to_string() if crs else None
        return cls(codes, names, colors, edges, shape, unit, metres, crs, str(path))

    @property
    def extent(self):
        """Bounds in the order of matplotlib: left, right, bottom, top."""
        left, bottom, right, top = self.bounds
        return left, right, bottom, top

    @property
    def labels(self):
        """Array of the class names of all shown pixels; empty where there is no data."""
        table = {code: name for code, name in self.names.items() if code}
        values, places = np.unique(self.codes, return_inverse=True)
        return np.array([table.get(int(value), "") for value in values], dtype=object)[places]

    @property
    def aspect(self):
        """How much longer a unit of y is on the ground than one of x."""
        return _METRES_PER_DEGREE / self.metres if self.unit == "degree" else 1.0

    @property
    def legend(self):
        """Colour of each class by its name."""
        return {name: self.colors[code] for code, name in self.names.items()}

    def as_image(self, legend=None):
        """Array (height, width, 3) of colours from 0 to 1, by name; white where there is no data."""
        legend, white = legend or self.legend, (1.0, 1.0, 1.0)
        values, places = np.unique(self.codes, return_inverse=True)
        names = [self.names.get(int(value)) for value in values]
        return np.array([legend.get(name, white) for name in names])[places]

    def require_same_grid(self, other):
        """Refuse a map of other places or another number of pixels."""
        near = 0.01 * (self.bounds[2] - self.bounds[0]) / self.shape[1]  # of a pixel
        same = self.shape == other.shape and np.allclose(self.bounds, other.bounds, rtol=0, atol=near)
        if not same or self.crs != other.crs:
            raise ValueError(
                f"Maps that are compared must have the same grid; {self.path} has {_grid(self)}, and "
                f"{other.path} has {_grid(other)}. Predict both on the same scene."
            )


def _colors(file, names):
    """Those of the file, or the usual ones where another program has dropped them."""
    try:
        table = file.colormap(1)
    except ValueError:
        from ..mapping.legend import Legend

        table = dict(zip(names, Legend.of(list(names.values())).colors, strict=True))
    return {code: tuple(part / 255 for part in table[code][:3]) for code in names}


def _unit(crs, y):
    """Unit of coordinates, and its length along x in metres, where y is that of the middle."""
    if not crs:
        return "pixel", None
    name, factor = crs.units_factor
    if crs.is_geographic:
        return name, _METRES_PER_DEGREE * float(np.cos(np.radians(y)))
    if crs.to_epsg() == _WEB_MERCATOR:
        factor /= np.cosh(y / EARTH_RADIUS)
    return "m" if name in ("metre", "meter") else name, factor


def _grid(shown):
    height, width = shown.shape
    return f"{height}x{width} pixels within {tuple(round(edge, 6) for edge in shown.bounds)} in {shown.crs}"


def _window(file, bounds):
    """The whole pixels that bounds touch, as far as the file has them."""
    from rasterio.windows import Window

    if bounds is None:
        return Window(0, 0, file.width, file.height)
    left, bottom, right, top = bounds
    a, _, x, _, e, y = file.transform[:6]
    cols, rows = sorted(((left - x) / a, (right - x) / a)), sorted(((bottom - y) / e, (top - y) / e))
    col, row = max(0, _floor(cols[0])), max(0, _floor(rows[0]))
    width = min(file.width, -_floor(-cols[1])) - col
    height = min(file.height, -_floor(-rows[1])) - row
    if width < 1 or height < 1:
        raise ValueError(
            f"bounds must be (left, bottom, right, top) and meet those of {file.name}, {tuple(file.bounds)}; "
            f"got {tuple(bounds)}."
        )
    return Window(col, row, width, height)


def _edges(transform, window):
    """Left, bottom, right and top of a window, whichever way its rows and columns run."""
    a, _, x, _, e, y = transform[:6]
    stop_row, stop_col = window.row_off + window.height, window.col_off + window.width
    left, right = sorted((x + a * window.col_off, x + a * stop_col))
    bottom, top = sorted((y + e * window.row_off, y + e * stop_row))
    return left, bottom, right, top


def _floor(position):
    return int(np.floor(position + 1e-6))


def _at_most(shape, side):
    """A shape of the same proportions: more pixels than that cannot be seen."""
    share = min(1, side / max(shape))
    return tuple(max(1, round(n * share)) for n in shape)
