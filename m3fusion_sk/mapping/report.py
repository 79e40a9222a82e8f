"""What is told about a run: while it goes on, when it is stopped, and when it is done."""

import hashlib
import platform
import shlex
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import rasterio
import sklearn
from tqdm.auto import tqdm

from .._version import __version__

__all__ = ["Progress", "make_report"]


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
    """When the keyboard interrupts, say what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        command = " ".join(map(shlex.quote, sys.orig_argv))
        script = getattr(sys.modules["__main__"], "__file__", None) is not None
        how = f"run the same command again:\n  {command}" if script else "make the same call again."
        kept = f"{len(store.journal.read())} of {n_chunks} chunks are kept in {folder}"
        print(
            f"\nStopped. {kept}; to resume, {how}",
            file=sys.stderr,
            flush=True,
        )
        raise


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
        "outputs": {
            name: {"file": final.name, "sha256": _sha256(path)} for name, (path, final) in outputs.items()
        },
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
