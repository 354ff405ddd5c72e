"""The smallest scale of weights at which sigmoid units classify like step units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Factors for all weights and biases, in steps of 2.3 %. A smaller gap is not noticed, so that a
# sentence has to speak "of the scales tried".
SCALES = np.geomspace(0.01, 1000, 500)


def smallest_scale(correct_at: Callable[[float], bool]) -> float | None:
    """Return the scale from which on all of SCALES are correct, to a relative precision of 1e-9.

    correct_at: whether the network classifies all points correctly at a scale. Returns SCALES[0] if
    all are correct, None if the largest is not.
    """
    correct = np.array([correct_at(scale) for scale in SCALES])
    if correct.all() or not correct[-1]:
        return float(SCALES[0]) if correct.all() else None
    last = np.flatnonzero(~correct)[-1]
    below, above = SCALES[last : last + 2]
    while above > below * (1 + 1e-9):
        middle = np.sqrt(below * above)
        below, above = (below, middle) if correct_at(middle) else (middle, above)
    return float(above)


def sigmoid_test(weights, points: np.ndarray, target: np.ndarray) -> Callable[[float], bool]:
    """Return the function correct_at(scale) of a network with sigmoid units.

    weights: W (hid, 2), b (hid,), V (1, hid), c (1,); points: (N, 2); target: (N,) bool.

    The class is the sign of c + sum_j V_j sigmoid(s z_j), with z_j the net input of hidden unit j.
    A sigmoid rounds to 1 at net inputs beyond 37, and the sign with it. So for z_j > 0 the sum is
    written with sigmoid(s z_j) = 1 - sigmoid(-s z_j): a constant, and terms that fall towards 0 as
    s rises, which decide where the constant is 0.
    """
    hidden_weight, hidden_bias, output_weight, output_bias = map(np.asarray, weights)
    net_input = points @ hidden_weight.T + hidden_bias
    # Without the rounding errors of decimals such as 0.1 + 0.2 - 0.3.
    constant = (output_bias + np.where(net_input > 0, output_weight, 0).sum(axis=1)).round(6)
    coefficient = np.where(net_input > 0, -output_weight, output_weight)
    distance = np.abs(net_input)
    # A positive factor, exp(s nearest), keeps falling terms above the smallest float64.
    nearest = np.where(constant == 0, distance.min(axis=1), 0)[:, None]

    def correct_at(scale: float) -> bool:
        falling = np.exp(-scale * (distance - nearest)) / (1 + np.exp(-scale * distance))
        return bool(((constant + (coefficient * falling).sum(axis=1) >= 0) == target).all())

    return correct_at
