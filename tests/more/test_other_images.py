"""kuzu_main.py on other images, and with several networks."""

from cli.process import UserError

import json
import re
from pathlib import Path

import pytest
from shared import write_characters
from test_kuzu_main import (  # noqa: F401
    CONV,
    check_assignment_command,
    check_assignment_recipe,
    here,
    matrices,
    run,
)

from kuzushiji import report


def test_the_assignment_s_netconv_in_full(tmp_path, capsys):
    check_assignment_command("conv", 0.93, None, tmp_path, capsys)


@pytest.mark.usefixtures("no_explanation", "small")
def test_assignment_recipe_of_netconv_matches_course():
    check_assignment_recipe("conv")


@pytest.mark.usefixtures("no_explanation")
def test_a_last_batch_of_one_image_can_be_normalised():
    write_characters(Path("data"), train=129)
    assert "Test set" in run(*CONV, "--batch", 128, "--epochs", 1)


@pytest.mark.usefixtures("small")
def test_sweep_prints_sizes_and_draws_a_curve(monkeypatch):
    monkeypatch.setattr(report, "REQUIRED_ACCURACY", 0.5)
    printed = run("--sweep", "2,40,2", "--epochs", 30, "--seed", 0, "--json", "sweep.json")
    rows = re.findall(r"^NetFull +(\d+) +([\d.]+)% +[\d.]+ +(\d+) +\S+$", printed, re.MULTILINE)
    assert [(int(hid), int(count)) for hid, _, count in rows] == [(2, 1600), (40, 31810)]
    networks = json.loads(Path("sweep.json").read_text())["networks"]
    for (_, percent, _), net in zip(rows, networks, strict=True):
        correct = sum(row[index] for index, row in enumerate(net["matrix"]))
        assert correct / 120 == net["accuracy"] == pytest.approx(float(percent) / 100, abs=1e-4)
    assert "\nIn short\nOf these, 40 is the smallest number of hidden units that" in printed
    assert Path("plot/kuzu_sweep.jpg").stat().st_size > 5000
    assert "Train Epoch" not in printed


@pytest.mark.usefixtures("small")
def test_compare_prints_assignment_table():
    printed = run("--compare", "--epochs", 1, "--seed", 0)
    rows = re.findall(r"^(Net\w+) +([\d.]+)% +[\d.]+ +(\d+) +(\S+)$", printed, flags=re.MULTILINE)
    assert [row[0] for row in rows] == ["NetLin", "NetFull", "NetConv"]
    for (_, percent, count, formula), matrix in zip(rows, matrices(printed), strict=True):
        assert float(percent) == pytest.approx(100 * matrix.trace() / matrix.sum(), abs=0.006)
        assert eval(formula) == int(count)
    assert "Correct of 120 test images of data: NetLin " in printed.split("\nIn short\n")[1]
    assert len(list(Path("plot").glob("kuzu_*_confusion.jpg"))) == 3
    assert Path("plot/kuzu_compare_forms.jpg").stat().st_size > 50_000


LIN = ["--net", "lin", "--epochs", 1]


def test_kmnist_is_downloaded_and_trained_on(host):
    printed = run(*LIN, "--dataset", "kmnist")
    assert printed.startswith("images: KMNIST, 300 training images, 10000 test images\n")
    assert "\nNetLin on KMNIST: " in printed
    # In a folder that the user names, only at the user's request.
    with pytest.raises(UserError, match="no data set in elsewhere/KMNIST/raw"):
        run(*LIN, "--data", "elsewhere")
    assert "KMNIST, 300" in run(*LIN, "--data", "elsewhere", "--dataset", "kmnist")


@pytest.mark.usefixtures("small")
def test_another_data_set_has_its_own_name():
    assert "NetLin on data: " in run(*LIN)
    with pytest.raises(UserError, match="holds a data set other than KMNIST"):
        run(*LIN, "--dataset", "kmnist")


@pytest.mark.usefixtures("no_explanation")
def test_training_on_test_images_is_reported(capsys):
    run(*LIN, "--split", "1", "--save", "a.pth")
    for words, known in (([], False), (["--split", "1"], False), (["--split", "2"], True)):
        capsys.readouterr()
        assert run("--load", "a.pth", *words).startswith(
            f"images: Kuzushiji-10k split {2 if known else 1},"
        )
        told = capsys.readouterr().err
        assert told.count("\n") == known
        assert ("accuracy on Kuzushiji-10k split 2 is not an accuracy on unseen" in told) == known
