"""kuzu_main.py as a user runs it: the assignment's commands, printed lines, errors and Ctrl-C."""

from cli import settings
from cli.process import UserError

import contextlib
import io
import json
import os
import re
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shared import StopAfter, characters, check_refused, golden, run_here, write_characters

import kuzu_main
from kuzushiji import recipes, report

TRAIN = re.compile(r"Train Epoch: (\d+) \[(\d+)/(\d+) \((\d+)%\)\]\tLoss: \d+\.\d{6}")


def matrices(printed: str) -> list[np.ndarray]:
    """Return the confusion matrices in printed output."""
    found = re.findall(r"<class 'numpy.ndarray'>\n(\[\[.*?\]\])\n", printed, flags=re.DOTALL)
    return [np.array(re.findall(r"[\d.]+", text), float).reshape(10, 10) for text in found]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    """Run in an empty folder; the fixture `small` puts images into its data/KMNIST/raw."""
    monkeypatch.chdir(tmp_path)


def run(*words, status=0) -> str:
    """Run main in this process, which saves importing torch; return its output."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert kuzu_main.main(list(map(str, words))) == status
    return printed.getvalue()


# The required share of correct images, and the number of parameters.
REQUIRED = {"lin": (0.68, 7850), "full": (0.84, 238510), "conv": (0.93, 133266)}


@pytest.mark.parametrize(("net", "epochs"), [("lin", 10), ("full", 10), ("conv", 1)])
def test_assignment_commands(net, epochs, tmp_path, capsys):
    """tests/more trains NetConv in full."""
    check_assignment_command(net, epochs, tmp_path, capsys)


def check_assignment_command(net, epochs, tmp_path, capsys) -> None:
    """Run a command of the assignment on a fresh machine without a network: on Kuzushiji-10k."""
    words = ["--net", net, *(["--epochs", epochs] if epochs != 10 else [])]
    done = run_here("kuzu_main.py", *words, cwd=tmp_path, capsys=capsys)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "data/KMNIST/raw lacks KMNIST's train-images-idx3-ubyte.gz" in done.stderr
    assert "using Kuzushiji-10k" in done.stderr
    assert "not KMNIST results" in done.stderr
    lines, (least, parameters) = done.stdout.splitlines(), REQUIRED[net]
    assert lines[0] == "images: Kuzushiji-10k split 0, 8000 training images, 2000 test images"
    assert f" = {parameters} independent parameters\n" in done.stdout
    trained = [match.groups()[:3] for line in lines if (match := TRAIN.fullmatch(line))]
    expected = range(1, 1 + epochs)
    assert trained == [(str(n), seen, "8000") for n in expected for seen in ("0", "6400")]
    correct = re.findall(r"^Test set: .*, Accuracy: (\d+)/2000", done.stdout, re.MULTILINE)
    assert [matrix.trace() for matrix in matrices(done.stdout)] == list(map(int, correct))
    assert len(correct) == epochs
    assert int(correct[-1]) >= (least if epochs == 10 else 0.75) * 2000
    # The answer stands at the end, where a terminal shows it.
    answer = done.stdout.split("\nIn short\n")[1]
    assert answer.startswith(f"Net{net.title()} on Kuzushiji-10k split 0: {correct[-1]} of 2000 ")
    assert len(answer.splitlines()) <= 16
    for kind in ("confusion", "mistakes", "forms", "features"):
        with Image.open(tmp_path / "plot" / f"kuzu_{net}_{kind}.jpg") as picture:
            assert min(picture.size) > 200
    assert os.listdir(tmp_path) == ["plot"]


@pytest.mark.usefixtures("no_explanation", "small")
@pytest.mark.parametrize(("name", "epochs"), [("lin", 2), ("full", 2), ("conv", 1)])
def test_assignment_recipe_trains_as_the_course_does(name, epochs):
    """The course's training in code of its own: SGD with momentum, no shuffling."""
    torch.manual_seed(3)
    net, images = recipes.build(name, recipes.RECIPES["assignment", name]), characters()
    pixels = (images.train[:, None] / 255 - 0.5) / 0.5
    parameters = dict(net.named_parameters())
    velocity = [torch.zeros_like(value) for value in parameters.values()]
    for _ in range(epochs):
        for batch, target in zip(pixels.split(64), images.train_target.split(64), strict=True):
            loss = torch.nn.functional.nll_loss(net(batch), target)
            gradients = torch.autograd.grad(loss, list(parameters.values()))
            for value, v, gradient in zip(parameters.values(), velocity, gradients, strict=True):
                v.mul_(0.5).add_(gradient)
                value.data -= 0.01 * v
    words = ["--recipe", "assignment", "--net", name, "--epochs", epochs, "--seed", 3]
    run(*words, "--save", "net.pth")
    state = dict(torch.load("net.pth", weights_only=True))
    torch.testing.assert_close(state, parameters, atol=1e-5, rtol=1e-5)


