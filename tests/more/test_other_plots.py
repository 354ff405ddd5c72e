"""seq_plot.py on networks that another program trained, and on a machine too large to draw."""

import json
from itertools import pairwise

import numpy as np
import torch

import seq_plot
from recurrent.extraction import MAX_DRAWN
from recurrent.task import make_language
from seq_models import LSTM


def plot(path, *words, folder, capsys) -> tuple[str, dict]:
    """Run seq_plot.py on the network in a file; return what it prints, and its results."""
    flags = ["--load", path, "--no_show", "--plot", folder, "--json", folder / "results.json"]
    assert seq_plot.main(list(map(str, [*flags, *words]))) == 0
    return capsys.readouterr().out, json.loads((folder / "results.json").read_text())


def plain_reber_loop(updates: int) -> dict[str, torch.Tensor]:
    """Return weights, named as the course's, trained on single words by an independent loop."""
    language, random = make_language("reber"), np.random.default_rng(2)
    torch.manual_seed(2)
    shapes = {"H0": (2,), "W": (7, 2), "U": (2, 2), "hid_bias": (2,), "V": (2, 7), "out_bias": (7,)}
    p = {name: (0.3 * torch.randn(shape)).requires_grad_() for name, shape in shapes.items()}
    optimizer = torch.optim.Adam(p.values(), 0.1, (0.9, 0.99), weight_decay=1e-3)
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - update / updates)
        words = language.sample_words(30, random).T
        hidden, loss = torch.tanh(p["H0"]).expand(30, 2), 0.0
        for now, following in pairwise(words):
            hidden = torch.tanh(p["W"][now] + hidden @ p["U"] + p["hid_bias"])
            chosen = torch.log_softmax(hidden @ p["V"] + p["out_bias"], 1)[range(30), following]
            loss = loss - chosen[torch.from_numpy(following >= 0)].sum()
        optimizer.zero_grad()
        (loss / (words[1:] >= 0).sum()).backward()
        optimizer.step()
    return {name: value.detach() for name, value in p.items()}


def test_the_grammar_is_extracted_from_weights_of_a_plain_loop(tmp_path, capsys):
    torch.save(plain_reber_loop(600), tmp_path / "reber_srn2_1.pth")
    path = tmp_path / "reber_srn2_1.pth"
    out, results = plot(path, "--only", "states", folder=tmp_path / "plot", capsys=capsys)
    assert results["isomorphic"]
    assert "On the words its state vectors form 8 states: the language's minimal machine" in out


def test_a_machine_of_more_states_than_can_be_drawn(tmp_path, capsys):
    torch.manual_seed(0)
    net = LSTM(3, 2)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(net.state_dict(), tmp_path / "anb2nc3n_lstm2_1.pth")
    words = ("--only", "states,page,film", "--num_plot", 1)
    out, results = plot(
        tmp_path / "anb2nc3n_lstm2_1.pth", *words, folder=tmp_path / "plot", capsys=capsys
    )
    assert results["states"] > MAX_DRAWN
    assert f"{results['states']} states, more than {MAX_DRAWN}: no table and no picture" in out
    assert "no film: " in out
    assert {path.name.split("_")[-1] for path in (tmp_path / "plot").iterdir()} == {
        "states.jpg", "lstm2.html", "results.json",
    }  # fmt: skip
