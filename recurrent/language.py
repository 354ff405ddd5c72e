"""Languages for next-symbol prediction, and the finite state machines that define them.

A language is a Machine whose transitions have probabilities. A word starts at state 0, each symbol
follows a transition, and the word ends at the state `end`. In a counting language this is state 0
again: a sequence is five consecutive words and the first symbol of a sixth. Reber's grammars have
an end without transitions: a sequence is one word. The languages are defined in anb2n.py and
reber.py; a machine of the same kind is extracted from a network (extraction.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Number of words in a sequence of a counting language.
WORDS = 5
# Outputs of a machine's states in which not exactly one symbol is predicted.
SEVERAL, NOTHING = -1, -2


@dataclass(frozen=True, eq=False)
class Machine:
    """A Moore machine with M states over C symbols; state 0 is the initial one.

    symbols:     the letters.
    transitions: (M, C) int64, the next state for each symbol, -1 if there is none.
    outputs:     (M,) int64, the only symbol that can follow; SEVERAL; NOTHING at the end of a word.
    names:       (M,) str. places: (M, 2), positions in a diagram.
    """

    symbols: str
    transitions: np.ndarray
    outputs: np.ndarray
    names: tuple[str, ...]
    places: np.ndarray

    @property
    def count(self) -> int:
        """The number of states M."""
        return len(self.transitions)

    def isomorphic(self, other: Machine) -> bool:
        """Return whether two minimal machines are equal but for names and places."""
        return np.array_equal(self.transitions, other.transitions) and np.array_equal(
            self.outputs, other.outputs
        )

    def follow(self, symbols: np.ndarray) -> np.ndarray:
        """Return the state after each symbol (T, ...) from state 0; -1 after a missing transition.

        The symbol -1 is padding and leaves the state unchanged.
        """
        found = np.empty_like(symbols)
        # Index -1 is the last row, from which every symbol leads to -1.
        table = np.vstack([self.transitions, np.full(self.transitions.shape[1], -1)])
        state = np.zeros(symbols.shape[1:], dtype=np.int64)
        for step, symbol in enumerate(symbols):
            state = np.where(symbol < 0, state, table[state, symbol])
            found[step] = state
        return found

    def minimal(self) -> Machine:
        """Return the minimal machine; merged states have their first one's name and mean place."""
        transitions, outputs, state_of = minimise(self.transitions, self.outputs)
        members = [np.flatnonzero(state_of == state) for state in range(len(outputs))]
        names = tuple(self.names[nodes[0]] for nodes in members)
        places = np.array([self.places[nodes].mean(axis=0) for nodes in members])
        return Machine(self.symbols, transitions, outputs, names, places)


