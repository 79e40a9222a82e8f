"""
How many labelled objects are enough?
=====================================

Labels are the expensive part. scikit-learn's ``learning_curve`` counts samples; what counts here is
objects, so the training sets grow by objects of each class, and the test objects stay the same.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover, stacked_forest
from m3fusion_sk.plotting import plot_learning_curve

X, y, objects = make_land_cover(1560, n_objects=260, n_dates=10, n_bands=4, patch_size=9, random_state=0)
learn, test = next(StratifiedGroupShuffleSplit(1, train_size=0.6, random_state=0).split(X, y, objects))

# %%
# Subsets of the objects that may train: two draws of each share. The network makes about 350 training
# steps with each of them, so that small sets are seen more often; its default, ``max_epochs="auto"``, makes
# 1,500.

models = {
    "random forest": stacked_forest(n_estimators=50, random_state=0),
    "network": M3FusionClassifier(hidden_size=32, n_filters=8, random_state=0),
}
rows = []
for share in (0.1, 0.3, 0.9):
    cv = StratifiedGroupShuffleSplit(2, train_size=share, random_state=0)
    for part, _ in cv.split(X[learn], y[learn], objects[learn]):
        rows_of_part = learn[part]
        n_objects = len(np.unique(objects[rows_of_part]))
        models["network"].set_params(max_epochs=350 * 64 // len(part))
        for name, model in models.items():
            accuracy = model.fit(X[rows_of_part], y[rows_of_part]).score(X[test], y[test])
            rows.append({"model": name, "n_objects": n_objects, "accuracy": accuracy})
table = pd.DataFrame(rows)
print(table.groupby(["model", "n_objects"])["accuracy"].agg(["mean", "std"]).round(3).to_string())

# %%
# Both still rise at the right end: more objects would help. So does another model: the network needs about a
# third of the forest's objects for the same accuracy. Where one curve lies above the other depends on the
# data; these are made ones.

ax = plot_learning_curve(table, xlabel="labelled objects that train (13 classes)")
ax.set_ylabel("accuracy on other objects")
plt.show()
