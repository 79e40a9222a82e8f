"""The series encoder: a gated recurrence over the dates, and attention over its states."""

import math

import torch
from torch import nn

from .initialization import glorot
from .recurrence import Recurrence


class DateAttention(nn.Module):
    """Weighted sum of the states of all dates: ``softmax over dates of tanh(H W_a + b_a) u_a``."""

    def __init__(self, n_units):
        super().__init__()
        self.projection = nn.Linear(n_units, n_units)
        self.score = nn.Linear(n_units, 1, bias=False)
        nn.init.normal_(self.projection.weight, std=0.1)
        nn.init.zeros_(self.projection.bias)
        nn.init.normal_(self.score.weight, std=0.1)

    def forward(self, states):  # (n, dates, units) -> (n, units), (n, dates)
        scores = self.score(torch.tanh(self.projection(states))).squeeze(2)  # (n, dates)
        weights = torch.softmax(scores, dim=1)
        return torch.einsum("nd,ndu->nu", weights, states), weights


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


class SeriesEncoder(nn.Module):
    """From the bands of all dates to one feature, and to the weight of each date in it."""

    def __init__(self, spec, hidden_size, date_embedding=None):
        super().__init__()
        n_inputs = spec.n_bands if date_embedding is None else date_embedding
        self.embedding = (
            nn.Identity()
            if date_embedding is None
            else DateEmbedding(spec.n_bands, spec.n_dates, date_embedding)
        )
        self.recurrence = Recurrence(n_inputs, hidden_size)
        self.attention = DateAttention(hidden_size)
        self.n_outputs = hidden_size

    def attend(self, x):  # (n, dates, bands) -> (n, units), (n, dates)
        return self.attention(self.recurrence(self.embedding(x)))

    def forward(self, x):  # (n, dates, bands) -> (n, units)
        return self.attend(x)[0]
