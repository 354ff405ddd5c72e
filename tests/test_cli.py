"""Flags, exit status and errors, signals, files, pictures, checkpoints, training, tables.

Machines that cannot be had here are emulated; the docstrings of these tests name them.
"""

import cli
from cli import files, process, settings, tables, training
from cli.process import UserError

import ast
import contextlib
import errno
import importlib.util
import io
import os
import re
import runpy
import shlex
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
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
from shared import ROOT, SCRIPTS, Bomb, full_disk
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

import kuzu_main
from kuzushiji.recipes import RECIPES, Recipe

WINDOWS = SimpleNamespace(name="nt")
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


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"'), min_size=1)


@hypothesis_settings(deadline=None, derandomize=True)
@given(name=NAMES)
def test_a_command_is_quoted_for_the_shell(name):
    """cmd.exe and PowerShell are emulated: a word is plain, or between double quotes."""
    with pytest.MonkeyPatch.context() as patch:
        # In another folder, the script is named with its folder.
        patch.setattr(sys, "argv", [str(ROOT / "seq_plot.py")])
        words = shlex.split(settings.command("seq_train.py", "--resume", name))
        assert words[1:] == [str(ROOT / "seq_train.py"), "--resume", name]
        patch.setattr(sys, "argv", ["seq_plot.py"])
        patch.setattr(settings, "os", WINDOWS)
        patch.setattr(sys, "executable", "/Python 3/pythonw.exe")
        command = settings.command("seq_train.py", name)
    quoted = command.removeprefix("python seq_train.py ")
    assert quoted.strip('"') == name.strip('"')
    assert quoted.startswith('"') or not set(name) & set(" ,;&|<>()^%$`'@{}#")


def test_a_gpu_that_is_reported_but_fails_is_not_the_default(monkeypatch, capsys):
    """A GPU too old for torch is emulated: torch reports one that it cannot use."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "ones", mock.Mock(side_effect=RuntimeError("no kernel\nmore")))
    assert settings.default_device() == torch.device("cpu")
    line = "computing on the CPU: 'cuda' cannot be used: no kernel\n"
    assert capsys.readouterr().err == line


def throw(error: BaseException):
    raise error


# Running a script


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
        (MemoryError(), 1, "not enough memory for a network of this size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate"), 1, "not enough memory for a network"),
        (torch.OutOfMemoryError("Tried to allocate 2 GiB"), 1, "on the GPU: compute on the CPU"),
        (OSError(errno.EINVAL, "Invalid argument"), 1, "error: standard output: Invalid argument"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, ""),
    ],
)
def test_an_error_becomes_one_line_and_an_exit_status(error, status, message, capsys):
    assert exit_status(lambda: throw(error)) == status
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == bool(message)


def test_a_bug_keeps_its_traceback_and_a_closed_pipe_of_windows_is_not_an_error(monkeypatch):
    """Windows is emulated by its name."""
    with pytest.raises(RuntimeError, match="shares memory"):
        process.run(lambda: throw(RuntimeError("a tensor that shares memory with another")))
    monkeypatch.setattr(process, "os", WINDOWS)
    assert exit_status(lambda: throw(OSError(errno.EINVAL, "Invalid argument"))) == 0


def test_a_notebook_gets_its_handlers_and_its_style_back(monkeypatch):
    """%run is emulated: handlers and style of another program, before and after."""
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 33)
    handler, sizes = signal.getsignal(signal.SIGINT), []
    assert exit_status(lambda: sizes.append(matplotlib.rcParams["font.size"])) == 0
    assert sizes == [10]
    assert matplotlib.rcParams["font.size"] == 33
    assert signal.getsignal(signal.SIGINT) == handler


def test_a_script_runs_in_another_thread():
    """An IDE that runs scripts in a thread is emulated: no signals there."""
    with ThreadPoolExecutor() as pool, pytest.raises(SystemExit, match="5"):
        pool.submit(process.run, lambda: 5 + process.Stop().__enter__().status).result()


class Shell(io.StringIO):
    """The output of IDLE's shell or of a notebook: not a file, without reconfigure."""

    def isatty(self):
        return True


@pytest.mark.parametrize("stdout", [Shell(), None])
def test_output_may_be_a_window_or_not_exist(stdout, monkeypatch):
    """IDLE and notebooks are emulated, then pythonw, both with `2>&-`."""
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", None)

    def main():
        print("点")
        process.Progress(10).update(5, "half")
        with process.Stop() as stop:
            signal.raise_signal(signal.SIGINT)
        raise UserError("the reason", status=stop.status)

    assert exit_status(main) == 130
    if stdout:
        # The reason is not lost.
        assert re.fullmatch(r"点\n.*: error: the reason\n", stdout.getvalue())
    else:
        sys.stdout.close()


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


def test_the_time_left_is_shown_on_a_terminal_only(capsys):
    # Two of twelve steps were done before, by a run that is resumed.
    progress = process.Progress(12, first=2)
    assert not progress.enabled
    progress.enabled = True
    for done, text in ((7, "half"), (11, "9")):
        progress.start -= 60
        progress.last -= 60
        progress.update(done, text)
    progress.clear()
    shown = capsys.readouterr().err
    assert shown == "\rhalf, 1:00 left\r9, 0:13 left   \r" + " " * 12 + "\r"


# Machines on which a script cannot run


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (sys.version_info, f"not installed: matplotlib, torch ({sys.executable}): activate the"),
        ((3, 8), "Python 3.11 or newer is required, but this is 3.8"),
    ],
)
def test_a_python_without_packages_or_too_old_is_named(version, message, monkeypatch):
    """A Python without the environment is emulated, and Python 3.8, which can compile the scripts,
    so that they reach the check."""
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name in ("numpy", "scipy") or None
    )
    with pytest.raises(SystemExit, match=re.escape(f"error: {message}")):
        runpy.run_path(str(ROOT / "cli" / "__init__.py"))
    for name in (*SCRIPTS, "cli/__init__"):
        ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 8))


