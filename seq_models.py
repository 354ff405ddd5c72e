"""Recurrent networks that predict the next symbol: Elman's SRN and the LSTM.

A network reads symbols by their number (one-hot input) and gives, after each, one output for every
symbol, which a softmax turns into probabilities. Parameters carry the names of the equations and
of the course's skeleton, whose saved weights therefore load as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Activations(NamedTuple):
    """What a network does on N sequences of T symbols.

    hidden: (T, N, H); output: (T, N, C) before the softmax; context: (T, N, H), the LSTM's cells,
    None for an SRN, whose context units are a copy of its hidden units.
    """

    hidden: Tensor
    context: Tensor | None
    output: Tensor


class _Recurrent(nn.Module):
    """What both networks share: weights for C symbols and H hidden units, G blocks of H each.

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
        """What symbols (...) bring to each block of hidden units (..., G H): x W + hid_bias.

        The symbols may be on any device; all that is computed is on the network's.
        """
        # As a product, whose gradient costs a third of that of an embedding.
        return F.one_hot(symbols, self.symbols).to(self.W) @ self.W + self.hid_bias

    def read_out(self, hidden: Tensor) -> Tensor:
        """The outputs (..., C) for hidden vectors (..., H): h V + out_bias."""
        return hidden @ self.V + self.out_bias


