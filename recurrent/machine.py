"""Finite state machines: found in a network's state vectors, minimised, compared and written out.

A network that has learned a language moves between clusters of state vectors as a machine moves
between its states. What a machine predicts in a state is the set of symbols that can follow (a
Moore machine's output); a network's set is that of the symbols to which it gives at least the
`probability_threshold`. `find_clustering` clusters the vectors hierarchically and takes the coarsest
clustering in which all vectors of a cluster predict the same set, and in which each symbol of the
set leads from one cluster into one cluster (Giles et al., 1992; Omlin and Giles, 1996; Weiss,
Goldberg and Yahav, 2018). The language decides nothing in it but the symbol that comes first.
`minimal` then merges the states that no continuation tells apart (Moore, 1956). It also numbers
them in the order in which they are reached, so that two minimal machines are the same if their
tables are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import linkage
from sklearn.neighbors import NearestNeighbors

from recurrent.language import Language, walk

# A network allows a symbol to which it gives this share of the lowest probability with which the
# language draws one: half way between the rarest symbol and one that never comes. That makes 1/8
# for n = 1 .. 4 (the B after one A has 1/4), 1/4 for Reber's grammar.
ALLOWED_SHARE = 0.5
# The highest share of a cluster that may be inconsistent with the rest: none, or else a few.
INCONSISTENT_SHARES = (0, 0.01, 0.05)
# Vectors that are clustered at most; the others join the cluster of the nearest one.
MAX_CLUSTERED = 1500
# Two measures of the distance between clusters: the farthest pair, and Ward's sum of squares.
LINKAGES = ("complete", "ward")
# States shown in a table, at most.
MAX_SHOWN = 50


@dataclass(frozen=True, eq=False)
class Machine:
    """A finite state machine with M states over C symbols that predicts what can come next.

    symbols:     its letters.
    transitions: (M, C) int64, the state to which each symbol leads, -1 where it cannot follow.
    start:       the state before the first symbol.
    """

    symbols: str
    transitions: np.ndarray
    start: int = 0

    @property
    def count(self) -> int:
        return len(self.transitions)

    @property
    def prediction(self) -> np.ndarray:
        """(M, C) bool: the symbols that can follow."""
        return self.transitions >= 0

    def __eq__(self, other: object) -> bool:
        """Return whether two machines are the same, state by state."""
        return (
            isinstance(other, Machine)
            and (self.symbols, self.start) == (other.symbols, other.start)
            and np.array_equal(self.transitions, other.transitions)
        )

    def follow(self, symbols: np.ndarray) -> np.ndarray:
        """Return the states (T, ...) to which symbols (T, ...) lead; -1 once none does."""
        return walk(self.transitions, symbols, self.start)


def of_language(language: Language) -> Machine:
    """Return a language's own machine: a state for each of its nodes."""
    return Machine(language.symbols, language.transitions)


def probability_threshold(language: Language) -> float:
    """Return the probability from which on a network allows a symbol."""
    return ALLOWED_SHARE * float(language.sampling_probs[language.sampling_probs > 0].min())


def minimal(machine: Machine) -> tuple[Machine, np.ndarray]:
    """Return the smallest machine that predicts the same, and each old state's number in it (M,).

    States that the start does not lead to get -1. The numbers follow a breadth-first walk from the
    start, symbols in their order.
    """
    allowed = machine.prediction
    classes = np.unique(allowed, axis=0, return_inverse=True)[1]
    count = 0
    # Split the classes by where their states lead until nothing is split any more.
    while classes.max() + 1 > count:
        count = classes.max() + 1
        rows = np.column_stack([classes, np.where(allowed, classes[machine.transitions], -1)])
        classes = np.unique(rows, axis=0, return_inverse=True)[1]
    order = {int(classes[machine.start]): machine.start}
    walk = [machine.start]
    for state in walk:
        for after in machine.transitions[state]:
            if after >= 0 and classes[after] not in order:
                order[int(classes[after])] = after
                walk.append(after)
    number = np.full(count, -1)
    number[list(order)] = np.arange(len(order))
    chosen = np.array(list(order.values()))
    after = np.where(allowed[chosen], number[classes[machine.transitions[chosen]]], -1)
    return Machine(machine.symbols, after), number[classes]


