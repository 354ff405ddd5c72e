"""The machine of a network on words, of networks whose machine is known by construction."""

from dataclasses import replace

import pytest
import torch
from shared import automaton_net, counter_net

from recurrent import extraction, metrics
from recurrent.extraction import agreement, extract, states_on
from recurrent.task import make_language
from seq_models import LSTM

ALL = {"agreement": 1024, "agreement_of": 1024}


def extracted(net, language) -> tuple[extraction.Extraction, dict]:
    """Return the machine on the evaluation set, and its agreement on fresh words."""
    states = states_on(net, language, metrics.evaluation_set(language))
    found = extract(net, language, states)
    assert found.state.shape == (len(states.vectors),)
    return found, agreement(net, language, found.machine, metrics.fresh_words(language))


def drifting_counter() -> LSTM:
    """Return counter_net with 16 more units that add 1 for each symbol, behind closed output gates,
    so that equal states are far from each other."""
    net, counter = LSTM(2, 17), counter_net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        # Blocks: input gate, forget gate, cell input, output gate.
        net.hid_bias.view(4, 17)[:, 0] = counter.hid_bias
        net.W.view(2, 4, 17)[:, :, 0] = counter.W
        net.V[0], net.out_bias[:] = counter.V[0], counter.out_bias
        net.hid_bias.view(4, 17)[:, 1:] = torch.tensor([[20.0], [20.0], [20.0], [-40.0]])
    return net


@pytest.mark.parametrize(
    ("name", "make_net", "states"),
    [
        (("anb2nc3n", 3), automaton_net, 22),
        (("reber", 0, True), automaton_net, 20),
        # Its vectors after A's and after B's are the same, but never after the same symbol.
        (("anb2n",), lambda language: counter_net(), 12),
        (("anb2n",), lambda language: drifting_counter(), 12),
    ],
)
def test_a_network_that_implements_a_language_has_its_minimal_machine(name, make_net, states):
    language = make_language(*name)
    found, agree = extracted(make_net(language), language)
    assert found.isomorphic
    assert found.machine.count == states
    assert found.machine.names == found.reference.names
    assert agree == ALL


def test_a_wrong_output_after_one_state_is_in_the_machine():
    language = make_language("anb2n")
    probs, b3 = language.sampling_probs.copy(), language.machine.names.index("B3")
    probs[b3] = 1, 0
    net = automaton_net(replace(language, sampling_probs=probs))
    found, agree = extracted(net, language)
    assert not found.isomorphic
    assert found.machine.outputs[found.machine.names.index("B3")] == 0
    # The network's own machine predicts the same mistake; the language's machine does not.
    assert agree == ALL
    sequences = language.from_strings(["ABBAABBBBABB", "ABBABB"])
    expected = {"agreement": 4, "agreement_of": 5}
    assert agreement(net, language, found.reference, sequences) == expected


def test_vectors_of_a_state_count_once_and_have_the_course_s_numbers():
    language, net = make_language("anb2n"), counter_net()
    states = states_on(net, language, language.from_strings(["AABBBBAABBBB", "AABBBB"]))
    names = [language.machine.names[node] for node in states.node]
    rows = zip(states.vectors[:, 1].round(2), states.symbol, states.number, names, strict=True)
    # Context, symbol, state number and state.
    assert sorted(rows) == [
        (0, -1, 0, "start"), (0, 1, 0, "start"), (0.5, 1, 1, "B1"), (1, 0, 1, "A1"),
        (1, 1, 1.5, "B2"), (1.5, 1, 2, "B3"), (2, 0, 2, "A2"),
    ]  # fmt: skip
    assert states.symbol[0] == -1


def test_a_network_that_forgets_has_one_state_for_several_of_the_language():
    language = make_language("reber", embed=True)
    names, transitions = language.machine.names, language.transitions.copy()
    # After a P, as after a T.
    transitions[1, language.symbols.index("P")] = names.index("T")
    machine = replace(language.machine, transitions=transitions)
    net = automaton_net(replace(language, machine=machine))
    with torch.no_grad():
        for parameter in (net.W, net.U, net.hid_bias, net.H0):
            # Units of exactly 1 and -1.
            parameter *= 3
    found, agree = extracted(net, language)
    assert not found.isomorphic
    forgotten = {"T+P", *(f"T{k}+P{k}" for k in range(1, 7))}
    assert set(found.machine.names) - {"T?", "P?"} == {"start", "B", *forgotten, "E?", "end"}
    # At the symbol to be repeated it always predicts T.
    correct = metrics.remembered(net, language, metrics.fresh_words(language))["correct"]
    assert agree["agreement"] in (correct, 1024 - correct)
