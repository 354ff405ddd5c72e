"""The images of Part 1: KMNIST (Clanuwat et al., 2018), or Kuzushiji-10k.

Kuzushiji-10k is KMNIST's 10,000 test images, which this repository holds, split into training and
test images. A data set is kept in memory as uint8 tensors.
"""

from __future__ import annotations

from cli.errors import UserError
from cli.files import require_file

import contextlib
import gzip
import hashlib
import math
import os
import queue
import shutil
import socket
import tempfile
import threading
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kuzu import SIDE

CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
HIRAGANA = ("お", "き", "す", "つ", "な", "は", "ま", "や", "れ", "を")
# Training images and labels, test images and labels, by torchvision's file names.
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# The published test files, gzipped, in this repository.
BUNDLED = Path(__file__).resolve().parent.parent / "data" / "KMNIST" / "raw"
# sha256 of KMNIST's unpacked labels and test images, which identify the data set. torchvision
# checks the training images when it downloads them.
KMNIST_DIGESTS = {
    FILES[1]: "2a16eeae62da984b8bd24fa32e31d47291f01dac3fe84d5594f304f71e7d374b",
    FILES[2]: "76fbd229ce87db80dd281af5e6670de4ad0e42fb30a7bd643972994c47c1f42e",
    FILES[3]: "a11dc742be8e781a40a92f53d6a4957e7b7d36df2faa097659131ebfd8fd60c6",
}
# torchvision's download host, tested before torchvision is imported, because that takes 2 seconds.
HOST = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
# Seconds without an answer, or without another byte, after which a download fails.
DOWNLOAD_TIMEOUT = 7


class KMNISTUnavailable(UserError):
    """KMNIST is not on this machine and could not be downloaded."""


@dataclass(frozen=True)
class Images:
    """A training and a test set.

    name: as printed.
    train, test: (N, 28, 28) uint8, 0 background, 255 ink.
    train_target, test_target: (N,) int64, 0 to 9.
    classes: the 10 names; glyphs: the 10 characters, empty if unknown.
    split: number of the split of Kuzushiji-10k, None for other data sets.
    """

    name: str
    train: Tensor
    train_target: Tensor
    test: Tensor
    test_target: Tensor
    classes: tuple[str, ...] = CLASSES
    glyphs: tuple[str, ...] = HIRAGANA
    split: int | None = None

    def to(self, device: torch.device) -> Images:
        """Return the same images on another device."""
        names = ("train", "train_target", "test", "test_target")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


# Reading


def load_kuzushiji10k(split: int = 0) -> Images:
    """Return Kuzushiji-10k: 8,000 training and 2,000 test images.

    split: seed of the split, which is stratified: 200 test images of each character.
    """
    images, target = (_read_idx(BUNDLED / f"{name}.gz") for name in FILES[2:])
    random = np.random.default_rng(split)
    test = [random.permutation(np.flatnonzero(target == index))[:200] for index in range(10)]
    test = np.concatenate(test)
    train = random.permutation(np.setdiff1d(np.arange(len(target)), test))
    test = random.permutation(test)
    parts = (images[train], target[train], images[test], target[test])
    return Images(f"Kuzushiji-10k split {split}", *_tensors(parts), split=split)


def load_kmnist(root: str | Path) -> Images:
    """Return KMNIST from `root`/KMNIST/raw, torchvision's folder for it; download missing files.

    The four files may be gzipped or not. Another data set in the same format gets the name of the
    folder `root`, and classes 0 to 9. Raises KMNISTUnavailable if files are missing and cannot be
    downloaded, UserError with the file's name if one is damaged; no partial file remains.
    """
    root = Path(root)
    raw = root / "KMNIST" / "raw"
    if any(_find(raw, name) is None for name in FILES):
        _download(root)
    paths = [_find(raw, name) for name in FILES]
    parts = [_read_idx(path) for path in paths]
    for images, target, path in ((*parts[:2], paths[0]), (*parts[2:], paths[2])):
        if len(images) != len(target):
            raise UserError(
                f"{path} has {len(images)} images, but its label file {len(target)} labels: "
                "replace them by files of the same data set"
            )
    tensors = _tensors(parts)
    digests = dict(zip(FILES, map(_digest, parts), strict=True))
    if all(digests[name] == digest for name, digest in KMNIST_DIGESTS.items()):
        return Images("KMNIST", *tensors)
    return Images(_printable_name(root.resolve().name), *tensors, tuple("0123456789"), ())


