"""The network of check.py as everything else sees it: fit, weights, activations, dividing lines.

Any class fits that computes sigmoid(V sigmoid(W x + b) + c), or the same with step units, has W, b,
V and c as its parameters in this order, and keeps its hidden activations in `hid`.
"""

from __future__ import annotations

from cli.process import UserError

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

import check

# The parameters, in their order, by their names under "Enter Weights Here".
NAMES = ("in_hid_weight", "hid_bias", "hid_out_weight", "out_bias")
# What a class edited by a student may raise when it is used.
MISFITS = (AttributeError, IndexError, RuntimeError, TypeError, ValueError)


def make_net(hid: int, act: str, values: Iterable | None = None) -> nn.Module:
    """Return check.MLP(hid, act) with weights W (hid, 2), b (hid,), V (1, hid), c (1,).

    values: None for those of its set_weights(). Raises UserError if the class or these do not fit.
    """
    try:
        net = check.MLP(hid, act)
        if values is None:
            net.set_weights()
        else:
            for parameter, value in zip(net.parameters(), values, strict=True):
                parameter.data = torch.as_tensor(value, dtype=torch.float32)
        shapes = (hid, 2), (hid,), (1, hid), (1,)
        for name, parameter, shape in zip(NAMES, net.parameters(), shapes, strict=True):
            if parameter.shape != shape:
                raise UserError(
                    f"{name} in check.py has the shape {tuple(parameter.shape)}, but {hid} hidden "
                    f'units need {shape}: change it under "Enter Weights Here", or change --hid'
                )
            if not parameter.isfinite().all():
                raise UserError(f"{name} in check.py contains a non-finite number")
        activations(net, torch.zeros(1, 2))
        net.act = act
    except MISFITS as error:
        raise UserError(
            f'check.py: MLP({hid}, "{act}") or its weights cannot be used: {error}'
        ) from error
    return net


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
    values = (
        (name, value.double().numpy().round(6).tolist()) for name, value in weights(net).items()
    )
    lines = "\n".join(f"        {name} = {value}" for name, value in values)
    # Whole numbers as a student writes them.
    return re.sub(r"\.0\b", "", lines)
