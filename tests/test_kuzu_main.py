"""kuzu_main.py as a user runs it: the assignment's commands, printed lines, errors and Ctrl-C."""

from cli import settings
from cli.process import UserError

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
from kuzushiji import answer, recipes

TRAIN = re.compile(r"Train Epoch: (\d+) \[(\d+)/(\d+) \((\d+)%\)\]\tLoss: \d+\.\d{6}")
TEST = re.compile(r"Test set: Average loss: \d+\.\d{4}, Accuracy: (\d+)/(\d+) \((\d+)%\)")


def matrices(printed: str) -> list[np.ndarray]:
    """Return the confusion matrices in printed output."""
    found = re.findall(r"<class 'numpy.ndarray'>\n(\[\[.*?\]\])\n", printed, flags=re.DOTALL)
    return [np.array(re.findall(r"[\d.]+", text), float).reshape(10, 10) for text in found]


def run(*words, capsys, data=None, status=0) -> str:
    """Run main in this process, which saves importing torch; return its output."""
    words = [*words, *(("--data", str(data)) if data else ())]
    assert kuzu_main.main(list(map(str, words))) == status
    return capsys.readouterr().out


@pytest.mark.parametrize(("net", "least"), [("lin", 0.68), ("full", 0.84), ("conv", 0.93)])
def test_assignment_commands(net, least, tmp_path, capsys):
    """On a fresh machine without a network: on Kuzushiji-10k."""
    done = run_here("kuzu_main.py", "--net", net, cwd=tmp_path, capsys=capsys)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "data/KMNIST/raw lacks KMNIST's train-images-idx3-ubyte.gz" in done.stderr
    assert "using Kuzushiji-10k" in done.stderr
    assert "not KMNIST results" in done.stderr
    # Per epoch: the training lines, the type, the matrix, an empty line, the test line.
    lines = done.stdout.splitlines()
    assert lines[0] == "images: Kuzushiji-10k split 0, 8000 training images, 2000 test images"
    trained = [match.groups()[:3] for line in lines if (match := TRAIN.fullmatch(line))]
    assert trained == [(str(n), seen, "8000") for n in range(1, 11) for seen in ("0", "6400")]
    tested = [match.groups() for line in lines if (match := TEST.fullmatch(line))]
    assert len(tested) == len(matrices(done.stdout)) == 10
    for matrix, (right, total, percent) in zip(matrices(done.stdout), tested, strict=True):
        assert (matrix.trace(), matrix.sum()) == (int(right), int(total)) == (int(right), 2000)
        assert percent == f"{100 * int(right) / 2000:.0f}"
    assert int(tested[-1][0]) >= least * 2000
    assert re.search(r"Net\w+: \(28\*28|Net\w+: \(1\*", done.stdout)
    # The answer stands at the end, where a terminal shows it.
    answer = done.stdout.split("\nIn short\n")[1]
    assert answer.startswith(f"Net{net.title()} on Kuzushiji-10k split 0: {tested[-1][0]} of 2000 ")
    assert len(answer.splitlines()) <= 16
    for kind in ("confusion", "mistakes", "forms", "features"):
        with Image.open(tmp_path / "plot" / f"kuzu_{net}_{kind}.jpg") as picture:
            picture.load()
            assert min(picture.size) > 200
    assert os.listdir(tmp_path) == ["plot"]


def plain_loop(net, epochs: int):
    """Train as the course does, in code of its own: a DataLoader, SGD, no shuffling."""
    images = characters()
    pixels = (images.train[:, None] / 255 - 0.5) / 0.5
    pairs = torch.utils.data.TensorDataset(pixels, images.train_target)
    loader = torch.utils.data.DataLoader(pairs, batch_size=64, shuffle=False)
    parameters = list(net.parameters())
    velocity = [torch.zeros_like(value) for value in parameters]
    for _ in range(epochs):
        for data, target in loader:
            loss = torch.nn.functional.nll_loss(net(data), target)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for value, gradient, v in zip(parameters, gradients, velocity, strict=True):
                    v.mul_(0.5).add_(gradient)
                    value -= 0.01 * v
    return net


@pytest.mark.usefixtures("no_explanation")
@pytest.mark.parametrize("name", ["lin", "full"])
def test_assignment_recipe_matches_course(name, small, tmp_path, capsys):
    check_assignment_recipe(name, small, tmp_path, capsys)


