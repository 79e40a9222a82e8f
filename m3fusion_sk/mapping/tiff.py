"""Where a TIFF file keeps its blocks, as its directories say (TIFF 6.0, 1992, and BigTIFF)."""

import os
from typing import NamedTuple

import numpy as np

__all__ = ["Directory", "directories"]

_COMPRESSION = 259
_TABLES = {273: 279, 324: 325}  # offsets and byte counts: of strips, of tiles
_TYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "u8", 6: "i1", 7: "V1", 8: "i2", 9: "i4", 10: "u8", 11: "f4"}
_TYPES |= {12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}


class Directory(NamedTuple):
    """An image of a file: a page, an overview or a mask.

    Parameters
    ----------
    compression : int
    offsets, sizes : array of int of shape (n_blocks,)
        In bytes; both 0 where a block holds nothing.
    n_bytes : int
        Of the directory itself and of all its values.
    """

    compression: int
    offsets: np.ndarray
    sizes: np.ndarray
    n_bytes: int


class _Layout(NamedTuple):
    """How numbers are written: order of bytes, type of the number of entries, type of counts and offsets."""

    order: str
    entries: str
    offset: str

    @property
    def entry(self):
        fields = [("tag", "u2"), ("type", "u2"), ("count", self.offset), ("value", f"V{self.width}")]
        return np.dtype([(name, kind if kind[0] == "V" else self.order + kind) for name, kind in fields])

    @property
    def width(self):
        return np.dtype(self.offset).itemsize


def directories(file):
    """The directories of an open file, one after the other.

    Parameters
    ----------
    file : file
        Opened for bytes, at its beginning; one that is no TIFF has none.

    Yields
    ------
    Directory

    Raises
    ------
    ValueError
        If a directory, or a table that it names, does not lie within the file.
    """
    layout, start = _head(file)
    seen = set()
    while start and start not in seen:
        seen.add(start)
        directory, start = _directory(file, layout, start)
        yield directory


def _head(file):
    """How the file is written, and where its first directory begins; 0 if it is no TIFF."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2], "<")
    version = int.from_bytes(head[2:4], "little" if order == "<" else "big")
    if head[:2] not in (b"II", b"MM") or version not in (42, 43):
        return None, 0
    layout = _Layout(order, "u2", "u4") if version == 42 else _Layout(order, "u8", "u8")
    return layout, int(_read(file, 4 if version == 42 else 8, order + layout.offset, 1)[0])


def _directory(file, layout, start):
    """A directory and where the next one begins."""
    n_entries = int(_read(file, start, layout.order + layout.entries, 1)[0])
    start += np.dtype(layout.entries).itemsize
    entries = _read(file, start, layout.entry, n_entries)
    values = {int(entry["tag"]): entry for entry in entries}
    sizes = [_n_bytes(entry) for entry in entries]
    beside = sum(size for size in sizes if size > layout.width)
    here = Directory(
        _compression(file, layout, values), *_blocks(file, layout, values), entries.nbytes + beside
    )
    return here, int(_read(file, start + entries.nbytes, layout.order + layout.offset, 1)[0])


def _compression(file, layout, values):
    entry = values.get(_COMPRESSION)
    return 1 if entry is None or not entry["count"] else int(_values(file, layout, entry)[0])


def _blocks(file, layout, values):
    """Places and sizes of all blocks."""
    for tag, other in _TABLES.items():
        if tag in values and other in values:
            offsets, sizes = (_values(file, layout, values[each]) for each in (tag, other))
            if len(offsets) != len(sizes):
                raise ValueError(f"it has {len(offsets)} places of blocks and {len(sizes)} sizes")
            return offsets, sizes
    return np.zeros((2, 0), np.int64)


def _n_bytes(entry):
    return int(entry["count"]) * np.dtype(_TYPES.get(int(entry["type"]), "u1")).itemsize


def _values(file, layout, entry):
    """The numbers of an entry, which stand in it or elsewhere."""
    kind, count = np.dtype(layout.order + _TYPES.get(int(entry["type"]), "u1")), int(entry["count"])
    if kind.itemsize * count <= layout.width:
        return np.frombuffer(entry["value"].tobytes(), kind, count).astype(np.int64)
    place = int(np.frombuffer(entry["value"].tobytes(), layout.order + layout.offset)[0])
    return _read(file, place, kind, count).astype(np.int64)


def _read(file, start, kind, count):
    kind = np.dtype(kind)
    if start + kind.itemsize * count > os.fstat(file.fileno()).st_size:
        raise ValueError(f"what should stand at byte {start} reaches over the end of the file")
    file.seek(start)
    return np.frombuffer(file.read(kind.itemsize * count), kind)
