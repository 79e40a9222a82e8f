import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3fusion_sk.columns import column_names, parse_columns
from m3fusion_sk.sources import (
    PatchSpec,
    SeriesSpec,
    VectorSpec,
    check_lengths,
    check_names,
    check_shape,
    infer_spec,
    spec_from_layout,
)

sizes = st.integers(1, 4)
specs = st.one_of(
    st.builds(SeriesSpec, st.integers(1, 12), sizes),
    st.builds(PatchSpec, sizes, sizes, sizes),
    st.builds(VectorSpec, st.integers(1, 101)),
)
names = st.text("abst019_- ", min_size=1, max_size=5).filter(lambda name: not re.search(r"_[tbrcf]\d+", name))
SOURCES = {"ts": SeriesSpec(3, 2), "patch": PatchSpec(1, 5, 5)}


@pytest.mark.parametrize(
    "shape, spec",
    [
        ((9, 34, 16), SeriesSpec(n_dates=34, n_bands=16)),
        ((9, 5, 25, 24), PatchSpec(n_bands=5, height=25, width=24)),
        ((0, 3), VectorSpec(n_features=3)),
    ],
)
def test_the_kind_of_a_source_follows_from_its_rank(shape, spec):
    assert infer_spec("a", shape) == spec
    assert spec_from_layout("a", shape[1:]) == spec
    assert spec.shape == shape[1:] and spec.size == np.prod(shape[1:])


def test_one_number_in_a_layout_is_a_vector():
    assert spec_from_layout("terrain", 7) == spec_from_layout("terrain", [7]) == VectorSpec(7)


@given(specs)
def test_values_per_band_broadcast_against_samples(spec):
    values = np.zeros((2, *spec.shape)) + np.arange(spec.n_channels).reshape(spec.band_shape)
    per_band = np.moveaxis(values, 1 + spec.band_axis, -1).reshape(-1, spec.n_channels)
    assert (per_band == np.arange(spec.n_channels)).all()


@given(st.dictionaries(names, specs, min_size=1, max_size=3), st.randoms())
def test_column_names_are_read_back_whatever_their_order(sources, random):
    columns = column_names(sources)
    assert len(set(columns)) == sum(spec.size for spec in sources.values())
    shuffled = random.sample(columns, len(columns))
    parsed, order = parse_columns(shuffled)
    assert parsed == sources
    assert [shuffled[i] for i in order] == column_names(parsed)


def test_dates_may_be_numbered_from_one_and_with_steps():
    parsed, order = parse_columns(["ts_t10_b1", "ts_t9_b1"])
    assert parsed == {"ts": SeriesSpec(2, 1)} and order == [1, 0]


@pytest.mark.parametrize("columns", [["slope", "height"], ["slope", "terrain_f00"], [0, 1]])
def test_other_columns_are_no_sources(columns):
    assert parse_columns(columns) == (None, [])


@pytest.mark.parametrize(
    "columns, message",
    [
        (["ts_t00_b00", "slope"], r"must all be named by source.*got \['slope'\] beside such names"),
        (["ts_t00_b00", "ts_t00_b00"], r"every combination of \(n_dates, n_bands\) once: expected 1 x 1 = 1"),
        (["ts_t0_b0", "ts_t00_b00"], "once"),
        (["ts_t00_b00", "ts_t01_b01"], "expected 2 x 2 = 4 columns, got 2"),
        (["a_t00_b00", "a_f00"], "Columns of source 'a' describe two kinds of sources"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        parse_columns(columns)


@pytest.mark.parametrize("shape", [(), (5,), (5, 1, 2, 3, 4, 5)])
def test_other_ranks_are_no_source(shape):
    with pytest.raises(ValueError, match=r"X\['ts'\] must have 2 to 5 dimensions.*got shape \("):
        infer_spec("ts", shape)


@pytest.mark.parametrize("shape", [(5, 0), (5, 0, 2), (5, 2, 3, 0)])
def test_samples_without_values_are_refused(shape):
    with pytest.raises(ValueError, match=r"X\['ts'\] is a .* needs at least one value along each of"):
        infer_spec("ts", shape)


@pytest.mark.parametrize("shape", ["34", None, (3.0, 2), (0, 2), (-1,)])
def test_layouts_hold_positive_integers(shape):
    with pytest.raises(ValueError, match=r"layout\['ts'\] must be a tuple of positive integers"):
        spec_from_layout("ts", shape)


@pytest.mark.parametrize(
    "name, shape, message",
    [
        ("ts", (9, 3), r"X\['ts'\] must have 3 dimensions.*got shape \(9, 3\).*use X\['ts'\]\[:, :, None\]"),
        (
            "patch",
            (9, 5, 5),
            r"X\['patch'\] must have 4 dimensions .*For one band use X\['patch'\]\[:, None\]",
        ),
        ("ts", (9, 4, 2), r"X\['ts'\] must have n_dates=3, as in fit; got n_dates=4"),
        ("ts", (9, 3, 5), r"X\['ts'\] must have n_bands=2, as in fit; got n_bands=5"),
        ("patch", (9, 1, 5, 7), r"must have width=5, as in fit; got width=7 .*same patch as in fit"),
    ],
)
def test_shapes_other_than_in_fit_are_refused(name, shape, message):
    with pytest.raises(ValueError, match=message):
        check_shape(name, shape, SOURCES[name])


def test_missing_and_unknown_sources_are_named():
    with pytest.raises(ValueError, match=r"X lacks the source 'patch'.*shape \(n_samples, 1, 5, 5\)"):
        check_names(["ts"], SOURCES)
    with pytest.raises(
        ValueError, match=r"X has the source 's1', which fit did not see.*SelectSources\(\['ts"
    ):
        check_names(["ts", "patch", "s1"], SOURCES)


def test_sources_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"same number of samples; got {'ts': 3, 'patch': 4}"):
        check_lengths({"ts": 3, "patch": 4})
