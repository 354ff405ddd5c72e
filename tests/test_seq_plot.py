"""seq_plot.py as a user runs it, on networks whose machine is known."""

import contextlib
import io
import re
import shlex
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from shared import automaton_net, check_refused

import seq_plot
import seq_train
from cli.errors import UserError
from cli.process import Terminated
from recurrent.pictures import best_view
from recurrent.task import make_language
from seq_models import LSTM, SRN


def keep(folder, lang="anb2n", embed=False, epoch=100, length=0):
    """Save a network that is its language, as the course saves weights; returns the flags."""
    language = make_language(lang, length, embed)
    net = automaton_net(language)
    folder.mkdir(exist_ok=True)
    torch.save(net.state_dict(), folder / f"{language.name}_srn{net.hid}_{epoch}.pth")
    words = ["--lang", lang, "--hid", net.hid, "--epoch", epoch, "--out_path", folder]
    words += ["--embed"] if embed else []
    return [*words, "--length", length] if length else words


def keep_random(folder, model="srn") -> list[str]:
    """Save a network of two units that has learned nothing; returns the flags."""
    torch.manual_seed(0)
    net = (LSTM if model == "lstm" else SRN)(2, 2)
    folder.mkdir(exist_ok=True)
    torch.save(net.state_dict(), folder / f"anbn_{model}2_7.pth")
    return ["--lang", "anbn", "--model", model, "--hid", 2, "--epoch", 7, "--out_path", folder]


def plot(*words, folder, capsys) -> str:
    """What seq_plot.py prints when it runs well."""
    assert seq_plot.main([*map(str, words), "--no_show", "--plot", str(folder)]) == 0
    return capsys.readouterr().out


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_best_view_is_not_along_the_line_between_two_kinds_of_dots():
    points = np.random.default_rng(0).normal(0, 0.02, (40, 3))
    points[::2, 0] += 1
    _, azimuth = best_view(points, np.arange(40) % 2)
    assert abs(np.sin(np.radians(azimuth))) > 0.4


def test_the_same_seed_prints_and_draws_the_same(tmp_path, capsys):
    flags = keep_random(tmp_path / "net")
    words = (*flags, "--only", "scatter", "--num_plot", 2, "--seed")
    one = plot(*words, 5, folder=tmp_path / "plot", capsys=capsys)
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "plot").iterdir()}
    assert plot(*words, 5, folder=tmp_path / "plot", capsys=capsys) == one
    assert all((tmp_path / "plot" / name).read_bytes() == pictures[name] for name in pictures)
    assert plot(*words, 6, folder=tmp_path / "plot", capsys=capsys) != one


SMALL = ["--lang", "anbn", "--length", "2", "--epoch", "1", "--num_plot", "1", "--no_show"]
FIRST = re.compile(
    r"^net/\S+ does not exist.*; training it first: (.*) \.\.\. (.*)\n", re.MULTILINE
)


@pytest.fixture(scope="module")
def trained_first(tmp_path_factory) -> tuple[Path, str, str]:
    """A folder in which seq_plot.py had to train, and what it printed then and the second time."""
    folder, printed = tmp_path_factory.mktemp("first"), []
    (folder / "net").mkdir()
    (folder / "net" / "anbn_srn2_0.pth").write_text("of another seed")
    with contextlib.chdir(folder):
        for _ in range(2):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert seq_plot.main([*SMALL, "--seed", "3", "--only", "scatter"]) == 0
            printed.append(out.getvalue())
    return folder, *printed


def test_a_missing_checkpoint_is_trained_first_and_then_is_there(trained_first):
    folder, first, second = trained_first
    assert re.fullmatch(r"\d+\.\d s, without success", FIRST.search(first)[2])
    assert FIRST.sub("", first) == second
    assert first.count("SRN with 2 hidden units after 1000 sequences of anbn") == 1
    assert names(folder / "net") == {"anbn_srn2_0.pth", "anbn_srn2_1.pth"}
    # A checkpoint that is there is not replaced.
    assert "(there are anbn_srn2_0.pth); training it first" in first
    assert (folder / "net" / "anbn_srn2_0.pth").read_text() == "of another seed"


