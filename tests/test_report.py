"""Sentences, each with results that meet its condition and with some that just miss it; tables."""

import numpy as np
import pytest
import torch

from recurrent import report
from recurrent.task import make_language
from seq_models import LSTM, SRN

ANBN, AN_B2N, THREE = map(make_language, ("anbn", "anb2n", "anb2nc3n"))
REBER, EMBEDDED = make_language("reber"), make_language("reber", embed=True)
RIGHT = {"words": 1024, "wrong": 0}


# Words


def test_words_are_right_or_the_shortest_wrong_one_is_named():
    assert report.words_sentence({"fresh_words": RIGHT}, AN_B2N) == (
        "Every symbol that is certain is predicted right in 1,024 fresh words (n = 1 to 4, in "
        "random order)."
    )
    assert report.words_sentence({"fresh_words": RIGHT}, REBER).endswith("in 1,024 fresh words.")
    wrong = {"words": 1024, "wrong": 1, "shortest": "AABBBB", "read": "AAB"}
    wrong |= {"predicted": "A", "expected": "B"}
    assert report.words_sentence({"fresh_words": wrong}, AN_B2N) == (
        "It has not learned the language: wrong on 1 of 1,024 words; the shortest is AABBBB: after "
        "AAB it predicts A, not B."
    )


@pytest.mark.parametrize(
    ("correct", "text"),
    [
        (1024, "yes, in all 1,024 fresh words."),
        (1023, "It remembers the second symbol for 1,023 of 1,024 fresh words."),
        # Three standard deviations of 1,024 guesses are 48.
        (560, "It remembers the second symbol for 560 of 1,024 fresh words."),
        (559, "right in 559 of 1,024 fresh words, where guessing gives about 512."),
        (465, "no, the repeated symbol is right in 465"),
        (464, "for 464 of 1,024"),
    ],
)
def test_the_second_symbol_is_remembered_or_guessed(correct, text):
    facts = {"remembered": {"correct": correct, "total": 1024}}
    assert text in report.remembered_sentence(facts, EMBEDDED)
    assert report.remembered_sentence(facts, REBER) is None


def test_the_machine_is_the_language_s_or_another():
    facts = {"states": 12, "minimal_states": 12, "agreement": 1000, "agreement_of": 1024}
    assert report.machine_sentence(facts | {"isomorphic": True}, AN_B2N) == (
        "On the words its state vectors form 12 states: the language's minimal machine (it "
        "predicts as the network on 1,000 of 1,024 words)."
    )
    assert report.machine_sentence(facts | {"isomorphic": False, "states": 1}, AN_B2N) == (
        "On the words its state vectors form 1 state, where the language's minimal machine has 12: "
        "the two machines differ (the network's own predicts as the network on 1,000 of 1,024 "
        "words)."
    )
    assert report.machine_sentence({}, AN_B2N) is None


# Generalisation

FAILURE = {"n": 6, "before": 1, "run": "B", "ends": 11, "correct": 12}


@pytest.mark.parametrize(
    ("max_exact_n", "failure", "text"),
    [
        ((5, 5), None, "it is right up to n = 5 after other words."),
        ((7, 5), None, "up to n = 5 after other words, up to n = 7 for a single word."),
        (
            (99, 20),
            None,
            "up to at least n = 20 after other words, up to n = 99 for a single word.",
        ),
        ((100, 19), None, "n = 19 after other words, up to at least n = 100 for a single word."),
        (
            (5, 5),
            FAILURE,
            "n = 5 after other words; in the word n = 6 after the word n = 1 it ends the B's 1 too "
            "early, after 11 instead of 12.",
        ),
        ((5, 5), FAILURE | {"ends": 14}, "ends the B's 2 too late, after 14 instead of 12."),
        ((5, 5), FAILURE | {"ends": 0}, "after the word n = 1 it does not end the B's."),
    ],
)
def test_generalisation_and_the_first_failure(max_exact_n, failure, text):
    facts = {"max_exact_n": max_exact_n, "failure": failure, "fresh_words": RIGHT}
    sentence = report.generalisation_sentence(facts, AN_B2N)
    assert sentence.startswith("Trained on n <= 4, it is right up to ")
    assert sentence.endswith(text)
    # Not of a network that has not learned its own words.
    assert report.generalisation_sentence(facts | {"fresh_words": {"wrong": 1}}, AN_B2N) is None
    assert report.generalisation_sentence({"max_exact_n": None}, REBER) is None


# Counting


def counter(run: str, unit: int, read: float, read_r2: float, left=None, left_r2=None) -> dict:
    keys = ("run", "unit", "read", "read_r2", "left", "left_r2")
    return dict(zip(keys, (run, unit, read, read_r2, left, left_r2), strict=True))


UP = counter("A", 0, 1.0, 0.95)


