"""Margins, counters, predicted runs, maps of symbols: hand-made networks, brute force."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import linregress
from shared import automaton_net, counter_net

from recurrent import dynamics, extraction
from recurrent.task import make_language
from seq_models import LSTM, SRN

AN_BN, AN_B2N = make_language("anbn"), make_language("anb2n")


def random_net(model, symbols: int, hid: int, seed: int = 1):
    torch.manual_seed(seed)
    net = model(symbols, hid)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    return net


# Margins


def test_margins_are_differences_of_logits_after_the_word_before():
    net, language = random_net(SRN, 3, 2), make_language("anb2nc3n")
    first, word = language.word(2), language.word(3)
    states = net.states(torch.from_numpy(language.encode(first + word))[:, None])[:, 0]
    logits = net.read_out(states[len(first) :]).detach().numpy()
    expected = [logits[3:9, 2] - logits[3:9, 1], logits[9:, 0] - logits[9:, 2]]
    found = dynamics.margins(net, language, 3, before=2)
    assert [*map(list, found)] == [pytest.approx(run, abs=1e-4) for run in expected]


@pytest.mark.parametrize(("offset", "expected"), [(0.9, (2, 0.9, 1)), (1.0, (None, None, None))])
def test_a_countdown_needs_changes_larger_than_the_spread(offset, expected, monkeypatch):
    """Margins rise by 1 at each symbol, and are higher by `offset` in one word."""

    def margins(net, language, n, before):
        return [np.arange(1 - n, 1) + offset * (n == 4 and before == 2)]

    monkeypatch.setattr(dynamics, "margins", margins)
    (found,) = dynamics.countdown(None, AN_BN)
    assert (found["up_to"], found["spread"], found["change"]) == pytest.approx(expected)


@pytest.mark.parametrize("model", [SRN, LSTM])
def test_counters_are_straight_lines_through_all_words_after_all_words(model):
    net, points = random_net(model, 2, 3), {"A": [], "B": []}
    for before, word in product(AN_B2N.all_words, repeat=2):
        symbols = torch.from_numpy(AN_B2N.encode(before + word))[:, None]
        values = net.states(symbols)[len(before) :, 0, -net.hid :].tolist()
        for place, (letter, value) in enumerate(zip(word, values, strict=True), 1):
            read, left = word[:place].count(letter), word[place:].count(letter)
            points[letter].append((read, -left, *value))
    found = dynamics.counters(net, AN_B2N)
    assert len(found) == 2 * net.hid
    for record in found:
        read, left, *units = np.array(points[record["run"]]).T
        line = linregress(read, units[record["unit"]])
        assert (record["read"], record["read_r2"]) == pytest.approx((line.slope, line.rvalue**2))
        line = linregress(left, units[record["unit"]])
        expected = (line.slope, line.rvalue**2) if record["run"] == "B" else (None, None)
        assert (record["left"], record["left_r2"]) == pytest.approx(expected)


# Predicted runs and clamped units


def run_by_single_steps(net, state, n: int, clamped: int | None) -> tuple[int, bool]:
    """Return what predict_runs returns for one word of anb2n."""
    symbol, predicted, kept = torch.tensor([1]), [], net.memory(state)[0, clamped or 0].clone()
    for _ in range(dynamics.MAX_RUN):
        before, state = state, net.step(symbol, state)
        if clamped is not None:
            state[0, -net.hid + clamped] = kept
            if net.blocks > 1:
                state[0, clamped] = net.gates(symbol, before)[3][0, clamped] * kept.tanh()
        predicted.append(int(net.read_out(state).argmax()))
    length = predicted.index(0) + 1 if 0 in predicted else 0
    return length, length == 2 * n


@pytest.mark.parametrize("net", [random_net(SRN, 2, 3, 36), random_net(LSTM, 2, 3, 87)])
@torch.no_grad()
def test_runs_with_and_without_a_clamped_unit_match_single_steps(net, monkeypatch):
    """Seeds are chosen so that runs end after different numbers of symbols, some of them right."""
    monkeypatch.setattr(dynamics, "MAX_RUN", 12)
    pairs = list(product((1, 2, 3), (1, 2, 3, 4)))
    starts = [dynamics.run_states(net, AN_B2N, n, before)[0][-1] for before, n in pairs]
    n = np.array([n for _, n in pairs])
    for unit in (None, 0, 1, 2):
        (lengths,), right = dynamics.predict_runs(net, AN_B2N, torch.stack(starts), n, clamped=unit)
        for k, state in enumerate(starts):
            expected = run_by_single_steps(net, state[None], n[k], unit)
            assert (lengths[k], right[k]) == expected


def test_the_first_failure_of_a_network():
    net = counter_net()
    with torch.no_grad():
        # The threshold for A is at a context of 3/4: one B too early.
        net.out_bias[1] = -20 * np.tanh(0.75)
    found = dynamics.first_failure(net, AN_B2N, 5)
    assert found == {"n": 5, "before": 1, "run": "B", "ends": 9, "correct": 10}
    three = make_language("anbnc2n", 3)
    assert dynamics.first_failure(automaton_net(three), three, 3) is None


# Fixed points and slow points


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_search_finds_the_fixed_point_of_a_linear_map(size, seed):
    random = np.random.default_rng(seed)
    matrix, shift = random.normal(size=(size, size)), random.normal(size=size)
    # With an eigenvalue of 1 a linear map has no unique fixed point.
    assume(np.abs(np.linalg.eigvals(matrix) - 1).min() > 0.05)
    a, b = torch.from_numpy(matrix), torch.from_numpy(shift)
    expected = np.linalg.solve(np.eye(size) - matrix, shift)
    starts = expected + random.normal(size=(20, size))
    (found,) = dynamics.find_stationary(lambda x: x @ a.T + b, starts)
    assert np.allclose(found, expected, atol=1e-6)
    values = dynamics.eigenvalues(lambda x: x @ a.T + b, found)
    assert np.allclose(np.abs(values), np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1])


def scalar_net(weight: float, bias: float = 0.0) -> SRN:
    """Return the SRN that B maps by h <- tanh(weight h + bias), and A by about -1."""
    net = SRN(2, 1, init=0.0, identity=False)
    with torch.no_grad():
        net.U[:], net.hid_bias[:], net.W[0] = weight, bias, -20
    return net


def test_the_three_fixed_points_of_tanh():
    net = scalar_net(2.0)
    states = extraction.states_on(net, AN_BN, AN_BN.from_strings(AN_BN.all_words))
    found = dynamics.stationary_points(net, AN_BN, states)
    root = brentq(lambda h: np.tanh(2 * h) - h, 0.5, 1)
    # B's begin at -1; four or fewer follow each other in words, and ten more are added.
    reached = later = states.vectors[states.symbol == 1, 0]
    for _ in range(10):
        later = np.tanh(2 * later)
    expected = [("A", "attractor", -1, 0, 0, 0)] + [
        ("B", kind, h, 2 * (1 - h**2), np.abs(reached - h).min(), np.abs(later - h).min())
        for h, kind in ((-root, "attractor"), (0, "repeller"), (root, "attractor"))
    ]
    for row, values in zip(found, expected, strict=True):
        assert (row["symbol"], row["kind"]) == values[:2]
        numbers = (*row["point"], *row["eigenvalues"], row["distance"], row["after_10"])
        assert numbers == pytest.approx(values[2:], abs=1e-6)


def test_the_slow_point_is_the_bottleneck_beyond_a_saddle_node():
    """tanh(2 h + bias) touches h with a bias of 0.533; with a higher one it passes h."""
    bias = 0.583
    net, language = scalar_net(2.0, bias), make_language("anbn", 15)
    states = extraction.states_on(net, language, language.from_strings([language.word(15)]))
    (found,) = (
        row
        for row in dynamics.stationary_points(net, language, states)
        if row["kind"] == "slow point" and row["symbol"] == "B"
    )
    exact = minimize_scalar(
        lambda h: np.tanh(2 * h + bias) - h, bounds=(-0.9, -0.5), method="bounded"
    )
    assert found["point"] == pytest.approx(exact.x, abs=1e-3)
    assert found["speed"] == pytest.approx(exact.fun, abs=1e-5)
    assert found["eigenvalues"] == pytest.approx(1, abs=0.01)
    # The B's begin at -1.
    trajectory = [-1.0]
    for _ in range(15):
        trajectory.append(np.tanh(2 * trajectory[-1] + bias))
    distance = np.abs(np.array(trajectory[1:]) - exact.x)
    assert found["distance"] == pytest.approx(distance.min(), abs=1e-3)
    passage = dynamics.passage(net, language, found["point"], 1)
    assert passage["left"] == [n - 1 - distance[:n].argmin() for n in range(1, 16)]
    # Up to the longest step, before the fixed point on the other side.
    assert passage["growing"]
    assert not dynamics.passage(net, make_language("anbn", 16), found["point"], 1)["growing"]


@pytest.mark.parametrize(
    ("speed", "kind"), [(1e-10, "saddle"), (1e-8, None), (9e-4, None), (2e-3, "slow point")]
)
def test_between_fixed_and_slow_points_is_a_gap(speed, kind):
    assert dynamics.kind_of(np.array([1.5, 0.5]), speed) == kind


def test_the_decision_boundary_is_where_two_logits_are_equal():
    net = SRN(2, 2)
    with torch.no_grad():
        net.V[:] = torch.tensor([[1.0, 3.5], [0.0, -1.25]])
        net.out_bias[:] = torch.tensor([0.25, 1.0])
    assert dynamics.decision_boundary(net) == "2.50 h0 - 1.25 h1 > -0.75"
    assert dynamics.decision_boundary(SRN(3, 2)) is None
