"""From the parameters of a classifier to a network, on a device."""

import torch

from .fusion import FusionNetwork
from .scaling import InputScaler, fit_scaler, scaled_rows

_SHAPING = (
    "hidden_size",
    "n_filters",
    "series_encoder",
    "date_embedding",
    "linear_path",
    "patch_path",
    "linear_vote",
    "stem",
    "dropout",
    "feature_norm",
    "augment",
    "missing",
    "missing_sources",
    "source_dropout",
)


def build_network(settings, X, n_classes, weights):
    """The untrained network; what it knows of the inputs' distribution is learned from the samples of X."""
    scalers = {name: fit_scaler(X, name, settings.normalize, weights) for name in X.names}
    network = FusionNetwork(X.specs, scalers, n_classes, **_shaping(settings))
    for name, path in zip(X.names, network.paths, strict=True):
        if path.n_outputs:
            path.fit(network.without_gaps(scaled_rows(X, name, scalers[name], weights), name))
    return _finished(network, settings.dtype)


def empty_network(settings, sources, n_classes):
    """The network that a saved state fits into."""
    scalers = {
        name: InputScaler(torch.zeros(spec.band_shape), torch.ones(spec.band_shape))
        for name, spec in sources.items()
    }
    with torch.random.fork_rng(devices=[]):  # its random start is overwritten: no draw should be noticed
        network = FusionNetwork(sources, scalers, n_classes, **_shaping(settings))
    return _finished(network, settings.dtype)


def _shaping(settings):
    return {name: getattr(settings, name) for name in _SHAPING}


def _finished(network, dtype):
    kind = torch.float64 if dtype == "float64" else torch.float32
    network.encoders.to(memory_format=torch.channels_last)
    return network.to(dtype=kind)


def resolve_device(device):
    """The name of a torch device; "auto" is a CUDA GPU if there is one."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
        return str(torch.device(device))
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            "device must be 'auto' or a device that this torch can use, such as 'cpu'; got "
            f"{device!r} ({reason})."
        ) from error
