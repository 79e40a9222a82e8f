"""Names along the axes of sources, where a scene, a table or the user told them: dates, bands, columns."""

import warnings
from dataclasses import replace

import numpy as np

from .dates import as_days, as_text, furthest_in_year

__all__ = ["NamedAxes"]

MOST_DAYS_APART = 31  # by the time of the year: of as many acquisitions of two years some lie weeks apart


class NamedAxes:
    """What a container of sources can be told of them beside their values."""

    def with_dates(self, /, **dates):
        """The same samples with the dates of their series, so that a model tells them from those of `fit`.

        Parameters
        ----------
        **dates : sequence of str, datetime64 or datetime of shape (n_dates,)
            By name of the series; of mere numbers of days nothing is kept (for `GapFiller`, give them to it).
            What `Scene` reads has its dates already.

        Returns
        -------
        MultiSource
            Dates stand in ``specs[name].dates`` and stay where rows are selected.
        """
        return self._with(_dated, dates)

    def with_bands(self, /, **bands):
        """The same samples with names of bands, so that a model refuses them in another order than in `fit`.

        Parameters
        ----------
        **bands : sequence of str of shape (n_bands,)
            By name of the source, as ``["B02", "B03", "B04", "B08"]``; of features for a vector. What `Scene`
            reads has the names already that its files have.

        Returns
        -------
        MultiSource
            They stand in ``specs[name].bands`` and stay where rows are selected.
        """
        return self._with(_with_bands, bands)

    def _with(self, told, parts):
        specs = {name: told(name, self.specs[self._known(name)], part) for name, part in parts.items()}
        return self._view(self._values, {**self.specs, **specs}, self._rows)


def _dated(name, spec, dates):
    if "n_dates" not in spec.axes:
        raise ValueError(f"dates must be of a series; X[{name!r}] is a {spec.kind}. Leave it out.")
    as_days(dates, spec.n_dates, f"dates of X[{name!r}]")
    return replace(spec, dates=as_text(dates))


def _with_bands(name, spec, bands):
    names = tuple(bands) if np.iterable(bands) and not isinstance(bands, str) else ()
    if not len(set(names)) == len(names) == spec.n_channels or not all(isinstance(n, str) for n in names):
        raise ValueError(
            f"bands of X[{name!r}] must be {spec.n_channels} names, each once, as text; got {bands!r:.200}."
        )
    return replace(spec, bands=tuple(map(str, names)))


def known_of(specs, part):
    """What is known of the sources, by name: of their "dates", their "bands", or the "names" of columns."""
    found = {name: getattr(spec, part, None) for name, spec in specs.items()}
    return {name: known for name, known in found.items() if known}


def labels_of(specs, part):
    """The same, of sources in which each stands once: two images of one day need numbers to tell them."""
    return {name: known for name, known in known_of(specs, part).items() if len(set(known)) == len(known)}


def named_as(X, specs):
    """The same samples with the dates and bands that are known of their sources, which have these shapes."""
    known = {name: _completed(spec, specs[name]) for name, spec in X.specs.items()}
    return X._view(X._values, known, X._rows)


def known_dates(name, *specs):
    """Dates of a series, from the first of these specifications by source that has some; else None."""
    return next(filter(None, (getattr(each[name], "dates", None) for each in specs)), None)


def with_dates_of(spec, before):
    """A specification that has the dates of the one before it, if it has as many."""
    dates = getattr(before, "dates", None)
    return replace(spec, dates=dates) if dates and getattr(spec, "n_dates", None) == len(dates) else spec


def _completed(spec, other):
    """A specification that knows the dates and bands of the other, unless it has its own."""
    parts = [part for part in ("dates", "bands") if getattr(spec, part, True) is None]
    return replace(spec, **{part: getattr(other, part) for part in parts})


def check_alike(parts):
    """The specifications of samples that are joined: an error if they differ, a warning if in season only."""
    joined = dict(parts[0])
    for i, specs in enumerate(parts):
        if specs != joined:
            raise ValueError(
                f"MultiSource.concatenate needs the same sources in every part: part 0 has {joined}, part "
                f"{i} has {specs}."
            )
        check_axis_names(specs, joined, "the parts before")
        joined = {name: _completed(spec, specs[name]) for name, spec in joined.items()}
    return joined


def check_axis_names(given, specs, where="fit"):
    """Refuse other columns, and bands in another order, than those before; tell of dates of other seasons."""
    for name, spec in specs.items():
        _check_columns(name, spec, given[name], where)
        _check_bands(name, spec, given[name], where)
        _warn_of_dates(name, spec, given[name], where)


def _check_columns(name, spec, given, where):
    expected, got = (getattr(each, "names", None) for each in (spec, given))
    if expected and got and expected != got:
        raise ValueError(
            f"X[{name!r}] must have the columns {list(expected)} of {where}, in their order; got {list(got)}."
        )


def _check_bands(name, spec, given, where):
    """Other names may be another way of writing; the same ones in another order are another order."""
    expected, got = (getattr(each, "bands", None) or () for each in (spec, given))
    if expected != got and sorted(expected) == sorted(got):
        raise ValueError(
            f"X[{name!r}] must have its bands in the order of {where}, {list(expected)}; got {list(got)}. "
            "Put them in that order."
        )


def _warn_of_dates(name, spec, given, where):
    expected, got = (getattr(each, "dates", None) for each in (spec, given))
    apart, i = furthest_in_year(got, expected) if expected and got else (0, 0)
    if apart > MOST_DAYS_APART:
        warnings.warn(
            f"X[{name!r}] must have its dates at the times of the year of {where}; date {i} (from 0) is "
            f"{got[i]}, that of {where} {expected[i]}. Give dates of the same season, or fit again with "
            "these.",
            stacklevel=2,
        )
