"""What the tests share: small data sets in KMNIST's form, and the way to run a script."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import importlib
import os
import signal
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
from torchvision.datasets import KMNIST

import kuzu_main
from cli import process
from kuzushiji import dataset
from seq_models import SRN

# Where nothing listens.
NOWHERE = "http://127.0.0.1:9/"
ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("kuzu_main", "check_main", "seq_train", "seq_plot")


def header(*values: int) -> bytes:
    """Return the header of an IDX file: its magic number and sizes."""
    return np.array(values, ">u4").tobytes()


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write uint8 images (N, 28, 28) or labels (N,) as an IDX file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    start = header(0x800 + values.ndim, *values.shape)
    path.write_bytes(start + values.astype(np.uint8).tobytes())


def characters(train: int = 300, test: int = 120):
    """The first training and test images of Kuzushiji-10k, split 0."""
    images = dataset.load_kuzushiji10k(0)
    return replace(
        images,
        name="a few characters",
        train=images.train[:train],
        train_target=images.train_target[:train],
        test=images.test[:test],
        test_target=images.test_target[:test],
        split=None,
    )


def write_characters(root: Path, train: int = 300, test: int = 120) -> Path:
    """Write some of the characters as a data set in KMNIST's form; return the folder."""
    images, raw = characters(train, test), root / "KMNIST" / "raw"
    write_idx(raw / "train-images-idx3-ubyte", images.train.numpy())
    write_idx(raw / "train-labels-idx1-ubyte", images.train_target.numpy())
    write_idx(raw / "t10k-images-idx3-ubyte", images.test.numpy())
    write_idx(raw / "t10k-labels-idx1-ubyte", images.test_target.numpy())
    return root


@pytest.fixture
def small(tmp_path) -> Path:
    """A folder for --data with 300 training and 120 test images."""
    return write_characters(tmp_path / "data")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing is downloaded in this process: the host does not answer."""
    monkeypatch.setattr(dataset, "HOST", NOWHERE)


@pytest.fixture
def unexplained(monkeypatch):
    """kuzu_main.py's tables and pictures, most of the time of a short run, are left out."""
    monkeypatch.setattr(kuzu_main, "explain", lambda *words: None)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and prints nothing."""

    def log_message(self, *args):
        pass


@pytest.fixture
def host(tmp_path, monkeypatch, no_network) -> Iterator[Path]:
    """The folder with KMNIST's training files (300 images) that a server on this machine serves."""
    folder = tmp_path / "source" / "kmnist"
    folder.mkdir(parents=True)
    raw = write_characters(tmp_path / "source") / "KMNIST" / "raw"
    # The test files keep the sums that were published: they come from this repository.
    sums = dict(KMNIST.resources)
    for name in dataset.FILES[:2]:
        content = gzip.compress((raw / name).read_bytes())
        (folder / f"{name}.gz").write_bytes(content)
        sums[f"{name}.gz"] = hashlib.md5(content).hexdigest()
    handler = partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(KMNIST, "resources", list(sums.items()))
        monkeypatch.setattr(KMNIST, "mirrors", [url])
        monkeypatch.setattr(dataset, "HOST", url)
        yield folder
        server.shutdown()
        thread.join()


def environment() -> dict[str, str]:
    """The environment for a script: no screen, no network."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND", "NO_PROXY", "no_proxy")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return kept | {"PYTHONUNBUFFERED": "1", "http_proxy": NOWHERE}


def run_script(*words, cwd: Path, timeout: float = 900) -> subprocess.CompletedProcess:
    """Run `python3 SCRIPT FLAGS...` as a user would, in the folder `cwd`."""
    command = [sys.executable, str(ROOT / words[0]), *map(str, words[1:])]
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout
    )


def end_of(name: str, *words) -> int:
    """The exit status of a script that runs in this process just as its last line runs it."""
    module = importlib.import_module(name)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    typed = [f"{name}.py", *map(str, words)]
    with mock.patch.object(sys, "argv", typed), pytest.raises(SystemExit) as end:
        process.run(module.main)
    for number, handler in before.items():
        signal.signal(number, handler)
    return end.value.code


def check_refused(name: str, words: list[str], status: int, message: str, capsys) -> None:
    """A script must end with one line on standard error that holds `message`."""
    assert end_of(name, *words) == status
    told = capsys.readouterr().err
    assert told.startswith(f"{name}.py: error: ")
    assert told.count("\n") == 1
    assert message in told


def interrupt_script(*words, cwd: Path, line: str, number: int) -> tuple[int, str, str]:
    """Send a signal to a script as soon as it prints a line that begins with `line`.

    Returns its exit status and what it printed after that on stdout, and on stderr.
    """
    process = subprocess.Popen(
        [sys.executable, str(ROOT / words[0]), *map(str, words[1:])],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for printed in process.stdout:
        if printed.startswith(line):
            process.send_signal(number)
            break
    printed, told = process.communicate(timeout=900)
    return process.returncode, printed, told


class Bomb:
    """A pickle that makes the file `canary` when it is loaded."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return open, (str(self.canary), "w")


def automaton_net(language, spare: int = 0):
    """An SRN that is a language's automaton: one hidden unit for each of its transitions.

    The unit of the transition just made is (nearly) 1, all others are -1; `spare` more units are
    always 0.
    """
    edges = [(int(q), int(s)) for q, s in np.argwhere(language.transitions >= 0)]
    after = np.array([language.transitions[edge] for edge in edges])
    # What would follow a last word is never asked: as if it were another one.
    after[after == language.end] = 0
    net = SRN(language.classes, len(edges) + spare, init=0.0, identity=False)
    logits = np.log(np.maximum(language.sampling_probs, 1e-4))
    sharp = 6.0
    with torch.no_grad():
        net.H0[: len(edges)] = -4.0
        net.H0[int(np.flatnonzero(after == 0)[0])] = 4.0
        for unit, (node, symbol) in enumerate(edges):
            # +1 if the symbol is read, +1 if the unit before led to the node, else -1 for each.
            net.W[:, unit] = -sharp
            net.W[symbol, unit] = sharp
            leads = after == node
            net.U[: len(edges), unit] = torch.from_numpy(sharp * leads)
            net.hid_bias[unit] = sharp * (leads.sum() - 2)
            net.V[unit] = torch.from_numpy(logits[after[unit]] / 2)
        net.out_bias[:] = torch.from_numpy(logits[after].sum(axis=0) / 2)
    return net


def counter_net(stuck: bool = False):
    """An LSTM of one unit that counts a^n b^2n: an A adds 1 to its context, a B takes 1/2 away.

    It predicts a B above 1/4, an A below; if `stuck`, a B always.
    """
    import torch

    from seq_models import LSTM

    net = LSTM(2, 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.hid_bias[:] = torch.tensor([20.0, 20.0, 0.0, 20.0])
        net.W[:, 2] = torch.tensor([20.0, np.arctanh(-0.5)])
        net.V[0, 1] = 20
        net.out_bias[1] = 50 if stuck else -20 * np.tanh(0.25)
    return net


class StopAfter:
    """Stands for a Stop: Ctrl-C comes after so many batches."""

    def __init__(self, batches: int):
        self.left, self.status = batches, 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def __bool__(self) -> bool:
        self.left -= 1
        self.status = 130 if self.left < 0 else 0
        return self.left < 0