INLINE = "module://matplotlib_inline.backend_inline"


@pytest.mark.parametrize(("name", "backend"), [("TkAgg", "TkAgg"), (INLINE, "agg")])
def test_matplotlib_is_imported_without_the_backend_of_a_notebook(name, backend, monkeypatch):
    """A notebook's `!python3 ...` is emulated by the backend that it passes on."""
    monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")
    monkeypatch.setenv("MPLBACKEND", name)
    # matplotlib's own import would fail.
    monkeypatch.setattr(
        importlib, "import_module", lambda _: None if "MPLBACKEND" in os.environ else matplotlib
    )
    cli._import_matplotlib()
    assert (matplotlib.rcParams["backend"], os.environ["MPLBACKEND"]) == (backend, name)


# Files


@pytest.mark.parametrize(
    # Function of os that fails, the error, number of failures, and the text in the file then.
    ("name", "error", "times", "text"),
    [
        ("fsync", errno.EINVAL, 1, "new"),
        ("fsync", errno.EDQUOT, 1, "old"),
        ("replace", errno.EACCES, 3, "new"),
        ("replace", errno.EACCES, 1000, "old"),
    ],
)
def test_a_file_is_written_or_stays_as_it_was(name, error, times, text, tmp_path, monkeypatch):
    """Emulated are network drives that cannot synchronise or are full, and a virus scanner that
    holds a file for a moment or for ever."""
    path, function = tmp_path / "a.txt", getattr(os, name)
    failures = iter([OSError(error, os.strerror(error))] * times)

    def fail(*args):
        # A kill would keep the old file.
        assert path.read_text() == "old"
        return throw(error) if (error := next(failures, None)) else function(*args)

    monkeypatch.setattr(files.os, name, fail)
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


def test_an_obstacle_to_writing_or_reading_is_reported_at_once(tmp_path, monkeypatch):
    """A protected folder of Windows is emulated: new files are refused, whatever the name."""
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "file").touch()
    for function, words, message in (
        (files.write, ["folder.jpg", ""], "^cannot write .*folder.jpg: "),
        (files.require_writable, ["file"], "^cannot write into .*file: it is not a folder"),
        (files.require_savable, ["folder.jpg", "--save"], "^--save .* is a folder: choose a file"),
        (files.require_file, ["folder.jpg", "--load"], "^--load .*folder.jpg: not a file"),
    ):
        with pytest.raises(UserError, match=message):
            function(tmp_path / words[0], *words[1:])
    refused = mock.Mock(side_effect=PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr(files, "open", refused, raising=False)
    monkeypatch.setattr(files.Path, "touch", refused)
    with pytest.raises(UserError, match=rf"^cannot write {re.escape(str(tmp_path))}.*: Permission"):
        files.write(tmp_path / "a.txt", "new")
    with pytest.raises(UserError, match=r"cannot write into .*: Permission denied"):
        files.require_writable(tmp_path)
    assert refused.call_count == 2


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path):
    link, target = tmp_path / "link.pth", tmp_path / "target" / "a.pth"
    link.symlink_to(target)
    files.write(files.require_savable(link, "--save"), b"old")
    files.write(link, "点")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "点"
    assert os.listdir(target.parent) == ["a.pth"]


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


def test_a_checkpoint_is_read_and_a_truncated_or_malicious_one_rejected(saved, tmp_path):
    path, intact, weight = saved
    assert torch.equal(weight_in(path, intact), weight)
    assert files.read_checkpoint(path, "--resume")[1] == {"seed": 7}
    # In tenths, and without the last bytes, the table of contents of a zip archive.
    for length in (*(len(intact) * tenth // 10 for tenth in range(10)), -30, -22, -1):
        assert weight_in(path, intact[:length]) is None
    torch.save({"weight": Bomb(tmp_path / "canary")}, path)
    assert weight_in(path, path.read_bytes()) is None
    assert not (tmp_path / "canary").exists()


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


def test_a_window_is_opened_where_there_is_a_screen(monkeypatch, capsys):
    """A screen is emulated, then one that fails, then a notebook."""
    shown, show = [], mock.Mock()
    monkeypatch.setattr(pyplot, "figure", lambda figsize: figsize)
    monkeypatch.setattr(pyplot, "show", show)
    monkeypatch.setattr(pyplot, "get_backend", lambda: "TkAgg")
    files.show_window(shown.append, (4, 3))
    assert capsys.readouterr() == ("close the window to continue\n", "")
    files.show_window(lambda figure: throw(ImportError("no\ntkinter")), (4, 3))
    assert capsys.readouterr() == ("", "no window: no tkinter\n")
    monkeypatch.setattr(pyplot, "get_backend", lambda: INLINE)
    files.show_window(shown.append, (4, 3))
    assert shown == [(4, 3)]
    assert show.call_count == 1


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
    # A run of another network is refused.
    saved = asdict(run) | {"optimizer": run.optimizer.state_dict()["state"]}
    with pytest.raises(ValueError, match="optimizer is that of another network"):
        training.resume(saved, recipe, torch.nn.Linear(3, 1))


# Text


def test_a_table_has_columns_below_its_keys():
    records = [dict(state="A", margin=0.5, note=None), dict(state="AAB", margin=-1.25, note=3)]
    assert tables.table(records, {"margin": "+.2f"}).splitlines() == [
        "state  margin  note",
        "A      +0.50",
        "AAB    -1.25   3",
    ]
    assert tables.table([]) == ""
