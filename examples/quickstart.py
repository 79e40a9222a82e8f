"""Fuse a time series and an image patch, from arrays.

Each sample is one pixel of a Sentinel-2 grid: its series tells crops and savannahs apart, the patch of a
finer image around it tells orchards from forests and roofs from rocks. One network learns from both; a
random forest on the stacked values stands beside it. Objects, not pixels, are split: pixels of one parcel
resemble each other, and a random split by pixel would flatter every model.
"""

import sys

from m3fusion_sk import (
    M3FusionClassifier,
    StratifiedGroupShuffleSplit,
    land_cover_scores,
    make_land_cover,
    stacked_forest,
)


def main(n_samples=3000, max_epochs=30):
    X, y, objects = make_land_cover(n_samples, n_dates=12, n_bands=6, random_state=0)
    print(X)  # a MultiSource: arrays by name, sliced by sample

    cv = StratifiedGroupShuffleSplit(1, train_size=0.3, random_state=0)
    train, test = next(cv.split(X, y, objects))

    forest = stacked_forest(n_estimators=200, random_state=0).fit(X[train], y[train])
    network = M3FusionClassifier(max_epochs=max_epochs, random_state=0, verbose=1).fit(X[train], y[train])

    for name, model in {"forest": forest, "network": network}.items():
        scores = land_cover_scores(y[test], model.predict(X[test]), groups=objects[test])
        print(f"\n{name}\n{scores.summary.round(4).to_string()}")

    weights = network.attention(X[test])["ts"].mean(axis=0)
    print("\nattention by date:", weights.round(3))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
