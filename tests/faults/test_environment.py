"""Scripts in any environment: locale, home, broken outputs, two at a time; and repeatability."""

import contextlib
import hashlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import pytest
import torch
from conftest import ROOT, SCRIPTS, end_of, environment, write_characters
from PIL import Image

from cli import files

HEAVY = {"torch", "numpy", "matplotlib", "sklearn", "scipy", "torchvision", "networkx", "pandas"}
# Places with spaces and characters beyond ASCII.
PLOT, NET, DATA = "図 と 表/プロット", "重み 1/ネット", "デー タ"
# Hidden units: with three of them seq_plot.py opens a window where there is a screen.
RUNS = {
    "kuzu_main": ["--net", "lin", "--epochs", "1", "--plot", PLOT, "--data", DATA,
                  "--save", f"{NET}/lin 線.pth"],
    "check_main": ["--act", "step", "--hid", "4", "--set_weights", "--plot", PLOT,
                   "--data", f"{DATA}/九 つの点.csv"],
    "seq_train": ["--hid", "3", "--epoch", "1", "--plot", PLOT, "--out_path", NET],
    "seq_plot": ["--hid", "3", "--epoch", "1", "--plot", PLOT, "--out_path", NET,
                 "--only", "scatter", "--num_plot", "1"],
}  # fmt: skip
# Training for one epoch does not succeed.
STATUS = {"kuzu_main": 0, "check_main": 0, "seq_train": 3, "seq_plot": 0}
# Those of one run of each script.
WRITTEN = {
    *(f"{PLOT}/kuzu_lin_{kind}.jpg" for kind in ("confusion", "mistakes", "features")),
    *(f"{PLOT}/{name}_4{end}.jpg" for name, end in (("out", ""), ("out", "_surface"), ("net", ""))),
    *(f"{PLOT}/hid_4_{unit}.jpg" for unit in range(4)),
    *(f"{PLOT}/anb2n_srn3_{kind}.jpg" for kind in ("loss", "01", "02", "12", "3d")),
    *(f"{NET}/anb2n_srn3_{epoch}.pth" for epoch in range(2)),
    f"{NET}/lin 線.pth",
}


@pytest.fixture
def place(tmp_path) -> Path:
    """A working folder in which RUNS find what they read."""
    folder = tmp_path / "other 場所"
    write_characters(folder / DATA)
    shutil.copy(ROOT / "data" / "check.csv", folder / DATA / "九 つの点.csv")
    return folder


def outputs(folder: Path) -> dict[str, Path]:
    """The files that were written below a folder, hidden ones too, by their names in it."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if not name.startswith(DATA)}


def load(path: Path):
    """The content of a picture or of a checkpoint, which must be whole."""
    if path.suffix == ".pth":
        return torch.load(path, weights_only=True)
    with Image.open(path) as picture:
        picture.load()
        return picture


def has_its_end(path: Path) -> bool:
    """Whether a picture or a checkpoint ends as such files do."""
    content = path.read_bytes()
    return content.endswith(b"\xff\xd9") if path.suffix == ".jpg" else b"PK\5\6" in content[-99:]


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights in a file of kuzu_main.py or seq_train.py."""
    content = torch.load(path, weights_only=True)
    return content["state"] if "state" in content else content["net"]


def keep_network(folder: Path) -> None:
    """Save a network that seq_plot.py finds by the flags of RUNS."""
    from seq_models import SRN

    folder.mkdir(parents=True)
    torch.save(SRN(2, 3, init=1.0).state_dict(), folder / "anb2n_srn3_1.pth")


# Environments


def start(name: str, folder: Path, *words, shell: str = "", **variables) -> subprocess.Popen:
    """Start a script by its absolute path in `folder`; `shell` says where its output goes.

    A variable that is None is not set at all.
    """
    changed = {"PYTHONUNBUFFERED": None, **variables}
    kept = {key: value for key, value in environment().items() if key not in changed}
    kept |= {key: value for key, value in changed.items() if value is not None}
    command = ["sh", "-c", f'"$@" {shell}', "sh", sys.executable, str(ROOT / f"{name}.py")]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*command, *RUNS[name], *words], cwd=folder, env=kept, stdout=pipe, stderr=pipe
    )


