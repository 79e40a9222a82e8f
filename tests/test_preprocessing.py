import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline

from m3fusion_sk import MultiSource
from m3fusion_sk.preprocessing import GapFiller, SelectSources, StackedFeatures

LAYOUT = {"ts": (4, 2), "patch": (2, 3, 5), "terrain": 3}


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


# ----- StackedFeatures


def test_stacks_the_flattened_values_of_all_sources(X):
    table = StackedFeatures().fit_transform(X)
    np.testing.assert_array_equal(table, np.asarray(X, dtype="f4"))
    assert table.dtype == np.float32


def test_centre_is_the_pixel_at_half_the_size(X):
    stack = StackedFeatures(patch="centre").fit(X)
    table = pd.DataFrame(stack.transform(X), columns=stack.get_feature_names_out())
    np.testing.assert_array_equal(table["patch_b01_centre"], X["patch"][:, 1, 1, 2])
    assert table.shape == (20, 8 + 2 + 3)


def test_statistics_of_patches_equal_those_of_numpy(X):
    stack = StackedFeatures(patch="statistics").set_output(transform="pandas").fit(X)
    table, flat = stack.transform(X), X["patch"].reshape(20, 2, 15)
    for band in range(2):
        values = flat[:, band]
        expected = {"mean": values.mean(1), "std": values.std(1), "centre": values[:, 7]}
        expected |= {f"p{q}": np.percentile(values, q, axis=1) for q in (10, 50, 90)}
        for part, column in expected.items():
            np.testing.assert_allclose(table[f"patch_b{band:02}_{part}"], column, rtol=1e-6)


def test_statistics_of_a_single_pixel_are_that_pixel():
    table = StackedFeatures(patch="statistics").fit_transform({"p": np.full((2, 1, 1, 1), 7.0)})
    assert table.tolist() == [[7, 7, 0, 7, 7, 7]] * 2


@pytest.mark.parametrize(
    "dtypes, expected",
    [(("f8", "u1"), "f8"), (("f4", "i8"), "f4"), (("f2", "?"), "f4"), (("u2", "u2"), "f4")],
)
def test_the_table_is_float64_only_if_a_source_is(dtypes, expected):
    sources = {name: np.ones((3, 2), dtype) for name, dtype in zip("ab", dtypes, strict=True)}
    assert StackedFeatures().fit_transform(sources).dtype == expected


@pytest.mark.parametrize("patch", ["flatten", "statistics", "centre"])
def test_many_small_batches_give_the_same_table_as_one(X, patch, monkeypatch):
    whole = StackedFeatures(patch=patch).fit_transform(X)
    monkeypatch.setattr("m3fusion_sk.rows.row_blocks.__defaults__", (100,))
    np.testing.assert_array_equal(StackedFeatures(patch=patch).fit_transform(X), whole)


def test_every_form_of_the_same_samples_gives_the_same_table(X):
    stack = StackedFeatures().fit(X)
    expected = stack.transform(X)
    flat = np.asarray(X)
    frame = pd.DataFrame(flat, columns=X.column_names)
    backwards = {name: X[name] for name in reversed(X.names)}
    for other in (dict(X.items()), backwards, X.materialize(), flat, frame, frame.iloc[:, ::-1]):
        np.testing.assert_array_equal(stack.transform(other), expected)
    np.testing.assert_array_equal(StackedFeatures(layout=LAYOUT).fit_transform(flat), expected)
    np.testing.assert_array_equal(StackedFeatures().fit_transform(frame), expected)


def test_names_of_a_plain_table_are_kept():
    frame = pd.DataFrame({"slope": [1.0, 2.0], "height": [3.0, 4.0]})
    for step in (StackedFeatures(), SelectSources(), GapFiller()):
        step.set_output(transform="pandas")
        pd.testing.assert_frame_equal(step.fit_transform(frame), frame)
        with pytest.raises(ValueError, match="input_features is not equal to feature_names_in_"):
            step.get_feature_names_out(["a", "b"])
        with pytest.raises(ValueError, match="input_features should have length equal"):
            step.get_feature_names_out(["slope"])


def test_an_unnamed_table_takes_the_names_it_is_told():
    step = StackedFeatures().fit(np.ones((3, 2)))
    assert step.get_feature_names_out().tolist() == ["X_f00", "X_f01"]
    assert step.get_feature_names_out(["u", "v"]).tolist() == ["u", "v"]


