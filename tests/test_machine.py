"""Machines: minimised against another algorithm, extracted from networks that implement them."""

import re
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent.machine import Machine, minimize
from shared import automaton_net

from recurrent import extraction, machine
from recurrent.dynamics import symbol_map
from recurrent.language import Language
from recurrent.metrics import evaluation_set
from recurrent.task import make_language
from seq_models import LSTM, SRN


def graph(symbols: str, edges: dict[int, dict[str, int]]) -> Language:
    """Return a Language from its edges; the edges of a node are equally probable."""
    transitions = np.full((len(edges), len(symbols)), -1)
    for node, out in edges.items():
        for letter, target in out.items():
            transitions[node, symbols.index(letter)] = target
    probs = (transitions >= 0) / (transitions >= 0).sum(axis=1, keepdims=True)
    labels = tuple(f"q{node}" for node in range(len(edges)))
    positions = np.stack([np.arange(len(edges)), np.zeros(len(edges))], axis=1)
    number = np.arange(len(edges), dtype=float)
    return Language("graph", symbols, transitions, probs, probs, number, labels, positions, 0.01)


# Tomita's grammars 1, 2 and 4 (1982) between a B and an E, the E being allowed in accepting states:
# the edges, the words as a regular expression, and the number of states of the minimal automaton
# without the trap state. Nodes 1 and 2 of the first are equivalent.
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
    """Random automata: a cycle through all nodes, and random other edges."""
    size, letters = draw(st.integers(2, 7)), draw(st.integers(2, 3))
    edges = {0: {"A": 1}}
    for node in range(1, size):
        edges[node] = {"ABC"[draw(st.integers(0, letters - 1))]: (node + 1) % size}
        for letter in "ABC"[:letters]:
            if letter not in edges[node] and draw(st.booleans()):
                edges[node][letter] = draw(st.integers(0, size - 1))
    return graph("ABC"[:letters], edges)


def distinguishable(reference: Machine) -> int:
    """Return the number of states of the minimal machine, by marking distinguishable pairs."""
    pairs = list(combinations(range(reference.count), 2))
    marked = {
        (one, other)
        for one, other in pairs
        if (reference.prediction[one] != reference.prediction[other]).any()
    }
    before = -1
    while before < len(marked):
        before = len(marked)
        for one, other in pairs:
            targets = zip(reference.transitions[one], reference.transitions[other], strict=True)
            if any(tuple(sorted(pair)) in marked for pair in targets):
                marked.add((one, other))
    # The states that can be distinguished from all states before them.
    return sum(
        all((one, other) in marked for one in range(other)) for other in range(reference.count)
    )


@settings(max_examples=30, deadline=None)
@given(graphs())
def test_minimize_merges_exactly_the_equivalent_states(language):
    reference = machine.from_language(language)
    minimal, number = minimize(reference)
    assert minimal.count == distinguishable(reference)
    assert minimize(minimal)[0] == minimal
    symbols = language.batch(20, np.random.default_rng(0)).symbols.numpy()
    states = reference.follow(symbols)
    minimal_states = minimal.follow(symbols)
    assert np.array_equal(number[states[states >= 0]], minimal_states[states >= 0])


@pytest.mark.parametrize(("edges", "pattern", "states"), TOMITA)
def test_tomita_grammars_are_extracted_as_their_minimal_automata(edges, pattern, states):
    language = graph("B01E", edges)
    for number in range(1, 2**7):
        text = format(number, "b")[1:]
        assert language.is_word(f"B{text}E") == bool(re.fullmatch(pattern, text))
    net = automaton_net(language)
    sequences = language.batch(300, np.random.default_rng(0))
    trajectory = extraction.trajectory(net, language, sequences)
    extracted, _ = minimize(extraction.cluster_states(trajectory, language).machine)
    assert extracted == minimize(machine.from_language(language))[0]
    assert extracted.count == states + 1


# Languages, and the number of states of their minimal machines.
LANGUAGES = [(("anbn",), 8), (("reber",), 8)]


def extract(net, language: Language) -> tuple[Machine, Machine]:
    """Return the minimal machine extracted from generated sequences, and that of the language."""
    sequences = extraction.generate(net, language, 40, seed=0, count=300)
    trajectory = extraction.trajectory(net, language, sequences)
    clustering = extraction.cluster_states(trajectory, language)
    return minimize(clustering.machine)[0], minimize(machine.from_language(language))[0]


@pytest.mark.parametrize(("name", "states"), LANGUAGES)
def test_a_language_s_machine_is_extracted_from_its_network(name, states):
    check_extraction(name, states)


def check_extraction(name: tuple, states: int) -> None:
    """Check that a language's minimal machine is extracted from its automaton network."""
    language = make_language(*name)
    net = automaton_net(language)
    sequences = evaluation_set(language)
    trajectory = extraction.trajectory(net, language, sequences)
    extracted, _ = minimize(extraction.cluster_states(trajectory, language).machine)
    reference, _ = minimize(machine.from_language(language))
    assert extracted == reference
    assert extracted.count == states
    overlap = extraction.overlap(extracted, language, reference, sequences)
    assert np.array_equal(overlap, np.eye(states) > 0)
    # From generated sequences, without those of the language.
    assert extract(net, language)[0] == reference
    tests = extraction.generate(net, language, 80, seed=1, count=200)
    assert extraction.agreement(net, language, extracted, tests) == tests.count == 200
    assert extraction.differences(net, language, reference, sequences) == []


