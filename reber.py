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
# Success is a mean squared error of the probabilities below this. It is 0 for a perfect network,
# with a minimum length too: the probabilities compared with are those of the words sampled.
LOSS_THRESHOLD = 0.01


def reber(embed: bool = False, min_length: int = 0) -> Language:
    """Return the grammar, or the embedded one, with words of at least `min_length` symbols.

    Nodes: 0 before the first symbol, 1 .. 6 the graph's nodes 0 .. 5 after the B, 7 the end.
    Embedded: 1 after the first B, then the whole word after a T, the node that waits for the T, the
    same for P, the node that waits for the last E, the end. A node's number (colour) is the graph's
    own: 0 after the first B. A minimum length adds nodes, see `_unrolled`.
    """
    size = 1 + len(EDGES)
    if embed:
        doors = {"T": 2, "P": 2 + size + 1}
        last = 2 + 2 * (size + 1)
        edges = {0: {"B": 1}, 1: doors, last: {"E": last + 1}, last + 1: {}}
        for letter, door in doors.items():
            edges |= {door: {"B": door + 1}, door + size: {letter: last}}
            edges |= _graph(first=door + 1, after=door + size)
    else:
        edges = {0: {"B": 1}, **_graph(first=1, after=size), size: {}}
    transitions = np.full((len(edges), len(SYMBOLS)), -1)
    for node, out in edges.items():
        for letter, after in out.items():
            transitions[node, SYMBOLS.index(letter)] = after
    labels, places = _drawing(embed)
    transitions, probs, node, read = _unrolled(transitions, min_length)
    return Language(
        name="reber_embed" if embed else "reber",
        symbols=SYMBOLS,
        transitions=transitions,
        sampling_probs=probs,
        target_probs=probs,
        number=np.maximum(node - 1, 0).astype(float),
        labels=tuple(
            labels[q] if k == min_length or q == 0 else f"{labels[q]} at {k}"
            for q, k in zip(node, read, strict=True)
        ),
        places=places[node],
        loss_threshold=LOSS_THRESHOLD,
        end=int(np.flatnonzero(node == len(edges) - 1)[0]),
        min_length=min_length,
        long_range=embed,
    )


def _unrolled(transitions: np.ndarray, min_length: int) -> tuple[np.ndarray, ...]:
    """Return the graph of the words of at least `min_length` symbols, sampled as if the shorter
    ones had been sampled and thrown away.

    What follows depends on how many symbols of a word have been read while its end may come too
    early. There the new graph has a node for each pair of an old node and that number k; where it
    cannot come too early any more, k is `min_length` and the node is as the old one.

    transitions: (N, C), the node to which each symbol leads, -1 where it cannot follow; all symbols
    of a node are as probable. Words begin at node 0 and end where nothing follows. Returns the same
    for the new graph (M, C), its probabilities (M, C), and the old node (M,) and k (M,) of each of
    its nodes.
    """
    allowed = transitions >= 0
    free = allowed / allowed.sum(axis=1, keepdims=True).clip(min=1)
    # enough[k]: the probability that a word that is at each node after k symbols gets long enough;
    # 0 at the end, where nothing follows, for k below min_length.
    enough = [np.ones(len(transitions))]
    for _ in range(min_length):
        enough.insert(0, (free * np.where(allowed, enough[0][transitions], 0)).sum(axis=1))

    def key(node: int, k: int) -> tuple[int, int]:
        """A node of the new graph, as (k, node)."""
        return (min_length if enough[k][node] == 1 else k), node

    keys, edges = [key(0, 0)], {}
    for k, node in keys:
        read = min(k + 1, min_length)
        for symbol in np.flatnonzero(allowed[node]):
            after = int(transitions[node, symbol])
            if weight := free[node, symbol] * enough[read][after]:
                edges[k, node, int(symbol)] = key(after, read), weight
                if key(after, read) not in keys:
                    keys.append(key(after, read))
    # The start, then the old nodes in their order.
    keys.sort(key=lambda key: (key[1] != 0, key[0] != min_length, key))
    new = np.full((len(keys), transitions.shape[1]), -1)
    probs = np.zeros(new.shape)
    for (k, node, symbol), (after, weight) in edges.items():
        place = keys.index((k, node)), symbol
        new[place], probs[place] = keys.index(after), weight
    read, node = np.array(keys).T
    total = probs.sum(axis=1, keepdims=True)
    return new, np.divide(probs, total, out=probs, where=total > 0), node, read


def _drawing(embed: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """Return labels and places of the nodes: the graph's own numbers, as it is usually drawn."""
    graph = {0: (0, 0), 1: (1, 1), 2: (3, 1), 3: (4, 0), 4: (3, -1), 5: (1, -1)}
    inner = [graph[node] for node in range(len(graph))]
    if not embed:
        return ("start", *map(str, graph), "end"), np.array([(-1.2, 0), *inner, (5.2, 0)])
    labels, places = ["start", "B"], [(-3.8, 0), (-2.6, 0)]
    for letter, height in (("T", 2.4), ("P", -2.4)):
        labels += [letter, *(f"{letter}{node}" for node in graph), f"{letter}?"]
        places += [(-1.4, height), *((x, y + height) for x, y in inner), (5.4, height)]
    return (*labels, "E?", "end"), np.array([*places, (6.6, 0), (7.8, 0)], dtype=float)


def _graph(first: int, after: int) -> dict[int, dict[str, int]]:
    """Return the grammar's edges with node 0 numbered `first` and its end numbered `after`."""
    return {
        first + node: {
            letter: after if to == len(EDGES) else first + to for letter, to in out.items()
        }
        for node, out in EDGES.items()
    }
