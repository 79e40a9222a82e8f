"""Maps by a real network: what `predict_proba` says on samples, whatever the chunks, batches and workers."""

import itertools
import os

import numpy as np
import pytest
import rasterio
from test_predictor import read_map

from m3fusion_sk import M3FusionClassifier, make_scene
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster

SOAK = bool(os.environ.get("M3FUSION_SOAK"))
HEIGHT, WIDTH = 101, 109
TIE = 1e-5


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_scene(tmp_path_factory.mktemp("made"), shape=(HEIGHT, WIDTH), n_dates=4, random_state=0)


@pytest.fixture(scope="module")
def scene(made):
    series = SeriesRaster(made.series, dates=made.dates, mask=made.mask)
    return Scene({"ts": series, "patch": PatchRaster(made.patch, size=9)}, grid="ts")


@pytest.fixture(scope="module")
def network(scene, made):
    samples = scene.sample(made.objects, "class", max_pixels=3)
    return M3FusionClassifier(hidden_size=16, n_filters=4, max_epochs=3, random_state=0).fit(
        samples.X, samples.y
    )


@pytest.fixture(scope="module")
def everywhere(scene):
    """Samples of all pixels, by the way that training samples take."""
    import geopandas
    import shapely

    whole = geopandas.GeoDataFrame({"y": [1]}, geometry=[shapely.box(*scene.grid.bounds)], crs=scene.grid.crs)
    return scene.sample(whole, "y")


@pytest.fixture(scope="module")
def proba(network, everywhere):
    return network.predict_proba(everywhere.X)


def test_the_map_is_what_the_network_says_about_samples(scene, network, everywhere, proba, tmp_path):
    predictor = ChunkedPredictor(network, (37, 64), outputs="proba", dtype="float32")
    path = predictor.predict(scene, tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map_proba.tif") as file:
        found = file.read()[:, everywhere.rows, everywhere.cols].T
    assert len(everywhere) > 10_000  # all edges and corners among them
    edge = (everywhere.rows % (HEIGHT - 1) == 0) | (everywhere.cols % (WIDTH - 1) == 0)
    assert edge.sum() > 400
    np.testing.assert_allclose(found, proba, atol=1e-5, rtol=0)
    codes = read_map(path)
    sure = margins(proba) > TIE
    np.testing.assert_array_equal(
        codes[everywhere.rows, everywhere.cols][sure], proba.argmax(axis=1)[sure] + 1
    )
    nowhere = np.ones(scene.shape, bool)
    nowhere[everywhere.rows, everywhere.cols] = False
    assert (codes[nowhere] == 0).all()


def margins(proba):
    best = np.sort(proba, axis=1)
    return best[:, -1] - best[:, -2]


CHUNKS = [256, (1, 109), (101, 1), 97, (13, 17), (7, 109), (50, 55), 31, (1000, 3), (64, 32)]
BATCHES = [4_096, 257, 1000]
CASES = list(itertools.product(CHUNKS, [1, 2], BATCHES)) if SOAK else [
    *((chunk, 1, BATCHES[i % 3]) for i, chunk in enumerate(CHUNKS)),
    ((13, 17), 2, 257),
]  # fmt: skip


def test_the_classes_do_not_depend_on_chunks_workers_and_batches(scene, network, everywhere, proba, tmp_path):
    sure = margins(proba) > TIE
    expected = proba.argmax(axis=1)[sure] + 1
    for i, (chunk, n_jobs, batch_size) in enumerate(CASES):
        predictor = ChunkedPredictor(network, chunk, n_jobs=n_jobs, batch_size=batch_size)
        codes = read_map(predictor.predict(scene, tmp_path / f"{i}.tif"))
        np.testing.assert_array_equal(codes[everywhere.rows, everywhere.cols][sure], expected)
        assert (codes > 0).sum() == len(everywhere)