def test_an_unknown_reduction_of_patches_is_refused(X):
    with pytest.raises(ValueError, match="patch must be 'flatten', 'statistics' or 'centre'; got 'mean'"):
        StackedFeatures(patch="mean").fit(X)


def test_stacking_refuses_gaps_and_names_the_remedy(X):
    ts = X["ts"].copy()
    ts[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"X\['ts'\] contains NaN.*1 of 20 samples.*GapFiller"):
        StackedFeatures().fit(X.replace(ts=ts))


# ----- SelectSources


def test_selecting_keeps_the_named_sources_in_their_order(X):
    kept = SelectSources(["terrain", "ts"]).fit_transform(X)
    assert kept.names == ("terrain", "ts")
    assert kept.values_of("ts") is X.values_of("ts")


def test_selecting_works_for_every_form_of_x(X):
    frame = pd.DataFrame(np.asarray(X), columns=X.column_names)
    for form, layout in ((dict(X.items()), None), (frame, None), (frame.to_numpy(), LAYOUT)):
        kept = SelectSources(["ts"], layout=layout).fit_transform(form)
        assert kept.names == ("ts",)
        np.testing.assert_array_equal(kept["ts"], X["ts"])


def test_dropped_sources_may_be_absent_or_changed_after_fit(X):
    step = SelectSources(["ts"]).fit(X)
    assert step.transform({"ts": X["ts"]}).names == ("ts",)
    other = {"ts": X["ts"], "patch": np.ones((20, 1, 9, 9)), "new": np.full((20, 1), np.inf)}
    np.testing.assert_array_equal(step.transform(other)["ts"], X["ts"])
    with pytest.raises(ValueError, match="X lacks the source 'ts'"):
        step.transform({"patch": X["patch"]})
    with pytest.raises(ValueError, match=r"X\['ts'\] must have n_dates=4, as in fit"):
        step.transform({"ts": X["ts"][:, :3]})


def test_a_table_is_cut_as_fit_saw_even_if_sources_are_dropped(X):
    step = SelectSources(["patch"]).fit(X)
    np.testing.assert_array_equal(step.transform(np.asarray(X))["patch"], X["patch"])


def test_set_output_turns_the_kept_sources_into_a_named_table(X):
    frame = SelectSources(["terrain"]).set_output(transform="pandas").fit_transform(X)
    assert frame.columns.tolist() == ["terrain_f00", "terrain_f01", "terrain_f02"]
    np.testing.assert_array_equal(frame, X["terrain"])
    with config_context(transform_output="pandas"):
        assert SelectSources(["ts"]).fit_transform(X).columns[-1] == "ts_t03_b01"


@pytest.mark.parametrize(
    "names, error, message",
    [
        (["s1"], ValueError, r"names must name sources of X, each once; got \['s1'\], X has \['ts', 'patch'"),
        (["ts", "ts"], ValueError, "each once"),
        ("ts", TypeError, r"names must be a list of names of sources, as names=\['ts'\]; got 'ts'"),
        ([], TypeError, "names must be a list"),
        ([1], TypeError, "names must be a list"),
        (3, TypeError, "names must be a list"),
    ],
)
def test_wrong_names_are_refused(X, names, error, message):
    with pytest.raises(error, match=message):
        SelectSources(names).fit(X)


def test_selection_in_a_pipeline_is_cross_validated(X, y):
    forest = RandomForestClassifier(5, random_state=0)
    alone = cross_validate(make_pipeline(StackedFeatures(), forest), X.select(["ts"]), y, cv=2)
    chosen = make_pipeline(SelectSources(["ts"]), StackedFeatures(), forest)
    np.testing.assert_array_equal(cross_validate(chosen, X, y, cv=2)["test_score"], alone["test_score"])


def test_a_plain_classifier_takes_the_flattened_selection(X, y):
    model = make_pipeline(SelectSources(["terrain"]), LogisticRegression()).fit(X, y)
    assert model[-1].n_features_in_ == 3
    assert model.predict(np.asarray(X)).tolist() == model.predict(X).tolist()


def test_column_transformer_takes_slices_of_the_container(X):
    columns = ColumnTransformer([("ts", StackedFeatures(layout={"ts": (4, 2)}), slice(0, 8))])
    np.testing.assert_array_equal(columns.fit_transform(X), X["ts"].reshape(20, 8))
