"""One style for all figures: colours for colour-blind readers, and marks that need no colour at all."""

from functools import wraps
from itertools import cycle, islice
from math import floor, log10

import numpy as np
import pandas as pd

__all__ = [
    "COLORS",
    "NAMES",
    "STYLE",
    "axes_or_new",
    "check_table",
    "draw_shares",
    "marks",
    "name_ticks",
    "open_frame",
    "scale_bar",
]

# Okabe and Ito (2008), in an order in which neighbours differ in lightness too
COLORS = ("#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#56B4E9", "#D55E00")
STYLE = {
    "text.parse_math": False,  # a dollar in the name of a class is a dollar
    "font.size": 9,
    "axes.titlesize": 10,
    "legend.frameon": False,
    "hatch.color": "white",
    "hatch.linewidth": 0.8,
}
NAMES = {
    "f1": "F-measure",
    "f1_weighted": "weighted F-measure",
    "f1_macro": "mean F-measure of the classes",
    "precision": "precision (user's accuracy)",
    "recall": "recall (producer's accuracy)",
    "object_accuracy": "accuracy of the vote of each object",
    "n_objects": "training objects",
    "fit_seconds": "seconds to fit",
    "predict_seconds": "seconds to predict",
}


def styled(draw):
    """Let a function draw in the common style; `ax=None` is a new figure."""

    @wraps(draw)
    def wrapper(*args, **kwargs):
        try:
            from matplotlib import rc_context
        except ImportError as error:
            raise ImportError('Figures need matplotlib: pip install "m3fusion_sk[plot]".') from error
        with rc_context(STYLE):
            return draw(*args, **kwargs)

    return wrapper


def axes_or_new(ax, figsize=None):
    """The given Axes, or those of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained", figsize=figsize)[1]


def check_table(name, table, origin):
    """Refuse what is no DataFrame, with a word on where it comes from."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"{name} must be a DataFrame, as {origin} gives it; got {type(table).__name__}.")


def marks(n):
    """Colour, marker, line and hatch of n things, of which neighbours differ in all four.

    Examples
    --------
    >>> from m3fusion_sk.plotting.style import marks
    >>> marks(2)[0]
    ('#0072B2', 'o', '-', '')
    """
    parts = zip(
        cycle(COLORS),
        cycle("osD^vPX*"),
        cycle(("-", "--", "-.", ":")),
        cycle(("", "///", "...")),
        strict=False,
    )
    return list(islice(parts, n))


def open_frame(ax):
    """Leave out the lines above and at the right, which show nothing."""
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def draw_shares(ax, share, columns, index, shown=None):
    """A table of shares in blue, with the percents of those that are shown."""
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = min(8, 250 / max(share.shape))  # as many cells as that are small ones
    for (row, column), part in np.ndenumerate(share):
        if shown is None or shown[row, column]:
            color = "white" if part > 0.6 else "black"
            ax.text(column, row, f"{100 * part:.0f}", ha="center", va="center", color=color, fontsize=size)
    name_ticks(ax, columns, index)


def name_ticks(ax, columns, index, step=1):
    """Write names beside the cells of a table; `step` is that between named columns."""
    labels = [str(name) for name in columns]
    ax.set_xticks(np.arange(len(labels)) * step, labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(index)), [str(name) for name in index])


def scale_bar(width):
    """Length and label of a scale bar for a map that is `width` metres wide: about a quarter of it.

    Examples
    --------
    >>> from m3fusion_sk.plotting.style import scale_bar
    >>> scale_bar(2600), scale_bar(66_560)
    ((500.0, '500 m'), (10000.0, '10 km'))
    """
    power = 10.0 ** floor(log10(width / 4))
    length = max(step * power for step in (1, 2, 5) if step * power <= width / 4 * (1 + 1e-9))
    return length, f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
