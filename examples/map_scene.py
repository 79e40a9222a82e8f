"""
The main job as a program
=========================

From rasters and labelled polygons to a class map and a page that explains it, on a made scene. Replace the
paths by your own to map your own scene. ``make demo`` runs this file.
"""

import json
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import rasterio

import m3fusion_sk
from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_scene, stacked_forest
from m3fusion_sk.areas import estimate_areas
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster
from m3fusion_sk.plotting import plot_map_pair
from m3fusion_sk.protocol import as_text, rows_by_source, score_row, summarize
from m3fusion_sk.reference import draw_reference_sample
from m3fusion_sk.report import describe_models, land_cover_report


def read_samples(made):
    """The scene, and the pixels inside its polygons with class and object."""
    series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)  # clouds are filled in time
    scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=25)}, grid="ts")
    return scene, scene.sample(made.objects, label="class", group="object_id")


def compare(models, samples):
    """Fit both models on each source and on both, with 30 % of the objects of each class."""
    X, y, groups = samples.X, samples.y, samples.groups
    cv = StratifiedGroupShuffleSplit(1, train_size=0.3, random_state=0)
    train, test = next(cv.split(X, y, groups))
    rows, results = [], {}
    for (model, sources), pipeline in rows_by_source(models, X.names).items():
        fitted, scores, seconds = score_row(pipeline, X, y, groups, train, test)
        rows.append({"split": 0, "model": model, "sources": sources, **scores.summary, **seconds})
        results[model, sources] = fitted, scores
        print(f"  {model} on {sources}: accuracy {scores.summary['accuracy']:.4f}", flush=True)
    return pd.DataFrame(rows), results, test


def explain(path, made, samples, test, models, maps, **more):
    """report.html: a page with scores, maps, attention, importances, calibration, areas and hashes."""
    drawn = draw_reference_sample(maps["network"], 1000, least=20, random_state=0)
    with rasterio.open(made.truth) as truth:  # here the scene knows; elsewhere someone looks at each place
        seen = np.array(made.class_names)[truth.read(1)[drawn.points["row"], drawn.points["col"]] - 1]
    if drawn.strata["n_samples"].min() > 1:  # a variance needs two samples of each mapped class
        more["areas"] = estimate_areas(seen, drawn.points["mapped"], drawn.areas)
    X, y, groups = samples.X[test].materialize(), samples.y[test], samples.groups[test]
    found = describe_models(models, X, y, groups=groups, dates={"ts": made.dates}, n_repeats=2)
    return land_cover_report(path, maps=maps, title="A made scene", overwrite=True, **found, **more)


def agreement(path, made):
    """Share of the map's pixels that have the class that the scene was made of."""
    with rasterio.open(path) as file, rasterio.open(made.truth) as truth:
        codes, expected = file.read(1), truth.read(1)
        names = json.loads(file.tags()["CLASS_NAMES"])
    index = made.class_names.index
    right = sum(np.sum((codes == int(code)) & (expected == index(name) + 1)) for code, name in names.items())
    return float(right / codes.size)


def main(folder="demo", size=260, n_dates=12, max_epochs=30, n_estimators=200):
    matplotlib.use("Agg")
    folder, start = Path(folder), time.perf_counter()
    size, n_dates, max_epochs, n_estimators = map(int, (size, n_dates, max_epochs, n_estimators))
    print(f"Making a scene of {size}x{size} pixels in {folder / 'scene'} ...", flush=True)
    made = make_scene(folder / "scene", shape=(size, size), n_dates=n_dates, random_state=0)
    scene, samples = read_samples(made)
    print(f"{samples.X}\n{samples.report}\nComparing on the same split by object:", flush=True)

    models = {
        "forest": stacked_forest(n_estimators, random_state=0, n_jobs=-1),
        "network": M3FusionClassifier(max_epochs=max_epochs, random_state=0),
    }
    table, results, test = compare(models, samples)
    print("\n" + as_text(summarize(table)) + "\n")

    maps = {"network": folder / "map.tif", "forest": folder / "map_forest.tif"}
    for model, path in maps.items():
        predictor = ChunkedPredictor(results[model, "all"][0], colors=made.colors)
        predictor.predict(scene, path, overwrite=True)
        print(f"wrote {path}: {agreement(path, made):.4f} of all pixels as made", flush=True)
    left, _ = plot_map_pair(*maps.values(), titles=("Network, defaults", "Random forest, stacked features"))
    left.figure.savefig(folder / "map.png", dpi=120)
    fitted = {model: results[model, "all"][0] for model in maps}
    page = explain(folder / "report.html", made, samples, test, fitted, maps, comparison=table)
    report = {
        "versions": {"m3fusion_sk": m3fusion_sk.__version__, "python": sys.version.split()[0]},
        "samples": samples.report,
        "network": {k: v for k, v in models["network"].get_params().items() if v is not None},
        "table": table.to_dict("records"),
        "share_of_pixels_as_made": {model: agreement(path, made) for model, path in maps.items()},
        "seconds": time.perf_counter() - start,
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    print(f"wrote map.png and report.json; {report['seconds']:.0f} seconds in all\nLook at {page.resolve()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
