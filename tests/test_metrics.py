"""Loss, words right and generalisation of networks whose behaviour is known by construction."""

from itertools import product

import numpy as np
import pytest
import torch
from shared import counter_net

from recurrent import metrics
from recurrent.language import WORDS
from recurrent.task import make_language
from seq_models import SRN

A, B = torch.tensor([[9.0, 0.0], [0.0, 9.0]])


class Oracle:
    """An optimal predictor: it predicts `probs` of the language. `change` alters its logits, of
    the nodes (T, N) that the symbols have led to."""

    def __init__(self, language, change=lambda nodes, logits: logits, probs="sampling_probs"):
        self.language, self.change, self.probs = language, change, probs

    def __call__(self, symbols):
        nodes = torch.from_numpy(self.language.machine.follow(symbols.numpy()))
        return self.change(nodes, torch.from_numpy(getattr(self.language, self.probs))[nodes].log())


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
    language, net = make_language("anb2n"), SRN(2, 3, init=1.0, identity=False)
    texts = ["AABBBBABB", "ABB", "AAAABBBBBBBB"]
    squares, correct, total = [], 0, 0
    for text in texts:
        sequence = torch.from_numpy(language.encode(text))[:, None]
        probability = net(sequence)[:, 0].softmax(dim=1).detach().numpy()
        for place, letter in enumerate(text):
            # "B" or "A" follows with certainty, unless an A has just been read.
            following = (text + "A")[place + 1]
            true = (0.8, 0.2) if letter == "A" else (following == "A", following == "B")
            squares += [(probability[place, k] - true[k]) ** 2 for k in range(2)]
            if letter == "B":
                total += 1
                correct += "AB"[probability[place].argmax()] == following
    found = metrics.evaluate(net, language, language.from_strings(texts))
    assert found["loss"] == pytest.approx(np.mean(squares), abs=1e-6)
    assert (found["correct"], found["total"]) == (correct, total)
    assert 0 < correct < total


@pytest.mark.parametrize(
    ("name", "length", "embed", "reference"),
    [("anb2n", 0, 0, 0.0294), ("anb2nc3n", 0, 0, 0.0098), ("anbn", 7, 0, None), ("reber", 9, 1, 0)],
)
def test_the_reference_loss_is_that_of_an_optimal_predictor(name, length, embed, reference):
    language = make_language(name, length, bool(embed))
    sequences = metrics.evaluation_set(language)
    found = metrics.evaluate(Oracle(language), language, sequences)
    loss = metrics.reference_loss(language, sequences)
    assert found["loss"] == pytest.approx(loss, abs=1e-6)
    assert found["correct"] == found["total"] > 1000
    if reference is not None:
        assert loss == pytest.approx(reference, abs=5e-5)
    # The threshold is the assignment's, or just above.
    fixed = {"anb2n": 0.05, "anb2nc3n": 0.02, "reber": 0.01}.get(name, loss + 0.01)
    assert metrics.loss_threshold(language, sequences) == pytest.approx(fixed)
    perfect = Oracle(language, probs="target_probs")
    assert metrics.evaluate(perfect, language, sequences)["loss"] < 1e-12


def test_predictions_of_nan_are_wrong():
    language = make_language("anb2n")
    net = faulty(language, "B1", [np.nan, 0])
    found = metrics.evaluate(net, language, language.from_strings(["ABB"]))
    assert np.isnan(found["loss"])
    assert (found["correct"], found["total"]) == (1, 2)


# Evaluation sets


@pytest.mark.parametrize("name", ["anb2n", "anb2nc3n"])
def test_the_evaluation_set_is_every_sequence_of_five_words(name):
    language = make_language(name)
    sequences = metrics.evaluation_set(language)
    texts = language.to_strings(sequences)
    assert len(texts) == 1024
    assert set(texts) == {"".join(row) for row in product(language.all_words, repeat=WORDS)}
    # In the first quarter each word is as frequent in each place.
    counts = np.zeros((WORDS, 4), dtype=int)
    for text in language.to_strings(sequences.part(0, 256)):
        runs = [len(run) for run in text.replace("B", " ").replace("C", " ").split()]
        counts[np.arange(WORDS), np.array(runs) - 1] += 1
    assert (counts == 64).all()


