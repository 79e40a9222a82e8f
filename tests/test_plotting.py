"""Figures, drawn from a real map and a real confusion matrix."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import rasterio

matplotlib.use("Agg")
from made_rasters import write, write_class_map
from matplotlib import pyplot

from m3fusion_sk import land_cover_scores
from m3fusion_sk.calibration import calibration_scores
from m3fusion_sk.explain import HeadComparison, SourceContributions
from m3fusion_sk.mapping.quicklook import write_quicklook
from m3fusion_sk.plotting import (
    add_class_legend,
    add_zones,
    densest_zone,
    plot_attention,
    plot_class_map,
    plot_confusion,
    plot_contributions,
    plot_heads,
    plot_importance,
    plot_learning_curve,
    plot_map_pair,
    plot_per_class,
    plot_reliability,
    plot_time_accuracy,
    plot_where_right,
)
from m3fusion_sk.plotting.classmap import ClassMap
from m3fusion_sk.plotting.style import COLORS, scale_bar


@pytest.fixture
def class_map(tmp_path):
    return write_class_map(tmp_path / "map.tif", [[1, 1, 2, 2], [1, 0, 0, 2], [1, 1, 2, 2]])


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


@pytest.mark.parametrize("n", [2, 39, 60])
def test_every_class_of_a_legend_can_be_read(tmp_path, n):
    codes = 1 + np.arange(n)
    names = {int(code): f"class {code}" for code in codes}
    colors = {int(code): (int(code), 200, 0) for code in codes}
    picture = write_quicklook(
        write_class_map(tmp_path / "map.tif", [codes], names, colors), tmp_path / "map.png"
    )
    assert picture.exists()
    figure = pyplot.figure(figsize=(10, 7), layout="constrained")
    legend = plot_class_map(tmp_path / "map.tif", ax=figure.add_subplot()).get_legend()
    figure.draw_without_rendering()
    box, whole = legend.get_window_extent(), figure.bbox
    assert len(legend.get_texts()) == n
    for place in ({"ncol": 5}, {"ncols": 5}):
        assert add_class_legend(legend.axes, dict.fromkeys(map(str, codes), "red"), **place)._ncols == 5
    assert 0 <= box.x0 < box.x1 <= whole.width and 0 <= box.y0 < box.y1 <= whole.height


@pytest.mark.parametrize(("a", "e"), [(10, 10), (-10, -10), (-10, 10)])
def test_maps_are_drawn_north_up_whichever_way_their_rows_run(class_map, tmp_path, a, e):
    with rasterio.open(class_map) as file:
        codes, transform, tags, colors = file.read(), file.transform, file.tags(), file.colormap(1)
    codes = codes[:, :: -1 if e > 0 else 1, :: -1 if a < 0 else 1]
    origin = transform.c + (40 if a < 0 else 0), transform.f - (30 if e > 0 else 0)
    other = rasterio.Affine(a, 0, origin[0], 0, e, origin[1])
    path = write(tmp_path / "turned.tif", codes, transform=other, crs="EPSG:32740", nodata=0)
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, colors)
        file.update_tags(**tags)
    for bounds in (None, (320000, 7689980, 320020, 7690000)):
        expected, found = ClassMap.read(class_map, bounds), ClassMap.read(path, bounds)
        np.testing.assert_array_equal(found.codes, expected.codes)
        assert found.bounds == expected.bounds
    assert plot_class_map(path).images[0].get_extent() == [320000, 320040, 7689970, 7690000]


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


def test_attention_of_all_series_is_drawn_side_by_side():
    tables = {
        name: pd.DataFrame(np.full((2, n), 1 / n), index=["a", "b"]).rename_axis(columns="date")
        for name, n in (("s2", 3), ("s1", 5))
    }
    ax = plot_attention(tables)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), np.concatenate(list(tables.values()), axis=1))
    assert [label.get_text() for label in ax.get_xticklabels()][2:4] == ["s2 2", "s1 0"]
    assert [line.get_xdata()[0] for line in ax.lines] == [2.5]
    single = plot_attention({"s1": tables["s1"]})
    assert [label.get_text() for label in single.get_xticklabels()] == list("01234")
    assert not single.lines


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


def texts(things):
    return [thing.get_text() for thing in things]


@pytest.mark.parametrize("width", [0.03, 7, 199, 2600, 12_345, 3e6])
def test_a_scale_bar_is_round_and_about_a_quarter_of_the_map(width):
    length, label = scale_bar(width)
    assert width / 10 <= length <= width / 4 + 1e-9
    assert f"{length:e}"[0] in "125" and label.endswith(" km" if length >= 1000 else " m")


def test_the_scale_bar_has_its_length_on_the_ground(class_map):
    (start, stop), _ = plot_class_map(class_map).lines[-1].get_data()
    assert stop - start == pytest.approx(10)  # of 40 m
    assert "10 m" in texts(plot_class_map(class_map).texts)


def test_degrees_are_shorter_in_the_north_and_pixels_have_no_length(tmp_path):
    codes = np.ones((10, 20))
    ax = plot_class_map(write_class_map(tmp_path / "north.tif", codes, crs="EPSG:4326", pixel=0.001))
    (start, stop), _ = ax.lines[-1].get_data()
    assert (stop - start) * 111_320 * np.cos(np.radians(59.995)) == pytest.approx(200)
    assert ax.get_xlabel() == "x (degree)" and "200 m" in texts(ax.texts)
    ax = plot_class_map(write_class_map(tmp_path / "plain.tif", codes, crs=None))
    assert not ax.lines and not ax.texts and ax.get_xlabel() == "x (pixel)"


def test_bounds_show_the_pixels_that_they_touch(class_map):
    ax = plot_class_map(class_map, bounds=(320015, 7689982, 320030, 7700000))
    assert ax.images[0].get_array().shape == (2, 2, 3)
    assert ax.images[0].get_extent() == [320010, 320030, 7689980, 7690000]
    with pytest.raises(ValueError, match="bounds must be"):
        plot_class_map(class_map, bounds=(0, 0, 10, 10))


def test_a_pair_of_maps_has_one_legend_of_all_classes(class_map, tmp_path):
    other = write_class_map(tmp_path / "other.tif", [[1, 2]], names={1: "forest", 2: "rocks"})
    left, right = plot_map_pair(class_map, other, titles=("network", "forest"))
    assert left.get_legend() is None and texts(right.get_legend().get_texts()) == ["forest", "water", "rocks"]
    _, axes = pyplot.subplots(1, 2)
    assert plot_map_pair(class_map, class_map, axes=axes) == tuple(axes)


def test_where_one_map_is_right_is_told_by_class_names_of_known_pixels(tmp_path):
    truth = write_class_map(tmp_path / "truth.tif", [[1, 1, 1, 1], [2, 2, 0, 2]])
    first = write_class_map(tmp_path / "first.tif", [[1, 1, 2, 2], [2, 1, 1, 0]])
    swapped = {2: "forest", 1: "water"}
    second = write_class_map(tmp_path / "second.tif", [[2, 1, 2, 1], [1, 1, 1, 1]], names=swapped)
    ax = plot_where_right(truth, first, second, names=("network", "rf"))
    image = ax.images[0].get_array()
    both, one, two, none = (matplotlib.colors.to_rgb(c) for c in ("#E6E6E6", COLORS[0], COLORS[1], "black"))
    white = (1, 1, 1)
    expected = [[both, one, two, none], [both, two, white, white]]
    np.testing.assert_allclose(image, expected)
    assert texts(ax.get_legend().get_texts()) == [
        "both right (33.3 %)", "only network (16.7 %)", "only rf (33.3 %)", "neither (16.7 %)"
    ]  # fmt: skip
    zone = plot_where_right(truth, first, second, bounds=(320000, 7689990, 320020, 7690000))
    assert texts(zone.get_legend().get_texts())[0] == "both right (50.0 %)"


def test_maps_of_other_grids_are_not_compared_pixel_by_pixel(class_map, tmp_path):
    other = write_class_map(tmp_path / "other.tif", np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"same grid; .*map\.tif has 3x4 pixels .*other\.tif has 3x5 pixels"):
        plot_where_right(class_map, class_map, other)


def test_zones_are_marked_where_most_of_it_is(tmp_path):
    codes = np.ones((6, 8))
    codes[1:3, 4:6] = 2
    path = write_class_map(tmp_path / "zones.tif", codes)
    zone = densest_zone(path, lambda values: values[0] == 2, 2)
    assert zone == (320040, 7689970, 320060, 7689990)
    ax = add_zones(plot_class_map(path), {"wet": zone})
    assert ax.patches[-1].get_bbox().bounds == (320040, 7689970, 20, 20) and texts(ax.texts)[-1] == "wet"
    with pytest.raises(ValueError, match="size must be an integer from 1 to 6"):
        densest_zone(path, lambda values: values[0] == 2, 7)


def test_classes_are_compared_with_the_difference_of_two_models():
    y = ["a", "a", "b", "c"]
    scores = {"net": land_cover_scores(y, y), "rf": land_cover_scores(y, ["a", "b", "b", "c"])}
    ax = plot_per_class(scores, score="recall", title="recall")
    assert texts(ax.texts) == ["net - rf", "+0.50", "0.00", "0.00"]
    assert texts(ax.get_yticklabels()) == ["a", "b", "c"]
    np.testing.assert_allclose(ax.collections[2].get_offsets()[:, 0], [0.5, 1, 1])
    assert not plot_per_class({"net": scores["net"]}).texts
    means = {name: part.per_class.add(0) for name, part in scores.items()}
    assert texts(plot_per_class(means).texts)[0] == "net - rf"
    with pytest.raises(ValueError, match="scores must be of the same classes"):
        plot_per_class({"net": scores["net"], "rf": land_cover_scores(["a"], ["a"])})
    with pytest.raises(ValueError, match="one model or more"):
        plot_per_class({})


@pytest.fixture
def fits():
    rng = np.random.default_rng(0)
    rows = [(m, n, s) for m in ("network", "forest", "SVM") for n in (5, 20, 80) for s in rng.random(4)]
    table = pd.DataFrame(rows, columns=["model", "n_objects", "accuracy"])
    return table.assign(fit_seconds=table["n_objects"] * 2.0)


def test_a_learning_curve_has_means_and_bands_of_one_deviation(fits):
    ax = plot_learning_curve(fits)
    assert texts(ax.get_legend().get_texts()) == ["network", "forest", "SVM"]
    first = fits[(fits["model"] == "network") & (fits["n_objects"] == 20)]["accuracy"]
    assert ax.lines[0].get_ydata()[1] == pytest.approx(first.mean())
    band = ax.collections[0].get_paths()[0].vertices
    heights = band[np.isclose(band[:, 0], 20), 1]
    assert heights.max() == pytest.approx(first.mean() + first.std())
    assert heights.min() == pytest.approx(first.mean() - first.std())
    assert texts(ax.get_xticklabels()) == ["5", "20", "80"] and ax.get_xlabel() == "training objects"


def test_models_differ_in_colour_mark_and_line_so_that_no_colour_is_needed(fits):
    lines = plot_learning_curve(fits).lines
    for look in ("get_color", "get_marker", "get_linestyle"):
        assert len({getattr(line, look)() for line in lines}) == 3, look
    lightness = [matplotlib.colors.to_rgb(c) @ np.array([0.2126, 0.7152, 0.0722]) for c in COLORS[:3]]
    assert np.abs(np.subtract.outer(lightness, lightness))[np.triu_indices(3, 1)].min() > 0.15


def test_time_and_accuracy_are_points_on_a_logarithmic_scale(fits):
    ax = plot_time_accuracy(fits[fits["n_objects"] == 20], y="accuracy")
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "seconds to fit"
    assert ax.lines[0].get_xdata()[0] == 40
    for table, message in ((fits.drop(columns="model"), "lacks"), (fits.assign(fit_seconds=0), "positive")):
        with pytest.raises(ValueError, match=message):
            plot_time_accuracy(table)


def test_figures_draw_into_given_axes_and_leave_the_style_of_others_alone(fits):
    before = matplotlib.rcParams["font.size"]
    for draw in (plot_learning_curve, plot_time_accuracy):
        _, ax = pyplot.subplots()
        assert draw(fits, ax=ax) is ax
    assert matplotlib.rcParams["font.size"] == before != 9


@pytest.mark.parametrize("n_classes", [1, 13, 40])
def test_words_of_few_and_of_many_classes_lie_within_the_figure_and_apart(n_classes):
    names = [f"class of number {k:02d}" for k in range(n_classes)]
    y = np.repeat(names, 3)
    scores = land_cover_scores(y, np.roll(y, 1))
    for ax in (plot_confusion(scores.confusion), plot_per_class({"network": scores, "forest": scores})):
        ax.figure.draw_without_rendering()
        page, boxes = ax.figure.bbox, [label.get_window_extent() for label in ax.get_yticklabels()]
        middles = sorted(box.y0 + box.height / 2 for box in boxes)
        assert all(np.diff(middles) > 0.9 * boxes[0].height)
        if ax.get_legend():
            boxes.append(ax.get_legend().get_window_extent())
        for box in boxes:
            assert box.x0 >= page.x0 - 1 and box.y0 >= page.y0 - 1
            assert box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1


def test_maps_that_are_shifted_by_a_pixel_are_not_compared(tmp_path):
    codes = np.ones((20, 20), int)
    first = write_class_map(tmp_path / "a.tif", codes)
    moved = write_class_map(tmp_path / "b.tif", codes, origin=(320000, 7690010))
    with pytest.raises(ValueError, match="must have the same grid"):
        plot_where_right(first, first, moved)


def test_a_class_has_one_colour_in_a_pair_of_maps_and_no_other_class_has_it(tmp_path):
    codes = np.repeat([[1, 2]], 10, axis=0).repeat(5, axis=1)
    first = write_class_map(tmp_path / "a.tif", codes, {1: "a", 2: "b"}, {1: (255, 0, 0), 2: (0, 0, 255)})
    second = write_class_map(tmp_path / "b.tif", codes, {1: "b", 2: "c"}, {1: (255, 0, 0), 2: (0, 0, 255)})
    left, right = plot_map_pair(first, second)
    patches = {
        text.get_text(): patch.get_facecolor()[:3]
        for text, patch in zip(right.get_legend().get_texts(), right.get_legend().get_patches(), strict=True)
    }
    assert len(set(patches.values())) == 3
    for ax, names in ((left, "ab"), (right, "bc")):
        image = ax.images[0].get_array()
        for column, name in ((0, names[0]), (-1, names[1])):
            assert tuple(image[0, column][:3]) == pytest.approx(patches[name])


def test_degrees_are_drawn_as_they_lie_on_the_ground(tmp_path):
    path = tmp_path / "degrees.tif"
    write_class_map(path, np.ones((20, 20), int), crs="EPSG:4326", pixel=0.01)  # at 60 degrees north
    assert plot_class_map(path).get_aspect() == pytest.approx(2, rel=0.01)
    mercator = tmp_path / "mercator.tif"
    write_class_map(
        mercator, np.ones((20, 20), int), crs="EPSG:3857", origin=(0, 8_399_738)
    )  # 60 degrees too
    assert ClassMap.read(mercator).metres == pytest.approx(0.5, rel=0.01)


def test_a_dollar_in_the_name_of_a_class_is_a_dollar(tmp_path):
    y = np.array(["a $\\x$", "b"])
    ax = plot_confusion(land_cover_scores(y, y).confusion)
    ax.figure.canvas.draw()
    assert y[0] in [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.parametrize(
    ("draw", "given", "message"),
    [
        (plot_confusion, np.eye(3), "confusion must be a DataFrame, as .*confusion gives it; got ndarray"),
        (plot_confusion, land_cover_scores([1, 2], [1, 2]), "must be a DataFrame, .*got LandCoverScores"),
        (plot_per_class, land_cover_scores([1, 2], [1, 2]), "scores must be a dict by name of the model"),
        (plot_attention, {"ts": np.eye(3)}, "table must be a DataFrame, as attention_by_class gives it"),
    ],
    ids=["array", "scores", "one model", "weights"],
)
def test_what_is_no_table_is_refused(draw, given, message):
    with pytest.raises(TypeError, match=message):
        draw(given)
