"""Loss, exactness and generalisation of networks whose behaviour is known by construction."""

from itertools import product

import numpy as np
import pytest
import torch

from recurrent import metrics
from recurrent.task import make_language
from seq_models import LSTM, SRN, Activations


class Oracle(torch.nn.Module):
    """An optimal predictor: it predicts the language's `probs`. `change` alters its logits."""

    def __init__(self, language, change=lambda nodes, logits: logits, probs="sampling_probs"):
        super().__init__()
        self.language, self.change, self.probs = language, change, probs
        self.V = torch.zeros(1)

    def forward(self, symbols, state=None):
        nodes = torch.from_numpy(self.language.follow(symbols.numpy()))
        return Activations(torch.zeros(0), None, self.read_out(nodes))

    def initial_state(self, count):
        return (torch.zeros(count, dtype=int),)

    def step(self, symbol, state):
        return (torch.from_numpy(self.language.transitions)[state[0], symbol],)

    def read_out(self, nodes):
        logits = torch.from_numpy(getattr(self.language, self.probs))[nodes].float().log()
        return self.change(nodes, logits)


@pytest.mark.parametrize("name", ["anb2n", "anb2nc3n", "anbncn"])
def test_an_optimal_predictor_is_exact_and_just_below_the_threshold(name):
    language = make_language(name)
    evaluation = metrics.Evaluation(language, metrics.evaluation_set(language))
    result = evaluation.score(Oracle(language))
    assert result.exact
    assert result.correct == result.total > 10_000
    assert 0.005 < result.loss < language.loss_threshold
    assert evaluation.score(Oracle(language, probs="target_probs")).loss < 1e-12


@pytest.mark.parametrize(
    ("name", "length", "expected"),
    [("anb2n", 0, 0.0294), ("anb2nc3n", 0, 0.0098), ("reber", 0, 0.0)],
)
def test_the_reference_loss_is_the_loss_of_an_optimal_predictor(name, length, expected):
    language = make_language(name, length)
    sequences = metrics.evaluation_set(language)
    assert metrics.reference_loss(language, sequences) == pytest.approx(expected, abs=5e-5)
    loss = metrics.Evaluation(language, sequences).score(Oracle(language)).loss
    assert metrics.reference_loss(language, sequences) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(("min_length", "embed"), [(10, False), (25, False), (20, True)])
def test_an_optimal_predictor_of_long_words_is_successful(min_length, embed):
    """With targets of 0.5 its loss at minimum length 10 would be 0.0121, above the threshold."""
    language = make_language("reber", min_length, embed)
    sequences = metrics.evaluation_set(language)
    result = metrics.Evaluation(language, sequences).score(Oracle(language))
    assert result.exact
    assert result.loss < 1e-6 < language.loss_threshold


def test_the_loss_is_the_mean_squared_difference_of_probabilities():
    torch.manual_seed(0)
    language, net = make_language("anb2n"), SRN(2, 3, init=1.0, identity=False)
    text = "AABBBBABB"
    with torch.no_grad():
        logits = net(language.from_strings([text]).symbols[:-1]).logits[:, 0].numpy()
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = [(0.8, 0.2), (0.8, 0.2), (0, 1), (0, 1), (0, 1), (1, 0), (0.8, 0.2), (0, 1), (1, 0)]
    result = metrics.Evaluation(language, language.from_strings([text])).score(net)
    assert result.loss == pytest.approx(((probability - np.array(true)) ** 2).mean(), abs=1e-6)
    # After an A the next symbol is not deterministic.
    deterministic = [2, 3, 4, 5, 7, 8]
    correct = (probability.argmax(axis=1) == np.array(true).argmax(axis=1))[deterministic].sum()
    assert (result.correct, result.total) == (correct, 6)


def test_padding_does_not_affect_the_score():
    torch.manual_seed(1)
    language, net = make_language("anb2nc3n"), SRN(3, 2, init=1.0)
    texts = ["ABBCCC", "AAABBBBBBCCCCCCCCC", "AABBBBCCCCCC"]
    together = metrics.Evaluation(language, language.from_strings(texts)).score(net)
    single = [
        metrics.Evaluation(language, language.from_strings([text])).score(net) for text in texts
    ]
    assert together.correct == sum(score.correct for score in single)
    lengths = [len(text) for text in texts]
    mean = np.average([score.loss for score in single], weights=lengths)
    assert together.loss == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("net", [SRN(3, 4, init=1.0), LSTM(3, 3)])
