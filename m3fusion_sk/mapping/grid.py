"""Pixel grids and how they nest: all in integers once the edges are known to agree."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

__all__ = ["Alignment", "Grid", "as_sides", "called_array", "check_crs", "how_to_set_crs", "is_count"]

TOLERANCE = 0.01  # of the finer pixel: how far pixel edges may lie apart
SQUARE = 1e-4  # relative difference of a pixel's width and height
_ARRAY = "the array of source"
_UNITS = {"metre": " m", "degree": " degrees", "unknown": ""}


@dataclass(frozen=True)
class Grid:
    """The pixel grid of a raster: square pixels along the axes of its reference system.

    Parameters
    ----------
    crs : rasterio.crs.CRS or None
        Coordinate reference system.
    transform : affine.Affine
        From (column, row) to coordinates (x, y).
    height, width : int
        Number of rows and columns.
    path : str
        The file that has this grid; for messages.

    Raises
    ------
    ValueError
        If the pixels are rotated, sheared or not square.

    Examples
    --------
    >>> from affine import Affine
    >>> from m3fusion_sk.mapping.grid import Grid
    >>> Grid(None, Affine(10, 0, 500000, 0, -10, 4000000), height=20, width=30).bounds
    (500000.0, 3999800.0, 500300.0, 4000000.0)
    """

    crs: CRS | None
    transform: Affine
    height: int
    width: int
    path: str = ""

    def __post_init__(self):
        a, b, _, d, e, _ = self.transform[:6]
        if b or d or not a or not e:
            raise ValueError(
                f"{self.path} must have rows and columns along its axes; its grid is rotated or sheared "
                f"(transform {tuple(self.transform[:6])}). Warp it first, for instance with rio warp."
            )
        if abs(abs(a) - abs(e)) > SQUARE * abs(a):
            raise ValueError(
                f"{self.path} must have square pixels; they are {abs(a)} wide and {abs(e)} high. Warp it "
                "first, for instance with rio warp --res."
            )

    @classmethod
    def of(cls, dataset):
        """The grid of an open raster."""
        return cls(dataset.crs, dataset.transform, dataset.height, dataset.width, dataset.name)

    @property
    def shape(self):
        """Number of rows and columns."""
        return self.height, self.width

    @property
    def bounds(self):
        """Smallest x and y, largest x and y."""
        t = self.transform
        xs, ys = (t.c, t.c + t.a * self.width), (t.f, t.f + t.e * self.height)
        return min(xs), min(ys), max(xs), max(ys)

    def same_as(self, other):
        """Whether both have the same pixels."""
        return (self.crs, self.shape) == (other.crs, other.shape) and self.transform.almost_equals(
            other.transform, precision=TOLERANCE * abs(self.transform.a) / max(self.shape)
        )

    def windows(self, height, width):
        """Windows of at most height x width pixels that cover the grid once, row by row."""
        for row in range(0, self.height, height):
            for col in range(0, self.width, width):
                yield Window(col, row, min(width, self.width - col), min(height, self.height - row))


@dataclass(frozen=True)
class Alignment:
    """Where the pixels of a target grid lie in a source's grid; made by `Alignment.between`.

    Parameters
    ----------
    target, source : Grid
        The two grids.
    finer, coarser : int
        How many source pixels make a side of a target pixel, or the other way round; one of them is 1.
    row_shift, col_shift : int
        Position of the target's first row and column, counted from the source's in the finer pixels.

    Examples
    --------
    >>> from affine import Affine
    >>> from m3fusion_sk.mapping.grid import Alignment, Grid
    >>> target = Grid(None, Affine(10, 0, 0, 0, -10, 0), height=4, width=4)
    >>> image = Grid(None, Affine(2, 0, 0, 0, -2, 0), height=20, width=20)
    >>> Alignment.between(target, image).centre_rows(range(4))
    array([ 2,  7, 12, 17])
    """

    target: Grid
    source: Grid
    finer: int
    coarser: int
    row_shift: int
    col_shift: int

    @classmethod
    def between(cls, target, source):
        """Check that the grids nest and overlap, and say how.

        Raises
        ------
        ValueError
            If they have other reference systems, a ratio that is not an integer, pixel edges more than
            1 % of the finer pixel apart anywhere they overlap, or no pixel in common.
        """
        check_crs(target, source)
        _check_direction(target, source)
        finer, coarser = _check_ratio(target, source)
        shifts, misses = zip(
            *(_shift(_axis(target, i), _axis(source, i), finer, coarser) for i in (0, 1)), strict=True
        )
        _check_edges(target, source, misses)
        alignment = cls(target, source, finer, coarser, *shifts)
        _check_overlap(alignment)
        return alignment

    def centre_rows(self, rows):
        """Source row at the centre of each target row; it may lie outside the source."""
        return (np.asarray(rows) * self.finer + self.finer // 2 + self.row_shift) // self.coarser

    def centre_cols(self, cols):
        """Source column at the centre of each target column; it may lie outside the source."""
        return (np.asarray(cols) * self.finer + self.finer // 2 + self.col_shift) // self.coarser

    def centres(self, rows, cols):
        """Source row and column of target pixels, and whether they lie inside the source."""
        rows, cols = self.centre_rows(rows), self.centre_cols(cols)
        return rows, cols, _within(rows, self.source.height) & _within(cols, self.source.width)

    def covered_rows(self):
        """Whether the centre of each target row lies within the source's rows."""
        return _within(self.centre_rows(np.arange(self.target.height)), self.source.height)

    def covered_cols(self):
        """Whether the centre of each target column lies within the source's columns."""
        return _within(self.centre_cols(np.arange(self.target.width)), self.source.width)


