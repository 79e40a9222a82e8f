"""A run: from the first chunk, or the first that is left, to the map and its report."""

import errno
import json
import os
import socket
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from ..wholefile import whole_file
from .assembly import Mosaic, assemble, key_of, publish
from .errors import MapBusy, MapNotWritten, RunMismatch
from .files import stamps
from .quicklook import write_quicklook
from .report import Progress, make_report, told_how_to_resume
from .store import ChunkStore, remove_leftovers
from .workers import on_cluster, one_by_one, with_processes

__all__ = ["Run", "beside", "locked"]

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def beside(path, suffix):
    """A name that goes with the map's: map.tif -> map.report.json."""
    return path.with_name(path.stem + suffix)


@contextmanager
def locked(path):
    """Nobody else writes the map meanwhile; the lock ends with the process, however that ends."""
    name = path.with_name(f".{path.name}.lock")
    lock = FileLock(name, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise MapBusy(
            f"Another run is writing {path} ({_owner(name)}). Wait for it, or choose another name."
        ) from None
    try:
        with suppress(OSError):  # a full disk is met later, where it matters
            name.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        name.unlink(missing_ok=True)
        lock.release()


def _owner(name):
    try:
        return name.read_text() or "unknown process"
    except OSError:
        return "unknown process"


class Run:
    """One map in the making.

    Parameters
    ----------
    job : Job
    key : RunKey
    path : pathlib.Path
        The map.
    overwrite : bool
    """

    def __init__(self, job, key, path, overwrite):
        self.job, self.key, self.path, self.overwrite = job, key, path, overwrite
        self.folder = path.with_name(path.name + ".run")

    def is_finished(self):
        """Whether the map is there, with all its layers, by a run with the same key."""
        paths = [layer.path(self.path) for layer in self.job.layers]
        finished = all(path.is_file() and key_of(path) == self.key.digest for path in paths)
        if finished:
            remove_leftovers(self.folder, self.key)
        return finished

    def check_free(self):
        """Refuse to replace what was not asked to be replaced."""
        there = [path for path in (layer.path(self.path) for layer in self.job.layers) if path.exists()]
        folders = [path for path in there if path.is_dir()]
        if folders:
            raise IsADirectoryError(f"The map must be a file; {folders[0]} is a folder. Choose another name.")
        unfinished = [path for path in there if key_of(path) != self.key.digest]
        if unfinished and not self.overwrite:
            reason = (
                "by another model, or of other parameters or inputs"
                if key_of(unfinished[0])
                else "not by a run"
            )
            raise RunMismatch(
                f"The map {unfinished[0]} exists already ({reason}). Choose another name, or pass "
                "overwrite=True to replace it."
            )

    def go(self, n_jobs, client, verbose, quicklook):
        """Work on the chunks that are left, and put them together."""
        with _as_not_written(self.path, self.folder):
            store = ChunkStore.open(self.folder, self.key, self.overwrite)
            windows = self.job.windows
            with told_how_to_resume(self.folder, len(windows), store):
                before = stamps(self.job.scene.files())
                progress = self._work(store, windows, n_jobs, client, verbose)
                self._check_inputs(before, store)
                self._complete(store, progress, quicklook)

    def _work(self, store, windows, n_jobs, client, verbose):
        todo = [chunk for chunk in range(len(windows)) if chunk not in store.records]
        sizes = [window.height * window.width for window in windows]
        progress = Progress(sum(sizes), sum(sizes) - sum(sizes[chunk] for chunk in todo), bool(verbose))
        try:
            for record in self._records(todo, n_jobs, client):
                store.record(record)
                progress.update(record["pixels"])
        finally:
            progress.close()
        return progress

    def _records(self, todo, n_jobs, client):
        if not todo:
            return iter(())
        if client is not None:
            return on_cluster(self.job, self.folder, todo, client)
        if n_jobs > 1:
            return with_processes(self.job, self.folder, todo, n_jobs)
        return one_by_one(self.job, self.folder, todo)

    def _check_inputs(self, before, store):
        after = stamps(self.job.scene.files())
        changed = [path for path in before if after.get(path) != before[path]]
        if changed:
            store.remove()
            raise MapNotWritten(
                f"{changed[0]} has changed while {self.path} was made, so that its chunks may not fit each "
                "other; they were dropped. Run the same call again when it no longer changes."
            )

    def _complete(self, store, progress, quicklook):
        """All files are finished before the first gets its name; the map itself is the last."""
        outputs = {}
        for layer in self.job.layers:
            mosaic = Mosaic(store, layer, self.job.scene.grid, self.job.chunk_size)
            final = layer.path(self.path)
            outputs[layer.name] = assemble(mosaic, self.job.legend, self.key, final), final
        report = make_report(self.key, self.job, store, progress, outputs)
        (finished, _), *others = outputs.values()
        if quicklook:
            publish(write_quicklook(finished, self.folder / "quicklook.png"), beside(self.path, ".png"))
        for each in others:
            publish(*each)
        with whole_file(beside(self.path, ".report.json")) as file:
            file.write(json.dumps(report, indent=1).encode())
        publish(finished, self.path)
        store.remove()


@contextmanager
def _as_not_written(path, folder):
    """A full disk is told as what it means for the map."""
    try:
        yield
    except MapNotWritten:
        raise
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise MapNotWritten(
            f"{path} could not be written: {error}. The disk is full, or a file too large for it. Finished "
            f"chunks are kept in {folder}: make room and run the same call again."
        ) from error
