"""The search for the minimum number of step units, against known counts and brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from shared import ROOT

import check
from perceptron.dichotomies import Unit, dichotomies, output_unit, smallest_design

POINTS, TARGET = check.read_table(ROOT / "data" / "check.csv")
GRID = np.array(list(itertools.product(range(3), repeat=2)), float)


def separable(points: np.ndarray, target: np.ndarray) -> bool:
    """Return whether a line separates the points by their targets, by linear programming."""
    sign = np.where(target, 1.0, -1.0)[:, None]
    sides = np.hstack([points, np.ones((len(points), 1))]) * sign
    free = [(None, None)] * sides.shape[1]
    return linprog(np.zeros(sides.shape[1]), -sides, -np.ones(len(sides)), bounds=free).status == 0


def check_lines(points: np.ndarray, lines: dict[tuple[bool, ...], Unit]) -> None:
    """Check that each unit fires for the points of its key, or for all others."""
    for key, unit in lines.items():
        fires = tuple(unit.fires(points).tolist())
        assert fires in (key, tuple(not fired for fired in key))


def test_the_grid_has_58_dichotomies():
    lines = dichotomies(GRID)
    # 58 counts each division twice, by the side that fires, and includes the trivial one.
    assert 2 * len(lines) + 2 == 58
    check_lines(GRID, lines)
    expected = {
        tuple(target if target[0] else [not t for t in target])
        for target in itertools.product([False, True], repeat=9)
        if len(set(target)) == 2 and separable(GRID, np.array(target))
    }
    assert set(lines) == expected


coordinate = st.integers(-30, 30)


@given(st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=6, unique=True))
@settings(max_examples=10, deadline=None)
def test_all_dichotomies_of_any_points_are_found(points):
    points = np.array(points, float)
    lines = dichotomies(points)
    check_lines(points, lines)
    for target in itertools.product([False, True], repeat=len(points) - 1):
        key = (True, *target)
        if not all(key):
            assert (key in lines) == separable(points, np.array(key))


@pytest.mark.parametrize(("inputs", "count"), [(2, 14), (3, 104)])
def test_output_units_are_all_threshold_functions(inputs, count):
    """Count them (OEIS A000609)."""
    corners = np.array(list(itertools.product((0, 1), repeat=inputs)))
    found = 0
    for target in itertools.product((0, 1), repeat=len(corners)):
        unit = output_unit(corners, np.array(target))
        found += unit is not None
        assert unit is None or np.array_equal(unit.fires(corners), np.array(target) == 1)
    assert found == count


def solves(design, points: np.ndarray, target: np.ndarray) -> bool:
    hidden = np.stack([unit.fires(points) for unit in design.hidden], axis=1)
    return np.array_equal(design.output.fires(hidden), target == 1)


def test_assignment_data_need_four_units():
    assert np.array_equal(POINTS, GRID)
    design = smallest_design(POINTS.double().numpy(), TARGET.squeeze(1).int().numpy())
    assert len(design.hidden) == 4
    assert solves(design, GRID, TARGET.squeeze(1).numpy())
    assert {count: sets for count, (sets, _) in design.tried.items()} == {
        1: 28, 2: 378, 3: 3276, 4: 20475,
    }  # fmt: skip
    assert [solutions for _, solutions in design.tried.values()][:3] == [0, 0, 0]


def test_three_units_are_too_few_for_any_threshold_function():
    """Repeat the proof without linear programming: all triples of lines and threshold functions.

    Integer weights up to 2 yield all threshold functions of 3 bits (Muroga, Tsuboi & Baugh, 1970).
    """
    expected = TARGET.squeeze(1).numpy() == 1
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
    for triple in itertools.combinations(np.array(list(dichotomies(GRID))), 3):
        codes = np.stack(triple, axis=1) @ [4, 2, 1]
        assert not (functions[:, codes] == expected).all(axis=1).any()


@given(st.lists(st.integers(0, 1), min_size=9, max_size=9).filter(lambda t: len(set(t)) == 2))
@settings(max_examples=10, deadline=None)
def test_any_table_on_the_grid_is_solved(target):
    target = np.array(target)
    design = smallest_design(GRID, target)
    assert solves(design, GRID, target)
    assert (len(design.hidden) == 1) == separable(GRID, target == 1)
