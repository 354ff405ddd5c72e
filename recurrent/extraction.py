"""The machine of a network on the words of its language.

A network that has learned a language moves between groups of state vectors as a machine moves
between its states. Two of its states are one state of the machine if no continuation of a word can
tell them apart: same predictions where one symbol is certain to follow, and successors that are the
same again (Myhill and Nerode). The successor of a state vector is, of the vectors that the same
symbol has led to, the nearest one to where the network's own step leads (Giles et al., 1992,
cluster instead; Weiss, Goldberg and Yahav, 2018, query the network). No clusters and no
tolerances: the result is the language's minimal machine exactly where the network predicts right
and keeps different states apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from recurrent.language import NOTHING, SEVERAL, Language, Machine, Sequences, minimise
from recurrent.metrics import evaluation_set, logits, word_numbers

# Decimals to which two state vectors of the same node and symbol count as one.
DECIMALS = 3
# Maximum number of states of a machine that is drawn; more cannot be distinguished.
MAX_DRAWN = 80
# Minimum distance of two states in a diagram, in units of its grid.
MIN_DISTANCE = 0.6


@dataclass(frozen=True, eq=False)
class States:
    """The P distinct states of a network on words, the initial one first.

    vectors: (P, D) float64. symbol: (P,) the symbol just read, -1 for the initial one.
    node:    (P,) the language's state. number: (P,) its number in the assignment, the dot's colour.
    """

    vectors: np.ndarray
    symbol: np.ndarray
    node: np.ndarray
    number: np.ndarray


@torch.no_grad()
def states_on(net, language: Language, sequences: Sequences) -> States:
    """Return a network's States on sequences.

    Vectors equal to three decimals count as one if node and symbol are the same.
    """
    reached = net.states(sequences.symbols[:-1]).cpu()[sequences.mask]
    vectors = torch.cat([net.initial_state(1).cpu(), reached]).double().numpy()
    node = np.concatenate([[0], sequences.nodes[sequences.mask].numpy()])
    symbol = np.concatenate([[-1], sequences.symbols[:-1][sequences.mask].numpy()])
    keys = np.column_stack([vectors.round(DECIMALS), node, symbol])
    kept = np.union1d(np.unique(keys, axis=0, return_index=True)[1], [0])
    vectors, node, symbol = vectors[kept], node[kept], symbol[kept]
    number = np.where(symbol >= 0, language.numbers[node, symbol], 0)
    return States(vectors, symbol, node, number)


class Plane:
    """The plane onto which state vectors are projected: up to two units themselves, else the first
    two principal components of the states.

    direct: whether it is the plane of units; labels: of its two axes.
    """

    def __init__(self, net, vectors: np.ndarray):
        width = vectors.shape[1]
        names = [f"{kind} unit {k}" for kind in ("hidden", "context") for k in range(net.hid)]
        self.direct = width <= 2
        if self.direct:
            self._mean, self._axes = np.zeros(width), np.eye(width, 2)
            self.labels = tuple([*names[:width], ""][:2])
        else:
            self._mean = vectors.mean(axis=0)
            # Signs are arbitrary: the largest component of an axis is positive.
            _, spread, axes = np.linalg.svd(vectors - self._mean, full_matrices=False)
            signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
            self._axes = (axes * signs[:, None])[:2].T
            share = 100 * spread**2 / max((spread**2).sum(), 1e-12)
            self.labels = tuple(
                f"{order} principal component ({part:.0f} % of the variance)"
                for order, part in zip(("first", "second"), share, strict=False)
            )

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Return the positions (N, 2) of states (N, D)."""
        return (vectors - self._mean) @ self._axes


@dataclass(frozen=True, eq=False)
class Extraction:
    """The machine of a network on words.

    machine: minimal, with the language's names and places. state: (P,) the machine's state of each
    of the States. reference: the language's minimal machine.
    """

    machine: Machine
    state: np.ndarray
    reference: Machine

    @property
    def isomorphic(self) -> bool:
        """Whether the machine is the language's minimal machine."""
        return self.machine.isomorphic(self.reference)


def extract(net, language: Language, states: States) -> Extraction:
    """Return the machine of a network on the words whose States are given.

    An LSTM's vectors are compared twice, by all units and by the hidden units alone, because a
    context unit may drift where the output gate hides it. Of the two machines the one that predicts
    as the network on more words is returned, of equal ones the smaller.
    """
    sizes = {states.vectors.shape[1], net.hid}
    found = [_extract(net, language, states, size) for size in sizes]
    words = evaluation_set(language)

    def merit(one: Extraction) -> tuple[int, int]:
        return agreement(net, language, one.machine, words)["agreement"], -one.machine.count

    return max(found, key=merit) if len(found) > 1 else found[0]


