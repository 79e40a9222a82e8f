"""Products of floats: by oneDNN, with weights laid out once and sums in place, where that is faster."""

import copy
from functools import lru_cache, partial

import torch

from ..processor import computes_bfloat16

LEAST = 256  # inputs and outputs: smaller products are faster as they are
LAYOUTS = 2  # that are kept: of a full batch and of the last
PLACE = [0, 0], [1, 1], [1, 1], 1  # of a convolution of 1x1: no border, steps of one


class FloatLinear:
    """``x @ weight.T + bias``, or its sum with another array.

    Large ones are convolutions of 1x1: the only products of floats that torch lets oneDNN sum in place. How
    it wants their weight laid out depends on the number of rows; another layout it changes at each product.
    """

    def __init__(self, weight, kind, bias=None):
        weight = weight.detach().to(kind)
        self.packed = _packs(weight)
        if self.packed:
            self.laid_out = lru_cache(LAYOUTS)(partial(_laid_out, weight))  # for so many rows and threads
        else:
            self.weight = weight.T.contiguous()
        self.bias = None if bias is None else bias.detach().to(kind)

    def __call__(self, x):  # (n, inputs) -> (n, outputs)
        if not self.packed:
            return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)
        given = self._given(x)
        maps = torch.ops.mkldnn._convolution_pointwise(*given, "none", [], "")
        return maps.permute(0, 2, 3, 1).reshape(len(x), -1)

    def add_to(self, sums, x, relu=False):  # (n, outputs), contiguous, which are changed
        if not self.packed:
            sums.addmm_(x, self.weight)
            sums = sums if self.bias is None else sums.add_(self.bias)
            return sums.relu_() if relu else sums
        given, then = (_as_maps(sums), *self._given(x)), "relu" if relu else None
        torch.ops.mkldnn._convolution_pointwise_.binary(*given, "add", 1.0, then, [], "")
        return sums

    def for_rows(self, n):
        """The same, with a layout that is looked up once for many products of so many rows."""
        if not self.packed:
            return self
        linear, weight = copy.copy(self), self.laid_out(n, torch.get_num_threads())
        linear.laid_out = lambda *_: weight
        return linear

    def _given(self, x):
        return _as_maps(x), self.laid_out(len(x), torch.get_num_threads()), self.bias, *PLACE


def _packs(weight):
    """Whether oneDNN takes this weight, and is faster by it."""
    of_x86 = torch.backends.cpu.get_cpu_capability().startswith("AVX")  # measured there only
    known = hasattr(torch.ops.mkldnn, "_convolution_pointwise_") and torch.backends.mkldnn.is_available()
    if not (of_x86 and known) or weight.device.type != "cpu" or min(weight.shape) < LEAST:
        return False
    return weight.dtype == torch.float32 or (weight.dtype == torch.bfloat16 and computes_bfloat16())


def _laid_out(weight, n_rows, n_threads):  # which oneDNN looks up by itself
    shape = [1, weight.shape[1], n_rows, 1]
    return torch.ops.mkldnn._reorder_convolution_weight(weight[:, :, None, None], *PLACE, shape)


def _as_maps(x):  # (n, channels) -> (1, channels, n, 1), channels last
    return x[None, :, None].permute(0, 3, 1, 2)
