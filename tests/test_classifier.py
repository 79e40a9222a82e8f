"""The classifier as a user meets it."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, EarlyStopping
from skorch.utils import noop

from m3fusion_sk import M3FusionClassifier, MultiSource, paper_settings
from m3fusion_sk.network.net import epochs_for

SMALL = {
    "hidden_size": 8,
    "n_filters": 3,
    "max_epochs": 12,
    "batch_size": 16,
    "lr": 0.02,
    "date_embedding": None,
    "linear_path": 0,
    "patch_path": 0,
    "mixup": 0,
    "random_state": 0,
}
LABELS = np.array(["crops", "forest", "water"])


def make_samples(n=90, seed=0):
    """The series tells crops from the rest, the patch water from the rest."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    ts = rng.normal(0, 1, (n, 6, 2)) + 2 * (codes == 0)[:, None, None] * np.sin(np.arange(6))[:, None]
    patch = rng.normal(1000, 100, (n, 1, 5, 5)) + 300 * (codes == 2)[:, None, None, None]
    return MultiSource(ts=ts.astype(np.float32), patch=patch.round().astype(np.uint16)), LABELS[codes]


@pytest.fixture(scope="module")
def samples():
    return make_samples()


@pytest.fixture(scope="module")
def fitted(samples):
    return M3FusionClassifier(**SMALL).fit(*samples)


def as_dict(X):
    return dict(X.items())


def as_frame(X):
    return pd.DataFrame(np.asarray(X), columns=X.column_names)


def test_fused_sources_are_learned_from_both(fitted):
    X, y = make_samples(seed=1)
    assert fitted.score(X, y) > 0.9
    assert fitted.predict(X).dtype.kind == "U"
    np.testing.assert_array_equal(fitted.classes_, LABELS)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("convert", [as_dict, as_frame, np.asarray, lambda X: X[np.arange(len(X))]])
def test_every_way_to_give_x_gives_identical_probabilities(samples, fitted, convert):
    X, y = samples
    layout = {"ts": (6, 2), "patch": (1, 5, 5)} if convert is np.asarray else None
    clf = M3FusionClassifier(**SMALL, layout=layout).fit(convert(X), y)
    np.testing.assert_array_equal(clf.predict_proba(convert(X)), fitted.predict_proba(X))
    assert clf.sources_ == fitted.sources_


def test_sources_may_come_in_another_order_at_prediction(samples, fitted):
    X, _ = samples
    swapped = {"patch": X["patch"], "ts": X["ts"]}
    np.testing.assert_array_equal(fitted.predict_proba(swapped), fitted.predict_proba(X))


def test_a_shuffled_frame_is_read_by_the_names_of_its_columns(samples, fitted):
    X, y = samples
    frame = as_frame(X)[np.random.default_rng(0).permutation(X.column_names)]
    clf = M3FusionClassifier(**SMALL).fit(frame, y)
    assert clf.sources_["ts"] == fitted.sources_["ts"]
    assert list(clf.feature_names_in_) == list(frame.columns)
    by_name = clf.predict_proba({name: X[name] for name in X.names})
    np.testing.assert_array_equal(clf.predict_proba(frame), by_name)


def test_heads_attention_and_features_have_the_promised_shapes(samples, fitted):
    X, _ = samples
    by_source = fitted.predict_proba_by_source(X)
    assert {name: p.shape for name, p in by_source.items()} == {"ts": (90, 3), "patch": (90, 3)}
    for proba in by_source.values():
        np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    attention = fitted.attention(X)
    assert list(attention) == ["ts"]
    assert attention["ts"].shape == (90, 6)
    np.testing.assert_allclose(attention["ts"].sum(axis=1), 1, rtol=1e-5)
    assert fitted.transform(X).shape == (90, 8 + 6)
    assert len(fitted.get_feature_names_out()) == 14


def test_each_auxiliary_head_knows_its_own_source_only(samples, fitted):
    X, y = make_samples(seed=1)
    labels = {
        name: fitted.classes_[p.argmax(axis=1)] for name, p in fitted.predict_proba_by_source(X).items()
    }
    crops = y == "crops"
    assert ((labels["ts"] == "crops") == crops).mean() > 0.9
    assert ((labels["patch"] == "water") == (y == "water")).mean() > 0.9
    assert ((labels["patch"] == "crops") == crops).mean() < 0.85


