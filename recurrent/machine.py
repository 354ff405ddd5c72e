"""Finite state machines: extraction from state vectors, minimisation, comparison and output.

A network that has learned a language moves between clusters of state vectors as a machine moves
between its states. The machines are Moore machines: the output of a state is its prediction, the
set of symbols allowed next. A network allows the symbols whose probability reaches the
`probability_threshold`. `find_clustering` clusters the vectors hierarchically and returns the
coarsest clustering that is a machine: all vectors of a cluster have the same prediction, and each
allowed symbol leads from one cluster to one cluster (Giles et al., 1992; Omlin and Giles, 1996;
Weiss, Goldberg and Yahav, 2018). The clustering uses the language's first symbol and its
probability threshold, and no other knowledge of the language. `minimize` merges equivalent states
(Moore, 1956) and numbers the rest breadth-first, so that isomorphic minimal machines are equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import linkage
from sklearn.neighbors import NearestNeighbors

from recurrent.language import Language, walk

# The probability threshold as a share of the language's lowest sampling probability: half way
# between the rarest symbol and a forbidden one. It is 1/8 for n = 1 .. 4 (P(B) = 1/4 after one A)
# and 1/4 for Reber's grammar.
THRESHOLD_SHARE = 0.5
# Maximum share of inconsistent vectors in a cluster, tried in this order.
MAX_INCONSISTENT_SHARES = (0, 0.01, 0.05)
# Maximum number of vectors in the tree; the others join the cluster of their nearest neighbour.
MAX_CLUSTERED = 1500
# Distances between clusters: the farthest pair, and Ward's sum of squares.
LINKAGES = ("complete", "ward")
# Maximum number of states in a printed table.
MAX_STATES_SHOWN = 50


@dataclass(frozen=True, eq=False)
class Machine:
    """A Moore machine with M states over C symbols; its output is the set of allowed next symbols.

    symbols:     the letters.
    transitions: (M, C) int64, the next state for each symbol, -1 if the symbol is not allowed.
    start:       the initial state.
    """

    symbols: str
    transitions: np.ndarray
    start: int = 0

    @property
    def count(self) -> int:
        """The number of states M."""
        return len(self.transitions)

    @property
    def prediction(self) -> np.ndarray:
        """(M, C) bool: the symbols allowed in each state."""
        return self.transitions >= 0

    def __eq__(self, other: object) -> bool:
        """Return whether two machines are equal, state by state."""
        return (
            isinstance(other, Machine)
            and (self.symbols, self.start) == (other.symbols, other.start)
            and np.array_equal(self.transitions, other.transitions)
        )

    def follow(self, symbols: np.ndarray) -> np.ndarray:
        """Return the states (T, ...) after symbols (T, ...), -1 from the first forbidden one on."""
        return walk(self.transitions, symbols, self.start)


def from_language(language: Language) -> Machine:
    """Return the machine with a state for each node of a language."""
    return Machine(language.symbols, language.transitions)


def probability_threshold(language: Language) -> float:
    """Return the lowest probability at which a network allows a symbol."""
    return THRESHOLD_SHARE * float(language.sampling_probs[language.sampling_probs > 0].min())


def minimize(machine: Machine) -> tuple[Machine, np.ndarray]:
    """Return the minimal machine, and (M,) the minimal state of each state, -1 if unreachable.

    Minimal states are numbered breadth-first from the start, symbols in order.
    """
    allowed = machine.prediction
    classes = np.unique(allowed, axis=0, return_inverse=True)[1]
    count = 0
    # Partition refinement: split classes by the classes of their successors until nothing changes.
    while classes.max() + 1 > count:
        count = classes.max() + 1
        rows = np.column_stack([classes, np.where(allowed, classes[machine.transitions], -1)])
        classes = np.unique(rows, axis=0, return_inverse=True)[1]
    representatives = {int(classes[machine.start]): machine.start}
    queue = [machine.start]
    for state in queue:
        for successor in machine.transitions[state]:
            if successor >= 0 and classes[successor] not in representatives:
                representatives[int(classes[successor])] = successor
                queue.append(successor)
    number = np.full(count, -1)
    number[list(representatives)] = np.arange(len(representatives))
    chosen = np.array(list(representatives.values()))
    transitions = np.where(allowed[chosen], number[classes[machine.transitions[chosen]]], -1)
    return Machine(machine.symbols, transitions), number[classes]


# From state vectors to a machine


@dataclass(frozen=True, eq=False)
class Samples:
    """P distinct state vectors of a network, the initial one first.

    vectors:    (P, D), the vectors to cluster.
    allowed:    (P, C) bool, the symbols that the network allows next.
    successors: (P, C, D), the vector after each symbol, nan if it is not allowed or the last one.
    ends:       (P, C) bool, whether the symbol is the last of its sequence.

    The prediction of the initial vector is not trained: only the words' first symbol is allowed.
    """

    vectors: np.ndarray
    allowed: np.ndarray
    successors: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True, eq=False)
class Clustering:
    """A clustering of Samples, and its machine.

    cluster: (P,) int64, each vector's cluster, 0 .. K - 1; K - 1 holds only the initial vector.
    machine: a state for each cluster, with the majority's prediction and transitions; if sequences
        end, one more state, in which nothing is allowed.
    inconsistent: the number of vectors whose prediction or transitions differ from their cluster's.
    size:    the number of vector components that were clustered.
    """

    cluster: np.ndarray
    machine: Machine
    inconsistent: int
    size: int

    @property
    def count(self) -> int:
        """K, the number of clusters."""
        return int(self.cluster.max()) + 1


def find_clustering(samples: Samples, symbols: str) -> Clustering:
    """Return the coarsest clustering of samples that is a machine.

    A hierarchical clustering is cut from the root down: inconsistent clusters are replaced by their
    two branches. Splitting other clusters cannot make a cluster consistent, so this is the tree's
    coarsest consistent cut. Of the cuts of the trees of LINKAGES, the one with the fewest
    inconsistent vectors, then the fewest clusters, is returned. If it is inconsistent and has at
    least a tenth as many clusters as leaves, the trees are cut again with a small share of
    inconsistent vectors allowed in each cluster.
    """
    vectors = samples.vectors[1:]
    subsample = _subsample(vectors, MAX_CLUSTERED)
    nearest = NearestNeighbors(n_neighbors=1).fit(vectors[subsample])
    leaf = nearest.kneighbors(vectors, return_distance=False)[:, 0]
    next_leaf = np.full(samples.allowed.shape, -1)
    continued = samples.allowed & ~samples.ends
    successors = samples.successors[continued]
    next_leaf[continued] = nearest.kneighbors(successors, return_distance=False)[:, 0]
    # linkage() rejects a single vector.
    trees = [
        linkage(vectors[subsample], method)[:, :2].astype(int) if len(subsample) > 1 else []
        for method in LINKAGES
    ]
    for share in MAX_INCONSISTENT_SHARES:
        found = [_cut_tree(samples, symbols, tree, leaf, next_leaf, share) for tree in trees]
        best = min(found, key=lambda cut: (cut.inconsistent, cut.machine.count))
        if best.inconsistent == 0 or best.machine.count < len(subsample) / 10:
            break
    return best


def _cut_tree(
    samples: Samples,
    symbols: str,
    branches: np.ndarray,
    leaf: np.ndarray,
    next_leaf: np.ndarray,
    max_share: float,
) -> Clustering:
    """Cut a tree from the root down until at most `max_share` of each cluster is inconsistent.

    branches: (S - 1, 2), the branches of the inner nodes S, S + 1, ..., as scipy numbers them;
    leaf: (P - 1,), the leaf (0 .. S - 1) of each vector but the initial one; next_leaf: (P, C), the
    leaf of each successor, -1 if there is none.
    """
    leaves = len(branches) + 1
    leaves_below = [np.array([each]) for each in range(leaves)]
    for left, right in branches:
        leaves_below.append(np.concatenate([leaves_below[left], leaves_below[right]]))
    # The inner node or leaf that is each leaf's cluster: the root at first.
    root_of = np.full(leaves, 2 * leaves - 2)
    while True:
        roots, index = np.unique(root_of, return_inverse=True)
        cluster = np.concatenate([[len(roots)], index[leaf]])
        next_cluster = np.where(next_leaf >= 0, index[next_leaf], -1)
        next_cluster[samples.ends] = len(roots) + 1
        machine, inconsistent = _majority_machine(samples.allowed, cluster, next_cluster, symbols)
        counts = np.bincount(cluster[inconsistent], minlength=len(roots) + 1)
        too_many = (counts > max_share * np.bincount(cluster))[: len(roots)]
        to_split = [root for root in roots[too_many] if root >= leaves]
        if not to_split:
            size = samples.vectors.shape[1]
            return Clustering(cluster, machine, int(inconsistent.sum()), size)
        for root in to_split:
            for branch in branches[root - leaves]:
                root_of[leaves_below[branch]] = branch


def _subsample(vectors: np.ndarray, limit: int) -> np.ndarray:
    """Return the indices of at most `limit` vectors: one from each occupied cell of a grid, the
    finest one tried with so few cells."""
    cell = 1e-6
    while True:
        _, chosen = np.unique(np.round(vectors / cell), axis=0, return_index=True)
        if len(chosen) <= limit:
            return chosen
        cell *= 1.5


def _majority_machine(
    allowed: np.ndarray, cluster: np.ndarray, next_cluster: np.ndarray, symbols: str
) -> tuple[Machine, np.ndarray]:
    """Return the machine of a clustering with K clusters, and (P,) bool: the inconsistent vectors.

    allowed: (P, C) bool; cluster: (P,); next_cluster: (P, C), the cluster after each allowed
    symbol, K if the sequence ends, else -1.
    """
    count = int(cluster.max()) + 1
    sets, number = np.unique(allowed, axis=0, return_inverse=True)
    prediction = sets[_majority(cluster, number, count)]
    targets = [_majority(cluster, column, count, column >= 0) for column in next_cluster.T]
    transitions = np.where(prediction, np.column_stack(targets), -1)
    inconsistent = (next_cluster != transitions[cluster]).any(axis=1)
    if (next_cluster == count).any():
        # The state after the end, without vectors and transitions.
        transitions = np.vstack([transitions, np.full(len(symbols), -1)])
    return Machine(symbols, transitions, int(cluster[0])), inconsistent


def _majority(
    cluster: np.ndarray, value: np.ndarray, count: int, voters: np.ndarray | slice = slice(None)
) -> np.ndarray:
    """Return (count,) the most frequent value of the voters in each cluster."""
    votes = np.zeros((count, value.max(initial=0) + 1), dtype=np.int64)
    np.add.at(votes, (cluster[voters], value[voters]), 1)
    return votes.argmax(axis=1)


# Output


def state_names(overlap: np.ndarray, labels: list[str]) -> list[str]:
    """Return a name for each of M states: the labels of the N reference states that it overlaps.

    overlap: (M, N) bool. Several labels are joined ("A1+A2"); a state without overlap is "outside";
    repeated names are numbered: "outside (2)".
    """
    names, repeats = [], {}
    for row in overlap:
        parts = [labels[state] for state in np.flatnonzero(row)] or ["outside"]
        name = "+".join(parts) if len(parts) < 4 else f"{parts[0]}..{parts[-1]}"
        repeats[name] = repeats.get(name, 0) + 1
        names.append(name if repeats[name] == 1 else f"{name} ({repeats[name]})")
    return names


def as_table(machine: Machine, names: list[str]) -> str:
    """Return the transition table as text: the next state for each symbol, and the prediction.

    Only the first MAX_STATES_SHOWN states have a row.
    """
    width = max(5, *map(len, names)) + 2
    lines = ["state".ljust(width) + "".join(s.ljust(width) for s in machine.symbols) + "predicts"]
    for name, row in zip(names[:MAX_STATES_SHOWN], machine.transitions, strict=False):
        cells = "".join((names[state] if state >= 0 else "-").ljust(width) for state in row)
        letters = [letter for letter, to in zip(machine.symbols, row, strict=True) if to >= 0]
        lines.append(name.ljust(width) + cells + (" or ".join(letters) or "-"))
    rest = machine.count - MAX_STATES_SHOWN
    return "\n".join(lines + [f"... {rest} more states"] * (rest > 0))


def as_dot(machine: Machine, names: list[str]) -> str:
    """Return the machine in Graphviz's DOT language, for `dot -Tpng`."""
    lines = ["digraph machine {", "  rankdir=LR;", "  node [shape=circle];"]
    lines += ['  "" [shape=none, width=0];', f'  "" -> "{names[machine.start]}";']
    for name, row in zip(names, machine.transitions, strict=True):
        edges = {}
        for letter, state in zip(machine.symbols, row, strict=True):
            if state >= 0:
                edges.setdefault(names[state], []).append(letter)
        lines += [f'  "{name}" -> "{to}" [label="{" ".join(edges[to])}"];' for to in edges]
    return "\n".join([*lines, "}"]) + "\n"
