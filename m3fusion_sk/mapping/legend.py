"""What a class map's numbers mean: code, name and colour of each class."""

import colorsys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from numbers import Integral, Real

import numpy as np

__all__ = ["Legend"]

NODATA = 0
UNSURE, UNSURE_COLOR = "unsure", (220, 220, 220)
LARGEST = 65_534
# for readers of any colour vision the first 13 differ by at least 20 in CIELAB, the 18 by 15
PALETTE = (
    (234, 150, 5), (96, 104, 113), (142, 0, 0), (84, 0, 120), (244, 175, 255), (0, 107, 247),
    (81, 4, 39), (184, 248, 129), (2, 255, 178), (152, 158, 80), (251, 232, 55), (26, 164, 182),
    (33, 120, 73), (152, 105, 1), (8, 51, 87), (164, 34, 139), (135, 92, 193), (66, 210, 173),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Legend:
    """Codes, names and colours of the classes of a map, in the order of the estimator's ``classes_``.

    Integer labels from 1 to 65,534 are their own codes; other sets of labels get 1, 2, ... in order. 0 is
    nodata. With a threshold to reject by, "unsure" comes last, with the code after the largest.

    Attributes
    ----------
    codes : array of shape (n_classes,) or (n_classes + 1,)
        uint8 if all codes fit, else uint16.
    names : tuple of str
    colors : tuple of (int, int, int)
        Red, green and blue, 0 to 255.
    reject : float or None
        Pixels whose largest probability is lower are unsure.

    Examples
    --------
    >>> from m3fusion_sk.mapping.legend import Legend
    >>> Legend.of(["forest", "water"]).codes
    array([1, 2], dtype=uint8)
    >>> Legend.of([11, 13, 600]).codes
    array([ 11,  13, 600], dtype=uint16)
    """

    codes: np.ndarray
    names: tuple
    colors: tuple
    reject: float | None = None

    @classmethod
    def of(cls, classes, colors=None, reject=None):
        """The legend of these labels; `colors` gives some of them a colour, by label."""
        labels = np.asarray(classes).tolist()
        codes = labels if all(map(_is_code, labels)) else list(range(1, len(labels) + 1))
        names, extra = tuple(map(str, labels)), () if reject is None else (UNSURE,)
        _check_text(names)
        if reject is not None:
            reject = _checked_reject(reject, names)
            codes = [*codes, max(codes) + 1]
        if max(codes) > LARGEST:
            what = (
                f"code {LARGEST} is taken, so that none is left for {UNSURE!r}. Leave reject out, or relabel"
            )
            raise ValueError(
                f"A map can hold {LARGEST} classes; {what if reject is not None else f'got {len(labels)}'}."
            )
        dtype = np.uint8 if max(codes) <= 255 else np.uint16
        chosen = _check_colors(colors or {}, labels)
        others = _others(chosen)
        shades = tuple(chosen.get(label) or next(others) for label in labels)
        shades += (UNSURE_COLOR,) * len(extra)
        return cls(np.array(codes, dtype), names + extra, shades, reject)

    @property
    def n_classes(self):
        """Number of classes of the estimator."""
        return len(self.codes) - (self.reject is not None)

    def codes_of(self, proba):
        """The code of each row of probabilities (n_pixels, n_classes)."""
        codes = self.codes[proba.argmax(axis=1)]
        if self.reject is not None:
            codes[proba.max(axis=1) < self.reject] = self.codes[-1]
        return codes

    @property
    def colormap(self):
        """Colour by code, as rasterio writes it."""
        return {int(code): (*rgb, 255) for code, rgb in zip(self.codes, self.colors, strict=True)}


def _is_code(label):
    return isinstance(label, Integral) and not isinstance(label, bool) and 1 <= label <= LARGEST


def _check_text(names):
    """Refuse text that no file can hold, as what was decoded wrongly."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"Labels must be text that files can hold; got {name!r} ({error.reason}). Decode them with "
                "the encoding that they were written in."
            ) from error


def _checked_reject(reject, names):
    if not isinstance(reject, Real) or isinstance(reject, bool) or not 0 < reject <= 1:
        raise ValueError(f"reject must be a probability above 0, such as 0.6, or None; got {reject!r}.")
    if UNSURE in names:
        raise ValueError(
            f"reject calls pixels {UNSURE!r}, which is a class already: {list(names)}. Rename it."
        )
    return float(reject)


def _others(chosen):
    """Colours one after another, without those that are chosen."""
    return (shade for shade in map(_default_color, count()) if shade not in chosen.values())


def _default_color(i):
    if i < len(PALETTE):
        return PALETTE[i]
    rgb = colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.45 + 0.2 * (i % 3), 0.9 - 0.15 * (i % 2))
    return tuple(round(255 * c) for c in rgb)


def _check_colors(colors, labels):
    if not isinstance(colors, Mapping):
        raise TypeError(
            f"colors must be a dict, such as {{{labels[0]!r}: (0, 90, 50)}}; got {type(colors).__name__}."
        )
    for label, rgb in colors.items():
        if label not in labels:
            raise ValueError(f"colors must name classes of the estimator, {labels}; got {label!r}.")
        parts = tuple(rgb) if isinstance(rgb, Iterable) else ()
        if len(parts) != 3 or not all(isinstance(c, Integral) and 0 <= c <= 255 for c in parts):
            raise ValueError(
                f"colors[{label!r}] must be (red, green, blue), each an integer from 0 to 255; got {rgb!r}."
            )
    return {label: tuple(map(int, rgb)) for label, rgb in colors.items()}
