"""Languages whose next symbol a network has to predict, as automata that sample their own words.

A language is a graph. A word begins at node 0, every symbol leads from one node to the next, and
the word is over when the node `end` is reached. Counting languages end where they begin: a sequence
is five words, one after the other, and the first symbol of a next. Reber's grammars end in a node
of its own: a sequence is one word. What a network is asked at a node (which symbols can follow, and
how probable they are) is read off the node. anb2n.py and reber.py make the languages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Words in a sequence of a language whose words follow each other.
WORDS = 5


class Sequences(NamedTuple):
    """N sequences, time first, the shorter ones padded at their end.

    symbols: (T + 1, N) int64. A network reads the first T and predicts each one's successor.
    nodes:   (T, N) int64, the node that each symbol read leads to.
    mask:    (T, N) bool, False where a sequence is over.
    """

    symbols: Tensor
    nodes: Tensor
    mask: Tensor

    @property
    def count(self) -> int:
        return self.symbols.shape[1]

    def part(self, start: int, stop: int) -> Sequences:
        """Return the sequences from `start` to before `stop`, padded no longer than they need."""
        mask = self.mask[:, start:stop]
        reads = int(mask.sum(dim=0).max())
        return Sequences(
            self.symbols[: reads + 1, start:stop],
            self.nodes[:reads, start:stop],
            mask[:reads],
        )

    @property
    def padded(self) -> Tensor:
        """(T + 1, N): the symbols with -1 after each sequence's last one."""
        present = torch.cat([torch.ones_like(self.mask[:1]), self.mask])
        return self.symbols.masked_fill(~present, -1)

    def to(self, device: torch.device) -> Sequences:
        return Sequences(*(tensor.to(device) for tensor in self))


def walk(transitions: np.ndarray, symbols: np.ndarray, start: int | np.ndarray = 0) -> np.ndarray:
    """Return the nodes (T, ...) to which symbols (T, ...) lead from `start`, -1 once none does.

    transitions: (N, C), the node to which each symbol leads from each node, -1 where to none. A
    symbol of -1 is padding, and stays where it is. start: one node, or one for each sequence.
    """
    nodes = np.empty_like(symbols)
    # Node -1 is the last row of the table: from there everything leads to -1.
    table = np.vstack([transitions, np.full(transitions.shape[1], -1)])
    node = np.full(symbols.shape[1:], start, dtype=np.int64)
    for step, symbol in enumerate(symbols):
        node = np.where(symbol < 0, node, table[node, symbol])
        nodes[step] = node
    return nodes


