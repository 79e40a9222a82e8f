import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array
from sklearn.utils import _safe_indexing, gen_batches, shuffle

from m3fusion_sk import M3FusionClassifier, MultiSource, stacked_forest
from m3fusion_sk.patchview import PatchView
from m3fusion_sk.rows import SelectedRows
from m3fusion_sk.sources import SeriesSpec, VectorSpec

INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


def make(n, wrap=lambda values: values):
    ts = np.arange(n * 6, dtype="f4").reshape(n, 3, 2)
    patch = np.arange(n * 8, dtype="u2").reshape(n, 2, 2, 2)
    return MultiSource(ts=wrap(ts), patch=wrap(patch), terrain=wrap(np.arange(n * 2.0).reshape(n, 2)))


@pytest.fixture
def X():
    return make(10)


@st.composite
def row_index(draw, n):
    """Any one-dimensional index of rows that numpy takes."""
    rows = draw(st.lists(st.integers(-n, n - 1), max_size=8)) if n else []
    mask = draw(hnp.arrays(bool, n))
    dtype = draw(st.sampled_from(INTEGERS))
    array = np.abs(np.array(rows, dtype="i8")) % max(n, 1) if dtype[0] == "u" else np.array(rows)
    start = draw(st.integers(0, n))
    options = [
        rows,
        array.astype(dtype),
        mask,
        mask.tolist(),
        range(start, n),
        range(n - 1, -1, -2),
        Ellipsis,
    ]
    if not n:
        options.remove([])  # taken for an empty mask and for empty positions alike
    return draw(st.one_of(st.slices(n), st.sampled_from(options)))


@settings(deadline=None)
@given(st.data(), st.integers(0, 8))
def test_rows_are_those_of_numpy_also_when_selected_twice(data, n):
    X = make(n)
    first = data.draw(row_index(n))
    once = X[first]
    second = data.draw(row_index(len(once)))
    twice = once[second, ...]
    for name in X.names:
        np.testing.assert_array_equal(once[name], X[name][first])
        np.testing.assert_array_equal(twice[name], X[name][first][second])
        assert twice[name].dtype == X[name].dtype
    np.testing.assert_array_equal(np.asarray(twice), np.asarray(X)[first][second])
    assert twice.shape == (len(X["ts"][first][second]), 16)


@settings(deadline=None)
@given(st.data())
def test_gathering_rows_equals_indexing(data):
    X = make(8)
    for container in (X, X[::-1], X[[1, 5, 5, 2]]):
        index = data.draw(row_index(len(container)).filter(lambda i: i is not Ellipsis))
        index = np.asarray(index, dtype=None if len(index) else int) if isinstance(index, list) else index
        np.testing.assert_array_equal(container.gather("ts", index), container["ts"][index])


def test_flattening_joins_the_sources_in_declaration_order(X):
    flat = np.concatenate([X[name].reshape(10, -1) for name in ("ts", "patch", "terrain")], axis=1)
    np.testing.assert_array_equal(np.asarray(X), flat)
    assert X.shape == flat.shape and X.dtype == flat.dtype == np.float64 and X.ndim == 2
    assert np.asarray(X, dtype="f4").dtype == np.float32
    with pytest.raises(ValueError, match="cannot become one array without a copy"):
        X.__array__(copy=False)


def test_a_table_is_cut_back_into_the_same_sources(X):
    back = MultiSource.from_flat(np.asarray(X), X.specs)
    for name in X.names:
        np.testing.assert_array_equal(back[name], X[name])
    assert back.specs == X.specs and len(back.column_names) == X.shape[1]
    with pytest.raises(ValueError, match=r"X must have 16 columns to be cut into .*; got shape \(10, 15\)"):
        MultiSource.from_flat(np.asarray(X)[:, :15], X.specs)
    shapes = {name: spec.shape for name, spec in X.specs.items()}
    assert MultiSource.from_flat(np.asarray(X), shapes).specs == X.specs


