"""At which scales sigmoid units do what step units with the same weights do."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
from torch import Tensor

from check import MLP


def correct_scales(net: MLP, points: Tensor, target: Tensor) -> list[tuple[float, float]]:
    """Find all scales that make sigmoid units with the weights of `net` right on all points.

    A scale multiplies all weights and biases. Returns intervals (low, high) of scales in rising
    order, their ends to a relative precision of 1e-6; [] if there are none. The last high is inf
    if all larger scales are right too. A first low of 0 stands for the smallest scale tried, at
    which no hidden unit's net input exceeds 0.1.

    The sign of the output's net input decides, written as in `_falling_terms` and divided by its
    first term. All other terms then fall to 0 as the scale rises, so that their values at the
    ends of an interval bound the sum on all of it, and the first term alone decides from some
    scale on. Intervals that the bounds leave open are halved; one that is as narrow as the
    precision is decided at its middle, and so are all if 50,000 are open: rare weights keep the
    net input close to 0 over a long stretch.
    """
    sizes, first, gaps = _falling_terms(net, points)
    positive = target.numpy() >= 0.5  # (N, 1)

    def ratios(scales: np.ndarray) -> np.ndarray:
        """Divide the terms at scales (S,) by the first, all without their sizes: (S, N, K)."""
        s = scales.reshape(-1, 1, 1)
        return np.exp(-s * gaps) * (1 + np.exp(-s * first)) / (1 + np.exp(-s * (first + gaps)))

    def judge(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return on which of the intervals (S,) all points are right, and on which one is wrong."""
        ends = sizes * ratios(low), sizes * ratios(high)
        smallest, largest = np.minimum(*ends).sum(axis=2), np.maximum(*ends).sum(axis=2)
        right = np.where(positive.T, smallest >= 0, largest < 0).all(axis=1)
        return right, np.where(positive.T, largest < 0, smallest >= 0).any(axis=1)

    start = end = np.array([0.1 / ((first + gaps).max() or 1)])
    while (2 * np.abs(sizes[:, 0]) < (np.abs(sizes) * ratios(end)).sum(axis=2)).any():
        end = 2 * end
    found = [(end[0], math.inf)] if judge(end, end)[0] else []
    low, high = start, end
    while len(low):
        right, wrong = judge(low, high)
        middle = np.sqrt(low * high)
        precise = (high <= low * (1 + 1e-6)) | (len(low) > 50_000)
        right |= precise & ~wrong & judge(middle, middle)[0]
        found += zip(low[right], high[right], strict=True)
        split = ~(right | wrong | precise)
        low, middle, high = low[split], middle[split], high[split]
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    joined: list[tuple[float, float]] = []
    for low, high in sorted(found):
        before = joined.pop() if joined and joined[-1][1] == low else (low, low)
        joined.append((0.0 if before[0] == start[0] else float(before[0]), float(high)))
    return joined


def _falling_terms(net: MLP, points: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write the output's net input at scale s as s times a sum of terms that fall as s rises.

    That is c + sum_j v_j sigmoid(s z_j), with z_j the net input of hidden unit j at scale 1. As
    sigmoid(t) = 1 - sigmoid(-t), it is sum_k W_k sigmoid(-s d_k) with distinct d_k >= 0, of which
    d = 0 is the constant. Returns sizes W (N, K), the first d (N, 1) and gaps d_k - d_1 (N, K),
    in rising order and padded with zeros.

    The numbers are taken as the decimals that were entered: rational arithmetic knows whether
    terms cancel, and so what decides where the step network's net input is exactly 0.
    """

    def exact(values: Tensor) -> np.ndarray:
        values = values.detach().numpy()
        return np.array([Fraction(str(value)) for value in values.flat]).reshape(values.shape)

    weight, bias, (out_weight,), (out_bias,) = map(exact, net.parameters())
    rows = []
    for net_inputs in exact(points) @ weight.T + bias:
        terms = defaultdict(Fraction, {0: 2 * out_bias})
        for net_input, size in zip(net_inputs, out_weight, strict=True):
            if net_input > 0:
                terms[0] += 2 * size
                size = -size
            terms[abs(net_input)] += size
        rows.append(sorted((decay, size) for decay, size in terms.items() if size) or [(0, 0)])
    shape = len(rows), max(map(len, rows))
    sizes, gaps, first = np.zeros(shape), np.zeros(shape), np.zeros((len(rows), 1))
    for index, row in enumerate(rows):
        first[index] = float(row[0][0])
        for place, (decay, size) in enumerate(row):
            sizes[index, place], gaps[index, place] = size, decay - row[0][0]
    return sizes, first, gaps
