"""Machines: minimised against another algorithm, and found in networks that implement them."""

import re
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import automaton_net

from recurrent import extraction, machine
from recurrent.dynamics import symbol_map
from recurrent.language import Language
from recurrent.machine import Machine, minimal
from recurrent.metrics import evaluation_set
from recurrent.task import make_language
from seq_models import LSTM, SRN


def graph(symbols: str, edges: dict[int, dict[str, int]]) -> Language:
    """A Language from its edges; where several leave a node, each is as probable."""
    follows = np.full((len(edges), len(symbols)), -1)
    for node, out in edges.items():
        for letter, after in out.items():
            follows[node, symbols.index(letter)] = after
    chance = (follows >= 0) / (follows >= 0).sum(axis=1, keepdims=True)
    labels = tuple(f"q{node}" for node in range(len(edges)))
    places = np.stack([np.arange(len(edges)), np.zeros(len(edges))], axis=1)
    number = np.arange(len(edges), dtype=float)
    return Language("graph", symbols, follows, chance, chance, number, labels, places, 0.01)


# Tomita's grammars 1, 2 and 4 (1982) between a B and an E, which may be read where a word is
# accepted: the edges, what a word is, and how many states the minimal automaton has that are not a
# trap. Node 2 of the first is the same as 1, which minimising must see.
TOMITA = [
    ({0: {"B": 1}, 1: {"1": 2, "E": 0}, 2: {"1": 1, "E": 0}}, r"1*", 1),
    ({0: {"B": 1}, 1: {"1": 2, "E": 0}, 2: {"0": 1}}, r"(10)*", 2),
    (
        {
            0: {"B": 1},
            1: {"0": 2, "1": 1, "E": 0},
            2: {"0": 3, "1": 1, "E": 0},
            3: {"1": 1, "E": 0},
        },
        r"(1|01|001)*0{0,2}",
        3,
    ),
]


@st.composite
def graphs(draw) -> Language:
    """Random automata: every node is on a circle through node 0, other edges are at will."""
    size, letters = draw(st.integers(2, 7)), draw(st.integers(2, 3))
    edges = {0: {"A": 1}}
    for node in range(1, size):
        edges[node] = {"ABC"[draw(st.integers(0, letters - 1))]: (node + 1) % size}
        for letter in "ABC"[:letters]:
            if letter not in edges[node] and draw(st.booleans()):
                edges[node][letter] = draw(st.integers(0, size - 1))
    return graph("ABC"[:letters], edges)


def distinguishable(own: Machine) -> int:
    """How many states can be told apart: by marking the pairs that some word tells apart."""
    pairs = list(combinations(range(own.count), 2))
    marked = {(one, other) for one, other in pairs
              if (own.prediction[one] != own.prediction[other]).any()}  # fmt: skip
    before = -1
    while before < len(marked):
        before = len(marked)
        for one, other in pairs:
            after = zip(own.transitions[one], own.transitions[other], strict=True)
            if any(tuple(sorted(pair)) in marked for pair in after):
                marked.add((one, other))
    # A state counts if it differs from all before it.
    return sum(all((one, other) in marked for one in range(other)) for other in range(own.count))


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_minimal_has_as_many_states_as_can_be_told_apart(language):
    own = machine.of_language(language)
    small, number = minimal(own)
    assert small.count == distinguishable(own)
    assert minimal(small)[0] == small
    symbols = language.batch(20, np.random.default_rng(0)).symbols.numpy()
    states = own.follow(symbols)
    after = small.follow(symbols)
    assert np.array_equal(number[states[states >= 0]], after[states >= 0])


@pytest.mark.parametrize(("edges", "pattern", "states"), TOMITA)
def test_tomita_s_grammars_come_out_as_their_minimal_automata(edges, pattern, states):
    language = graph("B01E", edges)
    for number in range(1, 2**7):
        text = format(number, "b")[1:]
        assert language.is_word(f"B{text}E") == bool(re.fullmatch(pattern, text))
    net = automaton_net(language)
    path = extraction.trajectory(net, language, language.batch(300, np.random.default_rng(0)))
    small, _ = minimal(extraction.extract(path, language).machine)
    assert small == minimal(machine.of_language(language))[0]
    assert small.count == states + 1


# A language, and how many states its minimal machine has.
LANGUAGES = [
    (("anbn",), 8),
    (("anb2nc3n",), 33),
    (("reber", 0, False), 8),
    (("reber", 0, True), 20),
]


def extracted(net, language: Language) -> tuple[Machine, Machine]:
    """The minimal machine in a network, by sequences of its own, and that of its language."""
    samples = extraction.generate(net, language, 40, seed=0, count=300)
    found = extraction.extract(extraction.trajectory(net, language, samples), language)
    return minimal(found.machine)[0], minimal(machine.of_language(language))[0]


