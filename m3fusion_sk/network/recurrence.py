"""The gated recurrence of the series encoder, with a backward pass written for it."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable


class Recurrence(nn.Module):
    """Gated recurrence whose reset gate acts before the matrix product.

    This is the ONNX operator GRU with ``linear_before_reset=0`` (gates in the order z, r, h), with one
    bias per gate; `torch.nn.GRU` applies the reset gate after the product, and is another function.
    """

    def __init__(self, n_inputs, n_units):
        super().__init__()
        self.n_units = n_units
        self.input_weight = nn.Parameter(torch.empty(3 * n_units, n_inputs))  # update, reset, candidate
        self.gate_weight = nn.Parameter(torch.empty(2 * n_units, n_units))  # update, reset
        self.candidate_weight = nn.Parameter(torch.empty(n_units, n_units))
        self.bias = nn.Parameter(torch.empty(3 * n_units))
        self.reset_parameters()

    def reset_parameters(self):
        kernels = (*self.input_weight.chunk(3), *self.gate_weight.chunk(2), self.candidate_weight)
        for kernel in kernels:
            nn.init.xavier_uniform_(kernel)
        with torch.no_grad():
            self.bias[: 2 * self.n_units] = 1.0
            self.bias[2 * self.n_units :] = 0.0

    def forward(self, x, lacking=None):  # (n, dates, inputs), (n, dates) -> (n, dates, units)
        inputs = nn.functional.linear(x.transpose(0, 1), self.input_weight, self.bias)  # (dates, n, 3 units)
        if lacking is not None:  # an open update gate, z = 1, carries the state over
            closed = torch.zeros(3 * self.n_units, dtype=torch.bool, device=x.device)
            closed[: self.n_units] = True
            inputs = inputs.masked_fill(lacking.T[:, :, None] & closed, torch.inf)
        device = inputs.device.type
        kind = inputs.dtype if torch.is_autocast_enabled(device) else self.bias.dtype  # of the products
        with torch.autocast(device, enabled=False):
            weights = self.gate_weight, self.candidate_weight
            if torch.is_grad_enabled():
                states = _Steps.apply(inputs, *weights, kind)
            else:
                states = run_steps(inputs, *(weight.to(kind) for weight in weights), self.bias.dtype)[0]
        return states.transpose(0, 1)


def run_steps(inputs, gate_weight, candidate_weight, kind, keep=False):
    """All dates in turn: (dates, n, 3 units) -> states (dates, n, units); gates and candidates if kept.

    Products are in the arithmetic of the weights, all else in `kind`.
    """
    n_dates, n, _ = inputs.shape
    units = candidate_weight.shape[0]
    gate_kernel, candidate_kernel = gate_weight.T, candidate_weight.T
    states = inputs.new_empty(n_dates, n, units, dtype=kind)
    gates = states.new_empty(n_dates if keep else 1, n, 2 * units)
    candidates = states.new_empty(n_dates if keep else 1, n, units)
    h = states.new_zeros(n, units)
    for date in range(n_dates):
        a, gate, candidate = inputs[date].to(kind), gates[date * keep], candidates[date * keep]
        of_gate, of_candidate = a[:, : 2 * units], a[:, 2 * units :]
        z, r = gate[:, :units], gate[:, units:]
        if date:
            add_product(of_gate, h, gate_kernel, out=gate).sigmoid_()
            tanh_(add_product(of_candidate, r * h, candidate_kernel, out=candidate))
        else:  # h is 0
            gate.copy_(of_gate).sigmoid_()
            tanh_(candidate.copy_(of_candidate))
        h = torch.lerp(candidate, h, z, out=states[date])  # z h + (1 - z) candidate
    return states, gates, candidates


def add_product(a, x, kernel, out=None):
    """``a + x @ kernel``, the product in the arithmetic of the kernel."""
    if kernel.dtype == x.dtype:
        return torch.addmm(a, x, kernel, out=out)
    return torch.add(a, x.to(kernel.dtype) @ kernel, out=out)


def tanh_(x):
    """``tanh(x) = 2 sigmoid(2 x) - 1``, in place: torch's sigmoid is several times faster than its tanh."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


class _Steps(torch.autograd.Function):
    """`run_steps`, whose weights get their gradients by one product over all dates each."""

    @staticmethod
    def forward(ctx, inputs, gate_weight, candidate_weight, kind):
        weights, exact = (gate_weight.to(kind), candidate_weight.to(kind)), gate_weight.dtype
        states, gates, candidates = run_steps(inputs, *weights, exact, keep=True)
        ctx.save_for_backward(*weights, states, gates, candidates)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        gate_weight, candidate_weight, states, gates, candidates = ctx.saved_tensors
        units, kind = states.shape[2], gate_weight.dtype
        d_inputs = _backward_steps(grad, gate_weight, candidate_weight, states, gates, candidates).to(kind)
        later = d_inputs[1:].flatten(0, 1)  # the first date has no state before it
        previous, reset = states[:-1], gates[1:, :, units:] * states[:-1]
        d_gate_weight = later[:, : 2 * units].T @ previous.flatten(0, 1).to(kind)
        d_candidate_weight = later[:, 2 * units :].T @ reset.flatten(0, 1).to(kind)
        return d_inputs, d_gate_weight.to(grad.dtype), d_candidate_weight.to(grad.dtype), None


def _backward_steps(grad, gate_weight, candidate_weight, states, gates, candidates):
    """Gradient of the inputs of all dates, from the last to the first."""
    units, of_sigmoid = states.shape[2], torch.ops.aten.sigmoid_backward.grad_input
    d_inputs = states.new_empty(*states.shape[:2], 3 * units)
    d_h = torch.zeros_like(states[0])
    for date in range(len(grad) - 1, -1, -1):
        h = states[date - 1] if date else torch.zeros_like(d_h)
        z, r, candidate = gates[date, :, :units], gates[date, :, units:], candidates[date]
        d_z, d_r, d_candidate = d_inputs[date].split(units, dim=1)
        d_h = d_h + grad[date]
        opened = torch.addcmul(d_h, d_h, z, value=-1)  # d_h (1 - z)
        torch.ops.aten.tanh_backward.grad_input(opened, candidate, grad_input=d_candidate)
        of_sigmoid((h - candidate).mul_(d_h), z, grad_input=d_z)
        if not date:  # h is 0, and nobody asks for its gradient
            d_r.zero_()
            break
        d_reset = (d_candidate.to(candidate_weight.dtype) @ candidate_weight).to(grad.dtype)
        of_sigmoid(d_reset * h, r, grad_input=d_r)
        carried = torch.addcmul(d_h * z, d_reset, r)
        d_h = add_product(carried, d_inputs[date, :, : 2 * units], gate_weight)
    return d_inputs
