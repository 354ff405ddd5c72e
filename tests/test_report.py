"""Sentences, each with results that meet its condition and with some that just miss it; tables.

test_seq_plot.py's golden texts have the sentences on words, machines and mistakes."""

import re

import numpy as np
import pytest

from recurrent import report
from recurrent.task import make_language

AN_B2N, THREE = map(make_language, ("anb2n", "anb2nc3n"))
REBER, EMBEDDED = make_language("reber"), make_language("reber", embed=True)

RIGHT = {"words": 1024, "wrong": 0}
FAILURE = {"n": 6, "before": 1, "run": "B", "ends": 11, "correct": 12}
COUNTDOWN = {"run": "B", "up_to": 3, "spread": 0.11, "change": 1.46}
POINT = {
    "symbol": "A", "kind": "attractor", "point": np.array([0.5, -0.25]), "distance": 0.3,
    "eigenvalues": np.array([0.5 + 0.2j, 0.5 - 0.2j]), "after_10": 0.05,
}  # fmt: skip
NEAR = POINT | {"symbol": "B", "point": np.array([0.19, 0.2])}
SLOW = {
    "symbol": "B", "point": np.array([0.1, 0.2]), "speed": 0.1, "distance": 0.1, "growing": True,
    "eigenvalues": np.array([1.049, 0.1]), "left": [0, 2, 3, 3], "apart": [0.4, 0.1, 0.02, 0.01],
}  # fmt: skip
# Rows of the counters' table: run, unit, read, read_r2, left, left_r2.
UP, DOWN = ("A", 0, 1.0, 0.95, None, None), ("B", 0, -0.2, 0.3, -0.5, 0.95)


def memory(correct: int) -> dict:
    return {"remembered": {"correct": correct, "total": 1024}}


def exact(*max_n: int, **failure) -> dict:
    failure = FAILURE | failure if failure else None
    return {"max_exact_n": max_n, "failure": failure, "fresh_words": RIGHT}


def counters(*rows) -> dict:
    keys = ("run", "unit", "read", "read_r2", "left", "left_r2")
    rows = [dict(zip(keys, row, strict=True)) for row in rows]
    return {"counters": rows, "unit_name": "context unit"}


def leads(*points) -> dict:
    return {"unit_name": "hidden unit", "fixed_points": points}


def slow(point=POINT, **change) -> dict:
    return {"slow_point": SLOW | change, "fixed_points": [point]}