@pytest.mark.parametrize(("name", "states"), LANGUAGES)
def test_a_language_s_machine_comes_back_from_its_network(name, states):
    language = make_language(*name)
    net = automaton_net(language)
    sequences = evaluation_set(language)
    path = extraction.trajectory(net, language, sequences)
    small, _ = minimal(extraction.extract(path, language).machine)
    own, _ = minimal(machine.of_language(language))
    assert small == own
    assert small.count == states
    assert np.array_equal(extraction.overlap(small, language, own, sequences), np.eye(states) > 0)
    # From the network's own sequences, without those of the language.
    assert extracted(net, language)[0] == own
    fresh = extraction.generate(net, language, 80, seed=1, count=200)
    assert extraction.agreement(net, language, small, fresh) == fresh.count == 200
    assert extraction.differences(net, language, own, sequences) == []


def test_a_minimum_length_has_more_states_than_the_graph():
    """At least 7 symbols: the words of 5 and 6, BTXSE BPVVE BTSXSE BPTVVE, have to be left out."""
    language = make_language("reber", 7)
    texts = {text for text in make_language("reber").words(12) if len(text) >= 7}
    assert texts == set(language.words(12))
    small, own = extracted(automaton_net(language), language)
    assert small == own
    assert own.count > 8


def refitted(language: Language) -> torch.nn.Module:
    """A network of anb2n that expects a further A after AAAA, by its output weights alone."""
    net = automaton_net(language)
    edges = [(int(q), int(s)) for q, s in np.argwhere(language.transitions >= 0)]
    logits = torch.tensor([0.65, 0.35]).log()
    with torch.no_grad():
        before = net.V[edges.index((3, 0))] * 2
        net.V[edges.index((3, 0))] = logits / 2
        net.out_bias += (logits - before) / 2
    return net


def test_what_a_network_wrongly_allows_is_in_its_machine():
    """The fault that the language's own transitions would hide."""
    language = make_language("anb2n")
    net = refitted(language)
    small, own = extracted(net, language)
    assert small != own
    aaaa = small.follow(np.array([0, 0, 0, 0]))[-1]
    assert small.prediction[aaaa].tolist() == [True, True]
    (found,) = extraction.differences(net, language, own, evaluation_set(language))
    assert found.state == own.follow(np.array([0, 0, 0, 0]))[-1]
    assert (found.symbol, found.by_network, found.count) == (0, True, found.visits)
    assert found.low == pytest.approx(0.65, abs=0.01)
    assert found.high == pytest.approx(0.65, abs=0.01)
    # The language's machine agrees with it only where no word of the five has four A's.
    sequences = evaluation_set(language)
    assert extraction.agreement(net, language, own, sequences) == 3**5


def test_names_are_those_of_the_overlapping_states_and_differ():
    met = np.array([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1] * 5])
    labels = ["start", "A1", "A2", "B1", "B2"]
    assert machine.names(met.astype(bool), labels) == [
        "start", "start (2)", "A1+A2", "outside", "start..B2",
    ]  # fmt: skip


def test_table_and_dot_have_every_transition():
    own, _ = minimal(machine.of_language(make_language("reber")))
    names = ["start", *"012345", "end"]
    lines = machine.as_table(own, names).splitlines()
    assert lines[0].split() == ["state", *"BTSXPVE", "predicts"]
    assert lines[1].split() == ["start", "0", *"------", "B"]
    assert len(lines) == 9
    dot = machine.as_dot(own, names)
    assert dot.count("->") == 1 + int(own.prediction.sum())
    assert '"1" -> "1" [label="S"];' in dot or '"2" -> "2" [label="T"];' in dot


@pytest.mark.parametrize("model", [SRN, LSTM])
def test_a_trajectory_has_each_vector_and_what_follows_it(model):
    torch.manual_seed(0)
    language = make_language("anbn")
    net = model(2, 2)
    path = extraction.trajectory(net, language, evaluation_set(language))
    assert path.symbol[0] == -1
    assert path.hidden.shape[1] == 2
    assert path.context.shape[1] == (0 if model is SRN else 2)
    for row in range(0, len(path.state), 7):
        for letter in range(2):
            after = path.after[row, letter]
            assert np.isnan(after).any() == (not path.allowed[row, letter])
            if not np.isnan(after).any():
                step = symbol_map(net, letter)
                mapped = step(torch.from_numpy(path.state[row : row + 1]))[0]
                assert np.allclose(mapped, after, atol=1e-5)
    probability = net.read_out(torch.from_numpy(path.hidden).float()).softmax(-1).detach()
    assert (path.allowed[1:] == (probability[1:] >= 1 / 8).numpy()).all()


def test_many_clusters_are_drawn_by_the_machine_s_states(monkeypatch):
    monkeypatch.setattr(extraction, "FINE", 0)
    language = make_language("anb2n")
    found = extraction.find_machine(automaton_net(language), language, evaluation_set(language))
    states, names = found.drawn
    assert names == [*found.names, "start"]
    assert states.cluster[0] == states.machine.start == found.machine.count
    assert np.array_equal(states.cluster[1:], found.number[found.states.cluster][1:])
    assert np.array_equal(states.machine.transitions[:-1], found.machine.transitions)
