"""What the parameters of the classifier may be, and what the paper chose."""

from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from .network.patch import MINIMUM_SIDE
from .sources import SeriesSpec

CHOICES = {
    "series_encoder": ("gru", "attention", "conv"),
    "stem": ("7x7", "3x3", "auto"),
    "normalize": ("standard", "minmax", None),
    "optimizer": ("adam", "adamw"),
    "schedule": ("constant", "one-cycle"),
    "dtype": ("float32", "float64", "bfloat16"),
    "precision": ("float32", "bfloat16", "int8"),
    "missing": ("error", "fill", "mask"),
    "missing_sources": ("error", "drop"),
}
COUNTS = ("hidden_size", "n_filters", "batch_size", "patience")
FLAGS = ("feature_norm", "augment", "early_stopping", "warm_start")


def paper_settings():
    """Parameters of `M3FusionClassifier` as in the paper, whatever the defaults are.

    Returns
    -------
    dict
        1024 recurrent units, 256 filters, Adam at 2e-4, batches of 64, 400 epochs, auxiliary losses
        weighted by 0.3, and everything that the package adds switched off.

    References
    ----------
    Benedetti, P., Ienco, D., Gaetano, R., Ose, K., Pensa, R. G., Dupuy, S. (2018). M3Fusion: A Deep
    Learning Architecture for Multiscale Multimodal Multitemporal Satellite Data Fusion. IEEE Journal of
    Selected Topics in Applied Earth Observations and Remote Sensing 11(12), 4939-4949.

    Examples
    --------
    >>> from m3fusion_sk import M3FusionClassifier, paper_settings
    >>> M3FusionClassifier(**paper_settings()).hidden_size
    1024
    >>> small = M3FusionClassifier(**{**paper_settings(), "hidden_size": 64, "n_filters": 16})
    """
    return {
        "alpha": 0.3,
        "hidden_size": 1024,
        "n_filters": 256,
        "series_encoder": "gru",
        "date_embedding": None,
        "linear_path": 0,
        "patch_path": 0,
        "linear_vote": 0,
        "stem": "7x7",
        "feature_norm": False,
        "dropout": 0.4,
        "augment": False,
        "mixup": 0,
        "normalize": "standard",
        "missing": "error",
        "missing_sources": "error",
        "source_dropout": 0.25,
        "optimizer": "adam",
        "lr": 2e-4,
        "schedule": "constant",
        "batch_size": 64,
        "max_epochs": 400,
        "weight_decay": 0.0,
        "early_stopping": False,
        "warm_start": False,
        "dtype": "float32",
        "precision": "float32",
    }


def check_settings(settings, sources):
    """Refuse parameters that cannot work, alone or with these sources."""
    for name in CHOICES:
        check_choice(settings, name)
    for name in COUNTS:
        _check(settings, name, _is_count(getattr(settings, name)), "an integer of at least 1")
    for name in FLAGS:
        _check(settings, name, isinstance(getattr(settings, name), bool | np.bool_), "True or False")
    epochs = settings.max_epochs
    automatic = isinstance(epochs, str) and epochs == "auto"
    _check(settings, "max_epochs", automatic or _is_count(epochs), "'auto' or an integer of at least 1")
    size = settings.date_embedding
    _check(settings, "date_embedding", size is None or _is_count(size), "None or an integer of at least 1")
    for name in ("linear_path", "patch_path"):
        components = getattr(settings, name)
        _check(settings, name, components == 0 or _is_count(components), "an integer of at least 0")
    _check_number(settings, "linear_vote", 0, 1)
    _check_number(settings, "dropout", 0, 1)
    _check_number(settings, "source_dropout", 0, 1)
    _check_number(settings, "mixup", 0, float("inf"))
    _check(settings, "mixup", settings.mixup == 0 or settings.mixup >= 0.01, "0 or at least 0.01")
    _check_number(settings, "lr", 0, float("inf"))
    _check_number(settings, "weight_decay", 0, float("inf"))
    _check_number(settings, "validation_fraction", 0, 1)
    _check(settings, "lr", settings.lr > 0, "a positive number")
    _check(settings, "validation_fraction", settings.validation_fraction > 0, "between 0 and 1")
    _check(settings, "callbacks", _are_callbacks(settings.callbacks), "None or a list of callbacks of skorch")
    _check_patch_sizes(settings.stem, sources)
    _check_batch_size(settings, sources)


