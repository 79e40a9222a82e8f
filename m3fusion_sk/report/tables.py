"""Tables of a report: what stands in each cell, by what it is sorted, and how much of it is filled."""

from dataclasses import dataclass, field

import numpy as np

__all__ = ["MINUS", "Cell", "Table", "number", "plus_minus", "share_cell"]

MINUS, _DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the value it is sorted by, and the part from 0 to 1 that is filled, if any."""

    text: str
    value: float | str = ""
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """A table with a name in each row.

    Attributes
    ----------
    title : str
    head : sequence of str
        Names of all columns, that of the row names first.
    rows : sequence of (str, sequence of Cell)
    note : str
        What the numbers are.
    heat : bool
        Whether cells are filled by lightness, as in a picture, rather than by the length of a bar.
    """

    title: str
    head: list
    rows: list
    note: str = ""
    heat: bool = False
    swatches: dict = field(default_factory=dict)

    @property
    def small(self):
        """Whether there are so many columns that they must be narrow."""
        return self.heat and len(self.head) > 20


def number(value, digits=3):
    """A cell with a number; NaN is a dash.

    Examples
    --------
    >>> from m3fusion_sk.report.tables import number
    >>> number(1234.51234).text, number(float("nan")).value
    ('1,234.512', '')
    """
    if value is None or np.isnan(value):
        return Cell(_DASH, "")
    return Cell(f"{value:,.{digits}f}", float(value))


def plus_minus(value, deviation=None, *, signed=False, digits=3):
    """A cell with a number and its deviation, where that is known.

    Examples
    --------
    >>> from m3fusion_sk.report.tables import plus_minus
    >>> plus_minus(0.9, 0.02).text, plus_minus(0.1, signed=True).text
    ('0.900 ± 0.020', '▲ +0.100')
    """
    if np.isnan(value):
        return number(value)
    text = f"{value:+.{digits}f}" if signed else f"{value:,.{digits}f}"
    if signed and float(text):
        text = f"{'▲' if value > 0 else '▼'} {text.replace('-', MINUS)}"
    if deviation is not None and not np.isnan(deviation):
        text += f" ± {deviation:,.{digits}f}"
    return Cell(text, float(value))


def share_cell(share, most=1.0):
    """A cell with a percent, filled in proportion to the largest."""
    if np.isnan(share):
        return Cell("", "", 0.0)
    text = f"{100 * share:.0f}" if share >= 0.005 else ("·" if share > 0 else "")
    return Cell(text, float(share), float(share / most) if most > 0 else 0.0)
