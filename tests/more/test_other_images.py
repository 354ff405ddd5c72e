"""kuzu_main.py on other images, as torchvision reads them, with several networks and threads."""

from cli.process import UserError

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from shared import write_characters
from test_kuzu_main import (  # noqa: F401
    CONV,
    check_assignment_command,
    check_repeated,
    here,
    matrices,
    run,
)
from torchvision.datasets import KMNIST

from kuzushiji import dataset, report
from kuzushiji.dataset import FILES

LIN = ["--net", "lin", "--epochs", 1]


def test_the_assignment_s_netconv_in_full(tmp_path, capsys):
    check_assignment_command("conv", 10, tmp_path, capsys)


@pytest.mark.usefixtures("no_explanation", "small")
def test_two_threads_repeat_a_run():
    check_repeated(threads=2)


@pytest.mark.usefixtures("no_explanation")
def test_a_last_batch_of_one_image_can_be_normalised():
    write_characters(Path("data"), train=129)
    assert "Test set" in run(*CONV, "--batch", 128, "--epochs", 1)


@pytest.mark.usefixtures("small")
def test_sweep_prints_sizes_and_draws_a_curve(monkeypatch):
    monkeypatch.setattr(report, "REQUIRED_ACCURACY", 0.5)
    printed = run("--sweep", "2,40,2", "--epochs", 30, "--seed", 0, "--json", "sweep.json")
    rows = re.findall(r"^NetFull +(\d+) +([\d.]+)% +[\d.]+ +(\d+) +\S+$", printed, re.MULTILINE)
    networks = json.loads(Path("sweep.json").read_text())["networks"]
    assert rows == [
        (str(net["hid"]), f"{100 * net['accuracy']:.2f}", str(net["parameters"]))
        for net in networks
    ]
    assert [net["hid"] for net in networks] == [2, 40]
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


@pytest.mark.usefixtures("no_explanation")
def test_kmnist_is_downloaded_and_trained_on(host):
    first = "images: KMNIST, 300 training images, 10000 test images\n"
    assert run(*LIN, "--dataset", "kmnist").startswith(first)
    # In a folder that the user names, only at the user's request.
    with pytest.raises(UserError, match="no data set in elsewhere/KMNIST/raw"):
        run(*LIN, "--data", "elsewhere")
    assert run(*LIN, "--data", "elsewhere", "--dataset", "kmnist").startswith(first)


@pytest.mark.usefixtures("no_explanation", "small")
def test_training_on_test_images_and_another_data_set_are_reported(capsys):
    with pytest.raises(UserError, match="holds a data set other than KMNIST"):
        run(*LIN, "--dataset", "kmnist")
    run(*LIN, "--split", "1", "--save", "a.pth")
    for words, split, known in (([], 1, False), (["--split", "2"], 2, True)):
        capsys.readouterr()
        printed = run("--load", "a.pth", *words)
        assert printed.startswith(f"images: Kuzushiji-10k split {split},")
        told = capsys.readouterr().err
        assert told.count("\n") == known
        assert ("accuracy on Kuzushiji-10k split 2 is not an accuracy on unseen" in told) == known


def test_images_are_those_of_torchvision_gzipped_or_not(small):
    assert list(KMNIST.resources) == [
        (f"{name}.gz", md5) for name, (_, md5) in zip(FILES, KMNIST.resources, strict=True)
    ]
    assert tuple(KMNIST.classes) == dataset.CLASSES
    for name in FILES[2:]:
        packed = (dataset.BUNDLED / f"{name}.gz").read_bytes()
        assert hashlib.md5(packed).hexdigest() == dict(KMNIST.resources)[f"{name}.gz"]
        assert dataset.git_id(gzip.decompress(packed)) == dataset.KMNIST_IDS[name]
    images, train, test = dataset.load_kmnist(small), KMNIST(small), KMNIST(small, train=False)
    assert torch.equal(images.train, train.data)
    assert torch.equal(images.train_target, train.targets)
    assert torch.equal(images.test, test.data)
    assert torch.equal(images.test_target, test.targets)
    for path in list((small / "KMNIST" / "raw").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert torch.equal(dataset.load_kmnist(small).train, images.train)
