"""Reber's grammar and the embedded Reber grammar, which has a long-range dependency.

The graph is Reber's (1967) as used by Cleeremans, Servan-Schreiber and McClelland (1989); where two
edges leave a node, each has probability 0.5. A word begins with B and ends with E. Numbered as the
course numbers its states, from 1 after the B:

    1 -T-> 2   2 -S-> 2   3 -S-> 4   4 -E-> end   5 -P-> 3   6 -T-> 6
    1 -P-> 6   2 -X-> 3   3 -X-> 6                5 -V-> 4   6 -V-> 5

The embedded grammar (Hochreiter and Schmidhuber, 1997) puts a whole word between two equal letters:
B, T or P, a word, the same T or P, E. Predicting the second-to-last symbol of a word requires
remembering the second.
"""

from __future__ import annotations

import numpy as np

from recurrent.language import NOTHING, SEVERAL, Language, Machine

SYMBOLS = "BTSXPVE"
# Node 0 is before the B, node 7 the end.
EDGES = {
    0: {"B": 1},
    1: {"T": 2, "P": 6},
    2: {"S": 2, "X": 3},
    3: {"S": 4, "X": 6},
    4: {"E": 7},
    5: {"P": 3, "V": 4},
    6: {"T": 6, "V": 5},
    7: {},
}
NAMES = ("start", "1", "2", "3", "4", "5", "6", "end")
PLACES = ((-1.2, 0), (0, 0), (1, 1), (3, 1), (4, 0), (3, -1), (1, -1), (5.2, 0))
# Training is successful below this mean squared error of the probabilities. A perfect network has
# 0, because the target probabilities are the sampling probabilities.
LOSS_THRESHOLD = 0.01


def reber(embed: bool = False, min_length: int = 0) -> Language:
    """Return Reber's grammar, or the embedded one; words of fewer than `min_length` symbols are
    drawn again.

    Embedded nodes: 0, 1 after the first B; after a T the eight nodes of a whole word, of which the
    last precedes the second T; the same for P; the node before the last E; the end. State number
    (colour): the node, which in the plain grammar is the number above.
    """
    edges, names, places = dict(EDGES), list(NAMES), list(PLACES)
    if embed:
        size = len(EDGES)
        before_end = 2 + 2 * size
        edges = {0: {"B": 1}, 1: {"T": 2, "P": 2 + size}}
        names, places = ["start", "B"], [(-3.8, 0), (-2.6, 0)]
        for letter, first, height in (("T", 2, 2.4), ("P", 2 + size, -2.4)):
            for node, out in EDGES.items():
                edges[first + node] = {symbol: first + to for symbol, to in out.items()}
            edges[first + size - 1] = {letter: before_end}
            names += [letter, *(letter + name for name in NAMES[1:-1]), f"{letter}?"]
            places += [(x - 0.2, y + height) for x, y in PLACES]
        edges |= {before_end: {"E": before_end + 1}, before_end + 1: {}}
        names, places = [*names, "E?", "end"], [*places, (6.6, 0), (7.8, 0)]
    transitions = np.full((len(edges), len(SYMBOLS)), -1)
    for node, out in edges.items():
        for letter, successor in out.items():
            transitions[node, SYMBOLS.index(letter)] = successor
    allowed = transitions >= 0
    many = allowed.sum(axis=1)
    probs = allowed / many.clip(min=1)[:, None]
    outputs = np.where(many == 1, allowed.argmax(axis=1), np.where(many, SEVERAL, NOTHING))
    machine = Machine(SYMBOLS, transitions, outputs, tuple(names), np.array(places, dtype=float))
    return Language(
        name="reber_embed" if embed else "reber",
        machine=machine,
        sampling_probs=probs,
        target_probs=probs,
        numbers=np.tile(np.arange(len(edges), dtype=float)[:, None], len(SYMBOLS)),
        loss_threshold=LOSS_THRESHOLD,
        end=len(edges) - 1,
        min_length=min_length,
        long_range=embed,
    )
