"""Commands of Part 3 beside the brief's: what their networks have learned."""

import json

import pytest
from test_seq_train import check_resumed

import seq_plot
import seq_train


def results(script, *words, folder, status=0) -> dict:
    """Run a script in this process; the results that it writes."""
    path = folder / "results.json"
    places = ["--out_path", folder / "net", "--plot", folder / "plot", "--json", path]
    assert script.main(list(map(str, (*words, *places)))) == status
    return json.loads(path.read_text())


@pytest.mark.parametrize("more", [[], ["--embed", "--model", "lstm"]])
def test_reber_s_grammars_come_back(more, tmp_path):
    words = ["--lang", "reber", *more, "--seed", 0]
    learned = results(seq_train, *words, folder=tmp_path)
    assert learned["succeeded"]
    assert learned["reports"][-1]["loss"] < 0.003
    plotted = results(seq_plot, *words, "--only", "states", "--no_show", folder=tmp_path)
    assert plotted["isomorphic"]


def test_a_counter_counts_far_beyond_its_words(tmp_path):
    words = ["--lang", "anbn", "--length", 10, "--model", "lstm", "--hid", 2]
    words += ["--counter", "--lr", 0.01, "--seed", 0]
    alone, pairs = results(seq_train, *words, folder=tmp_path)["max_exact_n"]
    assert alone > 30
    assert pairs == 20


@pytest.mark.parametrize(
    "words",
    [
        ["--lang", "anbn", "--schedule", "constant", "--optim", "sgd", "--mom", 0.9],
        ["--lang", "reber", "--embed", "--model", "lstm", "--schedule", "cosine"],
    ],
)
def test_other_runs_end_as_unbroken_ones_too(words, tmp_path, capsys, monkeypatch):
    check_resumed(words, tmp_path, capsys, monkeypatch)
