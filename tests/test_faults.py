"""One example of each kind of fault; tests/faults has the others."""

import resource
import subprocess
import sys

import pytest
import torch
from shared import ROOT, Bomb, environment

from cli import checkpoint, files
from cli.errors import UserError


def run_code(code: str, folder) -> subprocess.CompletedProcess:
    """Run lines of Python that use the package cli."""
    return subprocess.run(
        [sys.executable, "-c", f"import os, signal\nfrom cli import files\n{code}"],
        cwd=folder,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_a_kill_while_writing_keeps_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    code = "with files.atomic_write('a.txt') as path:\n    path.write_text('ne')\n"
    done = run_code(f"{code}    os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert done.returncode == -9
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_is_reported_and_keeps_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    # Simulate a full disk by a maximum file size in bytes.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
    try:
        with pytest.raises(UserError, match=f"^cannot write {tmp_path}/a.txt: File too large$"):
            files.write(tmp_path / "a.txt", "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped bit", "code"])
def test_a_damaged_or_malicious_checkpoint_is_rejected(damage, tmp_path):
    path, canary = tmp_path / "a.pth", tmp_path / "canary"
    checkpoint.write(path, {"weights": torch.arange(1000.0)})
    assert torch.equal(checkpoint.read(path, "--load")["weights"], torch.arange(1000.0))
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped bit":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        torch.save({"weights": Bomb(canary)}, path)
    with pytest.raises(UserError, match=f"--load {path}: damaged, or not a checkpoint"):
        checkpoint.read(path, "--load")
    assert not canary.exists()