def test_probabilities_come_from_the_fusion_head(samples):
    X, y = samples
    fitted = M3FusionClassifier(**SMALL, linear_vote=0).fit(X, y)
    head = fitted.net_.module_.fusion_head
    logits = fitted.transform(X) @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_model_and_another_seed_another(samples, fitted):
    X, y = samples
    again = M3FusionClassifier(**SMALL).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    other = M3FusionClassifier(**{**SMALL, "random_state": 1}).fit(X, y)
    assert np.abs(other.predict_proba(X) - fitted.predict_proba(X)).max() > 1e-3


def test_fit_leaves_global_random_states_alone(samples):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    M3FusionClassifier(**SMALL, early_stopping=True).fit(*samples).predict(samples[0])
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_prediction_changes_nothing_on_the_classifier(samples, fitted):
    X, _ = samples
    before = {k: id(v) for k, v in vars(fitted).items()}
    fitted.predict(X), fitted.attention(X), fitted.transform(X)
    assert {k: id(v) for k, v in vars(fitted).items()} == before


@pytest.mark.parametrize("copy_of", [clone, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_keep_parameters_and_fitted_copies_predictions(samples, fitted, copy_of):
    X, _ = samples
    twin = copy_of(fitted)
    assert twin.get_params() == fitted.get_params()
    if copy_of is clone:
        with pytest.raises(NotFittedError):
            twin.predict(X)
    else:
        np.testing.assert_array_equal(twin.predict_proba(X), fitted.predict_proba(X))


def test_joblib_keeps_predictions(samples, fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "model.joblib")
    twin = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(twin.predict_proba(samples[0]), fitted.predict_proba(samples[0]))


def test_the_history_has_the_losses_of_each_head(samples, fitted):
    assert fitted.n_iter_ == len(fitted.history_) == 12
    assert set(fitted.history_[0]) >= {
        "epoch",
        "train_loss",
        "train_fusion",
        "train_aux_ts",
        "train_aux_patch",
    }
    for row in fitted.history_:
        total = row["train_fusion"] + 0.3 * (row["train_aux_ts"] + row["train_aux_patch"])
        assert row["train_loss"] == pytest.approx(total, rel=1e-5)
    assert fitted.history_[-1]["train_loss"] < fitted.history_[0]["train_loss"]


def test_alpha_by_source_trains_each_head_by_its_weight(samples):
    X, y = samples
    clf = M3FusionClassifier(**SMALL, alpha={"ts": 0.5, "patch": 0.0}).fit(X, y)
    row = clf.history_[-1]
    assert row["train_loss"] == pytest.approx(row["train_fusion"] + 0.5 * row["train_aux_ts"], rel=1e-5)


def test_zero_weights_leave_samples_out(samples):
    X, y = samples
    weights = (np.arange(90) < 60).astype(float)
    weighted = M3FusionClassifier(**SMALL).fit(X, y, sample_weight=weights)
    cut = M3FusionClassifier(**SMALL).fit(X[:60], y[:60])
    np.testing.assert_array_equal(weighted.predict_proba(X), cut.predict_proba(X))


@pytest.mark.parametrize("scale", [1e-40, 1e39, 1e300])
def test_weights_beyond_single_precision_count_by_their_proportions(samples, scale):
    X, y = samples
    weights = 1.0 + np.arange(90) % 2
    plain = M3FusionClassifier(**SMALL).fit(X, y, sample_weight=weights).predict_proba(X)
    scaled = M3FusionClassifier(**SMALL).fit(X, y, sample_weight=weights * scale).predict_proba(X)
    np.testing.assert_allclose(scaled, plain, atol=1e-4)
    weights[0] = 1e-40  # too little to count at all
    assert np.isfinite(M3FusionClassifier(**SMALL).fit(X, y, sample_weight=weights).predict_proba(X)).all()


def test_a_weight_of_two_is_the_sample_twice_without_batch_normalisation():
    X, y = make_samples(30)
    exact = {"dtype": "float64", "dropout": 0.0, "batch_size": 512, "max_epochs": 5}
    weights = np.random.default_rng(0).integers(1, 3, 30)
    rows = np.repeat(np.arange(30), weights)
    series = MultiSource(ts=X["ts"])
    clf = M3FusionClassifier(**{**SMALL, **exact})
    weighted = clone(clf).fit(series, y, sample_weight=weights).predict_proba(series)
    repeated = clone(clf).fit(series[rows], y[rows]).predict_proba(series)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)


def test_balanced_classes_pull_towards_the_rare_one():
    X, y = make_samples(300, seed=3)
    keep = np.flatnonzero((y != "water") | (np.arange(300) % 30 < 3))
    rare = {}
    for class_weight in (None, "balanced", {"water": 30.0}):
        clf = M3FusionClassifier(**{**SMALL, "max_epochs": 3}, class_weight=class_weight).fit(
            X[keep], y[keep]
        )
        rare[str(class_weight)] = clf.predict_proba(X)[:, 2].mean()
    assert rare["None"] < rare["balanced"] < rare["{'water': 30.0}"]


def test_weights_of_all_classes_may_name_one_that_a_fold_lacks(samples):
    X, y = samples
    rows = y != "forest"
    clf = M3FusionClassifier(**SMALL, class_weight=dict.fromkeys(LABELS.tolist(), 2.0)).fit(X[rows], y[rows])
    plain = M3FusionClassifier(**SMALL).fit(X[rows], y[rows])
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


def test_classes_keep_columns_of_classes_that_training_lacks(samples):
    X, y = samples
    rows = y != "forest"
    clf = M3FusionClassifier(**SMALL, classes=LABELS).fit(X[rows], y[rows])
    assert clf.predict_proba(X).shape == (90, 3)
    assert clf.classes_.tolist() == LABELS.tolist()
    with pytest.raises(ValueError, match=r"classes must hold every label of y; \['forest'\] are not among"):
        M3FusionClassifier(**SMALL, classes=["crops", "water"]).fit(X, y)


@pytest.mark.parametrize("seed", range(5))
def test_no_object_is_on_both_sides_of_the_inner_hold_out(samples, seed, monkeypatch):
    X, y = samples
    groups = np.random.default_rng(seed).integers(0, 10, 90) * 3 + np.arange(90) % 3
    sides = record_sides(monkeypatch, X)
    M3FusionClassifier(**{**SMALL, "random_state": seed}, early_stopping=True).fit(X, y, groups=groups)
    train, valid = (set(groups[rows]) for rows in sides)
    assert train
    assert valid
    assert not train & valid
    assert set(y[sides[0]]) == set(y[sides[1]]) == set(LABELS)
    assert sorted(np.concatenate(sides)) == list(range(90))


def record_sides(monkeypatch, X):
    """The rows of X that each call of `Batches` gets, told by their values."""
    from m3fusion_sk import training

    sides, first = [], X["ts"][:, 0, 0]

    class Recorded(training.Batches):
        def __init__(self, X, *args):
            super().__init__(X, *args)
            sides.append(np.flatnonzero(np.isin(first, X["ts"][:, 0, 0])))

    monkeypatch.setattr(training, "Batches", Recorded)
    return sides


def test_early_stopping_stops_keeps_the_best_epoch_and_forgets_the_held_out_samples(samples):
    X, y = samples
    settings = {**SMALL, "max_epochs": 500, "patience": 3, "schedule": "constant"}
    clf = M3FusionClassifier(**settings, early_stopping=True).fit(X, y)
    assert clf.n_iter_ < 500
    losses = [row["valid_fusion"] for row in clf.history_]
    assert np.argmin(losses) >= clf.n_iter_ - 5
    plain = M3FusionClassifier(**SMALL).fit(X, y)
    assert len(pickle.dumps(clf)) < 1.2 * len(pickle.dumps(plain)) + 200 * clf.n_iter_


def test_a_pickle_after_early_stopping_is_at_most_a_fifth_larger(samples):
    X, y = samples
    settings = {**SMALL, "hidden_size": 64, "patience": 100}
    plain = M3FusionClassifier(**settings).fit(X, y)
    early = M3FusionClassifier(**settings, early_stopping=True).fit(X, y)
    assert early.n_iter_ == plain.n_iter_
    assert len(pickle.dumps(early)) <= 1.2 * len(pickle.dumps(plain))


def test_a_pickle_is_hardly_larger_than_the_weights(samples):
    clf = M3FusionClassifier(**{**SMALL, "hidden_size": 128, "max_epochs": 1}).fit(*samples)
    weights = sum(part.nbytes for part in clf.net_.module_.state_dict().values())
    assert len(pickle.dumps(clf)) < 1.3 * weights + 40_000


def test_early_stopping_without_anything_to_hold_out_says_so():
    X, y = make_samples(3)
    clf = M3FusionClassifier(**SMALL, early_stopping=True)
    with pytest.warns(UserWarning, match="early_stopping cannot hold anything out.*max_epochs"):
        clf.fit(X, y)
    assert clf.n_iter_ == 12


def test_the_progress_bar_shows_losses_of_each_head_and_silence_is_silent(samples, capsys):
    X, y = samples
    M3FusionClassifier(**SMALL).fit(X, y)
    assert capsys.readouterr() == ("", "")
    M3FusionClassifier(**SMALL, verbose=1).fit(X, y)
    out, err = capsys.readouterr()
    assert out == ""
    for shown in ("12/12", "train_fusion=", "train_aux_ts=", "train_aux_patch=", "epoch/s"):
        assert shown in err


def test_users_callbacks_are_called(samples):
    class Count(Callback):
        epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

    count = Count()
    M3FusionClassifier(**SMALL, callbacks=[count]).fit(*samples)
    assert count.epochs == 12


def test_grid_search_over_alpha_and_sizes_with_group_folds(samples):
    X, y = samples
    groups = np.arange(90) // 3
    grid = {"alpha": [0.1, {"ts": 0.5, "patch": 0.1}], "hidden_size": [4, 8]}
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 3})
    search = GridSearchCV(clf, grid, cv=StratifiedGroupKFold(3), error_score="raise")
    search.fit(X, y, groups=groups)
    assert len(search.cv_results_["params"]) == 4
    assert search.predict_proba(X).shape == (90, 3)


