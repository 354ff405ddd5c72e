"""Damaged, foreign and malicious checkpoints: rejected in one line with the path, or harmless."""

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
    """Return hypothesis settings: the same examples in every run, without shrinking."""
    phases = [phase for phase in Phase if phase is not Phase.shrink]
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=count, derandomize=True, deadline=None, phases=phases,
        suppress_health_check=checks,
    )  # fmt: skip


def outcome(call, *args) -> tuple:
    """Return (result of call(*args), None), or (None, message) if it raises UserError."""
    try:
        return call(*args), None
    except UserError as error:
        return None, str(error)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[Path, bytes, dict]:
    """Path, bytes and content of the checkpoint of a training run."""
    folder = tmp_path_factory.mktemp("net")
    with contextlib.redirect_stdout(io.StringIO()):
        seq_train.main(["--epoch", "1", "--out_path", str(folder), "--plot", str(folder)])
    path = folder / "anb2n_srn2_1.pth"
    return path, path.read_bytes(), torch.load(path, weights_only=True)


def read(path: Path, content: bytes) -> dict | None:
    """Return the checkpoint in a file of these bytes, or None if it is rejected as damaged."""
    path.write_bytes(content)
    found, message = outcome(checkpoint.read, path, "--resume")
    assert message in (None, f"--resume {path}: damaged, or not a checkpoint")
    return found


def equal(first, second) -> bool:
    """Return whether two nested contents of checkpoints are equal."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            equal(first[key], second[key]) for key in first
        )
    return first == second


def test_an_intact_file_is_read_and_a_truncated_one_is_rejected(saved):
    path, intact, content = saved
    assert equal(read(path, intact), content)
    # In tenths, and without the last bytes, the table of contents of a zip archive.
    for length in [*(len(intact) * tenth // 10 for tenth in range(10)), -30, -22, -1]:
        assert read(path, intact[:length]) is None


@examples(60)
@given(data=st.data())
def test_flipped_bits_and_inserted_bytes_do_not_change_weights(saved, data):
    path, intact, content = saved
    damaged = bytearray(intact)
    positions = st.tuples(st.integers(0, len(intact) - 1), st.integers(0, 7))
    for position, bit in data.draw(st.lists(positions, min_size=1, max_size=8, unique=True)):
        damaged[position] ^= 1 << bit
    position = data.draw(st.integers(0, len(intact)))
    damaged[position:position] = data.draw(st.binary(max_size=20))
    found = read(path, bytes(damaged))
    assert found is None or equal(found["net"], content["net"])


def saved_bytes(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


# Scripts and flags that read a checkpoint; seq_plot.py finds it by its name.
READERS = [
    ("kuzu_main", ["--load", "net/anb2n_srn2_100.pth"]),
    ("kuzu_main", ["--resume", "net/anb2n_srn2_100.pth"]),
    ("seq_train", ["--resume", "net/anb2n_srn2_100.pth"]),
    ("seq_plot", ["--epoch", "100"]),
]


@pytest.mark.parametrize(("name", "words"), READERS)
def test_foreign_files_are_rejected_without_running_their_code(
    name, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path, canary = Path("net", "anb2n_srn2_100.pth"), tmp_path / "canary"
    path.parent.mkdir()
    bombs = [pickle.dumps({"net": Bomb(canary)}), saved_bytes({"net": Bomb(canary)})]
    foreign = [
        b"",
        b"text",
        pickle.dumps({"net": [1.0]}),
        saved_bytes(torch.ones(2)),
        saved_bytes({}),
        saved_bytes({"net": "lin", "recipe": 3, "task": {"lang": "anb2n"}}),
        saved_bytes(torch.nn.Linear(2, 2).state_dict()),
        saved_bytes(torch.nn.Linear(2, 2)),
        *bombs,
    ]
    for content in foreign:
        path.write_bytes(content)
        check_refused(name, words, 1, str(path), capsys)
    assert not canary.exists()
    # An unsafe reader would run the code.
    pickle.loads(bombs[0])
    assert canary.exists()
