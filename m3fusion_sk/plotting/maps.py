"""Figures of maps: classes, pairs, and where one map is right and the other wrong."""

import math

import numpy as np

from .classmap import ClassMap
from .style import COLORS, axes_or_new, scale_bar, styled

__all__ = ["add_class_legend", "add_zones", "plot_class_map", "plot_map_pair", "plot_where_right"]

# both, only the first, only the second, neither: in order of lightness, but for the middle two only a little
_RIGHT_COLORS = ("#E6E6E6", COLORS[0], COLORS[1], "#000000")
_INK = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}


@styled
def plot_class_map(path, *, ax=None, title=None, legend=True, bounds=None, scale=True):
    """Draw a class map that `ChunkedPredictor` wrote, in the colours and names that it holds.

    Parameters
    ----------
    path : str or path-like
        A class map.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
    legend : bool, default=True
        Whether to name the classes beside the map.
    bounds : (float, float, float, float), optional
        Left, bottom, right and top of the part to show, in the map's coordinates; all by default.
    scale : bool, default=True
        Whether to draw a scale bar, where the length of the map's unit is known.

    Returns
    -------
    matplotlib.axes.Axes
        Axes in the units of the map's coordinates, metres for projected maps.

    Raises
    ------
    ImportError
        If matplotlib or rasterio are missing.
    ValueError
        If it is no class map, or has nothing within `bounds`.

    Examples
    --------
    >>> import tempfile
    >>> from m3fusion_sk import make_scene
    >>> from m3fusion_sk.plotting import plot_class_map
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = make_scene(folder, shape=(60, 60), n_dates=2, n_bands=2, random_state=0)
    ...     ax = plot_class_map(made.truth, title="made")
    >>> ax.get_xlabel(), len(ax.get_legend().get_texts())
    ('x (m)', 13)
    """
    ax, shown = axes_or_new(ax), ClassMap.read(path, bounds)
    _draw(ax, shown, shown.as_image(), title, scale)
    if legend:
        add_class_legend(ax, shown.legend)
    return ax


@styled
def plot_map_pair(first, second, *, axes=None, titles=None, bounds=None):
    """Draw two class maps of the same places side by side, with one legend.

    Parameters
    ----------
    first, second : str or path-like
        Class maps that `ChunkedPredictor` wrote.
    axes : pair of matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    titles : pair of str, optional
    bounds : (float, float, float, float), optional
        Left, bottom, right and top of the part to show, in the maps' coordinates; all by default.

    Returns
    -------
    pair of matplotlib.axes.Axes
        The left one and the right one, which has the legend of the classes of both: a class has its colour in
        the first map, or another where the second gives it one that is taken.

    Raises
    ------
    ImportError
        If matplotlib or rasterio are missing.
    ValueError
        If one of them is no class map.

    Examples
    --------
    >>> import tempfile
    >>> from m3fusion_sk import make_scene
    >>> from m3fusion_sk.plotting import plot_map_pair
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = make_scene(folder, shape=(60, 60), n_dates=2, n_bands=2, random_state=0)
    ...     left, right = plot_map_pair(made.truth, made.truth, titles=["network", "forest"])
    >>> right.get_title()
    'forest'
    """
    axes = _pair(first, axes)
    maps = [ClassMap.read(path, bounds) for path in (first, second)]
    legend = _common_legend(maps)
    for ax, shown, title in zip(axes, maps, titles or (None, None), strict=True):
        _draw(ax, shown, shown.as_image(legend), title, scale=True)
    axes[1].set_ylabel(None)
    add_class_legend(axes[1], legend)
    return tuple(axes)


def _common_legend(maps):
    """A colour for each class of some maps, none of them twice."""
    from ..mapping.legend import PALETTE

    wanted = {}
    for shown in maps:
        wanted |= {name: color for name, color in shown.legend.items() if name not in wanted}
    legend, others = {}, (tuple(part / 255 for part in rgb) for rgb in PALETTE)
    for name, color in wanted.items():
        if color in legend.values():
            color = next((other for other in others if other not in wanted.values()), color)
        legend[name] = color
    return legend


def _pair(path, axes):
    if axes is not None:
        return axes
    from matplotlib import pyplot

    height, width = ClassMap.read(path, side=1).shape
    size = (12, min(12, max(3, 4.7 * height / width)))
    return pyplot.subplots(1, 2, figsize=size, layout="constrained", sharex=True, sharey=True)[1]


