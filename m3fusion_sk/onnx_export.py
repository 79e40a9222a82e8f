"""Fitted networks as ONNX files."""

import json

import torch

from ._version import __version__
from .network.fusion import FusionNetwork
from .network.series import SeriesEncoder
from .onnx_layers import Graph, unknown_module, write_flat, write_module, write_series
from .wholefile import whole_file

OPSET, IR_VERSION = 17, 8  # ONNX 1.12, of 2022: runtimes of today and of some years ago read it


def write(classifier, path, *, auxiliary, attention):
    """Write the network of a fitted classifier; see `M3FusionClassifier.to_onnx`."""
    onnx = _import_onnx()
    model = to_model(classifier, auxiliary=auxiliary, attention=attention)
    onnx.checker.check_model(model, full_check=True)
    with whole_file(path) as file:
        file.write(model.SerializeToString())


def _import_onnx():
    try:
        import onnx
    except ImportError as error:
        raise ImportError('to_onnx needs onnx: pip install "m3fusion_sk[onnx]".') from error
    return onnx


def to_model(classifier, *, auxiliary, attention):
    """The network as an `onnx.ModelProto`."""
    onnx, network = _import_onnx(), classifier.net_.module_
    kind = onnx.TensorProto.DOUBLE if _is_double(network) else onnx.TensorProto.FLOAT
    graph = Graph(onnx)
    outputs = write_network(graph, network, auxiliary=auxiliary, attention=attention)
    _check_names(network.sources, outputs)
    info = onnx.helper.make_tensor_value_info
    inputs = [info(name, kind, ["n_samples", *spec.shape]) for name, spec in network.sources.items()]
    for name, (value, _) in outputs.items():
        graph.nodes.append(onnx.helper.make_node("Identity", [value], [name]))
    results = [
        info(name, onnx.TensorProto.FLOAT, ["n_samples", width]) for name, (_, width) in outputs.items()
    ]
    body = onnx.helper.make_graph(graph.nodes, "M3Fusion", inputs, results, graph.constants)
    model = onnx.helper.make_model(
        body,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="m3fusion_sk",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, _metadata(classifier))
    return model


def _is_double(network):
    return network.fusion_head.weight.dtype == torch.float64


def _check_names(sources, outputs):
    taken = [name for name in sources if name in outputs or "/" in name]  # inner values have a slash
    if taken:
        raise ValueError(
            f"Sources must have other names than the outputs {list(outputs)} of an ONNX file, without a "
            f"slash; got {taken}. Fit with another name."
        )


def _metadata(classifier):
    sources = {
        name: {"kind": spec.kind, "axes": spec.axes, "shape": spec.shape}
        for name, spec in classifier.sources_.items()
    }
    classes = [c if isinstance(c, bool | int | float) else str(c) for c in classifier.classes_.tolist()]
    return {"classes": json.dumps(classes), "sources": json.dumps(sources)}


def write_network(graph, network, *, auxiliary, attention):
    """{name of an output: (value, width)}, the fused probabilities first."""
    if type(network) is not FusionNetwork:
        raise unknown_module(network)
    if network.settings["missing"] != "error" or network.settings["missing_sources"] != "error":
        raise NotImplementedError("to_onnx needs a network with missing='error' and missing_sources='error'.")
    features, weights, scaled = _write_features(graph, network)
    fused = graph.add("Concat", *features.values(), axis=1)
    n_classes = network.fusion_head.out_features
    proba = _write_head(graph, network.fusion_head, fused)
    if network.vote.names and network.vote.joint.trusted:
        proba = _write_vote(graph, network, proba, scaled)
    outputs = {"probabilities": (proba, n_classes)}
    if auxiliary:
        heads = dict(zip(features, network.auxiliary_heads, strict=False))  # a single source has none
        for name, feature in features.items():
            part = _write_head(graph, heads[name], feature) if heads else proba
            outputs[f"probabilities_{name}"] = part, n_classes
    if attention:
        dates = {name: network.sources[name].n_dates for name in weights}
        outputs |= {f"attention_{name}": (value, dates[name]) for name, value in weights.items()}
    return outputs


def _write_features(graph, network):
    features, weights, scaled = {}, {}, {}
    parts = network.scalers, network.encoders, network.paths, network.norms
    for name, scaler, encoder, path, norm in zip(network.sources, *parts, strict=True):
        x = scaled[name] = write_module(graph, scaler, name)
        if isinstance(encoder, SeriesEncoder):
            feature, weights[name] = write_series(graph, encoder, x)
        else:
            feature = write_module(graph, encoder, x)
        if path.n_outputs:
            feature = graph.add("Concat", feature, write_module(graph, path, x), axis=1)
        features[name] = write_module(graph, norm, feature)
    return features, weights, scaled


def _write_head(graph, head, feature):
    return graph.add("Softmax", write_module(graph, head, feature), axis=1)


def _write_vote(graph, network, proba, scaled):
    """The mean with the probabilities of the linear discriminant."""
    paths = dict(zip(scaled, network.paths, strict=True))
    values = [write_flat(graph, paths[name], scaled[name]) for name in network.vote.names]
    linear = write_module(graph, network.vote.joint, graph.add("Concat", *values, axis=1))
    share = network.vote.share
    ours = graph.add("Mul", proba, graph.constant(1 - share))
    return graph.add("Add", ours, graph.add("Mul", linear, graph.constant(share)))
