"""The benchmarks print their tables."""

import re
import subprocess
import sys

import pytest
from shared import ROOT, environment


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (["kuzu.py", "--images", 128], r"NetLin +[\d.]+ +[\d.]+ +[\d.]+"),
        (["check.py", "--seeds", 1, "--course", 0, "--hid", 5], r"5 +ours +1 of 1 +[\d.]+ +[\d.]+"),
        (
            ["seq.py", "--seeds", 1, "--course", 1, "--epoch", 1, "--tasks", "4", "--jobs", 1],
            r"--lang anbn --epoch 1\ncourse ms .*\n[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +\d+ +0 of 1 +",
        ),
        (["seq.py", "--engines"], r"numpy \(ours\) +[\d.]+ +[\d.]+ +[\d.]+"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_benchmark_prints_its_table(words, rows, tmp_path):
    command = [sys.executable, str(ROOT / "bench" / words[0]), *map(str, words[1:])]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rows, done.stdout), done.stdout
