"""Step units by search and the scale for sigmoid units, against known counts and brute force."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit
from shared import ROOT

from perceptron.design import SCALES, dichotomies, separate, smallest_design, smallest_scale
from perceptron.network import correct_points, make_net, read_table

POINTS, TARGET = read_table(ROOT / "data" / "check.csv")
GRID = POINTS.double().numpy()
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


def swept(points: np.ndarray) -> set[tuple[bool, ...]]:
    """Return the divisions of points by lines, as sides without the first point: by brute force.

    The order of the projected points changes only at normals perpendicular to a line through two
    points, so one normal between each two neighbours of these yields every division.
    """
    found = set()
    pairs = itertools.combinations(points, 2)
    angles = sorted({round(math.atan2(*(q - p)[::-1]) % math.pi, 12) for p, q in pairs})
    for low, high in itertools.pairwise([*angles, angles[0] + math.pi]):
        across = (low + high) / 2 + math.pi / 2
        projection = points @ [math.cos(across), math.sin(across)]
        for threshold in itertools.pairwise(sorted(projection)):
            side = projection > sum(threshold) / 2
            found.add(tuple((side != side[0]).tolist()))
    return {side for side in found if any(side)}


@example(GRID.tolist())
@given(st.lists(st.tuples(*[st.integers(-30, 30)] * 2), min_size=2, max_size=6, unique=True))
@settings(max_examples=10, deadline=None)
def test_all_divisions_of_any_points_are_found(points):
    points = np.array(points, float)
    rows, units = dichotomies(points)
    assert sorted(map(tuple, rows.tolist())) == sorted(swept(points))
    assert np.array_equal([fires(unit, points) for unit in units], rows)


def test_output_units_are_all_threshold_functions():
    # Their number is in OEIS A000609.
    assert len(FUNCTIONS) == 104
    for target in itertools.product((False, True), repeat=8):
        unit = separate(CORNERS, np.array(target))
        assert (unit is not None) == (target in FUNCTIONS)
        assert unit is None or tuple(fires(unit, CORNERS)) == target


def test_three_units_are_too_few_for_any_threshold_function():
    """Repeat the proof without linear programming."""
    functions = np.array(list(FUNCTIONS))
    for triple in itertools.combinations(swept(GRID), 3):
        codes = np.array(triple).T @ [4, 2, 1]
        assert not (functions[:, codes] == (TARGET.numpy().T == 1)).all(axis=1).any()


def test_the_fewest_units_solve_a_table():
    target = [0, 0, 0, 1, 1, 1, 0, 0, 0]
    (weight, bias, out_weight, out_bias), tried = smallest_design(GRID, np.array(target))
    hidden = GRID @ weight.T + bias >= 0
    assert (hidden @ out_weight[0] + out_bias >= 0).tolist() == target
    assert [tuple(record.values()) for record in tried] == [(1, 28, 0), (2, 378, 1)]


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
        (UNIT, [[1, 0]], ZERO, None),
        (UNIT, [[-1, 0]], ZERO, SCALES[0]),
        # Below 0 from scale 0.23 to 0.73: the last of several changes counts.
        (BUMP, [[1, 1]], ONE, brentq(lambda s: -expit(4 * s) + 2 * expit(s) - 0.4, 0.5, 1)),
        # The output's net input is below 0 for all targets 1, but rounds to 0.
        ([*HAND[:3], [-1]], POINTS, TARGET, None),
        # 0.1 + 0.2 - 0.3 is not 0 in float32.
        ([[[1, 0]] * 2, [1, 1], [[0.1, 0.2]], [-0.3]], [[1, 1]], ZERO, None),
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
