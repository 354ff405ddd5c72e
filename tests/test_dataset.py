"""The data sets of Part 1: splits, names, damaged files."""

from cli.process import UserError

import hashlib

import pytest
from shared import header

from kuzushiji import dataset
from kuzushiji.dataset import FILES

# sha256 of the four concatenated files of the split behind the published results.
SPLIT_4 = "fdab85aa1a2af743208c8005317146bd8c5c24bd5bb8fcac51aa9fd4887c2a80"


@pytest.fixture
def raw(small):
    """The folder of a small data set's four files."""
    return small / "KMNIST" / "raw"


def test_a_split_of_kmnist_s_test_images_is_stratified_and_always_the_same():
    images = dataset.load_kuzushiji10k(4)
    parts = (images.train, images.train_target.byte(), images.test, images.test_target.byte())
    content = b"".join(
        header(0x800 + part.ndim, *part.shape) + part.numpy().tobytes() for part in parts
    )
    assert hashlib.sha256(content).hexdigest() == SPLIT_4
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
    "cut off": lambda old: old[: len(old) // 2],
    "another magic number": lambda old: b"\0\0\x08\x02" + old[4:],
    "label 10": lambda old: old[:8] + b"\x0a" * (len(old) - 8),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_with_the_remedy(damage, small, raw):
    path = raw / FILES["label" in damage]
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(UserError, match=rf"{path} is damaged .*: delete it and run again"):
        dataset.load_kmnist(small)
