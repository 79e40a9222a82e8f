"""The operators of each kind of module of the network, in an ONNX graph."""

import numpy as np
import torch
from torch import nn

from .network.discriminant import FARTHEST, LinearDiscriminant
from .network.linear_path import LinearPath
from .network.patch import ConvBlock, Dihedral, PatchEncoder
from .network.recurrence import Recurrence
from .network.scaling import InputScaler
from .network.series import DateAttention, DateEmbedding, HeadAttention, TemporalConvolution
from .network.vector import VectorEncoder


class Graph:
    """Nodes and constants of an ONNX graph; values are known by their names."""

    def __init__(self, onnx):
        self.nodes, self.constants = [], []
        self._onnx = onnx
        self.float32 = int(onnx.TensorProto.FLOAT)

    def add(self, operator, *inputs, n_outputs=1, **attributes):
        """Append a node; the names of its outputs, or that of the only one."""
        outputs = [f"{operator}/{len(self.nodes)}/{i}" for i in range(n_outputs)]
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, outputs, **attributes))
        return outputs if n_outputs > 1 else outputs[0]

    def constant(self, values, dtype=np.float32):
        if isinstance(values, torch.Tensor):
            values = values.detach().cpu().numpy()
        values = np.ascontiguousarray(np.asarray(values, dtype=dtype))
        name = f"constant/{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(values, name))
        return name

    def scalar(self, value):
        name = f"constant/{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def shape(self, *sizes):
        return self.constant(sizes, np.int64)


def write_module(graph, module, x):
    """The operators of a module; its output's name."""
    try:
        return _WRITERS[type(module)](graph, module, x)
    except KeyError:
        raise unknown_module(module) from None


def unknown_module(module):
    return NotImplementedError(f"to_onnx does not know how to write {type(module).__name__}.")


# ----- layers


def _write_scaler(graph, scaler, x):  # raw values -> scaled, from here on in float32
    exact = scaler.center.detach().cpu().numpy().dtype
    x = graph.add("Sub", x, graph.constant(scaler.center, exact))
    x = graph.add("Div", x, graph.constant(scaler.scale, exact))
    return graph.add("Cast", x, to=graph.float32) if exact == np.float64 else x


def _write_sequence(graph, modules, x):
    for module in modules:
        x = write_module(graph, module, x)
    return x


def _write_linear(graph, layer, x):  # over the last axis, whatever comes before
    x = graph.add("MatMul", x, graph.constant(layer.weight.T))
    return x if layer.bias is None else graph.add("Add", x, graph.constant(layer.bias))


def _write_layer_norm(graph, norm, x):
    return graph.add(
        "LayerNormalization",
        x,
        graph.constant(norm.weight),
        graph.constant(norm.bias),
        axis=-len(norm.normalized_shape),
        epsilon=norm.eps,
    )


def _write_batch_norm(graph, norm, x):
    statistics = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return graph.add("BatchNormalization", x, *map(graph.constant, statistics), epsilon=norm.eps)


def _write_convolution(graph, layer, x):
    return graph.add(
        "Conv",
        x,
        graph.constant(layer.weight),
        graph.constant(layer.bias),
        kernel_shape=list(layer.kernel_size),
        pads=list(layer.padding) * 2,
    )


def _write_max_pool(graph, layer, x):
    size = [layer.kernel_size] * 2
    return graph.add("MaxPool", x, kernel_shape=size, strides=size)


def _write_average_pool(graph, layer, x):
    return graph.add(
        "AveragePool",
        x,
        kernel_shape=[layer.kernel_size] * 2,
        strides=[layer.stride] * 2,
        pads=list(layer.padding) * 2,
        ceil_mode=int(layer.ceil_mode),
        count_include_pad=int(layer.count_include_pad),
    )


# ----- encoders


def write_series(graph, encoder, x):  # (n, dates, bands) -> feature (n, units), weights (n, dates)
    states = write_module(graph, encoder.states, write_module(graph, encoder.embedding, x))
    return _ATTENTIONS[type(encoder.attention)](graph, encoder.attention, states)


def _write_embedding(graph, embedding, x):
    x = _write_sequence(graph, (embedding.embedding, embedding.norm), x)
    return graph.add("Add", x, graph.constant(embedding.positions))


def _write_recurrence(graph, layer, x):  # (n, dates, inputs) -> (n, dates, units)
    units = layer.n_units
    recurrent = torch.cat([layer.gate_weight, layer.candidate_weight])  # update, reset, candidate
    biases = torch.cat([layer.bias, torch.zeros_like(layer.bias)])  # one for each gate: the inputs' one
    x = graph.add("Transpose", x, perm=[1, 0, 2])
    states = graph.add(
        "GRU",
        x,
        graph.constant(layer.input_weight[None]),
        graph.constant(recurrent[None]),
        graph.constant(biases[None]),
        hidden_size=units,
        linear_before_reset=0,
    )  # (dates, 1, n, units)
    states = graph.add("Squeeze", states, graph.shape(1))
    return graph.add("Transpose", states, perm=[1, 0, 2])


