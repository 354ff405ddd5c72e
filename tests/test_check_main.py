"""check_main.py as a user runs it: the assignment's three commands, --design, errors, Ctrl-C."""

import json
import math
import os
import re
import signal
import types

import numpy as np
import pytest
import torch
from PIL import Image
from shared import ROOT, check_refused, run_here, run_script

import check
import check_main
from perceptron import pictures

POINTS, TARGET = check.read_table(ROOT / "data" / "check.csv")
EPOCH = re.compile(r"ep: (\d+) loss: (\d\.\d{4}) acc: (\d+\.\d\d)")
# As printed in the assignment.
INITIAL_WEIGHTS = """Initial Weights:
tensor([[ 1., -1.],
        [-1.,  1.],
        [ 1., -1.],
        [-1.,  1.]])
tensor([-0.5000, -0.5000, -1.5000, -1.5000])
tensor([[ 1.,  1., -1., -1.]])
tensor([-0.5000])
"""
TABLE = """| X1 | X2 | H1 | H2 | H3 | H4 | Output | Target |
| --- | --- | --- | --- | --- | --- | --- | --- |
| 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |
| 0 | 1 | 0 | 1 | 0 | 0 | 1 | 1 |
| 0 | 2 | 0 | 1 | 0 | 1 | 0 | 0 |
"""


def run(*words, capsys, status=0) -> str:
    """Run main in this process; return its output."""
    assert check_main.main([str(word) for word in words]) == status
    return capsys.readouterr().out


@pytest.fixture
def no_pictures(monkeypatch):
    """Skip the pictures, which take most of the time of a short run."""
    monkeypatch.setattr(check_main, "save_pictures", lambda *_: None)


def check_pictures(folder, hid: int) -> None:
    """Check that a folder holds all pictures of a network, intact, and no others."""
    names = {f"hid_{hid}_{unit}.jpg" for unit in range(hid)}
    names |= {f"out_{hid}.jpg", f"out_{hid}_surface.jpg", f"net_{hid}.jpg"}
    assert set(os.listdir(folder)) - {".gitkeep"} == names
    for name in names:
        with Image.open(folder / name) as picture:
            picture.load()
            # More grey levels than an empty picture has.
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20