def test_shared_prefixes_count_once_per_sequence(net):
    language = make_language("anb2nc3n")
    sequences = language.batch(300, np.random.default_rng(0))
    with torch.no_grad():
        logits = net(sequences.symbols[:-1]).logits
    target = torch.from_numpy(language.target_probs)[sequences.nodes]
    squares = (logits.softmax(dim=-1) - target).square().mean(dim=-1)
    score = metrics.Evaluation(language, sequences).score(net)
    assert score.loss == pytest.approx(squares[sequences.mask].mean().item(), abs=1e-6)
    deterministic, correct = metrics.correct_mask(language, sequences, logits)
    assert (score.correct, score.total) == (correct.sum(), deterministic.sum())


def test_the_evaluation_set_is_every_sequence_of_five_words():
    for name in ("anb2n", "anb2nc3n"):
        language = make_language(name)
        sequences = metrics.evaluation_set(language)
        texts = {
            language.decode(column[: int(steps)])
            for column, steps in zip(sequences.symbols.T, sequences.mask.sum(dim=0), strict=True)
        }
        assert texts == {"".join(row) for row in product(language.all_words, repeat=5)}
        assert sequences.count == len(texts) == 1024


@pytest.mark.parametrize(("name", "length"), [("anb2n", 9), ("anbn", 1), ("reber", 0)])
def test_other_evaluation_sets_are_fixed_and_balanced(name, length):
    language = make_language(name, length)
    sequences, again = metrics.evaluation_set(language), metrics.evaluation_set(language)
    assert (sequences.symbols == again.symbols).all()
    if name == "anb2n":
        # Node n is visited once by each word with at least n A's.
        visits = torch.bincount(sequences.nodes[sequences.mask], minlength=10)[1:10]
        words = visits - torch.cat([visits[1:], torch.zeros(1, dtype=int)])
        assert words.sum() == 5 * 1024
        assert words.max() - words.min() <= 1


# Logits of A and B.
PREDICT_A = torch.tensor([0.0, -9.0])


@pytest.mark.parametrize("max_n", [1, 3, 6])
def test_max_exact_n_is_the_n_up_to_which_a_network_is_exact(max_n):
    language = make_language("anb2n", max_n)

    def outside_language(nodes, logits):
        return torch.where((nodes < 0)[..., None], PREDICT_A, logits)

    net = Oracle(language, outside_language)
    assert metrics.max_exact_n(net, language, limit=8) == (max_n, max_n)


def test_max_exact_n_of_a_constant_network_is_zero():
    language = make_language("anb2n")
    constant = Oracle(language, lambda nodes, logits: torch.zeros_like(logits))
    assert metrics.max_exact_n(constant, language) == (0, 0)


def test_max_exact_n_may_be_lower_for_pairs():
    language = make_language("anb2n", 8)

    def fails_in_second_word(nodes, logits):
        # After a word with n > 2, A is predicted instead of B.
        long_word = (nodes == 3).cumsum(dim=0) > 0
        second = (((nodes == 0) & long_word).cumsum(dim=0) > 0) & (nodes > 0)
        return torch.where(second[..., None], PREDICT_A, logits)

    assert metrics.max_exact_n(Oracle(language, fails_in_second_word), language, limit=5) == (5, 2)


def test_long_range_score_is_that_of_the_second_to_last_symbol():
    language = make_language("reber", embed=True)
    score = metrics.long_range_score(Oracle(language), language, 500)
    assert (score.correct, score.total) == (500, 500)
    assert score.loss < 1e-6

    def always_t(nodes, logits):
        # At the nodes before that symbol, T is predicted also where P is correct.
        before_t_or_p = ((nodes == 9) | (nodes == 17))[..., None]
        return torch.where(before_t_or_p, torch.eye(7)[1], logits)

    score = metrics.long_range_score(Oracle(language, always_t), language, 5000)
    assert score.total == 5000
    assert score.correct == pytest.approx(2500, abs=200)
