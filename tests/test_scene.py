import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio.shutil
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rasters import ORIGIN, coded, folder, write
from rasterio.windows import Window

from m3fusion_sk import MultiSource
from m3fusion_sk.mapping import PatchRaster, Scene, SeriesRaster, VectorRaster
from m3fusion_sk.patchview import PatchView

EXAMPLES = 500 if os.environ.get("M3FUSION_SOAK") else 50
HEIGHT, WIDTH = 12, 15


def write_scene(place, nodata_pixels=()):
    """Series at 10 m, image at 2 m over a part of it, and terrain at 30 m, all with coded values."""
    terrain = coded(1, 4, 5)
    for pixel in nodata_pixels:
        terrain[0, *pixel] = -1
    return Scene(
        {
            "s2": SeriesRaster(write(place / "s2.tif", coded(6, HEIGHT, WIDTH, "uint16")), n_bands=2),
            "spot": PatchRaster(write(place / "spot.tif", coded(2, 60, 75, "uint16"), pixel=2), size=5),
            "terrain": VectorRaster(write(place / "terrain.tif", terrain, pixel=30, nodata=-1)),
        },
        grid="s2",
    )


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path)


def polygons(*shapes, crs="EPSG:32631", **fields):
    """A layer from shapes in (column, row) coordinates of the grid."""
    to_map = lambda xy: xy * (10, -10) + ORIGIN  # noqa: E731
    return geopandas.GeoDataFrame(fields, geometry=[shapely.transform(s, to_map) for s in shapes], crs=crs)


# ----- reading


def test_a_window_gives_its_pixels_row_by_row(scene):
    X = scene.read(Window(col_off=3, row_off=2, width=4, height=5))
    assert isinstance(X, MultiSource)
    assert X.shape == (20, 6 + 50 + 1)
    assert scene.specs == X.specs
    assert {name: X.values_of(name).dtype for name in X.names} == scene.dtypes
    series = coded(6, HEIGHT, WIDTH, "uint16").reshape(3, 2, HEIGHT, WIDTH)
    np.testing.assert_array_equal(X["s2"], series[..., 2:7, 3:7].reshape(3, 2, 20).transpose(2, 0, 1))
    np.testing.assert_array_equal(
        X["terrain"][:, 0], coded(1, 4, 5)[0].repeat(3, 0).repeat(3, 1)[2:7, 3:7].flat
    )


def test_patches_of_a_window_are_one_view_of_a_block(scene):
    X = scene.read(Window(0, 0, WIDTH, HEIGHT))
    assert isinstance(X.values_of("spot"), PatchView)
    image = coded(2, 60, 75, "uint16")
    np.testing.assert_array_equal(X["spot"][0], image[:, :5, :5])
    np.testing.assert_array_equal(X["spot"][WIDTH + 1], image[:, 5:10, 5:10])


def test_extract_takes_pixels_in_any_order(scene):
    rows, cols = np.array([11, 0, 5, 5]), np.array([0, 14, 7, 7])
    X, valid = scene.extract(rows, cols)
    assert valid.all()
    whole = scene.read(Window(0, 0, WIDTH, HEIGHT))[rows * WIDTH + cols]
    for name in X.names:
        np.testing.assert_array_equal(X[name], whole.gather(name))


def test_any_source_may_be_the_grid(tmp_path, scene):
    for name, shape in {"spot": (60, 75), "terrain": (4, 5)}.items():
        other = Scene(scene.sources, grid=name)
        assert other.shape == shape
        assert len(other.read(Window(0, 0, 4, 3))) == 12


def test_pixels_beyond_a_source_or_without_data_are_not_valid(tmp_path):
    scene = write_scene(tmp_path, nodata_pixels=[(0, 1)])
    _, valid = scene.extract(*scene.pixels(Window(0, 0, WIDTH, HEIGHT)))
    expected = np.ones((HEIGHT, WIDTH), bool)
    expected[:3, 3:6] = False
    np.testing.assert_array_equal(valid.reshape(HEIGHT, WIDTH), expected)
    small = write(tmp_path / "small.tif", coded(1, 10, 10), pixel=2, origin=(ORIGIN[0] + 20, ORIGIN[1] - 10))
    part = Scene({**scene.sources, "small": PatchRaster(small, size=5)}, grid="s2")
    X, valid = part.extract(*part.pixels(Window(0, 0, WIDTH, HEIGHT)))
    expected[:] = False
    expected[1:3, 2:4] = True
    expected[:3, 3:6] = False
    np.testing.assert_array_equal(valid.reshape(HEIGHT, WIDTH), expected)
    assert len(X["small"]) == HEIGHT * WIDTH
    X, valid = part.extract(*part.pixels(Window(10, 8, 3, 3)))
    assert not valid.any()
    assert (np.asarray(X["small"]) == 0).all()


def test_a_scene_goes_to_other_processes(scene):
    again = pickle.loads(pickle.dumps(scene))
    window = Window(2, 1, 5, 5)
    np.testing.assert_array_equal(np.asarray(again.read(window)), np.asarray(scene.read(window)))


