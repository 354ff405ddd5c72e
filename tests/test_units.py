"""Roles of units on made-up values; ablation by brute force and of a counter."""

import itertools

import numpy as np
import pytest
import torch
from shared import automaton_net, counter_net

from anb2n import counting
from recurrent import explain_units, units
from recurrent.dynamics import MAX_RUN, PredictedRuns
from recurrent.task import make_language
from seq_models import LSTM, SRN

UNIT = "context unit"


def values_of(*steps: float, max_n: int = 4, start: float = 0.0, offset: float = 0.0):
    """Return the values of a unit that changes by steps[run] with each symbol of anb2n's runs.

    offset: increase of its first value for each n of the word before.
    """
    values = {}
    for before, n in itertools.product(range(1, max_n + 1), repeat=2):
        value, runs = start + offset * before, []
        for step, factor in zip(steps, (1, 2), strict=True):
            series = value + step * np.arange(factor * n + 1)
            runs.append(series[:, None])
            value = series[-1]
        values[before, n] = runs
    return values


def kinds(values) -> list[str]:
    return [role.kind for role in units.unit_roles(values)]


def test_counting_symbols_read_and_symbols_left():
    # +1 per A, -1/2 per B: it counts the B's left, because it ends at 0 for every n.
    assert kinds(values_of(1.0, -0.5)) == ["read", "left"]
    # -1 per B: it counts neither, because 2 B's subtract more than an A has added.
    assert kinds(values_of(1.0, -1.0)) == ["read", "even"]
    # Still in the A's: it counts the B's read.
    assert kinds(values_of(0.0, -0.5)) == ["still", "read"]
    assert kinds(values_of(0.0, 0.0)) == ["still", "still"]


def test_values_of_different_counts_must_not_overlap():
    assert kinds(values_of(1.0, -0.5, offset=0.16)) == ["read", "left"]
    assert kinds(values_of(1.0, -0.5, offset=0.17)) == ["read", "even"]
    assert kinds(values_of(1.0, -0.5, offset=0.34)) == ["even", "even"]


