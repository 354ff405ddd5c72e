"""Machines: minimised against another algorithm, and found in networks that implement them."""

from itertools import combinations, groupby, pairwise

import numpy as np
import pytest
import torch
from conftest import automaton_net
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrent import dynamics, machine
from recurrent.language import Language
from recurrent.machine import Machine, minimal
from recurrent.metrics import evaluation_set
from recurrent.task import make_language


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
    return Language("graph", symbols, 0, follows, chance, chance, number, labels, places, bar=0.01)


# Tomita's grammars 1 to 4 (1982) between a B and an E, which may be read where a word is accepted.
# The minimal automaton has so many states that are no trap, and the one before the B.
TOMITA = {
    "1*": ({0: {"B": 1}, 1: {"1": 1, "E": 0}}, 1),
    "(10)*": ({0: {"B": 1}, 1: {"1": 2, "E": 0}, 2: {"0": 1}}, 2),
    # No odd run of 0's right after an odd run of 1's. Node 5 is the same as 2, which minimising
    # must see.
    "odd runs": (
        {
            0: {"B": 1},
            1: {"0": 1, "1": 2, "E": 0},
            2: {"0": 3, "1": 1, "E": 0},
            3: {"0": 4},
            4: {"0": 3, "1": 5, "E": 0},
            5: {"0": 3, "1": 1, "E": 0},
        },
        4,
    ),
    "no 000": (
        {
            0: {"B": 1},
            1: {"0": 2, "1": 1, "E": 0},
            2: {"0": 3, "1": 1, "E": 0},
            3: {"1": 1, "E": 0},
        },
        3,
    ),
}


