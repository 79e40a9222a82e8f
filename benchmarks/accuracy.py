"""Ours against tuned classical models: the same outer folds by object, every choice on training objects.

    python benchmarks/accuracy.py [--study baselines ...] [--data made idtrees ...] [--models ...] [--jobs 2]

says how long it will take, goes on with the rows that stand in the output folder, prints the tables, draws
the figures and writes them there. `--tables` does so without running anything. All studies are made, unless
some are named: "baselines" is the comparison; "ablation" leaves out each part of the recipe; "encoders" and
"imbalance" change one setting; "learning" trains on few objects up to all. All but the first make three fits
of each model, on another fold and with another seed each, and compare them in pairs. "ablation" and
"encoders", by which the defaults are chosen, do so on inner folds of the training objects of the first outer
fold, and score no test object of it.
Seconds are of the processor, with one thread: set OMP_NUM_THREADS=1.
"""

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from baselines import GRIDS, inner_folds, spread, tuned
from comparison import OPTIONAL, estimate, print_tables, with_numbers
from datasets import DATASETS, DataMissing
from recipes import ABLATION, ENCODERS, IMBALANCE, OURS, PAPER, RECIPES, SMALL

from m3fusion_sk import M3FusionClassifier, land_cover_scores

OUTPUT = Path(__file__).parent / "output" / "accuracy"
SPLITS = 5
SEEDS = (0, 1, 2)
AVERAGED = "ours, 3 seeds averaged"
STUDIES = {
    "baselines": [OURS, PAPER, *GRIDS],
    "ablation": [OURS, *ABLATION],
    "encoders": [OURS, *ENCODERS],
    "imbalance": [OURS, *IMBALANCE],
    "learning": [OURS, "random forest", "extra trees", "logistic regression", "rbf svm"],
}
ALL_FITS = [(fold, seed) for fold in range(SPLITS) for seed in SEEDS]  # of the comparison
PAIRS = [(0, 0), (1, 1), (2, 2)]  # of the other studies
INNER = [(0, 0, 0), (0, 1, 1), (0, 2, 2)]  # of those that choose: fold, seed, fold of its training objects
CHOOSING = {"ablation", "encoders"}
OBJECTS = (5, 10, 20, 50, 100)  # and all of them


class Task(NamedTuple):
    """One fit; on so many training objects, or on all; within an inner fold of them, or on the outer one."""

    data: str
    fold: int
    model: str
    seed: int
    objects: int | None = None
    inner: int | None = None

    @property
    def stem(self):
        """Of the names of its files."""
        parts = [self.model, self.fold, self.seed, *([] if self.objects is None else [self.objects])]
        parts += [] if self.inner is None else ["inner", self.inner]
        return "_".join("".join(c if c.isalnum() else "-" for c in str(part)) for part in parts)


def tasks(names, models, fits, sizes=(None,)):
    """Every fit of the study; models that are not ours have one seed."""
    found = (
        Task(name, fold, model, seed if model in RECIPES else SEEDS[0], objects, *inner)
        for name in names
        for objects in sizes
        for model in models
        for fold, seed, *inner in fits
    )
    return list(dict.fromkeys(found))


def fits_of(name):
    """Folds and seeds of a study."""
    if name == "baselines":
        return ALL_FITS
    return INNER if name in CHOOSING else PAIRS


def fit(model, X, y, groups, seed, budget):
    """A fitted model, and what was chosen for it."""
    if model in RECIPES:
        return M3FusionClassifier(**RECIPES[model], random_state=seed).fit(X, y), {}
    if model == PAPER:
        return fit_for(budget, M3FusionClassifier(**SMALL, random_state=seed), X, y)
    return tuned(model, X, y, groups, seed)


def fit_for(seconds, network, X, y):
    """Train epoch by epoch as long as another one fits into these seconds of the processor."""
    start, n_epochs, spent = time.process_time(), 0, 0.0
    while n_epochs == 0 or spent + spent / n_epochs / 2 < seconds:
        network.partial_fit(X, y, classes=np.unique(y))
        n_epochs, spent = n_epochs + 1, time.process_time() - start
    return network, {"max_epochs": n_epochs}


