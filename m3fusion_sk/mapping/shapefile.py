"""Whether a shapefile is whole: GDAL takes what is not for empty polygons, or for others.

The layout is that of the ESRI Shapefile Technical Description (1998), and of dBASE III.
"""

from pathlib import Path

import numpy as np

__all__ = ["check_shapefile"]

_HEADER = 100  # bytes
_POLYGONS = 5, 15, 25  # plain, with heights, with measures
_BOX_SLACK = 1e-3  # of a polygon's extent: boxes are written rounded by some programs
_ROW_MARKS = b" *"  # before a row of the table: it counts, or was deleted


def check_shapefile(path):
    """Refuse a shapefile, or its table, that was cut short or contradicts itself; other files pass.

    Raises
    ------
    OSError
        If a file is of another length than its header says, a polygon lies outside its own bounding box or
        is none, or a row of the table has no mark.
    """
    path = Path(path)
    if path.suffix.lower() != ".shp" or not path.is_file():
        return
    content = path.read_bytes()
    told = 2 * int.from_bytes(content[24:28])  # in words of two bytes
    if told != len(content):
        raise OSError(
            f"{path} must be as long as its header says, {told} bytes; it has {len(content)}. It is damaged "
            "or was not copied to its end."
        )
    for number, start in enumerate(_starts(path)):
        if reason := _damage(content, start):
            raise OSError(
                f"{path} is damaged: {reason} in record {number}. Get it again from where it came from."
            )
    _check_table(path.with_suffix(".dbf"))


def _starts(path):
    """Where each record begins, by the index beside the file; none where there is no index."""
    index = path.with_suffix(".shx")
    if not index.is_file():
        return []
    entries = np.frombuffer(index.read_bytes()[_HEADER:], ">i4")
    return (2 * entries[: len(entries) // 2 * 2].reshape(-1, 2)[:, 0].astype(int)).tolist()


def _damage(content, start):
    """What is wrong with a record, or None."""
    length = 2 * int.from_bytes(content[start + 4 : start + 8])
    record = content[start + 8 : start + 8 + length]
    if not 4 <= len(record) == length:
        return "there is less than was written"
    kind = int.from_bytes(record[:4], "little")
    if kind == 0:
        return None if length == 4 else "an empty polygon takes more room than it needs"
    if kind != int.from_bytes(content[32:36], "little"):
        return "there is another kind of geometry"
    return _outside(record) if kind in _POLYGONS else None


def _outside(record):
    """Whether the corners of a polygon are no numbers within its bounding box."""
    box = np.frombuffer(record[4:36], "<f8").reshape(-1, 2)
    n_parts, n_points = (int.from_bytes(record[i : i + 4], "little") for i in (36, 40))
    start = 44 + 4 * n_parts
    if len(box) != 2 or start + 16 * n_points > len(record):
        return "a polygon has fewer corners than it says"
    corners = np.frombuffer(record[start : start + 16 * n_points], "<f8").reshape(-1, 2)
    with np.errstate(over="ignore", invalid="ignore"):
        slack = _BOX_SLACK * (box[1] - box[0])
        inside = (corners >= box[0] - slack) & (corners <= box[1] + slack)
    return None if inside.all() else "a polygon lies outside its own bounding box"


def _check_table(path):
    """Refuse a table with a row that has no mark."""
    if not path.is_file():
        return
    content = path.read_bytes()
    n_rows, head, width = (int.from_bytes(content[a:b], "little") for a, b in ((4, 8), (8, 10), (10, 12)))
    marks = content[head : head + n_rows * width : width] if width else b""
    if len(marks) != n_rows or set(marks) - set(_ROW_MARKS):
        raise OSError(
            f"{path} is damaged: it must have {n_rows} rows that each begin with a blank or an asterisk. Get "
            "it again from where it came from."
        )
