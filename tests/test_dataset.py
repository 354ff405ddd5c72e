"""The data sets of Part 1: splits, names, damaged files."""

from cli.process import UserError

import gzip
import hashlib

import numpy as np
import pytest
from shared import header, write_idx

from kuzushiji import dataset
from kuzushiji.dataset import FILES


def test_the_bundled_files_are_kmnist_s():
    for name in FILES[2:]:
        content = gzip.decompress((dataset.BUNDLED / f"{name}.gz").read_bytes())
        assert dataset.git_id(content) == dataset.KMNIST_IDS[name]


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


def test_only_kmnist_is_called_kmnist(small, monkeypatch):
    # Recognised by content, not by the number of images.
    raw = small / "KMNIST" / "raw"
    write_idx(raw / FILES[0], np.zeros((60_000, 28, 28)))
    write_idx(raw / FILES[1], np.zeros(60_000))
    images = dataset.load_kmnist(small)
    assert (images.name, images.classes) == ("data", tuple("0123456789"))
    for name in FILES:
        monkeypatch.setitem(dataset.KMNIST_IDS, name, dataset.git_id((raw / name).read_bytes()))
    images = dataset.load_kmnist(small)
    assert (images.name, images.classes[1]) == ("KMNIST", "ki")


@pytest.mark.parametrize("missing", [FILES[2:], FILES[:2], FILES[1:2]])
def test_another_data_set_is_not_completed_by_kmnist(missing, small):
    raw = small / "KMNIST" / "raw"
    for name in missing:
        (raw / name).unlink()
    before = sorted(raw.iterdir())
    with pytest.raises(UserError, match=f"lacks {' and '.join(missing)} of its data set, which"):
        dataset.load_kmnist(small)
    assert sorted(raw.iterdir()) == before


def test_kmnist_s_training_files_are_completed_by_the_bundled_test_files(small, monkeypatch):
    raw = small / "KMNIST" / "raw"
    for name in FILES[:2]:
        monkeypatch.setitem(dataset.KMNIST_IDS, name, dataset.git_id((raw / name).read_bytes()))
    for name in FILES[2:]:
        (raw / name).unlink()
    images = dataset.load_kmnist(small)
    assert (images.name, len(images.train), len(images.test)) == ("KMNIST", 300, 10_000)


DAMAGE = {
    "empty": lambda old: b"",
    "cut off": lambda old: old[: len(old) // 2],
    "one byte too many": lambda old: old + b"\0",
    "another magic number": lambda old: b"\0\0\x08\x02" + old[4:],
    "a count too high": lambda old: old[:4] + header(10**9) + old[8:],
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
