"""Every flag of every script refuses bad values; full disks and outputs that take nothing.

The flags are those of the parsers themselves, so that a new one cannot be forgotten here.
"""

import importlib
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT, SCRIPTS, end_of, environment, run_script

from cli import flags
from kuzushiji import dataset

# No number, no choice, neither True nor False, no language, no device.
NONSENSE = [
    "x", "", " ", "nan", "inf", "-inf", "9" * 30, "9" * 5000, "1e999", "0x10", "五百", "ｘ", "x=1",
    "None", "[1]",
]  # fmt: skip
# Of flags with a type of their own.
OWN = {
    "_section": [],
    "device": ["cpu2", "CPU", "cpu:x", "cuda:99", "meta", "cpu,cuda", "/dev/null"],
    "_kernels": ["3", "3,3,3", "4,3", "3,4", "0,3", "3,29", "3,-3", "3,nan", "3.0,3", "3;3"],
    "_normalisation": ["0.5", "0.5,0.5,0.5", "0.5,0", "2,0.5", "0.5,-1", "0.5,1e-9", "0.5,nan"],
}
TEXTS = {
    "--lang": [
        "anb",
        "anb2",
        "ANB2N",
        "anbn ",
        "bnan",
        "anb0n",
        "anb10n",
        "an",
        "reber2",
        "n" * 300,
    ],
}
# What kind of path each flag takes.
PATHS = {
    ("kuzu_main", "--plot"): "folder written",
    ("kuzu_main", "--data"): "folder of images",
    ("kuzu_main", "--save"): "file written",
    ("kuzu_main", "--load"): "file read",
    ("kuzu_main", "--resume"): "file read",
    **{(name, "--json"): "file written" for name in SCRIPTS},
    ("check_main", "--plot"): "folder written",
    ("check_main", "--data"): "file read",
    ("seq_train", "--plot"): "folder written",
    ("seq_train", "--out_path"): "folder written",
    ("seq_train", "--resume"): "file read",
    ("seq_plot", "--plot"): "folder written",
    ("seq_plot", "--out_path"): "folder of checkpoints",
}
LONG, NOWHERE = "n" * 300, "/proc/nothing"
EVERYWHERE = ["", " ", "a_file/x", "a_file/x/y", LONG, f"{LONG}/x", f"a_folder/{LONG}"]
PLACES = {
    "folder written": [*EVERYWHERE, f"{NOWHERE}/x", "a_file", "a_pipe", "closed", "closed/x"],
    "file written": [*EVERYWHERE, f"{NOWHERE}/x", ".", "a_folder", "a_pipe", "closed/x"],
    "file read": [*EVERYWHERE, f"{NOWHERE}/x", ".", "a_folder", "a_pipe", "a_file", "an_empty_file",
                  "missing", "missing/x"],
    "folder of images": [*EVERYWHERE, f"{NOWHERE}/x", "a_file", "a_pipe", "closed", "missing",
                         "damaged"],
    "folder of checkpoints": [*EVERYWHERE, f"{NOWHERE}/x", "a_file", "a_pipe", "closed/x",
                              "damaged"],
}  # fmt: skip


def parser(name: str):
    return importlib.import_module(name).build_parser()


FLAGS = [(name, action.option_strings[-1]) for name in SCRIPTS for action in parser(name)._actions]


def bad_values(name: str, flag: str) -> list[str]:
    """Values that a flag must refuse; KeyError or ValueError if it is of no kind known here."""
    (action,) = (each for each in parser(name)._actions if flag in each.option_strings)
    if action.nargs == 0:
        return NONSENSE
    if action.choices:
        first = next(iter(action.choices))
        return [*NONSENSE, first.upper(), f"{first}x", f"{first},{first}", f"{first} "]
    if action.type is None:
        return [*NONSENSE, *TEXTS[flag]]
    return PLACES[PATHS[name, flag]] if action.type is flags.path else bad_for(action.type)


