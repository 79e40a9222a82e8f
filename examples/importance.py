"""
Which sources, dates and bands a model needs
============================================

``grouped_importance`` exchanges a source, a date or a band between objects and measures what the score
loses. It works for any classifier and respects objects: exchanging single pixels would leave a parcel's
other pixels to give the answer away. ``source_contributions`` shares out each single decision among the
sources.
"""

import matplotlib.pyplot as plt

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover, stacked_forest
from m3fusion_sk.explain import compare_heads, grouped_importance, source_contributions
from m3fusion_sk.plotting import plot_contributions, plot_heads, plot_importance

X, y, objects = make_land_cover(1000, n_dates=10, n_bands=4, patch_size=9, random_state=0)
train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0).split(X, y, objects))
network = M3FusionClassifier(max_epochs=12, random_state=0).fit(X[train], y[train])
forest = stacked_forest(n_estimators=50, random_state=0).fit(X[train], y[train])

# %%
# What each source is worth to each model, on objects that did not train.

held_out = {"groups": objects[test], "random_state": 0}
figure, axes = plt.subplots(1, 2, figsize=(10, 2.6), layout="constrained", sharex=True)
for ax, (name, model) in zip(axes, {"network": network, "random forest": forest}.items(), strict=True):
    table = grouped_importance(model, X[test], y[test], n_repeats=2, **held_out)
    print(name, table.round(3).to_string(), sep="\n")
    plot_importance(table, ax=ax, title=name)

# %%
# The same for each date, and for each band over all dates.

dates = [f"date {i}" for i in range(10)]
by_date = grouped_importance(
    network, X[test], y[test], by="date", labels={"ts": dates}, n_repeats=1, **held_out
)
by_band = grouped_importance(network, X[test], y[test], by="band", n_repeats=1, **held_out)
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
plot_importance(by_date, ax=axes[0], title="dates of the series")
plot_importance(by_band, ax=axes[1], title="bands of both sources")

# %%
# Shapley values: how much each source adds to the probability of the class that is decided for. The head
# of each source tells what it knows alone.

some = test[::8]
contributions = source_contributions(network, X[some], groups=objects[some], n_draws=3, random_state=0)
figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
plot_contributions(contributions, ax=axes[0], title="share of each source in the decisions")
plot_heads(compare_heads(network, X[test], y[test]), ax=axes[1], title="what each head gets right")
plt.show()
# sphinx_gallery_thumbnail_number = 2
