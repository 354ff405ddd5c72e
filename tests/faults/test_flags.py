"""Every flag of every script rejects invalid values; full disks, output that cannot be written.

The flags are read from the parsers, so that new ones are tested as well.
"""

from cli import settings

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from shared import ROOT, SCRIPTS, environment, exit_status, full_disk

from seq_models import SRN

# Invalid for every flag that does not take a path.
INVALID = ["x", "", " ", "nan", "-1", "9" * 30, "1e30", "五百", "1;1"]
# Invalid for a single flag.
INVALID_FOR = {
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
# Invalid paths of flags for an output folder, an output file and an input file.
OUTPUT_FOLDER = ["", " ", "a_file", "a_file/x", "n" * 300]
OUTPUT_FILE = ["", " ", "a_folder", "a_file/x", "n" * 300]
INPUT_FILE = ["", " ", "a_folder", "a_file", "an_empty_file", "missing", "a_file/x", "n" * 300]
INVALID_PATHS = {
    "--plot": OUTPUT_FOLDER,
    "--out_path": OUTPUT_FOLDER,
    "--save": OUTPUT_FILE,
    "--json": OUTPUT_FILE,
    "--load": INPUT_FILE,
    "--resume": INPUT_FILE,
    "--data": INPUT_FILE,
}


def actions(name: str) -> dict:
    """Return the parser's actions of a script by flag."""
    parser = importlib.import_module(name).build_parser()
    return {action.option_strings[-1]: action for action in parser._actions}


FLAGS = [(name, flag) for name in SCRIPTS for flag in actions(name)]


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the contents of all files in a folder and its subfolders."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def error_line(name: str, errors: str) -> str:
    """Check that a script's stderr is a one-line error; return it."""
    assert errors.startswith(f"{name}.py: error: "), errors
    assert errors.endswith("\n"), errors
    assert errors.count("\n") == 1, errors
    return errors


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A working folder with files and a folder that are invalid for some flags."""
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("neither a picture nor a checkpoint\n")
    Path("an_empty_file").touch()
    Path("a_folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(("name", "flag"), FLAGS, ids=lambda word: word)
def test_invalid_values_of_a_flag_are_reported_in_one_line(name, flag, workplace, capsys):
    before, is_path = contents(workplace), actions(name)[flag].type is settings.path
    if is_path:
        assert flag in INVALID_PATHS, f"{flag} takes a path: add it to INVALID_PATHS"
    # Without KMNIST, kuzu_main.py would train on Kuzushiji-10k.
    words = ["--dataset", "kmnist"] if (name, flag) == ("kuzu_main", "--data") else []
    values = INVALID_PATHS[flag] if is_path else [*INVALID, *INVALID_FOR.get(flag, [])]
    for value in values:
        status = exit_status(name, *words, f"{flag}={value}")
        line = error_line(name, capsys.readouterr().err)
        case = f"{name}.py {flag}={value[:40]!r}: {line}"
        if is_path and value.strip():
            assert status == 1, case
            assert value in line, case
        else:
            assert status == 2, case
            assert flag in line, case
            # Items of a list are named without the spaces around them, own words in capitals.
            named = value.strip().upper() if flag == "--words" else value.strip()
            assert repr(value) in line or repr(named) in line or "," in value, case
        assert contents(workplace) == before, case


# Full disks

# The first file of each script that does not fit on the simulated disk, and the script's flags.
WRITES = {
    "kuzu_main": ("net.pth", "--net lin --split 0 --epochs 1 --save net.pth"),
    "check_main": ("plot/hid_4_0.jpg", "--act step --hid 4 --set_weights"),
    "seq_train": ("net/anb2n_srn2_0.pth", "--epoch 1 --seed 1"),
    "seq_plot": ("plot/anb2n_srn2_01.jpg", "--epoch 0 --only scatter --num_plot 1"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_full_disk_is_reported_and_old_files_are_kept(name, workplace, capsys):
    path, words = WRITES[name]
    for folder in ("net", "plot"):
        Path(folder).mkdir()
    torch.save(SRN(2, 2, init=1.0).state_dict(), "net/anb2n_srn2_0.pth")
    if name != "seq_train":
        Path(path).write_text("old")
    before = contents(workplace)
    with full_disk():
        status = exit_status(name, *words.split())
    assert status == 1
    line = error_line(name, capsys.readouterr().err)
    assert f"cannot write {path}: File too large" in line
    assert contents(workplace) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["--help", "--act step --set_weights"])
def test_a_full_standard_output_is_reported(words, tmp_path):
    # Buffered, as for a user, so that Python flushes at exit.
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
    assert "standard output: No space left" in error_line("check_main", done.stderr)
