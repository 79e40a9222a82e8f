"""The series encoders: states over the dates, by recurrence or otherwise, and attention over them."""

import math

import torch
from torch import nn
from torch.nn.functional import linear

from .initialization import glorot
from .recurrence import Recurrence

KEY_UNITS = 8


class DateAttention(nn.Module):
    """Weighted sum of the states of all dates: ``softmax over dates of tanh(H W_a + b_a) u_a``."""

    def __init__(self, n_units):
        super().__init__()
        self.projection = nn.Linear(n_units, n_units)
        self.score = nn.Linear(n_units, 1, bias=False)
        nn.init.normal_(self.projection.weight, std=0.1)
        nn.init.zeros_(self.projection.bias)
        nn.init.normal_(self.score.weight, std=0.1)

    def forward(self, states, lacking=None):  # (n, dates, units), (n, dates) -> (n, units), (n, dates)
        scores = self.score(torch.tanh(self.projection(states))).squeeze(2)  # (n, dates)
        weights = softmax_of_dates(scores, lacking, dim=1)
        return torch.einsum("nd,ndu->nu", weights, states), weights


def softmax_of_dates(scores, lacking, dim):
    """Weights that sum to 1 over the dates; a lacking date has exactly 0."""
    if lacking is None:
        return torch.softmax(scores, dim=dim)
    weights = torch.softmax(scores.masked_fill(lacking, -torch.inf), dim=dim)
    return weights.masked_fill(lacking, 0)  # also where all dates of a sample lack


class DateEmbedding(nn.Module):
    """A linear embedding of each date with layer norm, plus a sinusoidal code of its position."""

    def __init__(self, n_bands, n_dates, size):
        super().__init__()
        self.embedding = glorot(nn.Linear(n_bands, size))
        self.norm = nn.LayerNorm(size)
        self.register_buffer("positions", sinusoids(n_dates, size), persistent=False)

    def forward(self, x):  # (n, dates, bands) -> (n, dates, size)
        return self.norm(self.embedding(x)) + self.positions


def sinusoids(n_dates, size):
    """Sines and cosines of the position at geometrically spaced wavelengths: (n_dates, size)."""
    frequencies = torch.exp(torch.arange(0, size, 2) * (-math.log(10_000.0) / size))
    angles = torch.arange(n_dates)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :size]


class HeadAttention(nn.Module):
    """Several heads, each weighing the dates for its own part of the units by a learned query.

    After the lightweight temporal self-attention of Garnot and Landrieu (2020): the queries are
    parameters, so that the cost grows linearly with the dates. The weights given are the heads' mean.

    States that are a linear layer of the inputs, and keys that are one of the states, enter the scores and
    the feature by products only. So queries, keys and layer are multiplied once, and dates are summed before
    the layer is applied: the same function, without a state or a key for each date.
    """

    def __init__(self, n_units):
        super().__init__()
        self.n_heads = math.gcd(n_units, 8)
        self.keys = glorot(nn.Linear(n_units, KEY_UNITS * self.n_heads))
        self.queries = nn.Parameter(torch.randn(self.n_heads, KEY_UNITS))
        self.output = nn.Sequential(glorot(nn.Linear(n_units, n_units)), nn.ReLU())

    def forward(self, x, states, lacking=None):
        """From inputs (n, dates, inputs), and the layer of the states, to (n, units), (n, dates)."""
        scores = linear(x, *self._asked(states)).transpose(1, 2)  # (n, heads, dates)
        weights = softmax_of_dates(scores, None if lacking is None else lacking[:, None], dim=2)
        by_head = states.weight.unflatten(0, (self.n_heads, -1))  # (heads, units / heads, inputs)
        feature = torch.einsum("nhi,hui->nhu", weights @ x, by_head)
        shift = weights.sum(dim=2, keepdim=True) * states.bias.view(self.n_heads, -1)  # 0 without any date
        return self.output((feature + shift).flatten(1)), weights.mean(dim=1)

    def _asked(self, states):
        """The scores as a linear layer of the inputs: its weight (heads, inputs) and bias (heads,)."""
        keys = self.keys.weight.unflatten(0, (self.n_heads, KEY_UNITS))
        queries = self.queries / KEY_UNITS**0.5
        asked = torch.einsum("hk,hku->hu", queries, keys)  # of the states
        shift = (queries * self.keys.bias.view_as(queries)).sum(dim=1)
        return asked @ states.weight, asked @ states.bias + shift


class TemporalConvolution(nn.Sequential):
    """Three convolutions over five dates each, with ReLU and batch normalisation."""

    def __init__(self, n_inputs, n_units):
        layers = []
        for n in (n_inputs, n_units, n_units):
            layers += [nn.Conv1d(n, n_units, 5, padding=2), nn.ReLU(), nn.BatchNorm1d(n_units)]
        super().__init__(*layers)
        glorot(self)

    def forward(self, x):  # (n, dates, inputs) -> (n, dates, units)
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class SeriesEncoder(nn.Module):
    """From the bands of all dates to one feature, and to the weight of each date in it.

    Every kind has three parts: an embedding of each date, states that see other dates, and attention.
    """

    def __init__(self, spec, hidden_size, date_embedding=None, kind="gru"):
        super().__init__()
        if kind == "attention" and date_embedding is None:
            date_embedding = hidden_size  # attention sees no order: positions must be in its inputs
        n_inputs = date_embedding or spec.n_bands
        embed = DateEmbedding(spec.n_bands, spec.n_dates, date_embedding) if date_embedding else nn.Identity()
        states, attention = {
            "gru": (Recurrence, DateAttention),
            "conv": (TemporalConvolution, DateAttention),
            "attention": (nn.Linear, HeadAttention),
        }[kind]
        self.embedding = embed
        self.states = states(n_inputs, hidden_size)
        self.attention = attention(hidden_size)
        self.n_outputs = hidden_size

    def attend(self, x, lacking=None):  # (n, dates, bands), (n, dates) -> (n, units), (n, dates)
        x = self.embedding(x)
        if isinstance(self.attention, HeadAttention):
            return self.attention(x, self.states, lacking)
        carries = isinstance(self.states, Recurrence)
        states = self.states(x, lacking) if carries else self.states(x)
        return self.attention(states, lacking)

    def forward(self, x, lacking=None):  # (n, dates, bands), (n, dates) -> (n, units)
        return self.attend(x, lacking)[0]