def test_steps_of_both_signs_or_uneven_steps_do_not_count():
    values = values_of(1.0, -1.0)
    values[1, 4][1][3:5] = values[1, 4][1][4:2:-1].copy()
    assert kinds(values)[1] == "moves"
    values = values_of(1.0, -1.0)
    for runs in values.values():
        # Every second step is three times as long.
        position = np.arange(len(runs[1]))
        runs[1][:, 0] = -position - 2.0 * (position // 2)
        runs[1][:, 0] += 5 * runs[0][-1, 0]
    (role,) = [role for role in units.unit_roles(values) if role.run == 1]
    assert role.steps == (-3, -1, -1) or role.steps == (-3, -3, -1)
    assert role.even_share < units.MIN_EVEN_SHARE
    assert role.kind == "moves"


def test_the_values_of_a_unit_role():
    up, down = units.unit_roles(values_of(1.0, -0.5, offset=0.05))
    assert up.steps == pytest.approx((1, 1, 1))
    assert down.step == pytest.approx(-0.5)
    assert (up.even_share, down.even_share) == (1, 1)
    # Each n of the word before adds 0.05 to all values.
    assert up.read_spread == pytest.approx(0.15)
    assert down.left_spread == pytest.approx(0.15)
    assert up.left_spread == pytest.approx(3.15)
    assert down.read_spread == pytest.approx(3.15)
    # With n = 1 only, a run of A's has no second step, and there are no words to compare.
    assert kinds(values_of(1.0, -0.5, max_n=1)) == ["still", "read"]


def test_the_roles_of_a_counter_and_how_n_becomes_2n():
    language = make_language("anb2n")
    values = units.unit_values(counter_net(), language)
    found = units.unit_roles(values)
    assert [role.kind for role in found] == ["read", "left"]
    text = explain_units.role_table(found, language, UNIT)
    assert text.endswith("encodes B's left")
    assert "encodes A's read" in text
    ends = explain_units.end_table(found, values, language, UNIT).splitlines()
    assert ends[3].split() == ["0", "A", "1.00", "2.00", "3.00", "4.00", "+1.00"]
    assert ends[4].split()[-1] in ("+0.00", "-0.00")
    text = explain_units.transfer_text(found, values, language, UNIT)
    assert " ".join(text.split()).startswith(
        "From n A's to 2n B's: context unit 0 changes by +1.00 per A and -0.50 per B (medians). "
        "After the first B it is at 0.50, 1.50, 2.50, 3.50 for n = 1 .. 4: +1.00 per n, offset by "
        "-1.00 per 2 B's. With the same number of B's left"
    )


def test_forgetting_has_a_column_for_an_lstm():
    language, net = make_language("anb2n"), counter_net()
    with torch.no_grad():
        # The forget gate is 0.9 at an A and 1 at a B.
        net.hid_bias[1] = np.log(9)
        net.W[1, 1] = 20
    assert units.forgetting(net, language)[0] == pytest.approx([0.1, 0], abs=1e-6)
    assert units.forgetting(SRN(2, 2), language) is None
    found = units.unit_roles(units.unit_values(net, language))
    text = explain_units.role_table(found, language, UNIT, units.forgetting(net, language))
    first, second = text.splitlines()[-2:]
    assert "0.1000" in first
    assert "0.0000" in second


@pytest.mark.parametrize("steps", [(1.0, 0.5), (0.0, -0.5), (1.0, -1.0), (1.0, 0.0)])
def test_no_unit_carries_a_count_if_one_condition_fails(steps):
    language, values = make_language("anb2n"), values_of(*steps)
    text = explain_units.transfer_text(units.unit_roles(values), values, language, UNIT)
    assert text.startswith("From n A's to 2n B's: no single context unit carries the count")


def test_no_table_if_no_unit_counts():
    language, values = make_language("anb2n"), values_of(0.0, 0.0)
    text = explain_units.end_table(units.unit_roles(values), values, language, UNIT)
    assert text == "No context unit encodes symbols or moves in even steps as defined above."


# Ablation


@pytest.mark.parametrize("model", [SRN, LSTM])
@torch.no_grad()
def test_ablation_matches_single_steps_with_the_unit_set(model):
    torch.manual_seed(1)
    language = counting("anb2n", 3)
    net = model(2, 3)
    for parameter in net.parameters():
        parameter.normal_()
    pairs = list(itertools.product((1, 2, 3), repeat=2))
    for unit, method in itertools.product(range(3), units.ABLATIONS):
        lengths = []
        for before, n in pairs:
            text = language.word(before) + "A" * n
            run = net(torch.from_numpy(language.encode(text))[:, None])
            state = [part[-1].clone() for part in (run.hidden, run.context) if part is not None]
            clamped = state[-1][0, unit].clone()
            if method == "zeroed":
                for part in state:
                    part[0, unit] = 0
            length = 0
            for step in range(1, MAX_RUN + 1):
                hidden = state[0]
                state = list(net.step(torch.tensor([1]), tuple(state)))
                if method == "clamped":
                    state[-1][0, unit] = clamped
                    if model is LSTM:
                        gate = net.gates(torch.tensor([1]), hidden)[3][0, unit]
                        state[0][0, unit] = gate * torch.tanh(clamped)
                if net.read_out(state[0]).argmax() == 0:
                    length = step
                    break
            lengths.append(length)
        found = units.ablate(net, language, unit, 1, method)
        assert found.n.tolist() == [n for _, n in pairs]
        assert found.lengths.tolist() == [lengths]
        assert (found.exact <= (found.lengths[0] == 2 * found.n)).all()


def test_a_clamped_counter_never_ends_a_run():
    language = make_language("anb2n")
    results = units.ablations(counter_net(), language)
    assert results[None, 1, ""].exact.all()
    # Zeroed, it is below its threshold after one B; clamped at n, never.
    assert (results[0, 1, "zeroed"].lengths == 1).all()
    assert not results[0, 1, "clamped"].lengths.any()
    lines = explain_units.ablation_table(results, language).splitlines()
    assert lines[-3].endswith("16/16  0 / 16 / 0 / 0")
    assert lines[-2].endswith("unit 0 zeroed before the first B  0/16   16 / 0 / 0 / 0")
    assert lines[-1].endswith("0/16   0 / 0 / 0 / 16")


def test_ablation_of_an_unused_unit_changes_nothing():
    language = make_language("anb2nc3n")
    net = automaton_net(language, spare=1)
    for run, method in itertools.product((1, 2), units.ABLATIONS):
        runs = units.ablate(net, language, net.hid - 1, run, method)
        assert runs.exact.all()
        assert len(runs.lengths) == 3 - run
    # At least one of the other units is needed.
    assert any(
        not units.ablate(net, language, unit, 1, "clamped").exact.all()
        for unit in range(net.hid - 1)
    )


def test_ends_are_too_early_correct_too_late_or_never():
    lengths, correct = np.array([1, 2, 3, 0, 0]), np.array([2, 2, 2, 2, 4])
    assert explain_units.end_counts(lengths, correct) == "1 / 1 / 1 / 2"
    language = make_language("anb2nc3n")
    runs = PredictedRuns(np.array([1, 2]), np.array([[3, 6]]), np.array([True, False]))
    lines = explain_units.ablation_table({(1, 2, "clamped"): runs}, language).splitlines()
    assert lines[-1] == "unit 1 clamped during the C's  1/2                0 / 2 / 0 / 0"
