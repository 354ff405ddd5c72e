"""What networks learn with commands of Part 3 other than the assignment's."""

import json

import pytest
from test_seq_train import check_resumed

import seq_plot
import seq_train


def results(script, *words, folder, status=0) -> dict:
    """Run a script in this process; return the results that it writes."""
    path = folder / "results.json"
    outputs = ["--out_path", folder / "net", "--plot", folder / "plot", "--json", path]
    assert script.main(list(map(str, (*words, *outputs)))) == status
    return json.loads(path.read_text())


@pytest.mark.parametrize("more", [[], ["--embed", "--model", "lstm"]])
def test_the_machine_of_reber_s_grammars_is_extracted(more, tmp_path):
    words = ["--lang", "reber", *more, "--seed", 0]
    trained = results(seq_train, *words, folder=tmp_path)
    assert trained["succeeded"]
    assert trained["reports"][-1]["loss"] < 0.003
    extracted = results(seq_plot, *words, "--only", "states", "--no_show", folder=tmp_path)
    assert extracted["isomorphic"]


def test_an_lstm_initialised_to_count_generalises(tmp_path):
    words = ["--lang", "anbn", "--length", 10, "--model", "lstm", "--hid", 2]
    words += ["--counter", "--lr", 0.01, "--seed", 0]
    single, pairs = results(seq_train, *words, folder=tmp_path)["max_exact_n"]
    assert single > 30
    assert pairs == 20


@pytest.mark.parametrize(
    "words",
    [
        ["--lang", "anbn", "--schedule", "constant", "--optim", "sgd", "--mom", 0.9],
        ["--lang", "reber", "--embed", "--model", "lstm", "--schedule", "cosine"],
    ],
)
def test_resumed_runs_end_as_uninterrupted_ones(words, tmp_path, capsys, monkeypatch):
    check_resumed(words, tmp_path, capsys, monkeypatch)
