import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from m3fusion_sk import MultiSource
from m3fusion_sk.gapfiller import GapFiller
from m3fusion_sk.patchview import PatchView
from m3fusion_sk.preprocessing import StackedFeatures


@pytest.fixture
def X():
    rng = np.random.default_rng(0)
    return MultiSource(
        ts=rng.normal(size=(20, 4, 2)).astype("f4"),
        patch=rng.integers(0, 9, (20, 2, 3, 5)).astype("u2"),
        terrain=rng.normal(size=(20, 3)).astype("f4"),
    )


@pytest.fixture
def y():
    return np.repeat(["crop", "water"], 10)


def _with_gaps():
    series = np.arange(24.0).reshape(2, 4, 3)
    series[0, 1, 0] = series[0, 3, 1] = np.nan
    series[1, :, 2] = np.nan
    return series


def test_gaps_are_filled_linearly_in_time_and_at_the_ends_by_the_nearest():
    series = _with_gaps()
    filled = GapFiller().fit_transform({"ts": series})["ts"]
    assert filled[0, 1, 0] == (series[0, 0, 0] + series[0, 2, 0]) / 2
    assert filled[0, 3, 1] == series[0, 2, 1]
    valid = ~np.isnan(series)
    np.testing.assert_array_equal(filled[valid], series[valid])


def test_dates_give_the_spacing():
    dates = ["2018-01-01", "2018-01-02", "2018-01-11", "2018-02-01"]
    compact = [date.replace("-", "") for date in dates]
    for given in (dates, compact, [0, 1, 10, 31], np.array(dates, "datetime64[D]"), pd.DatetimeIndex(dates)):
        filled = GapFiller(dates=given).fit_transform({"ts": _with_gaps()})["ts"]
        assert filled[0, 1, 0] == pytest.approx(0 + 6 * 0.1)


def test_dates_that_the_samples_know_give_the_spacing_too():
    series = np.array([[[0.0], [np.nan], [9.0]]])
    dated = MultiSource(ts=series).with_dates(ts=["2018-05-01", "2018-05-02", "2018-05-10"])
    other = MultiSource(ts=series).with_dates(ts=["2019-05-01", "2019-05-04", "2019-05-10"])
    fill = GapFiller().fit(dated)
    for X, expected in [(dated, 1), (other, 3), (MultiSource(ts=series), 1)]:  # the last by those of fit
        assert fill.transform(X)["ts"][0, 1, 0] == expected
    assert fill.transform(dated).specs["ts"].dates == dated.specs["ts"].dates
    assert GapFiller(dates=[0, 2, 9]).fit_transform(dated)["ts"][0, 1, 0] == 2  # what is said counts
    assert GapFiller().fit(MultiSource(ts=series)).transform(other)["ts"][0, 1, 0] == 3


def test_a_band_without_valid_dates_takes_its_mean_in_training():
    step = GapFiller().fit({"ts": _with_gaps()})
    mean = np.mean([2, 5, 8, 11])
    assert step.means_["ts"][2] == mean
    empty = np.full((1, 4, 3), np.nan, dtype="f4")
    filled = step.transform({"ts": empty})["ts"]
    np.testing.assert_allclose(filled[0, :, 2], mean)
    assert filled.dtype == np.float32 and np.isnan(empty).all()


def test_only_the_named_series_are_filled_and_others_are_left_alone(X):
    other = X["ts"].copy()
    other[0] = np.nan
    both = X.replace(ts=_with_gaps()[np.zeros(20, int)], s1=other)
    filled = GapFiller("ts").fit_transform(both)
    assert not np.isnan(filled["ts"]).any() and np.isnan(filled["s1"][0]).all()
    assert filled.names == both.names
    assert filled.values_of("patch") is X.values_of("patch")


def test_gaps_that_begin_late_are_found():
    series = np.ones((3000, 4, 1))
    series[-1, 1] = np.nan
    assert (GapFiller().fit_transform({"ts": series})["ts"] == 1).all()
    assert np.isnan(series[-1, 1, 0])


def test_series_without_gaps_keep_their_type():
    ts = np.ones((3, 4, 2), "u2")
    filled = GapFiller(["ts"]).fit_transform({"ts": ts})
    assert filled.values_of("ts") is ts


def test_filling_selected_rows_leaves_the_other_sources_where_they_are(X):
    ts = X["ts"].copy()
    ts[:, 1] = np.nan
    image = PatchView(np.arange(900).reshape(1, 30, 30), np.arange(20), np.arange(20), (3, 3))
    rows = np.arange(20)[::-3]
    filled = GapFiller().fit_transform(X.replace(ts=ts, image=image)[rows])
    for name in ("patch", "image"):
        assert not isinstance(filled.values_of(name), np.ndarray)
    np.testing.assert_array_equal(filled["patch"], X["patch"][rows])
    np.testing.assert_array_equal(filled[[2, 1]]["image"], image[rows[[2, 1]]])
    np.testing.assert_array_equal(filled["ts"], GapFiller().fit(X).transform(X.replace(ts=ts))["ts"][rows])


def test_small_batches_fill_as_one_does(monkeypatch):
    rng = np.random.default_rng(0)
    ts = np.where(rng.random((50, 6, 2)) < 0.4, np.nan, rng.random((50, 6, 2)))
    whole = GapFiller().fit_transform({"ts": ts})["ts"]
    monkeypatch.setattr("m3fusion_sk.rows.row_blocks.__defaults__", (30,))
    np.testing.assert_allclose(GapFiller().fit_transform({"ts": ts})["ts"], whole)