def test_named_columns_are_cut_by_their_names(X):
    table = pd.DataFrame(np.asarray(X), columns=X.column_names)
    shuffled = table[np.random.default_rng(0).permutation(table.columns)]
    for order in (X.specs, dict(reversed(X.specs.items()))):
        back = MultiSource.from_flat(shuffled, order)
        assert list(back.names) == list(order)
        for name in X.names:
            np.testing.assert_array_equal(back[name], X[name])
    with pytest.raises(ValueError, match=r"Columns must name .* or pass table.to_numpy"):
        MultiSource.from_flat(shuffled, {"other": X.specs["ts"]})
    plain = pd.DataFrame(np.asarray(X))
    assert np.array_equal(np.asarray(MultiSource.from_flat(plain, X.specs)), np.asarray(X))


def test_columns_come_from_the_flattened_table(X):
    flat = np.asarray(X)
    for columns in (slice(2, 5), [0, 7], 3, np.arange(16) > 12):
        np.testing.assert_array_equal(X[:, columns], flat[:, columns])
        np.testing.assert_array_equal(X[2:4, columns], flat[2:4, columns])
    assert X[3, 5] == flat[3, 5]
    assert isinstance(X[:, :], MultiSource) and isinstance(X[..., :], MultiSource)


def test_one_sample_is_a_dict_of_its_sources(X):
    for i in (3, -1, np.int64(4)):
        sample = X[::2][i] if i == 4 else X[i]
        assert list(sample) == ["ts", "patch", "terrain"]
        np.testing.assert_array_equal(sample["ts"], X["ts"][8 if i == 4 else i])
    with pytest.raises(IndexError):
        X[10]


def test_scikit_learn_selects_rows(X):
    for rows in ([1, 3], np.arange(10) > 5, slice(2, 4)):
        np.testing.assert_array_equal(_safe_indexing(X, rows)["patch"], X["patch"][rows])
    assert sum(len(X[batch]) for batch in gen_batches(10, 3)) == 10
    mixed, order = shuffle(X, np.arange(10), random_state=0)
    np.testing.assert_array_equal(mixed["ts"], X["ts"][order])


def test_it_behaves_like_a_container_of_names_but_is_not_iterated(X):
    assert "ts" in X and "s1" not in X and list(X.keys()) == list(X.names) == list(X.arrays())
    assert [name for name, _ in X.items()] == list(X.names)
    assert dict(MultiSource(X).items()).keys() == X.specs.keys()
    with pytest.raises(TypeError):
        iter(X)


def test_selecting_rows_and_sources_copies_nothing(X):
    view = X[2:8].select(["patch", "ts"])
    assert view.names == ("patch", "ts") and len(view) == 6
    assert view.values_of("ts") is X.values_of("ts")
    assert np.shares_memory(view["ts"], X["ts"])
    assert not np.shares_memory(X[2:8].materialize()["ts"], X["ts"])


def test_replacing_keeps_the_other_sources_lazy(X):
    replaced = X[::-2].replace(ts=np.ones((5, 4, 1)), s1=np.zeros((5, 2, 2)))
    assert replaced.names == ("ts", "patch", "terrain", "s1")
    assert isinstance(replaced.values_of("patch"), SelectedRows)
    np.testing.assert_array_equal(replaced["patch"], X["patch"][::-2])
    again = replaced[[1, 0]].replace(ts=np.ones((2, 1, 1)))
    assert again.values_of("patch").values is X.values_of("patch")
    np.testing.assert_array_equal(np.asarray(again.select(["patch"])), np.asarray(X)[[7, 9], 6:14])
    assert X.replace(ts=X["ts"]).values_of("patch") is X.values_of("patch")


def test_concatenating_joins_samples_in_order(X):
    joined = MultiSource.concatenate([X[6:], dict(X[:6].items())])
    np.testing.assert_array_equal(np.asarray(joined), np.asarray(X)[np.r_[6:10, 0:6]])
    with pytest.raises(ValueError, match=r"same sources in every part: part 0 has .*, part 1 has"):
        MultiSource.concatenate([X, X.select(["ts"])])
    with pytest.raises(ValueError, match="needs at least one container; got none"):
        MultiSource.concatenate([])


