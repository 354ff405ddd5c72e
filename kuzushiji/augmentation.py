"""From the images of a batch to what a network reads: floats, distorted at random in training.

All is done for a whole batch when it is used. torchvision's transforms of single images, through a
DataLoader, take over ten times as long (docs/recipes.md, "Speed").
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kuzu import SIDE


def prepare(images: Tensor, normalize: tuple[float, float], strength: float = 0.0) -> Tensor:
    """uint8 images (N, 28, 28) as a network reads them: floats (N, 1, 28, 28).

    normalize: mean and deviation; pixels of 0 (background) to 1 (ink) are reduced by the first
        and divided by the second. (0.5, 0.5), the assignment's, gives -1 to 1.
    strength: 0 for none, else the strength of `augment`.
    """
    pixels = images.unsqueeze(1).float().div_(255)
    if strength:
        pixels = augment(pixels, strength)
    mean, deviation = normalize
    return pixels.sub_(mean).div_(deviation)


def augment(pixels: Tensor, strength: float) -> Tensor:
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
    nodes = torch.randn(count, 2, 5 * 5, device=device) * (strength * pixel / 2)
    where = torch.cat([matrix, nodes], dim=2) @ _places().to(device)
    where = where.view(count, 2, SIDE, SIDE).permute(0, 2, 3, 1)
    moved = F.grid_sample(pixels, where, align_corners=False)
    # A fuller or a drier brush: part of the way to the dilated or to the eroded image.
    brush = uniform(0.5).view(-1, 1, 1, 1)
    sign = brush.sign()
    return moved.lerp(dilation(moved * sign) * sign, brush.abs().clamp(max=1))


@functools.cache
def _places() -> Tensor:
    """Return (28, 784): how the numbers of an augmentation move the place of each pixel.

    Of a row of an affine matrix these are x, y and 1 at each pixel; of the 5 x 5 nodes, their
    shares in it by bicubic interpolation. One product with all of them takes a tenth of the time of
    affine_grid and interpolate.
    """
    where = (torch.arange(SIDE) + 0.5) * 2 / SIDE - 1
    x, y = where.expand(SIDE, SIDE), where[:, None].expand(SIDE, SIDE)
    nodes = torch.eye(25).view(25, 1, 5, 5)
    shares = F.interpolate(nodes, size=(SIDE, SIDE), mode="bicubic", align_corners=True)
    return torch.cat([torch.stack([x, y, torch.ones(SIDE, SIDE)]), shares[:, 0]]).flatten(1)


def dilation(pixels: Tensor) -> Tensor:
    """Return for each pixel of images (N, 1, H, W) the highest value in the 3 x 3 square around it.

    One axis after the other: ten times as fast as max_pool2d, which keeps the places too.
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
