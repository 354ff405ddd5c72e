"""The perceptron of Part 2: equations, dividing lines, scales, sentences, and the table of data."""

from cli.process import UserError

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.spatial.distance import pdist
from scipy.special import expit
from shared import ROOT

import check
import check_main
from perceptron import network, pictures
from perceptron.design import SCALES, smallest_scale
from perceptron.network import read_table
from perceptron.summary import line_equation, summary

POINTS, TARGET = read_table(ROOT / "data" / "check.csv")
HAND = [[[1, -1], [-1, 1], [1, -1], [-1, 1]], [-0.5, -0.5, -1.5, -1.5], [[1, 1, -1, -1]], [-0.5]]


@pytest.mark.parametrize("act", ["sig", "step"])
def test_forward_computes_the_equations(act):
    net = check.MLP(4, act)
    w, b, v, c = (parameter.detach().double().numpy() for parameter in net.parameters())
    points = torch.randn(20, 2)

    def activation(z):
        return expit(z) if act == "sig" else np.where(z >= 0, 1, 0)

    hidden = activation(points.double().numpy() @ w.T + b)
    expected = np.hstack([hidden, activation(hidden @ v.T + c)])
    assert np.allclose(network.activations(net, points), expected, atol=1e-5)


# Dividing lines


@pytest.mark.parametrize(
    ("weight", "bias", "line", "active"),
    [
        ([-10, 10], -5, "x2 = x1 + 0.5", "above"),
        ([-1, -1], 3, "x2 = -x1 + 3", "below"),
        ([0.0004, 5], 1, "x2 = -0.2", "above"),
        ([0, 1], 0, "x2 = 0", "above"),
        ([-2, 0.0019], 3, "x1 = 1.5", "to the left of"),
        ([-2, 0.0021], 3, "x2 = 952.381 x1 - 1428.571", "above"),
        ([0, 0], 0, "(no line)", "everywhere"),
    ],
)
def test_line_equation_is_as_a_student_writes_it(weight, bias, line, active):
    assert line_equation(weight, bias) == {"line": line, "active": active}


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
        ([1, 0], -0.7, "H1: active to the right of x1 = 0.7"),
        ([20, -1], -30, "H1: active below x2 = 20 x1 - 30"),
        ([1, 1], 9, "H1: active above x2 = -x1 - 9 (outside this picture)"),
        ([0, 0], -1, "H1: active nowhere (no line)"),
    ],
)
def test_a_picture_shows_the_line_or_reports_that_it_is_outside(weight, bias, title):
    net = network.make_net(1, "step", [[weight], [bias], [[1]], [0]])
    axes = pictures.unit_picture(net, POINTS, TARGET, 0).axes[0]
    assert axes.get_title() == title
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 2.5), (-0.5, 2.5))
    assert bool(axes.lines) == ("outside" not in title and "no line" not in title)
    for line in axes.lines:
        (x, y), slope = line.get_xy1(), line.get_slope()
        step = (0, 1) if math.isinf(slope) else (1, slope)
        for distance in (-1, 0, 1):
            x1, x2 = x + distance * step[0], y + distance * step[1]
            assert weight[0] * x1 + weight[1] * x2 == pytest.approx(-bias, rel=1e-6)


def test_labels_of_a_diagram_keep_clear_of_each_other():
    torch.manual_seed(0)
    net = network.make_net(5, "sig", [10 * torch.randn(s) for s in ((5, 2), (5,), (1, 5), (1,))])
    texts = pictures.network_picture(net).axes[0].texts
    spots = [text.get_position() for text in texts if text.get_fontsize() == 9]
    assert len(spots) == 15
    # The height of a label is 0.2.
    assert pdist(spots).min() > 0.4


# Scales


def scale_of(weights, points=POINTS, target=TARGET):
    return smallest_scale([torch.tensor(values) for values in weights], points, target)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_the_smallest_scale_of_the_weights_of_the_assignment(scale):
    scaled = [torch.tensor(values) * scale for values in HAND]
    assert smallest_scale(scaled, POINTS, TARGET) == pytest.approx(1.980399 / scale, rel=1e-6)
    for factor, correct in ((0.9999, False), (1.0001, True), (20, True)):
        net = network.make_net(4, "sig", [1.9804 * factor * torch.tensor(v) for v in HAND])
        assert bool(network.correct_points(net, POINTS, TARGET).all()) == correct


def test_rounding_does_not_decide():
    # With -1 the output's net input is below 0 for all targets 1, but rounds to 0.
    assert scale_of([*HAND[:3], [-1.0]]) is None
    # 0.1 + 0.2 - 0.3 is not 0 in float32.
    weights = [[1.0, 0]] * 2, [1.0, 1.0], [[0.1, 0.2]], [-0.3]
    assert scale_of(weights, torch.ones(1, 2), torch.zeros(1, 1)) is None


