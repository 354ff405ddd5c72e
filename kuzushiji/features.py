"""The weights of Part 1's networks as pictures, and measurements that may explain confusions.

NetLin has a weight for each pixel and class: ten templates. NetFull has a picture of weights for
each hidden unit, NetConv a small one for each filter.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import rankdata

from kuzu import SIDE, NetConv, NetFull, NetLin
from kuzushiji.augmentation import prepare
from kuzushiji.confusion import class_accuracy, worst_confusions
from kuzushiji.dataset import Images
from kuzushiji.pictures import Labels
from kuzushiji.tiles import Tiles

# Maximum number of units and of filters in a picture.
MAX_UNITS, MAX_FILTERS = 20, 24
# Random permutations of the classes in a permutation test.
PERMUTATIONS = 999
# Minimum number of errors for a correlation.
MIN_ERRORS = 30
# A filter is oriented if at most this share of SHUFFLES shuffled versions of it is as oriented.
ORIENTED, SHUFFLES = 0.05, 200


# Possible reasons for confusions, measured on the training images


def mean_images(images: Images) -> np.ndarray:
    """Return the mean training image of each class, (10, 28, 28); nan if a class has no images."""
    pixels, target = images.train.cpu().float(), images.train_target.cpu()
    return torch.stack([pixels[target == index].mean(dim=0) for index in range(10)]).numpy()


def mean_image_correlation(images: Images) -> np.ndarray:
    """Return the correlation matrix (10, 10) of the classes' mean images, over pixels."""
    return np.corrcoef(mean_images(images).reshape(10, -1))


def nearest_mean_error(images: Images) -> np.ndarray:
    """Return for each class (10,) the share of its training images closer to the mean image of
    another class: the training error of a nearest-mean classifier."""
    pixels, target = images.train.cpu().flatten(1).float(), images.train_target.cpu()
    means = torch.from_numpy(mean_images(images)).flatten(1)
    # The mean of a class without images is nan; no image is close to it.
    distance = torch.cdist(pixels, means).nan_to_num(nan=float("inf"))
    wrong = distance.argmin(dim=1) != target
    return np.array([wrong[target == index].float().mean().item() for index in range(10)])


def correlation(values: np.ndarray, others: np.ndarray) -> float:
    """Return the correlation of two vectors; nan if one of them is constant."""
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return float("nan")
    return float(np.corrcoef(values, others)[0, 1])


def correlation_text(permuted: Callable[[np.ndarray], float], n: str) -> str:
    """Return a rank correlation, its n and the p-value of a permutation test, as text.

    permuted: returns the correlation after a permutation (10,) of the classes of one variable.
    Classes are permuted, not pairs, because the 45 pairs of ten classes are dependent (Mantel,
    1967). p is the share of permutations with an absolute correlation at least as large, the
    observed one included.
    """
    random = np.random.default_rng(0)
    observed = permuted(np.arange(10))
    if np.isnan(observed):
        return f"undefined (n = {n})"
    chance = [abs(permuted(random.permutation(10))) for _ in range(PERMUTATIONS)]
    p = (1 + np.sum(np.array(chance) >= abs(observed) - 1e-12)) / (1 + PERMUTATIONS)
    return f"{observed:+.2f} (n = {n}; permutation p = {p:.3f})"


def reason_lines(matrix: np.ndarray, images: Images, limit: int = 5) -> list[str]:
    """Return lines that relate a (10, 10) confusion matrix to the training images.

    limit: number of confusions considered one by one.
    """
    similarity, error = mean_image_correlation(images), nearest_mean_error(images)
    names, pairs = images.classes, list(combinations(range(10), 2))
    order = sorted(pairs, key=lambda pair: -similarity[pair])
    lines = []
    for target, chosen, count, _ in worst_confusions(matrix, limit, min_count=2):
        pair = min(target, chosen), max(target, chosen)
        lines.append(
            f"{names[target]} -> {names[chosen]} ({count}): correlation of mean images "
            f"{similarity[pair]:.2f} (rank {order.index(pair) + 1} of {len(pairs)})"
        )
    worst = [int(index) for index in np.argsort(-error)[:2]]
    lines.append(
        "training images closer to another class's mean image than to their own: highest for "
        + ", ".join(f"{names[index]} {error[index]:.0%}" for index in worst)
        + f" (mean over classes {error.mean():.0%})"
    )
    errors = int(matrix.sum() - matrix.trace())
    if errors < MIN_ERRORS:
        return [*lines, f"{errors} errors: too few for correlations (at least {MIN_ERRORS})"]
    # Spearman's correlation is the correlation of ranks, which a permutation does not change.
    upper = np.triu_indices(10, 1)
    confusion_rank, similarity_rank = rankdata((matrix + matrix.T)[upper]), np.zeros((10, 10))
    similarity_rank[upper] = rankdata(similarity[upper])
    similarity_rank += similarity_rank.T
    test_rank, train_rank = rankdata(1 - class_accuracy(matrix)), rankdata(error)

    def pair_correlation(number: np.ndarray) -> float:
        return correlation(confusion_rank, similarity_rank[np.ix_(number, number)][upper])

    def error_correlation(number: np.ndarray) -> float:
        return correlation(test_rank, train_rank[number])

    lines.append(
        "Spearman correlation between the confusions of a pair of classes and the correlation of "
        "their mean images: "
        + correlation_text(pair_correlation, f"{len(pairs)} pairs, {errors} errors")
    )
    lines.append(
        "Spearman correlation between a class's test error rate and its share of training images "
        "closer to another mean image: " + correlation_text(error_correlation, "10 classes")
    )
    return lines