def test_integers_views_and_booleans_keep_their_type():
    view = PatchView(np.zeros((1, 4, 4), "u1"), [0, 1], [0, 1], (3, 3))
    X = MultiSource(view=view, flag=np.array([[True], [False]]), tensor=torch.ones(2, 3))
    assert X.values_of("view") is view
    assert {name: X[name].dtype.str for name in X.names} == {"view": "|u1", "flag": "|b1", "tensor": "<f4"}


def test_lists_and_data_frames_are_taken_as_arrays():
    X = MultiSource({"v": [[1, 2], [3, 4]]}, w=pd.DataFrame({"a": [1.5, 2.5]}))
    assert X.specs == {"v": VectorSpec(2), "w": VectorSpec(1)}
    assert repr(X) == "MultiSource(2 samples, v: vector (2,) int64, w: vector (1,) float64)"


def test_a_memmap_stays_on_disk_until_rows_are_asked_for(tmp_path):
    values = np.random.default_rng(0).random((50, 3, 2))
    np.save(tmp_path / "ts.npy", values)
    X = MultiSource(ts=np.load(tmp_path / "ts.npy", mmap_mode="r"))
    assert isinstance(X[[3, 1]].values_of("ts"), np.memmap)
    assert type(X[[3, 1]]["ts"]) is np.ndarray
    np.testing.assert_array_equal(X[::-7]["ts"], values[::-7])


def test_a_selected_view_survives_pickling(X, tmp_path):
    view = X[[7, 2]].replace(ts=np.zeros((2, 1, 1)))
    copy = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(np.asarray(copy), np.asarray(view))
    assert len(pickle.dumps(X[:1].materialize())) < len(pickle.dumps(X[:1]))


def test_zarr_arrays_are_read_by_rows(X, tmp_path):
    zarr = pytest.importorskip("zarr")
    lazy = make(10, lambda values: zarr.array(values, chunks=(4, *values.shape[1:])))
    for rows in ([7, 2, 2], slice(None, None, -3), np.arange(10) > 6, slice(2, 5)):
        np.testing.assert_array_equal(np.asarray(lazy[rows]), np.asarray(X[rows]))


@pytest.mark.parametrize("rows", [[10], [-11], np.arange(10, 12), np.ones(9, bool)])
def test_rows_that_do_not_exist_are_refused(X, rows):
    with pytest.raises(IndexError):
        X[rows]
    with pytest.raises(
        IndexError, match=r"Rows must lie between -10 and 9|mask of rows must have shape \(10,\)"
    ):
        X.gather("ts", rows)


@pytest.mark.parametrize("key", [np.zeros((2, 2), int), None, np.array(3)])
def test_an_index_of_rows_has_one_dimension(X, key):
    with pytest.raises(IndexError, match="one-dimensional index of rows, or the name of a source"):
        X[key]
    with pytest.raises(IndexError, match="two dimensions; got an index of 3"):
        X[0, 1, 2]


def test_unknown_sources_are_refused(X):
    for ask in (X.__getitem__, X.gather, X.values_of, lambda name: X.select([name])):
        with pytest.raises(
            KeyError, match=r"MultiSource has no source 's1'; it has \['ts', 'patch', 'terrain'\]"
        ):
            ask("s1")


@pytest.mark.parametrize(
    "values, error, message",
    [
        (np.ma.masked_array(np.ones((3, 2))), ValueError, "got a masked array, whose mask would be lost"),
        (csr_array(np.eye(3)), TypeError, r"must be dense; got the sparse type csr_array. Use .toarray\(\)"),
        (
            np.array([["a", "b"]], dtype=object),
            ValueError,
            r"real numbers; got dtype object.*dtype='float32'",
        ),
        (np.ones((3, 2), complex), ValueError, "real numbers; got dtype complex128"),
        ([["a", "b"]], ValueError, "real numbers; got dtype <U1"),
        ([[1, 2], [3]], ValueError, "samples of one shape"),
        (np.ones(3), ValueError, r"must have 2 to 5 dimensions.*got shape \(3,\)"),
        (7, ValueError, r"must have 2 to 5 dimensions.*got shape \(\)"),
        (np.ones((3, 0)), ValueError, "needs at least one value"),
    ],
)
def test_values_that_are_no_source_are_refused_by_name(values, error, message):
    with pytest.raises(error, match=r"X\['bad'\] .*" + message):
        MultiSource(bad=values)


