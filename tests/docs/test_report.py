"""docs/make_report.py: the report and its failures; and README's commands."""

import contextlib
import importlib
import io
import re
import shutil
import sys
from types import SimpleNamespace

import pytest
from shared import ROOT, StopAfter, characters, write_characters

import kuzu_main

sys.path.insert(0, str(ROOT / "docs"))
import make_report

TEMPLATE = (ROOT / "docs" / "report_template.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Every command in a code block, without the words beside it.
COMMANDS = [
    line.split("  ")[0]
    for block in re.findall(r"```\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.startswith("python3 ") and " -m " not in line
]
TESTED_ELSEWHERE = ("bench/check.py", "bench/seq.py", "docs/make_report.py")
# The assignment's commands have tests of their own.
ASSIGNMENT = [
    *(f"kuzu_main.py --net {net}" for net in ("lin", "full", "conv")),
    "check_main.py --act sig --hid 5",
    "check_main.py --act step --hid 4 --set_weights",
    "check_main.py --act sig --hid 4 --set_weights",
    "seq_plot.py --lang anb2n --epoch 100",
    "seq_plot.py --lang anb2nc3n --model lstm --epoch 50",
    "seq_train.py --lang anb2nc3n --model lstm --hid 3",
]


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    """A few hundred images, with which a command runs quickly."""
    for module in (kuzu_main, make_report):
        monkeypatch.setattr(module, "load_kuzushiji10k", lambda split: characters())


class InThisProcess(make_report.Run):
    """A Run in this process, which saves importing torch.

    Part 3's longer sections, which have tests of their own, are replaced by a line and copies of
    another picture.
    """

    def execute(self, words):
        name, plots = words[0].removesuffix(".py"), words[0] == "seq_plot.py"
        words = [*words[1:], *(["--only", "scatter,states"] if plots else [])]
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(io.StringIO()) as printed:
            status = importlib.import_module(name).main(words)
            if plots:
                print("--- Dynamics ---\nmaps\n--- Units over time ---\nunits")
        folder = self.folder / "plot"
        for picture in re.findall(rf"picture\[{self.folder.name}/(.*?)\]", TEMPLATE):
            if plots and not (folder / picture).exists():
                shutil.copyfile(next(folder.glob("*_states.jpg")), folder / picture)
        return status, printed.getvalue(), ""


def one_by_one(jobs: int):
    """Return a pool that runs its tasks in the main thread, where scripts may catch signals."""
    return contextlib.nullcontext(SimpleNamespace(map=map))


def test_the_report_is_complete(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_report, "Run", InThisProcess)
    monkeypatch.setattr(make_report, "ThreadPoolExecutor", one_by_one)
    words = ["--quick", "--out", str(tmp_path), "--work", str(tmp_path / "work")]
    assert make_report.main(words) == 0
    made = capsys.readouterr().out.count("] python3 ")
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "missing" not in page
    assert not re.search(r"[{}]", page)
    # Every picture of the template, once, and small.
    pictures = re.findall(r"!\[[^]]+\]\((img/.*?)\)", page)
    assert (
        len(pictures) == len(set(pictures)) == TEMPLATE.count("![") == TEMPLATE.count("{picture[")
    )
    for name in pictures:
        assert 1000 < (tmp_path / name).stat().st_size <= make_report.MAX_BYTES, name
    # Other images are never called KMNIST.
    assert (
        "Part 1 was run on **a few characters** (300 training images, 120 test images,"
        in " ".join(page.split())
    )
    # The second time nothing is run, and the report is the same.
    monkeypatch.setattr(InThisProcess, "make", None)
    assert make_report.main(words) == 0
    assert capsys.readouterr().out.count("result of an earlier run") == made
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == page


def test_results_are_kept_and_failures_shown(tmp_path):
    runs = {
        "good": make_report.Run(tmp_path, "check_main.py", "--act", "step", "--set_weights"),
        "bad": make_report.Run(tmp_path, "check_main.py", "--act", "step"),
        **{name: make_report.Run(tmp_path, "kuzu_main.py") for name in make_report.NETS},
    }
    make_report.carry_out([{"good": runs["good"]}, {"bad": runs["bad"], "lin": runs["lin"]}], 2)
    again = make_report.Run(tmp_path, *runs["good"].words)
    assert again.recall()
    assert again.results == runs["good"].results
    template = "{good[accuracy]:.1f}|{bad[accuracy]:.1f}|{section[bad][start]}|{lin.command}|"
    template += "{lin[seed]}|{section[good][Activations]}"
    good, bad, section, command, lin, table = make_report.fill(template, runs).split("|", 5)
    assert good == "100.0"
    assert "missing: `python3 check_main.py --act step` failed: check_main.py: error: --act" in bad
    assert section == bad
    assert command == "python3 kuzu_main.py"
    assert lin == "**missing: `python3 kuzu_main.py` failed: not run**"
    assert table.startswith("| X1 | X2 |")


def test_tables_of_predictions_and_seeds():
    text = {"symbols": "AABA", "probabilities": [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]}
    plot = {"sequences": [text, text], "isomorphic": True}
    assert make_report.predictions(plot).splitlines()[2:] == [
        "| 1 A | B | 0.10 | 0.10 | 0.10 |",
        "| 2 A | B | 0.60 | 0.60 | 0.60 |",
        "| B followed by A | A | 0.70 | 0.70 | 0.70 |",
    ]
    train = {"succeeded": True, "max_loss": 0.02, "max_exact_n": [5, 4], "seconds": 9.0}
    other = train | {"succeeded": False, "max_loss": 0.04, "max_exact_n": [4, 3]}
    rows = make_report.learned([(train, plot), (other, plot | {"isomorphic": False})])
    assert rows.splitlines()[2:] == [
        "| training succeeded | 1 of 2 |  |",
        "| maximum loss of the last 10 evaluations | 0.0300 | 0.0400 |",
        "| largest n up to which all pairs of words are exact | 3.5 | 3 |",
        "| training time (s) | 9 | 9 |",
        "| machine isomorphic to the minimal one | 1 of 2 |  |",
    ]


def test_every_citation_is_in_the_references():
    references = TEMPLATE.split("## References")[1].replace("\n  ", " ").splitlines()
    entries = [line for line in references if line.startswith("- ")]
    cited = set()
    for path in (*ROOT.glob("*.py"), *ROOT.glob("[cdkpr]*/*.py"), *ROOT.glob("docs/*.md")):
        text = " ".join(path.read_text(encoding="utf-8").split("## References")[0].split())
        # The authors before a year: Gers et al., 2000; Le, Jaitly and Hinton (2015).
        name, year = r"[A-Z][a-z][\w-]*", r"((?:19|20)\d\d)\b"
        names = rf"\b({name}(?:(?:, | and ){name})*(?: et al\.)?)"
        cited |= {match.groups() for match in re.finditer(rf"{names},? \(?{year}", text)}
    assert len(cited) > 20
    for authors, year in cited:
        first = re.match(r"[\w-]+", authors)[0]
        assert any(f"- {first}," in entry and f"({year})" in entry for entry in entries), (
            authors,
            year,
        )


def test_every_command_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """In order, as a reader would type them, with short training."""
    monkeypatch.chdir(tmp_path)
    write_characters(tmp_path / "DIR")
    for command in COMMANDS:
        _, name, *words = command.split()
        if name in TESTED_ELSEWHERE or command.removeprefix("python3 ") in ASSIGNMENT:
            continue
        with monkeypatch.context() as patch:
            expected = (0, 3)
            if "--save" in words:
                # Interrupted in its second epoch, for the commands that load or resume it.
                patch.setattr(kuzu_main, "Stop", lambda: StopAfter(4))
                expected = (130,)
            main = importlib.import_module(name.removesuffix(".py")).main
            assert main([*words, *map(str, short(name, words))]) in expected, command
        for path in (tmp_path / "net").glob("*_1.pth"):
            for epoch in (40, 50, 100):
                shutil.copyfile(path, path.with_name(path.name.replace("_1.pth", f"_{epoch}.pth")))
    assert len(COMMANDS) > 20


def short(name: str, words: list[str]) -> list[str]:
    """Return flags that make a command of the README short and repeatable."""
    if name == "kuzu_main.py":
        trains = not {"--load", "--resume"} & set(words)
        epochs = 2 if "--save" in words else 1
        return ["--epochs", epochs, "--seed", "0"] if trains else []
    if name == "seq_train.py":
        return ["--epoch", "2"] if "--resume" in words else ["--epoch", "1", "--seed", "0"]
    if name == "seq_plot.py":
        return ["--no_show", *([] if "--only" in words else ["--only", "scatter"])]
    return []
