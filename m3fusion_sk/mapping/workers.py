"""Who works on the chunks: this process, local processes, or the workers of a Dask cluster.

Each gives the records of finished chunks, whose files are on the disk, in any order.
"""

import hashlib
import time
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import cloudpickle
import joblib

from ..wholefile import whole_file
from .errors import MapNotWritten
from .store import write_chunk

__all__ = ["on_cluster", "one_by_one", "with_processes"]

_AHEAD = 2  # chunks that were sent to be read: while one is predicted, one is read
_IN_FLIGHT = 2  # chunks for each worker: one at work and one waiting
_ATTEMPTS = 3  # at a chunk that workers die on
_PATIENCE = 120  # seconds until a cluster has its first worker


def one_by_one(job, folder, todo):
    """In this process; the next chunks are read while one is predicted."""
    windows = job.windows
    with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
        waiting, queue = deque(), deque(todo)
        try:
            while queue or waiting:
                while queue and len(waiting) < _AHEAD:
                    chunk = queue.popleft()
                    waiting.append(reader.submit(job.read, chunk, windows[chunk]))
                yield finish(job, folder, waiting.popleft().result())
        finally:
            for future in waiting:
                future.cancel()


def finish(job, folder, pixels):
    """Predict a chunk that was read, and write it; the record for the journal."""
    result = job.predict(pixels)
    start = time.perf_counter()
    record = write_chunk(folder, pixels.chunk, result.arrays)
    result.facts["seconds"]["write"] = time.perf_counter() - start
    return {**record, **result.facts}


def with_processes(job, folder, todo, n_jobs):
    """In local processes, started afresh, which share the machine's cores among them."""
    cores = joblib.cpu_count()
    sent, left, attempts = send(job, folder), list(todo), 0
    while left:
        before = len(left)
        try:
            with joblib.parallel_config("loky", inner_max_num_threads=max(1, cores // n_jobs)):
                parallel = joblib.Parallel(
                    n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch=_IN_FLIGHT * n_jobs
                )
                records = parallel(joblib.delayed(work)(*sent, chunk) for chunk in list(left))
                with _closing_quietly(records):
                    for record in records:
                        left.remove(record["chunk"])
                        yield record
        except BrokenProcessPool as error:
            attempts = attempts + 1 if len(left) == before else 1
            if attempts >= _ATTEMPTS:
                raise MapNotWritten(
                    f"{n_jobs} processes ended without a word {attempts} times in a row, perhaps for lack "
                    f"of memory ({str(error).splitlines()[0]}). Finished chunks are kept: run the same call "
                    "again with fewer n_jobs or a smaller chunk_size."
                ) from error


@contextmanager
def _closing_quietly(records):
    """Where no more are wanted, joblib would warn that some were computed in vain."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*tasks", UserWarning)
            records.close()


def on_cluster(job, folder, todo, client):
    """On a Dask cluster whose workers see the same folders; few chunks are in its hands at a time."""
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    sent, queue, flying = send(job, folder), deque(todo), {}

    def submit():
        future = client.submit(work, *sent, queue.popleft(), pure=False)
        flying[future.key] = future
        return future

    _wait_for_workers(client)
    n_workers = max(1, sum(client.nthreads().values()))
    futures = as_completed([submit() for _ in range(min(len(queue), _IN_FLIGHT * n_workers))])
    try:
        for future in futures:
            record = future.result()
            del flying[future.key]
            if queue:
                futures.add(submit())
            yield record
    except KilledWorker as error:
        raise MapNotWritten(
            f"The cluster lost several workers on one chunk: {error} Finished chunks are kept: run the same "
            "call again, with more memory for each worker or a smaller chunk_size."
        ) from error
    finally:
        client.cancel(list(flying.values()))


def _wait_for_workers(client):
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError as error:
        raise MapNotWritten(
            f"The cluster must have a worker; none came within {_PATIENCE} seconds. Start workers and run "
            "the same call again."
        ) from error


def send(job, folder):
    """Put the job where all workers find it, once; its folder and its hash."""
    content = cloudpickle.dumps(job)
    path = folder / "job.pickle"
    with whole_file(path) as file:
        file.write(content)
    return str(folder.resolve()), hashlib.sha256(content).hexdigest()


def work(folder, digest, chunk):
    """One chunk in a worker; the record for the journal."""
    job, windows = _receive(folder, digest)
    return finish(job, Path(folder), job.read(chunk, windows[chunk]))


@lru_cache(maxsize=1)
def _receive(folder, digest):
    try:
        content = (Path(folder) / "job.pickle").read_bytes()
    except FileNotFoundError as error:
        raise MapNotWritten(
            f"All workers must see the map's folder, on a disk that they share; one found no "
            f"{error.filename}."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise MapNotWritten(f"{folder}/job.pickle is not as it was written. Run the same call again.")
    job = cloudpickle.loads(content)
    return job, job.windows