@pytest.mark.parametrize("shape", [(9, 6, 2), (5, 4, 2, 3, 3)])
@pytest.mark.parametrize("kind", ["float16", "float32", ">f8", "longdouble"])
def test_values_may_lie_in_memory_in_any_way(shape, kind):
    rng = np.random.default_rng(0)
    ts = np.where(rng.random(shape) < 0.4, np.nan, rng.random(shape)).astype(kind)
    expected = GapFiller().fit({"ts": ts})
    record = np.zeros(len(ts), [("odd", "u1"), ("ts", kind, shape[1:])])
    record["ts"] = ts
    fixed = ts.copy()
    fixed.flags.writeable = False
    backwards = (slice(None, None, -1),) * len(shape)
    for values in (
        np.asfortranarray(ts),
        ts[::-1].copy()[::-1],
        ts[backwards].copy()[backwards],
        fixed,
        record["ts"],
    ):
        found = GapFiller().fit({"ts": values})
        np.testing.assert_allclose(found.means_["ts"], expected.means_["ts"], rtol=1e-6)
        np.testing.assert_array_equal(
            found.transform({"ts": values})["ts"], expected.transform({"ts": ts})["ts"]
        )


def test_series_of_patches_are_filled_pixel_by_pixel():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 4, 2, 3, 3))
    images[rng.random(images.shape) < 0.4] = np.nan
    images[0, :, 1, 2, 2] = np.nan
    filled = GapFiller().fit_transform({"images": images})["images"]
    for row, col in np.ndindex(3, 3):
        pixel = images[:, :, :, row, col]
        expected = GapFiller().fit({"ts": pixel})
        expected.means_["ts"] = np.nanmean(images, axis=(0, 1, 3, 4))
        np.testing.assert_allclose(filled[..., row, col], expected.transform({"ts": pixel})["ts"])


def test_filling_comes_before_stacking_in_a_pipeline(X, y):
    ts = X["ts"].copy()
    ts[::3, 1] = np.nan
    frame = pd.DataFrame(np.asarray(X.replace(ts=ts)), columns=X.column_names)
    model = make_pipeline(GapFiller(), StackedFeatures(patch="centre"), RandomForestClassifier(5))
    assert model.fit(frame, y)[-1].n_features_in_ == 13


def test_a_plain_table_stays_a_table():
    table = np.array([[1, np.nan], [3, 4]])
    np.testing.assert_array_equal(GapFiller().fit_transform(table), table)


@pytest.mark.parametrize(
    "parameters, error, message",
    [
        (
            {"source": "patch"},
            ValueError,
            r"source must name series, which have dates; got {'patch': 'patch'}",
        ),
        ({"source": "s9"}, ValueError, r"source must name sources of X, each once; got \['s9'\]"),
        (
            {"dates": ["2018-01-01"] * 3},
            ValueError,
            r"dates of X\['ts'\] must have one date for each of the 4 of the series; got 3",
        ),
        ({"dates": ["2018-01-02"] * 3 + ["2018-01-01"]}, ValueError, "must be in ascending order"),
        ({"dates": ["2018-01-02"] * 3 + ["NaT"]}, ValueError, "must be in ascending order, none missing"),
        ({"dates": ["spring"]}, ValueError, r"dates of X\['ts'\] must be such as '2018-05-11'"),
    ],
)
def test_wrong_parameters_of_filling_are_refused(X, parameters, error, message):
    with pytest.raises(error, match=message):
        GapFiller(**parameters).fit(X)


def test_a_band_that_is_never_valid_is_refused(X):
    ts = X["ts"].copy()
    ts[:, :, 1] = np.nan
    with pytest.raises(ValueError, match=r"X\['ts'\] has no valid value in band 1"):
        GapFiller().fit(X.replace(ts=ts))


def test_series_on_disk_stay_there(tmp_path):
    values = np.random.default_rng(0).normal(size=(500, 6, 4)).astype("f4")
    values[::3, 2] = np.nan
    np.save(tmp_path / "ts.npy", values)
    X = MultiSource(ts=np.load(tmp_path / "ts.npy", mmap_mode="r"))
    lazy = GapFiller().fit_transform(X)
    assert not isinstance(lazy.values_of("ts"), np.ndarray)
    np.testing.assert_array_equal(lazy["ts"], GapFiller().fit_transform(MultiSource(ts=values))["ts"])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy[5:9]))["ts"], lazy["ts"][5:9])


def test_tables_have_the_columns_of_sources_that_are_not_there():
    rng = np.random.default_rng(0)
    X = {"ts": rng.normal(size=(20, 3, 2)), "terrain": rng.normal(size=(20, 4))}
    fill = GapFiller().set_output(transform="pandas").fit(X)
    for lacking in X:
        there = {name: values for name, values in X.items() if name != lacking}
        table = fill.transform(there)
        whole = fill.transform(X)
        assert table.columns.tolist() == whole.columns.tolist()
        of_it = table.columns.str.startswith(lacking + "_")
        assert table.loc[:, of_it].isna().all().all()
        pd.testing.assert_frame_equal(table.loc[:, ~of_it], whole.loc[:, ~of_it])


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f4", "g"])
def test_fit_transform_is_fit_and_transform_for_any_float_even_where_it_is_read_only(dtype):
    series = np.random.default_rng(0).normal(size=(50, 6, 3)).astype(dtype)
    series[::3, 2, 1] = series[::4, 1] = series[7, :, 0] = np.nan
    series.flags.writeable = False
    step = GapFiller().fit({"ts": series})
    np.testing.assert_allclose(step.means_["ts"], np.nanmean(series.astype("f8"), axis=(0, 1)))
    both = GapFiller().fit_transform({"ts": series})["ts"]
    assert both.dtype == series.dtype and not np.isnan(both).any()
    np.testing.assert_array_equal(both, step.transform({"ts": series})["ts"])
