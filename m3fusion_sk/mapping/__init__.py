"""Rasters: sources on disk, scenes that hold them, and maps made from them."""

try:
    import cloudpickle as _cloudpickle  # noqa: F401
    import filelock as _filelock  # noqa: F401
    import rasterio as _rasterio  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"m3fusion_sk.mapping needs {error.name}, which cannot be imported. Install it with "
        'pip install "m3fusion_sk[raster]".'
    ) from error

from .errors import MapBusy, MapNotWritten, RunMismatch
from .predictor import ChunkedPredictor
from .rasters import PatchRaster, PatchSeriesRaster, RasterArray, SeriesRaster, VectorRaster
from .scene import Scene

__all__ = [
    "ChunkedPredictor",
    "MapBusy",
    "MapNotWritten",
    "PatchRaster",
    "PatchSeriesRaster",
    "RasterArray",
    "RunMismatch",
    "Scene",
    "SeriesRaster",
    "VectorRaster",
]
