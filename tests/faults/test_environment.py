"""Scripts in unusual environments: locale, home, closed outputs, concurrent runs, threads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from shared import ROOT, SCRIPTS, environment, write_characters

import kuzu_main

# Folders with spaces and characters beyond ASCII.
PLOT, NET, DATA = "図 と 表/プロット", "重み 1/ネット", "デー タ"
# In this order, because seq_plot.py reads the checkpoint of seq_train.py.
RUNS = {
    "kuzu_main": ["--net", "lin", "--epochs", "1", "--plot", PLOT, "--data", DATA,
                  "--save", f"{NET}/lin 線.pth"],
    "check_main": ["--act", "step", "--set_weights", "--plot", PLOT,
                   "--data", f"{DATA}/九 つの点.csv"],
    "seq_train": ["--hid", "3", "--epoch", "1", "--plot", PLOT, "--out_path", NET],
    "seq_plot": ["--hid", "3", "--epoch", "1", "--plot", PLOT, "--out_path", NET,
                 "--only", "scatter", "--num_plot", "1"],
}  # fmt: skip
# Exit statuses: seq_train.py does not reach success in one epoch.
STATUS = {"kuzu_main": 0, "check_main": 0, "seq_train": 3, "seq_plot": 0}
PICTURES = ("confusion", "decision", "features", "forms", "mistakes")
# Files that the four runs write.
WRITTEN = {
    *(f"{PLOT}/kuzu_lin_{kind}.jpg" for kind in PICTURES),
    *(f"{PLOT}/{name}.jpg" for name in ("out_4", "net_4_step")),
    *(f"{PLOT}/hid_4_{unit}.jpg" for unit in range(4)),
    *(f"{PLOT}/anb2n_srn3_{kind}.jpg" for kind in ("loss", "01", "02", "12", "3d")),
    *(f"{NET}/anb2n_srn3_{epoch}.pth" for epoch in range(2)),
    f"{NET}/lin 線.pth",
}
# Neither UTF-8 nor a home folder.
MINIMAL = {"HOME": None, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


# Unix's shell closes outputs, and its locale may lack Japanese.
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a Unix shell")


def start(name: str, folder: Path, *words, shell: str = "", **variables) -> subprocess.Popen:
    """Start a script by its absolute path in `folder`.

    shell: redirection of its output; variables: changes of the environment, None to unset one.
    """
    changes = {"PYTHONUNBUFFERED": None, **variables}
    env = {key: value for key, value in environment().items() if key not in changes}
    env |= {key: value for key, value in changes.items() if value is not None}
    command = ["sh", "-c", f'"$@" {shell}', "sh", sys.executable, str(ROOT / f"{name}.py")]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *words], cwd=folder, env=env, stdout=pipe, stderr=pipe)


def load(path: Path) -> None:
    """Load a picture or a checkpoint; raises an exception if it is damaged."""
    if path.suffix == ".pth":
        torch.load(path, weights_only=True)
        return
    with Image.open(path) as picture:
        picture.load()


def test_all_scripts_run_without_home_and_utf_8_in_folders_with_japanese_names(tmp_path):
    folder = tmp_path / "other 場所"
    write_characters(folder / DATA)
    shutil.copy(ROOT / "data" / "check.csv", folder / DATA / "九 つの点.csv")
    for name in SCRIPTS:
        run = start(name, folder, *RUNS[name], **MINIMAL)
        # A concurrent run that writes the same files, with its output closed.
        twin = start(name, folder, *RUNS[name], shell=">&-") if name == "seq_train" else None
        printed, errors = run.communicate()
        assert (run.returncode, errors) == (STATUS[name], b"")
        # Only bytes of paths are escaped; the names of the hiragana are omitted.
        path = PLOT.encode().decode("ascii", "surrogateescape")
        before, _, after = printed.partition(b"picture: ")
        assert after.startswith(path.encode("ascii", "backslashreplace") + b"/")
        assert b"\\u" not in before
        if twin:
            assert twin.communicate() == (b"", b"")
            assert twin.returncode == STATUS[name]
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(DATA)} == WRITTEN
    for name in WRITTEN:
        load(folder / name)


def test_a_closed_pipe_is_not_an_error(tmp_path):
    run = start("check_main", tmp_path, "--act", "step", "--set_weights", shell="| head -1")
    printed, errors = run.communicate()
    assert printed.count(b"\n") == 1
    assert errors == b""


def test_an_error_on_an_ascii_terminal_shows_escapes(tmp_path):
    (tmp_path / "点.txt").touch()
    run = start("check_main", tmp_path, "--plot", "点.txt", PYTHONIOENCODING="ascii")
    _, errors = run.communicate()
    assert run.returncode == 1
    line = b"check_main.py: error: cannot write into \\u70b9.txt: it is not a folder\n"
    assert errors == line


def test_an_error_without_stderr_is_not_silent(tmp_path):
    run = start("check_main", tmp_path, "--plot", "", shell="2>&-")
    printed, _ = run.communicate()
    assert run.returncode == 2
    assert printed == b"check_main.py: error: argument --plot: '' is not a path (see --help)\n"


@pytest.fixture
def two_threads():
    previous = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(previous)


@pytest.mark.usefixtures("two_threads", "no_explanation")
def test_two_threads_repeat_a_run(tmp_path, monkeypatch, capsys):
    # The other scripts always compute on one thread.
    monkeypatch.chdir(tmp_path)
    write_characters(tmp_path / "data")
    runs = []
    for _ in range(2):
        words = ["--net", "conv", "--epochs", "2", "--seed", "1", "--save", "net.pth"]
        assert kuzu_main.main(words) == 0
        state = torch.load("net.pth", weights_only=True)
        weights = b"".join(value.numpy().tobytes() for value in state.values())
        runs.append((capsys.readouterr().out, weights))
        os.remove("net.pth")
    assert runs[0] == runs[1]
