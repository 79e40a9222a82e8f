"""
Clouds: dates that a pixel lacks
================================

Half of a year of Sentinel-2 may be under cloud, and every pixel lacks other dates. There are three ways:
fill the gaps in time before the classifier (``GapFiller``, or ``SeriesRaster(mask=...)`` for rasters), let
the classifier fill them (``missing="fill"``), or let it leave the dates out (``missing="mask"``).
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from m3fusion_sk import GapFiller, M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover

X, y, objects = make_land_cover(1000, n_dates=20, n_bands=4, patch_size=9, cloud_fraction=0, random_state=0)
clear = X["ts"].astype(np.float32)
train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0).split(X, y, objects))


def clouded(share, seed=0):
    """The same samples, with so much of their dates missing, in runs of up to three dates."""
    rng = np.random.default_rng(seed)
    starts = rng.random(clear.shape[:2]) < 1 - np.sqrt(1 - share)
    missing = starts | (np.roll(starts, 1, axis=1) & (rng.random(starts.shape) < 0.8))
    missing[:, 0] &= ~missing.all(axis=1)  # each pixel is seen at least once
    return X.replace(ts=np.where(missing[:, :, None], np.nan, clear))


# %%
# One pixel of sugar cane with 40 % of its dates missing, and what linear filling makes of it.

gaps = clouded(0.4)
one = int(np.flatnonzero(y == "sugar cane")[0])
filled = GapFiller().fit(gaps[train]).transform(gaps[[one]])["ts"][0]
figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
ax.plot(clear[one, :, 3], color="0.75", linewidth=4, label="without clouds")
ax.plot(filled[:, 3], color="#D55E00", label="filled linearly")
ax.plot(gaps["ts"][one][:, 3], "o", color="0.1", label="seen")
ax.set(xlabel="date", ylabel="near infrared (reflectance x 10,000)", ylim=(0, None))
ax.legend(frameon=False, ncols=3)

# %%
# Accuracy against the share of missing dates, on objects that did not train.

settings = {"max_epochs": 8, "random_state": 0}
ways = {
    "GapFiller before": make_pipeline(GapFiller(), M3FusionClassifier(**settings)),
    'missing="fill"': M3FusionClassifier(missing="fill", **settings),
    'missing="mask"': M3FusionClassifier(missing="mask", **settings),
}
shares = (0.1, 0.4, 0.7)
table = pd.DataFrame(index=pd.Index(shares, name="share of dates missing"), columns=list(ways), dtype=float)
for share in shares:
    gaps = clouded(share)
    for name, model in ways.items():
        table.loc[share, name] = model.fit(gaps[train], y[train]).score(gaps[test], y[test])
print(table.round(3).to_string())

# %%
# On one split and one seed, differences of one or two points mean nothing. The first way is the only one
# that knows the dates, if ``dates`` are given; the last one the only one that invents nothing.

ax = table.plot(marker="o", figsize=(7, 3.8), color=["0.5", "#D55E00", "#0072B2"], style=["-", "--", "-"])
ax.set(ylabel="accuracy", ylim=(0, 1))
ax.legend(frameon=False)
plt.show()
