"""Networks and the data of their pages, for test_page.py and browser/."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from shared import counter_net

from recurrent.extraction import Extraction, states_on
from recurrent.page import page_data
from recurrent.task import make_language
from seq_models import LSTM, SRN


def random_net(kind, symbols: int, hid: int):
    """Return a network with large random weights, whose units are far from zero."""
    torch.manual_seed(1)
    net = kind(symbols, hid)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 1.5)
    return net


def example(net, lang: str = "anb2n") -> SimpleNamespace:
    """Return a network, a language, and the data of their page, with the language's machine."""
    language = make_language(lang, 0 if lang == "reber" else 3)
    states = states_on(net, language, language.from_strings(language.shortest_words(4)))
    machine = Extraction(language.machine, states.node, language.machine)
    data = page_data(net, language, states, machine, "A network", drawn=True)
    return SimpleNamespace(net=net, language=language, data=data)


EXAMPLES = {
    "srn": example(random_net(SRN, 2, 2)),
    "lstm": example(random_net(LSTM, 3, 3), "anb2nc3n"),
    "large": example(random_net(LSTM, 7, 8), "reber"),
    "counter": example(counter_net()),
}
