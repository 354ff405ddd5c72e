"""Recurrent networks that predict the next symbol: Elman's SRN and the LSTM.

The input is a symbol index, one-hot encoded. After each symbol a network returns a logit for every
possible next symbol; a softmax turns logits into probabilities. Parameters are named as in the
course's skeleton, so its saved weights load unchanged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Activations(NamedTuple):
    """Activations of a network on N sequences of T symbols.

    hidden: (T, N, H). logits: (T, N, C), before the softmax. context: (T, N, H), the LSTM's cell
    states; None while gradients are recorded, and for an SRN, whose context units are copies of its
    hidden units.
    """

    hidden: Tensor
    context: Tensor | None
    logits: Tensor


class _Recurrent(nn.Module):
    """Base class of both networks: parameters for C symbols and H hidden units, in G blocks.

    W (C, G H): from the input. U (H, G H): from the previous hidden vector. hid_bias (G H).
    V (H, C) and out_bias (C): to the output.
    """

    blocks = 1

    def __init__(self, symbols: int, hid: int):
        super().__init__()
        self.symbols, self.hid = symbols, hid
        width = self.blocks * hid
        self.W = nn.Parameter(torch.zeros(symbols, width))
        self.U = nn.Parameter(torch.zeros(hid, width))
        self.hid_bias = nn.Parameter(torch.zeros(width))
        self.V = nn.Parameter(torch.zeros(hid, symbols))
        self.out_bias = nn.Parameter(torch.zeros(symbols))

    def inputs(self, symbols: Tensor) -> Tensor:
        """Return the blocks' net input without the recurrent term, x W + hid_bias (..., G H).

        symbols: (...) int64 on any device; the result is on the network's device.
        """
        if not torch.is_grad_enabled():
            return (self.W + self.hid_bias)[symbols]
        # A matrix product, because its gradient takes a third of the time of an embedding's.
        return F.one_hot(symbols, self.symbols).to(self.W) @ self.W + self.hid_bias

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., C) of hidden vectors (..., H): h V + out_bias."""
        return hidden @ self.V + self.out_bias


class SRN(_Recurrent):
    """Simple recurrent network (Elman, 1990) with a learned initial hidden vector tanh(H0).

        h_t = tanh(x_t W + h_{t-1} U + hid_bias)

    init: standard deviation of the normal distribution of the initial parameters.
    init_output: standard deviation for V, if different.
    identity: initialise U to the identity matrix instead, so that each hidden unit's recurrent
    input is at first its own previous activation (Le, Jaitly and Hinton, 2015).
    """

    def __init__(
        self,
        symbols: int,
        hid: int,
        init: float = 0.1,
        init_output: float | None = None,
        identity: bool = True,
    ):
        super().__init__(symbols, hid)
        self.H0 = nn.Parameter(torch.zeros(hid))
        std = {} if init_output is None else {"V": init_output}
        for name, parameter in self.named_parameters():
            nn.init.normal_(parameter, 0, std.get(name, init))
        if identity:
            nn.init.eye_(self.U)

    def initial_state(self, count: int) -> tuple[Tensor]:
        """Return the state of `count` sequences before the first symbol: (hidden (N, H),)."""
        return (self.H0.tanh().expand(count, -1),)

    def forward(self, symbols: Tensor, state: tuple[Tensor] | None = None) -> Activations:
        """Return the Activations on symbols (T, N) int64, from `state` or the initial state."""
        (hidden,) = state or self.initial_state(symbols.shape[1])
        hidden = _SRNSteps.apply(self.inputs(symbols), self.U, hidden)
        return Activations(hidden, None, self.read_out(hidden))

    def step(self, symbol: Tensor, state: tuple[Tensor]) -> tuple[Tensor]:
        """Return the state after one symbol of each sequence (N,)."""
        (hidden,) = state
        return (torch.tanh(self.inputs(symbol) + hidden @ self.U),)


