"""A made landscape: parcels on a plane, each of one class, and the polygons drawn in some of them.

The rules of the ground; `m3fusion_sk.synthetic.appearance` has the rules of what is seen of it.

- Lengths are in pixels of 10 m, and pairs are (row, col). The plane is cut into blocks of about 22 x 22
  pixels. Each block holds 1, 2, 4, 6 or 9 parcels, so that fields of crops are small and towns large.
- Every parcel has a site, jittered about the middle of its share of the block; a point belongs to the
  parcel of the nearest site, which always lies in one of the 3 x 3 blocks around the point. Parcels are
  therefore convex and can be told from the neighbourhood alone.
- Classes get blocks and parcels in proportion to their numbers of objects in Benedetti et al. (2018).
  Blocks of one grain, and parcels of one class, keep together loosely, as if by altitude.
- An object is a polygon inside a parcel: the parcel drawn smaller about its centroid, such that its mean
  area in each class is the mean number of pixels per object in that article. Its pixels are those whose
  centre it holds.
"""

from dataclasses import dataclass

import numpy as np

from ..shares import allot

__all__ = ["CLASSES", "RATIO", "LandClass", "LandObject", "Landscape", "allot"]

RATIO = 5  # pixels of 2 m along a pixel of 10 m
BLOCK = 22  # pixels of 10 m, about
_JITTER = 0.25  # of a parcel's share; up to this the nearest site is surely among 3 x 3 blocks
_FILLED = 0.8  # largest part of a parcel that an object fills
_PLACES, _KINDS, _OBJECTS = 1, 2, 3  # streams of random numbers


@dataclass(frozen=True)
class LandClass:
    """A land cover class: its objects and pixels in the article, its parcels per block, a map colour."""

    name: str
    n_objects: int
    n_pixels: int
    grain: tuple[int, int]
    color: tuple[int, int, int]


CLASSES = (
    LandClass("crop cultivations", 380, 12090, (3, 3), (202, 203, 0)),
    LandClass("sugar cane", 496, 84136, (1, 2), (236, 187, 98)),
    LandClass("orchards", 299, 15477, (2, 3), (192, 129, 227)),
    LandClass("forest plantations", 67, 9783, (1, 2), (0, 184, 180)),
    LandClass("meadow", 257, 50596, (1, 2), (90, 134, 20)),
    LandClass("forest", 292, 55108, (1, 2), (5, 52, 0)),
    LandClass("shrubby savannah", 371, 20287, (2, 3), (228, 134, 110)),
    LandClass("herbaceous savannah", 78, 5978, (2, 2), (192, 245, 192)),
    LandClass("bare rocks", 107, 18659, (1, 2), (102, 88, 118)),
    LandClass("urbanized areas", 125, 36178, (1, 1), (166, 9, 58)),
    LandClass("greenhouse crops", 50, 1877, (3, 3), (89, 10, 116)),
    LandClass("water surfaces", 96, 7349, (2, 2), (0, 115, 255)),
    LandClass("shadows", 38, 5230, (1, 2), (7, 0, 5)),
)
_GRAINS = tuple(dict.fromkeys(c.grain for c in CLASSES))


@dataclass(frozen=True, eq=False)
class LandObject:
    """A labelled polygon: `outline` is an array of shape (n_corners, 2) of (row, col) in pixels of 10 m."""

    parcel: int
    class_index: int
    outline: np.ndarray

    def pixels(self):
        """Rows and columns of the pixels whose centre lies inside."""
        (top, left), (bottom, right) = self.outline.min(axis=0), self.outline.max(axis=0)
        rows = np.arange(int(top), int(bottom) + 1)
        cols = np.arange(int(left), int(right) + 1)
        inside = np.ones((len(rows), len(cols)), bool)
        for (r0, c0), (r1, c1) in zip(self.outline, np.roll(self.outline, -1, axis=0), strict=True):
            across = (rows + 0.5 - r0)[:, None] * (c1 - c0) - (cols + 0.5 - c0) * (r1 - r0)
            inside &= across > 0
        row, col = np.nonzero(inside)
        return row + rows[0], col + cols[0]


