"""Maps, fixed points and counters: of linear maps, of hand-made networks, of brute force."""

import itertools

import numpy as np
import pytest
import torch
from conftest import automaton_net
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from anb2n import counting
from recurrent import dynamics
from recurrent.dynamics import FixedPoint, fixed_points
from recurrent.task import make_language
from seq_models import LSTM, SRN


def scalar_net(weight: float) -> SRN:
    """h <- tanh(weight h) for every symbol, from tanh(0.3)."""
    net = SRN(2, 1, init=0.0, identity=False)
    with torch.no_grad():
        net.U[:] = weight
        net.H0[:] = 0.3
    return net


# Fixed points


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_linear_map_has_its_one_fixed_point(size, seed):
    random = np.random.default_rng(seed)
    matrix, shift = random.normal(size=(size, size)), random.normal(size=size)
    # Away from an eigenvalue of 1, where there is no one fixed point.
    if np.abs(np.linalg.eigvals(matrix) - 1).min() < 0.05:
        return
    a, b = torch.from_numpy(matrix), torch.from_numpy(shift)
    wanted = np.linalg.solve(np.eye(size) - matrix, shift)
    starts = wanted + random.normal(size=(20, size))
    (found,) = fixed_points(lambda x: x @ a.T + b, starts)
    assert np.allclose(found.point, wanted, atol=1e-6)
    values = np.linalg.eigvals(matrix)
    assert np.allclose(np.sort(np.abs(found.values)), np.sort(np.abs(values)))
    growing = np.abs(values) > 1
    kind = "repeller" if growing.all() else "saddle" if growing.any() else "attractor"
    assert found.kind == kind
    assert np.allclose(matrix @ found.vectors, found.vectors * found.values)


def test_the_three_fixed_points_of_tanh():
    net = scalar_net(2.0)
    found = fixed_points(dynamics.symbol_map(net, 0), np.linspace(-1, 1, 9)[:, None])
    root = brentq(lambda h: np.tanh(2 * h) - h, 0.5, 1)
    assert [round(float(fixed.point[0]), 6) for fixed in found] == [
        round(-root, 6), 0.0, round(root, 6),
    ]  # fmt: skip
    assert [fixed.kind for fixed in found] == ["attractor", "repeller", "attractor"]
    assert found[0].values[0] == pytest.approx(2 * (1 - root**2))
    assert found[1].values[0] == pytest.approx(2)


