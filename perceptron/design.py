"""Weights by design: the fewest hidden step units for a table of points, by exhaustive search, and
the smallest scale of their weights at which sigmoid units classify as they do.

A step unit divides the points by a line. Infinitely many lines yield only finitely many divisions,
the dichotomies of the points (Cover, 1965). A network with k hidden step units uses k of them, and
its output unit must compute the targets from the k hidden activations. One linear program decides
whether a unit can separate inputs: points for a hidden unit, hidden activations for the output
unit. Trying all sets of k = 1, 2, ... dichotomies therefore finds the minimum and proves that fewer
units cannot solve the table.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from operator import itemgetter

import numpy as np
import torch
from torch import Tensor

# Maximum number of hidden units for which all sets of lines are tried. With more units the search
# ends at the first solution, because there are too many sets.
MAX_EXHAUSTIVE_UNITS = 4
MAX_UNITS = 6
# Factors for all weights and biases, in steps of 2.3 %. A smaller gap is not noticed, so that a
# sentence has to speak "of the scales tried".
SCALES = np.geomspace(0.01, 1000, 500)
# Minimum distance of the output's net input from 0. Below it, rounding may decide, because the
# sigmoid of a net input above 37 rounds to 1.
MARGIN = 1e-9


def separate(inputs: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """Return a unit that fires for the inputs (N, k) with target 1 only, None if there is none.

    target: (N,), 0 or 1. A unit is its weights and, last, its bias: (k + 1,); it fires at net
    inputs of at least 0. Of all units whose net inputs are at least 1/2 away from 0, this one has
    the smallest sum of absolute weights.
    """
    # Imported here because it takes 0.5 s and only --design needs it.
    from scipy.optimize import linprog

    count = inputs.shape[1]
    sides = np.hstack([inputs, np.ones((len(inputs), 1))]) * np.where(target, 1, -1)[:, None]
    # A weight is the difference of two variables that are not negative, which the sum needs.
    halves = np.hstack([-sides[:, :count], sides[:, :count], -sides[:, count:]])
    solution = linprog(
        [1] * 2 * count + [0], halves, [-0.5] * len(inputs),
        bounds=[(0, None)] * 2 * count + [(None, None)],
    )  # fmt: skip
    if solution.status != 0:
        return None
    positive, negative, bias = np.split(solution.x, [count, 2 * count])
    # Without the linear program's rounding errors, and without -0.
    return np.concatenate([positive - negative, bias]).round(9) + 0


def dichotomies(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all divisions of points (N, 2) by lines through none of them: (lines, N), and units.

    A row marks the points at which its unit (lines, 3) fires, never the first one. The trivial
    division, with all points on one side, is omitted.
    """
    divisions = [(False,)]
    # Points that a line divides are also divided without the last one: so add one after another.
    for count in range(2, len(points) + 1):
        longer = ((*division, side) for division in divisions for side in (False, True))
        divisions = [
            division
            for division in longer
            if not any(division) or separate(points[:count], np.array(division)) is not None
        ]
    rows = np.array([division for division in divisions if any(division)])
    return rows, np.array([separate(points, row) for row in rows])


def smallest_design(points: np.ndarray, target: np.ndarray) -> tuple[list | None, list[dict]]:
    """Return the weights of the step network with the fewest hidden units, and the proof.

    points: (N, 2); target: (N,), 0 or 1. The weights are W (k, 2), b (k,), V (1, k), c (1,), of all
    solutions those with the smallest sum of absolute weights, or None if MAX_UNITS hidden units are
    too few. The proof has a record for each number of hidden units: sets of lines tried, and how
    many of them can solve the table, which is 0 except for the last.
    """
    rows, units = dichotomies(points)
    ones, zeros = rows.T[target == 1].tolist(), rows.T[target == 0].tolist()
    tried = []
    for count in range(1, MAX_UNITS + 1):
        sets, solutions = 0, []
        for lines in itertools.combinations(range(len(units)), count):
            sets += 1
            # Points with different targets must differ in the activation of a hidden unit.
            hidden = itemgetter(*lines)
            if set(map(hidden, ones)).isdisjoint(map(hidden, zeros)):
                output = separate(rows[lines, :].T, target)
                if output is not None:
                    solutions.append((units[lines, :], output))
                    if count > MAX_EXHAUSTIVE_UNITS:
                        break
        tried.append({"hidden_units": count, "sets_of_lines": sets, "solutions": len(solutions)})
        if solutions:
            hidden, output = min(solutions, key=_cost)
            # Units that excite the output first.
            order = np.lexsort((-hidden[:, 2], -output[:-1]))
            return [hidden[order, :2], hidden[order, 2], output[None, order], output[-1:]], tried
    return None, tried


def _cost(solution: tuple[np.ndarray, np.ndarray]) -> float:
    hidden, output = solution
    return np.abs(hidden[:, :2]).sum() + np.abs(output[:-1]).sum()


def smallest_scale(weights: Iterable[Tensor], points: Tensor, target: Tensor) -> float | None:
    """Return the smallest scale from which on sigmoid units are right on all points at all SCALES.

    weights: W (hid, 2), b (hid,), V (1, hid), c (1,); points: (N, 2); target: (N, 1), 0 or 1. The
    scale has seven digits. Returns SCALES[0] if all are right, None if the largest is not.
    """
    # In float64, because float32 has fewer digits than MARGIN; rounded to the decimals entered.
    weight, bias, out_weight, out_bias, points = (
        values.double().round(decimals=6) for values in (*weights, points)
    )

    def correct_at(scale: float) -> bool:
        hidden = torch.sigmoid(scale * (points @ weight.T + bias))
        output = scale * (hidden @ out_weight.T + out_bias)
        return bool((output * (2 * target - 1) >= MARGIN).all())

    scales = SCALES
    # Each time, the gap that contains the last change is divided.
    for _ in range(3):
        wrong = np.flatnonzero([not correct_at(scale) for scale in scales])
        if not wrong.size or wrong[-1] == len(scales) - 1:
            return None if wrong.size else float(scales[0])
        scales = np.geomspace(*scales[wrong[-1] : wrong[-1] + 2], 500)
    return float(scales[-1])
