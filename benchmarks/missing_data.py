"""What is lost with missing sources and missing dates: one model for all against a model of each source.

Made samples, split by object. One network is trained with source dropout on samples that have both sources,
then loses one of them in all test samples, or in a share of them; beside it stand a network of that source
alone and one that never does without. A second part leaves out dates of the series.
"""

import argparse

import numpy as np
import pandas as pd
from comparison import as_markdown

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
MASKED = (0.0, 0.2, 0.4, 0.6, 0.8)


def split(seed, n_samples):
    """Samples of a landscape of this seed: training and test samples of other objects."""
    X, y, groups = make_land_cover(
        n_samples,
        n_objects=n_samples // 5,
        n_dates=10,
        n_bands=4,
        patch_size=9,
        patch_bands=4,
        random_state=100 + seed,
    )
    cv = StratifiedGroupShuffleSplit(1, train_size=0.3, random_state=seed)
    train, test = next(cv.split(X, y, groups))
    return X[train].materialize(), y[train], X[test].materialize(), y[test]


def without(X, name, rows):
    """The samples, of which some lack a source."""
    values = X[name].astype(np.float32)
    values[rows] = np.nan
    return X.replace(**{name: values})


def masked(X, share, seed):
    """The samples with a share of the dates of each series missing; one date always remains."""
    ts, rng = X["ts"].astype(np.float32), np.random.default_rng(seed)
    order = rng.random(ts.shape[:2]).argsort(axis=1)
    ts[order < round(share * ts.shape[1])] = np.nan
    return X.select(["ts"]).replace(ts=ts)


def sources_row(seed, n_samples, settings, rate):
    """Scores of one seed, in the order of the table."""
    X, y, test_X, test_y = split(seed, n_samples)
    one = M3FusionClassifier(**settings, missing_sources="drop", source_dropout=rate).fit(X, y)
    row = {
        "seed": seed,
        "both, always": M3FusionClassifier(**settings).fit(X, y).score(test_X, test_y),
        "both": one.score(test_X, test_y),
    }
    for name in X.names:
        alone = M3FusionClassifier(**settings).fit(X.select([name]), y)
        row[f"{name}, alone"] = alone.score(test_X.select([name]), test_y)
        row[f"{name}"] = one.score(test_X.select([name]), test_y)
        row[f"{name}: lost"] = row[f"{name}, alone"] - row[name]
    order = np.random.default_rng(seed).permutation(len(test_y))
    for name in X.names:
        for share in SHARES:
            lacking = without(test_X, name, order[: int(share * len(order))])
            row[f"without {name} {share:.0%}"] = one.score(lacking, test_y)
    return row


def dates_row(seed, n_samples, settings):
    """Scores with dates missing, of networks that were trained with 30 % of the dates missing."""
    X, y, test_X, test_y = split(seed, n_samples)
    row = {"seed": seed}
    for missing in ("mask", "fill"):
        clf = M3FusionClassifier(**settings, missing=missing).fit(masked(X, 0.3, seed), y)
        for share in MASKED:
            row[f"{missing} {share:.0%}"] = clf.score(masked(test_X, share, seed + 1), test_y)
    return row


def as_text(rows):
    """A table of percents with the mean over the seeds, in Markdown."""
    table = 100 * pd.DataFrame(rows).set_index("seed")
    table.loc["mean"] = table.mean()
    return as_markdown(table.T.map("{:.1f}".format).reset_index(names=""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--source-dropout", type=float, default=M3FusionClassifier().source_dropout)
    parser.add_argument("--epochs", default="auto", help="the default's number by default")
    options = parser.parse_args()
    epochs = options.epochs if options.epochs == "auto" else int(options.epochs)
    sources, dates = [], []
    for seed in range(options.seeds):
        settings = {"max_epochs": epochs, "random_state": seed}
        sources.append(sources_row(seed, options.samples, settings, options.source_dropout))
        dates.append(dates_row(seed, options.samples, settings))
    print(f"source_dropout={options.source_dropout}\n\n{as_text(sources)}\n\n{as_text(dates)}")


if __name__ == "__main__":
    main()
