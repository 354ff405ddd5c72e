"""kuzu_main.py on other images, as torchvision reads them, with several networks and threads."""

from cli.process import UserError

import gzip
import hashlib
import json
import os
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
@pytest.mark.parametrize(
    ("words", "names", "answer", "pictures"),
    [
        ("--sweep 2,40,2 --epochs 30", ["NetFull"] * 2,
         "Of these, 40 is the smallest number of hidden units that", {"sweep"}),
        ("--compare --epochs 1 --filters 3,4", ["NetLin", "NetFull", "NetConv"],
         "Correct of 120 test images of data: NetLin ", {"compare_forms", "conv_confusion"}),
    ],
)  # fmt: skip
def test_several_networks_are_compared_in_a_table(words, names, answer, pictures, monkeypatch):
    monkeypatch.setattr(report, "REQUIRED_ACCURACY", 0.5)
    printed = run(*words.split(), "--seed", 0, "--json", "results.json")
    row = r"^(Net\w+) +(\d+ +)?([\d.]+)% +[\d.]+ +(\d+) +(\S+)$"
    rows = re.findall(row, printed, re.MULTILINE)
    networks = json.loads(Path("results.json").read_text())["networks"]
    for (title, _, percent, count, formula), network in zip(rows, networks, strict=True):
        assert (title, int(count)) == (network["title"], network["parameters"])
        assert (percent, eval(formula)) == (f"{100 * network['accuracy']:.2f}", int(count))
    assert [row[0] for row in rows] == names
    assert printed.split("\nIn short\n")[1].startswith(answer)
    assert "Train Epoch" not in printed
    assert {f"kuzu_{name}.jpg" for name in pictures} <= set(os.listdir("plot"))


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
        assert ("of its training images it is right for" in printed) != known
        told = capsys.readouterr().err
        assert told.count("\n") == known
        assert ("accuracy on Kuzushiji-10k split 2 is not an accuracy on unseen" in told) == known


def test_images_are_those_of_torchvision_gzipped_or_not(small):
    assert [name for name, _ in KMNIST.resources] == [f"{name}.gz" for name in FILES]
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
