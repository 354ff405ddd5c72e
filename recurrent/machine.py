"""Finite state machines: found in a network's hidden vectors, minimised, compared and written out.

A network that has learned a language moves between groups of hidden vectors as a machine moves
between its states. `find_states` groups the vectors by hierarchical clustering and takes the
coarsest grouping in which every symbol leads from one group into one group, and in which all
vectors of a group predict the same (Giles et al., 1992; Omlin and Giles, 1996). `minimal` then
merges the states that no continuation tells apart (Moore, 1956). It also numbers them in the order
in which they are reached, so that two minimal machines are the same if their tables are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import linkage
from sklearn.neighbors import NearestNeighbors

from recurrent.language import Language, walk

# What counts as the same prediction: probabilities that differ by no more.
SAME = 0.4
# The share of a group that may do otherwise than the rest: if none will not do, a few.
STRAYS = (0, 0.01, 0.05)
# Groups are made from at most so many vectors, the others join the nearest one's group.
SAMPLE = 1500
# Two measures of the distance between groups: the farthest pair, and Ward's sum of squares.
LINKAGES = ("complete", "ward")


@dataclass(frozen=True, eq=False)
class Machine:
    """A finite state machine with M states over C symbols that predicts what comes next.

    symbols: its letters.
    next:  (M, C) int64, the state to which each symbol leads, -1 where it cannot follow.
    says:  (M,) int64, the symbol that it predicts, -1 where the next symbol is not certain.
    start: the state before the first symbol.
    """

    symbols: str
    next: np.ndarray
    says: np.ndarray
    start: int = 0

    @property
    def count(self) -> int:
        return len(self.next)

    def __eq__(self, other: object) -> bool:
        """Whether two machines are the same, state by state."""
        return (
            isinstance(other, Machine)
            and (self.symbols, self.start) == (other.symbols, other.start)
            and np.array_equal(self.next, other.next)
            and np.array_equal(self.says, other.says)
        )

    def follow(self, symbols: np.ndarray) -> np.ndarray:
        """The states (T, ...) to which symbols (T, ...) lead from the start; -1 once none does."""
        return walk(self.next, symbols, self.start)


def of_language(language: Language) -> Machine:
    """A language's own machine: a state for each of its nodes."""
    says = np.where(language.deterministic, language.target.argmax(axis=1), -1)
    return Machine(language.symbols, language.next, says)


def minimal(machine: Machine) -> tuple[Machine, np.ndarray]:
    """The smallest machine that predicts the same, and each old state's number in it (M,).

    States that the start does not lead to get -1. The numbers follow a breadth-first walk from the
    start, symbols in their order.
    """
    allowed = machine.next >= 0
    classes = np.unique(np.column_stack([allowed, machine.says]), axis=0, return_inverse=True)[1]
    count = 0
    # Split the classes by where their states lead until nothing is split any more.
    while classes.max() + 1 > count:
        count = classes.max() + 1
        rows = np.column_stack([classes, np.where(allowed, classes[machine.next], -1)])
        classes = np.unique(rows, axis=0, return_inverse=True)[1]
    order = {int(classes[machine.start]): machine.start}
    walk = [machine.start]
    for state in walk:
        for after in machine.next[state]:
            if after >= 0 and classes[after] not in order:
                order[int(classes[after])] = after
                walk.append(after)
    number = np.full(count, -1)
    number[list(order)] = np.arange(len(order))
    chosen = np.array(list(order.values()))
    after = np.where(allowed[chosen], number[classes[machine.next[chosen]]], -1)
    return Machine(machine.symbols, after, machine.says[chosen]), number[classes]


# From hidden vectors to a machine


@dataclass(frozen=True, eq=False)
class Cloud:
    """The vectors that a network goes through on a language, each once; the start is the first.

    vectors:     (P, D), what is grouped.
    after:       (P, C, D), the vector after one more symbol, nan where it cannot follow.
    probability: (P, C), the network's prediction.
    says:        (P,) int64, its most probable symbol where the next one is certain, else -1.

    From the start no prediction is ever trained: it says what can follow, and its probability is
    unused.
    """

    vectors: np.ndarray
    after: np.ndarray
    probability: np.ndarray
    says: np.ndarray


@dataclass(frozen=True, eq=False)
class States:
    """A grouping of a Cloud and the machine that it is.

    group:   (P,) int64, each vector's group, 0 .. K - 1; the start is the only one of the last.
    machine: a state for each group, symbols leading where most of the group's vectors go.
    strays:  how many vectors do otherwise than most of their group.
    size:    how many components of a vector were looked at.
    """

    group: np.ndarray
    machine: Machine
    strays: int
    size: int


def find_states(cloud: Cloud, symbols: str) -> States:
    """The coarsest grouping of a cloud's vectors that is a machine.

    A tree of hierarchical clustering is cut from its root down: a group is split in its two
    branches while its vectors do not agree. As no later split can make them agree, this is the
    coarsest cut there is; of several trees the one with the fewest groups is taken. Where groups
    flow into each other, no cut is a machine: then a few strays are left in their groups.
    """
    vectors = cloud.vectors[1:]
    sample = _thin(vectors, SAMPLE)
    # A vector's group is that of the nearest one in the sample.
    nearest = NearestNeighbors(n_neighbors=1).fit(vectors[sample])
    here = nearest.kneighbors(vectors, return_distance=False)[:, 0]
    allowed = ~np.isnan(cloud.after[:, :, 0])
    there = np.full(allowed.shape, -1)
    there[allowed] = nearest.kneighbors(cloud.after[allowed], return_distance=False)[:, 0]
    trees = [linkage(vectors[sample], method)[:, :2].astype(int) for method in LINKAGES]
    for share in STRAYS:
        found = [_cut(cloud, symbols, tree, here, there, share) for tree in trees]
        best = min(found, key=lambda states: (states.strays, states.machine.count))
        if best.strays == 0 or best.machine.count < len(sample) / 10:
            break
    return best


