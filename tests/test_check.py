"""The perceptron of Part 2: equations, dividing lines, correct scales, and the table of data."""

from cli.errors import UserError

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shared import ROOT

import check
from perceptron.scales import correct_scales

POINTS, TARGET = check.read_table(ROOT / "data" / "check.csv")
# The assignment's table: X1 X2 H1 H2 H3 H4 Output.
ASSIGNMENT_TABLE = """
0 0 0 0 0 0 0
0 1 0 1 0 0 1
0 2 0 1 0 1 0
1 0 1 0 0 0 1
1 1 0 0 0 0 0
1 2 0 1 0 0 1
2 0 1 0 1 0 0
2 1 1 0 0 0 1
2 2 0 0 0 0 0
"""


def entered_net(act: str, scale: float = 1.0) -> check.MLP:
    """Return the network with the weights entered in check.py."""
    net = check.MLP(4, act)
    net.set_weights(scale)
    return net


def test_data_match_assignment():
    assert POINTS.tolist() == [[i, j] for i in range(3) for j in range(3)]
    assert TARGET.flatten().tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("act", ["sig", "step"])
@pytest.mark.parametrize("hid", [1, 4])
def test_forward_computes_the_equations(act, hid):
    net = check.MLP(hid, act)
    net.init_weights(1.0)
    w, b, v, c = (parameter.detach().double().numpy() for parameter in net.parameters())
    points = torch.randn(20, 2)

    def activation(z):
        return 1 / (1 + np.exp(-z)) if act == "sig" else np.where(z >= 0, 1, 0)

    hidden = activation(points.double().numpy() @ w.T + b)
    output = net(points)
    assert np.allclose(net.hid.detach(), hidden, atol=1e-5)
    assert np.allclose(output.detach(), activation(hidden @ v.T + c), atol=1e-5)


def test_networks_side_by_side_equal_single_networks():
    nets = check.MLP(3, networks=5)
    nets.init_weights(1.0)
    together = nets(POINTS)
    for index in range(5):
        assert torch.allclose(nets.select(index)(POINTS), together[index], atol=1e-6)
    correct = check.correct_points(nets, POINTS, TARGET)
    assert torch.equal(correct[2], check.correct_points(nets.select(2), POINTS, TARGET))


def test_weights_designed_by_hand_match_assignment_table():
    expected = np.array([line.split() for line in ASSIGNMENT_TABLE.strip().splitlines()], float)
    assert np.array_equal(check.activation_table(entered_net("step"), POINTS), expected[:, 2:])
    rescaled = check.activation_table(entered_net("sig", 10), POINTS)
    assert np.array_equal(rescaled >= 0.5, expected[:, 2:] == 1)


@pytest.mark.parametrize(
    ("name", "entered", "message"),
    [
        ("in_hid_weight", [[1, 2]], r"has the shape \(1, 2\), but 2 hidden units need \(2, 2\)"),
        ("in_hid_weight", [[1, 2], [3]], "is not a table of numbers"),
        ("hid_bias", [1, float("nan")], "contains a non-finite number"),
    ],
)
def test_invalid_weights_are_reported_by_name(name, entered, message):
    with pytest.raises(UserError, match=rf"{name} in check\.py {message}"):
        check.MLP(2).enter_weights({name: entered})


@pytest.mark.parametrize(
    ("weight", "bias", "line", "side"),
    [
        ([1, -1], -0.5, "x1 - x2 = 0.5", "where x1 - x2 >= 0.5"),
        ([-10, 10], -5, "x2 - x1 = 0.5", "where x2 - x1 >= 0.5"),
        ([-1, -1], 3, "x1 + x2 = 3", "where x1 + x2 <= 3"),
        ([1e-9, 5], 1, "x2 = -0.2", "where x2 >= -0.2"),
        ([0, 0], -1, "no line", "nowhere"),
        ([0, 0], 0, "no line", "everywhere"),
    ],
)
def test_line_equation_is_in_its_simplest_form(weight, bias, line, side):
    assert check.line_equation(weight, bias) == (line, side)


number = st.floats(-20, 20).map(lambda value: round(value, 2))


@given(st.tuples(number, number), number, st.tuples(number, number))
@settings(max_examples=100, deadline=None)
def test_the_side_of_a_line_is_where_the_unit_fires(weight, bias, point):
    net_input = weight[0] * point[0] + weight[1] * point[1] + bias
    largest = max(map(abs, weight))
    # Omit points whose side depends on more decimals than the three in the equation.
    assume(largest > 0)
    assume(abs(net_input) / largest > 0.002 * (1 + sum(map(abs, point))))
    _, side = check.line_equation(list(weight), bias)
    formula = re.sub(r"(\d) x", r"\1 * x", side.removeprefix("where "))
    fires = eval(formula, {"x1": point[0], "x2": point[1]})
    assert fires == (net_input >= 0)


# Scales at which the sigmoid network is correct


