"""seq_plot.py as a user runs it, on networks whose machine is known."""

from cli.errors import UserError
from cli.process import Terminated

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
from recurrent.pictures import best_view
from recurrent.task import make_language
from seq_models import LSTM, SRN


def save_automaton(folder, lang="anb2n", embed=False, epoch=100, length=0) -> list:
    """Save a network that implements a language, as bare weights; return the flags."""
    language = make_language(lang, length, embed)
    net = automaton_net(language)
    folder.mkdir(exist_ok=True)
    torch.save(net.state_dict(), folder / f"{language.name}_srn{net.hid}_{epoch}.pth")
    words = ["--lang", lang, "--hid", net.hid, "--epoch", epoch, "--out_path", folder]
    words += ["--embed"] if embed else []
    return [*words, "--length", length] if length else words


def save_untrained(folder, model="srn") -> list:
    """Save an untrained network of two units; return the flags."""
    torch.manual_seed(0)
    net = (LSTM if model == "lstm" else SRN)(2, 2)
    folder.mkdir(exist_ok=True)
    torch.save(net.state_dict(), folder / f"anbn_{model}2_7.pth")
    return ["--lang", "anbn", "--model", model, "--hid", 2, "--epoch", 7, "--out_path", folder]


def plot(*words, folder, capsys) -> str:
    """Run seq_plot.py without errors; return what it prints."""
    assert seq_plot.main([*map(str, words), "--no_show", "--plot", str(folder)]) == 0
    return capsys.readouterr().out


