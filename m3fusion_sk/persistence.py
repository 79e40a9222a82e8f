"""Saved classifiers: a zip of JSON and safetensors, read without unpickling anything."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import safetensors.torch
import torch

from ._version import __version__
from .axisnames import known_of
from .network.build import empty_network, resolve_device
from .network.net import make_net
from .settings import auxiliary_weights, check_settings, paper_settings
from .sources import spec_of_kind
from .wholefile import whole_file

FORMAT = 1
_MODEL, _WEIGHTS, _CHECKSUM = "model.json", "weights.safetensors", "sha256"
_KNOWN = {"columns": "names", "dates": "dates", "bands": "bands"}  # in the file, and of a specification
_NOT_SAVED = ("callbacks", "random_state", "device", "verbose")


def save(classifier, path):
    """Write a fitted classifier; the file appears as a whole or not at all."""
    check_settings(classifier, classifier.sources_)
    auxiliary_weights(classifier.alpha, classifier.sources_)
    weights = safetensors.torch.save(_state(classifier.net_.module_))
    try:
        model = json.dumps(describe(classifier), indent=1).encode()
    except TypeError as error:
        raise ValueError(
            f"save needs labels and parameters that JSON can hold: strings, numbers, booleans; got {error}."
        ) from error
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        members = {_MODEL: model, _WEIGHTS: weights, _CHECKSUM: checksum(model, weights)}
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # a fixed date: equal models, equal files


def content_hash(classifier):
    """SHA-256 of weights, parameters, classes and sources, as text."""
    model = describe(classifier)
    by_dates = ("dates",) if classifier.net_.module_.settings["missing"] != "fill" else ()
    for part in ("history", "seed", "bands", *by_dates):  # which predictions do not depend on
        model.pop(part, None)
    described = json.dumps(model, sort_keys=True, default=repr).encode()
    return checksum(described, safetensors.torch.save(_state(classifier.net_.module_)))


def _state(network):
    return {name: values.detach().cpu().contiguous() for name, values in network.state_dict().items()}


def checksum(model, weights):
    """Of both together: a description fits no other weights."""
    return hashlib.sha256(hashlib.sha256(model).digest() + hashlib.sha256(weights).digest()).hexdigest()


def describe(classifier):
    """Everything but the weights, as JSON takes it.

    ``parameters`` may have been set after `fit`; ``network`` is what `fit` built.
    """
    network = classifier.net_.module_
    return {
        "format": FORMAT,
        "version": __version__,
        "parameters": _plain_parameters(classifier.get_params(deep=False)),
        "network": {
            **_plain(network.settings),
            "dtype": str(network.fusion_head.weight.dtype)[len("torch.") :],
        },
        "sources": {name: [spec.kind, *spec.shape] for name, spec in classifier.sources_.items()},
        **_known_of(classifier.sources_),
        "classes": {"dtype": classifier.classes_.dtype.str, "values": classifier.classes_.tolist()},
        "feature_names": _plain(getattr(classifier, "feature_names_in_", None)),
        "history": classifier.history_,
        "seed": classifier.net_.seed,
    }


def _known_of(sources):
    """Columns of the tables that sources came from, dates and bands, where these are known and text."""
    found = {}
    for called, part in _KNOWN.items():
        known = known_of(sources, part).items()
        found[called] = {
            name: list(texts) for name, texts in known if all(isinstance(text, str) for text in texts)
        }
    return {called: known for called, known in found.items() if known}


def _plain_parameters(parameters):
    plain = {name: _plain(value) for name, value in parameters.items() if name not in _NOT_SAVED}
    if isinstance(plain["class_weight"], dict):  # its keys are labels, which need not be strings
        plain["class_weight"] = [[_plain(k), v] for k, v in plain["class_weight"].items()]
    return plain


def _plain(value):
    """Numpy scalars and arrays, and containers of them, as JSON takes them."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    return [_plain(v) for v in value] if isinstance(value, list | tuple | range) else value


