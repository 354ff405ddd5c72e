"""seq_train.py as a user runs it: the assignment's commands, checkpoints, resuming, errors."""

from cli import optimizers
from cli.errors import UserError

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from recurrent.recipes import Recipe, resolve_recipe
from shared import StopAfter, check_refused, run_here

import seq_train
from recurrent.metrics import Score
from recurrent.task import make_language, resolve_task
from seq_models import SRN

SYMBOL = re.compile(r"[A-C] \[[ \-.\d]+\] \[[ .\d]+\]")


def run(*words, folder, capsys) -> tuple[int, str]:
    """Run main in this process; return its status and output."""
    words = [*words, "--out_path", folder / "net", "--plot", folder / "plot"]
    status = seq_train.main(list(map(str, words)))
    return status, capsys.readouterr().out


def content(path) -> dict:
    """Return the content of a checkpoint."""
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    ("words", "stem", "threshold", "reference", "seed"),
    [
        (["--lang", "anb2n"], "anb2n_srn2", 0.05, 0.0294, 2),
        (["--lang", "anb2nc3n", "--model", "lstm", "--hid", 3], "anb2nc3n_lstm3", 0.02, 0.0098, 0),
    ],
)
def test_assignment_commands(words, stem, threshold, reference, seed, tmp_path, capsys):
    flags = ["--seed", seed, "--json", "results.json"]
    done = run_here("seq_train.py", *words, *flags, cwd=tmp_path, capsys=capsys)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    assert done.stderr == ""
    blocks = done.stdout.split("-----\n")[1:]
    assert len(blocks) == 101
    for number, block in enumerate(blocks):
        lines = block.splitlines()
        text = re.fullmatch(r"symbol= ([ABC]+)", lines[0])[1]
        assert all(SYMBOL.fullmatch(line) for line in lines[2 : 1 + len(text)])
        assert "".join(line[0] for line in lines[2 : 1 + len(text)]) == text[:-1]
        assert lines[1 + len(text)] == f"epoch: {number * 1000}"
        assert re.fullmatch(r" loss: \d\.\d{4}", lines[2 + len(text)])
    losses = [float(loss) for loss in re.findall(r"^ loss: (.*)$", done.stdout, re.MULTILINE)]
    assert max(losses[-10:]) < threshold < losses[0]
    assert "(learning)" in blocks[0]
    assert "(learned)" in blocks[-1]
    results = json.loads((tmp_path / "results.json").read_text())
    assert [round(report["loss"], 4) for report in results["reports"]] == losses
    assert results["succeeded"] is True
    assert results["max_exact_n"][0] >= 4
    assert "training succeeded" in blocks[-1]
    assert f"\nreference loss: {reference:.4f} " in blocks[-1]
    names = {path.name for path in (tmp_path / "net").iterdir()}
    assert names == {f"{stem}_{number}.pth" for number in range(0, 101, 10)}
    assert f"python3 seq_plot.py --lang {words[1]}" in blocks[-1]
    assert "--epoch 100\n" in blocks[-1]
    with Image.open(tmp_path / "plot" / f"{stem}_loss.jpg") as picture:
        assert min(picture.size) > 300
    check_assignment_plots([*words[:4], "--seed", seed], stem, tmp_path, capsys)


def check_assignment_plots(words: list[str], stem: str, folder, capsys) -> None:
    """Run the assignment's seq_plot.py command on the trained network."""
    epoch = 50 if "lstm" in words else 100
    done = run_here("seq_plot.py", *words, "--epoch", epoch, cwd=folder, capsys=capsys)
    assert (done.returncode, done.stderr) == (0, "")
    agree = re.search(r"^machine and network agree on (\d+)/1024", done.stdout, re.MULTILINE)[1]
    comparison = re.search(r"^minimal machine of .*; (.*)$", done.stdout, re.MULTILINE)[1]
    correct = (agree, comparison) == ("1024", "isomorphic to the extracted one")
    # After half of the training not every LSTM has the language's machine.
    assert correct if epoch == 100 else int(agree) > 0
    pairs = ["01"] if epoch == 100 else ["01", "02", "12", "3d", "context_01", "context_12"]
    for name in (*pairs, "states", "fsm", "dynamics", "time"):
        with Image.open(folder / "plot" / f"{stem}_{name}.jpg") as picture:
            assert min(picture.size) > 250


