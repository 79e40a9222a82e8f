"""The files of a made scene: GeoTIFFs written tile by tile, and a layer of polygons."""

import json
from contextlib import ExitStack

import numpy as np

from .appearance import BANDS, PATCH_BANDS, series_bands
from .landscape import CLASSES, RATIO
from .textures import TILE, tiles

__all__ = ["write_images", "write_objects"]

_CORNER = (330_000, 7_670_000)  # x and y of the upper left corner
_CRS = "EPSG:32740"


def write_images(made, view):
    """All images of a scene, tile by tile."""
    bands = [_repeated(BANDS, k, series_bands(len(view.bands))) for k in range(len(view.bands))]
    described = {
        made.series: ("uint16", 1, [f"{day}_{band}" for day in made.dates for band in bands]),
        made.mask: ("uint8", 1, [f"{day}_SCL" for day in made.dates]),
        made.truth: ("uint8", 1, ["class"]),
        made.patch: (
            "uint16",
            RATIO,
            [_repeated(PATCH_BANDS, k, view.patch_bands) for k in range(len(view.patch_bands))],
        ),
    }
    with ExitStack() as stack:
        files = {
            path: stack.enter_context(_created(path, view.landscape.shape, *how))
            for path, how in described.items()
        }
        _name_classes(files[made.truth])
        for window in tiles(view.landscape.shape):
            for path, values in _tile_of_images(made, view, window).items():
                _write_tile(files[path], values, window)


def _tile_of_images(made, view, window):
    """Values (n_bands, height, width) of every image in one window of pixels of 10 m."""
    values, scl = view.series(window)
    fine = tuple(RATIO * n for n in window)
    centres = view.landscape.parcels(fine)[RATIO // 2 :: RATIO, RATIO // 2 :: RATIO]
    size = window[2:]
    return {
        made.series: values.reshape(*size, -1).transpose(2, 0, 1),
        made.mask: scl.reshape(*size, -1).transpose(2, 0, 1),
        made.truth: (view.landscape.class_index[centres] + 1).astype(np.uint8)[None],
        made.patch: view.image(fine),
    }


def _created(path, shape, dtype, ratio, descriptions):
    """A GeoTIFF open for writing."""
    import rasterio

    pixel = 10 / ratio
    file = rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype=dtype,
        count=len(descriptions),
        height=shape[0] * ratio,
        width=shape[1] * ratio,
        crs=_CRS,
        transform=rasterio.Affine(pixel, 0, _CORNER[0], 0, -pixel, _CORNER[1]),
        nodata=0,
        tiled=True,
        blockxsize=TILE if ratio == 1 else TILE * RATIO,  # a written tile fills whole blocks
        blockysize=TILE if ratio == 1 else TILE * RATIO,
        compress="deflate",
        interleave="pixel",
        bigtiff="if_safer",
    )
    file.descriptions = descriptions
    return file


def _name_classes(file):
    """Make it a class map, such as those that `ChunkedPredictor` writes."""
    codes = dict(enumerate(CLASSES, start=1))
    file.write_colormap(1, {code: (*kind.color, 255) for code, kind in codes.items()})
    file.update_tags(CLASS_NAMES=json.dumps({str(code): kind.name for code, kind in codes.items()}))


def _write_tile(file, values, window):
    from rasterio.windows import Window

    ratio = round(10 / file.transform.a)
    row, col = (ratio * n for n in window[:2])
    file.write(values, window=Window(col, row, values.shape[2], values.shape[1]))


def write_objects(path, objects):
    import geopandas
    import shapely

    (x, y), corners = _CORNER, [10 * o.outline for o in objects]
    frame = geopandas.GeoDataFrame(
        {
            "object_id": np.arange(1, len(objects) + 1),
            "class": [CLASSES[o.class_index].name for o in objects],
        },
        geometry=[shapely.Polygon(np.stack([x + c[:, 1], y - c[:, 0]], axis=1)) for c in corners],
        crs=_CRS,
    )
    path.unlink(missing_ok=True)
    frame.to_file(path, driver="GPKG")


def _repeated(names, k, chosen):
    """Name of band k, numbered from its second time on."""
    times = k // len(names) + 1
    return names[chosen[k]].replace(" ", "_") + (f"_{times}" if times > 1 else "")