def bad_for(parse) -> list[str]:
    """Values that an argparse type of cli/flags.py, or one of a script's own, must refuse."""
    match parse:
        case flags.Integer(low, high):
            return [*NONSENSE, "2.5", "1e1", str(low - 1), str(high + 1)]
        case flags.Number(low, high, low_excluded):
            beyond = [str(low - 1e-3), str(high * 1.001), "1,5"]
            return [*NONSENSE, *beyond, *([str(low)] if low_excluded else [])]
        case flags.CommaSeparated(one, count):
            wrong = bad_for(one)
            wrong_count = ["1", "1,1,1"] if count else []
            return [
                *wrong,
                *(f"{value},{value}" for value in wrong),
                *wrong_count,
                ",",
                "1;1",
                "1 1",
            ]
        case flags.Switch():
            return [*NONSENSE, "1", "0", "yes", "Truee", "True,False", "Ｔｒｕｅ"]
    return [*NONSENSE, *OWN[parse.__name__]]


def reprs(value: str) -> list[str]:
    """How a message may show a value: as it is, or the part of it that is wrong."""
    return [repr(value), *(repr(part.strip()) for part in value.split(",")),
            f"({value.replace(',', ', ')})"]  # fmt: skip


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All files below a folder, hidden ones too, with what is in them."""
    found = (path for path in folder.rglob("*") if not path.is_dir())
    return {path: path.read_bytes() if path.is_file() else None for path in found}


def the_line(name: str, told: str) -> str:
    """The one line on stderr of a script that has failed."""
    assert told.startswith(f"{name}.py: error: "), told
    assert told.endswith("\n"), told
    assert told.count("\n") == 1, told
    return told


@pytest.fixture
def workplace(tmp_path, monkeypatch) -> Path:
    """A working folder with all that may stand in a script's way."""
    monkeypatch.chdir(tmp_path)
    Path("a_file").write_text("neither picture nor weights\n")
    Path("an_empty_file").touch()
    Path("a_folder").mkdir()
    os.mkfifo("a_pipe")
    Path("damaged", "KMNIST", "raw").mkdir(parents=True)
    for file in dataset.FILES:
        Path("damaged", "KMNIST", "raw", file).write_text("no images")
    Path("damaged", "anb2n_srn2_100.pth").write_text("no weights")
    Path("closed").mkdir(mode=0o555)
    return tmp_path


def can_be_tried(value: str) -> bool:
    """Whether this machine has the place: root may write anywhere, and /proc is Linux's."""
    if value.split("/")[0] == "closed":
        return os.geteuid() != 0
    return not value.startswith(NOWHERE) or Path("/proc").is_dir()


@pytest.mark.parametrize(("name", "flag"), FLAGS, ids=lambda word: word)
def test_bad_values_of_a_flag_cost_one_clear_line(name, flag, workplace, capsys):
    before = contents(workplace)
    values = [value for value in bad_values(name, flag) if can_be_tried(value)]
    assert len(set(values)) >= 5
    kind = PATHS.get((name, flag))
    # Without its folder of KMNIST, kuzu_main.py would train on the repository's own images.
    words = ["--dataset", "kmnist"] if kind == "folder of images" else []
    for value in values:
        status = end_of(name, *words, f"{flag}={value}")
        out, told = capsys.readouterr()
        line = the_line(name, told)
        case = f"{name}.py {flag}={value[:40]!r}: {line}"
        assert status in ((1, 2) if kind else (2,)), case
        if kind and value.strip():
            assert value in line, case
        else:
            assert flag in line, case
            said = " ".join(f"{flag} {value}:".split())
            assert any(shown in line for shown in [*reprs(value), said]), case
        assert "Traceback" not in out, case
        assert contents(workplace) == before, case


