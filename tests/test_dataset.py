"""The data sets of Part 1: reading, damaged files, downloads."""

import gzip
import hashlib
import os

import numpy as np
import pytest
import torch
from shared import NOWHERE, header, write_characters, write_idx

from cli.errors import UserError
from kuzushiji import dataset
from kuzushiji.dataset import FILES


def test_the_bundled_files_are_the_published_ones():
    # Imported here because torchvision takes 2 seconds, in each of pytest's processes.
    from torchvision.datasets import KMNIST

    resources = dict(KMNIST.resources)
    assert list(resources) == [f"{name}.gz" for name in FILES]
    assert tuple(KMNIST.classes) == dataset.CLASSES
    for name in FILES[2:]:
        packed = (dataset.BUNDLED / f"{name}.gz").read_bytes()
        assert hashlib.md5(packed).hexdigest() == resources[f"{name}.gz"]
        unpacked = hashlib.sha256(gzip.decompress(packed)).hexdigest()
        assert unpacked == dataset.KMNIST_DIGESTS[name]


# sha256 of the four concatenated files of the splits behind the published results.
SPLITS = {
    0: "43f693002a614f4be09f5ae1dc4dfa41ee6e78083579d11550709bbaba3b705c",
    4: "fdab85aa1a2af743208c8005317146bd8c5c24bd5bb8fcac51aa9fd4887c2a80",
}


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_is_stratified_and_always_the_same(split):
    images = dataset.load_kuzushiji10k(split)
    parts = (images.train, images.train_target.byte(), images.test, images.test_target.byte())
    content = b"".join(
        header(0x800 + part.ndim, *part.shape) + part.numpy().tobytes() for part in parts
    )
    assert hashlib.sha256(content).hexdigest() == SPLITS[split]
    assert images.train_target.bincount().tolist() == [800] * 10
    assert images.test_target.bincount().tolist() == [200] * 10


def test_images_are_read_as_torchvision_reads_them_gzipped_or_not(small):
    from torchvision.datasets import KMNIST

    images = dataset.load_kmnist(small)
    for train, data, target in (
        (True, images.train, images.train_target),
        (False, images.test, images.test_target),
    ):
        theirs = KMNIST(small, train=train)
        assert torch.equal(data, theirs.data)
        assert torch.equal(target, theirs.targets)
    for path in list((small / "KMNIST" / "raw").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert torch.equal(dataset.load_kmnist(small).train, images.train)


def test_only_kmnist_is_called_kmnist(small, monkeypatch):
    # Recognised by content, not by the number of images.
    raw = small / "KMNIST" / "raw"
    write_idx(raw / FILES[0], np.zeros((60_000, 28, 28)))
    write_idx(raw / FILES[1], np.zeros(60_000))
    images = dataset.load_kmnist(small)
    assert (images.name, images.classes, images.glyphs) == ("data", tuple("0123456789"), ())
    digests = {name: hashlib.sha256((raw / name).read_bytes()).hexdigest() for name in FILES[1:]}
    monkeypatch.setattr(dataset, "KMNIST_DIGESTS", digests)
    images = dataset.load_kmnist(small)
    assert (images.name, images.classes[1], images.glyphs[1]) == ("KMNIST", "ki", "き")


DAMAGE = {
    "empty": lambda old: b"",
    "cut off": lambda old: old[: len(old) // 2],
    "one byte too many": lambda old: old + b"\0",
    "another magic number": lambda old: b"\0\0\x08\x02" + old[4:],
    "a count too high": lambda old: old[:4] + header(10**9) + old[8:],
    "a web page": lambda old: b"<html><body>404 not found</body></html>",
}


@pytest.mark.parametrize("name", FILES[:2])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_with_the_remedy(small, name, damage):
    path = small / "KMNIST" / "raw" / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(UserError, match=rf"{path} is damaged .*: delete it and run again"):
        dataset.load_kmnist(small)


def test_files_of_different_sets_are_named(small):
    raw = small / "KMNIST" / "raw"
    write_idx(raw / FILES[3], np.arange(120) % 11)
    with pytest.raises(UserError, match="label 10"):
        dataset.load_kmnist(small)
    write_idx(raw / FILES[3], np.arange(119) % 10)
    with pytest.raises(UserError, match=f"{raw / FILES[2]} has 120 images, .* 119 labels"):
        dataset.load_kmnist(small)
    (raw / f"{FILES[0]}.gz").write_bytes(gzip.compress((raw / FILES[0]).read_bytes())[:-9])
    (raw / FILES[0]).unlink()
    with pytest.raises(UserError, match=rf"{FILES[0]}\.gz is damaged"):
        dataset.load_kmnist(small)


# Downloads from a local server


def test_only_missing_files_are_downloaded(host, tmp_path, monkeypatch):
    images = dataset.load_kmnist(tmp_path / "new")
    assert (len(images.train), len(images.test)) == (300, 10_000)
    names = [end for name in FILES[:2] for end in (name, f"{name}.gz")]
    assert sorted(os.listdir(tmp_path / "new" / "KMNIST" / "raw")) == sorted(names)
    # No download the second time.
    monkeypatch.setattr(dataset, "HOST", NOWHERE)
    assert torch.equal(dataset.load_kmnist(tmp_path / "new").train, images.train)


def test_user_files_are_not_replaced(host, tmp_path):
    raw = write_characters(tmp_path / "data", train=200) / "KMNIST" / "raw"
    before = (raw / FILES[0]).read_bytes()
    (raw / FILES[1]).unlink()
    with pytest.raises(UserError, match="has 200 images, but its label file 300 labels"):
        dataset.load_kmnist(tmp_path / "data")
    assert (raw / FILES[0]).read_bytes() == before