@torch.no_grad()
def _extract(net, language: Language, states: States, size: int) -> Extraction:
    """Return the machine if vectors are compared by their first `size` components."""
    node, possible = states.node, language.transitions[states.node] >= 0
    vectors = torch.from_numpy(states.vectors).to(net.V)
    predicted = net.read_out(vectors).argmax(dim=1).cpu().numpy()
    outputs = np.where(language.deterministic[node], predicted, SEVERAL)
    # Nothing predicts the first symbol of a sequence.
    outputs[0] = language.first_symbol
    # Distances in standard deviations of each unit: a context unit that counts the symbols of long
    # words would hide one that remembers a letter.
    scale = np.maximum(states.vectors.std(axis=0), 1e-9)
    transitions = np.full(possible.shape, -1)
    ends = possible & (language.transitions[node] == language.end) & (not language.chained)
    for symbol in range(language.classes):
        inner = possible[:, symbol] & ~ends[:, symbol]
        if inner.any():
            step = net.step(torch.full((int(inner.sum()),), symbol), vectors[inner])
            reached = np.flatnonzero(states.symbol == symbol)
            tree = cKDTree((states.vectors[reached] / scale)[:, :size])
            nearest = tree.query((step.cpu().double().numpy() / scale)[:, :size])[1]
            transitions[inner, symbol] = reached[nearest]
    if ends.any():
        # One more state: the end of a word, after which nothing follows.
        transitions[ends] = len(node)
        transitions = np.vstack([transitions, np.full(language.classes, -1)])
        outputs, node = np.append(outputs, NOTHING), np.append(node, language.end)
    transitions, outputs, state = minimise(transitions, outputs)
    reference = language.machine.minimal()
    reached = minimise(language.transitions, language.machine.outputs)[2][node]
    names, places = [], []
    for each in range(len(outputs)):
        nodes = np.unique(reached[state == each])
        names.append(_joined([reference.names[k] for k in nodes]))
        places.append(reference.places[nodes].mean(axis=0))
    places = _spread(np.array(places)) if len(places) <= MAX_DRAWN else np.array(places)
    machine = Machine(language.symbols, transitions, outputs, _distinct(names), places)
    return Extraction(machine, state[: len(states.node)], reference)


def _joined(names: list[str]) -> str:
    """Return "A1", "A1+A2", or "A1..B2" for more than three names."""
    return "+".join(names) if len(names) < 4 else f"{names[0]}..{names[-1]}"


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Return names with a number after each repeated one: "B2", "B2 (2)"."""
    seen, found = {}, []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(found)


def _spread(places: np.ndarray) -> np.ndarray:
    """Return places (M, 2), moved apart where states would cover each other."""
    random, places = np.random.default_rng(0), places.copy()
    for _ in range(100):
        pairs = cKDTree(places).query_pairs(MIN_DISTANCE, output_type="ndarray")
        if not len(pairs):
            break
        for one, other in pairs:
            apart = places[one] - places[other] + random.normal(0, 0.05, 2)
            apart *= 0.5 * (1.1 * MIN_DISTANCE / np.linalg.norm(apart) - 1)
            places[one] += apart
            places[other] -= apart
    return places


def agreement(net, language: Language, machine: Machine, sequences: Sequences) -> dict:
    """Return on how many words of sequences a machine predicts as the network does, wherever one
    symbol is certain to follow: {"agreement": ..., "agreement_of": ...}."""
    predicted = logits(net, sequences).argmax(dim=-1).numpy()
    symbols = np.where(sequences.mask.numpy(), sequences.symbols[:-1].numpy(), -1)
    state = machine.follow(symbols)
    # State -1, after a missing transition, is the last row: it predicts nothing.
    outputs = np.append(machine.outputs, NOTHING)[state]
    asked = language.deterministic[sequences.nodes.numpy()] & sequences.mask.numpy()
    differs = asked & (outputs != predicted)
    number, words = word_numbers(language, sequences)
    wrong = {(row, number[step, row]) for step, row in np.argwhere(differs)}
    return {"agreement": words - len(wrong), "agreement_of": words}


def transition_records(machine: Machine) -> list[dict]:
    """Return a record for each state of a machine: the next state for each symbol, and what it
    predicts."""
    names, records = machine.names, []
    for state, row in enumerate(machine.transitions):
        record = {"state": names[state]}
        record |= {
            s: names[to] if to >= 0 else "-" for s, to in zip(machine.symbols, row, strict=True)
        }
        output = machine.outputs[state]
        allowed = [s for s, to in zip(machine.symbols, row, strict=True) if to >= 0]
        record["predicts"] = machine.symbols[output] if output >= 0 else " or ".join(allowed) or "-"
        records.append(record)
    return records
