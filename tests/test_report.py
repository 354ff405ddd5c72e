"""Sentences, each with results that meet its condition and with some that just miss it; tables."""

import numpy as np
import pytest
import torch

from recurrent import report
from recurrent.task import make_language
from seq_models import LSTM, SRN

AN_B2N, THREE = map(make_language, ("anb2n", "anb2nc3n"))
REBER, EMBEDDED = make_language("reber"), make_language("reber", embed=True)


def check(kind, facts: dict, language, text: str | None) -> None:
    """Check that a sentence contains the parts of a text, between "...", in order; None: none."""
    found = kind(facts, language)
    if text is None:
        assert found is None
        return
    for part in text.split(" ... "):
        assert part in found
        found = found[found.index(part) + len(part) :]


# Words

RIGHT = {"words": 1024, "wrong": 0}
WRONG = {"words": 1024, "wrong": 1, "shortest": "AABBBB", "read": "AAB"}
WRONG |= {"predicted": "A", "expected": "B"}
MACHINE = {"states": 12, "minimal_states": 12, "isomorphic": True}
MACHINE |= {"agreement": 1000, "agreement_of": 1024}


def memory(correct: int) -> dict:
    return {"remembered": {"correct": correct, "total": 1024}}


@pytest.mark.parametrize(
    ("kind", "facts", "language", "text"),
    [
        ("words", {"fresh_words": RIGHT}, AN_B2N, "right in 1,024 fresh words (n = 1 to 4, in"),
        ("words", {"fresh_words": RIGHT}, REBER, "in 1,024 fresh words."),
        (
            "words", {"fresh_words": WRONG}, AN_B2N,
            "not learned ... wrong on 1 of 1,024 words; the shortest is AABBBB: after AAB it "
            "predicts A, not B.",
        ),
        ("remembered", memory(1024), EMBEDDED, "yes, in all 1,024 fresh words."),
        ("remembered", memory(1024), REBER, None),
        # Three standard deviations of 1,024 guesses are 48.
        ("remembered", memory(560), EMBEDDED, "the second symbol for 560 of 1,024 fresh words."),
        ("remembered", memory(559), EMBEDDED, "no ... in 559 of 1,024 ... guessing gives about"),
        ("remembered", memory(465), EMBEDDED, "no ... 465"),
        ("remembered", memory(464), EMBEDDED, "for 464 of"),
        ("machine", MACHINE, AN_B2N, "12 states: the language's minimal machine ... on 1,000 of"),
        (
            "machine", MACHINE | {"states": 1, "isomorphic": False}, AN_B2N,
            "1 state, where the language's minimal machine has 12: the two machines differ ... on "
            "1,000 of 1,024 words",
        ),
        ("machine", {}, AN_B2N, None),
    ],
)  # fmt: skip
def test_words_and_machine(kind, facts, language, text):
    check(getattr(report, f"{kind}_sentence"), facts, language, text)


FAILURE = {"n": 6, "before": 1, "run": "B", "ends": 11, "correct": 12}


@pytest.mark.parametrize(
    ("max_exact_n", "failure", "text"),
    [
        ((5, 5), None, "Trained on n <= 4 ... right up to n = 5 after other words."),
        ((7, 5), None, "up to n = 5 after other words, up to n = 7 for a single word."),
        ((99, 20), None, "up to at least n = 20 after ... , up to n = 99 for a single word."),
        ((100, 19), None, "to n = 19 after other words, up to at least n = 100 for a single word."),
        (
            (5, 5), FAILURE,
            "n = 5 after other words; in the word n = 6 after the word n = 1 it ends the B's 1 too "
            "early, after 11 instead of 12.",
        ),
        ((5, 5), FAILURE | {"ends": 14}, "ends the B's 2 too late, after 14 instead of 12."),
        ((5, 5), FAILURE | {"ends": 0}, "after the word n = 1 it does not end the B's."),
        (None, None, None),
    ],
)  # fmt: skip
def test_generalisation(max_exact_n, failure, text):
    facts = {"max_exact_n": max_exact_n, "failure": failure, "fresh_words": RIGHT}
    check(report.generalisation_sentence, facts, AN_B2N, text)
    # Not of a network that has not learned its own words.
    check(report.generalisation_sentence, facts | {"fresh_words": WRONG}, AN_B2N, None)


# Counting


def counters(*rows) -> dict:
    keys = ("run", "unit", "read", "read_r2", "left", "left_r2")
    rows = [dict(zip(keys, row, strict=True)) for row in rows]
    return {"counters": rows, "unit_name": "context unit"}