CONV = ["--net", "conv", "--filters", "3,4", "--fc", 5]


@pytest.mark.usefixtures("no_explanation", "small")
def test_the_printed_seed_and_recipe_repeat_a_run():
    def once(*words) -> tuple[str, bytes]:
        printed = run(*words, "--epochs", 1, "--num_threads", 1, "--save", "net.pth")
        state = torch.load("net.pth", weights_only=True)
        return printed, b"".join(value.numpy().tobytes() for value in state.values())

    printed, weights = once(*CONV)
    seed = re.search(r"seed: (\d+) \(chosen at random", printed)[1]
    flags = re.search(r"^recipe: (.*)$", printed, flags=re.MULTILINE)[1].split()
    again = ["--net", "conv", "--recipe", "assignment", *flags, "--seed"]
    assert once(*again, seed) == (re.sub(r" \(chosen at random.*", "", printed), weights)
    assert once(*again, int(seed) + 1)[1] != weights


@pytest.mark.usefixtures("no_explanation", "small")
def test_a_resumed_run_equals_an_uninterrupted_one(monkeypatch):
    words = [*CONV, "--epochs", 3, "--batch", 50, "--seed", 4]
    printed = run(*words, "--save", "whole.pth")
    with monkeypatch.context() as patch:
        # In the second epoch, which is repeated.
        patch.setattr(kuzu_main, "Stop", lambda: StopAfter(9))
        stopped = run(*words, "--save", "part.pth", status=130)
    assert "weights: part.pth, after epoch 1\n" in stopped
    assert f"to go on: {settings.command('kuzu_main.py', '--resume', 'part.pth')}" in stopped
    rest = run("--resume", "part.pth")
    assert "resuming after epoch 1 of 3" in rest
    assert matrices(rest)[-1].tolist() == matrices(printed)[-1].tolist()
    states = [torch.load(path, weights_only=True) for path in ("whole.pth", "part.pth")]
    torch.testing.assert_close(*map(dict, states), atol=0, rtol=0)
    with pytest.raises(UserError, match="training is complete"):
        run("--resume", "part.pth")


@pytest.mark.usefixtures("no_explanation")
def test_the_images_of_a_resumed_run_are_those_it_was_trained_on(monkeypatch):
    monkeypatch.setattr(kuzu_main, "Stop", lambda: StopAfter(70))
    run("--net", "lin", "--split", 3, "--save", "part.pth", status=130)
    with pytest.raises(UserError, match="trained on Kuzushiji-10k split 3, not on Kuzushiji-10k"):
        run("--resume", "part.pth", "--split", 2)
    # The default is the split that it was trained on.
    printed = run("--resume", "part.pth", status=130)
    assert "images: Kuzushiji-10k split 3, 8000 training images" in printed


def test_the_whole_output_for_a_hand_made_network():
    # In the format of older versions: NetLin with the mean images as templates.
    write_characters(Path("data"), 1000, 360)
    images = characters(1000, 360)
    pixels = images.train.flatten(1) / 255
    means = torch.stack([pixels[images.train_target == index].mean(dim=0) for index in range(10)])
    bias = means.sum(dim=1) - (means**2).sum(dim=1)
    state = {"output.weight": means / 10, "output.bias": bias / 10}
    recipe = {"net": "lin", **settings.applying(recipes.RECIPES["assignment", "lin"])}
    recipe |= dict.fromkeys(recipes.ARCHITECTURE)
    torch.save({"recipe": recipe, "images": "data", "split": None, "state": state}, "net.pth")
    printed = run("--load", "net.pth", "--data", "data", "--json", "results.json")
    golden("kuzu_lin", printed)
    # --json has every figure that a sentence uses.
    results = json.loads(Path("results.json").read_text())
    (network,) = results["networks"]
    assert printed.split("\nIn short\n")[1].split() == " ".join(results["sentences"]).split()
    assert results["sentences"] == network["sentences"] == report.network_sentences(network)
    assert np.array_equal(network["matrix"], matrices(printed)[0])
    assert {"loss", "net", "parameter_sum", "parameters", "recipe", "seconds"} <= network.keys()
    with pytest.raises(UserError, match="or is that of an older version of this script: test it"):
        run("--resume", "net.pth")


