"""Flags, exit status and errors, signals, files, pictures, checkpoints, training, tables.

Machines that cannot be had here are emulated; the docstrings of these tests name them.
"""

from cli import files, process, settings, tables, training
from cli.process import UserError

import argparse
import ast
import errno
import importlib.util
import io
import json
import math
import os
import re
import runpy
import shlex
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
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
from PIL import Image
from shared import ROOT, SCRIPTS, environment

WHOLE, POSITIVE = settings.Number(1, 10, int), settings.Number(0, 2, low_excluded=True)
PAIR = settings.CommaSeparated(WHOLE, count=2)
WINDOWS = SimpleNamespace(name="nt")


@dataclass(frozen=True)
class Recipe:
    """A dataclass of flags of every type."""

    optim: str = settings.flag(("sgd", "adam", "adamw"), "optimizer")
    lr: float = settings.flag(settings.Number(0, 100, low_excluded=True), "learning rate")
    mom: float = settings.flag(settings.Number(0, 0.999), "momentum")
    beta2: float | None = settings.flag(settings.Number(0, 0.9999), "decay of squares")
    weight_decay: float = settings.flag(settings.Number(0, 1), "weight decay")
    schedule: str = settings.flag(("constant", "cosine", "onecycle"), "learning rate schedule")
    filters: tuple | None = settings.flag(PAIR, "filters")
    augment: bool | None = settings.flag(bool, "augment")


SGD = Recipe(optim="sgd", lr=0.1, mom=0.9, weight_decay=1e-4, schedule="onecycle")
ADAM = replace(SGD, optim="adam", beta2=0.99)


def make_parser() -> settings.Parser:
    parser = settings.Parser(prog="x")
    settings.add_flags(parser, Recipe)
    parser.add_argument("--epochs", type=WHOLE)
    parser.add_argument("--set_weights", action="store_true")
    parser.add_argument("--sizes", type=settings.CommaSeparated(WHOLE))
    settings.add_common_flags(parser)
    return parser


# Flags

# argparse type, text, and the expected value or part of the error.
TYPES = [
    (settings.Number(0, 9), "0", 0),
    (POSITIVE, "1e-9", 1e-9),
    (settings.CommaSeparated(WHOLE), "10,2, 5", (10, 2, 5)),
    (settings.boolean, "false", False),
    *((WHOLE, text, "from 1 to 10") for text in ("0", "11", "1.5", "", "五百", "1_0")),
    *((POSITIVE, text, "above 0 and at most 2") for text in ("0", "2.5", "nan", "1e999", "x")),
    (settings.CommaSeparated(WHOLE), "5,,3", "from 1 to 10"),
    (PAIR, "5,3,1", "has 3 numbers, not 2"),
    (settings.boolean, "maybe", "neither True nor False"),
    (settings.path, " ", "is not a path"),
    *((settings.device, text, "cannot be used") for text in ("cpu2", "", "meta", "cuda:99")),
]


@pytest.mark.parametrize(("parse", "text", "expected"), TYPES)
def test_types_of_flags_accept_valid_values_and_name_the_range(parse, text, expected):
    if not isinstance(expected, str):
        assert parse(text) == expected
        return
    with pytest.raises(argparse.ArgumentTypeError, match=expected) as error:
        parse(text)
    assert repr(text) in str(error.value) or "," in text


RECIPES = st.builds(
    Recipe,
    optim=st.sampled_from(["sgd", "adam", "adamw"]),
    lr=st.floats(0, 100, exclude_min=True),
    mom=st.floats(0, 0.999),
    beta2=st.none() | st.floats(0, 0.9999),
    weight_decay=st.floats(0, 1),
    schedule=st.sampled_from(["constant", "cosine", "onecycle"]),
    filters=st.none() | st.tuples(st.integers(1, 10), st.integers(1, 10)),
    augment=st.none() | st.booleans(),
)


