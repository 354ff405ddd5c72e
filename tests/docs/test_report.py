"""docs/make_report.py: from runs to a report, with what failed named; and README's commands."""

import json
import re
import shutil
import sys

import pytest
from conftest import ROOT, StopAfter, write_characters

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
# The commands of the assignment itself have tests in which they run as they are.
BRIEF = [
    *(f"kuzu_main.py --net {net}" for net in ("lin", "full", "conv")),
    "check_main.py --act sig --hid 5",
    "check_main.py --act step --hid 4 --set_weights",
    "check_main.py --act sig --hid 4 --set_weights",
    "seq_plot.py --lang anb2n --epoch 100",
    "seq_plot.py --lang anb2nc3n --model lstm --epoch 50",
    "seq_train.py --lang anb2nc3n --model lstm --hid 3",
]


def in_this_process(run):
    """What Run.result gives, without the seconds that a new process takes to import torch."""
    import contextlib
    import io
    import os

    name, *words = run.words
    if name == "bench/check.py":
        return subprocess_result(run)
    before, printed = os.getcwd(), io.StringIO()
    os.chdir(run.folder)
    try:
        with contextlib.redirect_stdout(printed):
            status = MAIN[name].main(words)
    finally:
        os.chdir(before)
    return status, printed.getvalue(), ""


subprocess_result = make_report.Run.result


def test_a_report_from_its_runs_to_its_pages(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_report.Run, "result", in_this_process)
    words = ["--quick", "--jobs", "1", "--out", str(tmp_path), "--work", str(tmp_path / "work")]
    assert make_report.main(words) == 0
    printed = capsys.readouterr().out
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    text = " ".join(page.split())
    # All sections, and their pictures.
    assert "This section is missing" not in text
    titles = re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
    for title in ("NetLin", "NetFull", "NetConv", "Discussion", "The finite state machine"):
        assert title in titles
    pictures = re.findall(r"!\[.*?\]\((img/.*?)\)", page)
    assert len(pictures) > 30
    for name in pictures:
        assert 1000 < (tmp_path / name).stat().st_size < 200_000, name
    # Figures are those of the runs.
    kept = [json.loads(path.read_text()) for path in (tmp_path / "work").glob("*/*.json")]
    runs = {run["command"]: run["printed"] for run in kept}
    assert len(runs) == printed.count("] python3 ")
    for command, shown in runs.items():
        if "--net " in command:
            assert f"`{command}`" in page
            right, total = re.findall(r"Accuracy: (\d+)/(\d+)", shown)[-1]
            assert f"| {100 * int(right) / int(total):.2f}%; the brief's recipe" in page
            assert shown.split("<class 'numpy.ndarray'>\n")[-1].split("\n\n")[0] in page
    # Other images are never shown as KMNIST.
    assert "**Kuzushiji-10k split 0" in text
    assert "no figure of ours here is an accuracy on KMNIST" in text
    assert "ours on Kuzushiji-10k split 0" in text
    # A second making runs nothing, and writes the same.
    monkeypatch.setattr(make_report.Run, "go", None)
    assert make_report.main(words) == 0
    assert capsys.readouterr().out.count("kept from an earlier run") == len(runs)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == page


def test_a_run_is_a_process_whose_result_is_kept(tmp_path):
    run = make_report.Run(tmp_path / "a", "check_main.py", "--act", "step", "--set_weights")
    assert not run.recall()
    run.go()
    assert run.good
    assert "Initial Accuracy:  100.0" in run.printed
    again = make_report.Run(tmp_path / "a", "check_main.py", "--act", "step", "--set_weights")
    assert again.recall()
    assert again.printed == run.printed


def test_a_section_whose_run_failed_says_so(tmp_path):
    run = make_report.Run(tmp_path, "check_main.py", "--design")
    run.status, run.told = 1, "check_main.py: error: a fault\n"
    found = report_text.Findings({"check_design": [run]}, None, 1, tmp_path)
    with pytest.raises(report_text.Missing, match=r"check_main.py --design`: .* a fault"):
        found.run("check_design")
    runs = {"kuzu_lin": [run]}
    text = report_text.made(lambda: report_text.Findings(runs, None, 1, tmp_path).run("kuzu_lin"))
    assert text.startswith("**This section is missing, since a run failed**: `python3 check_main")


def test_every_command_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """In order, as a reader would type them, with short training."""
    monkeypatch.chdir(tmp_path)
    write_characters(tmp_path / "DIR")
    for command in COMMANDS:
        _, name, *words = command.split()
        if name not in MAIN or command.removeprefix("python3 ") in BRIEF:
            assert name in MAIN or name in TESTED_ELSEWHERE, command
            continue
        with monkeypatch.context() as patch:
            wanted = (0, 3)
            if "--save" in words:
                # Cut off, so that there is something to go on with.
                patch.setattr(kuzu_main, "Stop", lambda: StopAfter(65))
                wanted = (130,)
            assert MAIN[name].main([*words, *map(str, short(name, words))]) in wanted, command
        for path in (tmp_path / "net").glob("*_1.pth"):
            for epoch in (40, 50, 100):
                shutil.copyfile(path, path.with_name(path.name.replace("_1.pth", f"_{epoch}.pth")))
    assert len(COMMANDS) > 20


def short(name: str, words: list[str]) -> list[str]:
    """The flags that make a command of the README short, and repeatable."""
    if name == "kuzu_main.py":
        trains = not {"--load", "--resume"} & set(words)
        epochs = 2 if "--save" in words else 1
        return ["--epochs", epochs, "--seed", "0"] if trains else []
    if name == "seq_train.py":
        return ["--epoch", "2"] if "--resume" in words else ["--epoch", "1", "--seed", "0"]
    if name == "seq_plot.py":
        return ["--no_show", *([] if "--only" in words else ["--only", "scatter"])]
    return []
