"""Dates in all the ways that users write them."""

import datetime

import numpy as np
import pandas as pd
import pytest

from m3fusion_sk.dates import as_days


@pytest.mark.parametrize(
    "dates",
    [
        ["2018-01-30", "2018-02-01", "2018-02-03"],
        ["20180130", "20180201", "20180203"],
        [b"20180130", b"2018-02-01", b"20180203"],
        np.array(["2018-01-30", "2018-02-01", "2018-02-03"], "datetime64[ns]"),
        pd.to_datetime(["2018-01-30", "2018-02-01", "2018-02-03"]),
        pd.Series(pd.to_datetime(["2018-01-30", "2018-02-01", "2018-02-03"])),
        [datetime.date(2018, 1, 30), datetime.date(2018, 2, 1), datetime.date(2018, 2, 3)],
        [datetime.datetime(2018, 1, 30), datetime.datetime(2018, 2, 1), datetime.datetime(2018, 2, 3)],
    ],
    ids=lambda dates: type(dates).__name__,
)
def test_dates_become_days_since_the_first(dates):
    np.testing.assert_array_equal(as_days(dates, 3), [0, 2, 4])


def test_numbers_are_days_as_they_are():
    np.testing.assert_array_equal(as_days([3, 5, 5, 9], 4), [3, 5, 5, 9])


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (["2018-01-30", "January"], "dates must be such as '2018-05-11'"),
        (["20181301", "20181302"], "dates must be such as"),
        ([np.datetime64("20180130"), np.datetime64("20180203")], "between 1900 and 2200"),
        (["2018-02-01", "2018-01-30"], "ascending order.*Sort them"),
        (["2018-02-01", "NaT"], "none missing"),
        (["2018-02-01"], "one date for each of the 2 of the series; got 1"),
        ([[1, 2]], "one date for each of the 2"),
        ([True, False], "dates must be such as"),
        ([20180131, 20180201], "dates must be such as '2018-05-11', '20180511'"),
        ([2015, 2016], "dates must be such as"),
    ],
)
def test_what_is_no_calendar_is_refused(dates, message):
    with pytest.raises(ValueError, match=message):
        as_days(dates, 2)


def test_the_message_names_what_was_asked_for():
    with pytest.raises(ValueError, match="dates of source 's2' must be"):
        as_days(["?"], 1, what="dates of source 's2'")
