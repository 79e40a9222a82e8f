"""Patches of one image as a network takes them: the image once, and where each patch lies in it."""

import math

import numpy as np
import torch

from ..patchview import PatchView
from .batches import as_tensor

_WORTH = 0.5  # an image is handed over if it has at most this share of its patches' pixels


class PatchBlock:
    """Patches that share an image.

    Parameters
    ----------
    image : tensor of shape (n_bands, block_height, block_width)
    rows, cols : tensor of int of shape (n_samples,)
        First row and column of each patch; they stay where work is planned, not on the image's device.
    size : (int, int)
        Height and width of a patch.
    """

    def __init__(self, image, rows, cols, size):
        self.image, self.rows, self.cols, self.size = image, rows, cols, size

    def __len__(self):
        return len(self.rows)

    def to(self, device):
        return PatchBlock(self.image.to(device), self.rows, self.cols, self.size)

    def map(self, function):
        """The patches of another image, which `function` makes of (1, n_bands, height, width)."""
        return PatchBlock(function(self.image[None])[0], self.rows, self.cols, self.size)

    def patches(self):  # -> (n_samples, n_bands, height, width)
        windows = self.image.unfold(1, self.size[0], 1).unfold(2, self.size[1], 1)
        rows, cols = (part.to(self.image.device) for part in (self.rows, self.cols))
        return windows[:, rows, cols].transpose(0, 1)


def block_of(view):
    """The part of a `PatchView`'s image that its patches need, or None where that saves no work."""
    top, left = view.rows.min(), view.cols.min()
    bottom, right = view.rows.max() + view.size[0], view.cols.max() + view.size[1]
    image = view.image[:, top:bottom, left:right]
    if math.prod(image.shape[1:]) > _WORTH * len(view) * math.prod(view.size):
        return None
    rows, cols = torch.from_numpy(view.rows - top), torch.from_numpy(view.cols - left)
    return PatchBlock(as_tensor(image), rows, cols, view.size)


def batches_of_neighbours(view, batch_size):
    """Rows of a `PatchView` in batches whose patches lie close together."""
    tiles = [_tile(positions, math.isqrt(batch_size)) for positions in (view.rows, view.cols)]
    order = np.lexsort((view.cols, view.rows, tiles[1], tiles[0]))
    tile = tiles[0][order] * (tiles[1].max(initial=0) + 1) + tiles[1][order]
    starts = np.flatnonzero(np.diff(tile)) + 1
    for part in np.split(order, starts):
        yield from (part[start : start + batch_size] for start in range(0, len(part), batch_size))


def _tile(positions, side):
    """The number of the tile of each position: few tiles of about equal sides, of at most so many."""
    places, index = np.unique(positions, return_inverse=True)
    n_tiles = -(-len(places) // side)
    return index * n_tiles // max(len(places), 1)


def view_of(X, name):
    """The `PatchView` that a source of X is, or None."""
    values = X.rows_of(name)
    return values if isinstance(values, PatchView) else None
