"""Failed downloads: a one-line error, no files left behind, and success at the next attempt."""

import gzip
import os
import socket

import pytest
import torch
from shared import NOWHERE

from kuzushiji import dataset
from kuzushiji.dataset import FILES, KMNISTUnavailable

# Damage done to the first file on the server, and a word of the reason printed.
DAMAGE = {
    "not found": (lambda path: path.unlink(), "404"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "ended before"),
    "a web page": (lambda path: path.write_bytes(b"<html></html>"), "Not a gzipped file"),
    "another file": (lambda path: path.write_bytes(gzip.compress(b"x")), "corrupted"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_failed_download_leaves_nothing_and_a_later_one_succeeds(damage, host, tmp_path):
    path, root = host / f"{FILES[0]}.gz", tmp_path / "new"
    original, (inflict, reason) = path.read_bytes(), DAMAGE[damage]
    inflict(path)
    lacks = f"^{root}/KMNIST/raw lacks KMNIST's {FILES[0]}.gz and {FILES[1]}.gz, .*"
    with pytest.raises(KMNISTUnavailable, match=f"{lacks}{dataset.HOST} .*{reason}.*$"):
        dataset.load_kmnist(root)
    assert os.listdir(tmp_path) == ["source"]
    path.write_bytes(original)
    assert len(dataset.load_kmnist(root).train) == 300


@pytest.mark.parametrize("address", ["silent", "refused"])
def test_a_host_that_does_not_answer_is_abandoned(address, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "DOWNLOAD_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setattr(dataset, "HOST", url if address == "silent" else NOWHERE)
        with pytest.raises(KMNISTUnavailable, match=r"no answer|timed out|refused"):
            dataset.load_kmnist(tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_only_missing_files_are_downloaded_and_only_once(host, tmp_path, monkeypatch):
    (tmp_path / "a_file").touch()
    with pytest.raises(KMNISTUnavailable, match="a_file/KMNIST/raw lacks"):
        dataset.load_kmnist(tmp_path / "a_file")
    images = dataset.load_kmnist(tmp_path)
    raw = tmp_path / "KMNIST" / "raw"
    assert (len(images.train), len(images.test)) == (300, 10_000)
    assert sorted(os.listdir(raw)) == sorted(f"{name}.gz" for name in FILES[:2])
    (raw / f"{FILES[1]}.gz").unlink()
    (host / f"{FILES[0]}.gz").unlink()
    assert torch.equal(dataset.load_kmnist(tmp_path).train, images.train)
    monkeypatch.setattr(dataset, "HOST", NOWHERE)
    assert torch.equal(dataset.load_kmnist(tmp_path).train, images.train)
