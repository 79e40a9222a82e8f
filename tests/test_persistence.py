"""Saved classifiers: exact, whole, and read without running anything in them."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from m3fusion_sk import M3FusionClassifier, MultiSource, paper_settings
from m3fusion_sk.persistence import checksum, describe

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
        ((1, 2), {"date_embedding": None, "feature_norm": True, "early_stopping": True}),
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


def test_dates_are_of_the_content_where_gaps_are_filled_by_them(tmp_path):
    X, y = make_samples()
    dates = [f"2018-0{month}-15" for month in range(1, 1 + X.specs["ts"].n_dates)]
    clf = M3FusionClassifier(**SMALL, missing="fill").fit(X.with_dates(ts=dates), y)
    clf.save(tmp_path / "model.m3f")
    assert M3FusionClassifier.load(tmp_path / "model.m3f").content_hash() == clf.content_hash()
    assert M3FusionClassifier(**SMALL, missing="fill").fit(X, y).content_hash() != clf.content_hash()


def test_names_of_columns_travel_along(tmp_path):
    X, y = make_samples()
    frame = pd.DataFrame(np.asarray(X), columns=X.column_names)
    clf = M3FusionClassifier(**SMALL).fit(frame, y)
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(str(tmp_path / "model.m3f"))
    np.testing.assert_array_equal(twin.predict_proba(frame), clf.predict_proba(frame))
    with pytest.raises(ValueError, match="feature names"):
        twin.predict(frame[frame.columns[::-1]])


def test_dates_travel_along(tmp_path):
    X, y = make_samples()
    dates = [f"2018-0{month}-15" for month in range(1, 1 + X.specs["ts"].n_dates)]
    clf = M3FusionClassifier(**SMALL).fit(X.with_dates(ts=dates), y)
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(tmp_path / "model.m3f")
    assert twin.sources_["ts"].dates == clf.sources_["ts"].dates == tuple(dates)
    assert twin.content_hash() == clf.content_hash()
    assert twin.content_hash() == M3FusionClassifier(**SMALL).fit(X, y).content_hash()  # they change no map
    with pytest.warns(UserWarning, match="at the times of the year of fit"):
        twin.predict(X.with_dates(ts=[*dates[:-1], "2018-11-15"]))


def test_columns_of_a_table_among_the_sources_travel_along(tmp_path):
    X, _ = make_samples()
    table = pd.DataFrame(np.random.default_rng(1).normal(size=(len(X), 2)), columns=["elevation", "slope"])
    clf = M3FusionClassifier(**SMALL, classes=range(2)).fit(X.replace(terrain=table), np.arange(24) % 2)
    clf.save(tmp_path / "model.m3f")
    twin = M3FusionClassifier.load(tmp_path / "model.m3f")
    assert twin.sources_["terrain"].names == ("elevation", "slope") and twin.classes == [0, 1]
    with pytest.raises(ValueError, match=r"must have the columns .* of fit, in their order"):
        twin.predict(X.replace(terrain=table[["slope", "elevation"]]))
    twin.save(tmp_path / "again.m3f")
    assert (tmp_path / "again.m3f").read_bytes() == (tmp_path / "model.m3f").read_bytes()
    assert len(twin.predict(X.replace(terrain=table.to_numpy()))) == 24  # without names, taken as it is


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


def test_the_hash_of_the_content_knows_weights_and_parameters_and_survives_a_file(tmp_path):
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    clf.save(tmp_path / "model.m3f")
    assert M3FusionClassifier.load(tmp_path / "model.m3f").content_hash() == clf.content_hash()
    other = M3FusionClassifier(**{**SMALL, "random_state": 1}).fit(X, y)
    assert other.content_hash() != clf.content_hash()
    before = clf.content_hash()
    assert clf.set_params(lr=0.5).content_hash() != before


def test_what_is_saved_is_the_network_that_was_fitted(tmp_path):
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    expected = clf.predict_proba(X)
    clf.set_params(hidden_size=16, n_filters=5, feature_norm=True, date_embedding=None, dtype="float64")
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
    with pytest.raises(FileNotFoundError, match=r"The folder of \S+ must exist"):
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


N_MUTANTS = 1000 if os.environ.get("M3FUSION_SOAK") else 100
KINDS_OF_DAMAGE = ("bit", "cut", "insert", "delete", "zero", "swap", "repeat", "value", "member")


def mutant(content, kind, rng):
    """The file with one random damage."""
    n = len(content)
    start, size = int(rng.integers(n)), int(rng.integers(1, 200))
    stop = min(n, start + size)
    noise = rng.integers(0, 256, size, dtype="u1").tobytes()
    if kind == "bit":
        altered = bytes([content[start] ^ (1 << int(rng.integers(8)))])
        return content[:start] + altered + content[start + 1 :]
    if kind == "swap":
        other = int(rng.integers(n - size))
        return content[:start] + content[other : other + stop - start] + content[stop:]
    if kind in ("value", "member"):
        return rewritten(content, kind, rng)
    return {
        "cut": content[:start],
        "insert": content[:start] + noise + content[start:],
        "delete": content[:start] + content[stop:],
        "zero": content[:start] + bytes(stop - start) + content[stop:],
        "repeat": content[:stop] + content[start:],
    }[kind]


def rewritten(content, kind, rng):
    """A valid archive with another value in its description, or a member missing, emptied or exchanged."""
    members = members_of(io.BytesIO(content))
    names = list(members)
    if kind == "member":
        name, other = rng.choice(names, 2)
        members.pop(name) if rng.random() < 0.3 else members.update(
            {name: members[other][: rng.integers(99)]}
        )
    else:
        model = json.loads(members["model.json"])
        part, key = model, str(rng.choice(list(model)))
        while isinstance(part[key], dict | list) and part[key]:
            part = part[key]
            key = rng.choice(list(part)) if isinstance(part, dict) else int(rng.integers(len(part)))
        part[key] = [None, -1, 10**12, "x", [], {}, True, 0.5][rng.integers(8)]
        members["model.json"] = json.dumps(model, indent=1).encode()
    out = io.BytesIO()
    write_members(out, members)
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS_OF_DAMAGE)
def test_altered_files_are_refused_by_name_or_change_nothing(saved, tmp_path, kind):
    rng, content, path = np.random.default_rng(0), saved.read_bytes(), tmp_path / "mutant.m3f"
    X, _ = make_samples()
    original = M3FusionClassifier.load(saved)
    expected = original.predict_proba(X)
    refused, n_mutants = 0, -(-N_MUTANTS // len(KINDS_OF_DAMAGE))
    for _ in range(n_mutants):
        path.write_bytes(mutant(content, kind, rng))
        try:
            twin = M3FusionClassifier.load(path)
        except ValueError as error:
            assert "mutant.m3f" in str(error)
            refused += 1
        else:
            np.testing.assert_array_equal(twin.predict_proba(X), expected)
            assert describe(twin) == describe(original)
    assert refused > 0.7 * n_mutants


@pytest.mark.timeout(3600)
def test_altered_descriptions_with_a_forged_checksum_do_not_crash(saved, tmp_path):
    """The checksum tells damage, not malice: what it lets through is refused, or is a classifier."""
    rng, content, path = np.random.default_rng(1), saved.read_bytes(), tmp_path / "mutant.m3f"
    for _ in range(N_MUTANTS):
        members = members_of(io.BytesIO(rewritten(content, "value", rng)))
        members["sha256"] = checksum(members["model.json"], members["weights.safetensors"])
        write_members(path, members)
        try:
            assert isinstance(M3FusionClassifier.load(path), M3FusionClassifier)
        except ValueError as error:
            assert "mutant.m3f" in str(error)


def members_of(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(file, members):
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def rewrite(saved, path, change):
    """A file that describes something else, with the checksum of that."""
    members = members_of(saved)
    model = json.loads(members["model.json"])
    change(model)
    members["model.json"] = json.dumps(model).encode()
    members["sha256"] = checksum(members["model.json"], members["weights.safetensors"])
    write_members(path, members)


def test_an_unknown_format_is_refused_with_the_version_that_wrote_it(saved, tmp_path):
    path = tmp_path / "newer.m3f"
    rewrite(saved, path, lambda model: model.update(format=99, version="9.9"))
    with pytest.raises(
        ValueError, match=r"newer\.m3f has format 99, written by m3fusion_sk 9\.9; expected format 1"
    ):
        M3FusionClassifier.load(path)


def test_a_description_that_does_not_fit_is_refused(saved, tmp_path):
    path = tmp_path / "odd.m3f"
    members = members_of(saved)
    write_members(path, {**members, "sha256": "0" * 64})
    with pytest.raises(ValueError, match=r"odd\.m3f does not match its checksum"):
        M3FusionClassifier.load(path)
    rewrite(saved, path, lambda model: model["classes"].update(values=["forest", "crops"]))
    with pytest.raises(ValueError, match=r"odd\.m3f holds classes out of order"):
        M3FusionClassifier.load(path)
    for hidden_size in (5, 10**9):  # the latter without taking its memory
        rewrite(saved, path, lambda model, size=hidden_size: model["network"].update(hidden_size=size))
        with pytest.raises(ValueError, match=r"odd\.m3f describes another network than that of its weights"):
            M3FusionClassifier.load(path)
    rewrite(saved, path, lambda model: model["parameters"].update(colour="red"))
    with pytest.raises(
        ValueError, match=r"odd\.m3f has parameters that this version does not know, \['colour"
    ):
        M3FusionClassifier.load(path)


def test_parameters_that_a_file_of_before_lacks_do_nothing(tmp_path):
    X, y = make_samples()
    saved = tmp_path / "saved.m3f"
    original = M3FusionClassifier(**{**SMALL, "linear_path": 0}).fit(X, y)
    original.save(saved)

    def forget(model):
        del (
            model["parameters"]["linear_path"],
            model["network"]["linear_path"],
            model["parameters"]["warm_start"],
        )

    rewrite(saved, tmp_path / "before.m3f", forget)
    twin = M3FusionClassifier.load(tmp_path / "before.m3f")
    np.testing.assert_array_equal(twin.predict_proba(X), original.predict_proba(X))
    assert twin.linear_path == paper_settings()["linear_path"] and twin.warm_start is False


@pytest.mark.parametrize("parameters", [{}, {"linear_path": 3}, {"normalize": "minmax", "dtype": "float64"}])
def test_all_that_is_known_of_the_inputs_travels_along(tmp_path, parameters):
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL, **parameters).fit(X, y)
    clf.save(tmp_path / "model.m3f")
    ours, theirs = (
        c.net_.module_.state_dict() for c in (clf, M3FusionClassifier.load(tmp_path / "model.m3f"))
    )
    assert list(ours) == list(theirs)
    for name, values in clf.net_.module_.named_buffers():
        if name in ours:
            assert torch.equal(values, theirs[name])
    center = np.ravel(theirs["scalers.0.center"])
    low = X["ts"].min(axis=(0, 1)) if parameters.get("normalize") else X["ts"].mean(axis=(0, 1))
    np.testing.assert_allclose(center, low, rtol=1e-5)


def test_a_missing_file_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        M3FusionClassifier.load(tmp_path / "nothing.m3f")