def test_cross_validation_and_pipelines_take_the_container_and_pipelines_the_dict(samples):
    X, y = samples
    clf = M3FusionClassifier(**SMALL)
    assert (cross_val_predict(clf, X, y, cv=3) == y).mean() > 0.8
    pipeline = make_pipeline("passthrough", clf).fit(as_dict(X), y)
    assert pipeline.predict(as_dict(X)).shape == (90,)
    doubled = FunctionTransformer(lambda X: X.replace(ts=2 * X["ts"]))
    scaled = make_pipeline(doubled, clone(clf)).fit(X, y)
    np.testing.assert_array_equal(scaled.predict_proba(X), pipeline.predict_proba(as_dict(X)))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_other_arithmetics_learn_the_same_task(samples, dtype):
    X, y = samples
    clf = M3FusionClassifier(**SMALL, dtype=dtype).fit(X, y)
    assert clf.score(X, y) > 0.9
    assert clf.predict_proba(X).dtype == (np.float64 if dtype == "float64" else np.float32)


def test_plain_tables_are_one_vector_source():
    rng = np.random.default_rng(0)
    table, y = rng.normal(size=(60, 4)), np.arange(60) % 2
    table[:, 1] += 3 * y
    clf = M3FusionClassifier(random_state=0).fit(table, y)
    assert list(clf.sources_) == ["X"]
    assert clf.score(table, y) > 0.9
    assert clf.attention(table) == {}


