"""seq_plot.py on other networks: Reber's grammars, weights of another program, untrained ones."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from recurrent.machine import Machine
from test_film import implement
from test_machine import check_extraction
from test_seq_plot import names, plot, save_automaton, save_untrained

from recurrent.film import FRAMES_PER_SYMBOL, MAX_SYMBOL_TIME, Frame, Scene, read_words
from recurrent.task import make_language
from seq_models import LSTM, SRN


@pytest.mark.parametrize(("lang", "embed", "count"), [("reber", False, 8), ("reber", True, 20)])
def test_the_machine_of_reber_s_grammar(lang, embed, count, tmp_path, capsys):
    flags = save_automaton(tmp_path / "net", lang, embed)
    out = plot(*flags, "--only", "states", folder=tmp_path / "plot", capsys=capsys)
    assert f"{count} states; isomorphic to the extracted one" in out
    assert "machine and network agree on 1024/1024 sequences" in out
    assert "the same for network and language" in out
    assert {re.sub(".*_", "", name) for name in names(tmp_path / "plot")} == {
        "states.jpg", "fsm.jpg", "fsm.dot",
    }  # fmt: skip
    dot = next((tmp_path / "plot").glob("*.dot")).read_text()
    assert dot.startswith("digraph")


@pytest.mark.parametrize(("name", "states"), [(("anb2nc3n",), 33), (("reber", 0, True), 20)])
def test_a_larger_machine_is_extracted_from_its_network(name, states):
    check_extraction(name, states)


def plain_reber_loop(updates: int) -> dict[str, torch.Tensor]:
    """Return weights, named as the course's, trained on single words by an independent loop."""
    language, random = make_language("reber"), np.random.default_rng(2)
    torch.manual_seed(2)
    shapes = {"H0": (2,), "W": (7, 2), "U": (2, 2), "hid_bias": (2,), "V": (2, 7), "out_bias": (7,)}
    p = {name: (0.3 * torch.randn(shape)).requires_grad_() for name, shape in shapes.items()}
    optimizer = torch.optim.Adam(p.values(), 0.1, (0.9, 0.99), weight_decay=1e-3)
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - update / updates)
        words = language.sample_words(30, random)
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
    (tmp_path / "net").mkdir()
    torch.save(plain_reber_loop(600), tmp_path / "net" / "reber_srn2_1.pth")
    words = ["--lang", "reber", "--epoch", 1, "--out_path", tmp_path / "net", "--only", "states"]
    out = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert "minimal machine of reber: 8 states; isomorphic to the extracted one" in out


@pytest.mark.parametrize(
    ("section", "kinds"),
    [("scatter", {"01", "3d"}), ("dynamics", {"dynamics"}), ("context", {"time"})],
)
def test_only_selects_the_sections(section, kinds, tmp_path, capsys):
    flags = save_automaton(tmp_path / "net", lang="reber")
    plot(*flags, "--only", section, folder=tmp_path / "plot", capsys=capsys)
    found = {re.sub(r".*_(\w+)\.jpg", r"\1", name) for name in names(tmp_path / "plot")}
    assert kinds <= found
    assert not found & ({"states", "fsm", "dynamics", "time", "3d", "01"} - kinds)


def test_a_film_is_made_by_only_film(tmp_path, capsys):
    flags = save_automaton(tmp_path / "net", lang="anbn", length=2)
    out = plot(*flags, "--only", "film", folder=tmp_path / "plot", capsys=capsys)
    path = tmp_path / "plot" / "anbn_srn5_film.gif"
    assert list((tmp_path / "plot").iterdir()) == [path]
    assert f"film: {path}" in out
    with Image.open(path) as film:
        assert film.size == (800, 600)
        # The initial state and six symbols.
        assert film.n_frames == 1 + 6 * FRAMES_PER_SYMBOL
        duration = sum(frame.info["duration"] for frame in ImageSequence.Iterator(film))
        assert duration == 7 * MAX_SYMBOL_TIME


