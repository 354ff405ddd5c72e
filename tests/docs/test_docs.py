"""The report, made by short runs; README's commands and links; the benchmarks' tables."""

from cli.process import UserError

import contextlib
import importlib
import json
import re
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest
from shared import ROOT, characters, exit_status, run_script

from kuzushiji import dataset

sys.path.insert(0, str(ROOT / "docs"))
import make_report

README = (ROOT / "README.md").read_text(encoding="utf-8")


def run_inside(command, cwd, **options) -> SimpleNamespace:
    """Run a script as subprocess.run does, but in this process, which saves importing torch."""
    with contextlib.chdir(cwd):
        return SimpleNamespace(returncode=exit_status(command[1].stem, *command[2:]), stderr="")


def test_the_report_answers_with_what_the_commands_print(tmp_path, monkeypatch):
    work, out, few = tmp_path / "work", tmp_path / "docs", characters(1000, 360)
    monkeypatch.setattr(subprocess, "run", run_inside)
    monkeypatch.setattr(dataset, "load_kuzushiji10k", lambda split: few)
    words = ["--quick", "--work", str(work), "--out", str(out), "--jobs", "1"]
    assert make_report.main(words) == 0
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "None" not in text
    for results in ("lin/lin", "step/step", "srn0/srn0_plot"):
        for sentence in json.loads((work / f"{results}.json").read_text())["sentences"]:
            assert f"- {sentence}\n" in text
    pictures = re.findall(r"!\[[^]]+\]\((.+?)\)", text)
    assert len(pictures) > 12
    for name in pictures:
        assert (out / name).exists()
    assert (out / "lstm.html").exists()
    # It fails loudly.
    (work / "lin" / "plot" / "kuzu_lin_forms.jpg").unlink()
    with pytest.raises(UserError, match=r"kuzu_lin_forms.jpg does not exist"):
        make_report.main(words)


def test_readme_s_commands_have_flags_that_exist():
    commands = re.findall(r"^python3 (\w+)\.py(.*?)(?:  |$)", README, re.MULTILINE)
    assert len(commands) > 15
    for script, words in commands:
        importlib.import_module(script).build_parser().parse_args(shlex.split(words))


def test_readme_s_links_exist():
    for name in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / name).exists(), name
    assert README.count("\n") <= 130


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ("kuzu.py --images 128", r"NetLin +[\d.]+ +[\d.]+ +[\d.]+"),
        ("check.py --seeds 1 --course 0 --hid 5", r"5 +ours +1 of 1 +[\d.]+ +[\d.]+"),
        ("seq.py --seeds 1 --course 1 --epoch 1 --tasks 4 --jobs 1", r"course ms .*\n[\d.]+ +\d"),
    ],
)
def test_a_benchmark_prints_its_table(words, rows, tmp_path):
    done = run_script(*f"bench/{words}".split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(rows, done.stdout), done.stdout
