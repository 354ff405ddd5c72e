"""Part 2: the two-layer perceptron, weights designed by hand, dividing lines and activations.

The data are points in the plane with targets 0 or 1. A hidden unit with weights (w1, w2) and
bias b divides the plane along the line w1 x1 + w2 x2 + b = 0; the output unit divides the space
of hidden activations in the same way.
"""

from __future__ import annotations

from cli.errors import UserError
from cli.files import require_file

import csv
import math
from pathlib import Path

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Two layers: output = g(V g(W x + b) + c), with W of shape (hid, 2) and V of shape (1, hid).

    act: g is the sigmoid for "sig", the Heaviside function for "step" (`heaviside`).
    networks: number of networks side by side, the first axis of every parameter, so that one matrix
        product serves all networks; None for a single network without this axis.

    `forward` stores the hidden activations in `self.hid`: (N, hid) or (networks, N, hid).
    """

    def __init__(self, hid: int = 4, act: str = "sig", networks: int | None = None):
        super().__init__()
        self.act = act
        leading = () if networks is None else (networks,)
        self.in_hid_weight = nn.Parameter(torch.zeros(*leading, hid, 2))
        self.hid_bias = nn.Parameter(torch.zeros(*leading, hid))
        self.hid_out_weight = nn.Parameter(torch.zeros(*leading, 1, hid))
        self.out_bias = nn.Parameter(torch.zeros(*leading, 1))
        self.hid = None

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs for points (N, 2): (N, 1) or (networks, N, 1)."""
        activation = torch.sigmoid if self.act == "sig" else heaviside
        self.hid = activation(input @ self.in_hid_weight.mT + self.hid_bias.unsqueeze(-2))
        return activation(self.hid @ self.hid_out_weight.mT + self.out_bias.unsqueeze(-2))

    @torch.no_grad()
    def init_weights(self, std: float) -> None:
        """Sample all weights and biases from a normal distribution with this standard deviation."""
        for parameter in self.parameters():
            parameter.normal_(0, std)

    @torch.no_grad()
    def set_weights(self, scale: float = 1.0) -> None:
        """Set the weights designed by hand, multiplied by `scale`.

        At a large scale sigmoid units approximate step units, so that the same weights serve both.
        Raises UserError if the weights do not fit the number of hidden units.
        """
        # ---------------- Enter Weights Here ----------------
        # One row per hidden unit: the weights from x1 and x2.
        in_hid_weight = [[1, -1], [-1, 1], [1, -1], [-1, 1]]
        hid_bias = [-0.5, -0.5, -1.5, -1.5]
        # A single row: the weights from the hidden units to the output.
        hid_out_weight = [[1, 1, -1, -1]]
        out_bias = [-0.5]
        # -----------------------------------------------------
        self.enter_weights(
            {
                "in_hid_weight": in_hid_weight,
                "hid_bias": hid_bias,
                "hid_out_weight": hid_out_weight,
                "out_bias": out_bias,
            },
            scale,
        )

    @torch.no_grad()
    def enter_weights(self, weights: dict[str, list], scale: float = 1.0) -> None:
        """Set parameters by name from lists of numbers, multiplied by `scale`.

        Raises UserError if a list has the wrong shape or contains anything but finite numbers.
        """
        for name, entered in weights.items():
            parameter = getattr(self, name)
            try:
                values = torch.tensor(entered, dtype=torch.float32)
            except (TypeError, ValueError) as error:
                raise UserError(f"{name} in check.py is not a table of numbers: {error}") from error
            if values.shape != parameter.shape:
                raise UserError(
                    f"{name} in check.py has the shape {tuple(values.shape)}, but "
                    f"{self.hid_bias.shape[-1]} hidden units need {tuple(parameter.shape)}: "
                    'change it under "Enter Weights Here", or change --hid'
                )
            if not torch.isfinite(values).all():
                raise UserError(f"{name} in check.py contains a non-finite number")
            parameter.copy_(values * scale)

    def select(self, index: int) -> MLP:
        """Return number `index` of the networks side by side as a single network."""
        net = MLP(self.hid_bias.shape[-1], self.act)
        net.load_state_dict({name: values[index] for name, values in self.state_dict().items()})
        return net


