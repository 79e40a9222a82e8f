"""Dates in all the ways that users write them."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3fusion_sk.dates import as_days, as_text, furthest_in_year


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


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (None, None),
        ([0, 5], None),
        (np.array([0.0, 5.5]), None),
        (["20180130", "2018-02-01T10:30:00"], ("2018-01-30", "2018-02-01")),
        ([datetime.datetime(2018, 1, 30, 10), datetime.date(2018, 2, 1)], ("2018-01-30", "2018-02-01")),
        (pd.to_datetime(["2018-01-30 23:59", "2018-02-01 00:00"]), ("2018-01-30", "2018-02-01")),
    ],
)
def test_days_of_the_calendar_are_text(dates, expected):
    assert as_text(dates) == expected


days = st.dates(datetime.date(1950, 1, 1), datetime.date(2150, 12, 31))


@given(st.lists(st.tuples(days, days), min_size=1))
def test_the_furthest_date_is_that_of_the_year_alone(pairs):
    def of_year(day):
        return day.timetuple().tm_yday

    apart = [abs(of_year(one) - of_year(other)) for one, other in pairs]
    apart = [min(n, 365 - n) for n in apart]
    dates, others = ([str(day) for day in part] for part in zip(*pairs, strict=True))
    assert furthest_in_year(dates, others) == (max(apart), apart.index(max(apart)))
    assert furthest_in_year(others, dates) == furthest_in_year(dates, others)
    next_year = [f"{int(date[:4]) + 1}{date[4:]}" for date in dates if not date.endswith("02-29")]
    assert not next_year or furthest_in_year(next_year, [d for d in dates if "02-29" not in d])[0] <= 1
