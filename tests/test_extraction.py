"""The machine of a network on words, of networks whose machine is known by construction."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from shared import automaton_net, counter_net

from recurrent import extraction, metrics
from recurrent.extraction import agreement, extract, states_on
from recurrent.language import NOTHING, SEVERAL, Machine
from recurrent.task import make_language
from seq_models import LSTM, SRN


def extracted(net, language) -> tuple[extraction.Extraction, dict]:
    """Return the machine on the evaluation set, and its agreement on fresh words."""
    states = states_on(net, language, metrics.evaluation_set(language))
    found = extract(net, language, states)
    assert found.state.shape == (len(states.vectors),)
    return found, agreement(net, language, found.machine, metrics.fresh_words(language))


ALL = {"agreement": 1024, "agreement_of": 1024}


@pytest.mark.parametrize(
    ("name", "states"),
    [
        (("anbn",), 8),
        (("anb2n",), 12),
        (("anb2nc3n", 3), 22),
        (("reber",), 8),
        (("reber", 8), 8),
        (("reber", 0, True), 20),
    ],
)
def test_a_network_that_implements_a_language_has_its_minimal_machine(name, states):
    language = make_language(*name)
    found, agree = extracted(automaton_net(language), language)
    assert found.machine.count == found.reference.count == states
    assert found.isomorphic
    assert found.machine.names == found.reference.names
    assert agree == ALL


def test_an_exact_counter_has_the_language_s_machine():
    """Its vectors after A's and after B's are the same, but never after the same symbol."""
    language, net = make_language("anb2n"), counter_net()
    states = states_on(net, language, metrics.evaluation_set(language))
    assert len(states.vectors) == 1 + 4 + 8
    assert len(np.unique(states.vectors.round(3), axis=0)) == 9
    found, agree = extracted(net, language)
    assert found.isomorphic
    assert agree == ALL


def refitted(net, language, node: int, predicted: str):
    """Change the output weights so that after one state another symbol is predicted."""
    edges = np.argwhere(language.transitions >= 0).tolist()
    after = [int(language.transitions[tuple(edge)]) for edge in edges]
    with torch.no_grad():
        for unit in np.flatnonzero(np.array(after) == node):
            # Of the units only this one is 1, not -1, after its transition.
            change = 10 * torch.eye(language.classes)[language.symbols.index(predicted)]
            net.V[unit] += change
            net.out_bias += change
    return net


def test_a_wrong_output_after_one_state_is_in_the_machine():
    language = make_language("anb2n")
    net = refitted(automaton_net(language), language, language.machine.names.index("B3"), "A")
    found, agree = extracted(net, language)
    assert not found.isomorphic
    assert found.machine.outputs[found.machine.names.index("B3")] == 0
    # The network's own machine predicts the same mistake; the language's machine does not.
    assert agree == ALL
    sequences = language.from_strings(["ABBAABBBBABB", "ABBABB"])
    expected = {"agreement": 4, "agreement_of": 5}
    assert agreement(net, language, found.reference, sequences) == expected
    # After the end of a word, A is predicted instead of E.
    language = make_language("reber")
    net = refitted(automaton_net(language), language, language.machine.names.index("4"), "B")
    found, agree = extracted(net, language)
    assert not found.isomorphic
    assert agree == ALL
    sequences = language.from_strings(["BTXSE", "BPVVE"])
    expected = {"agreement": 0, "agreement_of": 2}
    assert agreement(net, language, found.reference, sequences) == expected


def test_a_network_that_forgets_has_one_state_for_several_of_the_language():
    language = make_language("reber", embed=True)
    names, transitions = language.machine.names, language.transitions.copy()
    # After a P, as after a T.
    transitions[1, language.symbols.index("P")] = names.index("T")
    net = automaton_net(
        replace(language, machine=replace(language.machine, transitions=transitions))
    )
    with torch.no_grad():
        for parameter in (net.W, net.U, net.hid_bias, net.H0):
            # Units of exactly 1 and -1.
            parameter *= 3
    found, agree = extracted(net, language)
    assert not found.isomorphic
    forgotten = {"T+P", *(f"T{k}+P{k}" for k in range(1, 7))}
    assert set(found.machine.names) - {"T?", "P?"} == {"start", "B", *forgotten, "E?", "end"}
    assert found.machine.count == 12
    # At the symbol to be repeated it always predicts T; its machine goes on as after either.
    with_t = metrics.remembered(net, language, metrics.fresh_words(language))["correct"]
    assert 400 < with_t < 624
    assert agree["agreement"] in (with_t, 1024 - with_t)


def test_a_network_that_never_ends_a_word_has_one_state_more():
    language = make_language("anb2n")
    found, agree = extracted(counter_net(stuck=True), language)
    # The initial state is not the one after a word, where it predicts another B.
    assert found.machine.count == 13
    assert found.machine.outputs[found.machine.names.index("start (2)")] == 1
    assert agree == ALL


def test_names_of_states():
    assert extraction._joined(["A1", "A2", "A3"]) == "A1+A2+A3"
    assert extraction._joined(["A1", "A2", "A3", "B1"]) == "A1..B1"
    assert extraction._distinct(["B", "A", "B", "B"]) == ("B", "A", "B (2)", "B (3)")


@pytest.mark.parametrize("name", [("anbncn", 3), ("anb2n", 4), ("reber", 0, True)])
@pytest.mark.parametrize("model", [SRN, LSTM])
def test_an_untrained_network_has_some_machine(model, name):
    torch.manual_seed(0)
    language = make_language(*name)
    net = model(language.classes, 2)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    found, agree = extracted(net, language)
    assert not found.isomorphic
    assert 0 <= agree["agreement"] <= agree["agreement_of"] == 1024
    assert len(set(found.machine.names)) == found.machine.count
    assert np.isfinite(found.machine.places).all()
    # All states can be reached, and a machine is its own minimal machine.
    again = found.machine.minimal()
    assert again.isomorphic(found.machine)


def test_vectors_of_a_state_count_once_and_have_the_course_s_numbers():
    language, net = make_language("anb2n"), counter_net()
    states = states_on(net, language, language.from_strings(["AABBBBAABBBB", "AABBBB"]))
    assert states.symbol.tolist()[0] == -1
    rows = zip(states.vectors[:, 1].round(2), states.symbol, states.number, strict=True)
    # Context, symbol and state number.
    assert set(rows) == {
        (0, -1, 0), (1, 0, 1), (2, 0, 2), (1.5, 1, 2), (1, 1, 1.5), (0.5, 1, 1), (0, 1, 0),
    }  # fmt: skip
    names = [language.machine.names[node] for node in states.node]
    assert set(names) == {"start", "A1", "A2", "B3", "B2", "B1"}


def test_states_in_a_diagram_are_apart():
    places = np.array([[0.0, 0], [0, 0], [0.1, 0], [5, 5]])
    spread = extraction._spread(places)
    distances = np.linalg.norm(spread[:, None] - spread[None], axis=2)[np.triu_indices(4, 1)]
    assert distances.min() >= extraction.MIN_DISTANCE - 1e-9
    assert np.array_equal(spread[3], places[3])


# Tables


MACHINE = Machine(
    "AB",
    np.array([[1, -1], [1, 2], [-1, -1]]),
    np.array([0, SEVERAL, NOTHING]),
    ("start", "A1", "end"),
    np.zeros((3, 2)),
)


def test_a_record_for_each_state():
    assert extraction.transition_records(MACHINE) == [
        {"state": "start", "A": "A1", "B": "-", "predicts": "A"},
        {"state": "A1", "A": "A1", "B": "end", "predicts": "A or B"},
        {"state": "end", "A": "-", "B": "-", "predicts": "-"},
    ]