UP, DOWN = ("A", 0, 1.0, 0.95, None, None), ("B", 0, -0.2, 0.3, -0.5, 0.95)
COUNTDOWN = {"run": "B", "up_to": 3, "spread": 0.11, "change": 1.46}


@pytest.mark.parametrize(
    ("kind", "facts", "language", "text"),
    [
        # The better one of two counters.
        (
            "counter", counters(UP, ("A", 1, -0.5, 0.97, None, None), DOWN), AN_B2N,
            "Context unit 1 counts the A's read (-0.50 at each, a straight line of R² 0.970); "
            "context unit 0 counts the B's left (-0.50 at each, a straight line of R² 0.950).",
        ),
        ("counter", counters(("A", 0, 1.0, 0.949, None, None)), AN_B2N, None),
        ("counter", {}, REBER, None),
        (
            "handed_on", counters(UP, DOWN), AN_B2N,
            "n A's move context unit 0 by +1.00 n, 2n B's bring it back by 2 x -0.50 n = -1.00 n.",
        ),
        (
            "handed_on",
            counters(UP, DOWN, ("B", 1, 0.6, 1.0, 0, 0), ("C", 1, 0, 0, -0.4, 1.0)), THREE,
            "-1.00 n; 2n B's move context unit 1 by 2 x +0.60 n = +1.20 n, 3n C's bring it back by "
            "3 x -0.40 n = -1.20 n.",
        ),
        # A quarter less than undoes the first, and a little more.
        ("handed_on", counters(UP, ("B", 0, 0, 0, -0.375, 1.0)), AN_B2N, "-0.75 n."),
        ("handed_on", counters(UP, ("B", 0, 0, 0, -0.37, 1.0)), AN_B2N, None),
        # In the same direction; by another unit; on no straight line; the B's read.
        ("handed_on", counters(UP, ("B", 0, 0, 0, 0.5, 1.0)), AN_B2N, None),
        ("handed_on", counters(UP, ("B", 1, 0, 0, -0.5, 1.0)), AN_B2N, None),
        ("handed_on", counters(UP, ("B", 0, 0, 0, -0.5, 0.94)), AN_B2N, None),
        ("handed_on", counters(UP, ("B", 0, -0.5, 1.0, -0.5, 0.3)), AN_B2N, None),
        (
            "countdown", {"countdown": [COUNTDOWN, COUNTDOWN | {"run": "C", "up_to": 1}]}, THREE,
            "With 3 or fewer B's left ... within 0.1 ... by at least 1.5 ... with 1 or 0 C's left",
        ),
        ("countdown", {"countdown": [COUNTDOWN | {"up_to": 0}]}, AN_B2N, None),
        ("countdown", {"countdown": [COUNTDOWN | {"up_to": None}]}, AN_B2N, None),
    ],
)  # fmt: skip
def test_counting(kind, facts, language, text):
    check(getattr(report, f"{kind}_sentence"), facts, language, text)


# Maps

POINT = {
    "symbol": "A", "kind": "attractor", "point": np.array([0.5, -0.25]), "distance": 0.3,
    "eigenvalues": np.array([0.5 + 0.2j, 0.5 - 0.2j]), "after_10": 0.05,
}  # fmt: skip
SLOW = {
    "symbol": "B", "point": np.array([0.1, 0.2]), "speed": 0.1, "distance": 0.1, "growing": True,
    "eigenvalues": np.array([1.049, 0.1]), "left": [0, 2, 3, 3], "apart": [0.4, 0.1, 0.02, 0.01],
}  # fmt: skip


def leads(*points, unit: str = "hidden unit") -> dict:
    return {"unit_name": unit, "fixed_points": points}


def slow(point=POINT, **change) -> dict:
    return {"slow_point": SLOW | change, "fixed_points": [point]}


NEAR = POINT | {"symbol": "B", "point": np.array([0.19, 0.2])}


