"""Figures: maps, confusion, reliability, and what a model looks at; each drawn into a matplotlib Axes."""

import json

import numpy as np

__all__ = [
    "plot_attention",
    "plot_class_map",
    "plot_confusion",
    "plot_contributions",
    "plot_heads",
    "plot_importance",
    "plot_reliability",
]


def plot_class_map(path, *, ax=None, title=None, legend=True):
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

    Returns
    -------
    matplotlib.axes.Axes
        Axes in the units of the map's coordinates, metres for projected maps.

    Raises
    ------
    ImportError
        If matplotlib or rasterio are missing.
    """
    codes, colors, names, extent, unit = _read_class_map(path)
    ax = _axes(ax)
    image = np.ones((*codes.shape, 3))
    for code, color in colors.items():
        image[codes == code] = color
    ax.imshow(image, extent=extent, interpolation="nearest")
    ax.set(title=title, xlabel=f"x ({unit})", ylabel=f"y ({unit})", aspect="equal")
    ax.ticklabel_format(useOffset=False, style="plain")
    ax.locator_params(nbins=4)
    if legend:
        add_class_legend(ax, {names[code]: color for code, color in colors.items()})
    return ax


def add_class_legend(ax, colors):
    """Name classes at the right of an Axes; `colors` maps names to (red, green, blue) from 0 to 1."""
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=color, edgecolor="0.3", label=name) for name, color in colors.items()]
    return ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)


def plot_confusion(confusion, *, ax=None, title=None):
    """Draw a confusion matrix, coloured by the share of each true class.

    Parameters
    ----------
    confusion : pandas.DataFrame
        Counts, rows true and columns predicted, as in ``land_cover_scores(...).confusion``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    counts = confusion.to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    _draw_shares(ax, share, confusion.columns, confusion.index, shown=counts > 0)
    ax.set(xlabel="predicted class", ylabel="true class", title=title)
    return ax


def plot_reliability(scores, *, ax=None, title=None, label=None):
    """Draw a reliability diagram: the accuracy of the samples of each confidence, and how many they are.

    Parameters
    ----------
    scores : CalibrationScores
        From `calibration_scores`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default. Several models may be drawn into one.
    title : str, optional
    label : str, optional
        Name of the model in the legend, beside its calibration error.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    table = scores.reliability[scores.reliability["count"] > 0]
    if not ax.lines:
        ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    error = f"calibration error {scores.summary['calibration_error']:.3f}"
    (line,) = ax.plot(
        table["confidence"],
        table["accuracy"],
        marker="o",
        markersize=4,
        label=error if label is None else f"{label}: {error}",
    )
    share, width = table["count"] / table["count"].sum(), table["high"] - table["low"]
    ax.bar(table["low"], share, width, align="edge", color=line.get_color(), alpha=0.15)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence (bars: share of samples)", ylabel="accuracy")
    ax.set(title=title, aspect="equal")
    ax.legend(loc="upper left", frameon=False)
    return ax


def plot_attention(table, *, ax=None, title=None):
    """Draw the weight of each date for each class.

    Parameters
    ----------
    table : pandas.DataFrame
        Of one series, from `m3fusion_sk.explain.attention_by_class`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    image = ax.imshow(table.to_numpy(), cmap="viridis", vmin=0, aspect="auto")
    step = -(-len(table.columns) // 20)  # at most 20 dates are named
    _name_ticks(ax, table.columns[::step], table.index, step)
    ax.set(xlabel=table.columns.name, title=title)
    ax.figure.colorbar(image, ax=ax, label="weight")
    return ax


def plot_importance(table, *, ax=None, title=None):
    """Draw the importance of sources, or of the dates or bands of each source.

    Parameters
    ----------
    table : pandas.DataFrame
        From `m3fusion_sk.explain.grouped_importance`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        One bar for each block, with the standard deviation over the repeats.
    """
    ax = _axes(ax)
    names = table.index.get_level_values("source")
    what = table.index.names[-1]
    places = np.arange(len(table))
    for k, name in enumerate(names.unique()):
        here = names == name
        values, std = table.loc[here, "importance"], table.loc[here, "std"]
        ax.barh(places[here], values, xerr=std, color=f"C{k}", label=name, error_kw={"linewidth": 1})
    labels = [str(label) for label in table.index.get_level_values(what)]
    ax.set_yticks(places, labels, fontsize=8 if len(labels) < 40 else 4)
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.invert_yaxis()
    ax.set(xlabel="fall of the score", ylabel=what, title=title)
    if what != "source":
        ax.legend(frameon=False)
    return ax


def plot_heads(comparison, *, ax=None, title=None):
    """Draw the share of each class that each head gets right, in percent.

    Parameters
    ----------
    comparison : HeadComparison
        From `m3fusion_sk.explain.compare_heads`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    recall = comparison.recall
    heads = [f"{name} ({100 * comparison.accuracy[name]:.0f})" for name in recall.columns]
    _draw_shares(ax, recall.to_numpy(), heads, recall.index)
    ax.set(xlabel="head (% right in all)", ylabel="true class", title=title, aspect="auto")
    return ax


def plot_contributions(contributions, *, ax=None, title=None):
    """Draw the mean share of each source in the decisions for each class.

    Parameters
    ----------
    contributions : SourceContributions
        From `m3fusion_sk.explain.source_contributions`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _axes(ax)
    shares = contributions.shares.groupby(contributions.predicted).mean()
    start = np.zeros(len(shares))
    for name in shares.columns:
        ax.barh(range(len(shares)), shares[name], left=start, label=name)
        start = start + shares[name].to_numpy()
    ax.set_yticks(range(len(shares)), [str(label) for label in shares.index])
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="share in the decision", ylabel="predicted class", title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    return ax


def _draw_shares(ax, share, columns, index, shown=None):
    """A table of shares in blue, with the percents of those that are shown."""
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), part in np.ndenumerate(share):
        if shown is None or shown[row, column]:
            color = "white" if part > 0.6 else "black"
            ax.text(column, row, f"{100 * part:.0f}", ha="center", va="center", color=color, fontsize=8)
    _name_ticks(ax, columns, index)


def _name_ticks(ax, columns, index, step=1):
    labels = [str(name) for name in columns]
    ax.set_xticks(np.arange(len(labels)) * step, labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(index)), [str(name) for name in index])


def _axes(ax):
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError('Figures need matplotlib: pip install "m3fusion_sk[plot]".') from error
    return pyplot.subplots(layout="constrained")[1]


def _at_most(shape, side=2000):
    """A shape of the same proportions: more pixels than that cannot be seen."""
    share = min(1, side / max(shape))
    return tuple(max(1, round(n * share)) for n in shape)


def _read_class_map(path):
    try:
        import rasterio
        from rasterio.plot import plotting_extent
    except ImportError as error:
        raise ImportError('Maps need rasterio: pip install "m3fusion_sk[raster]".') from error
    with rasterio.open(path) as dataset:
        if "CLASS_NAMES" not in dataset.tags():
            raise ValueError(
                f"{path} must be a class map that ChunkedPredictor wrote; it has no tag CLASS_NAMES."
            )
        codes = dataset.read(1, out_shape=_at_most(dataset.shape))
        names = {int(code): name for code, name in json.loads(dataset.tags()["CLASS_NAMES"]).items()}
        table = dataset.colormap(1)
        extent, unit = plotting_extent(dataset), (dataset.crs.linear_units if dataset.crs else "pixel")
    colors = {code: tuple(part / 255 for part in table[code][:3]) for code in names}
    return codes, colors, names, extent, "m" if unit in ("metre", "meter") else unit
