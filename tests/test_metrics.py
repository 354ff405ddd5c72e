"""Loss, words right and generalisation of networks whose behaviour is known by construction."""

from collections import Counter

import numpy as np
import pytest
import torch

from recurrent import metrics
from recurrent.task import make_language
from seq_models import SRN

AN_B2N, REBER = make_language("anb2n"), make_language("reber")
ALWAYS_A, ALWAYS_B = torch.eye(2)[0], torch.eye(7)[0]


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
    ("name", "max_n", "loss", "threshold"),
    # The last is not of the assignment: the threshold is just above the reference.
    [("anb2n", 4, 0.0294, 0.05), ("anb2nc3n", 4, 0.0098, 0.02), ("anbn", 7, 0.0163, 0.0263)],
)
def test_the_reference_loss_is_that_of_an_optimal_predictor(name, max_n, loss, threshold):
    language = make_language(name, max_n)
    sequences = metrics.evaluation_set(language)
    found = metrics.evaluate(Oracle(language), language, sequences)
    assert found["loss"] == pytest.approx(metrics.reference_loss(language, sequences), abs=1e-6)
    assert found["loss"] == pytest.approx(loss, abs=5e-5)
    assert found["correct"] == found["total"] > 1000
    assert metrics.loss_threshold(language, sequences) == pytest.approx(threshold, abs=5e-5)


# Words


def test_each_word_is_as_frequent_in_each_place_of_the_evaluation_set_and_its_first_quarter():
    texts = AN_B2N.to_strings(metrics.evaluation_set(AN_B2N))
    rows = [[len(run) for run in text.replace("B", " ").split()] for text in texts]
    assert len({*map(tuple, rows)}) == 4**5
    for place in zip(*rows[:256], strict=True):
        assert Counter(place) == {1: 64, 2: 64, 3: 64, 4: 64}


def test_the_shortest_wrong_word_and_its_first_wrong_symbol():
    # B3: three B's are left, in words with n = 2 or more.
    net = faulty(AN_B2N, "B3", ALWAYS_A)
    sequences = AN_B2N.from_strings(["ABBAAABBBBBB", "AABBBBAAABBBBBB", "ABB"])
    found = metrics.wrong_words(net, AN_B2N, sequences)
    assert tuple(found.values()) == (5, 3, "AABBBB", "AAB", "A", "B")
    # The last symbol of Reber's words is only predicted.
    net, sequences = faulty(REBER, "4", ALWAYS_B), REBER.from_strings(["BTXSE", "BPVVE"])
    found = metrics.wrong_words(net, REBER, sequences)
    assert tuple(found.values()) == (2, 2, "BTXSE", "BTXS", "B", "E")


def test_remembered_is_the_second_to_last_symbol():
    language = make_language("reber", embed=True)
    sequences = language.from_strings(["BTBTXSETE", "BPBPVVEPE", "BPBTSXSEPE"])
    for net, correct in ((Oracle(language), 3), (faulty(language, "P?", ALWAYS_B), 1)):
        found = metrics.remembered(net, language, sequences)
        assert found == {"correct": correct, "total": 3}


# Generalisation


def test_exact_up_to_an_n():
    """A network that knows the words up to n = 4, but not one of n > 2 after one of n <= 2."""
    b5 = AN_B2N.machine.names.index("B5")

    def change(nodes, logits):
        second = (nodes == 0).cumsum(dim=0) > 0
        after_long = ((nodes == b5) & ~second).any(dim=0)
        wrong = (nodes < 0) | (nodes == b5) & second & ~after_long
        return torch.where(wrong[..., None], ALWAYS_A.to(logits), logits)

    assert metrics.max_exact_n(Oracle(AN_B2N, change), AN_B2N, limit=8) == (4, 2)