def heaviside(net_input: Tensor) -> Tensor:
    """Return the course's step function: 1 where the net input is at least 0, else 0."""
    return torch.heaviside(net_input, torch.ones_like(net_input))


def read_table(path: str | Path) -> tuple[Tensor, Tensor]:
    """Return points (N, 2) and targets (N, 1) from a CSV file with the header X1,X2,T.

    Raises UserError, naming row (line of the file) and column, if a value is missing or invalid.
    """
    path = require_file(Path(path), "--data")
    try:
        reader = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--data {path} is not a readable CSV file: {error}") from error
    if len(rows) < 2:
        raise UserError(f"--data {path} has no data: expected a header X1,X2,T and a row per point")
    (line, header), *rows = rows
    # Without a header, the first point would be lost.
    if len(header) != 3 or not all(math.isnan(_parse_number(name)) for name in header):
        raise UserError(f"--data {path}, row {line}: the header is {','.join(header)}, not X1,X2,T")
    values, first_seen = [], {}
    for line, row in rows:
        where = f"--data {path}, row {line}"
        if len(row) != 3:
            raise UserError(f"{where}: {len(row)} values, not 3 (X1,X2,T)")
        x1, x2, target = map(_parse_number, row)
        for column, cell, value in zip(("X1", "X2"), row, (x1, x2), strict=False):
            if not abs(value) <= 1e6:
                raise UserError(f"{where}: {column} is {cell!r}, not a number from -1e6 to 1e6")
        if target not in (0, 1):
            raise UserError(f"{where}: T is {row[2]!r}, not 0 or 1")
        first_line, first_target = first_seen.setdefault((x1, x2), (line, target))
        if first_target != target:
            raise UserError(f"{where}: same point as row {first_line}, but a different target")
        values.append([x1, x2, target])
    table = torch.tensor(values, dtype=torch.float32)
    return table[:, :2], table[:, 2:]


def _parse_number(cell: str) -> float:
    """Return the number in a table cell, or nan if it is not a number."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


# Dividing lines and activations


def line_equation(weight: list[float], bias: float) -> tuple[str, str]:
    """Return the equation of a hidden unit's dividing line, and the side where the unit is active.

    Weights (-10, 10) and bias -5 give ("x2 - x1 = 0.5", "where x2 - x1 >= 0.5"): divided by the
    larger absolute weight, positive term first. If both weights are 0 there is no line: ("no line",
    "everywhere" or "nowhere").
    """
    largest = max(map(abs, weight))
    if not largest:
        return "no line", "everywhere" if bias >= 0 else "nowhere"
    terms = [(round(value / largest, 3), f"x{index}") for index, value in enumerate(weight, 1)]
    terms = sorted((term for term in terms if term[0]), key=lambda term: term[0] < 0)
    constant, relation = -bias / largest, ">="
    if terms[0][0] < 0:
        terms, constant, relation = [(-value, name) for value, name in terms], -constant, "<="
    left = ""
    for value, name in terms:
        coefficient = "" if abs(value) == 1 else f"{format_number(abs(value))} "
        left += (" - " if value < 0 else " + " if left else "") + coefficient + name
    right = format_number(constant)
    return f"{left} = {right}", f"where {left} {relation} {right}"


def format_number(value: float) -> str:
    """Return a number as text with up to three decimals, without trailing zeros, never -0."""
    return f"{round(value, 3) + 0:.10g}"


def dividing_lines(net: MLP) -> list[tuple[str, str]]:
    """Return the `line_equation` of each hidden unit."""
    pairs = zip(net.in_hid_weight.tolist(), net.hid_bias.tolist(), strict=True)
    return [line_equation(weight, bias) for weight, bias in pairs]


@torch.no_grad()
def activation_table(net: MLP, points: Tensor) -> Tensor:
    """Return the activations of the hidden units and, as last column, the output: (N, hid + 1)."""
    output = net(points)
    return torch.cat([net.hid, output], dim=1)


@torch.no_grad()
def correct_points(net: MLP, points: Tensor, target: Tensor) -> Tensor:
    """Return which outputs, thresholded at 0.5, equal the target: bool (N,) or (networks, N)."""
    return ((net(points) >= 0.5) == (target >= 0.5)).squeeze(-1)
