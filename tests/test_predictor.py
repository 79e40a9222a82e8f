import json
import os

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rasters import ORIGIN, centre_pixel, coded, folder, nested_grids, write
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from m3fusion_sk.mapping import (
    ChunkedPredictor,
    MapNotWritten,
    PatchRaster,
    RunMismatch,
    Scene,
    SeriesRaster,
    VectorRaster,
    assembly,
    run,
)
from m3fusion_sk.mapping.legend import Legend

EXAMPLES = 500 if os.environ.get("M3FUSION_SOAK") else 50
N_CLASSES = 251


class CodeReader:
    """Says in which class a pixel is from the values of its sources alone."""

    def __init__(self, classes=range(1, N_CLASSES + 1), stop_after=None):
        self.classes_ = np.array(classes)
        self.n_calls = 0
        self.stop_after = stop_after

    def content_hash(self):
        return str(self.classes_.tolist())

    def class_of(self, X):
        code = np.zeros(len(X), np.int64)
        for name in X.names:
            values = np.asarray(X[name]).reshape(len(X), -1).astype(np.int64)
            code += values @ (np.arange(values.shape[1]) * 7 + 1)
        return code % len(self.classes_)

    def predict_proba(self, X):
        if self.n_calls == self.stop_after:
            raise RuntimeError("stopped")
        self.n_calls += 1
        return np.eye(len(self.classes_))[self.class_of(X)]


def read_map(path):
    with rasterio.open(path) as file:
        return file.read(1)


def write_scene(place, height=13, width=17):
    """Series at 10 m, image at 2 m and terrain at 30 m, which has no data in one pixel."""
    terrain = coded(1, -(-height // 3), -(-width // 3))
    terrain[0, 1, 1] = -1
    image = coded(2, height * 5, width * 5, "uint16")
    return Scene(
        {
            "s2": SeriesRaster(write(place / "s2.tif", coded(6, height, width, "uint16")), n_bands=2),
            "spot": PatchRaster(write(place / "spot.tif", image, pixel=2), size=5),
            "terrain": VectorRaster(write(place / "terrain.tif", terrain, pixel=30, nodata=-1)),
        },
        grid="s2",
    )


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path)


# ----- every pixel in its place


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    image_case=nested_grids(),
    chunk_size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    size=st.integers(1, 9),
    ratio=st.integers(1, 10),
    shift=st.integers(0, 9),
)
def test_every_pixel_is_in_its_place(image_case, chunk_size, size, ratio, shift):
    target, fine = image_case["target"], image_case["source"]
    height, width = target["shape"]
    pixel, (x, y) = target["pixel"], target["origin"]
    terrain_case = {
        "target": target,
        "source": {
            "shape": (height // ratio + 2, width // ratio + 2),
            "pixel": pixel * ratio,
            "origin": (x - pixel * min(shift, ratio - 1), y + pixel * (ratio - 1 - min(shift, ratio - 1))),
        },
    }
    series, image = coded(4, height, width), coded(2, *fine["shape"])
    terrain = coded(1, *terrain_case["source"]["shape"])
    estimator = CodeReader()
    with folder() as place:
        coarse = terrain_case["source"]
        sources = {
            "s2": SeriesRaster(write(place / "a.tif", series, pixel, target["origin"]), n_bands=2),
            "spot": PatchRaster(write(place / "b.tif", image, fine["pixel"], fine["origin"]), size=size),
            "dem": VectorRaster(write(place / "c.tif", terrain, coarse["pixel"], coarse["origin"])),
        }
        path = ChunkedPredictor(estimator, chunk_size).predict(Scene(sources, grid="s2"), place / "map.tif")
        codes = read_map(path)
    padded = np.pad(image, [(0, 0), (size, size), (size, size)], mode="reflect")
    weights = np.arange(1000) * 7 + 1
    for row, col in np.ndindex(height, width):
        centre = centre_pixel(image_case, row, col)
        if centre is None:
            assert codes[row, col] == 0
            continue
        top, left = (c - size // 2 + size for c in centre)
        patch = padded[:, top : top + size, left : left + size].ravel()
        total = int(series[:, row, col] @ weights[:4]) + int(patch @ weights[: patch.size])
        total += int(terrain[0, *centre_pixel(terrain_case, row, col)])
        assert codes[row, col] == total % N_CLASSES + 1


CHUNKS = [256, 1, 7, (1, 17), (13, 1), (5, 3), (11, 13), (64, 2), (13, 17), (2, 1000)]


def test_the_map_does_not_depend_on_the_chunks(scene, tmp_path):
    estimator = CodeReader()
    maps = [
        read_map(ChunkedPredictor(estimator, size).predict(scene, tmp_path / f"{i}.tif"))
        for i, size in enumerate(CHUNKS)
    ]
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])
    expected = np.zeros((13, 17), bool)
    expected[3:6, 3:6] = True
    np.testing.assert_array_equal(maps[0] == 0, expected)