@hypothesis_settings(deadline=None, derandomize=True)
@given(recipe=RECIPES)
def test_settings_are_the_same_after_typing_and_after_a_file(recipe):
    words = settings.format_flags(recipe).split()
    assert settings.chosen(make_parser().parse_args(words), recipe) == recipe
    assert settings.restore(Recipe, asdict(recipe)) == recipe
    assert make_parser().parse_args(["--augment"]).augment
    # Defaults that do not apply are not changed by flags.
    assert settings.chosen(make_parser().parse_args(words), Recipe(lr=1.0)) == Recipe(lr=recipe.lr)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", 0.0), ("lr", [1]), ("optim", "lbfgs"), ("more", 1), ("filters", (1, 20)),
     ("augment", "True")],
)  # fmt: skip
def test_values_from_a_file_that_could_not_be_typed_are_refused(name, value):
    with pytest.raises(ValueError, match="not the values of optim, lr" if name == "more" else name):
        settings.restore(Recipe, asdict(SGD) | {name: value})


# What is typed, and part of the error.
UNKNOWN = [
    ("--set-weights", "unknown flag --set-weights: did you mean --set_weights?"),
    ("--epoch=3", "unknown flag --epoch: did you mean --epochs?"),
    ("-lr 3", "unknown flag -lr: did you mean --lr?"),
    ("--xyz", "unknown flag --xyz (see --help)"),
    ("--seed 1 2", "argument --seed: '1,2' is not a whole number"),
    ("--json my file", "unrecognized arguments: file"),
]


@pytest.mark.parametrize(("words", "message"), UNKNOWN)
def test_a_near_miss_of_a_flag_is_named(words, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        make_parser().parse_args(words.split())
    assert error.value.status == 2


def test_words_are_read_as_they_were_meant():
    """Hyphens copied from a page; PowerShell passes 10,2,5 as three words."""
    for hyphens in ("–", "—", "––", "‑-", "−−"):
        args = make_parser().parse_args([f"{hyphens}epochs", "3", f"{hyphens}set_weights"])
        assert (args.epochs, args.set_weights) == (3, True)
    for words in (["–sizes", "10", "2", "5"], ["--sizes", "10,2,5"], ["—sizes=10,2,5"]):
        args = make_parser().parse_args([*words, "--seed", "1"])
        assert (args.sizes, args.seed) == ((10, 2, 5), 1)


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"'), min_size=1)


@hypothesis_settings(deadline=None, derandomize=True)
@given(name=NAMES)
def test_a_command_is_quoted_for_the_shell(name):
    """cmd.exe and PowerShell are emulated: a word is plain, or between double quotes."""
    words = shlex.split(settings.command("seq_train.py", "--resume", name))
    assert words == [os.path.basename(sys.executable), "seq_train.py", "--resume", name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "os", WINDOWS)
        patch.setattr(sys, "executable", "/Python 3/pythonw.exe")
        command = settings.command("seq_train.py", name)
    quoted = command.removeprefix("python seq_train.py ")
    assert quoted.strip('"') == name.strip('"')
    assert quoted.startswith('"') or not set(name) & set(" ,;&|<>()^%$`'@{}#")


def test_a_command_names_the_folder_of_the_scripts(monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "seq_train.py")])
    assert shlex.split(settings.command("seq_plot.py"))[1] == str(ROOT / "seq_plot.py")
    monkeypatch.setattr(sys, "argv", ["seq_train.py"])
    assert shlex.split(settings.command("seq_plot.py"))[1] == "seq_plot.py"