@pytest.mark.parametrize("name", SCRIPTS)
def test_words_that_are_no_flags_cost_one_clear_line(name, workplace, capsys):
    before = contents(workplace)
    valued = [a.option_strings[0] for a in parser(name)._actions if a.nargs is None]
    cases = [[flag] for flag in valued]
    cases += [[word] for word in ("x", "", "-x", "--unknown", "--unknown=1", "五百", "--", "-")]
    # Part of a name is no name: --see could be a slip for anything.
    cases += [["--see", "1"], ["--plo", "p"], ["--seed", "1", "2"]]
    for words in cases:
        assert end_of(name, *words) == 2, words
        line = the_line(name, capsys.readouterr().err)
        assert words[0] in line or words[-1] in line, line
    assert contents(workplace) == before


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_bad_flag_and_a_bad_path_in_a_process_of_their_own(name, workplace):
    before = contents(workplace)
    for words, status in ((["--seed", "五百"], 2), (["--plot", "a_file/図 1"], 1)):
        done = run_script(f"{name}.py", *words, cwd=workplace)
        assert done.returncode == status
        assert words[1] in the_line(name, done.stderr)
        assert done.stdout == ""
    assert contents(workplace) == before


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_only_an_ordinary_file_is_replaced_by_a_picture(make, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = Path("plot", "hid_4_2.jpg")
    path.parent.mkdir()
    make(path)
    before = path.stat().st_ino
    assert end_of("check_main", *WRITES["check_main"][1].split()) == 1
    line = the_line("check_main", capsys.readouterr().err)
    assert f"cannot write {path}: it is " in line
    assert path.stat().st_ino == before
    assert sorted(os.listdir("plot")) == ["hid_4_0.jpg", "hid_4_1.jpg", "hid_4_2.jpg"]


# Full disks

SMALL = 2048
# What each script writes first that does not fit, and the flags that make it do so.
WRITES = {
    "kuzu_main": ("net.pth", "--net lin --split 0 --epochs 1 --save net.pth"),
    "check_main": ("plot/hid_4_0.jpg", "--act step --hid 4 --set_weights"),
    "seq_train": ("net/anb2n_srn2_0.pth", "--epoch 1"),
    "seq_plot": ("plot/anb2n_srn2_01.jpg", "--epoch 0 --only scatter --num_plot 1"),
}


@pytest.fixture
def trained(tmp_path) -> Path:
    """A folder in which seq_plot.py finds a checkpoint."""
    from torch import save

    from seq_models import SRN

    (tmp_path / "net").mkdir()
    save(SRN(2, 2, init=1.0).state_dict(), tmp_path / "net" / "anb2n_srn2_0.pth")
    return tmp_path


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_full_disk_is_told_and_no_file_is_lost(name, trained):
    # No file may grow beyond SMALL, so that every write behind that fails as on a full disk.
    path, words = WRITES[name]
    (trained / path).parent.mkdir(exist_ok=True)
    if name != "seq_train":
        (trained / path).write_text("older")
    before = contents(trained)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (SMALL, SMALL))
    done = subprocess.run(
        [sys.executable, ROOT / f"{name}.py", *words.split()],
        cwd=trained,
        env=environment(),
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert done.returncode == 1
    line = the_line(name, done.stderr)
    assert f"cannot write {path}: File too large" in line
    assert contents(trained) == before


@pytest.mark.parametrize("name", SCRIPTS)
def test_output_that_takes_nothing_is_told(name, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        status = end_of(name, *WRITES[name][1].split())
        # Python flushes at its end once more: what is left to print must be gone by then.
    assert status == 1
    assert "standard output: No space left" in the_line(name, capsys.readouterr().err)


@pytest.mark.parametrize(
    "words",
    [f"{name}.py --help" for name in SCRIPTS] + ["check_main.py " + WRITES["check_main"][1]],
)
def test_output_that_takes_nothing_is_told_by_a_process_of_its_own(words, tmp_path):
    shell = f"'{sys.executable}' '{ROOT}'/{words} > /dev/full"
    # Buffered, as it is for a user.
    buffered = {key: value for key, value in environment().items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        shell, shell=True, cwd=tmp_path, env=buffered, capture_output=True, text=True
    )
    assert done.returncode == 1
    name = words.split(".")[0]
    assert "standard output: No space left" in the_line(name, done.stderr)
