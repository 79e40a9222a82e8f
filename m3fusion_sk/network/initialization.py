"""How weights start."""

from torch import nn


def glorot(module):
    """Glorot-uniform kernels and zero biases for every linear layer and convolution inside `module`."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
