"""What units count, by values made for it; ablation, by brute force and on a counter."""

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
    """Values of one unit that changes by a step of its own with each symbol of a run of anb2n.

    offset: how much higher it starts after each n more of the word before.
    """
    found = {}
    for before, n in itertools.product(range(1, max_n + 1), repeat=2):
        at, runs = start + offset * before, []
        for step, factor in zip(steps, (1, 2), strict=True):
            path = at + step * np.arange(factor * n + 1)
            runs.append(path[:, None])
            at = path[-1]
        found[before, n] = runs
    return found


def kinds(values) -> list[str]:
    return [role.kind for role in units.unit_roles(values)]


def test_symbols_read_are_told_from_symbols_left():
    # Up by 1 with each A, down by 1/2 with each B: the B's left, since all come back to 0.
    assert kinds(values_of(1.0, -0.5)) == ["read", "left"]
    # Down by 1 with each B: its value tells neither, as 2 B's take more than an A has added.
    assert kinds(values_of(1.0, -1.0)) == ["read", "even"]
    # The A's leave it alone: the B's read.
    assert kinds(values_of(0.0, -0.5)) == ["still", "read"]
    assert kinds(values_of(0.0, 0.0)) == ["still", "still"]


def test_values_of_different_counts_must_not_mix():
    assert kinds(values_of(1.0, -0.5, offset=0.16)) == ["read", "left"]
    assert kinds(values_of(1.0, -0.5, offset=0.17)) == ["read", "even"]
    assert kinds(values_of(1.0, -0.5, offset=0.34)) == ["even", "even"]


