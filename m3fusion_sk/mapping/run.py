"""A run: from the first chunk, or the first that is left, to the map and its report."""

import errno
import json
import os
import socket
import warnings
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from ..wholefile import whole_file
from .assembly import Mosaic, assemble, key_of, publish, sidecars
from .checksums import check_blocks
from .errors import MapBusy, MapNotWritten, RunMismatch
from .files import stamps
from .quicklook import write_quicklook
from .report import (
    Progress,
    is_as_written,
    is_of_map,
    make_report,
    read_report,
    remove_stale,
    told_how_to_resume,
    told_of,
)
from .store import ChunkStore, is_run_of, remove_run, replaced_in
from .workers import on_cluster, one_by_one, with_processes

__all__ = ["Run", "beside", "locked"]

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_OWNER = "process "


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
    except OSError as error:
        if error.errno in _FORBIDDEN:
            left = f"{name}, which an earlier run left, is not. Remove it, unless that run goes on"
            what = left if name.exists() and os.access(path.parent, os.W_OK) else f"{path.parent} is not"
            raise PermissionError(
                f"The map's folder must be one that can be written to; {what}. Or choose another."
            ) from error
        if error.errno not in _FULL:
            raise
        raise MapNotWritten(
            f"{path} could not be begun: {error}. The disk is full: make room and run the same call again."
        ) from error
    try:
        with suppress(OSError):  # a full disk is met later, where it matters
            # where files cannot be locked, who locked it wrote something else, which says whether they live
            held = name.read_text(errors="replace")
            if not held or held.startswith(_OWNER):
                name.write_text(f"{_OWNER}{os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        name.unlink(missing_ok=True)
        lock.release()


def _owner(name):
    try:
        return name.read_text(errors="replace") or "unknown process"
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
    before : dict
        Stamps of the scene's files, from before the key was made.
    """

    def __init__(self, job, key, path, overwrite, before):
        self.job, self.key, self.path, self.overwrite = job, key, path, overwrite
        self.before = before
        self.folder = path.with_name(path.name + ".run")
        self.finals = {layer.name: layer.path(path) for layer in job.layers}
        self.report, self.picture = beside(path, ".report.json"), beside(path, ".png")

    def is_finished(self):
        """Whether the map is there, with all its layers, by a run with the same key, as it was written."""
        finished = all(path.is_file() and key_of(path) == self.key.digest for path in self.finals.values())
        if not finished or not is_as_written(self.finals, read_report(self.report)):
            return False
        if is_run_of(self.folder, self.key):  # it was stopped while cleaning up
            self._clean_up()
        return True

    def check_free(self, quicklook):
        """Refuse to replace what was not asked to be replaced."""
        beside_it = [self.report, self.picture] if quicklook else [self.report]
        for path in (*self.finals.values(), *beside_it):
            if path.is_dir():
                raise IsADirectoryError(f"The map needs the name of the folder {path}. Choose another name.")
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(
                f"The map needs a folder named {self.folder} while it is made; that is a file. Move it away."
            )
        if self.folder.is_symlink():
            raise NotADirectoryError(
                f"Chunks must lie on the disk of the map; {self.folder} is a link. Move its folder back, or "
                "choose another place for the map."
            )
        if self.overwrite:
            return
        there = {name: path for name, path in self.finals.items() if path.exists()}
        report = read_report(self.report)
        absent = [path for name, path in self.finals.items() if name not in there]
        for other in filter(Path.exists, (other for path in absent for other in sidecars(path))):
            raise self._taken(other, "though there is no map that it belongs to", "The file")
        for path in there.values():
            key = key_of(path)
            if key != self.key.digest:
                how = "by another model, or of other parameters or inputs" if key else "not by a run"
                raise self._taken(path, how)
        if self.path.exists() and not is_as_written(there, report):
            raise self._taken(self.path, "but its report is lost, or it is no longer as it was written")
        if not is_of_map(report, self.path):
            for path in filter(Path.exists, beside_it):
                raise self._taken(path, "not by a run of this map", "The file")

    def _taken(self, path, reason, what="The map"):
        return RunMismatch(
            f"{what} {path} exists already ({reason}). Choose another name, or pass overwrite=True to "
            "replace it."
        )

    def go(self, n_jobs, client, verbose, quicklook):
        """Work on the chunks that are left, and put them together."""
        with _as_not_written(self.path, self.folder):
            store = ChunkStore.open(self.folder, self.key, self.overwrite)
            windows = self.job.windows
            if not store.records:  # a run that goes on has looked at these very bytes
                self._check_whole(store)
            with told_how_to_resume(self.folder, len(windows), store):
                try:
                    progress = self._work(store, windows, n_jobs, client, verbose)
                    self._check_inputs()
                except MapNotWritten:
                    if not store.records:
                        store.remove()  # of what nothing is left a run of other content is not asked about
                    raise
                self._check_arrays(store)
                self._complete(store, progress, quicklook)

    def _work(self, store, windows, n_jobs, client, verbose):
        sizes = [window.height * window.width for window in windows]
        progress = Progress(sum(sizes), sum(sizes[chunk] for chunk in store.records), bool(verbose))
        try:
            todo = [chunk for chunk in range(len(windows)) if chunk not in store.records]
            with closing(self._records(todo, n_jobs, client)) as records:
                for record in records:
                    self._check_inputs()  # before the chunk counts
                    store.record(record)
                    progress.update(record["pixels"])
        finally:
            progress.close()
        return progress

    def _records(self, todo, n_jobs, client):
        if client is not None and todo:
            return on_cluster(self.job, self.folder, todo, client)
        if n_jobs > 1 and todo:
            return with_processes(self.job, self.folder, todo, n_jobs)
        return one_by_one(self.job, self.folder, todo)

    def _check_whole(self, store):
        """Refuse damaged files before the first chunk."""
        try:
            check_blocks(self.job.scene.files())
        except OSError:
            store.remove()  # a run of whole files is another one
            raise

    def _check_inputs(self):
        """Refuse to go on where a file was written to, exchanged or removed since the key was made of it.

        The chunks that count are those of before: the key of the next call tells whether they still fit.
        """
        after = stamps(self.before)
        for path, stamp in self.before.items():
            if after[path] != stamp:
                raise MapNotWritten(
                    f"{path} has changed while {self.path} was made (or was touched, or is gone). Run the "
                    "same call again when it no longer changes: it goes on with the chunks of before if the "
                    "content is the same, and asks for overwrite=True if it is another."
                )

    def _check_arrays(self, store):
        """The same for arrays: their values are looked at again, since one can change unseen by its file."""
        now = [file for stack in self.job.scene.stacks() for file in stack.files]
        told = [stack for source in self.key.parts["scene"]["sources"].values() for stack in source["stacks"]]
        pairs = zip(now, [facts for stack in told for facts in stack["files"]], strict=True)
        changed = [file.path for file, facts in pairs if not file.files() and file.facts() != facts]
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
            final = self.finals[layer.name]
            outputs[layer.name] = assemble(mosaic, self.job.legend, self.key, final), final
        told = make_report(self.key, self.job, store, progress, outputs)
        (finished, _), *others = outputs.values()
        drawn, problem = self._drawn(finished, self.folder) if quicklook else (None, None)
        if drawn is not None:
            told["quicklook"] = told_of(drawn, self.picture)
            others.append((drawn, self.picture))
        self.check_free(quicklook)  # what came meanwhile is not replaced either
        self._keep_report_of_replaced()
        self._write_report(told, self.folder)
        for each in others:
            publish(*each)
        publish(finished, self.path)
        self._clean_up()
        self._tell(problem)

    def _drawn(self, finished, folder):
        """The quick-look of a map, or why there is none: a picture must not cost the map."""
        try:
            return write_quicklook(finished, Path(folder, "quicklook.png")), None
        except OSError:  # a full disk, which the rest meets too
            raise
        except Exception as error:
            return None, error

    def _tell(self, problem):
        """Warn, once the map is complete, that it has no quick-look: a warning may be an error."""
        if problem is not None:
            warnings.warn(
                f"{self.path} has no quick-look: it could not be drawn ({type(problem).__name__}: "
                f"{problem}). The map itself is not concerned; quicklook=False leaves the picture out.",
                stacklevel=2,
            )

    def _keep_report_of_replaced(self):
        """What belongs to the map that is replaced is known from here on, however often this is stopped."""
        kept = replaced_in(self.folder)
        if self.report.is_file() and not kept.exists():
            with whole_file(kept) as file:
                file.write(self.report.read_bytes())

    def _clean_up(self):
        """Once the map is complete: remove what belonged to the one before it, and the run's folder."""
        remove_stale(read_report(replaced_in(self.folder)), read_report(self.report), self.path)
        remove_run(self.folder)

    def _write_report(self, told, folder):
        report = folder / "report.json"
        with whole_file(report) as file:
            file.write(json.dumps(told, indent=1).encode())
        publish(report, self.report)

    def draw(self):
        """The quick-look of a finished map, unless there is a picture."""
        if self.picture.exists():
            return
        with _as_not_written(self.path, self.folder), TemporaryDirectory(dir=self.path.parent) as folder:
            drawn, problem = self._drawn(self.path, folder)
            if drawn is None:
                return self._tell(problem)
            told = {**read_report(self.report), "quicklook": told_of(drawn, self.picture)}
            publish(drawn, self.picture)
            self._write_report(told, Path(folder))


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
