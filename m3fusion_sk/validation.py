"""The border: whatever a user calls X becomes a checked `MultiSource` here, and nowhere else."""

import warnings
from collections.abc import Mapping

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

from .axisnames import check_axis_names
from .columns import parse_columns, places_in, warn_of_near_names
from .multisource import MultiSource
from .patchview import PatchView
from .rows import row_blocks
from .sources import (
    PatchSpec,
    VectorSpec,
    all_kinds,
    check_names,
    check_shape,
    spec_from_layout,
)

FLAT_NAME = "X"  # of the only source of a plain table
LARGEST = np.float32(1e18)  # value whose square float32 can hold, and beyond which lie nodata values


def check_sources(estimator, X, *, reset, layout=None, allow_nan=False, names=None):
    """Check X and describe it on the estimator, as scikit-learn's `validate_data` does for tables.

    Parameters
    ----------
    estimator : estimator
        Receives ``sources_``, ``n_features_in_`` and ``feature_names_in_`` if `reset`; X must agree with
        them if not.
    X : MultiSource, mapping of str to array, structured array, DataFrame or array
        Samples. Tables of shape (n_samples, n_features) are cut by `layout`, by the names of their
        columns, or by what ``fit`` saw; else they are one vector source.
    reset : bool
        True in ``fit``.
    layout : dict of str to tuple, optional
        Shape of one sample in each source of a flat table.
    allow_nan : bool, default=False
        Whether NaN may stand for missing values.
    names : list of str, optional
        The sources that matter after ``fit``: others may be absent, or of other shapes. All by default.

    Returns
    -------
    MultiSource
        With the sources in the order that ``fit`` saw, or in that of `names`.
    """
    _refuse_containers_of_x(X)
    if not reset and not hasattr(estimator, "feature_names_in_"):
        X = _sources_of_table(estimator, X)
    if _is_table(X):
        X = _check_table(estimator, X, reset, layout, allow_nan)
        return X if names is None else X.select(names)
    X = as_multisource(X)
    if not len(X):
        raise ValueError(
            f"X must have at least one sample for {type(estimator).__name__}; got 0 sample(s): {X!r}."
        )
    if reset:
        X = _in_order_of(layout, X)
        _describe(estimator, X)
    else:
        sources = {name: estimator.sources_[name] for name in names or estimator.sources_}
        check_names(X.names, sources, others_allowed=names is not None)
        X = X.select(sources)
        for name, spec in sources.items():
            check_shape(name, (len(X), *X.specs[name].shape), spec)
        check_axis_names(X.specs, sources)
    for name in X.names:
        _check_finite(X, name, allow_nan)
    return X


def check_specs(part, specs):
    """Refuse sources, before they are read, to which what takes them was not fitted.

    Parameters
    ----------
    part : estimator or None
        One of this package is asked; of others nothing is known.
    specs : dict of str to SeriesSpec, PatchSpec, VectorSpec or PatchSeriesSpec
    """
    sources = getattr(part, "sources_", None)
    if not isinstance(sources, Mapping) or not all(
        isinstance(spec, all_kinds()) for spec in sources.values()
    ):
        return
    chosen = hasattr(part, "_kept")  # of SelectSources
    kept = part._kept() if chosen else list(sources)
    there = {name: sources[name] for name in kept if name in specs}
    may_lack = there and getattr(part, "_allow_absent", False)
    check_names(list(specs), there if may_lack else {name: sources[name] for name in kept}, chosen)
    for name, spec in there.items():
        check_shape(name, ("n_samples", *specs[name].shape), spec)
    check_axis_names(specs, there)


def those_present(X, sources):
    """Samples as a container, if they have a part of the sources that ``fit`` saw; else X as it is.

    None stands for a source that is not there, and so do missing columns in a table that names its sources.
    """
    if isinstance(X, Mapping) and not issparse(X):
        X = {name: values for name, values in X.items() if values is not None}
        return MultiSource(X) if X and not set(sources) <= set(X) else X
    parsed, order = parse_columns(getattr(X, "columns", []))
    if not parsed or not set(parsed) < set(sources):
        return X
    return MultiSource.from_flat(np.asarray(X)[:, order], parsed)


