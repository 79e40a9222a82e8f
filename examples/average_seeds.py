"""
Average networks of several seeds
=================================

Networks that start from other random weights make other mistakes, and their mean makes fewer than most of
them. scikit-learn's ``VotingClassifier`` averages the probabilities; it is a classifier like any other,
also for maps.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rasterio
from sklearn.ensemble import VotingClassifier

from m3fusion_sk import M3FusionClassifier, StratifiedGroupShuffleSplit, make_scene
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster

folder = Path("output/average_seeds")
made = make_scene(folder / "scene", shape=(140, 140), n_dates=8, random_state=0)
series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=9)}, grid="ts")
samples = scene.sample(made.objects, label="class", group="object_id", max_pixels=20)
cv = StratifiedGroupShuffleSplit(1, train_size=0.5, random_state=0)
train, test = next(cv.split(samples.X, samples.y, samples.groups))

seeds = range(3)
networks = [(f"seed {seed}", M3FusionClassifier(max_epochs=25, random_state=seed)) for seed in seeds]
average = VotingClassifier(networks, voting="soft").fit(samples.X[train], samples.y[train])

# %%
# Each network alone, and their mean, which is safer than one that was picked: which of them is the best is
# only known afterwards. The voting classifier has replaced labels by codes for its parts.

accuracies = {}
for name, network in average.named_estimators_.items():
    labels = average.classes_[network.predict(samples.X[test])]
    accuracies[name] = np.mean(labels == samples.y[test])
accuracies["average"] = average.score(samples.X[test], samples.y[test])
for name, accuracy in accuracies.items():
    print(f"{name}: accuracy {accuracy:.4f}")

# %%
# The map of the average, and how many of the networks agree with it at each pixel.

path = ChunkedPredictor(average, colors=made.colors).predict(scene, folder / "map.tif", overwrite=True)
print(f"wrote {path}")
with rasterio.open(path) as file:
    codes = file.read(1)
votes = np.zeros(codes.shape, int)
for seed, network in enumerate(average.estimators_):
    alone = folder / f"map_{seed}.tif"
    with rasterio.open(ChunkedPredictor(network).predict(scene, alone, overwrite=True)) as file:
        # codes from 0, where the voting classifier names classes in the same order, are written from 1
        votes += file.read(1) == codes

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
pd.Series(accuracies).plot.bar(ax=left, rot=30, color=["0.7"] * len(seeds) + ["#0072B2"])
left.set(ylabel="accuracy on other objects", ylim=(0, 1))
drawn = right.imshow(votes, cmap=plt.get_cmap("cividis", 4), vmin=-0.5, vmax=3.5)
right.set(title="networks that agree with their average", xticks=[], yticks=[])
figure.colorbar(drawn, ax=right, ticks=range(4))
plt.show()
