"""Dates that a pixel lacks, and sources that a sample lacks."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from m3fusion_sk import (
    GapFiller,
    M3FusionClassifier,
    MultiSource,
    SelectSources,
    SpectralIndices,
    StackedFeatures,
)
from m3fusion_sk.explain import compare_heads
from m3fusion_sk.network.gaps import SourceDropout, carried, lacking_dates
from m3fusion_sk.network.recurrence import Recurrence
from m3fusion_sk.network.scaling import fit_scaler
from m3fusion_sk.network.series import SeriesEncoder
from m3fusion_sk.sources import SeriesSpec

ENCODERS = ("gru", "attention", "conv")
SMALL = {
    "hidden_size": 16,
    "n_filters": 4,
    "max_epochs": 8,
    "batch_size": 16,
    "random_state": 0,
    "date_embedding": 8,
}
COMPLETE = {"missing": "error", "missing_sources": "error"}


def make_samples(n=240, seed=0, noise=1.0):
    """Three classes that both sources tell apart, each with noise of its own."""
    rng = np.random.default_rng(seed)
    y = np.array(["crops", "forest", "water"])[np.arange(n) % 3]
    level = (np.arange(n) % 3 - 1.0)[:, None, None]
    ts = level + noise * rng.normal(size=(n, 7, 2))
    patch = level[:, None] + 1.5 * noise * rng.normal(size=(n, 2, 5, 5))
    return MultiSource(ts=ts.astype(np.float32), patch=patch.astype(np.float32)), y


def with_gaps(X, share=0.4, seed=0):
    """Single dates missing in the series; every sample keeps one."""
    ts = X["ts"].copy()
    lacking = np.random.default_rng(seed).random(ts.shape[:2]) < share
    lacking[np.arange(len(ts)), np.arange(len(ts)) % ts.shape[1]] = False
    ts[lacking] = np.nan
    return X.replace(ts=ts), lacking


def without(X, name, rows):
    values = X[name].copy()
    values[rows] = np.nan
    return X.replace(**{name: values})


# ----- dates


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.booleans(), min_size=1, max_size=9).filter(lambda lacks: not all(lacks)), st.integers(0, 99)
)
def test_a_masked_date_is_as_good_as_no_date_for_the_recurrence(lacks, seed):
    """Feature, attention and gradients equal those of the series without these dates."""
    torch.manual_seed(seed)
    encoder = SeriesEncoder(SeriesSpec(len(lacks), 3), 5, None, "gru").double()
    lacking = torch.tensor(lacks).expand(4, -1)
    x = torch.randn(4, len(lacks), 3, dtype=torch.float64)
    shorter = x[:, ~lacking[0]]
    results = []
    for series, mask in ((x, lacking), (shorter, None)):
        encoder.zero_grad()
        feature, weights = encoder.attend(series, mask)
        (feature**2).sum().backward()
        results.append((feature, weights, [p.grad.clone() for p in encoder.parameters()]))
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1][:, ~lacking[0]], results[1][1])
    assert (results[0][1][lacking] == 0).all()
    torch.testing.assert_close(results[0][2], results[1][2])


def test_the_recurrence_carries_its_state_over_bit_for_bit():
    torch.manual_seed(0)
    layer, x = Recurrence(2, 6), torch.randn(3, 5, 2)
    lacking = torch.tensor([[False, True, True, False, True]]).expand(3, -1)
    for states in (layer(x, lacking), torch.no_grad()(layer)(x, lacking)):
        assert torch.equal(states[:, 1], states[:, 0]) and torch.equal(states[:, 2], states[:, 0])
        assert torch.equal(states[:, 4], states[:, 3])
    nothing = layer(x, torch.ones(3, 5, dtype=torch.bool))
    assert (nothing == 0).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_lacking_dates_hold_the_nearest_earlier_values(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 6, 2))
    x[rng.random(x.shape) < 0.4] = np.nan
    tensor = torch.from_numpy(x)
    got = carried(tensor, lacking_dates(tensor)).numpy()
    for i, series in enumerate(x):
        known = [d for d in range(6) if np.isfinite(series[d]).all()]
        for d in range(6):
            before = [k for k in known if k <= d]
            expected = series[before[-1]] if before else series[known[0]] if known else np.zeros(2)
            np.testing.assert_array_equal(got[i, d], expected)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_masked_dates_have_no_weight_and_their_bands_do_not_matter(encoder):
    X, y = make_samples(noise=0.5)
    X, lacking = with_gaps(X)
    clf = M3FusionClassifier(**SMALL, series_encoder=encoder, missing="mask").fit(X, y)
    assert clf.score(X, y) > 0.8
    weights = clf.attention(X)["ts"]
    assert (weights[lacking] == 0).all() and (weights[~lacking] > 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    half = X["ts"].copy()
    half[lacking, 0] = 1e4  # a date with a gap in one band lacks as a whole
    np.testing.assert_array_equal(clf.predict_proba(X.replace(ts=half)), clf.predict_proba(X))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("missing", ["mask", "fill"])
def test_complete_samples_train_the_same_network_to_the_bit(encoder, missing):
    X, y = make_samples(90)
    plain = M3FusionClassifier(**SMALL, series_encoder=encoder).fit(X, y)
    tolerant = M3FusionClassifier(
        **SMALL, series_encoder=encoder, missing=missing, missing_sources="drop", source_dropout=0
    ).fit(X, y)
    np.testing.assert_array_equal(tolerant.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("on_disk", [False, True])
def test_filling_is_the_gap_filler_s(on_disk, tmp_path):
    X, y = make_samples(90)
    X, _ = with_gaps(X)
    filled = GapFiller().fit_transform(X)
    expected = M3FusionClassifier(**SMALL).fit(filled, y).predict_proba(filled)
    if on_disk:
        np.save(tmp_path / "ts.npy", X["ts"])
        X = X.replace(ts=np.load(tmp_path / "ts.npy", mmap_mode="r"))
    clf = M3FusionClassifier(**SMALL, missing="fill").fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


def test_gaps_are_filled_by_the_dates_that_the_samples_know():
    X, y = make_samples(90)
    X, _ = with_gaps(X)
    dates = np.datetime64("2018-01-01") + np.arange(X.specs["ts"].n_dates) ** 2
    dated = X.with_dates(ts=dates)
    filled = GapFiller().fit_transform(dated)
    assert not np.array_equal(filled["ts"], GapFiller().fit_transform(X)["ts"])
    expected = M3FusionClassifier(**SMALL).fit(filled, y).predict_proba(filled)
    clf = M3FusionClassifier(**SMALL, missing="fill").fit(dated, y)
    np.testing.assert_array_equal(clf.predict_proba(dated), expected)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)  # by the dates of fit


def test_a_band_without_any_date_takes_its_mean_where_gaps_are_filled():
    X, y = make_samples(90)
    ts = X["ts"].copy()
    ts[:9, :, 1] = np.nan
    X = X.replace(ts=ts)
    clf = M3FusionClassifier(**SMALL, missing="fill", linear_path=3).fit(X, y)
    mean = np.nanmean(ts.astype(float)[:, :, 1])
    ts = ts.copy()
    ts[:9, :, 1] = mean
    np.testing.assert_allclose(clf.predict_proba(X), clf.predict_proba(X.replace(ts=ts)), atol=1e-6)


@pytest.mark.parametrize("normalize", ["standard", "minmax"])
def test_scaling_is_learned_from_what_is_there(normalize):
    X, _ = make_samples(3000)
    ts = X["ts"].astype(np.float64)
    ts[np.random.default_rng(0).random(ts.shape) < 0.3] = np.nan
    ts[:900, :, 1] = np.nan
    weights = np.random.default_rng(1).integers(1, 4, 3000).astype(float)
    scaler = fit_scaler(MultiSource(ts=ts), "ts", normalize, weights)
    flat = np.repeat(ts, weights.astype(int), axis=0).reshape(-1, 2)
    expected = (
        (np.nanmean(flat, axis=0), np.nanstd(flat, axis=0))
        if normalize == "standard"
        else (np.nanmin(flat, axis=0), np.ptp(np.nan_to_num(flat, nan=np.nanmean(flat)), axis=0))
    )
    np.testing.assert_allclose(scaler.center.ravel(), expected[0], rtol=1e-9)
    np.testing.assert_allclose(scaler.scale.ravel(), expected[1], rtol=1e-9)


# ----- sources


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.99))
def test_source_dropout_leaves_each_sample_a_source_and_brings_none_back(seed, rate):
    torch.manual_seed(seed)
    present = torch.rand(50, 3) < 0.7
    present[torch.arange(50), torch.arange(50) % 3] = True
    layer = SourceDropout(rate)
    kept = layer.train()(present)
    assert not (kept & ~present).any() and kept.any(dim=1).all()
    assert layer.eval()(present) is present


def test_source_dropout_withholds_its_share():
    torch.manual_seed(0)
    kept = SourceDropout(0.3)(torch.ones(20_000, 2, dtype=torch.bool))
    assert abs((~kept).float().mean().item() - (0.3 - 0.3**2 / 2)) < 0.01  # where both would go, one stays


@pytest.fixture(scope="module")
def dropping():
    X, y = make_samples(480)
    return M3FusionClassifier(**SMALL, missing_sources="drop").fit(X, y)


def test_a_source_may_be_nan_or_not_there_at_all(dropping):
    X, _ = make_samples(30, seed=1)
    nowhere = without(X, "patch", slice(None))
    expected = dropping.predict_proba(nowhere)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(dropping.predict_proba({"ts": X["ts"]}), expected)
    np.testing.assert_array_equal(dropping.predict_proba(X.select(["ts"])), expected)


def test_sources_of_integers_may_lack_for_all_samples_or_none():
    X, y = make_samples(90)
    X = X.replace(patch=(100 * X["patch"] + 1000).round().astype(np.uint16))
    clf = M3FusionClassifier(**SMALL, missing_sources="drop").fit(X, y)
    proba = clf.predict_proba({"patch": X["patch"]})
    nowhere = X.replace(ts=np.full_like(X["ts"], np.nan))
    np.testing.assert_array_equal(proba, clf.predict_proba(nowhere))


def test_what_other_samples_lack_does_not_matter(dropping):
    X, _ = make_samples(30, seed=1)
    mixed = without(without(X, "patch", slice(0, 10)), "ts", slice(20, 30))
    proba = dropping.predict_proba(mixed)
    np.testing.assert_allclose(proba[10:20], dropping.predict_proba(X)[10:20], atol=1e-6)
    np.testing.assert_allclose(proba[:10], dropping.predict_proba(X.select(["ts"]))[:10], atol=1e-6)
    np.testing.assert_allclose(proba[20:], dropping.predict_proba(X.select(["patch"]))[20:], atol=1e-6)


def test_heads_and_attention_say_nothing_about_a_source_that_lacks(dropping):
    X, y = make_samples(30, seed=1)
    mixed = without(X, "ts", slice(0, 10))
    by_source = dropping.predict_proba_by_source(mixed)
    assert np.isnan(by_source["ts"][:10]).all() and np.isfinite(by_source["ts"][10:]).all()
    assert np.isfinite(by_source["patch"]).all()
    assert (dropping.attention(mixed)["ts"][:10] == 0).all()
    with pytest.raises(ValueError, match="all sources; 10 of 30 lack one"):
        compare_heads(dropping, mixed, y)


def test_one_model_serves_samples_with_and_without_a_source():
    """With one of two sources absent it scores within 2 points of a model of the other source alone.

    The mean over four seeds; benchmarks/missing_data.py has the same with the default recipe.
    """
    lost, gained = {"ts": [], "patch": []}, []
    for seed in range(4):
        X, y = make_samples(900, seed=seed, noise=1.6)
        test_X, test_y = make_samples(3000, seed=900 + seed, noise=1.6)
        parameters = {**SMALL, "batch_size": 64, "max_epochs": 20, "lr": 5e-3, "augment": False}
        parameters["random_state"] = seed
        one, scores = M3FusionClassifier(**parameters, missing_sources="drop").fit(X, y), {}
        for name in X.names:
            alone = M3FusionClassifier(**parameters).fit(X.select([name]), y)
            scores[name] = alone.score(test_X.select([name]), test_y)
            lost[name].append(scores[name] - one.score(test_X.select([name]), test_y))
        gained.append(one.score(test_X, test_y) - max(scores.values()))
    assert np.mean(lost["ts"]) < 0.02 and np.mean(lost["patch"]) < 0.02, lost
    assert np.mean(gained) > 0.02, gained  # and with both it is better than either


def test_accuracy_falls_gradually_with_the_share_of_samples_that_lack_a_source(dropping):
    X, y = make_samples(900, seed=5, noise=1.6)
    order = np.random.default_rng(0).permutation(900)
    scores = [
        dropping.score(without(X, "ts", order[: int(900 * share)]), y) for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert (np.diff(scores) < 0.02).all() and scores[0] > scores[-1]
    middle = (scores[0] + scores[-1]) / 2
    assert abs(scores[2] - middle) < 0.05


@pytest.mark.parametrize("missing", ["mask", "fill"])
def test_accuracy_falls_gradually_with_the_share_of_missing_dates(missing):
    X, y = make_samples(600, noise=1.6)
    test_X, test_y = make_samples(3000, seed=5, noise=1.6)
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 12}, missing=missing)
    clf.fit(with_gaps(X.select(["ts"]), 0.3)[0], y)
    shares = (0, 0.2, 0.4, 0.6, 0.8)
    scores = [clf.score(with_gaps(test_X.select(["ts"]), share)[0], test_y) for share in shares]
    falls = -np.diff(scores)
    assert scores[0] > scores[-1] + 0.1 and scores[-1] > 0.4  # three classes, and one or two of 7 dates
    assert (falls > -0.02).all() and falls.max() < 0.6 * falls.sum(), scores


def test_training_samples_may_lack_sources_and_dates_at_once():
    X, y = make_samples(300, noise=0.5)
    X, _ = with_gaps(X)
    X = without(without(X, "patch", slice(0, 300, 3)), "ts", slice(1, 300, 5))
    ts, patch = np.isnan(X["ts"]).all(axis=(1, 2)), np.isnan(X["patch"]).all(axis=(1, 2, 3))
    kept = ~(ts & patch)
    for encoder in ENCODERS:
        clf = M3FusionClassifier(
            **SMALL, series_encoder=encoder, missing="mask", missing_sources="drop", feature_norm=True
        )
        clf.fit(X[kept], y[kept], groups=np.arange(kept.sum()) // 3)
        assert clf.score(X[kept], y[kept]) > 0.8
        assert np.isfinite([list(epoch.values()) for epoch in clf.history_]).all()


def test_a_batch_in_which_almost_no_sample_has_a_source_trains(dropping):
    X, y = make_samples(60)
    lone = without(X, "patch", slice(1, None))
    clf = M3FusionClassifier(**SMALL, missing_sources="drop", early_stopping=True).fit(lone, y)
    assert np.isfinite(clf.predict_proba(X)).all()


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_other_number_types_train_with_gaps_too(dtype):
    X, y = make_samples(90)
    X, _ = with_gaps(without(X, "patch", slice(0, 30)))
    clf = M3FusionClassifier(**SMALL, dtype=dtype, missing="mask", missing_sources="drop").fit(X, y)
    assert np.isfinite(clf.predict_proba(X)).all()


def test_a_saved_model_and_a_trained_on_one_keep_their_tolerance(tmp_path):
    X, y = make_samples(90)
    X, _ = with_gaps(without(X, "patch", slice(0, 30)))
    clf = M3FusionClassifier(**SMALL, missing="mask", missing_sources="drop")
    clf.partial_fit(X, y, classes=np.unique(y)).partial_fit(X, y)
    clf.save(tmp_path / "model.m3f")
    loaded = M3FusionClassifier.load(tmp_path / "model.m3f")
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    with pytest.raises(NotImplementedError, match="to_onnx needs a network with missing='error'"):
        clf.to_onnx(tmp_path / "model.onnx")


def test_a_source_may_be_none_and_its_columns_may_be_missing(dropping):
    X, y = make_samples(60, seed=1)
    expected = dropping.predict_proba(X.select(["ts"]))
    np.testing.assert_array_equal(dropping.predict_proba({"ts": X["ts"], "patch": None}), expected)
    frame = pd.DataFrame(np.asarray(X), columns=X.column_names)
    part = frame[[name for name in frame if name.startswith("ts")]]
    np.testing.assert_allclose(dropping.predict_proba(part), expected, atol=1e-6)
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 1}, missing_sources="drop").fit(frame, y)
    absent = frame.copy()
    absent.loc[:, [name for name in frame if name.startswith("patch")]] = np.nan
    np.testing.assert_array_equal(clf.predict_proba(part), clf.predict_proba(absent))
    strict = M3FusionClassifier(**{**SMALL, "max_epochs": 1}).fit(X, y)
    with pytest.raises(ValueError, match="X lacks the source 'patch'"):
        strict.predict(part)
    with pytest.raises(TypeError, match=r"X\['patch'\] must be an array; got None"):
        strict.predict({"ts": X["ts"], "patch": None})
    with pytest.raises(TypeError, match=r"X\['patch'\] must be an array; got None. Leave the source out"):
        clf.fit({"ts": X["ts"], "patch": None}, y)


@pytest.mark.parametrize(
    "step",
    [
        GapFiller("ts"),
        SelectSources(["ts", "patch"]),
        SpectralIndices({"ts": ["R", "N"], "patch": ["R", "N"]}, ["NDVI"]),
    ],
)
def test_steps_let_samples_through_that_lack_a_source(step):
    if isinstance(step, SpectralIndices):
        pytest.importorskip("spyndex")
    X, y = make_samples(120)
    model = make_pipeline(step, M3FusionClassifier(**{**SMALL, "max_epochs": 2}, missing_sources="drop"))
    model.fit(X, y)
    for name, other in (("ts", "patch"), ("patch", "ts")):
        expected = model[-1].predict_proba(model[0].transform(X).select([name]))
        columns = [column for column in X.column_names if column.startswith(name)]
        table = pd.DataFrame(np.asarray(X.select([name])), columns=columns)
        for lacking in (X.select([name]), {name: X[name]}, {name: X[name], other: None}, table):
            np.testing.assert_allclose(model.predict_proba(lacking), expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"X lacks the source 'patch'.*got .*'ptach'"):
        model.predict({"ts": X["ts"], "ptach": X["patch"]})
    model[-1].set_params(missing_sources="error").fit(model[0].transform(X), y)
    with pytest.raises(ValueError, match="X lacks the source 'patch'"):
        model.predict(X.select(["ts"]))
    with pytest.raises(ValueError, match="X lacks the source 'patch'"):
        StackedFeatures().fit(X).transform(X.select(["ts"]))


def test_tables_and_pipelines_may_have_gaps():
    X, y = make_samples(60)
    X, _ = with_gaps(X)
    clf = M3FusionClassifier(**SMALL, missing="mask", layout={"ts": (7, 2), "patch": (2, 5, 5)})
    named = M3FusionClassifier(**SMALL, missing="mask").fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(clf.fit(np.asarray(X), y).predict_proba(np.asarray(X)), named)
    assert len(cross_val_score(make_pipeline(clf), np.asarray(X), y, cv=2, error_score="raise")) == 2


# ----- errors


def nothing(X):
    return without(without(X, "patch", slice(0, 3)), "ts", slice(0, 3))


def part_of_patch(X):
    patch = X["patch"].copy()
    patch[5, 0, 0, 0] = np.nan
    return X.replace(patch=patch)


@pytest.mark.parametrize(
    "spoil, allowed, message",
    [
        (lambda X: with_gaps(X)[0], COMPLETE, r"X\['ts'\] contains NaN or infinity.*GapFiller"),
        (lambda X: with_gaps(X)[0], {"missing_sources": "drop"}, "Set missing='mask' or 'fill'"),
        (lambda X: without(X, "patch", [1]), {"missing": "mask"}, "nothing but NaN in 1 of 60 .*='drop'"),
        (lambda X: without(X, "ts", [1]), {"missing": "mask"}, r"X\['ts'\] contains nothing but NaN"),
        (nothing, {"missing": "mask", "missing_sources": "drop"}, "Every sample must have a source; 3 of 60"),
        (part_of_patch, {"missing": "mask", "missing_sources": "drop"}, "in a part of 1 of 60.*Only series"),
        (lambda X: X.select(["ts"]), COMPLETE, "X lacks the source 'patch'"),
        (lambda X: X.select(["ts"]), {"missing": "fill"}, "X lacks the source 'patch'"),
    ],
)
def test_what_is_not_allowed_is_refused_in_prediction(spoil, allowed, message):
    X, y = make_samples(60)
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 1}, **allowed).fit(X, y)
    with pytest.raises(ValueError, match=message):
        clf.predict(spoil(X))
    if "lacks" not in message:
        with pytest.raises(ValueError, match=message):
            clf.fit(spoil(X), y)


@pytest.mark.parametrize("parameter", [{"missing": "fill"}, {"missing_sources": "drop"}])
def test_what_is_set_after_a_fit_waits_for_the_next(parameter):
    X, y = make_samples(40)
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    gaps = with_gaps(X) if "missing" in parameter else {"ts": X["ts"]}
    (name,) = parameter
    with pytest.raises(ValueError, match=rf"fitted with {name}='error'; what is set now waits for a fit"):
        clf.set_params(**parameter).predict(gaps)


def test_a_source_that_no_training_sample_has_is_refused():
    X, y = make_samples(30)
    clf = M3FusionClassifier(**SMALL, missing_sources="drop")
    with pytest.raises(ValueError, match=r"X\['patch'\] must have values in some samples of fit"):
        clf.fit(without(X, "patch", slice(None)), y)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"missing": "nan"}, r"missing must be one of \('error', 'fill', 'mask'\)"),
        ({"missing_sources": True}, "missing_sources must be one of"),
        ({"source_dropout": 1}, "source_dropout must be a number from 0 to below 1"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        M3FusionClassifier(**parameters).fit(*make_samples(30))