def _within(positions, n):
    return (positions >= 0) & (positions < n)


def _axis(grid, i):
    """Origin, signed pixel size and length along the rows (0) or the columns (1)."""
    t = grid.transform
    return ((t.f, t.e, grid.height), (t.c, t.a, grid.width))[i]


def check_crs(target, source):
    """Refuse grids of different reference systems."""
    if target.crs == source.crs:
        return
    if target.crs and source.crs:
        advice = (
            "Rasters are never reprojected here: warp it first at its own pixel size, for instance with rio "
            f"warp --dst-crs {_crs_name(target.crs)} --res SIZE --target-aligned-pixels."
        )
    else:
        known, bare = (source, target) if source.crs else (target, source)
        advice = (
            f"If it is the same, assign it to {bare.path}, for instance with "
            f"{how_to_set_crs(bare.path, _crs_name(known.crs))}."
        )
    raise ValueError(
        f"{source.path} must have the reference system of {target.path}, {_crs_name(target.crs)}; it has "
        f"{_crs_name(source.crs)}. {advice}"
    )


def called_array(name):
    """What the array of a source is called in place of a path."""
    return f"{_ARRAY} {name!r}"


def how_to_set_crs(path, crs):
    """What says the reference system of a file, or of an array that is called instead, for messages."""
    if path.startswith(_ARRAY):
        return (
            f"RasterArray(values, transform, {crs!r}) or, of xarray, array.rio.write_crs({crs!r}) or "
            f"array.attrs['crs'] = {crs!r}"
        )
    return f"rio edit-info --crs {crs} or gdal_edit.py -a_srs {crs}"


def _crs_name(crs):
    return crs.to_string() if crs else "none"


def _check_direction(target, source):
    (a, e), (b, f) = ((grid.transform.a, grid.transform.e) for grid in (target, source))
    if a * b < 0 or e * f < 0:
        raise ValueError(
            f"{source.path} must have rows and columns in the same direction as {target.path}; its pixels "
            f"are {_pixel(source)} and those of the grid {_pixel(target)}. Flip the one that does not run "
            "from west to east and from north to south, for instance with gdalwarp."
        )


