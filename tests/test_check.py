"""The perceptron of Part 2: dividing lines, pictures, sentences, table of points."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from shared import ROOT

import check
import check_main
from perceptron import network, pictures
from perceptron.design import SCALES
from perceptron.summary import line_equation, summary

POINTS, TARGET = network.read_table(ROOT / "data" / "check.csv")


@pytest.mark.parametrize(("act", "g"), [("sig", expit), ("step", lambda z: np.where(z >= 0, 1, 0))])
def test_forward_computes_the_equations(act, g):
    net, points = check.MLP(4, act), torch.randn(20, 2)
    w, b, v, c = (parameter.detach().double().numpy() for parameter in net.parameters())
    hidden = g(points.double().numpy() @ w.T + b)
    expected = np.hstack([hidden, g(hidden @ v.T + c)])
    assert np.allclose(network.activations(net, points), expected, atol=1e-5)


number = st.floats(-20, 20).map(lambda value: round(value, 2))


@given(st.tuples(number, number), number, st.tuples(number, number))
@settings(max_examples=100, deadline=None)
def test_the_side_of_a_line_is_where_the_unit_fires(weight, bias, point):
    assume(any(weight))
    found = line_equation(list(weight), bias)
    name, right = found["line"].split(" = ")
    line = eval(re.sub(r"(\d) x1", r"\1 * x1", right), {"x1": point[0]})
    value = point[0] if name == "x1" else point[1]
    # Omit points whose side depends on more decimals than the three in the equation.
    assume(abs(value - line) > 0.002 * (1 + sum(map(abs, point))))
    fires = weight[0] * point[0] + weight[1] * point[1] + bias >= 0
    assert fires == ((value > line) == (found["active"] in ("above", "to the right of")))


@pytest.mark.parametrize(
    ("weight", "bias", "title"),
    [
        ([1, 0], -0.7, "to the right of x1 = 0.7"),
        ([-2, 0.0019], 3, "to the left of x1 = 1.5"),
        ([2, -0.0021], -3, "below x2 = 952.381 x1 - 1428.571"),
        ([1, 1], 9, "above x2 = -x1 - 9 (outside this picture)"),
        ([0, 0], -1, "nowhere (no line)"),
    ],
)
def test_a_picture_shows_the_line_or_reports_that_it_is_outside(weight, bias, title):
    net = network.make_net(1, "step", [[weight], [bias], [[1]], [0]])
    axes = pictures.unit_picture(net, POINTS, TARGET, 0).axes[0]
    assert axes.get_title() == f"H1: active {title}"
    assert len(axes.lines) == ("(" not in title)
    for line in axes.lines:
        (x, y), slope = line.get_xy1(), line.get_slope()
        for dx, dy in ((0, 0), (0, 1) if math.isinf(slope) else (1, slope)):
            assert weight[0] * (x + dx) + weight[1] * (y + dy) == pytest.approx(-bias, abs=1e-5)


# In short: what the golden texts do not show

XOR = [[1, -1], [-1, 1], [1, -1], [-1, 1]], [-0.5, -0.5, -1.5, -1.5]
HAND, ZERO = (*XOR, [[1, 1, -1, -1]], [-0.5]), (*XOR, [[0, 0, 0, 0]], [-0.5])
ONE_WRONG = *XOR, [[1, 1, -1, 0]], [-0.5]
EVERYWHERE = [[0, 0], [0, 1]], [0, -2], [[-1, -2]], [1.5]
EIGHT, NINE = ([[[1, -1]] * hid, [0] * hid, [[1] * hid], [-hid]] for hid in (8, 9))
SIDE_BY_SIDE = dict(epochs=2100, restarts_correct=20, restarts=32)
ONE_UNIT = [dict(hidden_units=1, sets_of_lines=28, solutions=1)]


@pytest.mark.parametrize(
    ("values", "found", "sentence", "printed"),
    [
        (ONE_WRONG, {}, "misclassifies 1 of 9 points: (0, 2).", True),
        (ZERO, {}, "No hidden unit influences the output, because its weights are 0.", True),
        (EVERYWHERE, {}, "H1 is active everywhere (no line), H2 above x2 = 2.\n", True),
        # Active where x1 >= x2: step units fire at net inputs of 0, too.
        (EIGHT, {}, "6 of 9 points: (0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 2).", True),
        (EIGHT, {}, "H1 is active below x2 = x1", True),
        (NINE, {}, "H1 is active below x2 = x1", False),
        (HAND, SIDE_BY_SIDE, "after 2,100 epochs: 20 of 32, trained side by side.", True),
        (HAND, SIDE_BY_SIDE | dict(restarts=1), "trained side by side", False),
        (HAND, dict(tried=ONE_UNIT), "fewest hidden step units for these points: 1.\n", True),
        (HAND, dict(smallest_scale=SCALES[0]), "at all scales tried, 0.01 to 1,000.", True),
        (HAND, dict(smallest_scale=None), "At 1,000, the largest scale tried", True),
        (HAND, dict(scale=10, step_difference=0.499), "all activations are within 0.500", True),
        (HAND, dict(scale=10, step_difference=0.5), "all activations are within", False),
    ],
)
def test_a_sentence_is_printed_where_its_condition_holds(values, found, sentence, printed):
    net = network.make_net(len(values[1]), "step", values)
    text = "\n".join(summary(check_main.measure(net, POINTS, TARGET) | found))
    assert (sentence in text) == printed


def test_a_table_as_spreadsheets_write_it_is_read(tmp_path):
    path = tmp_path / "点.csv"
    text = '\ufeff"T", X2 ,name,X1\r\n1, 1,a,"0"\r\n\r\n0,0.0,b,2e0\r\n'
    path.write_text(text, encoding="utf-8", newline="")
    points, target = network.read_table(path)
    assert (points.tolist(), target.tolist()) == ([[0, 1], [2, 0]], [[1], [0]])
