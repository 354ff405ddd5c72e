"""Every flag of every script rejects an invalid value, and foreign files are refused in one line.

The flags are read from the parsers, so that new ones are tested as well.
"""

from cli import settings

import importlib
import io
import pickle
from pathlib import Path

import pytest
import torch
from shared import SCRIPTS, Bomb, check_refused

FLAGS = [
    (name, action.option_strings[-1], action.type is settings.path)
    for name in SCRIPTS
    for action in importlib.import_module(name).build_parser()._actions
]


@pytest.mark.parametrize(("name", "flag", "is_path"), FLAGS)
def test_an_invalid_value_of_a_flag_is_reported(name, flag, is_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("neither a folder, nor a picture, nor a checkpoint\n")
    # Without KMNIST, kuzu_main.py would train on Kuzushiji-10k.
    words = ["--dataset", "kmnist"] if (name, flag) == ("kuzu_main", "--data") else []
    if is_path:
        for value in ("a_file/x", "n" * 300):
            check_refused(name, [*words, f"{flag}={value}"], 1, value, capsys)
    for value in (" ",) if is_path else ("x", "", "nan", "-1", "9" * 30, "1;1"):
        check_refused(name, [f"{flag}={value}"], 2, flag, capsys)
    assert {path.name for path in tmp_path.rglob("*")} <= {"a_file", "plot", "net"}


def saved_bytes(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "words",
    # seq_plot.py finds the file by its name.
    ["kuzu_main --load FILE", "kuzu_main --resume FILE", "seq_train --resume FILE", "seq_plot"],
)
def test_foreign_files_are_refused_without_running_their_code(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path, bomb = Path("net", "anb2n_srn2_100.pth"), {"net": Bomb(tmp_path / "canary")}
    path.parent.mkdir()
    for content in (
        pickle.dumps(bomb),
        saved_bytes(bomb),
        # As our own older files, but with other values.
        saved_bytes({"net": "lin", "recipe": 3, "task": {"lang": "anb2n"}}),
        saved_bytes(torch.nn.Linear(2, 2).state_dict()),
    ):
        path.write_bytes(content)
        name, *flags = words.replace("FILE", str(path)).split()
        check_refused(name, flags, 1, str(path), capsys)
    assert not (tmp_path / "canary").exists()
    # An unsafe reader would run the code.
    pickle.loads(pickle.dumps(bomb))
    assert (tmp_path / "canary").exists()