def test_the_command_printed_makes_the_same_checkpoint(trained_first, tmp_path, monkeypatch):
    folder, first, _ = trained_first
    python, name, *words = shlex.split(FIRST.search(first)[1])
    assert (python, name) == ("python3", "seq_train.py")
    monkeypatch.chdir(tmp_path)
    assert seq_train.main(words) == seq_train.FAILED
    ours, theirs = (
        torch.load(root / "net" / "anbn_srn2_1.pth", weights_only=True)["net"]
        for root in (folder, tmp_path)
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


class Training:
    """What seq_plot.py starts, with an end that is known; `started` has the words of each."""

    started: ClassVar[list] = []

    def __init__(self, words, status=0, told="", **options):
        self.status, self.told, self.returncode = status, told, None
        self.started.append([str(word) for word in words[2:]])

    def communicate(self):
        self.returncode = self.status
        return None, self.told


class Interrupted(Training):
    """A training that is interrupted by `signals`, one after the other, and saves a checkpoint."""

    def __init__(self, words, signals, **options):
        super().__init__(words)
        self.signals, self.sent = list(signals), []

    def communicate(self):
        if not self.sent:
            Path(self.started[-1][-3], "anbn_srn2_0.pth").touch()
        if len(self.sent) < len(self.signals):
            raise self.signals[len(self.sent)]
        return super().communicate()

    def send_signal(self, number):
        self.sent.append(number)


@pytest.fixture
def started(monkeypatch) -> list:
    """The words of each training that seq_plot.py starts; none is really done."""
    monkeypatch.setattr(Training, "started", [])
    monkeypatch.setattr(seq_plot.subprocess, "Popen", Training)
    return Training.started


@pytest.mark.parametrize(
    ("epoch", "words"),
    [([], []), ([50], []), ([0], []), ([100], []), ([7], ["--epoch", "7"]),
     ([110], ["--epoch", "110"])],
)  # fmt: skip
def test_a_checkpoint_on_the_way_needs_the_default_training(epoch, words, started, tmp_path):
    flags = ["--lang", "anb2nc3n", "--model", "lstm", "--seed", "5", "--out_path", tmp_path]
    flags += ["--epoch", *epoch] if epoch else []
    with pytest.raises(UserError, match="there is no such file"):
        seq_plot.main([*map(str, flags), "--plot", str(tmp_path)])
    task = ["--lang", "anb2nc3n", "--model", "lstm", "--hid", "3"]
    folders = ["--out_path", str(tmp_path), "--plot", str(tmp_path)]
    # It is kept in a folder of its own until it is known what is new.
    (typed,) = started
    assert Path(typed[-3]).parent == tmp_path
    assert [*typed[:-3], str(tmp_path), *typed[-2:]] == [*task, *words, "--seed", "5", *folders]


def test_the_line_can_be_typed_lists_the_other_checkpoints_and_has_the_drawn_seed(
    started, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    folder = Path("a folder")
    folder.mkdir()
    for name in ("anbn_srn2_100", "anbn_srn2_20", "anbn_srn20_5", "anb2n_srn2_5"):
        (folder / f"{name}.pth").touch()
    with pytest.raises(UserError, match="there is no such file"):
        seq_plot.main([*SMALL, "--out_path", str(folder), "--device", "cpu"])
    seed, line = capsys.readouterr().out.splitlines()
    there = "(there are anbn_srn2_20.pth, anbn_srn2_100.pth)"
    assert line.startswith(f"a folder/anbn_srn2_1.pth does not exist {there}; training it first: ")
    command = line.split("first: ")[1].split(" ... ")[0]
    words = ["--seed", re.match(r"seed: (\d+)", seed)[1], "--out_path", "a folder"]
    assert shlex.split(command) == ["python3", "seq_train.py", *started[0][:-6], *words]


def test_training_that_fails_is_told_in_its_own_words(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    told = "seq_train.py: error: cannot write net/anbn_srn2_0.pth: it is a folder\n"
    monkeypatch.setattr(seq_plot.subprocess, "Popen", partial(Training, status=1, told=told))
    wanted = "error: cannot write net/anbn_srn2_0.pth: it is a folder"
    check_refused("seq_plot", SMALL, 1, wanted, capsys)


@pytest.mark.parametrize(
    ("signals", "status"),
    [([Terminated()], 143), ([KeyboardInterrupt(), KeyboardInterrupt()], 130)],
)
def test_every_signal_is_passed_on(signals, status, started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = []
    monkeypatch.setattr(
        seq_plot.subprocess,
        "Popen",
        lambda words, **options: made.append(Interrupted(words, signals)) or made[0],
    )
    saved = "interrupted; net/anbn_srn2_0.pth was the last file saved"
    check_refused("seq_plot", SMALL, status, saved, capsys)
    assert made[0].sent == [status - 128] * len(signals)


def test_a_damaged_checkpoint_is_refused_and_stays(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = Path("net", "anbn_srn2_1.pth")
    path.parent.mkdir()
    path.write_text("no weights")
    check_refused("seq_plot", SMALL, 1, f"checkpoint {path}: not a whole file", capsys)
    assert path.read_text() == "no weights"
    assert started == []


def test_context_units_of_an_srn_are_its_hidden_units(tmp_path, capsys):
    flags = keep_random(tmp_path / "net")
    words = (*flags, "--only", "scatter", "--num_plot", 1, "--seed", 1)
    plain = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert plot(*words, "--context", folder=tmp_path / "plot", capsys=capsys) == plain


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--only", "sactter"], 2, "'sactter' is none of scatter, states, dynamics, context"),
        (["--num_plot", "0"], 2, "'0' is not a whole number from 1 to 1000"),
        (["--lang", "anb"], 2, "'anb' is not a language"),
        (["--embed", "--lang", "anbn"], 2, "--embed goes with --lang reber"),
        (["--show", "--no_show"], 2, "not allowed with argument"),
        (["--plot", "net/x.pth"], 1, "cannot write into net/x.pth: it is not a folder"),
    ],
)
def test_bad_input_costs_one_clear_line(words, status, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "x.pth").touch()
    check_refused("seq_plot", words, status, message, capsys)


def test_a_file_of_another_task_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained = seq_train.main(["--lang", "anbn", "--epoch", "1", "--length", "3"])
    assert trained in (0, seq_train.FAILED)
    words = ["--lang", "anbn", "--epoch", "1", "--only", "context"]
    # A file's own length is taken, unless another one is asked for.
    out = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert "over the words n = 1 .. 3" in out
    with pytest.raises(UserError, match="holds a network with --length 3, not 4"):
        seq_plot.main([*words, "--length", "4"])
    made = tmp_path / "net" / "anbn_srn2_1.pth"
    made.rename(tmp_path / "net" / "anb2n_srn2_1.pth")
    with pytest.raises(UserError, match="holds a network with --lang anbn, not anb2n"):
        seq_plot.main(["--lang", "anb2n", "--epoch", "1"])
