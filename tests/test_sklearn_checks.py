"""scikit-learn's own checks of every estimator of the package, with nothing skipped."""

from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from m3fusion_sk import GapFiller, M3FusionClassifier, SelectSources, StackedFeatures, stacked_forest

EXACT = {"dtype": "float64", "dropout": 0.0, "early_stopping": False, "batch_size": 512, "max_epochs": 40}
STOCHASTIC = {"dropout": 0.4, "early_stopping": True, "batch_size": 16, "max_epochs": 40}
STEPS = [
    StackedFeatures(),
    StackedFeatures(patch="statistics"),
    SelectSources(),
    SelectSources(["X"]),
    GapFiller(),
]
OF_PIPELINES = {
    **dict.fromkeys(
        ("check_dont_overwrite_parameters", "check_estimators_overwrite_params"),
        "scikit-learn's own Pipeline puts fitted steps into its parameter `steps`, and expects both to fail",
    ),
    "check_classifiers_multilabel_output_format_decision_function": "forests have no decision_function",
}


def run(check, estimator):
    """A check that skips itself shows nothing: it counts as a failure."""
    try:
        check(estimator)
    except SkipTest as reason:
        pytest.fail(f"skipped: {reason}")


@parametrize_with_checks([M3FusionClassifier(**EXACT), M3FusionClassifier(**EXACT, class_weight="balanced")])
def test_every_check_of_scikit_learn_passes_in_float64(estimator, check):
    run(check, estimator)


@parametrize_with_checks(
    [M3FusionClassifier(), M3FusionClassifier(**STOCHASTIC)],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": "asks for a relative 1e-7, more than float32 has"
    },
)
def test_at_most_the_check_of_equal_weights_fails_in_float32(estimator, check):
    run(check, estimator)


@parametrize_with_checks(STEPS)
def test_every_check_passes_for_the_steps_before_a_classifier(estimator, check):
    run(check, estimator)


@pytest.mark.filterwarnings("ignore:divide by zero encountered in log:RuntimeWarning")  # a forest is sure
@parametrize_with_checks(
    [stacked_forest(5, random_state=0)], expected_failed_checks=lambda estimator: OF_PIPELINES
)
def test_the_forest_fails_only_what_every_pipeline_fails(estimator, check):
    run(check, estimator)
