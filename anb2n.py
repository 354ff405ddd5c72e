"""Counting languages: a^n b^n, a^n b^2n, a^n b^2n c^3n, ...

The name of a language is its formula: anbn, anb2n, anbncn, anb2nc3n, anb2nc3nd4n, ... A word
consists of one run of each letter, and its n is uniform on 1 .. max_n.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np

from recurrent.language import Language

# Highest n in the assignment.
MAX_N = 4
# Loss thresholds in the assignment; for other languages see `_loss_threshold`.
LOSS_THRESHOLDS = {"anb2n": 0.05, "anb2nc3n": 0.02}
# The assignment's "true" probabilities of another A and of the first B after an A.
AFTER_A = (0.8, 0.2)


def multipliers(name: str) -> tuple[int, ...] | None:
    """Return each letter's multiplier of n, (1, 2, 3) for anb2nc3n; None for an invalid name."""
    runs = re.findall(r"([a-z])([1-9]?)n", name)
    letters = "".join(letter for letter, _ in runs)
    complete = "".join(f"{letter}{factor}n" for letter, factor in runs) == name
    if not complete or len(runs) < 2 or runs[0][1] or not "abcdefghij".startswith(letters):
        return None
    return tuple(int(factor or 1) for _, factor in runs)


def counting(name: str, max_n: int = MAX_N) -> Language:
    """Return the counting language `name` with n from 1 to `max_n`.

    Nodes: 0 between words, 1 .. max_n after that many A's, then for each n one for every symbol of
    the later runs; the last symbol of a word leads to 0. Labels: A3 after three A's; after that the
    symbols that remain, B5 or B3 C9.

    Raises ValueError if `name` is not a counting language.
    """
    times = multipliers(name)
    if times is None:
        raise ValueError(
            f"{name!r} is not a language: use reber or a name like anbn, anb2n, anb2nc3n"
        )
    size = 1 + max_n + sum(sum(times[1:]) * n - 1 for n in range(1, max_n + 1))
    classes = len(times)
    transitions = np.full((size, classes), -1)
    sampling, target = np.zeros((2, size, classes))
    number = np.zeros(size)
    labels = ["start", *(f"A{n}" for n in range(1, max_n + 1))]
    # In a diagram the A's run from left to right in the top row, the last letter from right to left
    # in the bottom row.
    top = 1 + max(1, sum(times[1:-1]) * max_n)
    positions = [(0, top / 2), *((times[-1] * n, top) for n in range(1, max_n + 1))]
    unused = iter(range(1 + max_n, size))
    sampling[0, 0] = target[0, 0] = 1
    transitions[0, 0] = 1
    for n in range(1, max_n + 1):
        number[n] = n
        target[n, :2] = AFTER_A
        # n is uniform on 1 .. max_n: the probability of exactly n A's, given at least n.
        sampling[n, 1] = 1 / (max_n + 1 - n)
        if n < max_n:
            transitions[n, 0] = n + 1
            sampling[n, 0] = 1 - sampling[n, 1]
        node = n
        for run, factor in list(enumerate(times))[1:]:
            for count in range(1, factor * n + 1):
                run_ends = count == factor * n
                successor = 0 if run_ends and run == classes - 1 else next(unused)
                transitions[node, run] = successor
                if node > max_n:
                    sampling[node, run] = target[node, run] = 1
                # As in the assignment: n after the first symbol of a run, less 1 / factor for each
                # further symbol, 0 after the last.
                number[successor] = 0 if run_ends else n + (1 - count) / factor
                node = successor
                if successor:
                    remaining = {run: factor * n - count}
                    remaining |= {later: times[later] * n for later in range(run + 1, classes)}
                    labels.append(
                        " ".join(f"{chr(ord('A') + r)}{k}" for r, k in remaining.items() if k)
                    )
                    inner = sum(k for r, k in remaining.items() if r < classes - 1)
                    positions.append((remaining[classes - 1], 1 + inner if inner else 0))
    return Language(
        name=name,
        symbols="ABCDEFGHIJ"[:classes],
        transitions=transitions,
        sampling_probs=sampling,
        target_probs=target,
        number=number,
        labels=tuple(labels),
        positions=np.array(positions),
        loss_threshold=LOSS_THRESHOLDS.get(name) or _loss_threshold(sampling, target, max_n),
        times=times,
        max_n=max_n,
        with_max_n=partial(counting, name),
    )


def _loss_threshold(sampling: np.ndarray, target: np.ndarray, max_n: int) -> float:
    """Return 0.01 more than the loss of an optimal predictor, which knows the sampling probs."""
    # The words with at least n A's visit node n; a single word visits each later node.
    visits = np.ones(len(sampling))
    visits[: max_n + 1] = [max_n, *range(max_n, 0, -1)]
    loss = ((sampling - target) ** 2).mean(axis=1)
    return float(visits @ loss / visits.sum() + 0.01)
