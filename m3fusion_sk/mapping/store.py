"""The chunks of a run on disk, in a folder beside the map until the map is complete."""

import hashlib
import io
import json
import os
import shutil

import numpy as np

from ..wholefile import whole_file
from .errors import MapNotWritten, RunMismatch
from .journal import Journal

__all__ = ["ChunkStore", "is_run_of", "remove_run", "replaced_in", "write_chunk"]

_RUN, _JOURNAL, _CHUNKS = "run.json", "journal.jsonl", "chunks"
_REPLACED = "replaced.json"  # report of the map that this run replaces, as soon as it begins to


class ChunkStore:
    """Finished chunks: a file each, and the journal that says which of them count.

    Parameters
    ----------
    folder : pathlib.Path
        The run's folder.
    key : RunKey
    """

    def __init__(self, folder, key):
        self.folder = folder
        self.chunks = folder / _CHUNKS
        self.journal = Journal(folder / _JOURNAL, key.digest)
        self.records = {}
        self.n_added = 0  # since the folder was opened

    @classmethod
    def open(cls, folder, key, overwrite=False):
        """Start a run in a new folder, or go on in the one that is there.

        Raises
        ------
        RunMismatch
            If the folder is of a run with another key and `overwrite` is False.
        """
        if folder.exists() and not _is_of(folder, key):
            if not overwrite and not _is_begun(folder):
                raise _mismatch(folder, key)
            if not _is_of_any(folder):
                raise FileExistsError(
                    f"{folder} must be free for the run; it holds files that are no run's. Move them, or "
                    "choose another name."
                )
            remove_run(folder)
        store = cls(folder, key)
        store.chunks.mkdir(parents=True, exist_ok=True)
        if not (folder / _RUN).exists():
            with whole_file(folder / _RUN) as file:
                file.write(json.dumps({"key": key.digest, "parts": key.parts}, indent=1).encode())
        store._resume()
        return store

    def _resume(self):
        """Trust what the journal proves, and sweep the rest away."""
        found = self.journal.read()
        self.records = {record["chunk"]: record for record in found if self._content(record) is not None}
        if self.journal.path.exists():
            self.journal.rewrite(self.records.values())
        kept = {record["file"] for record in self.records.values()}
        for path in self.folder.rglob("*"):
            known = path.name in kept or path.name in (_RUN, _JOURNAL, _REPLACED)
            if path.is_file() and not known:
                path.unlink()

    def record(self, record):
        """Note a chunk whose file is on the disk."""
        self.journal.append(record)
        self.n_added += 1
        self.records[record["chunk"]] = record

    def load(self, chunk, layer):
        """The array of a layer of a finished chunk; None if it has no data.

        Raises
        ------
        MapNotWritten
            If its file is not as it was written.
        """
        content = self._content(self.records[chunk])
        if content is None:
            raise MapNotWritten(
                f"Chunk {chunk} in {self.chunks} is not as it was written: the disk may be failing. Run the "
                "same call again: the chunk will be computed again."
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return arrays.get(layer)

    def _content(self, record):
        """What the file of a record holds; None if it is not as it was written."""
        try:
            content = (self.chunks / record["file"]).read_bytes()
        except FileNotFoundError:
            return None
        return content if hashlib.sha256(content).hexdigest() == record["sha256"] else None

    def remove(self):
        """Forget the run, with all its chunks."""
        remove_run(self.folder)


def write_chunk(folder, chunk, arrays):
    """Write the arrays of a chunk durably; called in any process, also twice for one chunk.

    Returns
    -------
    dict
        ``chunk``, and ``file`` and ``sha256`` by which the journal knows it.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    content = buffer.getvalue()
    name = f"{chunk:06}.{os.getpid()}.{os.urandom(4).hex()}.npz"
    with whole_file(folder / _CHUNKS / name) as file:
        file.write(content)
    return {"chunk": chunk, "file": name, "sha256": hashlib.sha256(content).hexdigest()}


def replaced_in(folder):
    """Where a run keeps the report of the map that it replaces."""
    return folder / _REPLACED


def is_run_of(folder, key):
    """Whether a folder is there, of the run with this key."""
    return folder.is_dir() and _is_of(folder, key)


def remove_run(folder):
    """Remove a run's folder. What says whose it was goes last: whoever is stopped here can be followed."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _RUN:
            path.unlink()
    shutil.rmtree(folder)


def _read_run(folder):
    """What the folder says about its run; nothing if it was not yet said, or is damaged."""
    try:
        run = json.loads((folder / _RUN).read_bytes())
        return run if isinstance(run, dict) else {}
    except (FileNotFoundError, ValueError):
        return {}


def _is_begun(folder):
    """Whether it is of a run that ended before its first chunk, and replaces no map."""
    chunks = folder / _CHUNKS
    return _is_of_any(folder) and not any(chunks.glob("*")) and not replaced_in(folder).exists()


def _is_of_any(folder):
    return (folder / _RUN).exists() or (folder / _JOURNAL).exists()


def _is_of(folder, key):
    """Whether the folder is of the run with this key, or of one that was stopped before it began."""
    if not _is_of_any(folder):
        return all(path.name in (_CHUNKS, f"{_RUN}.partial") for path in folder.rglob("*"))
    return _read_run(folder) == {"key": key.digest, "parts": key.parts}


def _mismatch(folder, key):
    parts = _read_run(folder).get("parts")
    reason = f"differing in {key.differences(parts)}" if parts else "and its run.json is lost or damaged"
    return RunMismatch(
        f"{folder} holds chunks of another run, {reason}. Go on with what that run used, write to another "
        "name, or pass overwrite=True to drop those chunks."
    )