class SRN(_Recurrent):
    """Simple recurrent network (Elman, 1990), its initial hidden vector tanh(H0) learned.

        h_t = tanh(x_t W + h_{t-1} U + hid_bias)

    init: standard deviation of the normal distribution that all parameters start from.
    identity: U starts at the identity instead, so that at first every hidden unit keeps what it
    holds (Le, Jaitly and Hinton, 2015).
    """

    def __init__(self, symbols: int, hid: int, init: float = 0.1, identity: bool = True):
        super().__init__(symbols, hid)
        self.H0 = nn.Parameter(torch.zeros(hid))
        for parameter in self.parameters():
            nn.init.normal_(parameter, 0, init)
        if identity:
            nn.init.eye_(self.U)

    def initial(self, count: int) -> tuple[Tensor]:
        """The state before the first symbol: (hidden (N, H),)."""
        return (self.H0.tanh().expand(count, -1),)

    def forward(self, symbols: Tensor, state: tuple[Tensor] | None = None) -> Activations:
        """All steps over symbols (T, N) int64, from `state` or the initial one."""
        (hidden,) = state or self.initial(symbols.shape[1])
        hidden = _SRNSteps.apply(self.inputs(symbols), self.U, hidden)
        return Activations(hidden, None, self.read_out(hidden))

    def step(self, symbol: Tensor, state: tuple[Tensor]) -> tuple[Tensor]:
        """The state after one symbol each (N,)."""
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
    """

    blocks = 4

    def __init__(self, symbols: int, hid: int):
        super().__init__(symbols, hid)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hid**-0.5), hid**-0.5)

    def initial(self, count: int) -> tuple[Tensor, Tensor]:
        """The state before the first symbol: (hidden (N, H), context (N, H)), all zero."""
        zero = self.U.new_zeros(count, self.hid)
        return zero, zero

    def forward(self, symbols: Tensor, state: tuple[Tensor, Tensor] | None = None) -> Activations:
        """All steps over symbols (T, N) int64, from `state` or the initial one."""
        hidden, cell = state or self.initial(symbols.shape[1])
        hidden, context = _LSTMSteps.apply(self.inputs(symbols), self.U, hidden, cell)
        return Activations(hidden, context, self.read_out(hidden))

    def gates(self, symbols: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input, forget, cell and output gate (..., H) each, for symbols (...) read after `before`.

        before: (..., H), the hidden vectors of the step before.
        """
        blocks = self.inputs(symbols) + before @ self.U
        i, f, g, o = blocks.chunk(4, dim=-1)
        return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()

    def step(self, symbol: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The state after one symbol each (N,)."""
        hidden, cell = state
        i, f, g, o = self.gates(symbol, hidden)
        cell = f * cell + i * g
        return o * cell.tanh(), cell


class _LSTMSteps(torch.autograd.Function):
    """The LSTM's loop over time and its gradient, by hand, for the reason given in _SRNSteps.

    0.6 of the time of torch's fused kernel at a batch of 50. Sequences stand last, (T, 4 H, N),
    so that each gate is one piece of memory, and all four gates are one call of tanh, since
    sigmoid(x) = (1 + tanh(x / 2)) / 2. With d_h and d_c the gradients by h_t and c_t:

        d_c <- d_c + d_h o (1 - tanh(c_t)^2)
        d_i = d_c g i (1 - i)    d_f = d_c c_{t-1} f (1 - f)    d_g = d_c i (1 - g^2)
        d_o = d_h tanh(c_t) o (1 - o)
        d_h <- (d_i, d_f, d_g, d_o) U^T    d_c <- d_c f        for the step before
    """

    @staticmethod
    def forward(
        ctx, inputs: Tensor, U: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        # As in _SRNSteps; all else that is kept is a copy of its own.
        ctx.save_for_backward(U)
        U = U.detach().cpu().numpy()
        steps, count, size = len(inputs), inputs.shape[1], len(U)
        # Blocks i, f, g, o: half of the sum for a sigmoid, and its tanh back to 0 .. 1.
        half = np.array([0.5, 0.5, 1, 0.5], U.dtype).repeat(size)[:, None].repeat(count, axis=1)
        rest = 1 - half
        weights = half[:, :1] * U.T
        gates = np.multiply(half, inputs.detach().cpu().numpy().transpose(0, 2, 1), order="C")
        blocks = gates.reshape(steps, 4, size, count)
        h, c = np.empty((2, steps + 1, size, count), U.dtype)
        h[0], c[0] = hidden.detach().cpu().numpy().T, cell.detach().cpu().numpy().T
        squashed = np.empty_like(h[1:])
        part, new = np.empty_like(gates[0]), np.empty_like(h[0])
        # Weights that grow without end give nan, in silence as torch does.
        with np.errstate(all="ignore"):
            for t in range(steps):
                gate, now = gates[t], c[t + 1]
                np.dot(weights, h[t], out=part)
                gate += part
                np.tanh(gate, out=gate)
                gate *= half
                gate += rest
                i, f, g, o = blocks[t]
                np.multiply(f, c[t], out=now)
                np.multiply(i, g, out=new)
                now += new
                np.tanh(now, out=squashed[t])
                np.multiply(o, squashed[t], out=h[t + 1])
        ctx.kept = blocks, h, c, squashed, inputs.device
        return tuple(
            torch.from_numpy(x[1:].transpose(0, 2, 1).copy()).to(inputs.device) for x in (h, c)
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, by_hidden: Tensor | None, by_cell: Tensor | None) -> tuple[Tensor, ...]:
        blocks, h, c, squashed, device = ctx.kept
        U = ctx.saved_tensors[0].detach().cpu().numpy()
        steps, size, count = squashed.shape
        i, f, g, o = blocks.swapaxes(0, 1)
        through_h = o * (1 - squashed**2)
        by_i_f_g = np.stack([g * i * (1 - i), c[:-1] * f * (1 - f), i * (1 - g**2)], axis=1)
        by_o = squashed * o * (1 - o)
        d = np.empty_like(blocks)
        rows = d.reshape(steps, 4 * size, count)
        d_h, d_c, new = np.zeros((3, size, count), U.dtype)
        pulls = [
            (flow, np.ascontiguousarray(pull.cpu().numpy().transpose(0, 2, 1)))
            for flow, pull in ((d_h, by_hidden), (d_c, by_cell))
            if pull is not None
        ]
        for t in range(steps - 1, -1, -1):
            for flow, pull in pulls:
                flow += pull[t]
            np.multiply(d_h, through_h[t], out=new)
            d_c += new
            np.multiply(d_c, by_i_f_g[t], out=d[t, :3])
            np.multiply(d_h, by_o[t], out=d[t, 3])
            np.dot(U, rows[t], out=d_h)
            d_c *= f[t]
        weights = np.tensordot(h[:-1], rows, ((0, 2), (0, 2)))
        grads = rows.transpose(0, 2, 1), weights, d_h.T, d_c.T
        return tuple(torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in grads)


# The names of the parameters of either network: what a file of weights alone has in it.
PARAMETERS = (
    {"W", "U", "hid_bias", "V", "out_bias", "H0"},
    {"W", "U", "hid_bias", "V", "out_bias"},
)