def test_a_gpu_that_is_reported_but_fails_is_not_the_default(monkeypatch, capsys):
    """A GPU too old for torch, or full, is emulated: torch reports one that it cannot use."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for error in (RuntimeError("CUDA error: no kernel image\nmore"), torch.OutOfMemoryError()):
        monkeypatch.setattr(torch, "ones", lambda *size, error=error, **options: throw(error))
        assert settings.default_device() == torch.device("cpu")
        line = capsys.readouterr().err
        assert line.startswith("computing on the CPU: 'cuda' cannot be used: ")
        assert line.count("\n") == 1


def throw(error: BaseException):
    raise error


# Running a script

# Exception raised by main, exit status, and part of the line on stderr.
ERRORS = [
    (UserError("no such\n  file"), 1, "error: no such file"),
    (UserError("file \x1b[2J点\x07"), 1, "error: file ?[2J点?"),
    (KeyboardInterrupt(), 130, "error: interrupted"),
    (KeyboardInterrupt(signal.SIGTERM), 143, "error: interrupted"),
    (OSError(errno.ENOSPC, "No space left", "a.jpg"), 1, "error: a.jpg: No space left"),
    (MemoryError(), 1, "not enough memory for a network of this size"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "not enough memory for a"),
    (torch.OutOfMemoryError("Tried to allocate 2 GiB"), 1, "on the GPU: compute on the CPU"),
    (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), 1, "by --no_cuda"),
]


def exit_status(main) -> int:
    with pytest.raises(SystemExit) as exit_info:
        process.run(main)
    return exit_info.value.code


@pytest.mark.parametrize(("error", "status", "message"), ERRORS)
def test_an_error_becomes_one_line_and_an_exit_status(error, status, message, capsys):
    assert exit_status(lambda: throw(error)) == status
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_a_bug_keeps_its_traceback_and_a_status_is_passed_on():
    with pytest.raises(RuntimeError, match="shares memory"):
        process.run(lambda: throw(RuntimeError("a tensor that shares memory with another")))
    for status in (None, 3):
        assert exit_status(lambda status=status: status) == (status or 0)


def test_a_closed_pipe_is_not_an_error(monkeypatch, capsys):
    """Windows is emulated, where a closed pipe is EINVAL."""
    assert exit_status(lambda: throw(BrokenPipeError(errno.EPIPE, "Broken pipe"))) == 0
    assert capsys.readouterr().err == ""
    invalid = OSError(errno.EINVAL, "Invalid argument")
    assert exit_status(lambda: throw(invalid)) == 1
    assert "standard output: Invalid argument" in capsys.readouterr().err
    monkeypatch.setattr(process, "os", WINDOWS)
    assert exit_status(lambda: throw(invalid)) == 0


def test_a_notebook_gets_its_handlers_and_its_style_back(monkeypatch):
    """%run is emulated: handlers and style of another program, before and after."""
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 33)
    monkeypatch.setitem(matplotlib.rcParams, "text.usetex", True)
    handlers = [lambda number, frame: None, signal.SIG_IGN]
    before = [signal.signal(*pair) for pair in zip(process.SIGNALS, handlers, strict=True)]
    seen = []

    def main():
        seen.append((matplotlib.rcParams["font.size"], matplotlib.rcParams["text.usetex"]))
        raise UserError("none")

    try:
        assert exit_status(main) == 1
        assert [signal.getsignal(number) for number in process.SIGNALS] == handlers
    finally:
        for number, handler in zip(process.SIGNALS, before, strict=True):
            signal.signal(number, handler)
    assert seen == [(10, False)]
    assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["text.usetex"]) == (33, True)


def stopped() -> int:
    with process.Stop() as stop:
        return 5 + stop.status


def test_a_script_runs_in_another_thread():
    """An IDE that runs scripts in a thread is emulated: no signals there."""
    with ThreadPoolExecutor() as pool:
        assert pool.submit(process.run, stopped).exception().code == 5


class Shell(io.StringIO):
    """The output of IDLE's shell or of a notebook: not a file, without reconfigure."""

    def isatty(self):
        return True


def talk() -> int:
    print("点")
    process.Progress(10).update(5, "half")
    with process.Stop() as stop:
        signal.raise_signal(signal.SIGINT)
    raise UserError("the reason", status=stop.status)


def test_output_may_be_a_window(monkeypatch):
    """IDLE and notebooks are emulated."""
    shown, errors = Shell(), Shell()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", errors)
    assert exit_status(talk) == 130
    assert shown.getvalue() == "点\n"
    assert errors.getvalue().endswith(": error: the reason\n")


def test_output_may_not_exist(monkeypatch, capsys):
    """pythonw is emulated, which has neither output; `2>&-` has no stderr: it is not silent."""
    monkeypatch.setattr(sys, "stderr", None)
    assert exit_status(talk) == 130
    assert capsys.readouterr().out.endswith(": error: the reason\n")
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert exit_status(talk) == 130
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


