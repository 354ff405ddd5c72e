"""Reber's grammar and the embedded Reber grammar, which has a long-range dependency.

The graph is Reber's (1967) as used by Cleeremans, Servan-Schreiber and McClelland (1989); where two
edges leave a node, each has probability 0.5. A word begins with B and ends with E:

    0 -T-> 1   1 -S-> 1   2 -S-> 3   3 -E-> end   4 -P-> 2   5 -T-> 5
    0 -P-> 5   1 -X-> 2   2 -X-> 5                4 -V-> 3   5 -V-> 4

The embedded grammar (Hochreiter and Schmidhuber, 1997) puts a whole word between two equal letters:
B, T or P, a word, the same T or P, E. Predicting the second-to-last symbol of a word requires
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
# Training is successful below this mean squared error of the probabilities. A perfect network has
# 0, because the target probabilities are the sampling probabilities, also with a minimum length.
LOSS_THRESHOLD = 0.01


def reber(embed: bool = False, min_length: int = 0) -> Language:
    """Return Reber's grammar, or the embedded one, with words of at least `min_length` symbols.

    Nodes: 0 before the first symbol, 1 .. 6 for nodes 0 .. 5 of the graph above, 7 the end.
    Embedded: 1 after the first B; after a T the nodes of a whole word and one before the second T;
    the same for P; the node before the last E; the end. State number (colour): max(node - 1, 0),
    which in the plain grammar is the number above. A minimum length adds nodes, see `_unroll`.
    """
    size = 1 + len(EDGES)
    if embed:
        entries = {"T": 2, "P": 2 + size + 1}
        before_end = 2 + 2 * (size + 1)
        edges = {0: {"B": 1}, 1: entries, before_end: {"E": before_end + 1}, before_end + 1: {}}
        for letter, entry in entries.items():
            edges |= {entry: {"B": entry + 1}, entry + size: {letter: before_end}}
            edges |= _renumbered_edges(first=entry + 1, end=entry + size)
    else:
        edges = {0: {"B": 1}, **_renumbered_edges(first=1, end=size), size: {}}
    transitions = np.full((len(edges), len(SYMBOLS)), -1)
    for node, out in edges.items():
        for letter, successor in out.items():
            transitions[node, SYMBOLS.index(letter)] = successor
    labels, positions = _labels_and_positions(embed)
    transitions, probs, node, read = _unroll(transitions, min_length)
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
        positions=positions[node],
        loss_threshold=LOSS_THRESHOLD,
        end=int(np.flatnonzero(node == len(edges) - 1)[0]),
        min_length=min_length,
        long_range=embed,
    )


def _unroll(transitions: np.ndarray, min_length: int) -> tuple[np.ndarray, ...]:
    """Return the graph of words of at least `min_length` symbols.

    Its probabilities are those of sampling from the original graph and rejecting shorter words.
    While a word can still end too early, they depend on the number k of symbols read: the new graph
    has a node for each pair (node, k). From then on k is `min_length`, and the probabilities are
    those of the original node.

    transitions: (N, C), the next node, -1 if there is no edge; all edges of a node are equally
    probable. Words start at node 0 and end at the node without edges. Returns transitions (M, C)
    and probabilities (M, C) of the new graph, and the original node (M,) and k (M,) of each node.
    """
    allowed = transitions >= 0
    edge_probs = allowed / allowed.sum(axis=1, keepdims=True).clip(min=1)
    # p_long[k]: (N,), the probability that a word at each node after k symbols will be long enough.
    p_long = [np.ones(len(transitions))]
    for _ in range(min_length):
        p_long.insert(0, (edge_probs * np.where(allowed, p_long[0][transitions], 0)).sum(axis=1))

    def key(node: int, k: int) -> tuple[int, int]:
        """Return a node of the new graph as (k, node)."""
        return (min_length if p_long[k][node] == 1 else k), node

    keys, edges = [key(0, 0)], {}
    for k, node in keys:
        read = min(k + 1, min_length)
        for symbol in np.flatnonzero(allowed[node]):
            successor = int(transitions[node, symbol])
            if weight := edge_probs[node, symbol] * p_long[read][successor]:
                edges[k, node, int(symbol)] = key(successor, read), weight
                if key(successor, read) not in keys:
                    keys.append(key(successor, read))
    # Start node first, then the original nodes in their order.
    keys.sort(key=lambda key: (key[1] != 0, key[0] != min_length, key))
    new = np.full((len(keys), transitions.shape[1]), -1)
    probs = np.zeros(new.shape)
    for (k, node, symbol), (successor, weight) in edges.items():
        edge = keys.index((k, node)), symbol
        new[edge], probs[edge] = keys.index(successor), weight
    read, node = np.array(keys).T
    total = probs.sum(axis=1, keepdims=True)
    return new, np.divide(probs, total, out=probs, where=total > 0), node, read


def _labels_and_positions(embed: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """Return node labels and positions (N, 2), numbered and arranged as usual for this graph."""
    graph = {0: (0, 0), 1: (1, 1), 2: (3, 1), 3: (4, 0), 4: (3, -1), 5: (1, -1)}
    inner = [graph[node] for node in range(len(graph))]
    if not embed:
        return ("start", *map(str, graph), "end"), np.array([(-1.2, 0), *inner, (5.2, 0)])
    labels, positions = ["start", "B"], [(-3.8, 0), (-2.6, 0)]
    for letter, height in (("T", 2.4), ("P", -2.4)):
        labels += [letter, *(f"{letter}{node}" for node in graph), f"{letter}?"]
        positions += [(-1.4, height), *((x, y + height) for x, y in inner), (5.4, height)]
    return (*labels, "E?", "end"), np.array([*positions, (6.6, 0), (7.8, 0)], dtype=float)


def _renumbered_edges(first: int, end: int) -> dict[int, dict[str, int]]:
    """Return EDGES with nodes numbered from `first`, and the end node numbered `end`."""
    return {
        first + node: {
            letter: end if successor == len(EDGES) else first + successor
            for letter, successor in out.items()
        }
        for node, out in EDGES.items()
    }
