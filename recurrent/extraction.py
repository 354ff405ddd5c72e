"""Extraction of a machine from a network, and its comparison with network and language.

`generate` samples sequences from a network's own probabilities, `trajectory` collects the state
vectors along them, `cluster_states` makes a machine of these (machine.py). `agreement` compares
machine and network on other sequences, `differences` network and language.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurrent.language import Language, Sequences, walk
from recurrent.machine import (
    Clustering,
    Machine,
    Samples,
    find_clustering,
    from_language,
    minimize,
    probability_threshold,
    state_names,
)
from recurrent.metrics import logits

# Number of sequences that a network generates.
GENERATED = 1024
# Maximum number of clusters in a picture; more are merged by the states of the extracted machine.
MAX_CLUSTERS_SHOWN = 60
# Number of sequences in a trajectory, if the language has too many words to read all.
TRAJECTORY_SEQUENCES = 300


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The P distinct state vectors of a network on sequences, the initial one first.

    state:      (P, D) float64, hidden (and context) vectors.
    allowed:    (P, C) bool, the symbols that the network allows next.
    successors: (P, C, D), the vector after each symbol, nan if it is not allowed or the last one.
    ends:       (P, C) bool, whether the symbol is the last of its sequence.
    symbol:     (P,) int64, the symbol just read, -1 for the initial vector.
    node:       (P,) int64, the language's node, -1 outside the language.
    hid:        the number of hidden units.
    """

    state: np.ndarray
    allowed: np.ndarray
    successors: np.ndarray
    ends: np.ndarray
    symbol: np.ndarray
    node: np.ndarray
    hid: int

    @property
    def hidden(self) -> np.ndarray:
        return self.state[:, : self.hid]

    @property
    def context(self) -> np.ndarray:
        return self.state[:, self.hid :]

    def samples(self, size: int) -> Samples:
        """Return the first `size` components of the state vectors as Samples to cluster."""
        successors = self.successors[:, :, :size]
        return Samples(self.state[:, :size], self.allowed, successors, self.ends)


def allowed_symbols(output: Tensor, language: Language) -> Tensor:
    """Return (..., C) bool: the symbols allowed by logits (..., C)."""
    return output.softmax(dim=-1) >= probability_threshold(language)


@torch.no_grad()
def generate(net, language: Language, steps: int, seed: int, count: int = GENERATED) -> Sequences:
    """Return `count` sequences of at most `steps` symbols, sampled from a network's probabilities.

    Only allowed symbols are sampled. A sequence ends where none is allowed, and after a word of a
    language that is not chained. It begins with the words' first symbol. Nodes are -1 from the
    first symbol that the language forbids.
    """
    random = torch.Generator().manual_seed(seed)
    rows = torch.full((count, steps), -1)
    rows[:, 0], state = language.first_symbol, net.initial_state(count)
    node = np.zeros(count, dtype=np.int64)
    for step in range(steps - 1):
        symbol = rows[:, step]
        state = net.step(symbol.clamp(min=0), state)
        node = walk(language.transitions, symbol[None].numpy(), node)[0]
        output = net.read_out(state[0]).cpu()
        probs = output.softmax(dim=-1) * allowed_symbols(output, language)
        unfinished = (symbol >= 0) & (probs.sum(dim=1) > 0)
        unfinished &= torch.from_numpy(language.chained | (node != language.end))
        if unfinished.any():
            sampled = torch.multinomial(probs[unfinished], 1, generator=random)
            rows[unfinished, step + 1] = sampled[:, 0]
    rows = rows.numpy()
    if not language.chained:
        # Sequences do not read their last symbol: an unfinished word gets a dummy one.
        finished = language.follow(rows.T)[-1] == language.end
        rows = np.column_stack([rows, np.where(finished, -1, language.first_symbol)])
    return language.sequences(rows)