def check_unchanged(settings, network):
    """Refuse parameters that shape a network where a built one goes on learning."""
    dtype = str(network.fusion_head.weight.dtype)[len("torch.") :]
    same = (settings.dtype == "float64") == (dtype == "float64")
    _check(settings, "dtype", same, f"{dtype!r}, in which the network is; to change it fit anew")
    for name, built in network.settings.items():
        _check(
            settings, name, getattr(settings, name) == built, f"{built!r}, as built; to change it fit anew"
        )


def auxiliary_weights(alpha, sources):
    """The weight of each source's auxiliary loss, from a number for all or a dict by name."""
    if isinstance(alpha, Mapping):
        missing, unknown = sorted(set(sources) - set(alpha)), sorted(set(alpha) - set(sources))
        if missing or unknown:
            raise ValueError(
                f"alpha must have one weight for each source {list(sources)}; got {dict(alpha)}, "
                f"missing {missing}, unknown {unknown}."
            )
    weights = dict(alpha) if isinstance(alpha, Mapping) else dict.fromkeys(sources, alpha)
    for weight in weights.values():
        if not isinstance(weight, Real) or not 0 <= weight < float("inf"):
            raise ValueError(f"alpha must be a number from 0, or a dict of such by source; got {alpha!r}.")
    return {name: float(weights[name]) for name in sources}


def check_choice(settings, name):
    """Refuse what is none of the choices of a parameter."""
    value, choices = getattr(settings, name), CHOICES[name]
    _check(
        settings, name, (value is None or isinstance(value, str)) and value in choices, f"one of {choices}"
    )


def _check(settings, name, holds, expected):
    if not holds:
        raise ValueError(f"{name} must be {expected}; got {getattr(settings, name)!r}.")


def _check_number(settings, name, low, high):
    value = getattr(settings, name)
    holds = isinstance(value, Real) and low <= value < high
    _check(settings, name, holds, f"a number from {low} to below {high}")


def _are_callbacks(given):
    """Whether skorch can take them, alone or with names: (name, callback)."""
    if given is None or not isinstance(given, list | tuple):
        return given is None
    parts = [part[-1] if isinstance(part, tuple) and part else part for part in given]
    return all(hasattr(part, "on_train_begin") for part in parts)


def _is_count(value):
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1


def _check_patch_sizes(stem, sources):
    for name, spec in sources.items():
        if "height" in spec.axes and min(spec.height, spec.width) < MINIMUM_SIDE[stem]:
            advice = "Use stem='auto'." if stem == "7x7" else "Cut larger patches, or pass them as a vector."
            raise ValueError(
                f"X[{name!r}] must have patches of at least {MINIMUM_SIDE[stem]} pixels a side for "
                f"stem={stem!r}; got {spec.height}x{spec.width}. {advice}"
            )


def _check_batch_size(settings, sources):
    if settings.batch_size < 2 and any(_is_normalised(settings, spec) for spec in sources.values()):
        raise ValueError(
            "batch_size must be at least 2 for batch normalisation (patches, series_encoder='conv', "
            f"feature_norm=True); got {settings.batch_size}."
        )


def check_n_samples(settings, sources, n_samples):
    """Refuse to train on a single sample where batches are normalised."""
    if n_samples < 2 and any(_is_normalised(settings, spec) for spec in sources.values()):
        raise ValueError(
            "X must have at least 2 samples with a weight for batch normalisation (patches, "
            f"series_encoder='conv', feature_norm=True); got {n_samples}. Gather more for each call."
        )


def _is_normalised(settings, spec):
    if isinstance(spec, SeriesSpec):
        return settings.feature_norm or settings.series_encoder == "conv"
    return "height" in spec.axes
