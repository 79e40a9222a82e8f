"""Whether a shapefile is whole: GDAL takes what is not for empty shapes, or for others.

The layout is that of the ESRI Shapefile Technical Description (1998), and of dBASE III.
"""

import struct
from pathlib import Path

import numpy as np

__all__ = ["check_shapefile"]

_HEADER = 100  # bytes
_POLYGONS, _POINTS, _MULTIPOINTS = (5, 15, 25), (1, 11, 21), (8, 18, 28)  # plain, with heights or measures
_BOX_SLACK = 1e-3  # of its extent: boxes are written rounded by some programs
_ROUNDING = 1e-7  # of coordinates: the same where there is no extent
_ROW_MARKS = b" *"  # before a row of the table: it counts, or was deleted
_FIELD, _END_OF_FIELDS = 32, b"\r"


def check_shapefile(path):
    """Refuse shapefiles of which the parts were cut short or contradict each other; other files pass.

    Parameters
    ----------
    path : path
        Of a ``.shp``, or of a folder of some.

    Raises
    ------
    OSError
        If a part is of another length than its header says; if index and table have other numbers of records
        than each other; or if a polygon lies outside its own bounding box, or is none; or a point
        outside that of its own, or of all.
    """
    path = Path(path)
    if path.is_dir():
        for each in sorted(path.iterdir()):
            check_shapefile(each)
    elif path.suffix.lower() == ".shp" and path.is_file():
        content = path.read_bytes()
        _check_length(path, content, exact=True)
        entries = _check_index(_beside(path, ".shx"))
        n_rows = _check_table(_beside(path, ".dbf"))
        if entries is None:
            return
        if n_rows not in (None, len(entries)):
            raise _damaged(path, f"it has {len(entries)} shapes, and a table of {n_rows} rows")
        _check_records(path, content, entries)


def _beside(path, suffix):
    """A part of the same name, in small or capital letters."""
    parts = (path.with_suffix(each) for each in (suffix, suffix.upper()))
    return next((part for part in parts if part.is_file()), None)


def _damaged(path, reason):
    return OSError(f"{path} is damaged: {reason}. Get it again from where it came from.")


def _check_length(path, content, exact=False):
    """Bytes of a part by its header; refused if there are fewer, or if there are more and `exact`."""
    told = 2 * int.from_bytes(content[24:28])  # in words of two bytes
    if not _HEADER <= told <= len(content) or (exact and told < len(content)):
        raise OSError(
            f"{path} must be as long as its header says, {told} bytes; it has {len(content)}. It is damaged "
            "or was not copied to its end."
        )
    return told


def _check_index(path):
    """Place and length of each record, in bytes; None where there is no index."""
    if path is None:
        return None
    content = path.read_bytes()
    end = _check_length(path, content)
    if (end - _HEADER) % 8:
        raise _damaged(path, "its last entry is not whole")
    return 2 * np.frombuffer(content[_HEADER:end], ">i4").reshape(-1, 2).astype(np.int64)


def _check_records(path, content, entries):
    """Refuse records that are in another order than they say, or damaged."""
    numbers = [int.from_bytes(content[start : start + 4]) for start, _ in entries.tolist()]
    if (np.diff(numbers) <= 0).any() and len(set(numbers)) > 1:  # some programs do not number them
        raise _damaged(path, "its index has another order than its records")
    with np.errstate(over="ignore", invalid="ignore"):  # of what are no coordinates
        for i, (start, length) in enumerate(entries.tolist()):
            if reason := _damage(content, start, length):
                raise _damaged(path, f"{reason} in record {i}")