@pytest.mark.parametrize(
    "window",
    [
        Window(0, 0, 16, 1),
        Window(-1, 0, 2, 2),
        Window(0, 11, 2, 2),
        Window(0, 0, 0, 2),
        Window(0.5, 0, 2, 2),
        Window(np.nan, 0, 2, 2),
        Window(0, 0, np.inf, 2),
    ],
)
def test_windows_must_hold_whole_pixels_of_the_grid(scene, window):
    with pytest.raises(ValueError, match="which has 12 rows and 15 columns; got rows"):
        scene.read(window)


@pytest.mark.parametrize("window", [((0, 2), (0, 2)), None, (slice(0, 2), slice(0, 2)), 3])
def test_a_window_is_a_window(scene, window):
    with pytest.raises(TypeError, match=r"A window must be a rasterio.windows.Window, such as .*; got"):
        scene.read(window)


@pytest.mark.parametrize(
    ("rows", "cols"), [([], []), ([1, 2], [1]), ([[1]], [[1]]), (1, 1), ([0.5], [0]), ([True], [False])]
)
def test_pixels_are_one_row_and_one_column_each(scene, rows, cols):
    with pytest.raises(ValueError, match=r"rows and cols must be .* one pixel at least; got shapes"):
        scene.extract(rows, cols)


def test_a_scene_says_what_it_holds(scene):
    words = "12 x 15 pixels, s2: series (3, 2), spot: patch (2, 5, 5), terrain: vector (1,)"
    assert repr(scene) == f"Scene({words})"
    assert [Path(path).name for path in scene.paths] == ["s2.tif", "spot.tif", "terrain.tif"]


def test_sources_must_be_described_and_one_must_be_the_grid(scene):
    with pytest.raises(ValueError, match=r"grid must name one of the sources \['s2', 'spot', .*; got 's3'"):
        Scene(scene.sources, grid="s3")
    for sources in ({}, None, ["s2.tif"]):
        with pytest.raises(TypeError, match="Scene needs a dict of sources by name"):
            Scene(sources, grid="s2")
    with pytest.raises(TypeError, match="Source 's2' must be a SeriesRaster, a PatchRaster, a VectorRaster"):
        Scene({"s2": "s2.tif"}, grid="s2")
    with pytest.raises(TypeError, match="Names of sources must be non-empty strings; got 3"):
        Scene({3: scene.sources["s2"]}, grid=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crs": "EPSG:32632"}, "bad.tif must have the reference system of .*s2.tif"),
        (
            {"origin": (ORIGIN[0] + 5, ORIGIN[1])},
            "bad.tif must share pixel edges with .*s2.tif.*0.500 columns",
        ),
        ({"pixel": 7}, "bad.tif must have pixels that nest in those of .*s2.tif.*1.42857"),
        ({"origin": (ORIGIN[0] + 1000, ORIGIN[1])}, "bad.tif must overlap .*s2.tif"),
    ],
)
def test_grids_that_do_not_fit_are_refused_with_both_files(tmp_path, scene, change, words):
    path = write(tmp_path / "bad.tif", coded(1, 12, 15), **change)
    with pytest.raises(ValueError, match=words):
        Scene({**scene.sources, "bad": VectorRaster(path)}, grid="s2")


def test_sources_that_only_overlap_the_grid_apart_are_refused(tmp_path, scene):
    left = VectorRaster(write(tmp_path / "left.tif", coded(1, 12, 3)))
    right = write(tmp_path / "right.tif", coded(1, 12, 3), origin=(ORIGIN[0] + 100, ORIGIN[1]))
    with pytest.raises(ValueError, match=r"must have a part of the grid in common.*left.tif.*right.tif"):
        Scene({**scene.sources, "left": left, "right": VectorRaster(right)}, grid="s2")


# ----- sampling


