"""
A map, and where it is unsure
=============================

A class map shows every pixel with the same confidence. ``ChunkedPredictor`` writes the doubt beside it, and
can refuse to name a class where none is likely enough.
"""

import matplotlib.pyplot as plt
import numpy as np
import rasterio

from m3fusion_sk import M3FusionClassifier, make_scene
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster
from m3fusion_sk.plotting import plot_class_map

made = make_scene("output/doubt", shape=(160, 160), n_dates=8, random_state=2)
series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=15)}, grid="ts")
samples = scene.sample(made.objects, label="class", group="object_id", max_pixels=25)
network = M3FusionClassifier(max_epochs=25, random_state=0).fit(samples.X, samples.y)

# %%
# The map with a class "unsure" where no class reaches a probability of 0.5, and the entropy as a layer: 0
# is sure, 1 is equal probabilities for all classes.

predictor = ChunkedPredictor(network, reject=0.5, outputs=["entropy"], colors=made.colors)
path = predictor.predict(scene, "output/doubt/map.tif", overwrite=True)
with rasterio.open(made.patch) as file:
    image = file.read([4, 3, 2], out_shape=(3, 640, 640)).transpose(1, 2, 0) / (5500, 2800, 2800)
with rasterio.open("output/doubt/map_entropy.tif") as file:
    entropy = file.read(1, masked=True) * file.scales[0]

figure, axes = plt.subplots(1, 3, figsize=(16, 5), layout="constrained")
axes[0].imshow(np.clip(image, 0, 1))
axes[0].set(title="image at 2 m (near infrared, red, green)", xticks=[], yticks=[])
plot_class_map(path, ax=axes[1], title="class", legend=False)
axes[1].set(xticks=[], yticks=[], xlabel="", ylabel="")
drawn = axes[2].imshow(entropy, cmap="magma", vmin=0, vmax=0.6)
axes[2].set(title="entropy", xticks=[], yticks=[])
figure.colorbar(drawn, ax=axes[2], shrink=0.8)

# %%
# Doubt is worth something if errors lie where it is high. Here the truth of every pixel is known.

with rasterio.open(path) as file, rasterio.open(made.truth) as truth:
    codes, true = file.read(1), truth.read(1)
    names = {int(code): name for code, name in enumerate(network.classes_, start=1)}
named = np.isin(codes, list(names))
lookup = np.zeros(codes.max() + 1, int)
for code, name in names.items():
    lookup[code] = made.class_names.index(name) + 1
right = lookup[codes] == true
print(f"named: {named.mean():.1%} of the pixels, of them right: {right[named].mean():.1%}")

order = np.argsort(entropy.data.ravel(), kind="stable")
parts = np.array_split(right.ravel()[order], 10)
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.bar(range(1, 11), [1 - part.mean() for part in parts], color="#CC79A7")
ax.set(xlabel="tenths of the pixels, from sure to unsure", ylabel="share of errors", xticks=range(1, 11))
plt.show()
# sphinx_gallery_thumbnail_number = 1