def run(data, sides, task, budget):
    """One row: scores on the test side of a fold, and class probabilities or None."""
    train, test = sides
    start, before = time.process_time(), peak_megabytes()
    fitted, chosen = fit(task.model, data.X[train], data.y[train], data.groups[train], task.seed, budget)
    middle = time.process_time()
    predicted = fitted.predict(data.X[test])
    end = time.process_time()
    proba = fitted.predict_proba(data.X[test]) if task in ours(task) else None
    row = {
        **scores_of(data, test, predicted),
        "fit_seconds": middle - start,
        "predict_seconds": end - middle,
        "megabytes": peak_megabytes() - before,
        "n_train": len(train),
        "n_test": len(test),
        "chosen": json.dumps(chosen),
    }
    return row, proba


def scores_of(data, test, predicted):
    scores = land_cover_scores(
        data.y[test], predicted, labels=np.unique(data.y), groups=np.asarray(data.objects)[test]
    )
    return scores.summary.to_dict()


def ours(task):
    """The tasks of our defaults on the fold of a task."""
    return [Task(task.data, task.fold, OURS, seed) for seed in SEEDS]


def few(objects, y, n_objects, seed):
    """Rows of so many objects, taken in turn from all classes; more objects are those and others."""
    names, code_of = np.unique(objects, return_inverse=True)
    if n_objects is None or n_objects >= len(names):
        return None
    class_of = pd.Series(y).groupby(code_of).agg(lambda labels: labels.value_counts().index[0])
    chosen = spread(class_of.to_numpy(), n_objects, seed)
    return np.flatnonzero(np.isin(code_of, chosen))


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Study:
    """The rows of one data set in a folder, which a later run goes on with."""

    def __init__(self, name, output):
        self.name, self.folder = name, output / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = DATASETS[name](SPLITS)
        self.folds = list(self.data.cv.split(self.data.X, self.data.y, self.data.groups))

    def __call__(self, task):
        sides = self.sides(task)
        if sides is None:  # there are not so many objects
            return None
        budget = self.budget(task) if task.model == PAPER else None
        row, proba = run(self.data, sides, task, budget)
        if proba is not None:
            np.save(self.path(task, ".npy"), proba)
        return self.keep(task, row)

    def sides(self, task):
        """Rows to train and to test on, or None where there are fewer objects than the task asks for."""
        train, test = self.folds[task.fold]
        if task.inner is not None:
            return self.inner_sides(train, task.inner)
        if task.objects is None:
            return train, test
        kept = few(np.asarray(self.data.objects)[train], self.data.y[train], task.objects, task.fold)
        return None if kept is None else (train[kept], test)

    def inner_sides(self, train, inner):
        """The same within the training objects of an outer fold."""
        kept, left = inner_folds(self.data.y[train], self.data.groups[train], seed=0)[inner]
        return train[kept], train[left]

    def path(self, task, suffix):
        return self.folder / f"{task.stem}{suffix}"

    def keep(self, task, row):
        """Write the row of a task down."""
        trained = self.data.objects[self.sides(task)[0]]
        row = {**task._asdict(), **row, "n_objects": len(np.unique(trained))}
        self.path(task, ".json").write_text(json.dumps(row))
        return row

    def budget(self, task):
        """Seconds that our defaults took on this fold, which the paper's recipe gets too."""
        return float(self.rows_of_ours(task)["fit_seconds"].mean())

    def rows_of_ours(self, task):
        texts = [self.path(other, ".json").read_text() for other in ours(task)]
        return pd.DataFrame([json.loads(text) for text in texts])

    def average(self, task):
        """The row of the seeds' mean probabilities on the fold of this task, once all of them are there."""
        paths = [self.path(other, ".npy") for other in ours(task)]
        if not all(path.exists() for path in paths):
            return
        train, test = self.folds[task.fold]
        proba = np.mean([np.load(path) for path in paths], axis=0)
        rows = self.rows_of_ours(task)
        row = {
            **scores_of(self.data, test, np.unique(self.data.y[train])[proba.argmax(axis=1)]),
            **rows[["fit_seconds", "predict_seconds"]].sum().to_dict(),
            **rows[["megabytes", "n_train", "n_test"]].max().to_dict(),
        }
        self.keep(task, row)