def test_memory_mapped_and_read_only_sources_are_taken_as_they_are(samples, fitted, tmp_path):
    X, y = samples
    for name in X.names:
        np.save(tmp_path / f"{name}.npy", X[name])
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in X.names}
    clf = M3FusionClassifier(**SMALL).fit(mapped, y)
    np.testing.assert_array_equal(clf.predict_proba(mapped), fitted.predict_proba(X))


def test_paper_settings_are_parameters_of_the_classifier():
    parameters = M3FusionClassifier().get_params()
    assert set(paper_settings()) <= set(parameters)
    not_of_the_method = {
        "layout", "classes", "class_weight", "validation_fraction", "patience", "device", "random_state",
        "verbose", "callbacks",
    }  # fmt: skip
    assert set(parameters) - set(paper_settings()) == not_of_the_method


def test_a_diverged_training_is_reported(samples):
    X, y = samples
    clf = M3FusionClassifier(**{**SMALL, "lr": 1e12, "schedule": "constant"})
    with pytest.warns(ConvergenceWarning, match="Training diverged: the loss of epoch"):
        clf.fit(X, y)


class Interrupt(Callback):
    """Raises an exception at the end of an epoch, or within it."""

    def __init__(self, epoch, error=KeyboardInterrupt, within=False):
        self.epoch, self.error, self.within = epoch, error, within

    def on_epoch_end(self, net, **kwargs):
        if not self.within and len(net.history) == self.epoch:
            raise self.error

    def on_batch_end(self, net, **kwargs):
        if self.within and len(net.history) == self.epoch:
            raise self.error


