"""What the tests share: small data sets in KMNIST's form, and the way to run a script."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

# One thread: the networks of the tests are small, and two threads that wait for each other on a
# busy machine make them many times slower. Set before torch is imported, for the scripts as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

import script

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("kuzu_main", "check_main", "seq_train", "seq_plot")


def write_idx(path: Path, values: np.ndarray) -> None:
    """Write uint8 images (N, 28, 28) or labels (N,) as an IDX file."""
    magic = 0x0803 if values.ndim == 3 else 0x0801
    path.parent.mkdir(parents=True, exist_ok=True)
    header = np.array([magic, *values.shape], ">i4")
    path.write_bytes(header.tobytes() + values.astype(np.uint8).tobytes())


def write_digits(root: Path, train: int = 300, test: int = 120) -> Path:
    """scikit-learn's digits as a small data set in KMNIST's form; returns the folder."""
    from kuzu_data import load_digits

    digits = load_digits()
    raw = root / "KMNIST" / "raw"
    write_idx(raw / "train-images-idx3-ubyte", digits.train[:train].numpy())
    write_idx(raw / "train-labels-idx1-ubyte", digits.train_target[:train].numpy())
    write_idx(raw / "t10k-images-idx3-ubyte", digits.test[:test].numpy())
    write_idx(raw / "t10k-labels-idx1-ubyte", digits.test_target[:test].numpy())
    return root


@pytest.fixture
def small(tmp_path) -> Path:
    """A folder for --data with 300 training and 120 test images."""
    return write_digits(tmp_path / "data")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real Kuzushiji images that KUZU_DATA names."""
    folder = os.environ.get("KUZU_DATA")
    if not folder:
        pytest.skip("KUZU_DATA names no folder with Kuzushiji images")
    return Path(folder)


def environment() -> dict[str, str]:
    """The environment for a script: no screen, modules found from any folder."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return kept | {"PYTHONUNBUFFERED": "1"}


def run_script(*words, cwd: Path, timeout: float = 240) -> subprocess.CompletedProcess:
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
        script.run(module.main)
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
    printed, told = process.communicate(timeout=120)
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
    import torch

    from seq_models import SRN

    edges = [(int(q), int(s)) for q, s in np.argwhere(language.next >= 0)]
    after = np.array([language.next[edge] for edge in edges])
    net = SRN(language.classes, len(edges) + spare, init=0.0, identity=False)
    logits = np.log(np.maximum(language.target, 1e-4))
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


class StopAfter:
    """A Stop that asks for the end once it has been asked so often itself."""

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
