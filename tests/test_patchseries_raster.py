"""Series of patches on disk."""

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rasters import coded, folder, write
from sklearn.model_selection import GridSearchCV

from m3fusion_sk import M3FusionClassifier
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, PatchSeriesRaster, Scene, SeriesRaster
from m3fusion_sk.sources import PatchSeriesSpec

DATES = ["2018-05-01", "2018-05-11", "2018-06-10"]


def everywhere(scene):
    return scene.extract(*(axis.ravel() for axis in np.indices(scene.shape)))


@settings(deadline=None, max_examples=15)
@given(st.sampled_from([1, 3]), st.integers(1, 6), st.integers(1, 4), st.sampled_from(["date", "band"]))
def test_each_date_has_the_patch_that_an_image_of_it_alone_has(ratio, height, width, order):
    n_dates, n_bands, side = 3, 2, 8
    with folder() as place:
        values = coded(n_dates * n_bands, side * ratio, side * ratio, "uint16")
        path = write(place / "s.tif", values, pixel=10 / ratio)
        grid = SeriesRaster(write(place / "grid.tif", coded(1, side, side)), n_bands=1)
        bands = np.arange(1, 7).reshape((3, 2) if order == "date" else (2, 3))
        bands = bands if order == "date" else bands.T
        sources = {
            f"t{d}": PatchRaster(path, size=(height, width), bands=bands[d].tolist()) for d in range(3)
        }
        series = PatchSeriesRaster(path, n_bands=n_bands, size=(height, width), order=order)
        X, valid = everywhere(Scene({"grid": grid, "images": series, **sources}, grid="grid"))
        assert valid.all()
        assert X.specs["images"] == PatchSeriesSpec(3, 2, height, width)
        assert X.values_of("images").dtype == np.uint16
        np.testing.assert_array_equal(X["images"], np.stack([X[name] for name in sources], axis=1))


@pytest.fixture
def clouded(tmp_path):
    """A series with a cloud mask, in which some pixels have no clear date."""
    rng = np.random.default_rng(0)
    path = write(tmp_path / "s.tif", rng.integers(1, 5000, (6, 9, 9)).astype("uint16"))
    codes = rng.choice([4, 9], (3, 9, 9), p=[0.7, 0.3]).astype("uint8")
    codes[:, 4, 4] = 9
    return {
        "path": path,
        "n_bands": 2,
        "dates": DATES,
        "mask": write(tmp_path / "scl.tif", codes),
    }, codes == 9


@pytest.mark.parametrize("fill", ["linear", None])
def test_every_pixel_of_a_patch_is_filled_as_in_a_series(clouded, fill):
    options, cloud = clouded
    scene = Scene(
        {
            "pixel": SeriesRaster(**options, fill=fill),
            "images": PatchSeriesRaster(**options, fill=fill, size=3),
        },
        grid="pixel",
    )
    X, valid = everywhere(scene)
    never = cloud.all(axis=0)
    np.testing.assert_array_equal(valid, ~never.ravel())
    pixel = np.where(never.ravel()[:, None, None], 0, X["pixel"]).reshape(9, 9, 3, 2)
    images = X.gather("images").reshape(9, 9, 3, 2, 3, 3)
    for row in range(1, 8):
        for col in range(1, 8):
            if not never[row, col]:
                expected = np.moveaxis(pixel[row - 1 : row + 2, col - 1 : col + 2], (2, 3), (0, 1))
                np.testing.assert_array_equal(images[row, col], expected)
    assert np.isnan(images).any() == (fill is None)
    assert scene.dates("images") == scene.dates("pixel") == DATES
    assert scene.fingerprint()["sources"]["images"]["reading"]["fill"] == fill


def test_it_makes_one_fit_one_search_and_one_map_with_the_attention_to_its_dates(clouded, tmp_path):
    options, _ = clouded
    images = PatchSeriesRaster(**options, fill=None, size=3)
    scene = Scene({"images": images, "s2": SeriesRaster(**options)}, grid="s2", optional="images")
    X, valid = everywhere(scene)
    y = np.arange(valid.sum()) % 2
    network = M3FusionClassifier(
        hidden_size=4, n_filters=2, max_epochs=1, missing="mask", missing_sources="drop", random_state=0
    )
    search = GridSearchCV(network, {"alpha": [0.1, 0.3]}, cv=2, error_score="raise").fit(X[valid], y)
    assert search.best_estimator_.sources_["images"] == PatchSeriesSpec(3, 2, 3, 3)
    outputs = ["proba", "attention"]
    path = ChunkedPredictor(search, 4, outputs=outputs, dtype="float32").predict(scene, tmp_path / "map.tif")
    with rasterio.open(path.with_name("map_proba.tif")) as file:
        proba = file.read().reshape(2, -1).T[valid]
    np.testing.assert_allclose(proba, search.predict_proba(X[valid]), atol=1e-5)
    with rasterio.open(path.with_name("map_attention_images.tif")) as file:
        assert list(file.descriptions) == DATES
        weights = file.read().reshape(3, -1).T[valid]
    expected = search.best_estimator_.attention(X[valid])["images"]
    has = expected.any(axis=1)
    np.testing.assert_allclose(weights[has], expected[has], atol=1e-5)
    assert np.isnan(weights[~has]).all() and 0 < has.mean() < 1


def test_beyond_the_images_a_pixel_is_nodata(tmp_path):
    grid = SeriesRaster(write(tmp_path / "grid.tif", coded(1, 6, 6)), n_bands=1)
    part = write(tmp_path / "s.tif", coded(4, 6, 3, "uint16"))
    scene = Scene({"grid": grid, "images": PatchSeriesRaster(part, n_bands=2, size=5)}, grid="grid")
    X, valid = everywhere(scene)
    np.testing.assert_array_equal(valid.reshape(6, 6), np.arange(6)[None] < np.full((6, 1), 3))
    assert X["images"].shape == (36, 2, 2, 5, 5)
    assert not scene.extract([0], [5])[1].any()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_bands": 3}, "n_bands=3 bands for each date"),
        ({"n_bands": 2, "size": 0}, "size of source 'images' must be a positive number of pixels"),
        ({"n_bands": 2, "fill": "cubic"}, "fill of source 'images' must be one of 'linear', None"),
    ],
)
def test_wrong_parameters_are_refused(tmp_path, options, message):
    path = write(tmp_path / "s.tif", coded(4, 6, 6, "uint16"))
    with pytest.raises(ValueError, match=message):
        Scene({"images": PatchSeriesRaster(path, **options)}, grid="images")
