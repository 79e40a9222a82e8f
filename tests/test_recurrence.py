"""The recurrence and the attention against independent writings of the same equations."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from m3fusion_sk.network.recurrence import Recurrence
from m3fusion_sk.network.series import DateAttention, SeriesEncoder, sinusoids
from m3fusion_sk.sources import SeriesSpec


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def weights_by_name(recurrence):
    """The matrices of DESIGN's equations, from the stacked parameters (update, reset, candidate)."""
    n = recurrence.n_units
    w = {name: p.detach().numpy() for name, p in recurrence.named_parameters()}
    return {
        "W_zx": w["input_weight"][:n],
        "W_rx": w["input_weight"][n : 2 * n],
        "W_hx": w["input_weight"][2 * n :],
        "W_zh": w["gate_weight"][:n],
        "W_rh": w["gate_weight"][n:],
        "W_hr": w["candidate_weight"],
        "b_z": w["bias"][:n],
        "b_r": w["bias"][n : 2 * n],
        "b_h": w["bias"][2 * n :],
    }


def numpy_recurrence(x, w):
    """The equations of the slides, date by date and sample by sample."""
    states = np.zeros((*x.shape[:2], len(w["b_z"])))
    for i in range(len(x)):
        h = np.zeros(len(w["b_z"]))
        for t in range(x.shape[1]):
            z = sigmoid(w["W_zx"] @ x[i, t] + w["W_zh"] @ h + w["b_z"])
            r = sigmoid(w["W_rx"] @ x[i, t] + w["W_rh"] @ h + w["b_r"])
            h = z * h + (1 - z) * np.tanh(w["W_hx"] @ x[i, t] + w["W_hr"] @ (r * h) + w["b_h"])
            states[i, t] = h
    return states


def numpy_attention(states, w_a, b_a, u_a):
    v = np.tanh(states @ w_a.T + b_a)
    scores = np.exp(v @ u_a)
    weights = scores / scores.sum(axis=1, keepdims=True)
    return (weights[:, :, None] * states).sum(axis=1), weights


def random_recurrence(rng, n_inputs, n_units, scale=0.5):
    recurrence = Recurrence(n_inputs, n_units).double()
    with torch.no_grad():
        for parameter in recurrence.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, scale, parameter.shape)))
    return recurrence


