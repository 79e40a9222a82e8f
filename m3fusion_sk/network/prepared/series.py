"""Recurrence and attention for prediction: date by date, so that what a date needs stays in the cache."""

import torch
from torch import nn

from ..series import softmax_of_dates
from .int8 import LARGEST, Int8Linear, check_available, to_bytes
from .products import FloatLinear


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
        mean, scores = self.steps(dates, None if lacking is None else lacking.T)
        weights = softmax_of_dates(scores.T, lacking, dim=1).to(x.dtype)
        return self.steps.feature(mean.to(x.dtype), weights), weights

    def forward(self, x, lacking=None):
        return self.attend(x, lacking)[0]


class StatesSoFar:
    """Mean of the states so far, weighted by the exponentials of their scores, and all scores."""

    def __init__(self, score, shape):  # (dates, n)
        self.scores, self.total = score.new_empty(shape), score.new_full(shape[1:], -torch.inf)
        self.mean = score.new_zeros(shape[1], len(score))

    def add(self, date, states, scores, lacking=None):
        if lacking is not None:
            scores = scores.masked_fill(lacking[date], -torch.inf)
        self.scores[date], self.total = scores, torch.logaddexp(self.total, scores)
        share = (scores - self.total).exp().nan_to_num(0.0)  # none as long as every date is lacking
        self.mean.lerp_(states.to(self.mean.dtype), share[:, None])


class FloatSteps:
    """The attended mean of states and the scores of all dates, in float64, float32 or bfloat16.

    ``tanh(x) = 2 sigmoid(2 x) - 1``, and torch's sigmoid is several times faster; the constant that it adds
    to the scores does not matter to their softmax.
    """

    def __init__(self, recurrence, attention, kind):
        units, double = recurrence.n_units, _doubled(recurrence)
        self.units, self.kind = units, kind
        self.inputs = (recurrence.input_weight * double[:, None]).detach().T.to(kind)
        self.bias = (recurrence.bias * double).to(kind).detach()
        self.gates = FloatLinear(recurrence.gate_weight, kind)
        self.candidate = FloatLinear(2 * recurrence.candidate_weight, kind)
        self.projection = FloatLinear(2 * attention.projection.weight, kind, 2 * attention.projection.bias)
        self.score = 2 * attention.score.weight.detach()[0]

    def __call__(self, x, lacking=None):  # (dates, n, inputs), (dates, n) -> (n, units), (dates, n)
        units, (n_dates, n), x = self.units, x.shape[:2], x.to(self.kind)
        seen = StatesSoFar(self.score, (n_dates, n))
        gates_of, candidate_of, projection = (
            part.for_rows(n) for part in (self.gates, self.candidate, self.projection)
        )
        h, a, b, reset = (x.new_zeros(n, size) for size in (units, 2 * units, units, units))
        for date in range(n_dates):
            torch.addmm(self.bias[: 2 * units], x[date], self.inputs[:, : 2 * units], out=a)
            if lacking is not None:  # an open update gate carries the state over
                a[:, :units].masked_fill_(lacking[date][:, None], torch.inf)
            torch.addmm(self.bias[2 * units :], x[date], self.inputs[:, 2 * units :], out=b)
            gates = (gates_of.add_to(a, h) if date else a).sigmoid_()  # at first h is 0
            if date:
                candidate_of.add_to(b, torch.mul(gates[:, units:], h, out=reset))
            torch.lerp(b.sigmoid_().mul_(2).sub_(1), h, gates[:, :units], out=h)
            seen.add(date, h, projection(h).sigmoid_().to(self.score.dtype) @ self.score, lacking)
        return seen.mean, seen.scores

    def feature(self, mean, weights):
        """From the weighted mean of the states to that of h."""
        return mean


class Int8Steps:
    """The same in small integers, for states ``g = (h + 1) / 2`` between 0 and 1, stored as ``255 g``.

    With ``r h = 2 t - 1``, ``t = r g + (1 - r) / 2`` lies between 0 and 1 too, so that ``255 t`` lies between
    the middle and ``255 g``. All that is left of ``h = 2 g - 1`` in the products goes into the weights and
    the biases.
    """

    def __init__(self, recurrence, attention, kind):
        check_available()
        units, double = recurrence.n_units, _doubled(recurrence)
        self.units = units
        gates, candidate = 2 * recurrence.gate_weight.detach(), 4 * recurrence.candidate_weight.detach()
        self.inputs = (recurrence.input_weight * double[:, None]).detach().T.float()
        self.bias = (recurrence.bias * double).detach().float()
        self.gates, self.candidate = (
            Int8Linear(weight, 1 / LARGEST, shift=-0.5) for weight in (gates, candidate)
        )
        weight, bias = attention.projection.weight.detach(), attention.projection.bias.detach()
        self.projection = Int8Linear(4 * weight, 1 / LARGEST, 2 * bias, shift=-0.5)
        self.score = 2 * attention.score.weight.detach()[0].float()

    def __call__(self, x, lacking=None):  # (dates, n, inputs), (dates, n) -> (n, units), (dates, n)
        units, (n_dates, n), x = self.units, x.shape[:2], x.float()
        seen = StatesSoFar(self.score, (n_dates, n))
        g, a, b = x.new_full((n, units), 0.5), x.new_empty(n, 2 * units), x.new_empty(n, units)
        middle, scaled, stored = _scaled(g[:1, :1]), None, None
        for date in range(n_dates):
            torch.addmm(self.bias[: 2 * units], x[date], self.inputs[:, : 2 * units], out=a)
            if lacking is not None:  # an open update gate carries the state over
                a[:, :units].masked_fill_(lacking[date][:, None], torch.inf)
            torch.addmm(self.bias[2 * units :], x[date], self.inputs[:, 2 * units :], out=b)
            gates = (self.gates.add_to(a, stored) if date else a).sigmoid_()  # at first h is 0
            if date:
                self.candidate.add_to(b, to_bytes(torch.lerp(middle, scaled, gates[:, units:])))
            torch.lerp(b.sigmoid_(), g, gates[:, :units], out=g)
            scaled = _scaled(g)
            stored = to_bytes(scaled)
            seen.add(date, g, self.projection(stored).sigmoid_() @ self.score, lacking)
        return seen.mean, seen.scores

    def feature(self, mean, weights):
        """From the weighted mean of the states to that of h."""
        return 2 * mean - weights.sum(dim=1, keepdim=True)


def _scaled(g):  # between 0 and 1 -> what is stored, before its fractions are cut off
    return torch.add(0.5, g, alpha=LARGEST)


def _doubled(recurrence):
    """1 for both gates, 2 for the candidate, whose tanh is computed by a sigmoid."""
    units = recurrence.n_units
    return torch.cat([recurrence.bias.new_ones(2 * units), recurrence.bias.new_full((units,), 2)])
