"""The linear discriminant that votes beside the fusion head."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

from m3fusion_sk import M3FusionClassifier, MultiSource
from m3fusion_sk.network.discriminant import EVIDENCE, SHRINKAGE, LinearDiscriminant
from m3fusion_sk.network.moments import class_moments
from m3fusion_sk.network.vote import LinearVote

SMALL = {"hidden_size": 8, "n_filters": 4, "batch_size": 16, "max_epochs": 2, "random_state": 0}


def make_samples(n=90, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    ts = rng.normal(3000, 200, (n, 5, 2)) + 300 * (codes == 0)[:, None, None]
    patch = rng.normal(500, 90, (n, 2, 6, 6)) + 60 * (codes == 2)[:, None, None, None]
    return MultiSource(ts=ts, patch=patch), np.array(["crops", "forest", "water"])[codes]


def flat(X):
    """The values of small sources side by side: patches of 6x6 pixels are not averaged."""
    return np.concatenate([X[name].reshape(len(X), -1) for name in X.names], axis=1)


def of_scikit_learn(values, y):
    """Log-probabilities for other values, by scikit-learn's own discriminant."""
    scaler = StandardScaler().fit(values)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(scaler.transform(values), y)
    return lambda new: np.log(softmax(EVIDENCE * oracle.decision_function(scaler.transform(new))))


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def indicators(y, weights=None):
    classes = np.unique(y)
    return (y[:, None] == classes) * (np.ones(len(y)) if weights is None else weights)[:, None]


def fitted_discriminant(values, weights):
    discriminant = LinearDiscriminant(values.shape[1], weights.shape[1]).double()
    return discriminant.fit(class_moments([(values, weights)]), weights.sum(axis=0) / weights.sum())


@pytest.mark.parametrize(("n", "n_values"), [(200, 6), (30, 50)])
def test_it_is_that_of_scikit_learn(n, n_values):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, n)
    values = rng.normal(50, 3, (n, n_values)) @ rng.normal(size=(n_values, n_values)) + y[:, None]
    new = values[:20] + rng.normal(size=(20, n_values))
    got = fitted_discriminant(values, indicators(y))(torch.from_numpy(new))
    np.testing.assert_allclose(got.numpy(), of_scikit_learn(values, y)(new), rtol=1e-6, atol=1e-8)


def test_a_model_is_the_mean_of_both_by_its_share():
    X, y = make_samples()
    new, _ = make_samples(seed=1)
    alone = M3FusionClassifier(**SMALL, dtype="float64", linear_vote=0).fit(X, y).predict_proba(new)
    linear = np.exp(of_scikit_learn(flat(X), y)(flat(new)))
    for share in (0.3, 0.7):
        both = M3FusionClassifier(**SMALL, dtype="float64", linear_vote=share).fit(X, y).predict_proba(new)
        np.testing.assert_allclose(both, (1 - share) * alone + share * linear, rtol=1e-6, atol=1e-9)


def test_it_does_not_change_what_the_network_learns_nor_its_features_and_heads():
    X, y = make_samples()
    with_it, without = (M3FusionClassifier(**SMALL, linear_vote=share).fit(X, y) for share in (0.4, 0))
    np.testing.assert_array_equal(with_it.transform(X), without.transform(X))
    for name, proba in with_it.predict_proba_by_source(X).items():
        np.testing.assert_array_equal(proba, without.predict_proba_by_source(X)[name])
    assert [row["train_loss"] for row in with_it.history_] == [row["train_loss"] for row in without.history_]


def test_the_only_source_of_a_model_has_its_probabilities():
    X, y = make_samples()
    X = X.select(["ts"])
    clf = M3FusionClassifier(**SMALL, linear_vote=0.4).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba_by_source(X)["ts"], clf.predict_proba(X))


