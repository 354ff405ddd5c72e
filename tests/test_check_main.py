"""check_main.py as a user runs it: the brief's three commands, the design, faults and Ctrl-C."""

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
from shared import ROOT, check_refused, run_script

import check
import check_main
from perceptron import pictures

POINTS, TARGET = check.read_table(ROOT / "data" / "check.csv")
EPOCH = re.compile(r"ep: (\d+) loss: (\d\.\d{4}) acc: (\d+\.\d\d)")
# As the brief prints it.
BY_HAND = """Initial Weights:
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
    """Run main in this process; what it printed."""
    assert check_main.main([str(word) for word in words]) == status
    return capsys.readouterr().out


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave out the pictures, which take most of the time of a format_number run."""
    monkeypatch.setattr(check_main, "draw", lambda *_: None)


def check_pictures(folder, hid: int) -> None:
    """All pictures of a network are there, whole, and no others."""
    names = {f"hid_{hid}_{node}.jpg" for node in range(hid)}
    names |= {f"out_{hid}.jpg", f"out_{hid}_surface.jpg", f"net_{hid}.jpg"}
    assert set(os.listdir(folder)) - {".gitkeep"} == names
    for name in names:
        with Image.open(folder / name) as picture:
            picture.load()
            # Drawn, not empty: many colours.
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20