@pytest.mark.parametrize("within", [False, True])
def test_a_keyboard_interrupt_leaves_what_was_learned_and_says_so(samples, within):
    X, y = samples
    clf = M3FusionClassifier(**SMALL, callbacks=[Interrupt(4, within=within)])
    with pytest.warns(
        UserWarning, match=r"fit was interrupted after epoch \d of 12; what it learned is kept"
    ) as caught:
        clf.fit(X, y)
    assert caught[0].filename == __file__  # the line that called fit
    assert clf.n_iter_ == (3 if within else 4)
    np.testing.assert_array_equal(clf.predict_proba(X), clf.predict_proba(X))


def test_an_interrupt_in_the_first_epoch_ends_fit(samples):
    clf = M3FusionClassifier(**SMALL, callbacks=[Interrupt(1, within=True)])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*samples)
    with pytest.raises(NotFittedError):
        clf.predict(samples[0])


def test_a_fit_that_fails_leaves_no_model_behind(samples):
    X, y = samples
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    clf.set_params(callbacks=[Interrupt(2, MemoryError)])
    with pytest.raises(MemoryError):
        clf.fit(X, np.char.upper(y))
    with pytest.raises(NotFittedError):
        clf.predict(X)


def test_a_class_of_weight_zero_keeps_its_column_and_trains_nothing(samples):
    X, y = samples
    clf = M3FusionClassifier(**{**SMALL, "batch_size": 4}, class_weight={"forest": 0}).fit(X, y)
    assert clf.classes_.tolist() == LABELS.tolist()
    assert set(clf.predict(X)) == {"crops", "water"}


def test_early_stopping_needs_two_classes_on_the_training_side():
    X, _ = make_samples(3)
    clf = M3FusionClassifier(**SMALL, early_stopping=True)
    with pytest.warns(UserWarning, match="left to train are of one class"):
        clf.fit(X, ["a", "b", "a"], groups=[1, 1, 2])


def test_a_band_that_hardly_varies_is_no_more_than_constant():
    rng = np.random.default_rng(0)
    v = np.stack([rng.normal(size=1003), np.full(1003, 0.1)], axis=1)
    clf = M3FusionClassifier(**SMALL, dtype="float64").fit(v, v[:, 0] > 0)
    moved = v + [0, 0.0001]
    np.testing.assert_allclose(clf.predict_proba(moved), clf.predict_proba(v), atol=1e-3)


def test_numpy_numbers_are_numbers(samples):
    settings = {**SMALL, "max_epochs": np.int64(2), "augment": np.True_, "hidden_size": np.int32(4)}
    assert M3FusionClassifier(**settings).fit(*samples).n_iter_ == 2


def test_a_source_may_have_any_name(samples):
    X, y = samples
    clf = M3FusionClassifier(**SMALL).fit({"a_best": X["ts"], "train_loss": X["patch"]}, y)
    assert {"train_aux_a_best", "train_aux_train_loss"} <= set(clf.history_[0])


# ----- bad input