def _check_ratio(target, source):
    """How many source pixels make a side of a target pixel, and the other way round."""
    ratios = target.transform.e / source.transform.e, target.transform.a / source.transform.a
    sides = [round(max(r, 1 / r)) for r in ratios]
    if any(abs(max(r, 1 / r) - n) > TOLERANCE for r, n in zip(ratios, sides, strict=True)):
        raise ValueError(
            f"{source.path} must have pixels that nest in those of {target.path} by an integer ratio, finer "
            f"or coarser; its pixels are {_pixel(source)} and those of the grid {_pixel(target)}: ratio "
            f"{ratios[1]:.6g} x {ratios[0]:.6g}. Resample it first, for instance with rio warp "
            "--res SIZE --target-aligned-pixels, where SIZE divides the grid's pixel."
        )
    return (sides[0], 1) if ratios[0] >= 1 else (1, sides[0])


def _pixel(grid):
    return f"{grid.transform.a:.6g} x {grid.transform.e:.6g}"


def _shift(target, source, finer, coarser):
    """Shift along one axis in the finer pixels, and by how much the source's edges miss, first and last."""
    if coarser == 1:
        shift, misses = _shift_of_coarser(target, source, finer)
        return shift, -misses
    shift, misses = _shift_of_coarser(source, target, coarser)
    return -shift, misses


def _shift_of_coarser(coarse, fine, ratio):
    origin, step, n = coarse
    ends = np.array([fine[0], fine[0] + fine[1] * fine[2]])
    within = np.clip((ends - origin) / step, 0, n)
    edges = np.array([np.floor(within[0]), np.ceil(within[1])])  # of the coarser pixels in the overlap
    positions = (origin + edges * step - fine[0]) / fine[1] - edges * ratio
    shift = round(float(positions[0]))
    return shift, positions - shift


def _check_edges(target, source, misses):
    if np.abs(misses).max() <= TOLERANCE:
        return
    finer = min(abs(target.transform.a), abs(source.transform.a))
    begin, end = (_offset(target, *miss) for miss in zip(*misses, strict=True))
    where = "" if begin == end else f" where they begin to overlap, {end} where they end"
    raise ValueError(
        f"{source.path} must share pixel edges with {target.path}, whose grid is mapped; it is offset by "
        f"{begin}{where}, in pixels of {finer:.6g}{_unit(target.crs)} (allowed: {TOLERANCE}). Warp it first, "
        "with rio warp --res SIZE --target-aligned-pixels or, where the grid does not start at a multiple of "
        "SIZE, with --bounds that lie on the grid. If the images lie on each other and only the place that "
        f"is written down is wrong, correct that instead, {_how_to_move(source.path)}."
    )


def _offset(target, down, right):
    """By how much a source is offset, in words."""
    east, north = right * np.sign(target.transform.a), down * np.sign(target.transform.e)
    columns = f"{abs(right):.3f} columns{_towards(east, 'east', 'west')}"
    return f"{columns} and {abs(down):.3f} rows{_towards(north, 'north', 'south')}"


def _towards(miss, positive, negative):
    if abs(miss) < 0.0005:  # written as 0.000
        return ""
    return f" to the {positive if miss > 0 else negative}"


def _unit(crs):
    """Of the coordinates, after a blank; nothing where it is not known."""
    unit = crs.units_factor[0] if crs else "unknown"
    return _UNITS.get(unit, f" {unit}")


def _how_to_move(path):
    if path.startswith(_ARRAY):
        return "in the transform or the coordinates of the array"
    return "with rio edit-info --transform or gdal_edit.py -a_ullr"


def _check_overlap(alignment):
    source, target = alignment.source, alignment.target
    if not (alignment.covered_rows().any() and alignment.covered_cols().any()):
        raise ValueError(
            f"{source.path} must overlap {target.path}, whose grid is mapped, at the centre of one of its "
            f"pixels at least; it covers {source.bounds} and the grid {target.bounds} (x and y from, x and y "
            "to). Give an image of the same place, or leave the source out."
        )


def is_count(n):
    """Whether n is a positive integer."""
    return isinstance(n, Integral) and not isinstance(n, bool) and n > 0


def as_sides(value, what):
    """Height and width in pixels, from one number or both; `what` is for the message."""
    pair = (value, value) if isinstance(value, Integral) else value
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(map(is_count, pair)):
        raise ValueError(f"{what} must be a positive number of pixels, or (height, width); got {value!r}.")
    return int(pair[0]), int(pair[1])
