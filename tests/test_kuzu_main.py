"""kuzu_main.py as a user runs it: the assignment's commands, printed lines, errors and Ctrl-C."""

from cli.errors import UserError

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image
from shared import StopAfter, characters, check_refused, run_here

import kuzu_main
from kuzushiji import recipes

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
    assert "Kuzushiji-10k" in done.stderr
    # Per epoch: the training lines, the type, the matrix, an empty line, the test line.
    lines = done.stdout.splitlines()
    trained = [match.groups()[:3] for line in lines if (match := TRAIN.fullmatch(line))]
    assert trained == [(str(n), seen, "8000") for n in range(1, 11) for seen in ("0", "6400")]
    tested = [match.groups() for line in lines if (match := TEST.fullmatch(line))]
    assert len(tested) == len(matrices(done.stdout)) == 10
    for matrix, (right, total, percent) in zip(matrices(done.stdout), tested, strict=True):
        assert (matrix.trace(), matrix.sum()) == (int(right), int(total)) == (int(right), 2000)
        assert percent == f"{100 * int(right) / 2000:.0f}"
    assert int(tested[-1][0]) >= least * 2000
    assert re.search(r"Net\w+: \(28\*28|Net\w+: \(1\*", done.stdout)
    for kind in ("confusion", "mistakes", "features"):
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
    net = recipes.build(recipes.RECIPES["assignment"][name])
    expected = plain_loop(net, 2).state_dict()
    state = torch.load(saved, weights_only=True)["state"]
    for key, value in expected.items():
        assert torch.allclose(state[key], value, atol=1e-5), key


CONV = ["--net", "conv", "--filters", "3,4", "--fc", 5]


@pytest.mark.usefixtures("no_explanation")
def test_the_printed_seed_and_recipe_repeat_a_run(small, tmp_path, capsys):
    words = ["--epochs", 1, "--plot", tmp_path, "--save", tmp_path / "net.pth"]

    def once(*more) -> tuple[str, bytes]:
        printed = run(*words, *more, capsys=capsys, data=small)
        state = torch.load(tmp_path / "net.pth", weights_only=True)["state"]
        return printed, b"".join(value.numpy().tobytes() for value in state.values())

    printed, weights = once(*CONV)
    seed = re.search(r"seed: (\d+) \(chosen at random", printed)[1]
    flags = re.search(r"^recipe: (.*)$", printed, flags=re.MULTILINE)[1].split()
    again = ["--net", "conv", "--recipe", "assignment", *flags, "--seed"]
    assert once(*again, seed) == (re.sub(r" \(chosen at random.*", "", printed), weights)
    assert once(*again, int(seed) + 1)[1] != weights


@pytest.mark.usefixtures("no_explanation")
@pytest.mark.parametrize("words", [["--net", "full", "--hid", 10], ["--net", "conv", "--fc", 0]])
def test_saved_weights_give_the_same_test(words, small, tmp_path, capsys):
    saved = tmp_path / "some folder" / "重み.pth"
    words = [*words, "--epochs", 1, "--save", saved]
    printed = run(*words, "--plot", tmp_path, capsys=capsys, data=small)
    again = run("--load", saved, "--plot", tmp_path, capsys=capsys, data=small)
    assert matrices(again)[0].tolist() == matrices(printed)[0].tolist()
    assert TEST.findall(again) == TEST.findall(printed)


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
    assert f"to go on: python3 kuzu_main.py --resume {part}" in stopped
    rest = run("--resume", part, "--plot", tmp_path, capsys=capsys, data=small)
    assert "resuming after epoch 1 of 3" in rest
    assert matrices(rest)[-1].tolist() == matrices(printed)[-1].tolist()
    states = [torch.load(path, weights_only=True) for path in (whole, part)]
    assert all(
        torch.equal(states[0]["state"][k], states[1]["state"][k]) for k in states[0]["state"]
    )
    assert "training" not in states[1]
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
    content = torch.load(saved, weights_only=True)
    content["recipe"]["hid"] = 11
    torch.save(content, saved)
    with pytest.raises(UserError, match=r"not a network (?s:.*)size mismatch for hidden"):
        run("--load", saved, *words, capsys=capsys, data=small)


# Combinations of flags; tests/faults has bad values of every flag.
BAD = [
    (["--mom", "1"], 2, "argument --mom: '1' is not a number from 0 to 0.9999"),
    (["--sweep", "10", "--net", "lin"], 2, "omit --net lin"),
    (["--compare", "--load", "x"], 2, "--compare trains several networks"),
    (["--net", "conv", "--batch", "1", "--split", "0"], 2, "--batch 1"),
    (["--split", "3", "--dataset", "kmnist"], 2, "--split 3 needs --dataset kuzushiji10k"),
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
