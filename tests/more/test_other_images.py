"""kuzu_main.py on other images, and with several networks."""

from cli.process import UserError

import json
import re

import pytest
from shared import write_characters
from test_kuzu_main import CONV, check_assignment_recipe, matrices, run

import kuzu_main
from kuzushiji import answer, dataset


@pytest.mark.usefixtures("no_explanation")
def test_assignment_recipe_of_netconv_matches_course(small, tmp_path, capsys):
    check_assignment_recipe("conv", small, tmp_path, capsys)


@pytest.mark.usefixtures("no_explanation")
def test_a_last_batch_of_one_image_can_be_normalised(tmp_path, capsys):
    data = write_characters(tmp_path / "data", train=129)
    words = [*CONV, "--batch", 128, "--epochs", 1, "--plot", tmp_path]
    assert "Test set" in run(*words, capsys=capsys, data=data)


def test_sweep_prints_sizes_and_draws_a_curve(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(answer, "REQUIRED_ACCURACY", 0.5)
    path = tmp_path / "sweep.json"
    words = ["--sweep", "2,40,2", "--epochs", 30, "--seed", 0, "--plot", tmp_path, "--json", path]
    printed = run(*words, capsys=capsys, data=small)
    rows = re.findall(r"^NetFull +(\d+) +([\d.]+)% +[\d.]+ +(\d+) +\S+$", printed, re.MULTILINE)
    assert [(int(hid), int(count)) for hid, _, count in rows] == [(2, 1600), (40, 31810)]
    assert [int(hid) for hid, percent, _ in rows if float(percent) >= 50] == [40]
    assert (
        "\nIn short\nOf these, 40 is the smallest number of hidden units that reaches 50%"
        in printed
    )
    networks = json.loads(path.read_text())["networks"]
    for (hid, percent, count), net in zip(rows, networks, strict=True):
        assert (net["recipe"]["hid"], net["parameters"]) == (int(hid), int(count))
        correct = sum(row[index] for index, row in enumerate(net["matrix"]))
        assert correct / 120 == net["accuracy"] == pytest.approx(float(percent) / 100, abs=1e-4)
    assert (tmp_path / "kuzu_sweep.jpg").stat().st_size > 5000
    assert "Train Epoch" not in printed


def test_compare_prints_assignment_table(small, tmp_path, capsys):
    words = ["--compare", "--epochs", 1, "--seed", 0, "--plot", tmp_path]
    printed = run(*words, capsys=capsys, data=small)
    rows = re.findall(r"^(Net\w+) +([\d.]+)% +[\d.]+ +(\d+) +(\S+)$", printed, flags=re.MULTILINE)
    assert [row[0] for row in rows] == ["NetLin", "NetFull", "NetConv"]
    for (_, percent, count, formula), matrix in zip(rows, matrices(printed), strict=True):
        assert float(percent) == pytest.approx(100 * matrix.trace() / matrix.sum(), abs=0.006)
        assert eval(formula) == int(count)
    errors = [int(matrix.sum() - matrix.trace()) for matrix in matrices(printed)]
    assert re.search(r"^errors in 120 images +{} +{} +{}$".format(*errors), printed, re.MULTILINE)
    assert "Correct of 120 test images of data: NetLin " in printed.split("\nIn short\n")[1]
    assert len(list(tmp_path.glob("kuzu_*_confusion.jpg"))) == 3
    assert (tmp_path / "kuzu_compare_forms.jpg").stat().st_size > 50_000


def test_kmnist_is_downloaded_and_trained_on(host, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    printed = run("--net", "lin", "--epochs", 1, "--dataset", "kmnist", capsys=capsys)
    assert printed.startswith("images: KMNIST, 300 training images, 10000 test images\n")
    assert "\nNetLin on KMNIST: " in printed
    (tmp_path / "data" / "KMNIST" / "raw" / f"{dataset.FILES[0]}.gz").unlink()
    # In a folder that the user names, only at the user's request.
    elsewhere = ["--net", "lin", "--epochs", 1, "--data", "elsewhere"]
    with pytest.raises(UserError, match="no data set in elsewhere/KMNIST/raw"):
        run(*elsewhere, capsys=capsys)
    assert "KMNIST, 300" in run(*elsewhere, "--dataset", "kmnist", capsys=capsys)


def test_another_data_set_has_its_own_name(small, tmp_path, capsys):
    words = ["--net", "lin", "--epochs", 1, "--plot", tmp_path]
    assert "NetLin on data: " in run(*words, capsys=capsys, data=small)
    with pytest.raises(UserError, match="holds a data set other than KMNIST"):
        run(*words, "--dataset", "kmnist", capsys=capsys, data=small)


@pytest.mark.usefixtures("no_explanation")
def test_training_on_test_images_is_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert kuzu_main.main(["--net", "lin", "--epochs", "1", "--split", "1", "--save", "a.pth"]) == 0
    capsys.readouterr()
    for words, known in (([], False), (["--split", "1"], False), (["--split", "2"], True)):
        assert kuzu_main.main(["--load", "a.pth", *words]) == 0
        printed, told = capsys.readouterr()
        assert printed.startswith(f"images: Kuzushiji-10k split {2 if known else 1},")
        assert told.count("\n") == known
        assert ("accuracy on Kuzushiji-10k split 2 is not an accuracy on unseen" in told) == known