def test_training_as_in_the_brief(tmp_path):
    done = run_script("check_main.py", "--act", "sig", "--hid", "5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    epochs = [match.groups() for match in map(EPOCH.fullmatch, done.stdout.splitlines()) if match]
    assert [int(epoch) for epoch, _, _ in epochs] == [100 * (i + 1) for i in range(len(epochs))]
    assert epochs[-1][2] == "100.00"
    assert int(epochs[-1][0]) + 100 > 2000
    assert "Final Weights:\ntensor([[" in done.stdout
    assert "Final Accuracy:  100.0\n" in done.stdout
    assert "32 networks are trained side by side; the best one is shown." in done.stdout
    assert re.search(r"^seed: \d+ \(drawn", done.stdout, flags=re.MULTILINE)
    check_pictures(tmp_path / "plot", 5)


def test_step_units_by_hand_as_in_the_brief(tmp_path):
    words = ("--act", "step", "--hid", "4", "--set_weights")
    done = run_script("check_main.py", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(BY_HAND)
    assert re.search(r"^Initial Accuracy: +100\.0$", done.stdout, flags=re.MULTILINE)
    assert TABLE in done.stdout
    for line in ("H1: x1 - x2 = 0.5", "H2: x2 - x1 = 0.5", "H3: x1 - x2 = 1.5"):
        assert f"  {line}, active where" in done.stdout
    check_pictures(tmp_path / "plot", 4)


def test_rescaled_sigmoid_units_as_in_the_brief(tmp_path):
    words = ("--act", "sig", "--hid", "4", "--set_weights")
    done = run_script("check_main.py", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tensor([[ 10., -10.],\n        [-10.,  10.]," in done.stdout
    assert "Initial Accuracy:  100.0" in done.stdout
    line = "smallest scale at which the sigmoid network classifies all points correctly: 1.9804 ("
    assert f"\n{line}" in done.stdout
    assert "All 9 points are right." in done.stdout
    check_pictures(tmp_path / "plot", 4)


@pytest.mark.parametrize(
    ("scales", "sentence"),
    [
        ([], "no scale makes the sigmoid network classify all points correctly, however large"),
        ([(0, math.inf)], "classifies all points correctly at every scale tried"),
        ([(0, 2), (3, math.inf)], "scales at which .*: 0 to 2, from 3 on$"),
    ],
)
def test_the_scales_are_printed_in_a_sentence(scales, sentence):
    assert re.search(sentence, check_main.scale_sentence(scales))


@pytest.mark.usefixtures("no_pictures")
def test_design_prints_what_check_py_takes(tmp_path, capsys):
    path = tmp_path / "design.json"
    printed = run("--design", "--plot", tmp_path, "--json", path, capsys=capsys)
    results = json.loads(path.read_text())
    assert [row["solutions"] for row in results["tried"]] == [0, 0, 0, 3]
    assert [row[-1] for row in results["activations"]] == results["target"]
    assert "3 hidden units: 3276 sets of lines tried, none can solve the data" in printed
    assert "4 hidden units: 20475 sets of lines tried, 3 can solve the data" in printed
    assert "So 4 hidden step units are the fewest that solve these 9 points." in printed
    lines = re.findall(r"^        (\w+ = .*)$", printed, flags=re.MULTILINE)
    # Enter them in a copy of check.py, as a student would.
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
def test_other_data_are_solved(tmp_path, capsys):
    path = tmp_path / "xor.csv"
    path.write_text("X1,X2,T\n-1,-1,0\n-1,1,1\n1,-1,1\n1,1,0\n")
    words = ["--data", path, "--plot", tmp_path / "plot"]
    assert "So 2 hidden step units" in run("--design", *words, capsys=capsys)


def plain_loop(weights, lr: float, epochs: int):
    """One network trained alone, written anew with torch's layers."""
    hidden, output = torch.nn.Linear(2, len(weights[1])), torch.nn.Linear(len(weights[1]), 1)
    parameters = [hidden.weight, hidden.bias, output.weight, output.bias]
    with torch.no_grad():
        for parameter, value in zip(parameters, weights, strict=True):
            parameter.copy_(value)
    optimizer = torch.optim.Adam(parameters, lr, weight_decay=1e-5)
    loss_function = torch.nn.BCELoss()
    for _ in range(epochs):
        optimizer.zero_grad()
        loss_function(torch.sigmoid(output(torch.sigmoid(hidden(POINTS)))), TARGET).backward()
        optimizer.step()
    return parameters


@pytest.mark.parametrize("restarts", [1, 3])
def test_side_by_side_each_network_trains_as_if_alone(restarts):
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
    found = [
        all(
            torch.allclose(ours, theirs, atol=1e-4)
            for ours, theirs in zip(best.parameters(), parameters, strict=True)
        )
        for parameters in alone
    ]
    assert any(found)


def test_the_recipe_assignment_is_the_course_s():
    args = check_main.parse(["--recipe", "assignment", "--hid", "5"])
    assert (args.lr, args.init, args.epoch, args.restarts) == (0.001, 0.15, 200_000, 1)


@pytest.mark.usefixtures("no_pictures")
def test_a_seed_decides_the_weights(tmp_path, capsys):
    words = ["--hid", 3, "--epoch", 50, "--restarts", 2, "--plot", tmp_path, "--seed"]
    one, same, other = (run(*words, seed, capsys=capsys, status=3) for seed in (1, 1, 2))
    assert one == same
    assert one.split("Weights:")[1] != other.split("Weights:")[1]


# Flags that are right each by itself; tests/faults has every flag's bad values.
BAD = [
    (["--act", "step"], 2, "--act step cannot be trained"),
    (["--lr", "nan"], 2, "argument --lr: 'nan' is not a number"),
    (["--scale", "5"], 2, "--scale multiplies the weights of --set_weights"),
    (["--design", "--set_weights"], 2, "leave out --set_weights"),
    (["--hid", "5", "--set_weights"], 1, "but 5 hidden units need (5, 2)"),
    (["--design", "--data", "bad.csv"], 1, "all targets are the same"),
]


@pytest.mark.parametrize(("words", "status", "message"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_input_costs_one_clear_line(words, status, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("X1,X2,T\n0,0,1\n0,1,1\n")
    check_refused("check_main", words, status, message, capsys)


@pytest.mark.usefixtures("no_pictures")
def test_ctrl_c_ends_training_and_shows_what_was_learned(tmp_path, monkeypatch, capfd):
    def press(progress, epoch: int, text: str) -> None:
        if epoch == 300:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(check_main.Progress, "update", press)
    words = ["--hid", 2, "--epoch", 1_000_000, "--plot", tmp_path]
    assert check_main.main([str(word) for word in words]) == 130
    printed, told = capfd.readouterr()
    assert "ep: 300 " in printed
    assert "ep: 400 " not in printed
    assert "Final Weights:" in printed
    assert told.count("\n") == 2


# The lines in the pictures


@pytest.mark.parametrize(
    ("weight", "bias", "label"),
    [
        ([1, 0], -0.7, "line x1 = 0.7"),
        ([20, -1], -30, "line x1 - 0.05 x2 = 1.5"),
        ([1, 1], 9, "line x1 + x2 = -9: outside this picture"),
        ([0, 0], -1, "no line: both weights are 0"),
    ],
)
def test_a_picture_shows_the_line_if_it_crosses_it(weight, bias, label):
    net = check.MLP(1, "step")
    net.enter_weights({"in_hid_weight": [weight], "hid_bias": [bias]})
    axes = pictures.hidden_picture(net, 0, POINTS, TARGET).axes[0]
    assert [text.get_text() for text in axes.texts] == [label]
    assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 2.5), (-0.5, 2.5))
    assert bool(axes.lines) == ("line " in label and ":" not in label)
    for line in axes.lines:
        (x, y), slope = line.get_xy1(), line.get_slope()
        step = (0, 1) if math.isinf(slope) else (1, slope)
        for way in (-1, 0, 1):
            x1, x2 = x + way * step[0], y + way * step[1]
            assert weight[0] * x1 + weight[1] * x2 == pytest.approx(-bias, rel=1e-6)
