"""Shared by the tests: small data sets in KMNIST's format, running scripts, example networks."""

from cli import process
from cli.settings import command

import contextlib
import gzip
import http.server
import importlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from kuzushiji import dataset
from seq_models import LSTM, SRN

# A port on which no server listens.
NOWHERE = "http://127.0.0.1:9/"
ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("kuzu_main", "check_main", "seq_train", "seq_plot")


def header(*values: int) -> bytes:
    """Return the header of an IDX file: magic number and sizes."""
    return np.array(values, ">u4").tobytes()


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write uint8 images (N, 28, 28) or labels (N,) as an IDX file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    start = header(0x800 + values.ndim, *values.shape)
    path.write_bytes(start + values.astype(np.uint8).tobytes())


def characters(train: int = 300, test: int = 120):
    """Return the first training and test images of Kuzushiji-10k, split 0."""
    images = dataset.load_kuzushiji10k(0)
    learned = {"train": images.train[:train], "train_target": images.train_target[:train]}
    tested = {"test": images.test[:test], "test_target": images.test_target[:test]}
    return replace(images, name="a few characters", split=None, **learned, **tested)


def write_characters(root: Path, train: int = 300, test: int = 120) -> Path:
    """Write the images of `characters` in KMNIST's format; return the folder for --data."""
    images = characters(train, test)
    values = images.train, images.train_target, images.test, images.test_target
    for name, tensor in zip(dataset.FILES, values, strict=True):
        write_idx(root / "KMNIST" / "raw" / name, tensor.numpy())
    return root


@pytest.fixture
def small(tmp_path) -> Path:
    """Folder for --data with 300 training and 120 test images."""
    return write_characters(tmp_path / "data")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Prevent downloads in this process: the host refuses connections."""
    monkeypatch.setattr(dataset, "HOST", NOWHERE)


@pytest.fixture
def no_explanation(monkeypatch):
    """Skip kuzu_main.py's table and pictures, which take most of the time of a short run."""
    monkeypatch.setattr("kuzu_main.show_network", lambda *words: None)


