"""What a run writes: the class map and, on demand, layers of numbers beside it."""

from dataclasses import dataclass

import numpy as np

from .legend import NODATA

__all__ = ["CLASS", "OUTPUTS", "Layer", "make_layers"]

CLASS, PROBA, ENTROPY, MARGIN, ATTENTION, FEATURES = OUTPUTS = (
    "class", "proba", "entropy", "margin", "attention", "features",
)  # fmt: skip
STEPS = {"uint8": 250, "uint16": 50_000, "float32": None}  # how many make 1


@dataclass(frozen=True)
class Layer:
    """One file of a run.

    Parameters
    ----------
    name : str
        Also what is added to the map's name, unless it is the class map.
    dtype : str
    nodata : float
    steps : int or None
        Values from 0 to 1 are written as integers from 0 to `steps`; None leaves them.
    descriptions : tuple of str
        Of each band; empty if the number of bands shows only in the results.
    """

    name: str
    dtype: str
    nodata: float
    steps: int | None = None
    descriptions: tuple = ()

    @property
    def kind(self):
        """What is written: one of `OUTPUTS`."""
        return self.name.partition(":")[0]

    @property
    def resampling(self):
        """How the overviews are made."""
        return "mode" if self.name == CLASS else "average"

    @property
    def scale(self):
        return 1 if self.steps is None else 1 / self.steps

    def path(self, path):
        """The layer's file beside the map's."""
        if self.name == CLASS:
            return path
        return path.with_name(f"{path.stem}_{self.name.replace(':', '_')}{path.suffix}")

    def encode(self, values):
        """Values as they are written."""
        lacking = ~values.any(axis=1)
        if self.steps is not None:
            values = np.rint(np.clip(values, 0, 1) * self.steps)
        encoded = values.astype(self.dtype, copy=False)
        if self.kind == ATTENTION:  # nothing was attended to where a pixel lacks the series
            encoded[lacking] = self.nodata
        return encoded

    def empty(self, n_bands, height, width):
        """A block without data."""
        return np.full((n_bands, height, width), self.nodata, self.dtype)

    def facts(self):
        """For a run's key and its report."""
        return {"dtype": self.dtype, "steps": self.steps, "bands": list(self.descriptions)}


def make_layers(outputs, dtype, legend, dates, features):
    """The layers of a run, the class map first.

    `dates` names those of the series that are attended to, `features` those of the estimator, if known.
    """
    steps = STEPS[dtype]
    nodata = np.nan if steps is None else int(np.iinfo(dtype).max)
    layers = [Layer(CLASS, str(legend.codes.dtype), NODATA, None, ("class",))]
    if PROBA in outputs:
        layers.append(Layer(PROBA, dtype, nodata, steps, legend.names[: legend.n_classes]))
    if ENTROPY in outputs:
        layers.append(Layer(ENTROPY, dtype, nodata, steps, ("entropy, of 1 at most",)))
    if MARGIN in outputs:
        layers.append(Layer(MARGIN, dtype, nodata, steps, ("two best classes: difference",)))
    if ATTENTION in outputs:
        for name, of_series in dates.items():
            layers.append(Layer(f"{ATTENTION}:{name}", dtype, nodata, steps, tuple(of_series)))
    if FEATURES in outputs:
        layers.append(Layer(FEATURES, "float32", np.nan, None, features))
    return layers


def values_of(layer, proba, legend, tell):
    """Values of a layer for some pixels, (n_pixels, n_bands).

    Parameters
    ----------
    layer : Layer
    proba : array of shape (n_pixels, n_classes)
    legend : Legend
    tell : callable
        ``tell("attention")`` and ``tell("transform")`` ask the estimator about the same pixels.
    """
    kind = layer.kind
    if kind == CLASS:
        return legend.codes_of(proba)[:, None]
    if kind == PROBA:
        return proba
    if kind == ENTROPY:
        return entropy(proba)[:, None]
    if kind == MARGIN:
        return margin(proba)[:, None]
    return (
        tell(ATTENTION)[layer.name.partition(":")[2]] if kind == ATTENTION else np.asarray(tell("transform"))
    )


def entropy(proba):
    """Shannon's entropy of each row, over that of equal probabilities: from 0 (sure) to 1."""
    n_classes = proba.shape[1]
    if n_classes == 1:
        return np.zeros(len(proba))
    p = np.asarray(proba, np.float64)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return -(p * logs).sum(axis=1) / np.log(n_classes)


def margin(proba):
    """Difference of the two largest probabilities of each row; 1 with a single class."""
    if proba.shape[1] == 1:
        return np.ones(len(proba))
    second, first = np.partition(proba, -2, axis=1)[:, -2:].T
    return first - second
