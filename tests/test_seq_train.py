"""seq_train.py as a user runs it: the assignment's commands, checkpoints, resuming, errors."""

from cli import files

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shared import StopAfter, check_refused, counter_net, golden, run_here

import seq_train
from recurrent.task import make_language, resolve_recipe, resolve_task
from seq_models import SRN

SYMBOL = re.compile(r"[A-C] \[[ \-.\d]+\] \[[ .\d]+\]")


def run(*words, folder, capsys) -> tuple[int, str]:
    """Run main in this process; return its status and output."""
    words = [*words, "--out_path", folder / "net", "--plot", folder / "plot"]
    status = seq_train.main(list(map(str, words)))
    return status, capsys.readouterr().out


def saved(path) -> tuple[dict, dict]:
    """Return the weights in a checkpoint, and its run."""
    return files.read_checkpoint(path, "--resume")


def equal(one: dict, other: dict) -> bool:
    """Return whether two state_dicts are equal."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


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
        lines = block.splitlines()
        text = re.fullmatch(r"symbol= ([ABC]+)", lines[0])[1]
        assert all(SYMBOL.fullmatch(line) for line in lines[2 : 1 + len(text)])
        assert "".join(line[0] for line in lines[2 : 1 + len(text)]) == text[:-1]
        assert lines[1 + len(text)] == f"epoch: {number * 1000}"
        assert re.fullmatch(r" loss: \d\.\d{4}", lines[2 + len(text)])
    losses = [float(loss) for loss in re.findall(r"^ loss: (.*)$", done.stdout, re.MULTILINE)]
    results = json.loads((folder / "results.json").read_text())
    assert [round(report["loss"], 4) for report in results["reports"]] == losses
    assert [report["seen"] for report in results["reports"]] == list(
        range(0, 1000 * length + 1, 1000)
    )
    names = {path.name for path in (folder / "net").iterdir()}
    kept = {*range(0, length + 1, seq_train.CHECKPOINT_EVERY), length}
    assert names == {f"{stem}_{number}.pth" for number in kept}
    assert f" --epoch {length}\n" in done.stdout.split("to plot it: ")[1]
    assert "(learning)" in blocks[0]
    with Image.open(folder / "plot" / f"{stem}_loss.jpg") as picture:
        assert min(picture.size) > 300
    return results | {"status": done.returncode, "printed": done.stdout}


def test_the_assignment_s_srn(tmp_path, capsys):
    results = check_assignment(*SRN_COMMAND, tmp_path, capsys)
    assert (results["status"], results["succeeded"]) == (0, True)
    assert results["max_loss"] < results["loss_threshold"] == 0.05
    assert results["reference_loss"] == pytest.approx(0.0294, abs=5e-5)
    assert results["fresh_words"]["wrong"] == 0
    assert min(results["max_exact_n"]) >= 4
    assert "(learned)" in results["printed"]
    assert "\nTraining succeeded: the highest loss of the last reports is 0.0" in results["printed"]
    # As the course's scripts read it: into a module with parameters of these names.
    net = torch.nn.Module()
    for name, shape in dict(H0=2, W=(2, 2), U=(2, 2), hid_bias=2, V=(2, 2), out_bias=2).items():
        net.register_parameter(name, torch.nn.Parameter(torch.zeros(shape)))
    state = torch.load(tmp_path / "net" / "anb2n_srn2_100.pth", weights_only=True)
    net.load_state_dict(state)
    assert torch.equal(net.W, state["W"])


def test_the_assignment_s_lstm_begins_to_learn(tmp_path, capsys):
    words, stem, _, seed = LSTM_COMMAND
    results = check_assignment(words, stem, 11, seed, tmp_path, capsys)
    losses = [report["loss"] for report in results["reports"]]
    assert losses[-1] < 0.6 * losses[0]
    assert results["reports"][-1]["correct"] > 0.7 * results["reports"][-1]["total"]
    assert results["loss_threshold"] == 0.02


# The course's training, checkpoints


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
    def sample_block(language, seed, block):
        return whole(language, seed, block).part(0, 100)

    whole = seq_train.sample_block
    monkeypatch.setattr(seq_train, "sample_block", sample_block)
    words = ["--recipe", "assignment", "--epoch", 1, "--seed", 7]
    status, printed = run(*words, folder=tmp_path, capsys=capsys)
    assert status == seq_train.FAILED
    assert "Training did not succeed" in printed
    weights, _ = saved(tmp_path / "net" / "anb2n_srn2_1.pth")
    for name, value in course_loop(7, 100).items():
        assert torch.allclose(weights[name], value.detach(), atol=1e-5), name


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, capsys, monkeypatch):
    check_resumed(["--lang", "anbn"], tmp_path, capsys, monkeypatch)


def check_resumed(words, tmp_path, capsys, monkeypatch) -> None:
    """Check that a run interrupted at the end of a block, and resumed, ends as an uninterrupted
    one."""
    words = [*words, "--epoch", 3, "--seed", 2, "--batch", "20,25"]
    _, printed = run(*words, folder=tmp_path / "whole", capsys=capsys)
    with monkeypatch.context() as patch:
        # After two of three blocks.
        patch.setattr(seq_train, "Stop", lambda: StopAfter(2))
        status, interrupted = run(*words, folder=tmp_path / "part", capsys=capsys)
    assert status == 130
    path = max((tmp_path / "part" / "net").iterdir(), key=lambda path: int(path.stem[-1]))
    weights, part = saved(path)
    assert 0 < part["done"] < 3
    assert part["reports"][-1]["seen"] == 1000 * part["done"]
    assert re.search(rf"to go on: \S+ \S*seq_train.py --resume {path} ", interrupted)
    # Ctrl-C ended at a block's end, where the uninterrupted run's weights are the same.
    _, resumed = run("--resume", path, folder=tmp_path / "part", capsys=capsys)
    rest = printed[printed.index(f"epoch: {1000 * part['done']}") :].split("-----\n", 1)[1]
    assert rest.split("checkpoint: ")[0].split("picture: ")[0] in resumed
    name = next((tmp_path / "whole" / "net").glob("*_3.pth")).name
    expected, found = saved(tmp_path / "whole" / "net" / name), saved(path.with_name(name))
    assert equal(found[0], expected[0])
    assert not equal(weights, expected[0])
    assert (found[1]["reports"], found[1]["done"]) == (expected[1]["reports"], 3)


def test_training_can_start_from_the_course_s_weights(tmp_path, capsys):
    torch.manual_seed(0)
    course, path = SRN(2, 2, init=1.0).state_dict(), tmp_path / "course.pth"
    torch.save(course, path)
    words = ["--resume", path, "--lang", "anb2n", "--epoch", 1]
    run(*words, "--lr", "1e-12", folder=tmp_path, capsys=capsys)
    ours, _ = saved(tmp_path / "net" / "anb2n_srn2_1.pth")
    assert all(torch.allclose(ours[name], course[name], atol=1e-6) for name in course)


def test_a_run_that_replaces_another_is_announced(tmp_path, capsys):
    words = ["--lang", "anbn", "--epoch", 1, "--seed"]
    assert "this run replaces" not in run(*words, 1, folder=tmp_path, capsys=capsys)[1]
    assert "this run replaces" not in run(*words, 1, folder=tmp_path, capsys=capsys)[1]
    path = tmp_path / "net" / "anbn_srn2_1.pth"
    _, printed = run(*words, 2, folder=tmp_path, capsys=capsys)
    assert f"this run replaces {path}, of a run with seed 1\n" in printed
    _, printed = run(*words, 2, "--lr", 0.01, folder=tmp_path, capsys=capsys)
    assert (
        f"this run replaces {path}, of a run with another recipe: --optim adam --lr 0.05" in printed
    )


# Output


def test_the_whole_output_where_nothing_changes(tmp_path, monkeypatch, capsys):
    """Nothing is learned from counter_net at a learning rate of almost 0: no figure depends on the
    processor."""
    torch.save(counter_net().state_dict(), tmp_path / "net.pth")
    words = ["--resume", "net.pth", "--lang", "anb2n", "--epoch", 1, "--lr", "1e-30", "--seed", 0]
    done = run_here("seq_train.py", *words, cwd=tmp_path, capsys=capsys)
    assert done.stderr == ""
    golden("seq_train", re.sub(r"in \d+\.\d s", "in 0.0 s", done.stdout))


def test_a_reber_run_with_a_minimum_length(tmp_path, capsys):
    words = ["--lang", "reber", "--embed", "--length", 14, "--model", "lstm", "--epoch", 1]
    status, printed = run(*words, "--seed", 1, folder=tmp_path, capsys=capsys)
    assert status == seq_train.FAILED
    first, second = re.findall(r"^symbol= (\w+)$", printed, re.MULTILINE)
    assert first == second
    assert len(first) >= 14
    assert (tmp_path / "net" / "reber_embed_lstm8_1.pth").exists()
    assert "seq_plot.py --lang reber --embed --length 14 --model lstm --hid 8 --epoch 1" in printed
    assert re.search(r"^It remembers the second symbol", printed, re.MULTILINE)


def test_training_status():
    good, bad = dict(loss=0.03, correct=9, total=9), dict(loss=0.2, correct=5, total=9)
    for reports, threshold, status in (
        ([bad], 0.05, "learning"),
        ([bad] * 11, 0.05, "stuck"),
        ([bad] * 10 + [dict(loss=0.1, correct=6, total=9)], 0.05, "learning"),
        ([bad] * 10 + [good], 0.05, "exact"),
        ([bad] * 10 + [good] * 10, 0.05, "learned"),
        ([good], 0.02, "exact"),
    ):
        assert seq_train.training_status(reports, threshold) == status


# Errors; tests/faults has invalid values of every flag.


def test_bad_input_is_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(counter_net().state_dict(), "counter.pth")
    counter = ["--resume", "counter.pth", "--lang", "anb2n"]
    for words, status, message in (
        (["--hid", "two"], 2, "argument --hid: 'two' is not a whole number from 0 to 1000"),
        (["--embed"], 2, "--embed requires --lang reber, not --lang anb2n"),
        (["--epoch", "100000"], 2, "did you mean --epoch 100?"),
        (["--epochs", "10"], 2, "unknown flag --epochs: did you mean --epoch?"),
        ([*counter, "--model", "srn"], 1, "counter.pth is a network of --model lstm, not srn"),
        ([*counter, "--hid", "2"], 1, "counter.pth is a network of --hid 1, not 2: leave it out"),
        (["--lr", "100", "--weight_decay", "100", "--optim", "sgd", "--epoch", "1"], 1,
         "lower --lr 100 (last checkpoint: net/anb2n_srn2_0.pth)"),
    ):  # fmt: skip
        check_refused("seq_train", words, status, message, capsys)
    assert [path.name for path in Path("net").iterdir()] == ["anb2n_srn2_0.pth"]


def test_flags_of_a_resumed_run_come_from_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run("--epoch", 1, folder=tmp_path, capsys=capsys)
    start, end = (str(tmp_path / "net" / f"anb2n_srn2_{done}.pth") for done in (0, 1))
    for words in (["--lang", "anbn"], ["--seed", "1"], ["--lr", "1"], ["--counter"]):
        message = f"--resume reads {words[0]} from the file: leave it out"
        check_refused("seq_train", ["--resume", start, *words], 2, message, capsys)
    message = "already trained on 1000 sequences; to train longer, use --epoch 2 or higher"
    check_refused("seq_train", ["--resume", end], 1, message, capsys)
    run("--resume", end, "--epoch", 2, folder=tmp_path, capsys=capsys)
    assert (tmp_path / "net" / "anb2n_srn2_2.pth").exists()


def test_each_batch_size_is_used_for_an_equal_part_of_training():
    args = seq_train.build_parser().parse_args(["--batch", "20,50,100"])
    recipe = resolve_recipe(args, resolve_task(args))
    assert [recipe.batch_at(share) for share in (0, 0.33, 0.34, 0.66, 0.67, 0.99)] == [
        20, 20, 50, 50, 100, 100,
    ]  # fmt: skip