def check_assignment_recipe(name, small, tmp_path, capsys) -> None:
    saved = tmp_path / "net.pth"
    words = ["--recipe", "assignment", "--net", name, "--epochs", 2, "--seed", 3]
    run(*words, "--plot", tmp_path, "--save", saved, capsys=capsys, data=small)
    torch.manual_seed(3)
    net = recipes.build(name, recipes.RECIPES["assignment", name])
    expected = plain_loop(net, 2).state_dict()
    state = torch.load(saved, weights_only=True)
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.allclose(state[key], value, atol=1e-5), key


CONV = ["--net", "conv", "--filters", "3,4", "--fc", 5]


@pytest.mark.usefixtures("no_explanation")
def test_the_printed_seed_and_recipe_repeat_a_run(small, tmp_path, capsys):
    words = ["--epochs", 1, "--plot", tmp_path, "--save", tmp_path / "net.pth"]

    def once(*more) -> tuple[str, bytes]:
        printed = run(*words, *more, capsys=capsys, data=small)
        state = torch.load(tmp_path / "net.pth", weights_only=True)
        return printed, b"".join(value.numpy().tobytes() for value in state.values())

    printed, weights = once(*CONV)
    seed = re.search(r"seed: (\d+) \(chosen at random", printed)[1]
    flags = re.search(r"^recipe: (.*)$", printed, flags=re.MULTILINE)[1].split()
    again = ["--net", "conv", "--recipe", "assignment", *flags, "--seed"]
    assert once(*again, seed) == (re.sub(r" \(chosen at random.*", "", printed), weights)
    assert once(*again, int(seed) + 1)[1] != weights


