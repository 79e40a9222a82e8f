"""From finished chunks to whole files: one writer, whole blocks, everything read again before it counts."""

import json
import os
import warnings
from collections import OrderedDict

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from ..wholefile import sync_folder
from .errors import MapNotWritten
from .layers import CLASS

__all__ = ["Mosaic", "assemble", "key_of", "publish", "sidecars"]

BLOCK = 256  # side of the files' tiles
KEY_TAG = "M3FUSION_RUN_KEY"
_SMALLEST_BLOCK, _BLOCK_BYTES = 64, 2**24
_CHUNK_BYTES = 2**27  # of chunks that are kept while their neighbours are written
_LEAST_BYTES = 2**10  # of a chunk, with its place among the others
_CACHE_BYTES = 2**26  # GDAL's, whose default grows with the machine's memory


class Mosaic:
    """The chunks of one layer, seen as one raster.

    Parameters
    ----------
    store : ChunkStore
    layer : Layer
    grid : Grid
    chunk_size : (int, int)
    """

    def __init__(self, store, layer, grid, chunk_size):
        self.store, self.layer, self.grid = store, layer, grid
        self.chunk_size = chunk_size
        self.per_row = -(-grid.width // chunk_size[1])
        self.n_bands = len(layer.descriptions) or self._bands_of_results()
        self.loaded, self.n_bytes = OrderedDict(), 0

    def _bands_of_results(self):
        shapes = (self._load(chunk) for chunk in self.store.records)
        return next((len(values) for values in shapes if values is not None), 1)

    def read(self, window):
        """Values of a window of the grid, (n_bands, height, width)."""
        values = self.layer.empty(self.n_bands, window.height, window.width)
        (height, width), (top, left) = self.chunk_size, (window.row_off, window.col_off)
        for i in range(top // height, -(-(top + window.height) // height)):
            for j in range(left // width, -(-(left + window.width) // width)):
                part = self._chunk(i * self.per_row + j)
                if part is not None:
                    _paste(values, part, i * height - top, j * width - left)
        return values

    def _chunk(self, chunk):
        """Values of a chunk; None if it has no data."""
        if chunk not in self.loaded:
            self.loaded[chunk] = self._load(chunk)
            self.n_bytes += _n_bytes(self.loaded[chunk])
            while len(self.loaded) > 1 and self.n_bytes > _CHUNK_BYTES:
                self.n_bytes -= _n_bytes(self.loaded.popitem(last=False)[1])
        self.loaded.move_to_end(chunk)
        return self.loaded[chunk]

    def _load(self, chunk):
        return self.store.load(chunk, self.layer.name)

    def windows(self, side):
        """Squares that cover the grid, those of a chunk one after the other, so that it is loaded once."""
        height, width = self.chunk_size
        return sorted(
            self.grid.windows(side, side), key=lambda at: (at.row_off // height, at.col_off // width)
        )


def _n_bytes(part):
    """What a chunk takes in memory, also without data."""
    return _LEAST_BYTES + (0 if part is None else part.nbytes)


def _paste(values, part, row, col):
    """Put a part at (row, col), which may be negative, as far as it fits."""
    top, left = max(0, -row), max(0, -col)
    height, width = values.shape[1] - row, values.shape[2] - col
    part = part[:, top:height, left:width]
    row, col = max(0, row), max(0, col)
    values[:, row : row + part.shape[1], col : col + part.shape[2]] = part


def assemble(mosaic, legend, key, path):
    """Write a layer as a cloud-optimised GeoTIFF in the run's folder.

    Returns
    -------
    pathlib.Path
        A file that was read again and holds what the chunks hold, on the disk; `path` is for messages.

    Raises
    ------
    MapNotWritten
        If the disk is full or the file reads back otherwise.
    """
    folder = mosaic.store.folder
    plain, final = (folder / f"{mosaic.layer.name.replace(':', '_')}{suffix}" for suffix in (".part", ".tif"))
    for leftover in (plain, final):
        leftover.unlink(missing_ok=True)
    block = _block(mosaic)
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES):
            _write_plain(mosaic, legend, key, plain, block)
            _optimise(plain, final, mosaic.layer, block)
            _verify(mosaic, final, block)
        with open(final, "rb+") as file:
            os.fsync(file.fileno())
    except (OSError, RasterioError) as error:
        raise MapNotWritten(
            f"{path} could not be written: {str(error).rstrip('.')}. Check that the disk is not full. "
            f"Finished chunks are kept in {folder}: run the same call again."
        ) from error
    plain.unlink()
    return final


def key_of(path):
    """The key of the run that wrote a map; None if it is no such map."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # of a damaged file
            with rasterio.open(path) as file:
                return file.tags().get(KEY_TAG)
    except RasterioError:
        return None


def _block(mosaic):
    """Side of the tiles: 256, less for very many bands."""
    block, pixel = BLOCK, mosaic.n_bands * np.dtype(mosaic.layer.dtype).itemsize
    while block > _SMALLEST_BLOCK and block * block * pixel > _BLOCK_BYTES:
        block //= 2
    return block


def _write_plain(mosaic, legend, key, plain, block):
    grid, layer = mosaic.grid, mosaic.layer
    profile = {
        "driver": "GTiff",
        "height": grid.height,
        "width": grid.width,
        "count": mosaic.n_bands,
        "dtype": layer.dtype,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": layer.nodata,
        "compress": "deflate",
        "zlevel": 1,
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        "interleave": "pixel",
        "bigtiff": "IF_SAFER",
        "photometric": "MINISBLACK",  # else GDAL takes the last of four bands for their transparency
        "alpha": "NO",
    }
    with rasterio.open(plain, "w", **profile) as file:
        _describe(file, layer, legend, key)
        for window in mosaic.windows(block):
            file.write(mosaic.read(window), window=window)


def _describe(file, layer, legend, key):
    file.update_tags(**{KEY_TAG: key.digest, "LAYER": layer.name})
    for band, text in enumerate(layer.descriptions, start=1):
        file.set_band_description(band, text)
    if layer.steps is not None:
        file.scales = (layer.scale,) * file.count
    if layer.name == CLASS:
        named = {str(code): name for code, name in zip(legend.codes, legend.names, strict=True)}
        file.write_colormap(1, legend.colormap)
        file.update_tags(
            CLASS_NAMES=json.dumps(named, ensure_ascii=False),
            **{f"CLASS_{code}": name for code, name in named.items()},
        )


def _optimise(plain, final, layer, block):
    """Order the file for reading parts of it from afar, with overviews."""
    options = {"compress": "DEFLATE", "bigtiff": "IF_SAFER", "overview_resampling": layer.resampling}
    try:
        rasterio.shutil.copy(plain, final, driver="COG", blocksize=block, **options)
    except Exception as error:  # among them some of a private type
        raise OSError(f"the disk refused it ({error})") from error


def _verify(mosaic, final, block):
    with rasterio.open(final) as file:
        for window in mosaic.windows(block):
            values = mosaic.read(window)
            if not np.array_equal(file.read(window=window), values, equal_nan=values.dtype.kind == "f"):
                raise OSError(f"{window} reads back with other values")


def sidecars(path):
    """Statistics, overviews and mask that other programs put beside a file of that name."""
    return [path.with_name(path.name + suffix) for suffix in (".aux.xml", ".ovr", ".msk")]


def publish(finished, path):
    """Give a finished file its name, and remove what lay beside an older file of that name."""
    for other in sidecars(path):
        other.unlink(missing_ok=True)
    os.replace(finished, path)
    sync_folder(path.parent)
