"""The step that fills gaps of time series before a classifier."""

from functools import partial

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .axisnames import known_dates, named_as
from .dates import as_days
from .gaps import VALUES_AT_ONCE, fill_block
from .network.batches import as_tensor
from .rows import map_rows, row_blocks
from .transformer import SourceTransformer, as_given, check_chosen, joined

__all__ = ["GapFiller"]

FIRST_VALUES = 1 << 12  # where a gap is looked for first: most series that have some have one there


class GapFiller(SourceTransformer):
    """Fill the gaps (NaN) of time series linearly in time.

    Before the first valid date of a pixel and band its first valid value is taken, after the last one
    its last valid value. A band without any valid date is filled with its mean over the samples and
    dates that ``fit`` saw.

    Parameters
    ----------
    source : str or list of str, optional
        The series to fill, those of patches included; all by default.
    dates : sequence of str or datetime64, optional
        Dates of these series, in ascending order, as "2018-05-11" or "20180511". By default those that X
        knows of each (of a scene, or by `MultiSource.with_dates`), else those that the X of ``fit`` knew,
        else equal steps. Given here they are of every chosen series: different calendars need a step each,
        with `source`.
    layout : dict of str to tuple, optional
        Shape of one sample in each source, where X is a flat table: ``{"ts": (34, 16)}``.

    Attributes
    ----------
    means_ : dict of str to array of shape (n_bands,)
        Mean of the valid values of each band of the series to fill.
    sources_ : dict of str to SeriesSpec, PatchSpec or VectorSpec
        What ``fit`` saw.
    n_features_in_ : int
        Number of values of a sample in all sources.
    feature_names_in_ : array of str
        Names of the columns, if X was a table that had any.

    See Also
    --------
    m3fusion_sk.gaps.fill_linear : the filling itself, with a mask instead of NaN.

    Notes
    -----
    Sources without NaN pass through unchanged, whatever their type. After ``fit`` X may lack sources, for a
    classifier that can do without them. Samples that lack the whole series (all NaN) get the means too; to
    have them predicted from the other sources, leave the filling to
    ``M3FusionClassifier(missing="fill", missing_sources="drop")``. A plain table, which has no dates,
    comes back as a table; all else as a `MultiSource`, unless ``set_output`` asks for a table.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.preprocessing import GapFiller
    >>> X = {"ts": np.array([[[1.0], [np.nan], [4.0]]])}
    >>> fill = GapFiller(dates=["2018-05-01", "2018-05-11", "2018-05-31"])
    >>> fill.fit_transform(X)["ts"][0, :, 0]
    array([1., 2., 4.])
    """

    def __init__(self, source=None, dates=None, layout=None):
        self.source = source
        self.dates = dates
        self.layout = layout

    def fit(self, X, y=None):
        """Learn the shapes of the sources and the means of the bands.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples, with NaN in the gaps.
        y : ignored

        Returns
        -------
        GapFiller
            This object.

        Raises
        ------
        TypeError, ValueError
            If `source` does not name series of X, `dates` are not theirs, or a band has no valid value.
        """
        self._learn(self._check(X, reset=True))
        return self

    def _learn(self, X):
        self.means_ = {}
        for name in self._chosen():
            self._days(name, X)
            self.means_[name] = _band_means(X, name)

    def _chosen(self):
        if self.source is None:
            return [name for name, spec in self.sources_.items() if "n_dates" in spec.axes]
        chosen = [self.source] if isinstance(self.source, str) else self.source
        check_chosen("source", chosen, self.sources_)
        kinds = {name: self.sources_[name] for name in chosen}
        others = {name: spec.kind for name, spec in kinds.items() if "n_dates" not in spec.axes}
        if others:
            raise ValueError(f"source must name series, which have dates; got {others}.")
        return chosen

    def _days(self, name, X):
        """Days of the series' dates; checked."""
        n_dates = self.sources_[name].n_dates
        dates = known_dates(name, X.specs, self.sources_) if self.dates is None else self.dates
        dates = np.arange(n_dates) if dates is None else dates
        return as_days(dates, n_dates, f"dates of X[{name!r}]")

    def transform(self, X):
        """Fill the gaps.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples with the sources that ``fit`` saw.

        Returns
        -------
        MultiSource or array of shape (n_samples, n_features)
            The same samples without NaN in the filled series. X itself is unchanged.
        """
        check_is_fitted(self, "means_")
        return self._fill(self._check(X, reset=False))

    def fit_transform(self, X, y=None):
        """Learn the means and fill the gaps of the same samples, which are checked once.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples, with NaN in the gaps.
        y : ignored

        Returns
        -------
        MultiSource or array of shape (n_samples, n_features)
            As ``fit(X).transform(X)``.
        """
        X = self._check(X, reset=True)
        self._learn(X)
        return self._fill(X)

    def _fill(self, X):
        there = {name: means for name, means in self.means_.items() if name in X}
        filled = {name: _filled(X, name, means, self._days(name, X)) for name, means in there.items()}
        filled = {name: values for name, values in filled.items() if values is not None}
        return as_given(self, named_as(X.replace(**filled), X.specs) if filled else X)

    def get_feature_names_out(self, input_features=None):
        """Names of the flattened columns, as in `StackedFeatures`.

        Parameters
        ----------
        input_features : ignored
            Except that it must agree with what ``fit`` saw, and names the columns of a plain table.

        Returns
        -------
        array of str
        """
        return joined(self._names_by_source(input_features).values())


