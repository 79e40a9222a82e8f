"""Sections of a report that are tables: scores, classes, confusion, attention, importances, areas."""

import numpy as np
import pandas as pd

from ..classcodes import open_codes
from ..plotting.style import NAMES
from ..protocol import summarize
from .tables import MINUS, Cell, Table, number, plus_minus, share_cell

__all__ = [
    "areas",
    "attention",
    "calibration",
    "classes",
    "comparison",
    "confusions",
    "counted_areas",
    "importances",
    "scores",
]

_DEVIATIONS = (
    "± is the standard error over the test objects, drawn with replacement; the choice of training objects "
    "is not in it. With few objects it is too small, and of a class with a single one it is not known."
)
_WORDS = {**NAMES, "accuracy": "accuracy", "kappa": "kappa", "object_accuracy": "vote of each object"}


def scores(by_model, draws):
    """Scores of each model, and the difference of two; `draws` has `ScoreDraws` by model, or is None."""
    names = list(by_model)
    columns = list(by_model[names[0]].summary.index)
    spread = {name: draws[name].summary.std() if draws else {} for name in names}
    rows = [
        (name, [plus_minus(by_model[name].summary[c], spread[name].get(c)) for c in columns])
        for name in names
    ]
    if len(names) == 2:
        difference = by_model[names[0]].summary - by_model[names[1]].summary
        std = (draws[names[0]] - draws[names[1]]).summary.std() if draws else {}
        cells = [plus_minus(difference[c], std.get(c), signed=True) for c in columns]
        rows.append((f"{names[0]} {MINUS} {names[1]}", cells))
    head = ["model", *[_WORDS.get(c, c) for c in columns]]
    return Table("Scores on the test samples", head, rows, _DEVIATIONS if draws else "")


def comparison(table):
    """Means and deviations over the splits of `compare_by_source`."""
    summary = summarize(table)
    columns = list(summary.columns.get_level_values(0).unique())
    rows = []
    for (model, sources), values in summary.iterrows():
        digits = {c: 1 if c.endswith("seconds") else 3 for c in columns}
        cells = [plus_minus(values[c]["mean"], values[c].get("std"), digits=digits[c]) for c in columns]
        rows.append((f"{model}, {sources}", cells))
    n_splits = table["split"].nunique()
    note = f"Mean ± standard deviation over {n_splits} splits by object." if n_splits > 1 else "One split."
    return Table("Each source alone and all together", ["model, sources", *map(_word, columns)], rows, note)


def classes(by_model, draws):
    """Precision, recall and F of each class, and the difference in F of two models."""
    names = list(by_model)
    head = ["class", "samples"]
    for name in names:
        head += [f"{name}: F", f"{name}: precision", f"{name}: recall"]
    head += [f"F: {names[0]} {MINUS} {names[1]}"] if len(names) == 2 else []
    rows = []
    for label in by_model[names[0]].per_class.index:
        found = [by_model[name].per_class.loc[label] for name in names]
        cells = [number(found[0]["support"], digits=0)]
        for values in found:
            cells += [_bar(values[column]) for column in ("f1", "precision", "recall")]
        if len(names) == 2:
            std = (draws[names[0]] - draws[names[1]]).f1[label].std() if draws else None
            cells.append(plus_minus(found[0]["f1"] - found[1]["f1"], std, signed=True))
        rows.append((str(label), cells))
    note = "F is the F-measure; precision is the user's accuracy, recall the producer's accuracy. " + (
        _DEVIATIONS if draws else ""
    )
    return Table("Scores of each class", head, rows, note.strip())


def confusions(by_model):
    """A confusion matrix for each model, in percent of the true class."""
    return [_confusion(name, found.confusion) for name, found in by_model.items()]


def _confusion(name, counts):
    totals = counts.sum(axis=1)
    rows = [
        (str(label), [*[share_cell(n / total if total else np.nan) for n in row], number(total, digits=0)])
        for label, row, total in zip(counts.index, counts.to_numpy(), totals, strict=True)
    ]
    head = ["true class", *map(str, counts.columns), "samples"]
    note = (
        "Rows are true classes, columns predicted ones; percent of the true class, and · for less than 0.5."
    )
    return Table(f"Confusion: {name}", head, rows, note, heat=True)


def attention(tables):
    """Weights of the dates of each series by class."""
    return [_attention(name, table) for name, table in tables.items()]


def _attention(name, table):
    most = float(np.nanmax(table.to_numpy()))
    rows = [(str(label), [share_cell(w, most) for w in row]) for label, row in table.iterrows()]
    note = (
        "Mean weight in percent; each row sums to 100. Weights say which dates make up the feature; the "
        "state of a recurrence holds earlier dates too."
    )
    head = ["class", *[_day(date) for date in table.columns]]
    return Table(f"Attention over the dates of {name}", head, rows, note, heat=True)


