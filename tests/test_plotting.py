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
from m3fusion_sk.explain import HeadComparison, SourceContributions
from m3fusion_sk.plotting import (
    plot_attention,
    plot_class_map,
    plot_confusion,
    plot_contributions,
    plot_heads,
    plot_importance,
    plot_reliability,
)

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


def test_attention_shows_a_row_for_each_class_and_names_of_some_dates():
    table = pd.DataFrame(
        np.full((2, 50), 0.02), index=["forest", "water"], columns=pd.Index(range(50), name="date")
    )
    ax = plot_attention(table, title="attention")
    assert ax.images[0].get_array().shape == (2, 50)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["forest", "water"]
    assert [t.get_text() for t in ax.get_xticklabels()][:3] == ["0", "3", "6"]
    assert ax.get_xticks()[1] == 3 and ax.get_xlabel() == "date"


def test_importance_is_a_bar_for_each_block_coloured_by_source():
    index = pd.MultiIndex.from_tuples([("ts", 0), ("ts", 1), ("s1", 0)], names=["source", "date"])
    ax = plot_importance(pd.DataFrame({"importance": [0.1, 0.3, 0.2], "std": 0.01}, index=index))
    assert [bar.get_width() for bar in ax.patches] == [0.1, 0.3, 0.2]
    assert ax.patches[0].get_facecolor() == ax.patches[1].get_facecolor() != ax.patches[2].get_facecolor()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["ts", "s1"]
    by_source = pd.DataFrame({"importance": [0.4], "std": [0.0]}, index=pd.Index(["ts"], name="source"))
    ax = plot_importance(by_source)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["ts"] and ax.get_legend() is None


def test_heads_and_contributions_are_drawn_by_class():
    recall = pd.DataFrame({"fusion": [1.0, 0.5], "ts": [0.25, 0.0]}, index=["a", "b"])
    accuracy = pd.Series({"fusion": 0.75, "ts": 0.125})
    ax = plot_heads(HeadComparison(accuracy, recall, None, None, None))
    assert [t.get_text() for t in ax.texts] == ["100", "25", "50", "0"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["fusion (75)", "ts (12)"]
    parts = pd.DataFrame({"ts": [0.6, 0.2], "patch": [-0.2, 0.2]})
    ax = plot_contributions(SourceContributions(np.array(["a", "b"]), parts, pd.Series([0.5, 0.5])))
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], [0.75, 0.5, 0.25, 0.5])
    np.testing.assert_allclose([bar.get_x() for bar in ax.patches], [0, 0, 0.75, 0.5])