# Weights as pictures


def features_picture(
    net: torch.nn.Module, images: Images, normalize: tuple[float, float], title: str
) -> Figure:
    """Draw the weights of a network's first layer, below the title and a legend."""
    draw, legend = {
        NetLin: (_templates, ""),
        NetFull: (_hidden_units, "; +/\u2212: class with the largest/smallest output weight"),
        NetConv: (_filters, "; below each filter: its feature map of the test image"),
    }[type(net)]
    with torch.inference_mode():
        tiles = draw(net.eval(), images, normalize)
    title = f"{title}: red positive, blue negative{legend}"
    tiles.text(sum(tiles.axes.get_xlim()) / 2, 0.35, title, fontsize=12)
    return tiles.figure


def _weights(tiles: Tiles, x: float, y: float, values: np.ndarray) -> None:
    """Draw weights (H, W) in colours symmetric about 0, which is white."""
    limit = max(float(np.abs(values).max()), 1e-9)
    tiles.image(x, y, values, cmap="RdBu_r", vmin=-limit, vmax=limit)


def _templates(net: NetLin, images: Images, normalize) -> Tiles:
    """Draw the mean image of each class above its template."""
    labels = Labels(images)
    tiles = Tiles(0.6 + 10 * 1.05, 3.25, inches=12)
    weights = net.output.weight.cpu().view(10, SIDE, SIDE).numpy()
    for index, mean in enumerate(mean_images(images)):
        x = 0.5 + 1.05 * index
        tiles.text(x + 0.5, 0.85, labels.text[index], family=labels.family, fontsize=11)
        tiles.image(x, 1.05, mean, vmin=0)
        _weights(tiles, x, 2.1, weights[index])
    for y, name in ((1.55, "mean image"), (2.6, "weights")):
        tiles.text(0.3, y, name, rotation=90)
    return tiles


def strongest_units(net: NetFull, images: Images, normalize) -> torch.Tensor:
    """Return the hidden units, the most influential first: by the standard deviation of the
    activation over the test images, times the norm of the outgoing weights."""
    pixels = prepare(images.test, normalize).flatten(1)
    spread = torch.tanh(net.hidden(pixels)).std(dim=0)
    return (spread * net.output.weight.norm(dim=0)).argsort(descending=True)


