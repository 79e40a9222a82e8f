"""Figures of what accuracy costs: labelled objects, and time."""

import numpy as np

from .style import NAMES, axes_or_new, marks, open_frame, styled

__all__ = ["plot_learning_curve", "plot_time_accuracy"]


@styled
def plot_learning_curve(
    table, *, x="n_objects", y="accuracy", model="model", ax=None, title=None, xlabel=None
):
    """Draw accuracy against the number of training objects, for several models.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each fit: its model, number of training objects and score.
    x, y, model : str
        Columns with the number of objects, the score, and the name of the model.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title, xlabel : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        The mean over the fits of each model and number, with a band of one standard deviation on either
        side; the number of objects on a logarithmic scale.

    Raises
    ------
    ValueError
        If a column is missing, or a number of objects is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> from m3fusion_sk.plotting import plot_learning_curve
    >>> rows = [("network", 5, 0.6), ("network", 5, 0.7), ("network", 50, 0.9), ("forest", 5, 0.7)]
    >>> ax = plot_learning_curve(pd.DataFrame(rows, columns=["model", "n_objects", "accuracy"]))
    >>> ax.lines[0].get_ydata().round(2).tolist(), ax.get_xscale()
    ([0.65, 0.9], 'log')
    """
    _check_rows(table, x, y, model)
    ax = open_frame(axes_or_new(ax))
    for (name, rows), (color, marker, dashes, _) in _by_model(table, model):
        grouped = rows.groupby(x)[y]
        mean, std = grouped.mean(), grouped.std()  # no band where there is one fit
        ax.fill_between(mean.index, mean - std, mean + std, color=color, alpha=0.15, linewidth=0)
        ax.plot(mean.index, mean, color=color, marker=marker, linestyle=dashes, markersize=4, label=name)
    _log_ticks(ax, np.unique(table[x]))
    ax.set(xlabel=xlabel or NAMES.get(x, x), ylabel=NAMES.get(y, y), title=title)
    ax.grid(axis="y", color="0.9")
    ax.legend(loc="lower right")
    return ax


@styled
def plot_time_accuracy(table, *, x="fit_seconds", y="accuracy", model="model", ax=None, title=None):
    """Draw accuracy against the time that it took, on a logarithmic scale.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each fit, with its model, seconds and score: as `compare_by_source` of
        `m3fusion_sk.protocol` returns them.
    x, y, model : str
        Columns with the seconds, the score, and the name of the model.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
        A point for each model: mean over its fits, with lines of one standard deviation.

    Raises
    ------
    ValueError
        If a column is missing, or a time is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> from m3fusion_sk.plotting import plot_time_accuracy
    >>> rows = [("network", 30.0, 0.9), ("network", 34.0, 0.92), ("forest", 4.0, 0.85)]
    >>> ax = plot_time_accuracy(pd.DataFrame(rows, columns=["model", "fit_seconds", "accuracy"]))
    >>> ax.get_xscale(), ax.get_xlabel()
    ('log', 'seconds to fit')
    """
    _check_rows(table, x, y, model)
    ax = open_frame(axes_or_new(ax))
    for (name, rows), (color, marker, _, _) in _by_model(table, model):
        mean, std = rows[[x, y]].mean(), rows[[x, y]].std().fillna(0)
        down = min(std[x], 0.9 * mean[x])  # a logarithm has no place for less than nothing
        spread = {"xerr": [[down], [std[x]]], "yerr": std[y], "elinewidth": 1, "capsize": 2}
        ax.errorbar(mean[x], mean[y], color=color, fmt=marker, label=name, **spread)
    ax.set_xscale("log")
    _plain_numbers(ax)
    ax.set(xlabel=NAMES.get(x, x), ylabel=NAMES.get(y, y), title=title)
    ax.grid(color="0.9")
    ax.set_axisbelow(True)
    ax.legend()
    return ax


def _by_model(table, model):
    groups = table.groupby(model, sort=False)
    return zip(groups, marks(groups.ngroups), strict=True)


def _check_rows(table, x, y, model):
    missing = [column for column in (x, y, model) if column not in table]
    if missing:
        raise ValueError(f"table must have the columns {[x, y, model]}; it lacks {missing}.")
    if not len(table) or not (table[x] > 0).all():
        raise ValueError(f"table must have rows, and positive values in {x!r} for the logarithmic scale.")


def _log_ticks(ax, values):
    """Name the numbers that were tried, at most eight of them, instead of powers of ten."""
    from matplotlib.ticker import NullLocator

    ax.set_xscale("log")
    shown = values[np.unique(np.linspace(0, len(values) - 1, min(8, len(values))).round().astype(int))]
    ax.set_xticks(shown, [f"{value:g}" for value in shown])
    ax.xaxis.set_minor_locator(NullLocator())


def _plain_numbers(ax):
    """1, 2, 5, 10, 20, ... instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
