"""The journal of a run: one line for each finished chunk, which proves itself."""

import hashlib
import json
import os

from ..wholefile import whole_file

__all__ = ["Journal"]

_DIGITS = 16  # of the SHA-256 of a line


class Journal:
    """Lines of JSON, each behind a checksum that also depends on the run.

    A line counts only if its checksum fits; so a line that was torn by a kill or a full disk, was altered,
    or comes from another run is as if it were not there.

    Parameters
    ----------
    path : pathlib.Path
    key : str
        Key of the run.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from m3fusion_sk.mapping.journal import Journal
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     journal = Journal(Path(folder, "journal"), key="abc")
    ...     journal.append({"chunk": 3})
    ...     journal.path.write_text(journal.path.read_text() + "torn")
    ...     journal.read()
    33
    [{'chunk': 3}]
    """

    def __init__(self, path, key):
        self.path = path
        self.key = key

    def read(self):
        """All records that prove themselves, in the order in which they were appended."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        return [record for record in map(self._parse, lines) if record is not None]

    def append(self, record):
        """Add a record; it is on the disk when this returns."""
        with open(self.path, "ab") as file:
            file.write(self._line(record))
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, records):
        """Replace the file by one that holds these records only."""
        with whole_file(self.path) as file:
            file.writelines(map(self._line, records))

    def _line(self, record):
        text = json.dumps(record, separators=(",", ":")).encode()
        return self._checksum(text) + b" " + text + b"\n"

    def _parse(self, line):
        checksum, _, text = line.partition(b" ")
        return json.loads(text) if checksum == self._checksum(text) else None

    def _checksum(self, text):
        return hashlib.sha256(self.key.encode() + text).hexdigest()[:_DIGITS].encode()
