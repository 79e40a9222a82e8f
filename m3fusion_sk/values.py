"""What the values of a source may be, and what they may not."""

import numpy as np

_DIMENSIONS = "time t date dates", "band bands", "y lat latitude", "x lon longitude"
_PLACES = {name: place for place, names in enumerate(_DIMENSIONS) for name in names.split()}


def as_name(name):
    if not isinstance(name, str) or not name:
        raise TypeError(f"Names of sources must be non-empty strings; got {name!r}.")
    return name


def as_values(name, values):
    if values is None:
        raise TypeError(
            f"X[{name!r}] must be an array; got None. Leave the source out, or give NaN for samples that "
            "lack it: a fitted M3FusionClassifier(missing_sources='drop') takes both."
        )
    if isinstance(values, np.ma.MaskedArray):
        raise ValueError(
            f"X[{name!r}] must be a plain array; got a masked array, whose mask would be lost. For a series "
            f"write X[{name!r}].astype('float32').filled(np.nan) and fill the gaps with GapFiller."
        )
    if hasattr(values, "toarray"):
        raise TypeError(
            f"X[{name!r}] must be dense; got the sparse type {type(values).__name__}. Use .toarray()."
        )
    if hasattr(values, "detach"):  # a torch tensor
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    if not all(hasattr(values, a) for a in ("shape", "dtype", "__getitem__")) or hasattr(values, "iloc"):
        values = _as_array(name, values)
    _check_dims(name, values)
    if any(size != size for size in values.shape):
        raise ValueError(
            f"X[{name!r}] must have a known number of samples; got shape {values.shape}, as dask has it "
            "after a choice by a mask. Call compute_chunk_sizes() on it first."
        )
    dtype = np.dtype(values.dtype)
    if dtype.kind not in "biuf":
        raise ValueError(
            f"X[{name!r}] must hold real numbers; got dtype {dtype}. Convert it, for instance with "
            f"np.asarray(X[{name!r}], dtype='float32')."
        )
    return values


def _check_dims(name, values):
    """Refuse dimensions whose names, as xarray has them, say that they stand in another order."""
    dims = getattr(values, "dims", ())
    known = [dim for dim in dims[1:] if dim in _PLACES] if isinstance(dims, tuple) else []
    if known != sorted(known, key=_PLACES.get):
        raise ValueError(
            f"X[{name!r}] must have its dimensions in the order samples, dates, bands, rows, columns; got "
            f"{dims}. Write .transpose(...)."
        )


def _as_array(name, values):
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"X[{name!r}] must be an array with samples of one shape; got {error}") from error
