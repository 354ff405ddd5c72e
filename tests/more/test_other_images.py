"""kuzu_main.py in full, with several networks, and on other images, as torchvision reads them."""

import gzip
import hashlib
import json
import os
import re
from pathlib import Path

import pytest
import torch
from test_kuzu_main import check_assignment_command, here, run  # noqa: F401
from torchvision.datasets import KMNIST

from kuzushiji import dataset, report
from kuzushiji.dataset import FILES


def test_the_assignment_s_netconv_in_full(tmp_path, capsys):
    check_assignment_command("conv", 10, tmp_path, capsys)


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


@pytest.mark.usefixtures("no_explanation", "small")
def test_training_on_test_images_is_reported(capsys):
    run("--net", "lin", "--epochs", 1, "--split", "1", "--save", "a.pth")
    for words, split, known in (([], 1, False), (["--split", "2"], 2, True)):
        capsys.readouterr()
        printed = run("--load", "a.pth", *words)
        assert printed.startswith(f"images: Kuzushiji-10k split {split},")
        assert ("of its training images it is right for" in printed) != known
        assert ("is not an accuracy on unseen images" in capsys.readouterr().err) == known


def test_images_are_those_of_torchvision(small):
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
