"""The recurrent networks against their equations in numpy, torch's modules, finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seq_models import LSTM, SRN

NETS = {"srn": SRN, "lstm": LSTM}
sizes = st.tuples(*[st.integers(1, 4)] * 4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


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
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
        state = np.concatenate([hidden, cell], axis=-1)
        steps.append((state, hidden @ weights["V"] + weights["out_bias"]))
    return [np.stack(part) for part in zip(*steps, strict=True)]


@pytest.mark.parametrize("model", NETS)
@given(sizes, st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_forward_and_states_follow_the_equations(model, sizes, seed):
    steps, count, symbols, hid = sizes
    torch.manual_seed(seed)
    net = NETS[model](symbols, hid).double()
    inputs = torch.randint(symbols, (steps, count))
    start = net.initial_state(count).detach()
    if model == "srn":
        assert torch.allclose(start, net.H0.tanh().expand(count, hid))
    else:
        assert not start.any()
    states, logits = by_equations(net, inputs, start)
    assert net.states(inputs).detach().numpy() == pytest.approx(states, abs=1e-12)
    assert net(inputs).detach().numpy() == pytest.approx(logits, abs=1e-12)
    other = torch.rand(count, start.shape[1], dtype=torch.float64)
    states, logits = by_equations(net, inputs, other)
    found = net.states(inputs, other)
    assert found.detach().numpy() == pytest.approx(states, abs=1e-12)
    assert net.read_out(found).detach().numpy() == pytest.approx(logits, abs=1e-12)
    assert torch.equal(net.memory(found), found[..., -hid:])


@pytest.mark.parametrize("model", NETS)
@given(sizes, st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_gradients_agree_with_finite_differences(model, sizes, seed):
    steps, count, symbols, hid = sizes
    torch.manual_seed(seed)
    net = NETS[model](symbols, hid).double()
    inputs = torch.randint(symbols, (steps, count))
    names = [name for name, _ in net.named_parameters()]

    def logits(*parameters):
        values = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(net, values, (inputs,))

    assert torch.autograd.gradcheck(logits, tuple(net.parameters()), atol=1e-6)


@pytest.mark.parametrize("model", NETS)
def test_activations_and_gradients_agree_with_torch_modules(model):
    torch.manual_seed(0)
    net = NETS[model](3, 5)
    module = (nn.RNN if model == "srn" else nn.LSTM)(3, 5)
    with torch.no_grad():
        module.weight_ih_l0.copy_(net.W.T)
        module.weight_hh_l0.copy_(net.U.T)
        module.bias_ih_l0.copy_(net.hid_bias)
        module.bias_hh_l0.zero_()
    inputs = torch.randint(3, (20, 4))
    start = net.initial_state(4)[None]
    start = start.contiguous() if model == "srn" else tuple(start.chunk(2, dim=-1))
    expected, _ = module(torch.eye(3)[inputs], start)
    hidden = net.hidden(inputs)
    assert torch.allclose(hidden, expected, atol=1e-6)
    for our_weights, torch_weights in ((net.U, module.weight_hh_l0), (net.W, module.weight_ih_l0)):
        factors = torch.rand(20, 4, 5, generator=torch.Generator().manual_seed(1))
        loss, torch_loss = (hidden * factors).sum(), (expected * factors).sum()
        gradient = torch.autograd.grad(loss, our_weights, retain_graph=True)[0]
        torch_gradient = torch.autograd.grad(torch_loss, torch_weights, retain_graph=True)[0]
        assert torch.allclose(gradient, torch_gradient.T, atol=1e-4)


def test_a_weight_that_is_changed_before_backward_is_noticed():
    net = SRN(2, 3)
    loss = net(torch.zeros(4, 1, dtype=int)).sum()
    with torch.no_grad():
        net.U += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_initial_weights():
    torch.manual_seed(0)
    assert torch.equal(SRN(7, 300, init=0.1).U.detach(), torch.eye(300))
    course = SRN(2, 300, init=0.001, identity=False)
    assert course.U.std().item() == pytest.approx(0.001, rel=0.1)
    large_output = SRN(300, 2, init=0.1, init_output=5.0)
    assert large_output.V.std().item() == pytest.approx(5, rel=0.1)
    assert large_output.W.std().item() == pytest.approx(0.1, rel=0.1)
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


@pytest.mark.parametrize("model", NETS)
def test_parameters_have_the_course_s_names_and_shapes(model):
    """So that its scripts load our weights."""
    state, width = NETS[model](3, 4).state_dict(), 4 if model == "srn" else 16
    shapes = {"W": (3, width), "U": (4, width), "hid_bias": (width,), "V": (4, 3), "out_bias": (3,)}
    shapes |= {"H0": (4,)} if model == "srn" else {}
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes
