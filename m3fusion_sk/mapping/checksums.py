"""What a raster file itself tells about damage, before its values are used.

Blocks of a GeoTIFF that are compressed with deflate end in a checksum (RFC 1950), which GDAL, as it comes
with rasterio, does not look at: bytes that changed on the way between disks decode to other values.
"""

import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import rasterio
from rasterio.enums import Compression, Interleaving
from rasterio.errors import RasterioError

__all__ = ["check_blocks"]

_TIFF = "GTiff", "COG"
_BYTES_AT_ONCE = 2**16
_THREADS = 4


def check_blocks(paths):
    """Refuse GeoTIFFs with a block that was cut off, or whose content does not fit its checksum.

    Other formats, and what compression of another kind holds, are left to GDAL.

    Parameters
    ----------
    paths : list of path
        Files on this machine.

    Raises
    ------
    OSError
        If a file is damaged.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        for path in paths:
            try:
                with rasterio.open(path) as file:
                    if file.driver in _TIFF:
                        _check_file(path, file, threads)
            except RasterioError:  # no raster by itself, such as an archive of some
                continue


def _check_file(path, file, threads):
    has_checksum = file.compression is Compression.deflate
    bands = [1] if file.interleaving is Interleaving.pixel else file.indexes
    check = partial(_damage, path, has_checksum)
    for band in bands:
        blocks = list(_blocks(file, band))
        for block, damage in zip(blocks, threads.map(check, blocks), strict=True):
            if damage:
                raise OSError(
                    f"{path} is damaged: band {band} has a block at byte {block[0]} that {damage}. Get the "
                    "file again from where it came from."
                )


def _blocks(file, band):
    """Where each block of a band begins and how long it is, in bytes; without those that hold nothing."""
    for (row, col), _ in file.block_windows(band):
        place = (
            file.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band) for what in ("OFFSET", "SIZE")
        )
        place = [int(number or 0) for number in place]
        if all(place):
            yield place


def _damage(path, has_checksum, block):
    """What is wrong with a block, or None."""
    offset, left = block
    inflate = zlib.decompressobj()
    with open(path, "rb") as content:
        content.seek(offset)
        while left:
            part = content.read(min(left, _BYTES_AT_ONCE))
            if not part:
                return "reaches over the end of the file"
            left -= len(part)
            try:
                if has_checksum and not inflate.eof:
                    inflate.decompress(part)
            except zlib.error as error:
                return f"does not decompress to what was written ({error})"
    return "ends before its checksum" if has_checksum and not inflate.eof else None
