"""Saved classifiers: exact, whole, and read without running anything in them."""

import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from m3fusion_sk import M3FusionClassifier, MultiSource

SMALL = {"hidden_size": 4, "n_filters": 2, "max_epochs": 2, "random_state": 0}


def make_samples(labels=("crops", "forest"), n=24):
    rng = np.random.default_rng(0)
    X = MultiSource(ts=rng.normal(size=(n, 4, 2)), patch=rng.integers(0, 255, (n, 1, 5, 5)).astype("u1"))
    return X, np.array(labels)[np.arange(n) % len(labels)]


@pytest.mark.parametrize(
    ("labels", "parameters"),
    [
        (("crops", "forest"), {}),
        ((3, 70_000, -1), {"class_weight": {3: 2.0, -1: 0.5}}),
        ((True, False), {"alpha": {"ts": 0.5, "patch": 0.1}}),
        (("a", "b"), {"dtype": "float64", "classes": ["a", "b", "c"], "normalize": "minmax"}),
        ((1, 2), {"date_embedding": None, "feature_norm": False, "early_stopping": True}),
        (("é", "水"), {"layout": {"ts": (4, 2)}, "stem": "3x3", "alpha": np.float64(0.2)}),
    ],
)
def test_a_loaded_classifier_predicts_exactly_the_same(tmp_path, labels, parameters):
    X, y = make_samples(labels)
    clf = M3FusionClassifier(**SMALL, **parameters).fit(X, y)
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(tmp_path / "model.m3f")
    np.testing.assert_array_equal(twin.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(twin.predict(X), clf.predict(X))
    np.testing.assert_array_equal(twin.attention(X)["ts"], clf.attention(X)["ts"])
    assert twin.classes_.dtype == clf.classes_.dtype
    assert twin.sources_ == clf.sources_
    assert (twin.n_features_in_, twin.n_iter_, twin.history_) == (33, clf.n_iter_, clf.history_)
    for name in ("hidden_size", "class_weight", "layout", "stem", "lr"):
        assert getattr(twin, name) == getattr(clf, name)


def test_names_of_columns_travel_along(tmp_path):
    X, y = make_samples()
    frame = pd.DataFrame(np.asarray(X), columns=X.column_names)
    clf = M3FusionClassifier(**SMALL).fit(frame, y)
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(str(tmp_path / "model.m3f"))
    np.testing.assert_array_equal(twin.predict_proba(frame), clf.predict_proba(frame))
    with pytest.raises(ValueError, match="feature names"):
        twin.predict(frame[frame.columns[::-1]])


def test_a_loaded_classifier_can_be_fitted_saved_and_pickled_again(tmp_path):
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    clf.save(tmp_path / "a.m3f")
    twin = M3FusionClassifier.load(tmp_path / "a.m3f")
    twin.save(tmp_path / "b.m3f")
    assert (tmp_path / "a.m3f").read_bytes() == (tmp_path / "b.m3f").read_bytes()
    again = pickle.loads(pickle.dumps(twin))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert twin.set_params(random_state=0).fit(X, y).score(X, y) == clf.score(X, y)


def test_loading_runs_no_pickle_and_leaves_random_states_alone(tmp_path, monkeypatch):
    X, y = make_samples()
    M3FusionClassifier(**SMALL).fit(X, y).save(tmp_path / "model.m3f")

    def refuse(*args, **kwargs):
        raise AssertionError("pickle was called")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    state = torch.get_rng_state()
    M3FusionClassifier.load(tmp_path / "model.m3f")
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_saved_is_the_network_that_was_fitted(tmp_path):
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    expected = clf.predict_proba(X)
    clf.set_params(hidden_size=16, n_filters=5, feature_norm=False, date_embedding=None, dtype="float64")
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(tmp_path / "model.m3f")
    np.testing.assert_array_equal(twin.predict_proba(X), expected)
    assert (twin.hidden_size, twin.dtype) == (16, "float64")


@pytest.mark.parametrize("parameters", [{"alpha": {"q": 1}}, {"optimizer": "foo"}])
def test_parameters_that_cannot_work_are_refused_before_anything_is_written(tmp_path, parameters):
    clf = M3FusionClassifier(**SMALL).fit(*make_samples())
    with pytest.raises(ValueError, match=r"alpha must|optimizer must"):
        clf.set_params(**parameters).save(tmp_path / "model.m3f")
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_model_must_exist(tmp_path):
    clf = M3FusionClassifier(**SMALL).fit(*make_samples())
    with pytest.raises(FileNotFoundError, match="The model's folder must exist"):
        clf.save(tmp_path / "nowhere" / "model.m3f")


def test_nothing_is_left_where_saving_fails(tmp_path):
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL, classes=pd.Index(["crops", "forest", "water"])).fit(X, y)
    with pytest.raises(OSError):
        clf.save(tmp_path)
    assert not list(tmp_path.parent.glob(tmp_path.name + ".partial"))
    dates = np.array(["2018-01-01", "2018-01-02"], "datetime64[D]")[np.arange(24) % 2]
    with pytest.raises(ValueError, match="save needs labels and parameters that JSON can hold"):
        M3FusionClassifier(**SMALL).fit(X, dates).save(tmp_path / "model.m3f")


