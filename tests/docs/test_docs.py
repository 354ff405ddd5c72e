"""The report, made by short runs, and the commands of README.md."""

from cli.process import UserError

import json
import re
import shlex
import sys

import pytest
from PIL import Image
from shared import ROOT

import check_main
import kuzu_main
import seq_plot
import seq_train

sys.path.insert(0, str(ROOT / "docs"))
import make_report

PARSERS = {
    "kuzu_main.py": kuzu_main.build_parser,
    "check_main.py": check_main.build_parser,
    "seq_train.py": seq_train.build_parser,
    "seq_plot.py": seq_plot.build_parser,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folders of the runs and of the report after `make_report.py --quick`."""
    work, out = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("docs")
    assert make_report.main(["--quick", "--work", str(work), "--out", str(out), "--jobs", "1"]) == 0
    return work, out


def test_the_report_answers_with_what_the_commands_print(made):
    work, out = made
    text = (out / "report.md").read_text()
    assert text.count("\n") <= 400
    assert "None" not in text
    for results in ("lin/lin", "step/step", "srn0/srn0_plot"):
        for sentence in json.loads((work / f"{results}.json").read_text())["sentences"]:
            assert f"- {sentence}\n" in text
    pictures = re.findall(r"!\[[^]]+\]\((.+?)\)", text)
    assert len(pictures) > 12
    for name in pictures:
        with Image.open(out / name) as picture:
            assert min(picture.size) >= 200
        limit = 1_500_000 if name.endswith(".gif") else 200_000
        assert (out / name).stat().st_size <= limit
    assert (out / "lstm.html").stat().st_size <= 400_000


def test_a_missing_value_or_picture_or_a_failing_run_is_an_error(made, monkeypatch):
    work, out = made
    path = work / "lin" / "lin.json"
    whole = path.read_text()
    words = ["--quick", "--work", str(work), "--out", str(out), "--jobs", "1"]
    path.write_text(json.dumps(json.loads(whole) | {"sentences": []}).replace("sentences", "x"))
    with pytest.raises(UserError, match=r"report_template.md: .* no attribute 'sentences'"):
        make_report.main(words)
    path.write_text(whole)
    picture = work / "lin" / "plot" / "kuzu_lin_forms.jpg"
    picture.rename(picture.with_suffix(".png"))
    with pytest.raises(UserError, match=r"kuzu_lin_forms.jpg does not exist"):
        make_report.main(words)
    picture.with_suffix(".png").rename(picture)
    monkeypatch.setattr(make_report, "commands", lambda quick: [{"bad": "check_main.py --hid x"}])
    with pytest.raises(UserError, match=r"check_main.py --hid x failed: .* 'x' is not a whole"):
        make_report.main(words)


def test_readme_s_commands_have_flags_that_exist():
    commands = re.findall(r"^python3 (\w+\.py)(.*?)(?:  |$)", README, re.MULTILINE)
    assert len(commands) > 15
    for script, words in commands:
        PARSERS[script]().parse_args(shlex.split(words))


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_s_links_exist():
    for name in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / name).exists(), name
    assert README.count("\n") <= 130