def _hidden_units(net: NetFull, images: Images, normalize) -> Tiles:
    """Draw the strongest hidden units, each with its most excited and most inhibited class."""
    labels = Labels(images)
    chosen = strongest_units(net, images, normalize)[:MAX_UNITS].tolist()
    columns, pitch = 10, 1.3
    tiles = Tiles(columns * 1.1 + 0.1, 0.65 + pitch * -(-len(chosen) // columns), inches=12)
    for place, unit in enumerate(chosen):
        x, y = 0.1 + 1.1 * (place % columns), 0.65 + pitch * (place // columns)
        _weights(tiles, x, y, net.hidden.weight[unit].cpu().view(SIDE, SIDE).numpy())
        out = net.output.weight[:, unit]
        classes = f"+ {labels.text[int(out.argmax())]}  \u2212 {labels.text[int(out.argmin())]}"
        tiles.text(x + 0.5, y + 1.1, classes, family=labels.family, fontsize=8.5)
    return tiles


def _filters(net: NetConv, images: Images, normalize) -> Tiles:
    """Draw the first filters, and below each its feature map of one test image."""
    example = int((images.test_target == 6).nonzero()[0]) if (images.test_target == 6).any() else 0
    maps = net.norm1(net.conv1(prepare(images.test[example : example + 1], normalize))).relu()[0]
    filters = net.conv1.weight[:MAX_FILTERS, 0].cpu().numpy()
    columns, pitch = 12, 2.2
    tiles = Tiles(1.4 + columns * 1.05, 0.7 + pitch * -(-len(filters) // columns), inches=13)
    tiles.image(0.1, 0.7, images.test[example].cpu().numpy(), vmin=0, vmax=255)
    tiles.text(0.6, 1.85, "test image", fontsize=9)
    for index, values in enumerate(filters):
        x, y = 1.35 + 1.05 * (index % columns), 0.7 + pitch * (index // columns)
        _weights(tiles, x, y, values)
        tiles.image(x, y + 1, maps[index].cpu().numpy(), vmin=0)
    return tiles


def feature_lines(net: torch.nn.Module) -> list[str]:
    """Return measurements of a network's first-layer weights beside those of shuffled weights.

    Weights are shuffled within each template, unit or filter, which keeps their distribution.
    """
    random = np.random.default_rng(0)
    if isinstance(net, NetConv):
        filters = net.conv1.weight.detach().cpu().numpy()[:, 0]
        shuffled = random.permuted(
            np.repeat(filters.reshape(1, len(filters), -1), SHUFFLES, axis=0), axis=2
        )
        chance = orientation(shuffled.reshape(SHUFFLES, *filters.shape))
        found = orientation(filters)
        oriented = int((found > np.quantile(chance, 1 - ORIENTED, axis=0)).sum())
        return [
            "orientation of first-layer filters (0 none, 1 a single direction): median "
            f"{np.median(found):.2f} (weights shuffled {np.median(chance):.2f})",
            f"oriented filters: {oriented} of {len(filters)} (expected by chance "
            f"{ORIENTED * len(filters):.1f})",
        ]
    layer = net.output if isinstance(net, NetLin) else net.hidden
    weights = layer.weight.detach().cpu().numpy().reshape(-1, SIDE, SIDE)
    shuffled = random.permuted(weights.reshape(len(weights), -1), axis=1).reshape(weights.shape)
    kind = "templates" if isinstance(net, NetLin) else "hidden units"
    extent, by_chance = (np.median(spatial_extent(part)) for part in (weights, shuffled))
    smooth, smooth_by_chance = (np.median(smoothness(part)) for part in (weights, shuffled))
    return [
        f"weights of {len(weights)} {kind} (median): spatial extent {extent:.1f} pixels (shuffled "
        f"{by_chance:.1f}), correlation of neighbouring weights {smooth:+.2f} (shuffled "
        f"{smooth_by_chance:+.2f})"
    ]


def spatial_extent(weights: np.ndarray) -> np.ndarray:
    """Return the root mean squared distance (N,) between two pixels, in pixels.

    weights: (N, H, W); pixels are sampled with probabilities proportional to their squared weights,
    so that a single stroke has a small extent.
    """
    share = weights**2 / (weights**2).sum(axis=(1, 2), keepdims=True).clip(min=1e-12)
    squares = 0.0
    for axis, size in ((1, weights.shape[1]), (2, weights.shape[2])):
        marginal, place = share.sum(axis=3 - axis), np.arange(size)
        squares += marginal @ place**2 - (marginal @ place) ** 2
    return np.sqrt(2 * squares)


def smoothness(weights: np.ndarray) -> np.ndarray:
    """Return the correlation (N,) of weights (N, H, W) with their right and lower neighbours
    (Moran's I)."""
    centred = weights - weights.mean(axis=(1, 2), keepdims=True)
    right, lower = centred[:, :, 1:] * centred[:, :, :-1], centred[:, 1:] * centred[:, :-1]
    products = (right.sum(axis=(1, 2)) + lower.sum(axis=(1, 2))) / (right[0].size + lower[0].size)
    return products / (centred**2).mean(axis=(1, 2)).clip(min=1e-12)


def orientation(filters: np.ndarray) -> np.ndarray:
    """Return how far each filter's Fourier spectrum is concentrated in one direction, 0 .. 1.

    filters: (..., K, K). The result is |mean of exp(2 i angle)| over frequencies, weighted by their
    power, without frequency 0. It is 1 for an edge or stroke of a single direction.
    """
    size = 4 * filters.shape[-1]
    power = np.abs(np.fft.fft2(filters, (size, size))) ** 2
    y, x = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    # Within a disc, because the corners of a square of frequencies would favour the diagonals.
    power = power * ((x**2 + y**2 > 0) & (x**2 + y**2 < 0.25))
    turns = (power * np.exp(2j * np.arctan2(y, x))).sum(axis=(-2, -1))
    return np.abs(turns) / power.sum(axis=(-2, -1)).clip(min=1e-12)
