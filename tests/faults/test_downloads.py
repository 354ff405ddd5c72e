"""Failed downloads: a one-line error, no files left behind, and success at the next attempt."""

import gzip
import os

import pytest
import torch
from shared import NOWHERE

from kuzushiji import dataset
from kuzushiji.dataset import FILES, KMNISTUnavailable

# Damage done to the first file on the server, and a word of the reason printed.
DAMAGE = {
    "not found": (lambda path: path.unlink(), "404"),
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
    images = dataset.load_kmnist(root)
    assert (images.name, len(images.train), len(images.test)) == ("KMNIST", 300, 10_000)


def test_only_missing_files_are_downloaded_and_only_once(host, tmp_path, monkeypatch):
    images, raw = dataset.load_kmnist(tmp_path), tmp_path / "KMNIST" / "raw"
    assert sorted(os.listdir(raw)) == sorted(f"{name}.gz" for name in FILES[:2])
    (raw / f"{FILES[1]}.gz").unlink()
    (host / f"{FILES[0]}.gz").unlink()
    assert torch.equal(dataset.load_kmnist(tmp_path).train, images.train)
    monkeypatch.setattr(dataset, "HOST", NOWHERE)
    assert torch.equal(dataset.load_kmnist(tmp_path).train, images.train)
