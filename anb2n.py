"""The counting languages a^n b^n, a^n b^2n, a^n b^2n c^3n, ...: words of as many runs as letters.

The name is the formula: an, then for each further letter how many times n it comes: `anbn`,
`anb2n`, `anbncn`, `anb2nc3n`, `anb2nc3nd4n`. Each word's n is uniform on 1 .. max_n.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np

from recurrent.language import Language

# The highest n of the assignment.
MAX_N = 4
# The losses that the assignment asks for. It has none for other languages, see `_loss_threshold`.
LOSS_THRESHOLDS = {"anb2n": 0.05, "anb2nc3n": 0.02}
# What the assignment calls the true probabilities after an A: another A, or the first B.
AFTER_A = (0.8, 0.2)


def multiples(name: str) -> tuple[int, ...] | None:
    """Return how many times n each letter comes, (1, 2, 3) for anb2nc3n; None for other names."""
    runs = re.findall(r"([a-z])([1-9]?)n", name)
    letters = "".join(letter for letter, _ in runs)
    complete = "".join(f"{letter}{times}n" for letter, times in runs) == name
    if not complete or len(runs) < 2 or runs[0][1] or not "abcdefghij".startswith(letters):
        return None
    return tuple(int(times or 1) for _, times in runs)


def counting(name: str, max_n: int = MAX_N) -> Language:
    """Return the counting language called `name` for n from 1 to `max_n`.

    Nodes: 0 between words, then 1 .. max_n after as many A's, then for each n one for each symbol
    of the later runs; the last symbol of a word leads to 0. After the A's a node is called by what
    is still to come of the word: A3 has read three A's, five B's follow B5.

    Raises ValueError if there is no language of that name.
    """
    times = multiples(name)
    if times is None:
        raise ValueError(f"{name!r} is not a language: names are like anbn, anb2n, anb2nc3n")
    size = 1 + max_n + sum(sum(times[1:]) * n - 1 for n in range(1, max_n + 1))
    classes = len(times)
    transitions = np.full((size, classes), -1)
    sampling, target = np.zeros((2, size, classes))
    number = np.zeros(size)
    labels = ["start", *(f"A{n}" for n in range(1, max_n + 1))]
    # A diagram counts the A's to the right, and the last run back to the left below them.
    top = 1 + max(1, sum(times[1:-1]) * max_n)
    places = [(0, top / 2), *((times[-1] * n, top) for n in range(1, max_n + 1))]
    unused = iter(range(1 + max_n, size))
    sampling[0, 0] = target[0, 0] = 1
    transitions[0, 0] = 1
    for n in range(1, max_n + 1):
        number[n] = n
        target[n, :2] = AFTER_A
        # n is uniform on 1 .. max_n: of the words with at least n A's, this share has no more.
        sampling[n, 1] = 1 / (max_n + 1 - n)
        if n < max_n:
            transitions[n, 0] = n + 1
            sampling[n, 0] = 1 - sampling[n, 1]
        node = n
        for run, factor in list(enumerate(times))[1:]:
            for place in range(1, factor * n + 1):
                last = place == factor * n
                after = 0 if last and run == classes - 1 else next(unused)
                transitions[node, run] = after
                if node > max_n:
                    sampling[node, run] = target[node, run] = 1
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
    return Language(
        name=name,
        symbols="ABCDEFGHIJ"[:classes],
        transitions=transitions,
        sampling_probs=sampling,
        target_probs=target,
        number=number,
        labels=tuple(labels),
        places=np.array(places),
        loss_threshold=LOSS_THRESHOLDS.get(name) or _loss_threshold(sampling, target, max_n),
        times=times,
        max_n=max_n,
        with_max_n=partial(counting, name),
    )


def _loss_threshold(sampling: np.ndarray, target: np.ndarray, max_n: int) -> float:
    """Return the loss of a network that knows all there is to know, and 0.01 more."""
    # A node with n A's is visited by the words with at least n, any later node by one word.
    visits = np.ones(len(sampling))
    visits[: max_n + 1] = [max_n, *range(max_n, 0, -1)]
    loss = ((sampling - target) ** 2).mean(axis=1)
    return float(visits @ loss / visits.sum() + 0.01)