def _cut(
    cloud: Cloud,
    symbols: str,
    branches: np.ndarray,
    here: np.ndarray,
    there: np.ndarray,
    share: float,
) -> States:
    """Cut one tree until at most so large a share of every group are strays.

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
        group = np.concatenate([[len(names)], number[here]])
        machine, wrong = _judge(cloud, group, np.where(there >= 0, number[there], -1), symbols)
        torn = np.bincount(group[wrong], minlength=len(names) + 1) > share * np.bincount(group)
        torn = names[np.flatnonzero(torn[: len(names)])]
        if not (torn >= leaves).any():
            return States(group, machine, int(wrong.sum()), cloud.vectors.shape[1])
        for name in torn[torn >= leaves]:
            for branch in branches[name - leaves]:
                node[under[branch]] = branch


def _thin(vectors: np.ndarray, most: int) -> np.ndarray:
    """The places of at most so many vectors that are spread as all are: one for each cell of a
    grid, as fine as possible."""
    cell = 1e-6
    while True:
        _, chosen = np.unique(np.round(vectors / cell), axis=0, return_index=True)
        if len(chosen) <= most:
            return chosen
        cell *= 1.5


def _judge(
    cloud: Cloud, group: np.ndarray, after: np.ndarray, symbols: str
) -> tuple[Machine, np.ndarray]:
    """The machine that a grouping is, and which vectors (P,) bool do otherwise than their group."""
    count = int(group.max()) + 1
    # What cannot follow one vector may follow another of its group, and is no vote against it.
    # That the next symbol is not certain is one.
    following = np.column_stack([_majority(group, to, to >= 0, count) for to in after.T])
    says = _majority(group, cloud.says, np.full(len(group), True), count)
    high, low = np.full((2, count, len(symbols)), np.array([-np.inf, np.inf])[:, None, None])
    np.maximum.at(high, group[1:], cloud.probability[1:])
    np.minimum.at(low, group[1:], cloud.probability[1:])
    apart = (high - low).max(axis=1) > SAME
    wrong = ((after >= 0) & (after != following[group])).any(axis=1)
    wrong |= (cloud.says != says[group]) | apart[group]
    return Machine(symbols, following, says, int(group[0])), wrong


def _majority(group: np.ndarray, value: np.ndarray, voting: np.ndarray, count: int) -> np.ndarray:
    """The most frequent value in each of `count` groups, of the members that vote; -1 if none."""
    votes = np.zeros((count, value.max() + 2), dtype=np.int64)
    np.add.at(votes, (group[voting], value[voting] + 1), 1)
    return votes.argmax(axis=1) - 1


# Written out


def names(met: np.ndarray, labels: list[str]) -> list[str]:
    """What a machine's states are called: by the states (N labels) that they are met in.

    met: (M, N) bool. A state that is met in several has all their names, one that is met in none
    is "unmet"; where two would have one name, the later one gets a prime.
    """
    found: list[str] = []
    for row in met:
        own = [labels[state] for state in np.flatnonzero(row)] or ["unmet"]
        name = "+".join(own) if len(own) < 4 else f"{own[0]}..{own[-1]}"
        while name in found:
            name += "'"
        found.append(name)
    return found


def as_table(machine: Machine, names: list[str]) -> str:
    """The machine as text: a line for each state, where each symbol leads, what it predicts."""
    width = max(5, *map(len, names)) + 2
    lines = ["state".ljust(width) + "".join(s.ljust(width) for s in machine.symbols) + "predicts"]
    for name, row, says in zip(names, machine.next, machine.says, strict=True):
        cells = "".join((names[after] if after >= 0 else "-").ljust(width) for after in row)
        predicts = machine.symbols[says] if says >= 0 else _several(machine.symbols, row)
        lines.append(name.ljust(width) + cells + predicts)
    return "\n".join(lines)


def _several(symbols: str, row: np.ndarray) -> str:
    return " or ".join(letter for letter, after in zip(symbols, row, strict=True) if after >= 0)


def as_dot(machine: Machine, names: list[str]) -> str:
    """The machine in Graphviz's language: `dot -Tpng` draws it."""
    lines = ["digraph machine {", "  rankdir=LR;", "  node [shape=circle];"]
    lines += ['  "" [shape=none, width=0];', f'  "" -> "{names[machine.start]}";']
    for name, row in zip(names, machine.next, strict=True):
        edges = {}
        for letter, after in zip(machine.symbols, row, strict=True):
            if after >= 0:
                edges.setdefault(names[after], []).append(letter)
        lines += [f'  "{name}" -> "{to}" [label="{" ".join(edges[to])}"];' for to in edges]
    return "\n".join([*lines, "}"]) + "\n"
