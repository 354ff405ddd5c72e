"""Damaged, foreign and malicious checkpoints: rejected in one line with the path, or harmless."""

from cli import files
from cli.process import UserError

import io
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from shared import Bomb, check_refused


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[Path, bytes, dict]:
    """Path, bytes and weights of a checkpoint."""
    path = tmp_path_factory.mktemp("net") / "net.pth"
    net = torch.nn.Linear(3, 2)
    files.write_checkpoint(path, net.state_dict(), {"seed": 7, "optimizer": {0: torch.ones(3)}})
    return path, path.read_bytes(), net.state_dict()


def read(path: Path, content: bytes) -> dict | None:
    """Return the weights in a file of these bytes, or None if it is rejected as damaged."""
    path.write_bytes(content)
    try:
        return files.read_checkpoint(path, "--resume")[0]
    except UserError as error:
        if str(error) != f"--resume {path}: damaged, or not a checkpoint":
            raise
        return None


def equal(first: dict, second: dict) -> bool:
    """Return whether two state_dicts are equal."""
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_an_intact_file_is_read_and_a_truncated_one_is_rejected(saved):
    path, intact, weights = saved
    assert equal(read(path, intact), weights)
    # In tenths, and without the last bytes, the table of contents of a zip archive.
    for length in [*(len(intact) * tenth // 10 for tenth in range(10)), -30, -22, -1]:
        assert read(path, intact[:length]) is None


@settings(max_examples=60, derandomize=True, deadline=None, phases=[Phase.generate])
@given(data=st.data())
def test_flipped_bits_and_inserted_bytes_do_not_change_weights(saved, data):
    path, intact, weights = saved
    damaged = bytearray(intact)
    positions = st.tuples(st.integers(0, len(intact) - 1), st.integers(0, 7))
    for position, bit in data.draw(st.lists(positions, min_size=1, max_size=8, unique=True)):
        damaged[position] ^= 1 << bit
    position = data.draw(st.integers(0, len(intact)))
    damaged[position:position] = data.draw(st.binary(max_size=20))
    found = read(path, bytes(damaged))
    assert found is None or equal(found, weights)


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
        # As our own older files, but with other values.
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