@torch.no_grad()
def trajectory(net, language: Language, sequences: Sequences) -> Trajectory:
    """Return a network's Trajectory on sequences.

    Vectors equal to three decimals count as one if node and symbol are the same.
    """
    if not language.all_words:
        sequences = sequences.part(0, TRAJECTORY_SEQUENCES)
    run = net(sequences.symbols[:-1])
    parts = [run.hidden] if run.context is None else [run.hidden, run.context]
    reached = [part.cpu()[sequences.mask] for part in parts]
    state = torch.cat([torch.cat(net.initial_state(1), 1).cpu(), torch.cat(reached, 1)])
    node = torch.cat([torch.zeros(1, dtype=torch.int64), sequences.nodes[sequences.mask]])
    symbol = torch.cat([torch.full((1,), -1), sequences.symbols[:-1][sequences.mask]])
    keys = np.column_stack([state.numpy().round(3), node, symbol])
    chosen = np.union1d(np.unique(keys, axis=0, return_index=True)[1], [0])
    state, node, symbol = state[chosen], node[chosen], symbol[chosen]
    output = net.read_out(state[:, : net.hid].to(net.V.device)).cpu()
    allowed = allowed_symbols(output, language).numpy()
    allowed[0] = np.arange(language.classes) == language.first_symbol
    node = node.numpy()
    next_node = np.where(node[:, None] >= 0, language.transitions[node], -1)
    ends = allowed & (next_node == language.end) & (not language.chained)
    successors = np.full((len(state), language.classes, state.shape[1]), np.nan)
    for letter in range(language.classes):
        continued = allowed[:, letter] & ~ends[:, letter]
        parts = state[continued].to(net.V.device).split(net.hid, dim=1)
        step = net.step(torch.full((len(parts[0]),), letter), parts)
        successors[continued, letter] = torch.cat(step, 1).cpu().numpy()
    state = state.double().numpy()
    return Trajectory(state, allowed, successors, ends, symbol.numpy(), node, net.hid)


def cluster_states(trajectory: Trajectory, language: Language) -> Clustering:
    """Return the best clustering of hidden vectors, or of hidden and context vectors together.

    An LSTM's context units may store what its hidden units do not show until it is needed. The best
    clustering has the fewest inconsistent vectors, then the fewest clusters.
    """
    sizes = sorted({trajectory.hid, trajectory.state.shape[1]})
    found = [find_clustering(trajectory.samples(size), language.symbols) for size in sizes]
    return min(found, key=lambda clustering: (clustering.inconsistent, clustering.machine.count))


def agreement(net, language: Language, machine: Machine, sequences: Sequences) -> int:
    """Return on how many sequences machine and network allow the same symbols at every step."""
    allowed = allowed_symbols(logits(net, sequences), language).numpy()
    # State -1, after a forbidden symbol, is the last row: it allows nothing.
    table = np.vstack([machine.prediction, np.zeros((1, language.classes), dtype=bool)])
    predicted = table[machine.follow(sequences.symbols[:-1].numpy())]
    same = (allowed == predicted).all(axis=2) | ~sequences.mask.numpy()
    return int(same.all(axis=0).sum())


class Difference(NamedTuple):
    """A symbol that only the network or only the language allows, in a state of the language's
    minimal machine: at `count` of `visits` steps, the network's P being `low` .. `high` there."""

    state: int
    symbol: int
    by_network: bool
    count: int
    visits: int
    low: float
    high: float


def differences(
    net, language: Language, reference: Machine, sequences: Sequences
) -> list[Difference]:
    """Return where a network and the minimal machine `reference` of its language differ.

    sequences: sequences of the language.
    """
    output, mask = logits(net, sequences), sequences.mask.numpy()
    states = reference.follow(sequences.symbols[:-1].numpy())[mask]
    probability = output.softmax(dim=-1).numpy()[mask]
    allowed = allowed_symbols(output, language).numpy()[mask]
    found = []
    for state, symbol in np.ndindex(reference.transitions.shape):
        visited, by_language = states == state, reference.prediction[state, symbol]
        differs = visited & (allowed[:, symbol] != by_language)
        if differs.any():
            values = probability[differs, symbol]
            counts, limits = (differs.sum(), visited.sum()), (values.min(), values.max())
            found.append(Difference(state, symbol, not by_language, *counts, *limits))
    return found


