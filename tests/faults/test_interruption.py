"""Killed, interrupted and terminated runs: files are intact, and the run can be resumed."""

from cli import files

import re
import signal

import pytest
import torch
from PIL import Image
from shared import interrupt_script, run_script, write_characters

# A short run with several checkpoints, and the start of the line at which it is killed.
RUNS = {
    "kuzu_main.py": (
        ["--net", "lin", "--epochs", 6, "--data", "data", "--save", "net.pth"],
        "Train Epoch: 3",
    ),
    "seq_train.py": (["--lang", "anbn", "--epoch", 13, "--seed", 1], "epoch: 11000"),
}


def check_files(folder) -> list:
    """Check that all files of a run are intact; return the checkpoints, oldest first."""
    for path in folder.rglob("*.jpg"):
        if not path.name.startswith("."):
            with Image.open(path) as picture:
                picture.load()
    checkpoints = [path for path in folder.rglob("*.pth") if not path.name.startswith(".")]
    for path in checkpoints:
        torch.load(path, weights_only=True)
    return sorted(checkpoints, key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.parametrize("script", RUNS)
def test_a_killed_run_can_be_resumed(script, tmp_path):
    words, line = RUNS[script]
    write_characters(tmp_path / "data")
    status, _, _ = interrupt_script(script, *words, cwd=tmp_path, line=line, number=None)
    assert status in (-9, 1)
    words = ["--resume", check_files(tmp_path)[-1]]
    words += ["--data", "data"] if script == "kuzu_main.py" else []
    done = run_script(script, *words, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    _, run = files.read_checkpoint(check_files(tmp_path)[-1], "--resume")
    assert run["done"] == run["length"]


def test_sigterm_ends_kuzu_main_after_its_step_and_keeps_the_last_epoch(tmp_path):
    number = signal.SIGTERM
    write_characters(tmp_path / "data", train=1437)
    words = ["kuzu_main.py", "--net", "lin", "--epochs", 100_000, "--save", "net.pth"]
    status, printed, errors = interrupt_script(
        *words, cwd=tmp_path, line="Train Epoch: 3", number=number
    )
    assert status == 128 + number
    assert errors.count("\n") == 2
    assert "stopping after this step" in errors
    assert "Test set: Average loss" in printed
    assert re.search(r"weights: net.pth, after epoch \d+\n", printed)
    assert len(check_files(tmp_path)) == 1
    assert (tmp_path / "plot" / "kuzu_lin_confusion.jpg").exists()
    assert not list(tmp_path.glob(".*"))


def test_ctrl_c_ends_seq_train_after_its_step_and_prints_how_to_resume(tmp_path):
    words = ["seq_train.py", "--lang", "anb2n", "--seed", 1]
    status, printed, errors = interrupt_script(
        *words, cwd=tmp_path, line="epoch: 2000", number=signal.SIGINT
    )
    assert status == 130
    assert "Traceback" not in errors
    resume = re.search(r"to go on: python\S* \S*seq_train.py --resume (\S+)", printed)[1]
    assert 2 <= files.read_checkpoint(tmp_path / resume, "--resume")[1]["done"] < 100
    assert not list((tmp_path / "net").glob(".*"))


def test_ctrl_c_while_seq_plot_trains_keeps_the_checkpoint(tmp_path):
    words = ["seq_plot.py", "--lang", "anb2n", "--epoch", 1000]
    status, _, errors = interrupt_script(*words, cwd=tmp_path, line="", number=signal.SIGINT)
    assert status == 130
    assert "Traceback" not in errors
    check_files(tmp_path)
    assert not list((tmp_path / "net").glob(".*"))
