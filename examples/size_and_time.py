"""
Accuracy against time
=====================

A network of 1,024 units is not always worth its hours. Fitting a few sizes on a part of the samples shows
where more time stops paying; prediction time is what a map costs.
"""

import time

import matplotlib.pyplot as plt
import pandas as pd

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover, stacked_forest
from m3fusion_sk.plotting import plot_time_accuracy

X, y, objects = make_land_cover(1000, n_dates=12, n_bands=6, patch_size=9, random_state=0)
train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0).split(X, y, objects))

# %%
# Networks of several sizes and two encoders, and forests of several sizes.

sizes = {"small": (16, 4), "default": (64, 16), "large": (128, 24)}
models = {
    ("attention encoder", name): M3FusionClassifier(
        hidden_size=units, n_filters=filters, max_epochs=8, random_state=0
    )
    for name, (units, filters) in sizes.items()
}
models |= {
    ("recurrent encoder", name): M3FusionClassifier(
        series_encoder="gru", hidden_size=units, n_filters=filters, max_epochs=8, random_state=0
    )
    for name, (units, filters) in sizes.items()
}
models |= {("random forest", n): stacked_forest(n_estimators=n, random_state=0) for n in (20, 100)}

rows = []
for (kind, size), model in models.items():
    start = time.perf_counter()
    model.fit(X[train], y[train])
    middle = time.perf_counter()
    accuracy = model.score(X[test], y[test])
    seconds = {"fit_seconds": middle - start, "predict_seconds": time.perf_counter() - middle}
    rows.append({"model": f"{kind}, {size}", "accuracy": accuracy, **seconds})
table = pd.DataFrame(rows)
table["pixels per second"] = len(test) / table["predict_seconds"]
print(table.round(3).to_string(index=False))

# %%
# One seed and one split, on a machine that was doing other things too: read the orders of magnitude, not
# the third digit. A map of ten million pixels takes ten million divided by the last column.

figure, axes = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained", sharey=True)
for ax, seconds in zip(axes, ("fit_seconds", "predict_seconds"), strict=True):
    plot_time_accuracy(table, x=seconds, ax=ax)
axes[0].get_legend().remove()
axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
