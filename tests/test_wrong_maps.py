"""What would silently give another map than the one that was asked for."""

import errno
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
import rasterio
import zarr
from affine import Affine
from made_rasters import coded, write, write_vrt
from test_predictor import CodeReader, read_map, write_scene

from m3fusion_sk.mapping import (
    ChunkedPredictor,
    MapNotWritten,
    PatchRaster,
    RasterArray,
    RunMismatch,
    Scene,
    SeriesRaster,
    VectorRaster,
)
from m3fusion_sk.mapping.arrays import ArrayFile
from m3fusion_sk.mapping.legend import Legend
from m3fusion_sk.mapping.run import locked
from m3fusion_sk.mapping.runkey import RunKey, hash_estimator

FEW = CodeReader(range(1, 6))  # classes that a legend can show
PLACE = Affine(10, 0, 500_000, 0, -10, 5_630_000)


class Reader:
    """Says the value of a vector as its class, from 1 to 9."""

    classes_ = np.arange(1, 10)

    def __init__(self, hook=None):
        self.hook = hook

    def __getstate__(self):
        return {}

    def predict_proba(self, X):
        seen = self.hook() if getattr(self, "hook", None) else None
        return np.eye(9)[
            (np.asarray(X["v"])[:, 0].astype(int) if seen is None else np.full(len(X), seen)) - 1
        ]


def once_kept(n, place, act):
    """Do something, in a thread, as soon as so many chunks of the map are finished."""
    journal = place / "map.tif.run" / "journal.jsonl"

    def wait():
        while not journal.exists() or len(journal.read_bytes().splitlines()) < n:
            time.sleep(0.001)
        act()

    threading.Thread(target=wait, daemon=True).start()


class Percent(Reader):
    def predict_proba(self, X):
        return 100 * super().predict_proba(X)


def plain(path, value, size=4, **profile):
    return write(path, np.full((1, size, size), value, np.uint8), **profile)


def scene_of(path):
    return Scene({"v": VectorRaster(path)}, grid="v")


def rows_of(source):
    return first_pixel(Scene({"v": source}, grid="v"))


def first_pixel(scene):
    return np.asarray(scene.extract(np.zeros(1, int), np.zeros(1, int))[0]["v"])[0]


# ----- which file is meant


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_relative_names_mean_the_files_of_the_folder_where_the_scene_was_made(tmp_path, monkeypatch, n_jobs):
    maps = []
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        plain("s.tif", value)
        maps.append(
            ChunkedPredictor(Reader(), 2, n_jobs=n_jobs).predict(scene_of("s.tif"), "map.tif").resolve()
        )
    assert [read_map(path).max() for path in maps] == [1, 2]


def test_a_scene_goes_on_with_its_files_where_the_folder_changes(tmp_path, monkeypatch):
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        plain(tmp_path / folder / "s.tif", value)
    shutil.make_archive(tmp_path / "a" / "s", "zip", tmp_path / "a", "s.tif")
    monkeypatch.chdir(tmp_path / "a")
    sources = [VectorRaster(name) for name in ("s.tif", "/vsizip/s.zip/s.tif", "vrt://s.tif?bands=1")]
    scenes = [Scene({"v": source}, grid="v") for source in sources]
    monkeypatch.chdir(tmp_path / "b")
    for scene in scenes:
        assert first_pixel(scene).tolist() == [1]


@pytest.mark.parametrize("part", [slice(0, 3), slice(2, 3), slice(1, None)])
def test_parts_of_mapped_arrays_are_the_same_in_other_processes(tmp_path, part):
    np.save(tmp_path / "m.npy", coded(3, 4, 4, "int16"))
    mapped = np.load(tmp_path / "m.npy", mmap_mode="r")
    file = ArrayFile.open("v", RasterArray(mapped[part], PLACE))
    content = pickle.dumps(file)
    assert len(content) < 2000 + 4 * mapped.nbytes
    np.testing.assert_array_equal(pickle.loads(content).read((0, 4), (0, 4)), mapped[part])


