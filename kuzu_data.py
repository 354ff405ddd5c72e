"""The images of Part 1: Kuzushiji-MNIST, checked before use, or scikit-learn's digits.

All images of a set stay in memory as one uint8 tensor; a batch is turned into floats, and
distorted at random if wanted, when it is used. That costs hundredths of what a DataLoader over
single images does.

Kuzushiji-MNIST: Clanuwat et al., "Deep Learning for Classical Japanese Literature" (2018).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import socket
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kuzu import SIDE
from script import Fault, require_file, require_writable

HIRAGANA = ("お", "き", "す", "つ", "な", "は", "ま", "や", "れ", "を")
# What a set in KMNIST's form is called, by its numbers of training and test images. Kuzushiji-10k
# is KMNIST's test set, split in two; its figures cannot be compared with KMNIST's.
NAMES = {(60_000, 10_000): "KMNIST", (8_000, 2_000): "Kuzushiji-10k"}
# Seconds without a byte after which a download is given up.
PATIENCE = 30


@dataclass(frozen=True)
class Images:
    """A training and a test set.

    name: as it is printed; it says which data were used.
    train, test: (N, 28, 28) uint8, 0 background, 255 ink.
    train_target, test_target: (N,) int64, 0 to 9.
    classes: the 10 names; glyphs: the 10 characters, empty where the name is the character.
    """

    name: str
    train: Tensor
    train_target: Tensor
    test: Tensor
    test_target: Tensor
    classes: tuple[str, ...]
    glyphs: tuple[str, ...] = ()

    def to(self, device: torch.device) -> Images:
        """The same images on another device."""
        tensors = (self.train, self.train_target, self.test, self.test_target)
        moved = (tensor.to(device) for tensor in tensors)
        return Images(self.name, *moved, self.classes, self.glyphs)


def prepare(images: Tensor, normalize: tuple[float, float], distortion: float = 0.0) -> Tensor:
    """uint8 images (N, 28, 28) as a network reads them: floats (N, 1, 28, 28).

    normalize: mean and deviation; pixels of 0 (background) to 1 (ink) are reduced by the first
        and divided by the second. (0.5, 0.5), the assignment's, gives -1 to 1.
    distortion: 0 for none, else the strength of `distort`.
    """
    pixels = images.unsqueeze(1).float().div_(255)
    if distortion:
        pixels = distort(pixels, distortion)
    mean, deviation = normalize
    return pixels.sub_(mean).div_(deviation)


def distort(pixels: Tensor, strength: float) -> Tensor:
    """Move and bend each image at random, as another hand would have written it.

    pixels: (N, 1, 28, 28), background 0.
    strength: 1 draws rotation within 10 degrees, scale within 10 % and shear within 0.1 along
        each axis, shift within 2 pixels, all uniform, bends the plane smoothly by a normal
        displacement of half a pixel at the nodes of a 5 x 5 grid (after Simard et al., 2003), and
        thickens or thins the strokes by up to half of what a pixel all round would be. Other
        values multiply all of these.
    """
    count, device = len(pixels), pixels.device

    def uniform(limit: float) -> Tensor:
        return torch.empty(count, device=device).uniform_(-limit * strength, limit * strength)

    # Coordinates run from -1 to 1 over the image: a pixel is 2 / SIDE.
    pixel = 2 / SIDE
    angle, shear = uniform(math.radians(10)), uniform(0.1)
    wide, high = uniform(0.1).exp(), uniform(0.1).exp()
    matrix = affine(angle, shear, wide, high, uniform(2) * pixel, uniform(2) * pixel)
    where = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
    nodes = torch.randn(count, 2, 5, 5, device=device) * (strength * pixel / 2)
    bend = F.interpolate(nodes, size=(SIDE, SIDE), mode="bicubic", align_corners=True)
    moved = F.grid_sample(pixels, where + bend.permute(0, 2, 3, 1), align_corners=False)
    # A fuller or a drier brush: part of the way to each pixel's brightest or darkest neighbour.
    brush = uniform(0.5).view(-1, 1, 1, 1)
    sign = brush.sign()
    return moved.lerp(brightest_neighbour(moved * sign) * sign, brush.abs().clamp(max=1))


def brightest_neighbour(pixels: Tensor) -> Tensor:
    """For each pixel of images (N, 1, H, W) the highest value in the 3 x 3 square around it.

    One direction after the other: ten times as fast as max_pool2d, which keeps the places too.
    """
    for axis in (2, 3):
        first, rest = pixels.narrow(axis, 0, 1), pixels.narrow(axis, 1, pixels.shape[axis] - 1)
        last, start = pixels.narrow(axis, -1, 1), pixels.narrow(axis, 0, pixels.shape[axis] - 1)
        after, before = torch.cat([rest, last], dim=axis), torch.cat([first, start], dim=axis)
        pixels = torch.maximum(torch.maximum(before, after), pixels)
    return pixels


def affine(angle, shear, wide, high, right, down) -> Tensor:
    """Matrices (N, 2, 3): scale by (wide, high), shear x by y, rotate by `angle`, then shift.

    All arguments have shape (N,); the angle is in radians.
    """
    cos, sin = angle.cos(), angle.sin()
    first = (cos * wide, (shear * cos - sin) * high, right)
    second = (sin * wide, (shear * sin + cos) * high, down)
    return torch.stack(first + second, dim=1).view(-1, 2, 3)


# Kuzushiji-MNIST


def load_kmnist(root: str | Path) -> Images:
    """KMNIST from `root`/KMNIST/raw, where torchvision keeps it; downloaded if it is not there.

    The four files may be gzipped or not; a gzipped one must have the md5 that torchvision lists,
    and every header must agree with what follows it. Raises Fault naming the file otherwise, and
    when files are missing and cannot be had; nothing half-written stays behind.

    Other data sets in the same form are accepted, but never named KMNIST.
    """
    from torchvision.datasets import KMNIST

    root = Path(root)
    if root.exists() and not root.is_dir():
        raise Fault(f"--data {root} is a file; the folder that holds KMNIST/raw is needed")
    raw = root / "KMNIST" / "raw"
    missing = [
        name
        for name, _ in KMNIST.resources
        if not ((raw / name).exists() or (raw / name).with_suffix("").exists())
    ]
    if missing:
        _download(raw, missing)
    parts = [_read_idx(raw / name, md5) for name, md5 in KMNIST.resources]
    tensors = []
    for split, images, labels in (("train", *parts[:2]), ("t10k", *parts[2:])):
        if len(images) != len(labels):
            raise Fault(
                f"{raw} holds {len(images)} {split} images but {len(labels)} {split} labels; "
                "they must come from the same data set"
            )
        tensors += [torch.from_numpy(images), torch.from_numpy(labels).long()]
    sizes = len(parts[0]), len(parts[2])
    folder = _drawable(root.resolve().name)
    name = NAMES.get(sizes, f"{folder} (not KMNIST: {sizes[0]} + {sizes[1]} images)")
    return Images(name, *tensors, classes=tuple(KMNIST.classes), glyphs=HIRAGANA)


def _drawable(name: str) -> str:
    """A folder's name as it can stand in a picture, whose font has no Japanese characters and
    which takes what is between two $ for a formula."""
    return "".join(c if c.isascii() and c.isprintable() and c != "$" else "?" for c in name)


def _read_idx(zipped: Path, md5: str) -> np.ndarray:
    """The images (N, 28, 28) or labels (N,) of one IDX file, as uint8.

    zipped: path of the .gz; the unzipped file beside it is used where it exists.
    """
    path = zipped.with_suffix("")
    path = require_file(path if path.exists() else zipped, "--data")
    replace = f"delete it and run again, or put back the one whose .gz has md5 {md5}"
    content = path.read_bytes()
    if path == zipped:
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != md5:
            raise Fault(f"{path} is damaged: its md5 is {found}, expected {md5}; {replace}")
        content = gzip.decompress(content)
    wanted_magic, wanted_shape = (2051, (SIDE, SIDE)) if "images" in path.name else (2049, ())
    start = 8 + 4 * len(wanted_shape)
    if len(content) < start:
        raise Fault(f"{path} is damaged: {len(content)} bytes are no IDX file; {replace}")
    magic, count, *shape = np.frombuffer(content[:start], ">u4").tolist()
    if magic != wanted_magic or tuple(shape) != wanted_shape:
        raise Fault(
            f"{path} is damaged: its header says magic {magic}, sizes {shape}, expected "
            f"magic {wanted_magic}, sizes {list(wanted_shape)}; {replace}"
        )
    values = np.frombuffer(content, np.uint8, offset=start)
    wanted = count * math.prod(wanted_shape)
    if len(values) != wanted or not count:
        raise Fault(
            f"{path} is damaged: {len(values)} bytes follow a header that announces {wanted}; "
            f"{replace}"
        )
    if not wanted_shape and values.max() > 9:
        raise Fault(f"{path} is damaged: it holds the label {values.max()}, above 9; {replace}")
    # A copy, since torch warns about memory that cannot be written to.
    return values.reshape(count, *wanted_shape).copy()


def _download(raw: Path, missing: list[str]) -> None:
    """Fetch the files `missing` into `raw`, each only once it is whole and its md5 is right."""
    from torchvision.datasets import KMNIST
    from torchvision.datasets.utils import download_and_extract_archive

    md5 = dict(KMNIST.resources)
    require_writable(raw)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with tempfile.TemporaryDirectory(prefix=".download-", dir=raw) as temporary:
            for name in missing:
                failures = []
                for mirror in KMNIST.mirrors:
                    url = mirror + name
                    try:
                        download_and_extract_archive(url, temporary, filename=name, md5=md5[name])
                        break
                    # ValueError: of an address that is none, to which a host may redirect.
                    except (RuntimeError, OSError, HTTPException, ValueError) as error:
                        failures.append(f"{url}: {_fault(error, Path(temporary, name), md5[name])}")
                else:
                    raise Fault(_how_to_get(raw, missing, failures))
                for part in (name, name.removesuffix(".gz")):
                    os.replace(Path(temporary, part), raw / part)
    finally:
        socket.setdefaulttimeout(patience)


def _fault(error: Exception, path: Path, md5: str) -> str:
    """What was wrong with a download into `path`; of content torchvision says only that it is."""
    if type(error) is not RuntimeError:
        return str(error) or type(error).__name__
    content = path.read_bytes()
    try:
        gzip.decompress(content)
        whole = bool(content)
    except EOFError:
        whole = False
    except (OSError, zlib.error):
        whole = True
    if not whole:
        return f"incomplete: {len(content)} bytes came"
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return f"damaged: its md5 is {found}, expected {md5}"


def _how_to_get(raw: Path, missing: list[str], failures: list[str]) -> str:
    return (
        f"the KMNIST images are not in {raw} and could not be downloaded (tried "
        f"{'; '.join(failures)}). Put {', '.join(missing)} there yourself, from "
        "the KMNIST page of codh.rois.ac.jp, or try the program offline with --dataset digits"
    )


# Digits


def load_digits() -> Images:
    """scikit-learn's 1,797 handwritten digits, 8 x 8, enlarged to 28 x 28; a fifth for the test.

    The split is stratified and always the same.
    """
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    images, target = datasets.load_digits(return_X_y=True)
    small = torch.from_numpy(images).float().view(-1, 1, 8, 8) * (255 / 16)
    large = F.interpolate(small, size=(SIDE, SIDE), mode="bilinear").squeeze(1).round().byte()
    train, test = train_test_split(
        np.arange(len(target)), test_size=0.2, stratify=target, random_state=0
    )
    target = torch.from_numpy(target).long()
    return Images(
        "scikit-learn's digits, enlarged to 28 x 28",
        large[train],
        target[train],
        large[test],
        target[test],
        classes=tuple("0123456789"),
    )


LOADERS: dict[str, Callable[[str | Path], Images]] = {
    "kmnist": load_kmnist,
    "digits": lambda root: load_digits(),
}
