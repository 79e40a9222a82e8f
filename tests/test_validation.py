import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array, dok_array
from sklearn.base import BaseEstimator

from m3fusion_sk import M3FusionClassifier, MultiSource
from m3fusion_sk.patchview import PatchView
from m3fusion_sk.sources import PatchSpec, SeriesSpec, VectorSpec
from m3fusion_sk.transformer import SourceTransformer
from m3fusion_sk.validation import check_sources

LAYOUT = {"ts": (3, 2), "patch": (1, 2, 2)}


class Model(BaseEstimator):
    pass


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def X():
    return MultiSource(ts=np.arange(30.0).reshape(5, 3, 2), patch=np.arange(20).reshape(5, 1, 2, 2))


@pytest.fixture
def fitted(X):
    model = Model()
    check_sources(model, X, reset=True)
    return model


def _frame(X):
    return pd.DataFrame(np.asarray(X), columns=X.column_names)


def _structured(X):
    record = np.zeros(len(X), [("ts", "f8", (3, 2)), ("patch", "f8", (1, 2, 2))])
    for name in record.dtype.names:
        record[name] = X[name]
    return record


def _equal(left, right):
    assert left.specs == right.specs
    for name in right.names:
        np.testing.assert_array_equal(left[name], right[name])


FORMS = [lambda X: X, lambda X: dict(X.items()), lambda X: X[[4, 3, 2, 1, 0]][::-1], _structured, _frame]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_with_names_is_the_same_container(model, X, form):
    _equal(check_sources(model, form(X), reset=True), X)
    assert model.sources_ == X.specs == {"ts": SeriesSpec(3, 2), "patch": PatchSpec(1, 2, 2)}
    assert model.n_features_in_ == 10
    assert hasattr(model, "feature_names_in_") == (form is _frame)
    _equal(check_sources(model, form(X), reset=False), X)


@pytest.mark.parametrize("form", [*FORMS, np.asarray])
def test_every_form_is_taken_after_fit_on_a_container(fitted, X, form):
    _equal(check_sources(fitted, form(X), reset=False), X)


def test_named_columns_are_put_in_order(model, fitted, X):
    frame = _frame(X).iloc[:, ::-1]
    assert set(check_sources(model, frame, reset=True).names) == {"ts", "patch"}
    np.testing.assert_array_equal(check_sources(model, frame, reset=False)["ts"], X["ts"])
    _equal(check_sources(fitted, frame, reset=False), X)
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        check_sources(model, _frame(X), reset=False)


def test_a_layout_cuts_a_table(model, X):
    _equal(check_sources(model, np.asarray(X), reset=True, layout=LAYOUT), X)
    _equal(check_sources(model, np.asarray(X).tolist(), reset=False, layout=LAYOUT), X)
    _equal(check_sources(model, X, reset=False, layout=LAYOUT), X)


def test_a_plain_table_is_one_vector(model):
    table = np.arange(6).reshape(3, 2)
    out = check_sources(model, table, reset=True)
    assert model.sources_ == {"X": VectorSpec(2)}
    np.testing.assert_array_equal(out["X"], table)
    assert out["X"].dtype == table.dtype


def test_fitting_again_forgets_the_names_of_columns(model, X):
    check_sources(model, pd.DataFrame({"slope": [1.0]}), reset=True)
    check_sources(model, X, reset=True)
    assert not hasattr(model, "feature_names_in_")


def test_only_the_sources_that_matter_are_checked_after_fit(fitted, X):
    _equal(check_sources(fitted, {"ts": X["ts"]}, reset=False, names=["ts"]), X.select(["ts"]))
    bad = X.replace(patch=np.full((5, 1, 3, 3), np.nan))
    _equal(check_sources(fitted, bad, reset=False, names=["ts"]), X.select(["ts"]))
    kept = check_sources(fitted, np.asarray(X), reset=False, names=["patch"])
    np.testing.assert_array_equal(kept["patch"], X["patch"])


def test_missing_values_pass_only_where_they_are_allowed(model, X):
    gap = X["ts"].copy()
    gap[2, 1] = gap[4, 0, 0] = np.nan
    gappy = X.replace(ts=gap)
    for form in (gappy, _frame(gappy)):
        assert np.isnan(check_sources(model, form, reset=True, allow_nan=True)["ts"]).sum() == 3
        with pytest.raises(ValueError, match="contains NaN"):
            check_sources(model, form, reset=True)
    with pytest.raises(ValueError, match=r"X\['ts'\] contains NaN or infinity in 2 of 5 samples. Fill gaps"):
        check_sources(model, gappy, reset=True)
    with pytest.raises(ValueError, match=r"X\['ts'\] contains NaN or infinity in 1 of 3 samples"):
        check_sources(model, gappy[[0, 1, 4]], reset=True)
    _equal(check_sources(model, gappy[[0, 1]], reset=True), X[[0, 1]])


def test_infinity_is_never_allowed(model):
    with pytest.raises(ValueError, match=r"X\['v'\] contains infinity in 1 of 2 samples\. Replace it by NaN"):
        check_sources(model, {"v": np.array([[np.inf], [np.nan]])}, reset=True, allow_nan=True)


