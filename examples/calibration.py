"""
How far probabilities can be believed
=====================================

A network that says 0.9 should be right nine times in ten. Whether it is, a reliability diagram shows; a
single number, the temperature, corrects most of it. The correction must be learned on objects that did not
train, and judged on objects that did neither.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover, stacked_forest
from m3fusion_sk.calibration import calibration_scores
from m3fusion_sk.plotting import plot_reliability

X, y, objects = make_land_cover(2400, n_dates=10, n_bands=4, patch_size=9, random_state=0)


def split(rows, train_size):
    cv = StratifiedGroupShuffleSplit(1, train_size=train_size, random_state=0)
    first, second = next(cv.split(X[rows], y[rows], objects[rows]))
    return rows[first], rows[second]


train, rest = split(np.arange(len(y)), 0.3)
calibrate, test = split(rest, 0.4)

# %%
# Three models: a network, the same network with a temperature, and a forest.

network = M3FusionClassifier(max_epochs=15, random_state=0).fit(X[train], y[train])
warmed = CalibratedClassifierCV(FrozenEstimator(network), method="temperature", cv=2)
models = {
    "network": network,
    "network with temperature": warmed.fit(X[calibrate], y[calibrate]),
    "random forest": stacked_forest(n_estimators=100, random_state=0).fit(X[train], y[train]),
}
scores = {
    name: calibration_scores(y[test], model.predict_proba(X[test]), model.classes_)
    for name, model in models.items()
}
print(pd.DataFrame({name: score.summary for name, score in scores.items()}).round(3).to_string())

# %%
# Above the diagonal a model is more often right than it says, below less often. Forests are too modest,
# since trees vote. Networks are often too sure; this one, which trained with mixup, is not, and the
# temperature changes little. Other settings and other data need it more.

figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained", sharey=True)
for ax, (name, score) in zip(axes, scores.items(), strict=True):
    plot_reliability(score, ax=ax, title=name)

# %%
# What it is good for: leaving out the samples that a model is unsure of. ``ChunkedPredictor(reject=...)``
# does the same in maps, see :ref:`sphx_glr_gallery_doubt.py`.

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for (name, model), style in zip(models.items(), ("-", "--", ":"), strict=True):
    proba = model.predict_proba(X[test])
    right = (model.classes_[proba.argmax(axis=1)] == y[test])[np.argsort(-proba.max(axis=1), kind="stable")]
    kept = np.arange(1, len(right) + 1) / len(right)
    ax.plot(kept, np.cumsum(right) / np.arange(1, len(right) + 1), style, label=name)
ax.set(xlabel="share of the samples that is kept, the surest first", ylabel="accuracy of those kept")
ax.legend(frameon=False)
ax.grid(alpha=0.3)
plt.show()
# sphinx_gallery_thumbnail_number = 1
