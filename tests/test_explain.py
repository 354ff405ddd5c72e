"""Printed text on dynamics and machines: it depends on the measured values only."""

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


def test_comparison_of_isomorphic_and_other_machines():
    language = make_language("anbn", 2)
    reference, nodes = machine.minimize(machine.from_language(language))
    labels = [language.labels[int(np.flatnonzero(nodes == k)[0])] for k in range(reference.count)]
    same = np.eye(reference.count, dtype=bool)
    text = explain_machine.comparison(reference, reference, same, labels, labels, "anbn")
    assert text == "minimal machine of anbn: 4 states; isomorphic to the extracted one"
    # The other machine merges all states but the start.
    overlap = np.zeros((2, reference.count), dtype=bool)
    overlap[0, 0] = overlap[1, 1:] = True
    small = machine.Machine("AB", np.array([[1, -1], [1, 1]]))
    text = explain_machine.comparison(small, reference, overlap, ["start", "all"], labels, "anbn")
    assert "not isomorphic" in text
    assert f"merged in the extracted machine: {', '.join(labels[1:])} -> all" in text
    text = explain_machine.comparison(reference, reference, same, labels, labels, "anbn")
    doubled = np.vstack([same, same[1]])
    text = explain_machine.comparison(small, reference, doubled, [*labels, "A1'"], labels, "anbn")
    assert "split in the extracted machine: A1 -> A1, A1'" in text
    text = explain_machine.comparison(
        small, reference, same & (np.arange(reference.count) < 3), labels, labels, "anbn"
    )
    assert f"missing from the extracted machine: {labels[3]}" in text


def test_fixed_point_table_has_a_row_for_each_and_notes_what_is_missing():
    language = make_language("anb2n")
    points = {0: [point(0.5, -0.25, at=(0.1, -0.9), distance=1.5)], 1: []}
    lines = explain.fixed_point_table(points, language, 2).splitlines()
    assert lines[5].split() == [
        "A", "attractor", "(0.10,", "-0.90)", "0.50", "-0.25", "1.50", "0.00", "0.00", "0.00",
    ]  # fmt: skip
    assert "context" not in lines[4]
    # No row for B, but notes that none was found.
    assert lines[6] == "B: not all fixed points were found (their indices do not sum to 1)"
    assert lines[7].startswith("B: no attractor was found, neither a fixed point nor a cycle")
    assert len(lines) == 8
    points = {0: [point(1 + 1j, 1 - 1j, 0.5, 0.1, at=(0, 0, 3, -3))], 1: []}
    text = explain.fixed_point_table(points, language, 2)
    assert "(3.00, -3.00)" in text
    assert "1.00+1.00i 1.00-1.00i" in text
    assert "saddle" in text
    assert "A: not all" not in text


def test_cycles_have_a_period_and_long_lists_are_cut():
    language = make_language("anb2n")
    cycle = FixedPoint(np.array([[0.1, 0], [0.2, 0]]), np.array([0.5, 0.1]))
    text = explain.fixed_point_table({0: [cycle] * 9, 1: [point(2, 0.1)]}, language, 2)
    assert text.count("attractor, period 2") == explain.MAX_POINTS_LISTED
    assert "A: 3 more at larger distances" in text
    assert "one of its states" in text
    assert "A: not all fixed points were found" in text
    assert "A: no attractor" not in text
    assert "B: no attractor" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.256, "0.26"), (0.9986, "0.99860"), (-1.001, "-1.00100"), (0.19 - 1.161j, "0.19-1.16i")],
)
def test_an_eigenvalue_of_modulus_near_1_has_five_digits(value, text):
    assert explain.format_eigenvalue(complex(value)) == text


def test_the_check_of_rodriguez_needs_fixed_points_near_the_words():
    language = make_language("anb2n")
    up, down = point(0.5, 0.1, distance=0.3), point(np.sqrt(2), 0.2, distance=0.2)
    # Distances 8, 4, 3 from the attractor and 1, 2, 8 from the saddle, after each symbol.
    runs = [
        np.array([[9.0, 0], [8, 0], [4, 0], [3, 0]]),
        np.array([[3.0, 0], [1, 0], [2, 0], [8, 0]]),
    ]
    text = explain.rodriguez_check({0: [up], 1: [down]}, language, 0.3, runs)
    assert "= 2.00; needed: 2; matched" in text
    rows = [line.split() for line in text.splitlines()[4:6]]
    assert rows[0] == ["attractor", "of", "A", "0.30", "0.500", "0.50", "0.75"]
    assert rows[1] == ["saddle", "of", "B", "0.20", "1.414", "2.00", "4.00"]
    text = explain.rodriguez_check({0: [up], 1: [point(2, 0.2, distance=0.2)]}, language, 0.3, runs)
    assert "= 1.00; needed: 2; not matched" in text
    text = explain.rodriguez_check({0: [up], 1: [down]}, language, 0.29, runs)
    assert text.endswith("Distance of the nearest attractor of A: 0.30; saddle of B: 0.20.")
    assert "matched" not in text
    text = explain.rodriguez_check({0: [down], 1: [up]}, language, 0.3, runs)
    assert text.endswith("attractor of A: none found; saddle of B: none found.")


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([1.0, 0.5, 0.2], "shrinking"),
        ([1.0, 0.5, 0.5], ""),
        ([0.2, 0.3, 0.9], "growing"),
        ([0.14, 0.08, 0.09, 1.13], "shrinking, then growing"),
        ([0.14, 0.08, 0.08, 1.13], ""),
        # Not growing throughout.
        ([0.2, 0.9, 0.3], ""),
        ([1.0, 1.1, 1.0], "equal"),
        ([1.0, 1.11, 1.0], ""),
        ([1.60, 1.25, 1.98, 1.52], ""),
        ([1.0], ""),
    ],
)
def test_a_trend_is_reported_only_if_all_steps_follow_it(steps, word):
    assert explain.trend(np.array(steps)) == word


