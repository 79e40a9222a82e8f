"""Land cover mapping from images of different scale, modality and time."""

from ._version import __version__
from .baseline import stacked_forest
from .classifier import M3FusionClassifier
from .metrics import land_cover_scores
from .model_selection import StratifiedGroupShuffleSplit
from .multisource import MultiSource
from .preprocessing import GapFiller, SelectSources, SpectralIndices, StackedFeatures
from .report import land_cover_report
from .settings import paper_settings
from .synthetic import make_land_cover, make_scene

__all__ = [
    "GapFiller",
    "M3FusionClassifier",
    "MultiSource",
    "SelectSources",
    "SpectralIndices",
    "StackedFeatures",
    "StratifiedGroupShuffleSplit",
    "__version__",
    "land_cover_report",
    "land_cover_scores",
    "make_land_cover",
    "make_scene",
    "paper_settings",
    "stacked_forest",
]
