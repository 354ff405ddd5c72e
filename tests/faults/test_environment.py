"""Scripts in unusual environments: locale, home, closed and full outputs, concurrent and
interrupted runs."""

from cli import files

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from shared import ROOT, SCRIPTS, environment, interrupt_script, run_script, write_characters

# Unix's shell closes outputs, and its locale may lack Japanese.
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a Unix shell")

# Folders with spaces and characters beyond ASCII.
PLOT, NET, DATA = "図 と 表/プロット", "重み 1/ネット", "デー タ"
# Flags and exit status; in this order, because seq_plot.py reads the checkpoint of seq_train.py,
# which does not reach success in one epoch.
RUNS = {
    "kuzu_main": (["--net", "lin", "--epochs", "1", "--data", DATA, "--save", f"{NET}/線.pth"], 0),
    "check_main": (["--act", "step", "--set_weights", "--data", f"{DATA}/九 つの点.csv"], 0),
    "seq_train": (["--hid", "3", "--epoch", "1", "--out_path", NET], 3),
    "seq_plot": (
        ["--hid", "3", "--epoch", "1", "--out_path", NET, "--only", "scatter", "--num_plot", "1"],
        0,
    ),
}
# Neither UTF-8 nor a home folder.
MINIMAL = {"HOME": None, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def start(name: str, folder: Path, *words, shell: str = "", **variables) -> subprocess.Popen:
    """Start a script by its absolute path in `folder`, its output redirected by `shell`.

    variables: changes of the environment, None to unset one.
    """
    env = environment() | {"PYTHONUNBUFFERED": None, **variables}
    env = {key: value for key, value in env.items() if value is not None}
    command = ["sh", "-c", f'"$@" {shell}', "sh", sys.executable, str(ROOT / f"{name}.py")]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *words], cwd=folder, env=env, stdout=pipe, stderr=pipe)


def check_files(folder: Path) -> list[Path]:
    """Check that all pictures and checkpoints are intact; return the checkpoints by time."""
    for path in folder.rglob("[!.]*.jpg"):
        with Image.open(path) as picture:
            picture.load()
    checkpoints = sorted(folder.rglob("[!.]*.pth"), key=lambda path: path.stat().st_mtime_ns)
    for path in checkpoints:
        torch.load(path, weights_only=True)
    return checkpoints


def test_all_scripts_run_without_home_and_utf_8_in_folders_with_japanese_names(tmp_path):
    folder = tmp_path / "other 場所"
    write_characters(folder / DATA)
    shutil.copy(ROOT / "data" / "check.csv", folder / DATA / "九 つの点.csv")
    for name in SCRIPTS:
        words, status = [*RUNS[name][0], "--plot", PLOT], RUNS[name][1]
        run = start(name, folder, *words, **MINIMAL)
        # A concurrent run that writes the same files, with its output closed.
        twin = start(name, folder, *words, shell=">&-") if name == "seq_train" else None
        printed, errors = run.communicate()
        assert (run.returncode, errors) == (status, b"")
        # Only bytes of paths are escaped; the names of the hiragana are omitted.
        path = PLOT.encode().decode("ascii", "surrogateescape")
        before, _, after = printed.partition(b"picture: ")
        assert after.startswith(path.encode("ascii", "backslashreplace") + b"/")
        assert b"\\u" not in before
        if twin:
            assert twin.communicate() == (b"", b"")
            assert twin.returncode == status
    assert {path.name for path in check_files(folder)} >= {"線.pth", "anb2n_srn3_1.pth"}
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize(
    ("shell", "lines", "error"),
    [("| head -1", 1, b""), ("> /dev/full", 0, b"standard output: No space left")],
)
def test_an_output_may_be_closed_or_full(shell, lines, error, tmp_path):
    run = start("check_main", tmp_path, "--act", "step", "--set_weights", shell=shell)
    printed, errors = run.communicate()
    assert printed.count(b"\n") == lines
    assert error in errors
    assert errors.count(b"\n") == bool(error)


@pytest.mark.parametrize(
    # The words of a run, the line at which it receives a signal (None: it is killed), and what it
    # prints then.
    ("words", "line", "number", "printed"),
    [
        ("seq_train.py --lang anbn --epoch 13 --seed 1", "epoch: 11000", None, ""),
        ("kuzu_main.py --net lin --split 0 --epochs 1000 --save net.pth", "Train Epoch: 3",
         signal.SIGTERM, r"weights: net\.pth, after epoch \d+\n"),
        ("seq_plot.py --lang anb2n --epoch 1000", "", signal.SIGINT, ""),
    ],
)  # fmt: skip
def test_an_interrupted_run_leaves_intact_files(words, line, number, printed, tmp_path):
    status, after, errors = interrupt_script(*words.split(), cwd=tmp_path, line=line, number=number)
    assert "Traceback" not in errors
    assert re.search(printed, after)
    checkpoints = check_files(tmp_path)
    if number:
        assert status == 128 + number
        assert not list(tmp_path.rglob(".*"))
        return
    done = run_script("seq_train.py", "--resume", checkpoints[-1], cwd=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    run = files.read_checkpoint(check_files(tmp_path)[-1], "--resume")[1]
    assert run["done"] == run["length"] == 13