@pytest.mark.parametrize("threshold", [0.75, 0.9])
def test_one_unit_has_a_smallest_scale_in_closed_form(threshold):
    # sigmoid(10 s) - threshold >= 0 for s >= log(threshold / (1 - threshold)) / 10.
    weights, points = ([[10.0, 0]], [0.0], [[1.0]], [-threshold]), torch.tensor([[1.0, 0]])
    expected = math.log(threshold / (1 - threshold)) / 10
    assert scale_of(weights, points, torch.ones(1, 1)) == pytest.approx(expected, rel=1e-6)
    assert scale_of(weights, points, torch.zeros(1, 1)) is None
    assert scale_of(weights, -points, torch.zeros(1, 1)) == SCALES[0]


def test_the_last_of_several_changes_counts():
    # Below 0 from scale 0.23 to 0.73.
    weights, one = ([[4.0, 0], [1.0, 0]], [0.0, 0.0], [[-1.0, 2.0]], [-0.4]), torch.ones(1, 1)
    root = brentq(lambda scale: -expit(4 * scale) + 2 * expit(scale) - 0.4, 0.5, 1)
    assert scale_of(weights, torch.ones(1, 2), one) == pytest.approx(root, rel=1e-6)


# In short: what the golden texts do not show


def sentences(values, act="sig", **found) -> str:
    net = network.make_net(len(values[1]), act, values)
    return "\n".join(summary(check_main.measure(net, POINTS, TARGET) | found))


def test_sentences_on_points_lines_and_output():
    # Not all points, and one weight of 0.
    text = sentences([*HAND[:2], [[1, 1, -1, 0]], [-0.5]], "step")
    assert "misclassifies 1 of 9 points: (0, 2)." in text
    assert "H1 and H2 excite the output, H3 inhibits it; the output is active where H1 + H2" in text
    text = sentences([*HAND[:2], [[0, 0, 0, 0]], [-0.5]])
    assert "No hidden unit influences the output, because its weights are 0." in text
    text = sentences([[[0, 0], [0, 1]], [1, -2], [[-1, -2]], [1.5]], "step")
    assert "H1 is active everywhere (no line), H2 above x2 = 2." in text
    assert "H1 and H2 inhibit the output; the output is active where -H1 - 2 H2 >= -1.5." in text


@pytest.mark.parametrize(("hid", "listed"), [(8, True), (9, False)])
def test_many_lines_are_in_the_table_only(hid, listed):
    text = sentences([[[1, -1]] * hid, [0] * hid, [[1] * hid], [0]])
    assert ("H1 is active below x2 = x1" in text) == listed
    assert ("excite" in text) == listed


ONE_UNIT = [dict(hidden_units=1, sets_of_lines=28, solutions=1)]


@pytest.mark.parametrize(
    ("found", "sentence", "missed"),
    [
        (
            dict(epochs=2100, restarts_correct=20, restarts=32),
            "correctly after 2,100 epochs: 20 of 32, trained side by side.",
            dict(epochs=2100, restarts_correct=1, restarts=1),
        ),
        (dict(tried=ONE_UNIT), "fewest hidden step units for these points: 1.\n", {}),
        (dict(smallest_scale=SCALES[0]), "correctly at all scales tried, 0.01 to 1,000.", {}),
        (dict(smallest_scale=None), "At 1,000, the largest scale tried of the weights", {}),
        (
            dict(scale=10, step_difference=0.499),
            "all activations are within 0.500 of those of step units.",
            dict(scale=10, step_difference=0.5),
        ),
    ],
)
def test_a_sentence_is_printed_where_its_condition_holds(found, sentence, missed):
    assert sentence in sentences(HAND, **found)
    assert sentence not in sentences(HAND, **missed)


# The table of data


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffX1,X2,T\r\n0,1,1\r\n\r\n2,0,0\r\n",
        '"X1","X2","T"\n"0", 1, 1\n2e0,0.0,0',
        "T, X2 ,name,X1\n1,1,a,0\n0,0,b,2\n",
    ],
)
def test_variants_of_csv_are_read(text, tmp_path):
    path = tmp_path / "点.csv"
    path.write_text(text, encoding="utf-8")
    points, target = read_table(path)
    assert points.tolist() == [[0, 1], [2, 0]]
    assert target.tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 points below the header ''"),
        ("0,0,1\n0,1,1\n", "expected the columns X1, X2 and T, separated by commas"),
        ("X1,X1,X2,T\n0,1,1,1\n", "expected the columns X1, X2 and T"),
        ("X1,X2,T\n0,1,1\n0,1\n", "row 3, column T: '' is not a whole number from 0 to 1"),
        ("X1,X2,T\n0,5,1,1\n", "row 2: more values than the header has columns"),
        ("X1,X2,T\n0,1,1\n0,2_0,1\n", "row 3, column X2: '2_0' is not a number"),
        ("T,X2,X1\n1,1,nan\n", "row 2, column X1: 'nan' is not a number"),
        ("X1,X2,T\n0,1,0.5\n", "row 2, column T: '0.5' is not a whole number from 0 to 1"),
    ],
)
def test_an_error_in_a_table_names_row_and_column(text, message, tmp_path):
    path = tmp_path / "check.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_table(path)
    assert message in str(error.value)
