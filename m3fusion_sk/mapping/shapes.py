"""Polygons and points on a grid: in pixel coordinates, and as the pixels that they stand for."""

import numpy as np
from affine import Affine

__all__ = ["burn", "locate", "to_pixels"]

POLYGONS, POINTS = {"Polygon", "MultiPolygon"}, {"Point", "MultiPoint"}
_DECIMALS = 6  # of a pixel: makes edges that run through pixel centres do so exactly


def to_pixels(frame, grid, source):
    """Geometries of a GeoDataFrame in (column, row) coordinates of the grid; `source` is for messages."""
    import shapely

    shapes = _joined(_reprojected(frame, grid, source).to_numpy())
    strange = {s.geom_type for s in shapes if s is not None} - POLYGONS - POINTS
    if strange:
        raise ValueError(
            f"The layer must hold polygons or points; got {', '.join(sorted(strange))} from {source}. Make "
            "lines as wide as what they stand for: lines.buffer(10), say."
        )
    origin, step = (grid.transform.c, grid.transform.f), (grid.transform.a, grid.transform.e)
    return shapely.transform(shapes, lambda xy: np.round((xy - origin) / step, _DECIMALS))


def _joined(shapes):
    """With collections of nothing but polygons, which repairing a polygon may leave, as these."""
    import shapely

    shapes = shapes.copy()
    for i in np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION):
        if {part.geom_type for part in shapes[i].geoms} <= POLYGONS:
            shapes[i] = shapely.union_all(shapes[i].geoms)
    return shapes


def _reprojected(frame, grid, source):
    if (frame.crs is None) != (grid.crs is None):
        without = source if frame.crs is None else grid.path
        raise ValueError(
            f"Layer and images must both have a reference system, or neither; {without} has none. "
            "Set it, for instance with layer.set_crs(...)."
        )
    if frame.crs is None or frame.crs == grid.crs:
        return frame.geometry
    return frame.geometry.to_crs(grid.crs.to_wkt())


def locate(shapes, grid):
    """Whether each shape, in pixel coordinates, touches the grid; a missing shape counts as located."""
    import shapely

    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    touches = ~there
    bounds = shapely.bounds(shapes)
    finite = there & np.isfinite(bounds).all(axis=1)  # reprojection may have sent points to infinity
    touches[finite] = shapely.intersects(shapes[finite], shapely.box(0, 0, grid.width, grid.height))
    return touches


def burn(shapes, wanted, grid, inside="centre"):
    """Pixels whose centre lies in a polygon, or that hold a point, row by row; a later shape takes them.

    With `inside` "whole", pixels that lie in a polygon as a whole. A point on the edge of two pixels is in
    the lower, or right one.

    Each shape is burnt by itself into the part of the grid that it covers, so that the result depends on
    neither the other shapes nor any division into blocks.

    Returns
    -------
    rows, cols, objects : array of int of shape (n_pixels,)
        Each pixel and the position of its shape.
    n_overlapping : int
        Number of pixels that lie in more than one shape.
    """
    parts = [_burn_one(shapes[i], grid, inside) for i in np.flatnonzero(wanted)]
    flat = np.concatenate([np.zeros(0, np.int64), *parts])
    objects = np.repeat(np.flatnonzero(wanted), [len(part) for part in parts])
    pixels, last, counts = np.unique(flat[::-1], return_index=True, return_counts=True)
    rows, cols = np.divmod(pixels, grid.width)
    return rows, cols, objects[::-1][last], int((counts > 1).sum())


def _burn_one(shape, grid, inside):
    """Flat positions in the grid of the pixels in one shape."""
    if shape is None or shape.is_empty:
        return np.zeros(0, np.int64)
    if shape.geom_type in POINTS:
        return _with_points(shape, grid)
    return _in_polygon(shape, grid, inside)


def _with_points(shape, grid):
    import shapely

    cols, rows = np.floor(shapely.get_coordinates(shape)).astype(np.int64).T
    there = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    return np.unique(rows[there] * grid.width + cols[there])


def _in_polygon(shape, grid, inside):
    from rasterio.features import rasterize

    left, top, right, bottom = shape.bounds
    left, top = max(0, int(np.floor(left))), max(0, int(np.floor(top)))
    right, bottom = min(grid.width, int(np.ceil(right))), min(grid.height, int(np.ceil(bottom)))
    if left >= right or top >= bottom:
        return np.zeros(0, np.int64)
    burnt = rasterize(
        [shape],
        out_shape=(bottom - top, right - left),
        transform=Affine.translation(left, top),
        dtype="uint8",
    )
    rows, cols = np.nonzero(burnt)
    rows, cols = rows + top, cols + left
    if inside == "whole":
        whole = _holds(shape, rows, cols)
        rows, cols = rows[whole], cols[whole]
    return rows * grid.width + cols


def _holds(shape, rows, cols):
    """Whether a shape holds each pixel as a whole; its edge may be the pixel's."""
    import shapely

    if not shape.is_valid:  # it crosses itself: what GEOS says of it would be wrong
        parts = shapely.get_parts(shapely.make_valid(shape))
        shape = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    shapely.prepare(shape)
    return shapely.covers(shape, shapely.box(cols, rows, cols + 1, rows + 1))
