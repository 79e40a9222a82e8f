"""The same map by this process, by local processes and by a Dask cluster; also when workers die."""

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from made_rasters import coded, write
from test_predictor import CodeReader, read_map, write_scene

from m3fusion_sk.mapping import ChunkedPredictor, MapNotWritten, Scene, VectorRaster, workers
from m3fusion_sk.mapping.job import Job
from m3fusion_sk.mapping.layers import make_layers
from m3fusion_sk.mapping.legend import Legend

distributed = pytest.importorskip("distributed")
from distributed.chaos import KillWorker  # noqa: E402


class Logging(CodeReader):
    """Notes the process of each call, and of each time it is sent to one."""

    def __init__(self, log, seconds=0.0, deaths=0, fails=False):
        super().__init__()
        self.log, self.seconds, self.deaths, self.fails = str(log), seconds, deaths, fails

    def note(self, what):
        with open(self.log, "a") as file:
            file.write(json.dumps({what: os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")}) + "\n")

    def __setstate__(self, state):
        vars(self).update(state)
        self.note("received")

    def predict_proba(self, X):
        self.note("called")
        if self.fails:
            raise RuntimeError("no such weather")
        if sum("died" in line for line in self.lines()) < self.deaths:
            self.note("died")
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return super().predict_proba(X)

    def lines(self):
        return list(map(json.loads, Path(self.log).read_text().splitlines()))


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path)


@pytest.fixture
def expected(scene, tmp_path):
    return (
        ChunkedPredictor(Logging(tmp_path / "first"), 5).predict(scene, tmp_path / "whole.tif").read_bytes()
    )


def new_cluster():
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    )


@pytest.fixture(scope="module")
def client():
    with new_cluster() as cluster, distributed.Client(cluster) as client:
        yield client


# ----- local processes


def test_the_next_chunk_is_read_while_one_is_predicted_and_no_other(tmp_path, monkeypatch):
    values = coded(1, 6, 6, "uint8")
    scene = Scene({"v": VectorRaster(write(tmp_path / "v.tif", values))}, grid="v")
    read, next_is_read, n_ahead = Job.read, threading.Condition(), []
    begun = []

    def noted(job, chunk, window):
        with next_is_read:
            begun.append(chunk)
            next_is_read.notify_all()
        return read(job, chunk, window)

    class Waiting(CodeReader):
        def predict_proba(self, X):
            n = self.n_calls + 1
            with next_is_read:  # the last of nine chunks has no next one
                assert next_is_read.wait_for(lambda: len(begun) > min(n, 8), timeout=60)
                n_ahead.append(len(begun) - n)
            return super().predict_proba(X)

    monkeypatch.setattr(Job, "read", noted)
    ChunkedPredictor(Waiting(), 2).predict(scene, tmp_path / "map.tif")
    assert n_ahead == [1] * 8 + [0]


def test_processes_make_the_same_map(scene, expected, tmp_path):
    estimator = Logging(tmp_path / "log")
    path = ChunkedPredictor(estimator, 5, n_jobs=2).predict(scene, tmp_path / "map.tif")
    assert path.read_bytes() == expected
    lines = estimator.lines()
    at_work = {line["called"] for line in lines if "called" in line}
    assert os.getpid() not in at_work
    assert sum("called" in line for line in lines) == 12
    assert sum("received" in line for line in lines) == len(at_work)  # once for each process
    threads = {int(line["threads"]) for line in lines if "called" in line}
    assert threads == {max(1, os.cpu_count() // 2)}


def test_a_map_is_resumed_by_another_number_of_processes(scene, expected, tmp_path):
    path = tmp_path / "map.tif"
    failing = Logging(tmp_path / "log", fails=True)
    with pytest.raises(RuntimeError, match="no such weather"):
        ChunkedPredictor(failing, 5, n_jobs=2).predict(scene, path)
    assert ChunkedPredictor(Logging(tmp_path / "log"), 5).predict(scene, path).read_bytes() == expected


def test_the_work_of_a_process_that_is_killed_is_done_by_others(scene, expected, tmp_path):
    estimator = Logging(tmp_path / "log", deaths=2)
    path = ChunkedPredictor(estimator, 5, n_jobs=2).predict(scene, tmp_path / "map.tif")
    assert path.read_bytes() == expected
    assert sum("died" in line for line in estimator.lines()) == 2


def test_processes_that_always_die_are_an_error_with_a_remedy(scene, tmp_path):
    estimator = Logging(tmp_path / "log", deaths=10**6)
    with pytest.raises(
        MapNotWritten, match=r"2 processes ended without a word 3 times in a row.*fewer n_jobs"
    ):
        ChunkedPredictor(estimator, 5, n_jobs=2).predict(scene, tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()


# ----- a cluster


def test_a_cluster_makes_the_same_map(scene, expected, client, tmp_path):
    estimator = Logging(tmp_path / "log")
    path = ChunkedPredictor(estimator, 5, client=client).predict(scene, tmp_path / "map.tif")
    assert path.read_bytes() == expected
    lines = estimator.lines()
    at_work = {line["called"] for line in lines if "called" in line}
    assert os.getpid() not in at_work
    assert sum("received" in line for line in lines) <= 2  # sent once to each worker


def test_few_chunks_are_in_the_hands_of_the_cluster(scene, client, tmp_path):
    estimator, submitted = Logging(tmp_path / "log"), []
    legend = Legend.of(estimator.classes_)
    layers = make_layers(["class"], "uint8", legend, {}, ())
    job = Job(scene, estimator, legend, layers, (2, 2), 100)
    (tmp_path / "chunks").mkdir()

    class Watching:
        nthreads, cancel, wait_for_workers = client.nthreads, client.cancel, client.wait_for_workers

        def submit(self, *arguments, **options):
            submitted.append(arguments[-1])
            return client.submit(*arguments, **options)

    for n_done, _ in enumerate(workers.on_cluster(job, tmp_path, range(63), Watching()), start=1):
        assert len(submitted) - n_done <= 4
    assert sorted(submitted) == list(range(63))


def test_errors_on_a_cluster_are_those_of_the_estimator(scene, expected, client, tmp_path):
    with pytest.raises(RuntimeError, match="no such weather"):
        ChunkedPredictor(Logging(tmp_path / "log", fails=True), 5, client=client).predict(
            scene, tmp_path / "map.tif"
        )
    path = ChunkedPredictor(Logging(tmp_path / "log"), 5, client=client).predict(scene, tmp_path / "map.tif")
    assert path.read_bytes() == expected


class KillOne(KillWorker):
    """Kills the first worker that it comes to, and none of those that take its place."""

    def __init__(self, marker, **options):
        super().__init__(**options)
        self.marker = str(marker)

    async def setup(self, worker):
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        await super().setup(worker)


def test_a_map_survives_the_death_of_a_worker(tmp_path):
    scene = Scene({"v": VectorRaster(write(tmp_path / "v.tif", coded(1, 40, 40, "uint16")))}, grid="v")
    expected = ChunkedPredictor(CodeReader(), 8).predict(scene, tmp_path / "whole.tif")
    estimator = Logging(tmp_path / "log", seconds=0.3)
    Path(estimator.log).touch()

    def kill_after_some_chunks(client):
        while len(estimator.lines()) < 8:
            time.sleep(0.02)
        with suppress(OSError):  # the connection to the worker that dies
            client.register_plugin(KillOne(tmp_path / "marker", delay="100 ms", mode="segfault"))

    with new_cluster() as cluster, distributed.Client(cluster) as client:
        before = set(client.run(os.getpid).values())
        killer = threading.Thread(target=kill_after_some_chunks, args=[client])
        killer.start()
        path = ChunkedPredictor(estimator, 8, client=client).predict(scene, tmp_path / "map.tif")
        killer.join()
        after = set(client.run(os.getpid).values())
    np.testing.assert_array_equal(read_map(path), read_map(expected))
    assert (tmp_path / "marker").exists()
    assert before - after
