"""The smallest scale of weights at which sigmoid units classify like step units."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from torch import Tensor

# Factors for all weights and biases, in steps of 2.3 %. A smaller gap is not noticed, so that a
# sentence has to speak "of the scales tried".
SCALES = np.geomspace(0.01, 1000, 500)
# Minimum distance of the output's net input from 0. Below it, rounding may decide, because the
# sigmoid of a net input above 37 rounds to 1.
MARGIN = 1e-9


def sigmoid_test(
    weights: Iterable[Tensor], points: Tensor, target: Tensor
) -> Callable[[float], bool]:
    """Return the function of a scale that decides whether a sigmoid network is right on all points.

    weights: W (hid, 2), b (hid,), V (1, hid), c (1,); points: (N, 2); target: (N, 1), 0 or 1.
    """
    weight, bias, out_weight, out_bias, points, target = (
        # Rounded to the decimals that were entered, because float32 has fewer digits than MARGIN.
        values.detach().double().numpy().round(6)
        for values in (*weights, points, target)
    )
    net_input = points @ weight.T + bias

    def correct_at(scale: float) -> bool:
        # exp(-x) may not overflow.
        hidden = 1 / (1 + np.exp(-np.clip(scale * net_input, -700, 700)))
        output = scale * (hidden @ out_weight.T + out_bias)
        return bool((output * (2 * target - 1) >= MARGIN).all())

    return correct_at


def smallest_scale(correct_at: Callable[[float], bool]) -> float | None:
    """Return the smallest scale from which on all of SCALES are correct, to nine digits.

    Returns SCALES[0] if all are correct, None if the largest is not.
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