# A student's kuzu.py in place of ours

STUDENT = """
import torch
class NetFull(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(28 * 28, 10)
    def forward(self, x):
        return torch.log_softmax(self.linear(x.flatten(1)), dim=1)
class NetLin(NetFull):
    pass
class NetConv(NetFull):
    def forward(self, x):
        return 0
"""


@pytest.fixture
def students(small, monkeypatch):
    """Replace kuzu.py by the course's, completed by a student as far as NetFull."""
    module = types.ModuleType("kuzu")
    exec(STUDENT, module.__dict__)
    monkeypatch.setattr(recipes, "kuzu", module)
    return module


@pytest.mark.usefixtures("students", "no_explanation")
def test_a_student_s_networks_are_trained():
    printed = run("--net", "full", "--epochs", 1, "--save", "net.pth")
    assert "NetFull: 7850 independent parameters\n" in printed
    assert "--hid" not in printed
    assert matrices(run("--load", "net.pth"))[0].tolist() == matrices(printed)[0].tolist()


@pytest.mark.parametrize(
    ("words", "change", "message"),
    [
        ("--net conv", "", "'int' object has no attribute 'shape'"),
        ("--net conv", "NetConv.forward = lambda self, x: self.linear(x.flatten(1))",
         "its probabilities do not add up to 1: end with log_softmax"),
        ("--net conv", "NetConv.forward = lambda self, x: x.flatten(1)",
         "it returned the shape (2, 784) for 2 images"),
        # Before the other networks are trained.
        ("--compare", "", "NetConv in kuzu.py must return log probabilities"),
        ("--sweep 10", "", "unexpected keyword argument 'hid'"),
    ],
)  # fmt: skip
def test_a_student_s_unfinished_network_costs_one_line(students, words, change, message, capsys):
    exec(change, students.__dict__)
    check_refused("kuzu_main", words.split(), 1, message, capsys)
    assert not list(Path("plot").iterdir())


# Devices; tests/test_cli.py has a GPU that cannot be used.


class WithoutFloat64(torch.Tensor):
    """A tensor on an emulated device that refuses float64, as Apple's does."""

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_float64_is_computed_on_the_cpu():
    images = characters(10, 50)
    run = kuzu_main.start("lin", recipes.RECIPES["assignment", "lin"], 1, 0, images)
    tested = run, images.test, images.test_target
    expected, forward = kuzu_main.test(*tested), run.net.forward
    run.net.forward = lambda pixels: forward(pixels).as_subclass(WithoutFloat64)
    assert kuzu_main.test(*tested).loss == expected.loss


@pytest.mark.usefixtures("no_explanation", "small")
def test_small_networks_use_one_thread(monkeypatch):
    used, before = [], torch.get_num_threads()
    monkeypatch.setattr(kuzu_main, "train", lambda *words: used.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    for words in (["lin"], ["full"], ["conv"], ["lin", "--num_threads", 3]):
        run("--net", *words)
        assert torch.get_num_threads() == 2
    assert used == [1, 1, 2, 3]
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    # tests/faults has an invalid value of every flag.
    ("words", "status", "message"),
    [
        ("--lr 0", 2, "argument --lr: '0' is not a number above 0 and at most 100"),
        ("--kernels 4,3", 2, "(4, 3) must be odd"),
        ("--normalize 0.5,0", 2, "the second number must be at least 0.001"),
        ("--sweep 10 --net lin", 2, "omit --net lin"),
        ("--net conv --batch 1 --split 0", 2, "--batch 1"),
        ("--split 3 --dataset kmnist", 2, "--split 3 needs --dataset kuzushiji10k"),
        ("--data x", 1, "--data x: no data set in x/KMNIST/raw; --dataset kmnist downloads"),
        ("--resume x --lr 1", 2, "--resume reads --lr from the file: leave it out"),
        ("--net lin --split 0 --optim sgd --lr 100 --weight_decay 100", 1, "lower --lr 100"),
    ],
)
def test_bad_input_costs_one_clear_line(words, status, message, capsys):
    check_refused("kuzu_main", words.split(), status, message, capsys)
