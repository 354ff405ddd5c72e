"""The counting languages a^n b^n, a^n b^2n, a^n b^2n c^3n, ...: words of as many runs as letters.

The name tells the language: an, then for each further letter how many times n it comes: `anbn`,
`anb2n`, `anbncn`, `anb2nc3n`, `anb2nc3nd4n`. Each word's n is drawn evenly from 1 to a highest n.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np

from recurrent.language import Language

# The highest n of the assignment.
LENGTH = 4
# The losses that the assignment asks for. It gives none for the other languages, see `_bar`.
BARS = {"anb2n": 0.05, "anb2nc3n": 0.02}
# What the assignment calls the true probabilities after an A: another A, or the first B.
AFTER_A = (0.8, 0.2)


def multiples(name: str) -> tuple[int, ...] | None:
    """How many times n each letter comes, the a first: (1, 2, 3) for anb2nc3n; None if no name."""
    runs = re.findall(r"([a-z])([1-9]?)n", name)
    letters = "".join(letter for letter, _ in runs)
    whole = "".join(f"{letter}{times}n" for letter, times in runs) == name
    if not whole or len(runs) < 2 or runs[0][1] or not "abcdefghij".startswith(letters):
        return None
    return tuple(int(times or 1) for _, times in runs)


def counting(name: str, length: int = LENGTH) -> Language:
    """The language called `name` for n from 1 to `length`; ValueError if that is no name.

    Nodes: 0 between words, then 1 .. length after so many A's, then for each n one for each
    symbol of the later runs; the very last symbol of a word leads to 0. After the A's a node is
    called by what is still to come of the word: A3 has read three A's, B5 has five B's before it.
    """
    times = multiples(name)
    if times is None:
        raise ValueError(f"{name!r} is no language: names are like anbn, anb2n, anb2nc3n")
    size, classes = (
        1 + length + sum(sum(times[1:]) * n - 1 for n in range(1, length + 1)),
        len(times),
    )
    follows = np.full((size, classes), -1)
    chance, target = np.zeros((2, size, classes))
    number = np.zeros(size)
    labels = ["start", *(f"A{n}" for n in range(1, length + 1))]
    # A diagram counts the A's to the right, and the last run back to the left below them.
    top = 1 + max(1, sum(times[1:-1]) * length)
    places = [(0, top / 2), *((times[-1] * n, top) for n in range(1, length + 1))]
    fresh = iter(range(1 + length, size))
    chance[0, 0] = target[0, 0] = 1
    follows[0, 0] = 1
    for n in range(1, length + 1):
        number[n] = n
        target[n, :2] = AFTER_A
        # n is even on 1 .. length: of the words with at least n A's, one in so many has no more.
        chance[n, 1] = 1 / (length + 1 - n)
        if n < length:
            follows[n, 0] = n + 1
            chance[n, 0] = 1 - chance[n, 1]
        node = n
        for run, factor in list(enumerate(times))[1:]:
            for place in range(1, factor * n + 1):
                last = place == factor * n
                after = 0 if last and run == classes - 1 else next(fresh)
                follows[node, run] = after
                if node > length:
                    chance[node, run] = target[node, run] = 1
                # The assignment's colours: n less a share for each symbol, 0 after a run's last.
                number[after] = 0 if last else n + (1 - place) / factor
                node = after
                if after:
                    left = {run: factor * n - place}
                    left |= {later: times[later] * n for later in range(run + 1, classes)}
                    labels.append(
                        " ".join(f"{chr(ord('A') + r)}{left[r]}" for r in left if left[r])
                    )
                    before = sum(left[r] for r in left if r < classes - 1)
                    places.append((left[classes - 1], 1 + before if before else 0))
    bar = BARS.get(name) or _bar(chance, target, length)
    symbols = "ABCDEFGHIJ"[:classes]
    return Language(
        name, symbols, length, follows, chance, target, number, tuple(labels), np.array(places),
        bar, times=times, with_length=partial(counting, name),
    )  # fmt: skip


def _bar(chance: np.ndarray, target: np.ndarray, length: int) -> float:
    """The loss of a network that knows all there is to know, and 0.01 more."""
    # A node with n A's is visited by the words with at least n, any later node by one word.
    visits = np.ones(len(chance))
    visits[: length + 1] = [length, *range(length, 0, -1)]
    loss = ((chance - target) ** 2).mean(axis=1)
    return float(visits @ loss / visits.sum() + 0.01)