@st.composite
def layers(draw):
    """Random triangles, some of them overlapping or outside, none with a pixel centre on an edge."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 6))
    corners = rng.uniform(-6, 20, (n, 3, 2)) + 1e-4
    return [shapely.Polygon(c) for c in corners]


@settings(max_examples=EXAMPLES, deadline=None)
@given(shapes=layers(), block_size=st.integers(1, 20))
def test_samples_are_the_pixels_whose_centre_lies_inside(shapes, block_size):
    rows, cols = np.indices((HEIGHT, WIDTH))
    inside = np.array([shapely.contains_xy(s, cols + 0.5, rows + 0.5) for s in shapes])
    owner = len(shapes) - 1 - inside[::-1].argmax(axis=0)
    with folder() as place:
        scene = write_scene(place, nodata_pixels=[(1, 2)])
        X, valid = scene.extract(rows.ravel(), cols.ravel())
        wanted = inside.any(axis=0) & valid.reshape(HEIGHT, WIDTH)
        layer = polygons(*shapes, label=np.arange(len(shapes)) + 100)
        if not wanted.any():
            with pytest.raises(ValueError, match="none is left"):
                scene.sample(layer, "label", block_size=block_size)
            return
        samples = scene.sample(layer, "label", block_size=block_size)
    np.testing.assert_array_equal(samples.rows, rows[wanted])
    np.testing.assert_array_equal(samples.cols, cols[wanted])
    np.testing.assert_array_equal(samples.y, owner[wanted] + 100)
    np.testing.assert_array_equal(samples.groups, owner[wanted])
    for name in X.names:
        np.testing.assert_array_equal(samples.X[name], X.gather(name)[wanted.ravel()], strict=True)
    report = samples.report
    assert report["pixels"] == wanted.sum() == len(samples)
    assert report["overlapping_pixels"] == (inside.sum(axis=0) > 1).sum()
    assert report["nodata_pixels"] == inside.any(axis=0).sum() - wanted.sum()
    assert report["kept"] == len(np.unique(owner[wanted]))
    lost = ("missing_label", "missing_group", "outside", "empty", "nodata_objects")
    assert report["objects"] == len(shapes) == report["kept"] + sum(report[reason] for reason in lost)


@pytest.mark.parametrize("blank", ["", "  ", "\t", None, np.nan])
def test_blank_labels_and_objects_are_none(tmp_path, blank):
    scene = write_scene(tmp_path)
    layer = polygons(box(0, 0, 2, 2), box(5, 5, 7, 7), landcover=["a", blank], farm=["x", "y"])
    assert scene.sample(layer, "landcover").report["missing_label"] == 1
    layer = polygons(box(0, 0, 2, 2), box(5, 5, 7, 7), landcover=["a", "b "], farm=["x", blank])
    samples = scene.sample(layer, "landcover", group="farm")
    assert samples.report["missing_group"] == 1 and set(samples.y) == {"a"}
    layer = polygons(
        *[box(i, 0, i + 2, 2) for i in (0, 3, 5)], landcover=["a", blank, blank], farm=list("xy") + [blank]
    )
    samples = scene.sample(layer, "landcover", group="farm")
    assert samples.dropped == {1: "missing_label", 2: "missing_label"} and not samples.report["missing_group"]


def test_collections_of_polygons_are_polygons(tmp_path):
    scene, parts = write_scene(tmp_path), [box(0, 0, 2, 2), box(5, 5, 7, 7)]
    samples = scene.sample(polygons(shapely.GeometryCollection(parts), landcover=["a"]), "landcover")
    assert len(samples) == 8 and samples.report["kept"] == 1
    with_line = shapely.GeometryCollection([*parts, shapely.LineString([(0, 0), (5, 5)])])
    with pytest.raises(ValueError, match="must hold polygons or points; got GeometryCollection"):
        scene.sample(polygons(with_line, landcover=["a"]), "landcover")


@settings(max_examples=EXAMPLES, deadline=None)
@given(places=st.lists(st.tuples(st.floats(-3, WIDTH + 3), st.floats(-3, HEIGHT + 3)), min_size=1))
def test_points_give_the_pixels_that_hold_them(places):
    """Each is what a square with the edges of its pixel is; on an edge the lower or right one."""
    places = np.round(places, 3) + 0.0
    corners = np.floor(places)
    squares = [shapely.box(col, row, col + 1, row + 1) for col, row in corners]
    with folder() as place:
        scene = write_scene(place, nodata_pixels=[(1, 2)])
        results = []
        for shapes in (shapely.points(places), squares):
            try:
                results.append(scene.sample(polygons(*shapes, y=range(len(shapes))), "y"))
            except ValueError as error:
                assert "none is left" in str(error)
                results.append(None)
    points, pixels = results
    if points is None or pixels is None:
        assert points is pixels
        return
    for part in ("y", "groups", "rows", "cols"):
        np.testing.assert_array_equal(getattr(points, part), getattr(pixels, part))
    reasons = ("missing_label", "nodata_objects", "kept", "pixels", "nodata_pixels", "overlapping_pixels")
    assert [points.report[why] for why in reasons] == [pixels.report[why] for why in reasons]


def test_points_and_polygons_may_be_one_layer(tmp_path):
    layer = polygons(
        shapely.Point(3.5, 4.5),
        box(3, 4, 5, 6),  # takes the pixel of the point before
        shapely.Point(4.99, 5.01),  # and the next one of its
        shapely.MultiPoint([(0.1, 0.1), (0.9, 0.2), (7.5, 2.5), (-4, 2), (40, 2)]),
        shapely.Point(30, 30),
        shapely.Point(),
        shapely.Point(WIDTH, 0.5),  # on the outer edge
        y=list("abcdefg"),
    )
    samples = write_scene(tmp_path).sample(layer, "y")
    pixels = zip(samples.rows.tolist(), samples.cols.tolist(), samples.y.tolist(), strict=True)
    assert set(pixels) == {(4, 3, "b"), (4, 4, "b"), (5, 3, "b"), (5, 4, "c"), (0, 0, "d"), (2, 7, "d")}
    assert samples.dropped == {0: "empty", 4: "outside", 5: "empty", 6: "outside"}
    with pytest.raises(ValueError, match="inside='whole' is for polygons; the GeoDataFrame has points"):
        write_scene(tmp_path).sample(layer, "y", inside="whole")


def test_of_groups_of_points_those_in_the_image_count(tmp_path):
    inside = (3.5, 4.5)
    layer = polygons(
        shapely.MultiPoint([inside, (np.inf, 0)]),
        shapely.MultiPoint([(7.5, 2.5), (1e300, 3)]),
        shapely.MultiPoint([(np.inf, 0), (0, np.inf)]),
        shapely.GeometryCollection([shapely.Point(8.5, 9.5), shapely.Point(1.5, 1.5)]),
        shapely.GeometryCollection(),
        shapely.LineString(),
        y=list("abcdef"),
    )
    samples = write_scene(tmp_path).sample(layer, "y")
    pixels = zip(samples.rows.tolist(), samples.cols.tolist(), samples.y.tolist(), strict=True)
    assert set(pixels) == {(4, 3, "a"), (2, 7, "b"), (9, 8, "d"), (1, 1, "d")}
    assert samples.dropped == {2: "outside", 4: "empty", 5: "empty"}


def test_what_lies_elsewhere_is_told_with_its_place(tmp_path):
    layer = polygons(shapely.Point(600, 300), shapely.Point(601, 300), y=[1, 2])
    expected = (
        r"the GeoDataFrame, which covers x and y from \(506000.0, .*\) to \(506010.0, .*the grid covers x"
    )
    with pytest.raises(ValueError, match=expected):
        write_scene(tmp_path).sample(layer, "y")


def test_a_table_of_coordinates_is_told_how_to_become_a_layer(tmp_path):
    table = pd.DataFrame({"lon": [3.0], "lat": [50.8], "y": [1]})
    with pytest.raises(
        TypeError, match=r"got DataFrame\. Make a layer .*points_from_xy\(table.lon, table.lat\)"
    ):
        write_scene(tmp_path).sample(table, "y")


def test_points_come_from_files_in_other_reference_systems(tmp_path):
    scene, layer = write_scene(tmp_path), polygons(*shapely.points([(1.5, 2.5), (7.5, 3.5)]), y=[5, 6])
    for name in ("points.gpkg", "points.shp", "points.geojson"):
        layer.to_crs("EPSG:4326").to_file(tmp_path / name)
        samples = scene.sample(tmp_path / name, "y")
        assert samples.rows.tolist() == [2, 3] and samples.cols.tolist() == [1, 7]
        assert samples.y.tolist() == [5, 6] and samples.report["kept"] == 2


def test_fields_of_one_name_are_refused(tmp_path):
    layer = polygons(box(0, 0, 2, 2), landcover=["a"], other=["b"])
    layer.columns = ["landcover", "landcover", "geometry"]
    with pytest.raises(ValueError, match=r"must have one field 'landcover'; .* Rename the others"):
        write_scene(tmp_path).sample(layer, "landcover")


def box(*corners):
    return shapely.box(*corners)


def test_the_report_counts_why_objects_are_dropped(tmp_path):
    scene = write_scene(tmp_path, nodata_pixels=[(0, 0)])
    layer = polygons(
        box(0, 0, 2, 2),  # nodata
        box(5, 5, 7, 7),
        box(6, 6, 9, 8),  # takes a pixel from the one before
        box(30, 0, 35, 5),  # outside
        box(10.6, 3, 11.4, 4),  # holds no centre
        box(10, 10, 11, 11),  # no label
        box(12, 9, 13, 10),  # taken by the next
        box(11, 8, 14, 11),
        shapely.Polygon(),
        landcover=["a", "b", "a", "b", "b", None, "b", "c", "c"],
    )
    samples = scene.sample(layer, "landcover")
    assert samples.report == {
        "objects": 9,
        "missing_label": 1,
        "missing_group": 0,
        "outside": 1,
        "empty": 3,
        "nodata_objects": 1,
        "kept": 3,
        "pixels": 18,
        "nodata_pixels": 4,
        "overlapping_pixels": 2,
        "thinned_pixels": 0,
    }
    assert samples.dropped == {
        0: "nodata_objects",
        3: "outside",
        4: "empty",
        5: "missing_label",
        6: "empty",
        8: "empty",
    }
    assert samples.y.dtype.kind == "U"
    assert dict(zip(*np.unique(samples.groups, return_counts=True), strict=True)) == {1: 3, 2: 6, 7: 9}
    assert repr(samples) == "Samples(18 of 3 objects, 3 classes)"


def test_polygons_that_meet_at_pixel_centres_share_the_pixels_without_loss(scene):
    halves = polygons(box(0, 0, 7.5, 12), box(7.5, 0, 15, 5.5), box(7.5, 5.5, 15, 12), y=[1, 2, 3])
    samples = scene.sample(halves, "y")
    assert len(samples) == HEIGHT * WIDTH
    assert samples.report["overlapping_pixels"] == 0


def test_labels_are_plain_text_or_integers(scene):
    shapes = [box(0, 0, 2, 2), box(4, 4, 6, 6)]
    for labels, expected in [
        (["forest", "water"], np.array(["forest", "water"])),
        (pd.Categorical(["forest", "water"]), np.array(["forest", "water"])),
        (pd.array(["forest", "water"], "string"), np.array(["forest", "water"])),
        (np.array([3, 1], "int32"), np.array([3, 1], "int32")),
        ([3.0, 1.0], np.array([3, 1])),
        (pd.array([3, 1], "Int64"), np.array([3, 1])),
        ([True, False], np.array([True, False])),
    ]:
        y = scene.sample(polygons(*shapes, y=labels), "y").y
        np.testing.assert_array_equal(y[[0, -1]], expected, strict=True)
    with_gap = polygons(*shapes, box(8, 8, 9, 9), y=pd.array([3, None, 1], "Int64"))
    samples = scene.sample(with_gap, "y")
    np.testing.assert_array_equal(np.unique(samples.y), [1, 3])
    assert samples.y.dtype == np.int64
    with pytest.raises(ValueError, match="field 'y' must hold text or integers, not both"):
        scene.sample(polygons(*shapes, y=[1, "forest"]), "y")


@pytest.mark.parametrize(
    "labels",
    [[1.5, 2], [1e300, 2], pd.to_datetime(["2018-01-01", "2018-01-02"]), [(1, 2), (3, 4)], [b"a", b"b"]],
    ids=repr,
)
def test_other_labels_are_refused(scene, labels):
    layer = polygons(box(0, 0, 2, 2), box(4, 4, 6, 6), y=labels, ok=[1, 2])
    words = r"The field 'y' must hold text or integers, not .*polygons\['y'\].astype\(str\)"
    with pytest.raises(ValueError, match=words):
        scene.sample(layer, "y")
    with pytest.raises(ValueError, match=words):
        scene.sample(layer, "ok", group="y")


@pytest.mark.parametrize(
    "labels", [[3, np.inf, np.nan, -np.inf], ["lake", "", None, ""], pd.Categorical(["lake", "", None, ""])]
)
def test_infinity_and_empty_text_are_missing_labels(scene, labels):
    layer = polygons(*(box(i, 0, i + 1, 1) for i in range(4)), y=labels, ok=[1, 2, 3, 4])
    samples = scene.sample(layer, "y")
    assert samples.y.tolist() == labels[:1]
    assert samples.report["missing_label"] == 3
    assert scene.sample(layer, "ok", group="y").groups.tolist() == labels[:1]


def test_classes_that_are_one_but_for_their_spelling_are_told(scene):
    names = ["Wheat", "wheat", "maize", "None"]
    layer = polygons(*(box(i, 0, i + 1, 1) for i in range(4)), y=names, code=[1, 2, 3, 4])
    with pytest.warns(UserWarning, match=r"label has the classes \['None', 'Wheat', 'wheat'\]: they differ"):
        samples = scene.sample(layer, "y")
    assert sorted(samples.y) == sorted(names)  # they are the user's to join
    scene.sample(layer, "code", group="y")


def test_groups_come_from_a_field_or_from_the_position(scene):
    layer = polygons(box(0, 0, 2, 2), box(4, 4, 6, 6), box(8, 8, 10, 10), y=[1, 2, 3], farm=["a", "b", "a"])
    for index in ([30, 20, 10], [7, 7, 7], ["b", "b", None]):
        layer.index = index
        assert scene.sample(layer, "y").groups.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    unnamed = layer.assign(y=[1, None, 3])
    assert scene.sample(unnamed, "y").groups.tolist() == [0] * 4 + [2] * 4
    layer.index = [30, 20, 10]
    assert scene.sample(layer, "y", group="farm").groups.tolist() == ["a"] * 4 + ["b"] * 4 + ["a"] * 4
    layer.loc[20, "farm"] = None
    samples = scene.sample(layer, "y", group="farm")
    assert samples.y.tolist() == [1] * 4 + [3] * 4
    assert samples.dropped == {1: "missing_group"}


def test_samples_follow_the_grid_whatever_the_order_of_the_polygons(scene):
    layer = polygons(box(4, 4, 6, 6), box(0, 5, 2, 7), box(8, 0, 10, 2), y=[1, 2, 3])
    forward, backward = scene.sample(layer, "y"), scene.sample(layer[::-1], "y")
    np.testing.assert_array_equal(np.diff(forward.rows * WIDTH + forward.cols) > 0, True)
    for name in ("rows", "cols", "y"):
        np.testing.assert_array_equal(getattr(forward, name), getattr(backward, name))
    np.testing.assert_array_equal(forward.groups, 2 - backward.groups)


@pytest.mark.parametrize("name", ["layer.gpkg", "layer.geojson", "layer.shp"])
def test_layers_in_files_and_other_reference_systems_are_reprojected(scene, tmp_path, name):
    layer = polygons(box(1.2, 1.2, 5.8, 4.8), box(7.2, 6.2, 11.8, 9.8), y=[1, 2])
    layer.to_crs("EPSG:4326").to_file(tmp_path / name)
    samples = scene.sample(tmp_path / name, "y")
    expected = scene.sample(layer, "y")
    np.testing.assert_array_equal(samples.rows, expected.rows)
    np.testing.assert_array_equal(samples.cols, expected.cols)
    np.testing.assert_array_equal(samples.y, expected.y)


def test_samples_are_in_memory_and_their_own(scene):
    samples = scene.sample(polygons(box(0, 0, 3, 3), y=[1]), "y")
    assert samples.X.values_of("spot").shape == (9, 2, 5, 5)
    assert samples.X.values_of("spot").dtype == np.uint16


def test_a_field_that_is_not_there_is_an_error_that_lists_those_that_are(scene, tmp_path):
    layer = polygons(box(0, 0, 3, 3), cover=[1], farm=[1])
    with pytest.raises(
        ValueError, match=r"must have the field 'class'; the GeoDataFrame has \['cover', 'farm'\]"
    ):
        scene.sample(layer, label="class")
    layer.to_file(tmp_path / "layer.gpkg")
    with pytest.raises(ValueError, match=r"field 'object_id'; .*layer.gpkg has \['cover', 'farm'\]"):
        scene.sample(tmp_path / "layer.gpkg", label="cover", group="object_id")


def test_no_sample_left_is_an_error_with_the_counts(scene):
    with pytest.raises(ValueError, match=r"none is left of 2 objects.*'outside': 1, .*'empty': 1"):
        scene.sample(polygons(box(40, 0, 45, 5), box(0, 0, 0.4, 0.4), y=[1, 2]), "y")
    with pytest.raises(ValueError, match=r"none is left of 0 objects"):
        scene.sample(polygons(y=[]), "y")


def test_layers_that_are_no_polygons_or_points_are_refused(scene, tmp_path):
    lines = polygons(shapely.Point(1, 1), shapely.LineString([(0, 0), (1, 1)]), y=[1, 2])
    with pytest.raises(ValueError, match=r"polygons or points; got LineString from the GeoDataFrame\. Take"):
        scene.sample(lines, "y")
    with pytest.raises(ValueError, match=r"system, or neither; the GeoDataFrame has none.*\.set_crs\("):
        scene.sample(polygons(box(0, 0, 3, 3), y=[1], crs=None), "y")
    with pytest.raises(OSError, match=r"must be a layer that can be read; .*missing.gpkg"):
        scene.sample(tmp_path / "missing.gpkg", "y")
    (tmp_path / "table.csv").write_text("y,area\n1,2\n")
    with pytest.raises(ValueError, match=r"with geometries; .*table.csv is a table without. Make a layer"):
        scene.sample(tmp_path / "table.csv", "y")
    with pytest.raises(TypeError, match="polygons must be a path or a GeoDataFrame; got GeoSeries"):
        scene.sample(polygons(box(0, 0, 3, 3), y=[1]).geometry, "y")
    with pytest.raises(ValueError, match="block_size must be a positive integer; got 0"):
        scene.sample(polygons(box(0, 0, 3, 3), y=[1]), "y", block_size=0)


# ----- the package


def test_without_rasterio_the_error_says_how_to_install_it():
    code = "import sys; sys.modules['rasterio'] = None; import m3fusion_sk.mapping"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "m3fusion_sk[raster]"' in run.stderr


# ----- real data


@pytest.fixture(scope="module")
def lpis():
    data = Path(os.environ.get("M3FUSION_DATA", "M3FUSION_DATA is not set"), "lpis_belgium_2018")
    if not data.is_dir():
        pytest.skip(f"needs the real data in {data}")
    dates = json.loads((data / "dates.json").read_text())
    clear = {"dates": dates["s2_dates"], "mask": data / "s2_scl.tif"}
    sources = {
        "s2_10m": SeriesRaster(data / "s2_10m.tif", n_bands=4, **clear),
        "s2_20m": SeriesRaster(data / "s2_20m.tif", n_bands=6, **clear),
        "s1": SeriesRaster(data / "s1.tif", n_bands=2, dates=dates["s1_dates"]),
    }
    return data, Scene(sources, grid="s2_10m")


def test_real_parcels_give_complete_series_of_three_sources(lpis):
    data, scene = lpis
    samples = scene.sample(data / "parcels.gpkg", label="landcover", group="object_id", block_size=20)
    assert {name: spec.shape for name, spec in samples.X.specs.items()} == {
        "s2_10m": (118, 4),
        "s2_20m": (118, 6),
        "s1": (159, 2),
    }
    parcels = geopandas.read_file(data / "parcels.gpkg").set_index("object_id")
    counts = pd.Series(samples.groups).value_counts()
    pd.testing.assert_series_equal(
        counts.sort_index(), parcels.n_pixels.sort_index(), check_names=False, check_dtype=False
    )
    assert (parcels.landcover[samples.groups].to_numpy() == samples.y).all()
    assert all(np.isfinite(values).all() for _, values in samples.X.items())


def test_real_series_are_filled_between_clear_dates_only(lpis):
    import rasterio

    data, scene = lpis
    with rasterio.open(data / "s2_20m.tif") as file:
        image = file.read().reshape(118, 6, 32, 32)
    with rasterio.open(data / "s2_scl.tif") as file:
        clear = np.isin(file.read(), (4, 5, 6, 7))
    days = np.array(json.loads((data / "dates.json").read_text())["s2_dates"], "datetime64[D]").astype(float)
    X, valid = scene.extract(*scene.pixels(Window(0, 0, 64, 64)))
    assert valid.all()
    values = X["s2_20m"].reshape(64, 64, 118, 6)
    for row, col, band in [(0, 0, 0), (63, 63, 5), (20, 41, 3), (41, 20, 2)]:
        series, known = image[:, band, row // 2, col // 2].astype(float), clear[:, row // 2, col // 2]
        known &= series != 0  # declared as nodata
        expected = np.interp(days, days[known], series[known])
        np.testing.assert_allclose(values[row, col, :, band], expected, rtol=1e-6)


# ----- more ways to sample


@pytest.mark.parametrize(
    ("name", "driver"), [("p.gpkg", "GPKG"), ("p.shp", "ESRI Shapefile"), ("p.geojson", "GeoJSON")]
)
def test_layers_of_all_formats_give_the_same_samples(scene, tmp_path, name, driver):
    layer = polygons(box(1, 1, 4, 4), box(6, 6, 9, 9), cover=["a", "b"], farm=[7, 9])
    expected = scene.sample(layer, "cover", group="farm")
    (layer.to_crs(4326) if driver == "GeoJSON" else layer).to_file(tmp_path / name, driver=driver)
    samples = scene.sample(tmp_path / name, "cover", group="farm")
    for attribute in ("y", "groups", "rows", "cols"):
        np.testing.assert_array_equal(getattr(samples, attribute), getattr(expected, attribute))


@settings(max_examples=EXAMPLES, deadline=None)
@given(shapes=layers())
def test_whole_pixels_are_those_that_a_polygon_covers(shapes):
    rows, cols = np.indices((HEIGHT, WIDTH))
    squares = shapely.box(cols, rows, cols + 1, rows + 1)
    inside = np.array([shapely.covers(s, squares) for s in shapes])
    with folder() as place:
        scene = write_scene(place)
        layer = polygons(*shapes, label=np.arange(len(shapes)))
        if not inside.any():
            with pytest.raises(ValueError, match="none is left"):
                scene.sample(layer, "label", inside="whole")
            return
        samples = scene.sample(layer, "label", inside="whole")
    np.testing.assert_array_equal(samples.rows, rows[inside.any(axis=0)])
    np.testing.assert_array_equal(samples.cols, cols[inside.any(axis=0)])
    owner = len(shapes) - 1 - inside[::-1].argmax(axis=0)
    np.testing.assert_array_equal(samples.y, owner[inside.any(axis=0)])


def test_a_pixel_on_the_edge_of_a_polygon_is_whole(scene):
    assert len(scene.sample(polygons(box(2, 2, 5, 4), y=[1]), "y", inside="whole")) == 6
    assert len(scene.sample(polygons(box(2.1, 2, 5, 4), y=[1]), "y", inside="whole")) == 4
    with pytest.raises(ValueError, match="inside must be 'centre' or 'whole'; got 'touch'"):
        scene.sample(polygons(box(2, 2, 5, 4), y=[1]), "y", inside="touch")


def test_polygons_that_cross_themselves_hold_the_pixels_of_their_parts(scene):
    bow_tie = shapely.Polygon([(0, 0), (8, 8), (8, 0), (0, 8)])
    assert not bow_tie.is_valid
    whole = scene.sample(polygons(bow_tie, y=[1]), "y", inside="whole")
    parts = scene.sample(polygons(shapely.make_valid(bow_tie), y=[1]), "y", inside="whole")
    assert len(whole) == len(parts) == 2 * (6 + 4 + 2)
    np.testing.assert_array_equal(whole.rows, parts.rows)
    np.testing.assert_array_equal(whole.cols, parts.cols)


def test_an_object_whose_pixels_are_all_thinned_does_not_lack_data(scene):
    layer = polygons(*(box(i, 0, i + 1, 3) for i in range(4)), y=[1] * 4, farm=[5] * 4)
    samples = scene.sample(layer, "y", group="farm", max_pixels=2)
    assert len(samples) == 2 and samples.report["thinned_pixels"] == 10
    assert samples.report["nodata_objects"] == samples.report["nodata_pixels"] == 0 and not samples.dropped


@pytest.mark.parametrize("name", ["./v.tif", "sub//v.tif", "./sub/./v.tif", "sub/../v.tif", "././/v.tif"])
def test_a_relative_path_may_be_written_in_any_way(tmp_path, monkeypatch, name):
    for place in (tmp_path, tmp_path / "sub"):
        place.mkdir(exist_ok=True)
        write(place / "v.tif", coded(1, 3, 4))
    monkeypatch.chdir(tmp_path)
    scene = Scene({"v": VectorRaster(name)}, grid="v")
    monkeypatch.chdir(tmp_path / "sub")  # the file stays the one that was meant
    assert scene.files() == [tmp_path / os.path.normpath(name)]
    assert len(scene.read(Window(0, 0, 4, 3))) == 12


def test_an_object_gives_at_most_so_many_pixels(tmp_path):
    scene = write_scene(tmp_path, nodata_pixels=[(0, 0)])
    layer = polygons(box(0, 0, 6, 6), box(7, 7, 8, 9), box(0, 7, 6, 12), y=[1, 2, 3])
    whole = scene.sample(layer, "y")
    samples = scene.sample(layer, "y", max_pixels=5)
    assert dict(zip(*np.unique(samples.groups, return_counts=True), strict=True)) == {0: 5, 1: 2, 2: 5}
    assert samples.report["thinned_pixels"] == len(whole) - len(samples) == 27 + 30 - 10
    assert samples.report["nodata_pixels"] == whole.report["nodata_pixels"] == 9
    among = {(row, col): i for i, (row, col) in enumerate(zip(whole.rows, whole.cols, strict=True))}
    positions = [among[pixel] for pixel in zip(samples.rows, samples.cols, strict=True)]
    assert positions == sorted(positions)
    for name in whole.X.names:
        np.testing.assert_array_equal(samples.X[name], whole.X[name][positions])
    again, other = (
        scene.sample(layer, "y", max_pixels=5),
        scene.sample(layer, "y", max_pixels=5, random_state=1),
    )
    np.testing.assert_array_equal(again.rows, samples.rows)
    assert not np.array_equal(other.rows, samples.rows)
    with pytest.raises(ValueError, match="max_pixels must be a positive integer or None; got 0"):
        scene.sample(layer, "y", max_pixels=0)


def test_an_object_of_several_polygons_gives_no_more_pixels_than_others(scene):
    layer = polygons(box(0, 0, 3, 3), box(4, 0, 7, 3), box(0, 4, 3, 7), y=[1, 1, 2], oid=[7, 7, 8])
    samples = scene.sample(layer, "y", group="oid", max_pixels=4)
    assert np.unique(samples.groups, return_counts=True)[1].tolist() == [4, 4]
    assert len(scene.sample(layer, "y", max_pixels=4)) == 12


def test_a_shapefile_that_was_cut_short_is_refused(scene, tmp_path):
    path = tmp_path / "layer.shp"
    polygons(*(box(i, 0, i + 1, 1) for i in range(4)), y=[1, 2, 1, 2]).to_file(path)
    assert len(scene.sample(path, "y")) == 4
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(OSError, match=r"layer.shp must be as long as its header says"):
        scene.sample(path, "y")


def test_what_names_no_class_of_a_label_raster_is_refused(scene, tmp_path):
    path = write(tmp_path / "labels.tif", np.ones((1, *scene.shape), "i2"))
    with pytest.raises(ValueError, match=r"from 1 since 0 means no label, .*; got \[0, -2\]"):
        scene.sample(path, {0: "land", 1: "water", -2: "ice"})
    with pytest.raises(ValueError, match=r"integers from 1 .*\{1: 'forest'\}; got \['water'\]"):
        scene.sample(path, {"water": 1})
    with pytest.raises(ValueError, match="label must have no missing values; got 1 NaN, None"):
        scene.sample(path, {1: "land", 2: None})
    with pytest.raises(ValueError, match="inside='whole' is for polygons"):
        scene.sample(path, inside="whole")


def test_labels_may_be_a_raster(scene, tmp_path):
    codes = np.zeros((1, HEIGHT, WIDTH), "uint8")
    codes[0, 1:4, 1:4], codes[0, 4:6, 4:6], codes[0, 8:10, 2:5], codes[0, 0, 10] = 3, 3, 5, 255
    path = write(tmp_path / "labels.tif", codes, nodata=255)
    samples = scene.sample(path)
    rows, cols = np.nonzero((codes[0] > 0) & (codes[0] < 255))
    np.testing.assert_array_equal(samples.rows, rows)
    np.testing.assert_array_equal(samples.cols, cols)
    np.testing.assert_array_equal(samples.y, codes[0, rows, cols])
    assert sorted(np.unique(samples.groups, return_counts=True)[1]) == [6, 13]  # corners touch
    named = scene.sample(path, {5: "rock"}, max_pixels=4)
    assert (named.y.tolist(), named.report["thinned_pixels"]) == (["rock"] * 4, 2)
    assert set(scene.sample(path, {5.0: "rock"}).y) == {"rock"}  # as tables have them
    objects = np.where(codes > 0, np.arange(WIDTH) % 2 + 40, 0).astype("uint16")
    grouped = scene.sample(path, group=write(tmp_path / "objects.tif", objects))
    np.testing.assert_array_equal(grouped.groups, cols % 2 + 40)


def test_labels_without_an_object_are_counted(scene, tmp_path):
    codes, objects = np.zeros((2, 1, HEIGHT, WIDTH), "uint8")
    codes[0, 1:4, 1:4], codes[0, 8, 2:5], objects[0, 1:4, 1:3] = 3, 5, 7
    samples = scene.sample(write(tmp_path / "l.tif", codes), group=write(tmp_path / "o.tif", objects))
    assert (samples.y.tolist(), samples.groups.tolist()) == ([3] * 6, [7] * 6)
    assert {key: samples.report[key] for key in ("objects", "kept", "missing_group", "pixels")} == {
        "objects": 3,  # that of 7, and what has none in both classes
        "kept": 1,
        "missing_group": 2,
        "pixels": 6,
    }


@pytest.mark.parametrize("driver", ["PNG", "AAIGrid"])
def test_rasters_of_labels_have_many_formats(scene, tmp_path, driver):
    path = write(tmp_path / "labels.tif", np.ones((1, HEIGHT, WIDTH), "uint8"))
    other = tmp_path / {"PNG": "labels.png", "AAIGrid": "labels.asc"}[driver]
    rasterio.shutil.copy(path, other, driver=driver)
    assert len(scene.sample(other)) == len(scene.sample(path)) == HEIGHT * WIDTH


def test_labels_may_be_a_coarser_raster(scene, tmp_path):
    codes = np.array([[[1, 0, 2], [0, 0, 0]]], "uint8")
    samples = scene.sample(write(tmp_path / "labels.tif", codes, pixel=50))
    expected = codes[0].repeat(5, 0).repeat(5, 1)[:HEIGHT, :WIDTH]
    rows, cols = np.nonzero(expected)
    np.testing.assert_array_equal(samples.y, expected[rows, cols])
    np.testing.assert_array_equal(samples.rows, rows)


def test_rasters_of_labels_must_hold_one_band_of_integers(scene, tmp_path):
    two = write(tmp_path / "two.tif", np.ones((2, HEIGHT, WIDTH), "uint8"))
    real = write(tmp_path / "real.tif", np.ones((1, HEIGHT, WIDTH), "float32"))
    for path in (two, real):
        with pytest.raises(ValueError, match="A raster of labels must have one band of integers"):
            scene.sample(path)
    assert len(scene.sample(VectorRaster(two, bands=[2]))) > 0
    with pytest.raises(TypeError, match="label must be a dict of names by code"):
        scene.sample(two, "class")
    with pytest.raises(TypeError, match="sample needs the name of the field"):
        scene.sample(tmp_path / "x.gpkg")