def _write_temporal_convolution(graph, layers, x):
    x = _write_sequence(graph, layers, graph.add("Transpose", x, perm=[0, 2, 1]))
    return graph.add("Transpose", x, perm=[0, 2, 1])


def _write_date_attention(graph, attention, states):
    hidden = graph.add("Tanh", write_module(graph, attention.projection, states))
    scores = write_module(graph, attention.score, hidden)  # (n, dates, 1)
    weights = graph.add("Softmax", scores, axis=1)
    feature = graph.add("ReduceSum", graph.add("Mul", weights, states), graph.shape(1), keepdims=0)
    return feature, graph.add("Squeeze", weights, graph.shape(2))


def _write_head_attention(graph, attention, states):  # (n, dates, units)
    heads, key_units = attention.queries.shape
    units = attention.output[0].in_features
    keys = write_module(graph, attention.keys, states)
    keys = graph.add("Reshape", keys, graph.shape(0, 0, heads, key_units))
    queries = graph.constant(attention.queries / key_units**0.5)
    scores = graph.add("ReduceSum", graph.add("Mul", keys, queries), graph.shape(3), keepdims=0)
    weights = graph.add("Softmax", scores, axis=1)  # (n, dates, heads)
    values = graph.add("Reshape", states, graph.shape(0, 0, heads, units // heads))
    weighted = graph.add("Mul", values, graph.add("Unsqueeze", weights, graph.shape(3)))
    feature = graph.add("ReduceSum", weighted, graph.shape(1), keepdims=0)  # (n, heads, units / heads)
    feature = graph.add("Reshape", feature, graph.shape(0, units))
    mean = graph.add("ReduceMean", weights, axes=[2], keepdims=0)
    return _write_sequence(graph, attention.output, feature), mean


def _write_linear_path(graph, path, x):
    moved = graph.add("Sub", write_flat(graph, path, x), graph.constant(path.center))
    return graph.add("MatMul", moved, graph.constant(path.projection))


def write_flat(graph, path, x):  # (n, ...) -> (n, values)
    return graph.add("Flatten", write_module(graph, path.pool, x), axis=1)


def _write_discriminant(graph, discriminant, values):  # (n, values) -> probabilities (n, classes)
    moved = graph.add("Sub", values, graph.constant(discriminant.center))
    scaled = graph.add("Mul", moved, graph.constant(discriminant.scale))
    limits = (graph.scalar(-FARTHEST), graph.scalar(FARTHEST))
    logits = graph.add("MatMul", graph.add("Clip", scaled, *limits), graph.constant(discriminant.weight))
    return graph.add("Softmax", graph.add("Add", logits, graph.constant(discriminant.bias)), axis=1)


def _write_patch(graph, encoder, x):  # (n, bands, height, width) -> (n, 2 n_filters)
    x = _write_sequence(graph, (encoder.augment, encoder.conv1, encoder.pool), x)
    a = write_module(graph, encoder.conv2, x)
    b = write_module(graph, encoder.conv3, a)
    x = write_module(graph, encoder.conv4, graph.add("Concat", a, b, axis=1))
    return graph.add("Flatten", graph.add("GlobalAveragePool", x), axis=1)


def _write_nothing(graph, module, x):
    return x


_ATTENTIONS = {DateAttention: _write_date_attention, HeadAttention: _write_head_attention}
_WRITERS = {
    InputScaler: _write_scaler,
    DateEmbedding: _write_embedding,
    Recurrence: _write_recurrence,
    TemporalConvolution: _write_temporal_convolution,
    LinearPath: _write_linear_path,
    LinearDiscriminant: _write_discriminant,
    PatchEncoder: _write_patch,
    VectorEncoder: _write_sequence,
    ConvBlock: _write_sequence,
    nn.Linear: _write_linear,
    nn.LayerNorm: _write_layer_norm,
    nn.BatchNorm1d: _write_batch_norm,
    nn.BatchNorm2d: _write_batch_norm,
    nn.Conv1d: _write_convolution,
    nn.Conv2d: _write_convolution,
    nn.MaxPool2d: _write_max_pool,
    nn.AvgPool2d: _write_average_pool,
    nn.ReLU: lambda graph, module, x: graph.add("Relu", x),
    nn.Identity: _write_nothing,
    Dihedral: _write_nothing,  # it acts in training only
}
