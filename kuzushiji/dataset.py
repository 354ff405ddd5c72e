"""The images of Part 1: KMNIST (Clanuwat et al., 2018), or Kuzushiji-10k.

Kuzushiji-10k is KMNIST's 10,000 test images, which this repository holds, split into training and
test images. A data set is kept in memory as uint8 tensors.
"""

from __future__ import annotations

from cli import files
from cli.process import Progress, UserError

import gzip
import hashlib
import math
import queue
import re
import sys
import threading
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIDE = 28
CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
# KMNIST's unpacked files by torchvision's names, and what `git hash-object` prints for them.
KMNIST_IDS = {
    "train-images-idx3-ubyte": "3cf037df1ccd08cf71c7e9465ca6bc729e79a251",
    "train-labels-idx1-ubyte": "180cd088d65c3b75d97d046ad75476d1176666e0",
    "t10k-images-idx3-ubyte": "1adcabe5a6e822ca4ae03c51ca387e9ca736ad11",
    "t10k-labels-idx1-ubyte": "6e9269c40e2642f2ac5bda1536e4a56c582e5be1",
}
FILES = tuple(KMNIST_IDS)
# KMNIST's test files, gzipped, in this repository.
BUNDLED = Path(__file__).resolve().parent.parent / "data" / "KMNIST" / "raw"
# KMNIST's publisher, from which torchvision downloads as well.
HOST = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"
# Seconds without an answer, or without another byte, after which a download fails.
DOWNLOAD_TIMEOUT = 7


class KMNISTUnavailable(UserError):
    """KMNIST is not on this machine and could not be downloaded."""


# Compared by identity, so that results can be cached.
@dataclass(frozen=True, eq=False)
class Images:
    """A training and a test set.

    name: as printed.
    train, test: (N, 28, 28) uint8, 0 background, 255 ink.
    train_target, test_target: (N,) int64, 0 to 9.
    classes: the 10 names. split: number of the split of Kuzushiji-10k, None for other data sets.
    """

    name: str
    train: Tensor
    train_target: Tensor
    test: Tensor
    test_target: Tensor
    classes: tuple[str, ...] = CLASSES
    split: int | None = None

    def to(self, device: torch.device) -> Images:
        """Return the same images on another device."""
        names = ("train", "train_target", "test", "test_target")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def load_images(dataset: str | None, split: int | None, data: Path | None) -> Images:
    """Return the images chosen by --dataset, --split and --data.

    Prints a line on standard error if Kuzushiji-10k replaces KMNIST. Raises UserError if no images
    are available.
    """
    if split is not None or dataset == "kuzushiji10k":
        return load_kuzushiji10k(split or 0)
    folder = data or Path("data")
    try:
        images = load_kmnist(folder, not data or dataset == "kmnist")
    except KMNISTUnavailable as reason:
        if dataset or data:
            raise
        print(
            f"{reason}; using Kuzushiji-10k instead (KMNIST's 10,000 test images, split 8,000 / "
            "2,000): the results below are not KMNIST results",
            file=sys.stderr,
        )
        return load_kuzushiji10k(0)
    if dataset and images.name != "KMNIST":
        raise UserError(
            f"{folder}/KMNIST/raw holds a data set other than KMNIST: omit --dataset kmnist"
        )
    return images


def load_kuzushiji10k(split: int = 0) -> Images:
    """Return Kuzushiji-10k: 8,000 training and 2,000 test images.

    split: seed of the split, which is stratified: 200 test images of each character.
    """
    images, target = (_read_idx(BUNDLED / f"{name}.gz")[0] for name in FILES[2:])
    random = np.random.default_rng(split)
    test = [random.permutation(np.flatnonzero(target == index))[:200] for index in range(10)]
    test = np.concatenate(test)
    train = random.permutation(np.setdiff1d(np.arange(len(target)), test))
    test = random.permutation(test)
    parts = images[train], target[train], images[test], target[test]
    return _images(f"Kuzushiji-10k split {split}", parts, split=split)


def _images(name: str, parts: Sequence[np.ndarray], **more) -> Images:
    """Return Images of training images and labels, test images and labels, all uint8."""
    tensors = [torch.from_numpy(part) for part in parts]
    return Images(name, tensors[0], tensors[1].long(), tensors[2], tensors[3].long(), **more)


