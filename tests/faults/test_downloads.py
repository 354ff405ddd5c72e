"""Downloads that fail: told in one line, nothing is left behind, and the next one succeeds."""

import os
import socket

import pytest
from shared import NOWHERE

from kuzushiji import dataset
from kuzushiji.dataset import FILES, KMNISTUnavailable

# What becomes of the first file on the server, and a word of the reason that is printed.
DAMAGE = {
    "not found": (lambda path: path.unlink(), "404"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "corrupted"),
    "another file": (lambda path: path.write_bytes(b"<html></html>"), "corrupted"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_failed_download_leaves_nothing_and_a_later_one_succeeds(damage, host, tmp_path):
    path = host / f"{FILES[0]}.gz"
    whole, (change, reason) = path.read_bytes(), DAMAGE[damage]
    change(path)
    raw = tmp_path / "new" / "KMNIST" / "raw"
    with pytest.raises(KMNISTUnavailable, match=f"(?is){reason}") as told:
        dataset.load_kmnist(tmp_path / "new")
    for expected in (dataset.HOST, str(raw), *(f"{name}.gz" for name in FILES[:2])):
        assert expected in str(told.value)
    assert os.listdir(tmp_path) == ["source"]
    path.write_bytes(whole)
    assert len(dataset.load_kmnist(tmp_path / "new").train) == 300


@pytest.mark.parametrize("address", ["silent", "refused"])
def test_a_host_that_does_not_answer_is_given_up(address, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "DOWNLOAD_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(dataset, "HOST", url if address == "silent" else NOWHERE)
        with pytest.raises(KMNISTUnavailable, match=r"no answer|timed out|refused"):
            dataset.load_kmnist(tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_to_is_named(host, tmp_path):
    (tmp_path / "a_file").touch()
    for place in (tmp_path / "a_file", tmp_path / "a_file" / "data"):
        with pytest.raises(KMNISTUnavailable, match=f"{place}/KMNIST/raw lacks"):
            dataset.load_kmnist(place)
    assert sorted(os.listdir(tmp_path)) == ["a_file", "source"]
