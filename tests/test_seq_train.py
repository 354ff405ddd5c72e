"""seq_train.py as a user runs it: the assignment's commands, checkpoints, resuming, errors."""

from cli import files, training

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from shared import StopAfter, check_refused, counter_net, golden, run_here

import seq_train
from recurrent.task import make_language


def run(*words, folder, capsys) -> tuple[int, str]:
    """Run main in this process; return its status and output."""
    words = [*words, "--out_path", folder / "net", "--plot", folder / "plot"]
    status = seq_train.main(list(map(str, words)))
    return status, capsys.readouterr().out


# The assignment's commands

SRN_COMMAND = (["--lang", "anb2n"], "anb2n_srn2", 100, 2)
LSTM_COMMAND = (["--lang", "anb2nc3n", "--model", "lstm", "--hid", 3], "anb2nc3n_lstm3", 100, 0)


def check_assignment(words, stem, length, seed, folder, capsys) -> dict:
    """Run a command of the assignment and check what it prints and writes; return its results."""
    flags = ["--seed", seed, "--json", "results.json"]
    flags += [] if length == 100 else ["--epoch", length]
    done = run_here("seq_train.py", *words, *flags, cwd=folder, capsys=capsys)
    assert done.stderr == ""
    blocks = done.stdout.split("-----\n")[1:]
    assert len(blocks) == length + 1
    for number, block in enumerate(blocks):
        assert re.match(r"symbol= [ABC]+\nhidden activations", block)
        assert f"\nepoch: {number * 1000}\n loss: " in block
    losses = [float(loss) for loss in re.findall(r"^ loss: (.*)$", done.stdout, re.MULTILINE)]
    results = json.loads((folder / "results.json").read_text())
    assert [round(report["loss"], 4) for report in results["reports"]] == losses
    kept = {*range(0, length + 1, seq_train.CHECKPOINT_EVERY), length}
    names = {path.name for path in (folder / "net").iterdir()}
    assert names == {f"{stem}_{number}.pth" for number in kept}
    assert f" --epoch {length}\n" in done.stdout.split("to plot it: ")[1]
    assert (folder / "plot" / f"{stem}_loss.jpg").exists()
    return results | {"status": done.returncode, "printed": done.stdout}


def test_the_assignment_s_srn(tmp_path, capsys):
    results = check_assignment(*SRN_COMMAND, tmp_path, capsys)
    assert (results["status"], results["succeeded"]) == (0, True)
    assert results["max_loss"] < results["loss_threshold"] == 0.05
    assert results["fresh_words"]["wrong"] == 0
    assert min(results["max_exact_n"]) >= 4
    assert "(learned)" in results["printed"]


def test_the_assignment_s_lstm_begins_to_learn(tmp_path, capsys):
    words, stem, _, seed = LSTM_COMMAND
    results = check_assignment(words, stem, 5, seed, tmp_path, capsys)
    first, *_, last = results["reports"]
    assert last["loss"] < 0.6 * first["loss"]
    assert last["correct"] > 0.7 * last["total"]


# The course's training, checkpoints


