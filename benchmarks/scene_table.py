"""Network and forest on one made scene, for a reader: by class, by confusion, and by place.

    python benchmarks/scene_table.py [--size 300] [--output FOLDER]

trains both on 30 % of the objects of each class, scores the others, maps the whole scene with both, and
writes the table of F scores by class, both confusion matrices, and where each map is right: the whole scene,
its cloudiest zone and its most built-up one. The defaults of both are used; the forest has 500 trees on
stacked raw values, as in the paper.
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import rasterio
from comparison import as_markdown
from matplotlib import pyplot

from m3fusion_sk import (
    M3FusionClassifier,
    StratifiedGroupShuffleSplit,
    land_cover_scores,
    make_scene,
    stacked_forest,
)
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster
from m3fusion_sk.plotting import (
    add_zones,
    densest_zone,
    plot_class_map,
    plot_confusion,
    plot_map_pair,
    plot_per_class,
    plot_where_right,
)

OUTPUT = Path(__file__).parent / "output" / "scene_table"
CLOUDY = (3, 8, 9, 10)  # codes of the scene classification: shadow, clouds, cirrus
URBAN = "urbanized areas"


def scored(models, samples):
    """Both models fitted on the same training objects, and their scores on the others."""
    cv = StratifiedGroupShuffleSplit(1, train_size=0.3, random_state=0)
    train, test = next(cv.split(samples.X, samples.y, samples.groups))
    scores, labels = {}, np.unique(samples.y)
    for name, model in models.items():
        model.fit(samples.X[train], samples.y[train])
        predicted = model.predict(samples.X[test])
        scores[name] = land_cover_scores(
            samples.y[test], predicted, labels=labels, groups=samples.groups[test]
        )
    return scores


def table_by_class(scores):
    """F of each class for both models, the difference, and the number of test samples."""
    f1 = pd.DataFrame({name: of.per_class["f1"] for name, of in scores.items()})
    first, second = f1.columns
    f1["difference"] = f1[first] - f1[second]
    table = f1.map("{:.3f}".format).assign(samples=scores[first].per_class["support"])
    return table.reset_index(names="class")


def zones_of(made, size):
    """Bounds of the cloudiest square and of the most built-up one."""
    with rasterio.open(made.truth) as truth:
        names = json.loads(truth.tags()["CLASS_NAMES"])
    built = [int(code) for code, name in names.items() if name == URBAN]
    return {
        "cloudy": densest_zone(made.mask, lambda scl: np.isin(scl, CLOUDY).mean(axis=0), size),
        "urban": densest_zone(made.truth, lambda codes: np.isin(codes[0], built), size),
    }


def draw_scores(scores, folder):
    plot_per_class(scores).figure.savefig(folder / "per_class.png", dpi=110, bbox_inches="tight")
    figure, axes = pyplot.subplots(1, 2, figsize=(16, 8), layout="constrained")
    for ax, (name, of) in zip(axes, scores.items(), strict=True):
        plot_confusion(of.confusion, ax=ax, title=f"{name} (% of the true class)")
    figure.savefig(folder / "confusion.png", dpi=80)


def draw_maps(made, maps, zones, folder):
    """One figure of the whole scene, and one of each zone: truth, both maps, and where each is right."""
    names, paths = list(maps), list(maps.values())
    for zone, bounds in {"general": None, **zones}.items():
        figure, axes = pyplot.subplots(2, 2, figsize=(13, 12), layout="constrained")
        plot_class_map(made.truth, ax=axes[0, 0], title="as made", legend=False, bounds=bounds)
        ax = plot_where_right(
            made.truth,
            *paths,
            names=names,
            ax=axes[0, 1],
            title=f"{zone}: where each is right",
            bounds=bounds,
        )
        if bounds is None:
            add_zones(ax, zones)
        plot_map_pair(*paths, axes=axes[1], titles=names, bounds=bounds)
        figure.savefig(folder / f"{zone}.png", dpi=70)
        pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=300, help="side of the scene in pixels of 10 m")
    parser.add_argument("--dates", type=int, default=34)
    parser.add_argument("--epochs", default="auto")
    parser.add_argument("--trees", type=int, default=500)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    matplotlib.use("Agg")
    folder, size = arguments.output, arguments.size
    folder.mkdir(parents=True, exist_ok=True)
    made = make_scene(folder / "scene", shape=(size, size), n_dates=arguments.dates, random_state=1)
    series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
    scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=25)}, grid="ts")
    samples = scene.sample(made.objects, label="class", group="object_id")
    epochs = arguments.epochs if arguments.epochs == "auto" else int(arguments.epochs)
    models = {
        "network": M3FusionClassifier(max_epochs=epochs, random_state=0),
        "forest": stacked_forest(arguments.trees, random_state=0),
    }
    scores = scored(models, samples)
    table = as_markdown(table_by_class(scores))
    overall = pd.DataFrame({name: of.summary for name, of in scores.items()}).T.round(4)
    (folder / "table.md").write_text(f"{as_markdown(overall.reset_index(names='model'))}\n\n{table}\n")
    print((folder / "table.md").read_text())
    maps = {name: folder / f"{name}.tif" for name in models}
    for name, path in maps.items():
        ChunkedPredictor(models[name], colors=made.colors).predict(scene, path, overwrite=True)
    draw_scores(scores, folder)
    draw_maps(made, maps, zones_of(made, size // 4), folder)
    print(f"wrote table.md, per_class.png, confusion.png, general.png, cloudy.png and urban.png to {folder}")


if __name__ == "__main__":
    main()
