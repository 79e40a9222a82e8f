"""Objects stay whole on every route by which `groups` may come to the inner hold-out."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedGroupKFold,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import Pipeline

from m3fusion_sk import GapFiller, M3FusionClassifier, MultiSource, StratifiedGroupShuffleSplit, training

SETTINGS = {
    "hidden_size": 4,
    "n_filters": 2,
    "max_epochs": 1,
    "batch_size": 32,
    "early_stopping": True,
    "validation_fraction": 0.4,
    "random_state": 0,
}
LABELS = np.array(["crop", "forest", "water"])


def make_samples():
    """72 samples of 18 objects; each sample carries its object, by which the test tells who went where."""
    rng = np.random.default_rng(0)
    objects = rng.permutation(np.repeat(np.arange(18), 4))
    X = MultiSource(ts=rng.normal(size=(72, 3, 2)), object=objects[:, None].astype(float))
    return X, LABELS[objects % 3], objects


@pytest.fixture
def sides(monkeypatch):
    """(objects that train, objects held out) of each training run."""
    found = []

    class Recorded(training.Batches):
        def __init__(self, X, *arguments):
            super().__init__(X, *arguments)
            found.append(set(X["object"][:, 0].tolist()))

    monkeypatch.setattr(training, "Batches", Recorded)
    return found


def pipeline():
    return Pipeline([("fill", GapFiller()), ("clf", M3FusionClassifier(**SETTINGS))])


def direct(X, y, g):
    M3FusionClassifier(**SETTINGS).fit(X, y, groups=g)


def warm(X, y, g):
    M3FusionClassifier(**SETTINGS, warm_start=True).fit(X, y, groups=g).fit(X, y, groups=g)


def pipeline_parameter(X, y, g):
    pipeline().fit(X, y, clf__groups=g)


def pipeline_parameter_in_a_search(X, y, g):
    search = GridSearchCV(pipeline(), {"clf__alpha": [0.1, 0.3]}, cv=GroupKFold(3), error_score="raise")
    search.fit(X, y, groups=g, clf__groups=g)


def params_of_cross_validate(X, y, g):
    cv = StratifiedGroupShuffleSplit(3, train_size=0.6, random_state=0)
    cross_validate(
        M3FusionClassifier(**SETTINGS), X, y, groups=g, cv=cv, params={"groups": g}, error_score="raise"
    )


def params_of_cross_val_predict(X, y, g):
    clf = M3FusionClassifier(**SETTINGS)
    cross_val_predict(clf, X, y, groups=g, cv=StratifiedGroupKFold(3), params={"groups": g})


def routed():
    return M3FusionClassifier(**SETTINGS).set_fit_request(groups=True)


def routed_search(X, y, g):
    with config_context(enable_metadata_routing=True):
        grid = {"alpha": [0.1, 0.3]}
        GridSearchCV(routed(), grid, cv=StratifiedGroupKFold(3), error_score="raise").fit(X, y, groups=g)


def routed_cross_validate(X, y, g):
    with config_context(enable_metadata_routing=True):
        cv = StratifiedGroupShuffleSplit(3, train_size=0.6, random_state=0)
        cross_validate(routed(), X, y, cv=cv, params={"groups": g}, error_score="raise")


def routed_pipeline_in_a_search(X, y, g):
    with config_context(enable_metadata_routing=True):
        model = Pipeline([("fill", GapFiller()), ("clf", routed())])
        search = GridSearchCV(model, {"clf__alpha": [0.1]}, cv=GroupKFold(3), error_score="raise")
        search.fit(X, y, groups=g)


ROUTES = {
    direct: 1,
    warm: 2,
    pipeline_parameter: 1,
    pipeline_parameter_in_a_search: 7,
    params_of_cross_validate: 3,
    params_of_cross_val_predict: 3,
    routed_search: 7,
    routed_cross_validate: 3,
    routed_pipeline_in_a_search: 4,
}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__)
def test_no_object_is_on_both_sides_of_any_inner_hold_out(route, sides):
    X, y, objects = make_samples()
    route(X, y, objects)
    assert len(sides) == 2 * ROUTES[route]
    for train, held_out in zip(sides[::2], sides[1::2], strict=True):
        assert train
        assert held_out
        assert not train & held_out


def test_groups_for_the_splitter_alone_do_not_reach_the_inner_hold_out(sides):
    """So the test above can fail, and the README's answer is needed."""
    X, y, objects = make_samples()
    search = GridSearchCV(M3FusionClassifier(**SETTINGS), {"alpha": [0.1]}, cv=GroupKFold(3))
    search.fit(X, y, groups=objects)
    assert any(train & held_out for train, held_out in zip(sides[::2], sides[1::2], strict=True))


def test_named_classes_keep_columns_where_a_spatial_fold_lacks_one():
    X, y, objects = make_samples()
    fold = np.where(y == "water", 0, 1 + objects % 2)  # all water lies in one block
    clf = M3FusionClassifier(**{**SETTINGS, "early_stopping": False})
    with pytest.warns(RuntimeWarning, match="Number of classes in training fold"):
        cross_val_predict(clf, X, y, groups=fold, cv=GroupKFold(3), method="predict_proba")
    clf.set_params(classes=LABELS)
    proba = cross_val_predict(clf, X, y, groups=fold, cv=GroupKFold(3), method="predict_proba")
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert proba.shape == (72, 3)
    scorer = make_scorer(log_loss, labels=LABELS, response_method="predict_proba", greater_is_better=False)
    result = cross_validate(clf, X, y, groups=fold, cv=GroupKFold(3), scoring=scorer, error_score="raise")
    assert np.isfinite(result["test_score"]).all()


def test_named_classes_know_their_codes_where_scikit_learn_encodes_labels():
    X, y, _ = make_samples()
    clf = M3FusionClassifier(**{**SETTINGS, "early_stopping": False}, classes=LABELS)
    voting = VotingClassifier([("a", clf)], voting="soft").fit(X, y)
    assert voting.classes_.tolist() == LABELS.tolist()
    assert voting.estimators_[0].classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(voting.predict_proba(X), clf.fit(X, y).predict_proba(X))
    numbers = np.array([11, 12, 13])[np.searchsorted(LABELS, y)]
    clf.set_params(classes=[11, 12, 13])
    with pytest.raises(
        ValueError, match=r"If scikit-learn encoded the labels before, pass classes=range\(3\)"
    ):
        VotingClassifier([("a", clf)], voting="soft").fit(X, numbers)
    VotingClassifier([("a", clf.set_params(classes=range(3)))], voting="soft").fit(X, numbers)