@pytest.mark.parametrize("seed", range(5))
def test_the_recurrence_is_the_equations_of_the_slides(seed):
    rng = np.random.default_rng(seed)
    n, dates, bands, units = rng.integers(1, 9, 4)
    recurrence = random_recurrence(rng, bands, units)
    x = rng.normal(size=(n, dates, bands))
    expected = numpy_recurrence(x, weights_by_name(recurrence))
    got = recurrence(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_the_attention_is_a_softmax_over_dates_of_the_projected_states(seed):
    rng = np.random.default_rng(seed)
    n, dates, units = rng.integers(2, 9, 3)
    attention = DateAttention(int(units)).double()
    states = rng.normal(size=(n, dates, units))
    feature, weights = (part.detach().numpy() for part in attention(torch.from_numpy(states)))
    w = {name: p.detach().numpy() for name, p in attention.named_parameters()}
    expected = numpy_attention(states, w["projection.weight"], w["projection.bias"], w["score.weight"][0])
    np.testing.assert_allclose(feature, expected[0], rtol=0, atol=1e-10)
    np.testing.assert_allclose(weights, expected[1], rtol=0, atol=1e-10)


def onnx_gru(n_inputs, n_units):
    """The standard operator: the reset gate acts before the matrix product."""
    node = helper.make_node("GRU", ["x", "w", "r", "b"], ["y"], hidden_size=n_units, linear_before_reset=0)
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xwrb"]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    opsets = [helper.make_opsetid("", 14)]
    graph = helper.make_graph([node], "gru", inputs, outputs)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("seed", range(20))
def test_the_recurrence_is_the_gru_of_onnx_runtime(seed):
    rng = np.random.default_rng(100 + seed)
    n, dates, bands, units = (int(k) for k in rng.integers(1, [20, 40, 20, 70]))
    scale = units**-0.5  # larger weights make a long recurrence chaotic: float32 itself is then off by 1e-5
    recurrence = random_recurrence(rng, bands, units, scale).float()
    x = rng.normal(size=(n, dates, bands)).astype(np.float32)
    w = {name: p.detach().numpy() for name, p in recurrence.named_parameters()}
    feed = {
        "x": x.swapaxes(0, 1),
        "w": w["input_weight"][None],
        "r": np.concatenate([w["gate_weight"], w["candidate_weight"]])[None],
        "b": np.concatenate([w["bias"], np.zeros_like(w["bias"])])[None],
    }
    expected = onnx_gru(bands, units).run(None, feed)[0][:, 0].swapaxes(0, 1)
    got = recurrence(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_the_recurrence_is_not_the_gru_of_torch():
    rng = np.random.default_rng(0)
    ours = random_recurrence(rng, 3, 4)
    w = weights_by_name(ours)
    theirs = torch.nn.GRU(3, 4, batch_first=True).double()  # gates in the order r, z, n; update from 1 - z
    with torch.no_grad():
        for parameter, order in (("weight_ih_l0", "x"), ("weight_hh_l0", "h")):
            parts = [w[f"W_r{order}"], w[f"W_z{order}"], w["W_hx" if order == "x" else "W_hr"]]
            getattr(theirs, parameter).copy_(torch.from_numpy(np.concatenate(parts)))
        theirs.bias_ih_l0.copy_(torch.from_numpy(np.concatenate([w["b_r"], w["b_z"], w["b_h"]])))
        theirs.bias_hh_l0.zero_()
    x = torch.from_numpy(rng.normal(size=(5, 7, 3)))
    assert (ours(x)[:, 0] - theirs(x)[0][:, 0]).abs().max() < 1e-10  # the first date has no state to reset
    assert (ours(x)[:, -1] - theirs(x)[0][:, -1]).abs().max() > 1e-3


def test_gate_biases_start_at_one_and_kernels_glorot_uniform():
    torch.manual_seed(0)
    recurrence = Recurrence(16, 200)
    bias = recurrence.bias.detach()
    assert (bias[:400] == 1).all()
    assert (bias[400:] == 0).all()
    for kernel, limit in (
        (recurrence.candidate_weight, (6 / 400) ** 0.5),
        (recurrence.input_weight, (6 / 216) ** 0.5),
    ):
        assert 0.98 * limit < kernel.detach().abs().max() <= limit
    attention = DateAttention(200)
    assert abs(attention.projection.weight.std().item() - 0.1) < 0.005
    assert abs(attention.score.weight.std().item() - 0.1) < 0.02


def test_states_are_the_same_with_and_without_gradients():
    recurrence = random_recurrence(np.random.default_rng(0), 3, 8)
    x = torch.randn(5, 6, 3, dtype=torch.float64)
    with torch.no_grad():
        expected = recurrence(x)
    torch.testing.assert_close(recurrence(x), expected, rtol=0, atol=0)


def test_attention_sums_to_one_over_the_dates_and_changes_with_the_input():
    torch.manual_seed(0)
    encoder = SeriesEncoder(SeriesSpec(n_dates=11, n_bands=3), hidden_size=32)
    x = torch.randn(50, 11, 3)
    weights = encoder.attend(x)[1]
    assert weights.shape == (50, 11)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(50))
    assert weights.std(dim=0).min() > 1e-3  # from sample to sample
    assert weights.std(dim=1).min() > 1e-3  # from date to date


@pytest.mark.parametrize("shape", [(2, 5, 3), (3, 1, 2), (1, 8, 1)])
def test_gradients_of_the_recurrence_are_right(shape):
    rng = np.random.default_rng(0)
    recurrence = random_recurrence(rng, shape[2], 4)
    x = torch.from_numpy(rng.normal(size=shape)).requires_grad_()
    parameters = tuple(recurrence.parameters())

    def run(x, *values):
        named = dict(zip(dict(recurrence.named_parameters()), values, strict=True))
        return torch.func.functional_call(recurrence, named, (x,))

    assert torch.autograd.gradcheck(run, (x, *parameters))


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_date_positions_differ_from_date_to_date(size):
    positions = sinusoids(34, size)
    assert positions.shape == (34, size)
    assert len(torch.unique(positions, dim=0)) == 34


def test_an_embedded_date_feeds_the_recurrence():
    encoder = SeriesEncoder(SeriesSpec(n_dates=5, n_bands=3), hidden_size=8, date_embedding=6)
    assert encoder.states.input_weight.shape == (24, 6)
    assert encoder(torch.randn(2, 5, 3)).shape == (2, 8)


def test_products_of_bfloat16_give_nearly_the_same_gradients():
    torch.manual_seed(0)
    recurrence, x = Recurrence(5, 48), torch.randn(16, 12, 5)

    def results(autocast):
        recurrence.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            states = recurrence(x)
        (states**2).sum().backward()
        return [states.detach(), *(parameter.grad for parameter in recurrence.parameters())]

    for exact, rounded in zip(results(False), results(True), strict=True):
        assert rounded.dtype == torch.float32
        assert 0 < (rounded - exact).norm() < 0.01 * exact.norm()
