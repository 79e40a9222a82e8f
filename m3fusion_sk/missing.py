"""Samples of a network that may lack dates or sources: what may be missing, and what is an error."""

import functools

import numpy as np

from .axisnames import known_dates
from .gaps import fill_linear
from .multisource import MultiSource
from .presence import may_lack
from .rows import map_rows, row_blocks
from .validation import check_sources, those_present


def check_samples(estimator, X, settings, *, reset):
    """Check X as `check_sources` does, with gaps where the settings allow them.

    Parameters
    ----------
    estimator : M3FusionClassifier
    X : MultiSource, mapping of str to array, structured array, DataFrame or array
    settings : dict
        With ``missing`` and ``missing_sources``: the classifier's in `fit`, the network's after.
    reset : bool
        True in `fit`.

    Returns
    -------
    MultiSource
        NaN stands for what is missing: a date of a series, or all values of a source.
    """
    try:
        return _checked(estimator, X, settings, reset)
    except ValueError as error:
        given = {name: getattr(estimator, name) for name in ("missing", "missing_sources")}
        late = [f"{name}={settings[name]!r}" for name, value in given.items() if value != settings[name]]
        if reset or not late:
            raise
        told = " and ".join(late)
        message = f"{error} The model was fitted with {told}; what is set now waits for a fit."
        raise ValueError(message) from error


def _checked(estimator, X, settings, reset):
    drop = settings["missing_sources"] == "drop"
    if settings["missing"] == "error" and not drop:
        return check_sources(estimator, X, reset=reset, layout=estimator.layout)
    if drop and not reset:
        X = _with_absent_sources(X, estimator.sources_)
    X = check_sources(estimator, X, reset=reset, layout=estimator.layout, allow_nan=True)
    gaps = {name: _gaps(X, name, settings["missing"]) for name in X.names if may_lack(X.values_of(name))}
    for name, (absent, partial) in gaps.items():
        _check_partial(X, name, partial, settings["missing"])
        whole = settings["missing"] == "mask" and _has_dates(X.specs[name])
        _check_absent(name, absent, drop, reset, ", or no date with all its bands," if whole else "")
    if gaps.keys() == set(X.names):
        _check_any(np.logical_and.reduce([absent for absent, _ in gaps.values()]))
    if settings["missing"] == "fill":
        return _without_gaps(X, [name for name, (_, partial) in gaps.items() if partial.any()], estimator)
    return X


def _with_absent_sources(X, sources):
    """X with NaN for every sample of a source that it does not have at all; they take no memory."""
    X = those_present(X, sources)
    if not isinstance(X, MultiSource) or not set(X.keys()) & set(sources):
        return X
    nowhere = {
        name: np.broadcast_to(np.float32(np.nan), (len(X), *spec.shape))
        for name, spec in sources.items()
        if name not in X
    }
    return X.replace(**nowhere) if nowhere else X


def _gaps(X, name, missing):
    """Samples that lack a source, and samples that lack a part of it."""
    absent, partial = np.zeros((2, len(X)), bool)
    spec = X.specs[name]
    for rows in row_blocks(len(X), spec.size):
        lacking = np.isnan(X.gather(name, rows))
        lacking = lacking.reshape(len(lacking), spec.shape[0], -1)
        if _has_dates(spec) and missing == "mask":
            lacking = lacking.any(axis=2)  # a date with a gap is no date
        lacking = lacking.reshape(len(lacking), -1)
        absent[rows] = lacking.all(axis=1)
        partial[rows] = lacking.any(axis=1) & ~absent[rows]
    return absent, partial


def _has_dates(spec):
    return "n_dates" in spec.axes


def _check_partial(X, name, partial, missing):
    if not partial.any() or (_has_dates(X.specs[name]) and missing != "error"):
        return
    remedy = (
        "Set missing='mask' or 'fill', or fill them with GapFiller() before."
        if _has_dates(X.specs[name])
        else "Only series may have gaps; replace them, or make the whole source NaN for these samples."
    )
    raise ValueError(
        f"Input X[{name!r}] contains NaN in a part of {partial.sum()} of {len(X)} samples. {remedy}"
    )


def _check_absent(name, absent, drop, reset, without):
    if absent.any() and not drop:
        raise ValueError(
            f"Input X[{name!r}] contains nothing but NaN{without} in {absent.sum()} of {len(absent)} "
            "samples. Set missing_sources='drop', or leave these samples out"
            + (", or fill single bands with missing='fill'." if without else ".")
        )
    if reset and absent.all():
        raise ValueError(f"X[{name!r}] must have values in some samples of fit; all are NaN. Leave it out.")


def _check_any(lacks_all):
    if lacks_all.any():
        raise ValueError(
            f"Every sample must have a source; {lacks_all.sum()} of {len(lacks_all)} lack all. Leave these "
            "samples out."
        )


def _without_gaps(X, series, estimator):
    filled = {name: _filled(X, name, known_dates(name, X.specs, estimator.sources_)) for name in series}
    return X.replace(**filled) if filled else X


def _filled(X, name, days):
    """A series whose gaps are filled linearly in time; a band without any date stays NaN."""
    spec, dtype = X.specs[name], np.dtype(X.values_of(name).dtype)
    fill = functools.partial(_fill_rows, days=days)
    return map_rows(X.rows_of(name), fill, spec.shape, np.promote_types(dtype, np.float32))


def _fill_rows(values, days):
    """Rows of a series (n, dates, ...) with gaps filled in time, at equal steps where no days are known."""
    flat = values.reshape(*values.shape[:2], -1)
    return fill_linear(flat, np.isnan(flat), days).reshape(values.shape)