@pytest.mark.usefixtures("no_explanation")
@pytest.mark.parametrize("words", [CONV, ["--net", "lin", "--optim", "sgd"]])
def test_a_resumed_run_equals_an_uninterrupted_one(words, small, tmp_path, capsys, monkeypatch):
    whole, part = tmp_path / "whole.pth", tmp_path / "part.pth"
    words = [*words, "--epochs", 3, "--batch", 50, "--seed", 4]
    printed = run(*words, "--save", whole, "--plot", tmp_path, capsys=capsys, data=small)
    with monkeypatch.context() as patch:
        # In the second epoch, which is repeated.
        patch.setattr(kuzu_main, "Stop", lambda: StopAfter(9))
        stopped = run(*words, "--save", part, "--plot", tmp_path, capsys=capsys, data=small,
                      status=130)  # fmt: skip
    assert f"weights: {part}, after epoch 1\n" in stopped
    assert f"to go on: {settings.command('kuzu_main.py', '--resume', part)}" in stopped
    rest = run("--resume", part, "--plot", tmp_path, capsys=capsys, data=small)
    assert "resuming after epoch 1 of 3" in rest
    assert matrices(rest)[-1].tolist() == matrices(printed)[-1].tolist()
    states = [torch.load(path, weights_only=True) for path in (whole, part)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    with pytest.raises(UserError, match="training is complete"):
        run("--resume", part, "--plot", tmp_path, capsys=capsys, data=small)


@pytest.mark.usefixtures("no_explanation")
def test_flags_and_images_of_a_resumed_run_come_from_the_file(tmp_path, capsys, monkeypatch):
    part = tmp_path / "part.pth"
    with monkeypatch.context() as patch:
        patch.setattr(kuzu_main, "Stop", lambda: StopAfter(70))
        run("--net", "lin", "--split", 3, "--save", part, "--plot", tmp_path, capsys=capsys,
            status=130)  # fmt: skip
    with pytest.raises(UserError, match="--resume reads --lr from the file: leave it out"):
        run("--resume", part, "--lr", 1, "--plot", tmp_path, capsys=capsys)
    with pytest.raises(UserError, match="trained on Kuzushiji-10k split 3, not on Kuzushiji-10k"):
        run("--resume", part, "--split", 2, "--plot", tmp_path, capsys=capsys)
    # The default is the split that it was trained on.
    monkeypatch.setattr(kuzu_main, "Stop", lambda: StopAfter(70))
    printed = run("--resume", part, "--plot", tmp_path, capsys=capsys, status=130)
    assert "images: Kuzushiji-10k split 3, 8000 training images" in printed


@pytest.mark.usefixtures("no_explanation")
def test_a_file_that_does_not_fit_is_refused(small, tmp_path, capsys):
    saved, words = tmp_path / "full.pth", ["--plot", tmp_path]
    run("--net", "full", "--hid", 10, "--epochs", 1, "--save", saved, *words,
        capsys=capsys, data=small)  # fmt: skip
    with pytest.raises(UserError, match="--load reads --hid from the file: leave it out"):
        run("--load", saved, "--hid", 20, *words, capsys=capsys, data=small)
    state = torch.load(saved, weights_only=True)
    run_of, intact = state._metadata["run"], state._metadata["run"]["recipe"]
    for change, message in (
        (dict(hid=11), r"hidden\.weight has the shape \(10, 784\), not \(11, 784\)"),
        (dict(lr=-1.0), "lr: '-1.0' is not a number above 0"),
        (dict(kernels=(5, 5)), "its recipe is not that of NetFull"),
        (dict(lr=None), "its recipe is not that of NetFull"),
    ):
        run_of["recipe"] = intact | change
        torch.save(state, saved)
        with pytest.raises(UserError, match=f"not a network saved by this script: {message}"):
            run("--load", saved, *words, capsys=capsys, data=small)
    torch.save(torch.nn.Linear(2, 2).state_dict(), saved)
    with pytest.raises(UserError, match="not a network saved by this script: it lacks 'recipe'"):
        run("--load", saved, *words, capsys=capsys, data=small)


def older_file(path, **training) -> None:
    """Save a network in the format of older versions: NetLin with the mean images as templates."""
    images = characters(1000, 360)
    pixels = images.train.flatten(1) / 255
    means = torch.stack([pixels[images.train_target == index].mean(dim=0) for index in range(10)])
    bias = means.sum(dim=1) - (means**2).sum(dim=1)
    state = {"output.weight": means / 10, "output.bias": bias / 10}
    recipe = {"net": "lin", **settings.applying(recipes.RECIPES["assignment", "lin"])}
    recipe |= dict.fromkeys(recipes.ARCHITECTURE)
    content = {"recipe": recipe, "images": "data", "split": None, "state": state}
    torch.save(content | training, path)


def test_the_whole_output_for_a_hand_made_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_characters(tmp_path / "data", 1000, 360)
    older_file("net.pth")
    words = ["--load", "net.pth", "--data", "data", "--json", "results.json"]
    printed = run(*words, capsys=capsys)
    golden("kuzu_lin", printed)
    # --json has every figure that a sentence uses.
    results = json.loads(Path("results.json").read_text())
    (network,) = results["networks"]
    assert printed.split("\nIn short\n")[1].split() == " ".join(results["sentences"]).split()
    assert results["sentences"] == network["sentences"] == answer.network_sentences(network)
    assert np.array_equal(network["matrix"], matrices(printed)[0])
    expected = {"accuracy", "confusions", "forms", "loss", "matrix", "net", "parameter_sum",
                "parameters", "recipe", "seconds", "title"}  # fmt: skip
    assert expected <= network.keys()


def test_training_of_an_older_file_is_not_resumed(tmp_path, capsys):
    older_file(tmp_path / "net.pth", training={"epoch": 1})
    words = ["--resume", tmp_path / "net.pth", "--plot", tmp_path / "plot"]
    write_characters(tmp_path / "data", 100, 50)
    with pytest.raises(UserError, match="saved by an older version of this script: --load tests"):
        run(*words, capsys=capsys, data=tmp_path / "data")


# A student's kuzu.py in place of ours

LINEAR = """
import torch
from torch import nn
class NetLin(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(28 * 28, 10)
    def forward(self, x):
        return torch.log_softmax(self.linear(x.view(x.shape[0], -1)), dim=1)
class NetFull(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(784, 20), nn.Tanh(), nn.Linear(20, 10))
    def forward(self, x):
        return {}
class NetConv(nn.Module):
    def forward(self, x):
        return 0
"""


@pytest.fixture
def students(monkeypatch):
    """Replace kuzu.py by the course's, completed by a student as far as NetFull."""
    module = types.ModuleType("kuzu")
    exec(LINEAR.format("torch.log_softmax(self.main(x.flatten(1)), dim=1)"), module.__dict__)
    monkeypatch.setattr(recipes, "kuzu", module)
    return module


@pytest.mark.usefixtures("students", "no_explanation")
def test_a_student_s_networks_are_trained(small, tmp_path, capsys):
    saved = tmp_path / "net.pth"
    words = ["--plot", tmp_path, "--epochs", 1, "--seed", 0]
    printed = run("--net", "lin", *words, capsys=capsys, data=small)
    assert "NetLin: 7850 independent parameters\n" in printed
    printed = run("--net", "full", "--save", saved, *words, capsys=capsys, data=small)
    assert "NetFull: 15910 independent parameters\n" in printed
    assert "--hid" not in printed
    again = run("--load", saved, "--plot", tmp_path, capsys=capsys, data=small)
    assert matrices(again)[0].tolist() == matrices(printed)[0].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("", "NetConv in kuzu.py is not a network whose output has the shape (N, 10)"),
        ("NetConv = NetLin", ""),
        ("del NetConv", "kuzu.py has no class NetConv"),
        ("class NetConv(NetFull):\n    forward = lambda self, x: self.main(x.flatten(1))",
         "NetConv in kuzu.py does not return log probabilities: end with log_softmax"),
        ("class NetConv(NetLin):\n    forward = lambda self, x: x.vew(3)",
         "NetConv in kuzu.py: AttributeError: 'Tensor' object has no attribute 'vew'"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_explanation")
def test_a_student_s_unfinished_network_costs_one_line(
    students, change, message, small, tmp_path, capsys
):
    exec(change, students.__dict__)
    words = ["--net", "conv", "--epochs", 1, "--plot", tmp_path, "--data", small]
    if message:
        check_refused("kuzu_main", words, 1, message, capsys)
    else:
        run(*words, capsys=capsys)


@pytest.mark.parametrize(
    ("several", "message"),
    [
        (["--sweep", "10"], "unexpected keyword argument 'hid'"),
        (["--compare"], "NetConv in kuzu.py"),
    ],
)
def test_several_networks_are_checked_before_one_is_trained(
    students, several, message, small, tmp_path, capsys
):
    words = ["--plot", tmp_path, "--data", small]
    check_refused("kuzu_main", [*several, *words], 1, message, capsys)
    assert not list(tmp_path.glob("*.jpg"))


# Devices; tests/test_cli.py has a GPU that cannot be used.


class WithoutFloat64(torch.Tensor):
    """A tensor on an emulated device that refuses float64, as Apple's does."""

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_float64_is_computed_on_the_cpu(monkeypatch):
    images = characters(10, 50)
    run = kuzu_main.start("lin", recipes.RECIPES["assignment", "lin"], 1, 0, images)
    tested = run, images.test, images.test_target
    expected, forward = kuzu_main.test(*tested), run.net.forward
    run.net.forward = lambda pixels: forward(pixels).as_subclass(WithoutFloat64)
    assert kuzu_main.test(*tested).loss == expected.loss


def test_small_networks_use_one_thread(small, tmp_path, monkeypatch, capsys):
    used = []
    monkeypatch.setattr(kuzu_main, "fit", lambda *words: used.append(torch.get_num_threads()))
    monkeypatch.setattr(kuzu_main, "record", lambda *words: {"sentences": []})
    monkeypatch.setattr(kuzu_main, "show_network", lambda *words: None)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    for words in (["lin"], ["full"], ["conv"], ["lin", "--num_threads", 3]):
        run("--net", *words, "--plot", tmp_path, capsys=capsys, data=small)
    assert used == [1, 1, 2, 3]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


# Combinations of flags; tests/faults has bad values of every flag.
BAD = [
    (["--mom", "1"], 2, "argument --mom: '1' is not a number from 0 to 0.9999"),
    (["--sweep", "10", "--net", "lin"], 2, "omit --net lin"),
    (["--compare", "--load", "x"], 2, "--compare trains several networks"),
    (["--net", "conv", "--batch", "1", "--split", "0"], 2, "--batch 1"),
    (["--split", "3", "--dataset", "kmnist"], 2, "--split 3 needs --dataset kuzushiji10k"),
    (["--data", "x"], 1, "--data x: no data set in x/KMNIST/raw; --dataset kmnist downloads"),
    (["--dataset", "kmnist"], 1, "data/KMNIST/raw lacks KMNIST's train-images-idx3-ubyte.gz"),
]


@pytest.mark.parametrize(("words", "status", "message"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_input_costs_one_clear_line(words, status, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_refused("kuzu_main", words, status, message, capsys)


@pytest.mark.usefixtures("no_explanation")
def test_a_loss_that_is_not_finite_ends_the_run(small, tmp_path, capsys):
    words = ["--net", "full", "--optim", "sgd", "--lr", "100", "--weight_decay", "100"]
    words += ["--schedule", "constant"]
    with pytest.raises(UserError, match=r"the loss is (nan|inf) in epoch \d+: lower --lr 100"):
        run(*words, "--plot", tmp_path, capsys=capsys, data=small)
