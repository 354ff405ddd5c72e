"""The search for the minimum number of step units, against known counts and brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perceptron.design import dichotomies, separate, smallest_design

GRID = np.array(list(itertools.product(range(3), repeat=2)), float)
TARGET = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0])


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


coordinate = st.integers(-30, 30)


@example(GRID.tolist())
@given(st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=6, unique=True))
@settings(max_examples=10, deadline=None)
def test_all_divisions_of_any_points_are_found(points):
    points = np.array(points, float)
    rows, units = dichotomies(points)
    assert {tuple(row) for row in rows.tolist()} == swept(points)
    assert len(rows) == len(swept(points))
    for row, unit in zip(rows, units, strict=True):
        assert np.array_equal(fires(unit, points), row)


@pytest.mark.parametrize(("inputs", "count"), [(2, 14), (3, 104)])
def test_output_units_are_all_threshold_functions(inputs, count):
    """Count them (OEIS A000609)."""
    corners = np.array(list(itertools.product((0, 1), repeat=inputs)))
    targets = map(np.array, itertools.product((0, 1), repeat=len(corners)))
    units = [(target, separate(corners, target)) for target in targets]
    found = [(target, unit) for target, unit in units if unit is not None]
    assert len(found) == count
    assert all(np.array_equal(fires(unit, corners), target == 1) for target, unit in found)


@pytest.mark.parametrize(
    ("target", "solutions"),
    [
        (TARGET, [0, 0, 0, 3]),
        ([0, 0, 0, 0, 0, 0, 0, 0, 1], [1]),
        ([0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 1]),
    ],
)
def test_the_fewest_units_solve_a_table(target, solutions):
    target = np.array(target)
    (weight, bias, out_weight, out_bias), tried = smallest_design(GRID, target)
    assert len(bias) == len(solutions)
    hidden = GRID @ weight.T + bias >= 0
    assert np.array_equal(hidden @ out_weight[0] + out_bias >= 0, target == 1)
    sets = [28, 378, 3276, 20475][: len(solutions)]
    assert [record["sets_of_lines"] for record in tried] == sets
    assert [record["solutions"] for record in tried] == solutions


def test_three_units_are_too_few_for_any_threshold_function():
    """Repeat the proof without linear programming: all triples of lines and threshold functions.

    Integer weights up to 2 yield all threshold functions of 3 bits (Muroga, Tsuboi & Baugh, 1970).
    """
    corners = np.array(list(itertools.product((0, 1), repeat=3)))
    functions = np.array(
        [
            corners @ weight >= threshold - 0.5
            for weight in itertools.product(range(-2, 3), repeat=3)
            for threshold in range(-6, 8)
        ]
    )
    functions = np.unique(functions, axis=0)
    assert len(functions) == 104
    for triple in itertools.combinations(np.array(list(swept(GRID))), 3):
        codes = np.stack(triple, axis=1) @ [4, 2, 1]
        assert not (functions[:, codes] == (TARGET == 1)).all(axis=1).any()
