"""Networks in files: our own, the course's, other state_dicts, and what does not fit."""

from cli import files, training
from cli.process import UserError
from cli.training import Run

import argparse
from dataclasses import asdict

import numpy as np
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


def random_net(model="srn", symbols=2, hid=3):
    torch.manual_seed(0)
    net = (SRN if model == "srn" else LSTM)(symbols, hid)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net


class Module(nn.Module):
    """What a student may write: one recurrent layer and a linear one, under any names."""

    def __init__(self, layer, symbols=2, hid=3, **more):
        super().__init__()
        self.memory_layer = layer(symbols, hid, batch_first=True)
        self.to_symbols = nn.Linear(hid, symbols)
        for name, value in more.items():
            setattr(self, name, value)

    def forward(self, inputs):
        return self.to_symbols(self.memory_layer(inputs)[0])


# Networks


@pytest.mark.parametrize("model", ["srn", "lstm"])
@pytest.mark.parametrize("form", ["course", "module.", *checkpoints.NESTED])
def test_weights_are_read_in_any_wrapping(form, model, tmp_path):
    net = random_net(model)
    state = dict(net.state_dict())
    if form == "module.":
        state = {f"module.{name}": value for name, value in state.items()}
    elif form != "course":
        state = {form: state, "epoch": 7}
    torch.save(state, tmp_path / "net.pth")
    found, run = read_network(tmp_path / "net.pth", "--load")
    assert run == {}
    assert type(found) is type(net)
    symbols = torch.randint(2, (9, 4))
    assert torch.equal(found(symbols), net(symbols))


@pytest.mark.parametrize(("layer", "kind"), [(nn.RNN, SRN), (nn.LSTM, LSTM)])
def test_torch_modules_predict_the_same_as_ours(layer, kind):
    torch.manual_seed(0)
    module = Module(layer)
    found = network_of(module.state_dict())
    assert type(found) is kind
    symbols = torch.randint(2, (9, 4))
    expected = module(torch.eye(2)[symbols.T]).transpose(0, 1)
    assert torch.allclose(found(symbols), expected, atol=1e-6)


def changed(**values) -> dict:
    return {k: v for k, v in (dict(random_net().state_dict()) | values).items() if v is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "it is not a table of weights (a state_dict)"),
        ({"epoch": 3, "loss": 0.1}, "it is not a table of weights"),
        (changed(U=None), "without a weight matrix U"),
        (changed(W=torch.zeros(2, 5)), "W has 5 columns, an SRN of 3 units 3, an LSTM 12"),
        (changed(V=torch.zeros(3, 4)), "V has the shape (3, 4), not (3, 2)"),
        (changed(H0=None), "without H0"),
        (changed(extra=torch.zeros(1)), "unexpected: extra"),
        (changed(V=torch.full((3, 2), torch.nan)), "V contains non-finite numbers"),
        (nn.Linear(2, 2).state_dict(), "these are not the weights of an SRN or LSTM: weight, bias"),
        (Module(nn.GRU).state_dict(), "W has 9 columns, an SRN of 3 units 3, an LSTM 12"),
        (
            Module(nn.RNN, embedding=nn.Embedding(2, 2)).state_dict(),
            "not one recurrent and one linear layer: memory_layer.weight_ih_l0",
        ),
        (Module(nn.RNN, more=nn.RNN(3, 3)).state_dict(), "not one recurrent and one linear layer"),
        (
            Module(lambda n, hid, **more: nn.RNN(n, hid, 2, **more)).state_dict(),
            "not one recurrent and one linear layer",
        ),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(content, message, tmp_path):
    path = tmp_path / "net.pth"
    torch.save(dict(content), path)
    with pytest.raises(UserError) as refused:
        read_network(path, "--load")
    text = str(refused.value)
    assert text.startswith(f"--load {path} does not fit: ")
    assert message in text
    assert "\n" not in text


# Runs and tasks


def new_run(task: Task, done: int = 1) -> Run:
    """Return a Run after one update."""
    torch.manual_seed(0)
    recipe = RECIPES["tuned"][task.model]
    net = build_network(task, recipe)
    run = Run(asdict(task), recipe, 5, 3, net, training.make_optimizer(recipe, net), done)
    training.update(run, net(torch.zeros(4, 2, dtype=int)).square().mean(), 0.5)
    run.reports, run.seconds = [{"seen": 0, "loss": 0.25, "correct": 1, "total": 8}], 1.5
    return run


def older_file(run: Run) -> dict:
    """Return what a former seq_train.py wrote for a run."""
    return {
        "task": run.about,
        "recipe": asdict(run.recipe),
        "seed": run.seed,
        "epoch": run.length,
        "seen": run.done * 1000,
        "reports": [tuple(report.values()) for report in run.reports],
        "seconds": run.seconds,
        "net": run.net.state_dict(),
        "optimizer": run.optimizer.state_dict(),
    }


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("model", ["srn", "lstm"])
def test_a_run_is_read_back_whole(model, older, tmp_path):
    task, path = Task("anbn", False, 3, model, 2), tmp_path / "any name.pth"
    run = new_run(task)
    if older:
        torch.save(older_file(run), path)
    else:
        training.save(run, path)
    net, saved = read_network(path, "--load")
    assert task_of(net, saved, path, flags()) == task
    title = "with 2 hidden units on anbn, 1000 of 3000 sequences, seed 5"
    assert checkpoints.title(task, saved) == f"{model.upper()} {title}"
    found = checkpoints.resume(flags(resume=path))
    for name in ("about", "recipe", "seed", "length", "done", "reports", "seconds"):
        assert getattr(found, name) == getattr(run, name)
    for one in (run, found):
        training.update(one, one.net(torch.ones(5, 2, dtype=int)).square().mean(), 0.7)
    ours = found.net.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in run.net.state_dict().items())


