"""What a raster file itself tells about damage, before its values are used.

Blocks of a GeoTIFF that are compressed with deflate end in a checksum (RFC 1950), which GDAL, as it comes
with rasterio, does not look at: bytes that changed on the way between disks decode to other values.
"""

import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from .tiff import directories

__all__ = ["check_blocks"]

_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)
_BYTES_AT_ONCE, _BLOCKS_AT_ONCE = 2**16, 256
_UNTOLD = 2**12, 16  # bytes of a file, and for each block, that no table needs to tell of
_THREADS = 4


def check_blocks(paths):
    """Refuse TIFF files with a block that was cut off, or whose content does not fit its checksum.

    All pages, overviews and masks are looked at. What compression of another kind holds is left to GDAL, as
    are other formats.

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
            if reason := _damage(path, threads):
                raise OSError(f"{path} is damaged: {reason}. Get the file again from where it came from.")


def _damage(path, threads):
    """What is wrong with a file, or None."""
    with open(path, "rb") as file:
        try:
            found = list(directories(file))
        except ValueError as error:
            return str(error)
    n_bytes = Path(path).stat().st_size
    for directory in found:
        if reason := _contradiction(directory, n_bytes):
            return reason
    if reason := _lost(found, n_bytes):
        return reason
    parts = (part for directory in found if directory.compression in _DEFLATE for part in _parts(directory))
    reasons = threads.map(partial(_first_damage, path), parts)
    return next(filter(None, reasons), None)


def _contradiction(directory, n_bytes):
    """Whether the table of blocks itself cannot be right."""
    offsets, sizes = directory.offsets, directory.sizes
    if ((offsets == 0) != (sizes == 0)).any():
        return "a block has a place and no size, or a size and no place"
    over = offsets + sizes > n_bytes
    if directory.compression == _UNCOMPRESSED and len(over):
        over[-1] &= offsets[-1] >= n_bytes  # a last strip may be told to be as long as the others
    return f"the block at byte {offsets[over][0]} reaches over the end of the file" if over.any() else None


def _lost(found, n_bytes):
    """Whether blocks hold nothing while the file has bytes that belong to none."""
    n_empty = sum(int((directory.sizes == 0).sum()) for directory in found)
    told = sum(int(directory.sizes.sum()) + directory.n_bytes for directory in found)
    n_blocks = sum(len(directory.sizes) for directory in found)
    untold = n_bytes - told - _UNTOLD[0] - _UNTOLD[1] * n_blocks
    if not n_empty or untold <= 0:
        return None
    return (
        f"{n_empty} of its blocks hold nothing, while {untold} bytes belong to none (a sparse file that was "
        "edited in place may pass once gdal_translate has copied it)"
    )


def _parts(directory):
    """Places and sizes of the blocks that hold something, some at a time."""
    blocks = [(a, b) for a, b in zip(directory.offsets.tolist(), directory.sizes.tolist(), strict=True) if b]
    for first in range(0, len(blocks), _BLOCKS_AT_ONCE):
        yield blocks[first : first + _BLOCKS_AT_ONCE]


def _first_damage(path, blocks):
    """What is wrong with the first damaged one of some blocks, or None."""
    with open(path, "rb") as content:
        for offset, size in blocks:
            content.seek(offset)
            if reason := _unlike_its_checksum(content, size):
                return f"the block at byte {offset} {reason}"
    return None


def _unlike_its_checksum(content, left):
    inflate = zlib.decompressobj()
    try:
        while left and not inflate.eof and (part := content.read(min(left, _BYTES_AT_ONCE))):
            inflate.decompress(part)
            left -= len(part)
    except zlib.error as error:
        return f"does not decompress to what was written ({error})"
    return None if inflate.eof else "ends before its checksum"
