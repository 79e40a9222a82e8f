"""Average networks of several seeds, for the samples and for a map.

Networks that start from other random weights make other mistakes, and their mean makes fewer. scikit-learn's
VotingClassifier averages the probabilities; it is a classifier like any other, also for maps.
"""

import sys
from pathlib import Path

from sklearn.ensemble import VotingClassifier

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, land_cover_scores, make_scene
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster


def main(folder="average_seeds", size=200, n_dates=8, n_seeds=3, max_epochs="auto"):
    size, n_dates, n_seeds = map(int, (size, n_dates, n_seeds))
    max_epochs = max_epochs if max_epochs == "auto" else int(max_epochs)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = make_scene(folder / "scene", shape=(size, size), n_dates=n_dates, random_state=0)
    series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
    scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=25)}, grid="ts")
    samples = scene.sample(made.objects, label="class", group="object_id")
    cv = StratifiedGroupShuffleSplit(1, train_size=0.3, random_state=0)
    train, test = next(cv.split(samples.X, samples.y, samples.groups))

    networks = [
        (f"seed {seed}", M3FusionClassifier(max_epochs=max_epochs, random_state=seed))
        for seed in range(n_seeds)
    ]
    average = VotingClassifier(networks, voting="soft").fit(samples.X[train], samples.y[train])

    for name, network in average.named_estimators_.items():
        codes = network.predict(samples.X[test])  # the voting classifier has replaced labels by codes
        scores = land_cover_scores(samples.y[test], average.classes_[codes])
        print(f"{name}: accuracy {scores.summary['accuracy']:.4f}")
    scores = land_cover_scores(samples.y[test], average.predict(samples.X[test]))
    print(f"average of {n_seeds}: accuracy {scores.summary['accuracy']:.4f}")

    path = ChunkedPredictor(average).predict(scene, folder / "map.tif", overwrite=True)
    print(f"wrote {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
