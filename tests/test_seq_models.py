"""The recurrent networks against their equations in numpy, and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from seq_models import LSTM, SRN

sizes = st.tuples(*[st.integers(1, 4)] * 4)


def by_equations(net, symbols, state):
    """Return the states (T, N, D) and logits (T, N, C) from state (N, D), in numpy."""
    weights = {name: value.detach().numpy() for name, value in net.named_parameters()}
    eye, steps = np.eye(len(weights["W"])), []
    hidden, cell = state[:, : net.hid].numpy(), state[:, net.hid :].numpy()
    for symbol in symbols.numpy():
        net_input = eye[symbol] @ weights["W"] + hidden @ weights["U"] + weights["hid_bias"]
        if isinstance(net, SRN):
            hidden = np.tanh(net_input)
        else:
            i, f, g, o = np.split(net_input, 4, axis=-1)
            cell = expit(f) * cell + expit(i) * np.tanh(g)
            hidden = expit(o) * np.tanh(cell)
        state = np.concatenate([hidden, cell], axis=-1)
        steps.append((state, hidden @ weights["V"] + weights["out_bias"]))
    return [np.stack(part) for part in zip(*steps, strict=True)]


@pytest.mark.parametrize("model", [SRN, LSTM])
@given(sizes, st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_states_logits_and_gradients_follow_the_equations(model, sizes, seed):
    steps, count, symbols, hid = sizes
    torch.manual_seed(seed)
    net = model(symbols, hid).double()
    inputs = torch.randint(symbols, (steps, count))
    # The initial hidden vector of an SRN is learned.
    start = net.H0.tanh().expand(count, hid) if model is SRN else torch.zeros(count, 2 * hid)
    states, logits = by_equations(net, inputs, start.detach().double())
    assert net.states(inputs).numpy() == pytest.approx(states, abs=1e-12)
    assert net(inputs).detach().numpy() == pytest.approx(logits, abs=1e-12)

    def forward(*values):
        parameters = dict(zip(dict(net.named_parameters()), values, strict=True))
        return torch.func.functional_call(net, parameters, (inputs,))

    # Against finite differences.
    assert torch.autograd.gradcheck(forward, (*net.parameters(),), atol=1e-6, fast_mode=True)


def test_initial_weights():
    torch.manual_seed(0)
    assert torch.equal(SRN(7, 300, init=0.1).U.detach(), torch.eye(300))
    course = SRN(300, 300, init=0.001, identity=False, init_output=5.0)
    found = [getattr(course, name).std().item() for name in ("U", "W", "V")]
    assert found == pytest.approx([0.001, 0.001, 5.0], rel=0.1)
    largest = max(parameter.abs().max().item() for parameter in LSTM(3, 16).parameters())
    assert 0.24 < largest <= 0.25


def test_counter_adds_a_constant_per_symbol_and_forgets_nothing():
    torch.manual_seed(0)
    net = LSTM(4, 50, counter=True)
    context = net.memory(net.states(torch.arange(4).repeat(25)[:, None]))[:, 0]
    # Each symbol always adds the same amount, at most 1, and often more than 0.5.
    change = context.diff(dim=0, prepend=torch.zeros(1, 50)).view(25, 4, 50)
    assert torch.allclose(change, change[:1].expand_as(change), atol=1e-4)
    assert change.abs().max() <= 1.001
    assert (change.abs() > 0.5).float().mean() > 0.3
