"""Polygons and points on a grid: in pixel coordinates, and as the pixels that they stand for."""

import numpy as np
from affine import Affine

from .grid import how_to_set_crs

__all__ = ["are_points", "burn", "extent", "locate", "to_pixels"]

POLYGONS, POINTS = {"Polygon", "MultiPolygon"}, {"Point", "MultiPoint"}
_OF_LAYER = "geopandas.read_file(path).set_crs('EPSG:4326') for longitude and latitude, say."
_DECIMALS = 6  # of a pixel: makes edges that run through pixel centres do so exactly


def to_pixels(frame, grid, source):
    """Geometries of a GeoDataFrame in (column, row) coordinates of the grid; `source` is for messages."""
    import shapely

    shapes = _joined(_reprojected(frame, grid, source).to_numpy())
    strange = {shape.geom_type for shape in shapes[_hold_something(shapes)]} - POLYGONS - POINTS
    if strange:
        raise ValueError(
            f"The layer must hold polygons or points; got {', '.join(sorted(strange))} from {source}. Take "
            "collections apart with layer.explode(), and make lines as wide as what they stand for, in "
            "metres: lines.to_crs('EPSG:32740').buffer(10), say."
        )
    origin, step = (grid.transform.c, grid.transform.f), (grid.transform.a, grid.transform.e)
    return shapely.transform(shapes, lambda xy: np.round((xy - origin) / step, _DECIMALS))


def _joined(shapes):
    """With collections of nothing but polygons, which repairing a polygon may leave, or points, as these."""
    import shapely

    shapes = shapes.copy()
    for i in np.flatnonzero(shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION):
        kinds = {part.geom_type for part in shapes[i].geoms}
        if kinds and (kinds <= POLYGONS or kinds <= POINTS):
            shapes[i] = shapely.union_all(shapes[i].geoms)
    return shapes


def _reprojected(frame, grid, source):
    if (frame.crs is None) != (grid.crs is None):
        raise _no_crs(source, _OF_LAYER) if frame.crs is None else _no_crs(grid.path, _of_images(grid.path))
    if frame.crs is None or frame.crs == grid.crs:
        return frame.geometry
    return frame.geometry.to_crs(grid.crs.to_wkt())


def _no_crs(without, todo):
    return ValueError(
        f"Layer and images must both have a reference system, or neither; {without} has none. Set it: {todo}"
    )


def _of_images(path):
    return f"the one of its coordinates, with {how_to_set_crs(path, 'EPSG:32740')}, say."


def _hold_something(shapes):
    import shapely

    return ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))


def extent(shapes, grid):
    """Least and greatest x and y of shapes in pixel coordinates, rounded; None of none."""
    import shapely

    corners = shapely.total_bounds(shapes).reshape(2, 2) if len(shapes) else np.nan
    if not np.isfinite(corners).all():
        return None
    places = corners * (grid.transform.a, grid.transform.e) + (grid.transform.c, grid.transform.f)
    return [tuple(part.round(3).tolist()) for part in (places.min(axis=0), places.max(axis=0))]


def locate(shapes, grid):
    """Whether each shape, in pixel coordinates, touches the grid; a missing shape counts as located."""
    import shapely

    there, points = _hold_something(shapes), are_points(shapes)
    touches = ~there
    touches[np.flatnonzero(points)[_with_points(shapes[points], grid)[0]]] = True
    bounds = shapely.bounds(shapes)  # reprojection may have sent corners to infinity
    finite = there & ~points & np.isfinite(bounds).all(axis=1)
    touches[finite] = shapely.intersects(shapes[finite], shapely.box(0, 0, grid.width, grid.height))
    return touches


def are_points(shapes):
    """Which shapes are points, one or several."""
    import shapely

    kinds = shapely.GeometryType
    return np.isin(shapely.get_type_id(shapes), [kinds.POINT, kinds.MULTIPOINT])


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
    pointed = are_points(shapes)
    points, polygons = np.flatnonzero(wanted & pointed), np.flatnonzero(wanted & ~pointed)
    of_points, at_points = _with_points(shapes[points], grid)
    parts = [_in_polygon(shapes[i], grid, inside) for i in polygons]
    flat = np.concatenate([at_points, *parts])
    objects = np.concatenate([points[of_points], np.repeat(polygons, [len(part) for part in parts])])
    order = np.argsort(objects, kind="stable")
    flat, objects = flat[order], objects[order]
    pixels, last, counts = np.unique(flat[::-1], return_index=True, return_counts=True)
    rows, cols = np.divmod(pixels, grid.width)
    return rows, cols, objects[::-1][last], int((counts > 1).sum())


def _with_points(shapes, grid):
    """Of each pixel with a point: which of the shapes has one there, and its flat position in the grid."""
    import shapely

    places, objects = shapely.get_coordinates(shapes, return_index=True)
    there = ((places >= 0) & (places < (grid.width, grid.height))).all(axis=1)
    cols, rows = places[there].astype(np.int64).T
    return np.unique(np.stack([objects[there], rows * grid.width + cols]), axis=1)


def _in_polygon(shape, grid, inside):
    """Flat positions in the grid of the pixels in one polygon."""
    from rasterio.features import rasterize

    if shape is None or shape.is_empty:
        return np.zeros(0, np.int64)
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