def test_named_dimensions_in_another_order_are_refused():
    xarray = pytest.importorskip("xarray")
    values = np.zeros((4, 3, 2))
    assert MultiSource(ts=xarray.DataArray(values, dims=("sample", "time", "band"))).specs["ts"].n_dates == 3
    assert MultiSource(ts=xarray.DataArray(values, dims=("x", "n", "m"))).specs["ts"].n_dates == 3
    for dims in (("sample", "band", "time"), ("pixel", "x", "y")):
        with pytest.raises(ValueError, match=r"order samples, dates, bands, rows, columns; got .*transpose"):
            MultiSource(ts=xarray.DataArray(values, dims=dims))


def test_tensors_are_taken_by_their_values():
    values = torch.arange(6.0).reshape(3, 2)
    for kind in (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int16):
        np.testing.assert_array_equal(MultiSource(v=values.to(kind))["v"], values.numpy())


def test_containers_need_named_sources_of_one_length():
    with pytest.raises(ValueError, match=r"same number of samples; got {'a': 2, 'b': 3}"):
        MultiSource(a=np.ones((2, 1)), b=np.ones((3, 1)))
    with pytest.raises(
        TypeError, match=r"needs a mapping of names to arrays; got ndarray.*MultiSource\(ts=ts"
    ):
        MultiSource(np.ones((2, 3)))
    with pytest.raises(ValueError, match="needs at least one source"):
        MultiSource()
    for name in (1, ""):
        with pytest.raises(TypeError, match="Names of sources must be non-empty strings"):
            MultiSource({name: np.ones((2, 1))})


def test_no_samples_are_a_container_too():
    X = make(0)
    assert np.asarray(X).shape == (0, 16) and len(X.materialize()) == 0
    assert X.specs["ts"] == SeriesSpec(3, 2)


def test_columns_read_only_the_sources_that_hold_them(X):
    class Unread:
        shape, dtype = (len(X), 3), np.dtype("f4")

        def __getitem__(self, key):
            raise AssertionError("was read")

    guarded = MultiSource(first=X["ts"], unread=Unread())
    flat = np.asarray(X["ts"]).reshape(len(X), -1)
    np.testing.assert_array_equal(guarded[:, :2], flat[:, :2])
    assert guarded[1, 0] == flat[1, 0]
    np.testing.assert_array_equal(guarded[:, 1], flat[:, 1])


def test_a_container_of_no_samples_can_be_wrapped_again(X):
    again = MultiSource(X[:0], v=np.zeros((0, 2)))
    assert again.names == (*X.names, "v")


def test_several_names_are_selected_not_indexed(X):
    with pytest.raises(IndexError, match=r"for several: X\.select"):
        X[list(X.names)]
    for names in ([], X.names[0], [X.names[0]] * 2):
        with pytest.raises(ValueError, match="select needs a list of names, each once"):
            X.select(names)


def test_columns_of_tables_within_a_container_keep_their_order(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(30, 2)), columns=["slope", "alt"])
    y = np.arange(30) % 2
    clf = M3FusionClassifier(max_epochs=1, random_state=0).fit({"v": table}, y)
    assert clf.sources_["v"].names == ("slope", "alt") and clf.sources_["v"] == VectorSpec(2)
    expected = clf.predict_proba({"v": table.to_numpy()})
    np.testing.assert_array_equal(clf.predict_proba(MultiSource(v=table)[:]), expected)
    with pytest.raises(ValueError, match=r"must have the columns \['slope', 'alt'\]"):
        clf.predict({"v": table[["alt", "slope"]]})
    clf.save(tmp_path / "model.m3f")
    np.testing.assert_array_equal(
        M3FusionClassifier.load(tmp_path / "model.m3f").predict_proba({"v": table}), expected
    )