class Landscape:
    """A finite mosaic of parcels.

    Parameters
    ----------
    shape : (int, int)
        Height and width, in pixels of 10 m.
    seed : int
        Everything follows from it.
    block : float
        Side of a block, in pixels of 10 m.
    """

    def __init__(self, shape, seed, block=BLOCK):
        self.shape, self.seed = tuple(shape), seed
        self.n_blocks = tuple(max(1, round(n / block)) for n in shape)
        self.block_size = tuple(n / b for n, b in zip(shape, self.n_blocks, strict=True))
        rng = np.random.default_rng([seed, _PLACES])
        self._place(self._grains_of_blocks(rng), rng)
        self.class_index = self._classes_of_parcels(np.random.default_rng([seed, _KINDS]))

    @property
    def n_parcels(self):
        return len(self.sites)

    # ----- laying out

    def _grains_of_blocks(self, rng):
        """Which of `_GRAINS` each block has."""
        members = [[c for c in CLASSES if c.grain == grain] for grain in _GRAINS]
        sizes = [np.prod(grain) for grain in _GRAINS]
        weights = [sum(c.n_objects for c in group) / size for group, size in zip(members, sizes, strict=True)]
        n = int(np.prod(self.n_blocks))
        least = [-(-3 * len(group) // size) for group, size in zip(members, sizes, strict=True)]
        if sum(least) > n:
            least = np.minimum(1, n // len(_GRAINS))
        rows, cols = np.divmod(np.arange(n), self.n_blocks[1])
        return _keep_together(allot(n, weights, least), rows, cols, rng)

    def _place(self, grains, rng):
        """Sites of all parcels, block after block."""
        self.grain = np.repeat(grains, [np.prod(_GRAINS[g]) for g in grains])
        self._starts = np.concatenate([[0], np.cumsum([np.prod(_GRAINS[g]) for g in grains])])
        self.sites = np.empty((len(self.grain), 2))
        for block, g in enumerate(grains):
            down, across = _GRAINS[g] if rng.random() < 0.5 else _GRAINS[g][::-1]
            places = np.stack(np.divmod(np.arange(down * across), across), axis=1) + 0.5
            places += rng.uniform(-_JITTER, _JITTER, places.shape)
            corner = np.divmod(block, self.n_blocks[1])
            sites = (corner + places / (down, across)) * self.block_size
            self.sites[self._starts[block] : self._starts[block + 1]] = sites

    def _classes_of_parcels(self, rng):
        classes = np.empty(self.n_parcels, np.int8)
        for g, grain in enumerate(_GRAINS):
            members = np.array([i for i, c in enumerate(CLASSES) if c.grain == grain])
            parcels = np.flatnonzero(self.grain == g)
            least = min(3, len(parcels) // len(members))
            counts = allot(len(parcels), [CLASSES[i].n_objects for i in members], least)
            rows, cols = (self.sites[parcels] / self.block_size).T
            classes[parcels] = members[_keep_together(counts, rows, cols, rng)]
        return classes

    # ----- looking up

    def _near(self, row, col, reach=1):
        """Parcels of the blocks around one block, itself included."""
        rows = range(max(0, row - reach), min(self.n_blocks[0], row + reach + 1))
        first, last = max(0, col - reach), min(self.n_blocks[1], col + reach + 1) - 1
        bounds = ((r * self.n_blocks[1] + first, r * self.n_blocks[1] + last + 1) for r in rows)
        return np.concatenate([np.arange(self._starts[a], self._starts[b]) for a, b in bounds])

    def parcels(self, window):
        """The parcel of each pixel of 2 m in a window (row, col, height, width) of such pixels."""
        row, col, height, width = window
        y, x = (row + np.arange(height) + 0.5) / RATIO, (col + np.arange(width) + 0.5) / RATIO
        block_rows, block_cols = (y // self.block_size[0]).astype(int), (x // self.block_size[1]).astype(int)
        parcels = np.empty((height, width), np.int32)
        for i in np.unique(block_rows):
            rows = slice(*np.searchsorted(block_rows, [i, i + 1]))
            for j in np.unique(block_cols):
                cols = slice(*np.searchsorted(block_cols, [j, j + 1]))
                near = self._near(i, j)
                parcels[rows, cols] = near[_nearest(y[rows], x[cols], self.sites[near])]
        return parcels

    # ----- objects

    def outline(self, parcel):
        """Corners of a parcel, as an array of shape (n_corners, 2) of (row, col)."""
        height, width = self.shape
        corners = [(0.0, 0.0), (0.0, float(width)), (float(height), float(width)), (float(height), 0.0)]
        site = self.sites[parcel]
        near = self._near(*(site / self.block_size).astype(int), reach=2)
        distance = np.hypot(*(self.sites[near] - site).T)
        for i in np.argsort(distance)[1:]:
            if distance[i] > 2 * max(np.hypot(r - site[0], c - site[1]) for r, c in corners):
                break  # no further site can cut anything off
            corners = _nearer(corners, site, self.sites[near[i]])
        return np.array(corners)

    def most_objects(self):
        """How many objects of each class can be drawn."""
        return np.bincount(self.class_index, minlength=len(CLASSES))

    def objects(self, counts):
        """Draw objects: `counts` of each class, fewer where that many do not hold a single pixel."""
        rng = np.random.default_rng([self.seed, _OBJECTS])
        drawn = []
        for index, count in enumerate(counts):
            parcels = rng.permutation(np.flatnonzero(self.class_index == index))
            drawn += self._objects_of_class(index, parcels, count)
        return sorted(drawn, key=lambda o: o.parcel)

    def _objects_of_class(self, index, parcels, count):
        outlines = [self.outline(parcel) for parcel in parcels[: count + 5]]
        wanted = CLASSES[index].n_pixels / CLASSES[index].n_objects * np.prod(self.block_size) / BLOCK**2
        mean = np.mean([_area(outline) for outline in outlines]) if outlines else 1
        scale = np.sqrt(min(_FILLED, wanted / mean))
        objects = [
            LandObject(int(parcel), index, _shrink(outline, scale))
            for parcel, outline in zip(parcels, outlines, strict=False)
        ]
        return [o for o in objects if len(o.pixels()[0])][:count]


def _keep_together(counts, rows, cols, rng):
    """Give out `counts` of the kinds 0, 1, ... to places, the same kinds loosely side by side."""
    height = 0.35 * rng.standard_normal(len(rows))
    for wave in rng.standard_normal((6, 2)) * 0.7:
        height += np.cos(wave[0] * rows + wave[1] * cols + rng.uniform(0, 2 * np.pi)) / 6
    order = rng.permutation(len(counts))
    kinds = np.empty(len(rows), int)
    kinds[np.argsort(height)] = np.repeat(order, counts[order])
    return kinds


def _nearest(y, x, sites):
    down = (y[:, None] - sites[:, 0]) ** 2
    across = (x[:, None] - sites[:, 1]) ** 2
    return (down[:, None, :] + across[None, :, :]).argmin(axis=2)


def _nearer(corners, site, other):
    """The part of a convex polygon that is nearer to `site` than to `other`."""
    (r0, c0), (r1, c1) = site, other
    limit = (r1 * r1 + c1 * c1 - r0 * r0 - c0 * c0) / 2
    beyond = [r * (r1 - r0) + c * (c1 - c0) - limit for r, c in corners]
    kept = []
    for k, (corner, a) in enumerate(zip(corners, beyond, strict=True)):
        before, b = corners[k - 1], beyond[k - 1]
        if (a > 0) != (b > 0):
            part = b / (b - a)
            kept.append(tuple(p + part * (q - p) for p, q in zip(before, corner, strict=True)))
        if a <= 0:
            kept.append(corner)
    return kept


def _area(outline):
    rows, cols = outline.T
    return abs(np.sum(rows * np.roll(cols, -1) - np.roll(rows, -1) * cols)) / 2


def _shrink(outline, scale):
    """The polygon drawn smaller about its centroid."""
    rows, cols = outline.T
    cross = rows * np.roll(cols, -1) - np.roll(rows, -1) * cols
    centroid = ((outline + np.roll(outline, -1, axis=0)) * cross[:, None]).sum(axis=0) / (3 * cross.sum())
    return centroid + scale * (outline - centroid)
