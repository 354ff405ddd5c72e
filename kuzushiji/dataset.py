"""The images of Part 1: KMNIST, or the 10,000 of its images that this repository holds.

All images of a set stay in memory as one uint8 tensor.

KMNIST: Clanuwat et al., "Deep Learning for Classical Japanese Literature" (2018).
"""

from __future__ import annotations

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

from cli.errors import UserError
from cli.files import require_file
from kuzu import SIDE

CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
HIRAGANA = ("お", "き", "す", "つ", "な", "は", "ま", "や", "れ", "を")
# Training images, training labels, test images, test labels, as torchvision keeps them.
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# The published test files, gzipped, which this repository holds.
BUNDLED = Path(__file__).resolve().parent.parent / "data" / "KMNIST" / "raw"
# sha256 of what KMNIST's files unpack to. Those of the labels tell the set from any other; that of
# the training images is not known here, their file is checked when it is downloaded.
KMNIST_DIGESTS = {
    FILES[1]: "2a16eeae62da984b8bd24fa32e31d47291f01dac3fe84d5594f304f71e7d374b",
    FILES[2]: "76fbd229ce87db80dd281af5e6670de4ad0e42fb30a7bd643972994c47c1f42e",
    FILES[3]: "a11dc742be8e781a40a92f53d6a4957e7b7d36df2faa097659131ebfd8fd60c6",
}
# The host that torchvision downloads from, asked before torchvision is imported (2 seconds).
HOST = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
# Seconds without an answer, or without another byte, after which a download is given up.
DOWNLOAD_TIMEOUT = 7


class KMNISTUnavailable(UserError):
    """KMNIST is not on this machine and could not be downloaded."""


@dataclass(frozen=True)
class Images:
    """A training and a test set.

    name: as it is printed; it says which data were used.
    train, test: (N, 28, 28) uint8, 0 background, 255 ink.
    train_target, test_target: (N,) int64, 0 to 9.
    classes: the 10 names; glyphs: the 10 characters, empty where they are not known.
    split: which split of Kuzushiji-10k this is, None for any other set.
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
    """Return Kuzushiji-10k: KMNIST's test images, 8,000 to train and 2,000 to test.

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
    """Return KMNIST from `root`/KMNIST/raw, where torchvision keeps it, downloaded if missing.

    The four files may be gzipped or not. Another set in the same form is returned under the name
    of the folder `root`, with its classes called 0 to 9. Raises KMNISTUnavailable if files are missing
    and cannot be downloaded, UserError naming the file if one is damaged; neither leaves anything.
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
                f"{path} holds {len(images)} images, but the file beside it {len(target)} labels: "
                "put files of the same set there"
            )
    tensors = _tensors(parts)
    digests = dict(zip(FILES, map(_digest, parts), strict=True))
    if all(digests[name] == digest for name, digest in KMNIST_DIGESTS.items()):
        return Images("KMNIST", *tensors)
    return Images(_drawable(root.resolve().name), *tensors, tuple("0123456789"), ())


def _find(raw: Path, name: str) -> Path | None:
    """Return the path of one of FILES, unpacked or gzipped, None if it is missing."""
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
        what = "labels" if not shape else f"images of {SIDE} x {SIDE}"
        raise UserError(f"{path} is damaged (not an IDX file of {what}): {_REMEDY}")
    # A copy, because torch warns about memory that cannot be written to.
    values = np.frombuffer(content, np.uint8, offset=start).reshape(count, *shape).copy()
    if not shape and values.max() > 9:
        raise UserError(f"{path} is damaged (it holds the label {values.max()}): {_REMEDY}")
    return values


_REMEDY = "delete it and run again (git checkout data restores what belongs to the repository)"


def _digest(values: np.ndarray) -> str:
    """Return the sha256 of the IDX file that holds `values`."""
    header = np.array([0x800 + values.ndim, *values.shape], ">u4").tobytes()
    return hashlib.sha256(header + values.tobytes()).hexdigest()


def _drawable(name: str) -> str:
    """Return a folder's name as it can stand in a picture, whose font has no Japanese characters
    and which takes what is between two $ for a formula."""
    return "".join(c if c.isascii() and c.isprintable() and c != "$" else "?" for c in name)


# Downloading


def _download(root: Path) -> None:
    """Put the missing ones of KMNIST's files into `root`/KMNIST/raw, or raise KMNISTUnavailable."""
    raw = root / "KMNIST" / "raw"
    missing = [name for name in FILES if _find(raw, name) is None]
    timeout, existed = socket.getdefaulttimeout(), root.exists()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        _ask_host()
        # Costs 2 seconds, and only the first run with a network needs it.
        from torchvision.datasets import KMNIST

        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
            fresh = Path(temporary, "KMNIST", "raw")
            fresh.mkdir(parents=True)
            # torchvision checks and unpacks these, and downloads the others.
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


def _ask_host() -> None:
    """Raise OSError unless HOST answers in time.

    In a thread, because a name server that is silent is not subject to a socket's timeout.
    """
    answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(HOST, method="HEAD")).close()
            answers.put(None)
        except urllib.error.HTTPError:
            answers.put(None)
        except (OSError, HTTPException, ValueError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        error = answers.get(timeout=DOWNLOAD_TIMEOUT)
    except queue.Empty:
        error = TimeoutError(f"no answer from {HOST} in {DOWNLOAD_TIMEOUT} seconds")
    if error:
        raise error