def test_the_time_left_is_shown_on_a_terminal_only(capsys, monkeypatch):
    assert not process.Progress(10).enabled
    progress = process.Progress(10)
    monkeypatch.setattr(progress, "enabled", True)
    for done, text in ((5, "half"), (9, "9")):
        progress.start -= 60
        progress.last -= 60
        progress.update(done, text)
    progress.clear()
    progress.clear()
    shown = capsys.readouterr().err
    assert shown == "\rhalf, 1:00 left\r9, 0:13 left   \r" + " " * 12 + "\r"


# Machines on which a script cannot run


def start_error() -> str:
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(str(ROOT / "cli" / "__init__.py"))
    return exit_info.value.code


def test_missing_packages_are_named(monkeypatch):
    """A Python without the environment is emulated."""
    found = importlib.util.find_spec
    absent = ("scipy", "torch")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in absent else found(name)
    )
    message = start_error()
    assert f"error: not installed: scipy, torch ({sys.executable})" in message
    assert "activate the environment" in message


def test_an_old_python_is_named(monkeypatch):
    """Python 3.8 is emulated; it can compile the scripts, so that they reach the check."""
    monkeypatch.setattr(sys, "version_info", (3, 8, 10, "final", 0))
    assert "error: Python 3.11 or newer is required, but this is 3.8" in start_error()
    for name in (*SCRIPTS, "cli/__init__"):
        ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_scripts_import_cli_first():
    for name in SCRIPTS:
        nodes = ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8")).body
        imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
        modules = [getattr(node, "module", None) for node in imports]
        assert modules[:2] == ["__future__", "cli"], name


def test_requirements_are_what_is_imported():
    imported = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    ours = {path.stem for path in (*ROOT.glob("*"), *ROOT.glob("*/*.py"))}
    imported -= sys.stdlib_module_names | ours
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = {line.split("~")[0].lower() for line in lines if not line.startswith("#")}
    names = {"sklearn": "scikit-learn", "PIL": "pillow"}
    assert {names.get(name, name) for name in imported} == required - {"pytest-xdist", "ruff"}


INLINE = "module://matplotlib_inline.backend_inline"
PICTURE = """
from cli import files, process
from matplotlib.figure import Figure
def main():
    figure = Figure()
    figure.suptitle("x^2")
    files.save_picture(figure, "a.jpg")
    files.show_window(lambda figure: 1 / 0, (4, 4))
process.run(main)
"""