def study(name, todo, jobs, output):
    """Run the tasks of one data set, each in a process of its own."""
    work = Study(name, output)
    context = multiprocessing.get_context("fork")  # the children share the samples
    first = [task for task in todo if task.model == OURS]  # their seconds are the paper's budget
    for part in (first, [task for task in todo if task.model != OURS]):
        with context.Pool(jobs, maxtasksperchild=1) as pool:
            for row in filter(None, pool.imap_unordered(work, part, chunksize=1)):
                print(line_of(row), flush=True)
    for fold in range(SPLITS):
        work.average(Task(name, fold, AVERAGED, 0))


def line_of(row):
    objects = "" if row["objects"] is None else f" on {row['objects']} objects"
    inner = "" if row["inner"] is None else f", inner {row['inner']}"
    return (
        f"{row['data']} fold {row['fold']}{inner}{objects}: {row['model']} {row['accuracy']:.4f} "
        f"({row['fit_seconds']:.0f} s, {row['chosen']})"
    )


def take_over(table, output):
    """Put rows that were measured elsewhere into the output folder, where it has none of its own."""
    rows = with_numbers(pd.read_csv(table))
    for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        row.update({name: None if row[name] is None else int(row[name]) for name in OPTIONAL})
        path = row_path(Task(*(row[name] for name in Task._fields)), output)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(row))


def row_path(task, output):
    """Where the row of a task stands in the output folder."""
    return output / task.data / f"{task.stem}.json"


def rows_in(output):
    """All rows that stand in the output folder."""
    return pd.DataFrame([json.loads(path.read_text()) for path in sorted(output.glob("*/*.json"))])


def wanted_of(name, arguments):
    """The tasks of a study on the sets and of the models that were asked for."""
    sizes = (*OBJECTS, None) if name == "learning" else (None,)
    models = [model for model in STUDIES[name] if model in (arguments.models or STUDIES[name])]
    return tasks(arguments.data, models, fits_of(name), sizes)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(DATASETS), default=list(DATASETS))
    parser.add_argument("--study", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--models", nargs="+", choices=[*RECIPES, PAPER, *GRIDS], help="some models only")
    parser.add_argument("--jobs", type=int, default=1, help="fits at a time")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the rows")
    parser.add_argument(
        "--known", type=Path, help="a table such as results/accuracy.csv: its rows are not run again"
    )
    parser.add_argument(
        "--tables", action="store_true", help="only print the tables of the rows that are there"
    )
    return parser.parse_args()


def main():
    arguments = parsed()
    if arguments.known:
        take_over(arguments.known, arguments.output)
    wanted = {name: wanted_of(name, arguments) for name in arguments.study}
    every = dict.fromkeys(task for its in wanted.values() for task in its)
    todo = [task for task in every if not row_path(task, arguments.output).exists()]
    if not arguments.tables:
        print(estimate(todo, arguments.jobs), flush=True)
        for name in arguments.data:
            try:
                study(name, [task for task in todo if task.data == name], arguments.jobs, arguments.output)
            except DataMissing as error:
                print(f"{name}: skipped, {error}")
    if "baselines" in wanted:
        wanted["baselines"] += tasks(arguments.data, [AVERAGED], ALL_FITS)
    rows = rows_in(arguments.output)
    for name, its in wanted.items():
        print_tables(rows, pd.DataFrame(its), name, arguments.output)


if __name__ == "__main__":
    main()
