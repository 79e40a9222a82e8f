"""
Five sources on their own grids and calendars
=============================================

One fit, one search and one map from Sentinel-2 at 10 m and at 20 m, Sentinel-1 at 20 m on other dates, an
image at 2 m and a terrain model. The bands of 20 m are not resampled to 10 m: each source is read where the
pixel lies and has an encoder of its own. The scene is a made one, from which this file makes the sources
that it lacks; replace the paths by your own. In the end it asks which source told what: one that
knows the place and not the class, as heights of few objects can, makes a network worse on other objects, and
its importance is below 0. Leave such out.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rasterio
from scipy.ndimage import gaussian_filter
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, land_cover_scores, make_scene
from m3fusion_sk.explain import compare_heads, grouped_importance
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster, VectorRaster
from m3fusion_sk.plotting import plot_class_map, plot_importance

FINE, COARSE = [0, 1, 2, 6], [3, 4, 5, 7, 8, 9]  # of the ten bands: B02 B03 B04 B08, and those of 20 m


def write(path, values, like, side):
    """Values of shape (n_bands, height, width) on the grid of `like`, with pixels `side` times as large."""
    profile = {**like.profile, "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    profile |= {"dtype": values.dtype.name, "nodata": None, "tiled": False, "interleave": "band"}
    (x, y), pixel = (like.transform.c, like.transform.f), side * like.transform.a
    profile["transform"] = rasterio.Affine(pixel, 0, x, 0, -pixel, y)
    for key in ("blockxsize", "blockysize"):
        profile.pop(key, None)
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
    return path


def halved(values):
    """Means of 2 x 2 pixels."""
    n, height, width = values.shape
    return values.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


def make_sources(folder, made, n_s1_dates):
    """The sources of a made scene on five grids and calendars."""
    rng = np.random.default_rng(0)
    with rasterio.open(made.series) as s2, rasterio.open(made.truth) as truth:
        cube = s2.read().reshape(len(made.dates), 10, *s2.shape)
        codes = truth.read(1)
        fine = write(folder / "s2_10m.tif", cube[:, FINE].reshape(-1, *s2.shape), s2, 1)
        coarse = halved(cube[:, COARSE].reshape(-1, *s2.shape).astype(float)).round().astype(np.uint16)
        coarse = write(folder / "s2_20m.tif", coarse, s2, 2)
        level = rng.normal(-12, 0.4, (2 * n_s1_dates, codes.max() + 1))[:, codes]  # VV and VH in dB by class
        speckle = 10 * np.log10(rng.gamma(4, 1 / 4, (len(level), *[n // 2 for n in codes.shape])))
        s1 = write(folder / "s1.tif", (halved(level) + speckle).astype(np.float32), s2, 2)
        typical = rng.normal(0, 1, (2, codes.max() + 1))[:, codes]  # height and slope by class, and blurred:
        terrain = gaussian_filter(typical, (0, 5, 5)) + rng.normal(0, 0.3, typical.shape)
        mean, spread = np.array([[300, 12], [150, 5]])[:, :, None, None]
        terrain = (mean + spread * terrain).astype(np.float32)
        terrain = write(folder / "terrain.tif", terrain, s2, 1)
    s1_dates = pd.date_range("2016-04-05", periods=n_s1_dates, freq="12D").strftime("%Y-%m-%d").tolist()
    clouds = {"dates": made.dates, "mask": made.mask}
    return {
        "s2_10m": SeriesRaster(fine, n_bands=4, **clouds),
        "s2_20m": SeriesRaster(coarse, n_bands=6, **clouds),
        "s1": SeriesRaster(s1, n_bands=2, dates=s1_dates),
        "vhsr": PatchRaster(made.patch, size=15),
        "terrain": VectorRaster(terrain),
    }


def main(folder="output/many_sensors", size=200, n_dates=8, max_epochs=30):
    folder, size, n_dates, max_epochs = Path(folder), int(size), int(n_dates), int(max_epochs)
    made = make_scene(folder / "scene", shape=(size, size), n_dates=n_dates, random_state=0)
    scene = Scene(make_sources(folder, made, n_s1_dates=n_dates + 3), grid="s2_10m")
    samples = scene.sample(made.objects, label="class", group="object_id", max_pixels=20)
    X, y, objects = samples.X, samples.y, samples.groups
    print(X)

    train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0).split(X, y, objects))
    weights = {name: 0.5 if name == "vhsr" else 0.1 for name in X.names}
    search = GridSearchCV(
        M3FusionClassifier(n_filters=8, hidden_size=32, max_epochs=max_epochs, random_state=0),
        {"alpha": [0.3, weights]},
        cv=StratifiedGroupKFold(2),
        scoring="f1_weighted",
    )
    search.fit(X[train], y[train], groups=objects[train])
    network = search.best_estimator_
    print("alpha:", search.best_params_["alpha"])
    print(land_cover_scores(y[test], network.predict(X[test]), groups=objects[test]).summary.round(4))

    importance = grouped_importance(network, X[test], y[test], groups=objects[test], random_state=0)
    print(importance.assign(alone=compare_heads(network, X[test], y[test]).accuracy).round(3))
    path = ChunkedPredictor(network, colors=made.colors).predict(scene, folder / "map.tif", overwrite=True)
    print("wrote", path)
    _, (left, right) = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
    plot_class_map(path, ax=left, title="the map from five sources")
    plot_importance(importance, ax=right, title="what is lost without a source")
    plt.show()


if __name__ == "__main__":
    main(*sys.argv[1:])
