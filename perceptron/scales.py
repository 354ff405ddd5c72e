"""Scales at which sigmoid units classify like step units with the same weights."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
from torch import Tensor

from check import MLP


def correct_scales(net: MLP, points: Tensor, target: Tensor) -> list[tuple[float, float]]:
    """Return the scales at which `net`, with sigmoid units, classifies all points correctly.

    A scale s multiplies all weights and biases. Returns intervals (low, high) in ascending order,
    with ends to a relative precision of 1e-6; [] if there are none. The last high is inf if all
    larger scales are correct. A first low of 0 means that the smallest scale tried is correct; no
    hidden net input exceeds 0.1 there.

    The class is the sign of the output's net input, which `_falling_terms` writes as a sum of terms
    W_k sigmoid(-s d_k). Divided by sigmoid(-s d_1) > 0, the first is the constant W_1 and the
    others tend to 0 monotonically as s rises. Their values at both ends of an interval of scales
    therefore bound the sum in between; if the bounds leave its sign open, the interval is halved.
    From some scale on the others together are smaller than |W_1|, and the sign of W_1 decides.

    Fallback: an undecided interval narrower than the precision is decided at its middle. So are all
    undecided intervals if there are more than 50,000, because for a few weights the net input stays
    close to 0 over a wide range of scales.
    """
    coefficients, first_rate, rate_gaps = _falling_terms(net, points)
    positive = target.numpy() >= 0.5  # (N, 1)

    def ratios(scales: np.ndarray) -> np.ndarray:
        """Return sigmoid(-s d_k) / sigmoid(-s d_1) for scales (S,): (S, N, K)."""
        s = scales.reshape(-1, 1, 1)
        rates = first_rate + rate_gaps
        return np.exp(-s * rate_gaps) * (1 + np.exp(-s * first_rate)) / (1 + np.exp(-s * rates))

    def decide(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return masks of intervals (S,): all points proved correct, a point proved incorrect."""
        ends = coefficients * ratios(low), coefficients * ratios(high)
        lower, upper = np.minimum(*ends).sum(axis=2), np.maximum(*ends).sum(axis=2)
        correct = np.where(positive.T, lower >= 0, upper < 0).all(axis=1)
        return correct, np.where(positive.T, upper < 0, lower >= 0).any(axis=1)

    start = end = np.array([0.1 / ((first_rate + rate_gaps).max() or 1)])
    magnitudes = np.abs(coefficients)
    # Double `end` until the first term decides there, and so at all larger scales.
    while (2 * magnitudes[:, 0] < (magnitudes * ratios(end)).sum(axis=2)).any():
        end = 2 * end
    found = [(end[0], math.inf)] if decide(end, end)[0] else []
    low, high = start, end
    while len(low):
        correct, incorrect = decide(low, high)
        middle = np.sqrt(low * high)
        final = (high <= low * (1 + 1e-6)) | (len(low) > 50_000)
        correct |= final & ~incorrect & decide(middle, middle)[0]
        found += zip(low[correct], high[correct], strict=True)
        undecided = ~(correct | incorrect | final)
        low, middle, high = low[undecided], middle[undecided], high[undecided]
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    merged: list[tuple[float, float]] = []
    for low, high in sorted(found):
        previous = merged.pop() if merged and merged[-1][1] == low else (low, low)
        merged.append((0.0 if previous[0] == start[0] else float(previous[0]), float(high)))
    return merged


def _falling_terms(net: MLP, points: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the output's net input at scale s, divided by s, as a sum of terms falling with s.

    It is c + sum_j v_j sigmoid(s z_j), with z_j the net input of hidden unit j at scale 1. For
    z_j > 0 substitute sigmoid(s z_j) = 1 - sigmoid(-s z_j), and write constants as multiples of
    sigmoid(0) = 1/2. This gives sum_k W_k sigmoid(-s d_k) with distinct rates d_k >= 0, so that
    every sigmoid falls with s (for d_k = 0 it is constant).

    Returns W (N, K), d_1 (N, 1) and d_k - d_1 (N, K) for N points, with d_k in ascending order and
    rows padded with zeros. W_k = 0 are omitted, because the sign of W_1 decides at large scales.
    Sums are exact fractions of the decimals that were entered, because with rounding errors terms
    that cancel would remain.
    """

    def exact(values: Tensor) -> np.ndarray:
        values = values.detach().numpy()
        return np.array([Fraction(str(value)) for value in values.flat]).reshape(values.shape)

    weight, bias, (out_weight,), (out_bias,) = map(exact, net.parameters())
    rows = []
    for net_inputs in exact(points) @ weight.T + bias:
        terms = defaultdict(Fraction, {0: 2 * out_bias})
        for net_input, coefficient in zip(net_inputs, out_weight, strict=True):
            if net_input > 0:
                terms[0] += 2 * coefficient
                coefficient = -coefficient
            terms[abs(net_input)] += coefficient
        rows.append(sorted((rate, w) for rate, w in terms.items() if w) or [(0, 0)])
    shape = len(rows), max(map(len, rows))
    coefficients, rate_gaps = np.zeros(shape), np.zeros(shape)
    first_rate = np.zeros((len(rows), 1))
    for n, row in enumerate(rows):
        first_rate[n] = float(row[0][0])
        for k, (rate, coefficient) in enumerate(row):
            coefficients[n, k], rate_gaps[n, k] = coefficient, rate - row[0][0]
    return coefficients, first_rate, rate_gaps
