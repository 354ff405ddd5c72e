"""Losses and exactness on networks whose behaviour is known by construction."""

from itertools import product

import numpy as np
import pytest
import torch

from recurrent import metrics
from recurrent.task import make_language
from seq_models import LSTM, SRN, Activations


class Oracle(torch.nn.Module):
    """Predicts by the language's own table: all that can be known. `spoil` changes its outputs."""

    def __init__(self, language, spoil=lambda nodes, output: output, table="sampling_probs"):
        super().__init__()
        self.language, self.spoil, self.table = language, spoil, table
        self.V = torch.zeros(1)

    def forward(self, symbols, state=None):
        nodes = torch.from_numpy(self.language.follow(symbols.numpy()))
        return Activations(torch.zeros(0), None, self.read_out(nodes))

    def initial_state(self, count):
        return (torch.zeros(count, dtype=int),)

    def step(self, symbol, state):
        return (torch.from_numpy(self.language.transitions)[state[0], symbol],)

    def read_out(self, nodes):
        output = torch.from_numpy(getattr(self.language, self.table))[nodes].float().log()
        return self.spoil(nodes, output)


@pytest.mark.parametrize("name", ["anb2n", "anb2nc3n", "anbncn"])
def test_full_knowledge_is_exact_and_just_below_the_bar(name):
    language = make_language(name)
    evaluation = metrics.Evaluation(language, metrics.evaluation_set(language))
    result = evaluation.score(Oracle(language))
    assert result.exact
    assert result.correct == result.total > 10_000
    assert 0.005 < result.loss < language.loss_threshold
    perfect = Oracle(language, table="target_probs")
    assert evaluation.score(perfect).loss < 1e-12


@pytest.mark.parametrize(
    ("name", "length", "floor"), [("anb2n", 0, 0.0294), ("anb2nc3n", 0, 0.0098), ("reber", 0, 0.0)]
)
def test_the_floor_is_the_loss_of_full_knowledge(name, length, floor):
    language = make_language(name, length)
    scored = metrics.evaluation_set(language)
    assert metrics.loss_floor(language, scored) == pytest.approx(floor, abs=5e-5)
    loss = metrics.Evaluation(language, scored).score(Oracle(language)).loss
    assert metrics.loss_floor(language, scored) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize(("min_length", "embed"), [(10, False), (25, False), (20, True)])
def test_full_knowledge_of_long_words_is_success_too(min_length, embed):
    """By the grammar's own 0.5 / 0.5 it would score 0.0121 at length 10, above the threshold."""
    language = make_language("reber", min_length, embed)
    scored = metrics.evaluation_set(language)
    result = metrics.Evaluation(language, scored).score(Oracle(language))
    assert result.exact
    assert result.loss < 1e-6 < language.loss_threshold


def test_the_loss_is_the_mean_squared_difference_of_probabilities():
    torch.manual_seed(0)
    language, net = make_language("anb2n"), SRN(2, 3, init=1.0, identity=False)
    text = "AABBBBABB"
    with torch.no_grad():
        output = net(language.from_strings([text]).symbols[:-1]).logits[:, 0].numpy()
    probability = np.exp(output) / np.exp(output).sum(axis=1, keepdims=True)
    true = [(0.8, 0.2), (0.8, 0.2), (0, 1), (0, 1), (0, 1), (1, 0), (0.8, 0.2), (0, 1), (1, 0)]
    result = metrics.Evaluation(language, language.from_strings([text])).score(net)
    assert result.loss == pytest.approx(((probability - np.array(true)) ** 2).mean(), abs=1e-6)
    # The first B is never certain, the A's after the first neither.
    certain = [2, 3, 4, 5, 7, 8]
    right = (probability.argmax(axis=1) == np.array(true).argmax(axis=1))[certain].sum()
    assert (result.correct, result.total) == (right, 6)


def test_padding_changes_nothing():
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
def test_beginnings_that_sequences_share_count_as_often_as_they_come(net):
    language = make_language("anb2nc3n")
    sequences = language.batch(300, np.random.default_rng(0))
    with torch.no_grad():
        output = net(sequences.symbols[:-1]).logits
    target = torch.from_numpy(language.target_probs)[sequences.nodes]
    squares = (output.softmax(dim=-1) - target).square().mean(dim=-1)
    score = metrics.Evaluation(language, sequences).score(net)
    assert score.loss == pytest.approx(squares[sequences.mask].mean().item(), abs=1e-6)
    deterministic, correct = metrics.correct_mask(language, sequences, output)
    assert (score.correct, score.total) == (correct.sum(), deterministic.sum())


def test_the_evaluation_set_is_every_sequence_of_five_words():
    for name in ("anb2n", "anb2nc3n"):
        language = make_language(name)
        scored = metrics.evaluation_set(language)
        texts = {
            language.decode(column[: int(steps)])
            for column, steps in zip(scored.symbols.T, scored.mask.sum(dim=0), strict=True)
        }
        assert texts == {"".join(row) for row in product(language.all_words, repeat=5)}
        assert scored.count == len(texts) == 1024


@pytest.mark.parametrize(("name", "length"), [("anb2n", 9), ("anbn", 1), ("reber", 0)])
def test_other_evaluation_sets_are_fixed_and_even(name, length):
    language = make_language(name, length)
    scored, again = metrics.evaluation_set(language), metrics.evaluation_set(language)
    assert (scored.symbols == again.symbols).all()
    if name == "anb2n":
        # The last A of each word is the one before a B: so many words have at least n A's.
        visits = torch.bincount(scored.nodes[scored.mask], minlength=10)[1:10]
        words = visits - torch.cat([visits[1:], torch.zeros(1, dtype=int)])
        assert words.sum() == 5 * 1024
        assert words.max() - words.min() <= 1


@pytest.mark.parametrize("limit", [1, 3, 6])
def test_reach_is_where_a_network_fails(limit):
    # A network that knows the language up to n = limit only, and says A for ever after.
    language = make_language("anb2n", limit)

    def foreign(nodes, output):
        return torch.where((nodes < 0)[..., None], torch.tensor([0.0, -9.0]), output)

    assert metrics.max_exact_n(Oracle(language, foreign), language, limit=8) == (limit, limit)


def test_a_network_that_knows_nothing_reaches_nothing():
    language = make_language("anb2n")
    blind = Oracle(language, lambda nodes, output: torch.zeros_like(output))
    assert metrics.max_exact_n(blind, language) == (0, 0)


def test_reach_after_each_other_may_be_shorter():
    language = make_language("anb2n", 8)

    def forgets(nodes, output):
        # After a word of n > 2 the next word's B's are taken for A's.
        big = (nodes == 3).cumsum(dim=0) > 0
        later = (((nodes == 0) & big).cumsum(dim=0) > 0) & (nodes > 0)
        return torch.where(later[..., None], torch.tensor([0.0, -9.0]), output)

    assert metrics.max_exact_n(Oracle(language, forgets), language, limit=5) == (5, 2)


def test_remembered_asks_for_the_last_symbol_but_one():
    language = make_language("reber", embed=True)
    score = metrics.long_range_score(Oracle(language), language, 500)
    assert (score.correct, score.total) == (500, 500)
    assert score.loss < 1e-6

    def guesses(nodes, output):
        # The two nodes that wait for the letter: T and P are both said to be T.
        waits = ((nodes == 9) | (nodes == 17))[..., None]
        return torch.where(waits, torch.eye(7)[1], output)

    score = metrics.long_range_score(Oracle(language, guesses), language, 5000)
    assert score.total == 5000
    assert score.correct == pytest.approx(2500, abs=200)
