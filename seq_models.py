"""Recurrent networks that predict the next symbol: Elman's SRN and the LSTM.

A network reads symbols by their number (one-hot input) and has, after each, a logit for every
symbol; a softmax turns them into probabilities. Parameters carry the names of the equations and
of the course's skeleton, whose saved weights therefore load as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Activations(NamedTuple):
    """The activations of a network on N sequences of T symbols.

    hidden: (T, N, H); logits: (T, N, C), before the softmax; context: (T, N, H), the LSTM's cells,
    None where gradients are recorded, and for an SRN, whose context units are a copy of its hidden
    units.
    """

    hidden: Tensor
    context: Tensor | None
    logits: Tensor


class _Recurrent(nn.Module):
    """The base of both networks: weights for C symbols and H hidden units, G blocks of H each.

    W (C, G H) from the input, U (H, G H) from the previous hidden vector, hid_bias (G H), and to
    the output V (H, C) and out_bias (C).
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
        """Return the input (..., G H) to each block of hidden units: x W + hid_bias.

        symbols: (...) int64, on any device; the result is on the network's.
        """
        if not torch.is_grad_enabled():
            return (self.W + self.hid_bias)[symbols]
        # As a product, whose gradient costs a third of that of an embedding.
        return F.one_hot(symbols, self.symbols).to(self.W) @ self.W + self.hid_bias

    def read_out(self, hidden: Tensor) -> Tensor:
        """Return the logits (..., C) of hidden vectors (..., H): h V + out_bias."""
        return hidden @ self.V + self.out_bias


class SRN(_Recurrent):
    """Simple recurrent network (Elman, 1990), its initial hidden vector tanh(H0) learned.

        h_t = tanh(x_t W + h_{t-1} U + hid_bias)

    init: standard deviation of the normal distribution that all parameters start from.
    init_output: that of V, if it is another.
    identity: U starts at the identity instead, so that at first every hidden unit keeps what it
    holds (Le, Jaitly and Hinton, 2015).
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
        other = {} if init_output is None else {"V": init_output}
        for name, parameter in self.named_parameters():
            nn.init.normal_(parameter, 0, other.get(name, init))
        if identity:
            nn.init.eye_(self.U)

    def initial_state(self, count: int) -> tuple[Tensor]:
        """Return the state before the first symbol: (hidden (N, H),)."""
        return (self.H0.tanh().expand(count, -1),)

    def forward(self, symbols: Tensor, state: tuple[Tensor] | None = None) -> Activations:
        """Return all steps over symbols (T, N) int64, from `state` or the initial one."""
        (hidden,) = state or self.initial_state(symbols.shape[1])
        hidden = _SRNSteps.apply(self.inputs(symbols), self.U, hidden)
        return Activations(hidden, None, self.read_out(hidden))

    def step(self, symbol: Tensor, state: tuple[Tensor]) -> tuple[Tensor]:
        """Return the state after one symbol each (N,)."""
        (hidden,) = state
        return (torch.tanh(self.inputs(symbol) + hidden @ self.U),)


class _SRNSteps(torch.autograd.Function):
    """The SRN's loop over time, h_t = tanh(p_t + h_{t-1} U), and its gradient, by hand.

    With two hidden units a step is some tens of multiplications, and nearly all time goes into
    calling them. By numpy's calls a batch of 20 takes a third of the time of torch's calls with
    autograd, a fifth of that of nn.RNN (bench/seq.py --engines). The gradient is back-propagation
    through time (Werbos, 1990), with g_t the gradient by h_t:

        d_t = (g_t + d_{t+1} U^T) * (1 - h_t^2)
    """

    @staticmethod
    def forward(ctx, inputs: Tensor, U: Tensor, initial: Tensor) -> Tensor:
        p, weights = inputs.detach().cpu().numpy(), U.detach().cpu().numpy()
        hidden = np.empty(p.shape, p.dtype)
        before = initial.detach().cpu().numpy()
        # Weights that grow without end give nan, in silence as torch does.
        with np.errstate(all="ignore"):
            for now, step in zip(hidden, p, strict=True):
                np.dot(before, weights, out=now)
                now += step
                np.tanh(now, out=now)
                before = now
        output = torch.from_numpy(hidden).to(inputs.device)
        # Saved so that torch raises an error if one of them is changed in place before backward.
        ctx.save_for_backward(U, initial, output)
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    @np.errstate(all="ignore")
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        U, initial, hidden = (tensor.detach().cpu().numpy() for tensor in ctx.saved_tensors)
        back = np.ascontiguousarray(U.T)
        device = gradient.device
        slope = 1 - hidden**2
        d = gradient.cpu().numpy().copy()
        flow = np.zeros_like(hidden[0])
        for t in range(len(d) - 1, -1, -1):
            now = d[t]
            now += flow
            now *= slope[t]
            np.dot(now, back, out=flow)
        size = hidden.shape[-1]
        before = np.concatenate([initial[None], hidden[:-1]])
        weights = before.reshape(-1, size).T @ d.reshape(-1, size)
        return tuple(torch.from_numpy(part).to(device) for part in (d, weights, flow))


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000).

        i, f, g, o = x_t W + h_{t-1} U + hid_bias    (blocks of H, in this order)
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)
        h_t = sigmoid(o) tanh(c_t)

    from zero hidden and context vectors. All parameters start evenly from -1/sqrt(H) to 1/sqrt(H).

    counter: at first each context unit adds up to 1 with a symbol, or takes it away, and forgets
    nothing: W is ten times as large, U is 0, the biases of the gates are higher by 10, those of the
    forget gates by 20.
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
        """Return the state before the first symbol: (hidden (N, H), context (N, H)), all zero."""
        zero = self.U.new_zeros(count, self.hid)
        return zero, zero

    def forward(self, symbols: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Activations:
        """Return all steps over symbols (T, N) int64, from `state` or the initial one.

        By torch's fused kernel, which does not return the context vectors. Where no gradients are
        recorded, they are computed again from the hidden vectors; training does not need them.
        """
        hidden, cell = state or self.initial_state(symbols.shape[1])
        inputs = F.one_hot(symbols, self.symbols).to(self.W.dtype)
        # torch has two biases, of which one is enough.
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

    def gates(self, symbols: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return input, forget, cell and output gate (..., H) each, as symbols (...) are read.

        before: (..., H), the hidden vectors of the step before.
        """
        blocks = self.inputs(symbols) + before @ self.U
        i, f, g, o = blocks.chunk(4, dim=-1)
        return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()

    def step(self, symbol: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the state after one symbol each (N,)."""
        hidden, cell = state
        i, f, g, o = self.gates(symbol, hidden)
        cell = f * cell + i * g
        return o * cell.tanh(), cell


# The names of the parameters of either network: what a file of weights alone has in it.
PARAMETERS = (
    {"W", "U", "hid_bias", "V", "out_bias", "H0"},
    {"W", "U", "hid_bias", "V", "out_bias"},
)
