"""Values in other units than those of `fit`: told by how far they lie from what the scaling has seen."""

import warnings

import numpy as np

N_BLOCKS, N_ROWS, N_VALUES = 4, 8, 500  # that are looked at: blocks of samples, and values of a band
TIMES = 1000  # by which values must be too large or too small, as by a scale of 0.0001 that was left out


def warn_of_units(X, network):
    """Tell of sources all of whose bands lie far outside of what the network was fitted to.

    Parameters
    ----------
    X : MultiSource
        A few samples may be as strange as they like.
    network : FusionNetwork
        Its scaling holds the mean and deviation, or the least value and the range, of each band.
    """
    if len(X) < N_ROWS:
        return
    for name, scaler in zip(network.sources, network.scalers, strict=True):
        center, scale = (part.detach().cpu().numpy().ravel() for part in (scaler.center, scaler.scale))
        told = scale != 1  # not that of a constant band, nor where nothing is normalised
        if told.any() and _is_far(_looked_at(X, name)[:, told], center[told], scale[told], X.specs[name]):
            warnings.warn(
                f"X[{name!r}] lies far from what fit saw: by {TIMES} times and more, in all its bands. Are "
                "scale, offset and nodata those of the samples of fit?",
                stacklevel=4,
            )


def _looked_at(X, name):
    """Values of some samples, of shape (n_values, n_bands)."""
    spec = X.specs[name]
    starts = np.unique(np.linspace(0, len(X) - N_ROWS, N_BLOCKS).astype(int))
    rows = np.concatenate([X.gather(name, slice(start, start + N_ROWS)) for start in starts.tolist()])
    values = np.moveaxis(rows, 1 + spec.band_axis, -1).reshape(-1, spec.n_channels)
    return values[:: len(values) // N_VALUES + 1].astype(np.float64)


def _is_far(values, center, scale, spec):
    """Whether the middle value of each band is far too large, or far too small, for what was seen."""
    middle = _middle(values)
    unknown = np.isnan(middle)
    too_large = np.abs(middle - center) > TIMES * scale
    level = np.abs(center) > scale / 2  # of bands around 0 small values are common; so where a range is known
    too_small = level & (middle != 0) & (np.abs(middle) * TIMES < np.abs(center))
    if spec.kind == "vector" or len(center) < 2:
        too_small[:] = False  # a plain by the sea is low, and a single index may be near 0
    return not unknown.all() and any((far | unknown).all() for far in (too_large, too_small))


def _middle(values):
    """The median of each band without its gaps (NaN), which take time; NaN where there is nothing else."""
    gaps = np.isnan(values)
    middle = np.median(values, axis=0)
    some = gaps.any(axis=0) & ~gaps.all(axis=0)
    middle[some] = np.nanmedian(values[:, some], axis=0)
    return middle
