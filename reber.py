"""Reber's grammar, and the embedded one that needs a memory.

The graph is Reber's (1967) as Cleeremans, Servan-Schreiber and McClelland (1989) use it; where two
edges leave a node, each is taken half of the time. A word begins with B and ends with E:

    0 -T-> 1   1 -S-> 1   2 -S-> 3   3 -E-> end   4 -P-> 2   5 -T-> 5
    0 -P-> 5   1 -X-> 2   2 -X-> 5                4 -V-> 3   5 -V-> 4

The embedded grammar (Hochreiter and Schmidhuber, 1997) puts a whole word between two equal
letters: B, T or P, a word, the same T or P, E. Its last symbol but one can only be known by
remembering the second.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from recurrent.language import Language

SYMBOLS = "BTSXPVE"
EDGES = {
    0: {"T": 1, "P": 5},
    1: {"S": 1, "X": 2},
    2: {"S": 3, "X": 5},
    3: {"E": 6},
    4: {"P": 2, "V": 3},
    5: {"T": 5, "V": 4},
}
# The mean squared error of the probabilities that counts as success.
BAR = 0.01


def reber(embed: bool = False, least: int = 0) -> Language:
    """The grammar, or the embedded one, with words of at least `least` symbols.

    Nodes: 0 between words, 1 .. 6 the graph's nodes 0 .. 5 after the B. Embedded: 1 after the
    first B, then the whole word after a T, the node that waits for the T, the same for P, and the
    node that waits for the last E.
    """
    edges = {0: {"B": 1}}
    if not embed:
        edges |= _graph(first=1, after=0)
    else:
        size = 1 + len(EDGES)
        doors = {"T": 2, "P": 2 + size + 1}
        last = 2 + 2 * (size + 1)
        edges |= {1: doors, last: {"E": 0}}
        for letter, door in doors.items():
            edges |= {door: {"B": door + 1}, door + size: {letter: last}}
            edges |= _graph(first=door + 1, after=door + size)
    follows = np.full((len(edges), len(SYMBOLS)), -1)
    for node, out in edges.items():
        for letter, after in out.items():
            follows[node, SYMBOLS.index(letter)] = after
    chance = (follows >= 0) / (follows >= 0).sum(axis=1, keepdims=True)
    number = np.arange(len(edges), dtype=float)
    name = "reber_embed" if embed else "reber"
    labels, places = _drawn(embed)
    return Language(
        name, SYMBOLS, least, follows, chance, chance, number, labels, places, BAR, max(least, 1),
        long_range=embed, with_length=partial(reber, embed),
    )  # fmt: skip


def _drawn(embed: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """Labels and places of the nodes: the graph's own numbers, as it is usually drawn."""
    graph = {0: (0, 0), 1: (1, 1), 2: (3, 1), 3: (4, 0), 4: (3, -1), 5: (1, -1)}
    inner = [graph[node] for node in range(len(graph))]
    if not embed:
        return ("start", *map(str, graph)), np.array([(2, -2.2), *inner], dtype=float)
    labels, places = ["start", "B"], [(2, 0), (-2.6, 0)]
    for letter, height in (("T", 2.4), ("P", -2.4)):
        labels += [letter, *(f"{letter}{node}" for node in graph), f"{letter}?"]
        places += [(-1.4, height), *((x, y + height) for x, y in inner), (5.4, height)]
    return (*labels, "E?"), np.array([*places, (6.6, 0)], dtype=float)


def _graph(first: int, after: int) -> dict[int, dict[str, int]]:
    """The grammar's edges with node 0 numbered `first` and its end numbered `after`."""
    return {
        first + node: {
            letter: after if to == len(EDGES) else first + to for letter, to in out.items()
        }
        for node, out in EDGES.items()
    }
