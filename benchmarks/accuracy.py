"""Ours against tuned classical models: the same outer folds by object, every choice on training objects.

    python benchmarks/accuracy.py [--study baselines] [--data made idtrees ...] [--models ...] [--jobs 2]

says how long it will take, goes on with the rows that stand in the output folder, prints the tables and
writes them there. `--tables` prints them without running anything. The studies: "baselines" is the
comparison; "ablation" leaves out each part of the recipe; "encoders" and "imbalance" change one setting.
"""

import argparse
import json
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
from baselines import GRIDS, tuned
from comparison import estimate, print_tables
from datasets import DATASETS, DataMissing
from recipes import ABLATION, ENCODERS, IMBALANCE, OURS, PAPER, RECIPES, SMALL
from sklearn.base import clone

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
}


def tasks(names, models):
    """Every fit of the study: (set, fold, model, seed)."""
    return [
        (name, fold, model, seed)
        for name in names
        for model in models
        for fold in range(SPLITS)
        for seed in (SEEDS if model in RECIPES else SEEDS[:1])
    ]


def fit(model, X, y, groups, seed, budget):
    """A fitted model, and what was chosen for it."""
    if model in RECIPES:
        return M3FusionClassifier(**RECIPES[model], random_state=seed).fit(X, y), {}
    if model == PAPER:
        return fit_for(budget, M3FusionClassifier(**SMALL, random_state=seed), X, y)
    return tuned(model, X, y, groups, seed)


def fit_for(seconds, network, X, y):
    """As many epochs as fit into these seconds, by the time that one epoch takes."""
    start = time.perf_counter()
    one = clone(network).set_params(max_epochs=1).fit(X, y)
    first = time.perf_counter() - start
    epochs = max(1, round((seconds - first + one.history_[0]["dur"]) / one.history_[0]["dur"]))
    return network.set_params(max_epochs=epochs).fit(X, y), {"max_epochs": epochs}


def run(data, sides, model, seed, budget):
    """One row: scores on the test side of a fold, and class probabilities or None."""
    train, test = sides
    start, before = time.perf_counter(), peak_megabytes()
    fitted, chosen = fit(model, data.X[train], data.y[train], data.groups[train], seed, budget)
    middle = time.perf_counter()
    predicted = fitted.predict(data.X[test])
    end = time.perf_counter()
    proba = fitted.predict_proba(data.X[test]) if model == OURS else None
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
        _, fold, model, seed = task
        budget = self.budget(fold) if model == PAPER else None
        row, proba = run(self.data, self.folds[fold], model, seed, budget)
        if proba is not None:
            np.save(self.path(task, ".npy"), proba)
        return self.keep(task, row)

    def path(self, task, suffix):
        return self.folder / f"{stem_of(task)}{suffix}"

    def keep(self, task, row):
        """Write the row of a task down."""
        row = {**dict(zip(("data", "fold", "model", "seed"), task, strict=True)), **row}
        self.path(task, ".json").write_text(json.dumps(row))
        return row

    def ours(self, fold):
        """The tasks of our defaults on a fold."""
        return [(self.name, fold, OURS, seed) for seed in SEEDS]

    def budget(self, fold):
        """Seconds that our defaults took on this fold, which the paper's recipe gets too."""
        return float(self.rows_of_ours(fold)["fit_seconds"].mean())

    def rows_of_ours(self, fold):
        texts = [self.path(task, ".json").read_text() for task in self.ours(fold)]
        return pd.DataFrame([json.loads(text) for text in texts])

    def average(self, fold):
        """The row of the seeds' mean probabilities, once all of them are there."""
        paths = [self.path(task, ".npy") for task in self.ours(fold)]
        if not all(path.exists() for path in paths):
            return
        train, test = self.folds[fold]
        proba = np.mean([np.load(path) for path in paths], axis=0)
        rows = self.rows_of_ours(fold)
        row = {
            **scores_of(self.data, test, np.unique(self.data.y[train])[proba.argmax(axis=1)]),
            **rows[["fit_seconds", "predict_seconds"]].sum().to_dict(),
            **rows[["megabytes", "n_train", "n_test"]].max().to_dict(),
        }
        self.keep((self.name, fold, AVERAGED, 0), row)


def stem_of(task):
    _, fold, model, seed = task
    return "_".join("".join(c if c.isalnum() else "-" for c in str(part)) for part in (model, fold, seed))


def study(name, todo, jobs, output):
    """Run the tasks of one data set, each in a process of its own."""
    work = Study(name, output)
    context = multiprocessing.get_context("fork")  # the children share the samples
    ours = [task for task in todo if task[2] == OURS]
    for part in (ours, [task for task in todo if task[2] != OURS]):
        with context.Pool(jobs, maxtasksperchild=1) as pool:
            for row in pool.imap_unordered(work, part, chunksize=1):
                print(
                    f"{name} fold {row['fold']}: {row['model']} {row['accuracy']:.4f} "
                    f"({row['fit_seconds']:.0f} s, {row['chosen']})",
                    flush=True,
                )
    for fold in range(SPLITS):
        work.average(fold)


def rows_in(output):
    """All rows that stand in the output folder."""
    return pd.DataFrame([json.loads(path.read_text()) for path in sorted(output.glob("*/*.json"))])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(DATASETS), default=list(DATASETS))
    parser.add_argument("--study", choices=list(STUDIES), default="baselines")
    parser.add_argument("--models", nargs="+", choices=[*RECIPES, PAPER, *GRIDS], help="some models only")
    parser.add_argument("--jobs", type=int, default=1, help="fits at a time")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the rows")
    parser.add_argument(
        "--tables", action="store_true", help="only print the tables of the rows that are there"
    )
    arguments = parser.parse_args()
    todo = [
        task
        for task in tasks(arguments.data, arguments.models or STUDIES[arguments.study])
        if not (arguments.output / task[0] / f"{stem_of(task)}.json").exists()
    ]
    if not arguments.tables:
        print(estimate(todo, arguments.jobs), flush=True)
        for name in arguments.data:
            try:
                study(name, [task for task in todo if task[0] == name], arguments.jobs, arguments.output)
            except DataMissing as error:
                print(f"{name}: skipped, {error}")
    shown = [*(arguments.models or STUDIES[arguments.study]), AVERAGED]
    print_tables(rows_in(arguments.output), shown, arguments.output)


if __name__ == "__main__":
    main()
