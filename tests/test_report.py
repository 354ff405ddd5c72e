"""docs/make_report.py: from runs to a report, with what failed named; and README's commands."""

import json
import re
import shutil
import sys

import pytest
from conftest import ROOT, StopAfter, run_script, write_digits

import check_main
import kuzu_main
import seq_plot
import seq_train

sys.path.insert(0, str(ROOT / "docs"))
import make_report
import report_text

MAIN = {
    "kuzu_main.py": kuzu_main,
    "check_main.py": check_main,
    "seq_train.py": seq_train,
    "seq_plot.py": seq_plot,
}
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Every command that stands in a block of its own, without the words beside it.
COMMANDS = [
    line.split("  ")[0]
    for block in re.findall(r"```\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.startswith("python3 ") and " -m " not in line
]
TESTED_ELSEWHERE = ("bench/check.py", "bench/seq.py", "docs/make_report.py")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a quick report, and what its making printed."""
    folder = tmp_path_factory.mktemp("report")
    done = make(folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def make(folder):
    words = ["--quick", "--jobs", 1, "--out", folder, "--work", folder / "work"]
    return run_script("docs/make_report.py", *words, cwd=folder, timeout=500)


def test_a_report_has_all_sections_and_their_pictures(report):
    folder, _ = report
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "This section is missing" not in text
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    for title in ("NetLin", "NetFull", "NetConv", "Discussion", "The finite state machine"):
        assert title in titles
    pictures = re.findall(r"!\[.*?\]\((img/.*?)\)", text)
    assert len(pictures) > 30
    for name in pictures:
        assert 1000 < (folder / name).stat().st_size < 200_000, name
    assert "{" not in text.replace("{net}", "")


def test_figures_of_the_report_are_those_of_the_runs(report):
    folder, printed = report
    text = (folder / "report.md").read_text(encoding="utf-8")
    kept = [json.loads(path.read_text()) for path in (folder / "work").glob("*/*.json")]
    runs = {run["command"]: run["printed"] for run in kept}
    assert len(runs) == printed.count("] python3 ")
    for command, shown in runs.items():
        if "--net " in command:
            assert f"`{command}`" in text
            right, total = re.findall(r"Accuracy: (\d+)/(\d+)", shown)[-1]
            assert f"| {100 * int(right) / int(total):.2f}%; the brief's recipe" in text
            assert shown.split("<class 'numpy.ndarray'>\n")[-1].split("\n\n")[0] in text


def test_digits_are_never_shown_as_kmnist(report):
    folder, _ = report
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "**scikit-learn's digits" in text
    assert "no figure of ours here is an accuracy on KMNIST" in text
    assert "ours on scikit-learn's digits" in text


def test_a_second_making_runs_nothing_and_a_failed_run_is_named(report):
    folder, _ = report
    first = (folder / "report.md").read_text(encoding="utf-8")
    printed = make(folder).stdout
    assert printed.count("kept from an earlier run") == printed.count("] python3 ")
    assert (folder / "report.md").read_text(encoding="utf-8") == first
    run = make_report.Run(folder / "work" / "check_design", "check_main.py", "--design")
    assert run.recall()
    run.status, run.told = 1, "check_main.py: error: a fault\n"
    found = report_text.Findings({"check_design": [run]}, None, 1, folder / "img")
    with pytest.raises(report_text.Missing, match=r"check_main.py --design`: .* a fault"):
        found.run("check_design")


def test_every_command_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """In order, as a reader would type them, with short training on digits."""
    monkeypatch.chdir(tmp_path)
    write_digits(tmp_path / "DIR")
    for command in COMMANDS:
        _, name, *words = command.split()
        if name not in MAIN:
            assert name in TESTED_ELSEWHERE, command
            continue
        with monkeypatch.context() as patch:
            wanted = (0, 3)
            if "--save" in words:
                # Cut off, so that there is something to go on with.
                patch.setattr(kuzu_main, "Stop", lambda: StopAfter(2))
                wanted = (130,)
            assert MAIN[name].main([*words, *short(name, words)]) in wanted, command
        for path in (tmp_path / "net").glob("*_1.pth"):
            for epoch in (40, 50, 100):
                shutil.copyfile(path, path.with_name(path.name.replace("_1.pth", f"_{epoch}.pth")))
    assert len(COMMANDS) > 20


def short(name: str, words: list[str]) -> list[str]:
    """The flags that make a command of the README short, and independent of KMNIST."""
    if name == "kuzu_main.py":
        images = [] if "--data" in words else ["--dataset", "digits"]
        trains = not {"--load", "--resume"} & set(words)
        return [*images, *(["--epochs", "1", "--seed", "0"] if trains else [])]
    if name == "seq_train.py":
        return ["--epoch", "2"] if "--resume" in words else ["--epoch", "1", "--seed", "0"]
    if name == "seq_plot.py":
        return ["--no_show", *([] if "--only" in words else ["--only", "scatter"])]
    return []
