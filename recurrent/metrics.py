"""How well a network predicts a language: the assignment's loss, exactness, and how far it reaches.

A prediction is exact when at every step whose next symbol is certain, that symbol has the highest
output. Nothing is asked of the other steps; the loss looks at them too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from recurrent.language import WORDS, Language, Sequences

# An evaluation set has so many sequences: for n = 1 .. 4, all there are of five words.
EVALUATION = 4**WORDS


@dataclass(frozen=True)
class Score:
    """loss: the mean squared difference between output and "true" probabilities, over all steps
    and symbols; right: how many of the `asked` certain symbols are predicted."""

    loss: float
    right: int
    asked: int

    @property
    def exact(self) -> bool:
        return self.right == self.asked


def evaluation_set(language: Language) -> Sequences:
    """The fixed sequences (T, 1024) on which a network is judged: the same in every run.

    Every sequence of five words where there are 1,024 of them (n = 1 .. 4); for other counting
    languages 1,024 in which all words come (nearly) equally often; else 1,024 drawn ones.
    """
    random = np.random.default_rng(0)
    words = language.listed
    if not words:
        return language.batch(EVALUATION, random)
    if len(words) ** WORDS <= EVALUATION:
        rows = product(words, repeat=WORDS)
    else:
        chosen = random.permutation(np.arange(EVALUATION * WORDS) % len(words))
        rows = ([words[index] for index in row] for row in chosen.reshape(-1, WORDS))
    return language.spelled(["".join(row) for row in rows])


@torch.no_grad()
def outputs(net, sequences: Sequences) -> Tensor:
    """The network's outputs (T, N, C) on sequences, before the softmax, on the CPU."""
    return net(sequences.symbols[:-1]).output.float().cpu()


def rightness(language: Language, sequences: Sequences, output: Tensor) -> tuple[Tensor, Tensor]:
    """(T, N) bool twice: which steps ask for a certain symbol, and which of those have it right."""
    asked = torch.from_numpy(language.deterministic)[sequences.nodes] & sequences.mask
    return asked, asked & (output.argmax(dim=-1) == sequences.symbols[1:])


def score(net, language: Language, sequences: Sequences) -> Score:
    """The Score of a network on sequences."""
    output = outputs(net, sequences)
    target = torch.from_numpy(language.target).float()[sequences.nodes]
    squares = (output.softmax(dim=-1) - target).square().mean(dim=-1)
    asked, right = rightness(language, sequences, output)
    return Score(squares[sequences.mask].mean().item(), int(right.sum()), int(asked.sum()))


def loss_floor(language: Language, sequences: Sequences) -> float:
    """Return the loss of the best possible predictor on sequences: the true probabilities' own.

    It is not 0 for counting languages. The assignment's "true" probabilities after an A, 0.8 and
    0.2, are not those with which words are drawn: n is uniform, so that for n = 1 .. 4 a B has
    1/4, 1/3, 1/2 and 1 after so many A's. A network that knows them scores 0.0294 on anb2n and
    0.0098 on anb2nc3n; one with a lower loss knows less.
    """
    squares = ((language.chance - language.target) ** 2).mean(axis=1)
    return float(squares[sequences.nodes[sequences.mask].numpy()].mean())


def exact(net, language: Language, texts: list[str]) -> np.ndarray:
    """(N,) bool: the texts of which every certain symbol is predicted, the last's successor too."""
    sequences = language.spelled(texts)
    asked, right = rightness(language, sequences, outputs(net, sequences))
    return (asked == right).all(dim=0).numpy()


def reach(net, language: Language, limit: int = 20) -> tuple[int, int]:
    """How far a network counts: the highest n up to which every word of a counting language is
    predicted exactly alone, and up to which every pair is, one after the other. Tried are the n
    up to `limit`, however high the n that the language draws."""
    language = language.with_length(limit)
    words = language.listed
    alone = _leading(exact(net, language, list(words)))
    if not alone:
        return 0, 0
    pairs = exact(net, language, ["".join(pair) for pair in product(words[:alone], repeat=2)])
    pairs = pairs.reshape(alone, alone)
    together = _leading(np.array([pairs[: n + 1, : n + 1].all() for n in range(alone)], dtype=bool))
    return alone, together


def _leading(flags: np.ndarray) -> int:
    """How many flags are True before the first False."""
    return int(np.logical_and.accumulate(flags).sum())


def remembered(net, language: Language, count: int = 10_000) -> float:
    """The share of `count` fresh words of a long-range language (embedded Reber) whose last symbol
    but one is predicted."""
    words = language.draw_words(count, np.random.default_rng(1))
    sequences = language.sequences(words.T)
    output = outputs(net, sequences)
    # The network predicts a word's last symbol but one from the one before, the third from its end.
    place, column = sequences.mask.sum(dim=0) - 3, torch.arange(count)
    chosen = output[place, column].argmax(dim=-1)
    return float((chosen == sequences.symbols[place + 1, column]).float().mean())