def test_the_map_is_what_the_estimator_predicts_on_samples(scene, tmp_path):
    import geopandas
    import shapely

    box = shapely.box(ORIGIN[0], ORIGIN[1] - 130, ORIGIN[0] + 170, ORIGIN[1])
    halves = [box, shapely.box(ORIGIN[0], ORIGIN[1] - 130, ORIGIN[0] + 80, ORIGIN[1])]
    layer = geopandas.GeoDataFrame({"cover": ["wood", "lake"]}, geometry=halves, crs="EPSG:32631")
    samples = scene.sample(layer, "cover")
    forest = RandomForestClassifier(5, random_state=0).fit(np.asarray(samples.X)[::3], samples.y[::3])
    path = ChunkedPredictor(forest, 5).predict(scene, tmp_path / "map.tif")
    names = np.array(["", *forest.classes_])
    predicted = forest.classes_[forest.predict_proba(samples.X).argmax(axis=1)]
    np.testing.assert_array_equal(names[read_map(path)[samples.rows, samples.cols]], predicted)
    assert len(samples) == 13 * 17 - 9


def test_a_chunk_without_data_is_not_predicted(scene, tmp_path):
    estimator = CodeReader()
    ChunkedPredictor(estimator, 3).predict(scene, tmp_path / "map.tif")
    assert estimator.n_calls == 5 * 6 - 1


@pytest.mark.parametrize("at_once", [1, 7, 200, 212])
def test_the_map_does_not_depend_on_how_many_pixels_are_predicted_at_once(scene, tmp_path, at_once):
    expected = read_map(ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "whole.tif"))
    sizes = []

    class Witness(CodeReader):
        def predict_proba(self, X):
            sizes.append(len(X))
            return super().predict_proba(X)

    path = ChunkedPredictor(Witness(), batch_size=at_once).predict(scene, tmp_path / "map.tif")
    np.testing.assert_array_equal(read_map(path), expected)
    assert sum(sizes) == 13 * 17 - 9
    assert max(sizes) == at_once


def test_a_default_chunk_is_not_predicted_at_once(tmp_path):
    scene = Scene({"v": VectorRaster(write(tmp_path / "v.tif", coded(1, 200, 200)))}, grid="v")
    estimator = CodeReader()
    ChunkedPredictor(estimator).predict(scene, tmp_path / "map.tif")
    assert estimator.n_calls == 10  # of 4,096 of 40,000 pixels


def test_only_pixels_with_data_reach_the_estimator(tmp_path):
    values = np.array([[[1, np.nan, 3], [np.inf, 5, -9]]], "float32")
    scene = Scene({"v": VectorRaster(write(tmp_path / "v.tif", values, nodata=-9))}, grid="v")
    seen = []

    class Witness(CodeReader):
        def predict_proba(self, X):
            seen.extend(X["v"][:, 0].tolist())
            return super().predict_proba(X)

    codes = read_map(ChunkedPredictor(Witness()).predict(scene, tmp_path / "map.tif"))
    assert seen == [1, 3, 5]
    np.testing.assert_array_equal(codes, [[2, 0, 4], [0, 6, 0]])


# ----- the file