def test_a_minimum_length_adds_states_to_the_graph():
    """At least 7 symbols: the words BTXSE, BPVVE, BTSXSE and BPTVVE are excluded."""
    language = make_language("reber", 7)
    texts = {text for text in make_language("reber").words_up_to(12) if len(text) >= 7}
    assert texts == set(language.words_up_to(12))
    extracted, reference = extract(automaton_net(language), language)
    assert extracted == reference
    assert reference.count > 8


def net_with_a_fault(language: Language) -> torch.nn.Module:
    """Return a network of anb2n whose output weights allow another A after AAAA."""
    net = automaton_net(language)
    edges = [(int(q), int(s)) for q, s in np.argwhere(language.transitions >= 0)]
    logits = torch.tensor([0.65, 0.35]).log()
    with torch.no_grad():
        before = net.V[edges.index((3, 0))] * 2
        net.V[edges.index((3, 0))] = logits / 2
        net.out_bias += (logits - before) / 2
    return net


def test_a_forbidden_symbol_that_the_network_allows_is_in_its_machine():
    """The language's transitions would hide the fault."""
    language = make_language("anb2n")
    net = net_with_a_fault(language)
    extracted, reference = extract(net, language)
    assert extracted != reference
    aaaa = extracted.follow(np.array([0, 0, 0, 0]))[-1]
    assert extracted.prediction[aaaa].tolist() == [True, True]
    (found,) = extraction.differences(net, language, reference, evaluation_set(language))
    assert found.state == reference.follow(np.array([0, 0, 0, 0]))[-1]
    assert (found.symbol, found.by_network, found.count) == (0, True, found.visits)
    assert found.low == pytest.approx(0.65, abs=0.01)
    assert found.high == pytest.approx(0.65, abs=0.01)
    # The language's machine agrees only if none of the five words has four A's.
    sequences = evaluation_set(language)
    assert extraction.agreement(net, language, reference, sequences) == 3**5


def test_state_names_are_the_labels_of_the_overlapping_states_and_unique():
    overlap = np.array(
        [[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1] * 5]
    )
    labels = ["start", "A1", "A2", "B1", "B2"]
    assert machine.state_names(overlap.astype(bool), labels) == [
        "start", "start (2)", "A1+A2", "outside", "start..B2",
    ]  # fmt: skip


def test_table_and_dot_contain_every_transition():
    reference, _ = minimize(machine.from_language(make_language("reber")))
    names = ["start", *"012345", "end"]
    lines = machine.as_table(reference, names).splitlines()
    assert lines[0].split() == ["state", *"BTSXPVE", "predicts"]
    assert lines[1].split() == ["start", "0", *"------", "B"]
    assert len(lines) == 9
    dot = machine.as_dot(reference, names)
    assert dot.count("->") == 1 + int(reference.prediction.sum())
    assert '"1" -> "1" [label="S"];' in dot or '"2" -> "2" [label="T"];' in dot


@pytest.mark.parametrize("model", [SRN, LSTM])
def test_a_trajectory_has_each_vector_and_its_successors(model):
    torch.manual_seed(0)
    language = make_language("anbn")
    net = model(2, 2)
    trajectory = extraction.trajectory(net, language, evaluation_set(language))
    assert trajectory.symbol[0] == -1
    assert trajectory.hidden.shape[1] == 2
    assert trajectory.context.shape[1] == (0 if model is SRN else 2)
    for row in range(0, len(trajectory.state), 7):
        for letter in range(2):
            successor = trajectory.successors[row, letter]
            assert np.isnan(successor).any() == (not trajectory.allowed[row, letter])
            if not np.isnan(successor).any():
                step = symbol_map(net, letter)
                mapped = step(torch.from_numpy(trajectory.state[row : row + 1]))[0]
                assert np.allclose(mapped, successor, atol=1e-5)
    hidden = torch.from_numpy(trajectory.hidden).float()
    probability = net.read_out(hidden).softmax(-1).detach()
    assert (trajectory.allowed[1:] == (probability[1:] >= 1 / 8).numpy()).all()


def test_many_clusters_are_merged_by_the_machine_s_states(monkeypatch):
    monkeypatch.setattr(extraction, "MAX_CLUSTERS_SHOWN", 0)
    language = make_language("anb2n")
    found = extraction.extract_machine(automaton_net(language), language, evaluation_set(language))
    merged, names = found.shown
    assert names == [*found.names, "start"]
    assert merged.cluster[0] == merged.machine.start == found.machine.count
    states = found.state_of_cluster[found.clustering.cluster]
    assert np.array_equal(merged.cluster[1:], states[1:])
    assert np.array_equal(merged.machine.transitions[:-1], found.machine.transitions)