# From state vectors to a machine


@dataclass(frozen=True, eq=False)
class Samples:
    """The vectors that a network goes through, each once; the start is the first.

    vectors: (P, D), what is clustered.
    allowed: (P, C) bool, the symbols that the network allows there.
    after:   (P, C, D), the vector after one more symbol, nan where it is not allowed or ends all.
    ends:    (P, C) bool, where a symbol ends the sequence.

    From the start no prediction is ever trained: what is allowed there is the words' first symbol.
    """

    vectors: np.ndarray
    allowed: np.ndarray
    after: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True, eq=False)
class Clustering:
    """A clustering of Samples and the machine that it is.

    cluster: (P,) int64, each vector's cluster, 0 .. K - 1; the start is alone in the last.
    machine: a state for each cluster, with the predictions and transitions of most of its vectors;
        where sequences end, one state more, from which nothing follows.
    inconsistent: how many vectors predict or lead otherwise than their cluster.
    size:    how many components of a vector were looked at.
    """

    cluster: np.ndarray
    machine: Machine
    inconsistent: int
    size: int


def find_clustering(samples: Samples, symbols: str) -> Clustering:
    """Return the coarsest clustering of samples that is a machine.

    A tree of hierarchical clustering is cut from its root down: a cluster is split in its two
    branches while its vectors are inconsistent. As no later split can make them consistent, this
    is the coarsest cut there is; of several trees the one with the fewest clusters is taken. Where
    clusters flow into each other, no cut is a machine: then a few vectors are left inconsistent.
    """
    vectors = samples.vectors[1:]
    sample = _thin(vectors, MAX_CLUSTERED)
    # A vector's cluster is that of the nearest one in the sample.
    nearest = NearestNeighbors(n_neighbors=1).fit(vectors[sample])
    here = nearest.kneighbors(vectors, return_distance=False)[:, 0]
    there = np.full(samples.allowed.shape, -1)
    inside = samples.allowed & ~samples.ends
    there[inside] = nearest.kneighbors(samples.after[inside], return_distance=False)[:, 0]
    # A single vector has no tree.
    trees = [
        linkage(vectors[sample], method)[:, :2].astype(int) if len(sample) > 1 else []
        for method in LINKAGES
    ]
    for share in INCONSISTENT_SHARES:
        found = [_cut(samples, symbols, tree, here, there, share) for tree in trees]
        best = min(found, key=lambda states: (states.inconsistent, states.machine.count))
        if best.inconsistent == 0 or best.machine.count < len(sample) / 10:
            break
    return best


def _cut(
    samples: Samples,
    symbols: str,
    branches: np.ndarray,
    here: np.ndarray,
    there: np.ndarray,
    share: float,
) -> Clustering:
    """Cut one tree until at most this share of every cluster is inconsistent.

    branches: (S - 1, 2), as scipy numbers them, after the S leaves; here: (P - 1,) the leaf of
    each vector but the start; there: (P, C), the leaf of what comes after, -1 where nothing does.
    """
    leaves = len(branches) + 1
    under = [np.array([leaf]) for leaf in range(leaves)]
    for one, other in branches:
        under.append(np.concatenate([under[one], under[other]]))
    node = np.full(leaves, 2 * leaves - 2)
    while True:
        names, number = np.unique(node, return_inverse=True)
        cluster = np.concatenate([[len(names)], number[here]])
        after = np.where(there >= 0, number[there], -1)
        after[samples.ends] = len(names) + 1
        machine, wrong = _machine_of(samples.allowed, cluster, after, symbols)
        wrong_in = np.bincount(cluster[wrong], minlength=len(names) + 1)
        torn = names[np.flatnonzero((wrong_in > share * np.bincount(cluster))[: len(names)])]
        if not (torn >= leaves).any():
            return Clustering(cluster, machine, int(wrong.sum()), samples.vectors.shape[1])
        for name in torn[torn >= leaves]:
            for branch in branches[name - leaves]:
                node[under[branch]] = branch


