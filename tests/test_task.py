"""Tasks: flags, checkpoints and printed activations."""

from cli import flags

import argparse
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
def test_a_task_is_restored_from_its_flags(task):
    assert resolve_task(parse(task.flags)) == task
    assert task.language.name == make_language(task.lang, task.length, task.embed).name


def test_default_values_of_a_task():
    assert resolve_task(parse([])) == Task("anb2n", False, 4, "srn", 2)
    task = resolve_task(parse(["--lang", "reber", "--embed", "--model", "lstm"]))
    assert task == Task("reber", True, 0, "lstm", 8)
    assert task.default_epoch == 100
    assert task.checkpoint(Path("net"), 7) == Path("net/reber_embed_lstm8_7.pth")
    # No entry in DEFAULTS: one hidden unit per symbol.
    assert resolve_task(parse(["--lang", "anbncndn"])).hid == 4


@pytest.mark.parametrize("model", ["srn", "lstm"])
def test_task_and_network_are_restored_from_a_checkpoint(model):
    torch.manual_seed(0)
    task = Task("anbn", False, 3, model, 2)
    weights = build_network(task).state_dict()
    other = Task("anb2n", False, 4, model, 2)
    whole = {"task": {name: getattr(task, name) for name in module.TASK_FLAGS}, "net": weights}
    # The content is a checkpoint, or only weights: then the task is the default.
    for content, expected in ((whole, task), (weights, other)):
        found, net = load_checkpoint(content, other)
        assert found == expected
        assert all(torch.equal(net.state_dict()[name], weights[name]) for name in weights)
    for change in ({"hid": 3}, {"lang": "foo"}):
        with pytest.raises(ValueError):  # noqa: PT011 - each value has another message
            load_checkpoint(whole | {"task": whole["task"] | change}, other)
    with pytest.raises(ValueError, match="task"):
        load_checkpoint({"net": weights}, other)


def test_printed_activations(capsys):
    torch.manual_seed(0)
    task = Task("anbn", False, 4, "lstm", 2)
    net = build_network(task)
    module.match_course_number_format()
    module.print_sequence(net, task.language, "AB", context=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "-----", "symbol= ABA", "hidden and context activations and output probabilities [AB]:",
    ]  # fmt: skip
    with torch.no_grad():
        output = net(torch.tensor([[0], [1]]))
    values = (output.hidden, output.context, output.logits.softmax(-1))
    for line, step, letter in zip(lines[3:], range(2), "AB", strict=True):
        cells = [str(value[step, 0].numpy()) for value in values]
        assert line == " ".join([letter, *cells])
