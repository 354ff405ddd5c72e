"""Languages for next-symbol prediction, as probabilistic automata that sample words.

A language is a graph. A word starts at node 0, each symbol follows an edge, and the word ends at
the node `end`. In a counting language this is node 0 again: a sequence is five consecutive words
and the first symbol of a sixth. Reber's grammars have a separate end node: a sequence is one word.
A node determines which symbols can follow, and with which probabilities. The languages themselves
are defined in anb2n.py and reber.py.
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


class Sequences(NamedTuple):
    """N sequences, time first, padded at the end.

    symbols: (T + 1, N) int64. A network reads the first T and predicts the successor of each.
    nodes:   (T, N) int64, the node after each symbol read.
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
            self.symbols[: steps + 1, start:stop],
            self.nodes[:steps, start:stop],
            mask[:steps],
        )

    @property
    def padded(self) -> Tensor:
        """The symbols (T + 1, N), padded with -1."""
        present = torch.cat([torch.ones_like(self.mask[:1]), self.mask])
        return self.symbols.masked_fill(~present, -1)

    def to(self, device: torch.device) -> Sequences:
        return Sequences(*(tensor.to(device) for tensor in self))


def walk(transitions: np.ndarray, symbols: np.ndarray, start: int | np.ndarray = 0) -> np.ndarray:
    """Return the node after each symbol (T, ...), starting from `start`; -1 after a missing edge.

    transitions: (N, C), the next node for each node and symbol, -1 if there is no edge. symbols:
    (T, ...), -1 is padding and leaves the node unchanged. start: a node, or one for each sequence.
    """
    nodes = np.empty_like(symbols)
    # Index -1 is the last row, from which every symbol leads to -1.
    table = np.vstack([transitions, np.full(transitions.shape[1], -1)])
    node = np.full(symbols.shape[1:], start, dtype=np.int64)
    for step, symbol in enumerate(symbols):
        node = np.where(symbol < 0, node, table[node, symbol])
        nodes[step] = node
    return nodes


@dataclass(frozen=True, eq=False)
class Language:
    """A language over C single-letter symbols, as a probabilistic automaton with N nodes.

    name:           the name, as in file names: anb2n, reber_embed.
    symbols:        the alphabet; a symbol is represented by its index in this string.
    transitions:    (N, C) int64, the transition table: the next node, -1 if there is no edge.
    sampling_probs: (N, C) float64, the probabilities with which words are sampled.
    target_probs:   (N, C) float64, the "true" probabilities with which the loss compares.
    number:         (N,) float64, the state number of the assignment, a node's colour in pictures.
    labels:         (N,) str, node labels in pictures and tables.
    positions:      (N, 2) float64, node positions in a diagram; equivalent nodes share one.
    loss_threshold: the loss below which training is successful.
    end:            the node at which a word ends: 0, where the next word starts, or a node without
                    outgoing edges.
    times:          the multiplier of n for each letter of a counting language: (1, 2, 3) for
                    anb2nc3n; None for other languages.
    max_n:          the highest n of a counting language; 0 for other languages.
    min_length:     the minimum length of a word in symbols; 0 if there is none.
    long_range:     whether the second-to-last symbol of every word repeats the second.
    with_max_n:     returns the same counting language with another max_n.
    """

    name: str
    symbols: str
    transitions: np.ndarray
    sampling_probs: np.ndarray
    target_probs: np.ndarray
    number: np.ndarray
    labels: tuple[str, ...]
    positions: np.ndarray
    loss_threshold: float
    end: int = 0
    times: tuple[int, ...] | None = None
    max_n: int = 0
    min_length: int = 0
    long_range: bool = False
    with_max_n: Callable[[int], Language] | None = None

    def __repr__(self) -> str:
        return f"Language({self.name!r}, {len(self.transitions)} nodes)"

    @property
    def classes(self) -> int:
        return len(self.symbols)

    @property
    def chained(self) -> bool:
        """Whether a sequence is several consecutive words."""
        return self.end == 0

    @property
    def words_per_sequence(self) -> int:
        return WORDS if self.chained else 1

    @property
    def first_symbol(self) -> int:
        """The first symbol of every word."""
        (symbol,) = np.flatnonzero(self.transitions[0] >= 0)
        return int(symbol)

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

    def word(self, n: int) -> str | None:
        """Return a counting language's word for n, AAABBBBBB for n = 3 of anb2n, else None.

        Its i-th run consists of the i-th symbol, so `encode(word(n))` also numbers its runs.
        """
        if self.times is None:
            return None
        runs = zip(self.symbols, self.times, strict=True)
        return "".join(letter * (factor * n) for letter, factor in runs)

    @cached_property
    def all_words(self) -> tuple[str, ...]:
        """All words of a counting language, n = 1 .. max_n; empty for other languages."""
        return tuple(self.word(n) for n in range(1, self.max_n + 1))

    def follow(self, symbols: np.ndarray) -> np.ndarray:
        """Return the node after each symbol (T, ...), starting from node 0; see `walk`."""
        return walk(self.transitions, symbols)

    def is_word(self, text: str) -> bool:
        """Return whether `text` is a single word of the language."""
        if not text or set(text) - set(self.symbols):
            return False
        nodes = self.follow(self.encode(text))
        inner = nodes[:-1]
        return bool(nodes[-1] == self.end and (inner >= 0).all() and (inner != self.end).all())

    def words_up_to(self, max_length: int) -> list[str]:
        """Return all words of at most `max_length` symbols, shortest first."""
        words, unfinished = [], [("", 0)]
        while unfinished:
            extended = [
                (text + self.symbols[symbol], int(self.transitions[node, symbol]))
                for text, node in unfinished
                for symbol in np.flatnonzero(self.transitions[node] >= 0)
            ]
            words += [text for text, node in extended if node == self.end]
            unfinished = [
                (text, node)
                for text, node in extended
                if node != self.end and len(text) < max_length
            ]
        return words

    # Sampling

    @cached_property
    def _cumulative_probs(self) -> np.ndarray:
        """Cumulative sampling probabilities (N, C - 1): the last one, 1, is omitted."""
        cumulative = self.sampling_probs.cumsum(axis=1)
        # Otherwise rounding errors could select a symbol of probability 0.
        cumulative[cumulative > 1 - 1e-12] = 1
        return cumulative[:, :-1]

    def sample_words(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Return `count` random words as symbols (T, count), padded with -1 at the end."""
        steps, node = [], np.zeros(count, dtype=np.int64)
        alive = np.ones(count, dtype=bool)
        while alive.any():
            symbol = (random.random((count, 1)) >= self._cumulative_probs[node]).sum(axis=1)
            steps.append(np.where(alive, symbol, -1))
            node = np.where(alive, self.transitions[node, symbol], self.end)
            alive = node != self.end
        return np.stack(steps)

    def sequences(self, rows: np.ndarray) -> Sequences:
        """Return the Sequences of rows (N, ...) of symbols, without their padding of -1.

        In a counting language the first symbol of a further word is appended to each row.
        """
        rows = rows.reshape(len(rows), -1)
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
        nodes = self.follow(np.where(mask, symbols[:-1], -1))
        return Sequences(*map(torch.from_numpy, (symbols, nodes, mask)))

    def batch(self, count: int, random: np.random.Generator) -> Sequences:
        """Return `count` random sequences."""
        words = self.sample_words(self.words_per_sequence * count, random)
        return self.sequences(words.T.reshape(count, -1))

    def from_strings(self, texts: list[str]) -> Sequences:
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
