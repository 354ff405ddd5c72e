"""Normalisation as in the course, and augmentation within its limits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import characters

from kuzushiji import augmentation


def test_normalisation_matches_the_course():
    images = characters(20).train
    expected = ((images.double() / 255 - 0.19) / 0.35).unsqueeze(1)
    assert torch.allclose(augmentation.prepare(images, (0.19, 0.35)).double(), expected, atol=1e-6)


@given(*[st.floats(-2, 2)] * 2, *[st.floats(0.5, 2)] * 2, *[st.floats(-1, 1)] * 2)
@settings(max_examples=20, deadline=None)
def test_affine_is_scale_then_shear_then_rotation_then_shift(angle, shear, wide, high, x, y):
    values = (angle, shear, wide, high, x, y)
    ours = augmentation.affine(*(torch.tensor([value], dtype=torch.float64) for value in values))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = rotation @ np.array([[1, shear], [0, 1]]) @ np.diag([wide, high])
    assert np.allclose(ours[0], np.column_stack([expected, [x, y]]))


def test_places_match_affine_grid_and_bicubic_interpolation():
    torch.manual_seed(0)
    matrix, nodes = torch.randn(3, 2, 3), torch.randn(3, 2, 25)
    grid = F.affine_grid(matrix, [3, 1, 28, 28], align_corners=False).permute(0, 3, 1, 2)
    bend = F.interpolate(nodes.view(3, 2, 5, 5), (28, 28), mode="bicubic", align_corners=True)
    places = torch.cat([matrix, nodes], dim=2) @ augmentation._places()
    assert torch.allclose(places.view(3, 2, 28, 28), grid + bend, atol=1e-5)


def test_augmentation_keeps_ink_and_limits_shifts():
    torch.manual_seed(0)
    pixels = torch.zeros(500, 1, 28, 28)
    pixels[:, :, 12:16, 12:16] = 1
    moved = augmentation.augment(pixels, 1.0)
    ink = moved.sum(dim=(1, 2, 3))
    # A square of 16 pixels, scaled by up to 10 % each way; a margin of one pixel adds 20 or removes
    # 12, a quarter of it on average, each half of the time.
    assert 16 < ink.mean() < 18.5
    right = (moved.sum(dim=(1, 2)) * torch.arange(28.0)).sum(dim=1) / ink - 13.5
    # Uniform shifts within 2 pixels, and displacements of about 1 pixel.
    assert (4 / 3) ** 0.5 < right.std() < 2


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_maps_are_drawn_within_their_limits(strength, monkeypatch):
    drawn, affine = [], augmentation.affine
    monkeypatch.setattr(
        augmentation, "affine", lambda *values: drawn.extend(values) or affine(*values)
    )
    augmentation.augment(torch.zeros(2000, 1, 28, 28), strength)
    drawn[2:4] = drawn[2].log(), drawn[3].log()
    # Degrees; shear; scales; shifts in pixels, of which 14 are a unit.
    limits = (10 * np.pi / 180, 0.1, 0.1, 0.1, 2 / 14, 2 / 14)
    for values, limit in zip(drawn, limits, strict=True):
        assert [values.min(), values.max()] == pytest.approx(
            [-limit * strength, limit * strength], rel=0.02
        )


@given(st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_dilation_is_max_pooling(high, wide):
    pixels = torch.rand(3, 1, high, wide)
    expected = F.max_pool2d(pixels, 3, stride=1, padding=1)
    assert torch.equal(augmentation.dilation(pixels), expected)
