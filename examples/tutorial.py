"""
From rasters to a published map with areas
==========================================

This page goes the whole way: look at the files, sample labelled polygons, split by object, compare two
models, write the map, say where it is unsure, estimate areas with confidence intervals, and put down what a
reader needs to do it again. It runs as it stands on a made scene, in about half a minute on one core; to
use your own files, replace the paths of the first step and go on from there.

You need ``pip install "m3fusion_sk[raster,plot]"``.
"""

# %%
# The files
# ---------
#
# A series of Sentinel-2 at 10 m, its scene classification, an image at 2 m, and polygons with a class and
# an object number. :func:`~m3fusion_sk.make_scene` writes such files. ``made.series`` is ``s2.tif``: all
# bands of the first date, then all bands of the second, and so on.

from pathlib import Path

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rasterio

from m3fusion_sk import make_scene

folder = Path("output/tutorial")
made = make_scene(folder / "scene", shape=(160, 160), n_dates=8, random_state=1)
for path in (made.series, made.mask, made.patch):
    with rasterio.open(path) as file:
        print(f"{path.name:10} {file.count:3} bands {file.dtypes[0]}, {file.res[0]:g} m, {file.shape}")
polygons = gpd.read_file(made.objects)
print(polygons[["object_id", "class"]].head(3))

# %%
# The image with the polygons. Only they are labelled; everything else is what the map is for.

with rasterio.open(made.patch) as file:
    image = file.read([4, 3, 2], out_shape=(3, 500, 500)).transpose(1, 2, 0) / (5500, 2800, 2800)
    left, bottom, right, top = file.bounds
figure, ax = plt.subplots(figsize=(6.5, 6), layout="constrained")
ax.imshow(np.clip(image, 0, 1), extent=(left, right, bottom, top))
polygons.boundary.plot(ax=ax, color="yellow", linewidth=0.8)
ax.set(xlabel="x (m)", ylabel="y (m)", title="near infrared, red, green at 2 m; labelled polygons")
ax.ticklabel_format(useOffset=False, style="plain")
ax.locator_params(nbins=4)

# %%
# The scene
# ---------
#
# A :class:`~m3fusion_sk.mapping.Scene` names the sources. Each stays on its own grid; ``grid`` names the
# one whose pixels are mapped. The mask says which dates of a pixel are clouds; they are filled linearly in
# time. The patch is 25 by 25 pixels of 2 m around each pixel of 10 m. If grids do not fit together, this is
# where an error says which files and by how much.

from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster

sources = {
    "ts": SeriesRaster(made.series, n_bands=10, dates=made.dates, mask=made.mask),
    "patch": PatchRaster(made.patch, size=25),
}
scene = Scene(sources, grid="ts")
samples = scene.sample(made.objects, label="class", group="object_id", max_pixels=30)
X, y, objects = samples.X, samples.y, samples.groups
print(X)
print(pd.DataFrame({"pixels": pd.Series(y).value_counts(), "objects": polygons["class"].value_counts()}))

# %%
# At most 30 pixels of an object, so that large parcels do not crowd out the others. The report says what
# was left out, and why. Read it: polygons outside the scene, pixels without data and overlaps are counted
# here.

print(samples.report)

# %%
# The split
# ---------
#
# Half of the objects of each class train. Pixels of one object never stand on both sides, see
# :ref:`sphx_glr_gallery_splits.py`. With fewer objects than here, use several splits and report the
# deviation.

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, land_cover_scores, stacked_forest

cv = StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0)
train, test = next(cv.split(X, y, objects))

# %%
# Two models
# ----------
#
# The network beside the random forest of the paper: if the forest is as good on your data, take the forest.
# ``max_epochs="auto"``, the default, trains longer than this page has time for.

models = {
    "network": M3FusionClassifier(max_epochs=20, random_state=0).fit(X[train], y[train]),
    "random forest": stacked_forest(n_estimators=100, random_state=0).fit(X[train], y[train]),
}
scores = {
    name: land_cover_scores(y[test], model.predict(X[test]), groups=objects[test])
    for name, model in models.items()
}
print(pd.DataFrame({name: score.summary for name, score in scores.items()}).round(3))

