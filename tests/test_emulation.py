"""Arithmetic that the processor has to emulate."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from m3fusion_sk import M3FusionClassifier
from m3fusion_sk.network import processor

SMALL = {"hidden_size": 4, "max_epochs": 1, "random_state": 0}
X = {"ts": np.random.default_rng(0).normal(size=(20, 5, 2))}
y = np.arange(20) % 2


@pytest.fixture(params=[True, False], ids=["emulated", "computed"])
def emulated(request, monkeypatch):
    monkeypatch.setattr(processor, "computes_bfloat16", lambda device: not request.param)
    return request.param


def said(run):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [w for w in caught if issubclass(w.category, RuntimeWarning)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_training_warns_where_bfloat16_is_emulated(emulated, dtype):
    found = said(lambda: M3FusionClassifier(**SMALL, dtype=dtype).fit(X, y))
    assert len(found) == (emulated and dtype == "bfloat16")
    for warning in found:
        assert "dtype='bfloat16' is emulated on this processor" in str(warning.message)
        assert warning.filename == __file__


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_predicting_warns_once_where_bfloat16_is_emulated(emulated, precision):
    clf = M3FusionClassifier(**SMALL).fit(X, y).set_params(precision=precision)
    found = said(lambda: clf.predict_proba(X))
    assert len(found) == (emulated and precision == "bfloat16")
    for warning in found:
        assert "use that" in str(warning.message) and warning.filename == __file__
    assert not said(lambda: clf.predict(X))  # the prepared network is kept


@pytest.mark.parametrize(
    ("onednn", "avx512", "instructions", "expected"),
    [
        (False, False, False, False),  # AVX2
        (True, True, False, False),  # AVX-512, but not its part for bfloat16
        (True, True, True, True),
        (True, False, False, True),  # ARM, and x86 with other instructions for it
    ],
)
def test_processors_are_known_by_what_torch_tells(onednn, avx512, instructions, expected, monkeypatch):
    cpu = SimpleNamespace(_is_avx512_supported=lambda: avx512, _is_avx512_bf16_supported=lambda: instructions)
    monkeypatch.setattr(processor.torch, "cpu", cpu)
    told = SimpleNamespace(_is_mkldnn_bf16_supported=lambda: onednn)
    monkeypatch.setattr(processor.torch.ops, "mkldnn", told)
    assert processor.computes_bfloat16() is expected
    assert processor.computes_bfloat16(torch.device("cuda"))
    monkeypatch.setattr(processor.torch.ops, "mkldnn", SimpleNamespace())
    assert processor.computes_bfloat16()
