"""Step units by search and the scale for sigmoid units, against known counts and solutions."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import expit
from shared import ROOT

from perceptron.design import SCALES, dichotomies, separate, smallest_scale
from perceptron.network import correct_points, make_net, read_table

POINTS, TARGET = read_table(ROOT / "data" / "check.csv")
CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))
# All threshold functions of 3 bits: integer weights up to 2 yield them (Muroga, Tsuboi & Baugh,
# 1970).
FUNCTIONS = {
    tuple((CORNERS @ weight >= threshold - 0.5).tolist())
    for weight in itertools.product(range(-2, 3), repeat=3)
    for threshold in range(-6, 8)
}


def fires(unit: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    return inputs @ unit[:-1] + unit[-1] >= 0


def test_all_divisions_by_lines_are_found():
    points = np.random.default_rng(0).normal(size=(7, 2))
    rows, units = dichotomies(points)
    # Cover (1965): N (N - 1) / 2 if no three points are on a line.
    assert len(np.unique(rows, axis=0)) == 21
    assert np.array_equal([fires(unit, points) for unit in units], rows)


def test_output_units_are_all_threshold_functions():
    # Their number is in OEIS A000609.
    assert len(FUNCTIONS) == 104
    for target in itertools.product((False, True), repeat=8):
        unit = separate(CORNERS, np.array(target))
        assert (unit is not None) == (target in FUNCTIONS)
        assert unit is None or tuple(fires(unit, CORNERS)) == target


# Scales

HAND = [[[1, -1], [-1, 1], [1, -1], [-1, 1]], [-0.5, -0.5, -1.5, -1.5], [[1, 1, -1, -1]], [-0.5]]
ONE, ZERO = torch.ones(1, 1), torch.zeros(1, 1)
UNIT, BUMP = [[[10.0, 0]], [0], [[1]], [-0.75]], [[[4, 0], [1, 0]], [0, 0], [[-1, 2]], [-0.4]]


@pytest.mark.parametrize(
    ("weights", "points", "target", "expected"),
    [
        (HAND, POINTS, TARGET, 1.980399),
        # sigmoid(10 s) - 0.75 >= 0 for s >= log(0.75 / 0.25) / 10.
        (UNIT, [[1, 0]], ONE, math.log(3) / 10),
        (UNIT, [[-1, 0]], ZERO, SCALES[0]),
        # Below 0 from scale 0.23 to 0.73: the last of several changes counts.
        (BUMP, [[1, 1]], ONE, brentq(lambda s: -expit(4 * s) + 2 * expit(s) - 0.4, 0.5, 1)),
        # The output's net input is below 0 for all targets 1, but rounds to 0.
        ([*HAND[:3], [-1]], POINTS, TARGET, None),
    ],
)
def test_the_smallest_scale_is_where_the_network_becomes_correct(weights, points, target, expected):
    weights, points = [torch.tensor(values).float() for values in weights], torch.as_tensor(points)
    found = smallest_scale(weights, points, target)
    assert found == (expected and pytest.approx(expected, rel=1e-6))
    if found and found > SCALES[0]:
        for factor, correct in ((0.9999, False), (1.0001, True), (20, True)):
            net = make_net(len(weights[1]), "sig", [found * factor * value for value in weights])
            assert correct_points(net, points.float(), target).all() == correct
