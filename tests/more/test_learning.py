"""What networks learn with commands of Part 3 other than the assignment's."""

import json

import pytest
import torch

import seq_plot
import seq_train


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
    assert found["isomorphic"]
    assert found["agreement"] == 1024


def test_an_lstm_initialised_to_count_generalises(tmp_path):
    words = ["--lang", "anbn", "--length", 10, "--model", "lstm", "--hid", 2]
    words += ["--counter", "--lr", 0.01, "--seed", 0]
    single, pairs = run(seq_train, *words, folder=tmp_path)["max_exact_n"]
    assert single > 30
    assert pairs == 20


@pytest.mark.parametrize(
    "words",
    [
        ["--lang", "anbn", "--schedule", "constant", "--optim", "sgd", "--mom", 0.9],
        ["--lang", "reber", "--embed", "--model", "lstm", "--schedule", "cosine"],
    ],
)
def test_resumed_runs_end_as_uninterrupted_ones(words, tmp_path, monkeypatch):
    monkeypatch.setattr(seq_train, "CHECKPOINT_EVERY", 2)
    words = [*words, "--epoch", 4, "--seed", 1]
    whole = run(seq_train, *words, folder=tmp_path / "one", status=seq_train.FAILED)
    (half,) = (tmp_path / "one" / "net").glob("*_2.pth")
    rest = run(seq_train, "--resume", half, folder=tmp_path / "two", status=seq_train.FAILED)
    assert rest["reports"] == whole["reports"]
    first, second = (torch.load(result["checkpoint"]) for result in (whole, rest))
    assert all(torch.equal(first[name], second[name]) for name in first)
