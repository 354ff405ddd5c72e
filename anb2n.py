"""Counting languages: a^n b^n, a^n b^2n, a^n b^2n c^3n, ...

The name of a language is its formula: anbn, anb2n, anbncn, anb2nc3n, anb2nc3nd4n, ... A word
consists of one run of each letter, and its n is uniform on 1 .. max_n.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np

from recurrent.language import SEVERAL, Language, Machine

# Highest n in the assignment.
MAX_N = 4
# Loss thresholds in the assignment.
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

    Nodes are named by what is left of the word: start; A1 .. A4 after that many A's, where n is not
    yet known; B5, or B3 C9 if C's follow. The graph is the language's minimal machine.

    Raises ValueError if `name` is not a counting language.
    """
    times = multipliers(name)
    if times is None:
        raise ValueError(
            f"{name!r} is not a language: use reber or a name like anbn, anb2n, anb2nc3n"
        )
    symbols = "ABCDEFGHIJ"[: len(times)]
    nodes, edges, numbers, left_at = {"start": 0}, {}, {}, [(0,) * len(times)]
    for n in range(1, max_n + 1):
        edges[nodes[f"A{n - 1}" if n > 1 else "start"], 0] = nodes[f"A{n}"] = n
        numbers[n, 0] = n
        left_at.append((n, *(0 for _ in times[1:])))
    for n in range(1, max_n + 1):
        node, left = n, [0, *(factor * n for factor in times[1:])]
        for run in range(1, len(times)):
            while left[run]:
                left[run] -= 1
                name_left = [f"{s}{k}" for s, k in zip(symbols, left, strict=True) if k]
                label = " ".join(name_left) or "start"
                if label not in nodes:
                    nodes[label] = len(nodes)
                    left_at.append(tuple(left))
                edges[node, run] = node = nodes[label]
                # As in the assignment: n after the first symbol of a run, less 1 / factor for each
                # further symbol, 0 after the last.
                numbers[node, run] = (left[run] + 1) / times[run] if left[run] else 0
    transitions, number = np.full((len(nodes), len(times)), -1), np.zeros((len(nodes), len(times)))
    for edge, successor in edges.items():
        transitions[edge] = successor
    for place, value in numbers.items():
        number[place] = value
    sampling = (transitions >= 0).astype(float)
    target = sampling.copy()
    for n in range(1, max_n + 1):
        # n is uniform on 1 .. max_n: the probability of exactly n A's, given at least n.
        sampling[n, :2] = 1 - 1 / (max_n + 1 - n), 1 / (max_n + 1 - n)
        target[n, :2] = AFTER_A
    # Where the assignment's probabilities name two symbols, no single one is to be predicted.
    outputs = np.where(target.max(axis=1) == 1, target.argmax(axis=1), SEVERAL)
    places = np.array([_place(left, times, max_n) for left in left_at])
    machine = Machine(symbols, transitions, outputs, tuple(nodes), places)
    return Language(
        name=name,
        machine=machine,
        sampling_probs=sampling,
        target_probs=target,
        numbers=number,
        loss_threshold=LOSS_THRESHOLDS.get(name),
        times=times,
        max_n=max_n,
        with_max_n=partial(counting, name),
    )


def _place(left: tuple[int, ...], times: tuple[int, ...], max_n: int) -> tuple[float, float]:
    """Return the position in a diagram of the node with `left` symbols of each run: A's from left
    to right in the top row, the last letter from right to left in the bottom row."""
    top = 1 + max(1, sum(times[1:-1]) * max_n)
    if not any(left):
        return 0, top / 2
    if left[0]:
        return times[-1] * left[0], top
    inner = sum(left[1:-1])
    return left[-1], 1 + inner if inner else 0
