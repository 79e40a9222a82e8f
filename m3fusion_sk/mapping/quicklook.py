"""A picture of a class map with its legend."""

from ..plotting import plot_class_map

__all__ = ["check_quicklook", "write_quicklook"]

_INCHES, _DPI = 10, 150


def check_quicklook():
    """What draws it, or an error that says what is missing, before any work is done."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('A quick-look needs matplotlib: pip install "m3fusion_sk[plot]".') from error
    return Figure


def write_quicklook(path, picture):
    """Draw the map `path` into the PNG file `picture`, whose path is returned."""
    figure = check_quicklook()(figsize=(_INCHES, _INCHES * 0.7), layout="constrained")
    plot_class_map(path, ax=figure.add_subplot(), title=None)
    figure.savefig(picture, dpi=_DPI, metadata={"Software": None})
    return picture
