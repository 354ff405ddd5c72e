"""seq_plot.py as a user runs it: whole outputs on hand-made networks, files of others, errors."""

from cli import files

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from shared import (
    StopAfter,
    automaton_net,
    check_refused,
    counter_net,
    exit_status,
    golden,
    run_here,
)

import seq_plot
import seq_train
from recurrent.task import make_language
from seq_models import LSTM, SRN


def save_untrained(folder, model="srn") -> list:
    """Save an untrained network of two units; return the flags."""
    torch.manual_seed(0)
    net = (LSTM if model == "lstm" else SRN)(2, 2)
    folder.mkdir(exist_ok=True)
    torch.save(net.state_dict(), folder / f"anbn_{model}2_7.pth")
    return ["--lang", "anbn", "--model", model, "--hid", 2, "--epoch", 7, "--out_path", folder]


def plot(*words, folder, capsys) -> str:
    """Run seq_plot.py without errors; return what it prints."""
    assert seq_plot.main([*map(str, words), "--no_show", "--plot", str(folder)]) == 0
    return capsys.readouterr().out


def names(folder) -> set[str]:
    """Return the names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


# Whole outputs

HAND_MADE = {
    "anb2n": lambda: automaton_net(make_language("anb2n")),
    "reber": lambda: automaton_net(make_language("reber")),
    "counter": counter_net,
    "stuck": lambda: counter_net(stuck=True),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_the_whole_output_on_a_hand_made_network(name, tmp_path, capsys):
    torch.save(HAND_MADE[name]().state_dict(), tmp_path / "net.pth")
    lang = "reber" if name == "reber" else "anb2n"
    words = ["--load", "net.pth", "--lang", lang, "--seed", 0, "--num_plot", 1, "--no_show"]
    words += ["--only", "states,dynamics,context"]
    words += ["--json", "results.json"] if name == "counter" else []
    done = run_here("seq_plot.py", *words, cwd=tmp_path, capsys=capsys)
    assert (done.returncode, done.stderr) == (0, "")
    golden(f"seq_plot_{name}", done.stdout)
    if name == "counter":
        results = json.loads((tmp_path / "results.json").read_text())
        assert results["isomorphic"] is True
        assert results["fresh_words"] == {"words": 1024, "wrong": 0}
        assert results["max_exact_n"] == [100, 20]
        assert " ".join(done.stdout.split("In short")[1].split()) == " ".join(
            " ".join(results["sentences"]).split()
        )


def test_weights_and_sequences_are_printed_as_in_the_course(tmp_path, capsys):
    torch.save(counter_net().state_dict(), tmp_path / "net.pth")
    words = ["--load", "net.pth", "--lang", "anb2n", "--only", "scatter", "--seed", 0, "--no_show"]
    words += ["--words", "abb,AABBBB", "--context"]
    done = run_here("seq_plot.py", *words, cwd=tmp_path, capsys=capsys)
    assert done.stderr == ""
    golden("seq_plot_words", done.stdout)


# Files

FOREIGN = {
    "the course's": lambda net: net.state_dict(),
    "nested": lambda net: {"model_state_dict": net.state_dict(), "epoch": 3},
    "parallel": lambda net: {f"module.{k}": value for k, value in net.state_dict().items()},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_any_file_of_the_network_is_analysed(kind, tmp_path, capsys):
    net, path = automaton_net(make_language("reber")), tmp_path / "my network.pth"
    torch.save(FOREIGN[kind](net), path)
    words = ["--load", path, "--only", "states", "--format", "svg"]
    out = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert "does not name its grammar: loss" in out
    assert "taken: Reber's grammar\n" in out
    assert "8 states: the language's minimal machine" in out
    stem = f"reber_srn{net.hid}"
    assert names(tmp_path / "plot") == {f"{stem}_states.svg", f"{stem}_fsm.svg"}


def test_the_course_s_name_of_an_embedded_network_is_found(tmp_path, capsys):
    torch.save(LSTM(7, 2).state_dict(), tmp_path / "reber_lstm2_50.pth")
    words = ["--lang", "reber", "--embed", "True", "--model", "lstm", "--hid", 2, "--epoch", 50]
    words += ["--out_path", tmp_path, "--only", "context"]
    out = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert out.startswith("LSTM with 2 hidden units on reber_embed\n")
    assert "\nIt remembers the second symbol" in out


def test_nothing_is_trained_where_near_matches_exist(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = Path("a net")
    folder.mkdir()
    for name in ("anbn_srn2_100", "anbn_srn2_20", "anb2n_srn2_5", "reber_lstm8_50"):
        torch.save(SRN(2, 2).state_dict(), folder / f"{name}.pth")
    before = names(folder)
    refused = ["--lang", "anbn", "--hid", "3", "--epoch", "7", "--out_path", "a net"]
    listed = "a net has anbn_srn2_20.pth, anbn_srn2_100.pth: choose one by --model"
    check_refused("seq_plot", refused, 1, listed, capsys)
    assert exit_status("seq_plot", *refused) == 1
    command = shlex.split(capsys.readouterr().err.rsplit("by ", 1)[1])
    assert command[2:] == [
        "--lang", "anbn", "--model", "srn", "--hid", "3", "--epoch", "7", "--out_path", "a net",
    ]  # fmt: skip
    embedded = ["--lang", "reber", "--embed", "--out_path", "a net"]
    check_refused("seq_plot", embedded, 1, "a net has reber_lstm8_50.pth", capsys)
    # Each of these kinds would have been trained.
    check_refused("seq_plot", ["--epoch", "100000"], 2, "did you mean --epoch 100?", capsys)
    assert names(folder) == before
    assert not Path("net").exists()


# Training first

SMALL = ["--lang", "anbn", "--length", "2", "--epoch", "1", "--num_plot", "1", "--no_show"]
FIRST = re.compile(
    r"^net/\S+ does not exist; training the network first: (.*) \.\.\. \d+\.\d s\n", re.MULTILINE
)


def test_a_missing_network_is_trained_once_by_the_printed_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [*SMALL, "--seed", 3, "--only", "scatter"]
    printed = [plot(*words, folder="plot", capsys=capsys) for _ in range(2)]
    assert FIRST.sub("", printed[0]).replace("seed: 3\n", "", 1) == printed[1]
    assert "SRN with 2 hidden units on anbn, 1000 sequences, seed 3, loss 0." in printed[1]
    trained = torch.load("net/anbn_srn2_1.pth", weights_only=True)
    command = shlex.split(FIRST.search(printed[0])[1])
    assert command[1].endswith("seq_train.py")
    assert seq_train.main(command[2:]) == seq_train.FAILED
    again = torch.load("net/anbn_srn2_1.pth", weights_only=True)
    assert all(torch.equal(again[name], trained[name]) for name in trained)
    # Another seed chooses other sequences; the network keeps its own.
    other = plot(*SMALL, "--seed", 4, "--only", "scatter", folder="plot", capsys=capsys)
    assert "--seed 4 chooses the sequences; the network's own is 3\n" in other
    assert "seed 3, loss" in other


def test_the_assignment_s_halfway_network_comes_from_a_whole_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lengths = []

    def run_training(run, folder, stop):
        lengths.append((run.length, run.recipe.optim))
        stop.status = 130
        return folder / "anb2nc3n_lstm3_20.pth"

    monkeypatch.setattr(seq_train, "run_training", run_training)
    task = ["--lang", "anb2nc3n", "--model", "lstm"]
    for words in (["--epoch", "50"], [], ["--epoch", "7"], ["--epoch", "110"]):
        expected = "interrupted; net/anb2nc3n_lstm3_20.pth is saved; to go on: "
        check_refused("seq_plot", [*task, *words], 130, expected, capsys)
    assert lengths == [(length, "adam") for length in (100, 100, 7, 110)]


def test_ctrl_c_keeps_the_last_whole_block(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(seq_plot, "Stop", lambda: StopAfter(2))
    words = ["--lang", "anbn", "--epoch", "3", "--seed", "1", "--no_show"]
    status = exit_status("seq_plot", *words)
    _, run = files.read_checkpoint(max(Path("net").iterdir(), key=lambda p: p.stat().st_mtime), "")
    assert status == 130
    assert 0 < run["done"] < run["length"] == 3
    assert "to go on: " in capsys.readouterr().err


# Errors


def test_bad_input_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "x.pth").write_text("no weights")
    torch.save(counter_net().state_dict(), "counter.pth")
    counter = ["--load", "counter.pth", "--lang", "anb2n"]
    for words, status, message in (
        (["--only", "sactter"], 2, "'sactter' is not one of scatter, states, dynamics, context"),
        (["--num_plot", "0"], 2, "'0' is not a whole number from 1 to 1000"),
        (["--lang", "anb"], 2, "'anb' is not a language"),
        (["--embed", "--lang", "anbn"], 2, "--embed requires --lang reber"),
        (["--show", "--no_show"], 2, "not allowed with argument"),
        (["--plot", "net/x.pth"], 1, "cannot write into net/x.pth: it is not a folder"),
        (["--load", "net/x.pth"], 1, "--load net/x.pth: damaged, or not a checkpoint"),
        (["--load", "net/y.pth"], 1, "--load net/y.pth: file not found"),
        (["--load", "counter.pth"], 2, "counter.pth does not name its language: add --lang"),
        ([*counter[:2], "--lang", "reber"], 1, "reber has 7 symbols, the LSTM in the file 2"),
        ([*counter, "--hid", "3"], 1, "counter.pth is a network of --hid 1, not 3: leave it out"),
        ([*counter, "--model", "srn"], 1, "is a network of --model lstm, not srn"),
        ([*counter, "--words", "AABX"], 2, "'AABX': 'X' is not one of the symbols of anb2n, AB"),
        ([*counter, "--words", "AB,"], 2, "argument --words: '': it needs 1 or more of"),
    ):
        check_refused("seq_plot", words, status, message, capsys)


def test_flags_that_contradict_a_checkpoint_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained = seq_train.main(["--lang", "anbn", "--epoch", "1", "--length", "3"])
    assert trained in (0, seq_train.FAILED)
    words = ["--lang", "anbn", "--epoch", "1", "--only", "context"]
    out = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert "/9" in out
    check_refused("seq_plot", [*words, "--length", "4"], 1, "of --length 3, not 4", capsys)
    Path("net", "anbn_srn2_1.pth").rename(Path("net", "anb2n_srn2_1.pth"))
    other = ["--lang", "anb2n", "--epoch", "1"]
    check_refused("seq_plot", other, 1, "is a network of --lang anbn, not anb2n", capsys)


def test_context_units_of_an_srn_are_its_hidden_units(tmp_path, capsys):
    flags = save_untrained(tmp_path / "net")
    words = (*flags, "--only", "scatter", "--num_plot", 1, "--seed", 1)
    plain = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert plot(*words, "--context", folder=tmp_path / "plot", capsys=capsys) == plain


def test_the_same_seed_prints_and_draws_the_same(tmp_path, capsys):
    flags = save_untrained(tmp_path / "net")
    words = (*flags, "--only", "scatter", "--num_plot", 2, "--seed")
    one = plot(*words, 5, folder=tmp_path / "plot", capsys=capsys)
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "plot").iterdir()}
    assert plot(*words, 5, folder=tmp_path / "plot", capsys=capsys) == one
    assert all((tmp_path / "plot" / name).read_bytes() == pictures[name] for name in pictures)
    assert plot(*words, 6, folder=tmp_path / "plot", capsys=capsys) != one