@pytest.mark.parametrize(
    ("kind", "facts", "text"),
    [
        (
            "leads", leads(POINT | {"kind": "saddle"}, POINT, POINT, POINT | {"symbol": "B"}),
            "A's to (0.50, -0.25) (eigenvalues 0.50+0.20i, 0.50-0.20i; 0.30 from the words), B's",
        ),
        ("boundary", {"boundary": "h0 > 1"}, "predicts B where h0 > 1, else A"),
        ("boundary", {"boundary": None}, None),
        ("leads", leads(POINT | {"kind": "saddle"}), None),
        ("leads", leads(POINT | {"after_10": 0.051}), None),
        ("leads", leads(POINT, unit="context unit"), None),
        (
            "slow", slow(),
            "B's pass a bottleneck at (0.10, 0.20) ... (speed 0.10, eigenvalue 1.05), with 2 to 3 "
            "B's left (n = 2, 3, 4), and leave it in growing steps.",
        ),
        ("slow", slow(left=[3] * 4, growing=False), "with 3 B's left (n = 2, 3, 4)."),
        # A word that ends there has not passed it.
        ("slow", slow(left=[0, 0, 0, 1]), "with 1 B's left (n = 4)"),
        ("slow", slow(left=[0] * 4), None),
        ("slow", slow(speed=0.101), None),
        ("slow", slow(distance=0.101), None),
        ("slow", slow(eigenvalues=np.array([1.051, 0.1])), None),
        ("slow", slow(eigenvalues=np.array([0.98 + 0.06j, 0.98 - 0.06j])), None),
        ("slow", slow(apart=[0.11] * 4), None),
        # A fixed point of the same symbol beside it.
        ("slow", slow(NEAR), None),
        ("slow", slow(NEAR | {"symbol": "A"}), "bottleneck"),
        ("slow", {"slow_point": None, "fixed_points": []}, None),
    ],
)  # fmt: skip
def test_maps(kind, facts, text):
    check(getattr(report, f"{kind}_sentence"), facts, AN_B2N, text)


# Answers


def test_the_likeliest_mistake():
    worst, least = ({"probability": p, "symbol": s, "state": q} for p, s, q in
                    ((0.0123, "T", "6"), (0.4567, "S", "2")))  # fmt: skip
    facts = {"likeliest_mistake": {"impossible": worst, "possible": least}}
    text = "cannot follow is 0.012 (T at 6), the lowest of one that can 0.457 (S at 2)."
    check(report.mistake_sentence, facts, REBER, text)
    check(report.mistake_sentence, {}, REBER, None)


def test_the_answer_of_training():
    results = {
        "max_loss": 0.0312, "loss_threshold": 0.05, "reference_loss": 0.0294, "succeeded": True,
        "reports": [{"seen": 100_000}], "seconds": 2.34, "fresh_words": RIGHT,
        "max_exact_n": (5, 5), "remembered": None,
    }  # fmt: skip
    found = report.training_sentences(results, AN_B2N)
    assert found[:2] == [
        "Training succeeded: the highest loss of the last reports is 0.0312 (required: below "
        "0.05), after 100,000 sequences in 2.3 s.",
        "Predicting the true frequencies has a loss of 0.0294: after an A the loss compares with "
        "0.8 and 0.2 instead.",
    ]
    assert [text[:10] for text in found[2:]] == ["Every symb", "Trained on"]
    results |= {"succeeded": False, "reference_loss": 0.0, "max_exact_n": None} | memory(512)
    found = report.training_sentences(results, EMBEDDED)
    assert found[0].startswith("Training did not succeed: ")
    assert [text[:10] for text in found[1:]] == ["It remembe", "Every symb"]


# Text


def test_long_vectors_and_many_fixed_points_are_cut():
    assert report.format_eigenvalue(-1 + 0.004j) == "-1.00"
    assert report.format_eigenvalue(0.19 - 1.161j) == "0.19-1.16i"
    assert report.format_vector(range(9)).endswith("5.00, ...)")
    lines = report.fixed_point_table([POINT] * 6 + [POINT | {"symbol": "B"}]).splitlines()
    assert lines[0].split() == [*POINT]
    assert [line[0] for line in lines[1:]] == [*"AAAAB"]
    assert report.fixed_point_table([]) == ""


@pytest.mark.parametrize("net", [SRN(2, 2, init=1.0), LSTM(2, 2)])
@torch.no_grad()
def test_activations_are_printed_as_in_the_course(net, capsys):
    """A line for each symbol read: its letter, hidden units, context units, probabilities."""
    context = isinstance(net, LSTM)
    with report.course_numbers():
        report.print_sequence(net, make_language("anbn"), "AB", context=True)
        units = "hidden and context" if context else "hidden"
        expected = [f"{units} activations and output probabilities [AB]:"]
        state = net.initial_state(1)
        for letter in "AB":
            state = net.step(torch.tensor(["AB".index(letter)]), state)
            cells = [state[0, :2], *([state[0, 2:]] * context), net.read_out(state)[0].softmax(0)]
            expected.append(" ".join([letter, *(str(cell.numpy()) for cell in cells)]))
    # The first A of a next word is predicted.
    assert capsys.readouterr().out.splitlines() == ["-----", "symbol= ABA", *expected]