def test_run_table():
    language = make_language("anbn")
    forward = np.array([[0.0, 0], [3, 0], [4, 0], [4.5, 0]])
    oscillating = np.array([[4.5, 0], [0, 0], [1, 0], [0.5, 0], [0.75, 0]])
    points = {0: [point(2, 0.5, at=(4, 3)), point(2, 0.5, at=(9, 9))], 1: []}
    lines = explain.run_table([forward, oscillating], points, language).splitlines()
    # The shortest later step starts at (4, 0), 3 from the first fixed point.
    assert lines[1].split() == ["A's", "3.00", "1.00", "0.50", "shrinking", "0%", "3.00"]
    assert lines[2].split()[:6] == ["B's", "4.50", "1.00", "0.50", "0.25", "shrinking"]
    assert lines[2].endswith("100%       none found")


def test_counting_text_has_all_tables():
    language = make_language("anb2n")
    net = automaton_net(language)
    text = explain.counting_text(net, language, {0: [], 1: []})
    steps, countdown, check = text.split("\n\n")
    assert steps.startswith("Step lengths of the state vector in the word n = 4")
    assert "the word n alone has read 2 more B's" in countdown
    assert [line.split()[0] for line in countdown.splitlines()[3:]] == ["2", "3", "4"]
    assert "attractor of A: none found" in check


def test_countdown_table():
    lines = explain.countdown_table([(2, 0.235, 0.333), (3, 0.2, 0.02)]).splitlines()
    assert lines[1].split() == ["2", "0.235", "0.333", "1.42"]
    assert lines[2].split() == ["3", "0.200", "0.020", "0.10"]


def runs_of(*lengths: int) -> PredictedRuns:
    n, found = np.arange(1, len(lengths) + 1), np.array(lengths)
    return PredictedRuns(n, found[None], found == 2 * n)


def test_generalisation_table_and_its_summary():
    language, steps = make_language("anb2n"), np.full(6, 0.5)
    text = explain.generalisation_table(runs_of(2, 4, 6, 6, 6, 0), steps, language)
    lines = text.splitlines()
    assert lines[6].split() == ["3", "0.500", "yes", "6", "(6)"]
    assert lines[9].split() == ["6", "0.500", "no", "over", "200", "(12)"]
    assert lines[10] == "First n that is not exact: 4."
    text = explain.generalisation_table(runs_of(2, 4, 6, 6, 6, 6), steps, language)
    assert text.endswith("4. From n = 3 to 6 the predicted number of B's is constant: 6.")
    text = explain.generalisation_table(runs_of(2, 4, 6, 7, 6, 6), steps, language)
    assert text.endswith("First n that is not exact: 4.")
    text = explain.generalisation_table(runs_of(2, 4, 6), steps[:3], language)
    assert text.endswith("All of these words are exact.")


def test_clustering_summary():
    language = make_language("anbn", 2)
    net = automaton_net(language)
    trajectory = extraction.trajectory(net, language, language.batch(50, np.random.default_rng(0)))
    found = extraction.cluster_states(trajectory, language)
    small, _ = machine.minimize(found.machine)
    text = explain_machine.clustering_summary(found, small, trajectory)
    assert text == (
        f"{len(trajectory.state)} state vectors (hidden units) -> {found.count} clusters "
        "(transitions and predictions consistent) -> 4 states after minimisation"
    )
    text = explain_machine.clustering_summary(replace(found, inconsistent=3), small, trajectory)
    assert "clusters (3 inconsistent state vectors) ->" in text


def test_difference_table_lists_symbols_that_one_of_the_two_allows():
    language = make_language("anb2n")
    found = [Difference(1, 0, True, 3, 9, 0.2, 0.65), Difference(0, 1, False, 1, 4, 0.01, 0.1)]
    text = explain_machine.difference_table(found, ["A1", "A4"], language, 12)
    head, _, first, second = text.splitlines()
    assert head == "symbols allowed on 12 sequences of anb2n: network and language differ"
    assert first.split() == ["A4", "A", "network", "only", "0.200", "..", "0.650", "3", "/", "9"]
    assert second.split() == ["A1", "B", "language", "only", "0.010", "..", "0.100", "1", "/", "4"]
    assert "the same" in explain_machine.difference_table([], [], language, 12)
    many = explain_machine.difference_table(found * 15, ["A1", "A4"], language, 12)
    assert many.endswith("... 10 more")
