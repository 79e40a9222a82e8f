"""Several sensors on their native grids: one fit, one search, one map, on real rasters."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from m3fusion_sk import M3FusionClassifier
from m3fusion_sk.explain import grouped_importance
from m3fusion_sk.mapping import ChunkedPredictor, Scene, SeriesRaster


@pytest.fixture(scope="module")
def belgium():
    """Sentinel-2 at 10 m and at 20 m, clouds left out, and Sentinel-1 at 20 m on other dates."""
    folder = Path(os.environ.get("M3FUSION_DATA", "M3FUSION_DATA is not set"), "lpis_belgium_2018")
    if not folder.exists():
        pytest.skip(f"needs {folder}")
    dates = json.loads((folder / "dates.json").read_text())
    clouds = {"dates": dates["s2_dates"], "mask": folder / "s2_scl.tif", "fill": None}
    return Scene(
        {
            "s2_10m": SeriesRaster(folder / "s2_10m.tif", n_bands=4, **clouds),
            "s2_20m": SeriesRaster(folder / "s2_20m.tif", n_bands=6, **clouds),
            "s1": SeriesRaster(folder / "s1.tif", n_bands=2, dates=dates["s1_dates"]),
        },
        grid="s2_10m",
    ), folder


def test_three_real_series_make_one_fit_one_search_and_one_map(belgium, tmp_path):
    scene, folder = belgium
    assert [scene.specs[name].shape for name in scene.specs] == [(118, 4), (118, 6), (159, 2)]
    samples = scene.sample(folder / "parcels.gpkg", label="landcover", group="object_id", max_pixels=25)
    kept = np.isin(samples.y, [11, 13, 99])
    X, y, objects = samples.X[kept], samples.y[kept], samples.groups[kept]
    assert np.isnan(X["s2_10m"]).any(axis=2).mean() > 0.3  # real clouds, which the network masks
    network = M3FusionClassifier(hidden_size=16, max_epochs=3, missing="mask", random_state=0)
    search = GridSearchCV(
        network,
        {"alpha": [0.1, {"s2_10m": 0.3, "s2_20m": 0.3, "s1": 0.1}]},
        cv=StratifiedGroupKFold(2),
        error_score="raise",
    )
    search.fit(X, y, groups=objects)
    best = search.best_estimator_
    assert best.sources_ == scene.specs
    for name, lacking in ((name, np.isnan(X[name]).any(axis=2)) for name in X.names):
        assert (best.attention(X)[name][lacking] == 0).all()
    assert grouped_importance(best, X[::20], y[::20], n_repeats=1).index.tolist() == list(scene.specs)

    path = ChunkedPredictor(best, chunk_size=32).predict(scene, tmp_path / "map.tif")
    with rasterio.open(path) as file:
        codes = file.read(1)
        assert (file.height, file.width, file.crs.to_epsg()) == (64, 64, 32631)
    assert set(np.unique(codes)) <= {0, 11, 13, 99}
    assert (codes > 0).mean() > 0.9
    rows, cols = samples.rows[kept], samples.cols[kept]
    assert (codes[rows, cols] == best.predict(X)).mean() > 0.999  # but for ties of rounding
