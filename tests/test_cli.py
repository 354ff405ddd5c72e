"""How scripts take flags, end, fail and write files."""

import argparse
import errno
import json
import math
import os
import signal
import stat
import sys

import numpy as np
import pytest
import torch

from cli import files, flags, optimizers, process
from cli.errors import UserError

# A type, what it is given, and its value or what is allowed.
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
def test_a_flag_s_type_takes_good_values_and_names_what_is_allowed(parse, text, expected):
    if not isinstance(expected, str):
        assert parse(text) == expected
        return
    with pytest.raises(argparse.ArgumentTypeError, match=expected) as told:
        parse(text)
    assert repr(text) in str(told.value) or "," in text


def test_a_switch_is_on_off_or_left_open():
    parser = flags.Parser(prog="x")
    flags.add_switch(parser, "--on", "")
    given = ([], ["--on"], ["--on", "True"], ["--on", "False"])
    assert [parser.parse_args(words).on for words in given] == [None, True, True, False]


# What main raises, the exit status and what stderr shows.
ENDS = [
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
    """Signals are handled as before once a script has ended in this process."""
    monkeypatch.setattr(files, "written", [])
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("error", "status", "message"), ENDS)
def test_an_error_becomes_one_line_and_a_status(error, status, message, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        process.run(main)
    assert end.value.code == status
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.usefixtures("handlers")
def test_a_fault_of_the_program_keeps_its_traceback_and_a_status_is_passed_on():
    def main():
        raise RuntimeError("a tensor that shares memory with another")

    with pytest.raises(RuntimeError, match="shares memory"):
        process.run(main)
    for status in (None, 3):
        with pytest.raises(SystemExit) as end:
            process.run(lambda status=status: status)
        assert end.value.code == (status or 0)


def test_a_seed_is_printed_and_decides_the_numbers(capsys):
    assert process.seed_everything(7) == 7
    first = torch.rand(3)
    process.seed_everything(7)
    assert torch.equal(first, torch.rand(3))
    drawn = process.seed_everything(None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "seed: 7"
    assert lines[2] == f"seed: {drawn} (drawn; --seed {drawn} repeats this run)"


def test_a_file_appears_whole_with_ordinary_rights(tmp_path):
    path = tmp_path / "new folder" / "絵.txt"
    with files.atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    assert os.listdir(path.parent) == [path.name]


def test_the_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.atomic_write(path):
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_stands_in_the_way_of_a_file_is_named(tmp_path):
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
    before = signal.getsignal(number)
    with process.Stop() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert stop.status == status
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("terminal", "shown"), [(True, "half, 1:00 left"), (False, "")])
def test_the_time_left_is_shown_on_a_terminal_only(terminal, shown, capsys, monkeypatch):
    progress = process.Progress(10)
    monkeypatch.setattr(progress, "shown", terminal)
    progress.start -= 60
    progress.last -= 60
    progress.update(5, "half")
    assert capsys.readouterr().err.removeprefix("\r\033[K") == shown


def test_write_json_makes_plain_numbers(tmp_path, capsys):
    results = {"a": np.float32(0.5), "b": torch.ones(2), "c": (np.arange(3), tmp_path, "絵", None)}
    path = tmp_path / "new" / "a.json"
    files.write_json(path, results | {"d": [math.nan, -math.inf], "e": np.array([1, math.nan])})
    plain = {"a": 0.5, "b": [1, 1], "c": [[0, 1, 2], str(tmp_path), "絵", None]}
    assert json.loads(path.read_text()) == plain | {"d": [None, None], "e": [1, None]}
    assert capsys.readouterr().out == f"results: {path}\n"


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("SGD", dict(momentum=0.5, weight_decay=0.1)),
        ("Adam", dict(weight_decay=0.1, fused=True)),
        ("AdamW", dict(weight_decay=0.1, fused=True)),
    ],
)
def test_the_optimizers_are_torch_s_without_its_compiler(name, flags, monkeypatch):
    start = torch.randn(5)
    weights = [start.clone().requires_grad_() for _ in range(3)]
    theirs = getattr(torch.optim, name)([weights[0]], 0.1, **flags)
    for _ in range(6):
        theirs.zero_grad()
        weights[0].pow(2).sum().backward()
        theirs.step()

    # An import of it now fails.
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    ours = getattr(optimizers, name)([weights[1]], 0.1, **flags)
    for step in range(6):
        if step == 3:
            state = ours.state_dict()
            weights[2].data.copy_(weights[1].data)
            ours = getattr(optimizers, name)([weights[2]], 0.1, **flags)
            ours.load_state_dict(state)
        now = weights[2 if step >= 3 else 1]
        ours.zero_grad()
        now.pow(2).sum().backward()
        ours.step()
    assert torch.equal(weights[0], weights[2])
