"""Any network goes through the sections of seq_plot.py: four small ones, random, saturated,
constant or half-trained, of every language; tests/more/test_any_network.py has 200 of all sizes."""

import contextlib
import io
import time

import numpy as np
import pytest
import torch
from PIL import Image

import seq_plot
from recurrent.task import make_language
from seq_models import LSTM, SRN

# Standard deviations of the weights.
KINDS = {"random": 1.0, "saturated": 20.0, "huge": 1e4, "tiny": 1e-3, "zero": 0.0, "constant": 0.5}
LANGUAGES = ("anbn", "anb2n", "anb2nc3n", "anbncn", "reber", "embedded")
SECTIONS = "scatter,states,dynamics,context"
# Seconds of processor time per network, three times those on a core that does nothing else, because
# tests share the cores; pixels; characters.
MAX_TIME, MAX_SIDE, MAX_LINE = 30, 4000, 200


def any_network(number: int, max_hid: int = 12):
    """Return the flags of a language, and a network for it, which depend on `number`."""
    random = np.random.default_rng(number)
    lang, kind = LANGUAGES[number % len(LANGUAGES)], random.choice(list(KINDS))
    embed, length = lang == "embedded", int(random.integers(1, 10))
    words = ["--lang", "reber", *["--embed"] * embed] if "n" not in lang[:2] else ["--lang", lang]
    words += ["--length", length] if lang.startswith("an") else []
    lang = "reber" if embed else lang
    language = make_language(lang, length if lang != "reber" else 0, embed)
    torch.manual_seed(number)
    model, hid = random.choice(["srn", "lstm"]), int(random.integers(1, max_hid + 1))
    net = (SRN if model == "srn" else LSTM)(language.classes, hid)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 1).mul_(KINDS[kind])
        if kind == "constant":
            # The state does not depend on what is read.
            net.W.zero_()
            net.U.zero_()
    return words, net


def half_trained(number: int, max_hid: int = 12):
    """Return the flags, and a network after 60 updates by Adam."""
    words, net = any_network(number, max_hid)
    lang = "reber" if "reber" in words else words[1]
    length = words[words.index("--length") + 1] if "--length" in words else 0
    language = make_language(lang, length, "--embed" in words)
    optimizer, random = torch.optim.Adam(net.parameters(), 0.05), np.random.default_rng(number)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0, 0.3)
    for _ in range(60):
        batch = language.batch(20, random)
        output = net(batch.symbols[:-1])[batch.mask]
        loss = torch.nn.functional.cross_entropy(output, batch.symbols[1:][batch.mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return words, net


def check_network(words, net, folder, sections: str = SECTIONS) -> None:
    """Run seq_plot.py on a network; check its time, its pictures and its lines."""
    torch.save(net.state_dict(), folder / "net.pth")
    words = [*words, "--load", folder / "net.pth", "--plot", folder, "--only", sections]
    words += ["--no_show", "--num_plot", 2, "--seed", 0]
    begun, out = time.process_time(), io.StringIO()
    with contextlib.redirect_stdout(out):
        assert seq_plot.main(list(map(str, words))) == 0
    assert time.process_time() - begun < MAX_TIME
    for path in folder.glob("*.jpg"):
        with Image.open(path) as picture:
            assert max(picture.size) <= MAX_SIDE
    # But for activations, numpy's rows of weights, paths, and sequences of five words.
    long = ("[", str(folder), "symbol= ")
    lines = [line for line in out.getvalue().splitlines() if not any(x in line for x in long)]
    assert max(map(len, lines)) <= MAX_LINE, max(lines, key=len)
    assert "\nIn short\n" in out.getvalue()


@pytest.mark.parametrize("number", [1, 5, 6])
def test_a_small_network_goes_through_the_sections(number, tmp_path):
    check_network(*any_network(number, 3), tmp_path, "states,dynamics,context")


@pytest.mark.parametrize("number", [2])
def test_a_small_half_trained_network_goes_through_the_sections(number, tmp_path):
    check_network(*half_trained(number, 2), tmp_path, "states,dynamics,context")