def test_a_bad_pixel_counts_only_in_the_patches_that_hold_it(model):
    image = np.zeros((1, 6, 6))
    image[0, 5, 5] = np.nan
    view = PatchView(image, [0, 3], [0, 3], (3, 3))
    with pytest.raises(ValueError, match=r"X\['p'\] contains NaN or infinity in 1 of 2 samples"):
        check_sources(model, {"p": view}, reset=True)
    assert len(check_sources(model, MultiSource(p=view)[:1], reset=True)) == 1


def test_missing_values_are_counted_over_many_blocks(model, monkeypatch):
    monkeypatch.setattr("m3fusion_sk.rows.row_blocks.__defaults__", (64,))
    values = np.zeros((1000, 7, 9))
    values[::10, 0, 0] = np.nan
    with pytest.raises(ValueError, match="in 100 of 1000 samples"):
        check_sources(model, {"ts": values}, reset=True)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"ts": None}, "X lacks the source 'ts'"),
        ({"s1": np.ones((5, 2))}, "X has the source 's1', which fit did not see"),
        ({"ts": np.ones((5, 4, 2))}, r"X\['ts'\] must have n_dates=3, as in fit; got n_dates=4"),
        ({"ts": np.ones((5, 3, 1))}, r"X\['ts'\] must have n_bands=2, as in fit; got n_bands=1"),
        ({"ts": np.ones((5, 6))}, r"X\['ts'\] must have 3 dimensions"),
        ({"ts": np.ones((4, 3, 2))}, "same number of samples"),
        ({"patch": np.ma.ones((5, 1, 2, 2))}, r"X\['patch'\] must be a plain array; got a masked array"),
        ({"ts": np.ones((5, 3, 2), object)}, r"X\['ts'\] must hold real numbers; got dtype object"),
    ],
)
def test_sources_other_than_in_fit_are_refused(fitted, X, change, message):
    sources = {name: values for name, values in {**dict(X.items()), **change}.items() if values is not None}
    with pytest.raises(ValueError, match=message):
        check_sources(fitted, sources, reset=False)


@pytest.mark.parametrize(
    "table, error, message",
    [
        (np.ma.masked_array(np.ones((3, 2)), mask=True), ValueError, "X must be a plain array; got a masked"),
        (
            np.ones((3, 2, 2)),
            ValueError,
            r"X must be a table .*got shape \(3, 2, 2\). Name the source, as in",
        ),
        (np.ones(3), ValueError, "Expected 2D array, got 1D array"),
        (np.ones((0, 2)), ValueError, r"0 sample\(s\)"),
        (csr_array(np.eye(3)), TypeError, "Sparse data was passed"),
        (dok_array(np.eye(3)), TypeError, "Sparse data was passed"),
        (np.array([["a"]], dtype=object), ValueError, "could not convert string to float"),
        (np.array([[1.0], [np.nan]]), ValueError, "contains NaN"),
        (
            pd.DataFrame([[1, 2]], columns=["ts_t00_b00"] * 2),
            ValueError,
            "unique column names|every combination",
        ),
        (pd.DataFrame([[1, 2]], columns=["ts_t00_b00", "slope"]), ValueError, "must all be named by source"),
        (
            {"ts": np.ones((0, 3, 2))},
            ValueError,
            r"X must have at least one sample for Model; got 0 sample\(s\)",
        ),
        ({}, ValueError, "at least one source"),
    ],
)
def test_other_tables_are_refused(model, table, error, message):
    with pytest.raises(error, match=message):
        check_sources(model, table, reset=True)


@pytest.mark.parametrize(
    "layout, error, message",
    [
        ({"ts": (3, 3)}, ValueError, r"layout describes 9 columns \(ts \(3, 3\)\); got X with 10 features"),
        ([("ts", (3, 2))], TypeError, r"layout must be a dict, such as {'ts': \(34, 16\)}"),
        ({"ts": "3x2"}, ValueError, r"layout\['ts'\] must be a tuple of positive integers"),
    ],
)
def test_a_layout_must_fit_the_table(model, X, layout, error, message):
    with pytest.raises(error, match=message):
        check_sources(model, np.asarray(X), reset=True, layout=layout)


def test_a_table_of_another_width_is_refused_after_fit(fitted, X):
    with pytest.raises(ValueError, match="X has 9 features, but Model is expecting 10 features"):
        check_sources(fitted, np.asarray(X)[:, :9], reset=False)


@given(
    values=arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        st.tuples(st.integers(1, 4), st.integers(1, 5)),
        elements=st.sampled_from([0, 1, -2.5, np.nan, np.inf, -np.inf, 6e4, -6e4]),
    ),
    factor=st.sampled_from([1, 1e20]),
    allow_nan=st.booleans(),
)
def test_values_are_refused_by_their_extremes_as_one_by_one(values, factor, allow_nan):
    if values.dtype != np.float16:
        values = values * values.dtype.type(factor)
    bad = np.isinf(values) | (np.abs(values.astype(float)) > 1e18) | (np.isnan(values) & (not allow_nan))
    X = MultiSource(ts=values[:, :, None])
    if bad.any():
        with pytest.raises(ValueError, match=rf"in {bad.any(axis=1).sum()} of|beyond"):
            check_sources(Model(), X, reset=True, allow_nan=allow_nan)
    else:
        check_sources(Model(), X, reset=True, allow_nan=allow_nan)