def test_steps_of_both_signs_or_of_all_lengths_do_not_count():
    values = values_of(1.0, -1.0)
    values[1, 4][1][3:5] = values[1, 4][1][4:2:-1].copy()
    assert kinds(values)[1] == "moves"
    values = values_of(1.0, -1.0)
    for runs in values.values():
        # Half of the steps are three times as long as the others.
        places = np.arange(len(runs[1]))
        runs[1][:, 0] = -places - 2.0 * (places // 2)
        runs[1][:, 0] += 5 * runs[0][-1, 0]
    (role,) = [role for role in units.unit_roles(values) if role.run == 1]
    assert role.steps == (-3, -1, -1) or role.steps == (-3, -3, -1)
    assert role.even < units.MOST
    assert role.kind == "moves"


def test_the_role_of_a_unit_in_figures():
    up, down = units.unit_roles(values_of(1.0, -0.5, offset=0.05))
    assert up.steps == pytest.approx((1, 1, 1))
    assert down.step == pytest.approx(-0.5)
    assert (up.even, down.even) == (1, 1)
    # The word before moves all values, by 0.05 for each n of it.
    assert up.read == pytest.approx(0.15)
    assert down.left == pytest.approx(0.15)
    assert up.left == pytest.approx(3.15)
    assert down.read == pytest.approx(3.15)
    # One n alone: no A follows another, and there is nothing to compare.
    assert kinds(values_of(1.0, -0.5, max_n=1)) == ["still", "read"]


def test_a_counter_is_found_and_how_n_becomes_2n():
    language = make_language("anb2n")
    values = units.unit_values(counter_net(), language)
    found = units.unit_roles(values)
    assert [role.kind for role in found] == ["read", "left"]
    text = explain_units.roles(found, language, UNIT)
    assert text.endswith("counts B's left")
    assert "counts A's read" in text
    ends = explain_units.end_table(found, values, language, UNIT).splitlines()
    assert ends[1].split() == ["0", "A", "1.00", "2.00", "3.00", "4.00", "+1.00"]
    assert ends[2].split()[-1] in ("+0.00", "-0.00")
    text = explain_units.transfers(found, values, language, UNIT)
    assert text.startswith(
        "How n A's become 2n B's: context unit 0, which steps by +1.00 with each A, is at 1.00, "
        "2.00, 3.00, 4.00 after the last A for n = 1 .. 4 and at 0.50, 1.50, 2.50, 3.50 after the "
        "first B, +1.00 for each n; 2 B's of -0.50 take it back"
    )


def test_what_a_unit_forgets_is_shown_beside_its_steps():
    language, net = make_language("anb2n"), counter_net()
    with torch.no_grad():
        # It keeps 9/10 with an A, all with a B.
        net.hid_bias[1] = np.log(9)
        net.W[1, 1] = 20
    assert units.forgetting(net, language)[0] == pytest.approx([0.1, 0], abs=1e-6)
    assert units.forgetting(SRN(2, 2), language) is None
    found = units.unit_roles(units.unit_values(net, language))
    text = explain_units.roles(found, language, UNIT, units.forgetting(net, language))
    first, second = text.splitlines()[-2:]
    assert "0.1000" in first
    assert "0.0000" in second


@pytest.mark.parametrize("steps", [(1.0, 0.5), (0.0, -0.5), (1.0, -1.0), (1.0, 0.0)])
def test_no_unit_carries_a_count_where_one_condition_fails(steps):
    language, values = make_language("anb2n"), values_of(*steps)
    text = explain_units.transfers(units.unit_roles(values), values, language, UNIT)
    assert text.startswith("How n A's become 2n B's: no single unit")


def test_no_table_without_a_unit_that_counts():
    language, values = make_language("anb2n"), values_of(0.0, 0.0)
    text = explain_units.end_table(units.unit_roles(values), values, language, UNIT)
    assert text == "No context unit counts, or moves in even steps."


# Ablation


@pytest.mark.parametrize("model", [SRN, LSTM])
@torch.no_grad()
def test_ablation_is_the_network_stopped_and_changed(model):
    torch.manual_seed(1)
    language = counting("anb2n", 3)
    net = model(2, 3)
    for parameter in net.parameters():
        parameter.normal_()
    pairs = list(itertools.product((1, 2, 3), repeat=2))
    for unit, how in itertools.product(range(3), units.ABLATIONS):
        lengths = []
        for before, n in pairs:
            text = language.word(before) + "A" * n
            run = net(torch.from_numpy(language.encode(text))[:, None])
            state = [part[-1].clone() for part in (run.hidden, run.context) if part is not None]
            held = state[-1][0, unit].clone()
            if how == "zeroed":
                for part in state:
                    part[0, unit] = 0
            ended = 0
            for step in range(1, MAX_RUN + 1):
                hidden = state[0]
                state = list(net.step(torch.tensor([1]), tuple(state)))
                if how == "clamped":
                    state[-1][0, unit] = held
                    if model is LSTM:
                        gate = net.gates(torch.tensor([1]), hidden)[3][0, unit]
                        state[0][0, unit] = gate * torch.tanh(held)
                if net.read_out(state[0]).argmax() == 0:
                    ended = step
                    break
            lengths.append(ended)
        found = units.ablate(net, language, unit, 1, how)
        assert found.n.tolist() == [n for _, n in pairs]
        assert found.lengths.tolist() == [lengths]
        assert (found.exact <= (found.lengths[0] == 2 * found.n)).all()


def test_a_counter_that_is_clamped_never_ends():
    language = make_language("anb2n")
    results = units.ablations(counter_net(), language)
    assert results[None, 1, ""].exact.all()
    # Zeroed, it is below its threshold after one B; held at n it never is.
    assert (results[0, 1, "zeroed"].lengths == 1).all()
    assert not results[0, 1, "clamped"].lengths.any()
    lines = explain_units.ablations(results, language).splitlines()
    assert lines[2].endswith("16/16  0 / 16 / 0 / 0")
    assert lines[3].endswith("0: 0 before the first B  0/16   16 / 0 / 0 / 0")
    assert lines[4].endswith("0/16   0 / 0 / 0 / 16")


def test_a_unit_that_does_nothing_breaks_nothing():
    language = make_language("anb2nc3n")
    net = automaton_net(language, spare=1)
    for run, how in itertools.product((1, 2), units.ABLATIONS):
        runs = units.ablate(net, language, net.hid - 1, run, how)
        assert runs.exact.all()
        assert len(runs.lengths) == 3 - run
    # One of the others is needed.
    assert any(
        not units.ablate(net, language, unit, 1, "clamped").exact.all()
        for unit in range(net.hid - 1)
    )


def test_ends_are_too_early_right_too_late_or_never():
    lengths, due = np.array([1, 2, 3, 0, 0]), np.array([2, 2, 2, 2, 4])
    assert explain_units.end_counts(lengths, due) == "1 / 1 / 1 / 2"
    language = make_language("anb2nc3n")
    runs = PredictedRuns(np.array([1, 2]), np.array([[3, 6]]), np.array([True, False]))
    lines = explain_units.ablations({(1, 2, "clamped"): runs}, language).splitlines()
    assert lines[2] == "1: clamped in the C's  1/2                0 / 2 / 0 / 0"
