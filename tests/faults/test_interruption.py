"""Runs that are killed, interrupted or terminated at random moments: nothing learned is lost."""

import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, environment, interrupt_script, write_characters
from PIL import Image

from cli import checkpoint
from cli.errors import UserError

KUZU = ["--net", "full", "--hid", "40", "--seed", "3", "--save", "net.pth", "--data", "data"]
# The numbers of runs: killed, and ended by SIGINT or SIGTERM, of each script.
KILLED, ENDED = 25, 10
# Longest delay before a signal, in seconds: longer than most of these runs.
LATEST = {"kuzu_main.py": 0.7, "seq_train.py": 0.9}


def cases(script: str, count: int, signals, folder) -> list[dict]:
    """Runs of a script that get their signal at a random moment, every third while writing."""
    draw = random.Random(f"{script} {count}")
    made = []
    for number in range(count):
        own = folder / f"{script}_{number}"
        own.mkdir()
        if script == "kuzu_main.py":
            (own / "data").symlink_to(folder / "data")
            # Short passes, a file after each; or long ones.
            words = [*KUZU, "--epochs", str(draw.choice([6, 15])), "--batch", "20"]
        else:
            words = ["--epoch", "12", "--seed", str(number)]
        moment = draw.uniform(0, LATEST[script])
        made.append(
            {"script": script, "words": words, "folder": str(own), "writing": number % 3 == 0}
            | {"signals": [[moment, number] for moment, number in signals(draw, moment)]}
        )
    return made


