"""Chunks on disk: what the journal proves counts, and nothing else."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from made_rasters import coded, write
from test_predictor import CodeReader, read_map, write_scene

from m3fusion_sk.mapping import ChunkedPredictor, MapBusy, MapNotWritten, RunMismatch, Scene, VectorRaster
from m3fusion_sk.mapping.assembly import Mosaic
from m3fusion_sk.mapping.journal import Journal
from m3fusion_sk.mapping.layers import Layer
from m3fusion_sk.mapping.runkey import RunKey
from m3fusion_sk.mapping.store import ChunkStore, is_run_of, remove_run, write_chunk

N_MUTANTS = 1000 if os.environ.get("M3FUSION_SOAK") else 100
KEY = RunKey({"model": "m", "map": {"chunk_size": 3}})


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path)


def stop_after(scene, path, n_chunks, **options):
    with pytest.raises(RuntimeError, match="stopped"):
        ChunkedPredictor(CodeReader(stop_after=n_chunks), 5, **options).predict(scene, path)


# ----- resuming


def test_finished_chunks_are_not_computed_again(scene, tmp_path):
    expected = read_map(ChunkedPredictor(CodeReader(), 5).predict(scene, tmp_path / "whole.tif"))
    stop_after(scene, tmp_path / "map.tif", 7)
    estimator = CodeReader()
    np.testing.assert_array_equal(
        read_map(ChunkedPredictor(estimator, 5).predict(scene, tmp_path / "map.tif")), expected
    )
    assert estimator.n_calls == 3 * 4 - 7
    report = json.loads((tmp_path / "map.report.json").read_text())
    assert report["chunks"] == {"all": 12, "in_this_run": 5}
    assert (tmp_path / "map.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_a_finished_map_is_left_as_it_is(scene, tmp_path):
    path = ChunkedPredictor(CodeReader(), 5).predict(scene, tmp_path / "map.tif")
    before = path.stat().st_mtime_ns
    estimator = CodeReader()
    for overwrite in (False, True):
        assert ChunkedPredictor(estimator, 5).predict(scene, path, overwrite=overwrite) == path
    assert (estimator.n_calls, path.stat().st_mtime_ns) == (0, before)
    with pytest.raises(RunMismatch, match=r"exists already \(by another model, or of other parameters"):
        ChunkedPredictor(estimator, 6).predict(scene, path)
    ChunkedPredictor(estimator, 6).predict(scene, path, overwrite=True)
    assert estimator.n_calls > 0


def test_a_map_that_lacks_one_of_its_layers_is_not_finished(scene, tmp_path):
    predictor = ChunkedPredictor(CodeReader(), 5, outputs=["margin", "entropy"])
    path = predictor.predict(scene, tmp_path / "map.tif")
    (tmp_path / "map_entropy.tif").unlink()
    assert predictor.predict(scene, path) == path
    assert (tmp_path / "map_entropy.tif").exists()


def test_a_finished_map_leaves_the_chunks_of_another_run_alone(scene, tmp_path):
    path = ChunkedPredictor(CodeReader(), 5).predict(scene, tmp_path / "map.tif")
    with pytest.raises(RuntimeError, match="stopped"):
        ChunkedPredictor(CodeReader(stop_after=4), 3).predict(scene, path, overwrite=True)
    ChunkedPredictor(CodeReader(), 5).predict(scene, path)
    estimator = CodeReader()
    ChunkedPredictor(estimator, 3).predict(scene, path, overwrite=True)
    assert estimator.n_calls == 29 - 4


def test_a_run_with_another_key_is_refused_and_can_be_dropped(scene, tmp_path):
    path = tmp_path / "map.tif"
    stop_after(scene, path, 7)
    with pytest.raises(RunMismatch, match=r"chunks of another run, differing in map.batch_size\. Go on"):
        ChunkedPredictor(CodeReader(), 5, batch_size=3).predict(scene, path)
    assert len(list((tmp_path / "map.tif.run" / "chunks").iterdir())) == 7
    estimator = CodeReader()
    ChunkedPredictor(estimator, 5, batch_size=300).predict(scene, path, overwrite=True)
    assert estimator.n_calls == 12
    assert not (tmp_path / "map.tif.run").exists()


# ----- stopped while removing


class Killed(BaseException):
    pass


def killed(function, n_removals):
    """Call a function that is stopped when it has removed so many files and folders; whether it was."""
    left = [n_removals]

    def counted(remove):
        def counting(*arguments, **named):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return remove(*arguments, **named)

        return counting

    with pytest.MonkeyPatch.context() as patch:
        for name in ("unlink", "rmdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            function()
        except Killed:
            return True
    return False


def store_with_chunks(folder):
    store = ChunkStore.open(folder, KEY)
    for chunk in range(3):
        store.record(write_chunk(folder, chunk, {"map": np.full((2, 2), chunk)}))
    (folder / "map.tif.partial").touch()
    return store


def follow(folder):
    if is_run_of(folder, KEY):
        remove_run(folder)


@pytest.mark.parametrize("n_first", range(10))
def test_a_removal_can_be_stopped_anywhere_also_twice_and_leaves_nothing_in_the_end(tmp_path, n_first):
    for n_second in range(10):
        folder = tmp_path / f"{n_second}.run"
        was_stopped = killed(store_with_chunks(folder).remove, n_first)
        assert was_stopped == folder.exists() == (n_first < 8)  # 3 chunks, their folder, 3 files, the folder
        killed(lambda folder=folder: follow(folder), n_second)
        follow(folder)
        assert not folder.exists()


@pytest.mark.parametrize("n_removals", range(9))
def test_a_run_that_was_stopped_while_dropping_another_can_be_followed(tmp_path, n_removals):
    folder, other = tmp_path / "map.tif.run", RunKey({"model": "other", "map": {"chunk_size": 3}})
    store_with_chunks(folder)
    killed(lambda: ChunkStore.open(folder, other, overwrite=True), n_removals)
    assert ChunkStore.open(folder, other, overwrite=True).records == {}
    assert json.loads((folder / "run.json").read_text())["key"] == other.digest
    assert sorted(path.name for path in folder.rglob("*")) == ["chunks", "run.json"]


# ----- altered files


def flip_bit(content, rng):
    i = rng.randrange(len(content))
    return content[:i] + bytes([content[i] ^ 1 << rng.randrange(8)]) + content[i + 1 :]


def truncate(content, rng):
    return content[: rng.randrange(len(content) - 1)]


def zero(content, rng):
    start = rng.randrange(len(content) - 4)
    return content[:start] + b"\0\0\0\0" + content[start + 4 :]


def repeat(content, rng):
    start, stop = sorted(rng.sample(range(len(content)), 2))
    return content[:stop] + content[start:]


@pytest.mark.timeout(1800)
def test_altered_chunks_and_journals_are_found_and_computed_again(scene, tmp_path):
    path, rng = tmp_path / "map.tif", random.Random(0)
    run, kept = tmp_path / "map.tif.run", tmp_path / "kept"
    expected = ChunkedPredictor(CodeReader(), 5).predict(scene, tmp_path / "whole.tif").read_bytes()
    stop_after(scene, path, 11)
    shutil.copytree(run, kept)
    for _ in range(N_MUTANTS):
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(kept, run)
        chunks = sorted((run / "chunks").iterdir())
        victim = rng.choice([run / "journal.jsonl", rng.choice(chunks)])
        alter = rng.choice([flip_bit, truncate, zero, repeat, None])
        if alter is not None:
            before = altered = victim.read_bytes()
            while altered == before:
                altered = alter(before, rng)
            victim.write_bytes(altered)
        elif victim.name == "journal.jsonl":
            victim.unlink()
        else:
            one, other = rng.sample(chunks, 2)
            one.write_bytes(other.read_bytes())
        estimator = CodeReader()
        assert ChunkedPredictor(estimator, 5).predict(scene, path).read_bytes() == expected
        least = 1 if alter is repeat and victim.name == "journal.jsonl" else 2
        assert estimator.n_calls >= least, (victim, alter)
        path.unlink()


def test_a_damaged_description_of_the_run_is_refused(scene, tmp_path):
    path, rng = tmp_path / "map.tif", random.Random(0)
    stop_after(scene, path, 2)
    description = tmp_path / "map.tif.run" / "run.json"
    content = description.read_bytes()
    for alter in (truncate, zero, repeat) * 5:
        description.write_bytes(alter(content, rng))
        with pytest.raises(RunMismatch, match="chunks of another run, "):
            ChunkedPredictor(CodeReader(), 5).predict(scene, path)
    description.unlink()
    with pytest.raises(RunMismatch, match=r"its run.json is lost or damaged"):
        ChunkedPredictor(CodeReader(), 5).predict(scene, path)
    description.write_bytes(content)
    ChunkedPredictor(CodeReader(), 5).predict(scene, path)


def test_a_chunk_that_is_damaged_after_the_start_is_found_at_the_end(tmp_path):
    store = ChunkStore.open(tmp_path / "run", KEY)
    store.record(write_chunk(store.folder, 4, {"class": np.ones((1, 3, 3))}))
    np.testing.assert_array_equal(store.load(4, "class"), np.ones((1, 3, 3)))
    assert store.load(4, "margin") is None
    next(store.chunks.iterdir()).write_bytes(b"other")
    with pytest.raises(MapNotWritten, match=r"Chunk 4 in .* is not as it was written.*same call again"):
        store.load(4, "class")
    assert ChunkStore.open(tmp_path / "run", KEY).records == {}


def test_files_of_no_record_are_swept_away(tmp_path):
    store = ChunkStore.open(tmp_path / "run", KEY)
    store.record(write_chunk(store.folder, 0, {}))
    write_chunk(store.folder, 1, {})
    for name in ("class.part", "class.tif", "chunks/000003.npz.partial", "journal.jsonl.partial"):
        (store.folder / name).write_text("left by a kill")
    store = ChunkStore.open(tmp_path / "run", KEY)
    names = {path.name for path in store.folder.rglob("*") if path.is_file()}
    assert names == {"run.json", "journal.jsonl", store.records[0]["file"]}


def test_lines_of_another_run_do_not_count(tmp_path):
    journal = Journal(tmp_path / "journal", "one")
    journal.append({"chunk": 1})
    journal.append({"chunk": 2})
    assert [record["chunk"] for record in journal.read()] == [1, 2]
    assert Journal(tmp_path / "journal", "two").read() == []


# ----- two runs, and inputs that change


def test_two_runs_on_one_map_are_refused(tmp_path):
    script = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_predictor import CodeReader, write_scene
from m3fusion_sk.mapping import ChunkedPredictor
class Slow(CodeReader):
    def predict_proba(self, X):
        print("at work", flush=True)
        time.sleep(60)
ChunkedPredictor(Slow(), 5).predict(write_scene(Path(sys.argv[2])), Path(sys.argv[2], "map.tif"))
"""
    write_scene(tmp_path)
    tests = os.path.dirname(__file__)
    other = subprocess.Popen(
        [sys.executable, "-c", script, tests, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "at work\n"
        with pytest.raises(MapBusy, match=rf"Another run is writing .*map.tif \(process {other.pid} on"):
            ChunkedPredictor(CodeReader(), 5).predict(write_scene(tmp_path), tmp_path / "map.tif")
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    ChunkedPredictor(CodeReader(), 5).predict(write_scene(tmp_path), tmp_path / "map.tif", overwrite=True)
    assert not list(tmp_path.glob(".*"))


def test_inputs_that_change_under_way_are_noticed(tmp_path):
    path = write(tmp_path / "v.tif", coded(1, 9, 9, "uint8"))
    scene = Scene({"v": VectorRaster(path)}, grid="v")

    class Meddling(CodeReader):
        def predict_proba(self, X):
            if self.n_calls == 5:
                time.sleep(0.02)
                write(path, coded(1, 9, 9, "uint8", start=5))
            return super().predict_proba(X)

    with pytest.raises(MapNotWritten, match=r"v.tif has changed while .*map.tif was made"):
        ChunkedPredictor(Meddling(), 3).predict(scene, tmp_path / "map.tif")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.tif.run", "v.tif"]
    ChunkedPredictor(CodeReader(), 3).predict(scene, tmp_path / "map.tif", overwrite=True)
    expected = ChunkedPredictor(CodeReader(), 9).predict(scene, tmp_path / "other.tif")
    np.testing.assert_array_equal(read_map(tmp_path / "map.tif"), read_map(expected))


@pytest.mark.parametrize("part", [None, np.ones((1, 16, 16), "uint8")], ids=["nothing", "codes"])
def test_the_mosaic_keeps_few_chunks_and_counts_them_once(monkeypatch, tmp_path, part):
    class Kept:
        records, n_loaded = {}, 0

        def load(self, chunk, name):
            self.n_loaded += 1
            return part

    scene, store = write_scene(tmp_path, 16, 16), Kept()
    monkeypatch.setattr("m3fusion_sk.mapping.assembly._CHUNK_BYTES", 20_000)
    mosaic = Mosaic(store, Layer("class", "uint8", 0, None, ("class",)), scene.grid, (16, 16))
    for chunk in range(200):
        mosaic._chunk(chunk)
        mosaic._chunk(max(0, chunk - 3))  # one of the last is still there
        assert mosaic.n_bytes <= 20_000 and len(mosaic.loaded) < 20
    assert store.n_loaded == 200