def _find(raw: Path, name: str) -> Path | None:
    """Return the path of one of FILES, unpacked or gzipped, or None if it is missing."""
    paths = (raw / name, raw / f"{name}.gz", BUNDLED / f"{name}.gz")
    return next((path for path in paths if path.exists()), None)


def _tensors(parts) -> tuple[Tensor, ...]:
    """Return images, labels, images, labels (uint8) as tensors, labels as int64."""
    tensors = [torch.from_numpy(part) for part in parts]
    return tensors[0], tensors[1].long(), tensors[2], tensors[3].long()


def _read_idx(path: Path) -> np.ndarray:
    """Return the images (N, 28, 28) or labels (N,) of an IDX file, gzipped or not, as uint8."""
    content = require_file(path, "--data").read_bytes()
    try:
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): {_REMEDY}") from None
    magic, shape = (0x803, (SIDE, SIDE)) if "images" in path.name else (0x801, ())
    start = 8 + 4 * len(shape)
    count = max(len(content) - start, 0) // math.prod(shape)
    header = np.array([magic, count, *shape], ">u4").tobytes()
    if not count or content[:start] != header or len(content) != start + count * math.prod(shape):
        expected = "labels" if not shape else f"{SIDE} x {SIDE} images"
        raise UserError(f"{path} is damaged (not an IDX file of {expected}): {_REMEDY}")
    # A copy, because torch warns about read-only memory.
    values = np.frombuffer(content, np.uint8, offset=start).reshape(count, *shape).copy()
    if not shape and values.max() > 9:
        raise UserError(f"{path} is damaged (label {values.max()}, expected 0 to 9): {_REMEDY}")
    return values


_REMEDY = "delete it and run again (git checkout data restores the repository's files)"


def _digest(values: np.ndarray) -> str:
    """Return the sha256 of `values` as an IDX file."""
    header = np.array([0x800 + values.ndim, *values.shape], ">u4").tobytes()
    return hashlib.sha256(header + values.tobytes()).hexdigest()


def _printable_name(name: str) -> str:
    """Return a folder's name for pictures: their font lacks Japanese characters, and matplotlib
    reads text between two $ as a formula."""
    return "".join(c if c.isascii() and c.isprintable() and c != "$" else "?" for c in name)


# Downloading


def _download(root: Path) -> None:
    """Download KMNIST's missing files into `root`/KMNIST/raw.

    Raises KMNISTUnavailable if that fails.
    """
    raw = root / "KMNIST" / "raw"
    missing = [name for name in FILES if _find(raw, name) is None]
    timeout, existed = socket.getdefaulttimeout(), root.exists()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        _require_host()
        # Imported here because it takes 2 seconds and only a download needs it.
        from torchvision.datasets import KMNIST

        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
            fresh = Path(temporary, "KMNIST", "raw")
            fresh.mkdir(parents=True)
            # torchvision verifies and unpacks these, and downloads the others.
            for path in (*BUNDLED.glob("*.gz"), *raw.glob("*.gz")):
                shutil.copyfile(path, fresh / path.name)
            KMNIST(temporary, download=True)
            raw.mkdir(parents=True, exist_ok=True)
            for name in missing:
                for path in (fresh / name, fresh / f"{name}.gz"):
                    os.replace(path, raw / path.name)
    except (RuntimeError, OSError, HTTPException, ValueError) as error:
        if not existed:
            with contextlib.suppress(OSError):
                root.rmdir()
        reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
        raise KMNISTUnavailable(
            f"{raw} lacks KMNIST's {' and '.join(f'{name}.gz' for name in missing)}, which could "
            f"not be downloaded from {HOST} ({reason})"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


def _require_host() -> None:
    """Raise OSError unless HOST answers within DOWNLOAD_TIMEOUT seconds.

    In a thread, because a socket's timeout does not cover a name server that does not answer.
    """
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def connect() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(HOST, method="HEAD")).close()
            answers.put(None)
        except urllib.error.HTTPError:
            answers.put(None)
        except (OSError, HTTPException, ValueError) as error:
            answers.put(error)

    threading.Thread(target=connect, daemon=True).start()
    try:
        error = answers.get(timeout=DOWNLOAD_TIMEOUT)
    except queue.Empty:
        error = TimeoutError(f"no answer from {HOST} in {DOWNLOAD_TIMEOUT} seconds")
    if error:
        raise error
