"""Writing a class map so that its name stands for a complete file or for none."""

import json
import os
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio

from .legend import NODATA

__all__ = ["MapWriter", "open_map"]

BLOCK = 256  # side of the file's tiles
SIDECARS = ".aux.xml", ".ovr", ".msk"  # statistics, overviews and mask that other programs put beside a file


@contextmanager
def open_map(path, grid, legend, overwrite=False):
    """A `MapWriter` whose file gets its final name when the block ends without an error.

    Until then it has a hidden temporary name beside; it is read again and compared before it is renamed,
    since errors at closing, such as a full disk, are not reported by the library that writes it. What lay
    beside an older map of that name is removed, since it would be taken for the new map's.
    """
    path = check_path(path, overwrite)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with rasterio.open(part, "w", **_profile(grid, legend)) as file:
            _describe(file, legend)
            writer = MapWriter(file)
            yield writer
        _verify(part, writer.checksums, path)
        _flush(part)
        for suffix in SIDECARS:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


class MapWriter:
    """Takes the codes of one window after the other."""

    def __init__(self, file):
        self.file = file
        self.checksums = []  # of each window

    def write(self, window, codes):
        """Write codes of shape (height, width)."""
        self.file.write(codes, 1, window=window)
        self.checksums.append((window, _checksum(codes)))


def check_path(path, overwrite):
    """Refuse, before any work is done, a path that cannot become a new map."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The map's folder must exist; {path.parent} does not. Make it first.")
    if path.is_dir():
        raise IsADirectoryError(f"The map must be a file; {path} is a folder. Add a name, such as map.tif.")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"The map {path} exists already. Choose another name, or pass overwrite=True to replace it."
        )
    return path


def _profile(grid, legend):
    return {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": 1,
        "dtype": legend.codes.dtype,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": NODATA,
        "compress": "deflate",
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "bigtiff": "IF_SAFER",
    }


def _describe(file, legend):
    named = {str(code): name for code, name in zip(legend.codes, legend.names, strict=True)}
    file.write_colormap(1, legend.colormap)
    file.set_band_description(1, "class")
    file.update_tags(
        CLASS_NAMES=json.dumps(named, ensure_ascii=False),
        **{f"CLASS_{code}": name for code, name in named.items()},
    )


def _verify(part, checksums, path):
    with rasterio.open(part) as file:
        for window, expected in checksums:
            if _checksum(file.read(1, window=window)) != expected:
                raise OSError(
                    f"{path} could not be written: {window} reads back with other values. Check that the "
                    "disk is not full."
                )


def _checksum(codes):
    return zlib.crc32(np.ascontiguousarray(codes))


def _flush(path):
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
