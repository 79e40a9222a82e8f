"""Convolutions of 3x3 pixels by fewer products.

As in S. Winograd, Arithmetic Complexity of Computations (1980), and A. Lavin and S. Gray, Fast Algorithms for
Convolutional Neural Networks (2016): filters and tiles of pixels are taken for polynomials, whose values at a
few points are multiplied. A tile of 4x4 outputs takes 36 products for each input and output channel, not 144;
7x7 outputs take 121, not 441. The result is the same but for rounding, about three times that of plain sums.
"""

import math
from functools import lru_cache

import torch

EXACT = {"dtype": torch.float64, "device": "cpu"}  # of what is computed once
POINTS = (0, 1, -1, 2, -2)  # and infinity: the largest coefficient
COST = 2.4  # of a product, for what is around it, as measured
TILE = 4  # outputs, or what is left at the end
LEAST_CHANNELS, MOST_OUTPUTS = 256, 64  # of filters, and pixels of a map: where it is faster, as measured


def saves_time(weight, padding):
    """Whether filters are large enough; on other devices torch's own convolutions do the like."""
    shape = weight.shape
    fits = shape[2:] == (3, 3) and padding <= 1 and min(shape[:2]) >= LEAST_CHANNELS
    return fits and weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)


class WinogradConvolution:
    """A convolution of 3x3 pixels, of small maps, without gradients.

    Parameters
    ----------
    weight : tensor of shape (outputs, inputs, 3, 3)
    bias : tensor of shape (outputs,)
    padding : int
    """

    def __init__(self, weight, bias, padding):
        at, exact = _powers(POINTS, 3), weight.double()
        values = [torch.einsum("i,qj,oaij->qao", row, at, exact).to(weight.dtype) for row in at]
        self.values = torch.cat(values)  # (36, inputs, outputs)
        self.bias, self.padding = bias, padding

    def takes(self, maps):
        """Whether it is faster for maps of this size; however many, so that results don't depend on that."""
        return self.takes_outputs(self._size(maps))

    def takes_outputs(self, sides):
        """The same, by the sides of its outputs."""
        return math.prod(sides) <= MOST_OUTPUTS

    def cost(self, sides):
        """Products for each input and output channel, by their time."""
        n_points = math.prod(side + 2 * -(-side // TILE) for side in sides)
        return COST * n_points

    def _size(self, maps):
        return [size + 2 * self.padding - 2 for size in maps.shape[2:]]

    def __call__(self, maps):  # (n, inputs, height, width), channels last -> (n, outputs, ...), as well
        into, back, points = _steps(*maps.shape[2:], self.padding)
        into, back = (matrix.to(maps).expand(len(maps), -1, -1) for matrix in (into, back))
        values = torch.bmm(into, maps.permute(0, 2, 3, 1).flatten(1, 2))  # (n, places, inputs)
        products = values.new_empty(*values.shape[:2], self.values.shape[2])
        for place, point in enumerate(points):
            torch.mm(values[:, place], self.values[point], out=products[:, place])
        sums = torch.baddbmm(self.bias, back, products)
        return sums.unflatten(1, self._size(maps)).permute(0, 3, 1, 2)


@lru_cache(maxsize=16)
def _steps(height, width, padding):
    """Matrices to the points of all tiles and back to pixels, and the point of each place in between."""
    rows, cols = _along(height, padding), _along(width, padding)
    into, back = torch.kron(rows[0], cols[0]), torch.kron(rows[1], cols[1])
    points = (rows[2][:, None] * (len(POINTS) + 1) + cols[2]).flatten()
    order = points.argsort(stable=True)  # the filters' values pass through the processor once
    return into[order], back[:, order], points[order].tolist()


def _along(size, padding):
    """The same along one axis."""
    n_outputs, into, back, points = size + 2 * padding - 2, [], [], []
    for start in range(0, n_outputs, TILE):
        n = min(TILE, n_outputs - start)
        inputs = torch.zeros(n + 2, size + 2 * padding, **EXACT)
        outputs = torch.zeros(n_outputs, n + 2, **EXACT)
        inputs[:, start : start + n + 2] = torch.linalg.inv(_powers(POINTS[: n + 1], n + 2)).T
        outputs[start : start + n] = _powers(POINTS[: n + 1], n).T
        into.append(inputs[:, padding : padding + size])
        back.append(outputs)
        points += [*range(n + 1), len(POINTS)]
    return torch.cat(into), torch.cat(back, dim=1), torch.tensor(points, device="cpu")


def _powers(points, n):
    """The powers 0 to n - 1 of points, and of infinity, where the last counts alone."""
    powers = torch.tensor(points, **EXACT)[:, None] ** torch.arange(n, **EXACT)
    return torch.cat([powers, torch.eye(n, **EXACT)[-1:]])