def importances(tables):
    """Falls of the score, for each table of `grouped_importance`."""
    if isinstance(tables, pd.DataFrame):
        tables = {"": tables}
    return [_importance(title, table) for title, table in tables.items()]


def _importance(title, table):
    most = max(float(table["importance"].fillna(0).max()), 1e-12)
    rows = []
    for key, values in table.iterrows():
        cell = plus_minus(values["importance"], values["std"])
        share = np.nan_to_num(np.clip(values["importance"] / most, 0, 1))
        name = ", ".join(map(_day, key)) if isinstance(key, tuple) else str(key)
        rows.append((name, [Cell(cell.text, cell.value, float(share))]))
    note = "Fall of the score when a block holds the values of other objects; ± over the exchanges."
    if "score" in table.attrs:
        note += f" The score is {table.attrs['score']:.3f}."
    what = ", ".join(map(str, table.index.names))
    return Table(f"Importance{f': {title}' if title else ''}", [what, "fall of the score"], rows, note)


def areas(estimates, unit):
    """Adjusted areas with their intervals, and the accuracies of the map."""
    factor, unit = (1e-4, "ha") if unit == "m2" else (1, unit)
    unit = f" ({unit})" if unit else ""
    rows = []
    for label, values in estimates.areas.iterrows():
        found = values * factor
        accuracy = estimates.accuracy.loc[label]
        interval = Cell(f"{found['low']:,.1f} to {found['high']:,.1f}", float(found["low"]))
        cells = [number(found["mapped"], 1), plus_minus(found["area"], found["se"], digits=1), interval]
        cells += [plus_minus(accuracy[c], accuracy[f"{c}_se"]) for c in ("users", "producers")]
        rows.append((str(label), cells))
    head = [
        "class",
        f"mapped{unit}",
        f"estimate{unit}",
        f"interval of {100 * estimates.level:g} %{unit}",
        "user's accuracy",
        "producer's accuracy",
    ]
    overall = plus_minus(estimates.overall["accuracy"], estimates.overall["se"]).text
    note = (
        f"Estimates adjusted for the map's errors by a stratified reference sample, ± standard error, after "
        f"Olofsson et al. (2014). Overall accuracy of the map: {overall}."
    )
    same = estimates.accuracy.index[estimates.accuracy["users_se"] == 0]
    if len(same):
        note += (
            f" All samples of {', '.join(map(str, same))} agree: standard errors that rest on them are too "
            "small."
        )
    return Table("Areas", head, rows, note)


def counted_areas(maps):
    """Pixels of each class of each map, counted at full size."""
    sources = {name: open_codes(path) for name, path in maps.items()}
    counts = {name: source.count() for name, source in sources.items()}
    units = {source.unit for source in sources.values()}
    factor, unit = (1e-4, "ha") if units == {"m2"} else (1, " or ".join(sorted(units)))
    head, rows = ["class"], {}
    for name, source in sources.items():
        head += [f"{name} ({unit})", f"{name} (%)"]
        total = max(1, sum(counts[name].values()))
        of_class = {str(source.names.get(code, code)): n for code, n in counts[name].items()}
        for label in _labels_of(sources, counts):
            pixels = of_class.get(label, 0)
            area, share = number(pixels * source.pixel_area * factor, 1), pixels / total
            rows.setdefault(label, []).extend([area, Cell(f"{100 * share:.1f}", share, share)])
    note = "Counted pixels: the errors of a map do not cancel out, so that these areas are biased."
    return Table("Areas in the maps" if len(maps) > 1 else "Areas in the map", head, list(rows.items()), note)


def _labels_of(sources, counts):
    """Names of the classes that any of the maps has, in the order of the first."""
    names = (str(sources[name].names.get(code, code)) for name in sources for code in counts[name])
    return list(dict.fromkeys(names))


def calibration(by_model):
    """Errors of the probabilities of each model."""
    columns = next(iter(by_model.values())).summary.index
    rows = [(name, [number(part.summary[c]) for c in columns]) for name, part in by_model.items()]
    head = ["model", *[{"brier": "Brier score"}.get(c, c.replace("_", " ")) for c in columns]]
    note = (
        "The calibration error is the mean difference of confidence and accuracy, the largest error that of "
        "a bin, however few samples it holds. Both are too large with few samples."
    )
    return Table("Calibration", head, rows, note)


def _bar(value):
    cell = number(value)
    return Cell(cell.text, cell.value, 0.0 if np.isnan(value) else float(value))


def _word(column):
    return _WORDS.get(column, column)


def _day(date):
    """A date without the time that pandas adds to it."""
    return str(date).removesuffix(" 00:00:00")
