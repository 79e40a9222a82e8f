"""Steps before a classifier: stack or select sources, fill gaps in time, add spectral indices."""

import math

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .gapfiller import GapFiller
from .rows import row_blocks
from .spectral import SpectralIndices
from .transformer import SourceTransformer, as_given, check_chosen, joined

__all__ = ["GapFiller", "SelectSources", "SpectralIndices", "StackedFeatures"]

_STATISTICS = ("centre", "mean", "std", "p10", "p50", "p90")


class StackedFeatures(SourceTransformer):
    """Flatten all sources into one table, for classifiers that take plain features.

    A series is flattened date by date, then band; a vector stays as it is; a patch becomes its raw
    values, or a few numbers for each band.

    Parameters
    ----------
    patch : {"flatten", "statistics", "centre"}, default="flatten"
        What becomes of a patch: all its values, band by band and row by row; for each band its centre
        pixel, mean, standard deviation and 10th, 50th and 90th percentile; or its centre pixel only.
        The centre is at ``(height // 2, width // 2)``.
    layout : dict of str to tuple, optional
        Shape of one sample in each source, where X is a flat table: ``{"ts": (34, 16)}``.

    Attributes
    ----------
    sources_ : dict of str to SeriesSpec, PatchSpec or VectorSpec
        What ``fit`` saw.
    n_features_in_ : int
        Number of values of a sample in all sources.
    feature_names_in_ : array of str
        Names of the columns, if X was a table that had any.

    See Also
    --------
    stacked_forest : a random forest on these features.
    SelectSources : leave sources out.

    Notes
    -----
    The table is float64 if a source is, else float32. Patches are read some rows at a time, so that
    statistics of patches on disk need little memory.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.preprocessing import StackedFeatures
    >>> X = {"ts": np.ones((4, 3, 2)), "patch": np.ones((4, 2, 5, 5))}
    >>> stack = StackedFeatures(patch="centre").fit(X)
    >>> stack.transform(X).shape
    (4, 8)
    >>> stack.get_feature_names_out()[[0, 5, 7]].tolist()
    ['ts_t00_b00', 'ts_t02_b01', 'patch_b01_centre']
    """

    _allow_nan = False
    _allow_absent = False

    def __init__(self, patch="flatten", layout=None):
        self.patch = patch
        self.layout = layout

    def fit(self, X, y=None):
        """Learn the shapes of the sources.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples.
        y : ignored

        Returns
        -------
        StackedFeatures
            This object.
        """
        if self.patch not in ("flatten", "statistics", "centre"):
            raise ValueError(f"patch must be 'flatten', 'statistics' or 'centre'; got {self.patch!r}.")
        self._check(X, reset=True)
        return self

    def transform(self, X):
        """Flatten the sources.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples with the sources that ``fit`` saw.

        Returns
        -------
        array of shape (n_samples, n_features_out)
            The values of all sources, in the order that ``fit`` saw.
        """
        check_is_fitted(self, "sources_")
        X = self._check(X, reset=False)
        doubles = any(np.dtype(X.values_of(name).dtype) == np.float64 for name in X.names)
        dtype = np.float64 if doubles else np.float32
        table = np.empty((len(X), len(self.get_feature_names_out())), dtype)
        for rows in row_blocks(len(X), X.shape[1]):
            blocks = [self._flatten(X.gather(name, rows), spec, dtype) for name, spec in X.specs.items()]
            np.concatenate(blocks, axis=1, out=table[rows])
        return table

    def _flatten(self, values, spec, dtype):
        if spec.kind != "patch" or self.patch == "flatten":
            return values.reshape(len(values), -1).astype(dtype, copy=False)
        if self.patch == "centre":
            return _centres(values).astype(dtype, copy=False)
        return _patch_statistics(values.astype(dtype, copy=False))

    def get_feature_names_out(self, input_features=None):
        """Names of the columns.

        Parameters
        ----------
        input_features : ignored
            Except that it must agree with what ``fit`` saw, and names the columns of a plain table.

        Returns
        -------
        array of str
            ``ts_t00_b00``, ``patch_b00_r00_c00`` or ``patch_b00_mean``, and so on.
        """
        names = self._names_by_source(input_features)
        if self.patch != "flatten":
            parts = _STATISTICS if self.patch == "statistics" else ("centre",)
            for name, spec in self.sources_.items():
                if spec.kind == "patch":  # patch_b00_r00_c00 becomes patch_b00_mean
                    bands = [column.rsplit("_", 2)[0] for column in names[name][:: spec.height * spec.width]]
                    names[name] = [f"{band}_{part}" for band in bands for part in parts]
        return joined(names.values())


