"""features.py: what is measured on images and weights, against plain reckoning."""

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
    alike = features.likeness(images)
    a, b = (means[c].ravel() - means[c].mean() for c in (3, 8))
    assert alike[3, 8] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), abs=1e-5)
    assert np.allclose(alike, alike.T)


def test_images_that_go_astray_are_nearer_to_another_mean(images):
    away, means = features.astray(images), features.mean_images(images)
    chosen = images.train[images.train_target == 8].numpy().astype(float)
    nearest = [np.argmin([((p - mean) ** 2).sum() for mean in means]) for p in chosen]
    assert away[8] == pytest.approx(np.mean(np.array(nearest) != 8))
    # Two ways to write a class, far apart, have a mean in which there is another class.
    images = torch.zeros(12, 28, 28, dtype=torch.uint8)
    images[:4, :14], images[4:8, 14:], images[8:, 7:21] = 200, 200, 100
    target = torch.tensor([0] * 8 + [1] * 4)
    two = Images("two", images, target, images, target, tuple("0123456789"))
    assert features.astray(two)[:2].tolist() == [0, 0]
    images[8:] = 90
    assert features.astray(two)[0] == 0
    images[8:, :14], images[8:, 14:] = 150, 20
    assert features.astray(two)[0] == 0.5


def test_the_reasons_name_the_worst_confusions_and_their_rank(images):
    matrix = np.eye(10) * 30
    matrix[8, 1] = 5
    lines = features.reason_lines(matrix, images)
    alike = features.likeness(images)
    order = np.sort(alike[np.triu_indices(10, 1)])[::-1]
    place = int(np.flatnonzero(np.isclose(order, alike[1, 8]))[0]) + 1
    assert lines[0] == (
        f"re -> ki (5): their mean images correlate by {alike[1, 8]:.2f}, "
        f"number {place} of the 45 pairs"
    )
    assert len(lines) == 3


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
    assert "of" in features.feature_lines(net)[0]


def test_half_of_the_weights_and_balanced_filters_are_counted():
    net = NetLin()
    with torch.no_grad():
        net.output.weight.zero_()
        net.output.weight[:, :4] = 1
    assert "half of its squared weights on 2 of its 784" in features.feature_lines(net)[0]
    net = NetConv((4, 2), kernels=(3, 3), fc=0)
    with torch.no_grad():
        net.conv1.weight.fill_(1.0)
        net.conv1.weight[0, 0, 0], net.conv1.weight[0, 0, 2] = -1.0, 1.0
        net.conv1.weight[0, 0, 1] = 0
    assert "first filters: 1 of 4 weigh" in features.feature_lines(net)[0]
