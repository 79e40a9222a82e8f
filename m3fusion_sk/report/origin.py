"""How a report and its maps came to be: files, hashes, versions, settings, commands."""

import hashlib
import json
import platform
import shlex
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from .._version import __version__
from ..inside import find_inside

__all__ = ["origin"]

_PACKAGES = ("numpy", "pandas", "scikit-learn", "torch", "skorch", "rasterio")


def origin(maps, models, command):
    """Titles, each with pairs of what and which.

    Parameters
    ----------
    maps : dict of str to path
        Class maps; what `ChunkedPredictor` reported of them stands beside them.
    models : dict of str to estimator
    command : str or None
        What was run; the command of this process by default.

    Returns
    -------
    list of (str, list of (str, str))
    """
    page = [
        ("written", datetime.now(UTC).isoformat(timespec="seconds")),
        ("command", command or " ".join(map(shlex.quote, sys.orig_argv))),
        ("versions", _versions()),
    ]
    parts = [("This page", page)]
    parts += [(f"Model: {name}", _model(model)) for name, model in models.items()]
    return parts + [(f"Map: {name}", _map(Path(path))) for name, path in maps.items()]


def _versions():
    found = {"m3fusion_sk": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return _joined(found)


def _model(model):
    found = [("settings", repr(model))]
    with suppress(TypeError):  # other models have none
        part = find_inside(model, "content_hash", "origin")[0]
        of = "" if part is model else f" of the {type(part).__name__} in it"
        found.append((f"content hash{of}", part.content_hash()))
    return found


def _map(path):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    from ..mapping.run import beside as named_beside  # maps need rasterio, and so does that module

    beside = named_beside(path, ".report.json")
    if not beside.is_file():
        return [("file", path.name), ("SHA-256", digest)]
    try:
        return [("file", path.name), *_reported(json.loads(beside.read_text(encoding="utf-8")), digest)]
    except (ValueError, KeyError, TypeError, AttributeError):
        unknown = f"{beside.name} is not what ChunkedPredictor writes"
        return [("file", path.name), ("SHA-256", digest), ("report", unknown)]


def _reported(report, digest):
    """What the predictor told of a map, and whether the file is still the one that it wrote."""
    stated, inputs, grid = report["outputs"]["class"]["sha256"], report["inputs"], report["grid"]
    same = "as reported" if stated == digest else f"not the file of its report, which had {stated}"
    parts = {"model": "model", "map": "map", "scene": "inputs"}
    return [
        ("SHA-256", f"{digest} ({same})"),
        ("run key", report["run_key"]),
        *[(name, _text(inputs[part])) for part, name in parts.items() if part in inputs],
        ("grid", f"{grid['height']} x {grid['width']} pixels, {grid['crs']}"),
        ("versions", _joined(report["versions"])),
        ("finished", report["finished"]),
        ("pixels", _joined(report["pixels"])),
        ("seconds by step", _joined(report["seconds_of_all_chunks"])),
    ]


def _text(part):
    return part if isinstance(part, str) else json.dumps(part, indent=1, ensure_ascii=False)


def _joined(parts):
    return ", ".join(f"{name} {value}" for name, value in parts.items())
