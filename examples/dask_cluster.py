"""A search and a map on a Dask cluster.

Where one machine is not enough, a grid search spreads its fits over a cluster through joblib, and a map its
chunks. Here the cluster is two processes of this machine; give ``Client`` the address of your own instead.
Its workers must see the map's folder and the rasters: chunks are written there, and nothing but small records
passes through the scheduler.
"""

import sys
from pathlib import Path

import joblib
import pandas as pd
from distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from m3fusion_sk import M3FusionClassifier, make_scene
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster


def main(folder="cluster", size=120, n_dates=6, max_epochs=5):
    folder, size, n_dates, max_epochs = Path(folder), int(size), int(n_dates), int(max_epochs)
    folder.mkdir(parents=True, exist_ok=True)
    made = make_scene(folder / "scene", shape=(size, size), n_dates=n_dates, random_state=0)
    series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
    scene = Scene({"ts": series, "patch": PatchRaster(made.patch, size=9)}, grid="ts")
    samples = scene.sample(made.objects, label="class", group="object_id", max_pixels=20)

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        network = M3FusionClassifier(max_epochs=max_epochs, hidden_size=16, random_state=0)
        search = GridSearchCV(network, {"alpha": [0.1, 0.3]}, cv=StratifiedGroupKFold(2))
        with joblib.parallel_config(backend="dask"):
            search.fit(samples.X, samples.y, groups=samples.groups)
        print(pd.DataFrame(search.cv_results_)[["params", "mean_test_score"]].to_string(index=False))

        # a worker that dies takes a chunk with it, which another one does again
        path = ChunkedPredictor(search.best_estimator_, 32, client=client).predict(scene, folder / "map.tif")
    print(f"wrote {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
