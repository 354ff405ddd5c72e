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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folders of the runs and of the report after `make_report.py --quick`, and its flags."""
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("docs")
    words = ["--quick", "--work", str(work), "--out", str(out), "--jobs", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "run", run_inside)
        few = characters(1000, 360)
        patch.setattr(dataset, "load_kuzushiji10k", lambda split: few)
        assert make_report.main(words) == 0
    return work, out, words


def test_the_report_answers_with_what_the_commands_print(made):
    work, out, _ = made
    text = (out / "report.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    assert "None" not in text
    for results in ("lin/lin", "step/step", "srn0/srn0_plot"):
        for sentence in json.loads((work / f"{results}.json").read_text())["sentences"]:
            assert f"- {sentence}\n" in text
    pictures = re.findall(r"!\[[^]]+\]\((.+?)\)", text)
    assert len(pictures) > 12
    for name in pictures:
        limit = 1_500_000 if name.endswith(".gif") else 200_000
        assert 5000 < (out / name).stat().st_size <= limit
    assert (out / "lstm.html").stat().st_size <= 400_000


def test_a_missing_value_or_picture_or_a_failing_run_is_an_error(made, monkeypatch):
    work, _, words = made
    results, picture = work / "lin" / "lin.json", work / "lin" / "plot" / "kuzu_lin_forms.jpg"
    whole = results.read_text()
    results.write_text(whole.replace('"sentences"', '"x"'))
    with pytest.raises(UserError, match=r"report_template.md: .* no attribute 'sentences'"):
        make_report.main(words)
    results.write_text(whole)
    picture.unlink()
    with pytest.raises(UserError, match=r"kuzu_lin_forms.jpg does not exist"):
        make_report.main(words)
    chain = {"good": "check_main.py --set_weights", "bad": "check_main.py --hid x"}
    monkeypatch.setattr(make_report, "commands", lambda quick: [chain])
    with pytest.raises(UserError, match=r"check_main.py --hid x failed: .* 'x' is not a whole"):
        make_report.main(words)
    assert (work / "good" / "good.json").exists()


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
        (
            "seq.py --seeds 1 --course 1 --epoch 1 --tasks 4 --jobs 1",
            r"--lang anbn --epoch 1\ncourse ms .*\n[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +\d+ +0 of 1 +",
        ),
        ("seq.py --engines", r"numpy \(ours\) +[\d.]+ +[\d.]+ +[\d.]+"),
    ],
)
def test_a_benchmark_prints_its_table(words, rows, tmp_path):
    done = run_script(*f"bench/{words}".split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(rows, done.stdout), done.stdout
