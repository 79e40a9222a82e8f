"""Figures of accuracy: confusion, classes, reliability."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .style import NAMES, axes_or_new, check_table, draw_shares, marks, open_frame, styled

__all__ = ["plot_confusion", "plot_per_class", "plot_reliability"]


@styled
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

    Examples
    --------
    >>> from m3fusion_sk import land_cover_scores
    >>> from m3fusion_sk.plotting import plot_confusion
    >>> ax = plot_confusion(land_cover_scores(["a", "a", "b"], ["a", "b", "b"]).confusion)
    >>> [text.get_text() for text in ax.texts]
    ['50', '50', '100']
    """
    check_table("confusion", confusion, "land_cover_scores(...).confusion")
    side = min(16, max(4.8, 2 + 0.3 * len(confusion)))
    ax = axes_or_new(ax, figsize=(1.3 * side, side))
    counts = confusion.to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    draw_shares(ax, share, confusion.columns, confusion.index, shown=counts > 0)
    ax.set(xlabel="predicted class", ylabel="true class", title=title)
    return ax


@styled
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

    Examples
    --------
    >>> from m3fusion_sk.calibration import calibration_scores
    >>> from m3fusion_sk.plotting import plot_reliability
    >>> scores = calibration_scores(["a", "b"], [[0.9, 0.1], [0.2, 0.8]], classes=["a", "b"])
    >>> plot_reliability(scores, label="network").get_xlabel()
    'confidence (bars: share of samples)'
    """
    ax = axes_or_new(ax)
    table = scores.reliability[scores.reliability["count"] > 0]
    if not ax.lines:
        ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    color, marker, dashes, hatch = marks(len(ax.lines))[-1]  # the diagonal is one of the lines
    error = f"calibration error {scores.summary['calibration_error']:.3f}"
    ax.plot(
        table["confidence"],
        table["accuracy"],
        color=color,
        marker=marker,
        linestyle=dashes,
        markersize=4,
        label=error if label is None else f"{label}: {error}",
    )
    share, width = table["count"] / table["count"].sum(), table["high"] - table["low"]
    ax.bar(table["low"], share, width, align="edge", color=color, alpha=0.2, hatch=hatch, edgecolor="white")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence (bars: share of samples)", ylabel="accuracy")
    ax.set(title=title, aspect="equal")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15))
    return ax


@styled
def plot_per_class(scores, *, score="f1", ax=None, title=None):
    """Draw a score of each class for one model or more; for two with the difference, first less second.

    Parameters
    ----------
    scores : dict of str to LandCoverScores
        From `land_cover_scores`, by name of the model: of the same classes. Tables of such scores by class,
        say means over splits, are taken too.
    score : {"f1", "precision", "recall"}, default="f1"
        Column of ``per_class``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        One line for each class.

    Raises
    ------
    ValueError
        If there are no scores, or the classes differ.

    Examples
    --------
    >>> from m3fusion_sk import land_cover_scores
    >>> from m3fusion_sk.plotting import plot_per_class
    >>> y = ["crops", "crops", "forest"]
    >>> network, forest = land_cover_scores(y, y), land_cover_scores(y, ["crops", "forest", "forest"])
    >>> ax = plot_per_class({"network": network, "forest": forest}, score="recall")
    >>> [text.get_text() for text in ax.texts]
    ['network - forest', '+0.50', '0.00']
    """
    values = _values_by_class(scores, score)
    ax = open_frame(axes_or_new(ax, figsize=(6.4, max(3, 1.4 + 0.27 * len(values)))))
    places = np.arange(len(values))
    ax.hlines(places, values.min(axis=1), values.max(axis=1), color="0.6", linewidth=1.5, zorder=1)
    for name, (color, marker, _, _) in zip(values.columns, marks(values.shape[1]), strict=True):
        ax.scatter(values[name], places, color=color, marker=marker, label=name, zorder=2)
    if values.shape[1] == 2:
        _write_differences(ax, values)
    ax.set_yticks(places, [str(label) for label in values.index])
    ax.set(xlim=(-0.02, 1.02), ylim=(len(values) - 0.5, -0.8), xlabel=NAMES.get(score, score), title=title)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    _legend_below(ax)
    return ax


def _legend_below(ax):
    """0.45 inches under the Axes, below the label, however high the Axes are."""
    from matplotlib.transforms import ScaledTranslation

    below = ax.transAxes + ScaledTranslation(0, -0.45, ax.figure.dpi_scale_trans)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, ncols=4)


def _values_by_class(scores, score):
    if not isinstance(scores, Mapping):
        raise TypeError(f"scores must be a dict by name of the model; got {type(scores).__name__}.")
    if not scores:
        raise ValueError("scores must hold the LandCoverScores of one model or more by name; got none.")
    tables = {name: getattr(part, "per_class", part) for name, part in scores.items()}
    (first, table), *others = tables.items()
    for name, other in others:
        if not other.index.equals(table.index):
            raise ValueError(
                f"scores must be of the same classes: {first!r} has {table.index.tolist()}, and {name!r} has "
                f"{other.index.tolist()}. Give both the same `labels`."
            )
    return pd.DataFrame({name: table[score] for name, table in tables.items()})


def _write_differences(ax, values):
    first, second = values.columns
    ax.text(1.04, -0.8, f"{first} - {second}", ha="left", va="center", fontsize=8, color="0.3")
    for place, difference in enumerate(values[first] - values[second]):
        text = f"{difference:+.2f}"
        text = {"+0.00": "0.00", "-0.00": "0.00", "+nan": ""}.get(text, text)  # nothing where there is none
        ax.text(1.04, place, text, ha="left", va="center", fontsize=8)
