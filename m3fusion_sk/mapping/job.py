"""The work on one chunk: it depends on the scene, the estimator and the window alone."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..inside import find_inside
from ..multisource import MultiSource
from ..patchview import PatchView
from .layers import values_of
from .legend import Legend

__all__ = ["ChunkResult", "Job", "Pixels"]

_SLACK = 1e-3  # by rounding, in bfloat16 say


@dataclass(frozen=True, eq=False)
class Pixels:
    """What was read of a chunk."""

    chunk: int
    window: Any
    X: MultiSource
    valid: np.ndarray
    seconds: float


@dataclass(frozen=True, eq=False)
class ChunkResult:
    """What a chunk came to: arrays (n_bands, height, width) by layer, none without data, and counts."""

    arrays: dict
    facts: dict = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that the work on the chunks of a run needs; it goes to other processes as a whole.

    Parameters
    ----------
    scene : Scene
    estimator : fitted classifier
    legend : Legend
    layers : list of Layer
    chunk_size : (int, int)
    batch_size : int
        Pixels that the estimator gets at once.
    """

    scene: Any
    estimator: Any
    legend: Legend
    layers: list
    chunk_size: tuple
    batch_size: int

    @property
    def windows(self):
        """The chunks, row by row."""
        return list(self.scene.grid.windows(*self.chunk_size))

    def read(self, chunk, window):
        """Read a chunk; in any thread."""
        start = time.perf_counter()
        X, valid = self.scene.extract(*self.scene.pixels(window))
        return Pixels(chunk, window, X, valid, time.perf_counter() - start)

    def predict(self, pixels):
        """Predict a chunk that was read."""
        start, watch = time.perf_counter(), CuttingTime()
        X, rows = watch.over(pixels.X), np.flatnonzero(pixels.valid)
        blocks = [rows[first : first + self.batch_size] for first in range(0, len(rows), self.batch_size)]
        try:
            parts = [self._predict_rows(X[block], pixels.window) for block in blocks]
        except Exception as error:
            error.add_note(
                f"This was at {pixels.window}. If memory is short, lower chunk_size or batch_size."
            )
            raise
        arrays = {}
        for layer in self.layers if parts else []:
            arrays[layer.name] = self._placed(
                layer, [part[layer.name] for part in parts], rows, pixels.window
            )
        seconds = {"read": pixels.seconds, "cut": watch.seconds}
        seconds["predict"] = time.perf_counter() - start - watch.seconds
        return ChunkResult(arrays, {**self._counts(arrays, pixels, len(rows)), "seconds": seconds})

    def _predict_rows(self, X, window):
        """Encoded values of each layer for some pixels, (n_pixels, n_bands)."""
        proba = np.asarray(self.estimator.predict_proba(X))
        _check_proba(proba, (len(X), self.legend.n_classes), self.estimator, window)
        told = {}

        def tell(method):
            if method not in told:
                part, prepare = find_inside(self.estimator, method, "The map")
                told[method] = getattr(part, method)(prepare(X))
            return told[method]

        return {
            layer.name: self._checked(layer, values_of(layer, proba, self.legend, tell), X, window)
            for layer in self.layers
        }

    def _checked(self, layer, values, X, window):
        expected = len(layer.descriptions) or values.shape[-1]
        if values.shape != (len(X), expected) or not np.isfinite(values).all():
            raise ValueError(
                f"{type(self.estimator).__name__} must give finite {layer.name} of shape "
                f"{(len(X), expected)}; got shape {values.shape} at {window}, or NaN."
            )
        return layer.encode(values)

    def _placed(self, layer, parts, rows, window):
        """Values of the valid pixels in the chunk's block."""
        values = np.concatenate(parts)
        block = layer.empty(values.shape[1], window.height, window.width)
        block.reshape(len(block), -1)[:, rows] = values.T
        return block

    def _counts(self, arrays, pixels, n_valid):
        codes = arrays.get(self.layers[0].name)
        found = {} if codes is None else dict(zip(*np.unique(codes, return_counts=True), strict=True))
        counts = [int(found.get(code, 0)) for code in self.legend.codes]
        return {"pixels": pixels.valid.size, "skipped": pixels.valid.size - n_valid, "classes": counts}


class CuttingTime:
    """Adds up the seconds that it takes to cut patches from their block."""

    def __init__(self):
        self.seconds = 0.0

    def over(self, X):
        """The same container, with patches whose cutting is timed."""
        values = {name: X.rows_of(name) for name in X.names}
        return X.replace(**{name: self._timed(v) for name, v in values.items() if type(v) is PatchView})

    def _timed(self, view):
        timed = _TimedPatches(view.image, view.rows, view.cols, view.size)
        timed.watch = self
        return timed


class _TimedPatches(PatchView):
    """Patches that note how long they take to cut."""

    watch = None

    def __getitem__(self, index):
        start = time.perf_counter()
        try:
            return super().__getitem__(index)
        finally:
            self.watch.seconds += time.perf_counter() - start


def _check_proba(proba, shape, estimator, window):
    if proba.shape != shape:
        raise ValueError(
            f"predict_proba of {type(estimator).__name__} must return shape {shape} (pixels, classes_); got "
            f"{proba.shape} at {window}."
        )
    if not np.isfinite(proba).all():
        raise ValueError(
            f"predict_proba of {type(estimator).__name__} must return finite numbers; got NaN or infinity at "
            f"{window}."
        )
    if proba.size and (proba.min() < -_SLACK or proba.max() > 1 + _SLACK):
        raise ValueError(
            f"predict_proba of {type(estimator).__name__} must return probabilities, between 0 and 1; got "
            f"{proba.min():g} to {proba.max():g} at {window}."
        )
