"""Every flag of every script refuses bad values; full disks and outputs that take nothing.

The flags are those of the parsers themselves, so that a new one cannot be forgotten here.
"""

import importlib
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from shared import ROOT, SCRIPTS, end_of, environment

from cli import flags
from seq_models import SRN

# No number in any flag's range, no choice, neither True nor False, no language, no device.
NONSENSE = ["x", "", " ", "nan", "-1", "9" * 30, "1e30", "五百", "1;1"]
# What only a single flag is too narrow for.
MORE = {
    "--device": ["cpu2", "CPU", "cuda:99", "meta"],
    "--epoch": ["2.5", "10000001"],
    "--filters": ["3", "3,3,3", "3,0"],
    "--kernels": ["3", "3,3,3", "4,3", "3,29"],
    "--lang": ["anb", "ANB2N", "anbn ", "bnan", "anb0n", "reber2"],
    "--length": ["41"],
    "--lr": ["0", "101"],
    "--mom": ["1"],
    "--normalize": ["0.5", "0.5,0.5,0.5", "0.5,0", "2,0.5", "0.5,nan"],
    "--only": ["states,", "states,stats"],
    "--seed": ["1.5", "4294967296"],
    "--sweep": ["10,0", "10,,20"],
}
# What stands in the way of a flag's file or folder: one line for each flag that takes a path.
FOLDER_WRITTEN = ["", " ", "a_file", "a_file/x", "n" * 300]
FILE_WRITTEN = ["", " ", "a_folder", "a_file/x", "n" * 300]
READ = ["", " ", "a_folder", "a_file", "an_empty_file", "missing", "a_file/x", "n" * 300]
PLACES = {
    "--plot": FOLDER_WRITTEN,
    "--out_path": FOLDER_WRITTEN,
    "--save": FILE_WRITTEN,
    "--json": FILE_WRITTEN,
    "--load": READ,
    "--resume": READ,
    "--data": READ,
}


def actions(name: str) -> dict:
    """The flags of a script, by their full names."""
    parser = importlib.import_module(name).build_parser()
    return {action.option_strings[-1]: action for action in parser._actions}


FLAGS = [(name, flag) for name in SCRIPTS for flag in actions(name)]


def contents(folder: Path) -> dict[Path, bytes]:
    """All files below a folder, hidden ones too, with what is in them."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def the_line(name: str, told: str) -> str:
    """The one line on stderr of a script that has failed."""
    assert told.startswith(f"{name}.py: error: "), told
    assert told.endswith("\n"), told
    assert told.count("\n") == 1, told
    return told


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A working folder with what may stand in a script's way."""
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("neither picture nor weights\n")
    Path("an_empty_file").touch()
    Path("a_folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(("name", "flag"), FLAGS, ids=lambda word: word)
def test_bad_values_of_a_flag_cost_one_clear_line(name, flag, workplace, capsys):
    before, is_path = contents(workplace), actions(name)[flag].type is flags.path
    if is_path:
        assert flag in PLACES, f"{flag} takes a path: add it to PLACES"
    # Without its folder of KMNIST, kuzu_main.py would train on the repository's own images.
    words = ["--dataset", "kmnist"] if (name, flag) == ("kuzu_main", "--data") else []
    for value in PLACES[flag] if is_path else [*NONSENSE, *MORE.get(flag, [])]:
        status = end_of(name, *words, f"{flag}={value}")
        line = the_line(name, capsys.readouterr().err)
        case = f"{name}.py {flag}={value[:40]!r}: {line}"
        if is_path and value.strip():
            assert status == 1, case
            assert value in line, case
        else:
            assert status == 2, case
            assert flag in line, case
            # A part of a list is named alone, without the spaces around it.
            assert repr(value) in line or repr(value.strip()) in line or "," in value, case
        assert contents(workplace) == before, case


@pytest.mark.parametrize("name", SCRIPTS)
def test_words_that_are_not_flags_cost_one_clear_line(name, workplace, capsys):
    # Part of a name is not a name: --see could be a slip for anything.
    for words in (["x"], ["--unknown=1"], ["--see", "1"], ["--seed"], ["--seed", "1", "2"]):
        assert end_of(name, *words) == 2, words
        line = the_line(name, capsys.readouterr().err)
        assert words[0] in line or words[-1] in line, line


# Full disks

# What each script writes first that does not fit, and the flags that make it do so.
WRITES = {
    "kuzu_main": ("net.pth", "--net lin --split 0 --epochs 1 --save net.pth"),
    "check_main": ("plot/hid_4_0.jpg", "--act step --hid 4 --set_weights"),
    "seq_train": ("net/anb2n_srn2_0.pth", "--epoch 1 --seed 1"),
    "seq_plot": ("plot/anb2n_srn2_01.jpg", "--epoch 0 --only scatter --num_plot 1"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_full_disk_is_reported_and_no_file_is_lost(name, workplace, capsys):
    path, words = WRITES[name]
    for folder in ("net", "plot"):
        Path(folder).mkdir()
    torch.save(SRN(2, 2, init=1.0).state_dict(), "net/anb2n_srn2_0.pth")
    if name != "seq_train":
        Path(path).write_text("older")
    before = contents(workplace)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond 2 kB: every write behind that fails as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
    try:
        status = end_of(name, *words.split())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    line = the_line(name, capsys.readouterr().err)
    assert f"cannot write {path}: File too large" in line
    assert contents(workplace) == before


@pytest.mark.parametrize("words", ["--help", "--act step --set_weights"])
def test_an_output_that_takes_nothing_is_reported(words, tmp_path):
    # Buffered, as it is for a user: Python flushes once more at its end.
    buffered = {key: value for key, value in environment().items() if key != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, ROOT / "check_main.py", *words.split()],
            cwd=tmp_path,
            env=buffered,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "standard output: No space left" in the_line("check_main", done.stderr)
