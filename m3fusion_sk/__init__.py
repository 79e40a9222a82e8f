"""Land cover mapping from images of different scale, modality and time."""

from ._version import __version__
from .multisource import MultiSource

__all__ = [
    "MultiSource",
    "__version__",
]
