"""seq_plot.py as a user runs it: whole outputs on hand-made networks, training first, errors."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from shared import automaton_net, check_refused, counter_net, exit_status, golden, run_here

import seq_plot
import seq_train
from recurrent.task import make_language, resolve_task
from seq_models import LSTM, SRN

# Whole outputs

OUTPUTS = {
    "anb2n": (automaton_net(make_language("anb2n")), "states,dynamics,context", []),
    "reber": (automaton_net(make_language("reber")), "states,dynamics,context", []),
    "counter": (counter_net(), "states,dynamics,context", ["--json", "results.json"]),
    "stuck": (counter_net(stuck=True), "states", []),
    # As in the course's script.
    "words": (counter_net(), "scatter", ["--words", "abb,AABBBB", "--context"]),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_whole_output_on_a_hand_made_network(name, tmp_path, capsys):
    net, sections, more = OUTPUTS[name]
    torch.save(net.state_dict(), tmp_path / "net.pth")
    words = ["--load", "net.pth", "--lang", "reber" if name == "reber" else "anb2n", "--seed", 0]
    words += ["--num_plot", 1, "--no_show", "--only", sections, *more]
    done = run_here("seq_plot.py", *words, cwd=tmp_path, capsys=capsys)
    assert (done.returncode, done.stderr) == (0, "")
    golden(f"seq_plot_{name}", done.stdout)
    if name == "counter":
        results = json.loads((tmp_path / "results.json").read_text())
        assert results["isomorphic"] is True
        assert results["fresh_words"] == {"words": 1024, "wrong": 0}
        assert results["max_exact_n"] == [100, 20]
        printed = done.stdout.split("In short")[1]
        assert printed.split() == " ".join(results["sentences"]).split()


# Finding the network


def test_the_course_s_name_of_an_embedded_network_is_found(tmp_path):
    words = ["--lang", "reber", "--embed", "True", "--epoch", "50", "--out_path", str(tmp_path)]
    args = seq_plot.build_parser().parse_args(words)
    for name in ("reber_srn8_50.pth", "reber_embed_srn8_50.pth"):
        torch.save(SRN(7, 8).state_dict(), tmp_path / name)
        assert seq_plot.find_checkpoint(resolve_task(args), 50, args).name == name


def test_nothing_is_trained_where_near_matches_exist(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = Path("a net")
    folder.mkdir()
    for name in ("anbn_srn2_100", "anbn_srn2_20", "anb2n_srn2_5", "reber_lstm8_50"):
        torch.save(SRN(2, 2).state_dict(), folder / f"{name}.pth")
    before = sorted(folder.iterdir())
    asked = ["--lang", "anbn", "--model", "srn", "--hid", "3", "--epoch", "7"]
    assert exit_status("seq_plot", *asked, "--out_path", folder) == 1
    message, command = capsys.readouterr().err.rsplit("train this one by ", 1)
    assert "a net has anbn_srn2_20.pth, anbn_srn2_100.pth: choose one by --model" in message
    assert shlex.split(command)[2:] == [*asked, "--out_path", "a net"]
    embedded = ["--lang", "reber", "--embed", "--out_path", "a net"]
    check_refused("seq_plot", embedded, 1, "a net has reber_lstm8_50.pth", capsys)
    check_refused("seq_plot", ["--epoch", "100000"], 2, "did you mean --epoch 100?", capsys)
    assert sorted(folder.iterdir()) == before
    assert not Path("net").exists()


# Training first


def test_a_missing_network_is_trained_once_by_the_printed_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--lang", "anbn", "--length", "2", "--epoch", "1", "--num_plot", "1", "--no_show"]
    words += ["--only", "scatter"]

    def plot(*more: str) -> tuple[str, bytes]:
        """Return what seq_plot.py prints, and the picture that it draws."""
        assert seq_plot.main([*words, *more]) == 0
        return capsys.readouterr().out, Path("plot/anbn_srn2_01.jpg").read_bytes()

    first, picture = plot("--seed", "3")
    again, same = plot()
    other, _ = plot("--seed", "4")
    trained = re.search(r"net/\S+ does not exist; training .*: (.*) \.\.\. \d+\.\d s\n", first)
    assert first == "seed: 3\n" + trained[0] + again
    assert picture == same
    assert "SRN with 2 hidden units on anbn, 1000 sequences, seed 3, loss 0." in again
    # Another seed chooses other sequences; the network keeps its own.
    assert "--seed 4 chooses the sequences; the network's own is 3\n" in other
    assert "seed 3, loss" in other
    # By the printed command, the same network.
    saved = torch.load("net/anbn_srn2_1.pth", weights_only=True)
    command = shlex.split(trained[1])
    assert command[1].endswith("seq_train.py")
    assert seq_train.main(command[2:]) == seq_train.FAILED
    repeated = torch.load("net/anbn_srn2_1.pth", weights_only=True)
    assert all(torch.equal(repeated[name], saved[name]) for name in saved)
    capsys.readouterr()
    check_refused("seq_plot", [*words, "--length", "4"], 1, "of --length 2, not 4", capsys)


def test_the_assignment_s_halfway_network_comes_from_a_whole_run(tmp_path, monkeypatch, capsys):
    """Training is replaced by an interruption that notes the run's length."""
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


# Errors


def test_bad_input_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("x.pth").write_text("no weights")
    torch.save(LSTM(2, 1).state_dict(), "counter.pth")
    counter = ["--load", "counter.pth", "--lang", "anb2n"]
    for words, status, message in (
        (["--only", "sactter"], 2, "'sactter' is not one of scatter, states, dynamics, context"),
        (["--show", "--no_show"], 2, "not allowed with argument"),
        (["--plot", "x.pth"], 1, "cannot write into x.pth: it is not a folder"),
        (["--load", "x.pth"], 1, "--load x.pth: damaged, or not a checkpoint"),
        (["--load", "y.pth"], 1, "--load y.pth: file not found"),
        (["--load", "counter.pth"], 2, "counter.pth does not name its language: add --lang"),
        ([*counter, "--model", "srn"], 1, "is a network of --model lstm, not srn"),
        ([*counter, "--words", "AABX"], 2, "'AABX': 'X' is not one of the symbols of anb2n, AB"),
        ([*counter, "--words", "AB,"], 2, "argument --words: '': it needs 1 or more of"),
    ):
        check_refused("seq_plot", words, status, message, capsys)
    # Before a network is trained.
    check_refused("seq_plot", ["--words", "AABX"], 2, "'X' is not one of the symbols", capsys)
    assert not Path("net").exists()