def load(cls, path):
    """Read a classifier that `save` wrote."""
    path = Path(path)
    content = path.read_bytes()
    try:
        model, weights = _read(content)
        return _rebuild(cls, model, weights)
    except _Refused as error:
        raise ValueError(f"{path} {error}") from None
    except Exception as error:
        raise ValueError(
            f"{path} is not a whole file of M3FusionClassifier.save ({type(error).__name__}: {error}). Save "
            "it again, or copy it again if it was transferred."
        ) from error


class _Refused(Exception):
    """A file that is understood and not taken."""


def _read(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        described, weights = archive.read(_MODEL), archive.read(_WEIGHTS)
        expected = archive.read(_CHECKSUM).decode() if _CHECKSUM in archive.namelist() else "none"
    model = json.loads(described)
    if model["format"] != FORMAT:
        raise _Refused(
            f"has format {model['format']}, written by m3fusion_sk {model['version']}; expected format "
            f"{FORMAT}. Install that version to read it."
        )
    if checksum(described, weights) != expected:
        raise _Refused("does not match its checksum: it was altered or damaged. Save it again.")
    return model, safetensors.torch.load(weights)


def _rebuild(cls, model, weights):
    classifier = cls(**_parameters(cls, model))
    classes = model["classes"]
    classifier.classes_ = np.array(classes["values"], dtype=np.dtype(classes["dtype"]))
    if not np.array_equal(classifier.classes_, np.unique(classifier.classes_)):
        raise _Refused("holds classes out of order: it was altered. Save it again.")
    classifier.sources_ = {
        name: spec_of_kind(kind)(*shape) for name, (kind, *shape) in model["sources"].items()
    }
    for known, part in _KNOWN.items():
        for name, values in model.get(known, {}).items():
            classifier.sources_[name] = replace(classifier.sources_[name], **{part: tuple(values)})
    classifier.n_features_in_ = sum(spec.size for spec in classifier.sources_.values())
    if model["feature_names"] is not None:
        classifier.feature_names_in_ = np.array(model["feature_names"], dtype=object)
    classifier.history_ = model["history"]
    classifier.n_iter_ = len(classifier.history_)
    network = _network(model["network"], classifier.sources_, len(classifier.classes_), weights)
    classifier.net_ = _untrained_net(classifier, network, resolve_device(classifier.device))
    classifier.net_.seed = model["seed"]  # of what was held out, should `fit` go on
    return classifier


def _network(shaping, sources, n_classes, weights):
    """The network that is described, if it is the one whose weights these are."""
    settings = SimpleNamespace(**{**paper_settings(), **shaping})  # what a file lacks did nothing then
    with torch.device("meta"):  # shapes alone: no description makes us take much memory
        expected = empty_network(settings, sources, n_classes).state_dict()
    ranges = {name: torch.zeros(part.shape) for name, part in expected.items() if name.endswith(".ranges")}
    weights = {**ranges, **weights}  # which files of version 0.1 may lack
    if _shapes(expected) != _shapes(weights):
        raise _Refused("describes another network than that of its weights: it was altered. Save it again.")
    network = empty_network(settings, sources, n_classes)
    network.load_state_dict(weights)
    return network


def _shapes(state):
    return {name: (tuple(values.shape), values.dtype) for name, values in state.items()}


def _parameters(cls, model):
    plain = model["parameters"]
    unknown = sorted(set(plain) - set(cls._get_param_names()))
    if unknown:
        raise _Refused(
            f"has parameters that this version does not know, {unknown}: it was written by m3fusion_sk "
            f"{model['version']}. Install that version to read it."
        )
    parameters = {**paper_settings(), **plain}
    if isinstance(plain["class_weight"], list):
        parameters["class_weight"] = dict(plain["class_weight"])
    if plain["layout"] is not None:
        parameters["layout"] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain["layout"].items()}
    return parameters


def _untrained_net(classifier, network, device):
    alpha = auxiliary_weights(classifier.alpha, classifier.sources_)
    net = make_net(network, alpha, classifier, ((), None), device).initialize()
    net.module_.eval()
    return net