def load_kmnist(root: str | Path, download_into_empty: bool = True) -> Images:
    """Return the images in `root`/KMNIST/raw, torchvision's folder for them.

    The four files may be gzipped or not. Missing files of KMNIST, known by its content, are
    completed by the repository's test files and by downloading. Another data set in the same
    format gets the name of the folder `root`, and classes 0 to 9.

    download_into_empty: whether to download if none of the files is there.
    Raises KMNISTUnavailable if a download fails, UserError if files of another data set are
    missing or a file is damaged. A file is written whole or not at all.
    """
    root = Path(root)
    raw = root / "KMNIST" / "raw"
    paths = {name: path for name in FILES for path in (raw / f"{name}.gz", raw / name)
             if path.exists()}  # fmt: skip
    read = {name: _read_idx(path) for name, path in paths.items()}
    kmnist = all(git_id == KMNIST_IDS[name] for name, (_, git_id) in read.items())
    missing = [name for name in FILES if name not in read]
    if not read and not download_into_empty:
        raise UserError(
            f"--data {root}: no data set in {raw}; --dataset kmnist downloads KMNIST into it"
        )
    if missing and not kmnist:
        raise UserError(
            f"{raw} lacks {' and '.join(missing)} of its data set, which is not KMNIST: complete it"
        )
    for name in missing:
        bundled = BUNDLED / f"{name}.gz"
        read[name] = _read_idx(bundled if bundled.exists() else _download(name, raw, missing))
    for images, target in (FILES[:2], FILES[2:]):
        counts = len(read[images][0]), len(read[target][0])
        if counts[0] != counts[1]:
            raise UserError(
                f"{paths[images]} has {counts[0]} images, but its label file {counts[1]} labels: "
                "replace them by files of the same data set"
            )
    parts = [read[name][0] for name in FILES]
    if kmnist:
        return _images("KMNIST", parts)
    # matplotlib's font lacks many characters, and it reads text between two $ as a formula.
    name = re.sub(r"[^ -~]|\$", "?", root.resolve().name)
    return _images(name, parts, classes=tuple("0123456789"))


def _read_idx(path: Path) -> tuple[np.ndarray, str]:
    """Return the images (N, 28, 28) or labels (N,) of an IDX file, gzipped or not, as uint8, and
    the git id of the unpacked file. Raises UserError if it is damaged."""
    content = files.require_file(path, "--data").read_bytes()
    magic, shape = (0x803, (SIDE, SIDE)) if "images" in path.name else (0x801, ())
    try:
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        start = 8 + 4 * len(shape)
        count = max(len(content) - start, 0) // math.prod(shape)
        header = np.array([magic, count, *shape], ">u4").tobytes()
        size = start + count * math.prod(shape)
        if not count or content[:start] != header or len(content) != size:
            raise ValueError(f"not an IDX file of {'28 x 28 images' if shape else 'labels'}")
        # A copy, because torch warns about read-only memory.
        values = np.frombuffer(content, np.uint8, offset=start).reshape(count, *shape).copy()
        if not shape and values.max() > 9:
            raise ValueError(f"label {values.max()}, expected 0 to 9")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete it and run again (git checkout data restores the "
            "repository's files)"
        ) from None
    return values, git_id(content)


def git_id(content: bytes) -> str:
    """Return what `git hash-object` prints for a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


# Downloading, by urllib instead of torchvision: importing torchvision takes 2 s and fails in some
# installations, and it waits for a silent host without end.


def _download(name: str, raw: Path, missing: list[str]) -> Path:
    """Download one of KMNIST's training files into `raw`; return its path.

    Raises KMNISTUnavailable if that fails, or if nothing arrives for DOWNLOAD_TIMEOUT seconds.
    """
    path, content = raw / f"{name}.gz", bytearray()
    arrived = queue.SimpleQueue()

    def fetch() -> None:
        try:
            with urllib.request.urlopen(HOST + path.name, timeout=DOWNLOAD_TIMEOUT) as answer:
                while part := answer.read1():
                    arrived.put(part)
            arrived.put(b"")
        except Exception as error:  # raised again below
            arrived.put(error)

    # In a thread, because a socket's timeout does not cover a name server that does not answer.
    threading.Thread(target=fetch, daemon=True).start()
    # The size of the training images, packed.
    progress = Progress(18_000_000)
    try:
        while part := arrived.get(timeout=DOWNLOAD_TIMEOUT):
            if isinstance(part, Exception):
                raise part
            content += part
            progress.update(len(content), f"downloading {path.name}")
        if git_id(gzip.decompress(content)) != KMNIST_IDS[name]:
            raise ValueError(f"{path.name} was corrupted")
        files.write(path, bytes(content))
    except (
        OSError, EOFError, zlib.error, HTTPException, ValueError, queue.Empty, UserError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split()) or f"no answer in {DOWNLOAD_TIMEOUT} seconds"
        names = " and ".join(f"{name}.gz" for name in missing if name in FILES[:2])
        raise KMNISTUnavailable(
            f"{raw} lacks KMNIST's {names}, which could not be downloaded from {HOST} ({reason})"
        ) from None
    finally:
        progress.clear()
    return path