def test_the_best_counter_of_each_kind_is_named():
    rows = [
        UP, counter("A", 1, -0.5, 0.97), counter("A", 2, 2, 0.949),
        counter("B", 0, -0.2, 0.3, -0.5, 1.0), counter("B", 1, 0.1, 0.949, 0.1, 0.949),
    ]  # fmt: skip
    facts = {"counters": rows, "unit_name": "context unit"}
    assert report.counter_sentence(facts, AN_B2N) == (
        "Context unit 1 counts the A's read (-0.50 at each, a straight line of R² 0.970); context "
        "unit 0 counts the B's left (-0.50 at each, a straight line of R² 1.000)."
    )
    assert report.counter_sentence(facts | {"counters": [rows[2], rows[4]]}, AN_B2N) is None
    assert report.counter_sentence({}, AN_B2N) is None


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (UP, counter("B", 0, -0.2, 0.3, -0.5, 0.95), True),
        # A quarter less than undoes the first.
        (UP, counter("B", 0, -0.2, 0.3, -0.375, 1.0), True),
        (UP, counter("B", 0, -0.2, 0.3, -0.37, 1.0), False),
        # In the same direction; by another unit; on no straight line.
        (UP, counter("B", 0, -0.2, 0.3, 0.5, 1.0), False),
        (UP, counter("B", 1, -0.2, 0.3, -0.5, 1.0), False),
        (UP, counter("B", 0, -0.2, 0.3, -0.5, 0.94), False),
        (counter("A", 0, 1.0, 0.94), counter("B", 0, -0.2, 0.3, -0.5, 1.0), False),
        # A counts the B's read only.
        (UP, counter("B", 0, -0.5, 1.0, -0.5, 0.3), False),
    ],
)
def test_a_count_is_handed_on_by_steps_that_undo_each_other(before, after, found):
    facts = {"counters": [before, after], "unit_name": "context unit"}
    assert bool(report.handed_on_sentence(facts, AN_B2N)) == found


def test_each_run_hands_its_count_on():
    facts = {
        "counters": [UP, counter("B", 0, 0, 0, -0.5, 1.0), counter("B", 1, 0.6, 1.0, 0, 0),
                     counter("C", 1, 0, 0, -0.4, 1.0)],
        "unit_name": "context unit",
    }  # fmt: skip
    assert report.handed_on_sentence(facts, THREE) == (
        "A count is handed on: n A's move context unit 0 by +1.00 n, 2n B's bring it back by 2 x "
        "-0.50 n = -1.00 n; 2n B's move context unit 1 by 2 x +0.60 n = +1.20 n, 3n C's bring it "
        "back by 3 x -0.40 n = -1.20 n."
    )


def test_the_countdown():
    row = {"run": "B", "up_to": 3, "spread": 0.11, "change": 1.46}
    assert report.countdown_sentence({"countdown": [row]}, AN_B2N) == (
        "With 3 or fewer B's left the margins of all words lie within 0.1 of each other, and one "
        "more B changes them by at least 1.5: near the end only the number left matters, whatever "
        "n was."
    )
    two = report.countdown_sentence({"countdown": [row, row | {"run": "C", "up_to": 1}]}, THREE)
    assert "; with 1 or 0 C's left the margins" in two
    for up_to in (0, None):
        assert report.countdown_sentence({"countdown": [row | {"up_to": up_to}]}, AN_B2N) is None


# Maps

POINT = {
    "symbol": "A", "kind": "attractor", "point": np.array([0.5, -0.25]), "distance": 0.3,
    "eigenvalues": np.array([0.5 + 0.2j, 0.5 - 0.2j]), "after_10": 0.05,
}  # fmt: skip


@pytest.mark.parametrize("change", [{"kind": "saddle"}, {"after_10": 0.051}])
def test_repeated_symbols_lead_to_the_attractors_that_they_reach(change):
    other = POINT | {"symbol": "B", "eigenvalues": np.array([0.1, 0.0])}
    facts = {"unit_name": "hidden unit", "fixed_points": [POINT | change, POINT, POINT, other]}
    assert report.leads_sentence(facts, AN_B2N) == (
        "Repeated symbols lead to attractors: A's to (0.50, -0.25) (eigenvalues 0.50+0.20i, "
        "0.50-0.20i; 0.30 from the words), B's to (0.50, -0.25) (eigenvalues 0.10, 0.00; 0.30 from "
        "the words)."
    )
    missed = {"unit_name": "hidden unit", "fixed_points": [POINT | change]}
    assert report.leads_sentence(missed, AN_B2N) is None
    assert report.leads_sentence(facts | {"unit_name": "context unit"}, AN_B2N) is None


SLOW = {
    "symbol": "B", "point": np.array([0.1, 0.2]), "speed": 0.1, "distance": 0.1, "growing": True,
    "eigenvalues": np.array([1.049, 0.1]), "left": [0, 2, 3, 3], "apart": [0.4, 0.1, 0.02, 0.01],
}  # fmt: skip


def test_a_slow_point_near_the_words_is_a_bottleneck():
    facts = {"slow_point": SLOW, "fixed_points": [POINT]}
    assert report.slow_sentence(facts, AN_B2N) == (
        "B's pass a bottleneck at (0.10, 0.20), a slow point and not a fixed one (speed 0.10, "
        "eigenvalue 1.05), with 2 to 3 B's left (n = 2, 3, 4), and leave it in growing steps."
    )
    one = facts | {"slow_point": SLOW | {"left": [3] * 4, "growing": False}}
    assert report.slow_sentence(one, AN_B2N).endswith(", with 3 B's left (n = 2, 3, 4).")


