"""The two-layer perceptron of Part 2, its hand-made weights, and what can be read off them.

The data are points in the plane with targets 0 or 1. A hidden unit with weights (w1, w2) and
bias b divides the plane along the line w1 x1 + w2 x2 + b = 0; the output unit does the same in
the space of the hidden units.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from script import Fault, require_file


class MLP(nn.Module):
    """Two layers: output = g(V g(W x + b) + c), with W of shape (hid, 2) and V of shape (1, hid).

    act: g is the sigmoid for "sig", the Heaviside function for "step" (`heaviside`).
    copies: None for one network; a number for so many networks side by side, each parameter with
        a leading axis for them, so that one matrix product serves them all.

    After a call `self.hid` holds the hidden activations, (N, hid) or (copies, N, hid).
    """

    def __init__(self, hid: int = 4, act: str = "sig", copies: int | None = None):
        super().__init__()
        self.act = act
        first = () if copies is None else (copies,)
        self.in_hid_weight = nn.Parameter(torch.zeros(*first, hid, 2))
        self.hid_bias = nn.Parameter(torch.zeros(*first, hid))
        self.hid_out_weight = nn.Parameter(torch.zeros(*first, 1, hid))
        self.out_bias = nn.Parameter(torch.zeros(*first, 1))
        self.hid = None

    def forward(self, input: Tensor) -> Tensor:
        """Points (N, 2) to outputs (N, 1) or (copies, N, 1)."""
        squash = torch.sigmoid if self.act == "sig" else heaviside
        self.hid = squash(input @ self.in_hid_weight.mT + self.hid_bias.unsqueeze(-2))
        return squash(self.hid @ self.hid_out_weight.mT + self.out_bias.unsqueeze(-2))

    @torch.no_grad()
    def draw_weights(self, size: float) -> None:
        """Draw every weight and bias from a normal distribution of standard deviation `size`."""
        for parameter in self.parameters():
            parameter.normal_(0, size)

    @torch.no_grad()
    def set_weights(self, scale: float = 1.0) -> None:
        """Enter the weights designed by hand, all multiplied by `scale`.

        With a large scale sigmoid units do nearly what step units do, so the same weights serve
        both. Raises Fault if what stands below does not fit the number of hidden units.
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
        """Enter lists of numbers as weights, by the parameters' names; Fault if one is unfit."""
        for name, numbers in entered.items():
            parameter = getattr(self, name)
            try:
                values = torch.tensor(numbers, dtype=torch.float32)
            except (TypeError, ValueError) as error:
                raise Fault(f"{name} in check.py is no table of numbers: {error}") from error
            if values.shape != parameter.shape:
                raise Fault(
                    f"{name} in check.py has the shape {tuple(values.shape)}, but "
                    f"{self.hid_bias.shape[-1]} hidden units need {tuple(parameter.shape)}: "
                    'change it under "Enter Weights Here", or change --hid'
                )
            if not torch.isfinite(values).all():
                raise Fault(f"{name} in check.py holds a value that is not finite")
            parameter.copy_(values * scale)

    def one(self, copy: int) -> MLP:
        """The network number `copy` of those side by side, by itself."""
        alone = MLP(self.hid_bias.shape[-1], self.act)
        alone.load_state_dict({name: values[copy] for name, values in self.state_dict().items()})
        return alone


def heaviside(net_input: Tensor) -> Tensor:
    """The step function of the course: 1 where the net input is at least 0, else 0."""
    return (net_input >= 0).float()