def accepts(name: str, text: str) -> bool:
    """Tomita's definitions, in words rather than states."""
    if name == "1*":
        return "0" not in text
    if name == "(10)*":
        return text == "10" * (len(text) // 2)
    if name == "no 000":
        return "000" not in text
    runs = [(digit, len(list(run)) % 2) for digit, run in groupby(text)]
    return (("1", 1), ("0", 1)) not in pairwise(runs)


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


def alike(own: Machine) -> int:
    """How many states can be told apart: by marking the pairs that some word tells apart."""
    states = range(own.count)
    allowed = own.next >= 0
    marked = {
        (one, other)
        for one, other in combinations(states, 2)
        if own.says[one] != own.says[other] or (allowed[one] != allowed[other]).any()
    }
    grown = True
    while grown:
        grown = False
        for one, other in combinations(states, 2):
            if (one, other) in marked:
                continue
            pairs = [
                tuple(sorted(pair)) for pair in zip(own.next[one], own.next[other], strict=True)
            ]
            if any(pair in marked for pair in pairs):
                marked.add((one, other))
                grown = True
    different: list[int] = []
    for state in states:
        if all((min(state, kept), max(state, kept)) in marked for kept in different):
            different.append(state)
    return len(different)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_minimal_has_as_many_states_as_can_be_told_apart(language):
    own = machine.of_language(language)
    small, number = minimal(own)
    assert small.count == alike(own)
    assert minimal(small)[0] == small
    symbols = language.batch(20, np.random.default_rng(0)).symbols.numpy()
    states = own.follow(symbols)
    after = small.follow(symbols)
    assert np.array_equal(number[states[states >= 0]], after[states >= 0])


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_a_network_made_from_an_automaton_gives_it_back(language):
    net = automaton_net(language)
    sequences = language.batch(60, np.random.default_rng(0))
    path = dynamics.trajectory(net, language, sequences)
    found = dynamics.extract(path, language)
    small, own = minimal(found.machine)[0], minimal(machine.of_language(language))[0]
    assert found.strays == 0
    assert small.count <= own.count
    assert dynamics.agreement(net, language, small, sequences) == sequences.count
    # Only what was read can be found: with 60 sequences that is nearly always everything. And two
    # nodes at which nothing is certain may be one group, where all that is certain allows it.
    if len(set(path.node)) == len(language.next) and (own.says < 0).sum() < 2:
        assert small == own


@pytest.mark.parametrize("name", TOMITA)
def test_tomita_s_grammars_come_out_as_their_minimal_automata(name):
    edges, live = TOMITA[name]
    language = graph("B01E", edges)
    for count in range(2**7):
        text = format(count, "b")[1:] if count else ""
        assert language.is_word(f"B{text}E") == accepts(name, text)
    net = automaton_net(language)
    path = dynamics.trajectory(net, language, language.batch(300, np.random.default_rng(0)))
    small, _ = minimal(dynamics.extract(path, language).machine)
    assert small == minimal(machine.of_language(language))[0]
    assert small.count == live + 1


@pytest.mark.parametrize(("name", "embed", "count"), [("reber", False, 7), ("reber", True, 19)])
def test_reber_s_grammar_comes_back(name, embed, count):
    language = make_language(name, 0, embed)
    net = automaton_net(language)
    sequences = evaluation_set(language)
    path = dynamics.trajectory(net, language, sequences)
    small, _ = minimal(dynamics.extract(path, language).machine)
    assert small == minimal(machine.of_language(language))[0]
    assert small.count == count
    assert dynamics.agreement(net, language, small, sequences) == sequences.count


@pytest.mark.parametrize(("lang", "count"), [("anb2n", 12), ("anb2nc3n", 33), ("anbn", 8)])
def test_counting_languages_come_back(lang, count):
    language = make_language(lang)
    net = automaton_net(language)
    sequences = evaluation_set(language)
    path = dynamics.trajectory(net, language, sequences)
    small, _ = minimal(dynamics.extract(path, language).machine)
    own, _ = minimal(machine.of_language(language))
    assert small == own
    assert small.count == count
    met = dynamics.merged(small, language, own, sequences)
    assert np.array_equal(met, np.eye(count, dtype=bool))


def test_a_network_that_knows_less_gives_a_smaller_machine():
    """A network that answers the same everywhere has one group for each thing asked of it."""
    language = make_language("anb2n")
    net = automaton_net(language)
    with torch.no_grad():
        net.V.zero_()
        net.out_bias[:] = torch.tensor([0.0, 1.0])
    sequences = evaluation_set(language)
    path = dynamics.trajectory(net, language, sequences)
    small, _ = minimal(dynamics.extract(path, language).machine)
    own, _ = minimal(machine.of_language(language))
    assert small != own
    assert small.count < own.count
    # It says B where A is certain, and so does the machine: they agree, on what is wrong.
    assert dynamics.agreement(net, language, small, sequences) == sequences.count
    wrong = Machine(own.symbols, own.next, np.where(own.says >= 0, 1 - own.says, -1))
    assert dynamics.agreement(automaton_net(language), language, wrong, sequences) == 0


def test_follow_stops_where_nothing_leads():
    own = machine.of_language(make_language("anbn"))
    states = own.follow(np.array([0, 1, 1, 0]))
    assert states[0] > 0
    assert states[1] == 0
    assert list(states[2:]) == [-1, -1]


def test_names_are_those_of_the_states_met_and_differ():
    met = np.array([[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1] * 5])
    labels = ["start", "A1", "A2", "B1", "B2"]
    assert machine.names(met.astype(bool), labels) == [
        "start", "start'", "A1+A2", "unmet", "start..B2",
    ]  # fmt: skip


def test_table_and_dot_tell_every_transition():
    own, _ = minimal(machine.of_language(make_language("reber")))
    names = ["start", *"012345"]
    order = [names.index(label) for label in names]
    text = machine.as_table(own, [names[i] for i in order])
    assert text.splitlines()[0].split() == ["state", *"BTSXPVE", "predicts"]
    assert len(text.splitlines()) == 8
    assert text.splitlines()[1].split() == ["start", "0", *"------", "B"]
    dot = machine.as_dot(own, names)
    assert dot.count("->") == 1 + int((own.next >= 0).sum())
    assert '"1" -> "1" [label="S"];' in dot or '"2" -> "2" [label="T"];' in dot
    assert dot.count("{") == dot.count("}") == 1
