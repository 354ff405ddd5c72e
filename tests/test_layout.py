"""Placement of arrows and texts: no overlaps while there is room."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.bezier import BezierSegment
from recurrent.layout import Layout, subcurve


def circles(places, radius=20.0, size=(600, 400)) -> Layout:
    """Return a Layout of circles at places (N, 2)."""
    return Layout(
        size, [np.array([place], float) for place in places], np.full(len(places), radius)
    )


def overlap(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two boxes (left, bottom, right, top) share more than an edge."""
    return bool((one[:2] < other[2:]).all() and (other[:2] < one[2:]).all())


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 0.9), st.floats(0.01, 1), st.integers(0, 2**32 - 1))
def test_a_subcurve_is_a_part_of_the_curve(start, share, seed):
    points = np.random.default_rng(seed).normal(size=(3, 2))
    end = start + share * (1 - start)
    t = np.linspace(0, 1, 9)
    expected = BezierSegment(points)(start + t * (end - start))
    assert np.allclose(BezierSegment(subcurve(points, start, end))(t), expected)


def test_an_arrow_runs_from_edge_to_edge():
    layout = circles([(100, 200), (400, 200)])
    route = layout.routes[layout.add_arrow(0, 1)]
    assert np.linalg.norm(route[0] - [100, 200]) == pytest.approx(22, abs=3)
    assert np.linalg.norm(route[-1] - [400, 200]) == pytest.approx(22, abs=3)


def test_an_arrow_avoids_the_shapes_between():
    layout = circles([(100, 200), (300, 200), (500, 200)])
    curve = BezierSegment(layout.routes[layout.add_arrow(0, 2)])(np.linspace(0, 1, 200))
    assert np.linalg.norm(curve - [300, 200], axis=1).min() > 20


def test_arrows_in_opposite_directions_are_separate():
    layout = circles([(100, 200), (400, 200)])
    routes = [layout.routes[layout.add_arrow(*pair)] for pair in ((0, 1), (1, 0))]
    middle = [BezierSegment(route)(np.array([0.5]))[0] for route in routes]
    assert np.linalg.norm(middle[0] - middle[1]) > 10


def test_a_loop_starts_and_ends_at_its_shape():
    layout = circles([(300, 200), (360, 200)])
    route = layout.routes[layout.add_arrow(0, 0)]
    for end in route[[0, -1]]:
        assert np.linalg.norm(end - [300, 200]) == pytest.approx(22, abs=2)
    assert np.linalg.norm(BezierSegment(route)(np.array([0.5]))[0] - [300, 200]) > 30


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_texts_do_not_overlap_while_there_is_room(seed, count):
    """Circles on a coarse grid, arrows between them: names and labels must not touch."""
    random = np.random.default_rng(seed)
    cells = [(x, y) for x in range(100, 1000, 200) for y in range(100, 700, 200)]
    places = [cells[index] for index in random.permutation(len(cells))[:count]]
    layout = circles(places, size=(1100, 700))
    pairs = {tuple(random.integers(0, count, 2).tolist()) for _ in range(count)}
    arrows = [layout.add_arrow(*pair) for pair in sorted(pairs)]
    for shape in range(count):
        layout.add_text(shape, (40, 16))
    for arrow in arrows:
        layout.add_label(arrow, (14, 16))
    for one, box in enumerate(layout.boxes):
        assert all(not overlap(box, other) for other in layout.boxes[one + 1 :])
        nearest = np.clip(np.array(places), box[:2], box[2:]) - np.array(places)
        assert np.linalg.norm(nearest, axis=1).min() >= 19
    low, high = layout.extent()
    assert (low >= 0).all()
    assert (high <= layout.size).all()


def test_the_extent_is_that_of_all_elements():
    layout = circles([(100, 200), (400, 250)])
    low, high = layout.extent()
    assert np.allclose(low, [80, 180], atol=1)
    assert np.allclose(high, [420, 270], atol=1)


def test_overlap_count_counts_a_curve_s_overlaps():
    layout = circles([(100, 200), (400, 200)])
    layout.add_arrow(0, 1)
    line = np.stack([np.full(11, 250), np.linspace(150, 250, 11)], axis=1)
    free = line + np.array([0, 120])
    counts = layout.overlap_count(np.stack([line, free]))
    assert counts[0] > 0
    assert counts[1] == 0