def test_mapped_arrays_that_were_changed_in_memory_alone_travel_by_their_values(tmp_path):
    np.save(tmp_path / "m.npy", np.zeros((1, 4, 4), np.int16))
    mapped = np.load(tmp_path / "m.npy", mmap_mode="c")
    mapped[:] = 5
    file = pickle.loads(pickle.dumps(ArrayFile.open("v", RasterArray(mapped, PLACE))))
    assert (file.read((0, 4), (0, 4)) == 5).all()


@pytest.mark.parametrize("mode", [None, "r", "r+"])
@pytest.mark.parametrize(
    "kind", [partial(PatchRaster, size=3), VectorRaster, partial(SeriesRaster, n_bands=1)]
)
def test_arrays_of_the_user_are_never_written_to(tmp_path, kind, mode):
    image = np.ones((1, 8, 8), np.float32)
    image[0, 2:4, 2:4] = np.nan
    np.save(tmp_path / "image.npy", image)
    values = np.load(tmp_path / "image.npy", mmap_mode=mode)
    scene = Scene({"p": kind(RasterArray(values, PLACE))}, grid="p")
    maps = []
    for chunk_size in (8, 2):
        path = ChunkedPredictor(Blind(), chunk_size).predict(scene, tmp_path / f"{chunk_size}.tif")
        maps.append(read_map(path))
    np.testing.assert_array_equal(*maps)
    assert (maps[0] == 0).sum() == 4
    np.testing.assert_array_equal(np.load(tmp_path / "image.npy"), image)
    np.testing.assert_array_equal(values, image)


class Blind:
    classes_ = np.array([1, 2])

    def predict_proba(self, X):
        return np.tile([1.0, 0.0], (len(X), 1))


# ----- the order of dates and bands


def test_dates_of_an_array_come_first_whatever_the_order_of_its_dimensions():
    xarray = pytest.importorskip("xarray")
    dates = np.array(["2018-05-01", "2018-05-11", "2018-05-21"], "M8[ns]")
    values = np.array([[10, 11, 12], [50, 51, 52]])[:, :, None, None] * np.ones((1, 1, 4, 4))
    axes = {"y": 5_629_995 - 10.0 * np.arange(4), "x": 500_005 + 10.0 * np.arange(4)}
    array = xarray.DataArray(values, dims=("band", "time", "y", "x"), coords={"time": dates, **axes})
    expected = [[10, 50], [11, 51], [12, 52]]
    for dims in (("band", "time", "y", "x"), ("time", "band", "y", "x"), ("y", "band", "x", "time")):
        assert rows_of(SeriesRaster(array.transpose(*dims), n_bands=2)).tolist() == expected
    unnamed = array.drop_vars("time")
    assert rows_of(SeriesRaster(unnamed, n_bands=2)).tolist() == expected
    with pytest.raises(ValueError, match="an array has a dimension of dates"):
        rows_of(SeriesRaster(array, n_bands=2, order="band"))
    twice = array.rename(band="date")
    with pytest.raises(ValueError, match="must have one dimension of dates"):
        rows_of(SeriesRaster(twice, n_bands=2))


def test_scale_and_nodata_of_the_file_are_those_of_its_own_bands(tmp_path):
    stack = np.array([10, 11, 20, 20])[:, None, None] * np.ones((1, 4, 4))  # band by band: two dates each
    with rasterio.open(write(tmp_path / "s.tif", stack.astype(np.int16)), "r+") as file:
        file.scales = (1, 1, 100, 100)
    source = SeriesRaster(tmp_path / "s.tif", n_bands=2, order="band", scale="file")
    assert rows_of(source).tolist() == [[10, 2000], [11, 2000]]
    by_date = SeriesRaster(tmp_path / "s.tif", n_bands=2, order="band", scale=[[1, 2], [3, 4]])
    assert rows_of(by_date).tolist() == [[10, 40], [33, 80]]

    band = """<VRTRasterBand dataType="Int16" band="{0}"><NoDataValue>{1}</NoDataValue><SimpleSource>
    <SourceFilename relativeToVRT="1">s.tif</SourceFilename><SourceBand>{0}</SourceBand></SimpleSource>
    </VRTRasterBand>"""
    bands = "".join(band.format(i, nodata) for i, nodata in enumerate((0, 11, 0, 0), start=1))
    (tmp_path / "s.vrt").write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><SRS>EPSG:32631</SRS>'
        f"<GeoTransform>500000, 10, 0, 5630000, 0, -10</GeoTransform>{bands}</VRTDataset>"
    )
    source = SeriesRaster(tmp_path / "s.vrt", n_bands=2, order="band", fill=None)
    np.testing.assert_array_equal(rows_of(source), [[10, 20], [np.nan, 20]])


