"""The two-layer perceptron of Part 2, its hand-made weights, and what can be read off them.

The data are points in the plane with targets 0 or 1. A hidden unit with weights (w1, w2) and
bias b divides the plane along the line w1 x1 + w2 x2 + b = 0; the output unit does the same in
the space of the hidden units.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from cli.errors import UserError
from cli.files import require_file


class MLP(nn.Module):
    """Two layers: output = g(V g(W x + b) + c), with W of shape (hid, 2) and V of shape (1, hid).

    act: g is the sigmoid for "sig", the Heaviside function for "step" (`heaviside`).
    networks: None for one network; a number for so many networks side by side, each parameter with
        a leading axis for them, so that one matrix product serves them all.

    After a call `self.hid` holds the hidden activations, (N, hid) or (networks, N, hid).
    """

    def __init__(self, hid: int = 4, act: str = "sig", networks: int | None = None):
        super().__init__()
        self.act = act
        first = () if networks is None else (networks,)
        self.in_hid_weight = nn.Parameter(torch.zeros(*first, hid, 2))
        self.hid_bias = nn.Parameter(torch.zeros(*first, hid))
        self.hid_out_weight = nn.Parameter(torch.zeros(*first, 1, hid))
        self.out_bias = nn.Parameter(torch.zeros(*first, 1))
        self.hid = None

    def forward(self, input: Tensor) -> Tensor:
        """Map points (N, 2) to outputs (N, 1) or (networks, N, 1)."""
        squash = torch.sigmoid if self.act == "sig" else heaviside
        self.hid = squash(input @ self.in_hid_weight.mT + self.hid_bias.unsqueeze(-2))
        return squash(self.hid @ self.hid_out_weight.mT + self.out_bias.unsqueeze(-2))

    @torch.no_grad()
    def init_weights(self, size: float) -> None:
        """Draw every weight and bias from a normal distribution of standard deviation `size`."""
        for parameter in self.parameters():
            parameter.normal_(0, size)

    @torch.no_grad()
    def set_weights(self, scale: float = 1.0) -> None:
        """Enter the weights designed by hand, all multiplied by `scale`.

        With a large scale sigmoid units do nearly what step units do, so the same weights serve
        both. Raises UserError if the weights below do not fit the number of hidden units.
        """
        # ---------------- Enter Weights Here ----------------
        # One row for each hidden unit: the weights from x1 and x2.
        in_hid_weight = [[1, -1], [-1, 1], [1, -1], [-1, 1]]
        hid_bias = [-0.5, -0.5, -1.5, -1.5]
        # One row: the weights from the hidden units to the output.
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
    def enter_weights(self, entered: dict[str, list], scale: float = 1.0) -> None:
        """Enter lists of numbers as weights, by the parameters' names.

        Raises UserError if one is not a table of finite numbers of the right shape.
        """
        for name, numbers in entered.items():
            parameter = getattr(self, name)
            try:
                values = torch.tensor(numbers, dtype=torch.float32)
            except (TypeError, ValueError) as error:
                raise UserError(f"{name} in check.py is not a table of numbers: {error}") from error
            if values.shape != parameter.shape:
                raise UserError(
                    f"{name} in check.py has the shape {tuple(values.shape)}, but "
                    f"{self.hid_bias.shape[-1]} hidden units need {tuple(parameter.shape)}: "
                    'change it under "Enter Weights Here", or change --hid'
                )
            if not torch.isfinite(values).all():
                raise UserError(f"{name} in check.py holds a value that is not finite")
            parameter.copy_(values * scale)

    def select(self, index: int) -> MLP:
        """Return the network number `index` of those side by side, by itself."""
        alone = MLP(self.hid_bias.shape[-1], self.act)
        alone.load_state_dict({name: values[index] for name, values in self.state_dict().items()})
        return alone


def heaviside(net_input: Tensor) -> Tensor:
    """Return the step function of the course: 1 where the net input is at least 0, else 0."""
    return torch.heaviside(net_input, torch.ones_like(net_input))


def read_table(path: str | Path) -> tuple[Tensor, Tensor]:
    """Read points (N, 2) and targets (N, 1) from a CSV file with the header X1,X2,T.

    Raises UserError naming the row (the line of the file), the column and what is wrong there.
    """
    path = require_file(Path(path), "--data")
    try:
        reader = csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--data {path} is not a readable CSV file: {error}") from error
    if len(rows) < 2:
        raise UserError(f"--data {path} has no data: a header X1,X2,T and a row for each point")
    (line, header), *rows = rows
    # Without a header the first point would be lost.
    if len(header) != 3 or not all(math.isnan(_number(name)) for name in header):
        raise UserError(f"--data {path}, row {line}: the header is {','.join(header)}, not X1,X2,T")
    values, seen = [], {}
    for line, row in rows:
        where = f"--data {path}, row {line}"
        if len(row) != 3:
            raise UserError(f"{where}: {len(row)} values, not one for each of X1,X2,T")
        x1, x2, target = map(_number, row)
        for column, cell, value in zip(("X1", "X2"), row, (x1, x2), strict=False):
            if not abs(value) <= 1e6:
                raise UserError(f"{where}: {column} is {cell!r}, not a number from -1e6 to 1e6")
        if target not in (0, 1):
            raise UserError(f"{where}: T is {row[2]!r}, not 0 or 1")
        other, before = seen.setdefault((x1, x2), (line, target))
        if before != target:
            raise UserError(f"{where}: the point of row {other} again, with a different target")
        values.append([x1, x2, target])
    table = torch.tensor(values, dtype=torch.float32)
    return table[:, :2], table[:, 2:]


def _number(cell: str) -> float:
    """Return the number in a cell of a table, nan if it is not a number."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


