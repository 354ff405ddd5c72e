"""Every flag of every script rejects invalid values, and foreign files are refused in one line.

The flags are read from the parsers, so that new ones are tested as well.
"""

from cli import settings

import importlib
import io
import os
import pickle
from pathlib import Path

import pytest
import torch
from shared import SCRIPTS, Bomb, check_refused

# Invalid for every flag that does not take a path, and for a single flag.
INVALID = ["x", "", "nan", "-1", "9" * 30, "1;1"]
INVALID_FOR = {
    "--epoch": ["10000001"],
    "--filters": ["3", "3,0"],
    "--kernels": ["3", "4,3", "3,29"],
    "--lang": ["anb", "ANB2N", "bnan", "anb0n", "reber2"],
    "--length": ["41"],
    "--lr": ["0", "101"],
    "--mom": ["1"],
    "--normalize": ["0.5", "0.5,0", "2,0.5"],
    "--only": ["states,", "states,stats"],
    "--seed": ["4294967296"],
    "--sweep": ["10,0", "10,,20"],
}
# Invalid paths of an output folder, an output file and an input file.
FOLDER, OUTPUT, INPUT = (
    ["a_file", "a_file/x"],
    ["a_folder", "a_file/x"],
    ["a_folder", "a_file", "x"],
)
INVALID_PATHS = {"--plot": FOLDER, "--out_path": FOLDER, "--save": OUTPUT, "--json": OUTPUT}
INVALID_PATHS |= {"--load": INPUT, "--resume": INPUT, "--data": INPUT}


def actions(name: str) -> dict:
    """Return the parser's actions of a script by flag."""
    parser = importlib.import_module(name).build_parser()
    return {action.option_strings[-1]: action for action in parser._actions}


FLAGS = [(name, flag) for name in SCRIPTS for flag in actions(name)]


@pytest.mark.parametrize(("name", "flag"), FLAGS, ids=lambda word: word)
def test_invalid_values_of_a_flag_are_reported_in_one_line(
    name, flag, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("neither a picture nor a checkpoint\n")
    Path("a_folder").mkdir()
    if actions(name)[flag].type is settings.path:
        cases = [(value, 1, value) for value in INVALID_PATHS[flag]] + [(" ", 2, flag)]
    else:
        cases = [(value, 2, flag) for value in (*INVALID, *INVALID_FOR.get(flag, []))]
    # Without KMNIST, kuzu_main.py would train on Kuzushiji-10k.
    words = ["--dataset", "kmnist"] if (name, flag) == ("kuzu_main", "--data") else []
    for value, status, message in cases:
        check_refused(name, [*words, f"{flag}={value}"], status, message, capsys)
    assert {path.name for path in tmp_path.rglob("*")} <= {"a_file", "a_folder", "plot", "net"}


def saved_bytes(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kuzu_main", ["--load", "net/anb2n_srn2_100.pth"]),
        ("kuzu_main", ["--resume", "net/anb2n_srn2_100.pth"]),
        ("seq_train", ["--resume", "net/anb2n_srn2_100.pth"]),
        # Found by its name.
        ("seq_plot", ["--epoch", "100"]),
    ],
)
def test_foreign_files_are_refused_without_running_their_code(
    name, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path, bomb = Path("net", "anb2n_srn2_100.pth"), {"net": Bomb(tmp_path / "canary")}
    path.parent.mkdir()
    for content in (
        b"",
        pickle.dumps({"net": [1.0]}),
        pickle.dumps(bomb),
        saved_bytes(bomb),
        saved_bytes({}),
        # As our own older files, but with other values.
        saved_bytes({"net": "lin", "recipe": 3, "task": {"lang": "anb2n"}}),
        saved_bytes(torch.nn.Linear(2, 2).state_dict()),
    ):
        path.write_bytes(content)
        check_refused(name, words, 1, str(path), capsys)
    assert os.listdir(tmp_path / "net") == [path.name]
    assert not (tmp_path / "canary").exists()
    # An unsafe reader would run the code.
    pickle.loads(pickle.dumps(bomb))
    assert (tmp_path / "canary").exists()
