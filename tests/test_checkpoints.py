"""Networks in files: our own, the course's, other state_dicts, and what does not fit."""

from cli import files, training
from cli.process import UserError
from cli.training import Run

import argparse
from dataclasses import asdict

import pytest
import torch
from shared import automaton_net
from torch import nn

from recurrent import checkpoints
from recurrent.checkpoints import network_of, read_network, task_of
from recurrent.task import RECIPES, Recipe, Task, build_network, make_language
from seq_models import LSTM, SRN


def flags(**values) -> argparse.Namespace:
    """Return the flags of a task and of training, those that are not given None."""
    names = (*asdict(Task()), *asdict(Recipe()), "seed", "epoch")
    defaults = dict.fromkeys(names) | {"device": "cpu", "recipe": "tuned"}
    return argparse.Namespace(**(defaults | values))


def modules(layer, **more) -> nn.ModuleDict:
    """Return what a student may write: a recurrent layer and a linear one, under any names."""
    return nn.ModuleDict({"memory": layer(2, 3), "to_symbols": nn.Linear(3, 2)} | more)


# Networks

STATE = SRN(2, 3, init=1.0).state_dict()


@pytest.mark.parametrize(("layer", "kind"), [(nn.RNN, SRN), (nn.LSTM, LSTM)])
def test_torch_modules_predict_the_same_as_ours(layer, kind):
    torch.manual_seed(0)
    student = modules(layer)
    state = {f"module.{name}": value for name, value in student.state_dict().items()}
    found = network_of({"model_state_dict": state, "epoch": 7})
    assert type(found) is kind
    symbols = torch.randint(2, (9, 4))
    expected = student["to_symbols"](student["memory"](torch.eye(2)[symbols])[0])
    assert torch.allclose(found(symbols), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "loss": 0.1}, "it is not a table of weights (a state_dict)"),
        (STATE | {"V": torch.zeros(3, 4)}, "V has the shape (3, 4), not (3, 2)"),
        (STATE | {"V": torch.full((3, 2), torch.nan)}, "V contains non-finite numbers"),
        (nn.Linear(2, 2).state_dict(), "these are not the weights of an SRN or LSTM: weight, bias"),
        (modules(nn.GRU).state_dict(), "W has 9 columns, an SRN of 3 units 3, an LSTM 12"),
        # An embedding, whose parameter is named as one of the linear layer.
        (modules(nn.RNN, x=nn.Embedding(2, 2)).state_dict(), "not one recurrent and one linear"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(content, message, tmp_path):
    torch.save(dict(content), tmp_path / "net.pth")
    with pytest.raises(UserError) as refused:
        read_network(tmp_path / "net.pth", "--load")
    assert str(refused.value).startswith(f"--load {tmp_path / 'net.pth'} does not fit: {message}")
    assert "\n" not in str(refused.value)


# Runs and tasks


def new_run(model: str = "srn", done: int = 1) -> Run:
    """Return a Run of anbn up to n = 3 and two hidden units, after one update."""
    torch.manual_seed(0)
    task, recipe = Task("anbn", False, 3, model, 2), RECIPES["tuned"][model]
    net = build_network(task, recipe)
    run = Run(asdict(task), recipe, 5, 3, net, training.make_optimizer(recipe, net), done)
    training.update(run, net(torch.zeros(4, 2, dtype=int)).square().mean(), 0.5)
    run.reports, run.seconds = [{"seen": 0, "loss": 0.25, "correct": 1, "total": 8}], 1.5
    return run


def save_older(run: Run, path) -> None:
    """Write what a former seq_train.py wrote for a run."""
    content = {name: getattr(run, name) for name in ("seed", "seconds")} | {
        "task": run.about, "recipe": asdict(run.recipe), "epoch": run.length,
        "seen": run.done * 1000, "reports": [tuple(report.values()) for report in run.reports],
        "net": run.net.state_dict(), "optimizer": run.optimizer.state_dict(),
    }  # fmt: skip
    torch.save(content, path)


@pytest.mark.parametrize(("model", "save"), [("srn", training.save), ("lstm", save_older)])
def test_a_run_is_read_back_whole(model, save, tmp_path):
    path, run = tmp_path / "any name.pth", new_run(model)
    save(run, path)
    net, saved = read_network(path, "--load")
    task = task_of(net, saved, path, flags())
    assert asdict(task) == run.about
    title = "with 2 hidden units on anbn, 1000 of 3000 sequences, seed 5"
    assert checkpoints.title(task, saved) == f"{model.upper()} {title}"
    found = checkpoints.resume(flags(resume=path))
    for name in ("about", "recipe", "seed", "length", "done", "reports", "seconds"):
        assert getattr(found, name) == getattr(run, name)
    # The next update is the same.
    for one in (run, found):
        training.update(one, one.net(torch.ones(5, 2, dtype=int)).square().mean(), 0.7)
    ours = found.net.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in run.net.state_dict().items())


def test_a_finished_run_and_given_settings_are_refused(tmp_path):
    path = tmp_path / "net.pth"
    training.save(new_run(done=3), path)
    with pytest.raises(UserError, match=r"already trained on 3000 sequences; .* use --epoch 4"):
        checkpoints.resume(flags(resume=path))
    assert checkpoints.resume(flags(resume=path, epoch=4)).length == 4
    with pytest.raises(UserError, match="--resume reads --seed from the file: leave it out"):
        checkpoints.resume(flags(resume=path, seed=1))


def test_a_damaged_run_is_refused(tmp_path):
    path = tmp_path / "net.pth"
    training.save(new_run(), path)
    state, saved = files.read_checkpoint(path, "--resume")
    for change, message in (
        ({"seed": "five"}, "not a run of seq_train.py: it lacks about, seed, length"),
        ({"recipe": {"lr": -1}}, "not a run of seq_train.py: lr: '-1' is not a number above 0"),
        ({"about": saved["about"] | {"hid": 4}}, "does not fit: anbn has 2 symbols"),
    ):
        files.write_checkpoint(path, state, saved | change)
        with pytest.raises(UserError, match=f"{path}.*{message}"):
            checkpoints.resume(flags(resume=path))


def test_the_language_is_that_of_the_name_or_the_flags(tmp_path):
    net = network_of(STATE)

    def found(name, **given) -> Task:
        return task_of(net, {}, tmp_path / name, flags(**given))

    assert found("anbn_srn3_50.pth", hid=0) == Task("anbn", False, 4, "srn", 3)
    assert found("anbn_srn3_50.pth", lang="anb2n", length=6) == Task("anb2n", False, 6, "srn", 3)
    with pytest.raises(UserError, match="add --lang, a language of 2 symbols"):
        found("mine_srn3_50.pth")


def test_a_network_of_seven_symbols_is_scored_on_both_grammars(tmp_path, capsys):
    net = automaton_net(make_language("reber", embed=True))
    # The course's names do not tell the two grammars apart.
    assert task_of(net, {}, tmp_path / f"reber_srn{net.hid}_50.pth", flags()).embed
    assert capsys.readouterr().out.endswith("; taken: the embedded grammar\n")
    # Not scored: given by a flag, or by the name.
    assert not task_of(net, {}, tmp_path / "mine.pth", flags(lang="reber", embed=False)).embed
    assert task_of(net, {}, tmp_path / "reber_embed_srn9_50.pth", flags()).embed
    assert capsys.readouterr().out == ""
