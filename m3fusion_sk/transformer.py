"""What the steps before a classifier share: any kind of X comes in, and its columns have names."""

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .columns import column_names
from .multisource import MultiSource
from .validation import FLAT_NAME, check_sources, those_present


class SourceTransformer(TransformerMixin, BaseEstimator):
    """A step that takes any kind of X; its columns have names, and it has a parameter `layout`."""

    _allow_nan = True
    _allow_absent = True  # after fit: what comes behind the step says whether it can do without

    def _check(self, X, reset, names=None):
        if self._allow_absent and not reset:
            X = those_present(X, self.sources_)
            known = self.sources_ if names is None else names
            there = [name for name in known if name in X] if isinstance(X, MultiSource) else known
            if 0 < len(there) < len(known) and set(X.names) <= set(self.sources_):  # none is misspelt
                names = there
        return check_sources(self, X, reset=reset, layout=self.layout, allow_nan=self._allow_nan, names=names)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.dict = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self._allow_nan
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _names_by_source(self, input_features):
        """Names of the flattened columns of each source; a plain table keeps the names it came with."""
        check_is_fitted(self, "sources_")
        names = getattr(self, "feature_names_in_", None)
        if input_features is not None:
            _check_input_features(self, input_features, names)
            names = input_features
        if names is not None and _is_plain(self.sources_):
            return {FLAT_NAME: list(names)}
        return {name: column_names({name: spec}) for name, spec in self.sources_.items()}


def _is_plain(sources):
    return tuple(sources) == (FLAT_NAME,) and sources[FLAT_NAME].kind == "vector"


def as_given(step, X):
    """A plain table stays a table; with names or shapes to keep, it is a container.

    Where ``set_output`` or scikit-learn's configuration asks for a table it is one in any case.
    """
    if _is_plain(X.specs):
        return X[FLAT_NAME]
    wanted = getattr(step, "_sklearn_output_config", {}).get("transform", get_config()["transform_output"])
    return X if wanted == "default" else _as_table(X, step.get_feature_names_out())


def _as_table(X, names):
    """All columns of a step, NaN in those of sources that X lacks."""
    table = np.asarray(X)
    if table.shape[1] == len(names):
        return table
    whole = np.full((len(X), len(names)), np.nan, np.result_type(table, np.float32))
    whole[:, np.isin(names, column_names(X.specs))] = table
    return whole


def joined(names):
    return np.asarray([name for part in names for name in part], dtype=object)


def _check_input_features(estimator, names, seen):
    if len(names) != estimator.n_features_in_:
        raise ValueError(
            "input_features should have length equal to number of features "
            f"({estimator.n_features_in_}), got {len(names)}."
        )
    if seen is not None and not np.array_equal(names, seen):
        raise ValueError(f"input_features is not equal to feature_names_in_, {list(seen)[:3]} and so on.")


def check_chosen(parameter, names, sources):
    example = f"{parameter}={list(sources)[:1]}"
    is_list = np.iterable(names) and not isinstance(names, str)
    if not is_list or not len(names) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{parameter} must be a list of names of sources, as {example}; got {names!r}.")
    unknown = [name for name in names if name not in sources]
    if unknown or len(set(names)) < len(names):
        raise ValueError(
            f"{parameter} must name sources of X, each once; got {list(names)}, X has {list(sources)}."
        )