@pytest.mark.parametrize(
    ("classes", "codes", "dtype"),
    [
        ([11, 13, 60, 99], [11, 13, 60, 99], "uint8"),
        ([1, 255], [1, 255], "uint8"),
        ([1, 256], [1, 256], "uint16"),
        ([65_534], [65_534], "uint16"),
        ([0, 1, 2], [1, 2, 3], "uint8"),
        ([1, 65_535], [1, 2], "uint8"),
        ([-1, 1], [1, 2], "uint8"),
        (["forest", "water"], [1, 2], "uint8"),
        ([False, True], [1, 2], "uint8"),
        ([1.0, 2.5], [1, 2], "uint8"),
        (list(range(300)), list(range(1, 301)), "uint16"),
    ],
)
def test_class_codes_never_equal_nodata(classes, codes, dtype):
    legend = Legend.of(np.array(classes))
    assert legend.codes.tolist() == codes
    assert legend.codes.dtype == dtype
    assert legend.names == tuple(map(str, classes))
    assert len({legend.colormap[code] for code in codes}) == len(codes)


def test_more_classes_than_codes_are_refused():
    with pytest.raises(ValueError, match="A map can hold 65534 classes; got 65535"):
        Legend.of(np.arange(65_535))


@pytest.mark.parametrize("classes", [["forêt", "lac", "ville"], [7, 300, 65_534]])
def test_names_and_colours_are_in_the_file(scene, tmp_path, classes):
    predictor = ChunkedPredictor(CodeReader(classes), colors={classes[1]: (1, 2, 3)})
    path = predictor.predict(scene, tmp_path / "map.tif")
    codes = classes if isinstance(classes[0], int) else [1, 2, 3]
    with rasterio.open(path) as file:
        tags, colors, profile = file.tags(), file.colormap(1), file.profile
        assert (file.crs, file.transform, file.shape) == (scene.grid.crs, scene.grid.transform, scene.shape)
    assert json.loads(tags["CLASS_NAMES"]) == {
        str(code): str(name) for code, name in zip(codes, classes, strict=True)
    }
    assert [tags[f"CLASS_{code}"] for code in codes] == list(map(str, classes))
    assert colors[codes[1]] == (1, 2, 3, 255)
    assert len({colors[code] for code in codes}) == 3
    assert (profile["nodata"], profile["compress"]) == (0, "deflate")
    assert set(np.unique(read_map(path))) <= {0, *codes}


def test_an_existing_map_is_only_replaced_when_asked(scene, tmp_path):
    path = tmp_path / "map.tif"
    path.write_text("precious")
    estimator = CodeReader()
    with pytest.raises(RunMismatch, match=r"map.tif exists already \(not by a run\).*overwrite=True"):
        ChunkedPredictor(estimator).predict(scene, path)
    assert path.read_text() == "precious"
    assert estimator.n_calls == 0
    assert ChunkedPredictor(estimator).predict(scene, str(path), overwrite=True) == path
    assert read_map(path).shape == scene.shape


@pytest.mark.parametrize("older", [True, False])
def test_what_lay_beside_an_older_map_goes_with_it(scene, tmp_path, older):
    path = tmp_path / "maps" / "map.tif"
    path.parent.mkdir()
    if older:
        path.write_text("older")
    for suffix in (".aux.xml", ".ovr", ".msk"):
        path.with_name("map.tif" + suffix).write_text("<PAMDataset></PAMDataset>")
    path.with_name("other.tif.aux.xml").write_text("precious")
    ChunkedPredictor(CodeReader()).predict(scene, path, overwrite=True)
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "map.report.json",
        "map.tif",
        "other.tif.aux.xml",
    ]
    assert (read_map(path) > 0).any()


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_is_never_replaced(scene, tmp_path, overwrite):
    (tmp_path / "map.tif").mkdir()
    estimator = CodeReader()
    with pytest.raises(IsADirectoryError, match=r"The map must be a file; .*map.tif is a folder"):
        ChunkedPredictor(estimator).predict(scene, tmp_path / "map.tif", overwrite=overwrite)
    assert estimator.n_calls == 0


def test_a_file_in_place_of_the_run_is_named(scene, tmp_path):
    (tmp_path / "map.tif.run").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"a folder named .*map.tif.run while it is made"):
        ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "map.tif", overwrite=True)
    assert (tmp_path / "map.tif.run").read_text() == "mine"


