"""The images of Part 1: what is read is what was written, and nothing damaged is trained on."""

import gzip
import hashlib
import os

import numpy as np
import pytest
import torch
from conftest import header, write_characters, write_idx
from torchvision.datasets import KMNIST

from cli.errors import UserError
from kuzushiji import dataset
from kuzushiji.dataset import FILES, HOST, Unavailable


def test_the_files_in_the_repository_are_those_that_were_published():
    resources = dict(KMNIST.resources)
    assert list(resources) == [f"{name}.gz" for name in FILES]
    assert HOST in KMNIST.mirrors
    assert tuple(KMNIST.classes) == dataset.CLASSES
    for name in FILES[2:]:
        packed = (dataset.BUNDLED / f"{name}.gz").read_bytes()
        assert hashlib.md5(packed).hexdigest() == resources[f"{name}.gz"]
        unpacked = hashlib.sha256(gzip.decompress(packed)).hexdigest()
        assert unpacked == dataset.KMNIST_DIGESTS[name]


# sha256 of the four files, one after the other, that the first splits were measured with.
SPLITS = {
    0: "43f693002a614f4be09f5ae1dc4dfa41ee6e78083579d11550709bbaba3b705c",
    1: "c26421acf5065ed70519e15589706050559c6eead54753ab0e2fa728f9f9a461",
    4: "fdab85aa1a2af743208c8005317146bd8c5c24bd5bb8fcac51aa9fd4887c2a80",
}


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_stays_what_it_was_and_is_stratified(split):
    images = dataset.load_kuzushiji10k(split)
    assert images.name == f"Kuzushiji-10k split {split}"
    parts = (images.train, images.train_target.byte(), images.test, images.test_target.byte())
    content = b"".join(
        header(0x800 + part.ndim, *part.shape) + part.numpy().tobytes() for part in parts
    )
    assert hashlib.sha256(content).hexdigest() == SPLITS[split]
    assert images.train_target.bincount().tolist() == [800] * 10
    assert images.test_target.bincount().tolist() == [200] * 10


def test_kmnist_is_read_as_torchvision_reads_it(small):
    images = dataset.load_kmnist(small)
    for train, data, target in (
        (True, images.train, images.train_target),
        (False, images.test, images.test_target),
    ):
        theirs = KMNIST(small, train=train)
        assert torch.equal(data, theirs.data)
        assert torch.equal(target, theirs.targets)
        assert data.dtype == torch.uint8


def test_only_kmnist_is_called_kmnist(small, monkeypatch):
    # Not by its numbers of images, but by what its files hold.
    raw = small / "KMNIST" / "raw"
    write_idx(raw / FILES[0], np.zeros((60_000, 28, 28)))
    write_idx(raw / FILES[1], np.zeros(60_000))
    images = dataset.load_kmnist(small)
    assert images.name == "data"
    assert images.classes == tuple("0123456789")
    assert images.glyphs == ()
    digests = {name: hashlib.sha256((raw / name).read_bytes()).hexdigest() for name in FILES[1:]}
    monkeypatch.setattr(dataset, "KMNIST_DIGESTS", digests)
    images = dataset.load_kmnist(small)
    assert images.name == "KMNIST"
    assert images.classes[1] == "ki"
    assert images.glyphs == dataset.HIRAGANA


def test_gzipped_files_are_read(small):
    expected = dataset.load_kmnist(small)
    for path in list((small / "KMNIST" / "raw").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert torch.equal(dataset.load_kmnist(small).train, expected.train)
    path = small / "KMNIST" / "raw" / f"{FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=rf"{FILES[0]}\.gz is damaged"):
        dataset.load_kmnist(small)


DAMAGE = {
    "empty": lambda old: b"",
    "no whole header": lambda old: old[:7],
    "half": lambda old: old[: len(old) // 2],
    "one byte short": lambda old: old[:-1],
    "one byte too many": lambda old: old + b"\0",
    "magic": lambda old: b"\0\0\x08\x02" + old[4:],
    "count": lambda old: old[:4] + header(10**9) + old[8:],
    "no images": lambda old: old[:4] + header(0) + old[8:],
    "a web page": lambda old: b"<html><body>404 not found</body></html>",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_with_the_remedy(small, name, damage):
    path = small / "KMNIST" / "raw" / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(UserError, match=rf"{path} is damaged .*: delete it and run again"):
        dataset.load_kmnist(small)


def test_wrong_sizes_and_labels_are_named(small):
    raw = small / "KMNIST" / "raw"
    images = raw / FILES[2]
    old = images.read_bytes()
    images.write_bytes(header(0x803, 120, 14, 56) + old[16:])
    with pytest.raises(UserError, match="not an IDX file of images of 28 x 28"):
        dataset.load_kmnist(small)
    images.write_bytes(old)
    write_idx(raw / FILES[3], np.arange(120) % 11)
    with pytest.raises(UserError, match="the label 10"):
        dataset.load_kmnist(small)
    write_idx(raw / FILES[3], np.arange(119) % 10)
    with pytest.raises(UserError, match=f"{images} holds 120 images, .* 119 labels"):
        dataset.load_kmnist(small)


# Downloads, from a server of our own


def test_only_what_is_missing_is_downloaded(host, tmp_path):
    images = dataset.load_kmnist(tmp_path / "new")
    assert len(images.train) == 300
    assert len(images.test) == 10_000
    raw = tmp_path / "new" / "KMNIST" / "raw"
    names = [end for name in FILES[:2] for end in (name, f"{name}.gz")]
    assert sorted(os.listdir(raw)) == sorted(names)
    assert set(host.asked) == {"/", *(f"/{name}.gz" for name in FILES[:2])}
    # The second time nothing is asked for.
    host.asked.clear()
    dataset.load_kmnist(tmp_path / "new")
    assert host.asked == []


def test_a_failed_download_leaves_nothing_and_a_later_one_succeeds(host, tmp_path):
    host.spoil = lambda content: content[: len(content) // 2]
    with pytest.raises(Unavailable) as told:
        dataset.load_kmnist(tmp_path / "new")
    raw = tmp_path / "new" / "KMNIST" / "raw"
    for part in (str(raw), host.url, *(f"{name}.gz" for name in FILES[:2]), "corrupted"):
        assert part in str(told.value)
    assert os.listdir(tmp_path) == ["source"]
    host.mend()
    assert len(dataset.load_kmnist(tmp_path / "new").train) == 300


def test_files_of_a_user_are_not_replaced(host, tmp_path):
    raw = write_characters(tmp_path / "data") / "KMNIST" / "raw"
    (raw / FILES[1]).unlink()
    before = (raw / FILES[0]).read_bytes()
    assert len(dataset.load_kmnist(tmp_path / "data").test) == 120
    assert (raw / FILES[0]).read_bytes() == before


@pytest.mark.parametrize("address", ["silent", "refused"])
def test_a_host_that_does_not_answer_is_given_up(address, host, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "DOWNLOAD_TIMEOUT", 0.3)
    if address == "silent":
        host.silent = True
    else:
        monkeypatch.setattr(dataset, "HOST", "http://127.0.0.1:9/")
    with pytest.raises(Unavailable, match="could not be downloaded from http"):
        dataset.load_kmnist(tmp_path / "new")
    assert os.listdir(tmp_path) == ["source"]
