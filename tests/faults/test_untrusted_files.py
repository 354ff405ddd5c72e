"""Damaged, foreign and hostile files: each is refused by one line that names it, or is sound.

A reader is what a flag of a script does with its file, and the first step after it. It may end
with a UserError or with a network that can be used, and with nothing else.
"""

import contextlib
import copy
import csv
import io
import os
import pickle
import resource
import signal
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from warnings import catch_warnings

import numpy as np
import pytest
import torch
from conftest import Bomb, StopAfter, write_characters
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import check
import kuzu_main
import seq_plot
import seq_train
from cli import process
from cli.errors import UserError
from kuzushiji import dataset, runs


def hostile(count: int):
    """hypothesis' settings: the same `count` cases in every run, so that what is found once is
    found again, and no student's suite fails of bad luck."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    # A file takes too long to be read hundreds of times more for a smaller example.
    phases = [phase for phase in Phase if phase is not Phase.shrink]
    return settings(
        max_examples=count, derandomize=True, deadline=None, suppress_health_check=checks,
        phases=phases,
    )  # fmt: skip


@contextlib.contextmanager
def in_time_and_memory():
    """Fail if a file takes longer than 20 seconds, or half a gigabyte."""

    def ring(number, frame):
        raise AssertionError("this takes for ever")

    before = signal.signal(signal.SIGALRM, ring)
    high = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(20)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    # In kilobytes; elsewhere in other units.
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - high < 2**19


# The readers


@dataclass
class Files:
    """A whole file of each kind, as bytes, and the images that networks are tested on."""

    folder: Path
    images: dataset.Images
    whole: dict[str, bytes]


def quiet(main, *words) -> None:
    with redirect_stdout(io.StringIO()):
        main(list(map(str, words)))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    """Files that were saved in the middle of training."""
    folder = tmp_path_factory.mktemp("hostile")
    data = write_characters(folder / "data", train=60, test=30)
    quiet(seq_train.main, "--epoch", 1, "--seed", 1, "--out_path", folder / "net",
          "--plot", folder)  # fmt: skip
    saved = folder / "kuzu.pth"
    stopped = mock.patch.object(kuzu_main, "Stop", return_value=StopAfter(6))
    with stopped, mock.patch.object(kuzu_main, "explain"):
        words = ["--net", "conv", "--filters", "2,3", "--kernels", "3,3", "--fc", 4]
        quiet(kuzu_main.main, *words, "--epochs", 2, "--batch", 16, "--seed", 1, "--save", saved,
              "--plot", folder, "--data", data)  # fmt: skip
    whole = {
        "seq": (folder / "net" / "anb2n_srn2_1.pth").read_bytes(),
        "kuzu": saved.read_bytes(),
    }
    return Files(folder, dataset.load_kmnist(data), whole)


def resume_sequences(files: Files, path: Path):
    """seq_train.py --resume, and a step of training."""
    run = seq_train.resume(
        seq_train.build_parser().parse_args(["--resume", str(path), "--epoch", "2"])
    )
    sequences = seq_train.draw(run.language, run.seed, run.seen // seq_train.REPORT_EVERY)
    net = copy.deepcopy(run.net)
    seq_train.train(run, sequences, StopAfter(1))
    assert run.stem
    assert run.plot_command
    return net


def plot_sequences(files: Files, path: Path):
    """What seq_plot.py does first."""
    args = seq_plot.build_parser().parse_args(["--out_path", str(path.parent), "--epoch", "1"])
    task, net, _ = seq_plot.load(path, args)
    net(task.language.from_strings(["AABBBB"]).symbols)
    return net


def load_characters(files: Files, path: Path):
    """kuzu_main.py --load, and the test."""
    recipe, net, _ = runs.read(path, "--load")
    kuzu_main.test(recipe, net, files.images)
    return net


def resume_characters(files: Files, path: Path):
    """kuzu_main.py --resume, and a step of training."""
    recipe, saved, content = runs.read(path, "--resume")
    run = runs.resume(path, recipe, saved, content, files.images)
    net = copy.deepcopy(run.net)
    kuzu_main.train(run, files.images, StopAfter(1), process.Progress(1))
    return net


READERS = {
    "seq_train --resume": ("seq", resume_sequences),
    "seq_plot": ("seq", plot_sequences),
    "kuzu_main --load": ("kuzu", load_characters),
    "kuzu_main --resume": ("kuzu", resume_characters),
}
every_reader = pytest.mark.parametrize("reader", READERS)


def path_of(files: Files) -> Path:
    """Where a file is put before it is read; seq_plot.py chooses the name."""
    return files.folder / "net" / "anb2n_srn2_1.pth"


def outcome(call, *args):
    """What call(*args) returns, and the text of the UserError that it raised instead, or None."""
    try:
        with in_time_and_memory(), redirect_stdout(io.StringIO()), catch_warnings(action="error"):
            return call(*args), None
    except UserError as fault:
        return None, str(fault)


def weights_after(reader: str, files: Files, content: bytes | None = None) -> dict | None:
    """What `reader` makes of a file: None if it is refused, else the weights."""
    path = path_of(files)
    if content is not None:
        path.write_bytes(content)
    net, fault = outcome(READERS[reader][1], files, path)
    if fault:
        # The file is named, or what its flags make of sound weights.
        assert str(path) in fault or "lower --lr" in fault
        return None
    state = net.state_dict()
    assert all(value.isfinite().all() for value in state.values())
    return state


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def packed(content, **how) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def opened(content: bytes):
    return torch.load(io.BytesIO(content), weights_only=True)


def expected(reader: str, files: Files) -> dict:
    """The weights in the undamaged file of a reader."""
    kind, _ = READERS[reader]
    return opened(files.whole[kind])["net" if kind == "seq" else "state"]


# Damage


@every_reader
def test_a_whole_file_is_read(reader, files):
    whole = files.whole[READERS[reader][0]]
    assert same(weights_after(reader, files, whole), expected(reader, files))


@every_reader
def test_a_truncated_file_is_refused(reader, files):
    whole = files.whole[READERS[reader][0]]
    # Every tenth, and the last bytes, which say where in the file everything is.
    for length in [*(len(whole) * tenth // 10 for tenth in range(10)), *range(-30, 0)]:
        assert weights_after(reader, files, whole[:length]) is None


@every_reader
@hostile(150)
@given(data=st.data())
def test_flipped_bits_change_no_weight(reader, files, data):
    whole = bytearray(files.whole[READERS[reader][0]])
    before = expected(reader, files)
    places = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 7))
    for place, bit in data.draw(st.lists(places, min_size=1, max_size=8, unique=True)):
        whole[place] ^= 1 << bit
    after = weights_after(reader, files, bytes(whole))
    assert after is None or same(after, before)


@every_reader
@hostile(75)
@given(data=st.data())
def test_bytes_cut_out_repeated_or_put_in_change_no_weight(reader, files, data):
    whole, before = files.whole[READERS[reader][0]], expected(reader, files)
    begin, end, to = (data.draw(st.integers(0, len(whole))) for _ in range(3))
    piece = whole[begin:end] + data.draw(st.binary(max_size=20))
    after = weights_after(reader, files, whole[:to] + piece + whole[max(to, end) :])
    assert after is None or same(after, before)


# Contents that this project never writes


@every_reader
def test_what_some_other_program_saved_is_refused(reader, files):
    kind, _ = READERS[reader]
    other = {"seq": "kuzu", "kuzu": "seq"}[kind]
    foreign = [
        files.whole[other],
        b"",
        b"text",
        b"PK\x03\x04 no",
        bytes(1000),
        pickle.dumps([1, 2]),
        pickle.dumps({"net": [1.0]}),
        packed([torch.ones(2)]),
        packed(torch.ones(2)),
        packed({}),
        packed({"a": 1}),
        packed({"net": "lin", "recipe": 3}),
        packed(torch.nn.Linear(2, 2).state_dict()),
        packed(torch.nn.Linear(2, 2)),
    ]
    for content in foreign:
        assert weights_after(reader, files, content) is None


# Files that would run code


# Ways to hide a pickle that runs code: bare, or as a part of a file of torch's, new or old.
DISGUISES = {
    "bare": lambda bomb, protocol, whole: pickle.dumps(bomb, protocol),
    "in a dict": lambda bomb, protocol, whole: pickle.dumps({"net": bomb}, protocol),
    "whole file": lambda bomb, protocol, whole: packed(
        opened(whole) | {"other": bomb}, pickle_protocol=protocol
    ),
    "old format": lambda bomb, protocol, whole: packed(
        {"net": bomb}, pickle_protocol=protocol, _use_new_zipfile_serialization=False
    ),
}


@every_reader
@pytest.mark.parametrize("disguise", DISGUISES)
def test_no_code_in_a_file_is_run(reader, disguise, files, tmp_path):
    whole, canary = files.whole[READERS[reader][0]], tmp_path / "canary"
    for protocol in range(6):
        content = DISGUISES[disguise](Bomb(canary), protocol, whole)
        assert weights_after(reader, files, content) is None
    assert not canary.exists()
    # The bomb is no dud: a reader that trusts its file runs it.
    if disguise in ("bare", "in a dict"):
        pickle.loads(content)
    else:
        torch.load(io.BytesIO(content), weights_only=False)
    assert canary.exists()


# What is no file at all


def special_files(folder: Path) -> dict[str, Path]:
    folder.mkdir()
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nothing")
    (folder / "device").symlink_to("/dev/zero")
    (folder / "self").symlink_to(".")
    return {path.name: path for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop", "dangling", "device", "self"])
def test_what_is_no_file_is_refused_at_once(kind, files, tmp_path):
    odd = special_files(tmp_path / "odd")[kind]
    for reader in READERS:
        path = path_of(files)
        path.unlink(missing_ok=True)
        path.symlink_to(odd)
        try:
            assert weights_after(reader, files) is None
        finally:
            path.unlink()
    with in_time_and_memory(), pytest.raises(UserError, match=f"--data .*{kind}"):
        check.read_table(odd)
    data = write_characters(tmp_path / "data", train=10, test=10)
    images = data / "KMNIST" / "raw" / "t10k-images-idx3-ubyte"
    images.unlink()
    images.symlink_to(odd)
    if kind in ("dangling", "loop"):
        # A link that leads nowhere is a file that is missing: the repository's own is taken.
        assert len(dataset._read_idx(dataset._find(images.parent, images.name))) == 10_000
        return
    with in_time_and_memory(), pytest.raises(UserError, match="t10k-images-idx3-ubyte"):
        dataset.load_kmnist(data)


# Tables and images


numbers = st.floats(-1e6, 1e6, width=32).map(lambda value: float(np.float32(value)))
tables = st.lists(
    st.tuples(numbers, numbers, st.sampled_from([0, 1])),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[:2],
)


@hostile(200)
@given(
    tables, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans(),
    st.sampled_from(["X1,X2,T", "x,y,target", '"X1","X2","T"', " X1 , X2 , T "]),
)  # fmt: skip
def test_a_table_is_the_same_in_every_dialect(
    tmp_path_factory, rows, bom, ending, quotes, blank, header
):
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if quotes else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=ending, quoting=quoting).writerows(rows)
    body = text.getvalue().replace(ending, ending * 2) if blank else text.getvalue()
    path = tmp_path_factory.getbasetemp() / "dialect.csv"
    path.write_bytes(f"{header}{ending}{body}".encode("utf-8-sig" if bom else "utf-8"))
    points, target = check.read_table(path)
    assert torch.equal(torch.cat([points, target], dim=1), torch.tensor(rows).float())


cells = st.one_of(
    st.sampled_from(["0", "1", "2", "-1", "0.5", "", " ", "nan", "inf", "1e9", "1e400", "0x1"]),
    st.sampled_from(['"', '""', '"1', "１", "一", "\x00", "\ufeff1", "1_0", "a" * 200_000]),
    st.text(max_size=4),
)


@hostile(300)
@given(
    st.lists(st.lists(cells, max_size=5).map(",".join), max_size=6),
    st.sampled_from(["X1,X2,T", "X1,X2", "X1,X2,T,U", "", "0,0,1"]),
    st.sampled_from(["\n", "\r\n", "\r", "\x0b", "\u2028"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "shift_jis"]),
)
def test_a_table_of_anything_is_refused_or_right(tmp_path_factory, rows, header, ending, encoding):
    path = tmp_path_factory.getbasetemp() / "anything.csv"
    text = ending.join([header, *rows])
    path.write_bytes(text.encode(encoding, errors="replace"))
    table, fault = outcome(check.read_table, path)
    if fault:
        assert str(path) in fault
        return
    points, target = table
    assert points.shape == (len(target), 2)
    assert points.abs().max() <= 1e6
    assert set(target.flatten().tolist()) <= {0, 1}
    assert header == "X1,X2,T"
    assert len(target) <= len(rows) * max(1, text.count("\x85") + 1)


@hostile(300)
@given(
    st.sampled_from(["images", "labels"]),
    st.sampled_from([2051, 2049, 0, 2050, 0x03080000]),
    st.sampled_from([0, 1, 2, 3, 2**31, 2**32 - 1]),
    st.sampled_from([(), (28, 28), (28, 27), (0, 0), (2**16, 2**16), (784, 1)]),
    st.integers(0, 3),
    st.sampled_from([0, 0, 0, -1, 1, 28]),
    st.integers(0, 255),
)
def test_an_idx_file_is_read_only_if_all_of_it_agrees(
    tmp_path_factory, kind, magic, count, shape, there, more, value
):
    raw = tmp_path_factory.getbasetemp() / "raw"
    raw.mkdir(exist_ok=True)
    name = "t10k-images-idx3-ubyte" if kind == "images" else "t10k-labels-idx1-ubyte"
    size = max(0, there * (784 if kind == "images" else 1) + more)
    header = np.array([magic, count, *shape], ">u4").tobytes()
    (raw / name).write_bytes(header + bytes([value]) * size)
    sound = (magic, shape) == ((2051, (28, 28)) if kind == "images" else (2049, ()))
    sound = sound and count == there > 0 and more == 0 and (kind == "images" or value <= 9)
    values, fault = outcome(dataset._read_idx, raw / name)
    assert sound == (fault is None)
    if fault:
        assert f"{raw / name} is damaged" in fault
        return
    assert values.shape == (count, *shape)
    assert (values == value).all()
