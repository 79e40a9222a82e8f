"""What has to be so before anything else is imported, and what ends with the tests of a file."""

import os
import sys

import pytest

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # else scikit-learn skips its check of array types


@pytest.fixture(scope="module", autouse=True)
def fresh_workers():
    """End joblib's processes with the tests of a file: old ones that have grown may stop for good."""
    yield
    loky = sys.modules.get("joblib.externals.loky")
    if loky is not None and loky.reusable_executor._executor is not None:
        loky.get_reusable_executor().shutdown(wait=True, kill_workers=True)