def test_training_matches_assignment(tmp_path):
    done = run_script("check_main.py", "--act", "sig", "--hid", "5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    epochs = [match.groups() for match in map(EPOCH.fullmatch, done.stdout.splitlines()) if match]
    assert [int(epoch) for epoch, _, _ in epochs] == [100 * (i + 1) for i in range(len(epochs))]
    assert epochs[-1][2] == "100.00"
    assert int(epochs[-1][0]) + 100 > 2000
    assert "Final Weights:\ntensor([[" in done.stdout
    assert "Final Accuracy:  100.0\n" in done.stdout
    assert "training 32 networks side by side, showing the best\n" in done.stdout
    assert re.search(r"^seed: \d+ \(chosen at random", done.stdout, flags=re.MULTILINE)
    check_pictures(tmp_path / "plot", 5)


def test_step_units_match_assignment(tmp_path, capsys):
    words = ("--act", "step", "--hid", "4", "--set_weights")
    done = run_here("check_main.py", *words, cwd=tmp_path, capsys=capsys)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(INITIAL_WEIGHTS)
    assert re.search(r"^Initial Accuracy: +100\.0$", done.stdout, flags=re.MULTILINE)
    assert TABLE in done.stdout
    for line in ("H1: x1 - x2 = 0.5", "H2: x2 - x1 = 0.5", "H3: x1 - x2 = 1.5"):
        assert f"  {line}, active where" in done.stdout
    check_pictures(tmp_path / "plot", 4)


def test_rescaled_sigmoid_units_match_assignment(tmp_path, capsys):
    words = ("--act", "sig", "--hid", "4", "--set_weights")
    done = run_here("check_main.py", *words, cwd=tmp_path, capsys=capsys)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tensor([[ 10., -10.],\n        [-10.,  10.]," in done.stdout
    assert "Initial Accuracy:  100.0" in done.stdout
    line = "smallest scale at which the sigmoid network classifies all points correctly: 1.9804 ("
    assert f"\n{line}" in done.stdout
    assert "all 9 points classified correctly" in done.stdout
    check_pictures(tmp_path / "plot", 4)


@pytest.mark.parametrize(
    ("scales", "sentence"),
    [
        ([], "at no scale does the sigmoid network classify all points correctly"),
        ([(0, math.inf)], "classifies all points correctly at the smallest scale tried"),
        ([(0, 2), (3, math.inf)], "scales at which .*: 0 to 2, 3 and above$"),
    ],
)
def test_scales_are_reported(scales, sentence):
    assert re.search(sentence, check_main.scale_sentence(scales))


@pytest.mark.usefixtures("no_pictures")
def test_design_prints_weights_for_check_py(tmp_path, capsys):
    path = tmp_path / "design.json"
    printed = run("--design", "--plot", tmp_path, "--json", path, capsys=capsys)
    results = json.loads(path.read_text())
    assert [row["solutions"] for row in results["tried"]] == [0, 0, 0, 3]
    assert [row[-1] for row in results["activations"]] == results["target"]
    assert "3 hidden units:  3276 sets of lines tried, no solutions\n" in printed
    assert "4 hidden units: 20475 sets of lines tried, 3 solutions\n" in printed
    assert "minimum number of hidden step units for these 9 points: 4\n" in printed
    lines = re.findall(r"^        (\w+ = .*)$", printed, flags=re.MULTILINE)
    # Paste them into a copy of check.py, as a student would.
    source = (ROOT / "check.py").read_text()
    head, rest = source.split("# ---------------- Enter Weights Here ----------------\n")
    _, tail = rest.split("        # -----------------------------------------------------\n")
    entered = "".join(f"        {line}\n" for line in lines)
    edited = types.ModuleType("edited")
    exec(head.rstrip(" ") + entered + tail, edited.__dict__)
    net = edited.MLP(4, "step")
    net.set_weights()
    assert net.in_hid_weight.tolist() != [[1, -1], [-1, 1], [1, -1], [-1, 1]]
    assert edited.correct_points(net, POINTS, TARGET).all()


@pytest.mark.usefixtures("no_pictures")
def test_design_solves_other_data(tmp_path, capsys):
    path = tmp_path / "xor.csv"
    path.write_text("X1,X2,T\n-1,-1,0\n-1,1,1\n1,-1,1\n1,1,0\n")
    words = ["--data", path, "--plot", tmp_path / "plot"]
    printed = run("--design", *words, capsys=capsys)
    assert "minimum number of hidden step units for these 4 points: 2\n" in printed


def plain_loop(weights, lr: float, epochs: int):
    """Train one network by an independent implementation; return its parameters."""
    hidden, output = torch.nn.Linear(2, len(weights[1])), torch.nn.Linear(len(weights[1]), 1)
    parameters = [hidden.weight, hidden.bias, output.weight, output.bias]
    with torch.no_grad():
        for parameter, value in zip(parameters, weights, strict=True):
            parameter.copy_(value)
    first, second = ([torch.zeros_like(value) for value in parameters] for _ in range(2))
    for epoch in range(1, epochs + 1):
        loss = torch.nn.BCELoss()(torch.sigmoid(output(torch.sigmoid(hidden(POINTS)))), TARGET)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            # Adam (Kingma and Ba, 2015) with its default betas.
            for value, g, m, v in zip(parameters, gradients, first, second, strict=True):
                g = g + 1e-5 * value
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g**2)
                mean, square = m / (1 - 0.9**epoch), v / (1 - 0.999**epoch)
                value -= lr * mean / (square.sqrt() + 1e-8)
    return parameters


@pytest.mark.parametrize("restarts", [1, 3])
def test_networks_side_by_side_train_as_if_alone(restarts):
    words = ["--hid", "3", "--restarts", str(restarts), "--epoch", "100", "--lr", "0.05"]
    args = check_main.parse(words)
    torch.manual_seed(4)
    start = check.MLP(3, networks=restarts)
    start.init_weights(args.init)
    torch.manual_seed(4)
    with check_main.Stop() as stop:
        best, _ = check_main.train(args, POINTS, TARGET, stop)
    alone = [
        plain_loop([parameter[index] for parameter in start.parameters()], 0.05, 100)
        for index in range(restarts)
    ]
    equal = [
        all(
            torch.allclose(ours, theirs, atol=1e-4)
            for ours, theirs in zip(best.parameters(), parameters, strict=True)
        )
        for parameters in alone
    ]
    assert any(equal)


def test_assignment_recipe_matches_course():
    args = check_main.parse(["--recipe", "assignment", "--hid", "5"])
    assert (args.lr, args.init, args.epoch, args.restarts) == (0.001, 0.15, 200_000, 1)


@pytest.mark.usefixtures("no_pictures")
def test_a_seed_repeats_a_run(tmp_path, capsys):
    words = ["--hid", 3, "--epoch", 50, "--restarts", 2, "--plot", tmp_path, "--seed"]
    first, same, other = (run(*words, seed, capsys=capsys, status=3) for seed in (1, 1, 2))
    assert first == same
    assert first.split("Weights:")[1] != other.split("Weights:")[1]


# Mainly incompatible flags; tests/faults has invalid values of every flag.
INVALID = [
    (["--act", "step"], 2, "--act step cannot be trained"),
    (["--lr", "nan"], 2, "argument --lr: 'nan' is not a number"),
    (["--scale", "5"], 2, "--scale multiplies the weights of --set_weights"),
    (["--design", "--set_weights"], 2, "omit --set_weights"),
    (["--hid", "5", "--set_weights"], 1, "but 5 hidden units need (5, 2)"),
    (["--design", "--data", "bad.csv"], 1, "all targets are the same"),
]


@pytest.mark.parametrize(
    ("words", "status", "message"), INVALID, ids=[" ".join(case[0]) for case in INVALID]
)
def test_errors_are_reported_in_one_line(words, status, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("X1,X2,T\n0,0,1\n0,1,1\n")
    check_refused("check_main", words, status, message, capsys)


@pytest.mark.usefixtures("no_pictures")
def test_ctrl_c_ends_training_and_prints_the_weights(tmp_path, monkeypatch, capfd):
    def press(progress, epoch: int, text: str) -> None:
        if epoch == 300:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(check_main.Progress, "update", press)
    words = ["--hid", 2, "--epoch", 1_000_000, "--plot", tmp_path]
    assert check_main.main([str(word) for word in words]) == 130
    printed, errors = capfd.readouterr()
    assert "ep: 300 " in printed
    assert "ep: 400 " not in printed
    assert "Final Weights:" in printed
    assert errors.count("\n") == 2


# Dividing lines in pictures


@pytest.mark.parametrize(
    ("weight", "bias", "label"),
    [
        ([1, 0], -0.7, "line x1 = 0.7"),
        ([20, -1], -30, "line x1 - 0.05 x2 = 1.5"),
        ([1, 1], 9, "line x1 + x2 = -9: outside this picture"),
        ([0, 0], -1, "no line: both weights are 0"),
    ],
)
def test_a_picture_shows_the_line_or_reports_that_it_is_outside(weight, bias, label):
    net = check.MLP(1, "step")
    net.enter_weights({"in_hid_weight": [weight], "hid_bias": [bias]})
    axes = pictures.hidden_picture(net, 0, POINTS, TARGET).axes[0]
    assert [text.get_text() for text in axes.texts] == [label]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 2.5), (-0.5, 2.5))
    assert bool(axes.lines) == ("line " in label and ":" not in label)
    for line in axes.lines:
        (x, y), slope = line.get_xy1(), line.get_slope()
        step = (0, 1) if math.isinf(slope) else (1, slope)
        for distance in (-1, 0, 1):
            x1, x2 = x + distance * step[0], y + distance * step[1]
            assert weight[0] * x1 + weight[1] * x2 == pytest.approx(-bias, rel=1e-6)
