"""How few step units solve a table of points: every division of the points by lines, tried.

A step unit divides the points by a line. Of all lines only finitely many differ in which points
they divide from which: the dichotomies of the points (Cover, 1965). A network with k hidden step
units picks k of them and combines the k answers by one more unit, a threshold function of k
bits; linear programming decides whether there is one. So trying all sets of k lines finds the
fewest units that solve a table, and proves that fewer cannot.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

# What a unit of bias costs beside a unit of weight, where the simplest weights are chosen.
BIAS_COST = 0.1
# With more units than these the first solution is taken: there are too many sets to try them all.
EXHAUSTIVE = 4


class Unit(NamedTuple):
    """A step unit: it fires where weight . input + bias >= 0."""

    weight: tuple[float, ...]
    bias: float

    def fires(self, inputs: np.ndarray) -> np.ndarray:
        """Return whether it fires for each of the inputs (N, number of weights): (N,) bool."""
        return inputs @ np.array(self.weight) + self.bias >= 0

    @property
    def cost(self) -> float:
        """Return less for weights that are easier to read."""
        return sum(map(abs, self.weight)) + BIAS_COST * abs(self.bias)


@dataclass
class Design:
    """The simplest network with the fewest hidden step units, and the proof by exhaustion.

    tried: for each number of hidden units, how many sets of lines there are and how many of them
        can solve the table. All but the last entry have none.
    """

    hidden: list[Unit]
    output: Unit
    tried: dict[int, tuple[int, int]] = field(default_factory=dict)


def dichotomies(points: np.ndarray) -> dict[tuple[bool, ...], Unit]:
    """Return every way to divide points (N, 2) by a line that meets none, with a unit for each.

    One of each complementary pair is given, and not the division into all and nothing. The unit
    has the smallest integer weights that will do, where weights up to 4 will, and a bias half way
    between the nearest points on both sides (on the integer grid a half-integer).
    """
    found: dict[tuple[bool, ...], Unit] = {}

    def divide(directions: Iterator[tuple[float, float]], among=None) -> None:
        for direction in directions:
            projection = points @ np.array(direction, float)
            levels = np.unique(projection.round(9))
            for low, high in itertools.pairwise(levels):
                threshold = (low + high) / 2
                fires = tuple((projection >= threshold).tolist())
                key = fires if fires[0] else tuple(not fired for fired in fires)
                if key not in found and (among is None or key in among):
                    found[key] = Unit(tuple(direction), float(-threshold))

    # The order of the points along a direction changes only where the direction is perpendicular
    # to the line through two of them. So one direction between each two neighbours of those
    # meets every division.
    first, second = np.triu_indices(len(points), 1)
    across = points[second] - points[first]
    across = across[np.any(across != 0, axis=1)]
    angles = np.unique((np.arctan2(across[:, 0], -across[:, 1]) % math.pi).round(12))
    between = [(a + b) / 2 for a, b in itertools.pairwise([*angles, angles[0] + math.pi])]
    divide((math.cos(angle), math.sin(angle)) for angle in between)
    # Then the same divisions by weights that a person would choose.
    swept, found = found, {}
    whole = [w for w in itertools.product(range(-4, 5), repeat=2) if math.gcd(*w) == 1]
    # Positive weights first among equals: x1 - x2 rather than x2 - x1.
    divide(sorted(whole, key=lambda w: (abs(w[0]) + abs(w[1]), -w[0], -w[1])), swept)
    return swept | found


def output_unit(codes: np.ndarray, target: np.ndarray) -> Unit | None:
    """Find a unit that maps hidden activations (N, k), 0 or 1, to the targets (N,), or None.

    A linear program: the smallest `cost` with every net input at least 1/2 away from 0.
    """
    # Not at the top: it takes 0.33 s to import, and only --design needs it.
    from scipy.optimize import linprog

    sides = np.hstack([codes, np.ones((len(codes), 1))]) * np.where(target == 1, 1, -1)[:, None]
    # Variables are at least 0, so each weight is the difference of two.
    cost = [*[1.0] * codes.shape[1], BIAS_COST]
    solved = linprog(cost * 2, A_ub=np.hstack([-sides, sides]), b_ub=np.full(len(sides), -0.5))
    if solved.status != 0:
        return None
    above, below = np.split(solved.x, 2)
    *weight, bias = (above - below).round(9).tolist()
    return Unit(tuple(weight), bias)


def fewest_units(points: np.ndarray, target: np.ndarray, most: int = 6) -> Design | None:
    """Find the fewest hidden step units that give points (N, 2) their targets (N,), 0 or 1.

    Returns None if even `most` units are too few.
    """
    lines = dichotomies(points)
    units = list(lines.values())
    bits = np.stack([unit.fires(points) for unit in units], axis=1).astype(np.int64)  # (N, lines)
    ones, zeros = target == 1, target == 0
    tried: dict[int, tuple[int, int]] = {}
    for count in range(1, most + 1):
        best, solutions, sets = None, 0, 0
        for chosen in _chunks(len(units), count):
            sets += len(chosen)
            codes = (bits[:, chosen] << np.arange(count)).sum(axis=2)  # (N, sets)
            # Points with different targets must differ in some hidden unit.
            mixed = (codes[ones][:, None] == codes[zeros][None]).any(axis=(0, 1))
            for pick in chosen[~mixed]:
                unit = output_unit(bits[:, pick], target)
                if unit is None:
                    continue
                solutions += 1
                design = [units[index] for index in pick]
                cost = unit.cost + sum(line.cost for line in design)
                if best is None or cost < best[0]:
                    best = cost, design, unit
            if best and count > EXHAUSTIVE:
                break
        tried[count] = sets, solutions
        if best:
            return Design(best[1], best[2], tried)
    return None


def _chunks(lines: int, count: int, size: int = 20_000) -> Iterator[np.ndarray]:
    """Yield all sets of `count` of the lines, as arrays (at most `size`, count)."""
    sets = itertools.combinations(range(lines), count)
    while chunk := list(itertools.islice(sets, size)):
        yield np.array(chunk)