def bad_x(X):
    ts, patch = X["ts"], X["patch"]
    nan = ts.copy()
    nan[3, 2, 1] = np.nan
    full = {"ts": ts, "patch": patch}
    return {
        "missing": (
            {"ts": ts},
            r"X lacks the source 'patch': expected \['ts', 'patch'\], as in fit; got \['ts'\]",
        ),
        "unknown": ({**full, "dem": ts[:, 0]}, r"X has the source 'dem', which fit did not see"),
        "rank": ({**full, "patch": patch[:, 0]}, r"X\['patch'\] must have 4 dimensions .* For one band use"),
        "dates": ({**full, "ts": ts[:, :5]}, r"X\['ts'\] must have n_dates=6, as in fit; got n_dates=5"),
        "bands": ({**full, "ts": ts[:, :, :1]}, r"X\['ts'\] must have n_bands=2, as in fit"),
        "size": (
            {**full, "patch": patch[..., :4]},
            r"X\['patch'\] must have width=5, as in fit; got width=4",
        ),
        "lengths": ({**full, "ts": ts[:5]}, r"Sources must have the same number of samples; got"),
        "nan": ({**full, "ts": nan}, r"X\['ts'\] contains NaN or infinity in 1 of 90 samples.*GapFiller"),
        "masked": (
            {**full, "ts": np.ma.masked_less(ts, 0)},
            r"X\['ts'\] must be a plain array; got a masked",
        ),
        "objects": ({**full, "ts": ts.astype(object)}, r"X\['ts'\] must hold real numbers; got dtype object"),
        "columns": (np.zeros((4, 5)), r"X has 5 features, but M3FusionClassifier is expecting 37"),
        "empty": (X[:0], r"X must have at least one sample for M3FusionClassifier; got 0 sample"),
    }


@pytest.mark.parametrize("case", list(bad_x(make_samples(90)[0])))
def test_what_does_not_fit_the_model_is_refused_with_its_source(samples, fitted, case):
    X, message = bad_x(samples[0])[case]
    with pytest.raises(ValueError, match=message):
        fitted.predict(X)


def test_samples_as_a_whole_and_unnamed_arrays_are_told_from_x(samples):
    X, y = samples

    class Samples:
        pass

    whole = Samples()
    whole.X, whole.y = X, y
    with pytest.raises(TypeError, match=r"Pass samples\.X and samples\.y"):
        M3FusionClassifier(**SMALL).fit(whole, y)
    with pytest.raises(TypeError, match=r"got a list of 2 arrays. Write MultiSource\(ts=ts, patch=patch\)"):
        M3FusionClassifier(**SMALL).fit([X["ts"], X["patch"]], y)


def test_gaps_of_a_patch_are_not_for_the_gap_filler(samples):
    X, y = samples
    with pytest.raises(ValueError, match=r"X\['patch'\] contains NaN.*GapFiller\(\) fills series only"):
        M3FusionClassifier(**SMALL).fit({"patch": np.where(X["patch"] > 1100, np.nan, X["patch"])}, y)