def course_loop(seed: int, updates: int) -> dict[str, torch.Tensor]:
    """Return the parameters after the course's training: one sequence per update, autograd, SGD."""
    language = make_language("anb2n", 4)
    torch.manual_seed(seed)
    names = ("W", "U", "hid_bias", "V", "out_bias", "H0")
    shapes = ((2, 2), (2, 2), (2,), (2, 2), (2,), (2,))
    p = {name: torch.empty(shape) for name, shape in zip(names, shapes, strict=True)}
    for value in p.values():
        value.normal_(0, 0.001).requires_grad_()
    block = language.batch(1000, np.random.default_rng([seed, 0]))
    for index in range(updates):
        sequence = block.part(index, index + 1)
        inputs = torch.eye(2)[sequence.symbols[:-1, 0]]
        hidden, loss = torch.tanh(p["H0"]), 0.0
        for step, x in enumerate(inputs):
            hidden = torch.tanh(x @ p["W"] + hidden @ p["U"] + p["hid_bias"])
            log_probs = torch.log_softmax(hidden @ p["V"] + p["out_bias"], dim=0)
            loss = loss - log_probs[sequence.symbols[step + 1, 0]] / len(inputs)
        gradients = torch.autograd.grad(loss, list(p.values()))
        with torch.no_grad():
            for value, gradient in zip(p.values(), gradients, strict=True):
                value -= 0.005 * (gradient + 1e-4 * value)
    return p


def test_recipe_assignment_matches_the_course_s_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(seq_train, "Stop", lambda: StopAfter(100))
    words = ["--recipe", "assignment", "--epoch", 1, "--seed", 7]
    status, printed = run(*words, folder=tmp_path, capsys=capsys)
    assert status == 130
    assert "did not succeed" in printed
    ours = content(tmp_path / "net" / "anb2n_srn2_0.pth")
    assert ours["seen"] == 100
    for name, value in course_loop(7, 100).items():
        assert torch.allclose(ours["net"][name], value.detach(), atol=1e-5), name


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, capsys, monkeypatch):
    check_resumed(["--lang", "anbn"], tmp_path, capsys, monkeypatch)


def check_resumed(words, tmp_path, capsys, monkeypatch) -> None:
    """Check that a run interrupted within a block, and resumed, ends as an uninterrupted one."""
    words = [*words, "--epoch", 3, "--seed", 2, "--batch", 25]
    _, printed = run(*words, folder=tmp_path / "whole", capsys=capsys)
    with monkeypatch.context() as patch:
        # After 62 updates: in the second of three blocks of 40 batches.
        patch.setattr(seq_train, "Stop", lambda: StopAfter(62))
        status, interrupted = run(*words, folder=tmp_path / "part", capsys=capsys)
    assert status == 130
    (path,) = (tmp_path / "part" / "net").glob("*_1.pth")
    assert 1000 < content(path)["seen"] < 2000
    assert f"to go on: python3 seq_train.py --resume {path}" in interrupted
    _, resumed = run("--resume", path, folder=tmp_path / "part", capsys=capsys)
    # The same output from the next report on.
    rest = printed[printed.index("epoch: 1000") :].split("-----\n", 1)[1].split("training ")[0]
    assert rest in resumed
    (path,) = (tmp_path / "whole" / "net").glob("*_3.pth")
    expected, found = content(path), content(tmp_path / "part" / "net" / path.name)
    assert all(torch.equal(found["net"][name], expected["net"][name]) for name in expected["net"])
    assert (found["reports"], found["seen"]) == (expected["reports"], expected["seen"])


def test_training_can_start_from_the_course_s_weights(tmp_path, capsys):
    torch.manual_seed(0)
    course, path = SRN(2, 2, init=1.0).state_dict(), tmp_path / "course.pth"
    torch.save(course, path)
    run("--resume", path, "--epoch", 1, "--lr", "1e-12", folder=tmp_path, capsys=capsys)
    ours = content(tmp_path / "net" / "anb2n_srn2_1.pth")["net"]
    assert all(torch.allclose(ours[name], course[name], atol=1e-6) for name in course)
    with pytest.raises(UserError, match="weights of another network"):
        run("--resume", path, "--hid", 3, "--epoch", 1, folder=tmp_path, capsys=capsys)


