"""How the gallery runs the files of examples/: in which order, with which arguments, with what warnings."""

import warnings
from pathlib import Path

from sphinx_gallery.sorting import _SortKey as SortKey

ORDER = [
    "tutorial",
    "quickstart",
    "splits",
    "map_scene",
    "many_sensors",
    "missing_dates",
    "attention",
    "importance",
    "doubt",
    "calibration",
    "areas",
    "learning_curve",
    "size_and_time",
    "grid_search",
    "average_seeds",
    "spectral_indices",
    "dask_cluster",
]
SMALL = {  # arguments of the programs, so that none takes long
    "map_scene": ["output/map_scene", "110", "6", "6", "40"],
    "many_sensors": ["output/many_sensors", "140", "6", "15"],
    "dask_cluster": ["output/dask_cluster", "90", "6", "4", "threads"],  # the build is no program to import
}


class Order(SortKey):
    """First those that a newcomer reads first."""

    def __call__(self, filename):
        return ORDER.index(Path(filename).stem)


def arguments(gallery_conf, script_vars):
    return SMALL.get(Path(script_vars["src_file"]).stem, [])


FILTERS = []


def warnings_are_errors(gallery_conf, fname, when):
    """Filters for the example alone: Sphinx and its extensions have warnings of their own."""
    if when == "before":
        FILTERS[:] = warnings.filters
        warnings.filterwarnings("error")
    else:
        warnings.filters[:] = FILTERS