def _damage(content, start, length):
    """What is wrong with a record, or None."""
    told = 2 * int.from_bytes(content[start + 4 : start + 8])
    record = content[start + 8 : start + 8 + told]
    if len(record) < 4 or not len(record) == told == length:
        return "there is more or less than was written"
    kind = int.from_bytes(record[:4], "little")
    if kind == 0:
        return None if length == 4 else "an empty shape takes more room than it needs"
    if kind != int.from_bytes(content[32:36], "little"):
        return "there is another kind of geometry"
    if kind in _POINTS:
        return _point_damage(kind, record, np.frombuffer(content, "<f8", 4, 36))
    if kind in _MULTIPOINTS:
        return _points_damage(kind, record)
    return _polygon_damage(kind, record) if kind in _POLYGONS else None


def _point_damage(kind, record, box):  # of all shapes
    if len(record) not in _lengths(_POINTS, kind, 20, 8):
        return "a point has more or fewer coordinates than it says"
    known = box.any() and np.isfinite(box).all() and (box[:2] <= box[2:]).all()
    inside = not known or _lie_inside(np.frombuffer(record, "<f8", 2, 4), box)
    return None if inside else "a point lies outside the bounding box of all"


def _points_damage(kind, record):
    n_points = int.from_bytes(record[36:40], "little")
    if len(record) not in _lengths(_MULTIPOINTS, kind, 40 + 16 * n_points, 16 + 8 * n_points):
        return "there are more or fewer points than it says"
    box, points = np.frombuffer(record, "<f8", 4, 4), np.frombuffer(record, "<f8", 2 * n_points, 40)
    return None if _lie_inside(points.reshape(-1, 2), box) else "a point lies outside its bounding box"


def _polygon_damage(kind, record):
    n_parts, n_points = (int.from_bytes(record[i : i + 4], "little") for i in (36, 40))
    start = 44 + 4 * n_parts
    end = start + 16 * n_points
    if len(record) not in _lengths(_POLYGONS, kind, end, 16 + 8 * n_points):
        return "a polygon has more or fewer corners than it says"
    if not _begin_at_corners(struct.unpack_from(f"<{n_parts}i", record, 44), n_points):
        return "a part of a polygon begins where it has no corner"
    box, corners = np.frombuffer(record, "<f8", 4, 4), np.frombuffer(record, "<f8", 2 * n_points, start)
    inside = _lie_inside(corners.reshape(-1, 2), box)
    return None if inside else "a polygon lies outside its own bounding box"


def _lie_inside(points, box):
    slack = _BOX_SLACK * (box[2:] - box[:2]) + _ROUNDING * np.abs(box).max()
    return ((points >= box[:2] - slack) & (points <= box[2:] + slack)).all()


def _begin_at_corners(parts, n_points):
    """Whether parts begin at the first corner, and each at a later one than the part before."""
    if not parts:
        return n_points == 0
    return parts[0] == 0 and all(map(int.__lt__, parts, (*parts[1:], n_points)))


def _lengths(kinds, kind, plain, more):
    """Bytes that a record may have: measures may be left out."""
    if kind == kinds[0]:
        return (plain,)
    return (plain + more, plain + 2 * more) if kind == kinds[1] else (plain, plain + more)


def _check_table(path):
    """Number of rows of the table; None where there is none."""
    if path is None:
        return None
    content = path.read_bytes()
    n_rows, head, width = (int.from_bytes(content[a:b], "little") for a, b in ((4, 8), (8, 10), (10, 12)))
    marks = content[head : head + n_rows * width : width] if width else b""
    if len(marks) != n_rows or set(marks) - set(_ROW_MARKS):
        raise _damaged(path, f"it must have {n_rows} rows that each begin with a blank or an asterisk")
    if width not in (1 + sum(_widths(content[_FIELD:head], high)) for high in (0, 256)):
        raise _damaged(path, f"its fields must fill rows of {width} bytes")
    return n_rows


def _widths(fields, high):
    """Bytes of each field; those of text are told in two bytes by some programs."""
    for first in range(0, len(fields) - _FIELD + 1, _FIELD):
        field = fields[first : first + _FIELD]
        if field[:1] == _END_OF_FIELDS:
            return
        yield field[16] + (high * field[17] if field[11:12] == b"C" else 0)
