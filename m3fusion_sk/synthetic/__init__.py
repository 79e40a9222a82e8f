"""Made samples and made scenes, for tests, examples and benchmarks."""

from .generators import MadeScene, make_land_cover, make_scene

__all__ = ["MadeScene", "make_land_cover", "make_scene"]