def test_a_finished_run_and_given_settings_are_refused(tmp_path):
    path = tmp_path / "net.pth"
    training.save(new_run(Task("anbn", False, 3, "srn", 2), done=3), path)
    with pytest.raises(UserError, match=r"already trained on 3000 sequences; .* use --epoch 4"):
        checkpoints.resume(flags(resume=path))
    assert checkpoints.resume(flags(resume=path, epoch=4)).length == 4
    with pytest.raises(UserError, match="--resume reads --lr from the file: leave it out"):
        checkpoints.resume(flags(resume=path, lr=0.1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "five"}, "not a run of seq_train.py: it lacks about, seed, length"),
        ({"optimizer": None}, "not a run of seq_train.py: it lacks about, seed, length"),
        ({"recipe": {"lr": -1}}, "not a run of seq_train.py: lr: '-1' is not a number above 0"),
        ({"about": {"lang": "foo", "hid": 2}}, "does not fit: 'foo' is not a language"),
        ({"about": {"hid": 2}}, "does not fit: "),
        ({"about": asdict(Task("anbn", False, 3, "srn", 4))}, "does not fit: anbn has 2 symbols"),
    ],
)
def test_a_damaged_run_is_refused(change, message, tmp_path):
    path, run = tmp_path / "net.pth", new_run(Task("anbn", False, 3, "srn", 2))
    training.save(run, path)
    state, saved = files.read_checkpoint(path, "--resume")
    files.write_checkpoint(path, state, saved | change)
    with pytest.raises(UserError) as refused:
        checkpoints.resume(flags(resume=path))
    assert f"{path}" in str(refused.value)
    assert message in str(refused.value)


def test_weights_start_a_new_run(tmp_path):
    path = tmp_path / "anb2n_srn3_100.pth"
    torch.save(random_net().state_dict(), path)
    run = checkpoints.resume(flags(resume=path, seed=4, lr=0.01))
    assert (run.done, run.length, run.seed, run.recipe.lr) == (0, 100, 4, 0.01)
    assert run.about == asdict(Task("anb2n", False, 4, "srn", 3))
    with pytest.raises(UserError, match="a network of --hid 3, not 4: leave it out"):
        checkpoints.resume(flags(resume=path, hid=4))


def test_the_language_is_the_file_s_or_the_flags(tmp_path):
    net = random_net()

    def found(name, **values):
        return task_of(net, {}, tmp_path / name, flags(**values))

    assert found("anbn_srn3_50.pth") == Task("anbn", False, 4, "srn", 3)
    assert found("anbn_srn3_50.pth", lang="anb2n", length=6) == Task("anb2n", False, 6, "srn", 3)
    assert found("mine.pth", lang="anb5n").lang == "anb5n"
    for name in ("mine.pth", "mine_srn3_50.pth"):
        with pytest.raises(UserError, match=r"add --lang, a language of 2 symbols") as refused:
            found(name)
        assert refused.value.status == 2
    with pytest.raises(UserError, match="anb2nc3n has 3 symbols, the SRN in the file 2"):
        found("anb2nc3n_srn3_1.pth")
    assert found("mine.pth", lang="anbn", length=2).length == 2


@pytest.mark.parametrize("embed", [False, True])
def test_a_network_of_seven_symbols_is_scored_on_both_grammars(embed, tmp_path, capsys):
    net = automaton_net(make_language("reber", embed=embed))
    # The course's names do not tell the two grammars apart.
    for name in ("mine.pth", f"reber_srn{net.hid}_50.pth"):
        task = task_of(net, {}, tmp_path / name, flags())
        assert (task.lang, task.embed, task.hid) == ("reber", embed, net.hid)
        printed = capsys.readouterr().out
        assert "does not name its grammar: loss " in printed
        taken = "the embedded grammar" if embed else "Reber's grammar"
        assert printed.endswith(f"; taken: {taken}\n")
        losses = [float(word) for word in printed.replace(",", " ").split() if word[0] == "0"]
        assert np.argmin(losses) == embed
    assert (
        task_of(net, {}, tmp_path / "mine.pth", flags(lang="reber", embed=not embed)).embed != embed
    )
    assert task_of(net, {}, tmp_path / "reber_embed_srn9_50.pth", flags()).embed
    assert not task_of(net, {}, tmp_path / "mine.pth", flags(lang="reber", embed=False)).embed


def test_checkpoints_of_a_language_are_listed_in_the_order_of_their_numbers(tmp_path):
    for name in ("anbn_srn2_100", "anbn_srn2_20", "anbn_lstm3_5", "anb2n_srn2_1", "anbn_notes"):
        (tmp_path / f"{name}.pth").touch()
    expected = ["anbn_lstm3_5.pth", "anbn_srn2_20.pth", "anbn_srn2_100.pth"]
    assert checkpoints.matches(tmp_path, "anbn") == expected