def test_an_unfitted_classifier_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError):
        M3FusionClassifier().save(tmp_path / "model.m3f")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    X, y = make_samples()
    path = tmp_path_factory.mktemp("saved") / "model.m3f"
    M3FusionClassifier(**SMALL).fit(X, y).save(path)
    return path


def test_a_truncated_file_is_refused_by_name(saved, tmp_path):
    content = saved.read_bytes()
    path = tmp_path / "cut.m3f"
    for share in (0, 0.1, 0.5, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=r"cut\.m3f is not a whole file of M3FusionClassifier\.save"):
            M3FusionClassifier.load(path)


def test_altered_bytes_are_refused_or_change_nothing(saved, tmp_path):
    rng, content, path = np.random.default_rng(0), saved.read_bytes(), tmp_path / "mutant.m3f"
    X, _ = make_samples()
    expected = M3FusionClassifier.load(saved).predict_proba(X)
    refused = 0
    for _ in range(100):
        mutant = bytearray(content)
        mutant[rng.integers(len(content))] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(mutant))
        try:
            np.testing.assert_array_equal(M3FusionClassifier.load(path).predict_proba(X), expected)
        except ValueError as error:
            assert "mutant.m3f" in str(error)
            refused += 1
    assert refused > 80


def rewrite(saved, path, change):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    model = json.loads(members["model.json"])
    change(model)
    members["model.json"] = json.dumps(model).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_an_unknown_format_is_refused_with_the_version_that_wrote_it(saved, tmp_path):
    path = tmp_path / "newer.m3f"
    rewrite(saved, path, lambda model: model.update(format=99, version="9.9"))
    with pytest.raises(
        ValueError, match=r"newer\.m3f has format 99, written by m3fusion_sk 9\.9; expected format 1"
    ):
        M3FusionClassifier.load(path)


def test_weights_that_are_not_those_described_are_refused(saved, tmp_path):
    path = tmp_path / "odd.m3f"
    rewrite(saved, path, lambda model: model.update(weights_sha256="0" * 64))
    with pytest.raises(ValueError, match=r"odd\.m3f holds weights that do not match their checksum"):
        M3FusionClassifier.load(path)
    rewrite(saved, path, lambda model: model["classes"].update(values=["forest", "crops"]))
    with pytest.raises(ValueError, match=r"odd\.m3f holds classes out of order"):
        M3FusionClassifier.load(path)
    rewrite(saved, path, lambda model: model["network"].update(hidden_size=5))
    with pytest.raises(ValueError, match=r"odd\.m3f is not a whole file"):
        M3FusionClassifier.load(path)


def test_a_missing_file_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        M3FusionClassifier.load(tmp_path / "nothing.m3f")
