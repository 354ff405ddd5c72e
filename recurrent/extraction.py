"""A network's machine, read off from the sequences that it draws itself, and what proves it.

`generate` has a network draw sequences by its own probabilities, `trajectory` gathers the vectors
that it goes through, `extract` finds the machine in them (machine.py); `agreement` compares machine
and network on other sequences, `differences` network and language.
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
    minimal,
    names,
    of_language,
    probability_threshold,
)
from recurrent.metrics import logits

# Sequences that a network generates.
GENERATED = 1024
# More clusters than these are drawn by the machine's states.
FINE = 60
# Sequences from which vectors are gathered, where words are too many to read all.
SAMPLED = 300


@dataclass(frozen=True, eq=False)
class Trajectory:
    """All that a network goes through on sequences, each vector once, the start first.

    state:   (P, D) float64, hidden (and context) vectors.
    allowed: (P, C) bool, the symbols that the network allows there.
    after:   (P, C, D), the vectors after one more symbol, nan where it is not allowed or ends all.
    ends:    (P, C) bool, where a symbol ends the sequence: no vector after it is ever used.
    symbol:  (P,) int64, the symbol that led there, -1 for the start.
    node:    (P,) int64, the language's node, -1 outside the language.
    """

    state: np.ndarray
    allowed: np.ndarray
    after: np.ndarray
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
        """Return what find_clustering clusters: the first `size` components of the state vectors."""
        return Samples(self.state[:, :size], self.allowed, self.after[:, :, :size], self.ends)


def allowed_symbols(output: Tensor, language: Language) -> Tensor:
    """Return (..., C) bool: the symbols that logits (..., C) make at least as probable as the
    threshold."""
    return output.softmax(dim=-1) >= probability_threshold(language)


@torch.no_grad()
def generate(net, language: Language, steps: int, seed: int, count: int = GENERATED) -> Sequences:
    """Return `count` sequences of `steps` symbols sampled by a network's own probabilities.

    Only symbols that it allows are sampled; where it allows none, the sequence ends, and so it does
    where a word is over that is followed by none. The first symbol is the words' first. Nodes are
    -1 from the first symbol that the language does not allow.
    """
    random = torch.Generator().manual_seed(seed)
    rows = torch.full((count, steps), -1)
    rows[:, 0], state = language.first, net.initial_state(count)
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
        # Where a word is not over, its last symbol is read too.
        over = language.follow(rows.T)[-1] == language.end
        rows = np.column_stack([rows, np.where(over, -1, language.first)])
    return language.sequences(rows)


@torch.no_grad()
def trajectory(net, language: Language, sequences: Sequences) -> Trajectory:
    """Return a network's Trajectory on sequences. Vectors equal to three digits are the same."""
    if not language.all_words:
        sequences = sequences.part(0, SAMPLED)
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
    allowed[0] = np.arange(language.classes) == language.first
    node = node.numpy()
    following = np.where(node[:, None] >= 0, language.transitions[node], -1)
    ends = allowed & (following == language.end) & (not language.chained)
    after = np.full((len(state), language.classes, state.shape[1]), np.nan)
    for letter in range(language.classes):
        here = allowed[:, letter] & ~ends[:, letter]
        parts = state[here].to(net.V.device).split(net.hid, dim=1)
        step = net.step(torch.full((len(parts[0]),), letter), parts)
        after[here, letter] = torch.cat(step, 1).cpu().numpy()
    state = state.double().numpy()
    return Trajectory(state, allowed, after, ends, symbol.numpy(), node, net.hid)


def extract(trajectory: Trajectory, language: Language) -> Clustering:
    """Return the coarsest machine in a network's vectors: hidden ones, or with the context's.

    An LSTM may keep in its context units what its hidden units do not show, until it is needed.
    Taken is the clustering with the fewest inconsistent vectors, then with the fewest clusters.
    """
    sizes = sorted({trajectory.hid, trajectory.state.shape[1]})
    found = [find_clustering(trajectory.samples(size), language.symbols) for size in sizes]
    return min(found, key=lambda states: (states.inconsistent, states.machine.count))


def agreement(net, language: Language, machine: Machine, sequences: Sequences) -> int:
    """Return in how many sequences machine and network allow the same symbols after each symbol."""
    allowed = allowed_symbols(logits(net, sequences), language).numpy()
    # Where the machine has stopped (state -1, the last row) it predicts nothing.
    table = np.vstack([machine.prediction, np.zeros((1, language.classes), dtype=bool)])
    predicted = table[machine.follow(sequences.symbols[:-1].numpy())]
    same = (allowed == predicted).all(axis=2) | ~sequences.mask.numpy()
    return int(same.all(axis=0).sum())