def overlap(
    machine: Machine, language: Language, reference: Machine, sequences: Sequences
) -> np.ndarray:
    """Return (M, N) bool: which states of `machine` and `reference` occur at the same step.

    The initial states overlap.
    """
    both = np.zeros((machine.count, reference.count), dtype=bool)
    both[machine.start, reference.start] = True
    symbols = sequences.padded.numpy()
    states, reference_states = machine.follow(symbols), reference.follow(symbols)
    inside = (states >= 0) & (reference_states >= 0)
    both[states[inside], reference_states[inside]] = True
    return both


@dataclass(frozen=True, eq=False)
class Extraction:
    """The machine extracted from a network, and the minimal machine of its language.

    max_steps:  the maximum length of the generated sequences, in symbols.
    trajectory: the state vectors on them.
    clustering: their K clusters.
    state_of_cluster: (K,) the machine's state of each cluster, -1 if it is unreachable; one more
        for the end of sequences, if they end.
    machine:    the minimised machine of the clusters, M states; names: the M state names.
    reference:  the language's minimal machine, N states; labels: the N state names;
        positions: (N, 2), the states' positions in a diagram.
    overlap:    (M, N) bool, see `overlap`.
    """

    max_steps: int
    trajectory: Trajectory
    clustering: Clustering
    state_of_cluster: np.ndarray
    machine: Machine
    names: list[str]
    reference: Machine
    labels: list[str]
    positions: np.ndarray
    overlap: np.ndarray

    @property
    def shown(self) -> tuple[Clustering, list[str]]:
        """The clustering for a picture, and its clusters' names.

        More than MAX_CLUSTERS_SHOWN clusters are merged by the machine's states, if each state has
        a vector in the language. The initial vector stays alone in the last cluster; vectors
        outside the language and of unreachable states get cluster -1.
        """
        names = [self.names[state] if state >= 0 else "" for state in self.state_of_cluster]
        if self.clustering.machine.count <= MAX_CLUSTERS_SHOWN:
            return self.clustering, names
        cluster, count = self.state_of_cluster[self.clustering.cluster], self.machine.count
        cluster[self.trajectory.node < 0] = -1
        if len(np.setdiff1d(np.arange(count), cluster)):
            return self.clustering, names
        cluster[0], start = count, self.machine.start
        transitions = np.vstack([self.machine.transitions, self.machine.transitions[start]])
        machine = Machine(self.machine.symbols, transitions, count)
        merged = replace(self.clustering, cluster=cluster, machine=machine)
        return merged, [*self.names, self.names[start]]


def extract_machine(net, language: Language, sequences: Sequences) -> Extraction:
    """Return the Extraction from a network, on generated sequences as long as `sequences`.

    sequences: sequences of the language, by which states are named.
    """
    lengths = sequences.mask.sum(dim=0).float()
    # A sequence of one word needs the maximum, so that every word can end.
    max_steps = round(float(lengths.mean() if language.chained else lengths.max() + 1))
    vectors = trajectory(net, language, generate(net, language, max_steps, seed=0))
    clustering = cluster_states(vectors, language)
    machine, state_of_cluster = minimize(clustering.machine)
    reference, states = minimize(from_language(language))
    members = [states == state for state in range(reference.count)]
    labels = [language.labels[int(np.flatnonzero(nodes)[0])] for nodes in members]
    positions = np.stack([language.positions[nodes].mean(axis=0) for nodes in members])
    overlapping = overlap(machine, language, reference, sequences)
    return Extraction(
        max_steps=max_steps,
        trajectory=vectors,
        clustering=clustering,
        state_of_cluster=state_of_cluster,
        machine=machine,
        names=state_names(overlapping, labels),
        reference=reference,
        labels=labels,
        positions=positions,
        overlap=overlapping,
    )
