"""Flags, exit status and errors, seeds, files, interruption, progress, optimizers."""

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

# argparse type, text, and the expected value or part of the error.
FLAGS = [
    (flags.Integer(1, 10), "10", 10),
    (flags.Number(0, 9), "0", 0),
    (flags.Number(0, 2, low_excluded=True), "1e-9", 1e-9),
    (flags.CommaSeparated(flags.Integer(1, 99)), "10,20, 50", (10, 20, 50)),
    (flags.Switch(), "True", True),
    (flags.Switch(), "false", False),
    *((flags.Integer(1, 10), text, "from 1 to 10") for text in ("0", "11", "1.5", "", "五百")),
    *(
        (flags.Number(0, 2, low_excluded=True), text, "above 0 and at most 2")
        for text in ("0", "-1", "2.5", "nan", "inf", "1e999", "", "x")
    ),
    (flags.CommaSeparated(flags.Integer(1, 9)), "5,,3", "from 1 to 9"),
    (flags.CommaSeparated(flags.Integer(1, 9), count=2), "5,3,1", "has 3 numbers, not 2"),
    (flags.Switch(), "maybe", "neither True nor False"),
    (flags.path, " ", "is not a path"),
    (flags.device, "cpu2", "cannot be used"),
]


@pytest.mark.parametrize(("parse", "text", "expected"), FLAGS)
def test_types_of_flags_accept_valid_values_and_name_the_range(parse, text, expected):
    if not isinstance(expected, str):
        assert parse(text) == expected
        return
    with pytest.raises(argparse.ArgumentTypeError, match=expected) as error:
        parse(text)
    assert repr(text) in str(error.value) or "," in text


def test_a_switch_is_true_false_or_none():
    parser = flags.Parser(prog="x")
    flags.add_switch(parser, "--on", "")
    given = ([], ["--on"], ["--on", "True"], ["--on", "False"])
    assert [parser.parse_args(words).on for words in given] == [None, True, True, False]


# Exception raised by main, exit status, and part of the line on stderr.
ERRORS = [
    (UserError("no such\n  file"), 1, "error: no such file"),
    (UserError("bad flag", status=2), 2, "error: bad flag"),
    (UserError("file \x1b[2J点\x07"), 1, "error: file ?[2J点?"),
    (KeyboardInterrupt(), 130, "interrupted; nothing was saved"),
    (process.Terminated(), 143, "interrupted; nothing was saved"),
    (OSError(errno.ENOSPC, "No space left", "a.jpg"), 1, "error: a.jpg: No space left"),
    (MemoryError(), 1, "not enough memory"),
    (torch.OutOfMemoryError("CUDA out of memory"), 1, "not enough memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "not enough memory"),
]


@pytest.fixture
def handlers(monkeypatch):
    """Restore the signal handlers after a test that runs a script in this process."""
    monkeypatch.setattr(files, "written", [])
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("error", "status", "message"), ERRORS)
def test_an_error_becomes_one_line_and_an_exit_status(error, status, message, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as exit_info:
        process.run(main)
    assert exit_info.value.code == status
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.usefixtures("handlers")
def test_a_bug_keeps_its_traceback_and_a_status_is_passed_on():
    def main():
        raise RuntimeError("a tensor that shares memory with another")

    with pytest.raises(RuntimeError, match="shares memory"):
        process.run(main)
    for status in (None, 3):
        with pytest.raises(SystemExit) as exit_info:
            process.run(lambda status=status: status)
        assert exit_info.value.code == (status or 0)


def test_a_seed_is_printed_and_repeats_random_numbers(capsys):
    assert process.seed_everything(7) == 7
    first = torch.rand(3)
    process.seed_everything(7)
    assert torch.equal(first, torch.rand(3))
    seed = process.seed_everything(None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "seed: 7"
    assert lines[2] == f"seed: {seed} (chosen at random; --seed {seed} repeats this run)"


def test_a_file_is_written_atomically_with_default_permissions(tmp_path):
    path = tmp_path / "new folder" / "絵.txt"
    with files.atomic_write(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    reference = tmp_path / "reference"
    reference.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(reference.stat().st_mode)
    assert os.listdir(path.parent) == [path.name]


def test_the_old_file_is_kept_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.atomic_write(path):
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_obstacle_to_writing_is_reported(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(UserError, match=r"cannot write .*folder\.jpg: it is a folder"):
        files.write(tmp_path / "folder.jpg", "")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*a\.jpg: "):
        files.write(tmp_path / "file" / "a.jpg", "")
    with pytest.raises(UserError, match=r"cannot write into .*file: it is not a folder"):
        files.require_writable(tmp_path / "file")
    assert files.require_writable(tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_loop_after_its_step_and_a_second_one_at_once(number, status):
    previous = signal.getsignal(number)
    with process.Stop() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert stop.status == status
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == previous


@pytest.mark.parametrize(("terminal", "shown"), [(True, "half, 1:00 left"), (False, "")])
def test_the_time_left_is_shown_on_a_terminal_only(terminal, shown, capsys, monkeypatch):
    progress = process.Progress(10)
    monkeypatch.setattr(progress, "enabled", terminal)
    progress.start -= 60
    progress.last -= 60
    progress.update(5, "half")
    assert capsys.readouterr().err.removeprefix("\r\033[K") == shown


def test_write_json_converts_to_json_types(tmp_path, capsys):
    results = {"a": np.float32(0.5), "b": torch.ones(2), "c": (np.arange(3), tmp_path, "絵", None)}
    path = tmp_path / "new" / "a.json"
    files.write_json(path, results | {"d": [math.nan, -math.inf], "e": np.array([1, math.nan])})
    expected = {"a": 0.5, "b": [1, 1], "c": [[0, 1, 2], str(tmp_path), "絵", None]}
    assert json.loads(path.read_text()) == expected | {"d": [None, None], "e": [1, None]}
    assert capsys.readouterr().out == f"results: {path}\n"
