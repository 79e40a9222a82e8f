"""Rasters for tests: small files whose values say where they stand, and a slow way to look them up."""

import json
import tempfile
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import rasterio
from hypothesis import assume
from hypothesis import strategies as st

ORIGIN = (500_000, 5_630_000)


@contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def write(path, values, pixel=10, origin=ORIGIN, crs="EPSG:32631", transform=None, **profile):
    """Write values of shape (n_bands, height, width); `origin` is the upper left corner (x, y)."""
    values = np.asarray(values)
    transform = transform or rasterio.Affine(pixel, 0, origin[0], 0, -pixel, origin[1])
    profile = {"count": len(values), "height": values.shape[1], "width": values.shape[2], **profile}
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, crs=crs, transform=transform, **profile
    ) as file:
        file.write(values)
    return path


def write_vrt(path, source, height, width):
    """A virtual raster of the first band of a raster beside it, on the grid of `write`."""
    path.write_text(
        f"""<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>EPSG:32631</SRS>
        <GeoTransform>{ORIGIN[0]}, 10, 0, {ORIGIN[1]}, 0, -10</GeoTransform>
        <VRTRasterBand dataType="Byte" band="1"><SimpleSource>
        <SourceFilename relativeToVRT="1">{source}</SourceFilename><SourceBand>1</SourceBand>
        </SimpleSource></VRTRasterBand></VRTDataset>"""
    )
    return path


CLASS_NAMES = {1: "forest", 2: "water"}
CLASS_COLORS = {1: (255, 0, 0), 2: (0, 0, 255)}


def write_class_map(
    path, codes, names=CLASS_NAMES, colors=CLASS_COLORS, crs="EPSG:32740", pixel=10, origin=None
):
    """A class map such as `ChunkedPredictor` writes: with names and colours, and 0 as nodata."""
    origin = origin or ((320000, 7690000) if crs == "EPSG:32740" else (10, 60))
    dtype = np.uint8 if np.max(codes) < 256 else np.uint16
    write(path, np.asarray(codes, dtype)[None], pixel, origin, crs, nodata=0)
    with rasterio.open(path, "r+") as file:
        if colors:
            file.write_colormap(1, {code: (*rgb, 255) for code, rgb in colors.items()})
        file.update_tags(CLASS_NAMES=json.dumps({str(code): name for code, name in names.items()}))
    return path


def coded(n_bands, height, width, dtype="int32", start=1):
    """Values that no two pixels or bands share."""
    return np.arange(start, start + n_bands * height * width).reshape(n_bands, height, width).astype(dtype)


def containing(i, target, source):
    """Source pixel at the centre of target pixel i along one axis; grids as (origin, pixel size)."""
    centre = Fraction(target[0]) + (Fraction(i) + Fraction(1, 2)) * Fraction(target[1])
    return (centre - Fraction(source[0])) // Fraction(source[1])


@st.composite
def nested_grids(draw, max_ratio=10):
    """Shapes, pixel sizes and origins of a target grid and of a finer or coarser source that overlap."""
    ratio = draw(st.integers(1, max_ratio))
    finer = draw(st.booleans())
    sizes = (2 * ratio, 2) if finer else (2, 2 * ratio)  # of target and source
    shapes = tuple(tuple(draw(st.integers(1, n)) for _ in "rc") for n in ((9, 40) if finer else (12, 6)))
    offset = []  # of the source's corner from the target's, to the right and down
    for axis in (1, 0):
        n_target, n_source = (shapes[0][axis] * sizes[0] // 2, shapes[1][axis] * sizes[1] // 2)
        low, high = 1 - n_source, n_target - 1
        offset.append(2 * draw(st.integers(low, high)))
    origin = draw(st.tuples(st.integers(-(10**6), 10**7), st.integers(-(10**6), 10**7)))
    source_origin = (origin[0] + offset[0], origin[1] - offset[1])
    grids = {
        "target": {"shape": shapes[0], "pixel": sizes[0], "origin": origin},
        "source": {"shape": shapes[1], "pixel": sizes[1], "origin": source_origin},
    }
    assume(any(centre_pixel(grids, *pixel) for pixel in np.ndindex(shapes[0])))
    return grids


def centre_pixel(grids, row, col):
    """Source row and column at the centre of a target pixel, from coordinates; None if outside."""
    target, source = grids["target"], grids["source"]
    c = containing(col, (target["origin"][0], target["pixel"]), (source["origin"][0], source["pixel"]))
    r = containing(row, (-target["origin"][1], target["pixel"]), (-source["origin"][1], source["pixel"]))
    inside = 0 <= r < source["shape"][0] and 0 <= c < source["shape"][1]
    return (int(r), int(c)) if inside else None
