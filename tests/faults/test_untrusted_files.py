"""Damaged, foreign and hostile files: each is refused by one line that names it, or is sound."""

import contextlib
import io
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from shared import Bomb, check_refused

import seq_train
from cli import checkpoint
from cli.errors import UserError


def examples(count: int):
    """hypothesis' settings: the same cases in every run, and none made smaller."""
    phases = [phase for phase in Phase if phase is not Phase.shrink]
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=count, derandomize=True, deadline=None, phases=phases,
        suppress_health_check=checks,
    )  # fmt: skip


def outcome(call, *args) -> tuple:
    """What call(*args) returns and None, or None and the text of the UserError that it raises."""
    try:
        return call(*args), None
    except UserError as error:
        return None, str(error)


# Weights


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[Path, bytes, dict]:
    """Where a file of weights is put, a whole one of a training run, and what it holds."""
    folder = tmp_path_factory.mktemp("net")
    with contextlib.redirect_stdout(io.StringIO()):
        seq_train.main(["--epoch", "1", "--out_path", str(folder), "--plot", str(folder)])
    path = folder / "anb2n_srn2_1.pth"
    return path, path.read_bytes(), torch.load(path, weights_only=True)


def read(path: Path, content: bytes) -> dict | None:
    """What is read of a file with this content; None if it is refused by name."""
    path.write_bytes(content)
    found, fault = outcome(checkpoint.read, path, "--resume")
    assert fault in (None, f"--resume {path}: not a whole file of weights")
    return found


def same(one, other) -> bool:
    """Whether two nested contents of files are equal."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def test_a_whole_file_is_read_and_a_truncated_one_is_refused(saved):
    path, whole, content = saved
    assert same(read(path, whole), content)
    # Every tenth, and the last bytes, which hold the places of all else in the file.
    for length in [*(len(whole) * tenth // 10 for tenth in range(10)), -30, -22, -1]:
        assert read(path, whole[:length]) is None


@examples(60)
@given(data=st.data())
def test_flipped_bits_and_bytes_put_in_change_no_weight(saved, data):
    path, whole, content = saved
    damaged = bytearray(whole)
    places = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 7))
    for place, bit in data.draw(st.lists(places, min_size=1, max_size=8, unique=True)):
        damaged[place] ^= 1 << bit
    place = data.draw(st.integers(0, len(whole)))
    damaged[place:place] = data.draw(st.binary(max_size=20))
    after = read(path, bytes(damaged))
    assert after is None or same(after["net"], content["net"])


def packed(content, **how) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


# The flags that read weights; seq_plot.py finds its file by its name.
READERS = [
    ("kuzu_main", ["--load", "net/anb2n_srn2_100.pth"]),
    ("kuzu_main", ["--resume", "net/anb2n_srn2_100.pth"]),
    ("seq_train", ["--resume", "net/anb2n_srn2_100.pth"]),
    ("seq_plot", ["--epoch", "100"]),
]


@pytest.mark.parametrize(("name", "words"), READERS)
def test_the_files_of_other_programs_are_refused_and_no_code_in_them_is_run(
    name, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path, canary = Path("net", "anb2n_srn2_100.pth"), tmp_path / "canary"
    path.parent.mkdir()
    bombs = [pickle.dumps({"net": Bomb(canary)}), packed({"net": Bomb(canary)})]
    foreign = [
        b"",
        b"text",
        pickle.dumps({"net": [1.0]}),
        packed(torch.ones(2)),
        packed({}),
        packed({"net": "lin", "recipe": 3, "task": {"lang": "anb2n"}}),
        packed(torch.nn.Linear(2, 2).state_dict()),
        packed(torch.nn.Linear(2, 2)),
        *bombs,
    ]
    for content in foreign:
        path.write_bytes(content)
        check_refused(name, words, 1, str(path), capsys)
    assert not canary.exists()
    # The bomb is no dud: a reader that trusts its file runs it.
    pickle.loads(bombs[0])
    assert canary.exists()
