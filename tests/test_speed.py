"""Guards against slowness: ratios of two ways in one process, with room for a busy machine."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource, paper_settings
from m3fusion_sk.network import inference
from m3fusion_sk.network.recurrence import Recurrence
from m3fusion_sk.patchview import PatchView

BENCH = Path(__file__).parent.parent / "benchmarks" / "bench.py"


def seconds(run, rounds=5):
    """The least processor time of some rounds: others on the machine only add to it."""
    run()
    best = np.inf
    for _ in range(rounds):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def test_neighbouring_patches_cost_less_than_single_ones():
    rows, cols = (5 * axis.ravel() for axis in np.indices((16, 16)))
    image = np.random.default_rng(0).integers(0, 255, (4, 100, 100)).astype(np.uint8)
    X = MultiSource(patch=PatchView(image, rows, cols, (25, 25)))
    settings = {**paper_settings(), "n_filters": 32, "max_epochs": 1, "random_state": 0}
    clf = M3FusionClassifier(**settings).fit(X[:64].materialize(), np.arange(64) % 3)
    single, network = X.materialize(), clf.net_.for_prediction("float32")
    alone = seconds(lambda: inference.run(network, single, inference.proba))
    assert seconds(lambda: inference.run(network, X, inference.proba)) < 0.9 * alone


@pytest.mark.parametrize("training", [False, True])
def test_the_recurrence_keeps_up_with_the_one_of_torch(training):
    x = torch.randn(64, 30, 16)
    ours, theirs = Recurrence(16, 128), torch.nn.GRU(16, 128, batch_first=True)

    def step(call):
        with torch.inference_mode(not training):
            states = call(x)
            if training:
                states.sum().backward()

    least = seconds(lambda: step(lambda x: theirs(x)[0]))
    assert seconds(lambda: step(ours)) < 2 * least


def test_gaps_are_filled_at_once():
    values = np.random.default_rng(0).normal(size=(2000, 20, 5))
    values[np.random.default_rng(1).random(values.shape[:2]) < 0.3] = np.nan
    X, dates = MultiSource(ts=values), np.arange(20)

    def loop():
        for pixel in values:
            for band in pixel.T:
                known = ~np.isnan(band)
                np.interp(dates, dates[known], band[known])

    assert seconds(lambda: GapFiller().fit_transform(X)["ts"]) < seconds(loop) / 5


def test_samples_come_to_batches_faster_than_by_the_loader_of_skorch(monkeypatch):
    monkeypatch.syspath_prepend(BENCH.parent)
    from speed import loading

    runs = loading.candidates(256)
    for what in loading.TARGETS:
        assert seconds(runs[what]) < seconds(runs[f"{what}, theirs"])  # already with few samples


def test_the_tables_of_speeds_are_written(tmp_path):
    command = [sys.executable, str(BENCH), "recurrence", "loading", "memory", "--small", "--rounds", "3"]
    output = tmp_path / "bench.json"
    result = subprocess.run([*command, "--output", str(output)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "| units | batch | what |" in result.stdout
    found = json.loads(output.read_text())
    assert found["recurrence"]["machine"]["torch"] == torch.__version__
    assert {row["what"] for row in found["recurrence"]["rows"]} == {"inference", "training step"}
    assert [row["what"] for row in found["loading"]["rows"]] == ["fit", "predict"]
    assert all(0 < row["megabytes"] < 300 for row in found["memory"]["rows"])