def _is_table(X):
    if isinstance(X, MultiSource) or (isinstance(X, Mapping) and not issparse(X)):
        return False
    return getattr(getattr(X, "dtype", None), "names", None) is None


def _refuse_containers_of_x(X):
    if hasattr(X, "X") and hasattr(X, "y") and not hasattr(X, "dtype") and not hasattr(X, "columns"):
        raise TypeError(f"X must be the samples' values; got {X!r:.80}. Pass samples.X and samples.y.")
    if isinstance(X, list | tuple) and X and _are_sources(X):
        raise TypeError(
            f"X must name its sources; got a {type(X).__name__} of {len(X)} arrays. Write "
            "MultiSource(ts=ts, patch=patch)."
        )


def _are_sources(parts):
    """Whether these are arrays of all samples, not samples."""
    shapes = [getattr(part, "shape", ()) for part in parts]
    return min(map(len, shapes)) > 1 and max(map(len, shapes)) > 2


def as_multisource(X):
    """Samples whose sources have names, as a container."""
    if isinstance(X, MultiSource):
        return X
    if _is_table(X):
        parsed, order = parse_columns(getattr(X, "columns", []))
        if parsed:
            return MultiSource.from_flat(np.asarray(X)[:, order], parsed)
        raise TypeError(
            "X must be a MultiSource, a dict of arrays by source or a table whose columns name their sources "
            f"(ts_t00_b00); got {type(X).__name__}. Cut other tables with MultiSource.from_flat(X, sources)."
        )
    names = getattr(getattr(X, "dtype", None), "names", None)
    return MultiSource(X if names is None else {name: X[name] for name in names})


def _describe(estimator, X):
    for name, spec in X.specs.items():
        _warn_of_last_bands(name, spec)
    estimator.sources_ = dict(X.specs)
    estimator.n_features_in_ = X.shape[1]
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def _warn_of_last_bands(name, spec):
    """Tell of patches whose bands seem to be behind their rows and columns."""
    if isinstance(spec, PatchSpec) and spec.n_bands == spec.height >= 5 and spec.width < spec.height:
        warnings.warn(
            f"X[{name!r}] has {spec.n_bands} bands of {spec.height} x {spec.width} pixels. If the bands are "
            f"last, put them first: np.moveaxis(X[{name!r}], -1, 1).",
            stacklevel=2,
        )


