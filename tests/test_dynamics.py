"""Maps, fixed points, cycles and predicted runs: linear maps, hand-made networks, brute force."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from shared import automaton_net, counter_net

from recurrent import dynamics, extraction
from recurrent.dynamics import (
    attracting_cycles,
    fixed_points,
    fixed_points_and_cycles,
    indices_sum_to_one,
)
from recurrent.metrics import evaluation_set, exact
from recurrent.task import make_language
from seq_models import LSTM, SRN


def scalar_net(weight: float) -> SRN:
    """Return the SRN h <- tanh(weight h) for every symbol, initially tanh(0.3)."""
    net = SRN(2, 1, init=0.0, identity=False)
    with torch.no_grad():
        net.U[:] = weight
        net.H0[:] = 0.3
    return net


def found_for(net, symbol: int = 0, lang: str = "anbn"):
    """Return the fixed points and cycles found for a symbol of a network."""
    language = make_language(lang)
    trajectory = extraction.trajectory(net, language, evaluation_set(language))
    return fixed_points_and_cycles(net, trajectory, symbol)


# Fixed points and cycles


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_newton_finds_the_fixed_point_of_a_linear_map(size, seed):
    random = np.random.default_rng(seed)
    matrix, shift = random.normal(size=(size, size)), random.normal(size=size)
    # With an eigenvalue of 1 a linear map has no unique fixed point.
    if np.abs(np.linalg.eigvals(matrix) - 1).min() < 0.05:
        return
    a, b = torch.from_numpy(matrix), torch.from_numpy(shift)
    expected = np.linalg.solve(np.eye(size) - matrix, shift)
    starts = expected + random.normal(size=(20, size))
    (found,) = fixed_points(lambda x: x @ a.T + b, starts, size)
    assert np.allclose(found.point, expected, atol=1e-6)
    values = np.linalg.eigvals(matrix)
    assert np.allclose(np.sort(np.abs(found.eigenvalues)), np.sort(np.abs(values)))
    expanding = np.abs(values) > 1
    kind = "repeller" if expanding.all() else "saddle" if expanding.any() else "attractor"
    assert found.kind == kind
    assert found.index == np.sign(np.linalg.det(np.eye(size) - matrix))


def test_the_three_fixed_points_of_tanh():
    net = scalar_net(2.0)
    found = fixed_points(dynamics.symbol_map(net, 0), np.linspace(-1, 1, 9)[:, None], 1)
    root = brentq(lambda h: np.tanh(2 * h) - h, 0.5, 1)
    assert [round(float(fixed.point[0]), 6) for fixed in found] == [
        round(-root, 6), 0.0, round(root, 6),
    ]  # fmt: skip
    assert [fixed.kind for fixed in found] == ["attractor", "repeller", "attractor"]
    assert found[0].eigenvalues[0] == pytest.approx(2 * (1 - root**2))
    assert found[1].eigenvalues[0] == pytest.approx(2)
    assert indices_sum_to_one(found)
    assert not indices_sum_to_one(found[:2])
    assert not indices_sum_to_one(found[1:2])


@pytest.mark.parametrize("expanding", [False, True])
def test_fixed_points_of_an_lstm_far_from_its_words(expanding):
    # c <- f c + tanh(bias + 9 h) with 1 - f = 1 / 1001: c grows by 1 up to its fixed point 1001. If
    # h determines the sign (bias 0), 0 is a repelling fixed point.
    net = LSTM(2, 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.hid_bias[:] = torch.tensor([30.0, np.log(1000.0), 0.0 if expanding else 30.0, 30.0])
        net.U[0, 2] = 9.0 if expanding else 0.0
    found = found_for(net)
    far = [fixed for fixed in found if fixed.kind == "attractor"]
    assert sorted(round(float(fixed.point[1])) for fixed in far) == (
        [-1001, 1001] if expanding else [1001]
    )
    assert all(fixed.eigenvalues[0] == pytest.approx(1000 / 1001) for fixed in far)
    assert len(found) == (3 if expanding else 1)
    assert indices_sum_to_one(found)
    if not expanding:
        # Sequences of five words with 4 A's and 4 B's have 40 symbols, each of which adds nearly 1.
        distances = [1001 * (1000 / 1001) ** (40 + more) for more in dynamics.EXTRA_SYMBOLS]
        assert found[0].distances == pytest.approx(distances, rel=0.05)


@pytest.mark.parametrize("period", [2, 4])
def test_an_attracting_cycle(period):
    # The state is rotated by a fraction of a circle and scaled up.
    angle = 2 * np.pi / period
    net = SRN(2, 2, init=0.0, identity=False)
    with torch.no_grad():
        rotation = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        net.U[:] = 1.5 * torch.tensor(rotation)
        net.H0[:] = torch.tensor([0.3, 0.1])
    found = found_for(net)
    f = dynamics.symbol_map(net, 0)
    cycles = [cycle for cycle in found if cycle.period > 1 and cycle.kind == "attractor"]
    assert cycles
    assert indices_sum_to_one(found)
    for cycle in cycles:
        assert cycle.period == period
        assert np.allclose(f(torch.from_numpy(cycle.cycle)), np.roll(cycle.cycle, -1, axis=0))
        end = cycle.cycle[0]
        for _ in range(period):
            end = f(torch.from_numpy(end[None]))[0].numpy()
        perturbed = torch.from_numpy(cycle.cycle[0] + 1e-6 * np.eye(2))
        for _ in range(period):
            perturbed = f(perturbed)
        jacobian = (perturbed.numpy() - end).T / 1e-6
        assert np.sort(np.abs(np.linalg.eigvals(jacobian))) == pytest.approx(
            np.sort(np.abs(cycle.eigenvalues)), abs=1e-4
        )
        modulus = max(np.abs(cycle.eigenvalues))
        assert cycle.rate**period == pytest.approx(modulus)


def test_fixed_drifting_and_aperiodic_states_are_not_cycles():
    angle = torch.tensor(1.0)
    rotation = torch.stack(
        [torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])]
    ).double()
    start = np.array([[0.5, 0.0]])
    assert attracting_cycles(lambda x: x, start) == []
    assert attracting_cycles(lambda x: x + 1e-3, start) == []
    assert attracting_cycles(lambda x: x @ rotation, start) == []
    (cycle,) = attracting_cycles(lambda x: -x, start)
    assert cycle.period == 2


@pytest.mark.parametrize("model", [SRN, LSTM])
def test_jacobians_match_finite_differences(model):
    torch.manual_seed(0)
    net = model(3, 2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    f = dynamics.symbol_map(net, 1)
    x = torch.rand(4, 2 * (1 + (model is LSTM)), dtype=torch.float64)
    y, jacobian = dynamics.jacobians(f, x)
    assert torch.equal(y, f(x))
    for column in range(x.shape[1]):
        shift = torch.zeros(x.shape[1], dtype=torch.float64)
        shift[column] = 1e-6
        difference = (f(x + shift) - f(x - shift)) / 2e-6
        assert torch.allclose(jacobian[:, :, column], difference, atol=1e-7)


def test_a_symbol_map_is_one_step_of_the_network():
    torch.manual_seed(0)
    for net in (SRN(3, 4, init=1.0), LSTM(3, 4)):
        symbols = torch.tensor([[0, 2, 1, 1, 2]]).T
        run = net(symbols)
        states = dynamics.states_along(net, symbols[:, 0].numpy())
        assert np.allclose(states[1:, :4], run.hidden[:, 0].detach(), atol=1e-6)
        mapped = dynamics.symbol_map(net, 2)(torch.from_numpy(states[-2:-1]))
        assert np.allclose(mapped, states[-1:], atol=1e-6)


def test_the_distance_from_a_cycle_is_that_from_its_nearest_state():
    cycle = dynamics.FixedPoint(np.array([[0.0, 0], [4, 0]]), np.array([0.5, 0.5]))
    assert cycle.distances_from(np.array([[0.0, 1], [4, 3], [3, 0]])).tolist() == [1, 3, 1]


# Counting


@pytest.mark.parametrize("lang", ["anb2n", "anbncn", "anb2nc3n"])
def test_the_language_as_a_network_predicts_correct_run_lengths(lang):
    language = make_language(lang)
    runs = dynamics.predict_single_words(automaton_net(language), language, 6)
    n = np.arange(1, 7)
    assert (runs.lengths[:, :4] == np.outer(language.times[1:], n)[:, :4]).all()
    assert runs.exact.tolist() == [True] * 4 + [False] * 2


def test_a_counter_generalises_and_a_stuck_one_never_ends_a_run():
    language = make_language("anb2n")
    runs = dynamics.predict_single_words(counter_net(), language, 20)
    assert runs.exact.all()
    assert runs.lengths[0].tolist() == [2 * n for n in runs.n]
    runs = dynamics.predict_single_words(counter_net(stuck=True), language, 20)
    assert not runs.exact.any()
    assert not runs.lengths.any()


@pytest.mark.parametrize("model", [SRN, LSTM])
def test_predicted_runs_match_single_steps_of_the_network(model):
    torch.manual_seed(3)
    net, language = model(3, 3), make_language("anbnc2n")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    runs = dynamics.predict_single_words(net, language, 7)
    words = language.with_max_n(7)
    assert runs.exact.tolist() == exact(net, words, list(words.all_words)).tolist()
    for n, (run, letter) in itertools.product(range(1, 8), enumerate("BC", start=1)):
        before = language.word(n)[: n * run]
        text = before + letter * dynamics.MAX_RUN
        output = net(torch.from_numpy(language.encode(text))[:, None]).logits[len(before) :, 0]
        other = np.flatnonzero(output.argmax(dim=1).numpy() != run)
        assert runs.lengths[run - 1, n - 1] == (other[0] + 1 if len(other) else 0)


def test_countdown_alignment_compares_words_k_symbols_later():
    torch.manual_seed(0)
    net, language = SRN(3, 4, init=1.0), make_language("anb2nc3n")

    def after(n: int, symbols: int) -> torch.Tensor:
        text = "ABBCCC" + "A" * n + "B" * 2 * n + "C" * symbols
        return net(torch.from_numpy(language.encode(text))[:, None]).hidden[-1].detach()

    found = dynamics.countdown_alignment(net, language)
    assert [n for n, _, _ in found] == [2, 3, 4]
    for n, before, later in found:
        assert before == pytest.approx(float((after(n, 1) - after(n - 1, 1)).norm()), abs=1e-5)
        assert later == pytest.approx(float((after(n, 4) - after(n - 1, 1)).norm()), abs=1e-5)


def test_run_states_are_consecutive():
    net, language = SRN(3, 2, init=1.0), make_language("anbncn")
    runs = dynamics.run_states(net, language, 3)
    assert [len(states) for states in runs] == [4, 4, 4]
    for before, after in itertools.pairwise(runs):
        assert np.array_equal(before[-1], after[0])
    symbols = language.encode("ABC" + "AAABBBCCC")
    assert np.array_equal(runs[-1][-1], dynamics.states_along(net, symbols)[-1])


def test_reversal_rate():
    assert dynamics.reversal_rate(np.array([[0.0, 0], [1, 0], [2, 1], [3, 1]])) == 0
    assert dynamics.reversal_rate(np.array([[0.0, 0], [1, 0], [0, 0], [1, 0]])) == 1
    assert dynamics.reversal_rate(np.array([[0.0, 0], [1, 0], [0, 0], [-1, 0]])) == 0.5
    assert dynamics.reversal_rate(np.zeros((2, 3))) == 0


def test_near_distance_is_half_a_mean_step():
    net, language = SRN(2, 2, init=1.0), make_language("anbn", 2)
    steps = [
        np.linalg.norm(after - before)
        for n in (1, 2)
        for before, after in itertools.pairwise(
            dynamics.states_along(net, language.encode("AB" + language.word(n)))[2:]
        )
    ]
    assert dynamics.near_distance(net, language) == pytest.approx(np.mean(steps) / 2)