# Sentence, facts, language, parts of the text between "..." or None.
CASES = [
    ("remembered", memory(1024), EMBEDDED, "yes, in all 1,024 fresh words."),
    ("remembered", memory(1024), REBER, None),
    # Three standard deviations of 1,024 guesses are 48.
    ("remembered", memory(560), EMBEDDED, "the second symbol for 560 of 1,024 fresh words."),
    ("remembered", memory(559), EMBEDDED, "no ... in 559 of 1,024 ... guessing gives about"),
    ("generalisation", exact(99, 20), AN_B2N, "at least n = 20 after ... , up to n = 99 for a si"),
    ("generalisation", exact(100, 19), AN_B2N, "to n = 19 after other words, up to at least n = 1"),
    ("generalisation", exact(5, 5, ends=11), AN_B2N, "n = 5 after other words; in the word n = 6 "
     "after the word n = 1 it ends the B's 1 too early, after 11 instead of 12."),
    ("generalisation", exact(5, 5, ends=14), AN_B2N, "2 too late, after 14 instead of 12."),
    ("generalisation", exact(), AN_B2N, None),
    # The better one of two counters.
    ("counter", counters(UP, ("A", 1, -0.5, 0.97, None, None), DOWN), AN_B2N,
     "Context unit 1 counts the A's read (-0.50 at each, a straight line of R² 0.970); "
     "context unit 0 counts the B's left (-0.50 at each, a straight line of R² 0.950)."),
    ("counter", counters(("A", 0, 1.0, 0.949, None, None)), AN_B2N, None),
    ("handed_on", counters(UP, DOWN, ("B", 1, 0.6, 1, 0, 0), ("C", 1, 0, 0, -0.4, 1)), THREE,
     "n A's move context unit 0 by +1.00 n, 2n B's bring it back by 2 x -0.50 n = -1.00 n; 2n B's "
     "move context unit 1 by 2 x +0.60 n = +1.20 n, 3n C's bring it back by 3 x -0.40 n = -1.20"),
    # A quarter less than undoes the first, and a little more.
    ("handed_on", counters(UP, ("B", 0, 0, 0, -0.375, 1.0)), AN_B2N, "-0.75 n."),
    ("handed_on", counters(UP, ("B", 0, 0, 0, -0.37, 1.0)), AN_B2N, None),
    # By another unit; on no straight line.
    ("handed_on", counters(UP, ("B", 1, 0, 0, -0.5, 1.0)), AN_B2N, None),
    ("handed_on", counters(UP, ("B", 0, -0.5, 1.0, -0.5, 0.94)), AN_B2N, None),
    ("countdown", {"countdown": [COUNTDOWN, COUNTDOWN | {"run": "C", "up_to": 1}]}, THREE,
     "With 3 or fewer B's left ... within 0.1 ... by at least 1.5 ... with 1 or 0 C's left"),
    ("countdown", {"countdown": [COUNTDOWN | {"up_to": 0}]}, AN_B2N, None),
    ("boundary", {"boundary": "h0 > 1"}, AN_B2N, "predicts B where h0 > 1, else A"),
    ("leads", leads(POINT | {"kind": "saddle"}, POINT, POINT, POINT | {"symbol": "B"}), AN_B2N,
     "attractors: A's to (0.50, -0.25) (eigenvalues 0.50+0.20i, 0.50-0.20i; 0.30 from the words), "
     "B's"),
    ("leads", leads(POINT | {"kind": "saddle"}), AN_B2N, None),
    ("leads", leads(POINT | {"after_10": 0.051}), AN_B2N, None),
    ("slow", slow(), AN_B2N, "B's pass a bottleneck at (0.10, 0.20) ... (speed 0.10, eigenvalue "
     "1.05), with 2 to 3 B's left (n = 2, 3, 4), and leave it in growing steps."),
    ("slow", slow(left=[3] * 4, growing=False), AN_B2N, "with 3 B's left (n = 2, 3, 4)."),
    # A word that ends there has not passed it.
    ("slow", slow(left=[0, 0, 0, 1]), AN_B2N, "with 1 B's left (n = 4)"),
    ("slow", slow(speed=0.101), AN_B2N, None),
    ("slow", slow(distance=0.101), AN_B2N, None),
    ("slow", slow(eigenvalues=np.array([1.051, 0.1])), AN_B2N, None),
    ("slow", slow(eigenvalues=np.array([0.98 + 0.06j, 0.98 - 0.06j])), AN_B2N, None),
    ("slow", slow(apart=[0.11] * 4), AN_B2N, None),
    # A fixed point of the same symbol beside it, and one of another.
    ("slow", slow(NEAR), AN_B2N, None),
    ("slow", slow(NEAR | {"symbol": "A"}), AN_B2N, "bottleneck"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "facts", "language", "text"), CASES, ids=range(len(CASES)))
def test_a_sentence_is_printed_only_where_it_holds(kind, facts, language, text):
    found = getattr(report, f"{kind}_sentence")(facts, language)
    if text is None:
        assert found is None
    else:
        assert re.search(".*".join(map(re.escape, text.split(" ... "))), found)


def test_the_answer_of_training():
    """After success, on a grammar; the golden text seq_train.txt has a failure to count."""
    results = {"succeeded": True, "max_loss": 0.0312, "loss_threshold": 0.05, "seconds": 2.34}
    results |= {"reports": [{"seen": 100_000}], "reference_loss": 0.0, "fresh_words": RIGHT}
    assert report.training_sentences(results, REBER) == [
        "Training succeeded: the highest loss of the last reports is 0.0312 (required: below "
        "0.05), after 100,000 sequences in 2.3 s.",
        "Every symbol that is certain is predicted right in 1,024 fresh words.",
    ]
