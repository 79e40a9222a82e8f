"""What is told about a run: while it goes on, when it is stopped, and when it is done."""

import hashlib
import json
import platform
import shlex
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import rasterio
import sklearn
from tqdm.auto import tqdm

from .._version import __version__
from .errors import MapNotWritten
from .layers import CLASS

__all__ = [
    "Progress",
    "is_as_written",
    "is_of_map",
    "make_report",
    "read_report",
    "remove_stale",
    "told_how_to_resume",
    "told_of",
]


class Progress:
    """A bar of pixels, with pixels per second and the time left.

    Parameters
    ----------
    n_pixels : int
        Of the whole map.
    n_done : int
        Of chunks that an earlier run finished.
    shown : bool
    """

    def __init__(self, n_pixels, n_done, shown):
        self.start, self.computed = time.perf_counter(), 0
        self.bar = tqdm(
            total=n_pixels, initial=n_done, desc="map", unit="px", unit_scale=True, disable=not shown
        )

    def update(self, n_pixels):
        self.computed += n_pixels
        self.bar.update(n_pixels)

    def close(self):
        self.bar.close()
        self.seconds = time.perf_counter() - self.start


@contextmanager
def told_how_to_resume(folder, n_chunks, store):
    """When the keyboard interrupts, or something fails, say what is kept and how to go on."""
    try:
        yield
    except Exception as error:
        if folder.is_dir():
            how = "" if isinstance(error, MapNotWritten) else ": the same call goes on with them"
            error.add_note(f"{_kept(store, n_chunks)} in {folder}{how}.")
        raise
    except KeyboardInterrupt:
        command = " ".join(map(shlex.quote, sys.orig_argv))
        script = getattr(sys.modules["__main__"], "__file__", None) is not None
        how = f"run the same command again:\n  {command}" if script else "make the same call again."
        kept = f"{_kept(store, n_chunks)} in {folder}"
        print(f"\nStopped. {kept}; to resume, {how}", file=sys.stderr, flush=True)
        raise


def _kept(store, n_chunks):
    return f"{len(store.journal.read())} of {n_chunks} chunks are kept"


def make_report(key, job, store, progress, outputs):
    """A dict for JSON.

    Parameters
    ----------
    key : RunKey
    job : Job
    store : ChunkStore
    progress : Progress
        Of this run.
    outputs : dict of str to (pathlib.Path, pathlib.Path)
        Finished file of each layer, and its final name.
    """
    records, legend, grid = store.records.values(), job.legend, job.scene.grid
    classes = np.sum([record["classes"] for record in records], axis=0)
    seconds = {
        step: round(sum(record["seconds"][step] for record in records), 3)
        for step in ("read", "cut", "predict", "write")
    }
    skipped = sum(record["skipped"] for record in records)
    return {
        "run_key": key.digest,
        "inputs": key.parts,
        "versions": {
            "m3fusion_sk": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "torch": version("torch"),
            "rasterio": rasterio.__version__,
            "gdal": rasterio.__gdal_version__,
        },
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "grid": {
            "crs": grid.crs.to_string() if grid.crs else None,
            "transform": list(grid.transform[:6]),
            "height": grid.height,
            "width": grid.width,
        },
        "outputs": {name: told_of(path, final) for name, (path, final) in outputs.items()},
        "classes": [
            {"code": int(code), "name": name, "pixels": int(n)}
            for code, name, n in zip(legend.codes, legend.names, classes, strict=True)
        ],
        "pixels": {"all": grid.height * grid.width, "predicted": int(classes.sum()), "skipped": skipped},
        "chunks": {"all": len(records), "in_this_run": store.n_added},
        "seconds_of_all_chunks": seconds,
        "this_run": {
            "seconds": round(progress.seconds, 3),
            "pixels": progress.computed,
            "pixels_per_second": round(progress.computed / max(progress.seconds, 1e-9), 1),
        },
    }


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_report(path):
    """What the report of a map holds; nothing if there is none, or it is something else."""
    try:
        report = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) and {"run_key", "outputs"} <= report.keys() else {}


def is_of_map(report, path):
    """Whether a report is that of the map of this name."""
    return bool(report) and report["outputs"][CLASS]["file"] == path.name


def told_of(path, final):
    """What a report tells of a file: its final name and its content."""
    return {"file": final.name, "sha256": _sha256(path)}


def is_as_written(finals, report):
    """Whether files, by layer, have the content that the report of their run tells."""
    told = report.get("outputs", {})
    return bool(told) and all(told.get(name) == told_of(path, path) for name, path in finals.items())


def remove_stale(old, new, path):
    """Remove what belongs to the map that was replaced, and not to the new one.

    Parameters
    ----------
    old, new : dict
        Reports of both maps; the old one may be none.
    path : pathlib.Path
        The map's.
    """
    if not is_of_map(old, path):
        return
    kept = {told["file"] for told in _files_of(new)}
    for told in _files_of(old):
        other = path.with_name(told["file"])
        if told["file"] not in kept and other.is_file() and told_of(other, other) == told:
            other.unlink()


def _files_of(report):
    return [*report["outputs"].values(), *filter(None, [report.get("quicklook")])]
