"""check_main.py as a user runs it: the assignment's commands, --design, errors, Ctrl-C."""

import json
import re
import types
from unittest import mock

import pytest
import torch
from shared import ROOT, StopAfter, check_refused, golden, run_here, run_script

import check
import check_main
from perceptron import network

OURS = (ROOT / "check.py").read_text(encoding="utf-8")
POINTS, TARGET = network.read_table(ROOT / "data" / "check.csv")
EPOCH = r"\nep: (\d+) loss: \d\.\d{4} acc: (\d+\.\d\d)(?=\n)"


def edited(monkeypatch, text: str) -> None:
    """Replace check.py by another text, as a student does."""
    module = types.ModuleType("edited")
    exec(text, module.__dict__)
    monkeypatch.setattr(check, "MLP", module.MLP)


def run(*words, capsys, status=0) -> str:
    """Run main in this process without its pictures, which take most of the time of a short run;
    return its output."""
    with mock.patch.object(check_main, "save_pictures"):
        assert check_main.main([str(word) for word in words]) == status
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("check_step", "--act step --hid 4 --set_weights"),
        ("check_sig", "--act sig --hid 4 --set_weights"),
        ("check_design", "--design"),
    ],
)
def test_commands_print_the_golden_text_and_save_pictures(name, words, tmp_path, capsys):
    done = run_here("check_main.py", *words.split(), cwd=tmp_path, capsys=capsys)
    assert (done.returncode, done.stderr) == (0, "")
    golden(name, done.stdout)
    pictures = {tmp_path / path for path in re.findall("picture: (.*)", done.stdout)}
    assert set((tmp_path / "plot").iterdir()) == pictures
    # Empty axes have 18 kB.
    assert min(path.stat().st_size for path in pictures) > 20_000


def test_training_matches_assignment(tmp_path):
    done = run_script("check_main.py", "--act", "sig", "--hid", "5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    epochs, accuracies = zip(*re.findall(EPOCH, done.stdout), strict=True)
    assert len(epochs) >= 20
    assert list(map(int, epochs)) == [100 * (i + 1) for i in range(len(epochs))]
    # Training ends after 2000 epochs with all points correct.
    assert set(accuracies[-19:]) == {"100.00"}
    assert re.search(r"Final Weights:\ntensor(?s:.*)Final Accuracy:  100.0\n", done.stdout)
    assert re.search(r"^seed: \d+ \(chosen at random", done.stdout)
    names = {path.name for path in (tmp_path / "plot").iterdir()}
    assert names == {*(f"hid_5_{unit}.jpg" for unit in range(5)), "out_5.jpg", "net_5.jpg"}


# check.py edited by a student


@pytest.mark.parametrize("words", [["--design"], ["--set_weights"]])
def test_printed_weights_can_be_pasted_and_are_not_scaled_twice(words, monkeypatch, capsys):
    printed = run(*words, capsys=capsys)
    lines = re.findall(r"^        \w+ = .*\n", printed, flags=re.MULTILINE)
    entered = r"(?s)        # One row per.*?(?=        # -----)"
    edited(monkeypatch, re.sub(entered, "".join(lines), OURS))
    run("--act", "step", "--set_weights", capsys=capsys)
    printed = run("--act", "sig", "--set_weights", capsys=capsys)
    assert ("multiplied by 10" in printed) == (words == ["--design"])
    assert ("used as entered" in printed) == (words == ["--set_weights"])
    assert "\ntensor([-5.])\nInitial Accuracy:  100.0\n" in printed


def test_scale_is_obeyed(tmp_path, capsys):
    path = tmp_path / "results.json"
    printed = run("--set_weights", "--json", path, "--scale", 1.5, capsys=capsys, status=3)
    assert "tensor([-0.7500])\nInitial Accuracy:  55.5" in printed
    assert json.loads(path.read_text())["smallest_scale"] == pytest.approx(1.980399, abs=1e-6)
    assert "to paste" not in printed


def test_the_course_s_own_check_py_runs(tmp_path, monkeypatch, capsys):
    """It is emulated: its class has no attribute `act`."""
    edited(monkeypatch, OURS.replace("self.act", "self.kind"))
    assert check_main.main(["--hid=1", "--epoch=5", "--restarts=1", f"--plot={tmp_path}"]) == 3
    for words in (["--act", "step", "--set_weights"], ["--set_weights"], ["--design"]):
        assert "classifies all 9 points correctly" in run(*words, capsys=capsys)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--act step", 2, "--act step cannot be trained"),
        ("--scale 5", 2, "--scale multiplies the weights of --set_weights"),
        ("--data points.csv", 1, "row 3, column T: '' is not a whole number from 0 to 1"),
        ("--set_weights", 1, "has the shape (4, 2), but 2 hidden units need (2, 2)"),
    ],
)
def test_errors_are_reported_in_one_line(words, status, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points.csv").write_text("X1,X2,T\n0,0,1\n0,1\n")
    check_refused("check_main", ["--hid", "2", *words.split()], status, message, capsys)


def test_networks_side_by_side_train_as_if_alone_and_the_best_is_chosen():
    recipe = network.Recipe(lr=0.05, init=0.5, epoch=100, restarts=3)
    torch.manual_seed(4)
    start = network.init_weights(recipe, 3)
    best, results = network.train(start, recipe, POINTS, TARGET, check_main.Stop())
    assert results == {"epochs": 100, "restarts": 3, "restarts_correct": 0}
    alone = []
    for weights in zip(*start, strict=True):
        net = check.MLP(3)
        for parameter, value in zip(net.parameters(), weights, strict=True):
            parameter.data = value.reshape(parameter.shape).clone()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05, weight_decay=1e-5)
        for _ in range(100):
            output = net(POINTS)
            loss = torch.nn.BCELoss()(output, TARGET)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        correct = ((output >= 0.5) == (TARGET == 1)).sum().item()
        alone.append((correct, -loss.item(), list(net.parameters())))
    *_, expected = max(alone, key=lambda run: run[:2])
    for pair in zip(best, expected, strict=True):
        assert torch.allclose(*pair, atol=1e-4)


def test_a_seed_repeats_a_run(capsys):
    words = ["--hid", 1, "--epoch", 5, "--seed"]
    first, same, other = (run(*words, seed, capsys=capsys, status=3) for seed in (1, 1, 2))
    assert first == same
    assert first.split("Weights:")[1] != other.split("Weights:")[1]


def test_ctrl_c_ends_training_and_prints_the_weights(monkeypatch, capsys):
    monkeypatch.setattr(check_main, "Stop", lambda: StopAfter(300))
    printed = run("--hid", 2, "--epoch", 1_000_000, capsys=capsys, status=130)
    assert "ep: 300 " in printed
    assert "ep: 400 " not in printed
    assert re.search("Final Weights:(?s:.)*In short", printed)