def test_columns_of_tables_keep_their_names():
    table = pd.DataFrame({"elevation": [1.0, 2], "slope": [3.0, 4]})
    X = MultiSource(terrain=table, ts=np.zeros((2, 3, 1)))
    names = ("elevation", "slope")
    joined = MultiSource.concatenate([X, X[:1]])
    for some in (X.materialize(), X.replace(ts=np.ones((2, 4, 1))), joined, X[[0]], X.select(["terrain"])):
        assert some.specs["terrain"].names == names
    assert X.replace(terrain=np.ones((2, 2))).specs["terrain"].names is None
    with pytest.raises(ValueError, match=r"columns \['elevation', 'slope'\] of the parts.* got \['slope"):
        MultiSource.concatenate([X, X.replace(terrain=table[["slope", "elevation"]])])


DATES = ("2018-03-01", "2018-06-01", "2018-09-01")


def test_dates_of_a_series_stay_with_its_samples():
    X = MultiSource(ts=np.zeros((4, 3, 2)), images=np.zeros((4, 3, 1, 5, 5)), v=np.zeros((4, 1)))
    known = X.with_dates(ts=["20180301", "2018-06-01", np.datetime64("2018-09-01")])
    assert X.specs["ts"].dates is None and known.specs == X.specs
    other = known.replace(v=np.ones((4, 2)))
    parts = known[1:], known[[0, 2]], known.materialize(), known.select(["ts"]), other, pickle_back(known)
    for part in (*parts, MultiSource.concatenate([known, X]), known.replace(ts=np.ones((4, 3, 5)))):
        assert part.specs["ts"].dates == DATES
    assert known.replace(ts=np.ones((4, 2, 2))).specs["ts"].dates is None  # as many dates no longer
    assert (
        MultiSource(known).specs["ts"].dates == MultiSource.concatenate([X, known]).specs["ts"].dates == DATES
    )
    assert MultiSource({"self": np.zeros((4, 3, 2))}).with_dates(self=DATES).specs["self"].dates == DATES
    assert known.with_dates(images=DATES).specs["images"].dates == DATES
    assert known.with_dates(ts=[0, 5, 9]).specs["ts"].dates is None  # days whose year is not known


def pickle_back(X):
    return pickle.loads(pickle.dumps(X))


@pytest.mark.parametrize(
    ("dates", "error", "words"),
    [
        ({"s2": DATES}, KeyError, "no source 's2'; it has"),
        ({"v": DATES}, ValueError, r"dates must be of a series; X\['v'\] is a vector"),
        ({"ts": DATES[:2]}, ValueError, r"dates of X\['ts'\] must have one date for each of the 3"),
        ({"ts": DATES[::-1]}, ValueError, r"dates of X\['ts'\] must be in ascending order"),
    ],
)
def test_dates_must_be_those_of_a_series(dates, error, words):
    with pytest.raises(error, match=words):
        MultiSource(ts=np.zeros((4, 3, 2)), v=np.zeros((4, 1))).with_dates(**dates)


def test_samples_of_other_seasons_are_told_where_they_are_joined_and_predicted():
    rng, y = np.random.default_rng(0), np.arange(24) % 2
    X = MultiSource(ts=rng.normal(size=(24, 3, 2)))
    spring, later, autumn = (
        X.with_dates(ts=[f"{year}-{month}-10", f"{year}-{month}-20", "2025-06-01"])
        for year, month in ((2018, "03"), (2020, "02"), (2018, "05"))
    )
    words = r"X\['ts'\] must have its dates at the times of the year of {}; date 0 \(from 0\) is 2018-05-10,"
    with pytest.warns(UserWarning, match=words.format("the parts before") + " that of the parts before 2018"):
        MultiSource.concatenate([X, spring, autumn])
    MultiSource.concatenate([spring, later])  # some weeks apart, in another year
    network = M3FusionClassifier(max_epochs=1, random_state=0).fit(spring, y)
    forest = stacked_forest(n_estimators=2, random_state=0).fit(spring, y)
    for model in (network, forest):
        expected = model.predict_proba(X)  # whose dates nobody knows
        np.testing.assert_array_equal(model.predict_proba(later), expected)
        with pytest.warns(UserWarning, match=words.format("fit") + " that of fit 2018-03-10"):
            np.testing.assert_array_equal(model.predict_proba(autumn), expected)
