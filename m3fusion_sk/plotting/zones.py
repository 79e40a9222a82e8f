"""Zones of a map to look at closely, such as the cloudiest and the most built-up."""

from numbers import Integral

import numpy as np

__all__ = ["densest_zone"]


def densest_zone(path, measure, size):
    """The square of a raster with most of something in it: clouds, or built-up pixels.

    Parameters
    ----------
    path : path
        A raster with square pixels.
    measure : callable
        Takes the raster's values, an array of shape (n_bands, height, width), and returns how much there
        is of it in each pixel, an array of shape (height, width).
    size : int
        Side of the square in pixels.

    Returns
    -------
    tuple of float
        Bounds (left, bottom, right, top) in coordinates of the raster, as the figures of maps take them.

    Raises
    ------
    ImportError
        If rasterio is missing.
    ValueError
        If the square does not fit into the raster.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from m3fusion_sk import make_scene
    >>> from m3fusion_sk.plotting import densest_zone
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = make_scene(folder, shape=(60, 60), n_dates=2, n_bands=2, random_state=0)
    ...     densest_zone(made.mask, lambda scl: np.isin(scl, (3, 8, 9, 10)).mean(axis=0), size=20)
    (330080.0, 7669560.0, 330280.0, 7669760.0)
    """
    try:
        import rasterio
    except ImportError as error:
        raise ImportError('Zones need rasterio: pip install "m3fusion_sk[raster]".') from error
    with rasterio.open(path) as file:
        values, transform = np.asarray(measure(file.read()), dtype=float), file.transform
    if not isinstance(size, Integral) or not 1 <= size <= min(values.shape):
        raise ValueError(f"size must be an integer from 1 to {min(values.shape)} for {path}; got {size!r}.")
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    row, col = (int(place) for place in np.unravel_index(inside.argmax(), inside.shape))
    a, _, x, _, e, y = transform[:6]
    return x + a * col, y + e * (row + size), x + a * (col + size), y + e * row
