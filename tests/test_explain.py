"""What is said of a network changes with what was measured on it."""

from dataclasses import replace

import numpy as np
import pytest
from shared import automaton_net

from recurrent import explain, explain_machine, extraction, machine
from recurrent.dynamics import FixedPoint, PredictedRuns
from recurrent.extraction import Difference
from recurrent.task import make_language


def point(*values: complex, at=(0.0, 0.0), distance: float = 0.0) -> FixedPoint:
    return FixedPoint(np.array([at]), np.array(values, dtype=complex), (distance, 0.0, 0.0, 0.0))


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
    assert f"one state for several: all is {explain.join_and(labels[1:])}" in text
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
    points = {0: [point(0.5, -0.25, at=(0.1, -0.9), distance=1.5)], 1: []}
    lines = explain.fixed_points(points, language, 2).splitlines()
    assert lines[2].split() == [
        "A", "attractor", "(0.10,", "-0.90)", "0.50", "-0.25", "1.50", "0.00", "0.00", "0.00",
    ]  # fmt: skip
    assert "context" not in lines[1]
    # Nothing found is not said to have none.
    assert lines[3] == "B: not all were found (the indices of fixed points do not sum to 1)"
    assert lines[4].startswith("B: no attractor was found; after 1000 B's")
    assert len(lines) == 5
    points = {0: [point(1 + 1j, 1 - 1j, 0.5, 0.1, at=(0, 0, 3, -3))], 1: []}
    text = explain.fixed_points(points, language, 2)
    assert "(3.00, -3.00)" in text
    assert "1.00+1.00i 1.00-1.00i" in text
    assert "saddle" in text
    assert "A: not all" not in text


def test_cycles_have_a_period_and_many_points_are_cut_short():
    language = make_language("anb2n")
    cycle = FixedPoint(np.array([[0.1, 0], [0.2, 0]]), np.array([0.5, 0.1]))
    text = explain.fixed_points({0: [cycle] * 9, 1: [point(2, 0.1)]}, language, 2)
    assert text.count("attractor, period 2") == explain.LISTED
    assert "A: 3 more, farther from the words" in text
    assert "A: not all were found" in text
    assert "A: no attractor" not in text
    assert "B: no attractor" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.256, "0.26"), (0.9986, "0.99860"), (-1.001, "-1.00100"), (0.19 - 1.161j, "0.19-1.16i")],
)
def test_an_eigenvalue_near_1_has_more_digits(value, text):
    assert explain.eigenvalue(complex(value)) == text


def test_the_check_of_rodriguez_needs_points_that_words_come_near():
    language = make_language("anb2n")
    up, down = point(0.5, 0.1, distance=0.3), point(np.sqrt(2), 0.2, distance=0.2)
    # Distances 8, 4, 3 from the attractor and 1, 2, 8 from the saddle, after each symbol.
    runs = [
        np.array([[9.0, 0], [8, 0], [4, 0], [3, 0]]),
        np.array([[3.0, 0], [1, 0], [2, 0], [8, 0]]),
    ]
    text = explain.rates({0: [up], 1: [down]}, language, 0.3, runs)
    assert "= 2.00 B's (needed: 2): matched" in text
    assert "within 0.30 of an attractor of A, at which an A multiplies distances by 0.500" in text
    assert "to the next of n = 4: 0.50 0.75)" in text
    assert "(measured: 2.00 4.00)" in text
    text = explain.rates({0: [up], 1: [point(2, 0.2, distance=0.2)]}, language, 0.3, runs)
    assert "= 1.00 B's (needed: 2): not matched" in text
    text = explain.rates({0: [up], 1: [down]}, language, 0.29, runs)
    assert (
        "here the nearest attractor of A is at 0.30 and the nearest saddle of B is at 0.20" in text
    )
    assert "matched" not in text
    text = explain.rates({0: [down], 1: [up]}, language, 0.3, runs)
    assert "here no attractor of A was found and no saddle of B was found, so that" in text


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([1.0, 0.5, 0.2], "shrinking"),
        ([1.0, 0.5, 0.5], ""),
        ([0.2, 0.3, 0.9], "growing"),
        ([0.14, 0.08, 0.09, 1.13], "shrinking, then growing"),
        ([0.14, 0.08, 0.08, 1.13], ""),
        # The first one is the shortest, but they do not grow longer and longer.
        ([0.2, 0.9, 0.3], ""),
        ([1.0, 1.1, 1.0], "even"),
        ([1.0, 1.11, 1.0], ""),
        ([1.60, 1.25, 1.98, 1.52], ""),
        ([1.0], ""),
    ],
)
def test_a_trend_holds_for_all_steps(steps, word):
    assert explain.trend(np.array(steps)) == word


def test_a_run_s_steps_and_reversal_rate():
    language = make_language("anbn")
    there = np.array([[0.0, 0], [3, 0], [4, 0], [4.5, 0]])
    back = np.array([[4.5, 0], [0, 0], [1, 0], [0.5, 0], [0.75, 0]])
    points = {0: [point(2, 0.5, at=(4, 3)), point(2, 0.5, at=(9, 9))], 1: []}
    lines = explain.run_table([there, back], points, language).splitlines()
    # The shortest step is that from (4, 0).
    assert lines[1].split() == ["A's", "3.00", "1.00", "0.50", "shrinking", "0%", "3.00"]
    assert lines[2].split()[:6] == ["B's", "4.50", "1.00", "0.50", "0.25", "shrinking"]
    assert lines[2].endswith("100%       none found")


def test_a_network_that_is_the_language_is_reported_to_count():
    language = make_language("anb2n")
    net = automaton_net(language)
    text = explain.counting(net, language, {0: [], 1: []})
    assert text.startswith("Lengths of the steps along n = 4")
    assert "once that of n has read 2 more" in text
    assert [line.split()[0] for line in text.splitlines()[6:9]] == ["2", "3", "4"]
    assert "no attractor of A was found" in text


def test_the_countdown_may_widen_the_gap():
    lines = explain.countdown_table([(2, 0.235, 0.333), (3, 0.2, 0.02)]).splitlines()
    assert lines[1].split() == ["2", "0.235", "0.333", "1.42"]
    assert lines[2].split() == ["3", "0.200", "0.020", "0.10"]


def runs_of(*lengths: int) -> PredictedRuns:
    n, found = np.arange(1, len(lengths) + 1), np.array(lengths)
    return PredictedRuns(n, found[None], found == 2 * n)


def test_generalisation_is_a_table_and_what_follows_from_it():
    language, steps = make_language("anb2n"), np.full(6, 0.5)
    text = explain.generalisation(runs_of(2, 4, 6, 6, 6, 0), steps, language)
    lines = text.splitlines()
    assert lines[3].split() == ["3", "0.500", "yes", "6", "(6)"]
    assert lines[6].split() == ["6", "0.500", "no", "over", "200", "(12)"]
    assert lines[7] == "The first that is not exact is n = 4."
    text = explain.generalisation(runs_of(2, 4, 6, 6, 6, 6), steps, language)
    assert text.endswith("n = 4. For every n from 3 to 6 the same number of B's is predicted: 6.")
    text = explain.generalisation(runs_of(2, 4, 6, 7, 6, 6), steps, language)
    assert text.endswith("The first that is not exact is n = 4.")
    text = explain.generalisation(runs_of(2, 4, 6), steps[:3], language)
    assert text.endswith("All are exact.")


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