def course_loop(seed: int, updates: int) -> dict[str, torch.Tensor]:
    """Return the parameters after the course's training: one sequence per update, autograd, SGD."""
    language = make_language("anb2n", 4)
    torch.manual_seed(seed)
    shapes = dict(W=(2, 2), U=(2, 2), hid_bias=2, V=(2, 2), out_bias=2, H0=2)
    p = {name: torch.empty(shape).normal_(0, 0.001) for name, shape in shapes.items()}
    for value in p.values():
        value.requires_grad_()
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
    whole = seq_train.sample_block
    monkeypatch.setattr(seq_train, "sample_block", lambda *block: whole(*block).part(0, 30))
    words = ["--recipe", "assignment", "--epoch", 1, "--seed", 7]
    assert run(*words, folder=tmp_path, capsys=capsys)[0] == seq_train.FAILED
    weights = torch.load(tmp_path / "net" / "anb2n_srn2_1.pth", weights_only=True)
    for name, value in course_loop(7, 30).items():
        assert torch.allclose(weights[name], value.detach(), atol=1e-5), name


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, capsys, monkeypatch):
    words = ["--lang", "anbn", "--epoch", 3, "--seed", 2, "--batch", "20,25"]
    run(*words, folder=tmp_path / "whole", capsys=capsys)
    with monkeypatch.context() as patch:
        # After two of three blocks.
        patch.setattr(seq_train, "Stop", lambda: StopAfter(2))
        status, interrupted = run(*words, folder=tmp_path / "part", capsys=capsys)
    assert status == 130
    path = tmp_path / "part" / "net" / "anbn_srn2_2.pth"
    assert re.search(rf"to go on: \S+ \S*seq_train.py --resume {path} ", interrupted)
    run("--resume", path, folder=tmp_path / "part", capsys=capsys)
    (expected, whole), (found, rest) = (
        files.read_checkpoint(tmp_path / part / "net" / "anbn_srn2_3.pth", "")
        for part in ("whole", "part")
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert (rest["reports"], rest["done"]) == (whole["reports"], 3)


def test_a_run_that_replaces_another_is_announced(tmp_path, capsys, monkeypatch):
    """Each run fails where training would begin."""
    monkeypatch.setattr(seq_train, "run_training", None)
    words, path = ["--lang", "anbn", "--epoch", "1"], tmp_path / "net" / "anbn_srn2_1.pth"
    saved = seq_train.start(seq_train.build_parser().parse_args([*words, "--seed", "1"]))
    training.save(saved, path)
    for more, expected in (
        (["--seed", 1], ""),
        (["--seed", 2], "with seed 1\n"),
        (["--seed", 1, "--lr", 1], "with another recipe: --optim adam --lr 0.05"),
    ):
        with pytest.raises(TypeError):
            run(*words, *more, folder=tmp_path, capsys=capsys)
        printed = capsys.readouterr().out
        assert (f"this run replaces {path}, of a run {expected}" in printed) == bool(expected)


# Output


def test_the_whole_output_where_nothing_changes(tmp_path, monkeypatch, capsys):
    """Nothing is learned from counter_net at a learning rate of almost 0: no figure depends on the
    processor."""
    torch.save(counter_net().state_dict(), tmp_path / "net.pth")
    words = ["--resume", "net.pth", "--lang", "anb2n", "--epoch", 1, "--lr", "1e-30", "--seed", 0]
    done = run_here("seq_train.py", *words, cwd=tmp_path, capsys=capsys)
    assert done.stderr == ""
    golden("seq_train", re.sub(r"in \d+\.\d s", "in 0.0 s", done.stdout))


def test_training_status():
    for losses, correct, status in (
        # Over ten reports 0.5 % lower; 2 % lower.
        ([0.2] * 10 + [0.199], 5, "stuck"),
        ([0.2] * 10 + [0.196], 5, "learning"),
        ([0.2] + [0.03] * 9, 9, "exact"),
        ([0.2] + [0.03] * 10, 9, "learned"),
    ):
        reports = [dict(loss=loss, correct=correct, total=9) for loss in losses]
        assert seq_train.training_status(reports, 0.05) == status


# Errors; tests/faults has invalid values of every flag.


def test_bad_input_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words, status, message in (
        (["--embed"], 2, "--embed requires --lang reber, not --lang anb2n"),
        (["--epoch", "100000"], 2, "did you mean --epoch 100?"),
        (["--lr", "100", "--weight_decay", "100", "--optim", "sgd", "--epoch", "1"], 1,
         "lower --lr 100 (last checkpoint: net/anb2n_srn2_0.pth)"),
    ):  # fmt: skip
        check_refused("seq_train", words, status, message, capsys)
    assert [path.name for path in Path("net").iterdir()] == ["anb2n_srn2_0.pth"]
