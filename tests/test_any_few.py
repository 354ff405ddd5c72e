"""Any network goes through the sections of seq_plot.py: four small ones, random, saturated,
zero or half-trained, of every language; tests/more/test_any_network.py has 200 of all sizes."""

import numpy as np
import pytest
import torch
from PIL import Image

import seq_plot
from recurrent.task import make_language
from seq_models import LSTM, SRN

# Standard deviations of random, saturated, huge, tiny and zero weights.
SIZES = (1.0, 20.0, 1e4, 1e-3, 0.0)
LANGUAGES = ("anbn", "anb2n", "anb2nc3n", "anbncn", "reber", "reber --embed")


def any_network(number: int, max_hid: int, trained: bool):
    """Return the flags of a language, and a network for it; trained: by 60 updates."""
    random, lang = np.random.default_rng(number), LANGUAGES[number % len(LANGUAGES)]
    size, length = 0.3 if trained else random.choice(SIZES), int(random.integers(1, 10))
    words = ["--lang", *lang.split(), "--length", length]
    language = make_language(words[1], length, embed="--embed" in words)
    torch.manual_seed(number)
    net = random.choice([SRN, LSTM])(language.classes, int(random.integers(1, max_hid + 1)))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter).data.mul_(size)
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(60 if trained else 0):
        batch = language.batch(20, random)
        output = net(batch.symbols[:-1])[batch.mask]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(output, batch.symbols[1:][batch.mask]).backward()
        optimizer.step()
    return words, net


def check_network(words, net, folder, sections: str, capsys) -> str:
    """Run seq_plot.py on a network; check its pictures; return what it prints."""
    torch.save(net.state_dict(), folder / "net.pth")
    words = [*words, "--load", folder / "net.pth", "--plot", folder, "--only", sections]
    words += ["--no_show", "--num_plot", 2, "--seed", 0]
    assert seq_plot.main(list(map(str, words))) == 0
    for path in folder.glob("*.jpg"):
        with Image.open(path) as picture:
            assert max(picture.size) <= 4000
    printed = capsys.readouterr().out
    assert "\nIn short\n" in printed
    return printed


@pytest.mark.parametrize(("number", "trained"), [(1, False), (5, False), (6, False), (2, True)])
def test_a_small_network_goes_through_the_sections(number, trained, tmp_path, capsys):
    net = any_network(number, 2 if trained else 3, trained)
    check_network(*net, tmp_path, "states,dynamics,context", capsys)
