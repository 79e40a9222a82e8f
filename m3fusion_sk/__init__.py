"""Land cover mapping from images of different scale, modality and time."""

from ._version import __version__
from .classifier import M3FusionClassifier
from .multisource import MultiSource
from .settings import paper_settings

__all__ = [
    "M3FusionClassifier",
    "MultiSource",
    "__version__",
    "paper_settings",
]
