"""Flags, exit status and errors, signals, files, pictures, checkpoints, training, tables.

Machines that cannot be had here are emulated; the docstrings of these tests name them.
"""

import cli
from cli import files, process, settings, tables, training
from cli.process import UserError

import contextlib
import errno
import importlib.util
import os
import re
import runpy
import shlex
import signal
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from unittest import mock

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.figure import Figure
from shared import ROOT, full_disk
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

import kuzu_main
from kuzushiji.recipes import RECIPES, Recipe

# A dataclass with flags of every type, and its parser.
CONV = RECIPES["tuned", "conv"]
PARSER = kuzu_main.build_parser()


# Flags


@hypothesis_settings(deadline=None, derandomize=True)
@given(
    lr=st.floats(0, 100, exclude_min=True),
    filters=st.tuples(st.integers(1, 512), st.integers(1, 512)),
    batch_norm=st.booleans(),
)
def test_settings_are_the_same_after_typing_and_after_a_file(**values):
    recipe = replace(CONV, **values)
    args = PARSER.parse_args(settings.format_flags(recipe).split())
    assert settings.chosen(args, CONV) == recipe
    assert settings.restore(Recipe, asdict(recipe)) == recipe
    # Values that could not be typed, or not as this type.
    for name, value in dict(lr=[1], optim="lbfgs", filters=(1, 2, 3), batch_norm="True").items():
        with pytest.raises(ValueError, match=name):
            settings.restore(Recipe, asdict(recipe) | {name: value})
    # Flags do not change what does not apply.
    assert settings.chosen(args, Recipe(lr=1.0)) == Recipe(lr=values["lr"])


def test_words_are_read_as_they_were_meant():
    """Hyphens copied from a page; PowerShell passes 10,2,5 as three words."""
    for words in ("–sweep 10 2 5", "—sweep=10,2,5", "‑-sweep 10,2,5", "−−sweep 10,2 5"):
        args = PARSER.parse_args([*words.split(), "--batch_norm", "—seed", "1"])
        assert (args.sweep, args.batch_norm, args.seed) == ((10, 2, 5), True, 1)


def test_a_command_is_quoted_for_the_shell(monkeypatch):
    # In another folder, the script is named with its folder.
    monkeypatch.setattr(sys, "argv", [str(ROOT / "seq_plot.py")])
    words = shlex.split(settings.command("seq_train.py", "--resume", "重み $(1)'s.pth"))
    assert words[1:] == [str(ROOT / "seq_train.py"), "--resume", "重み $(1)'s.pth"]


def test_a_gpu_that_is_reported_but_fails_is_not_the_default(monkeypatch, capsys):
    """A GPU too old for torch is emulated: torch reports one that it cannot use."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", mock.Mock(side_effect=RuntimeError("no kernel\nmore")))
    assert settings.default_device() == torch.device("cpu")
    line = "computing on the CPU: 'cuda' cannot be used: no kernel\n"
    assert capsys.readouterr().err == line


# Running a script


def throw(error: BaseException):
    raise error


def exit_status(main) -> int:
    with pytest.raises(SystemExit) as exit_info:
        process.run(main)
    return exit_info.value.code


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("no such\n  file \x1b[2J点\x07"), 1, "error: no such file ?[2J点?"),
        (KeyboardInterrupt(signal.SIGTERM), 143, "error: interrupted"),
        (OSError(errno.ENOSPC, "No space left", "a.jpg"), 1, "error: a.jpg: No space left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate"), 1, "not enough memory for a network"),
        (torch.OutOfMemoryError("Tried to allocate 2 GiB"), 1, "on the GPU: compute on the CPU"),
    ],
)
def test_an_error_becomes_one_line_and_an_exit_status(error, status, message, capsys):
    assert exit_status(lambda: throw(error)) == status
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_a_bug_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="shares memory"):
        process.run(lambda: throw(RuntimeError("a tensor that shares memory with another")))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_loop_after_its_step_and_a_second_one_at_once(number, status, capfd):
    previous = signal.getsignal(number)
    with process.Stop() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert stop.status == status
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == previous


# Machines on which a script cannot run


def test_a_python_without_packages_is_named(monkeypatch):
    """A Python without the environment is emulated."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "numpy" or None)
    message = f"error: not installed: matplotlib, scipy, torch ({sys.executable}): activate the"
    with pytest.raises(SystemExit, match=re.escape(message)):
        runpy.run_path(str(ROOT / "cli" / "__init__.py"))


