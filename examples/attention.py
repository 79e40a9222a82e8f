"""
Which dates the network looks at
================================

The network ends each series in a weighted mean over the dates. The weights sum to 1, depend on the sample,
and cost nothing to read: ``attention`` returns them, ``attention_by_class`` averages them. They say where
the encoder looks, not what it would lose without a date; for that see
:ref:`sphx_glr_gallery_importance.py`.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover
from m3fusion_sk.explain import attention_by_class
from m3fusion_sk.plotting import plot_attention

X, y, objects = make_land_cover(1600, n_dates=18, n_bands=4, patch_size=9, random_state=0)
dates = pd.date_range("2016-04-01", periods=18, freq="20D").strftime("%Y-%m-%d").tolist()
train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0).split(X, y, objects))

network = M3FusionClassifier(series_encoder="gru", hidden_size=32, max_epochs=10, random_state=0).fit(
    X[train], y[train]
)
print("accuracy:", round(network.score(X[test], y[test]), 3))

# %%
# The year of four classes, as NDVI. The bands of a date are here B02, B03, B04, B08.

red, infrared = (np.asarray(X["ts"])[:, :, band].astype(float) for band in (2, 3))
ndvi = (infrared - red) / (infrared + red)
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
styles = {"sugar cane": "-", "crop cultivations": "--", "meadow": "-.", "forest": ":"}
for (name, style), color in zip(styles.items(), ("#009E73", "#E69F00", "#0072B2", "0.2"), strict=True):
    curves = ndvi[y == name]
    ax.plot(dates, curves.mean(axis=0), style, color=color, label=name, linewidth=2)
    ax.fill_between(dates, *np.percentile(curves, (25, 75), axis=0), color=color, alpha=0.15)
ax.set(ylabel="NDVI (band: half of the samples)")
ax.tick_params(axis="x", rotation=45)
ax.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))

# %%
# The weight of each date for each predicted class, on objects that did not train. At equal weights every
# cell would have 1/18 = 0.056.

table = attention_by_class(network, X[test], dates={"ts": dates})["ts"]
print("the rows sum to", table.sum(axis=1).round(3).unique())
figure, ax = plt.subplots(figsize=(9, 4.6), layout="constrained")
plot_attention(table, ax=ax, title="attention of the recurrent encoder")
ax.tick_params(axis="x", rotation=45)

# %%
# A single sample has weights of its own.

one = network.attention(X[test[:1]])["ts"][0]
print("largest weights of the first test sample:", pd.Series(one, dates).nlargest(3).round(3).to_dict())
plt.show()
# sphinx_gallery_thumbnail_number = 2