class _SRNSteps(torch.autograd.Function):
    """The SRN's loop over time, h_t = tanh(p_t + h_{t-1} U), in numpy, with its gradient.

    With two hidden units a step is a few dozen multiplications, so function calls take nearly all
    the time. For a batch of 20, numpy takes a third of the time of torch operations with autograd,
    and a fifth of that of nn.RNN (bench/seq.py --engines). The gradient is back-propagation through
    time (Werbos, 1990); g_t is the gradient with respect to h_t without the recurrent term:

        d_t = (g_t + d_{t+1} U^T) * (1 - h_t^2)
    """

    @staticmethod
    def forward(ctx, inputs: Tensor, U: Tensor, initial: Tensor) -> Tensor:
        p, weights = inputs.detach().cpu().numpy(), U.detach().cpu().numpy()
        hidden = np.empty(p.shape, p.dtype)
        previous = initial.detach().cpu().numpy()
        # Diverging weights give nan without a warning, as in torch.
        with np.errstate(all="ignore"):
            for current, net_input in zip(hidden, p, strict=True):
                np.dot(previous, weights, out=current)
                current += net_input
                np.tanh(current, out=current)
                previous = current
        output = torch.from_numpy(hidden).to(inputs.device)
        # save_for_backward: torch then raises an error if one is changed in place before backward.
        ctx.save_for_backward(U, initial, output)
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    @np.errstate(all="ignore")
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        U, initial, hidden = (tensor.detach().cpu().numpy() for tensor in ctx.saved_tensors)
        U_transposed = np.ascontiguousarray(U.T)
        device = gradient.device
        tanh_derivative = 1 - hidden**2
        d = gradient.cpu().numpy().copy()
        recurrent = np.zeros_like(hidden[0])
        for t in range(len(d) - 1, -1, -1):
            current = d[t]
            current += recurrent
            current *= tanh_derivative[t]
            np.dot(current, U_transposed, out=recurrent)
        hid = hidden.shape[-1]
        previous = np.concatenate([initial[None], hidden[:-1]])
        U_gradient = previous.reshape(-1, hid).T @ d.reshape(-1, hid)
        return tuple(torch.from_numpy(part).to(device) for part in (d, U_gradient, recurrent))


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000).

        i, f, g, o = x_t W + h_{t-1} U + hid_bias    (blocks of H, in this order)
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    The initial hidden and context vectors are zero; the initial parameters are uniform on
    [-1/sqrt(H), 1/sqrt(H)].

    counter: initialise the context units as counters, which add a constant between -1 and 1 for
    each symbol and forget nothing: W is multiplied by 10, U is 0, the biases are raised by 10
    (input and output gates) and 20 (forget gates).
    """

    blocks = 4

    def __init__(self, symbols: int, hid: int, counter: bool = False):
        super().__init__(symbols, hid)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hid**-0.5), hid**-0.5)
        if counter:
            with torch.no_grad():
                self.hid_bias += torch.tensor([10, 20, 0, 10]).repeat_interleave(hid)
                self.W *= 10
                self.U.zero_()

    def initial_state(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the state of `count` sequences before the first symbol, all zero:
        (hidden (N, H), context (N, H))."""
        zero = self.U.new_zeros(count, self.hid)
        return zero, zero

    def forward(self, symbols: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Activations:
        """Return the Activations on symbols (T, N) int64, from `state` or the initial state.

        torch's fused kernel does not return the context vectors. They are recomputed from the
        hidden vectors if no gradients are recorded; training does not need them.
        """
        hidden, cell = state or self.initial_state(symbols.shape[1])
        inputs = F.one_hot(symbols, self.symbols).to(self.W.dtype)
        # torch expects a second bias, which is redundant.
        weights = [self.W.T, self.U.T, self.hid_bias, torch.zeros_like(self.hid_bias)]
        fused = (inputs, (hidden[None], cell[None]), weights, True, 1, 0.0, self.training)
        steps, _, _ = torch.lstm(*fused, False, False)
        context = None
        if not torch.is_grad_enabled():
            i, f, g, _ = self.gates(symbols, torch.cat([hidden[None], steps[:-1]]))
            context = torch.empty_like(steps)
            for t in range(len(steps)):
                cell = context[t] = f[t] * cell + i[t] * g[t]
        return Activations(steps, context, self.read_out(steps))

    def gates(self, symbols: Tensor, previous: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return input gate, forget gate, cell input and output gate, (..., H) each.

        symbols: (...); previous: (..., H), the hidden vectors of the step before.
        """
        blocks = self.inputs(symbols) + previous @ self.U
        i, f, g, o = blocks.chunk(4, dim=-1)
        return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()

    def step(self, symbol: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the state after one symbol of each sequence (N,)."""
        hidden, cell = state
        i, f, g, o = self.gates(symbol, hidden)
        cell = f * cell + i * g
        return o * cell.tanh(), cell


# Parameter names of each network: the keys of its state_dict.
PARAMETER_NAMES = (
    {"W", "U", "hid_bias", "V", "out_bias", "H0"},
    {"W", "U", "hid_bias", "V", "out_bias"},
)
