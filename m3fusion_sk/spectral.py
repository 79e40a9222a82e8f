"""The step that adds spectral indices to series and patches."""

from collections.abc import Mapping
from functools import partial
from numbers import Real

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .catalogue import (
    check_formulas,
    checked_constants,
    default_constants,
    indices_by_source,
    load_catalogue,
    needed,
    standard_names,
)
from .columns import column_names
from .patchview import PatchView
from .rows import map_rows
from .sources import infer_spec
from .transformer import SourceTransformer, as_given, check_chosen, joined

__all__ = ["SpectralIndices"]


class SpectralIndices(SourceTransformer):
    """Add spectral indices to the bands of series and patches, as further bands.

    Formulas are those of spyndex, the catalogue of Awesome Spectral Indices; it comes with
    ``pip install "m3fusion_sk[indices]"``.

    Parameters
    ----------
    bands : dict of str to list of str
        Name of each band of the sources that get indices, in order: spyndex's own names ("B", "G", "R",
        "RE1", "N", "S1", "VV", ...) or those of Sentinel-2 ("B02" or "B2", ..., "B8A"). None stands for a
        band that no index uses.
    indices : list of str, or dict of str to list of str, optional
        Names in spyndex's catalogue. A list is for all sources of `bands`, and each source gets those
        whose bands it has; a dict says it by source. By default those of the M3Fusion method: vegetation
        (NDVI), water (NDWI), brightness (BITM), their forms with the middle infrared (MNDVI, MNDWI), and
        the red edge (NDREI).
    scale : float or dict of str to float, default=1.0
        Factor from stored values to reflectance, such as 1e-4 for Sentinel-2. Differences over sums do
        not depend on it; EVI, SAVI and others do. The bands themselves keep their values. A dict is by
        source, 1 for those of `bands` that it leaves out.
    constants : dict of str to float, optional
        Constants of formulas that shall differ from spyndex's defaults, such as ``{"L": 0.5}``.
    layout : dict of str to tuple, optional
        Shape of one sample in each source, where X is a flat table: ``{"ts": (34, 10)}``.

    Attributes
    ----------
    indices_ : dict of str to list of str
        The indices that each source gets.
    formulas_ : dict of str to str
        The formula of each index, as spyndex had it in `fit`.
    sources_ : dict of str to SeriesSpec, PatchSpec or VectorSpec
        What ``fit`` saw.
    n_features_in_ : int
        Number of values of a sample in all sources.
    feature_names_in_ : array of str
        Names of the columns, if X was a table that had any.

    Raises
    ------
    ImportError
        If spyndex is missing.

    Notes
    -----
    An index is 0 where its formula divides by zero or takes a root of a negative number, which fillers
    and shadows bring about. NaN in a band is NaN in its indices: `GapFiller` may come before or after.
    Sources with indices become float32, or float64 where they were. Those on disk stay there and get
    their indices as they are read.

    References
    ----------
    Montero, D., Aybar, C., Mahecha, M. D., Martinuzzi, F., Sochting, M., Wieneke, S. (2023). A
    standardized catalogue of spectral indices to advance the use of remote sensing in Earth system
    research. Scientific Data 10, 197.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk.preprocessing import SpectralIndices
    >>> X = {"ts": np.array([[[400, 2800], [0, 0]]]), "spot": np.full((1, 3, 5, 5), 900)}
    >>> step = SpectralIndices({"ts": ["B04", "B08"], "spot": ["G", "R", "N"]}, indices=["NDVI", "NDWI"])
    >>> more = step.fit_transform(X)
    >>> step.indices_
    {'ts': ['NDVI'], 'spot': ['NDVI', 'NDWI']}
    >>> more["ts"][0]
    array([[4.0e+02, 2.8e+03, 7.5e-01],
           [0.0e+00, 0.0e+00, 0.0e+00]], dtype=float32)
    >>> more["spot"].shape
    (1, 5, 5, 5)
    """

    def __init__(self, bands, indices=None, *, scale=1.0, constants=None, layout=None):
        self.bands = bands
        self.indices = indices
        self.scale = scale
        self.constants = constants
        self.layout = layout

    def fit(self, X, y=None):
        """Find out which source gets which index.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples. NaN is allowed.
        y : ignored

        Returns
        -------
        SpectralIndices
            This object.

        Raises
        ------
        TypeError, ValueError
            If `bands` does not name the bands of sources of X, an index is unknown, or no source has the
            bands of an index.
        """
        catalogue = load_catalogue()
        self._check(X, reset=True)
        names = standard_names(self.bands, self.sources_, catalogue)
        constants = {**default_constants(catalogue), **checked_constants(self.constants, catalogue)}
        if isinstance(self.scale, Mapping):
            check_chosen("scale", list(self.scale), names)
        for name in names:
            self._scale_of(name)
        self.indices_ = indices_by_source(self.indices, names, constants, catalogue)
        chosen = dict.fromkeys(index for part in self.indices_.values() for index in part)
        self.formulas_ = {index: catalogue.indices[index].formula for index in chosen}
        self._names, self._constants = names, constants
        return self

    def _scale_of(self, name):
        scale = self.scale.get(name, 1.0) if isinstance(self.scale, Mapping) else self.scale
        if not isinstance(scale, Real) or not 0 < scale < np.inf:
            raise ValueError(f"scale must be a positive number, or a dict of such by source; got {scale!r}.")
        return float(scale)

    def transform(self, X):
        """Add the indices.

        Parameters
        ----------
        X : MultiSource, dict of str to array, DataFrame or array
            Samples with the sources that ``fit`` saw.

        Returns
        -------
        MultiSource or array of shape (n_samples, n_features)
            The same samples, with the indices behind the bands of their sources.
        """
        check_is_fitted(self, "indices_")
        check_formulas(self.formulas_, load_catalogue())
        X = self._check(X, reset=False)
        return as_given(
            self, X.replace(**{name: self._extended(X, name) for name in self.indices_ if name in X})
        )

    def _extended(self, X, name):
        spec = X.specs[name]
        dtype = np.float64 if np.dtype(X.values_of(name).dtype) == np.float64 else np.float32
        formulas = {index: needed(index, load_catalogue()) for index in self.indices_[name]}
        add = partial(
            with_indices,
            formulas=formulas,
            bands=self._names[name],
            constants=self._constants,
            scale=self._scale_of(name),
            dtype=dtype,
        )
        return _added(X, name, partial(add, axis=1 + spec.band_axis), add, self._shape(name), dtype)

    def _shape(self, name):
        """Shape of one sample with its indices."""
        spec = self.sources_[name]
        n_more = len(self.indices_[name])
        return tuple(n + n_more * (axis == spec.band_axis) for axis, n in enumerate(spec.shape))

    def get_feature_names_out(self, input_features=None):
        """Names of the flattened columns; indices are named as bands are, ``ts_t00_b10`` and so on.

        Parameters
        ----------
        input_features : ignored
            Except that it must agree with what ``fit`` saw, and names the columns of a plain table.

        Returns
        -------
        array of str
        """
        names = self._names_by_source(input_features)
        check_is_fitted(self, "indices_")
        for name in self.indices_:
            names[name] = column_names({name: infer_spec(name, (0, *self._shape(name)))})
        return joined(names.values())


