"""Loss, words right and generalisation of networks whose behaviour is known by construction."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch

from recurrent import metrics
from recurrent.language import WORDS
from recurrent.task import make_language
from seq_models import SRN

AN_B2N, REBER = make_language("anb2n"), make_language("reber")
EMBEDDED = make_language("reber", embed=True)
A, B = torch.tensor([[9.0, 0.0], [0.0, 9.0]])
ALWAYS_B = torch.eye(7)[0]


class Oracle:
    """An optimal predictor, which predicts the sampling probabilities. `change` alters its logits,
    of the nodes (T, N) that the symbols have led to."""

    def __init__(self, language, change=lambda nodes, logits: logits):
        self.language, self.change = language, change

    def __call__(self, symbols):
        nodes = torch.from_numpy(self.language.machine.follow(symbols.numpy()))
        return self.change(nodes, torch.from_numpy(self.language.sampling_probs)[nodes].log())


def faulty(language, name: str, logits) -> Oracle:
    """Return an Oracle with these logits (C,) at the state of this name."""
    state = language.machine.names.index(name)

    def change(nodes, others):
        return torch.where((nodes == state)[..., None], torch.as_tensor(logits).to(others), others)

    return Oracle(language, change)


# Loss


def test_the_loss_is_the_mean_squared_difference_of_probabilities():
    """Against a loop over texts of different lengths, so that padding would be noticed."""
    torch.manual_seed(0)
    net, texts = SRN(2, 3, init=1.0, identity=False), ["AABBBBABB", "ABB", "AAAABBBBBBBB"]
    squares, correct, total = [], 0, 0
    for text in texts:
        sequence = torch.from_numpy(AN_B2N.encode(text))[:, None]
        probabilities = net(sequence)[:, 0].softmax(dim=1).detach().numpy()
        for letter, following, found in zip(text, text[1:] + "A", probabilities, strict=True):
            # "B" or "A" follows with certainty, unless an A has just been read.
            true = (0.8, 0.2) if letter == "A" else (following == "A", following == "B")
            squares += [*(found - np.array(true, float)) ** 2]
            total += letter == "B"
            correct += letter == "B" and "AB"[found.argmax()] == following
    found = metrics.evaluate(net, AN_B2N, AN_B2N.from_strings(texts))
    loss = pytest.approx(np.mean(squares), abs=1e-6)
    assert found == {"loss": loss, "correct": correct, "total": total}
    assert 0 < correct < total


@pytest.mark.parametrize(
    ("language", "loss", "threshold"),
    [
        (AN_B2N, 0.0294, 0.05),
        (make_language("anb2nc3n"), 0.0098, 0.02),
        # Not of the assignment: just above the reference.
        (make_language("anbn", 7), 0.0163, 0.0263),
        (EMBEDDED, 0, 0.01),
    ],
)
def test_the_reference_loss_is_that_of_an_optimal_predictor(language, loss, threshold):
    sequences = metrics.evaluation_set(language)
    found = metrics.evaluate(Oracle(language), language, sequences)
    assert found["loss"] == pytest.approx(metrics.reference_loss(language, sequences), abs=1e-6)
    assert found["loss"] == pytest.approx(loss, abs=5e-5)
    assert found["correct"] == found["total"] > 1000
    assert metrics.loss_threshold(language, sequences) == pytest.approx(threshold, abs=5e-5)


def test_predictions_of_nan_are_wrong():
    net = faulty(AN_B2N, "B1", [0, np.nan])
    found = metrics.evaluate(net, AN_B2N, AN_B2N.from_strings(["ABB"]))
    assert [*found.values()] == pytest.approx([np.nan, 1, 2], nan_ok=True)


# Evaluation sets


@pytest.mark.parametrize("max_n", [4, 9])
def test_evaluation_sets_are_balanced_and_have_no_fresh_sequence(max_n):
    language = make_language("anb2n", max_n)
    evaluation, again, fresh = (
        [[len(run) for run in text.replace("B", " ").split()] for text in language.to_strings(x)]
        for make in (metrics.evaluation_set, metrics.evaluation_set, metrics.fresh_words)
        for x in [make(language)]
    )
    assert evaluation == again
    counts = Counter(n for row in evaluation for n in row)
    assert set(counts) == {*range(1, max_n + 1)}
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {*map(len, evaluation)} == {WORDS}
    # Fresh sequences have more words than those of training.
    assert {*map(len, fresh)} == {16}
    assert len(fresh) == 64
    if max_n == 4:
        assert sorted(evaluation) == [*map(list, product((1, 2, 3, 4), repeat=WORDS))]
        # In the first quarter each word is as frequent in each place.
        for place in zip(*evaluation[:256], strict=True):
            assert Counter(place) == {1: 64, 2: 64, 3: 64, 4: 64}


# Words


@pytest.mark.parametrize(
    ("language", "texts", "state", "logits", "expected"),
    [
        # B3: three B's are left, in words with n = 2 or more. After an A nothing is certain.
        (AN_B2N, "ABBAAABBBBBB AABBBBAAABBBBBB ABB", "B3", A, (5, 3, "AABBBB", "AAB", "A", "B")),
        (AN_B2N, "ABBAAABBBBBB ABB", "start", B, (3, 3, "ABB", "ABB", "B", "A")),
        (AN_B2N, "ABBAAABBBBBB ABB", "A1", A, (3, 0)),
        # The last symbol is only predicted.
        (REBER, "BTXSE BPVVE", "4", ALWAYS_B, (2, 2, "BTXSE", "BTXS", "B", "E")),
    ],
)
def test_the_shortest_wrong_word_and_its_first_wrong_symbol(
    language, texts, state, logits, expected
):
    net = faulty(language, state, logits)
    found = metrics.wrong_words(net, language, language.from_strings(texts.split()))
    assert tuple(found.values()) == expected


@pytest.mark.parametrize(("state", "correct"), [("T?", 2), ("P?", 1)])
def test_remembered_is_the_second_to_last_symbol(state, correct):
    sequences = EMBEDDED.from_strings(["BTBTXSETE", "BPBPVVEPE", "BPBTSXSEPE"])
    for net, number in ((Oracle(EMBEDDED), 3), (faulty(EMBEDDED, state, ALWAYS_B), correct)):
        found = metrics.remembered(net, EMBEDDED, sequences)
        assert found == {"correct": number, "total": 3}


# Generalisation


def test_exact_up_to_an_n():
    """A network that knows the words up to n = 4, but not one of n > 2 after one of n <= 2."""
    b5 = AN_B2N.machine.names.index("B5")

    def change(nodes, logits):
        second = (nodes == 0).cumsum(dim=0) > 0
        after_long = ((nodes == b5) & ~second).any(dim=0)
        wrong = (nodes < 0) | (nodes == b5) & second & ~after_long
        return torch.where(wrong[..., None], A, logits)

    assert metrics.max_exact_n(Oracle(AN_B2N, change), AN_B2N, limit=8) == (4, 2)
