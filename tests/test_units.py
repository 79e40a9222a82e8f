"""Samples in other units than those of fit are told of."""

import warnings

import numpy as np
import pytest

from m3fusion_sk import M3FusionClassifier, MultiSource
from m3fusion_sk.patchview import PatchView

SMALL = {"hidden_size": 4, "n_filters": 4, "max_epochs": 2, "batch_size": 16, "random_state": 0}


def reflectances(n=60, seed=0):
    rng = np.random.default_rng(seed)
    ts, image = rng.uniform(0.02, 0.5, (n, 5, 3)), rng.uniform(0.02, 0.5, (2, 30, 30)).astype(np.float32)
    return MultiSource(ts=ts, patch=PatchView(image, np.arange(n) % 20, np.arange(n) // 3, (9, 9)))


@pytest.fixture(scope="module", params=["standard", "minmax"])
def clf(request):
    X = reflectances()
    return M3FusionClassifier(**SMALL, normalize=request.param, missing="mask").fit(X, np.arange(60) % 2)


def told(clf, X, method="predict"):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        getattr(clf, method)(X)
    messages = [str(warning.message) for warning in found]
    return [message.split("'")[1] for message in messages if "lies far from what fit saw" in message]


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform", "attention"])
@pytest.mark.parametrize("times", [1e4, 1e-4])
def test_a_scale_that_was_left_out_is_told(clf, times, method):
    if clf.normalize == "minmax" and times < 1:
        pytest.skip("the least value and the range do not tell where most values lie")
    X = reflectances(seed=1)
    assert told(clf, X.replace(ts=X["ts"] * times), method) == ["ts"]
    assert told(clf, X.replace(patch=X.gather("patch") * times)) == ["patch"]
    assert told(clf, X, method) == []


@pytest.mark.parametrize("times", [0.2, 2, 5])
def test_other_scenes_are_none_of_other_units(clf, times):
    X = reflectances(seed=1)
    assert told(clf, MultiSource({name: X.gather(name) * times for name in X.names})) == []
    assert told(clf, X.replace(ts=np.zeros_like(X["ts"]))) == []  # a lake, or filled


def test_a_plain_by_the_sea_and_a_few_samples_are_as_they_are():
    rng = np.random.default_rng(0)
    terrain = np.stack([rng.uniform(100, 1500, 60), rng.uniform(1, 30, 60), np.full(60, 7.0)], axis=1)
    clf = M3FusionClassifier(**SMALL).fit({"terrain": terrain}, np.arange(60) % 2)
    coast = np.tile([0.3, 0.004, 7000.0], (60, 1))  # what was constant in fit tells nothing
    assert told(clf, {"terrain": coast}) == []
    index = rng.uniform(0.2, 0.9, (60, 5, 1))
    clf = M3FusionClassifier(**SMALL).fit({"ndvi": index}, np.arange(60) % 2)
    assert told(clf, {"ndvi": np.full((60, 5, 1), 1e-4)}) == []
    assert told(clf, {"ndvi": 1e4 * index}) == ["ndvi"] and told(clf, {"ndvi": 1e4 * index[:7]}) == []


class Blocks:
    """Rows that can be had in blocks without gaps only, as some stores have them."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, rows):
        assert not isinstance(rows, slice) or rows.step in (None, 1)
        return self.values[rows]


def test_rows_are_looked_at_in_a_few_blocks(clf):
    X = reflectances(seed=1)
    assert told(clf, MultiSource(ts=Blocks(X["ts"] * 1e4), patch=X.gather("patch"))) == ["ts"]


def test_gaps_count_for_nothing(clf):
    X = reflectances(seed=1)
    ts = X["ts"] * 1e4
    ts[:, 1:] = np.nan
    assert told(clf, X.replace(ts=ts)) == ["ts"]
    ts[:, 0] /= 1e4
    assert told(clf, X.replace(ts=ts)) == []


def test_one_strange_band_among_others_may_be_so(clf):
    X = reflectances(seed=1)
    assert told(clf, X.replace(ts=X["ts"] * [1, 1, 1e4])) == []


def test_nodata_that_nobody_declared_is_told(clf):
    X = reflectances(seed=1)
    assert told(clf, X.replace(ts=np.full_like(X["ts"], -9999))) == ["ts"]


def test_without_normalisation_nothing_is_known_of_units():
    X = reflectances()
    clf = M3FusionClassifier(**SMALL, normalize=None).fit(X, np.arange(60) % 2)
    assert told(clf, X.replace(ts=X["ts"] * 1e4)) == []


def test_the_warning_says_what_to_look_at(clf):
    X = reflectances()
    with pytest.warns(UserWarning, match=r"by 1000 times and more.*Are scale, offset and nodata those"):
        clf.predict(X.replace(ts=X["ts"] * 1e4))
