"""Estimators that do not fit the scene of a map: told before anything is read."""

import os
import warnings

import geopandas
import numpy as np
import pytest
import shapely
from made_rasters import ORIGIN, coded, write
from rasterio.windows import Window
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource, SelectSources, stacked_forest
from m3fusion_sk.inside import first_inside
from m3fusion_sk.mapping import ChunkedPredictor, PatchRaster, PatchSeriesRaster, Scene, SeriesRaster

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


class OfOthers:
    """Knows its own kind of sources."""

    classes_ = np.array([1, 2])

    def __init__(self, sources):
        self.sources_ = sources

    def predict_proba(self, X):
        assert X.specs["s2"].dates == tuple(DATES)
        return np.full((len(X), 2), 0.5)


@pytest.mark.parametrize("sources", [["s2", "spot"], {"s2": "path"}, 5])
def test_estimators_of_others_are_not_asked(scene, tmp_path, sources):
    ChunkedPredictor(OfOthers(sources)).predict(scene, tmp_path / "map.tif")


def test_what_the_network_was_fitted_with_counts_not_what_was_set_since(tmp_path, nothing_read):
    X, y = samples()
    drop = M3FusionClassifier(**SMALL, missing_sources="drop").fit(X, y).set_params(missing_sources="error")
    with pytest.raises(AssertionError, match="hashed"):
        ChunkedPredictor(drop).predict(scene_of(tmp_path, ("s2",)), tmp_path / "map.tif")
    late = M3FusionClassifier(**SMALL).fit(X, y).set_params(missing_sources="drop")
    with pytest.raises(ValueError, match="X lacks the source 'spot'"):
        ChunkedPredictor(late).predict(scene_of(tmp_path, ("s2",)), tmp_path / "map.tif")


@pytest.mark.parametrize(("days", "told"), [(31, False), (32, True)])
def test_a_scene_tells_its_dates_to_samples_models_and_maps(tmp_path, days, told):
    sampled = scene_of(tmp_path).sample(polygons(), "class")
    read = scene_of(tmp_path).read(Window(0, 0, 2, 2))
    assert sampled.X.specs["s2"].dates == read.specs["s2"].dates == tuple(DATES)
    model = stacked_forest(n_estimators=2, random_state=0).fit(sampled.X, sampled.y)
    later = [str(np.datetime64(date) + days) for date in DATES]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ChunkedPredictor(model).predict(scene_of(tmp_path, dates=later), tmp_path / "map.tif")
    assert bool(caught) == told


def test_series_of_patches_know_their_dates(tmp_path):
    path = write(tmp_path / "s2.tif", coded(6, 4, 5, "uint16"))
    scene = Scene({"s2": PatchSeriesRaster(path, size=3, n_bands=2, dates=DATES)}, grid="s2")
    assert scene.read(Window(0, 0, 2, 2)).specs["s2"].dates == tuple(DATES)


def polygons():
    squares = [
        shapely.box(ORIGIN[0] + 20 * i, ORIGIN[1] - 40, ORIGIN[0] + 20 * i + 20, ORIGIN[1]) for i in (0, 1)
    ]
    return geopandas.GeoDataFrame({"class": [1, 2]}, geometry=squares, crs="EPSG:32631")


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
    model = WRAPPED[wrap]().fit(*samples(**given))
    with pytest.raises(ValueError, match=words):
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


def test_a_warning_is_not_given_with_each_chunk(tmp_path):
    model = WRAPPED["network"]().fit(*samples())
    autumn = scene_of(tmp_path, dates=["2018-03-01", "2018-06-01", "2018-11-01"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        ChunkedPredictor(model, chunk_size=2).predict(autumn, tmp_path / "map.tif")
    told = [each for each in caught if "at the times of the year" in str(each.message)]
    assert len(told) == len(caught) == 1  # before the map


def test_what_is_first_inside_takes_the_samples():
    X, y = samples()
    network, filler = M3FusionClassifier(**SMALL).fit(X, y), GapFiller()
    pipeline = make_pipeline(filler, network).fit(X, y)
    assert first_inside(network) is network and first_inside(pipeline) is pipeline[0] is filler
    calibrated = CalibratedClassifierCV(FrozenEstimator(network)).fit(X, y)
    assert first_inside(calibrated).estimator is network  # frozen, which has all that it has
    assert first_inside(make_pipeline("passthrough", network)) is network
    vote = VotingClassifier([("a", M3FusionClassifier(**SMALL))]).fit(X, y)
    several = CalibratedClassifierCV(M3FusionClassifier(**SMALL), cv=2).fit(X, y)
    for held in (vote, several):
        assert first_inside(held).sources_ == network.sources_
    forest = RandomForestClassifier(2).fit(X, y)
    for unknown in (object(), forest, make_pipeline("passthrough"), CalibratedClassifierCV(network)):
        assert first_inside(unknown) is None
