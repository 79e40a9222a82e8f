"""Estimators that do not fit the scene of a map: told before anything is read."""

import os
import warnings

import numpy as np
import pytest
from made_rasters import coded, write
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource, SelectSources, stacked_forest
from m3fusion_sk.inside import first_inside
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, Scene, SeriesRaster

DATES = ["2018-03-01", "2018-06-01", "2018-09-01"]
SMALL = {"hidden_size": 4, "n_filters": 2, "max_epochs": 1, "random_state": 0}


def samples(n_bands=2, names=("s2", "spot"), dates=DATES):
    rng, n = np.random.default_rng(0), 24
    values = {"s2": rng.normal(size=(n, 3, n_bands)), "spot": rng.normal(size=(n, 2, 5, 5))}
    X = MultiSource({name: values[name] for name in names})
    return (X if dates is None else X.with_dates(s2=dates)), np.arange(n) % 2 + 1


def scene_of(folder, names=("s2", "spot"), dates=DATES):
    series = write(folder / "s2.tif", coded(6, 4, 5, "uint16"))
    image = write(folder / "spot.tif", coded(2, 20, 25, "uint16"), pixel=2)
    sources = {"s2": SeriesRaster(series, n_bands=2, dates=dates), "spot": PatchRaster(image, size=5)}
    return Scene({name: sources[name] for name in names}, grid="s2")


@pytest.fixture
def scene(tmp_path):
    return scene_of(tmp_path)


WRAPPED = {
    "network": lambda: M3FusionClassifier(**SMALL),
    "forest": lambda: stacked_forest(n_estimators=2, random_state=0),
    "pipeline": lambda: make_pipeline(GapFiller(), M3FusionClassifier(**SMALL)),
    "search": lambda: GridSearchCV(stacked_forest(n_estimators=2, random_state=0), {}, cv=2),
}


@pytest.fixture
def nothing_read(monkeypatch):
    def fail(*_):
        raise AssertionError("the files were hashed")

    monkeypatch.setattr("m3fusion_sk.mapping.scene.hash_files", fail)


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"n_bands": 3}, r"X\['s2'\] must have n_bands=3, as in fit; got n_bands=2"),
        ({"names": ("s2",)}, "X has the source 'spot', which fit did not see"),
    ],
)
def test_other_sources_are_refused_before_the_files_are_read(
    scene, tmp_path, nothing_read, wrap, given, words
):
    if wrap == "pipeline" and "names" in given:
        words = "the files were hashed"  # a step may be given others, and does not know what is behind it
    model = WRAPPED[wrap]().fit(*samples(**given))
    with pytest.raises((ValueError, AssertionError), match=words):
        ChunkedPredictor(model).predict(scene, tmp_path / "map.tif")
    assert not [name for name in os.listdir(tmp_path) if name.startswith("map")]


@pytest.mark.parametrize("wrap", ["network", "forest", "search"])
def test_a_scene_that_lacks_a_source_is_refused_before_its_files_are_read(tmp_path, nothing_read, wrap):
    model = WRAPPED[wrap]().fit(*samples())
    with pytest.raises(ValueError, match="X lacks the source 'spot'"):
        ChunkedPredictor(model).predict(scene_of(tmp_path, ("s2",)), tmp_path / "map.tif")


def test_a_scene_may_lack_or_have_what_the_estimator_can_do_without(tmp_path):
    X, y = samples()
    drop = M3FusionClassifier(**SMALL, missing_sources="drop").fit(X, y)
    ChunkedPredictor(drop).predict(scene_of(tmp_path, ("s2",)), tmp_path / "lacks.tif")
    chosen = make_pipeline(SelectSources(["s2"]), M3FusionClassifier(**SMALL))
    odd = X.replace(spot=np.zeros((24, 1)))  # of another shape, and not wanted
    for number, given in enumerate((X, odd, X.select(["s2"]))):
        model = chosen.fit(given, y)
        ChunkedPredictor(model).predict(scene_of(tmp_path), tmp_path / f"{number}.tif")


@pytest.mark.parametrize("wrap", WRAPPED)
def test_other_seasons_are_told_before_the_files_are_read(tmp_path, nothing_read, wrap):
    model = WRAPPED[wrap]().fit(*samples())
    autumn = scene_of(tmp_path, dates=["2018-03-01", "2018-06-01", "2018-11-01"])
    words = r"X\['s2'\] must have its dates at .*; date 2 \(from 0\) is 2018-11-01, that of fit 2018-09-01"
    with pytest.warns(UserWarning, match=words), pytest.raises(AssertionError, match="hashed"):
        ChunkedPredictor(model).predict(autumn, tmp_path / "map.tif")


@pytest.mark.parametrize("dates", [["2021-03-10", "2021-05-20", "2021-09-01"], None, [0, 10, 20]])
def test_the_same_season_of_another_year_and_unknown_dates_say_nothing(tmp_path, dates):
    model = WRAPPED["network"]().fit(*samples())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ChunkedPredictor(model).predict(scene_of(tmp_path, dates=dates), tmp_path / "map.tif")


def test_a_warning_is_given_once_for_each_map(tmp_path):
    model = WRAPPED["network"]().fit(*samples())
    autumn = scene_of(tmp_path, dates=["2018-03-01", "2018-06-01", "2018-11-01"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ChunkedPredictor(model, chunk_size=2).predict(autumn, tmp_path / "map.tif")
    assert len(caught) == 1


def test_what_is_first_inside_takes_the_samples():
    X, y = samples()
    network, filler = M3FusionClassifier(**SMALL).fit(X, y), GapFiller()
    pipeline = make_pipeline(filler, network).fit(X, y)
    assert first_inside(network) is network and first_inside(pipeline) is pipeline[0] is filler
    calibrated = CalibratedClassifierCV(FrozenEstimator(network)).fit(X, y)
    assert first_inside(calibrated).estimator is network  # frozen, which has all that it has
    for unknown in (object(), make_pipeline("passthrough", network), CalibratedClassifierCV(network)):
        assert first_inside(unknown) is None
