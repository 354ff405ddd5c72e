"""Batches of images as a network's input, augmented at random in training.

Whole batches are converted at once: torchvision's transforms of single images in a DataLoader take
over ten times as long (docs/recipes.md, "Speed").
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from kuzushiji.dataset import SIDE


def prepare(images: Tensor, normalize: tuple[float, float], strength: float = 0.0) -> Tensor:
    """Return uint8 images (N, 28, 28) as a network's input: floats (N, 1, 28, 28).

    normalize: mean and standard deviation of pixels scaled to 0 (background) .. 1 (ink), subtracted
        and divided by. The assignment's (0.5, 0.5) maps them to -1 .. 1.
    strength: strength of `augment`, 0 for none.
    """
    pixels = images.unsqueeze(1).float().div_(255)
    if strength:
        pixels = augment(pixels, strength)
    mean, deviation = normalize
    return pixels.sub_(mean).div_(deviation)


def augment(pixels: Tensor, strength: float) -> Tensor:
    """Return images after a random affine map, an elastic distortion and a change of stroke width.

    pixels: (N, 1, 28, 28), background 0.
    strength: at 1, uniform rotation within 10 degrees, scale within 10 % along each axis, shear of
        x by y within 0.1, and shift within 2 pixels along each axis; normal displacements with a
        standard deviation of half a pixel at the nodes of a 5 x 5 grid, interpolated smoothly
        (after Simard et al., 2003); and strokes dilated or eroded by up to half a pixel. Other
        values multiply all of these.
    """
    count, device = len(pixels), pixels.device

    def uniform(limit: float) -> Tensor:
        return torch.empty(count, device=device).uniform_(-limit * strength, limit * strength)

    # Coordinates run from -1 to 1 across the image.
    pixel = 2 / SIDE
    angle, shear = uniform(math.radians(10)), uniform(0.1)
    wide, high = uniform(0.1).exp(), uniform(0.1).exp()
    matrix = affine(angle, shear, wide, high, uniform(2) * pixel, uniform(2) * pixel)
    nodes = torch.randn(count, 2, 5 * 5, device=device) * (strength * pixel / 2)
    where = torch.cat([matrix, nodes], dim=2) @ _places().to(device)
    where = where.view(count, 2, SIDE, SIDE).permute(0, 2, 3, 1)
    moved = F.grid_sample(pixels, where, align_corners=False)
    # Interpolate towards the dilated or the eroded image; erosion is dilation of the negative.
    brush = uniform(0.5).view(-1, 1, 1, 1)
    sign = brush.sign()
    return moved.lerp(dilation(moved * sign) * sign, brush.abs().clamp(max=1))


@functools.cache
def _places() -> Tensor:
    """Return the basis (28, 784) of the sampling coordinates of all pixels.

    The first three rows are x, y and 1 at each pixel, which a row of an affine matrix combines; the
    other 25 are the bicubic interpolation weights of the 5 x 5 grid nodes. One matrix product with
    this basis takes a tenth of the time of affine_grid and interpolate.
    """
    where = (torch.arange(SIDE) + 0.5) * 2 / SIDE - 1
    x, y = where.expand(SIDE, SIDE), where[:, None].expand(SIDE, SIDE)
    nodes = torch.eye(25).view(25, 1, 5, 5)
    shares = F.interpolate(nodes, size=(SIDE, SIDE), mode="bicubic", align_corners=True)
    return torch.cat([torch.stack([x, y, torch.ones(SIDE, SIDE)]), shares[:, 0]]).flatten(1)


def dilation(pixels: Tensor) -> Tensor:
    """Return images (N, 1, H, W) dilated by a 3 x 3 square: the maximum around each pixel.

    Done one axis at a time, ten times as fast as max_pool2d, which also computes the indices.
    """
    for axis in (2, 3):
        first, rest = pixels.narrow(axis, 0, 1), pixels.narrow(axis, 1, pixels.shape[axis] - 1)
        last, start = pixels.narrow(axis, -1, 1), pixels.narrow(axis, 0, pixels.shape[axis] - 1)
        after, before = torch.cat([rest, last], dim=axis), torch.cat([first, start], dim=axis)
        pixels = torch.maximum(torch.maximum(before, after), pixels)
    return pixels


def affine(angle, shear, wide, high, right, down) -> Tensor:
    """Return matrices (N, 2, 3) that scale by (wide, high), shear x by y, rotate, then shift.

    All arguments have shape (N,); the angle is in radians.
    """
    cos, sin = angle.cos(), angle.sin()
    first = (cos * wide, (shear * cos - sin) * high, right)
    second = (sin * wide, (shear * sin + cos) * high, down)
    return torch.stack(first + second, dim=1).view(-1, 2, 3)