def _check_table(estimator, X, reset, layout, allow_nan):
    _refuse_other_arrays(X)
    X = validate_data(estimator, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan")
    sources, order = _sources_of_columns(estimator, layout)
    if reset and sources is None:
        warn_of_near_names(getattr(estimator, "feature_names_in_", ()))
    if reset:
        estimator.sources_ = sources or {FLAT_NAME: VectorSpec(X.shape[1])}
        _check_layout_size(estimator.sources_, X.shape[1])
    parts = MultiSource.from_flat(X if order is None else X[:, order], estimator.sources_)
    if not allow_nan:
        _refuse_nan(estimator, X, parts)
    return parts


def _refuse_nan(estimator, table, parts):
    """In scikit-learn's words for a plain table, else by source."""
    if parts.names == (FLAT_NAME,):
        assert_all_finite(table, estimator_name=type(estimator).__name__, input_name="X")
    for name in parts.names:
        _check_finite(parts, name, allow_nan=False)


def _refuse_other_arrays(X):
    if isinstance(X, np.ma.MaskedArray):
        raise ValueError(
            "X must be a plain array; got a masked array, whose mask would be lost. Fill it, for instance "
            "with X.filled(np.nan) and an imputer."
        )
    if len(getattr(X, "shape", ())) > 2:
        raise ValueError(
            f"X must be a table of shape (n_samples, n_features), or sources by name; got shape "
            f"{tuple(X.shape)}. Name the source, as in {{'ts': X}}."
        )


def _sources_of_table(estimator, X):
    """A table whose columns name the sources that ``fit`` saw as arrays, cut by these names."""
    columns = [] if not _is_table(X) else list(getattr(X, "columns", []))
    sources, order = parse_columns(columns)
    if not sources or not set(sources) <= set(estimator.sources_):
        return X
    return MultiSource.from_flat(np.asarray(X)[:, order], sources)


def _in_order_of(layout, X):
    """Sources in the order of a layout that describes them: tables will be cut by it."""
    sources = {} if layout is None else _sources_of_layout(layout)
    return X.select(list(sources)) if sources == X.specs else X


def _sources_of_layout(layout):
    if not isinstance(layout, Mapping):
        raise TypeError(f"layout must be a dict, such as {{'ts': (34, 16)}}; got {layout!r}.")
    return {name: spec_from_layout(name, shape) for name, shape in layout.items()}


def _places_by_name(names, sources):
    """Where the columns of these sources stand, if their names tell that it is elsewhere; else None."""
    try:
        places = places_in(names, sources)
    except ValueError:  # they name others, or not all of them name one
        return None
    return None if places == list(range(len(names))) else places


def _sources_of_columns(estimator, layout):
    if layout is not None:
        sources = _sources_of_layout(layout)
        return sources, _places_by_name(getattr(estimator, "feature_names_in_", []), sources)
    if not hasattr(estimator, "feature_names_in_"):
        return None, None
    sources, order = parse_columns(estimator.feature_names_in_)
    return sources, (order if sources and order != sorted(order) else None)


def _check_layout_size(sources, n_features):
    expected = sum(spec.size for spec in sources.values())
    if expected != n_features:
        parts = ", ".join(f"{name} {spec.shape}" for name, spec in sources.items())
        raise ValueError(
            f"layout describes {expected} columns ({parts}); got X with {n_features} features. Correct the "
            "layout, or pass a MultiSource."
        )


def _check_finite(X, name, allow_nan):
    if np.dtype(X.values_of(name).dtype).kind != "f" or _all_within(X, name, allow_nan):
        return
    bad = _count_bad(X, name, _too_large if allow_nan else lambda block: ~(np.abs(block) <= LARGEST))
    _refuse_too_large(X, name)
    found = "infinity" if allow_nan else "NaN or infinity"
    raise ValueError(
        f"Input X[{name!r}] contains {found} in {bad} of {len(X)} samples. {_remedy(X, name, allow_nan)}"
    )


def _remedy(X, name, allow_nan):
    if allow_nan:
        return "Replace it by NaN, which stands for what is missing, or leave these samples out."
    if "n_dates" in X.specs[name].axes:
        return "Fill gaps (NaN) of a series with GapFiller() before, and replace infinity."
    return "Replace them, or leave these samples out; GapFiller() fills series only."


def _all_within(X, name, allow_nan):
    """Whether no value is bad; of patches, whether none of their image is, which holds each value once."""
    values = X.values_of(name)
    if isinstance(values, PatchView) and _within(values.image, allow_nan):
        return True
    return all(_within(block, allow_nan) for block in _row_blocks(X, name))


def _within(block, allow_nan):
    """Whether no value is bad: the extremes tell it, without an array beside."""
    if not block.size:
        return True
    least, most = (np.fmin, np.fmax) if allow_nan else (np.minimum, np.maximum)
    low, high = (extreme.reduce(block, axis=None) for extreme in (least, most))
    return bool(low >= -LARGEST and high <= LARGEST) or bool(allow_nan and np.isnan(low))


def _too_large(block):
    return np.abs(block) > LARGEST


def _refuse_too_large(X, name):
    bad = _count_bad(X, name, lambda block: np.isfinite(block) & _too_large(block))
    if bad:
        raise ValueError(
            f"Input X[{name!r}] contains values beyond {LARGEST:g}, as nodata values are, in {bad} of "
            f"{len(X)} samples. Replace them: by NaN in series, whose gaps can be filled."
        )


def _count_bad(X, name, is_bad):
    blocks = (block.reshape(len(block), -1) for block in _row_blocks(X, name))
    return sum(int(is_bad(block).any(axis=1).sum()) for block in blocks)


def _row_blocks(X, name):
    """All values of a source, a block of samples at a time."""
    return (X.gather(name, rows) for rows in row_blocks(len(X), X.specs[name].size))