def minimise(
    transitions: np.ndarray, outputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the minimal machine's transitions (M, C) and outputs (M,), and the state (S,) of each
    of the S given states, -1 if it is equivalent to none that can be reached.

    Partition refinement (Moore, 1956): states stay together while their outputs are equal and every
    symbol leads to states that are together. Minimal states are numbered breadth first from state
    0, so that isomorphic minimal machines are equal.
    """

    def classify(columns) -> np.ndarray:
        return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].ravel()

    known, count = transitions >= 0, 0
    classes = classify([outputs, known])
    while classes.max() + 1 > count:
        count = classes.max() + 1
        classes = classify([classes, np.where(known, classes[transitions], -1)])
    after = np.where(known, classes[transitions], -1)
    order, rows = [classes[0]], []
    for state in order:
        rows.append(np.flatnonzero(classes == state)[0])
        order += [to for to in dict.fromkeys(after[rows[-1]]) if to >= 0 and to not in order]
    number = np.full(count + 1, -1)
    number[order] = np.arange(len(order))
    return number[after[rows]], outputs[rows], number[classes]


class Sequences(NamedTuple):
    """N sequences, time first, padded at the end.

    symbols: (T + 1, N) int64. A network reads the first T and predicts the successor of each.
    nodes:   (T, N) int64, the language's state after each symbol read.
    mask:    (T, N) bool, False in the padding.
    """

    symbols: Tensor
    nodes: Tensor
    mask: Tensor

    @property
    def count(self) -> int:
        return self.symbols.shape[1]

    def part(self, start: int, stop: int) -> Sequences:
        """Return sequences start .. stop - 1, without the padding that they do not need."""
        mask = self.mask[:, start:stop]
        steps = int(mask.sum(dim=0).max())
        return Sequences(
            self.symbols[: steps + 1, start:stop], self.nodes[:steps, start:stop], mask[:steps]
        )

    def to(self, device: torch.device) -> Sequences:
        return Sequences(*(tensor.to(device) for tensor in self))


@dataclass(frozen=True, eq=False)
class Language:
    """A language over C single-letter symbols, with N states.

    name:           the name, as in file names: anb2n, reber_embed.
    machine:        its states, the nodes of the graph that words follow.
    sampling_probs: (N, C) float64, the probabilities with which words are sampled.
    target_probs:   (N, C) float64, the "true" probabilities with which the loss compares.
    numbers:        (N, C) float64, the assignment's state number, a dot's colour, at each node by
                    the symbol that has led to it.
    loss_threshold: the loss below which training is successful; None: 0.01 above the loss of the
                    sampling probabilities.
    end:            the node at which a word ends: 0, where the next word starts, or a node without
                    transitions.
    times:          the multiplier of n for each letter of a counting language: (1, 2, 3) for
                    anb2nc3n; None for other languages.
    max_n:          the highest n of a counting language; 0 for other languages.
    min_length:     the minimum length of a word in symbols; shorter ones are drawn again.
    long_range:     whether the second-to-last symbol of every word repeats the second.
    with_max_n:     returns the same counting language with another max_n.
    """

    name: str
    machine: Machine
    sampling_probs: np.ndarray
    target_probs: np.ndarray
    numbers: np.ndarray
    loss_threshold: float | None = None
    end: int = 0
    times: tuple[int, ...] | None = None
    max_n: int = 0
    min_length: int = 0
    long_range: bool = False
    with_max_n: Callable[[int], Language] | None = None

    @property
    def symbols(self) -> str:
        return self.machine.symbols

    @property
    def transitions(self) -> np.ndarray:
        return self.machine.transitions

    @property
    def classes(self) -> int:
        return len(self.symbols)

    @property
    def chained(self) -> bool:
        """Whether a sequence is several consecutive words."""
        return self.end == 0

    @property
    def first_symbol(self) -> int:
        """The first symbol of every word."""
        return int(self.machine.outputs[0])

    @cached_property
    def deterministic(self) -> np.ndarray:
        """Nodes with a symbol of target probability 1, (N,) bool; not the last A, whose target
        probabilities are 0.8 and 0.2 although only a B can follow."""
        return self.target_probs.max(axis=1) == 1

    def decode(self, symbols) -> str:
        """Return symbol indices as letters."""
        return "".join(self.symbols[int(symbol)] for symbol in symbols)

    def encode(self, text: str) -> np.ndarray:
        """Return letters as symbol indices (T,). Raises ValueError if one is not a symbol."""
        unknown = sorted(set(text) - set(self.symbols))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not one of the symbols {self.symbols}")
        return np.array([self.symbols.index(letter) for letter in text], dtype=np.int64)

    # Words

    def word(self, n: int) -> str:
        """Return a counting language's word for n, AAABBBBBB for n = 3 of anb2n.

        Its i-th run consists of the i-th symbol, so `encode(word(n))` also numbers its runs.
        """
        runs = zip(self.symbols, self.times, strict=True)
        return "".join(letter * (factor * n) for letter, factor in runs)

    @cached_property
    def all_words(self) -> tuple[str, ...]:
        """All words of a counting language, n = 1 .. max_n; empty for other languages."""
        return tuple(self.word(n) for n in range(1, self.max_n + 1))

    def shortest_words(self, count: int) -> tuple[str, ...]:
        """Return the `count` shortest words, fewer if a counting language has fewer."""
        if self.all_words:
            return self.all_words[:count]
        words, unfinished = [], [("", 0)]
        # Stable, so that equally long words stay in the order of their symbols.
        while len(words) < count:
            extended = [
                (text + self.symbols[symbol], int(self.transitions[node, symbol]))
                for text, node in unfinished
                for symbol in np.flatnonzero(self.transitions[node] >= 0)
            ]
            words += [
                text for text, node in extended if node == self.end and len(text) >= self.min_length
            ]
            unfinished = [(text, node) for text, node in extended if node != self.end]
        return tuple(words[:count])

    # Sampling

    @cached_property
    def _cumulative_probs(self) -> np.ndarray:
        """Cumulative sampling probabilities (N, C - 1): the last one, 1, is omitted."""
        cumulative = self.sampling_probs.cumsum(axis=1)
        # Otherwise rounding errors could select a symbol of probability 0.
        cumulative[cumulative > 1 - 1e-12] = 1
        return cumulative[:, :-1]

    def sample_words(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Return `count` random words as rows of symbols (count, T), padded with -1 at the end."""
        found = np.empty((0, 0), dtype=np.int64)
        while len(found) < count:
            steps, node = [], np.zeros(count, dtype=np.int64)
            alive = np.ones(count, dtype=bool)
            while alive.any():
                symbol = (random.random((count, 1)) >= self._cumulative_probs[node]).sum(axis=1)
                steps.append(np.where(alive, symbol, -1))
                node = np.where(alive, self.transitions[node, symbol], self.end)
                alive = node != self.end
            rows = np.stack(steps, axis=1)
            found = _stack(found, rows[(rows >= 0).sum(axis=1) >= self.min_length])
        return found[:count]

    def sequences(self, rows: np.ndarray) -> Sequences:
        """Return the Sequences of rows (N, T) of symbols, without their padding of -1.

        In a counting language the first symbol of a further word is appended to each row.
        """
        if self.chained:
            rows = np.column_stack([rows, np.full(len(rows), self.first_symbol)])
        present = rows >= 0
        lengths = present.sum(axis=1)
        step = np.arange(lengths.max())[:, None]
        symbols = np.zeros((len(step), len(rows)), dtype=np.int64)
        # Through the transpose, because both masks must select in the same order: row by row.
        symbols.T[(step < lengths).T] = rows[present]
        # The last symbol is predicted, but not read.
        mask = step[1:] < lengths
        nodes = self.machine.follow(np.where(mask, symbols[:-1], -1))
        return Sequences(*map(torch.from_numpy, (symbols, nodes, mask)))

    def batch(self, count: int, random: np.random.Generator, words: int | None = None) -> Sequences:
        """Return `count` random sequences of `words` words each, by default WORDS in a counting
        language, 1 in another."""
        words = words or (WORDS if self.chained else 1)
        return self.sequences(self.sample_words(words * count, random).reshape(count, -1))

    def from_strings(self, texts: list[str] | tuple[str, ...]) -> Sequences:
        """Return the Sequences of texts; a text is one word, or several of a counting language."""
        rows = np.full((len(texts), max(map(len, texts))), -1)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = self.encode(text)
        return self.sequences(rows)

    def to_strings(self, sequences: Sequences) -> list[str]:
        """Return each sequence as text: the inverse of `from_strings`."""
        appended = 1 if self.chained else 0
        columns = zip(sequences.symbols.T, sequences.mask.sum(dim=0).tolist(), strict=True)
        return [self.decode(column[: steps + 1 - appended]) for column, steps in columns]


def _stack(rows: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Return two arrays of rows, padded with -1, as one."""
    width = max(rows.shape[1], more.shape[1])
    pad = [np.pad(x, ((0, 0), (0, width - x.shape[1])), constant_values=-1) for x in (rows, more)]
    return np.concatenate(pad)
