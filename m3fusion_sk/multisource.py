"""The container of several sources that scikit-learn can slice by sample."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral

import numpy as np

from .axisnames import NamedAxes, check_alike, with_dates_of
from .columns import column_names, places_in, take_columns
from .patchview import PatchView
from .rows import LAZY_ROWS, SelectedRows, take_rows
from .sources import check_lengths, infer_spec, spec_from_layout
from .values import as_name, as_values

__all__ = ["MultiSource"]


class MultiSource(NamedAxes):
    """Several sources of the same samples, indexed by sample like one array.

    Scikit-learn sees a two-dimensional array of shape (n_samples, n_features), so that every splitter
    and search accepts it; the sources keep their own shapes. Selecting rows copies nothing: values are
    gathered when they are asked for.

    Parameters
    ----------
    sources : mapping of str to array, optional
        Sources by name: arrays of shape (n_samples, n_dates, n_bands) for a series, (n_samples, n_bands,
        height, width) for a patch, (n_samples, n_features) for a vector, (n_samples, n_dates, n_bands,
        height, width) for a series of patches. Anything with a shape, a dtype
        and row indexing is kept as it is (numpy, memmap, zarr, `PatchView`).
    **named : array
        The same, by keyword.

    Attributes
    ----------
    specs : dict of str to SeriesSpec, PatchSpec or VectorSpec
        What one sample looks like in each source.
    shape : (int, int)
        Number of samples, and of values of a sample in all sources.
    dtype : numpy.dtype
        The type that holds the values of all sources.

    Raises
    ------
    ValueError
        If the sources disagree about the number of samples, or one of them has no known kind, a mask, or
        values that are not real numbers.

    See Also
    --------
    SelectSources : keep some of the sources, as a pipeline step.
    StackedFeatures : flatten all sources into one table.

    Examples
    --------
    >>> import numpy as np
    >>> from m3fusion_sk import MultiSource
    >>> X = MultiSource(ts=np.zeros((60, 34, 16)), patch=np.zeros((60, 5, 25, 25), dtype=np.uint16))
    >>> X.shape
    (60, 3669)
    >>> X[:10]
    MultiSource(10 samples, ts: series (34, 16) float64, patch: patch (5, 25, 25) uint16)
    >>> X[[2, 7]]["ts"].shape
    (2, 34, 16)
    """

    ndim = 2
    __iter__ = None  # iterating over samples and over names are both expected: neither is guessed

    def __init__(self, sources=None, /, **named):
        if sources is not None and not isinstance(sources, Mapping | MultiSource):
            raise TypeError(
                f"MultiSource needs a mapping of names to arrays; got {type(sources).__name__}. "
                "Write MultiSource(ts=ts, patch=patch) or MultiSource({'ts': ts, 'patch': patch})."
            )
        values = {**({} if sources is None else dict(sources)), **named}
        if not values:
            raise ValueError("MultiSource needs at least one source, as in MultiSource(ts=ts); got none.")
        self._values = {as_name(name): as_values(name, v) for name, v in values.items()}
        self._rows = None
        self.specs = {name: infer_spec(name, v.shape) for name, v in self._values.items()}
        tables = {name: tuple(v.columns) for name, v in values.items() if hasattr(v, "columns")}
        self.specs |= {name: replace(self.specs[name], names=names) for name, names in tables.items()}
        if isinstance(sources, MultiSource):  # which may know more of them
            self.specs |= {name: spec for name, spec in sources.specs.items() if name not in named}
        check_lengths({name: int(v.shape[0]) for name, v in self._values.items()})

    @classmethod
    def _view(cls, values, specs, rows):
        view = cls.__new__(cls)
        view._values, view.specs, view._rows = values, specs, rows
        return view

    # ----- what scikit-learn looks at

    def __len__(self):
        if self._rows is not None:
            return len(self._rows)
        return int(next(iter(self._values.values())).shape[0])

    @property
    def shape(self):
        return len(self), sum(spec.size for spec in self.specs.values())

    @property
    def dtype(self):
        return np.result_type(*(v.dtype for v in self._values.values()))

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("MultiSource cannot become one array without a copy.")
        blocks = [self.gather(name).reshape(len(self), spec.size) for name, spec in self.specs.items()]
        return np.concatenate(blocks, axis=1).astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key):
        if isinstance(key, str):
            as_given = self._rows is None and not isinstance(self.values_of(key), LAZY_ROWS)
            return self.values_of(key) if as_given else self.gather(key)
        if isinstance(key, tuple):
            return self._getitem_2d(key)
        if isinstance(key, Integral) and not isinstance(key, bool):
            row = range(len(self))[key]
            return {name: self.gather(name, [row])[0] for name in self.specs}
        return self._view(self._values, self.specs, self._compose(key))

    def _getitem_2d(self, key):
        rows, columns = key if len(key) == 2 else (None, None)
        if len(key) != 2:
            raise IndexError(f"MultiSource has two dimensions; got an index of {len(key)}: {key!r}.")
        rows = slice(None) if rows is Ellipsis else rows
        if columns is Ellipsis or (isinstance(columns, slice) and columns == slice(None)):
            return self[rows]
        single = isinstance(rows, Integral)
        table = take_columns(self[[rows] if single else rows], columns)
        return table[0] if single else table

    def _compose(self, key):
        if isinstance(key, list) and key and isinstance(key[0], str):
            raise IndexError(
                f"MultiSource takes rows, or the name of one source; for several: X.select({key})."
            )
        rows = np.arange(len(self)) if self._rows is None else self._rows
        selected = rows[key]
        if np.ndim(selected) != 1:
            raise IndexError(
                f"MultiSource takes a one-dimensional index of rows, or the name of a source; got {key!r}."
            )
        return selected

    # ----- access by source

    @property
    def names(self):
        """Names of the sources, in declaration order."""
        return tuple(self.specs)

    def keys(self):
        """Names of the sources, as of a dict."""
        return self.specs.keys()

    def items(self):
        """Names and values of the sources, as of a dict: ``dict(X.items())`` is a plain dict."""
        return [(name, self[name]) for name in self.specs]

    def arrays(self):
        """All sources as arrays, by name."""
        return {name: self.gather(name) for name in self.specs}

    def __contains__(self, name):
        return name in self.specs

    def values_of(self, name):
        """The values of a source as they were given, before any selection of rows.

        Parameters
        ----------
        name : str
            Name of the source.

        Returns
        -------
        array of shape (n_given, ...)
        """
        return self._values[self._known(name)]

    def rows_of(self, name):
        """The values of a source for the rows of this container, gathered only when they are indexed.

        Parameters
        ----------
        name : str
            Name of the source.

        Returns
        -------
        array-like of shape (n_samples, ...)
            Of any kind that has rows.
        """
        values = self.values_of(name)
        if self._rows is None:
            return values
        return values.take(self._rows) if isinstance(values, PatchView) else SelectedRows(values, self._rows)

    def gather(self, name, rows=None):
        """Values of one source as an array.

        Parameters
        ----------
        name : str
            Name of the source.
        rows : slice or array of int, optional
            Rows of this container; all by default.

        Returns
        -------
        array of shape (n_rows, ...)
            A view where the rows are contiguous in an array held in memory, else a copy.
        """
        values = self._values[self._known(name)]
        index = self._rows
        if rows is not None:
            index = rows if index is None else index[rows]
        if index is None:
            index = slice(None)
        return take_rows(values, index)

    def _known(self, name):
        if name not in self.specs:
            raise KeyError(f"MultiSource has no source {name!r}; it has {list(self.specs)}.")
        return name

    def select(self, names):
        """The same samples with some of the sources.

        Parameters
        ----------
        names : list of str
            The sources to keep, in this order.

        Returns
        -------
        MultiSource
            No values are copied.
        """
        if isinstance(names, str) or not len(names) or len(set(names)) < len(names):
            raise ValueError(
                f"select needs a list of names, each once, as {list(self.specs)[:1]}; got {names!r}."
            )
        values = {name: self._values[self._known(name)] for name in names}
        return self._view(values, {name: self.specs[name] for name in names}, self._rows)

    def replace(self, /, **named):
        """The same samples with some sources replaced or added.

        Parameters
        ----------
        **named : array of shape (n_samples, ...)
            New values, by name of the source. A series that has as many dates as before keeps their days.

        Returns
        -------
        MultiSource
            The other sources are not copied.
        """
        others = {name: spec for name, spec in self.specs.items() if name not in named}
        made = MultiSource({**{name: self.rows_of(name) for name in self.specs}, **named})
        specs = {name: with_dates_of(spec, self.specs.get(name)) for name, spec in made.specs.items()}
        return self._view(made._values, {**specs, **others}, None)  # names of their columns too

    def materialize(self):
        """A copy that holds its own rows only, in memory: small to pickle after a selection of rows.

        Returns
        -------
        MultiSource
        """
        return self._view({name: np.array(v) for name, v in self.arrays().items()}, self.specs, None)

    @staticmethod
    def concatenate(parts):
        """Join the samples of several containers that have the same sources.

        Parameters
        ----------
        parts : sequence of MultiSource

        Returns
        -------
        MultiSource
            With the samples of the first part first.
        """
        parts = [part if isinstance(part, MultiSource) else MultiSource(part) for part in parts]
        if not parts:
            raise ValueError("MultiSource.concatenate needs at least one container; got none.")
        specs = check_alike([part.specs for part in parts])
        joined = {name: np.concatenate([part.gather(name) for part in parts]) for name in parts[0].specs}
        return MultiSource._view(joined, specs, None)

    # ----- one flat table

    @property
    def column_names(self):
        """Names of the flattened columns: ``ts_t00_b00``, ..., ``patch_b00_r00_c00``, ..."""
        return column_names(self.specs)

    @classmethod
    def from_flat(cls, array, sources):
        """Cut a table of shape (n_samples, n_features) into sources.

        Parameters
        ----------
        array : array of shape (n_samples, n_features)
            The flattened values, source after source; in any order where columns of a table name them.
        sources : dict of str to SeriesSpec, PatchSpec or VectorSpec, or to tuple
            How to cut them: as ``specs`` has it, or the shape of a sample, as ``{"ts": (34, 16)}``.

        Returns
        -------
        MultiSource
        """
        sources = {
            name: spec_from_layout(name, spec) if isinstance(spec, tuple | list | Integral) else spec
            for name, spec in sources.items()
        }
        array = np.asarray(array)[:, places_in(getattr(array, "columns", []), sources)]
        stops = np.cumsum([spec.size for spec in sources.values()])
        if array.shape[1] != stops[-1]:
            raise ValueError(
                f"X must have {stops[-1]} columns to be cut into {dict(sources)}; got shape {array.shape}."
            )
        pieces = zip(sources.items(), np.split(array, stops[:-1], axis=1), strict=True)
        made = cls({name: piece.reshape(len(array), *spec.shape) for (name, spec), piece in pieces})
        return cls._view(made._values, sources, None)  # which may know more of them

    def __repr__(self):
        specs = self.specs.items()
        parts = [f"{name}: {spec.kind} {spec.shape} {self._values[name].dtype}" for name, spec in specs]
        return f"MultiSource({len(self)} samples, {', '.join(parts)})"
