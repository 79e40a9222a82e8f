"""Figures of what a model looks at: dates, sources, heads."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .style import axes_or_new, check_table, draw_shares, marks, name_ticks, open_frame, styled

__all__ = ["plot_attention", "plot_contributions", "plot_heads", "plot_importance"]

_ERRORS = {"linewidth": 1, "ecolor": "0.45"}


@styled
def plot_attention(table, *, ax=None, title=None):
    """Draw the weight of each date for each class.

    Parameters
    ----------
    table : dict of str to pandas.DataFrame, or pandas.DataFrame
        From `m3fusion_sk.explain.attention_by_class`: all series, side by side, or one of them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import pandas as pd
    >>> from m3fusion_sk.plotting import plot_attention
    >>> weights = pd.DataFrame([[0.2, 0.8]], index=["forest"], columns=pd.Index(["May", "June"], name="date"))
    >>> [text.get_text() for text in plot_attention(weights).get_xticklabels()]
    ['May', 'June']
    """
    for each in table.values() if isinstance(table, Mapping) else [table]:
        check_table("table", each, "attention_by_class")
    ax = axes_or_new(ax)
    table, ends = _side_by_side(table) if isinstance(table, Mapping) else (table, [])
    for end in ends[:-1]:  # between two series
        ax.axvline(end - 0.5, color="white", linewidth=2)
    image = ax.imshow(table.to_numpy(), cmap="viridis", vmin=0, aspect="auto")
    step = -(-len(table.columns) // 20)  # at most 20 dates are named
    name_ticks(ax, table.columns[::step], table.index, step)
    ax.set(xlabel=table.columns.name, title=title)
    ax.figure.colorbar(image, ax=ax, label="weight")
    return ax


@styled
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

    Examples
    --------
    >>> import pandas as pd
    >>> from m3fusion_sk.plotting import plot_importance
    >>> names = pd.Index(["ts", "patch"], name="source")
    >>> table = pd.DataFrame({"importance": [0.3, 0.1], "std": [0.02, 0.01]}, index=names)
    >>> plot_importance(table).get_xlabel()
    'fall of the score'
    """
    ax = open_frame(axes_or_new(ax))
    names, what = table.index.get_level_values("source"), table.index.names[-1]
    places = np.arange(len(table))
    for name, (color, _, _, hatch) in zip(names.unique(), marks(names.nunique()), strict=True):
        here = names == name
        values, std = table.loc[here, "importance"], table.loc[here, "std"]
        bars = ax.barh(places[here], values, xerr=std, color=color, label=name, error_kw=_ERRORS)
        _hatch(bars, hatch)
    labels = [str(label) for label in table.index.get_level_values(what)]
    ax.set_yticks(places, labels, fontsize=8 if len(labels) < 40 else 4)
    ax.axvline(0, color="0.3", linewidth=0.8)
    ax.invert_yaxis()
    ax.set(xlabel="fall of the score", ylabel=what, title=title)
    if what != "source":
        ax.legend()
    return ax


@styled
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

    Examples
    --------
    >>> import pandas as pd
    >>> from m3fusion_sk.explain import HeadComparison
    >>> from m3fusion_sk.plotting import plot_heads
    >>> recall = pd.DataFrame({"fusion": [0.9], "ts": [0.7]}, index=["forest"])
    >>> ax = plot_heads(HeadComparison(recall.mean(), recall, None, None, None))
    >>> [text.get_text() for text in ax.texts]
    ['90', '70']
    """
    ax = axes_or_new(ax)
    recall = comparison.recall
    heads = [f"{name} ({100 * comparison.accuracy[name]:.0f})" for name in recall.columns]
    draw_shares(ax, recall.to_numpy(), heads, recall.index)
    ax.set(xlabel="head (% right in all)", ylabel="true class", title=title, aspect="auto")
    return ax


@styled
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

    Examples
    --------
    >>> import pandas as pd
    >>> from m3fusion_sk.explain import SourceContributions
    >>> from m3fusion_sk.plotting import plot_contributions
    >>> parts = pd.DataFrame({"ts": [0.6], "patch": [-0.2]})
    >>> ax = plot_contributions(SourceContributions(["forest"], parts, pd.Series([0.1])))
    >>> [round(float(bar.get_width()), 2) for bar in ax.patches]
    [0.75, 0.25]
    """
    ax = open_frame(axes_or_new(ax))
    shares = contributions.shares.groupby(contributions.predicted).mean()
    start = np.zeros(len(shares))
    for name, (color, _, _, hatch) in zip(shares.columns, marks(shares.shape[1]), strict=True):
        bars = ax.barh(range(len(shares)), shares[name], left=start, color=color, label=name)
        _hatch(bars, hatch)
        start = start + shares[name].to_numpy()
    ax.set_yticks(range(len(shares)), [str(label) for label in shares.index])
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="share in the decision", ylabel="predicted class", title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return ax


def _hatch(bars, hatch):
    """Patterns beside colours; white lines, so that they are seen in every colour."""
    for bar in bars:
        bar.set(hatch=hatch, edgecolor="white", linewidth=0)


def _side_by_side(tables):
    """One table of all series, whose names stand with the dates where there are several; and their ends."""
    parts = [
        table if len(tables) == 1 else table.rename(columns=lambda date, name=name: f"{name} {date}")
        for name, table in tables.items()
    ]
    table = pd.concat(parts, axis=1).rename_axis(columns="date")
    return table, np.cumsum([len(part.columns) for part in parts])
