"""Maps of whole scenes, chunk by chunk."""

from pathlib import Path

import numpy as np

from .grid import as_sides
from .legend import NODATA, Legend
from .scene import Scene
from .writer import check_path, open_map

__all__ = ["ChunkedPredictor"]

ROWS_AT_ONCE = 16_384  # pixels of a chunk that the estimator gets at once: flattened patches take memory


class ChunkedPredictor:
    """Predicts the class of every pixel of a scene and writes the map, one chunk in memory at a time.

    Parameters
    ----------
    estimator : fitted classifier
        Anything with ``predict_proba``, which takes a `MultiSource`, and ``classes_``.
    chunk_size : int or (int, int), default=256
        Rows and columns of a chunk, in pixels of the target grid.
    colors : dict of label to (int, int, int), optional
        Red, green and blue (0 to 255) of some or all classes; the others get distinct colours.

    See Also
    --------
    Scene.sample : training samples from the same pixels.

    Notes
    -----
    The sources are read chunk by chunk, and the pixels with data of a chunk go to ``predict_proba`` in
    batches of at most 16,384, so that flattened patches take little memory whatever the chunk. The map
    depends on neither, as long as the estimator predicts each sample by itself.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import rasterio
    >>> from sklearn.dummy import DummyClassifier
    >>> from m3fusion_sk.mapping import ChunkedPredictor, Scene, VectorRaster
    >>> estimator = DummyClassifier().fit([[0], [0], [1]], ["forest", "forest", "water"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with rasterio.open(
    ...         Path(folder, "slope.tif"), "w", driver="GTiff", dtype="uint8", count=1, height=2, width=3,
    ...         crs="EPSG:32740", transform=rasterio.Affine(10, 0, 320000, 0, -10, 7690000), nodata=255,
    ...     ) as file:
    ...         file.write(np.array([[[1, 2, 3], [4, 5, 255]]], "uint8"))
    ...     scene = Scene({"slope": VectorRaster(Path(folder, "slope.tif"))}, grid="slope")
    ...     path = ChunkedPredictor(estimator).predict(scene, Path(folder, "map.tif"))
    ...     with rasterio.open(path) as file:
    ...         print(file.read(1), file.tags()["CLASS_1"])
    [[1 1 1]
     [1 1 0]] forest
    """

    def __init__(self, estimator, chunk_size=256, *, colors=None):
        self.estimator = estimator
        self.chunk_size = chunk_size
        self.colors = colors

    def predict(self, scene, path, overwrite=False):
        """Write the class map of a scene.

        Parameters
        ----------
        scene : Scene
            With the sources that the estimator was trained on.
        path : path
            The GeoTIFF to write, on the scene's grid: codes of the classes as uint8 or uint16, with 0 for
            pixels without data in one of the sources. Integer labels from 1 to 65,534 are their own codes,
            other labels get 1, 2, ... in the order of ``classes_``. The colour table shows the classes; the
            tag ``CLASS_NAMES`` holds their names by code as JSON, the tags ``CLASS_1``, ... one each.
        overwrite : bool, default=False
            Whether an existing file may be replaced. It stays until the new map is complete.

        Returns
        -------
        pathlib.Path
            The map's path.

        Raises
        ------
        TypeError
            If the scene is no `Scene`, or the estimator no fitted classifier.
        FileExistsError, IsADirectoryError
            If the file exists and `overwrite` is False, or a folder has that name.
        ValueError
            If the estimator's probabilities are not finite or do not fit its classes, or a parameter is not
            as described.
        """
        _check_scene(scene)
        chunk = as_sides(self.chunk_size, "chunk_size")
        legend = Legend.of(_classes_of(self.estimator), self.colors)
        _check_not_input(check_path(path, overwrite), scene)
        with open_map(path, scene.grid, legend, overwrite) as writer:
            for window in scene.grid.windows(*chunk):
                writer.write(window, predict_codes(scene, self.estimator, legend, window))
        return Path(path)


def predict_codes(scene, estimator, legend, window):
    """Codes of one chunk, shape (height, width): they depend on these four things alone."""
    X, valid = scene.extract(*scene.pixels(window))
    codes = np.full(len(valid), NODATA, legend.codes.dtype)
    rows = np.flatnonzero(valid)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        batch = rows[start : start + ROWS_AT_ONCE]
        proba = np.asarray(estimator.predict_proba(X[batch]))
        _check_proba(proba, (len(batch), len(legend.codes)), estimator, window)
        codes[batch] = legend.codes[proba.argmax(axis=1)]
    return codes.reshape(window.height, window.width)


def _check_scene(scene):
    if not isinstance(scene, Scene):
        raise TypeError(
            "predict needs a Scene, such as Scene({'s2': SeriesRaster('s2.tif', n_bands=10)}, grid='s2'); "
            f"got {scene!r:.80}."
        )


def _classes_of(estimator):
    if hasattr(estimator, "classes_") and not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"ChunkedPredictor needs a classifier with predict_proba; {type(estimator).__name__} has none. "
            "Use one that has, or wrap it in CalibratedClassifierCV."
        )
    lacking = [name for name in ("predict_proba", "classes_") if not hasattr(estimator, name)]
    if lacking or np.ndim(estimator.classes_) != 1 or not len(estimator.classes_):
        raise TypeError(
            "ChunkedPredictor needs a fitted classifier with predict_proba and classes_; "
            f"{type(estimator).__name__} has no {' and no '.join(lacking) or 'class'}. Fit it first."
        )
    return estimator.classes_


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


def _check_not_input(path, scene):
    if path.resolve() in {Path(source).resolve() for source in scene.paths}:
        raise ValueError(f"The map must not replace a source of its scene; got {path}. Choose another name.")
