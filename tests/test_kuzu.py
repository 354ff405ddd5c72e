"""The networks of Part 1 against their equations in numpy and scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import log_softmax

import kuzu
from kuzushiji.recipes import parameter_count


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(count)) * 2 - 1


def arrays(net) -> dict[str, np.ndarray]:
    return {name: value.double().numpy() for name, value in net.state_dict().items()}


@settings(max_examples=15, deadline=None)
@given(
    hid=st.integers(1, 400),
    filters=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernels=st.tuples(*[st.sampled_from([1, 3, 5, 7, 9, 11])] * 2),
    fc=st.integers(0, 20),
    batch_norm=st.booleans(),
)
def test_parameter_sums_match_tensors(hid, **shape):
    for net in (kuzu.NetLin(), kuzu.NetFull(hid), kuzu.NetConv(**shape)):
        assert eval(net.parameter_sum()) == parameter_count(net)


def test_netlin_and_netfull_match_equations():
    lin, full, pixels = kuzu.NetLin(), kuzu.NetFull(130, dropout=0.5).eval(), images(5)
    for net in (lin, full):
        weight, hidden = arrays(net), pixels.numpy().reshape(5, 784)
        if net is full:
            hidden = np.tanh(hidden @ weight["hidden.weight"].T + weight["hidden.bias"])
        expected = log_softmax(hidden @ weight["output.weight"].T + weight["output.bias"], axis=1)
        assert np.allclose(net(pixels).detach(), expected, atol=1e-5)


@pytest.mark.parametrize("fc", [0, 6])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_netconv_matches_equations(fc, batch_norm):
    torch.manual_seed(0)
    net = kuzu.NetConv((3, 4), (5, 3), fc, batch_norm, dropout=0.4)
    net(images(16))  # changes the running averages from 0 and 1
    net.eval()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            torch.nn.init.uniform_(part.weight, 0.5, 2)
            torch.nn.init.uniform_(part.bias, -1, 1)
    weight = arrays(net)

    def pooled(maps, size, stride):
        """Return max pooling over squares of `size` x `size` pixels."""
        squares = sliding_window_view(maps, (size, size), (1, 2))
        return squares[:, ::stride, ::stride].max(axis=(3, 4))

    def relu(values, norm):
        """Return the relu of the values, normalised if the network has this normalisation."""
        if f"{norm}.weight" in weight:
            mean, var, scale, shift = (
                weight[f"{norm}.{name}"].reshape(-1, *[1] * (values.ndim - 1))
                for name in ("running_mean", "running_var", "weight", "bias")
            )
            values = (values - mean) / np.sqrt(var + 1e-5) * scale + shift
        return np.maximum(values, 0)

    def convolved(maps, name, pad):
        """Return convolutions, zero-padded to the size of the maps if `pad`."""
        kernels = weight[f"{name}.weight"]
        padded = np.pad(maps, [(0, 0), *[(pad * (kernels.shape[-1] // 2),) * 2] * 2])
        squares = sliding_window_view(padded, kernels.shape[-2:], axis=(1, 2))
        bias = weight.get(f"{name}.bias", np.zeros(len(kernels)))[:, None, None]
        return np.einsum("chwij, fcij -> fhw", squares, kernels) + bias

    for pixels in images(3):
        maps = convolved(pixels.numpy().astype(float), "conv1", True)
        maps = convolved(relu(pooled(maps, 2, 2), "norm1"), "conv2", not fc)
        hidden = relu(pooled(maps, *((4, 3) if fc else (2, 2))), "norm2").reshape(-1)
        if fc:
            hidden = relu(weight["fc.weight"] @ hidden + weight.get("fc.bias", 0), "norm3")
        expected = log_softmax(weight["output.weight"] @ hidden + weight["output.bias"])
        assert np.allclose(net(pixels[None]).detach(), expected, atol=1e-4)
