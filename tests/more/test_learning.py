"""What networks learn with commands of Part 3: the assignment's in full, and others."""

import json

import pytest
from shared import run_here
from test_seq_train import LSTM_COMMAND, SRN_COMMAND, check_assignment

import seq_plot
import seq_train


@pytest.mark.parametrize(("command", "epoch"), [(SRN_COMMAND, 100), (LSTM_COMMAND, 50)])
def test_the_assignment_s_training_and_analysis(command, epoch, tmp_path, capsys):
    words, stem, _, _ = command
    results = check_assignment(*command, tmp_path, capsys)
    assert (results["status"], results["succeeded"]) == (0, True)
    assert results["max_loss"] < results["loss_threshold"]
    words = [*words[:4], "--epoch", epoch, "--json", "results.json"]
    done = run_here("seq_plot.py", *words, cwd=tmp_path, capsys=capsys)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads((tmp_path / "results.json").read_text())
    # After half of the training not every LSTM has the language's machine.
    assert found["isomorphic"] or epoch == 50
    assert found["fresh_words"]["wrong"] == 0
    drawn = list(tmp_path.glob(f"plot/{stem}_*.jpg"))
    assert len(drawn) == (7 if command is SRN_COMMAND else 10)


def run(script, *words, folder, status=0) -> dict:
    """Run a script in this process; return the results that it writes."""
    path = folder / "results.json"
    outputs = ["--out_path", folder / "net", "--plot", folder / "plot", "--json", path]
    assert script.main(list(map(str, (*words, *outputs)))) == status
    return json.loads(path.read_text())


@pytest.mark.parametrize("more", [[], ["--embed", "--model", "lstm"]])
def test_reber_s_grammars_are_learned_and_their_machine_extracted(more, tmp_path):
    words = ["--lang", "reber", *more, "--seed", 0]
    trained = run(seq_train, *words, folder=tmp_path)
    assert trained["succeeded"]
    assert trained["reports"][-1]["loss"] < 0.003
    assert trained["fresh_words"] == {"words": 1024, "wrong": 0}
    if more:
        assert trained["remembered"]["correct"] == 1024
    found = run(seq_plot, *words, "--only", "states", "--no_show", folder=tmp_path)
    assert (found["isomorphic"], found["agreement"]) == (True, 1024)


def test_an_lstm_initialised_to_count_generalises(tmp_path):
    words = ["--lang", "anbn", "--length", 10, "--model", "lstm", "--hid", 2]
    words += ["--counter", "--lr", 0.01, "--seed", 0]
    single, pairs = run(seq_train, *words, folder=tmp_path)["max_exact_n"]
    assert single > 30
    assert pairs == 20
