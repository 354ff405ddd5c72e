"""How well a network predicts a language: the assignment's loss, words right, generalisation.

A symbol is deterministic if its target probability is 1. A word is right if the network holds each
of its deterministic symbols, and the first symbol of the next word, most probable; the other
symbols count for the loss only.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import Tensor

from recurrent.language import WORDS, Language, Sequences

# Number of sequences in an evaluation set: all sequences of five words for n = 1 .. 4.
EVALUATION_SIZE = 4**WORDS
# Number of fresh words that a network is tested on, and of consecutive ones in a sequence if words
# are chained: more than in training, so that no such sequence is one of the evaluation set.
FRESH_WORDS, FRESH_CHAIN = 1024, 16
# Highest n in tests of generalisation: of single words, and of pairs of words.
MAX_N_TESTED, MAX_N_TESTED_PAIRS = 100, 20


def evaluation_set(language: Language) -> Sequences:
    """Return the sequences on which a network is evaluated, the same in every run.

    All sequences of five words, 1,024 for n = 1 .. 4, of which the first quarter has each word
    equally often in each place. For a counting language with more: 1,024 of them, with equal word
    frequencies (+-1). For Reber's grammars: 1,024 random words.
    """
    random = np.random.default_rng(0)
    words = language.all_words
    if not words:
        return language.batch(EVALUATION_SIZE, random)
    if len(words) ** WORDS <= EVALUATION_SIZE:
        rows = product(range(len(words)), repeat=WORDS)
        rows = sorted(rows, key=lambda row: sum(row) % len(words))
    else:
        chosen = random.permutation(np.arange(EVALUATION_SIZE * WORDS) % len(words))
        rows = chosen.reshape(-1, WORDS)
    return language.from_strings(["".join(words[index] for index in row) for row in rows])


def fresh_words(language: Language) -> Sequences:
    """Return sequences of FRESH_WORDS words that are not in the evaluation set, or only by chance
    (Reber's grammars)."""
    words = FRESH_CHAIN if language.chained else 1
    return language.batch(FRESH_WORDS // words, np.random.default_rng(1), words)


@torch.no_grad()
def logits(net, sequences: Sequences) -> Tensor:
    """Return the network's logits (T, N, C) on sequences, on the CPU."""
    return net(sequences.symbols[:-1]).float().cpu()


def wrong_mask(language: Language, sequences: Sequences, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return two masks (T, N) of predictions: of deterministic symbols, and the wrong among them.

    logits: (T, N, C). Diverged weights give nan, which is wrong.
    """
    asked = torch.from_numpy(language.deterministic)[sequences.nodes] & sequences.mask
    chosen = logits.argmax(dim=-1).masked_fill(logits.isnan().any(dim=-1), -1)
    return asked, asked & (chosen != sequences.symbols[1:])


def evaluate(net, language: Language, sequences: Sequences) -> dict:
    """Return a network's record on sequences.

    loss: mean squared difference between predicted and "true" probabilities, over all steps and
    symbols. correct: number of correct predictions among the `total` deterministic symbols.
    """
    output = logits(net, sequences)
    target = torch.from_numpy(language.target_probs).float()[sequences.nodes]
    loss = (output.softmax(dim=-1) - target).square().mean(dim=-1)[sequences.mask].mean()
    asked, wrong = wrong_mask(language, sequences, output)
    total = int(asked.sum())
    return {"loss": loss.item(), "correct": total - int(wrong.sum()), "total": total}


def reference_loss(language: Language, sequences: Sequences) -> float:
    """Return the loss of an optimal predictor, which predicts the sampling probabilities.

    It is not 0 for counting languages, because the assignment's "true" probabilities after an A,
    0.8 and 0.2, are not the sampling probabilities: n is uniform on 1 .. 4, so the probability of
    a B after 1, 2, 3 and 4 A's is 1/4, 1/3, 1/2 and 1. It is 0.0294 for anb2n and 0.0098 for
    anb2nc3n, and not a lower bound: a network with a lower loss has a higher cross-entropy.
    """
    squared_error = ((language.sampling_probs - language.target_probs) ** 2).mean(axis=1)
    return float(squared_error[sequences.nodes[sequences.mask].numpy()].mean())


def loss_threshold(language: Language, sequences: Sequences) -> float:
    """Return the loss below which training is successful."""
    return language.loss_threshold or reference_loss(language, sequences) + 0.01


# Words


def word_numbers(language: Language, sequences: Sequences) -> tuple[np.ndarray, int]:
    """Return the number (T, N) of each step's word within its sequence, and the count of words."""
    ends = ((sequences.nodes == language.end) & sequences.mask).numpy()
    # Unless words are chained, a sequence is one, whose last symbol is predicted, but not read.
    count = int(ends.sum()) if language.chained else sequences.count
    return ends.cumsum(axis=0) - ends, count


def wrong_words(net, language: Language, sequences: Sequences) -> dict:
    """Return a network's record on the words of sequences.

    words: their number; wrong: how many are not right. For the shortest wrong word: shortest; read,
    the part of it that was read before its first wrong prediction; predicted and expected, symbols.
    """
    output = logits(net, sequences)
    _, wrong = wrong_mask(language, sequences, output)
    number, count = word_numbers(language, sequences)
    failed = {}
    for step, row in wrong.nonzero().tolist():
        failed.setdefault((row, number[step, row]), step)
    record = {"words": count, "wrong": len(failed)}
    if failed:
        found = []
        for (row, word), step in failed.items():
            steps = np.flatnonzero((number[:, row] == word) & sequences.mask[:, row].numpy())
            first, last = int(steps[0]), int(steps[-1]) + (0 if language.chained else 1)
            found.append((last - first, first, last, row, step))
        _, first, last, row, step = min(found)
        text = language.decode(sequences.symbols[first : last + 1, row])
        record |= {
            "shortest": text,
            "read": text[: step + 1 - first],
            "predicted": language.symbols[int(output[step, row].argmax())],
            "expected": language.symbols[int(sequences.symbols[step + 1, row])],
        }
    return record


def right(net, language: Language, texts: list[str]) -> np.ndarray:
    """Return (N,) bool: whether each text, a word or several consecutive ones, is right."""
    sequences = language.from_strings(texts)
    return ~wrong_mask(language, sequences, logits(net, sequences))[1].any(dim=0).numpy()


def max_exact_n(net, language: Language, limit: int = MAX_N_TESTED) -> tuple[int, int]:
    """Return the highest n up to which a network is right on single words, and on pairs of words.

    The limits are `limit` and MAX_N_TESTED_PAIRS. language: a counting language.
    """
    language = language.with_max_n(limit)
    words = language.all_words
    single = _count_leading_true(right(net, language, list(words)))
    if not single:
        return 0, 0
    size = min(single, MAX_N_TESTED_PAIRS)
    pairs = right(net, language, ["".join(pair) for pair in product(words[:size], repeat=2)])
    pairs = pairs.reshape(size, size)
    exact_up_to = np.array([pairs[:n, :n].all() for n in range(1, size + 1)], dtype=bool)
    return single, _count_leading_true(exact_up_to)


def _count_leading_true(flags: np.ndarray) -> int:
    """Return the number of True values before the first False."""
    return int(np.logical_and.accumulate(flags).sum())


def remembered(net, language: Language, sequences: Sequences) -> dict:
    """Return on how many words of embedded Reber the second-to-last symbol, which repeats the
    second one, is predicted: {"correct": ..., "total": ...}."""
    output = logits(net, sequences)
    last = sequences.mask.sum(dim=0) - 2
    column = torch.arange(sequences.count)
    correct = output[last, column].argmax(dim=-1) == sequences.symbols[last + 1, column]
    return {"correct": int(correct.sum()), "total": sequences.count}


def likeliest_mistake(net, language: Language, sequences: Sequences) -> dict:
    """Return the highest probability of a symbol that cannot follow, and the lowest of one that
    can, on sequences; with the symbol, and the name of the language's state before it."""
    probs = logits(net, sequences).softmax(dim=-1).numpy()[sequences.mask.numpy()]
    nodes = sequences.nodes[sequences.mask].numpy()
    possible, record = language.sampling_probs[nodes] > 0, {}
    for key, values in (("impossible", np.where(possible, -1, probs)),
                        ("possible", np.where(possible, -probs, -2))):  # fmt: skip
        step, symbol = np.unravel_index(values.argmax(), values.shape)
        record[key] = {
            "probability": float(probs[step, symbol]),
            "symbol": language.symbols[symbol],
            "state": language.machine.names[nodes[step]],
        }
    return record