# %%
# Which classes are taken for which: rows are the true classes, in percent.

from m3fusion_sk.plotting import plot_class_map, plot_confusion

figure, ax = plt.subplots(figsize=(8.5, 7), layout="constrained")
plot_confusion(scores["network"].confusion, ax=ax, title="network, objects that did not train")

# %%
# Save the model: JSON and safetensors, which run no code when they are read.

network = models["network"]
network.save(folder / "network.m3f")

# %%
# The map
# -------
#
# :class:`~m3fusion_sk.mapping.ChunkedPredictor` reads, predicts and writes chunk by chunk. ``map.tif``
# appears when it is complete and was read again; after a kill the same call goes on where it stopped. The
# margin between the two most probable classes shows where the map is unsure.

predictor = ChunkedPredictor(network, outputs=["margin"], colors=made.colors)
path = predictor.predict(scene, folder / "map.tif", overwrite=True)

with rasterio.open(folder / "map_margin.tif") as file:
    margin = file.read(1, masked=True) * file.scales[0]
figure, axes = plt.subplots(1, 2, figsize=(14, 5), layout="constrained")
plot_class_map(path, ax=axes[0], title="land cover")
drawn = axes[1].imshow(margin, cmap="cividis", vmin=0, vmax=1)
axes[1].set(title="margin between the two most probable classes", xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes[1], shrink=0.8)

# %%
# Areas
# -----
#
# Do not count the map's pixels: its errors bias them. Draw places at random within each mapped class, have
# someone look at them without knowing the map, and estimate (Olofsson et al., 2014).
# ``reference.gpkg``, without the mapped class, is what you would open in QGIS, to fill its field
# ``reference``; ``sample.read("reference.gpkg")`` then gives the labels. Here the truth of the made scene
# stands in for the person.

from m3fusion_sk.areas import estimate_areas
from m3fusion_sk.reference import draw_reference_sample

sample = draw_reference_sample(path, 500, least=20, random_state=0)
(folder / "reference.gpkg").unlink(missing_ok=True)  # of an earlier run: labels are never overwritten
sample.write(folder / "reference.gpkg")
with rasterio.open(made.truth) as file:
    codes = file.read(1)[sample.points["row"], sample.points["col"]]
estimates = estimate_areas(np.array(made.class_names)[codes - 1], sample.points["mapped"], sample.areas)

hectares = (estimates.areas / 10_000).sort_values("area")
figure, ax = plt.subplots(figsize=(8, 4.8), layout="constrained")
places = np.arange(len(hectares))
error = [hectares["area"] - hectares["low"], hectares["high"] - hectares["area"]]
ax.errorbar(hectares["area"], places, xerr=error, fmt="o", color="#0072B2", label="estimate, 95 % interval")
ax.plot(hectares["mapped"], places, "x", color="#D55E00", label="pixels of the map")
ax.set(yticks=places, yticklabels=hectares.index, xlabel="area (ha)")
ax.grid(axis="x", alpha=0.3)
ax.legend(frameon=False, loc="lower right")
print(hectares.round(1))

# %%
# What to publish
# ---------------
#
# - ``map.tif`` holds the names and colours of its classes, its nodata value and its overviews; it is a
#   cloud-optimised GeoTIFF. Publish ``map_margin.tif`` beside it.
# - ``map.report.json`` holds the hash of the model, of the parameters and of every input file, and versions.
# - ``network.m3f`` makes the same map again from the same files (with another number of threads a pixel
#   between two classes may change).
# - The table of scores **with the way objects were split**, the areas with their intervals, and the reference
#   sample they rest on.

import json

report = json.loads((folder / "map.report.json").read_text())
print("\n".join(f"{key}: {str(value)[:90]}" for key, value in report.items()))
plt.show()
# sphinx_gallery_thumbnail_number = 1