def names(folder) -> set[str]:
    """Return the names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


def test_the_best_view_is_not_along_the_line_between_two_clusters():
    points = np.random.default_rng(0).normal(0, 0.02, (40, 3))
    points[::2, 0] += 1
    _, azimuth = best_view(points, np.arange(40) % 2)
    assert abs(np.sin(np.radians(azimuth))) > 0.4


def test_the_same_seed_prints_and_draws_the_same(tmp_path, capsys):
    flags = save_untrained(tmp_path / "net")
    words = (*flags, "--only", "scatter", "--num_plot", 2, "--seed")
    one = plot(*words, 5, folder=tmp_path / "plot", capsys=capsys)
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "plot").iterdir()}
    assert plot(*words, 5, folder=tmp_path / "plot", capsys=capsys) == one
    assert all((tmp_path / "plot" / name).read_bytes() == pictures[name] for name in pictures)
    assert plot(*words, 6, folder=tmp_path / "plot", capsys=capsys) != one


SMALL = ["--lang", "anbn", "--length", "2", "--epoch", "1", "--num_plot", "1", "--no_show"]
TRAINING_LINE = re.compile(
    r"^net/\S+ does not exist.*; training the network first: (.*) \.\.\. (.*)\n", re.MULTILINE
)


@pytest.fixture(scope="module")
def trained_first(tmp_path_factory) -> tuple[Path, str, str]:
    """Return a folder in which seq_plot.py had to train, and the output of two runs."""
    folder, printed = tmp_path_factory.mktemp("first"), []
    (folder / "net").mkdir()
    (folder / "net" / "anbn_srn2_0.pth").write_text("another seed")
    with contextlib.chdir(folder):
        for _ in range(2):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert seq_plot.main([*SMALL, "--seed", "3", "--only", "scatter"]) == 0
            printed.append(out.getvalue())
    return folder, *printed


def test_a_missing_checkpoint_is_trained_once(trained_first):
    folder, first, second = trained_first
    assert re.fullmatch(r"\d+\.\d s, without success", TRAINING_LINE.search(first)[2])
    assert TRAINING_LINE.sub("", first) == second
    assert first.count("SRN with 2 hidden units after 1000 sequences of anbn") == 1
    assert names(folder / "net") == {"anbn_srn2_0.pth", "anbn_srn2_1.pth"}
    # An existing checkpoint is not replaced.
    assert "(found: anbn_srn2_0.pth); training the network first" in first
    assert (folder / "net" / "anbn_srn2_0.pth").read_text() == "another seed"


def test_the_printed_command_makes_the_same_checkpoint(trained_first, tmp_path, monkeypatch):
    folder, first, _ = trained_first
    python, name, *words = shlex.split(TRAINING_LINE.search(first)[1])
    assert (python, name) == ("python3", "seq_train.py")
    monkeypatch.chdir(tmp_path)
    assert seq_train.main(words) == seq_train.FAILED
    ours, theirs = (
        torch.load(root / "net" / "anbn_srn2_1.pth", weights_only=True)["net"]
        for root in (folder, tmp_path)
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


class Training:
    """Stands for the process of seq_train.py; `started` has the arguments of all of them."""

    started: ClassVar[list] = []

    def __init__(self, words, status=0, message="", **options):
        self.status, self.message, self.returncode = status, message, None
        self.started.append([str(word) for word in words[2:]])

    def communicate(self):
        self.returncode = self.status
        return None, self.message


class Interrupted(Training):
    """A Training that saves a checkpoint and is interrupted by `signals`, one after the other."""

    def __init__(self, words, signals, **options):
        super().__init__(words)
        self.signals, self.passed_on = list(signals), []

    def communicate(self):
        if not self.passed_on:
            Path(self.started[-1][-3], "anbn_srn2_0.pth").touch()
        if len(self.passed_on) < len(self.signals):
            raise self.signals[len(self.passed_on)]
        return super().communicate()

    def send_signal(self, signal_number):
        self.passed_on.append(signal_number)


@pytest.fixture
def started(monkeypatch) -> list:
    """Replace the training processes; return the arguments of each one started."""
    monkeypatch.setattr(Training, "started", [])
    monkeypatch.setattr(seq_plot.subprocess, "Popen", Training)
    return Training.started


@pytest.mark.parametrize(
    ("epoch", "words"),
    [([], []), ([50], []), ([0], []), ([100], []), ([7], ["--epoch", "7"]),
     ([110], ["--epoch", "110"])],
)  # fmt: skip
def test_an_intermediate_checkpoint_is_made_by_default_training(epoch, words, started, tmp_path):
    flags = ["--lang", "anb2nc3n", "--model", "lstm", "--seed", "5", "--out_path", tmp_path]
    flags += ["--epoch", *epoch] if epoch else []
    with pytest.raises(UserError, match="file not found"):
        seq_plot.main([*map(str, flags), "--plot", str(tmp_path)])
    task = ["--lang", "anb2nc3n", "--model", "lstm", "--hid", "3"]
    folders = ["--out_path", str(tmp_path), "--plot", str(tmp_path)]
    # Training writes to a temporary folder, from which only new checkpoints are moved.
    (arguments,) = started
    assert Path(arguments[-3]).parent == tmp_path
    arguments[-3] = str(tmp_path)
    assert arguments == [*task, *words, "--seed", "5", *folders]


def test_the_printed_line_has_other_checkpoints_random_seed_and_quoted_command(
    started, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    folder = Path("a folder")
    folder.mkdir()
    for name in ("anbn_srn2_100", "anbn_srn2_20", "anbn_srn20_5", "anb2n_srn2_5"):
        (folder / f"{name}.pth").touch()
    with pytest.raises(UserError, match="file not found"):
        seq_plot.main([*SMALL, "--out_path", str(folder), "--device", "cpu"])
    seed, line = capsys.readouterr().out.splitlines()
    found = "(found: anbn_srn2_20.pth, anbn_srn2_100.pth)"
    assert line.startswith(
        f"a folder/anbn_srn2_1.pth does not exist {found}; training the network first: "
    )
    command = line.split("first: ")[1].split(" ... ")[0]
    words = ["--seed", re.match(r"seed: (\d+)", seed)[1], "--out_path", "a folder"]
    assert shlex.split(command) == ["python3", "seq_train.py", *started[0][:-6], *words]


def test_an_error_of_training_is_printed_as_it_is(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    error = "error: cannot write net/anbn_srn2_0.pth: it is a folder"
    failing = partial(Training, status=1, message=f"seq_train.py: {error}\n")
    monkeypatch.setattr(seq_plot.subprocess, "Popen", failing)
    check_refused("seq_plot", SMALL, 1, error, capsys)


@pytest.mark.parametrize(
    ("signals", "status"),
    [([Terminated()], 143), ([KeyboardInterrupt(), KeyboardInterrupt()], 130)],
)
def test_every_signal_is_passed_on(signals, status, started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    processes = []

    def start(words, **options):
        processes.append(Interrupted(words, signals))
        return processes[0]

    monkeypatch.setattr(seq_plot.subprocess, "Popen", start)
    saved = "interrupted; net/anbn_srn2_0.pth was the last file saved"
    check_refused("seq_plot", SMALL, status, saved, capsys)
    assert processes[0].passed_on == [status - 128] * len(signals)


def test_a_damaged_checkpoint_is_refused_and_kept(started, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = Path("net", "anbn_srn2_1.pth")
    path.parent.mkdir()
    path.write_text("no weights")
    check_refused("seq_plot", SMALL, 1, f"checkpoint {path}: damaged, or not a checkpoint", capsys)
    assert path.read_text() == "no weights"
    assert started == []


def test_context_units_of_an_srn_are_its_hidden_units(tmp_path, capsys):
    flags = save_untrained(tmp_path / "net")
    words = (*flags, "--only", "scatter", "--num_plot", 1, "--seed", 1)
    plain = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert plot(*words, "--context", folder=tmp_path / "plot", capsys=capsys) == plain


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--only", "sactter"], 2, "'sactter' is not one of scatter, states, dynamics, context"),
        (["--num_plot", "0"], 2, "'0' is not a whole number from 1 to 1000"),
        (["--lang", "anb"], 2, "'anb' is not a language"),
        (["--embed", "--lang", "anbn"], 2, "--embed requires --lang reber"),
        (["--show", "--no_show"], 2, "not allowed with argument"),
        (["--plot", "net/x.pth"], 1, "cannot write into net/x.pth: it is not a folder"),
    ],
)
def test_bad_input_is_refused_in_one_line(words, status, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "x.pth").touch()
    check_refused("seq_plot", words, status, message, capsys)


def test_a_checkpoint_of_another_task_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained = seq_train.main(["--lang", "anbn", "--epoch", "1", "--length", "3"])
    assert trained in (0, seq_train.FAILED)
    words = ["--lang", "anbn", "--epoch", "1", "--only", "context"]
    # Without --length, the checkpoint's length is used.
    out = plot(*words, folder=tmp_path / "plot", capsys=capsys)
    assert "each word n = 1 .. 3," in out
    with pytest.raises(UserError, match="holds a network with --length 3, not 4"):
        seq_plot.main([*words, "--length", "4"])
    path = tmp_path / "net" / "anbn_srn2_1.pth"
    path.rename(tmp_path / "net" / "anb2n_srn2_1.pth")
    with pytest.raises(UserError, match="holds a network with --lang anbn, not anb2n"):
        seq_plot.main(["--lang", "anb2n", "--epoch", "1"])
