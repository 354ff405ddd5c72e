"""A task is what its flags say, and its files hold it."""

import argparse
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import flags
from recurrent import task as module
from recurrent.task import Task, build_network, load_checkpoint, make_language, resolve_task


def parse(words) -> argparse.Namespace:
    parser = flags.Parser()
    module.add_task_flags(parser)
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
def test_the_flags_of_a_task_make_it_again(task):
    assert resolve_task(parse(task.flags)) == task
    assert task.language.name == make_language(task.lang, task.length, task.embed).name


def test_a_task_has_every_default_filled_in():
    assert resolve_task(parse([])) == Task("anb2n", False, 4, "srn", 2)
    task = resolve_task(parse(["--lang", "reber", "--embed", "--model", "lstm"]))
    assert task == Task("reber", True, 0, "lstm", 8)
    assert task.default_epoch == 100
    assert task.checkpoint(Path("net"), 7) == Path("net/reber_embed_lstm8_7.pth")
    # What the course has no default for: as many hidden units as symbols.
    assert resolve_task(parse(["--lang", "anbncndn"])).hid == 4


@pytest.mark.parametrize("model", ["srn", "lstm"])
def test_a_checkpoint_gives_back_task_and_network(model):
    torch.manual_seed(0)
    task = Task("anbn", False, 3, model, 2)
    weights = build_network(task).state_dict()
    other = Task("anb2n", False, 4, model, 2)
    whole = {"task": {name: getattr(task, name) for name in module.TASK_FLAGS}, "net": weights}
    # A bare file knows its weights only.
    for content, wanted in ((whole, task), (weights, other)):
        held, net = load_checkpoint(content, other)
        assert held == wanted
        assert all(torch.equal(net.state_dict()[name], weights[name]) for name in weights)
    for spoilt in ({"hid": 3}, {"lang": "foo"}):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the value is refused for
            load_checkpoint(whole | {"task": whole["task"] | spoilt}, other)
    with pytest.raises(ValueError, match="task"):
        load_checkpoint({"net": weights}, other)


def test_a_sequence_is_printed_with_what_the_network_does_after_each_symbol(capsys):
    torch.manual_seed(0)
    task = Task("anbn", False, 4, "lstm", 2)
    net = build_network(task)
    module.print_numbers_as_the_course()
    module.print_sequence(net, task.language, "AB", context=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "-----", "symbol= ABA", "hidden and context activations and output probabilities [AB]:",
    ]  # fmt: skip
    with torch.no_grad():
        run = net(torch.tensor([[0], [1]]))
    values = (run.hidden, run.context, run.logits.softmax(-1))
    for line, step, letter in zip(lines[3:], range(2), "AB", strict=True):
        cells = [str(value[step, 0].numpy()) for value in values]
        assert line == " ".join([letter, *cells])
