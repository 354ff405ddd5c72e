"""Minimum number of hidden step units for a table of points, by exhaustive search.

A step unit divides the points by a line. Infinitely many lines yield only finitely many divisions,
the dichotomies of the points (Cover, 1965). A network with k hidden step units uses k of them, and
its output unit must compute the targets from the k hidden activations; linear programming decides
whether an output unit can do so. Trying all sets of k = 1, 2, ... dichotomies therefore finds the
minimum and proves that fewer units cannot solve the table.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

# Cost of |bias| relative to |weight| when the simplest weights are chosen.
BIAS_COST = 0.1
# Maximum number of hidden units for which all sets of lines are tried. With more units the search
# ends after the first chunk that contains a solution, because there are too many sets.
MAX_EXHAUSTIVE_UNITS = 4


class Unit(NamedTuple):
    """A step unit, which fires where weight . input + bias >= 0."""

    weight: tuple[float, ...]
    bias: float

    def fires(self, inputs: np.ndarray) -> np.ndarray:
        """Return whether the unit fires for each input (N, number of weights): (N,) bool."""
        return inputs @ np.array(self.weight) + self.bias >= 0

    @property
    def cost(self) -> float:
        """Sum of absolute weights and weighted bias: low if the unit is easy to read."""
        return sum(map(abs, self.weight)) + BIAS_COST * abs(self.bias)


@dataclass
class Design:
    """The simplest network with the fewest hidden step units, and the proof by exhaustion.

    tried: for each number of hidden units, the number of sets of lines tried and the number of
        these that can solve the table, which is 0 except for the last entry.
    """

    hidden: list[Unit]
    output: Unit
    tried: dict[int, tuple[int, int]] = field(default_factory=dict)


def dichotomies(points: np.ndarray) -> dict[tuple[bool, ...], Unit]:
    """Return all dichotomies of points (N, 2) by lines through none of them, with a unit for each.

    Keys (N,) mark the points on the first point's side of the line; the trivial division, with all
    points on one side, is omitted. Units have the smallest integer weights from -4 to 4 where
    possible, and a dividing line half way between the nearest points on both sides.
    """
    found: dict[tuple[bool, ...], Unit] = {}

    def divide(normals: Iterator[tuple[float, float]], allowed=None) -> None:
        """Add the divisions by lines with these normal vectors, if not yet found and allowed."""
        for normal in normals:
            projection = points @ np.array(normal, float)
            levels = np.unique(projection.round(9))
            for low, high in itertools.pairwise(levels):
                threshold = (low + high) / 2
                fires = tuple((projection >= threshold).tolist())
                key = fires if fires[0] else tuple(not fired for fired in fires)
                if key not in found and (allowed is None or key in allowed):
                    found[key] = Unit(tuple(normal), float(-threshold))

    # Sweep the normal vector over half a turn. The order of the projected points changes only at
    # normals perpendicular to a line through two points, so one normal between each two neighbours
    # of these yields every division.
    first, second = np.triu_indices(len(points), 1)
    differences = points[second] - points[first]
    differences = differences[np.any(differences != 0, axis=1)]
    angles = np.unique((np.arctan2(differences[:, 0], -differences[:, 1]) % math.pi).round(12))
    between = [(a + b) / 2 for a, b in itertools.pairwise([*angles, angles[0] + math.pi])]
    divide((math.cos(angle), math.sin(angle)) for angle in between)
    # Replace these weights by small integers that yield the same division.
    swept, found = found, {}
    integers = [w for w in itertools.product(range(-4, 5), repeat=2) if math.gcd(*w) == 1]
    # Of equally large weights positive ones first: x1 - x2 rather than x2 - x1.
    divide(sorted(integers, key=lambda w: (abs(w[0]) + abs(w[1]), -w[0], -w[1])), swept)
    return swept | found


def output_unit(hidden: np.ndarray, target: np.ndarray) -> Unit | None:
    """Return a unit that maps hidden activations (N, k), 0 or 1, to targets (N,), or None.

    Solves a linear program: minimum `cost` with every net input at least 1/2 away from 0.
    """
    # Imported here because it takes 0.33 s and only --design needs it.
    from scipy.optimize import linprog

    sides = np.hstack([hidden, np.ones((len(hidden), 1))]) * np.where(target == 1, 1, -1)[:, None]
    # linprog's variables are nonnegative, so each weight is the difference of two.
    cost = [*[1.0] * hidden.shape[1], BIAS_COST]
    solution = linprog(cost * 2, A_ub=np.hstack([-sides, sides]), b_ub=np.full(len(sides), -0.5))
    if solution.status != 0:
        return None
    positive, negative = np.split(solution.x, 2)
    *weight, bias = (positive - negative).round(9).tolist()
    return Unit(tuple(weight), bias)


def smallest_design(points: np.ndarray, target: np.ndarray, max_units: int = 6) -> Design | None:
    """Return the Design with the fewest hidden units for points (N, 2) and targets (N,), 0 or 1.

    Returns None if `max_units` hidden units are too few.
    """
    lines = dichotomies(points)
    units = list(lines.values())
    bits = np.stack([unit.fires(points) for unit in units], axis=1).astype(np.int64)  # (N, lines)
    ones, zeros = target == 1, target == 0
    tried: dict[int, tuple[int, int]] = {}
    for count in range(1, max_units + 1):
        best, solutions, sets = None, 0, 0
        for chunk in _index_sets(len(units), count):
            sets += len(chunk)
            # The hidden activations of each point as a binary number: (N, sets).
            codes = (bits[:, chunk] << np.arange(count)).sum(axis=2)
            # Points with different targets must differ in the activation of a hidden unit.
            ambiguous = (codes[ones][:, None] == codes[zeros][None]).any(axis=(0, 1))
            for indices in chunk[~ambiguous]:
                output = output_unit(bits[:, indices], target)
                if output is None:
                    continue
                solutions += 1
                hidden = [units[index] for index in indices]
                cost = output.cost + sum(unit.cost for unit in hidden)
                if best is None or cost < best[0]:
                    best = cost, hidden, output
            if best and count > MAX_EXHAUSTIVE_UNITS:
                break
        tried[count] = sets, solutions
        if best:
            return Design(best[1], best[2], tried)
    return None


def _index_sets(total: int, count: int, size: int = 20_000) -> Iterator[np.ndarray]:
    """Yield all sets of `count` indices below `total` in chunks (at most `size`, count)."""
    sets = itertools.combinations(range(total), count)
    while chunk := list(itertools.islice(sets, size)):
        yield np.array(chunk)