class Difference(NamedTuple):
    """A symbol that only the network or only the language allows, where the language's minimal
    machine is in `state`: at `count` of the `visits`, with probabilities from `low` to `high`."""

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
    """Return where a network and the language's minimal machine `reference` allow other symbols.

    sequences: of the language.
    """
    output, mask = logits(net, sequences), sequences.mask.numpy()
    states = reference.follow(sequences.symbols[:-1].numpy())[mask]
    probability = output.softmax(dim=-1).numpy()[mask]
    allowed = allowed_symbols(output, language).numpy()[mask]
    found = []
    for state, symbol in np.ndindex(reference.transitions.shape):
        here = states == state
        other = here & (allowed[:, symbol] != reference.prediction[state, symbol])
        if other.any():
            values, by_network = probability[other, symbol], not reference.prediction[state, symbol]
            counts, limits = (other.sum(), here.sum()), (values.min(), values.max())
            found.append(Difference(state, symbol, by_network, *counts, *limits))
    return found


def overlap(
    machine: Machine, language: Language, reference: Machine, sequences: Sequences
) -> np.ndarray:
    """Return (M, N) bool: the states that machine and minimal machine `reference` are in together.

    The start counts as an overlap of both starts.
    """
    both = np.zeros((machine.count, reference.count), dtype=bool)
    both[machine.start, reference.start] = True
    symbols = sequences.padded.numpy()
    states, others = machine.follow(symbols), reference.follow(symbols)
    inside = (states >= 0) & (others >= 0)
    both[states[inside], others[inside]] = True
    return both


@dataclass(frozen=True, eq=False)
class Extraction:
    """The machine in a network, beside the minimal machine of its language.

    steps:      the symbols of the longest sequence that it was made of.
    trajectory: the vectors that the network's own sequences lead to.
    states:     their K clusters.
    number:     the machine's state of each cluster, -1 where the start does not lead to it.
    machine:    the clusters' minimal machine, M states; names: what they are called.
    reference:  the language's minimal machine, N states; labels: what they are called;
        places: (N, 2), where a diagram draws them.
    overlap:    (M, N) bool, see `overlap`.
    """

    steps: int
    trajectory: Trajectory
    states: Clustering
    number: np.ndarray
    machine: Machine
    names: list[str]
    reference: Machine
    labels: list[str]
    places: np.ndarray
    overlap: np.ndarray

    @property
    def drawn(self) -> tuple[Clustering, list[str]]:
        """What a picture shows: the clusters with their names.

        Of too many clusters those that are one state of the minimal machine are one; the start's
        vector stays alone in the last, and vectors outside the language, or of states that the
        start does not lead to, have none (-1).
        """
        names = [self.names[state] if state >= 0 else "" for state in self.number]
        if self.states.machine.count <= FINE:
            return self.states, names
        cluster, count = self.number[self.states.cluster], self.machine.count
        cluster[self.trajectory.node < 0] = -1
        if len(np.setdiff1d(np.arange(count), cluster)):
            # States without a vector in the language.
            return self.states, names
        cluster[0], start = count, self.machine.start
        transitions = np.vstack([self.machine.transitions, self.machine.transitions[start]])
        machine = Machine(self.machine.symbols, transitions, count)
        states = replace(self.states, cluster=cluster, machine=machine)
        return states, [*self.names, self.names[start]]


def find_machine(net, language: Language, sequences: Sequences) -> Extraction:
    """Return the machine in a network that generates sequences as long as those of the language."""
    lengths = sequences.mask.sum(dim=0).float()
    # A sequence of one word must be able to reach its end.
    steps = round(float(lengths.mean() if language.chained else lengths.max() + 1))
    samples = trajectory(net, language, generate(net, language, steps, seed=0))
    states = extract(samples, language)
    small, number = minimal(states.machine)
    reference, nodes = minimal(of_language(language))
    members = [nodes == state for state in range(reference.count)]
    labels = [language.labels[int(np.flatnonzero(member)[0])] for member in members]
    places = np.stack([language.places[member].mean(axis=0) for member in members])
    both = overlap(small, language, reference, sequences)
    return Extraction(
        steps, samples, states, number, small, names(both, labels), reference, labels, places, both
    )