def with_indices(values, axis, formulas, bands, constants, scale, dtype):
    """`values` and the indices behind their bands, along `axis`."""
    spyndex = load_catalogue()
    values = values.astype(dtype, copy=False)
    scaled = {band: values.take(i, axis) * dtype(scale) for i, band in enumerate(bands) if band is not None}
    parts = [values]
    for index, parts_of in formulas.items():
        params = {name: scaled[name] if name in scaled else constants[name] for name in parts_of}
        with np.errstate(all="ignore"):
            result = np.asarray(spyndex.computeIndex(index, params), dtype=dtype)
        holes = ~np.isfinite(result)
        if holes.any():  # 0 for a division by zero, NaN for a missing value
            lacking = [np.isnan(params[name]) for name in parts_of if name in scaled]
            result[holes & ~np.any(lacking, axis=0)] = 0
        parts.append(np.expand_dims(result, axis))
    return np.concatenate(parts, axis=axis)


def _added(X, name, add_rows, add, row_shape, dtype):
    """The source with indices: computed now if it is in memory, else as it is read."""
    values = X.rows_of(name)
    if isinstance(values, PatchView):  # of the block once, not of each patch
        image = add(values.image, axis=X.specs[name].band_axis)
        return PatchView(image, values.rows, values.cols, values.size)
    return map_rows(values, add_rows, row_shape, dtype)