@settings(deadline=None)
@given(st.data())
def test_weights_are_repetitions_and_blocks_do_not_matter(data):
    n = data.draw(st.integers(2, 12))
    seed = data.draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    values, y = rng.normal(3000, 2, (n, 3)), np.arange(n) % 2
    weights = np.array(data.draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)))
    cut = data.draw(st.integers(0, n))
    by_class = indicators(y, weights)
    joined = class_moments([(values[:cut], by_class[:cut]), (values[cut:], by_class[cut:])])
    repeated = np.repeat(values, weights, axis=0)
    labels = np.repeat(y, weights)
    np.testing.assert_allclose(joined.share, np.bincount(labels) / len(labels))
    means = np.array([repeated[labels == code].mean(axis=0) for code in (0, 1)])
    np.testing.assert_allclose(joined.means, means)
    expected = np.cov((repeated - means[labels]).T, bias=True)
    np.testing.assert_allclose(joined.within, expected, rtol=1e-8, atol=1e-8)


def test_moments_of_two_calls_are_those_of_all_rows_and_exactly_the_same_for_the_same_rows():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(10, 2, (40, 3)), rng.uniform(0, 1, (40, 2))
    first = class_moments([(values[:25], weights[:25])])
    both = first.joined(class_moments([(values[25:], weights[25:])], first.shift))
    for got, expected in zip(both, class_moments([(values, weights)]), strict=True):
        np.testing.assert_allclose(got, expected)
    twice = first.joined(class_moments([(values[:25], weights[:25])], first.shift))
    for got, expected in zip(twice[1:], first[1:], strict=True):
        np.testing.assert_array_equal(got, expected)
    assert class_moments([]) is None


def test_constant_values_and_absent_classes_do_no_harm():
    values = np.c_[np.full(12, 7.0), np.arange(12.0)]
    weights = np.zeros((12, 3))
    weights[:6, 0] = weights[6:, 2] = 1  # none of the second class
    proba = fitted_discriminant(values, weights)(torch.from_numpy(values)).exp().numpy()
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert proba[:, 1].max() == 0
    assert (proba.argmax(axis=1) == np.repeat([0, 2], 6)).all()
    same = fitted_discriminant(np.ones((6, 2)), indicators(np.arange(6) % 2))
    np.testing.assert_allclose(same(torch.ones(1, 2, dtype=torch.float64)).exp(), 0.5)


def test_classes_of_a_later_call_count_from_then_on():
    X, y = make_samples()
    clf = M3FusionClassifier(**SMALL, linear_vote=0.9, lr=1e-12)
    clf.partial_fit(X[y == "crops"], y[y == "crops"], classes=np.unique(y))
    assert set(clf.predict(X)) == {"crops"}
    clf.partial_fit(X[y != "crops"], y[y != "crops"])
    assert clf.score(X, y) > 0.9


def dropping(X, y, **settings):
    return M3FusionClassifier(**SMALL, dtype="float64", missing_sources="drop", **settings).fit(X, y)


def without(X, name, rows):
    values = X[name].astype(float)
    values[rows] = np.nan
    return X.replace(**{name: values})


@pytest.mark.parametrize("lacking", ["ts", "patch"])
def test_a_sample_that_lacks_a_source_gets_the_vote_of_the_others(lacking):
    X, y = make_samples(300)
    (other,) = set(X.names) - {lacking}
    some = without(X, lacking, np.arange(300) % 2 == 0)  # they teach the discriminant of the other source
    proba = dropping(some, y, linear_vote=0.999).predict_proba(X.select([other]))
    linear = np.exp(of_scikit_learn(flat(X.select([other])), y)(flat(X.select([other]))))
    np.testing.assert_allclose(proba, linear, atol=2e-3)


def test_a_discriminant_that_has_not_seen_a_class_abstains():
    X, y = make_samples(120)
    never = without(X, "patch", y == "water")
    of_series = of_scikit_learn(flat(X.select(["ts"])), y)(flat(X.select(["ts"])))
    got = dropping(never, y, linear_vote=0.999).predict_proba(X)  # not even the joint one has seen water
    np.testing.assert_allclose(got, np.exp(of_series), atol=2e-3)
    alone = without(without(X, "patch", slice(0, 60)), "ts", slice(60, 120))  # none has both
    plain, voted = (dropping(alone, y, linear_vote=share).predict_proba(X) for share in (0, 0.5))
    assert np.abs(plain - voted).max() > 0.01  # those of single sources vote
    nothing = without(without(X, "patch", y == "water"), "ts", y == "crops")
    plain, voted = (dropping(nothing, y, linear_vote=share).predict_proba(X) for share in (0, 0.5))
    np.testing.assert_allclose(plain, voted)