def test_a_map_has_one_label_for_each_pixel(scene, tmp_path):
    two = DecisionTreeClassifier().fit(np.eye(3), np.eye(3, 2))
    with pytest.raises(TypeError, match="one label for each pixel; DecisionTreeClassifier was fitted to 2"):
        ChunkedPredictor(two).predict(scene, tmp_path / "map.tif")


def test_a_failed_map_leaves_its_finished_chunks_only(scene, tmp_path):
    class Failing(CodeReader):
        def predict_proba(self, X):
            if self.n_calls == 3:
                raise RuntimeError("out of memory")
            return super().predict_proba(X)

    path = tmp_path / "maps" / "map.tif"
    path.parent.mkdir()
    path.write_text("older")
    with pytest.raises(RuntimeError, match="out of memory"):
        ChunkedPredictor(Failing(), 3).predict(scene, path, overwrite=True)
    assert sorted(p.name for p in path.parent.iterdir()) == ["map.tif", "map.tif.run"]
    assert path.read_text() == "older"
    assert len(list(path.parent.glob("map.tif.run/chunks/*"))) == 3


def test_a_run_that_failed_before_its_first_chunk_is_in_no_ones_way(scene, tmp_path):
    path = tmp_path / "map.tif"
    with pytest.raises(RuntimeError, match="stopped"):
        ChunkedPredictor(CodeReader(["a", "b"], stop_after=0)).predict(scene, path)
    assert path.with_name("map.tif.run").exists()
    ChunkedPredictor(CodeReader()).predict(scene, path)
    assert path.exists() and not path.with_name("map.tif.run").exists()
    with pytest.raises(RuntimeError, match="stopped"):
        ChunkedPredictor(CodeReader(["a", "b"], stop_after=2), 3).predict(scene, tmp_path / "other.tif")
    with pytest.raises(RunMismatch, match="holds chunks of another run"):
        ChunkedPredictor(CodeReader(), 3).predict(scene, tmp_path / "other.tif")


@pytest.mark.parametrize("name", ["map.tif", "map_proba.tif", "map.report.json", "map.png"])
def test_files_that_come_while_a_map_is_made_are_not_replaced(scene, tmp_path, name):
    class Slow(CodeReader):
        def predict_proba(self, X):
            path.with_name(name).write_text("precious")
            return super().predict_proba(X)

    path = tmp_path / "maps" / "map.tif"
    path.parent.mkdir()
    slow = Slow(range(1, 4))
    predictor = ChunkedPredictor(slow, outputs=["proba"], quicklook=True)
    with pytest.raises(RunMismatch, match=f"{name} exists already"):
        predictor.predict(scene, path)
    assert path.with_name(name).read_text() == "precious"
    path.with_name(name).unlink()
    slow.stop_after = slow.n_calls  # every chunk is there
    predictor.predict(scene, path)
    assert (read_map(path) > 0).any()


def test_a_quicklook_that_cannot_be_drawn_does_not_cost_the_map(scene, tmp_path, monkeypatch):
    def fail(*given):
        raise RuntimeError("latex could not be found")

    path = tmp_path / "map.tif"
    monkeypatch.setattr(run, "write_quicklook", fail)
    for _ in range(2):  # the second call finds the map
        with pytest.warns(UserWarning, match=r"map.tif has no quick-look: .*RuntimeError: latex"):
            ChunkedPredictor(CodeReader([1, 2]), quicklook=True).predict(scene, path)
        assert (read_map(path) > 0).any() and not path.with_name("map.tif.run").exists()
    monkeypatch.undo()
    ChunkedPredictor(CodeReader([1, 2]), quicklook=True).predict(scene, path)
    assert path.with_suffix(".png").exists()


def test_a_map_that_reads_back_otherwise_is_refused(scene, tmp_path, monkeypatch):
    def wrong(plain, final, layer, block):
        with rasterio.open(plain, "r+") as file:
            values = file.read(1)
            values[7, 7] += 1
            file.write(values, 1)
        optimise(plain, final, layer, block)

    optimise = assembly._optimise
    path = tmp_path / "maps" / "map.tif"
    path.parent.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(assembly, "_optimise", wrong)
        with pytest.raises(MapNotWritten, match=r"map.tif could not be written.*the disk is not full"):
            ChunkedPredictor(CodeReader()).predict(scene, path)
    assert [p.name for p in path.parent.iterdir()] == ["map.tif.run"]
    estimator = CodeReader()
    assert read_map(ChunkedPredictor(estimator).predict(scene, path)).any()
    assert estimator.n_calls == 0


