"""
Spectral indices as further bands
=================================

``SpectralIndices`` computes indices of spyndex's catalogue from the bands of a series or a patch and adds
them as bands. It is a transformer: put it before any classifier, and the same formula is applied in maps.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from m3fusion_sk import (
    M3FusionClassifier,
    SpectralIndices,
    StratifiedGroupShuffleSplit,
    make_land_cover,
    stacked_forest,
)

X, y, objects = make_land_cover(1200, n_dates=16, n_bands=4, patch_size=9, random_state=0)
bands = {"ts": ["B02", "B03", "B04", "B08"]}  # names of Sentinel-2, or of spyndex: B, G, R, N

# %%
# NDVI, NDWI and brightness are added where no others are named.

indices = SpectralIndices(bands).fit(X)
extended = indices.transform(X)
print(X, extended, sep="\n")

# %%
# The mean year of some classes in each index.

shown = {"water surfaces": "-", "urbanized areas": "--", "sugar cane": "-.", "forest": ":"}
names = ("NDVI", "NDWI", "brightness")
figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
for place, (ax, name) in enumerate(zip(axes, names, strict=True)):
    values = np.asarray(extended["ts"])[:, :, 4 + place]
    for label, style in shown.items():
        ax.plot(values[y == label].mean(axis=0), style, label=label, linewidth=2)
    ax.set(title=name, xlabel="date")
axes[0].legend(frameon=False, fontsize="small", loc="center right")

# %%
# Whether they help is a question for your data. A forest cuts one value at a time and gains from ratios; a
# network can learn them.

cv = StratifiedGroupShuffleSplit(3, train_size=0.3, random_state=0)
models = {
    "random forest": stacked_forest(n_estimators=100, random_state=0),
    "network": M3FusionClassifier(max_epochs=12, random_state=0),
}
rows = {
    (name, "with indices" if added else "bands only"): cross_val_score(
        make_pipeline(SpectralIndices(bands), model) if added else model, X, y, groups=objects, cv=cv
    )
    for name, model in models.items()
    for added in (False, True)
}
table = pd.DataFrame(rows).agg(["mean", "std"]).T
print(table.round(3).to_string())
ax = table["mean"].unstack().plot.bar(yerr=table["std"].unstack(), rot=0, capsize=4, color=["0.7", "#009E73"])
ax.set(ylabel="accuracy on other objects", ylim=(0, 1))
ax.legend(frameon=False, ncols=2)
plt.show()
# sphinx_gallery_thumbnail_number = 1
