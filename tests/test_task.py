"""Tasks and recipes: flags, default values, file names."""

from cli.process import UserError
from cli.settings import Parser, add_flags

import argparse
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrent import task as module
from recurrent.task import Recipe, Task, build_network, resolve_recipe, resolve_task
from seq_models import LSTM, SRN


def parse(words) -> argparse.Namespace:
    parser = Parser()
    add_flags(parser, Task)
    parser.add_argument("--recipe", default="tuned")
    add_flags(parser, Recipe)
    return parser.parse_args(list(map(str, words)))


tasks = st.builds(
    lambda lang, length, model, hid: resolve_task(
        parse([*lang.split(), "--length", length, "--model", model, "--hid", hid])
    ),
    st.sampled_from(["--lang anb2n", "--lang anbncn", "--lang reber", "--lang reber --embed"]),
    st.integers(0, 9),
    st.sampled_from(["srn", "lstm"]),
    st.integers(0, 5),
)


@given(tasks)
@settings(max_examples=25, deadline=None)
def test_a_task_is_restored_from_its_flags(task):
    assert resolve_task(parse(task.words)) == task
    language = task.language
    assert language.name == task.lang + "_embed" * task.embed
    assert task.length == (language.max_n if language.times else language.min_length)
    net = build_network(task)
    assert isinstance(net, SRN if task.model == "srn" else LSTM)
    assert (net.symbols, net.hid) == (language.classes, task.hid)


def test_default_values_are_the_assignment_s():
    assert resolve_task(parse([])) == Task("anb2n", False, 4, "srn", 2)
    rows = {
        "anb2n": ("srn", 2, 100), "anb2nc3n --model lstm": ("lstm", 3, 100),
        "anb2nc3n": ("srn", 4, 200), "reber": ("srn", 2, 50),
        # Not in DEFAULTS: one hidden unit per symbol.
        "anbncndn": ("srn", 4, 100),
    }  # fmt: skip
    for words, expected in rows.items():
        task = resolve_task(parse(["--lang", *words.split()]))
        assert (task.model, task.hid, task.default_epoch) == expected
    embedded = resolve_task(parse(["--lang", "reber", "--embed", "--model", "lstm"]))
    assert embedded.title == "LSTM with 8 hidden units"
    assert embedded.checkpoint(Path("net"), 7) == Path("net/reber_embed_lstm8_7.pth")
    # As in the course's script, where --embed takes a value.
    assert not resolve_task(parse(["--lang", "reber", "--embed", "False"])).embed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--embed"], "--embed requires --lang reber, not --lang anb2n"),
        (["--lang", "anbm"], "argument --lang: 'anbm' is not a language: use reber or a name like"),
        (["--lang", "reber", "--length", 30], "--length 30: at most 24 for reber"),
    ],
)
def test_a_task_that_does_not_exist_is_refused(words, message):
    with pytest.raises(UserError) as refused:
        resolve_task(parse(words))
    assert message in str(refused.value)
    assert refused.value.status == 2


def test_an_epoch_that_counts_sequences_is_refused():
    module.check_epoch(None)
    module.check_epoch(9999)
    with pytest.raises(UserError, match="did you mean --epoch 100\\?"):
        module.check_epoch(100_000)


def test_recipes():
    def recipe(*words):
        args = parse(words)
        return resolve_recipe(args, resolve_task(args))

    course = recipe("--recipe", "assignment")
    assert (course.optim, course.lr, course.weight_decay, course.batch) == (
        "sgd",
        0.005,
        1e-4,
        (1,),
    )
    assert (course.init, course.init_output, course.identity) == (0.001, 0.001, False)
    # A language's changes are those of the tuned recipe only.
    assert recipe("--lang", "anb2nc3n").lr == 0.03
    assert recipe("--lang", "anb2nc3n", "--recipe", "assignment").lr == 0.005
    assert recipe("--lang", "reber", "--lr", 0.5, "--batch", "7,9").lr == 0.5
    # --init is of the SRN, and without effect on an LSTM.
    assert recipe("--model", "lstm", "--init", 0.3).init is None
    growing = recipe("--batch", "10,20,40")
    assert [growing.batch_at(share) for share in (0, 0.33, 0.34, 0.67, 0.999, 1.0)] == [
        10, 10, 20, 40, 40, 40,
    ]  # fmt: skip
    torch.manual_seed(0)
    task = Task("anb2n", False, 4, "srn", 50)
    assert torch.equal(build_network(task, recipe()).U.detach(), torch.eye(50))
    net = build_network(task, course)
    assert net.U.std().item() == pytest.approx(0.001, rel=0.1)
