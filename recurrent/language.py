"""Languages whose next symbol a network has to predict, as automata that draw their own words.

A language is a graph. Node 0 stands between two words; every symbol of a word leads from one node
to the next, and the word is over when node 0 is reached again. What a network is asked at a node
(which symbols can follow, and how probable they are) is read off the node. anb2n.py and reber.py
make the languages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# A training sequence is so many words, and the first symbol of the next.
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
        """The sequences from `start` to before `stop`, padded no longer than they need."""
        mask = self.mask[:, start:stop]
        longest = int(mask.sum(dim=0).max())
        return Sequences(
            self.symbols[: longest + 1, start:stop],
            self.nodes[:longest, start:stop],
            mask[:longest],
        )

    def to(self, device: torch.device) -> Sequences:
        return Sequences(*(tensor.to(device) for tensor in self))


def walk(transitions: np.ndarray, symbols: np.ndarray, start: int = 0) -> np.ndarray:
    """Return the nodes (T, ...) to which symbols (T, ...) lead from `start`, -1 once none does.

    transitions: (N, C), the node to which each symbol leads from each node, -1 where to none. A
    symbol of -1 is padding, and stays where it is.
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
    length:  the highest n of a counting language, the minimum length of a Reber word.
    next:    (N, C) int64, the node to which each symbol leads, -1 where it cannot follow.
    chance:  (N, C) float64, with which probability each symbol is drawn there.
    target:  (N, C) float64, the "true" probabilities that the printed loss compares with.
    number:  (N,) float64, the state number that colours a node in pictures.
    labels:  (N,) str, what pictures and tables call a node.
    places:  (N, 2) float64, where a diagram draws it; nodes that mean the same share their place.
    bar:     the printed loss below which a network counts as successful.
    times:   how many times n each letter of a counting language comes: (1, 2, 3) for anb2nc3n;
        None for any other language.
    long_range: whether the last symbol but one of every word repeats the second.
    with_length: makes the same language for another length.
    """

    name: str
    symbols: str
    length: int
    next: np.ndarray
    chance: np.ndarray
    target: np.ndarray
    number: np.ndarray
    labels: tuple[str, ...]
    places: np.ndarray
    bar: float
    times: tuple[int, ...] | None = None
    long_range: bool = False
    with_length: Callable[[int], Language] | None = None

    def __repr__(self) -> str:
        return f"Language({self.name!r}, {len(self.next)} nodes, length {self.length})"

    @property
    def classes(self) -> int:
        return len(self.symbols)

    @property
    def first(self) -> int:
        """The symbol with which every word begins."""
        (symbol,) = np.flatnonzero(self.next[0] >= 0)
        return int(symbol)

    @cached_property
    def deterministic(self) -> np.ndarray:
        """(N,) bool: where the next symbol is certain, so that it can be asked for."""
        return self.target.max(axis=1) == 1

    def spell(self, symbols) -> str:
        """Symbol numbers as letters."""
        return "".join(self.symbols[int(symbol)] for symbol in symbols)

    def read(self, text: str) -> np.ndarray:
        """Letters as symbol numbers (T,); ValueError names a letter that is none of them."""
        foreign = sorted(set(text) - set(self.symbols))
        if foreign:
            raise ValueError(f"{foreign[0]!r} is none of the symbols {self.symbols}")
        return np.array([self.symbols.index(letter) for letter in text], dtype=np.int64)

    # Which words there are

    def word(self, n: int) -> str | None:
        """Return the word with n A's: AAABBBBBB for n = 3 of anb2n; None if nothing is counted.

        The word's i-th run is of the i-th symbol, so that `read(word(n))` numbers its runs too.
        """
        if self.times is None:
            return None
        runs = zip(self.symbols, self.times, strict=True)
        return "".join(letter * (factor * n) for letter, factor in runs)

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """All words that are drawn, where they are few (a counting language's), else none."""
        return tuple(self.word(n) for n in range(1, self.length + 1)) if self.times else ()

    def follow(self, symbols: np.ndarray) -> np.ndarray:
        """The nodes (T, ...) to which symbols (T, ...) lead from node 0; -1 once one cannot follow.

        A symbol of -1 is padding, and stays where it is.
        """
        return walk(self.next, symbols)

    def is_word(self, text: str) -> bool:
        """Whether `text` is one word of the language."""
        if not text or set(text) - set(self.symbols):
            return False
        nodes = self.follow(self.read(text))
        return bool(nodes[-1] == 0 and (nodes[:-1] > 0).all())

    def words(self, longest: int) -> list[str]:
        """All words of at most `longest` symbols, the shortest first."""
        found, open_words = [], [("", 0)]
        while open_words:
            grown = [
                (text + self.symbols[symbol], int(self.next[node, symbol]))
                for text, node in open_words
                for symbol in np.flatnonzero(self.next[node] >= 0)
            ]
            found += [text for text, node in grown if node == 0]
            open_words = [(text, node) for text, node in grown if node and len(text) < longest]
        return found

    # How they are drawn

    @cached_property
    def _limits(self) -> np.ndarray:
        """(N, C - 1): a random number from 0 to 1 chooses a node's symbol by these limits."""
        limits = self.chance.cumsum(axis=1)
        # Rounding must not leave a gap below 1, into which no symbol would fall.
        limits[limits > 1 - 1e-12] = 1
        return limits[:, :-1]

    def draw_words(self, count: int, random: np.random.Generator) -> np.ndarray:
        """`count` words as symbols (longest, count), each padded with -1 at its end."""
        steps, node = [], np.zeros(count, dtype=np.int64)
        alive = np.ones(count, dtype=bool)
        while alive.any():
            symbol = (random.random((count, 1)) >= self._limits[node]).sum(axis=1)
            steps.append(np.where(alive, symbol, -1))
            node = np.where(alive, self.next[node, symbol], 0)
            alive = node > 0
        return np.stack(steps)

    def sequences(self, rows: np.ndarray) -> Sequences:
        """Sequences from rows (N, ...) of symbols, of which -1 is left out, each with the first
        symbol of a next word at its end."""
        rows = rows.reshape(len(rows), -1)
        kept = rows >= 0
        lengths = kept.sum(axis=1)
        place = np.arange(lengths.max() + 1)[:, None]
        # The same places in time-first order: filled column by column, through the transpose.
        symbols = np.zeros((len(place), len(rows)), dtype=np.int64)
        symbols.T[(place < lengths).T] = rows[kept]
        symbols[lengths, np.arange(len(rows))] = self.first
        mask = place[:-1] < lengths
        nodes = self.follow(np.where(mask, symbols[:-1], -1))
        return Sequences(*map(torch.from_numpy, (symbols, nodes, mask)))

    def batch(self, count: int, random: np.random.Generator) -> Sequences:
        """`count` training sequences, each of five words and the first symbol of a next."""
        words = self.draw_words(WORDS * count, random)
        return self.sequences(words.T.reshape(count, -1))

    def sequence(self, random: np.random.Generator) -> Sequences:
        """One training sequence."""
        return self.batch(1, random)

    def spelled(self, texts: list[str]) -> Sequences:
        """Sequences (one for each text) of given letters and the first symbol of a next word."""
        rows = np.full((len(texts), max(map(len, texts))), -1)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = self.read(text)
        return self.sequences(rows)