# ----- inputs that change


def test_an_input_that_changes_after_it_was_hashed_is_found(tmp_path, monkeypatch):
    plain(tmp_path / "s.tif", 1)
    scene, of = scene_of(tmp_path / "s.tif"), RunKey.of

    def then_change(*arguments):
        key = of(*arguments)
        plain(tmp_path / "s.tif", 2)
        return key

    monkeypatch.setattr(RunKey, "of", then_change)
    with pytest.raises(MapNotWritten, match="has changed while"):
        ChunkedPredictor(Reader(), 2).predict(scene, tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()


def test_chunks_of_an_input_that_changed_for_a_while_are_never_kept(tmp_path):
    path, calls = tmp_path / "s.tif", []
    plain(path, 1)
    original = path.read_bytes()

    def hook():
        calls.append(1)
        if len(calls) == 2:
            plain(path, 2)
        if len(calls) == 4:
            raise KeyboardInterrupt

    scene = scene_of(path)
    with pytest.raises((MapNotWritten, KeyboardInterrupt)):
        ChunkedPredictor(Reader(hook), 1).predict(scene, tmp_path / "map.tif")
    path.write_bytes(original)
    assert (read_map(ChunkedPredictor(Reader(), 1).predict(scene, tmp_path / "map.tif")) == 1).all()


@pytest.mark.parametrize("change", [{"origin": (400_000, 5_630_000)}, {"nodata": 255}, {"crs": "EPSG:32632"}])
def test_a_file_that_says_something_else_than_its_scene_is_refused(tmp_path, change):
    plain(tmp_path / "s.tif", 1)
    scene = scene_of(tmp_path / "s.tif")
    plain(tmp_path / "s.tif", 1, **change)
    with pytest.raises(OSError, match=r"has changed since the scene was made.*Make the Scene again"):
        ChunkedPredictor(Reader(), 2).predict(scene, tmp_path / "map.tif")


def test_masks_and_virtual_rasters_count_whatever_their_names(tmp_path):
    write(tmp_path / "s.tif", np.ones((2, 4, 4), np.uint8))
    write(tmp_path / "c.msk", np.full((2, 4, 4), 4, np.uint8))
    source = SeriesRaster(tmp_path / "s.tif", n_bands=1, mask=tmp_path / "c.msk")
    assert "c.msk" in {path.name for path in Scene({"s": source}, grid="s").files()}

    write_vrt(tmp_path / "inner.xml", "s.tif", 4, 4)
    write_vrt(tmp_path / "outer.vrt", "inner.xml", 4, 4)
    assert {path.name for path in scene_of(tmp_path / "outer.vrt").files()} == {
        "outer.vrt",
        "inner.xml",
        "s.tif",
    }


def test_files_in_memory_count_by_their_pixels():
    prints = []
    for value in (1, 2):
        with rasterio.MemoryFile(filename="m3fusion.tif") as memory:
            plain(memory.name, value)
            prints.append(scene_of(memory.name).fingerprint())
    assert prints[0] != prints[1]


# ----- finished maps, and what lies beside them


@pytest.fixture
def finished(tmp_path):
    scene = write_scene(tmp_path)
    return scene, ChunkedPredictor(CodeReader(), 5, outputs="margin").predict(scene, tmp_path / "map.tif")


@pytest.mark.parametrize("victim", ["map.tif", "map_margin.tif"])
def test_a_finished_map_that_was_damaged_is_not_taken_for_finished(finished, tmp_path, victim):
    scene, path = finished
    whole, content = (tmp_path / victim).read_bytes(), read_map(path)
    (tmp_path / victim).write_bytes(whole[: len(whole) // 2])
    predictor = ChunkedPredictor(CodeReader(), 5, outputs="margin")
    with pytest.raises(RunMismatch, match="exists already"):
        predictor.predict(scene, path)
    predictor.predict(scene, path, overwrite=True)
    np.testing.assert_array_equal(read_map(path), content)
    assert (tmp_path / victim).read_bytes() == whole


def test_a_layer_that_was_deleted_is_made_again_and_a_lost_report_is_not_passed_over(finished, tmp_path):
    scene, path = finished
    predictor = ChunkedPredictor(CodeReader(), 5, outputs="margin")
    (tmp_path / "map_margin.tif").unlink()
    predictor.predict(scene, path)
    assert (tmp_path / "map_margin.tif").exists()
    (tmp_path / "map.report.json").unlink()
    with pytest.raises(RunMismatch, match="its report is lost"):
        predictor.predict(scene, path)


def test_layers_of_the_map_before_go_with_it(finished, tmp_path):
    scene, path = finished
    (tmp_path / "map_note.tif").write_text("of the user")
    ChunkedPredictor(FEW, 5, quicklook=True).predict(scene, path, overwrite=True)
    assert not (tmp_path / "map_margin.tif").exists() and (tmp_path / "map.png").exists()
    ChunkedPredictor(CodeReader(), 6).predict(scene, path, overwrite=True)
    assert not (tmp_path / "map.png").exists() and (tmp_path / "map_note.tif").exists()


@pytest.mark.parametrize("name", ["map.png", "map.report.json"])
def test_files_of_others_beside_a_map_are_not_replaced_unasked(tmp_path, name):
    scene = write_scene(tmp_path)
    (tmp_path / name).write_text("of the user")
    predictor = ChunkedPredictor(FEW, 5, quicklook=True)
    with pytest.raises(RunMismatch, match=r"exists already \(not by a run of this map\)"):
        predictor.predict(scene, tmp_path / "map.tif")
    assert (tmp_path / name).read_text() == "of the user"
    predictor.predict(scene, tmp_path / "map.tif", overwrite=True)
    assert json.loads((tmp_path / "map.report.json").read_text())["quicklook"]["file"] == "map.png"


@pytest.mark.parametrize("suffix", [".msk", ".aux.xml", ".ovr"])
def test_what_lies_beside_a_map_that_is_not_there_is_not_removed_unasked(tmp_path, suffix):
    scene, other = write_scene(tmp_path), tmp_path / f"map.tif{suffix}"
    other.write_text("of the user")
    with pytest.raises(RunMismatch, match=r"exists already \(though there is no map"):
        ChunkedPredictor(FEW, 5).predict(scene, tmp_path / "map.tif")
    assert other.read_text() == "of the user"
    source = SeriesRaster(plain(tmp_path / "s.tif", 4), mask=shutil.copy(tmp_path / "s.tif", other))
    with pytest.raises(ValueError, match="must not replace a source of its scene"):
        ChunkedPredictor(FEW).predict(Scene({"s": source}, grid="s"), tmp_path / "map.tif", overwrite=True)


def test_layers_of_the_map_before_go_also_if_the_run_is_stopped_just_before(finished, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    scene, path = finished
    predictor = ChunkedPredictor(FEW, 5)
    with monkeypatch.context() as patch:
        patch.setattr("m3fusion_sk.mapping.run.remove_stale", stop)
        with pytest.raises(KeyboardInterrupt):
            predictor.predict(scene, path, overwrite=True)
    assert (tmp_path / "map_margin.tif").exists()
    predictor.predict(scene, path)  # finished: only what was left is done
    assert not (tmp_path / "map_margin.tif").exists() and not (tmp_path / "map.tif.run").exists()


def test_a_run_that_is_stopped_while_it_replaces_a_map_is_completed_by_the_same_call(
    finished, tmp_path, monkeypatch
):
    scene, path = finished
    predictor = ChunkedPredictor(FEW, 5, outputs="entropy")
    replaced = []

    def stop_at_the_map(source, target):
        if target == path:
            raise KeyboardInterrupt
        replaced.append(target.name)
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("m3fusion_sk.mapping.assembly.os.replace", stop_at_the_map)
        with pytest.raises(KeyboardInterrupt):
            predictor.predict(scene, path, overwrite=True)
    assert replaced[-2:] == ["map.report.json", "map_entropy.tif"]
    predictor.predict(scene, path, overwrite=True)
    names = {each.name for each in tmp_path.glob("map*")}
    assert names == {"map.tif", "map_entropy.tif", "map.report.json"}
    assert predictor.predict(scene, path) == path


@pytest.mark.parametrize("kind", ["memory", "memmap", "part of a memmap", "zarr"])
def test_arrays_that_change_while_a_map_is_made_are_seen(tmp_path, kind):
    values = np.ones((1, 8, 8), np.uint8)
    if kind == "zarr":
        array = zarr.create_array(store=tmp_path / "v.zarr", data=values, chunks=(1, 4, 4))
    elif kind == "memory":
        array = values
    else:
        array = np.memmap(tmp_path / "v.dat", np.uint8, "w+", shape=(2, 8, 8))
        array[:] = 1
        array = np.asarray(array[1:]) if kind.startswith("part") else array[:1]
    calls = []

    def change():
        calls.append(1)
        if len(calls) == 2:
            array[:] = 2

    scene = Scene({"v": VectorRaster(RasterArray(array, PLACE, "EPSG:32631"))}, grid="v")
    with pytest.raises(MapNotWritten, match=r"has changed while .*map.tif was made"):
        ChunkedPredictor(Reader(change), 4).predict(scene, tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()
    path = ChunkedPredictor(Reader(), 4).predict(scene, tmp_path / "map.tif", overwrite=True)
    assert (read_map(path) == 2).all()


def test_a_store_that_changes_is_seen_before_the_next_chunk_counts(tmp_path):
    array = zarr.create_array(store=tmp_path / "v.zarr", data=np.ones((1, 8, 8), np.uint8), chunks=(1, 4, 4))
    calls = []

    def change():
        calls.append(1)
        if len(calls) == 2:
            time.sleep(0.02)  # clocks of file systems are coarse
            array[:] = 2

    scene = Scene({"v": VectorRaster(RasterArray(array, PLACE, "EPSG:32631"))}, grid="v")
    with pytest.raises(MapNotWritten, match=r"v.zarr.* has changed while"):
        ChunkedPredictor(Reader(change), 2).predict(scene, tmp_path / "map.tif")
    assert len(calls) == 2  # of 16


def test_a_full_disk_is_told_also_where_not_even_the_lock_can_be_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("m3fusion_sk.mapping.run.FileLock.acquire", full)
    with pytest.raises(MapNotWritten, match=r"could not be begun: .*make room"):
        ChunkedPredictor(FEW).predict(write_scene(tmp_path), tmp_path / "map.tif")


def test_a_folder_of_others_is_never_taken_for_that_of_a_run(tmp_path):
    scene, folder = write_scene(tmp_path), tmp_path / "map.tif.run"
    folder.mkdir()
    (folder / "thesis.txt").write_text("of the user")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError):
            ChunkedPredictor(CodeReader(), 5).predict(scene, tmp_path / "map.tif", overwrite=overwrite)
    assert (folder / "thesis.txt").exists()


def test_a_picture_that_is_an_input_is_not_drawn_over(tmp_path):
    picture = np.full((1, 4, 4), 3, np.uint8)
    with rasterio.open(
        tmp_path / "spot.png", "w", driver="PNG", width=4, height=4, count=1, dtype="uint8",
        crs="EPSG:32631", transform=PLACE,
    ) as file:  # fmt: skip
        file.write(picture)
    scene = scene_of(tmp_path / "spot.png")
    with pytest.raises(ValueError, match="must not replace a source"):
        ChunkedPredictor(Reader(), quicklook=True).predict(scene, tmp_path / "spot.tif")
    assert (read_map(ChunkedPredictor(Reader()).predict(scene, tmp_path / "spot.tif")) == 3).all()


def test_a_quicklook_is_drawn_of_a_finished_map_too(tmp_path):
    scene = write_scene(tmp_path)
    path = ChunkedPredictor(FEW, 5).predict(scene, tmp_path / "map.tif")
    estimator = CodeReader(range(1, 6))
    predictor = ChunkedPredictor(estimator, 5, quicklook=True)
    predictor.predict(scene, path)
    assert estimator.n_calls == 0 and (tmp_path / "map.png").stat().st_size > 1000
    predictor.predict(scene, path)
    assert not list(tmp_path.glob("tmp*"))


def test_names_that_are_no_geotiff_and_links(tmp_path):
    scene = write_scene(tmp_path)
    with pytest.raises(ValueError, match=r"must end in \.tif"):
        ChunkedPredictor(CodeReader(), 5).predict(scene, tmp_path / "map.png")
    (tmp_path / "far").mkdir()
    (tmp_path / "map.tif").symlink_to(tmp_path / "far" / "target.tif")
    assert ChunkedPredictor(CodeReader(), 5).predict(scene, tmp_path / "map.tif") == tmp_path / "map.tif"
    assert (tmp_path / "map.tif").is_symlink() and (tmp_path / "far" / "target.tif").is_file()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    scene, folder = write_scene(tmp_path), tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(PermissionError, match=r"closed is not\. Choose another"):
        ChunkedPredictor(CodeReader(), 5).predict(scene, folder / "map.tif")


# ----- estimators


class Told:
    """Has a fit and a hash of its own, and cannot be pickled."""

    classes_ = np.array([1, 2])

    def __init__(self, text):
        self.text, self.lock = text, threading.Lock()

    def fit(self, X, y):
        return self

    def content_hash(self):
        return self.text


def test_estimators_speak_for_themselves_and_functions_count_by_their_code():
    first, same, other = Told("a"), Told("a"), Told("b")
    assert hash_estimator(first) == hash_estimator(same) != hash_estimator(other)

    def makes(factor):
        return lambda X: X * factor

    def also(factor):
        return lambda X: X + factor

    assert hash_estimator([makes(2)]) == hash_estimator([makes(2)])
    assert len({hash_estimator([f]) for f in (makes(2), makes(3), also(2))}) == 3


@pytest.mark.parametrize("what", ["file", "folder", "part of a virtual raster", "second part"])
def test_a_link_that_leads_elsewhere_under_way_is_found(tmp_path, what):
    for name, value in {"old": 1, "new": 2}.items():
        (tmp_path / name).mkdir()
        os.utime(plain(tmp_path / name / "s.tif", value), (1e9, 1e9))  # of the same size and time
    link, target = ("now", "{}") if what == "folder" else ("s.tif", "{}/s.tif")
    os.symlink(target.format("old"), tmp_path / link)
    read = {"file": "s.tif", "folder": "now/s.tif"}.get(what, "all.vrt")
    if what == "part of a virtual raster":
        write_vrt(tmp_path / read, "s.tif", 4, 4)
    elif what == "second part":  # of two names of one file, to begin with
        write_vrt(tmp_path / "inner.vrt", "s.tif", 4, 4)
        write_vrt(tmp_path / "other.vrt", "old/s.tif", 4, 4)
        text = [(tmp_path / name).read_text() for name in ("other.vrt", "inner.vrt")]
        bands = [part[part.index("<VRTRasterBand") : part.index("</VRTDataset>")] for part in text]
        (tmp_path / read).write_text(text[0].replace(bands[0], bands[0] + bands[1].replace('"1"', '"2"', 1)))
    calls = []

    def hook():
        calls.append(1)
        if len(calls) == 3:
            (tmp_path / link).unlink()
            os.symlink(target.format("new"), tmp_path / link)

    with pytest.raises(MapNotWritten, match="has changed while"):
        ChunkedPredictor(Reader(hook), 1).predict(scene_of(tmp_path / read), tmp_path / "map.tif")
    again = partial(ChunkedPredictor(Reader(), 1).predict, scene_of(tmp_path / read), tmp_path / "map.tif")
    with pytest.raises(RunMismatch, match="overwrite=True"):  # the content is another
        again()
    assert (read_map(again(overwrite=True)) == (1 if what == "second part" else 2)).all()


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("how", ["touched", "written again", "exchanged for a copy"])
def test_a_file_that_is_touched_costs_no_finished_chunk(tmp_path, how, n_jobs):
    path, journal = tmp_path / "s.tif", tmp_path / "map.tif.run" / "journal.jsonl"
    plain(path, 3)
    calls = []

    def touch():
        if how == "exchanged for a copy":
            shutil.copy(path, tmp_path / "copy.tif")
            os.replace(tmp_path / "copy.tif", path)
        elif how == "written again":
            path.write_bytes(path.read_bytes())
        os.utime(path, (time.time() + 100, time.time() + 100))

    def touch_at_fifth():
        calls.append(1)
        if len(calls) == 5:
            touch()

    scene, reader = scene_of(path), Reader(touch_at_fifth if n_jobs == 1 else None)
    if n_jobs == 2:
        once_kept(4, tmp_path, touch)
    with pytest.raises(MapNotWritten, match="has changed while") as caught:
        ChunkedPredictor(reader, 1, n_jobs=n_jobs).predict(scene, tmp_path / "map.tif")
    kept = len(journal.read_bytes().splitlines())
    assert kept >= 4 and f"{kept} of 16 chunks are kept" in caught.value.__notes__[0]
    assert (read_map(ChunkedPredictor(reader, 1).predict(scene, tmp_path / "map.tif")) == 3).all()
    report = json.loads((tmp_path / "map.report.json").read_text())
    assert report["chunks"] == {"all": 16, "in_this_run": 16 - kept}


def test_an_input_that_is_another_under_way_is_told_with_two_processes_too(tmp_path):
    """However many chunks they have in hand."""
    path = plain(tmp_path / "s.tif", 1, size=16)
    new = plain(tmp_path / "new.tif", 2, size=16)
    once_kept(20, tmp_path, partial(os.replace, new, path))
    predictor = ChunkedPredictor(Reader(), 1, n_jobs=2)
    with pytest.raises(MapNotWritten, match="has changed while"):
        predictor.predict(scene_of(path), tmp_path / "map.tif")
    assert (read_map(predictor.predict(scene_of(path), tmp_path / "map.tif", overwrite=True)) == 2).all()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_memory_map_that_is_exchanged_under_way_is_found(tmp_path, n_jobs):
    path, new = tmp_path / "a.npy", tmp_path / "b.npy"
    for value, each in enumerate((path, new), 1):
        np.save(each, np.full((1, 6, 6), value, np.uint8))
    raster = RasterArray(np.load(path, mmap_mode="r"), PLACE, "EPSG:32631")
    once_kept(4, tmp_path, partial(os.replace, new, path))
    slow = Reader(partial(time.sleep, 0.02))
    with pytest.raises(MapNotWritten, match="has changed while"):
        ChunkedPredictor(slow, 1, n_jobs=n_jobs).predict(scene_of(raster), tmp_path / "map.tif")


def test_an_input_that_changes_before_the_first_chunk_leaves_no_run(tmp_path):
    path, calls = tmp_path / "s.tif", []
    plain(path, 1)

    def hook():
        if not calls:
            plain(path, 2)
        calls.append(1)

    with pytest.raises(MapNotWritten, match="has changed while"):
        ChunkedPredictor(Reader(hook), 1).predict(scene_of(path), tmp_path / "map.tif")
    assert not (tmp_path / "map.tif.run").exists()
    assert (read_map(ChunkedPredictor(Reader(), 1).predict(scene_of(path), tmp_path / "map.tif")) == 2).all()


def test_the_keyboard_stops_the_hashing_of_large_files(tmp_path):
    path = plain(tmp_path / "s.tif", 1)
    os.truncate(path, 1 << 36)  # with a hole that takes no room
    code = (
        "import signal, sys; from m3fusion_sk.mapping.files import hash_files\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('now', flush=True); hash_files([sys.argv[1]])"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "now\n"
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in running.communicate(timeout=20)[1]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_says_where_it_was_and_what_is_kept(tmp_path, n_jobs):
    codes = np.full((1, 4, 4), 1, np.uint8)
    codes[0, 2, 1] = 11  # no class
    scene = scene_of(write(tmp_path / "s.tif", codes))
    with pytest.raises(IndexError) as caught:
        ChunkedPredictor(Reader(), 1, n_jobs=n_jobs).predict(scene, tmp_path / "map.tif")
    notes = "\n".join(caught.value.__notes__)
    assert "This was at Window(col_off=1, row_off=2, width=1, height=1)." in notes
    assert f"of 16 chunks are kept in {tmp_path}/map.tif.run: the same call goes on with them." in notes


def test_percents_are_no_probabilities(tmp_path):
    words = "Percent must return probabilities, between 0 and 1; got 0 to 100 at Window"
    with pytest.raises(ValueError, match=words):
        ChunkedPredictor(Percent()).predict(scene_of(plain(tmp_path / "s.tif", 1)), tmp_path / "map.tif")


def test_labels_that_no_file_can_hold_are_refused_before_the_map(tmp_path):
    with pytest.raises(ValueError, match=r"text that files can hold; got 'a\\udc80'"):
        Legend.of(["a\udc80", "b"])
    assert Legend.of(["for\u00eat", "\u6797"]).names == ("for\u00eat", "\u6797")


def test_chunks_on_another_disk_are_refused(tmp_path):
    scene = scene_of(plain(tmp_path / "s.tif", 1))
    (tmp_path / "elsewhere").mkdir()
    os.symlink("elsewhere", tmp_path / "map.tif.run")
    with pytest.raises(NotADirectoryError, match=r"must lie on the disk of the map; .*map.tif.run is a link"):
        ChunkedPredictor(Reader()).predict(scene, tmp_path / "map.tif")


def test_a_warning_about_the_picture_does_not_cost_the_map(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no glyph")

    monkeypatch.setattr("m3fusion_sk.mapping.run.write_quicklook", fail)
    scene = scene_of(plain(tmp_path / "s.tif", 1))
    for _ in range(2):  # warnings are errors here
        with pytest.raises(UserWarning, match="has no quick-look: it could not be drawn"):
            ChunkedPredictor(Reader(), quicklook=True).predict(scene, tmp_path / "map.tif")
        assert (read_map(tmp_path / "map.tif") == 1).all() and not (tmp_path / "map.tif.run").exists()


def test_a_lock_that_says_by_itself_whose_it_is_stays_as_it_is(tmp_path):
    """Where files cannot be locked, what stands in it tells whether its process lives."""
    name = tmp_path / ".map.tif.lock"
    name.write_text("123\nmachine\n")
    with locked(tmp_path / "map.tif"):
        assert name.read_text() == "123\nmachine\n"
    assert not name.exists()
    with locked(tmp_path / "map.tif"):
        assert name.read_text() == f"process {os.getpid()} on {socket.gethostname()}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_lock_of_another_user_is_named(tmp_path):
    name = tmp_path / ".map.tif.lock"
    name.touch(0o400)
    with pytest.raises(PermissionError, match=r"map.tif.lock, which an earlier run left, is not. Remove it"):
        locked(tmp_path / "map.tif").__enter__()