def test_matplotlib_is_imported_without_the_backend_of_a_notebook(monkeypatch):
    """A notebook's `!python3 ...` is emulated by the backend that it passes on."""
    backend = "module://matplotlib_inline.backend_inline"
    monkeypatch.setitem(matplotlib.rcParams, "backend", "ps")
    monkeypatch.setenv("MPLBACKEND", backend)
    # matplotlib's own import would fail.
    monkeypatch.setattr(
        importlib, "import_module", lambda _: None if "MPLBACKEND" in os.environ else matplotlib
    )
    cli._import_matplotlib()
    assert (matplotlib.rcParams["backend"], os.environ["MPLBACKEND"]) == ("agg", backend)


# Files


@pytest.mark.parametrize(("failures", "text"), [(3, "new"), (1000, "old")])
def test_a_file_is_written_or_stays_as_it_was(failures, text, tmp_path, monkeypatch):
    """Windows is emulated: a virus scanner holds a file for a moment, or for ever."""
    path, rename = tmp_path / "a.txt", os.replace
    errors = iter([PermissionError(errno.EACCES, "Permission denied")] * failures)

    def fail(*names):
        # A kill would keep the old file.
        assert path.read_text() == "old"
        return throw(error) if (error := next(errors, None)) else rename(*names)

    monkeypatch.setattr(files.os, "replace", fail)
    monkeypatch.setattr(files, "RENAME_TIMEOUT", 0.3)
    path.write_text("old")
    with contextlib.nullcontext() if text == "new" else pytest.raises(UserError):
        files.write(path, "new")
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_reported_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("old")
    with full_disk(), pytest.raises(UserError, match=f"^cannot write {path}: File too"):
        files.save_picture(Figure(), path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.jpg"]


def test_an_obstacle_to_writing_or_reading_is_reported(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "file").touch()
    for function, words, message in (
        (files.require_writable, ["file"], "^cannot write into .*file: it is not a folder"),
        (files.require_savable, ["folder.jpg", "--save"], "^--save .* is a folder: choose a file"),
        (files.require_file, ["folder.jpg", "--load"], "^--load .*folder.jpg: not a file"),
    ):
        with pytest.raises(UserError, match=message):
            function(tmp_path / words[0], *words[1:])


# Checkpoints


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[Path, bytes, torch.Tensor]:
    """Path and content of a checkpoint, and its weight."""
    path, net = tmp_path_factory.mktemp("net") / "net.pth", torch.nn.Linear(30, 30)
    files.write_checkpoint(path, net.state_dict(), {"seed": 7})
    return path, path.read_bytes(), net.weight


def weight_in(path: Path, content: bytes) -> torch.Tensor | None:
    """Return the weight in a file of this content, None if it is rejected as damaged."""
    path.write_bytes(content)
    try:
        return files.read_checkpoint(path, "--resume")[0]["weight"]
    except UserError as error:
        if str(error) != f"--resume {path}: damaged, or not a checkpoint":
            raise


def test_a_checkpoint_is_read_and_a_truncated_one_rejected(saved):
    path, intact, weight = saved
    assert torch.equal(weight_in(path, intact), weight)
    assert files.read_checkpoint(path, "--resume")[1] == {"seed": 7}
    # In tenths, and without the last bytes, the table of contents of a zip archive.
    for length in (*(len(intact) * tenth // 10 for tenth in range(10)), -30, -22, -1):
        assert weight_in(path, intact[:length]) is None


@hypothesis_settings(max_examples=50, derandomize=True, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7), st.just(b"") | st.binary(max_size=20))
def test_a_flipped_bit_and_inserted_bytes_do_not_change_weights(saved, share, bit, inserted):
    path, intact, weight = saved
    damaged, place = bytearray(intact), int(share * len(intact))
    damaged[place] ^= 1 << bit
    damaged[place:place] = inserted
    found = weight_in(path, bytes(damaged))
    assert found is None or torch.equal(found, weight)


# Pictures


def test_pictures_have_the_chosen_format(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "picture_format", "jpg")
    starts = dict(jpg=b"\xff\xd8\xff", png=b"\x89PNG", pdf=b"%PDF", svg=b"<?xml")
    for name, start in starts.items():
        PARSER.parse_args(["--format", name])
        path = files.save_picture(Figure(figsize=(1, 1)), tmp_path / "net_1.5.jpg")
        assert path == tmp_path / f"net_1.5.{name}"
        assert path.read_bytes().startswith(start)


def test_a_window_is_opened_where_there_is_a_screen(monkeypatch):
    """A screen is emulated."""
    shown = []
    monkeypatch.setattr(pyplot, "figure", lambda figsize: figsize)
    monkeypatch.setattr(pyplot, "show", lambda: shown.append("window"))
    for backend in ("agg", "TkAgg"):
        monkeypatch.setattr(pyplot, "get_backend", lambda name=backend: name)
        files.show_window(shown.append, (4, 3))
    assert shown == [(4, 3), "window"]


# Training


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("cosine", partial(CosineAnnealingLR, T_max=1000)),
        ("onecycle", partial(OneCycleLR, max_lr=0.1, total_steps=1001, final_div_factor=1e9,
                             pct_start=training.RISE)),
    ],
)  # fmt: skip
def test_learning_rates_are_those_of_torch(name, schedule):
    recipe = replace(CONV, lr=0.1, schedule=name)
    optimizer = training.SGD([torch.zeros(1)], 0.1, momentum=0.9)
    scheduler = schedule(optimizer)
    for step in range(1000):
        expected = optimizer.param_groups[0]["lr"]
        assert training.lr_at(recipe, step / 1000) == pytest.approx(expected, abs=4e-4)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_updates_follow_the_equations(name, monkeypatch):
    # An import of torch's compiler, which takes 2 s, fails.
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    recipe = replace(CONV, optim=name, lr=0.1, mom=0.8, schedule="constant", weight_decay=0.5)
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 1, bias=False)
    run = training.Run({}, recipe, 1, 6, net, training.make_optimizer(recipe, net))
    weight, velocity, square = net.weight.detach().numpy().astype(float), 0.0, 0.0
    for step in range(1, 7):
        training.update(run, net.weight.square().sum(), step / 6, clip=1.0)
        gradient = 2 * weight / max(1, np.linalg.norm(2 * weight))
        # Adam's weight decay is a part of the gradient, AdamW's is not.
        gradient = gradient + 0.5 * weight * (name != "adamw")
        weight = weight - 0.1 * 0.5 * weight * (name == "adamw")
        velocity = 0.8 * velocity + gradient
        square = 0.999 * square + 0.001 * gradient**2
        change = velocity
        if name != "sgd":
            change = 0.2 * velocity / (1 - 0.8**step) / np.sqrt(square / (1 - 0.999**step))
        weight = weight - 0.1 * change
        assert np.allclose(net.weight.detach(), weight, atol=1e-5)


# Text


def test_a_table_has_columns_below_its_keys():
    records = [dict(state="A", margin=0.5, note=None), dict(state="AAB", margin=-1.25, note=3)]
    assert tables.table(records, {"margin": "+.2f"}).splitlines() == [
        "state  margin  note",
        "A      +0.50",
        "AAB    -1.25   3",
    ]
    assert tables.table([]) == ""
