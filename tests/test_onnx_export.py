"""Networks in the ONNX format, read back by ONNX Runtime, which shares no code with torch."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.exceptions import NotFittedError

from m3fusion_sk import M3FusionClassifier, MultiSource, paper_settings
from m3fusion_sk.settings import CHOICES

SMALL = {"hidden_size": 16, "n_filters": 4, "max_epochs": 2, "batch_size": 32, "random_state": 0}
FORMS = [
    *({"series_encoder": kind} for kind in CHOICES["series_encoder"]),
    *({"series_encoder": kind, "date_embedding": None} for kind in CHOICES["series_encoder"]),
    *({"series_encoder": kind, "linear_path": 5} for kind in CHOICES["series_encoder"]),
    *({"patch_path": n, "linear_path": 0} for n in (0, 9)),
    *({"stem": stem, "date_embedding": 7} for stem in CHOICES["stem"]),
    *({"normalize": scaling} for scaling in CHOICES["normalize"]),
    *({"dtype": dtype} for dtype in CHOICES["dtype"]),
    {"feature_norm": True, "augment": False},
    {**paper_settings(), "hidden_size": 32, "n_filters": 8},
]


def make_samples(n=120, size=13, seed=0):
    """Raw values as rasters have them: integers far from zero, and terrain in metres."""
    rng = np.random.default_rng(seed)
    y = np.array(["crops", "forest", "water"])[np.arange(n) % 3]
    ts = rng.integers(200, 4000, (n, 7, 3)) + 900 * (y == "crops")[:, None, None]
    patch = rng.integers(0, 900, (n, 2, size, size)) + 300 * (y == "water")[:, None, None, None]
    return MultiSource(ts=ts.astype("u2"), patch=patch.astype("i2"), terrain=rng.normal(800, 90, (n, 4))), y


def run(path, X, dtype=np.float32):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    inputs = {name: X[name].astype(dtype) for name in X.names}
    return dict(zip(names, session.run(None, inputs), strict=True))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_onnx_runtime_gives_the_same_probabilities_on_1000_samples(tmp_path, form):
    train, y = make_samples()
    X, _ = make_samples(1000, seed=1)
    if form.get("normalize", "") is None:  # that is for values that are scaled already
        train, X = (
            MultiSource({name: part[name].astype("f4") / 1000 for name in X.names}) for part in (train, X)
        )
    clf = M3FusionClassifier(**{**SMALL, **form, "max_epochs": 2}).fit(train, y)
    path = tmp_path / "model.onnx"
    clf.to_onnx(path, auxiliary=True, attention=True)
    got = run(path, X, np.float64 if form.get("dtype") == "float64" else np.float32)
    expected = {
        "probabilities": clf.predict_proba(X),
        **{f"probabilities_{name}": p for name, p in clf.predict_proba_by_source(X).items()},
        **{f"attention_{name}": w for name, w in clf.attention(X).items()},
    }
    assert list(got) == list(expected)
    for name, values in expected.items():
        assert got[name].dtype == np.float32
        np.testing.assert_allclose(got[name], values, atol=1e-5, rtol=0)
    assert np.ptp(expected["probabilities"], axis=0).min() > 0.01  # they depend on the sample


@pytest.mark.parametrize("size", [3, 4, 5, 11, 12, 20, 25])
def test_patches_of_every_size_are_written_as_they_are_computed(tmp_path, size):
    X, y = make_samples(40, size)
    X = X.select(["patch"])
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    clf.to_onnx(tmp_path / "model.onnx", auxiliary=True)
    got = run(tmp_path / "model.onnx", X)
    np.testing.assert_allclose(got["probabilities"], clf.predict_proba(X), atol=1e-5, rtol=0)
    np.testing.assert_array_equal(got["probabilities_patch"], got["probabilities"])  # there is one head


@pytest.mark.parametrize("n", [1, 2, 257])
def test_the_number_of_samples_is_free(tmp_path, n):
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    clf.to_onnx(tmp_path / "model.onnx")
    many = X[np.arange(n) % len(X)]
    got = run(tmp_path / "model.onnx", many)
    assert list(got) == ["probabilities"]
    np.testing.assert_allclose(got["probabilities"], clf.predict_proba(many), atol=1e-5, rtol=0)


def test_the_recurrence_is_the_standard_operator_and_the_file_tells_what_it_is(tmp_path):
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL, series_encoder="gru").fit(X, y)
    clf.to_onnx(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    gru = [node for node in model.graph.node if node.op_type == "GRU"]
    assert len(gru) == 1
    assert {a.name: a.i for a in gru[0].attribute} == {"hidden_size": 16, "linear_before_reset": 0}
    assert {node.domain for node in model.graph.node} == {""}
    assert [opset.domain for opset in model.opset_import] == [""]
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata["classes"] == ["crops", "forest", "water"]
    assert metadata["sources"]["ts"] == {"kind": "series", "axes": ["n_dates", "n_bands"], "shape": [7, 3]}
    weights = sum(np.prod(part.dims) for part in model.graph.initializer)
    assert weights >= sum(part.numel() for part in clf.net_.module_.encoders.parameters())


def test_offsets_that_float32_cannot_hold_are_scaled_in_float64(tmp_path):
    X, y = make_samples()
    far = MultiSource(terrain=X["terrain"] + 1e9)
    clf = M3FusionClassifier(**SMALL, dtype="float64").fit(far, y)
    clf.to_onnx(tmp_path / "model.onnx")
    got = run(tmp_path / "model.onnx", far, np.float64)
    np.testing.assert_allclose(got["probabilities"], clf.predict_proba(far), atol=1e-5, rtol=0)


def test_a_loaded_classifier_and_integer_labels_are_exported_too(tmp_path):
    X, _ = make_samples()
    clf = M3FusionClassifier(**SMALL).fit(X, np.arange(120) % 2 + 7)
    clf.save(tmp_path / "model.m3f")
    M3FusionClassifier.load(tmp_path / "model.m3f").to_onnx(tmp_path / "model.onnx")
    np.testing.assert_allclose(
        run(tmp_path / "model.onnx", X)["probabilities"], clf.predict_proba(X), atol=1e-5, rtol=0
    )
    props = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(props["classes"]) == [7, 8]


def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    X, y = make_samples(30)
    with pytest.raises(NotFittedError):
        M3FusionClassifier().to_onnx(tmp_path / "model.onnx")
    for name in ("probabilities", "constant/0"):
        clf = M3FusionClassifier(**SMALL).fit({name: X["terrain"]}, y)
        with pytest.raises(ValueError, match=rf"Sources must have other names than the outputs.*\['{name}"):
            clf.to_onnx(tmp_path / "model.onnx")
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    with pytest.raises(FileNotFoundError, match=r"The folder of \S+ must exist"):
        clf.to_onnx(tmp_path / "nowhere" / "model.onnx")
    clf.net_.module_.norms[0] = torch.nn.Softplus()
    with pytest.raises(NotImplementedError, match="to_onnx does not know how to write Softplus"):
        clf.to_onnx(tmp_path / "model.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r'pip install "m3fusion_sk\[onnx\]"'):
        clf.to_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
