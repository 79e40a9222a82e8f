"""Sources that a pixel may lack: NaN stands for them."""

from collections.abc import Collection

import numpy as np

from ..patchview import PatchView

__all__ = ["check_optional", "nan_type", "with_nan"]


def check_optional(optional, sources):
    """Names of the optional sources, from one name or several."""
    if not isinstance(optional, str | Collection):
        raise TypeError(f"optional must be a name of a source, or a list of such; got {optional!r}.")
    names = [optional] if isinstance(optional, str) else list(optional)
    unknown = [name for name in names if name not in sources]
    if unknown:
        raise ValueError(f"optional must name sources among {list(sources)}; got {unknown}.")
    return frozenset(names)


def nan_type(dtype):
    """The type of values that may be NaN: float32, unless they are float64."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def with_nan(values, lacking):
    """Values in such a type, with nothing but NaN for the pixels that lack the source."""
    dtype = nan_type(values.dtype)
    if isinstance(values, PatchView):
        return values.without(lacking, dtype)
    values = values.astype(dtype, copy=False)
    values[lacking] = np.nan
    return values