@pytest.mark.parametrize("case", ["lengths", "nan", "masked", "objects", "empty"])
def test_what_cannot_be_learned_from_is_refused(samples, case):
    X, message = bad_x(samples[0])[case]
    with pytest.raises(ValueError, match=message):
        M3FusionClassifier(**SMALL).fit(X, samples[1][: len(X)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": np.full(90, "crops")}, "y must have at least two classes.*got one class"),
        ({"y": None}, "requires y to be passed, but the target y is None"),
        ({"y": LABELS}, "inconsistent numbers of samples"),
        ({"sample_weight": np.ones(5)}, r"sample_weight must have shape \(90,\)"),
        ({"sample_weight": np.zeros(90)}, "got only zero weights"),
        ({"sample_weight": -np.ones(90)}, "not negative"),
        ({"sample_weight": ["much"] * 90}, "sample_weight must be numbers.*'much'"),
        ({"groups": np.ones(5)}, r"groups must have shape \(90,\)"),
        ({"groups": [None, *range(89)]}, "groups must name the object of each sample; 1 are missing"),
        ({"groups": ["a", "b", np.nan] * 30}, "groups must name the object of each sample; 30 are missing"),
        ({"y": ["a", "b", np.nan] * 30}, "y must have a label for each sample; 30 of 90 are missing"),
        ({"y": np.ma.masked_equal([0, 1, 2] * 30, 0)}, "y must have a label for each sample; 30 of 90"),
    ],
)
def test_labels_weights_and_groups_are_checked(samples, arguments, message):
    X, y = samples
    with pytest.raises(ValueError, match=message):
        M3FusionClassifier(**SMALL).fit(X, **{"y": y, **arguments})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": -1}, "alpha must be a number from 0, or a dict of such by source; got -1"),
        ({"alpha": {"ts": 1}}, r"alpha must have one weight for each source .*missing \['patch'\]"),
        ({"hidden_size": 0}, "hidden_size must be an integer of at least 1; got 0"),
        ({"max_epochs": 0}, "max_epochs must be .auto. or an integer of at least 1; got 0"),
        ({"stem": "7x7"}, r"X\['patch'\] must have patches of at least 12 pixels .*Use stem='auto'"),
        ({"stem": "5x5"}, "stem must be one of"),
        ({"normalize": "none"}, "normalize must be one of"),
        ({"optimizer": "sgd"}, "optimizer must be one of"),
        ({"dtype": "float16"}, "dtype must be one of"),
        ({"lr": 0}, "lr must be a positive number; got 0"),
        ({"dropout": 1.0}, "dropout must be a number from 0 to below 1; got 1.0"),
        ({"batch_size": 1}, "batch_size must be at least 2 for batch normalisation"),
        ({"batch_size": 1, "feature_norm": True}, "batch_size must be at least 2 for batch normalisation"),
        ({"normalize": np.array(["standard"])}, "normalize must be one of"),
        ({"device": "abacus"}, "device must be 'auto' or a device that this torch can use"),
        ({"device": None}, r"device must be 'auto' or .*; got None \(.*\)\.$"),
        ({"class_weight": {"crops": -1}}, "class_weight must hold finite numbers from 0; got -1 for 'crops'"),
        ({"class_weight": {"crops": "x"}}, "class_weight must hold finite numbers from 0"),
        ({"class_weight": dict.fromkeys(LABELS.tolist(), 0)}, "class_weight must be positive for a class"),
        ({"linear_path": -1}, "linear_path must be an integer of at least 0"),
        ({"patch_path": 2.5}, "patch_path must be an integer of at least 0"),
        ({"mixup": 0.001}, "mixup must be 0 or at least 0.01; got 0.001"),
        ({"mixup": -0.1}, "mixup must be a number from 0 to below inf; got -0.1"),
        ({"max_epochs": "all"}, "max_epochs must be 'auto' or an integer of at least 1; got 'all'"),
        ({"series_encoder": "lstm"}, "series_encoder must be one of"),
        ({"class_weight": "equal"}, "class_weight must be None, 'balanced' or a dict"),
        ({"class_weight": {"sea": 2}}, r"class_weight must name classes of y.*got \['sea'\]"),
        ({"date_embedding": 0}, "date_embedding must be None or an integer"),
        ({"early_stopping": "yes"}, "early_stopping must be True or False"),
        ({"validation_fraction": 0.0}, "validation_fraction must be between 0 and 1"),
    ],
)  # fmt: skip
def test_parameters_are_checked_in_fit_not_before(samples, parameters, message):
    clf = M3FusionClassifier(**{**SMALL, **parameters})
    with pytest.raises(ValueError, match=message):
        clf.fit(*samples)


def test_patches_of_less_than_3_pixels_are_refused(samples):
    X, y = samples
    with pytest.raises(ValueError, match=r"at least 3 pixels a side for stem='auto'; got 2x5. Cut larger"):
        M3FusionClassifier(**SMALL).fit({"patch": X["patch"][:, :, :2]}, y)


