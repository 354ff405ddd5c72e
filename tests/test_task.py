"""Tasks and recipes: flags, default values, file names."""

from cli.process import UserError
from cli.settings import Parser, add_flags

import argparse
from pathlib import Path

import pytest

from recurrent.task import Recipe, Task, resolve_recipe, resolve_task


def parse(*words) -> argparse.Namespace:
    parser = Parser()
    add_flags(parser, Task)
    parser.add_argument("--recipe", default="tuned")
    add_flags(parser, Recipe)
    return parser.parse_args(list(map(str, words)))


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("", "anb2n_srn2_100.pth"),
        ("--lang anb2nc3n", "anb2nc3n_srn4_200.pth"),
        ("--lang anb2nc3n --model lstm", "anb2nc3n_lstm3_100.pth"),
        # As in the course's script, where --embed takes a value.
        ("--lang reber --embed False", "reber_srn2_50.pth"),
        ("--lang reber --embed --model lstm", "reber_embed_lstm8_100.pth"),
        # Not in DEFAULTS: one hidden unit per symbol.
        ("--lang anbncndn", "anbncndn_srn4_100.pth"),
    ],
)
def test_default_values_are_the_assignment_s_and_name_the_file(words, path):
    task = resolve_task(parse(*words.split()))
    assert task.checkpoint(Path("net"), task.default_epoch) == Path("net", path)


def test_lengths_that_nobody_means_are_refused():
    with pytest.raises(UserError, match="--length 25: at most 24 for reber") as refused:
        resolve_task(parse("--lang", "reber", "--length", 25))
    assert refused.value.status == 2
    resolve_task(parse("--lang", "reber", "--length", 24))


def test_recipes():
    def recipe(*words) -> Recipe:
        return resolve_recipe(parse(*words), resolve_task(parse(*words)))

    course = recipe("--recipe", "assignment")
    assert course == Recipe(
        optim="sgd", lr=0.005, mom=0.0, beta2=0.999, weight_decay=1e-4, batch=(1,),
        schedule="constant", clip=0.0, init=0.001, init_output=0.001, identity=False,
    )  # fmt: skip
    # A language's changes are those of the tuned recipe only.
    assert recipe("--lang", "anb2nc3n").lr == 0.03
    assert recipe("--lang", "anb2nc3n", "--recipe", "assignment").lr == 0.005
    assert recipe("--lang", "reber", "--lr", 0.5).lr == 0.5
    # --init is of the SRN, and without effect on an LSTM.
    assert recipe("--model", "lstm", "--init", 0.3).init is None
    growing = recipe("--batch", "10,20,40")
    assert [*map(growing.batch_at, (0, 0.33, 0.34, 0.67, 1.0))] == [10, 10, 20, 40, 40]
