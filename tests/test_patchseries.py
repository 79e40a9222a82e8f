"""A fifth kind of source: a series of patches."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import cross_val_score

from m3fusion_sk import M3FusionClassifier, MultiSource, StackedFeatures, sources
from m3fusion_sk.explain import attention_by_class, grouped_importance
from m3fusion_sk.network import fusion
from m3fusion_sk.network.patchseries import PatchSeriesEncoder
from m3fusion_sk.sources import PatchSeriesSpec, infer_spec

SMALL = {
    "hidden_size": 12,
    "n_filters": 4,
    "max_epochs": 15,
    "batch_size": 32,
    "random_state": 0,
    "augment": False,
}


def make_samples(n=120, seed=0):
    """Stripes appear at date 1 or at date 3: neither one date alone nor the mean over space tells."""
    rng = np.random.default_rng(seed)
    y = np.array(["early", "late"])[np.arange(n) % 2]
    values = rng.normal(0, 1, (n, 5, 2, 7, 7))
    stripes = 3 * np.where(np.arange(7) % 2, 1, -1)
    values[y == "early", 1, 0] += stripes
    values[y == "late", 3, 0] += stripes
    return MultiSource(images=values.astype(np.float32), slope=rng.normal(size=(n, 2))), y


@pytest.fixture(scope="module")
def fitted():
    X, y = make_samples(300)
    return M3FusionClassifier(**SMALL).fit(X, y)


@dataclass(frozen=True)
class LooksSpec(sources._Spec):
    """A sixth kind: patches of several dates, each seen from several angles."""

    n_dates: int
    n_angles: int
    n_bands: int
    height: int
    width: int

    kind = "looks"
    axes = ("n_dates", "n_angles", "n_bands", "height", "width")
    letters = ("t", "a", "b", "r", "c")
    band_axis = 2
    rank_hint = "For a single angle use {x}[:, :, None]."


class LooksEncoder(PatchSeriesEncoder):
    """The mean over the angles, then as the fifth kind."""

    def __init__(self, spec, shaping):
        super().__init__(PatchSeriesSpec(spec.n_dates, spec.n_bands, spec.height, spec.width), shaping)

    def attend(self, x, lacking=None):  # (n, dates, angles, bands, height, width)
        return super().attend(x.mean(dim=2), lacking)


def test_one_spec_one_encoder_and_one_line_of_dispatch_are_all_that_a_kind_takes(monkeypatch, tmp_path):
    """A sixth kind, added as the fifth was: all that works for sources works for it."""
    monkeypatch.setattr(sources, "KINDS", (*sources.KINDS, LooksSpec))
    monkeypatch.setitem(fusion.ENCODERS, LooksSpec, LooksEncoder)
    X, y = make_samples(300)
    looks = np.stack([X["images"], X["images"]], axis=2)
    looks[::7, 2] = np.nan  # a date that some samples lack
    looks[::11] = np.nan  # some lack it all
    X = MultiSource(looks=looks, slope=X["slope"])
    clf = M3FusionClassifier(**SMALL, missing="mask", missing_sources="drop")
    clf.fit(X, y)
    has = ~np.isnan(looks).all(axis=(1, 2, 3, 4, 5))
    assert clf.sources_["looks"] == X.specs["looks"] == LooksSpec(5, 2, 2, 7, 7)
    assert clf.score(X[has], y[has]) > 0.9
    assert (clf.attention(X)["looks"][::7, 2] == 0).all()
    assert attention_by_class(clf, X, y)["looks"].shape == (2, 5)
    dates = grouped_importance(clf, X, y, by="date", n_repeats=2, random_state=0)["importance"]
    assert dates.idxmax() in (("looks", 1), ("looks", 3))
    bands = grouped_importance(clf, X, y, by="band", n_repeats=2, random_state=0)["importance"]
    assert bands.idxmax() == ("looks", 0)
    clf.save(tmp_path / "model.m3f")
    loaded = M3FusionClassifier.load(tmp_path / "model.m3f")
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    frame = pd.DataFrame(np.asarray(X[:20]), columns=X.column_names)
    np.testing.assert_array_equal(clf.predict_proba(frame), clf.predict_proba(X[:20]))
    np.testing.assert_array_equal(clf.predict({"slope": X["slope"]}), clf.predict(X.select(["slope"])))
    scores = cross_val_score(clf.set_params(max_epochs=1), X, y, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


def test_five_dimensions_are_a_patch_series():
    spec = infer_spec("x", (9, 5, 2, 7, 8))
    assert spec == PatchSeriesSpec(5, 2, 7, 8) and spec.kind == "patch series"
    assert (spec.size, spec.n_channels, spec.band_shape) == (5 * 2 * 7 * 8, 2, (1, 2, 1, 1))


@pytest.mark.parametrize("kind", ["gru", "attention", "conv"])
def test_the_encoder_is_the_patch_encoder_at_each_date_before_the_series_encoder(kind):
    torch.manual_seed(0)
    shaping = {
        "augment": True,
        "n_filters": 3,
        "stem": "auto",
        "hidden_size": 8,
        "date_embedding": 4,
        "series_encoder": kind,
    }
    encoder = PatchSeriesEncoder(PatchSeriesSpec(4, 2, 9, 9), shaping).eval()
    x = torch.randn(3, 4, 2, 9, 9)
    by_date = torch.stack([encoder.patch(x[:, date]) for date in range(4)], dim=1)
    feature, weights = encoder.attend(x)
    expected = encoder.series.attend(by_date)
    torch.testing.assert_close(feature, expected[0])
    torch.testing.assert_close(weights, expected[1])
    torch.testing.assert_close(encoder(x), feature)


def test_all_dates_of_a_sample_are_turned_alike():
    shaping = {
        "augment": True,
        "n_filters": 2,
        "stem": "auto",
        "hidden_size": 4,
        "date_embedding": None,
        "series_encoder": "gru",
    }
    encoder = PatchSeriesEncoder(PatchSeriesSpec(3, 1, 5, 5), shaping).train()
    seen = []
    encoder.patch.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    one = torch.randn(50, 1, 1, 5, 5)
    encoder(one.expand(-1, 3, -1, -1, -1))
    turned = seen[0].unflatten(0, (50, 3))
    assert torch.equal(turned[:, 0], turned[:, 1]) and torch.equal(turned[:, 0], turned[:, 2])
    assert not torch.equal(turned[:, 0], one[:, 0])


def test_it_learns_when_something_appears(fitted):
    X, y = make_samples(seed=1)
    assert fitted.score(X, y) > 0.9
    assert fitted.sources_["images"] == PatchSeriesSpec(5, 2, 7, 7)
    assert fitted.attention(X)["images"].shape == (120, 5)
    assert attention_by_class(fitted, X, y)["images"].shape == (2, 5)
    table = grouped_importance(fitted, X, y, by="date", random_state=0)["importance"]
    assert table.idxmax() in (("images", 1), ("images", 3))
    assert table[[("images", 0), ("images", 2), ("images", 4)]].abs().max() < 0.1
    assert grouped_importance(fitted, X, y, by="band", random_state=0)["importance"].idxmax() == ("images", 0)


def test_it_is_saved_stacked_and_read_from_named_columns(fitted, tmp_path):
    X, y = make_samples(20, seed=1)
    fitted.save(tmp_path / "model.m3f")
    loaded = M3FusionClassifier.load(tmp_path / "model.m3f")
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    table = StackedFeatures().fit(X)
    frame = pd.DataFrame(table.transform(X), columns=table.get_feature_names_out())
    np.testing.assert_array_equal(fitted.predict_proba(frame), fitted.predict_proba(X))
    clf = M3FusionClassifier(**{**SMALL, "max_epochs": 1}).fit(frame, y)
    assert clf.sources_ == fitted.sources_


@pytest.mark.parametrize("missing", ["mask", "fill"])
def test_its_dates_may_be_missing(missing):
    X, y = make_samples(160)
    images = X["images"].copy()
    lacking = np.random.default_rng(0).random((160, 5)) < 0.3
    lacking[:, 1] = lacking[:, 3] = False
    images[lacking] = np.nan
    X = X.replace(images=images)
    clf = M3FusionClassifier(**SMALL, missing=missing).fit(X, y)
    assert clf.score(X, y) > 0.9
    if missing == "mask":
        assert (clf.attention(X)["images"][lacking] == 0).all()


def test_patches_that_are_too_small_and_wrong_shapes_are_refused(fitted):
    X, y = make_samples(20)
    tiny = {"images": X["images"][..., :2, :2]}
    with pytest.raises(ValueError, match=r"X\['images'\] must have patches of at least 3 pixels a side"):
        M3FusionClassifier().fit(tiny, y)
    with pytest.raises(ValueError, match=r"must have n_dates=5, as in fit; got n_dates=4"):
        fitted.predict({"images": X["images"][:, :4], "slope": X["slope"]})
    with pytest.raises(
        ValueError, match=r"must have 5 dimensions \(n_samples, n_dates, n_bands, height, width\)"
    ):
        fitted.predict({"images": X["images"][:, 0], "slope": X["slope"]})
