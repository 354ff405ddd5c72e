"""The assignment's commands of Part 3 in full: the LSTM's training, and the analysis of both."""

import json

import pytest
from PIL import Image
from shared import run_here
from test_seq_train import LSTM_COMMAND, SRN_COMMAND, check_assignment

PLOTS = {
    "anb2n_srn2": {"01", "states", "fsm", "countdown", "dynamics", "time", "loss"},
    "anb2nc3n_lstm3": {
        "01", "02", "12", "3d", "states", "fsm", "countdown", "dynamics", "time", "loss",
        "context_01", "context_02", "context_12", "context_3d",
    },
}  # fmt: skip


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
    drawn = {path.stem.removeprefix(f"{stem}_") for path in (tmp_path / "plot").glob("*.jpg")}
    assert drawn == PLOTS[stem]
    for path in (tmp_path / "plot").glob("*.jpg"):
        with Image.open(path) as picture:
            assert min(picture.size) > 250
            assert max(picture.size) < 4000