def test_context_units_are_printed_and_drawn(tmp_path, capsys):
    flags = save_untrained(tmp_path / "net", "lstm")
    folder = tmp_path / "plot"
    words = (*flags, "--only", "scatter,context", "--seed", 0, "--num_plot", 1)
    plain = plot(*words, folder=folder, capsys=capsys)
    assert names(folder) == {
        "anbn_lstm2_01.jpg", "anbn_lstm2_context_01.jpg", "anbn_lstm2_time.jpg",
    }  # fmt: skip
    both = plot(*words, "--context", folder=folder, capsys=capsys)
    line = next(row for row in plain.splitlines() if row.startswith("A ["))
    wide = next(row for row in both.splitlines() if row.startswith("A ["))
    assert line.count("[") == 2
    assert wide.count("[") == 3
    assert "hidden and context activations" in both
    # The context units follow the equations: h = o tanh(c), so |h| <= |tanh(c)|.
    h, c = (np.array(part.split(), float) for part in re.findall(r"\[([^\]]+)\]", wide)[:2])
    assert (np.abs(h) <= np.abs(np.tanh(c)) + 0.01).all()


def test_an_untrained_network_is_analysed(tmp_path, capsys):
    torch.manual_seed(0)
    for model, hid in (("srn", 1), ("lstm", 2)):
        net = SRN(3, hid, init=1.0) if model == "srn" else LSTM(3, hid)
        torch.save(net.state_dict(), tmp_path / f"anb2nc3n_{model}{hid}_1.pth")
        words = ["--lang", "anb2nc3n", "--model", model, "--hid", hid, "--epoch", 1]
        words += ["--num_plot", 1, "--only", "states,dynamics,context"]
        out = plot(*words, "--out_path", tmp_path, folder=tmp_path / "plot", capsys=capsys)
        assert "not isomorphic to the extracted one" in out
        assert "network only" in out
        assert re.search(r"machine and network agree on \d+/1024 sequences", out)
        assert "First n that is not exact: " in out or "All of these words are exact." in out


def test_all_sections_of_a_network_that_implements_its_language(tmp_path, capsys):
    flags = save_automaton(tmp_path / "net", lang="anbn", length=2)
    flags += ["--json", tmp_path / "results.json"]
    out = plot(*flags, "--seed", 1, "--num_plot", 3, folder=tmp_path / "plot", capsys=capsys)
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["states"], results["minimal_states"], results["isomorphic"]) == (4, 4, True)
    for text in results["sequences"]:
        assert f"symbol= {text['symbols']}\n" in out
        assert np.allclose(np.sum(text["probabilities"], axis=1), 1)
        assert np.shape(text["hidden"]) == (len(text["symbols"]) - 1, 5)
    stem = "anbn_srn5"
    pairs = {f"{stem}_{one}{other}.jpg" for one in range(5) for other in range(one + 1, 5)}
    rest = {f"{stem}_{what}" for what in ("3d.jpg", "states.jpg", "fsm.jpg", "fsm.dot")}
    assert names(tmp_path / "plot") == pairs | rest | {f"{stem}_dynamics.jpg", f"{stem}_time.jpg"}
    for name in ("W:", "U:", "hid_bias:", "V:", "out_bias:", "H0:"):
        assert f"\n{name}\n" in out
    assert out.count("symbol= A") == 3
    assert "machine and network agree on 1024/1024 sequences" in out
    assert "4 states; isomorphic to the extracted one" in out
    for name in names(tmp_path / "plot"):
        assert name in out


def test_a_film_of_hundreds_of_clusters_and_of_words_that_the_machine_does_not_allow():
    net, language, extracted = implement("anbn")
    count, width = 300, extracted.trajectory.state.shape[1]
    random = np.random.default_rng(0)
    trajectory = replace(
        extracted.trajectory, state=random.normal(size=(count, width)), node=np.full(count, -1)
    )
    transitions = np.full((62, language.classes), -1)
    transitions[:-1, language.first_symbol] = np.arange(1, 62)
    machine = Machine(language.symbols, transitions)
    many = replace(
        extracted,
        trajectory=trajectory,
        clustering=replace(extracted.clustering, cluster=np.arange(count)),
        machine=machine,
        names=[f"outside ({state})" for state in range(62)],
        overlap=np.zeros((62, len(extracted.labels)), dtype=bool),
    )
    readings = read_words(net, language, machine)
    assert -1 in readings[0].states
    scene = Scene(language, many, readings, "a title")
    frames = [Frame(0, 0, 1.0, 100), Frame(0, len(readings[0].text), 0.7, 100)]
    assert [image.mode for image in scene.images(frames)] == ["P", "P"]
    assert scene.lines[1].get_text().startswith("no state")
