"""Patches as views of the image they are cut from."""

import numpy as np

__all__ = ["PatchView"]


class PatchView:
    """Patches of one image block, cut only when they are asked for.

    Neighbouring patches overlap, so a block of an image and the positions of its patches take a
    small part of the memory of the patches themselves.

    Parameters
    ----------
    image : array of shape (n_bands, block_height, block_width)
        The block, with the margin that its outermost patches need; (n_dates, n_bands, block_height,
        block_width) for a series of patches.
    rows, cols : array of shape (n_samples,)
        Position in the block of each patch's first row and column.
    size : (int, int)
        Height and width of a patch, in pixels.

    Attributes
    ----------
    shape : tuple
        ``(n_samples, n_bands, height, width)``, or ``(n_samples, n_dates, n_bands, height, width)``.
    dtype : numpy.dtype
        That of the block.

    Raises
    ------
    ValueError
        If a patch would reach over the block.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.patchview import PatchView
    >>> view = PatchView(np.arange(16).reshape(1, 4, 4), rows=[0, 1], cols=[0, 1], size=(3, 3))
    >>> view.shape
    (2, 1, 3, 3)
    >>> view[[1]][0, 0]
    array([[ 5,  6,  7],
           [ 9, 10, 11],
           [13, 14, 15]])
    """

    def __init__(self, image, rows, cols, size):
        self.image = np.asarray(image)
        self.rows = np.asarray(rows, dtype=np.intp)
        self.cols = np.asarray(cols, dtype=np.intp)
        self.size = (int(size[0]), int(size[1]))
        self._check()

    def _check(self):
        if self.image.ndim not in (3, 4) or self.rows.ndim != 1 or self.rows.shape != self.cols.shape:
            raise ValueError(
                "PatchView needs an image of shape (n_bands, height, width), or (n_dates, n_bands, height, "
                f"width), and one row and one column per patch; got shapes {self.image.shape}, "
                f"{self.rows.shape} and {self.cols.shape}."
            )
        for axis, first, n, size in zip(
            ("rows", "cols"), (self.rows, self.cols), self.image.shape[-2:], self.size, strict=True
        ):
            if len(first) and (first.min() < 0 or first.max() + size > n):
                raise ValueError(
                    f"PatchView {axis} must lie between 0 and {n - size} for patches of {size} pixels in a "
                    f"block of {n}; got {first.min()} to {first.max()}. Read the block with a larger margin."
                )

    @property
    def shape(self):
        return (len(self.rows), *self.image.shape[:-2], *self.size)

    @property
    def ndim(self):
        return len(self.shape)

    @property
    def dtype(self):
        return self.image.dtype

    @property
    def has_gaps(self):
        """Whether the image has NaN."""
        return self.image.dtype.kind == "f" and bool(np.isnan(self.image).any())

    def __len__(self):
        return len(self.rows)

    def take(self, rows):
        """The view of some of the patches, by their positions, of the same block."""
        return PatchView(self.image, self.rows[rows], self.cols[rows], self.size)

    def without(self, lacking, dtype):
        """The same patches as floats, but those nothing but NaN for which `lacking` is True."""
        height, width = self.image.shape[-2:]
        below = self.size[0] if np.any(lacking) else 0  # room for a patch of NaN under the block
        image = np.full((*self.image.shape[:-2], height + below, width), np.nan, dtype)
        image[..., :height, :] = self.image
        rows, cols = np.where(lacking, height, self.rows), np.where(lacking, 0, self.cols)
        return PatchView(image, rows, cols, self.size)

    def __getitem__(self, index):
        rows, cols = self.rows[index], self.cols[index]
        if not rows.size:
            return np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        windows = np.lib.stride_tricks.sliding_window_view(self.image, self.size, axis=(-2, -1))
        n = self.image.ndim
        return np.ascontiguousarray(windows.transpose(n - 2, n - 1, *range(n - 2), n, n + 1)[rows, cols])

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("PatchView cannot become an array without a copy.")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __repr__(self):
        return f"PatchView(shape={self.shape}, dtype={self.dtype}, block={self.image.shape})"
