"""The data sets of Part 1: splits, names, damaged files."""

from cli.process import UserError

import gzip
import hashlib

import numpy as np
import pytest
from shared import header, write_idx

from kuzushiji import dataset
from kuzushiji.dataset import FILES


@pytest.fixture
def raw(small):
    """The folder of a small data set's four files."""
    return small / "KMNIST" / "raw"


# sha256 of the four concatenated files of the splits behind the published results.
SPLITS = {
    0: "43f693002a614f4be09f5ae1dc4dfa41ee6e78083579d11550709bbaba3b705c",
    4: "fdab85aa1a2af743208c8005317146bd8c5c24bd5bb8fcac51aa9fd4887c2a80",
}


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_of_kmnist_s_test_images_is_stratified_and_always_the_same(split):
    images = dataset.load_kuzushiji10k(split)
    parts = (images.train, images.train_target.byte(), images.test, images.test_target.byte())
    content = b"".join(
        header(0x800 + part.ndim, *part.shape) + part.numpy().tobytes() for part in parts
    )
    assert hashlib.sha256(content).hexdigest() == SPLITS[split]
    assert images.train_target.bincount().tolist() == [800] * 10
    assert images.test_target.bincount().tolist() == [200] * 10


def test_kmnist_is_recognised_by_its_content_and_completed(small, raw, monkeypatch):
    images = dataset.load_kmnist(small)
    assert (images.name, images.classes) == ("data", tuple("0123456789"))
    for name in FILES[2:]:
        (raw / name).unlink()
    with pytest.raises(UserError, match=f"lacks {' and '.join(FILES[2:])} of its data set, which"):
        dataset.load_kmnist(small)
    for name in FILES[:2]:
        monkeypatch.setitem(dataset.KMNIST_IDS, name, dataset.git_id((raw / name).read_bytes()))
    images = dataset.load_kmnist(small)
    assert (images.name, images.classes) == ("KMNIST", dataset.CLASSES)
    assert (len(images.train), len(images.test)) == (300, 10_000)


DAMAGE = {
    "empty": lambda old: b"",
    "cut off": lambda old: old[: len(old) // 2],
    "one byte too many": lambda old: old + b"\0",
    "another magic number": lambda old: b"\0\0\x08\x02" + old[4:],
    "a count too high": lambda old: old[:4] + header(10**9) + old[8:],
    "label 10": lambda old: old[:8] + b"\x0a" * (len(old) - 8),
    "cut off, gzipped": lambda old: gzip.compress(old)[:-9],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_with_the_remedy(damage, small, raw):
    path = raw / FILES["label" in damage]
    content = DAMAGE[damage](path.read_bytes())
    if "gzipped" in damage:
        path.unlink()
        path = path.with_suffix(".gz")
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path} is damaged .*: delete it and run again"):
        dataset.load_kmnist(small)


def test_files_of_different_sets_are_named(small, raw):
    write_idx(raw / FILES[3], np.arange(119) % 10)
    with pytest.raises(UserError, match=f"{raw / FILES[2]} has 120 images, .* 119 labels"):
        dataset.load_kmnist(small)