class SelectSources(SourceTransformer):
    """Keep some of the sources, for instance to see what a classifier does with one alone.

    Parameters
    ----------
    names : list of str, optional
        The sources to keep, in this order; all by default.
    layout : dict of str to tuple, optional
        Shape of one sample in each source, where X is a flat table: ``{"ts": (34, 16)}``.

    Attributes
    ----------
    sources_ : dict of str to SeriesSpec, PatchSpec or VectorSpec
        What ``fit`` saw, including sources that are not kept.
    n_features_in_ : int
        Number of values of a sample in all sources.
    feature_names_in_ : array of str
        Names of the columns, if X was a table that had any.

    See Also
    --------
    MultiSource.select : the same, without a step.

    Notes
    -----
    After ``fit``, sources that are not kept may be absent or have other shapes. A plain table, whose
    only source is named "X", comes back as a table; all else as a `MultiSource`, unless ``set_output``
    asks for a table.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.preprocessing import SelectSources
    >>> SelectSources(["ts"]).fit_transform({"ts": np.ones((4, 3, 2)), "patch": np.ones((4, 2, 5, 5))})
    MultiSource(4 samples, ts: series (3, 2) float64)
    """

    def __init__(self, names=None, layout=None):
        self.names = names
        self.layout = layout

    def fit(self, X, y=None):
        """Learn the shapes of the sources.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples. NaN is allowed.
        y : ignored

        Returns
        -------
        SelectSources
            This object.

        Raises
        ------
        TypeError, ValueError
            If `names` is not a list of names of sources of X.
        """
        self._check(X, reset=True)
        check_chosen("names", self._kept(), self.sources_)
        return self

    def _kept(self):
        return list(self.sources_) if self.names is None else self.names

    def transform(self, X):
        """Keep the named sources.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples with at least the sources to keep.

        Returns
        -------
        MultiSource or array of shape (n_samples, n_features)
            The kept sources of the same samples; no values are copied.
        """
        check_is_fitted(self, "sources_")
        return as_given(self, self._check(X, reset=False, names=self._kept()))

    def get_feature_names_out(self, input_features=None):
        """Names of the flattened columns of the kept sources, as in `StackedFeatures`.

        Parameters
        ----------
        input_features : ignored
            Except that it must agree with what ``fit`` saw, and names the columns of a plain table.

        Returns
        -------
        array of str
        """
        names = self._names_by_source(input_features)
        return joined(names[name] for name in self._kept())


def _patch_statistics(values):
    """Centre, mean, standard deviation and percentiles of each band, of shape (n, 6 * n_bands)."""
    flat = values.reshape(*values.shape[:2], -1)
    parts = [_centres(values), flat.mean(axis=2), flat.std(axis=2), *_percentiles(flat, (10, 50, 90))]
    return np.stack(parts, axis=2).reshape(len(values), -1)


def _percentiles(flat, percents):
    """Along axis 2 and interpolated linearly, as `numpy.percentile`; sorting all is many times faster."""
    ordered = np.sort(flat, axis=2)
    for percent in percents:
        place = percent / 100 * (flat.shape[2] - 1)
        low, high = ordered[..., math.floor(place)], ordered[..., math.ceil(place)]
        yield low + (place % 1) * (high - low)


def _centres(values):
    return values[:, :, values.shape[2] // 2, values.shape[3] // 2]
