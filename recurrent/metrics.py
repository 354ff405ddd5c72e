"""How well a network predicts a language: the assignment's loss, exactness, and generalisation.

A symbol is deterministic where no other can follow. A prediction is exact when at every such step
that symbol has the highest probability. The other steps count for the loss only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from recurrent.language import WORDS, Language, Sequences

# Sequences of an evaluation set: for n = 1 .. 4, all there are of five words.
EVALUATION = 4**WORDS
# How far a network's counting is tried, in single words and in pairs.
MAX_N_TRIED, MAX_N_TRIED_PAIRS = 100, 20


@dataclass(frozen=True)
class Score:
    """loss: the mean squared difference between output and "true" probabilities, over all steps
    and symbols; correct: how many of the `total` deterministic symbols are predicted."""

    loss: float
    correct: int
    total: int

    @property
    def exact(self) -> bool:
        return self.correct == self.total

    def __str__(self) -> str:
        return f"{self.correct}/{self.total} correct, squared error {self.loss:.4f}"


def evaluation_set(language: Language) -> Sequences:
    """Return the fixed sequences (T, 1024) on which a network is evaluated: the same in every run.

    Every sequence of five words where there are 1,024 of them (n = 1 .. 4). For other counting
    languages 1,024 in which all words come (nearly) equally often; else 1,024 random ones.
    """
    random = np.random.default_rng(0)
    words = language.all_words
    if not words:
        return language.batch(EVALUATION, random)
    if len(words) ** WORDS <= EVALUATION:
        rows = product(range(len(words)), repeat=WORDS)
    else:
        chosen = random.permutation(np.arange(EVALUATION * WORDS) % len(words))
        rows = chosen.reshape(-1, WORDS)
    return language.from_strings(["".join(words[index] for index in row) for row in rows])


@torch.no_grad()
def logits(net, sequences: Sequences) -> Tensor:
    """Return the network's logits (T, N, C) on sequences, on the CPU."""
    return net(sequences.symbols[:-1]).logits.float().cpu()


def correct_mask(language: Language, sequences: Sequences, output: Tensor) -> tuple[Tensor, Tensor]:
    """Return (T, N) bool twice: which steps are deterministic, and which of those are correct."""
    deterministic = torch.from_numpy(language.deterministic)[sequences.nodes] & sequences.mask
    return deterministic, deterministic & (output.argmax(dim=-1) == sequences.symbols[1:])


class Evaluation:
    """Sequences as the tree of their P distinct beginnings, each of which a network reads once.

    The sequences of anb2nc3n have 76,800 steps, but 18,414 beginnings.

    scored: (T, N) bool, the steps that count; all, if not given.
    """

    def __init__(self, language: Language, sequences: Sequences, scored: Tensor | None = None):
        scored = sequences.mask if scored is None else scored
        # At each step, of each distinct beginning: its last symbol and its place a step before.
        self._steps, nodes, weights = [], [], []
        place = np.zeros(sequences.count, dtype=np.int64)
        parts = (sequences.symbols[:-1], sequences.nodes, sequences.mask, scored)
        for symbol, node, mask, counts in zip(*(part.numpy() for part in parts), strict=True):
            pairs = np.stack([place[mask], symbol[mask]])
            (parent, last), first, place[mask] = np.unique(
                pairs, axis=1, return_index=True, return_inverse=True
            )
            self._steps.append((torch.from_numpy(last), torch.from_numpy(parent)))
            nodes.append(node[mask][first])
            weights.append(np.bincount(place[mask], counts[mask], len(first)))
        nodes = np.concatenate(nodes)
        self._target = torch.from_numpy(language.target_probs[nodes]).float()
        self._deterministic = torch.from_numpy(language.deterministic[nodes])
        # How many sequences begin so, each of which counts.
        self._weights = torch.from_numpy(np.concatenate(weights))

    @torch.no_grad()
    def score(self, net) -> Score:
        """Return the Score of a network on the sequences."""
        state, hidden = net.initial_state(1), []
        for symbol, parent in self._steps:
            state = net.step(symbol, tuple(part[parent] for part in state))
            hidden.append(state[0])
        output = net.read_out(torch.cat(hidden)).float().cpu()
        squares = (output.softmax(dim=-1) - self._target).square().mean(dim=-1)
        loss = (squares * self._weights).sum() / self._weights.sum()
        right = output.argmax(dim=-1) == self._target.argmax(dim=-1)
        correct, total = (
            int(self._weights[steps].sum())
            for steps in (self._deterministic & right, self._deterministic)
        )
        return Score(loss.item(), correct, total)


def loss_floor(language: Language, sequences: Sequences) -> float:
    """Return the loss of the best possible predictor on sequences: the true probabilities' own.

    It is not 0 for counting languages. The assignment's "true" probabilities after an A, 0.8 and
    0.2, are not those with which words are sampled: n is uniform, so that for n = 1 .. 4 a B has
    1/4, 1/3, 1/2 and 1 after as many A's. A network that knows them scores 0.0294 on anb2n and
    0.0098 on anb2nc3n; one with a lower loss knows less.
    """
    squares = ((language.sampling_probs - language.target_probs) ** 2).mean(axis=1)
    return float(squares[sequences.nodes[sequences.mask].numpy()].mean())


def exact(net, language: Language, texts: list[str]) -> np.ndarray:
    """Return (N,) bool: the texts of which every deterministic symbol is predicted, the next word's
    first symbol too."""
    sequences = language.from_strings(texts)
    deterministic, correct = correct_mask(language, sequences, logits(net, sequences))
    return (deterministic == correct).all(dim=0).numpy()


def max_exact_n(net, language: Language, limit: int = MAX_N_TRIED) -> tuple[int, int]:
    """Return how far a network counts: the highest n, up to `limit`, up to which every word of a
    counting language is predicted exactly alone, and the highest n, up to MAX_N_TRIED_PAIRS, up to which
    every pair of words is."""
    language = language.with_max_n(limit)
    words = language.all_words
    reach = _leading(exact(net, language, list(words)))
    if not reach:
        return 0, 0
    alone = min(reach, MAX_N_TRIED_PAIRS)
    pairs = exact(net, language, ["".join(pair) for pair in product(words[:alone], repeat=2)])
    pairs = pairs.reshape(alone, alone)
    together = _leading(np.array([pairs[: n + 1, : n + 1].all() for n in range(alone)], dtype=bool))
    return reach, together


def _leading(flags: np.ndarray) -> int:
    """Return how many flags are True before the first False."""
    return int(np.logical_and.accumulate(flags).sum())


def long_range_score(net, language: Language, count: int = 10_000) -> Score:
    """Return the Score on one symbol of `count` fresh words of a long-range language (embedded
    Reber): the last but one, which repeats the second."""
    sequences = language.batch(count, np.random.default_rng(1))
    # A word's last symbol but one is predicted at the last step but one.
    place = torch.arange(len(sequences.mask))[:, None] == sequences.mask.sum(dim=0) - 2
    return Evaluation(language, sequences, place).score(net)