def test_layout_must_describe_the_columns(samples):
    X, y = samples
    with pytest.raises(ValueError, match=r"layout describes 36 columns .*got X with 37 features"):
        M3FusionClassifier(**SMALL, layout={"ts": (11,), "patch": (1, 5, 5)}).fit(np.asarray(X), y)
    with pytest.raises(ValueError, match=r"layout\['ts'\] must be a tuple of positive integers"):
        M3FusionClassifier(**SMALL, layout={"ts": "6x2"}).fit(np.asarray(X), y)


def test_automatic_epochs_are_more_on_small_sets():
    assert [epochs_for("auto", n) for n in (1, 10, 47, 500)] == [200, 150, 32, 20]
    assert epochs_for(np.int64(7), 500) == 7


def test_automatic_epochs_are_what_fit_makes():
    X, y = make_samples(24)
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": "auto", "batch_size": 2}).fit(X, y)
    assert clf.n_iter_ == len(clf.history_) == 125  # 1,500 steps of 12 batches


@pytest.mark.parametrize("weighting", ["balanced", "samples"])
def test_weights_count_the_same_in_batches_of_any_size(weighting):
    y = (np.arange(1600) % 100 == 0).astype(int)  # one in a hundred
    X = {"v": np.zeros((1600, 2))}
    settings = {"linear_vote": 0, "dropout": 0, "random_state": 0, "max_epochs": 60, "lr": 0.02}
    weights = None if weighting == "balanced" else np.where(y == 1, 99.0, 1.0)
    for batch_size in (64, 1600):
        clf = M3FusionClassifier(batch_size=batch_size, **settings)
        clf.set_params(class_weight="balanced" if weighting == "balanced" else None)
        rare = clf.fit(X, y, sample_weight=weights).predict_proba({"v": np.zeros((1, 2))})[0, 1]
        assert rare == pytest.approx(0.5, abs=0.06), batch_size


def test_the_held_out_loss_is_that_of_all_held_out_samples_whatever_their_order(samples):
    X, y = samples
    order = np.argsort(y, kind="stable")
    settings = {**SMALL, "early_stopping": True, "validation_fraction": 0.5, "max_epochs": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("m3fusion_sk.training.inference.BATCH_SIZE", 7)
        clf = M3FusionClassifier(
            class_weight={label: 1 + 20 * i for i, label in enumerate(np.unique(y))}, **settings
        )
        cut = clf.fit(X[order], y[order]).history_[-1]["valid_fusion"]
    whole = clf.fit(X[order], y[order]).history_[-1]["valid_fusion"]
    assert cut == pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize("value", [-3.4e38, 9.96921e36])
def test_nodata_values_that_nobody_declared_are_refused(samples, value):
    X, y = samples
    clf = M3FusionClassifier(**SMALL).fit(X, y)
    ts = np.array(X["ts"], np.float32)
    ts[4, 0, 0] = value
    with pytest.raises(
        ValueError, match=r"X\['ts'\] contains values beyond 1e\+18, as nodata values are, in 1 of"
    ):
        clf.predict({"ts": ts, "patch": X["patch"]})


def test_columns_that_are_called_x_and_y_are_columns():
    table = pd.DataFrame({"X": np.arange(8.0), "y": np.arange(8.0) % 3})
    assert M3FusionClassifier(max_epochs=1).fit(table, [0, 1] * 4).n_features_in_ == 2


def test_labels_that_are_missing_are_counted():
    with pytest.raises(ValueError, match="2 of 4 are missing"):
        M3FusionClassifier().fit(np.eye(4), np.array(["a", None, "b", None], dtype=object))


def test_a_single_step_trains():
    X, y = np.eye(40), np.arange(40) % 2
    clf = M3FusionClassifier(max_epochs=1, random_state=0, linear_vote=0).fit(X, y)
    before = clf.net_.module_.fusion_head.weight.detach().clone()
    clf.set_params(warm_start=True).fit(X, y)
    assert (clf.net_.module_.fusion_head.weight - before).abs().max() > 1e-4


def test_early_stopping_of_the_user_is_no_interrupt(samples):
    X, y = samples
    stopping = EarlyStopping(monitor="train_loss", patience=2, threshold=1e9, threshold_mode="abs", sink=noop)
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 9, "callbacks": [stopping]}).fit(
        X, y
    )  # without a warning
    assert len(clf.history_) < 9
