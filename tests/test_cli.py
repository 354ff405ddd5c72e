"""How scripts end, fail and save."""

import argparse
import errno
import json
import math
import os
import signal
import stat

import numpy as np
import pytest
import torch

from cli import files, flags, process
from cli.errors import UserError


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "", "x", "nan", "11", "五百"])
def test_integer_refuses_and_says_what_is_allowed(text):
    with pytest.raises(argparse.ArgumentTypeError, match="from 1 to 10"):
        flags.Integer(1, 10)(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "0", "1e999", "", "x", "2.5"])
def test_number_refuses_and_says_what_is_allowed(text):
    with pytest.raises(argparse.ArgumentTypeError, match="above 0 and at most 2"):
        flags.Number(0, 2, low_excluded=True)(text)


def test_flags_accept_what_they_should():
    assert flags.Integer(1, 10)("10") == 10
    assert flags.Number(0, 9)("0") == 0
    assert flags.Number(0, 2, low_excluded=True)("1e-9") == 1e-9
    assert flags.CommaSeparated(flags.Integer(1, 99))("10,20, 50") == (10, 20, 50)


@pytest.mark.parametrize("text", ["5", "5,3,1", "5,,3", "", "5;3"])
def test_several_wants_the_right_number_of_them(text):
    with pytest.raises(argparse.ArgumentTypeError):
        flags.CommaSeparated(flags.Integer(1, 9), count=2)(text)


@pytest.mark.parametrize(
    ("words", "value"),
    [([], None), (["--on"], True), (["--on", "True"], True), (["--on", "False"], False)],
)
def test_switch(words, value):
    parser = flags.Parser(prog="x")
    flags.add_switch(parser, "--on", "")
    assert parser.parse_args(words).on is value


def test_parser_complains_in_one_line():
    parser = flags.Parser(prog="x.py")
    parser.add_argument("--hid", type=flags.Integer(1, 9))
    with pytest.raises(UserError, match="--hid: '0' is not a whole number from 1 to 9") as told:
        parser.parse_args(["--hid", "0"])
    assert told.value.status == 2


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("no such\n  file"), 1, "error: no such file"),
        (UserError("bad flag", status=2), 2, "error: bad flag"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left", "a.jpg"), 1, "error: a.jpg: No space left"),
        (MemoryError(), 1, "not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), 1, "not enough memory"),
    ],
)
def test_run_turns_errors_into_one_line_and_a_status(error, status, words, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        process.run(main)
    assert end.value.code == status
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_only_the_allocators_run_out_of_memory(capsys):
    with pytest.raises(SystemExit):
        process.run(lambda: torch.empty(10**15))
    assert "not enough memory" in capsys.readouterr().err

    def main():
        raise RuntimeError("a tensor that shares memory with another")

    with pytest.raises(RuntimeError, match="shares memory"):
        process.run(main)


def test_run_passes_the_status_on():
    for status in (None, 0, 3):
        with pytest.raises(SystemExit) as end:
            process.run(lambda status=status: status)
        assert end.value.code == (status or 0)


def test_seed_is_printed_and_decides_the_numbers(capsys):
    assert process.seed_everything(7) == 7
    first = torch.rand(3)
    process.seed_everything(7)
    assert torch.equal(first, torch.rand(3))
    drawn = process.seed_everything(None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "seed: 7"
    assert lines[2] == f"seed: {drawn} (drawn; --seed {drawn} repeats this run)"


def test_atomic_write_writes_whole_files_with_ordinary_rights(tmp_path):
    path = tmp_path / "new folder" / "絵.txt"
    with files.atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    assert os.listdir(path.parent) == [path.name]


def test_atomic_write_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UserError, match=r"cannot write .*a\.txt: No space left"):  # noqa: PT012, SIM117
        with files.atomic_write(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyboardInterrupt), files.atomic_write(path):
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_atomic_write_names_a_folder_in_its_way(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    with (
        pytest.raises(UserError, match="it is a folder"),
        files.atomic_write(tmp_path / "folder.jpg"),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match="cannot write"),
        files.atomic_write(tmp_path / "file" / "a.jpg"),
    ):
        pass


def test_write_json_makes_plain_numbers(tmp_path, capsys):
    figures = {"a": np.float32(0.5), "b": torch.ones(2), "c": (np.arange(3), tmp_path, "絵", None)}
    path = tmp_path / "new" / "a.json"
    files.write_json(path, figures | {"d": [math.nan, -math.inf], "e": np.array([1, math.nan])})
    plain = {"a": 0.5, "b": [1, 1], "c": [[0, 1, 2], str(tmp_path), "絵", None]}
    assert json.loads(path.read_text()) == plain | {"d": [None, None], "e": [1, None]}
    assert capsys.readouterr().out == f"figures: {path}\n"


def test_require_writable(tmp_path):
    assert files.require_writable(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="it is not a folder"):
        files.require_writable(tmp_path / "file")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stop_asks_once_and_ends_at_the_second_signal(number, status):
    before = signal.getsignal(number)
    with process.Stop() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert stop.status == status
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_progress_is_silent_without_a_terminal(capsys):
    progress = process.Progress(10)
    progress.last -= 1
    progress.update(5, "half")
    progress.clear()
    assert capsys.readouterr() == ("", "")


def test_progress_shows_the_time_left_on_a_terminal(capsys, monkeypatch):
    progress = process.Progress(10)
    monkeypatch.setattr(progress, "shown", True)
    progress.start -= 60
    progress.last -= 60
    progress.update(5, "half")
    assert "half, 1:00 left" in capsys.readouterr().err


def test_an_error_does_not_command_the_screen(capsys, monkeypatch):
    monkeypatch.setattr(process, "_end_quietly", lambda: None)
    assert process._complain("file \x1b[2J\x07 点: xx\nthe reason", 1) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.endswith("file ?[2J? 点: xx the reason\n")