@pytest.fixture(scope="module")
def run_forks():
    """A function of cases that gives the exit statuses of their runs; see interrupt_runner.py."""
    command = [sys.executable, str(ROOT / "tests" / "faults" / "interrupt_runner.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True) as forks:

        def run(made: list[dict]) -> list[int]:
            statuses = []
            for case in made:
                print(json.dumps(case), file=forks.stdin, flush=True)
                statuses.append(int(forks.stdout.readline()))
            return statuses

        yield run
        forks.stdin.close()


def check_files(case: dict) -> list[str]:
    """All that a run has left must be whole; the names of its checkpoints."""
    folder, names = Path(case["folder"]), []
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or "data" in path.parts[len(folder.parts) : -1]:
            continue
        if path.suffix == ".pth":
            torch.load(path, weights_only=True)
            names.append(str(path.relative_to(folder)))
        elif path.suffix == ".jpg":
            with Image.open(path) as picture:
                picture.load()
    return names


def resumed(case: dict, names: list[str]) -> list[str] | None:
    """The words that go on with a run; None where it came to its end or has nothing saved."""
    if case["script"] == "kuzu_main.py":
        if not names or "training" not in torch.load(
            f"{case['folder']}/net.pth", weights_only=True
        ):
            return None
        return ["--resume", "net.pth", "--data", "data"]
    numbers = [int(name.rsplit("_", 1)[1].split(".")[0]) for name in names]
    if not numbers or max(numbers) == 12:
        return None
    return ["--resume", f"net/anb2n_srn2_{max(numbers)}.pth"]


def told(case: dict) -> str:
    """All that a run has printed."""
    text = ""
    for name in ("out.txt", "err.txt"):
        with open(f"{case['folder']}/{name}", encoding="utf-8") as file:
            text += file.read()
    return text


@pytest.mark.parametrize("script", LATEST)
def test_killed_at_any_moment_all_files_are_whole_and_training_goes_on(script, tmp_path, run_forks):
    write_characters(tmp_path / "data")
    made = cases(script, KILLED, lambda draw, moment: [(moment, signal.SIGKILL)], tmp_path)
    statuses = run_forks(made)
    assert len(statuses) == KILLED
    assert set(statuses) <= {-signal.SIGKILL, 0, 3}
    assert statuses.count(-signal.SIGKILL) > KILLED / 2
    rest = []
    for case in made:
        words = resumed(case, check_files(case))
        if words:
            rest.append(case | {"words": words, "signals": [], "writing": False})
    assert len(rest) > KILLED / 4
    # Every fourth is enough, and a quarter of the time.
    for case, status in zip(rest[::4], run_forks(rest[::4]), strict=True):
        assert status in (0, 3), told(case)
        check_files(case)


@pytest.mark.parametrize("script", LATEST)
def test_ended_at_any_moment_what_was_learned_is_saved_and_named(script, tmp_path, run_forks):
    write_characters(tmp_path / "data")

    def signals(draw, moment):
        return [(moment, draw.choice([signal.SIGINT, signal.SIGTERM]))]

    made = cases(script, ENDED, signals, tmp_path)
    for case in made:
        case["writing"] = False
    statuses = run_forks(made)
    assert len(statuses) == ENDED
    for case, status in zip(made, statuses, strict=True):
        text, names = told(case), check_files(case)
        where = f"{case['words']} {case['signals']}: {text}"
        assert "Traceback" not in text, where
        # A run may have come to its end before its signal.
        assert status in (0, 3, 128 + case["signals"][0][1]), where
        # kuzu_main.py saves after whole epochs.
        if status > 100 and ("epoch:" in text or "Train Epoch: 2" in text):
            assert names, where
            assert any(name in text for name in names), where
        assert not [name for name in names if name.startswith(".")]
    assert sum(status > 100 for status in statuses) > ENDED / 2


@pytest.mark.parametrize("script", LATEST)
def test_a_second_signal_ends_at_once_and_names_the_last_file(script, tmp_path, run_forks):
    write_characters(tmp_path / "data", train=1437)
    case = cases(script, 1, lambda draw, moment: [(0.6, signal.SIGINT)], tmp_path)[0]
    # Long enough to be far from its end; the second signal comes before the first has had effect.
    case["words"] += ["--epochs", "3000"] if script == "kuzu_main.py" else ["--epoch", "1000"]
    case["signals"] += [[0.0, signal.SIGTERM]]
    case["writing"] = False
    (status,) = run_forks([case])
    text = told(case)
    assert status in (130, 143), text
    assert "Traceback" not in text
    if "interrupted; " in text:
        last = text.split("interrupted; ")[1].split()[0]
        names = check_files(case)
        assert (Path(case["folder"]) / last).is_file() or (not names and last == "nothing"), text


def test_a_file_that_was_cut_off_by_another_program_is_refused(tmp_path):
    """What the tests above rely on: a part of a file does not load."""
    checkpoint.write(tmp_path / "a.pth", {"a": torch.arange(1000)})
    whole = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not a whole file"):
        checkpoint.read(tmp_path / "a.pth", "--load")


def test_a_signal_ends_kuzu_main_after_its_step_and_keeps_the_last_epoch(tmp_path):
    number = signal.SIGTERM
    write_characters(tmp_path / "data", train=1437)
    words = ["kuzu_main.py", "--net", "lin", "--epochs", 100_000, "--save", "net.pth"]
    status, printed, told = interrupt_script(
        *words, cwd=tmp_path, line="Train Epoch: 3", number=number
    )
    assert status == 128 + number
    assert told.count("\n") == 2
    assert "stopping after this step" in told
    assert "Traceback" not in told
    assert "Test set: Average loss" in printed
    assert re.search(r"weights: net.pth, after epoch \d+\n", printed)
    assert torch.load(tmp_path / "net.pth", weights_only=True)["recipe"]["net"] == "lin"
    assert (tmp_path / "plot" / "kuzu_lin_confusion.jpg").exists()
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


def test_ctrl_c_ends_seq_train_after_its_step_and_says_how_to_go_on(tmp_path):
    number = signal.SIGINT
    words = ["seq_train.py", "--lang", "anb2n", "--seed", 1]
    status, printed, told = interrupt_script(
        *words, cwd=tmp_path, line="epoch: 2000", number=number
    )
    assert status == 128 + number
    assert "Traceback" not in told
    resume = re.search(r"to go on: python3 seq_train.py --resume (\S+)", printed)[1]
    assert torch.load(tmp_path / resume, weights_only=True)["seen"] >= 2000
    assert not list((tmp_path / "net").glob(".*"))


def test_ctrl_c_while_seq_plot_trains_ends_both_and_keeps_what_was_learned(tmp_path):
    process = subprocess.Popen(
        [sys.executable, ROOT / "seq_plot.py", "--epoch", "1000"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("net/.training-*/anb2n_srn2_0.pth")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.endswith(" ...\n")
    assert told.startswith("seq_plot.py: error: interrupted; ")
    assert told.count("\n") == 1
    said = re.search(r"; (\S+) was the last file saved; to go on: (.*)", told)
    assert torch.load(tmp_path / said[1], weights_only=True)["seen"] > 0
    assert shlex.split(said[2]) == ["python3", "seq_train.py", "--resume", said[1]]
    assert not list((tmp_path / "net").glob(".*"))