def _band_means(X, name):
    """Mean of the valid values of each band of a series."""
    spec = X.specs[name]
    total, count = np.zeros((2, spec.n_bands))
    others = tuple(axis for axis in range(len(spec.shape)) if axis != spec.band_axis)
    for rows in row_blocks(len(X), spec.size, VALUES_AT_ONCE):
        sums, numbers = _valid_sums(X.gather(name, rows).reshape(-1, spec.size))
        total += sums.reshape(spec.shape).sum(axis=others)
        count += numbers.reshape(spec.shape).sum(axis=others)
    if not count.all():
        raise ValueError(
            f"X[{name!r}] has no valid value in band {np.argmin(count)} (counted from 0) of any sample. "
            "Leave the band out."
        )
    return total / count


def _valid_sums(values):
    """Sum and number of the valid values of each column, of rows of samples: few, and as fast as wide."""
    sums = torch.nansum(as_tensor(values), dim=0, dtype=torch.float64).numpy()
    return sums, len(values) - np.isnan(values).view(np.uint8).sum(axis=0, dtype=np.uint32)


def _filled(X, name, means, days):
    """The series without gaps, as they are read where they are not in memory; None where it has none."""
    spec, dtype = X.specs[name], np.dtype(X.values_of(name).dtype)
    if dtype.kind != "f" or not _has_gaps(X, name):
        return None
    fill = partial(_fill_rows, means=means.reshape(spec.band_shape), days=days)
    return map_rows(X.rows_of(name), fill, spec.shape, dtype)


def _has_gaps(X, name):
    size = X.specs[name].size
    blocks = [slice(0, FIRST_VALUES // size + 1), *row_blocks(len(X), size, VALUES_AT_ONCE)]
    return any(np.isnan(X.gather(name, rows)).any() for rows in blocks)


def _fill_rows(values, means, days):
    """Rows of a series without gaps, a copy."""
    filled = np.empty(values.shape, np.result_type(values, np.float32))  # half precision is too coarse
    for rows in row_blocks(len(filled), filled[:1].size, VALUES_AT_ONCE):
        filled[rows] = values[rows]
        _fill_pixels(filled[rows], means, days)
    return filled.astype(values.dtype, copy=False)


def _fill_pixels(values, means, days):
    """Fill a block in place; bands, or bands of the pixels of patches, have gaps of their own."""
    missing, pixels = np.isnan(values), (len(values), values.shape[1], -1)
    if missing.any() and fill_block(values.reshape(pixels), missing.reshape(pixels), days):
        np.copyto(values, means, where=np.isnan(values), casting="same_kind")
