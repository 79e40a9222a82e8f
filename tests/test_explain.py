"""The studies of a model say what the made data were made of."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from m3fusion_sk import (
    GapFiller,
    M3FusionClassifier,
    MultiSource,
    SelectSources,
    StackedFeatures,
    stacked_forest,
)
from m3fusion_sk.explain import (
    attention_by_class,
    compare_heads,
    grouped_importance,
    source_contributions,
)
from m3fusion_sk.importance import exchanged
from m3fusion_sk.patchview import PatchView

SERIES, PATCH = ("early", "late"), ("smooth", "striped")  # told apart by this source alone


def make_samples(n=160, seed=0):
    """Four classes. The series tells "early" and "late" apart (band 1 at date 4), the patch the others."""
    rng = np.random.default_rng(seed)
    y = np.array([*SERIES, *PATCH])[np.arange(n) % 4]
    ts = rng.normal(0, 1, (n, 6, 3))
    ts[y == "early", 4, 1] += 4
    ts[y == "late", 4, 1] -= 4
    patch = rng.normal(0, 1, (n, 2, 7, 7))
    stripes = 3 * np.where(np.arange(7) % 2, 1, -1)
    patch[y == "striped", 0] += stripes
    patch[y == "smooth", 0] += 3
    return MultiSource(ts=ts, patch=patch, noise=rng.normal(size=(n, 4))), y, np.arange(n) // 4


@pytest.fixture(scope="module")
def study():
    X, y, _ = make_samples(480)
    network = M3FusionClassifier(hidden_size=16, n_filters=6, max_epochs=60, random_state=0, augment=False)
    network.fit(X, y)
    X, y, objects = make_samples(seed=1)
    assert network.score(X, y) > 0.95
    return network, X, y, objects


def of(classes, y):
    return np.flatnonzero(np.isin(y, classes))


@pytest.mark.parametrize("classes, source, other", [(SERIES, "ts", "patch"), (PATCH, "patch", "ts")])
@pytest.mark.parametrize("make", ["network", "forest"])
def test_importance_says_which_source_tells_two_classes_apart(study, make, classes, source, other):
    model, X, y, objects = study
    if make == "forest":
        train_X, train_y, _ = make_samples(400)
        model = stacked_forest(60, patch="statistics", random_state=0).fit(train_X, train_y)
    rows = of(classes, y)
    table = grouped_importance(model, X[rows], y[rows], groups=objects[rows], random_state=0)
    assert table.index.tolist() == ["ts", "patch", "noise"]
    assert table.loc[source, "importance"] > 0.35
    assert table.loc[[other, "noise"], "importance"].abs().max() < 0.05
    assert table.attrs["score"] == model.score(X[rows], y[rows])


@pytest.mark.parametrize("by, best", [("date", ("ts", 4)), ("band", ("ts", 1))])
def test_importance_finds_the_date_and_the_band(study, by, best):
    network, X, y, _ = study
    rows = of(SERIES, y)
    table = grouped_importance(network, X[rows], y[rows], by=by, random_state=0)
    assert len(table) == {"date": 6, "band": 3 + 2 + 4}[by]
    assert table["importance"].idxmax() == best
    assert table["importance"].max() > 0.35
    assert table["importance"].drop(index=[best]).abs().max() < 0.1


def test_importance_by_band_of_a_patch_finds_its_band(study):
    network, X, y, _ = study
    rows = of(PATCH, y)
    labels = {"patch": ["red", "infrared"], "ts": list("abc")}
    table = grouped_importance(network, X[rows], y[rows], by="band", labels=labels, random_state=0)
    assert table["importance"].idxmax() == ("patch", "red")
    assert table.index.names == ["source", "band"]


@pytest.mark.parametrize("classes, source, other", [(SERIES, "ts", "patch"), (PATCH, "patch", "ts")])
def test_contributions_say_which_source_decides(study, classes, source, other):
    network, X, y, _ = study
    rows = of(classes, y)  # against the other class of the pair
    result = source_contributions(network, X[rows], n_draws=8, random_state=0)
    shares = result.shares[np.isin(result.predicted, classes)].mean()
    assert shares[source] > 0.7 and shares[source] > 4 * max(shares[other], shares["noise"])
    assert result.by_class().loc[list(classes), source].min() > 0.3


def test_heads_say_what_each_source_knows(study):
    network, X, y, _ = study
    heads = compare_heads(network, X, y)
    assert list(heads.accuracy.index) == ["fusion", "ts", "patch", "noise"]
    assert heads.recall.loc[list(SERIES), "ts"].min() > 0.9
    assert heads.recall.loc[list(PATCH), "patch"].min() > 0.9
    pair = of(PATCH, y)
    guessed = heads.predictions.loc[pair, "ts"].to_numpy() == y[pair]
    assert guessed.mean() < 0.7  # the series cannot tell these two apart
    assert heads.accuracy["fusion"] == network.score(X, y)
    expected = (heads.predictions["ts"] != heads.predictions["patch"]).mean()
    assert heads.disagreement.loc["ts", "patch"] == heads.disagreement.loc["patch", "ts"] == expected
    assert (np.diag(heads.disagreement) == 0).all()


def test_divergence_is_that_of_jensen_and_shannon(study):
    network, X, y, _ = study
    heads = compare_heads(make_pipeline(GapFiller().fit(X), network), X, y)
    p = network.predict_proba_by_source(X)
    pairwise = make_pipeline(SelectSources(["ts", "patch"]).fit(X), network)
    with pytest.raises(ValueError, match="lacks the source 'noise'"):
        compare_heads(pairwise, X, y)
    assert (
        heads.divergence.shape == (160,) and (heads.divergence >= 0).all() and (heads.divergence <= 1).all()
    )
    from m3fusion_sk.explain import divergence

    two = divergence(np.stack([p["ts"], p["patch"]]))
    np.testing.assert_allclose(two, jensenshannon(p["ts"], p["patch"], axis=1, base=2) ** 2, atol=1e-6)
    sure = np.eye(4)[:3, None]
    np.testing.assert_allclose(divergence(sure), 1)
    more_heads_than_classes = np.eye(2)[[0, 1, 0], None]  # as unlike as three heads can be about two
    np.testing.assert_allclose(divergence(more_heads_than_classes), 1)
    assert divergence(np.eye(2)[[0, 0, 0], None]) == 0
    np.testing.assert_allclose(divergence(np.stack([p["ts"], p["ts"]])), 0, atol=1e-12)


def test_attention_by_class_is_the_mean_over_its_samples(study):
    network, X, y, _ = study
    dates = {"ts": [f"2018-0{m}-01" for m in range(1, 7)]}
    table = attention_by_class(make_pipeline(GapFiller().fit(X), network), X, y, dates=dates)["ts"]
    assert table.columns.tolist() == dates["ts"] and table.index.tolist() == sorted(set(y))
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)
    weights = network.attention(X)["ts"]
    np.testing.assert_allclose(table.loc["late"], weights[y == "late"].mean(axis=0), rtol=1e-5)
    predicted = attention_by_class(network, X)["ts"]
    np.testing.assert_allclose(
        predicted.loc["late"], weights[network.predict(X) == "late"].mean(axis=0), rtol=1e-5
    )


# ----- the laws that the studies keep


def test_contributions_and_base_sum_to_the_probability(study):
    network, X, _, _ = study
    result = source_contributions(network, X[:20], background=X[20:60], n_draws=3, random_state=0)
    total = result.base + result.contributions.sum(axis=1)
    np.testing.assert_allclose(total, network.predict_proba(X[:20]).max(axis=1), rtol=1e-6)
    np.testing.assert_allclose(result.shares.sum(axis=1), 1)


def test_contributions_of_a_linear_model_are_its_terms():
    """For additive probabilities a Shapley value is the term itself, less its mean over the draws."""

    class Additive:
        classes_ = np.array([0, 1])

        def predict_proba(self, X):
            p = 0.5 + 0.1 * X["a"][:, 0] + 0.03 * X["b"][:, 0]
            return np.stack([1 - p, p], axis=1)

    rng = np.random.default_rng(0)
    X = MultiSource(a=rng.uniform(0.5, 1, (9, 1)), b=rng.uniform(0.5, 1, (9, 1)))
    one = X[[3]]
    result = source_contributions(Additive(), X, background=one, n_draws=1, random_state=0)
    np.testing.assert_allclose(result.contributions["a"], 0.1 * (X["a"] - one["a"])[:, 0], atol=1e-12)
    np.testing.assert_allclose(result.contributions["b"], 0.03 * (X["b"] - one["b"])[:, 0], atol=1e-12)


def test_contributions_of_nothing_are_shared_equally():
    class Constant:
        classes_ = np.array([0, 1])

        def predict_proba(self, X):
            return np.tile([0.3, 0.7], (len(X), 1))

    X = {"a": np.ones((3, 2)), "b": np.ones((3, 1))}
    assert (source_contributions(Constant(), X).shares == 0.5).all(axis=None)


def test_objects_exchange_with_other_objects_only():
    codes = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 6, 7, 8])
    X = MultiSource(v=np.stack([codes, codes], axis=1).astype(float), w=codes[:, None].astype(float))

    class Watch:
        classes_ = np.array([0, 1])

        def predict(self, X):
            self.seen.append((X["v"][:, 0].copy(), X["w"][:, 0].copy()))
            return np.zeros(len(X))

        def score(self, X, y):
            return float((self.predict(X) == y).mean())

        def fit(self, X, y):
            return self

    model = Watch()
    model.seen = []
    grouped_importance(model, X, np.zeros(36), groups=codes, n_repeats=20, random_state=0)
    for v, w in model.seen[1:21]:
        assert (v != codes).all() and (w == codes).all()
        assert len(set(v[codes == 7])) > 1  # each sample from any other object
    for v, w in model.seen[21:]:
        assert (v == codes).all() and (w != codes).all()


class BySigns:
    """Class 2 where v is negative; else 0 or 1 by the sign of w."""

    classes_ = np.arange(3)

    def fit(self, X, y):
        return self

    def predict(self, X):
        v, w = (np.asarray(X[name])[:, 0] for name in "vw")
        return np.where(v < 0, 2, np.where(w > 0, 0, 1))

    def predict_proba(self, X):
        return np.eye(3)[self.predict(X)]

    def score(self, X, y):
        return float((self.predict(X) == y).mean())


def by_signs():
    """Large objects of the classes 0 and 1, and small ones of class 2."""
    of_object = np.repeat([0, 1, 2], [40, 10, 50])
    y, objects = (np.repeat(each, np.where(of_object == 2, 2, 40)) for each in (of_object, np.arange(100)))
    v, w = np.where(y == 2, -1.0, 1.0), np.where(y == 1, -1.0, 1.0)
    return MultiSource(v=v[:, None], w=w[:, None]), y, objects


def test_importance_of_unbalanced_objects_is_that_of_a_random_sample_of_the_others():
    X, y, objects = by_signs()
    found = grouped_importance(BySigns(), X, y, groups=objects, n_repeats=40, random_state=0)["importance"]
    others = objects[:, None] != objects
    v, w = (np.broadcast_to(X[name][:, 0], others.shape) for name in "vw")  # of donors, in columns
    for name, after in (
        ("v", np.where(v < 0, 2, np.where(w.T > 0, 0, 1))),
        ("w", np.where(v.T < 0, 2, np.where(w > 0, 0, 1))),
    ):
        expected = np.mean(
            [(row[rest] != own).mean() for row, rest, own in zip(after, others, y, strict=True)]
        )
        assert found[name] == pytest.approx(expected, abs=0.003), name
    assert found["w"] > 3 * found["v"]


def test_contributions_by_object_draw_from_other_objects_only():
    X = MultiSource(v=np.repeat([[1.0], [-1.0]], [40, 10], axis=0), w=np.ones((50, 1)))
    objects = np.repeat(["large", "a", "b"], [40, 5, 5])
    leaky = source_contributions(BySigns(), X, random_state=0).by_class()["v"]
    found = source_contributions(BySigns(), X, groups=objects, random_state=0).by_class()["v"]
    assert found[0] == 1 > 2 * leaky[0]  # nothing in other objects looks like the large one
    assert found[2] == pytest.approx(40 / 45, abs=0.05)
    v = np.where(np.arange(50) % 2, np.nan, X["v"].T).T  # where half of the samples lack it, too
    lacking = source_contributions(BySigns(), X.replace(v=v), groups=objects, random_state=0)
    assert (lacking.contributions["v"][:40:2] == 1).all() and (lacking.contributions["v"][1::2] == 0).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"groups": [1] * 20}, "background must be given to explain a single sample or object"),
        ({"groups": [1, 2]}, r"groups must have shape \(20,\)"),
        ({"groups": np.arange(20), "background": by_signs()[0]}, "with a background, .* leave it out"),
    ],
)
def test_objects_of_contributions_are_those_of_several_samples(arguments, message):
    with pytest.raises(ValueError, match=message):
        source_contributions(BySigns(), by_signs()[0][:20], **arguments)


@pytest.mark.parametrize("kind", ["arrays", "a view", "selected rows"])
def test_blocks_are_exchanged_whole_and_lazily(kind):
    rng = np.random.default_rng(0)
    X, rows = (
        MultiSource(ts=rng.normal(size=(9, 4, 2)), patch=rng.normal(size=(9, 3, 5, 5))),
        rng.permutation(9),
    )
    if kind == "a view":
        view = PatchView(rng.normal(size=(3, 20, 20)), np.arange(9), np.arange(9), (5, 5))
        X = X.replace(patch=view)
    if kind == "selected rows":
        X = X[[4, 1, 7, 0, 2, 3, 5, 6, 8]]
    date = exchanged(X, "ts", rows, (slice(None), 2))
    expected = X["ts"].copy()
    expected[:, 2] = X["ts"][rows, 2]
    np.testing.assert_array_equal(date["ts"], expected)
    np.testing.assert_array_equal(date[[3, 8]]["ts"], expected[[3, 8]])
    band = exchanged(X, "patch", rows, (slice(None), 1))
    expected = X.gather("patch").copy()
    expected[:, 1] = X.gather("patch")[rows, 1]
    np.testing.assert_array_equal(band["patch"], expected)
    whole = exchanged(X, "patch", rows)
    np.testing.assert_array_equal(whole.gather("patch"), X.gather("patch")[rows])
    assert list(whole.names) == ["ts", "patch"]


def test_importance_takes_any_scoring_and_several_processes(study):
    network, X, y, objects = study
    arguments = {"scoring": "f1_macro", "n_repeats": 2, "random_state": 0, "groups": objects}
    one = grouped_importance(network, X, y, **arguments)
    pd.testing.assert_frame_equal(one, grouped_importance(network, X, y, n_jobs=2, **arguments))


def test_studies_of_any_estimator_work_behind_steps(study):
    _, X, y, _ = study
    model = make_pipeline(
        SelectSources(["ts", "patch"]), StackedFeatures(), LogisticRegression(max_iter=2000)
    )
    model.fit(X, y)
    assert grouped_importance(model, dict(X.items()), y)["importance"]["noise"] == 0
    assert (source_contributions(model, X[:10], n_draws=2).contributions["noise"] == 0).all()
    with pytest.raises(
        TypeError, match=r"needs a method attention.*got Pipeline with LogisticRegression, which has none"
    ):
        attention_by_class(model, X, y)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"by": "pixel"}, "by must be 'source', 'date' or 'band'"),
        ({"n_repeats": 0}, "n_repeats must be an integer from 1"),
        ({"groups": np.zeros(160)}, "groups must name two objects or more; got 1"),
        ({"groups": np.arange(5)}, r"groups must have shape \(160,\), one object for each sample"),
        ({"groups": ["a", np.nan] * 80}, "groups must name the object of each sample; 80 are missing"),
        (
            {"by": "date", "labels": {"ts": ["a"]}},
            "labels must name each date of sources of X; got 1 for 'ts'",
        ),
        ({"by": "date", "labels": {"s1": ["a"]}}, r"unknown sources \['s1'\]"),
    ],
)
def test_wrong_questions_are_refused(study, arguments, message):
    network, X, y, _ = study
    with pytest.raises(ValueError, match=message):
        grouped_importance(network, X, y, **arguments)


def test_names_of_dates_come_by_source(study):
    network, X, y, _ = study
    with pytest.raises(TypeError, match=r"dates must be a dict by source, such as .*; got a list"):
        attention_by_class(network, X, y, dates=["May", "June"])
    with pytest.raises(TypeError, match=r"labels must be a dict by source, such as .*; got a list"):
        grouped_importance(network, X, y, by="date", labels=["May", "June"])


def test_names_of_dates_go_by_their_order():
    rng, y = np.random.default_rng(0), np.arange(80) % 2
    X = {"ts": rng.normal(size=(80, 3, 2))}
    X["ts"][:, 0] += 9 * y[:, None]  # the first date tells all
    forest = stacked_forest(10, random_state=0).fit(X, y)
    dates = pd.Series(["July", "May", "June"])[[1, 2, 0]]
    table = grouped_importance(forest, X, y, by="date", labels={"ts": dates}, random_state=0)
    assert table["importance"].idxmax() == ("ts", "May")


def test_dates_and_bands_that_are_known_name_the_tables():
    rng, y = np.random.default_rng(0), np.arange(40) % 2
    days = ("2018-05-01", "2018-07-01")
    terrain = pd.DataFrame(rng.normal(size=(40, 2)), columns=["dem", "slope"])
    X = MultiSource(ts=rng.normal(size=(40, 2, 3)), terrain=terrain)
    X = X.with_dates(ts=days).with_bands(ts=["B02", "B03", "B08"])
    model = M3FusionClassifier(hidden_size=4, max_epochs=1, random_state=0).fit(X, y)

    def names(by, **how):
        return grouped_importance(model, X, y, by=by, n_repeats=1, random_state=0, **how).index.tolist()

    assert names("date") == [("ts", day) for day in days]
    bands = [("ts", "B02"), ("ts", "B03"), ("ts", "B08"), ("terrain", "dem"), ("terrain", "slope")]
    assert names("band") == bands
    assert names("date", labels={"ts": ["May", "July"]}) == [("ts", "May"), ("ts", "July")]
    assert tuple(attention_by_class(model, X, y)["ts"].columns) == days
    twice = X.with_dates(ts=days[:1] * 2)  # two images of one day: numbers tell which
    again = M3FusionClassifier(hidden_size=4, max_epochs=1, random_state=0).fit(twice, y)
    assert attention_by_class(again, twice, y)["ts"].columns.tolist() == [0, 1]
    table = grouped_importance(again, twice, y, by="date", n_repeats=1, random_state=0)
    assert table.index.tolist() == [("ts", 0), ("ts", 1)]
    assert attention_by_class(model, X, y, dates={"ts": [5, 7]})["ts"].columns.tolist() == [5, 7]


def test_whatever_a_score_takes_is_passed_on(study):
    network, X, y, _ = study
    expected = grouped_importance(network, X, y, n_repeats=1, random_state=0)
    for given, scoring in ((y[:, None], None), (None, lambda estimator, X, _: estimator.score(X, y))):
        found = grouped_importance(network, X, given, scoring=scoring, n_repeats=1, random_state=0)
        pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("y", [["a", np.nan] * 80, np.ma.masked_equal([0, 1] * 80, 0)], ids=type)
def test_missing_classes_are_no_class(study, y):
    network, X, _, _ = study
    with pytest.raises(ValueError, match="y must have no missing values; got 80 NaN"):
        grouped_importance(network, X, y)


def test_importance_is_of_one_score(study):
    network, X, y, _ = study
    with pytest.raises(TypeError, match=r"scoring must be one score, .*; got \['accuracy', 'f1_macro'\]"):
        grouped_importance(network, X, y, scoring=["accuracy", "f1_macro"])


def test_a_table_has_no_blocks_to_exchange(study):
    network, X, y, _ = study
    with pytest.raises(TypeError, match="X must be a MultiSource, a dict of arrays by source or a table"):
        grouped_importance(network, np.asarray(X), y)
    with pytest.raises(ValueError, match="by='date' needs a source with such"):
        grouped_importance(network, X.select(["noise"]), y, by="date")


def test_tables_that_name_their_sources_are_taken_in_any_order(study):
    network, X, y, groups = study
    table = pd.DataFrame(np.asarray(X), columns=X.column_names)
    shuffled = [np.random.default_rng(0).permutation(X.select([name]).column_names) for name in X.names]
    table = table[np.concatenate(shuffled)]  # sources in their order
    how = {"groups": groups, "n_repeats": 1, "random_state": 0}
    pd.testing.assert_frame_equal(
        grouped_importance(network, table, y, **how), grouped_importance(network, X, y, **how)
    )


def test_wrong_backgrounds_and_too_many_sources_are_refused(study):
    network, X, _, _ = study
    with pytest.raises(ValueError, match="background must have the sources of X"):
        source_contributions(network, X, background=X.select(["ts"]))
    with pytest.raises(ValueError, match="n_draws must be an integer from 1"):
        source_contributions(network, X, n_draws=0)
    many = MultiSource({f"s{i}": np.ones((2, 1)) for i in range(11)})
    with pytest.raises(ValueError, match="at most 10 sources; got 11"):
        source_contributions(network, many)


@pytest.mark.parametrize("dates", [{"ts": ["2018-05-01"]}, {"s2": list("abcdef")}])
def test_wrong_names_of_dates_are_refused(study, dates):
    network, X, y, _ = study
    with pytest.raises(ValueError, match="dates must name the 6 dates of 'ts', and series among"):
        attention_by_class(network, X, y, dates=dates)


def test_a_single_source_has_no_heads_to_compare():
    X, y = {"ts": np.random.default_rng(0).normal(size=(20, 3, 2))}, np.arange(20) % 2
    network = M3FusionClassifier(hidden_size=4, max_epochs=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="compare_heads needs two sources or more"):
        compare_heads(network, X, y)
    vector = M3FusionClassifier(max_epochs=1, random_state=0).fit(np.ones((20, 2)), y)
    with pytest.raises(ValueError, match="attention_by_class needs a series"):
        attention_by_class(vector, np.ones((20, 2)), y)


def test_attention_leaves_out_samples_without_the_series():
    X, y, *_ = make_samples(80)
    ts = np.asarray(X["ts"]).copy()
    ts[::3] = np.nan
    gappy = MultiSource(ts=ts, patch=np.asarray(X["patch"]))
    settings = {"hidden_size": 4, "n_filters": 2, "max_epochs": 2, "missing_sources": "drop"}
    network = M3FusionClassifier(**settings, random_state=0).fit(gappy, y)
    table = attention_by_class(network, gappy, y)["ts"]
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)
    whole = np.arange(80) % 3 > 0
    pd.testing.assert_frame_equal(table, attention_by_class(network, gappy[whole], y[whole])["ts"])


@pytest.mark.parametrize("ask", [attention_by_class, compare_heads])
def test_labels_of_another_type_than_the_classes_are_refused(study, ask):
    network, X, y, _ = study
    with pytest.raises(ValueError, match="y and classes must hold labels of one type"):
        ask(network, X, np.arange(len(y)))


def test_contributions_never_draw_the_sample_itself():
    class First:
        classes_ = np.array([0, 1])

        def predict_proba(self, X):
            hit = (np.asarray(X["a"])[:, 0] == 7).astype(float)
            return np.stack([1 - hit, hit], axis=1)

    X = {"a": np.array([[7.0], [0.0]]), "b": np.zeros((2, 1))}
    found = source_contributions(First(), X, random_state=0)
    assert found.contributions["a"].tolist() == [1, 1] and found.base.tolist() == [0, 0]
    with pytest.raises(ValueError, match="background must be given"):
        source_contributions(First(), {name: values[:1] for name, values in X.items()})


def test_one_exchange_has_no_deviation():
    y = np.arange(40) % 2
    forest = stacked_forest(5, random_state=0).fit({"v": y[:, None] * 1.0, "w": y[:, None] * 1.0}, y)
    table = grouped_importance(forest, {"v": y[:, None] * 1.0, "w": y[:, None] * 1.0}, y, n_repeats=1)
    assert table["std"].isna().all()