def small_net(weight, bias, out_weight, out_bias) -> check.MLP:
    """Return a network with hidden weights from x1 only."""
    net = check.MLP(len(bias))
    weights = [[[w, 0] for w in weight], bias, [out_weight], [out_bias]]
    names = [name for name, _ in net.named_parameters()]
    net.enter_weights(dict(zip(names, weights, strict=True)))
    return net


def scales(net: check.MLP, *items: tuple[float, int]) -> list[tuple[float, float]]:
    """Return the correct scales for pairs of x1 (x2 is 0) and target."""
    points = torch.tensor([[x, 0.0] for x, _ in items])
    return correct_scales(net, points, torch.tensor([[float(t)] for _, t in items]))


def test_sigmoid_units_are_correct_from_the_smallest_scale_on():
    ((low, high),) = correct_scales(entered_net("sig"), POINTS, TARGET)
    assert (f"{low:.4f}", high) == ("1.9804", math.inf)
    for factor, correct in ((0.9999, False), (1.0001, True), (20, True)):
        net = entered_net("sig", low * factor).double()
        assert check.correct_points(net, POINTS.double(), TARGET).all() == correct


@pytest.mark.parametrize("threshold", [0.75, 0.9])
def test_one_unit_has_a_smallest_scale_in_closed_form(threshold):
    # sigmoid(10 s) - threshold >= 0 for s >= log(threshold / (1 - threshold)) / 10.
    net = small_net([10], [0], [1], -threshold)
    smallest = math.log(threshold / (1 - threshold)) / 10
    assert scales(net, (1, 1), (-1, 0)) == [(pytest.approx(smallest), math.inf)]
    # The step network, the limit of large scales, classifies both points incorrectly.
    assert scales(net, (1, 0), (-1, 1)) == []


@pytest.mark.parametrize(
    "net",
    [
        # sigmoid(-s) > 0, although its limit at large s is 0.
        ([-1], [0], [1], 0),
        # sigmoid(-s) - sigmoid(-2 s) > 0: the slower term decides.
        ([-1, -2], [0, 0], [1, -1], 0),
        # The hidden net input is 0 in decimals, not in float32, so that the output is 1/2.
        ([0.7], [-0.7], [1], -0.5),
    ],
)
def test_a_net_input_of_0_in_the_limit_is_decided_at_finite_scales(net):
    assert scales(small_net(*net), (1, 1)) == [(0, math.inf)]
    assert scales(small_net(*net), (1, 0)) == []


tenths = st.integers(-30, 30).map(lambda value: value / 10)


@given(st.lists(st.tuples(tenths, tenths, tenths), min_size=1, max_size=4), tenths, st.data())
@settings(max_examples=40, deadline=None)
def test_scales_match_a_float64_network(units, out_bias, data):
    net = small_net(*map(list, zip(*units, strict=True)), out_bias)
    target = torch.tensor(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=3)))
    points, target = torch.tensor([[-1.0, 0], [0, 0], [2, 0]]), target.view(-1, 1)
    found = correct_scales(net, points, target)
    for scale in data.draw(st.lists(st.floats(0.1, 8), min_size=5, max_size=5)):
        scaled = check.MLP(len(units)).double()
        for ours, theirs in zip(scaled.parameters(), net.parameters(), strict=True):
            # Round to tenths, to undo the rounding to float32.
            ours.data = (theirs.detach().double() * 10).round() / 10 * scale
        output = scaled(points.double())
        assume((output - 0.5).abs().min() > 1e-7)
        correct = bool(((output >= 0.5) == (target == 1)).all())
        assert correct == any(low <= scale <= high for low, high in found)


# The table of data


@pytest.mark.parametrize(
    "text", ["\ufeffX1,X2,T\r\n0,1,1\r\n\r\n2,0,0\r\n", '"X1","X2","T"\n"0", 1, 1\n2e0,0.0,0']
)
def test_variants_of_csv_are_read(text, tmp_path):
    path = tmp_path / "点.csv"
    path.write_text(text, encoding="utf-8")
    points, target = check.read_table(path)
    assert points.tolist() == [[0, 1], [2, 0]]
    assert target.tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no data"),
        ("X1,X2,T\n", "has no data"),
        ("0,0,1\n0,1,1\n", "row 1: the header is 0,0,1, not X1,X2,T"),
        ("X1,X2,T\n0,1,1\n0,1\n", "row 3: 2 values, not 3 (X1,X2,T)"),
        ("X1,X2,T\n0,1,1\n0,b,1\n", "row 3: X2 is 'b', not a number"),
        ("X1,X2,T\nnan,1,0\n", "row 2: X1 is 'nan', not a number"),
        ("X1,X2,T\n0,1,0.5\n", "row 2: T is '0.5', not 0 or 1"),
        (
            "X1,X2,T\n1,2,0\n3,4,0\n1,2,1\n",
            "row 4: same point as row 2, but a different target",
        ),
    ],
)
def test_an_error_in_a_table_names_its_row(text, message, tmp_path):
    path = tmp_path / "check.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        check.read_table(path)
    assert message in str(error.value)