def _thin(vectors: np.ndarray, limit: int) -> np.ndarray:
    """Return the places of at most `limit` vectors that are spread as all are: one for each cell of
    a grid, as fine as possible."""
    cell = 1e-6
    while True:
        _, chosen = np.unique(np.round(vectors / cell), axis=0, return_index=True)
        if len(chosen) <= limit:
            return chosen
        cell *= 1.5


def _machine_of(
    allowed: np.ndarray, cluster: np.ndarray, after: np.ndarray, symbols: str
) -> tuple[Machine, np.ndarray]:
    """Return the machine that a clustering is, and (P,) bool: which vectors are inconsistent.

    allowed: (P, C) bool; after: (P, C), the cluster after each allowed symbol, else -1; the number
    of clusters stands for the sequence's end.
    """
    count = int(cluster.max()) + 1
    sets, number = np.unique(allowed, axis=0, return_inverse=True)
    prediction = sets[_majority(cluster, number, count)]
    leads = [_majority(cluster, to, count, to >= 0) for to in after.T]
    transitions = np.where(prediction, np.column_stack(leads), -1)
    wrong = (after != transitions[cluster]).any(axis=1)
    if (after == count).any():
        # The end: no vector belongs to it, and nothing follows it.
        transitions = np.vstack([transitions, np.full(len(symbols), -1)])
    return Machine(symbols, transitions, int(cluster[0])), wrong


def _majority(
    cluster: np.ndarray, value: np.ndarray, count: int, voting: np.ndarray | slice = slice(None)
) -> np.ndarray:
    """Return the most frequent value in each of `count` clusters, of the members that vote."""
    votes = np.zeros((count, value.max(initial=0) + 1), dtype=np.int64)
    np.add.at(votes, (cluster[voting], value[voting]), 1)
    return votes.argmax(axis=1)


# Written out


def names(overlap: np.ndarray, labels: list[str]) -> list[str]:
    """Return what a machine's states are called: by the states (N labels) that they overlap.

    overlap: (M, N) bool. A state that overlaps several has all their names, one that overlaps none
    is "outside"; of several that would have one name, the later ones are numbered: "outside (2)".
    """
    found, same = [], {}
    for row in overlap:
        parts = [labels[state] for state in np.flatnonzero(row)] or ["outside"]
        name = "+".join(parts) if len(parts) < 4 else f"{parts[0]}..{parts[-1]}"
        same[name] = same.get(name, 0) + 1
        found.append(name if same[name] == 1 else f"{name} ({same[name]})")
    return found


def as_table(machine: Machine, names: list[str]) -> str:
    """Return the machine as text: for each state where each symbol leads, and its prediction.

    Of a large machine only the first states are shown.
    """
    width = max(5, *map(len, names)) + 2
    lines = ["state".ljust(width) + "".join(s.ljust(width) for s in machine.symbols) + "predicts"]
    for name, row in zip(names[:MAX_SHOWN], machine.transitions, strict=False):
        cells = "".join((names[after] if after >= 0 else "-").ljust(width) for after in row)
        letters = [letter for letter, to in zip(machine.symbols, row, strict=True) if to >= 0]
        lines.append(name.ljust(width) + cells + (" or ".join(letters) or "-"))
    rest = machine.count - MAX_SHOWN
    return "\n".join(lines + [f"... {rest} more states"] * (rest > 0))


def as_dot(machine: Machine, names: list[str]) -> str:
    """Return the machine in Graphviz's language: `dot -Tpng` draws it."""
    lines = ["digraph machine {", "  rankdir=LR;", "  node [shape=circle];"]
    lines += ['  "" [shape=none, width=0];', f'  "" -> "{names[machine.start]}";']
    for name, row in zip(names, machine.transitions, strict=True):
        edges = {}
        for letter, after in zip(machine.symbols, row, strict=True):
            if after >= 0:
                edges.setdefault(names[after], []).append(letter)
        lines += [f'  "{name}" -> "{to}" [label="{" ".join(edges[to])}"];' for to in edges]
    return "\n".join([*lines, "}"]) + "\n"