def test_pictures_do_not_need_the_settings_of_matplotlib(tmp_path):
    """A notebook's `!python3 ...` is emulated by the backend that it passes on."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfigure.figsize: 90, 90\n")
    done = subprocess.run(
        [sys.executable, "-c", PICTURE],
        cwd=tmp_path,
        env=environment() | {"MPLBACKEND": INLINE, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "picture: a.jpg\n", "")
    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.size == (640, 480)


# Files


def test_a_file_is_written_whole_with_default_permissions(tmp_path):
    path = tmp_path / "new folder" / "絵.txt"
    files.write(path, "点")
    assert path.read_text(encoding="utf-8") == "点"
    files.write(path, b"new")
    assert path.read_bytes() == b"new"
    (tmp_path / "reference").touch()
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, tmp_path / "reference")]
    assert modes[0] == modes[1]
    assert os.listdir(path.parent) == [path.name]


# Function of os that fails, the error, and whether the file is written all the same.
FAILURES = {
    "interrupted": ("replace", KeyboardInterrupt(), False),
    "synchronising is not supported": ("fsync", OSError(errno.EINVAL, "Invalid argument"), True),
    "the quota is used up": ("fsync", OSError(errno.EDQUOT, "Quota exceeded"), False),
    "held for a moment": ("replace", PermissionError(errno.EACCES, "Access denied"), True),
    "held for ever": ("replace", PermissionError(errno.EACCES, "Access denied"), False),
}


@pytest.mark.parametrize("case", FAILURES)
def test_the_old_file_is_kept_when_writing_fails(case, tmp_path, monkeypatch):
    """Network drives and virus scanners are emulated by a function of os that fails."""
    name, error, written = FAILURES[case]
    function, calls = getattr(os, name), []

    def fail(*args):
        calls.append(args)
        if case == "held for a moment" and len(calls) > 3:
            return function(*args)
        raise error

    monkeypatch.setattr(files.os, name, fail)
    monkeypatch.setattr(files, "RENAME_TIMEOUT", 60 if written else 0.1)
    path = tmp_path / "a.txt"
    path.write_text("old")
    if written:
        files.write(path, "new")
    else:
        reason = type(error) if isinstance(error, KeyboardInterrupt) else UserError
        with pytest.raises(reason):
            files.write(path, "new")
    assert path.read_text() == ("new" if written else "old")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_obstacle_to_writing_is_reported_at_once(tmp_path, monkeypatch):
    """A protected folder of Windows is emulated: new files are refused, whatever the name."""
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*folder\.jpg: "):
        files.write(tmp_path / "folder.jpg", "")
    with pytest.raises(UserError, match=r"cannot write into .*file: it is not a folder"):
        files.require_writable(tmp_path / "file")
    with pytest.raises(UserError, match=r"--save .*folder\.jpg is a folder: choose a file name"):
        files.require_savable(tmp_path / "folder.jpg", "--save")
    refused = mock.Mock(side_effect=PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr(files, "open", refused, raising=False)
    monkeypatch.setattr(files.Path, "touch", refused)
    with pytest.raises(UserError, match=rf"^cannot write {re.escape(str(tmp_path))}.*: Permission"):
        files.write(tmp_path / "a.txt", "new")
    with pytest.raises(UserError, match=r"cannot write into .*: Permission denied"):
        files.require_writable(tmp_path)
    assert refused.call_count == 2


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path):
    link, target = tmp_path / "link.pth", tmp_path / "target" / "a.pth"
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("needs symbolic links")
    files.write(files.require_savable(link, "--save"), "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["a.pth"]


def test_write_json_converts_to_json_types(tmp_path, capsys):
    results = {"a": np.float32(0.5), "b": torch.ones(2), "c": (np.arange(3), tmp_path, "絵", None)}
    path = tmp_path / "new" / "a.json"
    files.write_json(path, results | {"d": [math.nan, -math.inf], "e": np.array([1, math.nan])})
    expected = {"a": 0.5, "b": [1, 1], "c": [[0, 1, 2], str(tmp_path), "絵", None]}
    expected |= {"d": [None, None], "e": [1, None]}
    assert json.loads(path.read_text(encoding="utf-8")) == expected
    assert capsys.readouterr().out == f"results: {path}\n"


# Pictures

# First bytes of each format.
FORMATS = {"jpg": b"\xff\xd8\xff", "png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.parametrize("name", FORMATS)
def test_pictures_have_the_chosen_format(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(files, "picture_format", "jpg")
    make_parser().parse_args(["--format", name])
    path = files.save_picture(Figure(figsize=(1, 1)), tmp_path / "net_1.5.jpg")
    assert path == tmp_path / f"net_1.5.{name}"
    assert path.read_bytes().startswith(FORMATS[name])
    assert capsys.readouterr().out == f"picture: {path}\n"


def test_a_window_is_opened_where_there_is_a_screen_and_its_failure_is_one_line(
    monkeypatch, capsys
):
    """A screen is emulated."""
    calls = []
    monkeypatch.setattr(pyplot, "get_backend", lambda: "TkAgg")
    monkeypatch.setattr(pyplot, "figure", lambda figsize: figsize)
    monkeypatch.setattr(pyplot, "show", lambda: calls.append("shown"))
    files.show_window(calls.append, (4, 3))
    assert calls == [(4, 3), "shown"]
    assert capsys.readouterr() == ("close the window to continue\n", "")
    monkeypatch.setattr(pyplot, "figure", lambda figsize: throw(ImportError("no\ntkinter")))
    files.show_window(calls.append, (4, 3))
    assert capsys.readouterr() == ("", "no window: no tkinter\n")
    for backend in ("agg", "inline"):
        monkeypatch.setattr(pyplot, "get_backend", lambda backend=backend: backend)
        files.show_window(calls.append, (4, 3))
    assert len(calls) == 2


# Training

SCHEDULES = {
    "constant": lambda optimizer, steps: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
    "cosine": torch.optim.lr_scheduler.CosineAnnealingLR,
    "onecycle": lambda optimizer, steps: torch.optim.lr_scheduler.OneCycleLR(
        optimizer, SGD.lr, steps + 1, pct_start=training.RISE, final_div_factor=1e9
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rates_are_those_of_torch(name):
    steps, recipe = 2000, replace(SGD, schedule=name)
    optimizer = torch.optim.SGD([torch.zeros(1)], SGD.lr, momentum=0.9)
    scheduler = SCHEDULES[name](optimizer, steps)
    for step in range(steps + 1):
        expected = optimizer.param_groups[0]["lr"]
        assert training.lr_at(recipe, step / steps) == pytest.approx(expected, abs=2e-3 * SGD.lr)
        optimizer.step()
        if step < steps:
            scheduler.step()


def trained(recipe: Recipe, optimizer=None) -> training.Run:
    """Return a run of a Linear(3, 2) after six updates, by the recipe's optimizer or another."""
    torch.manual_seed(1)
    net = torch.nn.Linear(3, 2)
    optimizer = optimizer(net.parameters()) if optimizer else training.make_optimizer(recipe, net)
    run = training.Run({"lang": "anb2n"}, recipe, 1, 6, net, optimizer)
    for step in range(6):
        loss = (net(torch.randn(8, 3)) - 1).square().mean()
        training.update(run, loss, step / 6, clip=1.0)
    return run


