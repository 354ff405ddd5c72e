"""What is said of a network changes with what was measured on it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import automaton_net

from recurrent import explain, explain_machine, extraction, machine
from recurrent.dynamics import Counter, FixedPoint, Match
from recurrent.extraction import Difference
from recurrent.task import make_language
from seq_models import SRN


def point(*values: complex, at=(0.0, 0.0)) -> FixedPoint:
    return FixedPoint(np.array(at), np.array(values, dtype=complex), np.eye(len(values)))


def test_the_same_machine_is_isomorphic_and_another_is_told_apart():
    language = make_language("anbn", 2)
    own, nodes = machine.minimal(machine.of_language(language))
    labels = [language.labels[int(np.flatnonzero(nodes == k)[0])] for k in range(own.count)]
    same = np.eye(own.count, dtype=bool)
    text = explain_machine.compared(own, own, same, labels, labels, "anbn")
    assert text == "minimal machine of anbn: 4 states; isomorphic to the extracted one"
    # All but the start are one state.
    met = np.zeros((2, own.count), dtype=bool)
    met[0, 0] = met[1, 1:] = True
    small = machine.Machine("AB", np.array([[1, -1], [1, 1]]))
    text = explain_machine.compared(small, own, met, ["start", "all"], labels, "anbn")
    assert "not isomorphic" in text
    assert f"one state for several: all is {explain.listed(labels[1:])}" in text
    text = explain_machine.compared(own, own, same, labels, labels, "anbn")
    doubled = np.vstack([same, same[1]])
    text = explain_machine.compared(small, own, doubled, [*labels, "A1'"], labels, "anbn")
    assert "several states for one: A1 is A1 and A1'" in text
    text = explain_machine.compared(
        small, own, same & (np.arange(own.count) < 3), labels, labels, "anbn"
    )
    assert f"not found: {labels[3]}" in text


def test_a_table_of_fixed_points_has_a_line_for_each():
    language = make_language("anb2n")
    points = {0: [point(0.5, -0.25, at=(0.1, -0.9))], 1: []}
    lines = explain.fixed_points(points, language, 2).splitlines()
    assert lines[1].split() == ["A", "attractor", "(0.10,", "-0.90)", "0.50", "-0.25"]
    assert lines[2].split() == ["B", "none", "found"]
    assert "context" not in lines[0]
    points = {0: [point(1 + 1j, 1 - 1j, 0.5, 0.1, at=(0, 0, 3, -3))], 1: []}
    text = explain.fixed_points(points, language, 2)
    assert "(3.00, -3.00)" in text
    assert "1.00+1.00i 1.00-1.00i" in text
    assert "saddle" in text


def test_the_check_of_rodriguez_says_matched_or_not_or_why_there_is_none():
    language = make_language("anb2n")
    text = explain.rates(Match(0.5, 2**0.5, 2.0), language)
    assert "= 2.00 B's, and 2 are needed: matched." in text
    text = explain.rates(Match(0.5, 2, 1.0), language)
    assert "= 1.00 B's, and 2 are needed: not matched." in text
    text = explain.rates(("repeller", ""), language)
    assert "The map of A has only: repeller; that of B has no fixed point." in text


def spiral(radius: float, angle: float, steps: int = 7) -> np.ndarray:
    turns = angle * np.arange(steps)
    return (radius ** np.arange(steps))[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (spiral(0.5, 0.0), ["monotone, ever shorter", "(0% of the turns", "towards the saddle"]),
        (spiral(0.7, np.pi), ["oscillating, ever shorter", "(100% of the turns", "towards the"]),
        (spiral(1.8, 0.0) / 50, ["monotone, ever longer", "away from the saddle"]),
        (spiral(1.0, 0.3), ["monotone, even", "nearest is the saddle"]),
    ],
)
def test_monotone_or_oscillating_towards_or_away(states, words):
    text = explain.steps_of_a_run(states, "A's", [point(2.0, 0.5)], "hidden vector")
    for word in words:
        assert word in text


def test_a_network_that_is_the_language_is_told_to_count():
    language = make_language("anb2n")
    net = automaton_net(language)
    points = {0: [], 1: []}
    text = explain.counting(net, language, points)
    assert text.startswith("How it counts, along the word with n = 4:\n  A's: the first one moves")
    assert "2 B's should undo one A" in text
    exact = np.arange(1, 7) <= 4
    table = explain.counts_beyond(net, language, exact).splitlines()
    assert table[4].split() == ["4", "yes", "8", "(8)"]
    assert table[5].split()[:2] == ["5", "no"]
    text = explain.why_it_breaks(net, language, exact, points)
    assert text.startswith("It breaks at n = 5: ")
    assert "instead of 10" in text
    assert "n = 6 is predicted" in explain.why_it_breaks(net, language, exact | True, points)
    assert "Not even" in explain.why_it_breaks(net, language, exact & False, points)


def test_many_a_s_rest_turn_or_go_on():
    net = SRN(2, 1, init=0.0, identity=False)
    with torch.no_grad():
        net.U[:], net.H0[:] = 0.5, 0.3
    rest = explain._many_a(net, [point(0.5, at=(0.0,))])
    assert rest.endswith(
        "comes to rest at the attractor with eigenvalue 0.50: each A leaves 50% of the distance, "
        "so counts run together."
    )
    with torch.no_grad():
        net.U[:] = -2
    turning = explain._many_a(net, [point(-2, at=(0.0,))])
    assert "goes round in a cycle of 2, near the repeller with eigenvalue -2.00" in turning


def test_roles_name_the_unit_that_counts_and_those_that_hold_still():
    language = make_language("anb2n")
    found = [
        Counter(0, 0, 1.0, 1.0, 0.8), Counter(0, 1, 0.0, 0.1, 0.01),
        Counter(1, 0, 0.2, 0.3, 0.5), Counter(1, 1, -0.5, 0.99, 0.9),
    ]  # fmt: skip
    text = explain.roles(found, language, "context unit")
    assert "The A's are counted by context unit 0, which goes up by 1.00 with each" in text
    assert "The B's are counted by context unit 1, which goes down by 0.50 with each" in text
    assert text.endswith("over 90% of its range; 0 holds still.")
    text = explain.roles(found[2:3] + found[1:2], language, "context unit")
    assert "No single unit counts the A's in a straight line." in text
    table = explain.counters(found, language, "context unit").splitlines()
    assert "A's so far" in table[0]
    assert "B's left" in table[0]
    assert "counts down: -0.50 a symbol, r = +0.99" in table[2]


def test_ablations_tell_the_worst_and_what_breaks_nothing():
    language = make_language("anb2nc3n")
    results = {
        (0, 1, "zeroed"): [(4, 16), (30, 34)],
        (0, 2, "frozen"): [(30, 30)],
        (1, 1, "frozen"): [(16, 16), (10, 34)],
    }
    lines = explain.ablations(results, language, "context unit").splitlines()
    assert lines[1].split()[-6:] == ["4", "of", "16", "30", "of", "34"]
    assert "held through the C's" in lines[2]
    assert lines[2].split()[-3:] == ["30", "of", "30"]
    text = explain.worst_ablations(results, language, "context unit")
    assert text.startswith("Worst is context unit 1 held through the B's: 52% of what is certain")
    assert text.endswith("Nothing breaks for context unit 0 (held, C's).")


def test_the_clusters_of_a_trajectory_are_reported():
    language = make_language("anbn", 2)
    net = automaton_net(language)
    path = extraction.trajectory(net, language, language.batch(50, np.random.default_rng(0)))
    found = extraction.extract(path, language)
    small, _ = machine.minimal(found.machine)
    text = explain_machine.found_states(found, small, path)
    assert text == (
        f"{len(path.state)} hidden states -> {found.machine.count} clusters (transitions and "
        "predictions consistent) -> 4 states after minimisation"
    )
    text = explain_machine.found_states(replace(found, inconsistent=3), small, path)
    assert "clusters (3 inconsistent) ->" in text


def test_what_only_one_of_the_two_allows_is_listed():
    language = make_language("anb2n")
    found = [Difference(1, 0, True, 3, 9, 0.2, 0.65), Difference(0, 1, False, 1, 4, 0.01, 0.1)]
    text = explain_machine.difference_table(found, ["A1", "A4"], language, 12)
    head, _, first, second = text.splitlines()
    assert head == "symbols allowed on 12 sequences of anb2n: network and language differ"
    assert first.split() == ["A4", "A", "network", "only", "0.20", "..", "0.65", "3/9"]
    assert second.split() == ["A1", "B", "language", "only", "0.01", "..", "0.10", "1/4"]
    assert "the same" in explain_machine.difference_table([], [], language, 12)
    many = explain_machine.difference_table(found * 15, ["A1", "A4"], language, 12)
    assert many.endswith("... 10 more")
