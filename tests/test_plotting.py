"""Figures, drawn from a real map and a real confusion matrix."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import rasterio

matplotlib.use("Agg")
from matplotlib import pyplot

from m3fusion_sk import land_cover_scores
from m3fusion_sk.calibration import calibration_scores
from m3fusion_sk.plotting import plot_class_map, plot_confusion, plot_reliability

COLORS = {1: (255, 0, 0, 255), 2: (0, 0, 255, 255)}


@pytest.fixture
def class_map(tmp_path):
    path = tmp_path / "map.tif"
    transform = rasterio.Affine(10, 0, 320000, 0, -10, 7690000)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 3, "width": 4, "nodata": 0}
    with rasterio.open(path, "w", crs="EPSG:32740", transform=transform, **profile) as file:
        file.write(np.array([[1, 1, 2, 2], [1, 0, 0, 2], [1, 1, 2, 2]], "u1"), 1)
        file.write_colormap(1, COLORS)
        file.update_tags(CLASS_NAMES='{"1": "forest", "2": "water"}')
    return path


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def test_a_map_is_drawn_in_its_colours_names_and_coordinates(class_map):
    ax = plot_class_map(class_map, title="a map")
    image = ax.images[0].get_array()
    assert image.shape == (3, 4, 3)
    assert image[0, 0].tolist() == [1, 0, 0]
    assert image[0, 3].tolist() == [0, 0, 1]
    assert image[1, 1].tolist() == [1, 1, 1]  # nodata stays white
    assert ax.images[0].get_extent() == [320000, 320040, 7689970, 7690000]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["forest", "water"]
    assert (ax.get_title(), ax.get_xlabel()) == ("a map", "x (m)")


def test_a_map_is_drawn_into_given_axes_without_a_legend(class_map):
    _, ax = pyplot.subplots()
    assert plot_class_map(class_map, ax=ax, legend=False) is ax
    assert ax.get_legend() is None


def test_a_raster_that_is_no_class_map_is_refused(class_map):
    with rasterio.open(class_map) as file:
        profile, codes = file.profile, file.read()
    class_map.unlink()
    with rasterio.open(class_map, "w", **profile) as file:
        file.write(codes)
    with pytest.raises(ValueError, match=r"map\.tif must be a class map that ChunkedPredictor wrote"):
        plot_class_map(class_map)


def test_confusion_shows_percents_of_the_true_class():
    y = np.array(["a"] * 4 + ["b"] * 2 + ["c"])
    confusion = land_cover_scores(y, np.array(["a", "a", "a", "b", "b", "b", "a"])).confusion
    ax = plot_confusion(confusion)
    shown = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in ax.texts}
    assert shown == {(0, 0): "75", (0, 1): "25", (1, 1): "100", (2, 0): "100"}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]


def test_a_class_without_samples_is_an_empty_row():
    confusion = pd.DataFrame([[2, 0], [0, 0]], index=["a", "b"], columns=["a", "b"])
    assert len(plot_confusion(confusion).texts) == 1


def test_reliability_of_two_models_shares_one_diagram():
    y, sure = np.array(["a", "b", "b", "b"]), np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.1, 0.9]])
    ax = plot_reliability(calibration_scores(y, sure, ["a", "b"]), label="network")
    assert plot_reliability(calibration_scores(y, sure / 2 + 0.25, ["a", "b"]), ax=ax, label="soft") is ax
    assert len(ax.lines) == 3  # with the diagonal, once
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[0.7, 1], [0.9, 2 / 3]])
    assert ax.get_legend().get_texts()[0].get_text() == "network: calibration error 0.250"