def test_later_calls_of_partial_fit_keep_what_fit_or_a_file_brought(tmp_path):
    X, y = make_samples()
    settings = {**SMALL, "linear_vote": 0.9, "lr": 1e-12}
    clf = M3FusionClassifier(**settings).fit(X, y)
    clf.save(tmp_path / "model.m3f")
    first = M3FusionClassifier(**settings).partial_fit(X, y, classes=np.unique(y))
    for model in (clf, M3FusionClassifier.load(tmp_path / "model.m3f"), first):
        before = model.net_.module_.vote.joint.weight.clone()
        for _ in range(3):
            model.partial_fit(X[y == "crops"], y[y == "crops"])
        assert (model is first) != torch.equal(model.net_.module_.vote.joint.weight, before)
        assert model.score(X, y) > 0.9


def test_nearly_constant_values_and_far_outliers_do_not_take_the_vote_over():
    X, y = make_samples(300)
    ts = X["ts"].astype("f4")
    ts[:, -1] = 3000 + 1e-3 * np.random.default_rng(0).normal(size=(300, 2))
    clf = M3FusionClassifier(**SMALL, linear_vote=0.9).fit(X.replace(ts=ts), y)
    moved, far = ts.copy(), ts.copy()
    moved[:, -1] += 1
    far[:, 0, 0] = 1e9
    expected = clf.predict_proba(X.replace(ts=ts))
    np.testing.assert_allclose(clf.predict_proba(X.replace(ts=moved)), expected, atol=1e-2)
    assert np.isfinite(clf.predict_proba(X.replace(ts=far))).all()


def test_sources_of_very_many_values_take_no_part():
    X, y = make_samples(60)
    wide = np.random.default_rng(0).normal(size=(60, 2500))
    both = MultiSource(ts=X["ts"], wide=wide)
    clf = M3FusionClassifier(**SMALL, linear_vote=0.5).fit(both, y)
    assert len(clf.net_.module_.vote.joint.center) == 10
    plain, voted = (
        M3FusionClassifier(**SMALL, linear_vote=share).fit(wide, y).predict_proba(wide) for share in (0, 0.5)
    )
    np.testing.assert_allclose(plain, voted, rtol=1e-5)


def test_it_has_no_part_in_early_stopping():
    X, y = make_samples(200)
    settings = {**SMALL, "max_epochs": 6, "patience": 1, "early_stopping": True}
    with_it, without_it = (M3FusionClassifier(**settings, linear_vote=s).fit(X, y) for s in (0.7, 0))
    np.testing.assert_array_equal(with_it.transform(X), without_it.transform(X))
    losses = [[row["valid_loss"] for row in clf.history_] for clf in (with_it, without_it)]
    assert losses[0] == losses[1]


def test_a_share_of_one_or_more_is_refused():
    X, y = make_samples()
    for share in (1, -0.1, "much"):
        with pytest.raises(ValueError, match="linear_vote must be a number from 0 to below 1; got"):
            M3FusionClassifier(**SMALL, linear_vote=share).fit(X, y)


def test_a_vote_that_never_saw_a_class_abstains_once_it_comes():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = {"v": rng.normal(size=(90, 2)) + 4 * y[:, None]}
    first = y < 2
    clf = M3FusionClassifier(classes=[0, 1, 2], max_epochs=3, random_state=0)
    clf.fit({"v": X["v"][first]}, y[first])
    for _ in range(40):
        clf.partial_fit(X, y)
    assert clf.predict_proba(X)[y == 2, 2].max() > 0.75  # 0.7 is what a vote of 0.3 would leave


def test_all_sources_together_have_a_limit():
    vote = LinearVote({"a": 2000, "b": 2000, "c": 2000, "d": 90}, 3, 0.3, may_lack=False)
    assert vote.names == ["a", "b", "d"]
