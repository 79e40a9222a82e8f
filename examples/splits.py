"""
Split by object, never by pixel
===============================

Labels come as polygons. Pixels of one polygon share soil, age, water and sun, so a model that has seen some
of them has nearly seen the others. Drawing training pixels at random puts both kinds on both sides, and the
score then says how well the model remembers parcels, not how well it maps new ones.
"""

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import ShuffleSplit, cross_val_score

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_scene, stacked_forest
from m3fusion_sk.mapping import PatchRaster, Scene, SeriesRaster

made = make_scene("output/splits", shape=(200, 200), n_dates=8, random_state=0)
series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=15)}, grid="ts")
samples = scene.sample(made.objects, label="class", group="object_id", max_pixels=15)
X, y, objects = samples.X, samples.y, samples.groups
print(len(y), "pixels of", len(np.unique(objects)), "objects")

# %%
# Half of the pixels for training, then half of the objects of each class: how much of each polygon trains.

splitters = {
    "by pixel": ShuffleSplit(2, train_size=0.5, random_state=0),
    "by object": StratifiedGroupShuffleSplit(2, train_size=0.5, random_state=0),
}
polygons = gpd.read_file(made.objects).set_index("object_id")
figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained", sharey=True)
for ax, (name, cv) in zip(axes, splitters.items(), strict=True):
    train, _ = next(cv.split(X, y, objects if name == "by object" else None))
    trained = pd.Series(np.isin(np.arange(len(y)), train)).groupby(objects).mean()
    polygons.assign(share=trained).plot(
        "share", ax=ax, cmap="cividis", vmin=0, vmax=1, edgecolor="0.4", linewidth=0.5
    )
    ax.set(title=name, xticks=[], yticks=[])
bar = plt.cm.ScalarMappable(cmap="cividis")
figure.colorbar(bar, ax=axes, label="share of the polygon's samples that train", shrink=0.7)

# %%
# The same models on the same samples. Only the split differs.

models = {
    "random forest": stacked_forest(n_estimators=50, random_state=0),
    "network": M3FusionClassifier(max_epochs=12, random_state=0),
}
rows = [
    {"model": name, "split": split, "accuracy": accuracy}
    for name, model in models.items()
    for split, cv in splitters.items()
    for accuracy in cross_val_score(model, X, y, groups=objects if split == "by object" else None, cv=cv)
]
table = pd.DataFrame(rows).groupby(["model", "split"], sort=False)["accuracy"].agg(["mean", "std"])
print(table.round(3).to_string())

# %%
# The difference is what the split by pixel invents. It is largest where parcels are few and unlike each
# other. ``groups`` carries the objects through every splitter and search of scikit-learn.

ax = (
    table["mean"]
    .unstack()
    .plot.bar(yerr=table["std"].unstack(), color=["0.75", "#D55E00"], rot=0, capsize=4, figsize=(6, 4))
)
ax.set(ylabel="accuracy on what did not train", xlabel="", ylim=(0, 1))
ax.legend(frameon=False, ncols=2, loc="upper center")
plt.show()