# ----- bad input


@pytest.mark.parametrize("size", [0, -1, 2.5, (3,), (3, 0), "256", None, True])
def test_the_chunk_size_must_be_positive(scene, tmp_path, size):
    with pytest.raises(ValueError, match=r"chunk_size must be a positive number of pixels, or .*; got"):
        ChunkedPredictor(CodeReader(), size).predict(scene, tmp_path / "map.tif")


@pytest.mark.parametrize("scene", ["s2.tif", None, {"s2": SeriesRaster("s2.tif")}])
def test_the_scene_must_be_one(tmp_path, scene):
    with pytest.raises(TypeError, match=r"predict needs a Scene, such as .*; got"):
        ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "map.tif")


def test_the_estimator_must_be_a_fitted_classifier(scene, tmp_path):
    for estimator, words in [
        (RandomForestClassifier(), "has no classes_"),
        (3, "no predict_proba and no cl"),
    ]:
        with pytest.raises(TypeError, match=f"needs a fitted classifier .*{words}"):
            ChunkedPredictor(estimator).predict(scene, tmp_path / "map.tif")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda proba: proba[:, 1:], r"must return shape \(212, 251\).*got \(212, 250\) at Window"),
        (lambda proba: proba[1:], r"must return shape \(212, 251\).*got \(211, 251\)"),
        (lambda proba: proba * np.nan, r"must return finite numbers; got NaN or infinity at Window"),
    ],
)
def test_probabilities_must_fit_the_classes(scene, tmp_path, change, words):
    class Wrong(CodeReader):
        def predict_proba(self, X):
            return change(super().predict_proba(X))

    with pytest.raises(ValueError, match=f"predict_proba of Wrong {words}"):
        ChunkedPredictor(Wrong()).predict(scene, tmp_path / "map.tif")


@pytest.mark.parametrize(
    ("colors", "words"),
    [
        ({"lake": (1, 2, 3)}, r"colors must name classes of the estimator, \['wood', 'town'\]; got 'lake'"),
        ({"wood": (1, 2)}, r"colors\['wood'\] must be \(red, green, blue\)"),
        ({"wood": (1, 2, 256)}, r"an integer from 0 to 255; got \(1, 2, 256\)"),
        ({"wood": 5}, r"colors\['wood'\] must be \(red, green, blue\).*; got 5"),
        ({"wood": "red"}, r"an integer from 0 to 255; got 'red'"),
    ],
)
def test_colours_must_be_three_bytes_for_a_class(scene, tmp_path, colors, words):
    with pytest.raises(ValueError, match=words):
        ChunkedPredictor(CodeReader(["wood", "town"]), colors=colors).predict(scene, tmp_path / "map.tif")


def test_colours_are_given_by_class():
    with pytest.raises(TypeError, match=r"colors must be a dict, such as \{'wood': .*; got list"):
        Legend.of(["wood", "town"], [(1, 2, 3), (4, 5, 6)])
    assert Legend.of(["wood", "town"], {"town": np.array([1, 2, 3], "uint8")}).colors[1] == (1, 2, 3)


@pytest.mark.parametrize("n", [2, 40])
def test_colours_that_are_not_given_differ_from_those_that_are(n):
    defaults = Legend.of(range(1, n + 1)).colors
    colors = Legend.of(range(1, n + 1), {n: defaults[0]}).colors
    assert colors[-1] == defaults[0] and len(set(colors)) == n


def test_the_map_needs_a_folder_and_must_not_replace_a_source(scene, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"The map's folder must exist; .*nowhere does not"):
        ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "nowhere" / "map.tif")
    with pytest.raises(ValueError, match=r"must not replace a source of its scene; got .*spot.tif"):
        ChunkedPredictor(CodeReader()).predict(scene, tmp_path / "spot.tif", overwrite=True)
