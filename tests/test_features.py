"""features.py: what is measured on images and weights, against plain reckoning."""

import re

import numpy as np
import pytest
import torch
from conftest import characters

from kuzu import NetConv, NetFull, NetLin
from kuzushiji import features
from kuzushiji.dataset import Images


@pytest.fixture(scope="module")
def images() -> Images:
    return characters(1500, 360)


def test_mean_images_and_their_likeness(images):
    pixels, target = images.train.numpy().astype(float), images.train_target.numpy()
    means = [np.mean([p for p, t in zip(pixels, target, strict=True) if t == c], axis=0)
             for c in range(10)]  # fmt: skip
    assert np.allclose(features.mean_images(images), means, atol=1e-3)
    alike = features.mean_image_correlation(images)
    a, b = (means[c].ravel() - means[c].mean() for c in (3, 8))
    assert alike[3, 8] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-5)
    assert np.allclose(alike, alike.T)


def test_images_that_go_astray_are_nearer_to_another_mean(images):
    away, means = features.nearest_mean_error(images), features.mean_images(images)
    chosen = images.train[images.train_target == 8].numpy().astype(float)
    nearest = [np.argmin([((p - mean) ** 2).sum() for mean in means]) for p in chosen]
    assert away[8] == pytest.approx(np.mean(np.array(nearest) != 8))
    # Two ways to write a class, far apart, have a mean in which there is another class.
    images = torch.zeros(12, 28, 28, dtype=torch.uint8)
    images[:4, :14], images[4:8, 14:], images[8:, 7:21] = 200, 200, 100
    target = torch.tensor([0] * 8 + [1] * 4)
    two = Images("two", images, target, images, target, tuple("0123456789"))
    assert features.nearest_mean_error(two)[:2].tolist() == [0, 0]
    images[8:] = 90
    assert features.nearest_mean_error(two)[0] == 0
    images[8:, :14], images[8:, 14:] = 150, 20
    assert features.nearest_mean_error(two)[0] == 0.5


def test_the_reasons_name_the_worst_confusions_and_their_rank(images):
    matrix = np.eye(10) * 30
    matrix[8, 1] = 5
    lines = features.reason_lines(matrix, images)
    alike = features.mean_image_correlation(images)
    order = np.sort(alike[np.triu_indices(10, 1)])[::-1]
    place = int(np.flatnonzero(np.isclose(order, alike[1, 8]))[0]) + 1
    assert lines[0] == (
        f"re -> ki (5): correlation of mean images {alike[1, 8]:.2f} (rank {place} of 45)"
    )
    assert lines[2:] == ["5 errors: too few for correlations (fewer than 30)"]


def test_correlations_stand_beside_n_and_chance(images):
    alike = features.mean_image_correlation(images)
    # As many confusions as the mean images are alike.
    matrix = np.round(50 * np.clip(alike, 0, 1)) * (1 - np.eye(10)) + np.eye(10) * 300
    errors = int(matrix.sum() - matrix.trace())
    pairs, accuracy = features.reason_lines(matrix, images)[-2:]
    assert re.search(rf"correlation \+(0.9\d|1.00) \(n = 45 pairs, {errors} errors, ", pairs)
    assert pairs.endswith("permutation p = 0.001)")
    assert "(n = 10 characters, permutation p = " in accuracy
    # Confusions that have nothing to do with it: p is large as often as not.
    random, high = np.random.default_rng(0), 0
    for _ in range(6):
        matrix = random.poisson(3, (10, 10)) * (1 - np.eye(10)) + np.eye(10) * 300
        line = features.reason_lines(matrix, images)[-2]
        high += float(re.search(r"p = ([\d.]+)\)", line)[1]) > 0.2
    assert high >= 3


def test_the_strongest_unit_is_the_one_that_moves_the_outputs(images):
    torch.manual_seed(0)
    net = NetFull(7)
    with torch.no_grad():
        net.output.weight[:, 4] *= 50
        # A unit that never changes says nothing, however loudly.
        net.output.weight[:, 2] *= 1000
        net.hidden.weight[2] = 0
    order = features.strongest_units(net, images, (0.5, 0.5)).tolist()
    assert order[0] == 4
    assert order[-1] == 2


@pytest.mark.parametrize(
    ("net", "count"),
    [(NetLin(), 20), (NetFull(1), 1), (NetFull(33), 20), (NetConv((30, 2), fc=3), 1 + 48)],
)
def test_pictures_and_figures_of_all_networks(net, count, images):
    figure = features.features_picture(net, images, (0.5, 0.5), "a title")
    assert sum(len(axes.images) for axes in figure.axes) == count
    assert "shuffled" in features.feature_lines(net)[0]


def test_a_stroke_is_near_and_smooth_and_noise_is_neither():
    pictures = np.zeros((3, 28, 28))
    pictures[0, 4:8, 3:5] = 1
    # Two pixels at a distance of 20, each drawn half of the time.
    pictures[1, 5, 4] = pictures[1, 5, 24] = 1
    pictures[2] = np.random.default_rng(0).normal(size=(28, 28))
    far, smooth = features.distance(pictures), features.smoothness(pictures)
    assert far[0] == pytest.approx(np.sqrt(2 * (15 / 12 + 3 / 12)))
    assert far[1] == pytest.approx(20 / np.sqrt(2))
    assert far[2] == pytest.approx(np.sqrt(4 * (28**2 - 1) / 12), rel=0.05)
    assert smooth[0] > 0.6
    assert abs(smooth[2]) < 0.1
    assert abs(smooth[1]) < 0.01


def test_orientation_is_that_of_the_spectrum():
    y, x = np.mgrid[-2:3, -2:3]
    angles = np.array([0, 0.4, np.pi / 4, 1.3])
    window = np.exp(-(x**2 + y**2) / 4)
    waves = [window * np.sin(1.2 * (np.cos(a) * x + np.sin(a) * y)) for a in angles]
    spot = window - window.mean()
    found = features.orientation(np.stack([*waves, spot]))
    assert (found[:4] > 0.6).all()
    assert found[4] < 0.01


def test_shuffled_weights_are_the_baseline():
    torch.manual_seed(0)
    # An untrained filter is oriented as often as by chance.
    (line,) = features.feature_lines(NetConv((400, 2), fc=0))
    assert 8 <= int(re.search(r"(\d+) of 400 oriented", line)[1]) <= 34
    assert "by chance 20.0" in line
    net = NetConv((4, 2), kernels=(5, 5), fc=0)
    with torch.no_grad():
        net.conv1.weight[0, 0] = torch.linspace(-1, 1, 5)[:, None]
    assert int(re.search(r"(\d+) of 4 oriented", features.feature_lines(net)[0])[1]) >= 1
    for net in (NetLin(), NetFull(40)):
        (line,) = features.feature_lines(net)
        found = [float(value) for value in re.findall(r"[+-]?\d+\.\d+", line)]
        assert found[0] == pytest.approx(found[1], abs=0.3)
        assert found[2] == pytest.approx(found[3], abs=0.05)
    with torch.no_grad():
        net.hidden.weight.zero_()
        net.hidden.weight[:, 100:104] = 1
    assert "distance between two weighted pixels 1.6 pixels" in features.feature_lines(net)[0]