# Combinations of flags; tests/faults has invalid values of every flag.
INVALID = [
    (["--hid", "two"], 2, "argument --hid: 'two' is not a whole number from 0 to 1000"),
    (["--embed"], 2, "--embed requires --lang reber, not --lang anb2n"),
    (
        ["--lr", "100", "--weight_decay", "100", "--optim", "sgd", "--epoch", "1"],
        1,
        "lower --lr 100",
    ),
]


@pytest.mark.parametrize(("words", "status", "message"), INVALID, ids=lambda value: str(value)[:30])
def test_an_error_is_one_line(words, status, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_refused("seq_train", words, status, message, capsys)


def test_flags_of_a_resumed_run_come_from_the_file(tmp_path, capsys):
    run("--epoch", 1, folder=tmp_path, capsys=capsys)
    path = tmp_path / "net" / "anb2n_srn2_0.pth"
    for words in (["--lang", "anbn"], ["--seed", 1], ["--lr", 1], ["--counter"]):
        with pytest.raises(
            UserError, match=f"--resume reads {words[0]} from the file: leave it out"
        ):
            run("--resume", path, *words, folder=tmp_path, capsys=capsys)
    done = tmp_path / "net" / "anb2n_srn2_1.pth"
    with pytest.raises(
        UserError, match="already trained on 1000 sequences; to train longer, use --epoch 2"
    ):
        run("--resume", done, folder=tmp_path, capsys=capsys)
    run("--resume", done, "--epoch", 2, folder=tmp_path, capsys=capsys)
    assert (tmp_path / "net" / "anb2n_srn2_2.pth").exists()


def recipe_of(*words) -> Recipe:
    args = seq_train.build_parser().parse_args(list(map(str, words)))
    return resolve_recipe(args, resolve_task(args))


def test_learning_rates_are_those_of_torch_s_schedules():
    steps = 1000
    for schedule, warmup in (("onecycle", 0.2), ("cosine", 0.0)):
        recipe = recipe_of("--schedule", schedule, "--lr", 2)
        optimizer = optimizers.SGD([torch.zeros(1, requires_grad=True)], 2)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 2, total_steps=steps, pct_start=warmup, cycle_momentum=False
        )
        expected = []
        for _ in range(steps):
            expected.append(scheduler.get_last_lr()[0])
            optimizer.step()
            if len(expected) < steps:
                scheduler.step()
        found = [recipe.lr_at(progress) for progress in np.linspace(0, 1, steps)]
        # Approximately, because torch's warm-up ends one update earlier.
        assert found == pytest.approx(expected, abs=0.01)
    assert recipe_of("--schedule", "constant", "--lr", 2).lr_at(0.9) == 2


def test_each_batch_size_is_used_for_an_equal_part_of_training():
    recipe = recipe_of("--batch", "20,50,100")
    assert [recipe.batch_at(progress) for progress in (0, 0.33, 0.34, 0.66, 0.67, 0.99)] == [
        20, 20, 50, 50, 100, 100,
    ]  # fmt: skip
    assert recipe_of("--recipe", "assignment").batch == (1,)


def test_training_status():
    good, bad = Score(0.03, 9, 9), Score(0.2, 5, 9)
    for scores, threshold, status in (
        ([bad], 0.05, "learning"),
        ([bad] * 11, 0.05, "stuck"),
        ([bad] * 10 + [Score(0.1, 6, 9)], 0.05, "learning"),
        ([bad] * 10 + [good], 0.05, "exact"),
        ([bad] * 10 + [good] * 10, 0.05, "learned"),
        ([good], 0.02, "exact"),
    ):
        assert seq_train.training_status(scores, threshold) == status


def test_a_reber_run_with_a_minimum_length(tmp_path, capsys):
    words = ["--lang", "reber", "--embed", "--length", 14, "--model", "lstm", "--epoch", 1]
    status, printed = run(*words, "--seed", 1, folder=tmp_path, capsys=capsys)
    assert status == seq_train.FAILED
    first, second = re.findall(r"^symbol= (\w+)$", printed, re.MULTILINE)
    assert first == second
    assert len(first) >= 14
    assert (tmp_path / "net" / "reber_embed_lstm8_1.pth").exists()
    assert "seq_plot.py --lang reber --embed --length 14 --model lstm --hid 8 --epoch 1" in printed
    assert re.search(
        r"^second-to-last symbol of new words: \d+/10000 correct", printed, re.MULTILINE
    )