@pytest.mark.parametrize("name", ["ts_t00_B00", "TS_T00_B00", "ts_b00_t00", "ts_t00_b00 "])
def test_columns_that_are_nearly_named_by_source_are_told(model, name):
    frame = pd.DataFrame({name: [1.0, 2.0], "height": [3.0, 4.0]})
    with pytest.warns(UserWarning, match=f"Columns such as '{name}' are plain features"):
        check_sources(model, frame, reset=True)
    check_sources(model, frame, reset=False)  # once is enough
    for names in (["ndvi_2018_05", "B4_t1"], ["a", "b"], ["seen_2018-05-01", "id_20181301"]):
        check_sources(Model(), frame.set_axis(names, axis=1), reset=True)


@pytest.mark.parametrize("name", ["B2_2018-01-05", "20180105_B2", "2018.01.05", "B8A_20180105T1030"])
def test_columns_that_are_named_by_dates_are_told(model, name):
    frame = pd.DataFrame(np.ones((2, 4)))
    frame.columns = [other for one in (name, name.replace("05", "15")) for other in (one, f"B3{one}")]
    with pytest.warns(UserWarning, match=f"Columns such as '{name}' are plain features"):
        check_sources(model, frame, reset=True)
    given = Given(layout={"X": 4}).fit(frame)  # deliberately
    assert given.sources_ == {"X": VectorSpec(4)}
    plain = frame.set_axis([f"rain_2018-01-{day}" for day in range(11, 15)], axis=1)  # of one band
    check_sources(Model(), plain, reset=True)


def test_nan_in_columns_that_name_a_series_is_told_by_source(model):
    frame = pd.DataFrame(np.ones((3, 4)), columns=MultiSource(ts=np.ones((1, 2, 2))).column_names)
    check_sources(model, frame, reset=True)
    frame.iloc[1, 2] = np.nan
    for reset in (True, False):
        with pytest.raises(ValueError, match=r"X\['ts'\] contains NaN.* 1 of 3 samples.*GapFiller"):
            check_sources(model, frame, reset=reset)
    check_sources(model, frame, reset=False, allow_nan=True)


def test_bands_behind_rows_and_columns_are_told(model):
    with pytest.warns(UserWarning, match=r"X\['patch'\] has 9 bands of 9 x 4 pixels.*np.moveaxis"):
        check_sources(model, {"patch": np.zeros((3, 9, 9, 4))}, reset=True)
    check_sources(Model(), {"patch": np.zeros((3, 4, 9, 9))}, reset=True)


class Given(SourceTransformer):
    """Keeps what comes to it."""

    def __init__(self, layout=None):
        self.layout = layout

    def fit(self, X, y=None):
        self.seen_ = self._check(X, reset=True)
        return self


@pytest.mark.parametrize("columns", ["in order", "permuted"])
@pytest.mark.parametrize("fitted_to", ["table", "dict"])
def test_names_of_columns_tell_what_a_layout_does_not(columns, fitted_to):
    rng = np.random.default_rng(0)
    X = MultiSource(ts=rng.normal(size=(9, 3, 2)), v=rng.normal(size=(9, 4)))
    frame = pd.DataFrame(np.asarray(X), columns=X.column_names)
    if columns == "permuted":
        frame = frame[rng.permutation(frame.columns)]
    step = Given(layout={"v": 4, "ts": (3, 2)}).fit(frame if fitted_to == "table" else X)
    assert step.seen_.names == ("v", "ts")  # in the order of the layout
    for seen in (step.seen_, step._check(frame, reset=False)):
        for name in X.names:
            np.testing.assert_array_equal(seen[name], X[name])


def test_a_table_is_cut_by_the_layout_whatever_the_order_of_the_fitted_sources():
    rng, y = np.random.default_rng(0), np.arange(24) % 2
    arrays = {"ts": rng.normal(size=(24, 3, 2)), "v": rng.normal(size=(24, 4))}
    model = M3FusionClassifier(hidden_size=4, max_epochs=1, layout={"v": 4, "ts": (3, 2)}, random_state=0)
    expected = model.fit(arrays, y).predict_proba(arrays)
    table = np.hstack([arrays["v"], arrays["ts"].reshape(24, -1)])
    np.testing.assert_array_equal(model.predict_proba(table), expected)
    np.testing.assert_array_equal(model.fit(table, y).predict_proba(table), expected)
    odd = pd.DataFrame(table, columns=[f"a_f{i}" for i in range(10)])  # names that only look like a source's
    model.fit(odd, y)
    np.testing.assert_array_equal(model.predict_proba(odd), expected)
