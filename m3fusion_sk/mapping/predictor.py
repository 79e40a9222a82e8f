"""Maps of whole scenes, chunk by chunk."""

from collections.abc import Iterable
from pathlib import Path

import joblib
import numpy as np
from sklearn.pipeline import Pipeline

from ..classifier import M3FusionClassifier
from ..inside import find_inside, first_inside
from ..validation import check_specs
from .assembly import sidecars
from .files import stamps
from .grid import as_sides, is_count
from .job import Job
from .layers import ATTENTION, FEATURES, OUTPUTS, STEPS, make_layers
from .legend import Legend
from .quicklook import check_quicklook
from .run import Run, beside, locked
from .runkey import RunKey
from .scene import Scene

__all__ = ["ChunkedPredictor"]

NEEDED = {ATTENTION: "attention", FEATURES: "transform"}  # methods of the estimator


class ChunkedPredictor:
    """Predicts the class of every pixel of a scene and writes the map, one chunk in memory at a time.

    A map is never half there: finished chunks go to a folder beside it, ``map.tif.run``, and the map gets
    its name when all of it was written and read again. After a kill, a full disk or an interrupt the same
    call goes on with the chunks that are left.

    Parameters
    ----------
    estimator : fitted classifier
        Anything with ``predict_proba``, which takes a `MultiSource`, and ``classes_``.
    chunk_size : int or (int, int), default=256
        Rows and columns of a chunk, in pixels of the target grid.
    colors : dict of label to (int, int, int), optional
        Red, green and blue (0 to 255) of some or all classes; the others get distinct colours.
    reject : float, optional
        Pixels whose largest probability is lower get the class "unsure", with the code after the largest;
        what the probabilities are worth `m3fusion_sk.calibration` tells.
    outputs : str or list of str, default="class"
        What to write beside the class map, which is always written: "proba" (of each class), "entropy"
        (over its maximum: 0 is sure, 1 is equal probabilities), "margin" (of the two most probable
        classes), "attention" (of each date, a file for each series; nodata where a pixel lacks the series)
        and "features" (float32; 0 for a source that a pixel lacks). The last two need an estimator with
        methods ``attention`` and ``transform``: the network, also at the end of a pipeline, as the best of
        a fitted search, or as the only one in a calibrated classifier. The files are called
        ``map_proba.tif``, ...
    dtype : {"uint8", "uint16", "float32"}, default="uint8"
        Of all but classes and features: integers hold 250 or 50,000 times the value, with the scale in the
        file; 255, 65,535 or NaN is nodata.
    batch_size : int, default=4096
        Pixels that the estimator gets at once: flattened patches take memory.
    n_jobs : int, default=1
        Local processes that share the work, as in joblib; -1 for one on each core. They share the cores.
    client : distributed.Client, optional
        A Dask cluster that does the work; its workers must see the map's folder and the sources. The model
        is sent once, through that folder.
    quicklook : bool, default=False
        Whether to draw the map with its legend into ``map.png``; also of a finished map that has no picture.
    verbose : int, default=0
        1 shows a progress bar with pixels per second and the time left.

    See Also
    --------
    Scene.sample : training samples from the same pixels.

    Notes
    -----
    The sources are read chunk by chunk, and the pixels with data of a chunk go to ``predict_proba`` in
    batches of at most `batch_size`, so that flattened patches take little memory whatever the chunk. The
    classes depend on neither, as long as the estimator predicts each sample by itself; but both belong to
    the run: with another `chunk_size` or `batch_size` its chunks are not taken over.

    A run is known by a hash of the estimator's content, all parameters but `n_jobs`, `client`, `quicklook`
    and `verbose`, and the content of all input files (those that are not on this machine count by name
    only). The hash takes the time of reading the files once. An object with a method ``content_hash``,
    which returns text, speaks for itself; others are hashed as they are pickled.

    ``map.report.json`` holds that hash and its parts, a SHA-256 of each file, versions, pixels by class,
    and where the time went: reading, cutting patches (as far as the estimator asks for them), predicting
    and writing.

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

    def __init__(
        self,
        estimator,
        chunk_size=256,
        *,
        colors=None,
        reject=None,
        outputs="class",
        dtype="uint8",
        batch_size=4_096,
        n_jobs=1,
        client=None,
        quicklook=False,
        verbose=0,
    ):
        self.estimator = estimator
        self.chunk_size = chunk_size
        self.colors = colors
        self.reject = reject
        self.outputs = outputs
        self.dtype = dtype
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.client = client
        self.quicklook = quicklook
        self.verbose = verbose

    def predict(self, scene, path, overwrite=False):
        """Write the class map of a scene.

        Parameters
        ----------
        scene : Scene
            With the sources that the estimator was trained on.
        path : path
            The GeoTIFF to write, on the scene's grid: codes of the classes as uint8 or uint16, with 0 for
            pixels without data in one of the required sources. Integer labels from 1 to 65,534 are their own
            codes, other labels get 1, 2, ... in the order of ``classes_``. The colour table shows the
            classes; the tag ``CLASS_NAMES`` holds their names by code as JSON, the tags ``CLASS_1``, ...
            one each.
        overwrite : bool, default=False
            Whether another map of that name may be replaced, which stays until the new one is complete, and
            the chunks of another unfinished run dropped.

        Returns
        -------
        pathlib.Path
            The map's path. A finished map by the same estimator, with the same parameters and inputs, is
            left as it is.

        Raises
        ------
        TypeError
            If the scene is no `Scene`, the estimator no fitted classifier, or its content cannot be hashed.
        FileExistsError, IsADirectoryError
            If another map or unfinished run of that name is there and `overwrite` is False, or a folder has
            that name.
        ValueError
            If the estimator's probabilities are not finite or do not fit its classes, or a parameter is not
            as described.
        OSError
            `MapNotWritten` if the disk is full or failing, `MapBusy` if another run is writing the map;
            others if a source cannot be read.
        """
        job = self._job(scene)
        given, path = Path(path), check_path(path)
        watched = scene.watched()  # it opens each file to know what they consist of
        _check_outcome(job.layers, path, (*watched, *scene.paths), self.quicklook)
        n_jobs = _check_jobs(self.n_jobs)
        _check_client(self.client)
        with locked(path):
            before = stamps(watched)
            key = RunKey.of(self.estimator, scene, self._facts(job))
            run = Run(job, key, path, overwrite, before)
            if not run.is_finished():
                run.check_free(self.quicklook)
                run.go(n_jobs, self.client, self.verbose, self.quicklook)
            elif self.quicklook:
                run.draw()
        return given

    def _job(self, scene):
        """All parameters, checked."""
        _check_scene(scene)
        check_specs(first_inside(self.estimator), scene.specs)
        if self.quicklook:
            check_quicklook()
        chunk = as_sides(self.chunk_size, "chunk_size")
        if not is_count(self.batch_size):
            raise ValueError(f"batch_size must be a positive integer; got {self.batch_size!r}.")
        if self.dtype not in STEPS:
            raise ValueError(f"dtype must be one of {', '.join(map(repr, STEPS))}; got {self.dtype!r}.")
        legend = Legend.of(_classes_of(self.estimator), self.colors, self.reject)
        outputs = _check_outputs(self.outputs)
        parts = _parts(outputs, self.estimator)
        dates = {name: scene.dates(name) for name in _series(parts, scene)}
        layers = make_layers(outputs, self.dtype, legend, dates, _features(parts))
        _check_attention(layers, self.dtype)
        return Job(scene, self.estimator, legend, layers, chunk, int(self.batch_size))

    def _facts(self, job):
        """What the map depends on beside the estimator and the scene."""
        legend = job.legend
        return {
            "chunk_size": list(job.chunk_size),
            "batch_size": job.batch_size,
            "reject": legend.reject,
            "legend": [legend.codes.tolist(), list(legend.names), list(legend.colors)],
            "layers": {layer.name: layer.facts() for layer in job.layers},
        }


def _check_client(client):
    if client is None:
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError('client needs distributed: pip install "m3fusion_sk[dask]".') from error
    if not isinstance(client, Client):
        raise TypeError(
            "client must be a distributed.Client, such as Client('tcp://scheduler:8786'); got "
            f"{type(client).__name__}. For processes on this machine use n_jobs."
        )


def check_path(path):
    """Refuse, before any work is done, a path that cannot become a map; the file, where it is a link."""
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The map's folder must exist; {path.parent} does not. Make it first.")
    if path.is_dir():
        raise IsADirectoryError(f"The map must be a file; {path} is a folder. Add a name, such as map.tif.")
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"The map is a GeoTIFF, whose name must end in .tif or .tiff; got {path}.")
    return path


def _check_jobs(n_jobs):
    if n_jobs == 0 or not isinstance(n_jobs, int | np.integer) or isinstance(n_jobs, bool):
        raise ValueError(f"n_jobs must be a number of processes, or -1 for all cores; got {n_jobs!r}.")
    return joblib.effective_n_jobs(int(n_jobs))


def _check_outputs(outputs):
    several = not isinstance(outputs, str) and isinstance(outputs, Iterable)
    outputs = list(outputs) if several else [outputs]
    if not outputs or not all(isinstance(name, str) and name in OUTPUTS for name in outputs):
        raise ValueError(f"outputs must be some of {', '.join(map(repr, OUTPUTS))}; got {outputs!r}.")
    return outputs


def _parts(outputs, estimator):
    """What tells the outputs that need a part of the estimator, which is checked to have it."""
    return {
        name: find_inside(estimator, method, f"outputs={name!r}")[0]
        for name, method in NEEDED.items()
        if name in outputs
    }


def _features(parts):
    """Names of the features that are written, where they are sure to be as many as there are."""
    part = parts.get(FEATURES)
    last = part[-1] if isinstance(part, Pipeline) else part
    return tuple(last.get_feature_names_out()) if isinstance(last, M3FusionClassifier) else ()


def _series(parts, scene):
    """The series of the scene whose attention is written."""
    if ATTENTION not in parts:
        return []
    known = getattr(parts[ATTENTION], "sources_", scene.specs)
    series = [name for name, spec in scene.specs.items() if "n_dates" in spec.axes and name in known]
    if not series:
        raise ValueError(
            f"outputs={ATTENTION!r} needs a series in the scene; it has {list(scene.specs.values())}. Leave "
            "it out."
        )
    return series


def _check_attention(layers, dtype):
    """Refuse names that no file can have, and numbers that would be rounded to nothing."""
    for layer in layers:
        if "/" in layer.name or "\\" in layer.name:
            raise ValueError(
                f"outputs={ATTENTION!r} needs names of series that a file can have; got {layer.name!r}."
            )
        if layer.kind == ATTENTION and layer.steps is not None and len(layer.descriptions) > layer.steps:
            raise ValueError(
                f"dtype must be 'uint16' or 'float32' for {layer.name!r}: {len(layer.descriptions)} shares "
                f"are less than a step of {dtype!r} on average."
            )


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
    if isinstance(getattr(estimator, "classes_", None), list):
        raise TypeError(
            f"ChunkedPredictor maps one label for each pixel; {type(estimator).__name__} was fitted to "
            f"{len(estimator.classes_)}. Fit one estimator for each."
        )
    if lacking or np.ndim(estimator.classes_) != 1 or not len(estimator.classes_):
        raise TypeError(
            "ChunkedPredictor needs a fitted classifier with predict_proba and classes_; "
            f"{type(estimator).__name__} has no {' and no '.join(lacking) or 'class'}. Fit it first."
        )
    return estimator.classes_


def _check_outcome(layers, path, sources, quicklook):
    """Refuse names of files that two layers share, or that are those of inputs."""
    names, paths = [layer.name for layer in layers], [layer.path(path) for layer in layers]
    if len(set(paths)) < len(paths):
        raise ValueError(f"Each layer must have a file of its own; got {names}. Rename a source.")
    inputs = {Path(source).resolve() for source in sources}
    others = [beside(path, ".report.json"), *([beside(path, ".png")] if quicklook else [])]
    for result in (*paths, *others, *(other for each in (*paths, *others) for other in sidecars(each))):
        if result.resolve() in inputs:
            raise ValueError(
                f"The map must not replace a source of its scene; got {result}. Choose another name."
            )