# No UTF-8 anywhere and no home.
BARE = {"HOME": None, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_two_runs_at_a_time_in_strange_environments_leave_whole_files(place):
    (place / "a_file").touch()
    for name in SCRIPTS:
        one, other = ([], []) if name == "check_main" else (["--seed", "1"], ["--seed", "2"])
        bare = start(name, place, *one, **BARE)
        # A home that not even root can make, and an output that is closed from the start.
        closed = start(name, place, *other, shell=">&-", HOME=str(place / "a_file" / "home"))
        # Whoever looks into the folders meanwhile sees whole files only.
        while bare.poll() is None or closed.poll() is None:
            for written, path in outputs(place).items():
                if written in WRITTEN:
                    assert has_its_end(path), written
            with contextlib.suppress(subprocess.TimeoutExpired):
                bare.wait(0.3)
        printed, told = bare.communicate()
        assert bare.returncode == STATUS[name], told
        assert b"picture: " in printed
        assert told == b""
        printed, told = closed.communicate()
        # matplotlib tells that it cannot keep its own cache, which is no error of ours.
        assert closed.returncode == STATUS[name], told
        assert printed == b""
        assert b"Traceback" not in told
    assert set(outputs(place)) - {"a_file"} == WRITTEN
    for written in WRITTEN:
        load(place / written)


@pytest.mark.parametrize("name", SCRIPTS)
def test_output_that_nobody_reads_on_ends_quietly(name, place):
    if name == "seq_plot":
        keep_network(place / NET)
    # A home that is not there yet is made.
    done = start(name, place, shell="| head -1", HOME=str(place / "home"))
    printed, told = done.communicate()
    assert printed.count(b"\n") == 1
    assert told == b""


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_output_without_japanese_shows_escapes(name, place, monkeypatch, capsys):
    # As PYTHONIOENCODING=ascii does. The hiragana of kuzu_main.py are left out, paths are not.
    monkeypatch.chdir(place)
    if name == "seq_plot":
        keep_network(Path(NET))
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="ascii", write_through=True) as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert (
            end_of(name, *RUNS[name], *(["--no_show"] if name == "seq_plot" else []))
            == STATUS[name]
        )
        printed = written.getvalue().decode("ascii")
    assert capsys.readouterr().err == ""
    escaped = PLOT.encode("ascii", "backslashreplace").decode()
    assert f"picture: {escaped}/" in printed
    if name == "kuzu_main":
        assert "Most frequent confusions" in printed
        after = printed[printed.index("Most frequent") : printed.index("Why")]
        assert "\\u" not in after


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_path_that_stderr_cannot_show_is_told_as_escapes(name, place):
    (place / "点.txt").touch()
    done = subprocess.run(
        [sys.executable, ROOT / f"{name}.py", "--plot", "点.txt"],
        cwd=place,
        env=environment() | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    told = f"{name}.py: error: cannot write into \\u70b9.txt: it is not a folder\n"
    assert done.stderr == told


# The same seed, the same run


# Each with the flags of a small run, in this order: seq_train.py and check_main.py set the number
# of threads for all that comes after them.
REPEATED = {
    "lin": "kuzu_main --net lin --epochs 2 --seed 1 --data data --save lin.pth",
    "full": "kuzu_main --net full --hid 50 --epochs 2 --seed 1 --data data --save full.pth",
    "conv": "kuzu_main --net conv --epochs 1 --seed 1 --data data --save conv.pth",
    "check": "check_main --hid 4 --epoch 300 --seed 1",
    "srn": "seq_train --lang anbn --length 2 --epoch 1 --seed 1",
    "lstm": "seq_train --lang anbn --length 2 --model lstm --epoch 1 --seed 1",
    "plot srn": "seq_plot --lang anbn --length 2 --epoch 1 --seed 1 --num_plot 1",
    "plot lstm": "seq_plot --lang anbn --length 2 --model lstm --epoch 1 --seed 1 --num_plot 1",
}


def repeat(folder: Path, names) -> dict:
    """What runs of REPEATED print, without the seconds they took, and the weights and the pictures
    of seq_plot.py that they leave in a new folder."""
    write_characters(folder / "data")
    found = {"threads": torch.get_num_threads()}
    save_picture = files.save_picture
    with contextlib.chdir(folder):
        for name in names:
            module, *words = REPEATED[name].split()
            # The pictures of the others would take most of the time.
            save = save_picture if module == "seq_plot" else lambda figure, path: None
            output = io.StringIO()
            with mock.patch.object(files, "save_picture", save), redirect_stdout(output):
                importlib.import_module(module).main(words)
            found[name] = re.sub(r"time: [\d.]+ s", "time: N s", output.getvalue())
    for path in folder.rglob("*.pth"):
        kept = b"".join(value.numpy().tobytes() for value in weights(path).values())
        found[path.name] = hashlib.sha256(kept).hexdigest()
    for path in (folder / "plot").iterdir():
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_two_threads_repeat_every_run(tmp_path):
    code = "import json, sys, pathlib, test_environment as t\n"
    code += "print(json.dumps(t.repeat(pathlib.Path(sys.argv[1]), t.REPEATED)))"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)])
    runs = []
    for name in ("one", "other"):
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / name],
            env=environment() | {"OMP_NUM_THREADS": "2", "PYTHONPATH": paths},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout))
    assert runs[0]["threads"] == 2
    assert runs[0].keys() >= {*REPEATED, "lin.pth", "conv.pth", "anbn_srn2_1.pth"}
    for key, value in runs[0].items():
        assert value == runs[1][key], key


def test_one_thread_repeats_what_seq_plot_prints_and_draws(tmp_path):
    names = ["lstm", "plot lstm"]
    one, other = repeat(tmp_path / "one", names), repeat(tmp_path / "other", names)
    assert len([key for key in one if key.endswith(".jpg")]) >= 5
    for key, value in one.items():
        assert value == other[key], key


def test_one_thread_trains_the_perceptron_to_the_same_weights(tmp_path, monkeypatch):
    import check_main

    shown = []
    monkeypatch.setattr(check_main, "draw", lambda net, *rest: shown.append(net.state_dict()))
    for seed in "112":
        check_main.main(["--hid", "3", "--epoch", "50", "--seed", seed, "--plot", str(tmp_path)])
    one, same, other = (torch.cat([each.flatten() for each in net.values()]) for net in shown)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


# What a script imports


def test_step_units_by_hand_import_only_what_drawing_needs(tmp_path):
    # 2 to 3 seconds go into torch and matplotlib; nothing else of that weight may be added.
    code = """
import io, sys
import torch, matplotlib
from matplotlib.figure import Figure
Figure().savefig(io.BytesIO(), format="jpg")
before = set(sys.modules)
import check_main
assert check_main.main(sys.argv[1:]) == 0
print("imported:", *set(sys.modules) - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "--act", "step", "--hid", "4", "--set_weights"],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.splitlines()[-1].split()[1:])
    assert "check" in imported
    assert {name.split(".")[0] for name in imported} & HEAVY - {"torch", "matplotlib"} == set()
    assert "matplotlib.pyplot" not in imported
