"""Measurements of images and weights against plain calculations."""

import re

import numpy as np
import pytest
import torch
from shared import characters

from kuzu import NetConv, NetFull, NetLin
from kuzushiji import features
from kuzushiji.dataset import Images


@pytest.fixture(scope="module")
def images() -> Images:
    return characters(1000, 360)


def test_mean_images_and_their_correlation(images):
    pixels, target = images.train.numpy().astype(float), images.train_target.numpy()
    means = [pixels[target == index].mean(axis=0) for index in range(10)]
    assert np.allclose(features.mean_images(images), means, atol=1e-3)
    expected = np.corrcoef(np.reshape(means, (10, -1)))
    assert np.allclose(features.mean_image_correlation(images), expected, atol=1e-5)


def test_nearest_mean_error(images):
    means = features.mean_images(images)
    chosen = images.train[images.train_target == 8].numpy().astype(float)
    nearest = [np.argmin([((pixels - mean) ** 2).sum() for mean in means]) for pixels in chosen]
    error = features.nearest_mean_error(images)
    assert error[8] == pytest.approx(np.mean(np.array(nearest) != 8))


def test_reasons_name_the_worst_confusions_and_their_rank(images):
    matrix = np.eye(10) * 30
    matrix[8, 1] = 5
    lines = features.reason_lines(matrix, images)
    alike = features.mean_image_correlation(images)
    rank = 1 + int((alike[np.triu_indices(10, 1)] > alike[1, 8]).sum())
    assert lines[0] == (
        f"re -> ki (5): correlation of mean images {alike[1, 8]:.2f} (rank {rank} of 45)"
    )
    assert lines[2:] == ["5 errors: too few for correlations (at least 30)"]


def test_correlations_are_printed_with_n_and_p(images, monkeypatch):
    # A tenth of the time.
    monkeypatch.setattr(features, "PERMUTATIONS", 99)
    alike = features.mean_image_correlation(images)
    # Confusions proportional to the correlation of the mean images.
    matrix = np.round(50 * np.clip(alike, 0, 1)) * (1 - np.eye(10)) + np.eye(10) * 300
    pairs, error = features.reason_lines(matrix, images)[-2:]
    errors = int(matrix.sum() - matrix.trace())
    assert re.search(rf": \+(0.9\d|1.00) \(n = 45 pairs, {errors} errors; ", pairs)
    assert pairs.endswith("permutation p = 0.010)")
    assert "(n = 10 classes; permutation p = " in error


def test_more_errors_where_more_images_are_closer_to_another_mean_give_a_positive_correlation(
    images,
):
    # Errors of a class proportional to its training images closer to another mean.
    error = np.round(100 * features.nearest_mean_error(images))
    matrix = np.diag(200 - error)
    matrix[np.arange(10), (np.arange(10) + 1) % 10] = error
    assert re.search(
        r": \+(0.9\d|1.00) \(n = 10 classes", features.reason_lines(matrix, images)[-1]
    )


def test_the_strongest_unit_influences_the_outputs_most(images):
    torch.manual_seed(0)
    net = NetFull(7)
    with torch.no_grad():
        net.output.weight[:, 4] *= 50
        # A constant unit does not influence the outputs, however large its weights.
        net.output.weight[:, 2] *= 1000
        net.hidden.weight[2] = 0
    order = features.strongest_units(net, images, (0.5, 0.5)).tolist()
    assert (order[0], order[-1]) == (4, 2)


@pytest.mark.parametrize(
    ("net", "count"),
    [(NetLin(), 20), (NetFull(1), 1), (NetFull(33), 20), (NetConv((30, 2), fc=3), 1 + 48)],
)
def test_every_network_has_a_picture_and_measurements(net, count, images):
    figure = features.features_picture(net, images, (0.5, 0.5), "a title")
    assert sum(len(axes.images) for axes in figure.axes) == count
    assert "shuffled" in features.feature_lines(net)[0]


def test_spatial_extent_and_smoothness_of_a_stroke_two_pixels_and_noise():
    pictures = np.zeros((3, 28, 28))
    pictures[0, 4:8, 3:5] = 1
    # Two pixels at a distance of 20, each sampled half of the time.
    pictures[1, 5, 4] = pictures[1, 5, 24] = 1
    pictures[2] = np.random.default_rng(0).normal(size=(28, 28))
    extent, smooth = features.spatial_extent(pictures), features.smoothness(pictures)
    assert extent[0] == pytest.approx(np.sqrt(2 * (15 / 12 + 3 / 12)))
    assert extent[1] == pytest.approx(20 / np.sqrt(2))
    assert extent[2] == pytest.approx(np.sqrt(4 * (28**2 - 1) / 12), rel=0.05)
    assert smooth[0] > 0.6
    assert abs(smooth[1]) < 0.01
    assert abs(smooth[2]) < 0.1


def test_a_wave_is_oriented_and_a_spot_is_not():
    y, x = np.mgrid[-2:3, -2:3]
    window = np.exp(-(x**2 + y**2) / 4)
    waves = [window * np.sin(1.2 * (np.cos(a) * x + np.sin(a) * y)) for a in (0, 0.4, 0.8, 1.3)]
    found = features.orientation(np.stack([*waves, window - window.mean()]))
    assert (found[:4] > 0.6).all()
    assert found[4] < 0.01


def test_untrained_weights_equal_shuffled_weights():
    torch.manual_seed(0)
    orientation, oriented = features.feature_lines(NetConv((100, 2), fc=0))
    median, shuffled = map(float, re.findall(r"\d\.\d\d", orientation))
    assert median == pytest.approx(shuffled, abs=0.05)
    assert int(re.search(r"(\d+) of 100 ", oriented)[1]) <= 13
    assert "by chance 5.0" in oriented
    for net in (NetLin(), NetFull(40)):
        (line,) = features.feature_lines(net)
        found = [float(value) for value in re.findall(r"[+-]?\d+\.\d+", line)]
        assert found[0] == pytest.approx(found[1], abs=0.3)
        assert found[2] == pytest.approx(found[3], abs=0.05)