@styled
def plot_where_right(truth, first, second, *, names=("first", "second"), ax=None, title=None, bounds=None):
    """Draw where both of two maps are right, only one of them, or neither.

    Parameters
    ----------
    truth : str or path-like
        A class map of what is there, such as the one that `make_scene` writes; pixels that are nodata in
        it, or in one of the maps, are left white.
    first, second : str or path-like
        Class maps of the same grid, which `ChunkedPredictor` wrote. Classes are compared by name.
    names : pair of str
        Names of the two maps.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional
    bounds : (float, float, float, float), optional
        Left, bottom, right and top of the zone to show, in the maps' coordinates; all by default.

    Returns
    -------
    matplotlib.axes.Axes
        With a legend that states the share of each case among the pixels shown.

    Raises
    ------
    ImportError
        If matplotlib or rasterio are missing.
    ValueError
        If they are no class maps of one grid.

    See Also
    --------
    add_zones : mark zones on a figure of the whole.
    densest_zone : find the cloudiest zone, or the most urban one.

    Examples
    --------
    >>> import tempfile
    >>> from m3fusion_sk import make_scene
    >>> from m3fusion_sk.plotting import plot_where_right
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = make_scene(folder, shape=(60, 60), n_dates=2, n_bands=2, random_state=0)
    ...     ax = plot_where_right(made.truth, made.truth, made.truth, names=("network", "forest"))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['both right (100.0 %)', 'only network (0.0 %)', 'only forest (0.0 %)', 'neither (0.0 %)']
    """
    from_paths = [ClassMap.read(path, bounds) for path in (truth, first, second)]
    for other in from_paths[1:]:
        from_paths[0].require_same_grid(other)
    expected, *predicted = (shown.labels for shown in from_paths)
    known = np.all([labels != "" for labels in (expected, *predicted)], axis=0)
    hits = [labels == expected for labels in predicted]
    case = np.where(known, 3 - 2 * hits[0] - hits[1], 4)  # 0 both, 1 first, 2 second, 3 neither, 4 nodata
    ax = axes_or_new(ax)
    _draw(ax, from_paths[0], _rgb((*_RIGHT_COLORS, "white"))[case], title, scale=True)
    shares = np.bincount(case[known], minlength=4) / max(1, known.sum())
    texts = ("both right", f"only {names[0]}", f"only {names[1]}", "neither")
    labels = [f"{text} ({100 * share:.1f} %)" for text, share in zip(texts, shares, strict=True)]
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15), "ncols": 2}
    add_class_legend(ax, dict(zip(labels, _RIGHT_COLORS, strict=True)), **place)
    return ax


@styled
def add_class_legend(ax, colors, **place):
    """Name classes at the right of an Axes, in as many columns as the figure's height asks for.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    colors : dict of str to colour
        A colour as matplotlib takes it, by name.
    **place
        Of ``Axes.legend``, to put it elsewhere or into other columns.

    Returns
    -------
    matplotlib.legend.Legend

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from m3fusion_sk.plotting import add_class_legend
    >>> legend = add_class_legend(pyplot.figure().add_subplot(), {"forest": (0, 0.3, 0.2)})
    >>> legend.get_texts()[0].get_text()
    'forest'
    """
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=color, edgecolor="0.3", label=name) for name, color in colors.items()]
    usual = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)}
    if "ncol" not in place:
        usual["ncols"] = _n_columns(ax, len(handles), place)
    return ax.legend(handles=handles, **{**usual, **place})


def _n_columns(ax, n, place):
    """Columns of a legend with n lines that is not higher than the figure."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties

    size, spacing = (place.get(name, rcParams[f"legend.{name}"]) for name in ("fontsize", "labelspacing"))
    points = FontProperties(size=size).get_size_in_points()
    inches = (1 + spacing) * points / 72 * 1.1  # of a line; some room above and below
    return max(1, math.ceil(n * inches * ax.figure.dpi / ax.figure.bbox.height))


@styled
def add_zones(ax, zones):
    """Mark zones on a map.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With a map, from `plot_class_map` or `plot_where_right`.
    zones : dict of str to (float, float, float, float)
        Left, bottom, right and top of each zone by its name, in the map's coordinates.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from matplotlib import pyplot
    >>> from m3fusion_sk.plotting import add_zones
    >>> ax = add_zones(pyplot.figure().add_subplot(), {"urban": (0, 0, 0.5, 0.5)})
    >>> ax.texts[0].get_text()
    'urban'
    """
    from matplotlib.patches import Rectangle

    for name, (left, bottom, right, top) in zones.items():
        for color, width in (("white", 3), ("black", 1.5)):
            size = right - left, top - bottom
            ax.add_patch(Rectangle((left, bottom), *size, fill=False, edgecolor=color, linewidth=width))
        ax.text(left, top, name, ha="left", va="bottom", fontsize=8, bbox=_INK)
    return ax


def _draw(ax, shown, image, title, scale):
    ax.imshow(image, extent=shown.extent, interpolation="nearest")
    ax.set(title=title, xlabel=f"x ({shown.unit})", ylabel=f"y ({shown.unit})", aspect=shown.aspect)
    ax.ticklabel_format(useOffset=False, style="plain")
    ax.locator_params(nbins=4)
    if scale and shown.metres is not None:
        _add_scale(ax, shown)


def _add_scale(ax, shown):
    left, bottom, right, top = shown.bounds
    length, label = scale_bar((right - left) * shown.metres)
    start, height = left + 0.04 * (right - left), bottom + 0.05 * (top - bottom)
    stop = start + length / shown.metres
    ax.plot([start, stop], [height] * 2, color="white", linewidth=5, solid_capstyle="butt")
    ax.plot([start, stop], [height] * 2, color="black", linewidth=2.5, solid_capstyle="butt")
    lift = height + 0.02 * (top - bottom)
    ax.text((start + stop) / 2, lift, label, ha="center", va="bottom", fontsize=8, bbox=_INK)


def _rgb(colors):
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(color) for color in colors])
