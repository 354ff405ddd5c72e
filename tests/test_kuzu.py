"""The networks of Part 1 against their equations in numpy and scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d
from scipy.special import log_softmax

import kuzu
from kuzushiji.recipes import parameter_count

# The sums in the assignment, and those of networks without arguments.
ASSIGNMENT = [
    (kuzu.NetLin(), "(28*28*10+10)", 7850),
    (kuzu.NetFull(100), "(28*28*100+100)+(100*10+10)", 79510),
    (
        kuzu.NetConv((64, 128), (5, 3), fc=0, batch_norm=False),
        "(1*64*5*5+64)+(64*128*3*3+128)+(128*7*7*10+10)",
        138250,
    ),
    (kuzu.NetFull(), "(28*28*300+300)+(300*10+10)", 238510),
    (
        kuzu.NetConv(),
        "(1*24*5*5+2*24)+(24*64*5*5+2*64)+(64*3*3*160+2*160)+(160*10+10)",
        133266,
    ),
]


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(count)) * 2 - 1


def arrays(net) -> dict[str, np.ndarray]:
    return {name: value.double().numpy() for name, value in net.state_dict().items()}


@pytest.mark.parametrize(("net", "formula", "count"), ASSIGNMENT)
def test_parameter_counts_match_assignment(net, formula, count):
    assert net.parameter_sum() == formula
    assert parameter_count(net) == count == eval(formula)


sizes = st.sampled_from([1, 3, 5, 7])


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.tuples(sizes, sizes),
    st.integers(0, 20),
    st.booleans(),
    st.integers(1, 400),
)
def test_parameter_sum_matches_tensors(filters, kernels, fc, batch_norm, hid):
    for net in (kuzu.NetConv(filters, kernels, fc, batch_norm), kuzu.NetFull(hid)):
        assert eval(net.parameter_sum()) == parameter_count(net)


def test_netlin_and_netfull_match_equations():
    lin, full, pixels = kuzu.NetLin(), kuzu.NetFull(130, dropout=0.5).eval(), images(5)
    for net in (lin, full):
        weight, hidden = arrays(net), pixels.numpy().reshape(5, 784)
        if net is full:
            hidden = np.tanh(hidden @ weight["hidden.weight"].T + weight["hidden.bias"])
        expected = log_softmax(hidden @ weight["output.weight"].T + weight["output.bias"], axis=1)
        assert np.allclose(net(pixels).detach(), expected, atol=1e-5)


def convolution(maps: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return a zero-padded convolution, one output map at a time."""
    return np.stack(
        [
            sum(correlate2d(m, k, mode="same") for m, k in zip(maps, kernels, strict=True)) + shift
            for kernels, shift in zip(weight, bias, strict=True)
        ]
    )


def normalisation(values: np.ndarray, weight: dict, name: str) -> np.ndarray:
    if f"{name}.weight" not in weight:
        return values
    mean, var = weight[f"{name}.running_mean"], weight[f"{name}.running_var"]
    scale = weight[f"{name}.weight"] / np.sqrt(var + 1e-5)
    shift = weight[f"{name}.bias"] - mean * scale
    trailing = (slice(None), *[None] * (values.ndim - 1))
    return values * scale[trailing] + shift[trailing]


def pooled(maps: np.ndarray, size: int = 2) -> np.ndarray:
    """Return max pooling over squares of `size` x `size` pixels with stride 2, without padding."""
    squares = np.lib.stride_tricks.sliding_window_view(maps, (size, size), axis=(1, 2))
    return squares[:, ::2, ::2].max(axis=(3, 4))


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

    def layer(maps, name, norm, last=False):
        bias = weight.get(f"{name}.bias", np.zeros(len(weight[f"{name}.weight"])))
        maps = pooled(convolution(maps, weight[f"{name}.weight"], bias))
        maps = pooled(maps, 3) if last and fc else maps
        return np.maximum(normalisation(maps, weight, norm), 0)

    for pixels in images(3):
        maps = layer(pixels.numpy().astype(float), "conv1", "norm1")
        hidden = layer(maps, "conv2", "norm2", last=True).reshape(-1)
        if fc:
            hidden = weight["fc.weight"] @ hidden + weight.get("fc.bias", 0)
            hidden = np.maximum(normalisation(hidden, weight, "norm3"), 0)
        expected = log_softmax(weight["output.weight"] @ hidden + weight["output.bias"])
        assert np.allclose(net(pixels[None]).detach(), expected, atol=1e-4)
