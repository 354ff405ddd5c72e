"""Networks and what the page about them is made of, for test_page.py and browser/."""

from __future__ import annotations

from itertools import accumulate
from types import SimpleNamespace

import numpy as np
import torch
from shared import counter_net

from seq_models import LSTM, SRN

ANB2N = [n * "A" + 2 * n * "B" for n in range(1, 5)]
ANB2NC3N = [n * "A" + 2 * n * "B" + 3 * n * "C" for n in range(1, 4)]
REBER = ["BTXSE", "BPVVE", "BTSSXXTVVE", "BPTVPSE"]


def random_net(kind, symbols: int, hid: int):
    """Return a network with large random weights, whose units are far from zero."""
    torch.manual_seed(1)
    net = kind(symbols, hid)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 1.5)
    return net


def tree(words: list[str], symbols: str, chained: bool) -> dict:
    """Return the machine of some words: a state for each prefix; a whole word leads to the start,
    or to an end state."""
    prefixes = sorted({p for word in words for p in accumulate(word[:-1], initial="")}, key=len)
    names = [*(prefix[-4:] or "start" for prefix in prefixes), *([] if chained else ["end"])]
    transitions = np.full((len(names), len(symbols)), -1)
    for word in words:
        for prefix, longer in zip(accumulate(word, initial=""), accumulate(word), strict=False):
            to = prefixes.index(longer) if longer != word else 0 if chained else len(names) - 1
            transitions[prefixes.index(prefix), symbols.index(longer[-1])] = to
    depth = [len(prefix) for prefix in prefixes] + ([] if chained else [12])
    places = [[d, depth[:k].count(d) - depth.count(d) / 2] for k, d in enumerate(depth)]
    only = [int(row.argmax()) if (row >= 0).sum() == 1 else -1 for row in transitions]
    return dict(names=names, places=places, transitions=transitions, start=0, outputs=only)


def example(net, symbols: str, words: list[str], title: str = "A network") -> SimpleNamespace:
    """Return a network and the `data` of its page; the dots are those of `words`."""
    chained = len(symbols) < 7
    machine = tree(words, symbols, chained)
    read = ["".join(words)] if chained else words
    text = torch.tensor([symbols.index(letter) for letter in "".join(read)])
    states = torch.cat([reading(net, symbols, word)[0] for word in read])
    group, state, last = [], 0, len(machine["names"]) - 1
    for symbol in text.tolist():
        state = int(machine["transitions"][state, symbol])
        group.append(state)
        state = 0 if state == last and not chained else state
    data = dict(
        title=title, model="lstm" if isinstance(net, LSTM) else "srn", hid=net.hid, symbols=symbols,
        chained=chained, weights=dict(net.state_dict()), sequence=words[0] + words[2] * chained,
        times=list(range(1, len(symbols) + 1)) if chained else None, states=states,
        number=np.array(group) / 2, max_number=max(group) / 2, group=np.array(group),
        machine=machine,
        language=dict(transitions=machine["transitions"], start=0, end=0 if chained else last),
    )  # fmt: skip
    return SimpleNamespace(net=net, symbols=symbols, words=words, data=data)


def reading(net, symbols: str, word: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a network's states (T, D) and probabilities (T, C) on a word."""
    text = torch.tensor([symbols.index(letter) for letter in word], dtype=torch.int64)
    with torch.no_grad():
        states = net.states(text[:, None])[:, 0]
        return states, net.read_out(states).softmax(dim=-1)


def examples() -> dict[str, SimpleNamespace]:
    """Return an SRN, LSTMs of one, three and eight hidden units, and an SRN of words that end."""
    return {
        "srn": example(random_net(SRN, 2, 2), "AB", ANB2N),
        "lstm": example(random_net(LSTM, 3, 3), "ABC", ANB2NC3N),
        "reber": example(random_net(SRN, 7, 2), "BTSXPVE", REBER),
        "counter": example(counter_net(), "AB", ANB2N),
        "large": example(random_net(LSTM, 7, 8), "BTSXPVE", REBER),
    }
