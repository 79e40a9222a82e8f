"""Samples of a made landscape: which pixels of which objects, and their series and patches."""

import numpy as np

from ..gaps import fill_linear
from ..multisource import MultiSource
from ..patchview import PatchView
from ..shares import allot
from .clouds import CLOUD, SHADOW
from .landscape import BLOCK, CLASSES, RATIO, Landscape
from .textures import TILE, tiles

__all__ = ["drawn_pixels", "extract", "labelled_landscape"]

_PARCEL_PIXELS = 180  # mean, by the proportions of the classes


def labelled_landscape(n_samples, n_objects, seed):
    """A landscape with enough objects, large enough; the objects; and how many pixels of each class."""
    least = min(3, n_objects // len(CLASSES))
    counts = allot(n_objects, [c.n_objects for c in CLASSES], least)
    n_pixels = allot(n_samples, [c.n_pixels * (n > 0) for c, n in zip(CLASSES, counts, strict=True)], counts)
    side = max(4 * BLOCK, np.sqrt(n_objects / 0.6 * _PARCEL_PIXELS))
    block = float(BLOCK)
    while True:
        landscape = Landscape((int(side), int(side)), seed, block)
        objects = landscape.objects(counts)
        found, pixels = np.zeros((2, len(CLASSES)), int)
        for o in objects:
            found[o.class_index] += 1
            pixels[o.class_index] += len(o.pixels()[0])
        if (found == counts).all() and (pixels >= n_pixels).all():
            return landscape, objects, n_pixels
        if (pixels < n_pixels).any():  # larger parcels, and as many
            block *= 1.1
        side *= 1.1


def drawn_pixels(objects, n_pixels, seed):
    """Rows, columns and object of the samples: of each object one pixel, and the others at random."""
    rng = np.random.default_rng([seed, 30])
    drawn = []
    for index, count in enumerate(n_pixels):
        pixels, first = [], []
        for k, o in enumerate(objects):
            if o.class_index == index:
                rows, cols = o.pixels()
                order = rng.permutation(len(rows))
                pixels.append(np.stack([rows, cols, np.full(len(rows), k)])[:, order])
                first.append(np.arange(len(rows)) == 0)
        if count:
            pixels = np.concatenate(pixels, axis=1)
            rank = np.where(np.concatenate(first), -1.0, rng.random(pixels.shape[1]))
            drawn.append(pixels[:, np.argsort(rank)[:count]])
    rows, cols, groups = np.concatenate(drawn, axis=1)
    order = np.lexsort([cols, rows, groups])
    return rows[order], cols[order], groups[order]


def extract(view, rows, cols, size, days):
    """The sources of some pixels, tile by tile."""
    n = len(rows)
    ts = np.empty((n, len(days), len(view.bands)), np.uint16)
    patch = np.empty((n, len(view.patch_bands), size, size), np.uint16)
    for window in tiles(view.landscape.shape):
        top, left = window[:2]
        at = np.flatnonzero((rows // TILE == top // TILE) & (cols // TILE == left // TILE))
        if len(at):
            values, scl = view.series(window, rows[at] - top, cols[at] - left)
            ts[at] = np.rint(fill_linear(values, (scl == CLOUD) | (scl == SHADOW), days))
            patch[at] = _patches(view, rows[at], cols[at], size)[:]
    return MultiSource(ts=ts, patch=patch)


def _patches(view, rows, cols, size):
    """Patches about the middle of pixels, with the image reflected at its edges."""
    starts = [RATIO * places + RATIO // 2 - size // 2 for places in (rows, cols)]
    window, pad = [], [(0, 0)]
    for first, n in zip(starts, view.landscape.shape, strict=True):
        start, stop = first.min(), first.max() + size
        low, high = max(0, start), min(RATIO * n, stop)
        window.append((low, high - low))
        pad.append((low - start, stop - high))
    (row, height), (col, width) = window
    image = np.pad(view.image((row, col, height, width)), pad, mode="reflect")
    return PatchView(image, *(first - first.min() for first in starts), (size, size))
