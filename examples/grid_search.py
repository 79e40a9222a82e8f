"""
Choose sizes and weights by grid search
=======================================

``MultiSource`` is sliced like an array, so scikit-learn's search needs nothing special. Folds are made of
whole objects; ``alpha`` may be one weight of the auxiliary losses or a dict with one for each source.
"""

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover

X, y, objects = make_land_cover(800, n_dates=8, n_bands=4, patch_size=9, random_state=0)
train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.6, random_state=0).split(X, y, objects))

# %%
# Twelve settings on two folds. ``n_jobs=2`` would give the same numbers.

grid = {"alpha": [0, 0.3, {"ts": 0.5, "patch": 0.1}], "hidden_size": [16, 64], "n_filters": [4, 16]}
search = GridSearchCV(
    M3FusionClassifier(max_epochs=6, random_state=0),
    grid,
    cv=StratifiedGroupKFold(2),
    scoring="f1_weighted",
)
search.fit(X[train], y[train], groups=objects[train])
results = pd.DataFrame(search.cv_results_)
columns = ["param_alpha", "param_hidden_size", "param_n_filters", "mean_test_score", "std_test_score"]
print(results[columns].round(3).to_string(index=False))
print("best:", search.best_params_)

# %%
# The deviation of two folds is large beside the differences: take the best setting as one of several good
# ones. Only objects that no choice has seen say how good it is.

best = search.best_estimator_
print("accuracy on those objects:", round(best.score(X[test], y[test]), 3))

results["network"] = (
    results["param_hidden_size"].astype(str)
    + " units\n"
    + results["param_n_filters"].astype(str)
    + " filters"
)
results["alpha"] = results["param_alpha"].astype(str)
table = results.pivot(index="alpha", columns="network", values="mean_test_score")

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
image = ax.imshow(table, cmap="viridis")
for row, values in enumerate(table.to_numpy()):
    for column, value in enumerate(values):
        dark = value < table.to_numpy().mean()
        ax.text(column, row, f"{value:.3f}", ha="center", va="center", color="white" if dark else "black")
ax.set_xticks(range(table.shape[1]), table.columns)
ax.set_yticks(range(table.shape[0]), table.index)
ax.set_ylabel("alpha")
figure.colorbar(image, ax=ax, label="weighted F, mean of the folds")
plt.show()
