"""Choose the weight of the auxiliary losses and the size of the recurrence by GridSearchCV.

`MultiSource` is sliced like an array, so scikit-learn's search needs nothing special. Folds are made of
whole objects; `alpha` may be one weight or a dict with one for each source.
"""

import sys

import pandas as pd
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_land_cover


def main(n_samples=1500, max_epochs=15):
    X, y, objects = make_land_cover(n_samples, n_dates=8, n_bands=4, patch_size=13, random_state=0)
    train, test = next(StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0).split(X, y, objects))

    grid = {"alpha": [0.1, 0.3, {"ts": 0.5, "patch": 0.1}], "hidden_size": [32, 64]}
    network = M3FusionClassifier(n_filters=8, max_epochs=max_epochs, random_state=0)
    search = GridSearchCV(network, grid, cv=StratifiedGroupKFold(3), scoring="f1_weighted")
    search.fit(X[train], y[train], groups=objects[train])

    columns = ["param_alpha", "param_hidden_size", "mean_test_score", "std_test_score", "mean_fit_time"]
    print(pd.DataFrame(search.cv_results_)[columns].round(3).to_string(index=False))
    print("best:", search.best_params_)
    print(
        "accuracy on objects that no choice has seen:",
        round(search.best_estimator_.score(X[test], y[test]), 4),
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
