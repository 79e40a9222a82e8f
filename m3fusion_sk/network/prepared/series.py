"""Recurrence and attention for prediction: date by date, so that what a date needs stays in the cache."""

import torch
from torch import nn
from torch.nn.functional import linear

from ..series import softmax_of_dates
from .int8 import LARGEST, Int8Linear, check_available


class PreparedSeriesEncoder(nn.Module):
    """A `SeriesEncoder` with a recurrence, for prediction."""

    def __init__(self, encoder, precision):
        super().__init__()
        self.embedding, self.n_outputs = encoder.embedding, encoder.n_outputs
        steps = Int8Steps if precision == "int8" else FloatSteps
        kind = torch.bfloat16 if precision == "bfloat16" else encoder.states.bias.dtype
        self.steps = steps(encoder.states, encoder.attention, kind)

    def attend(self, x, lacking=None):  # (n, dates, bands), (n, dates) -> (n, units), (n, dates)
        dates = self.embedding(x).transpose(0, 1).contiguous()
        states, scores = self.steps(dates, None if lacking is None else lacking.T)
        weights = softmax_of_dates(scores.T, lacking, dim=1)
        weights = weights.to(x.dtype)
        feature = torch.zeros_like(states[0], dtype=x.dtype)
        for date in range(len(states)):
            feature.addcmul_(states[date].to(x.dtype), weights[:, date : date + 1])
        return self.steps.feature(feature, weights), weights

    def forward(self, x, lacking=None):
        return self.attend(x, lacking)[0]


class FloatSteps:
    """States of all dates and their scores, in float64, float32 or bfloat16.

    ``tanh(x) = 2 sigmoid(2 x) - 1``, and torch's sigmoid is several times faster; the constant that it adds
    to the scores does not matter to their softmax.
    """

    def __init__(self, recurrence, attention, kind):
        units, double = recurrence.n_units, _doubled(recurrence)
        self.units, self.kind = units, kind
        self.inputs = (recurrence.input_weight * double[:, None]).to(kind).detach()
        self.bias = (recurrence.bias * double).to(kind).detach()
        self.gates = recurrence.gate_weight.detach().T.to(kind).contiguous()
        self.candidate = (2 * recurrence.candidate_weight).detach().T.to(kind).contiguous()
        self.projection = (2 * attention.projection.weight).detach().T.to(kind).contiguous()
        self.projection_bias = (2 * attention.projection.bias).detach().to(kind)
        self.score = 2 * attention.score.weight.detach()[0]

    def __call__(self, x, lacking=None):  # (dates, n, inputs), (dates, n) -> (dates, n, units), (dates, n)
        units, (n_dates, n) = self.units, x.shape[:2]
        x = x.to(self.kind)
        states, scores = x.new_empty(n_dates, n, units), self.score.new_empty(n_dates, n)
        gates, inner = x.new_empty(n, 2 * units), x.new_empty(n, units)
        h = x.new_zeros(n, units)
        for date in range(n_dates):
            a = linear(x[date], self.inputs, self.bias)
            if lacking is not None:  # an open update gate carries the state over
                a[:, :units].masked_fill_(lacking[date][:, None], torch.inf)
            torch.addmm(a[:, : 2 * units], h, self.gates, out=gates).sigmoid_()
            torch.mul(gates[:, units:], h, out=inner)
            candidate = torch.addmm(a[:, 2 * units :], inner, self.candidate).sigmoid_().mul_(2).sub_(1)
            h = torch.lerp(candidate, h, gates[:, :units], out=states[date])
            torch.addmm(self.projection_bias, h, self.projection, out=inner).sigmoid_()
            scores[date] = inner.to(self.score.dtype) @ self.score
        return states, scores

    def feature(self, mean, weights):
        """From the weighted sum of the states to that of h."""
        return mean


class Int8Steps:
    """The same in small integers, for states ``g = (h + 1) / 2`` between 0 and 1, stored as ``255 g``.

    With ``r h = 2 t - 1``, ``t = r g + (1 - r) / 2`` lies between 0 and 1 too, and all that is left of
    ``h = 2 g - 1`` in the products goes into the weights and the biases.
    """

    def __init__(self, recurrence, attention, kind):
        check_available()
        units, double = recurrence.n_units, _doubled(recurrence)
        self.units = units
        gates, candidate = 2 * recurrence.gate_weight.detach(), 4 * recurrence.candidate_weight.detach()
        projection = 4 * attention.projection.weight.detach()
        self.inputs = (recurrence.input_weight * double[:, None]).detach().float()
        shift = torch.cat([gates.sum(dim=1), candidate.sum(dim=1)]) / 2
        self.bias = ((recurrence.bias * double).detach() - shift).float()
        self.gates, self.candidate, self.projection = (
            Int8Linear(weight, 1 / LARGEST) for weight in (gates, candidate, projection)
        )
        self.projection_bias = (2 * attention.projection.bias.detach() - projection.sum(dim=1) / 2).float()
        self.score = 2 * attention.score.weight.detach()[0].float()

    def __call__(self, x, lacking=None):  # (dates, n, inputs), (dates, n) -> (dates, n, units), (dates, n)
        units, (n_dates, n), x = self.units, x.shape[:2], x.float()
        states, scores = x.new_empty(n_dates, n, units), x.new_empty(n_dates, n)
        g, half = x.new_full((n, units), 0.5), x.new_full((1, 1), 0.5)
        stored, projection_bias = _stored(g), self.projection_bias.expand(n, units).contiguous()
        for date in range(n_dates):
            a = linear(x[date], self.inputs[: 2 * units], self.bias[: 2 * units])
            if lacking is not None:  # an open update gate carries the state over
                a[:, :units].masked_fill_(lacking[date][:, None], torch.inf)
            b = linear(x[date], self.inputs[2 * units :], self.bias[2 * units :])
            gates = self.gates(stored, a).sigmoid_()
            inner = torch.lerp(half, g, gates[:, units:])
            candidate = self.candidate(_stored(inner), b).sigmoid_()
            g = torch.lerp(candidate, g, gates[:, :units], out=states[date])
            stored = _stored(g)
            scores[date] = self.projection(stored, projection_bias).sigmoid_() @ self.score
        return states, scores

    def feature(self, mean, weights):
        """From the weighted sum of the states to that of h."""
        return 2 * mean - weights.sum(dim=1, keepdim=True)


def _stored(values):  # between 0 and 1 -> uint8
    return (values * LARGEST + 0.5).to(torch.uint8)


def _doubled(recurrence):
    """1 for both gates, 2 for the candidate, whose tanh is computed by a sigmoid."""
    units = recurrence.n_units
    return torch.cat([recurrence.bias.new_ones(2 * units), recurrence.bias.new_full((units,), 2)])
