"""The vector encoder: a small multi-layer perceptron, without batch normalisation."""

from torch import nn

from .initialization import glorot

VECTOR_UNITS = 64


class VectorEncoder(nn.Sequential):
    """Two hidden layers of 64 units: (n, features) -> (n, 64)."""

    def __init__(self, spec):
        super().__init__(
            nn.Linear(spec.n_features, VECTOR_UNITS),
            nn.ReLU(),
            nn.Linear(VECTOR_UNITS, VECTOR_UNITS),
            nn.ReLU(),
        )
        self.n_outputs = VECTOR_UNITS
        glorot(self)