@pytest.mark.parametrize(
    "change",
    [
        {"speed": 0.101},
        {"distance": 0.101},
        {"eigenvalues": np.array([1.051, 0.1])},
        {"eigenvalues": np.array([0.98 + 0.06j, 0.98 - 0.06j])},
        {"apart": [0.11] * 4},
    ],
)
def test_a_point_that_is_fast_or_far_from_the_words_is_no_bottleneck(change):
    facts = {"slow_point": SLOW | change, "fixed_points": []}
    assert report.slow_sentence(facts, AN_B2N) is None


def test_a_fixed_point_beside_it_excludes_a_slow_one():
    near = POINT | {"symbol": "B", "point": SLOW["point"] + [0.09, 0]}
    for point, found in ((near, False), (near | {"symbol": "A"}, True), (POINT, True)):
        facts = {"slow_point": SLOW, "fixed_points": [point]}
        assert bool(report.slow_sentence(facts, AN_B2N)) == found
    assert report.slow_sentence({"slow_point": None, "fixed_points": []}, AN_B2N) is None


def test_the_likeliest_mistake():
    facts = {"likeliest_mistake": {
        "impossible": {"probability": 0.0123, "symbol": "T", "state": "6"},
        "possible": {"probability": 0.4567, "symbol": "S", "state": "2"},
    }}  # fmt: skip
    assert report.mistake_sentence(facts, REBER) == (
        "The highest probability of a symbol that cannot follow is 0.012 (T at 6), the lowest of "
        "one that can 0.457 (S at 2)."
    )
    assert report.mistake_sentence({}, REBER) is None


# Answers


def test_the_answer_of_training():
    results = {
        "max_loss": 0.0312, "loss_threshold": 0.05, "reference_loss": 0.0294, "succeeded": True,
        "reports": [{"seen": 100_000}], "seconds": 2.34, "fresh_words": RIGHT,
        "max_exact_n": (5, 5), "remembered": None,
    }  # fmt: skip
    assert report.training_sentences(results, AN_B2N) == [
        "Training succeeded: the highest loss of the last reports is 0.0312 (required: below "
        "0.05), after 100,000 sequences in 2.3 s.",
        "Predicting the true frequencies has a loss of 0.0294: after an A the loss compares with "
        "0.8 and 0.2 instead.",
        report.words_sentence(results, AN_B2N),
        "Trained on n <= 4, it is right up to n = 5 after other words.",
    ]
    results |= {"succeeded": False, "reference_loss": 0.0, "max_exact_n": None}
    results |= {"remembered": {"correct": 512, "total": 1024}}
    found = report.training_sentences(results, EMBEDDED)
    assert found[0].startswith("Training did not succeed: ")
    assert found[1].startswith("It remembers the second symbol of a word: no")
    assert len(found) == 3


# Text


@pytest.mark.parametrize(
    ("value", "text"), [(0.256, "0.26"), (0.19 - 1.161j, "0.19-1.16i"), (-1 + 0.004j, "-1.00")]
)
def test_eigenvalues(value, text):
    assert report.format_eigenvalue(complex(value)) == text


def test_long_vectors_and_many_fixed_points_are_cut():
    assert report.format_vector([1, -0.5]) == "(1.00, -0.50)"
    assert report.format_vector(range(9)).endswith("7.00, ...)")
    lines = report.fixed_point_table([POINT] * 6 + [POINT | {"symbol": "B"}]).splitlines()
    assert lines[0].split() == [*POINT]
    assert [line[0] for line in lines[1:]] == [*"AAAAB"]
    assert "0.50+0.20i 0.50-0.20i" in lines[1]
    assert report.fixed_point_table([]) == ""


@pytest.mark.parametrize("net", [SRN(2, 2, init=1.0), LSTM(2, 2)])
@torch.no_grad()
def test_activations_are_printed_as_in_the_course(net, capsys):
    """A line for each symbol read: its letter, hidden units, context units, probabilities."""
    context = isinstance(net, LSTM)
    with report.course_numbers():
        values = report.print_sequence(net, ANBN, "AB", context=True)
        lines = capsys.readouterr().out.splitlines()
        units = "hidden and context" if context else "hidden"
        expected = [f"{units} activations and output probabilities [AB]:"]
        state = net.initial_state(1)
        for letter in "AB":
            state = net.step(torch.tensor(["AB".index(letter)]), state)
            cells = [state[0, :2], *([state[0, 2:]] * context), net.read_out(state)[0].softmax(0)]
            expected.append(" ".join([letter, *(str(cell.numpy()) for cell in cells)]))
    # The first A of a next word is predicted.
    assert lines == ["-----", "symbol= ABA", *expected]
    assert values["symbols"] == "ABA"
    assert (values["context"] is None) == (not context)