def read_table(path: str | Path) -> tuple[Tensor, Tensor]:
    """Points (N, 2) and targets (N, 1) from a CSV file with a header and columns X1, X2, T.

    Raises Fault naming the row (the line of the file) and what is wrong with it.
    """
    path = require_file(Path(path), "--data")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = [(line, row) for line, row in enumerate(csv.reader(text.splitlines()), 1) if row]
    except OSError as error:
        raise Fault(f"--data {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Fault(f"--data {path} is not a CSV file: {error}") from error
    if len(rows) < 2:
        raise Fault(f"--data {path} has no data: a header X1,X2,T and a row for each point")
    names = ",".join(name.strip() for name in rows[0][1])
    if len(rows[0][1]) != 3:
        raise Fault(f"--data {path}, row {rows[0][0]}: columns {names}, not the three of X1,X2,T")
    if all(re.fullmatch(r"\s*[-+]?[\d.]+\s*", cell) for cell in rows[0][1]):
        raise Fault(f"--data {path}, row {rows[0][0]}: {names} is no header; X1,X2,T is needed")
    values = []
    for line, row in rows[1:]:
        where = f"--data {path}, row {line}"
        if len(row) != 3:
            raise Fault(f"{where}: {len(row)} values, not one for each of X1,X2,T")
        numbers = []
        for column, word in zip(("X1", "X2", "T"), row, strict=True):
            try:
                numbers.append(float(word))
            except ValueError:
                raise Fault(f"{where}: {column} is {word.strip()!r}, which is no number") from None
            if not abs(numbers[-1]) <= 1e6:
                raise Fault(f"{where}: {column} is {word.strip()}, beyond a million")
        if numbers[2] not in (0, 1):
            raise Fault(f"{where}: the target T is {row[2].strip()}, but only 0 and 1 are allowed")
        values.append(numbers)
    table = torch.tensor(values, dtype=torch.float32)
    for first, second in _equal_points(table):
        raise Fault(
            f"--data {path}: rows {rows[first + 1][0]} and {rows[second + 1][0]} are the same "
            "point with different targets, which no network can learn"
        )
    return table[:, :2], table[:, 2:]


def _equal_points(table: Tensor) -> list[tuple[int, int]]:
    """Pairs of rows that are the same point with different targets."""
    seen, pairs = {}, []
    for index, (x1, x2, target) in enumerate(table.tolist()):
        other, before = seen.setdefault((x1, x2), (index, target))
        if before != target:
            pairs.append((other, index))
    return pairs


# What can be read off the weights


def line_equation(weight: list[float], bias: float) -> tuple[str, str]:
    """A hidden unit's dividing line as a person writes it, and the side on which it is active.

    The larger coefficient is made 1, which moves neither the line nor the side, and a positive
    term comes first. For weights (-10, 10) and bias -5: ("x2 - x1 = 0.5", "x2 - x1 >= 0.5"). With
    both weights 0 there is no line: ("no line", "everywhere" or "nowhere").
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
        size = "" if abs(value) == 1 else f"{short(abs(value))} "
        left += (" - " if value < 0 else " + " if left else "") + size + name
    return f"{left} = {short(right)}", f"{left} {relation} {short(right)}"


def short(value: float) -> str:
    """A number with at most three decimals, and no more than it needs; never -0."""
    return f"{round(value, 3) + 0:.10g}"


def dividing_lines(net: MLP) -> list[tuple[str, str]]:
    """`line_equation` of every hidden unit."""
    pairs = zip(net.in_hid_weight.tolist(), net.hid_bias.tolist(), strict=True)
    return [line_equation(weight, bias) for weight, bias in pairs]


@torch.no_grad()
def activation_table(net: MLP, points: Tensor) -> Tensor:
    """The activations of all hidden units and, last, of the output, for each point: (N, hid+1)."""
    output = net(points)
    return torch.cat([net.hid, output], dim=1)


@torch.no_grad()
def right_items(net: MLP, points: Tensor, target: Tensor) -> Tensor:
    """Whether the output, cut at 0.5, is the target: (N,), or (copies, N) for copies."""
    return ((net(points) >= 0.5) == (target >= 0.5)).squeeze(-1)


@torch.no_grad()
def smallest_scale(net: MLP, points: Tensor, target: Tensor, highest: float = 100.0):
    """The factor from which on the weights of `net`, multiplied, serve a sigmoid network.

    Looks for the largest factor up to `highest` that fails, on a grid of hundredths, and closes
    in on the border by bisection. Returns None if `highest` itself fails, 0.0 if none fails.
    """

    def fails(factors: Tensor) -> Tensor:
        """For each of the factors (F,): whether some point is on the wrong side."""
        scaled = MLP(net.hid_bias.shape[-1], "sig", copies=len(factors)).double()
        for name, values in net.state_dict().items():
            shape = (-1,) + (1,) * values.dim()
            getattr(scaled, name).copy_(values.double() * factors.view(shape))
        return ~right_items(scaled, points.double(), target).all(dim=1)

    grid = torch.arange(1, round(100 * highest) + 1, dtype=torch.float64) / 100
    failing = fails(grid)
    if failing[-1]:
        return None
    if not failing.any():
        return 0.0
    last = int(failing.nonzero().max())
    low, high = grid[last : last + 2].tolist()
    while high - low > 1e-9:
        middle = (low + high) / 2
        if fails(torch.tensor([middle], dtype=torch.float64)).item():
            low = middle
        else:
            high = middle
    return high
