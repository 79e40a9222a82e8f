"""What a stack is made of: bands of a raster file, read by clipped windows only."""

import hashlib
import os
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from threading import Event
from xml.etree import ElementTree

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from .grid import Grid

__all__ = ["RasterFile", "as_nodata", "check_bands", "check_numbers", "hash_files", "local_files", "stamps"]

# statistics, overviews and masks that other programs put beside a raster: none of them is read
SIDECARS = ".aux.xml", ".ovr", ".msk"
_VIRTUAL, _IN_MEMORY = "/vsi", "/vsimem/"
_SCHEMES = "zip+file://", "tar+file://", "gzip+file://", "file://", "zip://", "tar://", "gzip://"
_HASHERS = 4  # threads that hash files
_HASHED_AT_ONCE = 1 << 22  # bytes
_OF_ZARR = ".zarray", "zarr.json"  # whose chunks lie beside and below


@dataclass(frozen=True)
class RasterFile:
    """Bands of a file, which is opened for each read and closed again: it can go to threads and processes.

    Parameters
    ----------
    path : str
        Which means the same file in any folder and process.
    bands : tuple of int
        Counted from 1.
    grid : Grid
    dtype : numpy.dtype
        The type that holds the values of all bands.
    nodata : tuple of (float, int or None)
        For each band, the value that means no data.
    descriptions : tuple of (str or None)
        Of each band, as the file has them.
    declared : tuple of (tuple of float, tuple of float)
        Scale and offset of each band, as the file declares them.
    given_nodata : float or None
        What was said instead of what the file declares.
    """

    path: str
    bands: tuple
    grid: Grid
    dtype: np.dtype
    nodata: tuple
    descriptions: tuple
    declared: tuple
    given_nodata: float | None = None

    dates = None  # which only some arrays bring with them

    @classmethod
    def open(cls, name, path, bands=None, nodata=None):
        """Look at a file of source `name`."""
        try:
            with rasterio.open(path) as file:
                _check_place(name, path, file)
                grid, count, dtypes, declared = Grid.of(file), file.count, file.dtypes, file.nodatavals
                descriptions, scales, offsets = file.descriptions, file.scales, file.offsets
                path = in_any_folder(path, file.files)
                grid = replace(grid, path=path)
        except RasterioError as error:
            raise OSError(
                f"Source {name!r} must be a raster that can be opened; {path} is not: {error}."
            ) from error
        bands = check_bands(name, path, bands, count)
        dtypes, descriptions, declared, scales, offsets = (
            tuple(values[band - 1] for band in bands)
            for values in (dtypes, descriptions, declared, scales, offsets)
        )
        dtypes = [np.dtype(dtype) for dtype in dtypes]
        check_numbers(name, path, np.result_type(*dtypes))
        check_nodata(name, nodata)
        values = tuple(map(as_nodata, declared if nodata is None else [nodata] * len(bands), dtypes))
        dtype = np.result_type(*dtypes)
        return cls(path, bands, grid, dtype, values, descriptions, (scales, offsets), nodata)

    @property
    def n_bands(self):
        return len(self.bands)

    def read(self, rows, cols):
        """Values of the half-open ranges of rows and columns, as (n_bands, height, width)."""
        window = Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0])
        try:
            with rasterio.open(self.path) as file:
                if file.shape != self.grid.shape:
                    raise ValueError(f"it has shape {file.shape}, not {self.grid.shape}")
                if len({file.dtypes[band - 1] for band in self.bands}) > 1:  # which cannot be read at once
                    return np.stack([file.read(band, window=window) for band in self.bands])
                return file.read(self.bands, window=window)
        except (RasterioError, IndexError, ValueError) as error:
            raise OSError(
                f"{self.path} cannot be read at {window}: {str(error).rstrip('.')}. The file may be damaged "
                "or changed since the scene was opened: try gdalinfo -checksum."
            ) from error

    def files(self):
        """All files on this machine that its values come from."""
        return list(local_files(self.path))

    def watched(self):
        """The same by the names that they are read by, which may be links."""
        return [place for places in local_files(self.path).values() for place in places]

    def facts(self):
        """What a run's key holds beside the hashes of the files."""
        self.check_unchanged()
        here = _place(self.path) is not None or self.files()  # without opening it, where that is told
        elsewhere = [] if here else [self.path]  # known by name only
        if self.path.startswith(_IN_MEMORY):
            elsewhere.append(hash_rows(lambda *rows: self.read(rows, (0, self.grid.width)), self.grid.height))
        return [list(self.bands), self.dtype.str, list(map(str, self.nodata)), elsewhere]

    def check_unchanged(self):
        """Refuse a file that says another place, type or meaning than when the scene was made."""
        try:
            now = RasterFile.open(self.path, self.path, self.bands, self.given_nodata)
        except ValueError:  # it could not be a source any more
            now = None
        if repr(now) != repr(self):  # in which NaN is NaN
            raise OSError(
                f"{self.path} has changed since the scene was made: other pixels, place, type or nodata. "
                "Make the Scene again."
            )


def _check_place(name, path, file):
    """Refuse what is placed by points only: its rows and columns do not follow coordinates."""
    if file.gcps[0] and file.transform.is_identity:
        raise ValueError(
            f"Source {name!r} must have a grid of pixels; {path} has {len(file.gcps[0])} ground control "
            "points instead. Warp it first, for instance with gdalwarp."
        )


