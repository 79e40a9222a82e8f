"""Tables of the accuracy study: means, deviations, and the paired test against the best baseline."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from baselines import GRIDS
from matplotlib import pyplot
from recipes import OURS
from scipy import stats

from m3fusion_sk.plotting import plot_learning_curve, plot_time_accuracy

MEASURED = Path(__file__).parent / "results" / "accuracy.csv"
NO_OBJECTS = {"rondonia"}  # whose groups are squares with pixels of several classes: their vote means nothing
COLUMNS = 3  # of panels in a figure
OPTIONAL = ["objects", "inner"]  # columns of rows that only some studies fill
SCORES = {
    "accuracy": "accuracy",
    "f1_weighted": "weighted F",
    "f1_macro": "macro F",
    "kappa": "kappa",
    "object_accuracy": "object vote",
}


def estimate(todo, jobs):
    """How long the tasks will take, by what the same tasks took when the results were written down."""
    if not todo:
        return "All rows are there: nothing to run."
    seconds, unknown = 0.0, len(todo)
    if MEASURED.exists():
        rows = pd.read_csv(MEASURED)
        took, tasks = rows["fit_seconds"] + rows["predict_seconds"], pd.DataFrame(todo)
        each = kinds_of(tasks).map(took.groupby(kinds_of(rows)).mean())
        unknown = each.isna().sum()
        seconds = each.fillna(tasks["data"].map(took.groupby(rows["data"]).mean())).sum()
    return (
        f"{len(todo)} fits to run, about {seconds / 3600 / jobs:.1f} hours with {jobs} at a time"
        + (f" ({unknown} not timed before, by the mean of their set)" if unknown else "")
        + ". Finished rows are kept: an interrupted run goes on with them."
    )


def with_numbers(rows):
    """The rows with NaN where a column of some studies only has no number, or did not exist yet."""
    columns = rows.columns.union(OPTIONAL, sort=False)
    return rows.reindex(columns=columns).astype(dict.fromkeys(OPTIONAL, float))


def kinds_of(rows):
    """Set, model and number of objects of each row, as one key."""
    objects = rows["objects"].astype(float).map("{:.0f}".format)  # "nan" for all of them
    return rows["data"] + "/" + rows["model"] + "/" + objects


def corrected_t_test(first, second, test_share):
    """p value of the difference of two models over the same resampled folds.

    Parameters
    ----------
    first, second : array of shape (n_folds,)
        Scores of both models on the same folds.
    test_share : float
        Test over training samples of a fold.

    References
    ----------
    Nadeau, C., Bengio, Y. (2003). Inference for the generalization error. Machine Learning 52, 239-281.
    """
    difference = np.asarray(first) - np.asarray(second)
    variance = difference.var(ddof=1) * (1 / len(difference) + test_share)
    if variance == 0:
        return 1.0 if difference.mean() == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference.mean()) / np.sqrt(variance), len(difference) - 1))


def by_fold(rows, score):
    """Mean over seeds: a table of folds by models."""
    return rows.pivot_table(index="fold", columns="model", values=score, aggfunc="mean")


def summary(rows):
    """Mean and deviation over folds, deviation over seeds, and the paired test, for one data set."""
    accuracy = by_fold(rows, "accuracy")
    p_values = compared(accuracy, (rows["n_test"] / rows["n_train"]).mean())
    models = accuracy.mean().sort_values(ascending=False).index
    return pd.DataFrame([summary_line(rows[rows["model"] == model], p_values) for model in models])


def summary_line(rows, p_values):
    """The line of a model in the table of a data set."""
    line = {"model": rows["model"].iloc[0], "folds": rows["fold"].nunique()}
    for score, heading in SCORES.items():
        folds = rows.groupby("fold")[score].mean()
        line[heading] = f"{folds.mean():.3f} ± {folds.std():.3f}"
        if score == "accuracy":
            line["first fold"] = f"{folds[0]:.3f}" if 0 in folds.index else ""
    if rows["data"].iloc[0] in NO_OBJECTS:
        line[SCORES["object_accuracy"]] = ""
    seeds = rows.groupby("fold")["accuracy"].std().mean()
    line["± seeds"] = "" if np.isnan(seeds) else f"{seeds:.3f}"
    line["p"] = p_values.get(line["model"], "")
    for heading, column in {"fit s": "fit_seconds", "predict s": "predict_seconds"}.items():
        line[heading] = f"{rows[column].mean():.1f}"
    return {**line, "MB": f"{rows['megabytes'].mean():.0f}"}


def compared(accuracy, test_share):
    """p value of each model that is ours against the best baseline, by the folds that all of them have."""
    complete = accuracy.dropna(axis=1)
    baselines = [name for name in complete if name in GRIDS]
    if not baselines:
        return {}
    best = complete[baselines].mean().idxmax()
    ours = {name: complete[name] for name in complete if name not in GRIDS}
    p_values = {name: corrected_t_test(scores, complete[best], test_share) for name, scores in ours.items()}
    return {**{name: f"{p:.3f}" for name, p in p_values.items()}, best: "best baseline"}


def learning_table(rows):
    """Mean accuracy of each model over folds and seeds, by the number of training objects."""
    objects = rows["objects"].fillna(np.inf)
    table = rows.pivot_table(index="model", columns=objects, values="accuracy", aggfunc="mean")
    table.columns = [f"{n:.0f} objects" if np.isfinite(n) else "all" for n in table.columns]
    return _written(table, "{:.3f}").reset_index()


def as_markdown(table):
    lines = [table.columns.astype(str), ["---"] * len(table.columns), *table.astype(str).to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def changes(rows, score="accuracy"):
    """What each change of our recipe makes of a score, in points: the mean over the fits, by data set."""
    fits = rows.pivot_table(index=["data", "fold", "seed"], columns="model", values=score)
    points = 100 * fits.sub(fits[OURS], axis=0).drop(columns=OURS)
    table = points.groupby("data").mean().T
    table["mean"] = table.mean(axis=1, skipna=False)
    error = _error_of_mean(points, (rows["n_test"] / rows["n_train"]).groupby(rows["data"]).mean())
    table = _written(table.sort_values("mean"), "{:+.1f}")
    return table.assign(error=_written(error.to_frame("error"), "{:.1f}")).reset_index()


def _written(table, form):
    """Numbers as text; nothing where fits are missing."""
    return table.map(lambda value: "" if np.isnan(value) else form.format(value))


def _error_of_mean(points, test_share):
    """Standard error of the mean over sets, whose folds share training samples as in `corrected_t_test`."""
    by_set = points.groupby("data")
    factor = (1 / by_set.count()).add(test_share, axis=0)
    return np.sqrt((by_set.var(ddof=1) * factor).sum(skipna=False)) / len(by_set)


def costs(rows):
    """Accuracy, macro F and seconds of a fit of each model, over the sets that all of them have."""
    means = rows.groupby(["model", "data"])[["accuracy", "f1_macro", "fit_seconds", "predict_seconds"]].mean()
    shared = means.unstack("data").dropna(axis=1).stack("data", future_stack=True)
    return shared.groupby("model").mean().round(4).reset_index()


def change_tables(rows, study):
    """Accuracy, and macro F, of each change by set; beside accuracy what a fit costs in the mean."""
    accuracy, macro = changes(rows), changes(rows, "f1_macro")
    seconds = costs(rows).set_index("model")["fit_seconds"].map("{:.0f}".format)
    accuracy["macro F"] = accuracy["model"].map(macro.set_index("model")["mean"])
    accuracy["seconds to fit"] = accuracy["model"].map(seconds)
    ours = pd.DataFrame([{"model": f"{OURS} (the defaults)", "seconds to fit": seconds[OURS]}])
    accuracy = pd.concat([accuracy.head(0), ours, accuracy]).fillna("")
    return {f"{study}: accuracy, in points": accuracy, f"{study}: macro F, in points": macro}


def tables_of(rows, study):
    """The tables of a study, by their headings."""
    if study in ("baselines", "learning"):
        table = summary if study == "baselines" else learning_table
        return {name: table(part) for name, part in rows.groupby("data", sort=False)}
    return change_tables(rows, study)


def print_tables(rows, wanted, study, output):
    """Print the tables of a study, and write them and all rows into the output folder.

    Parameters
    ----------
    rows : DataFrame
        All that there are.
    wanted : DataFrame
        Data, fold, model, seed, objects and inner fold of the rows of the study.
    study : str
    output : Path
    """
    if rows.empty:
        print("no rows yet")
        return
    rows.round(4).to_csv(output / "accuracy.csv", index=False)
    rows = with_numbers(rows).merge(with_numbers(wanted))
    tables = tables_of(rows, study)
    text = "\n\n".join(f"### {name}\n\n{as_markdown(table)}" for name, table in tables.items())
    (output / f"{study}.md").write_text(text + "\n")
    print(f"\n## {study}\n\n{text}")
    if study == "encoders":
        costs(rows).to_csv(output / "encoders.csv", index=False)
    if study in ("baselines", "learning"):
        draw(rows, output, study == "learning")


def draw(rows, output, learning):
    """A figure with a panel for each set: accuracy against training objects, or the time of a fit."""
    matplotlib.use("Agg")
    parts = list(rows.sort_values("model").groupby("data"))  # a model has the same colour in each panel
    n_rows = len(parts) // COLUMNS + 1  # with a place for the names of the models
    figure, axes = pyplot.subplots(n_rows, COLUMNS, figsize=(12, 4 * n_rows), layout="constrained")
    for ax, (name, part) in zip(axes.flat, parts, strict=False):
        (draw_learning if learning else draw_time)(part, ax, name)
    for ax in axes.flat[len(parts) :]:
        ax.axis("off")
    if len({tuple(part["model"].unique()) for _, part in parts}) == 1:  # else each panel has its own
        name_once(axes.flat[: len(parts)], axes.flat[len(parts)])
    figure.savefig(output / f"{'learning' if learning else 'time'}.png", dpi=80)
    pyplot.close(figure)


def name_once(panels, place):
    """One legend for all panels, in a place of its own."""
    place.legend(*panels[0].get_legend_handles_labels(), loc="center")
    for ax in panels:
        ax.get_legend().remove()


def draw_learning(rows, ax, name):
    all_of_them = rows["objects"].isna()  # a few more or less in each fold: one place on the axis
    mean = rows.loc[all_of_them, "n_objects"].mean()
    rows = rows.assign(n_objects=rows["n_objects"].where(~all_of_them, mean.round()))
    plot_learning_curve(rows, title=name, xlabel="training objects", ax=ax)


def draw_time(rows, ax, name):
    means = rows.groupby("model")[["fit_seconds", "accuracy"]].mean().reset_index()
    plot_time_accuracy(means, title=name, ax=ax)
