"""
Fuse a time series and an image patch
=====================================

Each sample is one pixel of a Sentinel-2 grid: its series tells crops and savannahs apart, the patch of a
finer image around it tells orchards from forests and roofs from rocks. One network learns from both; a
random forest on the stacked values stands beside it.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from m3fusion_sk import (
    M3FusionClassifier,
    StratifiedGroupShuffleSplit,
    land_cover_scores,
    make_land_cover,
    stacked_forest,
)
from m3fusion_sk.plotting import plot_per_class

X, y, objects = make_land_cover(1500, n_dates=12, n_bands=6, random_state=0)
print(X)  # a MultiSource: arrays by name, sliced by sample

# %%
# Above the patch of one sample of each of five classes (near infrared, red, green as red, green, blue),
# below its series in the near infrared. Forest plantations and orchards have the same series and another
# texture; meadow and sugar cane the same texture and another year.

shown = ["orchards", "forest plantations", "sugar cane", "meadow", "urbanized areas"]
figure, axes = plt.subplots(2, len(shown), figsize=(12, 4.6), height_ratios=(2, 1), layout="constrained")
for (image, curve), name in zip(axes.T, shown, strict=True):
    sample = X[int(np.flatnonzero(y == name)[0])]
    image.imshow(np.clip(sample["patch"][[3, 2, 1]].transpose(1, 2, 0) / (5000, 2500, 2500), 0, 1))
    image.set(title=name, xticks=[], yticks=[])
    curve.plot(sample["ts"][:, 3] / 10_000, color="0.2", marker=".")
    curve.set(ylim=(0, 0.6), xlabel="date")
axes[1, 0].set_ylabel("reflectance")

# %%
# Objects, not pixels, are split: pixels of one parcel resemble each other, and a random split by pixel
# would flatter every model (see :ref:`sphx_glr_gallery_splits.py`). As in the paper, 30 % of the objects of
# each class train.

cv = StratifiedGroupShuffleSplit(1, train_size=0.3, random_state=0)
train, test = next(cv.split(X, y, objects))
models = {
    "random forest": stacked_forest(n_estimators=100, random_state=0),
    "network": M3FusionClassifier(max_epochs=12, random_state=0),
}
scores = {}
for name, model in models.items():
    model.fit(X[train], y[train])
    scores[name] = land_cover_scores(y[test], model.predict(X[test]), groups=objects[test])
print(pd.DataFrame({name: score.summary for name, score in scores.items()}).round(3).to_string())

# %%
# What each model makes of each class, and which dates the network weighs most.

weights = models["network"].attention(X[test])["ts"].mean(axis=0)

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8), width_ratios=(3, 2), layout="constrained")
plot_per_class({"network": scores["network"], "random forest": scores["random forest"]}, ax=left)
right.bar(range(len(weights)), weights, color="#0072B2")
right.set(xlabel="date", ylabel="attention", title="weight of each date, mean of all samples")
plt.show()