@pytest.mark.parametrize("model", [SRN, LSTM])
def test_jacobians_are_the_quotients_of_differences(model):
    torch.manual_seed(0)
    net = model(3, 2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    step = dynamics.symbol_map(net, 1)
    x = torch.rand(4, 2 * (1 + (model is LSTM)), dtype=torch.float64)
    y, jacobian = dynamics.jacobians(step, x)
    assert torch.equal(y, step(x))
    for column in range(x.shape[1]):
        aside = torch.zeros(x.shape[1], dtype=torch.float64)
        aside[column] = 1e-6
        slope = (step(x + aside) - step(x - aside)) / 2e-6
        assert torch.allclose(jacobian[:, :, column], slope, atol=1e-7)


def test_the_map_of_a_symbol_is_one_step_of_the_network():
    torch.manual_seed(0)
    for net in (SRN(3, 4, init=1.0), LSTM(3, 4)):
        symbols = torch.tensor([[0, 2, 1, 1, 2]]).T
        run = net(symbols)
        states = dynamics.states_along(net, symbols[:, 0].numpy())
        assert np.allclose(states[1:, :4], run.hidden[:, 0].detach(), atol=1e-6)
        mapped = dynamics.symbol_map(net, 2)(torch.from_numpy(states[-2:-1]))
        assert np.allclose(mapped, states[-1:], atol=1e-6)


def test_where_a_symbol_leads_in_the_end():
    period, last = dynamics.limit_cycle(scalar_net(2.0), 0)
    assert period == 1
    assert last[0] == pytest.approx(brentq(lambda h: np.tanh(2 * h) - h, 0.5, 1), abs=1e-4)
    assert dynamics.limit_cycle(scalar_net(-2.0), 0)[0] == 2
    # Input and forget gate open, new value 1: the context unit grows by one each time.
    growing = LSTM(2, 1)
    with torch.no_grad():
        for parameter in growing.parameters():
            parameter.zero_()
        growing.hid_bias[:] = torch.tensor([20.0, 20.0, 20.0, 0.0])
    period, last = dynamics.limit_cycle(growing, 0)
    assert period == 0
    assert last[1] == pytest.approx(1040, rel=1e-3)


def point(*values: complex, at=(0.0, 0.0)) -> FixedPoint:
    return FixedPoint(np.array(at), np.array(values, dtype=complex), np.eye(len(values)))


def test_the_rates_of_rodriguez_and_others():
    language = make_language("anb2n")
    net = SRN(2, 2)
    # The A's halve the distance, a B multiplies it by the root of 2: two B's undo one A.
    points = {0: [point(0.5, 0.1)], 1: [point(np.sqrt(2), 0.2), point(0.3, 0.1, at=(5, 5))]}
    match = dynamics.match_rates(net, language, points)
    assert match.times == pytest.approx(2)
    assert match.up == pytest.approx(0.5)
    points[1] = [point(0.3, 0.1)]
    assert dynamics.match_rates(net, language, points) == ("attractor", "attractor")
    assert dynamics.match_rates(net, language, {0: [], 1: []}) == ("", "")


# Counting


@pytest.mark.parametrize("lang", ["anb2n", "anbncn", "anb2nc3n"])
def test_a_network_that_is_the_language_counts_right(lang):
    language = make_language(lang)
    net = automaton_net(language)
    for n in range(1, language.max_n + 1):
        assert dynamics.countdown(net, language, n) == [factor * n for factor in language.times[1:]]


def test_catching_up_is_the_distance_after_one_a_more_and_k_more_of_the_last():
    torch.manual_seed(0)
    net, language = SRN(3, 4, init=1.0), make_language("anb2nc3n")

    def after(n: int, symbols: int) -> torch.Tensor:
        text = "ABBCCC" + "A" * n + "B" * 2 * n + "C" * symbols
        return net(torch.from_numpy(language.encode(text))[:, None]).hidden[-1].detach()

    found = dynamics.countdown_alignment(net, language)
    assert [n for n, _, _ in found] == [2, 3, 4]
    for n, apart, left in found:
        assert apart == pytest.approx(float((after(n, 1) - after(n - 1, 1)).norm()), abs=1e-5)
        assert left == pytest.approx(float((after(n, 4) - after(n - 1, 1)).norm()), abs=1e-5)


def test_runs_begin_where_the_run_before_ended():
    net, language = SRN(3, 2, init=1.0), make_language("anbncn")
    runs = dynamics.run_states(net, language, 3)
    assert [len(states) for states in runs] == [4, 4, 4]
    for before, after in itertools.pairwise(runs):
        assert np.array_equal(before[-1], after[0])
    symbols = language.encode("ABC" + "AAABBBCCC")
    assert np.array_equal(runs[-1][-1], dynamics.states_along(net, symbols)[-1])


def test_turns():
    assert dynamics.reversal_rate(np.array([[0.0, 0], [1, 0], [2, 1], [3, 1]])) == 0
    assert dynamics.reversal_rate(np.array([[0.0, 0], [1, 0], [0, 0], [1, 0]])) == 1
    assert dynamics.reversal_rate(np.array([[0.0, 0], [1, 0], [0, 0], [-1, 0]])) == 0.5
    assert dynamics.reversal_rate(np.zeros((2, 3))) == 0


def test_phases_count_what_a_walk_along_the_word_counts():
    language = make_language("anb2nc3n")
    phase, count = dynamics.phases(language)
    for n, text in enumerate(language.all_words, start=1):
        for place, node in enumerate(language.follow(language.encode(text))):
            letter = text[place]
            assert phase[node] == "ABC".index(letter)
            left = text[place + 1 :].count(letter)
            assert count[node] == (text[: place + 1].count("A") if letter == "A" else left), n


def test_counters_of_units_that_are_known():
    language = make_language("anb2n")
    phase, count = dynamics.phases(language)
    # Unit 0 is the count, unit 1 its double turned round, unit 2 still, unit 3 noise.
    values = np.stack(
        [count, -2.0 * count, np.full(len(count), 0.5), np.arange(len(count)) % 2], axis=1
    )
    values[0, 2] = 1
    found = {(c.unit, c.phase): c for c in dynamics.counters(values[1:], phase[1:], count[1:])}
    assert found[0, 0].slope == pytest.approx(1)
    assert found[0, 0].does == "counts up"
    assert found[0, 1].slope == pytest.approx(-1)
    assert found[0, 1].does == "counts down"
    assert found[0, 1].correlation == pytest.approx(1)
    assert found[1, 1].slope == pytest.approx(2)
    assert found[1, 1].does == "counts up"
    assert found[2, 0].does == found[2, 1].does == "holds still"
    assert found[3, 1].does == "moves, but does not count"
    x, y = count[1:][phase[1:] == 1], values[1:][phase[1:] == 1, 3]
    assert found[3, 1].correlation == pytest.approx(np.corrcoef(x, y)[0, 1])


@pytest.mark.parametrize("model", [SRN, LSTM])
@torch.no_grad()
def test_ablation_is_the_network_stopped_and_changed(model):
    torch.manual_seed(1)
    language = counting("anb2n", 3)
    net = model(2, 3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    for unit in range(3):
        asked = right = 0
        for n in range(1, 4):
            before, text = ("A" * k + "BB" * k for k in (1 + n % 3, n))
            symbols = torch.from_numpy(language.encode(before + text + "A"))[:, None]
            cut = len(before) + n
            run = net(symbols[:cut])
            state = [run.hidden[-1].clone()]
            if model is LSTM:
                state.append(run.context[-1].clone())
            for part in state:
                part[:, unit] = 0
            rest = net(symbols[cut:-1], tuple(state)).logits.argmax(dim=-1)
            right += int((rest == symbols[cut + 1 :]).sum())
            asked += len(rest)
        assert dynamics.ablate(net, language, unit, 1, "zeroed") == [(right, asked)]


def test_a_unit_that_does_nothing_breaks_nothing():
    language = make_language("anb2nc3n")
    net = automaton_net(language, spare=1)
    for run, how in itertools.product((1, 2), dynamics.ABLATIONS):
        outcome = dynamics.ablate(net, language, net.hid - 1, run, how)
        assert all(right == asked for right, asked in outcome)
        assert len(outcome) == 3 - run
    # A unit that is needed: the transition of the first B after four A's, held where it was.
    assert any(
        right < asked
        for unit in range(net.hid - 1)
        for right, asked in dynamics.ablate(net, language, unit, 1, "frozen")
    )
