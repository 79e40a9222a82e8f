import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3fusion_sk import gaps
from m3fusion_sk.gaps import fill_linear

EXAMPLES = 500 if os.environ.get("M3FUSION_SOAK") else 50


def interpolated_one_by_one(values, missing, days):
    """The same with numpy.interp, one pixel and band at a time."""
    missing = np.broadcast_to(missing if missing.ndim == 3 else missing[:, :, None], values.shape)
    filled = np.full(values.shape, np.nan)
    for row, band in np.ndindex(values.shape[0], values.shape[2]):
        valid = ~missing[row, :, band]
        if valid.any():
            filled[row, :, band] = np.interp(days, days[valid], values[row, valid, band])
    return filled


@st.composite
def series_with_gaps(draw):
    n_samples, n_dates, n_bands = (draw(st.integers(1, n)) for n in (6, 9, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=(n_samples, n_dates, n_bands))
    shape = values.shape if draw(st.booleans()) else values.shape[:2]
    missing = rng.random(shape) < draw(st.sampled_from([0, 0.3, 0.7, 1]))
    return values, missing, np.cumsum(rng.integers(1, 40, n_dates)).astype(float)


@settings(max_examples=EXAMPLES, deadline=None)
@given(case=series_with_gaps(), at_once=st.sampled_from([1, 20, 1 << 20]))
def test_filling_agrees_with_numpy_interp(case, at_once):
    values, missing, days = case
    expected = interpolated_one_by_one(values, missing, days)
    poisoned = np.where(missing if missing.ndim == 3 else missing[:, :, None], np.inf, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaps, "VALUES_AT_ONCE", at_once)
        np.testing.assert_allclose(fill_linear(poisoned, missing, days), expected, rtol=1e-12, atol=1e-12)


def test_equal_steps_are_the_default():
    values = np.array([[[1], [0], [0], [7]]])
    missing = np.array([[False, True, True, False]])
    np.testing.assert_array_equal(fill_linear(values, missing)[0, :, 0], [1, 3, 5, 7])


def test_dates_may_be_strings_or_datetime64():
    values, missing = np.array([[[0], [9], [30]]]), np.array([[False, True, False]])
    dates = ["2018-01-01", "2018-01-11", "2018-01-31"]
    compact = [date.replace("-", "") for date in dates]
    for days in (dates, compact, np.array(dates, "datetime64[D]"), np.array([0, 10, 30])):
        np.testing.assert_allclose(fill_linear(values, missing, days)[0, :, 0], [0, 10, 30])


def test_two_observations_of_one_day_do_not_divide_by_zero():
    values, missing = np.array([[[4.0], [9], [6]]]), np.array([[False, True, False]])
    np.testing.assert_array_equal(fill_linear(values, missing, [5, 5, 5])[0, :, 0], [4, 4, 6])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint16", "float32"),
        ("int32", "float32"),
        ("float16", "float32"),
        ("float32", "float32"),
        (">f4", "float32"),
        ("float64", "float64"),
        (">f8", "float64"),
        ("longdouble", "float64"),
    ],
)
def test_integers_become_float32_and_wide_floats_stay_wide(dtype, expected):
    values = np.ones((2, 3, 1), dtype)
    filled = fill_linear(values, np.zeros((2, 3), bool))
    assert filled.dtype == expected
    assert not np.shares_memory(filled, values)


def test_no_samples_are_no_error():
    assert fill_linear(np.empty((0, 3, 2)), np.empty((0, 3), bool)).shape == (0, 3, 2)


@pytest.mark.parametrize("missing", [np.zeros((2, 4), bool), np.zeros((2, 3, 2), bool), np.zeros(2, bool)])
def test_shapes_that_disagree_are_refused(missing):
    with pytest.raises(ValueError, match=r"got \(2, 3, 1\) and"):
        fill_linear(np.zeros((2, 3, 1)), missing)


@pytest.mark.parametrize("shape", [(2, 3, 0), (2, 0, 3)])
def test_series_without_bands_or_dates_are_refused(shape):
    with pytest.raises(ValueError, match="with a date and a band"):
        fill_linear(np.zeros(shape), np.zeros(shape, bool))


@pytest.mark.parametrize("shape", [(1, 4), (1, 4, 2)])
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_missing_in_its_band(shape, strange):
    values = np.array([[[1, 5], [strange, 6], [3, 7], [strange, strange]]])
    missing = np.zeros(shape, bool)
    np.testing.assert_array_equal(fill_linear(values, missing)[0], [[1, 5], [2, 6], [3, 7], [3, 7]])
    missing[0, 2] = True
    np.testing.assert_array_equal(fill_linear(values, missing)[0], [[1, 5], [1, 6], [1, 6], [1, 6]])


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ([0, 2], "one date for each of the 3"),
        ([0, 2, 1], "ascending order"),
        ([0, np.nan, 2], "none missing"),
    ],
)
def test_days_must_ascend_one_for_each_date(days, words):
    with pytest.raises(ValueError, match=f"days must .*{words}"):
        fill_linear(np.zeros((2, 3, 1)), np.zeros((2, 3), bool), days)
