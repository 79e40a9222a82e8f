"""
A search and a map on a Dask cluster
====================================

``joblib`` hands the fits of a scikit-learn search to Dask, and ``ChunkedPredictor(client=...)`` the chunks
of a map. This file starts a small cluster on this machine; a real one is an address,
``Client("tcp://...")``. Its workers must see the map's folder and the rasters: chunks are written there,
and nothing but small records passes through the scheduler. It needs ``pip install
"m3fusion_sk[raster,dask]"``.
"""

import sys
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import pandas as pd
from distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from m3fusion_sk import M3FusionClassifier, make_scene
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster
from m3fusion_sk.plotting import plot_class_map


def main(folder="output/dask_cluster", size=90, n_dates=6, max_epochs=5, processes=True):
    folder, size, n_dates, max_epochs = Path(folder), int(size), int(n_dates), int(max_epochs)
    made = make_scene(folder / "scene", shape=(size, size), n_dates=n_dates, random_state=0)
    series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
    scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=9)}, grid="ts")
    samples = scene.sample(made.objects, label="class", group="object_id", max_pixels=20)

    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=processes is True, dashboard_address=":0"
    )
    with cluster, Client(cluster) as client:
        network = M3FusionClassifier(max_epochs=max_epochs, hidden_size=16, random_state=0)
        search = GridSearchCV(network, {"alpha": [0.1, 0.3]}, cv=StratifiedGroupKFold(2))
        with joblib.parallel_config(backend="dask"):
            search.fit(samples.X, samples.y, groups=samples.groups)
        print(pd.DataFrame(search.cv_results_)[["params", "mean_test_score"]].to_string(index=False))

        # a worker that dies takes a chunk with it, which another one does again
        predictor = ChunkedPredictor(search.best_estimator_, 32, client=client, colors=made.colors)
        path = predictor.predict(scene, folder / "map.tif", overwrite=True)
    print(f"wrote {path}")
    ax = plot_class_map(path, title="chunks of 32 x 32 pixels, computed by two workers")
    for line in range(32, size, 32):  # where the chunks meet
        ax.axvline(scene.grid.bounds[0] + 10 * line, color="white", linewidth=0.8)
        ax.axhline(scene.grid.bounds[3] - 10 * line, color="white", linewidth=0.8)
    plt.show()


if __name__ == "__main__":  # worker processes import this file
    main(*sys.argv[1:])
