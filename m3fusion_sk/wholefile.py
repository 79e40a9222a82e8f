"""Files that appear as a whole or not at all."""

import os
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path):
    """A binary file to write to, which takes the place of `path` once all is written and on the disk.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"The folder of {path.name} must exist; {path.parent} does not. Make it first."
        )
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):  # on a disk that cannot be written, that error is not the one to tell
            partial.unlink(missing_ok=True)


def sync_folder(folder):
    """Put the names in a folder on the disk, where the system can do that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
