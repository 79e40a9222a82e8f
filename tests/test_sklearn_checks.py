"""scikit-learn's own checks of an estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from m3fusion_sk import M3FusionClassifier

EXACT = {"dtype": "float64", "dropout": 0.0, "early_stopping": False, "batch_size": 512}
STOCHASTIC = {"dropout": 0.4, "early_stopping": True, "batch_size": 16}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([M3FusionClassifier(**EXACT), M3FusionClassifier(**EXACT, class_weight="balanced")])
def test_every_check_of_scikit_learn_passes_in_float64(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [M3FusionClassifier(), M3FusionClassifier(**STOCHASTIC)],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": "asks for a relative 1e-7, more than float32 has"
    },
)
def test_at_most_the_check_of_equal_weights_fails_in_float32(estimator, check):
    check(estimator)
