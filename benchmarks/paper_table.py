"""The table of the paper for other data: forest and network, on each source and on all.

    python benchmarks/paper_table.py --data {made,idtrees,lpis,...}

prints mean and deviation over splits by object, and writes every row to benchmarks/output. Interrupted
runs continue from the rows that are there.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import DATASETS, DataMissing, data_folder, idtrees_crowns, idtrees_scene

from m3fusion_sk import M3FusionClassifier, stacked_forest
from m3fusion_sk.mapping import ChunkedPredictor
from m3fusion_sk.protocol import as_text, rows_by_source, score_row, summarize

OUTPUT = Path(__file__).parent / "output"
COLUMNS = ["accuracy", "f1_weighted", "kappa", "f1_macro", "object_accuracy", "fit_seconds"]
SPLITS = 5


def models(epochs):
    """The two models of the table, with the package's defaults."""
    network = M3FusionClassifier(random_state=0) if epochs is None else M3FusionClassifier(max_epochs=epochs)
    return {
        "forest": stacked_forest(500, random_state=0, n_jobs=-1),
        "network": network.set_params(random_state=0),
    }


def run(name, data, path, candidates):
    """Score every row that is not in `path` yet."""
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["split", "model", "sources"])
    known = set(zip(done["split"], done["model"], done["sources"], strict=True))
    rows = done.to_dict("records")
    for split, (train, test) in enumerate(data.cv.split(data.X, data.y, data.groups)):
        for (model, sources), pipeline in rows_by_source(candidates, data.X.names).items():
            if (split, model, sources) in known:
                continue
            _, scores, seconds = score_row(pipeline, data.X, data.y, data.objects, train, test)
            rows.append({"split": split, "model": model, "sources": sources, **scores.summary, **seconds})
            pd.DataFrame(rows).to_csv(path, index=False)
            print(f"{name} split {split}: {model} on {sources} {scores.summary['accuracy']:.4f}", flush=True)
    return pd.DataFrame(rows)


def map_unseen_plot(data, epochs, output):
    """The taxon map of a plot of the first test fold, by the network fitted on the first training fold."""
    folder = data_folder("idtrees_mlbs")
    train, test = next(data.cv.split(data.X, data.y, data.groups))
    crowns = idtrees_crowns(folder)
    plots = crowns.loc[crowns["plot_group"].isin(np.unique(data.groups[test])), "plot"]
    plot = plots.value_counts().index[0]
    network = rows_by_source(models(epochs), data.X.names)["network", "all"].fit(data.X[train], data.y[train])
    path = ChunkedPredictor(network).predict(
        idtrees_scene(folder, plot), output / f"idtrees_{plot}.tif", overwrite=True
    )
    print(f"wrote {path.name}: taxa of plot {plot}, which was not trained on")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", choices=list(DATASETS), required=True)
    parser.add_argument("--splits", type=int, default=None, help="number of splits")
    parser.add_argument(
        "--epochs", type=int, default=None, help="epochs of the network; its default if left out"
    )
    parser.add_argument("--models", nargs="+", choices=["forest", "network"], default=["forest", "network"])
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the rows and maps")
    parser.add_argument("--fresh", action="store_true", help="forget rows of earlier runs")
    arguments = parser.parse_args()
    try:
        data = DATASETS[arguments.data](arguments.splits or SPLITS)
    except DataMissing as error:
        sys.exit(f"{arguments.data}: {error}")
    arguments.output.mkdir(exist_ok=True)
    path = arguments.output / f"paper_table_{arguments.data}.csv"
    if arguments.fresh:
        path.unlink(missing_ok=True)
    counts = pd.Series(data.y).value_counts().to_dict()
    print(f"{data.X}\n{len(np.unique(data.objects))} objects; {data.note}\n{counts}\n", flush=True)
    start = time.perf_counter()
    candidates = {name: models(arguments.epochs)[name] for name in arguments.models}
    table = run(arguments.data, data, path, candidates)
    print("\n" + as_text(summarize(table)[COLUMNS]))
    if arguments.data == "idtrees" and "network" in candidates:
        map_unseen_plot(data, arguments.epochs, arguments.output)
    print(f"{time.perf_counter() - start:.0f} seconds in this run")


if __name__ == "__main__":
    main()