@pytest.fixture
def host(tmp_path, monkeypatch, no_network) -> Iterator[Path]:
    """Folder with KMNIST's training files (300 images) on a local server for downloads."""
    folder = write_characters(tmp_path / "source") / "KMNIST" / "raw"
    for name in dataset.FILES[:2]:
        content = (folder / name).read_bytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        monkeypatch.setitem(dataset.KMNIST_IDS, name, dataset.git_id(content))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        monkeypatch.setattr(dataset, "HOST", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def without_screen() -> dict[str, str]:
    """Return the environment without a screen, and without exceptions from a proxy."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND", "NO_PROXY", "no_proxy")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def environment() -> dict[str, str]:
    """Return the environment for a script: no screen, no network."""
    return without_screen() | {"PYTHONUNBUFFERED": "1", "http_proxy": NOWHERE}


def start_script(*words, cwd: Path) -> subprocess.Popen:
    """Start `python3 SCRIPT FLAGS...` in the folder `cwd`, as a user does."""
    words, pipe = [sys.executable, ROOT / words[0], *map(str, words[1:])], subprocess.PIPE
    return subprocess.Popen(words, cwd=cwd, env=environment(), stdout=pipe, stderr=pipe, text=True)


def run_script(*words, cwd: Path) -> subprocess.CompletedProcess:
    """Run a script as a user does, until it ends."""
    script = start_script(*words, cwd=cwd)
    printed, errors = script.communicate(timeout=900)
    return subprocess.CompletedProcess(words, script.returncode, printed, errors)


def exit_status(name: str, *words) -> int:
    """Run a script in this process, as its last line does; return its exit status."""
    module = importlib.import_module(name)
    argv = [f"{name}.py", *map(str, words)]
    with mock.patch.object(sys, "argv", argv), pytest.raises(SystemExit) as exit_info:
        process.run(module.main)
    return exit_info.value.code


def run_here(*words, cwd: Path, capsys) -> subprocess.CompletedProcess:
    """Run a script as run_script does, but in this process, which saves 2 to 4 s of imports."""
    # Without a proxy, which urllib would keep for later tests; the host refuses connections.
    with contextlib.chdir(cwd), mock.patch.dict(os.environ, without_screen(), clear=True):
        status = exit_status(words[0].removesuffix(".py"), *words[1:])
    return subprocess.CompletedProcess(words, status, *capsys.readouterr())


def check_refused(name: str, words: list[str], status: int, message: str, capsys) -> None:
    """Check that a script ends with this status and one line on stderr that contains `message`."""
    assert exit_status(name, *words) == status
    errors = capsys.readouterr().err
    assert errors.startswith(f"{name}.py: error: ")
    assert errors.count("\n") == 1
    assert message in errors


def golden(name: str, text: str) -> None:
    """Check that a printed text equals tests/golden/NAME.txt, with numbers to two decimals.

    UPDATE_GOLDEN=1 writes the file instead. Rounded, because processors differ in the last digits.
    """
    rounded = re.sub(r"-?\d+\.\d+(e[-+]\d+)?", lambda found: f"{float(found[0]):z.2f}", text)
    # Commands are printed with the name of the running interpreter.
    rounded = rounded.replace(command("x").removesuffix("x"), "python3 ")
    path = ROOT / "tests" / "golden" / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(rounded, encoding="utf-8")
    assert rounded == path.read_text(encoding="utf-8")


def interrupt_script(*words, cwd: Path, line: str, number: int | None) -> tuple[int, str, str]:
    """Send a signal, None to kill, to a script when it prints a line that begins with `line`;
    return its exit status, its output after this line, and its output on stderr."""
    script = start_script(*words, cwd=cwd)
    for printed in script.stdout:
        if printed.startswith(line):
            script.send_signal(number) if number else script.kill()
            break
    printed, errors = script.communicate(timeout=900)
    return script.returncode, printed, errors


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Simulate a full disk by a maximum file size of 2 kB; skip the test where that is unknown."""
    resource = pytest.importorskip("resource", reason="needs Unix's limits of a process")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Bomb:
    """An object whose pickle creates the file `canary` when it is loaded."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return open, (str(self.canary), "w")


def automaton_net(language):
    """Return an SRN that implements a language's automaton, with one hidden unit per transition:
    close to 1 for the last transition, otherwise to -1."""
    nodes, symbols = np.nonzero(language.transitions >= 0)
    after, count = language.transitions[nodes, symbols], len(nodes)
    # The end of the last word is treated as the start of another, whose prediction is not used.
    after[after == language.end] = 0
    leads = torch.tensor(after[:, None] == nodes)
    logits = torch.tensor(np.log(np.maximum(language.sampling_probs, 1e-4)))[after]
    net = SRN(language.classes, count, init=0.0, identity=False)
    # A unit is active if its symbol is read and the previous transition led to its node.
    with torch.no_grad():
        net.H0[:] = -4.0
        net.H0[int(np.flatnonzero(after == 0)[0])] = 4.0
        net.W[:] = -6.0
        net.W[symbols, range(count)] = 6.0
        net.U[:] = 6.0 * leads
        net.hid_bias[:] = 6.0 * (leads.sum(dim=0) - 2)
        net.V[:] = logits / 2
        net.out_bias[:] = logits.sum(dim=0) / 2
    return net


def counter_net(stuck: bool = False):
    """Return a one-unit LSTM that counts a^n b^2n: A adds 1 to the context, B subtracts 1/2. It
    predicts B for a context above 1/4 and A below; if `stuck`, always B."""
    net = LSTM(2, 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.hid_bias[:] = torch.tensor([20.0, 20.0, 0.0, 20.0])
        net.W[:, 2] = torch.tensor([20.0, np.arctanh(-0.5)])
        net.V[0, 1] = 20
        net.out_bias[1] = 50 if stuck else -20 * np.tanh(0.25)
    return net


class StopAfter(process.Stop):
    """A replacement for Stop that simulates Ctrl-C after a number of batches."""

    def __init__(self, batches: int):
        super().__init__()
        self.left = batches

    def __bool__(self) -> bool:
        self.left -= 1
        self.status = 130 if self.left < 0 else 0
        return self.left < 0
