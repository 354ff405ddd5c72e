"""Recurrent networks that predict the next symbol: Elman's SRN and the LSTM.

The input is a symbol index, one-hot encoded. After each symbol a network returns a logit for every
possible next symbol; a softmax turns logits into probabilities. A network's state after a symbol is
one vector of D numbers: the H hidden units, followed in an LSTM by its H context units (the cell).
Parameters are named as in the course's skeleton, so its scripts load our weights and we load its.

Left out: more than one layer, dropout and packed sequences, because networks of two to eight units
on sequences that start together need none of them; nn.RNN, which takes five times as long at this
size (bench/seq.py --engines); peepholes and coupled gates, which the assignment's LSTM lacks.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Recurrent(nn.Module):
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

    def forward(self, symbols: Tensor) -> Tensor:
        """Return the logits (T, N, C) on symbols (T, N) int64, read from the initial state."""
        return self.read_out(self.hidden(symbols))

    @torch.no_grad()
    def states(self, symbols: Tensor, state: Tensor | None = None) -> Tensor:
        """Return the state (T, N, D) after each of the symbols (T, N) int64, from `state` (N, D) or
        the initial state: the equations of `step`, one symbol at a time."""
        state, found = self.initial_state(symbols.shape[1]) if state is None else state, []
        for symbol in symbols:
            state = self.step(symbol, state)
            found.append(state)
        return torch.stack(found)

    def read_out(self, state: Tensor) -> Tensor:
        """Return the logits (..., C) of states or hidden vectors (..., D): h V + out_bias."""
        return state[..., : self.hid] @ self.V + self.out_bias

    def memory(self, state: Tensor) -> Tensor:
        """Return the units (..., H) that carry a state (..., D) on: an LSTM's context units, an
        SRN's hidden units."""
        return state[..., -self.hid :]

    def inputs(self, symbols: Tensor) -> Tensor:
        """Return the blocks' net input without the recurrent term, x W + hid_bias (..., G H).

        symbols: (...) int64 on any device; the result is on the network's device.
        """
        if not torch.is_grad_enabled():
            return (self.W + self.hid_bias)[symbols]
        # A matrix product, because its gradient takes a third of the time of an embedding's.
        return F.one_hot(symbols, self.symbols).to(self.W) @ self.W + self.hid_bias


class SRN(Recurrent):
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

    def initial_state(self, count: int) -> Tensor:
        """Return the state (N, D) of `count` sequences before the first symbol."""
        return self.H0.tanh().expand(count, -1)

    def hidden(self, symbols: Tensor) -> Tensor:
        """Return the hidden vectors (T, N, H) on symbols (T, N) int64."""
        start = self.initial_state(symbols.shape[1])
        return _SRNSteps.apply(self.inputs(symbols), self.U, start)

    def step(self, symbol: Tensor, state: Tensor) -> Tensor:
        """Return the state (N, D) after one symbol (N,) of each sequence."""
        return torch.tanh(self.inputs(symbol) + state @ self.U)


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


class LSTM(Recurrent):
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

    def initial_state(self, count: int) -> Tensor:
        """Return the state (N, D) of `count` sequences before the first symbol, all zero."""
        return self.U.new_zeros(count, 2 * self.hid)

    def hidden(self, symbols: Tensor) -> Tensor:
        """Return the hidden vectors (T, N, H) on symbols (T, N) int64, by torch's fused kernel,
        which returns no context vectors; training does not need them."""
        start = self.U.new_zeros(1, symbols.shape[1], self.hid)
        inputs = F.one_hot(symbols, self.symbols).to(self.W.dtype)
        # torch expects a second bias, which is redundant.
        weights = [self.W.T, self.U.T, self.hid_bias, torch.zeros_like(self.hid_bias)]
        fused = (inputs, (start, start), weights, True, 1, 0.0, self.training)
        return torch.lstm(*fused, False, False)[0]

    def gates(self, symbols: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return input gate, forget gate, cell input and output gate, (..., H) each.

        symbols: (...); state: (..., D) or hidden vectors (..., H) of the step before.
        """
        blocks = self.inputs(symbols) + state[..., : self.hid] @ self.U
        i, f, g, o = blocks.chunk(4, dim=-1)
        return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()

    def step(self, symbol: Tensor, state: Tensor) -> Tensor:
        """Return the state (N, D) after one symbol (N,) of each sequence."""
        i, f, g, o = self.gates(symbol, state)
        cell = f * self.memory(state) + i * g
        return torch.cat([o * cell.tanh(), cell], dim=-1)
