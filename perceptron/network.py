"""The network of check.py as everything else sees it: fit, weights, activations, dividing lines.

Any class fits that computes sigmoid(V sigmoid(W x + b) + c), or the same with step units, has W, b,
V and c as its parameters in this order, and keeps its hidden activations in `hid`.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

import check
from cli.process import UserError

# The parameters, in their order, by their names under "Enter Weights Here".
NAMES = ("in_hid_weight", "hid_bias", "hid_out_weight", "out_bias")
# What a class edited by a student may raise when it is used.
MISFITS = (AttributeError, IndexError, RuntimeError, TypeError, ValueError)


def make_net(hid: int, act: str, values: Iterable | None = None) -> nn.Module:
    """Return check.MLP(hid, act) with weights W (hid, 2), b (hid,), V (1, hid), c (1,), if given.

    Raises UserError unless the class computes two layers of `act` units with such parameters.
    """
    try:
        net = check.MLP(hid, act)
        _set(net, [torch.linspace(-2, 3, shape.numel()).view(shape) for shape in _shapes(hid)])
        points = torch.tensor([[0.0, 1.0], [2.0, -1.0], [-3.0, 0.5]])
        expected = _two_layers(act, points, *net.parameters())
        if not activations(net, points).allclose(expected, atol=1e-5):
            raise ValueError("its hid or its output differs")
        if values is not None:
            _set(net, values)
    except MISFITS as error:
        raise UserError(
            f"check.py: its MLP(hid, act) does not compute two layers of {act} units with weights "
            f"of shapes {[tuple(shape) for shape in _shapes(hid)]}: {error}"
        ) from error
    return net


def entered_net(hid: int, act: str) -> nn.Module:
    """Return check.MLP(hid, act) with the weights of its set_weights().

    Raises UserError unless these fit `hid` and are finite numbers.
    """
    net = make_net(hid, act)
    try:
        net.set_weights()
    except MISFITS as error:
        raise UserError(f'check.py: invalid weights under "Enter Weights Here": {error}') from error
    for name, parameter, shape in zip(NAMES, net.parameters(), _shapes(hid), strict=True):
        if parameter.shape != shape:
            raise UserError(
                f"{name} in check.py has the shape {tuple(parameter.shape)}, but {hid} hidden "
                f'units need {tuple(shape)}: change it under "Enter Weights Here", or change --hid'
            )
        if not parameter.isfinite().all():
            raise UserError(f"{name} in check.py contains a non-finite number")
    return net


@torch.no_grad()
def _two_layers(act: str, points: Tensor, weight, bias, out_weight, out_bias) -> Tensor:
    activation = torch.sigmoid if act == "sig" else (lambda net_input: (net_input >= 0).float())
    hidden = activation(points @ weight.T + bias)
    return torch.cat([hidden, activation(hidden @ out_weight.T + out_bias)], dim=1)


def _shapes(hid: int) -> list[torch.Size]:
    return [torch.Size(shape) for shape in ((hid, 2), (hid,), (1, hid), (1,))]


def _set(net: nn.Module, values: Iterable) -> None:
    for parameter, value in zip(net.parameters(), values, strict=True):
        value = torch.as_tensor(value, dtype=torch.float32)
        if parameter.shape != value.shape:
            raise ValueError(f"a parameter has the shape {tuple(parameter.shape)}")
        parameter.data = value


def weights(net: nn.Module) -> dict[str, Tensor]:
    """Return the weights and biases by their names under "Enter Weights Here"."""
    return {name: p.detach() for name, p in zip(NAMES, net.parameters(), strict=True)}


@torch.no_grad()
def activations(net: nn.Module, points: Tensor) -> Tensor:
    """Return the activations of the hidden units and, as last column, the output: (N, hid + 1)."""
    output = net(points)
    return torch.cat([net.hid, output], dim=1)


def correct_points(net: nn.Module, points: Tensor, target: Tensor) -> Tensor:
    """Return which outputs, thresholded at 0.5, equal the targets (N, 1): (N,) bool."""
    return (activations(net, points)[:, -1] >= 0.5) == (target[:, 0] >= 0.5)


# Dividing lines


def dividing_lines(net: nn.Module) -> list[dict]:
    """Return a record of each hidden unit's dividing line, and of where the unit is active."""
    weight, bias, *_ = weights(net).values()
    pairs = zip(weight.tolist(), bias.tolist(), strict=True)
    return [{"unit": f"H{number}", **line_equation(*pair)} for number, pair in enumerate(pairs, 1)]


def line_equation(weight: list[float], bias: float) -> dict[str, str]:
    """Return the equation of a line w1 x1 + w2 x2 + bias = 0, and the side where it is positive.

    Weights (-10, 10) and bias -5 give {"line": "x2 = x1 + 0.5", "active": "above"}. Where |w2| is
    below 0.001 |w1|, the line counts as vertical: "x1 = 2". If both weights are 0 there is no line:
    "(no line)", active "everywhere" or "nowhere".
    """
    w1, w2 = weight
    if not w1 and not w2:
        return {"line": "(no line)", "active": "everywhere" if bias >= 0 else "nowhere"}
    if abs(w2) < 0.001 * abs(w1):
        line = f"x1 = {format_number(-bias / w1)}"
        return {"line": line, "active": "to the right of" if w1 > 0 else "to the left of"}
    line = format_sum([(-w1 / w2, "x1"), (-bias / w2, "")])
    return {"line": f"x2 = {line}", "active": "above" if w2 > 0 else "below"}


def format_sum(terms: Iterable[tuple[float, str]]) -> str:
    """Return a sum of coefficients and names: [(-1, "x1"), (0.5, "")] gives "-x1 + 0.5"."""
    text = ""
    for value, name in terms:
        size = format_number(abs(value))
        if size != "0":
            size = name if name and size == "1" else f"{size} {name}".strip()
            text += (" - " if value < 0 else " + ") + size if text else "-" * (value < 0) + size
    return text or "0"


def format_number(value: float) -> str:
    """Return a number as text with up to three decimals, without trailing zeros, never -0."""
    return f"{round(value, 3) + 0:.10g}"


def format_weights(net: nn.Module) -> str:
    """Return the weights as lines of check.py, to paste under "Enter Weights Here"."""

    def shorten(value: list | float) -> list | float | int:
        if isinstance(value, list):
            return [shorten(item) for item in value]
        value = float(f"{value:.7g}")
        return int(value) if value.is_integer() else value

    values = ((name, shorten(value.tolist())) for name, value in weights(net).items())
    return "\n".join(f"        {name} = {value}" for name, value in values)
