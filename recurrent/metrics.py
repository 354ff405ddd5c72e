"""How well a network predicts a language: the assignment's loss, exactness and generalisation.

A symbol is deterministic if its target probability is 1. A network is exact if it predicts every
deterministic symbol with the highest probability. The other symbols count for the loss only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from recurrent.language import WORDS, Language, Sequences

# Number of sequences in an evaluation set: all sequences of five words for n = 1 .. 4.
EVALUATION_SIZE = 4**WORDS
# Highest n in tests of generalisation: of single words, and of pairs of words.
MAX_N_TESTED, MAX_N_TESTED_PAIRS = 100, 20


@dataclass(frozen=True)
class Score:
    """Scores of a network on a set of sequences.

    loss: mean squared difference between predicted and "true" probabilities, over all steps and
    symbols. correct: number of correct predictions among the `total` deterministic symbols.
    """

    loss: float
    correct: int
    total: int

    @property
    def exact(self) -> bool:
        return self.correct == self.total

    def __str__(self) -> str:
        return f"{self.correct}/{self.total} correct, mean squared error {self.loss:.4f}"


def evaluation_set(language: Language) -> Sequences:
    """Return the sequences on which a network is evaluated, the same in every run.

    All sequences of five words, 1,024 for n = 1 .. 4. For a counting language with more: 1,024 of
    them, with equal word frequencies (+-1). For Reber's grammars: 1,024 random words.
    """
    random = np.random.default_rng(0)
    words = language.all_words
    if not words:
        return language.batch(EVALUATION_SIZE, random)
    if len(words) ** WORDS <= EVALUATION_SIZE:
        rows = product(range(len(words)), repeat=WORDS)
    else:
        chosen = random.permutation(np.arange(EVALUATION_SIZE * WORDS) % len(words))
        rows = chosen.reshape(-1, WORDS)
    return language.from_strings(["".join(words[index] for index in row) for row in rows])


@torch.no_grad()
def logits(net, sequences: Sequences) -> Tensor:
    """Return the network's logits (T, N, C) on sequences, on the CPU."""
    return net(sequences.symbols[:-1]).logits.float().cpu()


def correct_mask(language: Language, sequences: Sequences, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return two masks (T, N) of predictions: of deterministic symbols, and the correct among them.

    logits: (T, N, C).
    """
    deterministic = torch.from_numpy(language.deterministic)[sequences.nodes] & sequences.mask
    return deterministic, deterministic & (logits.argmax(dim=-1) == sequences.symbols[1:])


class Evaluation:
    """Sequences as a prefix tree: the network reads each of the P distinct prefixes only once.

    The evaluation set of anb2nc3n has 76,800 steps, but only 18,414 distinct prefixes.

    scored: (T, N) bool, the steps that count; default: all.
    """

    def __init__(self, language: Language, sequences: Sequences, scored: Tensor | None = None):
        scored = sequences.mask if scored is None else scored
        # For each step, its distinct prefixes: last symbol, and index of the parent prefix.
        self._steps, nodes, weights = [], [], []
        prefix = np.zeros(sequences.count, dtype=np.int64)
        parts = (sequences.symbols[:-1], sequences.nodes, sequences.mask, scored)
        for symbol, node, mask, counts in zip(*(part.numpy() for part in parts), strict=True):
            pairs = np.stack([prefix[mask], symbol[mask]])
            (parent, last), first, prefix[mask] = np.unique(
                pairs, axis=1, return_index=True, return_inverse=True
            )
            self._steps.append((torch.from_numpy(last), torch.from_numpy(parent)))
            nodes.append(node[mask][first])
            weights.append(np.bincount(prefix[mask], counts[mask], len(first)))
        nodes = np.concatenate(nodes)
        self._target = torch.from_numpy(language.target_probs[nodes]).float()
        self._deterministic = torch.from_numpy(language.deterministic[nodes])
        # (P,), the number of scored steps with each prefix.
        self._weights = torch.from_numpy(np.concatenate(weights))

    @torch.no_grad()
    def score(self, net) -> Score:
        """Return the Score of a network on the sequences."""
        state, hidden = net.initial_state(1), []
        for symbol, parent in self._steps:
            state = net.step(symbol, tuple(part[parent] for part in state))
            hidden.append(state[0])
        logits = net.read_out(torch.cat(hidden)).float().cpu()
        squared_error = (logits.softmax(dim=-1) - self._target).square().mean(dim=-1)
        loss = (squared_error * self._weights).sum() / self._weights.sum()
        correct = self._deterministic & (logits.argmax(dim=-1) == self._target.argmax(dim=-1))
        counts = (int(self._weights[mask].sum()) for mask in (correct, self._deterministic))
        return Score(loss.item(), *counts)


def reference_loss(language: Language, sequences: Sequences) -> float:
    """Return the loss of an optimal predictor, which predicts the sampling probabilities.

    It is not 0 for counting languages, because the assignment's "true" probabilities after an A,
    0.8 and 0.2, are not the sampling probabilities: n is uniform on 1 .. 4, so the probability of
    a B after 1, 2, 3 and 4 A's is 1/4, 1/3, 1/2 and 1. It is 0.0294 for anb2n and 0.0098 for
    anb2nc3n, and not a lower bound: a network with a lower loss has a higher cross-entropy.
    """
    squared_error = ((language.sampling_probs - language.target_probs) ** 2).mean(axis=1)
    return float(squared_error[sequences.nodes[sequences.mask].numpy()].mean())


def exact(net, language: Language, texts: list[str]) -> np.ndarray:
    """Return (N,) bool: whether every deterministic symbol of each text is predicted correctly.

    In a counting language this includes the first symbol of the word after the text.
    """
    sequences = language.from_strings(texts)
    deterministic, correct = correct_mask(language, sequences, logits(net, sequences))
    return (deterministic == correct).all(dim=0).numpy()


def max_exact_n(net, language: Language, limit: int = MAX_N_TESTED) -> tuple[int, int]:
    """Return the highest n up to which a network is exact on single words, and on pairs of words.

    The limits are `limit` and MAX_N_TESTED_PAIRS. language: a counting language.
    """
    language = language.with_max_n(limit)
    words = language.all_words
    single = _count_leading_true(exact(net, language, list(words)))
    if not single:
        return 0, 0
    size = min(single, MAX_N_TESTED_PAIRS)
    pairs = exact(net, language, ["".join(pair) for pair in product(words[:size], repeat=2)])
    pairs = pairs.reshape(size, size)
    exact_up_to = np.array([pairs[:n, :n].all() for n in range(1, size + 1)], dtype=bool)
    return single, _count_leading_true(exact_up_to)


def _count_leading_true(flags: np.ndarray) -> int:
    """Return the number of True values before the first False."""
    return int(np.logical_and.accumulate(flags).sum())


def long_range_score(net, language: Language, count: int = 10_000) -> Score:
    """Return the Score on the second-to-last symbols of `count` new words of embedded Reber.

    Such a symbol repeats the second one of its word.
    """
    sequences = language.batch(count, np.random.default_rng(1))
    # The second-to-last symbol is predicted at the second-to-last step.
    step = torch.arange(len(sequences.mask))[:, None]
    return Evaluation(language, sequences, step == sequences.mask.sum(dim=0) - 2).score(net)
