"""From the parameters of a classifier to a network, on a device."""

import numpy as np
import torch

from .fusion import FusionNetwork
from .scaling import InputScaler, fit_scaler

_SHAPING = ("hidden_size", "n_filters", "stem", "dropout", "feature_norm", "date_embedding", "augment")


def build_network(settings, X, n_classes, weights):
    """The untrained network, with input normalisation learned from the samples of X."""
    scalers = {name: fit_scaler(X, name, settings.normalize, weights) for name in X.names}
    return _network(settings, X.specs, scalers, n_classes)


def empty_network(settings, sources, n_classes):
    """The network that a saved state fits into."""
    scalers = {
        name: InputScaler(np.zeros(spec.band_shape), np.ones(spec.band_shape))
        for name, spec in sources.items()
    }
    with torch.random.fork_rng(devices=[]):  # its random start is overwritten: no draw should be noticed
        return _network(settings, sources, scalers, n_classes)


def _network(settings, sources, scalers, n_classes):
    shaping = {name: getattr(settings, name) for name in _SHAPING}
    network = FusionNetwork(sources, scalers, n_classes, **shaping)
    dtype = torch.float64 if settings.dtype == "float64" else torch.float32
    return network.to(dtype=dtype, memory_format=torch.channels_last)


def resolve_device(device):
    """The name of a torch device; "auto" is a CUDA GPU if there is one."""
    if device != "auto":
        return str(torch.device(device))
    return "cuda" if torch.cuda.is_available() else "cpu"