@dataclass(frozen=True, eq=False)
class Language:
    """A language over single-letter symbols, as a graph of N nodes.

    name:    what --lang calls it.
    symbols: its letters; a symbol's number is its place among them.
    transitions: (N, C) int64, the node to which each symbol leads, -1 where it cannot follow.
    sampling_probs: (N, C) float64, the probability with which each symbol is sampled there.
    target_probs: (N, C) float64, the "true" probabilities that the printed loss compares with.
    number:  (N,) float64, the state number that colours a node in pictures.
    labels:  (N,) str, what pictures and tables call a node.
    places:  (N, 2) float64, where a diagram draws it; nodes that mean the same share their place.
    loss_threshold: the printed loss below which a network counts as successful.
    end:     the node in which a word is over: 0, where the next one begins, or one that leads
        nowhere.
    times:   how many times n each letter of a counting language comes: (1, 2, 3) for anb2nc3n;
        None for any other language.
    max_n:   the highest n of a counting language, 0 for any other.
    min_length: the number of symbols that a word has at least, where it can be chosen.
    long_range: whether the last symbol but one of every word repeats the second.
    with_max_n: makes the same counting language for another highest n.
    """

    name: str
    symbols: str
    transitions: np.ndarray
    sampling_probs: np.ndarray
    target_probs: np.ndarray
    number: np.ndarray
    labels: tuple[str, ...]
    places: np.ndarray
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
        """Whether a sequence is several words, one after the other."""
        return self.end == 0

    @property
    def words_per_sequence(self) -> int:
        return WORDS if self.chained else 1

    @property
    def first(self) -> int:
        """The symbol with which every word begins."""
        (symbol,) = np.flatnonzero(self.transitions[0] >= 0)
        return int(symbol)

    @cached_property
    def deterministic(self) -> np.ndarray:
        """(N,) bool: where only one symbol can follow, so that its prediction is right or wrong."""
        return self.target_probs.max(axis=1) == 1

    def decode(self, symbols) -> str:
        """Return symbol numbers as letters."""
        return "".join(self.symbols[int(symbol)] for symbol in symbols)

    def encode(self, text: str) -> np.ndarray:
        """Return letters as symbol numbers (T,).

        Raises ValueError, naming the letter, if one is not a symbol.
        """
        foreign = sorted(set(text) - set(self.symbols))
        if foreign:
            raise ValueError(f"{foreign[0]!r} is not one of the symbols {self.symbols}")
        return np.array([self.symbols.index(letter) for letter in text], dtype=np.int64)

    # Which words there are

    def word(self, n: int) -> str | None:
        """Return the word with n A's: AAABBBBBB for n = 3 of anb2n; None if nothing is counted.

        The word's i-th run is of the i-th symbol, so that `encode(word(n))` numbers its runs too.
        """
        if self.times is None:
            return None
        runs = zip(self.symbols, self.times, strict=True)
        return "".join(letter * (factor * n) for letter, factor in runs)

    @cached_property
    def all_words(self) -> tuple[str, ...]:
        """All words that are sampled, where they are few (a counting language's), else none."""
        return tuple(self.word(n) for n in range(1, self.max_n + 1))

    def follow(self, symbols: np.ndarray) -> np.ndarray:
        """Return the nodes (T, ...) to which symbols (T, ...) lead from node 0; see `walk`."""
        return walk(self.transitions, symbols)

    def is_word(self, text: str) -> bool:
        """Return whether `text` is one word of the language."""
        if not text or set(text) - set(self.symbols):
            return False
        nodes = self.follow(self.encode(text))
        inner = nodes[:-1]
        return bool(nodes[-1] == self.end and (inner >= 0).all() and (inner != self.end).all())

    def words(self, max_length: int) -> list[str]:
        """Return all words of at most `max_length` symbols, the shortest first."""
        found, unfinished = [], [("", 0)]
        while unfinished:
            grown = [
                (text + self.symbols[symbol], int(self.transitions[node, symbol]))
                for text, node in unfinished
                for symbol in np.flatnonzero(self.transitions[node] >= 0)
            ]
            found += [text for text, node in grown if node == self.end]
            unfinished = [
                (text, node) for text, node in grown if node != self.end and len(text) < max_length
            ]
        return found

    # How they are sampled

    @cached_property
    def _limits(self) -> np.ndarray:
        """(N, C - 1): a random number from 0 to 1 chooses a node's symbol by these limits."""
        limits = self.sampling_probs.cumsum(axis=1)
        # Rounding must not leave a gap below 1, into which no symbol would fall.
        limits[limits > 1 - 1e-12] = 1
        return limits[:, :-1]

    def sample_words(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Return `count` words as symbols (longest, count), each padded with -1 at its end."""
        steps, node = [], np.zeros(count, dtype=np.int64)
        alive = np.ones(count, dtype=bool)
        while alive.any():
            symbol = (random.random((count, 1)) >= self._limits[node]).sum(axis=1)
            steps.append(np.where(alive, symbol, -1))
            node = np.where(alive, self.transitions[node, symbol], self.end)
            alive = node != self.end
        return np.stack(steps)

    def sequences(self, rows: np.ndarray) -> Sequences:
        """Return Sequences from rows (N, ...) of symbols, of which -1 is left out.

        Where words follow each other, the first symbol of a next word is put at each row's end.
        """
        rows = rows.reshape(len(rows), -1)
        if self.chained:
            rows = np.column_stack([rows, np.full(len(rows), self.first)])
        kept = rows >= 0
        lengths = kept.sum(axis=1)
        place = np.arange(lengths.max())[:, None]
        # The same places in time-first order: filled column by column, through the transpose.
        symbols = np.zeros((len(place), len(rows)), dtype=np.int64)
        symbols.T[(place < lengths).T] = rows[kept]
        # The last symbol is predicted, not read.
        mask = place[1:] < lengths
        nodes = self.follow(np.where(mask, symbols[:-1], -1))
        return Sequences(*map(torch.from_numpy, (symbols, nodes, mask)))

    def batch(self, count: int, random: np.random.Generator) -> Sequences:
        """Return `count` training sequences."""
        words = self.sample_words(self.words_per_sequence * count, random)
        return self.sequences(words.T.reshape(count, -1))

    def from_strings(self, texts: list[str]) -> Sequences:
        """Return the Sequences of given words: each text is one word, or several if chained."""
        rows = np.full((len(texts), max(map(len, texts))), -1)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = self.encode(text)
        return self.sequences(rows)

    def to_strings(self, sequences: Sequences) -> list[str]:
        """Return the words of each sequence: what `from_strings` makes it of."""
        spare = 1 if self.chained else 0
        columns = zip(sequences.symbols.T, sequences.mask.sum(dim=0).tolist(), strict=True)
        return [self.decode(column[: reads + 1 - spare]) for column, reads in columns]