@pytest.mark.parametrize("optim", ["sgd", "adam", "adamw"])
def test_updates_are_those_of_torch(optim):
    recipe = replace(ADAM, optim=optim, schedule="constant", weight_decay=0.1)
    kind = dict(sgd=torch.optim.SGD, adam=torch.optim.Adam, adamw=torch.optim.AdamW)[optim]
    options = dict(momentum=0.9) if optim == "sgd" else dict(betas=(0.9, 0.99))
    theirs = trained(recipe, partial(kind, lr=recipe.lr, weight_decay=0.1, **options))
    torch.testing.assert_close(trained(recipe).net.weight, theirs.net.weight)


def test_a_run_of_another_network_or_without_its_parts_is_refused(tmp_path):
    training.save(trained(ADAM), tmp_path / "net.pth")
    saved = files.read_checkpoint(tmp_path / "net.pth", "--resume")[1]
    with pytest.raises(ValueError, match="optimizer is that of another network"):
        training.resume(saved, ADAM, torch.nn.Linear(4, 2))
    for broken in ({}, saved | {"done": "3"}, saved | {"optimizer": 3}):
        with pytest.raises(ValueError, match="it lacks"):
            training.resume(broken, ADAM, torch.nn.Linear(3, 2))


# Values that do not fit a Linear(3, 2), and part of the error.
WEIGHTS = [
    ({"bias": None}, "without bias"),
    ({"more": torch.ones(1)}, "unexpected: more"),
    ({"weight": 3}, r"weight has the shape \(\), not \(2, 3\)"),
    ({"weight": torch.full((2, 3), math.nan)}, "weight contains non-finite numbers"),
]


@pytest.mark.parametrize(("changes", "message"), WEIGHTS)
def test_weights_that_do_not_fit_are_named(changes, message):
    net = torch.nn.Linear(3, 2)
    state = net.state_dict() | changes
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        files.load_weights(net, state)


# Text


def test_a_table_has_columns_below_its_keys():
    records = [
        {"state": "A", "margin": 0.5, "share": 0.25, "note": None},
        {"state": "AAB", "margin": -1.25, "share": 1, "note": 3},
    ]
    assert tables.table(records, {"margin": "+.2f", "share": ".0%"}).splitlines() == [
        "state  margin  share  note",
        "A      +0.50   25%",
        "AAB    -1.25   100%   3",
    ]
    assert tables.table([]) == ""
