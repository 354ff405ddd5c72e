"""Margins, counters, predicted runs, maps of symbols: hand-made networks, brute force."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from shared import automaton_net, counter_net

from recurrent import dynamics, extraction, metrics
from recurrent.task import make_language
from seq_models import LSTM, SRN


def random_net(model, symbols: int, hid: int, seed: int = 1):
    torch.manual_seed(seed)
    net = model(symbols, hid)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    return net


def states_after(net, language, text: str) -> torch.Tensor:
    """Return the states (T, D) after each symbol of a text, by single steps."""
    state, found = net.initial_state(1), []
    for symbol in language.encode(text):
        state = net.step(torch.tensor([symbol]), state)
        found.append(state[0])
    return torch.stack(found).detach()


# Margins


@pytest.mark.parametrize("model", [SRN, LSTM])
def test_margins_are_differences_of_logits_after_the_word_before(model):
    net, language = random_net(model, 3, 2), make_language("anb2nc3n")
    states = states_after(net, language, "AABBBBCCCCCC" + "AAABBBBBBCCCCCCCCC")[12:]
    logits = (states[:, :2] @ net.V + net.out_bias).detach().numpy()
    b_run, c_run = dynamics.margins(net, language, 3, before=2)
    assert b_run == pytest.approx(logits[3:9, 2] - logits[3:9, 1], abs=1e-4)
    assert c_run == pytest.approx(logits[9:, 0] - logits[9:, 2], abs=1e-4)
    runs = dynamics.run_states(net, language, 3, before=2)
    assert torch.allclose(torch.cat(runs), states, atol=1e-5)


def test_margins_of_a_counter_depend_on_what_is_left():
    language = make_language("anb2n")
    # The context is half the number of B's left; A is predicted below 1/4.
    expected = [20 * (np.tanh(0.25) - np.tanh(left / 2)) for left in range(12)]
    records = dynamics.margin_records(counter_net(), language)
    assert [(record["n"], record["run"]) for record in records] == [(n, "B") for n in range(1, 7)]
    for n, record in enumerate(records, 1):
        assert record["margins"][::-1] == pytest.approx(expected[: 2 * n], abs=1e-3)
    (found,) = dynamics.countdown(counter_net(), language)
    assert (found["run"], found["up_to"]) == ("B", 6)
    assert found["spread"] == pytest.approx(0, abs=1e-5)
    assert found["change"] == pytest.approx(expected[6] - expected[7], abs=1e-4)


@pytest.mark.parametrize(
    ("offset", "up_to"), [(0.0, 2), (0.9, 2), (1.0, None), (1.1, None)],
)  # fmt: skip
def test_a_countdown_needs_changes_larger_than_the_spread(offset, up_to, monkeypatch):
    """Margins are minus the number left, higher by `offset` in one word."""

    def margins(net, language, n, before=1):
        return [-np.arange(n)[::-1] + offset * (n == 4 and before == 2)]

    monkeypatch.setattr(dynamics, "margins", margins)
    (found,) = dynamics.countdown(None, make_language("anbn"))
    assert found["up_to"] == up_to
    if up_to:
        assert (found["spread"], found["change"]) == (pytest.approx(offset), 1)


def test_a_countdown_ends_where_the_margins_stop_changing(monkeypatch):
    # With three left the margin is hardly lower than with two.
    series = np.array([-2.1, -2.0, -1.0, 0.5])

    def margins(net, language, n, before=1):
        return [series[4 - n :] + 0.05 * before]

    monkeypatch.setattr(dynamics, "margins", margins)
    (found,) = dynamics.countdown(None, make_language("anbn"))
    assert found["up_to"] == 1
    assert found["spread"] == pytest.approx(0.15)
    assert found["change"] == pytest.approx(1)


# Counters


@pytest.mark.parametrize("net", [counter_net(), random_net(SRN, 2, 3)])
def test_counters_are_straight_lines_through_all_words_after_all_words(net):
    language = make_language("anb2n")
    rows = []
    for before, n in product(language.all_words, repeat=2):
        values = states_after(net, language, before + n)[len(before) :, -net.hid :].numpy()
        size = n.count("A")
        for place, value in enumerate(values):
            run = int(place >= size)
            read = place + 1 - size * run
            rows.append((run, read, 2 * size - read, *value))
    rows = np.array(rows)
    found = dynamics.counters(net, language)
    assert len(found) == 2 * net.hid
    for record in found:
        values = rows[rows[:, 0] == language.symbols.index(record["run"])]
        y = values[:, 3 + record["unit"]]
        for key, x in (("read", values[:, 1]), ("left", -values[:, 2])):
            if record["run"] == "A" and key == "left":
                assert record["left"] is record["left_r2"] is None
                continue
            slope, shift = np.polyfit(x, y, 1)
            rest = y - slope * x - shift
            assert record[key] == pytest.approx(slope, abs=1e-5)
            assert record[f"{key}_r2"] == pytest.approx(1 - rest.var() / y.var(), abs=1e-5)
    if net.hid == 1:
        assert found[0]["read"] == pytest.approx(1)
        assert found[1]["left"] == pytest.approx(-0.5)
        assert found[1]["left_r2"] == pytest.approx(1)


def test_units_that_do_not_move_are_left_out():
    language = make_language("anbn")
    net = automaton_net(language, spare=1)
    records = dynamics.counters(net, language)
    assert net.hid - 1 not in {record["unit"] for record in records}
    # With n = 1 only, nothing is counted.
    assert dynamics.counters(counter_net(), make_language("anb2n", 1)) == []


# Predicted runs and clamped units


@pytest.mark.parametrize(("model", "seed"), [(SRN, 9), (LSTM, 9), (LSTM, 11)])
@torch.no_grad()
def test_runs_with_and_without_a_clamped_unit_match_single_steps(model, seed, monkeypatch):
    """Random networks, chosen because their runs end after 1, 2, 3 and 7 symbols, or not."""
    monkeypatch.setattr(dynamics, "MAX_RUN", 12)
    net, language = random_net(model, 2, 3, seed), make_language("anb2n", 3)
    every = list(product((1, 2, 3), repeat=2))
    starts = torch.stack([dynamics.run_states(net, language, n, b)[0][-1] for b, n in every])
    n = np.array([n for _, n in every])
    for unit in (None, 0, 1, 2):
        lengths, rights = dynamics.predict_runs(net, language, starts, n, clamped=unit)
        for row, (_, count) in enumerate(every):
            state, predicted = starts[row : row + 1], []
            kept = net.memory(state)[0, unit or 0].clone()
            for _ in range(dynamics.MAX_RUN):
                before = state
                state = net.step(torch.tensor([1]), before)
                if unit is not None:
                    state[0, -3 + unit] = kept
                    if model is LSTM:
                        gate = net.gates(torch.tensor([1]), before)[3][0, unit]
                        state[0, unit] = gate * kept.tanh()
                predicted.append(int(net.read_out(state).argmax()))
            length = predicted.index(0) + 1 if 0 in predicted else 0
            assert lengths[0, row] == length
            assert rights[row] == (length == 2 * count)


@torch.no_grad()
def test_later_runs_start_after_the_correct_number_of_symbols(monkeypatch):
    monkeypatch.setattr(dynamics, "MAX_RUN", 20)
    language, n = make_language("anbnc2n", 3), np.arange(1, 7)
    net = automaton_net(language)
    starts = torch.cat([dynamics.run_states(net, language, int(k))[0][-1:] for k in n])
    lengths, right = dynamics.predict_runs(net, language, starts, n)
    for run, k in product((1, 2), n.tolist()):
        before = "ABCC" + "A" * k + "B" * k * (run - 1)
        states = states_after(net, language, before + "ABC"[run] * dynamics.MAX_RUN)
        predicted = net.read_out(states[len(before) :]).argmax(dim=1).numpy()
        ends = np.flatnonzero(predicted != run)
        assert lengths[run - 1, k - 1] == (ends[0] + 1 if len(ends) else 0)
    # The network implements the language: its words are right, and no longer ones.
    assert (lengths[:, :3] == [n[:3], 2 * n[:3]]).all()
    assert right.tolist() == [True] * 3 + [False] * 3


def test_a_clamped_counter_never_ends_a_run(monkeypatch):
    monkeypatch.setattr(dynamics, "MAX_RUN", 30)
    language = make_language("anb2n")
    assert dynamics.ablations(counter_net(), language) == [
        {"clamped unit": "none", "in the B's": "16/16"},
        {"clamped unit": 0, "in the B's": "0/16"},
    ]
    language = make_language("anb2nc3n", 2)
    found = dynamics.ablations(automaton_net(language), language)
    assert found[0] == {"clamped unit": "none", "in the B's": "4/4", "in the C's": "4/4"}
    assert any(record["in the B's"] != "4/4" for record in found[1:])


def test_the_first_failure_of_a_network():
    language = make_language("anb2n")
    assert dynamics.first_failure(counter_net(), language, 30) is None
    found = dynamics.first_failure(counter_net(stuck=True), language, 1)
    assert found == {"n": 1, "before": 1, "run": "B", "ends": 0, "correct": 2}
    net = counter_net()
    with torch.no_grad():
        # The threshold for A is at a context of 3/4: one B too early.
        net.out_bias[1] = -20 * np.tanh(0.75)
    found = dynamics.first_failure(net, language, 5)
    assert found == {"n": 5, "before": 1, "run": "B", "ends": 9, "correct": 10}


# Fixed points


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_newton_finds_the_fixed_point_of_a_linear_map(size, seed):
    random = np.random.default_rng(seed)
    matrix, shift = random.normal(size=(size, size)), random.normal(size=size)
    # With an eigenvalue of 1 a linear map has no unique fixed point.
    assume(np.abs(np.linalg.eigvals(matrix) - 1).min() > 0.05)
    a, b = torch.from_numpy(matrix), torch.from_numpy(shift)
    expected = np.linalg.solve(np.eye(size) - matrix, shift)
    starts = expected + random.normal(size=(20, size))
    (found,) = dynamics.find_fixed_points(lambda x: x @ a.T + b, starts, size)
    assert np.allclose(found, expected, atol=1e-6)
    values = dynamics.eigenvalues(lambda x: x @ a.T + b, found)
    moduli = np.sort(np.abs(np.linalg.eigvals(matrix)))
    assert np.allclose(np.abs(values)[::-1], moduli)
    expanding = int((moduli > 1).sum())
    kind = {0: "attractor", size: "repeller"}.get(expanding, "saddle")
    assert dynamics.kind_of(values) == kind


def words_states(net, language):
    return extraction.states_on(net, language, metrics.evaluation_set(language))


def scalar_net(weight: float, bias: float = 0.0) -> SRN:
    """Return the SRN that B maps by h <- tanh(weight h + bias), and A by about -1."""
    net = SRN(2, 1, init=0.0, identity=False)
    with torch.no_grad():
        net.U[:], net.hid_bias[:], net.W[0] = weight, bias, -20
    return net


def test_the_three_fixed_points_of_tanh():
    language, net = make_language("anbn"), scalar_net(2.0)
    states = words_states(net, language)
    found = dynamics.fixed_points(net, language, states)
    root = brentq(lambda h: np.tanh(2 * h) - h, 0.5, 1)
    rows = [row for row in found if row["symbol"] == "B"]
    assert [row["kind"] for row in rows] == ["attractor", "repeller", "attractor"]
    assert [float(row["point"][0]) for row in rows] == pytest.approx([-root, 0, root])
    assert [float(row["eigenvalues"][0]) for row in rows] == pytest.approx(
        [2 * (1 - root**2), 2, 2 * (1 - root**2)]
    )
    # B's begin at -1; four or fewer follow each other in words, and ten more are added.
    reached = states.vectors[states.symbol == 1, 0]
    for row in rows:
        assert row["distance"] == pytest.approx(np.abs(reached - row["point"]).min())
        later = reached.copy()
        for _ in range(10):
            later = np.tanh(2 * later)
        assert row["after_10"] == pytest.approx(np.abs(later - row["point"]).min(), abs=1e-9)
    (a,) = (row for row in found if row["symbol"] == "A")
    assert float(a["point"][0]) == pytest.approx(-1)


@pytest.mark.parametrize("expanding", [False, True])
def test_fixed_points_of_an_lstm_far_from_its_words(expanding):
    # c <- f c + tanh(bias + 9 h) with 1 - f = 1 / 1001: c grows by 1 up to its fixed point 1001. If
    # h determines the sign (bias 0), 0 is a repelling fixed point.
    net, language = LSTM(2, 1), make_language("anbn")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.hid_bias[:] = torch.tensor([30.0, np.log(1000.0), 0.0 if expanding else 30.0, 30.0])
        net.U[0, 2] = 9.0 if expanding else 0.0
    found = dynamics.fixed_points(net, language, words_states(net, language))
    found = [row for row in found if row["symbol"] == "A"]
    far = [row for row in found if row["kind"] == "attractor"]
    contexts = sorted(round(float(row["point"][1])) for row in far)
    assert contexts == ([-1001, 1001] if expanding else [1001])
    assert len(found) == (3 if expanding else 1)
    assert all(row["eigenvalues"][0] == pytest.approx(1000 / 1001) for row in far)


@pytest.mark.parametrize("model", [SRN, LSTM])
def test_jacobians_match_finite_differences_of_one_step(model):
    net = random_net(model, 3, 2)
    f = dynamics.symbol_map(net, 1)
    x = torch.rand(4, 2 * (1 + (model is LSTM)), dtype=torch.float64)
    y, jacobian = dynamics.jacobians(f, x)
    assert torch.allclose(y, net.double().step(torch.full((4,), 1), x).detach())
    for column in range(x.shape[1]):
        shift = torch.zeros(x.shape[1], dtype=torch.float64)
        shift[column] = 1e-6
        difference = (f(x + shift) - f(x - shift)) / 2e-6
        assert torch.allclose(jacobian[:, :, column], difference, atol=1e-7)


# Slow points


def test_the_slow_point_is_the_bottleneck_beyond_a_saddle_node():
    """tanh(2 h + bias) touches h at h = -sqrt(1/2); with a higher bias it passes at a distance."""
    touch = -(0.5**0.5)
    bias = np.arctanh(touch) - 2 * touch + 0.05
    net, language = scalar_net(2.0, bias), make_language("anbn", 20)
    states = extraction.states_on(net, language, language.from_strings([language.word(20)]))
    found = dynamics.slow_point(net, language, states, 1)
    exact = minimize_scalar(
        lambda h: np.tanh(2 * h + bias) - h, bounds=(-0.9, -0.5), method="bounded"
    )
    assert found["symbol"] == "B"
    assert float(found["point"][0]) == pytest.approx(exact.x, abs=1e-3)
    assert found["speed"] == pytest.approx(exact.fun, abs=1e-5)
    assert found["eigenvalues"][0] == pytest.approx(1, abs=0.01)
    # The B's begin at -1.
    path = [-1.0]
    for _ in range(20):
        path.append(np.tanh(2 * path[-1] + bias))
    path = np.array(path[1:])
    distance = np.abs(path - exact.x)
    assert found["distance"] == pytest.approx(distance.min(), abs=1e-3)
    nearest = [distance[:n].argmin() for n in range(1, 21)]
    assert found["left"] == [n - 1 - place for n, place in enumerate(nearest, 1)]
    apart = [distance[:n].min() for n in range(1, 21)]
    assert found["apart"] == pytest.approx(apart, abs=1e-3)
    steps = np.diff(path[nearest[-1] :])
    assert found["growing"] == bool((np.diff(steps) > 0).all())


@pytest.mark.parametrize("bias", [-0.05, 0.0])
def test_a_map_with_a_fixed_point_in_its_way_has_no_slow_point(bias):
    touch = -(0.5**0.5)
    net = scalar_net(2.0, np.arctanh(touch) - 2 * touch + bias - 1e-3)
    language = make_language("anbn")
    assert dynamics.slow_point(net, language, words_states(net, language), 1) is None


def test_the_decision_boundary_is_where_two_logits_are_equal():
    net = SRN(2, 2)
    with torch.no_grad():
        net.V[:] = torch.tensor([[1.0, 3.5], [0.0, -1.25]])
        net.out_bias[:] = torch.tensor([0.25, 1.0])
    assert dynamics.decision_boundary(net) == "2.50 h0 - 1.25 h1 > -0.75"
    assert dynamics.decision_boundary(SRN(3, 2)) is None
    assert dynamics.decision_boundary(SRN(2, 3)) is None