def check_bands(name, path, bands, count):
    """Numbers of bands as a tuple; all by default."""
    if bands is None:
        return tuple(range(1, count + 1))
    bands = (bands,) if isinstance(bands, int | np.integer) else tuple(bands)
    if not bands or not all(isinstance(b, int | np.integer) and 1 <= b <= count for b in bands):
        raise ValueError(
            f"bands of source {name!r} must be numbers from 1 to {count}, the bands of {path}; got {bands}."
        )
    return tuple(int(band) for band in bands)


def check_numbers(name, path, dtype):
    """Refuse what is no real number."""
    if dtype.kind not in "iuf":
        raise ValueError(f"Source {name!r} must hold real numbers; {path} holds {dtype}. Convert it first.")


def check_nodata(name, value):
    """Refuse what is no single number."""
    if value is not None and not isinstance(value, int | float | np.number):
        raise ValueError(f"nodata of source {name!r} must be one number, such as 0 or -9999; got {value!r}.")


def as_nodata(value, dtype):
    """The value in the band's own type, so that comparing converts nothing."""
    if value is None:
        return None
    if dtype.kind == "f":
        return float(np.asarray(value, dtype))
    return int(value) if float(value).is_integer() else float(value)


def local_files(path):
    """The files on this machine that a raster's values come from, those of virtual rasters included.

    Returns
    -------
    dict of pathlib.Path to list of pathlib.Path
        Each file and the names that it is read by, which may be links or go through some.
    """
    found, waiting = {}, _members(path) or [str(path)]
    while waiting:
        place = _place(waiting.pop(0))
        if place is None:
            continue
        here = place.resolve()
        names = found.setdefault(here, [])
        names.append(place.absolute())
        if len(names) > 1:  # its parts are known
            continue
        if _is_virtual(here):
            _warn_of_members(here)
            waiting.extend(_members(here))
        elif here.name in _OF_ZARR:
            waiting.extend(str(each) for each in sorted(here.parent.rglob("*")) if each.is_file())
    sidecars = {f"{here}{suffix}" for here in found for suffix in SIDECARS}
    return {here: places for here, places in found.items() if str(here) not in sidecars}


def _is_virtual(path):
    """Whether it is a virtual raster, whatever its name."""
    with open(path, "rb") as file:
        return b"<VRTDataset" in file.read(1024)


def _warn_of_members(path):
    """Tell of files that a virtual raster lacks, which would be met in the middle of a map only."""
    for element in _elements(path):
        name = element.text or ""
        member = path.parent / name if element.get("relativeToVRT") == "1" else Path(name)
        if not name.startswith(_VIRTUAL) and not re.search("..:", name) and not member.exists():
            warnings.warn(
                f"{path} has parts in {member}, which is not there: reading them will fail, and a map that "
                "was begun without it starts anew once it is back.",
                stacklevel=2,
            )


def _elements(path):
    """Those of a virtual raster that name the files of its bands."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError:  # GDAL reads some of these too
        return []
    parts = [part for part in root.iterfind("VRTRasterBand/*") if part.tag.endswith("Source")]
    named = [part.find("SourceFilename") for part in parts]
    return [element for element in (*named, *root.iter("SourceDataset")) if element is not None]


def _members(path):
    try:
        with rasterio.open(path) as file:
            return file.files
    except RasterioError:
        return []


def _place(path):
    """The file, or the archive that it is in, as it stands in the name; None if it is not on this machine."""
    for scheme in _SCHEMES:
        if path.startswith(scheme):
            path = path.removeprefix(scheme).split("!")[0]
    while path.startswith(_VIRTUAL):
        path = path[1:].partition("/")[2]
    if path.startswith("{"):  # an archive with another archive's name in it
        path = path[1:].partition("}")[0]
    place = Path(path)
    return next((each for each in (place, *place.parents[:-1]) if each.is_file()), None)


def in_any_folder(path, files):
    """A name of a raster that means the same from every folder.

    Parameters
    ----------
    path : str
        As a user gave it: of a file, or a connection such as ``zip://a.zip!b.tif`` or ``vrt://b.tif``.
    files : list of str
        That it consists of, as GDAL tells them.
    """
    for name in (path, *files):
        place = _place(name)
        if place is not None and not place.is_absolute():
            as_given = r"(?:\./+)*" + r"/+(?:\./+)*".join(map(re.escape, place.parts))  # "./a//b" is a/b too
            found = re.search(as_given, path)
            if found:
                return path[: found.start()] + os.path.abspath(place) + path[found.end() :]
    return path


def hash_rows(read, height, step=256):
    """SHA-256 of an image that is read some rows at a time, by ``read(first, end)``."""
    digest = hashlib.sha256()
    for first in range(0, height, step):
        digest.update(np.ascontiguousarray(read(first, min(first + step, height))).data)
    return digest.hexdigest()


def hash_files(paths):
    """SHA-256 of each file, by path."""
    stopped = Event()
    with ThreadPoolExecutor(_HASHERS) as threads:
        try:
            hashes = threads.map(partial(_hash_file, stopped=stopped), paths)
            return dict(zip(paths, hashes, strict=True))
        except BaseException:  # the keyboard's too: the threads are waited for
            stopped.set()
            raise


def _hash_file(path, stopped):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while (block := file.read(_HASHED_AT_ONCE)) and not stopped.is_set():
            digest.update(block)
    return digest.hexdigest()


def stamps(paths):
    """What tells a change under way of files: where links lead, size and time; None where one is gone."""
    found, folder_of = {}, cache(os.path.realpath)
    for path in map(str, paths):
        try:
            state = os.stat(path)
        except FileNotFoundError:
            found[path] = None
        else:
            place = os.path.realpath(path) if os.path.islink(path) else folder_of(os.path.dirname(path))
            found[path] = place, state.st_size, state.st_mtime_ns
    return found
