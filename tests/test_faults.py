"""One example of each kind of fault; tests/faults has the others."""

from cli import files
from cli.process import UserError

import subprocess
import sys

import pytest
import torch
from shared import ROOT, Bomb, environment, full_disk

# A process that ends, as if killed, when a new file is written but has not replaced the old one.
KILLED = """
import os
from cli import files
files.os.fsync = lambda number: os._exit(9)
files.write("a.txt", "new")
"""


def test_a_kill_while_writing_keeps_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    environ = environment() | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=environ).returncode == 9
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_full_disk_is_reported_and_keeps_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with full_disk(), pytest.raises(UserError, match=f"^cannot write {tmp_path}/a.txt: File too"):
        files.write(tmp_path / "a.txt", "x" * 10_000)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("damage", ["truncated", "flipped bit", "code"])
def test_a_damaged_or_malicious_checkpoint_is_rejected(damage, tmp_path):
    path, canary, net = tmp_path / "a.pth", tmp_path / "canary", torch.nn.Linear(30, 30)
    files.write_checkpoint(path, net.state_dict(), {"seed": 7})
    state, run = files.read_checkpoint(path, "--load")
    assert torch.equal(state["weight"], net.weight)
    assert run == {"seed": 7}
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped bit":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        torch.save({"weight": Bomb(canary)}, path)
    with pytest.raises(UserError, match=f"--load {path}: damaged, or not a checkpoint"):
        files.read_checkpoint(path, "--load")
    assert not canary.exists()