def test_other_evaluation_sets_are_balanced_and_repeatable():
    language = make_language("anb2n", 9)
    texts = language.to_strings(metrics.evaluation_set(language))
    assert texts == language.to_strings(metrics.evaluation_set(language))
    runs = [len(run) for text in texts for run in text.replace("B", " ").split()]
    counts = np.bincount(runs)[1:]
    assert (len(texts), counts.sum()) == (1024, 1024 * WORDS)
    assert np.ptp(counts) <= 1
    assert metrics.evaluation_set(make_language("reber")).count == 1024
    # No fresh sequence is one of the evaluation set: each has 16 words.
    fresh = metrics.fresh_words(language)
    assert fresh.count * metrics.FRESH_CHAIN == metrics.FRESH_WORDS
    assert all(text.count("AB") == 16 for text in language.to_strings(fresh))


# Words


def test_the_shortest_wrong_word_and_its_first_wrong_symbol():
    language = make_language("anb2n")
    sequences = language.from_strings(["ABBAAABBBBBB", "AABBBBAAABBBBBB", "ABB"])
    assert metrics.wrong_words(Oracle(language), language, sequences) == {"words": 5, "wrong": 0}
    # B3 is the state with three B's left, which words with n = 2 or more pass.
    found = metrics.wrong_words(faulty(language, "B3", A), language, sequences)
    assert found == {
        "words": 5, "wrong": 3,
        "shortest": "AABBBB", "read": "AAB", "predicted": "A", "expected": "B",
    }  # fmt: skip
    # The first symbol of the next word belongs to the word before.
    found = metrics.wrong_words(faulty(language, "start", B), language, sequences)
    assert (found["wrong"], found["shortest"], found["read"]) == (5, "ABB", "ABB")
    assert found["expected"] == "A"
    # After an A nothing is certain.
    assert metrics.wrong_words(faulty(language, "A1", A), language, sequences)["wrong"] == 0
    right = metrics.right(faulty(language, "B3", A), language, ["ABB", "AABBBB", "ABBABB"])
    assert right.tolist() == [True, False, True]


def test_wrong_words_of_reber_end_with_a_symbol_that_is_only_predicted():
    language = make_language("reber")
    sequences = language.from_strings(["BTXSE", "BPVVE"])
    always_b = torch.eye(7)[0]
    found = metrics.wrong_words(faulty(language, "4", always_b), language, sequences)
    assert found == {
        "words": 2, "wrong": 2,
        "shortest": "BTXSE", "read": "BTXS", "predicted": "B", "expected": "E",
    }  # fmt: skip


@pytest.mark.parametrize("wrong_letter", ["T", "P"])
def test_remembered_is_the_second_to_last_symbol(wrong_letter):
    language = make_language("reber", embed=True)
    sequences = language.from_strings(["BTBTXSETE", "BPBPVVEPE", "BPBTSXSEPE"])
    whole = {"correct": 3, "total": 3}
    assert metrics.remembered(Oracle(language), language, sequences) == whole
    # Wrong where this letter is to be repeated.
    net = faulty(language, f"{wrong_letter}?", torch.eye(7)[0])
    correct = {"T": 2, "P": 1}[wrong_letter]
    assert metrics.remembered(net, language, sequences)["correct"] == correct


def test_the_likeliest_mistake():
    language = make_language("anbn", 2)
    net = faulty(language, "B1", np.log([0.3, 0.7]))
    found = metrics.likeliest_mistake(net, language, language.from_strings(["AABB", "AB"]))
    assert found == {
        "impossible": {"probability": pytest.approx(0.3), "symbol": "A", "state": "B1"},
        "possible": {"probability": pytest.approx(0.5), "symbol": "A", "state": "A1"},
    }


# Generalisation


def test_a_counter_is_exact_up_to_the_highest_n_tested():
    language = make_language("anb2n")
    assert metrics.max_exact_n(counter_net(), language) == (100, 20)
    assert metrics.max_exact_n(counter_net(stuck=True), language) == (0, 0)


@pytest.mark.parametrize("max_n", [1, 3, 6])
def test_a_network_that_knows_the_words_up_to_an_n(max_n):
    language = make_language("anb2n", max_n)

    def outside(nodes, logits):
        return torch.where((nodes < 0)[..., None], A, logits)

    assert metrics.max_exact_n(Oracle(language, outside), language, limit=8) == (max_n, max_n)


def test_pairs_of_words_may_be_right_for_fewer_n():
    language = make_language("anb2n", 8)

    def fails_in_the_second_word(nodes, logits):
        # After a word with n > 2, A is predicted instead of B.
        long_word = (nodes == 3).cumsum(dim=0) > 0
        second = (((nodes == 0) & long_word).cumsum(dim=0) > 0) & (nodes > 0)
        return torch.where(second[..., None], A, logits)

    net = Oracle(language, fails_in_the_second_word)
    assert metrics.max_exact_n(net, language, limit=5) == (5, 2)