# What can be read off the weights


def line_equation(weight: list[float], bias: float) -> tuple[str, str]:
    """Write a hidden unit's dividing line as a person does, and the side on which it is active.

    The larger coefficient is made 1, which moves neither the line nor the side, and a positive
    term comes first. For weights (-10, 10) and bias -5: ("x2 - x1 = 0.5", "where x2 - x1 >= 0.5").
    With both weights 0 there is no line: ("no line", "everywhere" or "nowhere").
    """
    largest = max(map(abs, weight))
    if not largest:
        return "no line", "everywhere" if bias >= 0 else "nowhere"
    terms = [(round(value / largest, 3), f"x{index}") for index, value in enumerate(weight, 1)]
    terms = sorted((term for term in terms if term[0]), key=lambda term: term[0] < 0)
    right, relation = -bias / largest, ">="
    if terms[0][0] < 0:
        terms, right, relation = [(-value, name) for value, name in terms], -right, "<="
    left = ""
    for value, name in terms:
        size = "" if abs(value) == 1 else f"{format_number(abs(value))} "
        left += (" - " if value < 0 else " + " if left else "") + size + name
    return f"{left} = {format_number(right)}", f"where {left} {relation} {format_number(right)}"


def format_number(value: float) -> str:
    """Write a number with at most three decimals, and no more than it needs; never -0."""
    return f"{round(value, 3) + 0:.10g}"


def dividing_lines(net: MLP) -> list[tuple[str, str]]:
    """Return the `line_equation` of every hidden unit."""
    pairs = zip(net.in_hid_weight.tolist(), net.hid_bias.tolist(), strict=True)
    return [line_equation(weight, bias) for weight, bias in pairs]


@torch.no_grad()
def activation_table(net: MLP, points: Tensor) -> Tensor:
    """Return the activations of all hidden units and, last, of the output: (N, hid + 1)."""
    output = net(points)
    return torch.cat([net.hid, output], dim=1)


@torch.no_grad()
def correct_points(net: MLP, points: Tensor, target: Tensor) -> Tensor:
    """Return whether the output, cut at 0.5, is the target: (N,), or (networks, N) for networks."""
    return ((net(points) >= 0.5) == (target >= 0.5)).squeeze(-1)
