"""Scripts in unusual environments: locale, home, closed and full outputs, interrupted runs."""

from cli import files

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from shared import ROOT, environment, interrupt_script, run_script, write_characters

# Unix's shell closes outputs, and its locale may lack Japanese.
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a Unix shell")

# Folders with spaces and characters beyond ASCII.
PLOT, NET, DATA = "図 と 表/プロット", "重み 1/ネット", "デー タ"
SEQ = ["--hid", "3", "--epoch", "1", "--out_path", NET]
# Script, flags and exit status; in this order, because seq_plot.py reads the checkpoint of
# seq_train.py, which does not reach success in one epoch.
RUNS = [
    ("kuzu_main", ["--net", "lin", "--epochs", "1", "--data", DATA, "--save", f"{NET}/線.pth"], 0),
    ("check_main", ["--act", "step", "--set_weights", "--data", f"{DATA}/九 つの点.csv"], 0),
    ("seq_train", SEQ, 3),
    ("seq_plot", [*SEQ, "--only", "scatter", "--num_plot", "1"], 0),
]
# Neither UTF-8 nor a home folder.
MINIMAL = dict(HOME="/none", LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")


def run(name: str, folder: Path, *words, shell: str = "", **variables):
    """Run a script by its absolute path in `folder`, its output redirected by `shell`."""
    command = ["sh", "-c", f'"$@" {shell}', "sh", sys.executable, ROOT / f"{name}.py", *words]
    env = environment() | {"PYTHONUNBUFFERED": ""} | variables
    return subprocess.run(command, cwd=folder, env=env, capture_output=True)


def test_all_scripts_run_without_home_and_utf_8_in_folders_with_japanese_names(tmp_path):
    folder = tmp_path / "other 場所"
    write_characters(folder / DATA)
    shutil.copy(ROOT / "data" / "check.csv", folder / DATA / "九 つの点.csv")
    for name, words, status in RUNS:
        done = run(name, folder, *words, "--plot", PLOT, **MINIMAL)
        assert (done.returncode, done.stderr) == (status, b"")
        # Only bytes of paths are escaped; the names of the hiragana are omitted.
        path = PLOT.encode().decode("ascii", "surrogateescape")
        before, _, after = done.stdout.partition(b"picture: ")
        assert after.startswith(path.encode("ascii", "backslashreplace") + b"/")
        assert b"\\u" not in before
    assert {path.name for path in folder.rglob("*.pth")} >= {"線.pth", "anb2n_srn3_1.pth"}


@pytest.mark.parametrize(
    ("shell", "lines", "error"),
    [("| head -1", 1, b""), ("> /dev/full", 0, b"standard output: No space left")],
)
def test_an_output_may_be_closed_or_full(shell, lines, error, tmp_path):
    done = run("check_main", tmp_path, "--act", "step", "--set_weights", shell=shell)
    assert done.stdout.count(b"\n") == lines
    assert error in done.stderr
    assert done.stderr.count(b"\n") == bool(error)


@pytest.mark.parametrize(("number", "status"), [(None, -9), (signal.SIGINT, 130)])
def test_a_killed_or_interrupted_run_is_resumed(number, status, tmp_path):
    words = ["seq_train.py", "--lang", "anbn", "--epoch", "13", "--seed", "1"]
    line = "epoch: 11000"
    code, printed, _ = interrupt_script(*words, cwd=tmp_path, line=line, number=number)
    assert code == status
    assert ("to go on: " in printed) == bool(number)
    checkpoints = list(tmp_path.glob("net/[!.]*.pth"))
    for path in checkpoints:
        torch.load(path, weights_only=True)
    last = max(checkpoints, key=lambda path: path.stat().st_mtime_ns)
    done = run_script("seq_train.py", "--resume", last, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stderr
    assert files.read_checkpoint(tmp_path / "net" / "anbn_srn2_13.pth", "")[1]["done"] == 13
