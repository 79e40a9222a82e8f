"""Arithmetic that the processor has to emulate."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import EfficiencyWarning

from m3fusion_sk import M3FusionClassifier, settings
from m3fusion_sk.network import processor

SMALL = {"hidden_size": 4, "max_epochs": 1, "random_state": 0}
X = np.random.default_rng(0).normal(size=(20, 5, 2))
y = np.arange(20) % 2


@pytest.fixture
def emulating(monkeypatch):
    monkeypatch.setattr(settings, "computes_bfloat16", lambda device: False)


@pytest.fixture
def loud():
    with warnings.catch_warnings():
        warnings.simplefilter("error", EfficiencyWarning)
        yield


def test_training_in_emulated_bfloat16_warns(emulating, loud):
    with pytest.warns(EfficiencyWarning, match="dtype='bfloat16' is emulated on this processor"):
        M3FusionClassifier(**SMALL, dtype="bfloat16").fit({"ts": X}, y)
    for dtype in ("float32", "float64"):
        M3FusionClassifier(**SMALL, dtype=dtype).fit({"ts": X}, y)


def test_predicting_in_emulated_bfloat16_warns(emulating, loud):
    clf = M3FusionClassifier(**SMALL).fit({"ts": X}, y)
    for precision in ("float32", "int8"):
        clf.set_params(precision=precision).predict({"ts": X})
    clf.set_params(precision="bfloat16")
    with pytest.warns(EfficiencyWarning, match=r"precision='bfloat16' is emulated.*Use that, or .*'int8'"):
        clf.predict({"ts": X})


def test_processors_with_bfloat16_say_nothing(monkeypatch, loud):
    monkeypatch.setattr(settings, "computes_bfloat16", lambda device: True)
    clf = M3FusionClassifier(**SMALL, dtype="bfloat16", precision="bfloat16").fit({"ts": X}, y)
    assert clf.predict({"ts": X}).shape == (20,)


def test_torch_is_asked_where_it_knows(monkeypatch):
    if hasattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported"):
        assert processor.computes_bfloat16() is torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert processor.computes_bfloat16("cuda")
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert processor.computes_bfloat16()
