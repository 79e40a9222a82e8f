"""
Areas with confidence intervals
===============================

Counting the pixels of a map gives a biased area: the errors do not cancel. A sample of the map that someone
has looked at corrects it and says how uncertain it is (Olofsson et al., 2014). Here the one who looks is
the scene's own truth.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rasterio

from m3fusion_sk import M3FusionClassifier, make_scene
from m3fusion_sk.areas import estimate_areas
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster
from m3fusion_sk.reference import draw_reference_sample

made = make_scene("output/areas", shape=(200, 200), n_dates=8, random_state=0)
series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=15)}, grid="ts")
samples = scene.sample(made.objects, label="class", group="object_id", max_pixels=10)
network = M3FusionClassifier(max_epochs=20, random_state=0).fit(samples.X, samples.y)
path = ChunkedPredictor(network).predict(scene, "output/areas/map.tif", overwrite=True)

# %%
# 700 places, at random within each class of the map, at least 30 of each. ``sample.write`` makes a layer of
# points for a geographic information system, in random order and without the mapped class; once its field
# ``reference`` is filled there, ``sample.read`` gives the labels.

sample = draw_reference_sample(path, 700, least=30, random_state=0)
Path("output/areas/reference.gpkg").unlink(missing_ok=True)  # labels are never overwritten
sample.write("output/areas/reference.gpkg")
with rasterio.open(made.truth) as file:
    truth = file.read(1)
names = np.array(made.class_names)


def looked_at(points):
    """The class at each place, as someone would write it down."""
    return names[truth[points["row"], points["col"]] - 1]


# %%
# The estimates beside the counted pixels and beside the truth, in hectares. A note tells of
# classes in which the sample found no error: the intervals that rest on them are too narrow.

estimates = estimate_areas(looked_at(sample.points), sample.points["mapped"], sample.areas)
print(*estimates.notes, sep="\n")
hectare = 10_000
counts = np.bincount(truth.ravel(), minlength=len(names) + 1)[1:]
true = pd.Series(counts * 100 / hectare, index=names)
table = (estimates.areas / hectare).assign(true=true)
print(table.round(1).to_string())

# %%
# One draw may be unlucky. Over twenty draws, an interval should hold the truth about 19 times. It does less
# often where samples find none of the few errors, since the formula then knows of no spread: in a class that
# is nearly always right (water, shadows), and where a class is missed here and there in large ones. More
# places in the class itself help in the former case only. The latter needs more in the large classes.

held = []
for seed in range(20):
    drawn = draw_reference_sample(path, 700, least=30, random_state=seed)
    again = estimate_areas(looked_at(drawn.points), drawn.points["mapped"], drawn.areas).areas / hectare
    held.append(true.reindex(again.index).between(again["low"], again["high"]))
shares = pd.DataFrame(held).mean()
print(f"share of the intervals of 95 % that hold the truth: {shares.mean():.2f}")
print(shares.sort_values().round(2).to_string())

# %%
# Bars are the intervals. Where the square (counted pixels) is far from the interval, the map misleads.

table = table.sort_values("true")
places = np.arange(len(table))
figure, ax = plt.subplots(figsize=(8.5, 5), layout="constrained")
ax.hlines(places, table["low"], table["high"], color="#0072B2", linewidth=5, alpha=0.45)
ax.plot(table["area"], places, "o", color="#0072B2", label="estimate, and interval of 95 %")
ax.plot(table["mapped"], places, "s", color="#D55E00", mfc="none", label="counted in the map")
ax.plot(table["true"], places, "|", color="black", markersize=14, mew=2, label="true")
ax.set(xlabel="area (ha)", yticks=places, yticklabels=table.index)
ax.grid(axis="x", alpha=0.3)
ax.legend(frameon=False, loc="lower right")

# %%
# How well the map is right, by the same sample: user's and producer's accuracy with standard errors.

columns = ["users", "users_se", "producers", "producers_se"]
print(estimates.accuracy[columns].round(3).to_string())
plt.show()
