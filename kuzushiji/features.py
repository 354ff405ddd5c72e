"""What the networks of Part 1 look at: mean images and templates, hidden units, filters.

NetLin has one weight for each pixel and class, so that its weights are ten pictures; NetFull has
such a picture for each hidden unit; NetConv a small one for each filter, moved over the image.
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

# Units and filters shown at most.
UNITS, FILTERS = 20, 24
# Random renumberings of the characters behind a permutation p.
PERMUTATIONS = 999
# With fewer errors than these nothing is correlated.
MIN_ERRORS = 30
# A filter is oriented if no more than this share of so many shuffled ones is as much.
ORIENTED, SHUFFLES = 0.05, 200


# Why characters are confused, measured on the training images


def mean_images(images: Images) -> np.ndarray:
    """The mean training image of each class, (10, 28, 28); nan for a class without images."""
    pixels, target = images.train.cpu().float(), images.train_target.cpu()
    return torch.stack([pixels[target == index].mean(dim=0) for index in range(10)]).numpy()


def mean_image_correlation(images: Images) -> np.ndarray:
    """The correlation of the classes' mean images, pixel by pixel, (10, 10)."""
    return np.corrcoef(mean_images(images).reshape(10, -1))


def nearest_mean_error(images: Images) -> np.ndarray:
    """The share of each class's training images, (10,), that are nearer to the mean image of
    another class than to that of their own: written in another way than most."""
    pixels, target = images.train.cpu().flatten(1).float(), images.train_target.cpu()
    means = torch.from_numpy(mean_images(images)).flatten(1)
    # A class without images has no mean to be near to.
    distance = torch.cdist(pixels, means).nan_to_num(nan=float("inf"))
    wrong = distance.argmin(dim=1) != target
    return np.array([wrong[target == index].float().mean().item() for index in range(10)])


def correlation(values: np.ndarray, others: np.ndarray) -> float:
    """Return the correlation of two rows; nan if one of them does not vary."""
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return float("nan")
    return float(np.corrcoef(values, others)[0, 1])


def correlation_text(of_classes: Callable[[np.ndarray], float], count: int, what: str) -> str:
    """Return a rank correlation beside its n and its permutation p, as text.

    of_classes: the correlation after a renumbering (10,) of the characters on one of both sides;
    p is the share of random renumberings with a correlation at least as far from 0. The 45 pairs
    depend on each other, the ten characters do not (Mantel, 1967).
    """
    random = np.random.default_rng(0)
    found = of_classes(np.arange(10))
    if np.isnan(found):
        return f"rank correlation undefined (n = {count} {what})"
    chance = [abs(of_classes(random.permutation(10))) for _ in range(PERMUTATIONS)]
    p = (1 + np.sum(np.array(chance) >= abs(found) - 1e-12)) / (1 + PERMUTATIONS)
    return f"rank correlation {found:+.2f} (n = {count} {what}, permutation p = {p:.3f})"


def reason_lines(matrix: np.ndarray, images: Images, most: int = 5) -> list[str]:
    """Return what the training images have to do with a (10, 10) confusion matrix, as lines."""
    alike, away, names = mean_image_correlation(images), nearest_mean_error(images), images.classes
    pairs = list(combinations(range(10), 2))
    order = sorted(pairs, key=lambda pair: -alike[pair])
    lines = []
    for target, chosen, count, _ in worst_confusions(matrix, most, min_count=2):
        pair = min(target, chosen), max(target, chosen)
        lines.append(
            f"{names[target]} -> {names[chosen]} ({count}): correlation of mean images "
            f"{alike[pair]:.2f} (rank {order.index(pair) + 1} of {len(pairs)})"
        )
    worst = [int(index) for index in np.argsort(-away)[:2]]
    lines.append(
        "images nearer to another character's mean than to their own's: "
        + ", ".join(f"{away[index]:.0%} of {names[index]}" for index in worst)
        + f", {away.mean():.0%} on average"
    )
    errors = int(matrix.sum() - matrix.trace())
    if errors < MIN_ERRORS:
        return [*lines, f"{errors} errors: too few for correlations (fewer than {MIN_ERRORS})"]
    # Spearman's rank correlation is the correlation of ranks, which renumbering does not change.
    upper = np.triu_indices(10, 1)
    mistaken, likeness = rankdata((matrix + matrix.T)[upper]), np.zeros((10, 10))
    likeness[upper] = rankdata(alike[upper])
    likeness += likeness.T
    accuracy, apart = rankdata(class_accuracy(matrix)), rankdata(away)

    def of_pairs(number: np.ndarray) -> float:
        return correlation(mistaken, likeness[np.ix_(number, number)][upper])

    def of_accuracy(number: np.ndarray) -> float:
        return correlation(accuracy, apart[number])

    lines.append(
        "confusions of a pair, and correlation of its mean images: "
        + correlation_text(of_pairs, len(pairs), f"pairs, {errors} errors")
    )
    lines.append(
        "accuracy of a character, and share of images nearer to another's mean: "
        + correlation_text(of_accuracy, 10, "characters")
    )
    return lines


# What the weights look like


def features_picture(
    net: torch.nn.Module, images: Images, normalize: tuple[float, float], title: str
) -> Figure:
    """A network's first weights as pictures: red where ink speaks for a unit, blue against it."""
    show = {NetLin: _templates, NetFull: _hidden_units, NetConv: _filters}[type(net)]
    with torch.inference_mode():
        tiles = show(net.eval(), images, normalize)
    tiles.text(sum(tiles.axes.get_xlim()) / 2, 0.35, title, fontsize=12)
    return tiles.figure


def _weights(tiles: Tiles, x: float, y: float, values: np.ndarray) -> None:
    """Draw weights (H, W): white is 0, both colours reach as far."""
    top = max(float(np.abs(values).max()), 1e-9)
    tiles.image(x, y, values, cmap="RdBu_r", vmin=-top, vmax=top)


def _templates(net: NetLin, images: Images, normalize) -> Tiles:
    """A row of mean images above the row of weights for the same classes."""
    labels = Labels(images)
    tiles = Tiles(0.6 + 10 * 1.05, 3.25, inches=12)
    weights = net.output.weight.cpu().view(10, SIDE, SIDE).numpy()
    for index, mean in enumerate(mean_images(images)):
        x = 0.5 + 1.05 * index
        tiles.text(x + 0.5, 0.85, labels.text[index], family=labels.family, fontsize=11)
        tiles.image(x, 1.05, mean, vmin=0)
        _weights(tiles, x, 2.1, weights[index])
    for y, what in ((1.55, "mean image"), (2.6, "weights")):
        tiles.text(0.3, y, what, rotation=90)
    return tiles


def strongest_units(net: NetFull, images: Images, normalize) -> torch.Tensor:
    """The hidden units in the order of what they add to the outputs: the spread of a unit's
    activation over the test images, times the length of its weights to the outputs."""
    pixels = prepare(images.test, normalize).flatten(1)
    spread = torch.tanh(net.hidden(pixels)).std(dim=0)
    return (spread * net.output.weight.norm(dim=0)).argsort(descending=True)


def _hidden_units(net: NetFull, images: Images, normalize) -> Tiles:
    """The strongest hidden units, each with the classes it speaks most for and against."""
    labels = Labels(images)
    chosen = strongest_units(net, images, normalize)[:UNITS].tolist()
    columns, pitch = 10, 1.3
    tiles = Tiles(columns * 1.1 + 0.1, 0.65 + pitch * -(-len(chosen) // columns), inches=12)
    for place, unit in enumerate(chosen):
        x, y = 0.1 + 1.1 * (place % columns), 0.65 + pitch * (place // columns)
        _weights(tiles, x, y, net.hidden.weight[unit].cpu().view(SIDE, SIDE).numpy())
        out = net.output.weight[:, unit]
        says = f"+ {labels.text[int(out.argmax())]}  \u2212 {labels.text[int(out.argmin())]}"
        tiles.text(x + 0.5, y + 1.1, says, family=labels.family, fontsize=8.5)
    return tiles


def _filters(net: NetConv, images: Images, normalize) -> Tiles:
    """The first filters, and below each what it makes of one test image."""
    example = int((images.test_target == 6).nonzero()[0]) if (images.test_target == 6).any() else 0
    maps = net.norm1(net.conv1(prepare(images.test[example : example + 1], normalize))).relu()[0]
    filters = net.conv1.weight[:FILTERS, 0].cpu().numpy()
    columns, pitch = 12, 2.2
    tiles = Tiles(1.4 + columns * 1.05, 0.7 + pitch * -(-len(filters) // columns), inches=13)
    tiles.image(0.1, 0.7, images.test[example].cpu().numpy(), vmin=0, vmax=255)
    tiles.text(0.6, 1.85, "an image", fontsize=9)
    for index, values in enumerate(filters):
        x, y = 1.35 + 1.05 * (index % columns), 0.7 + pitch * (index // columns)
        _weights(tiles, x, y, values)
        tiles.image(x, y + 1, maps[index].cpu().numpy(), vmin=0)
    return tiles


def feature_lines(net: torch.nn.Module) -> list[str]:
    """Return figures on a network's first weights beside those of the same weights shuffled.

    Shuffled within each template, unit or filter, weights keep their sizes and lose their places.
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
            f"first filters: {oriented} of {len(filters)} oriented (more than {1 - ORIENTED:.0%} "
            f"of their own weights shuffled; by chance {ORIENTED * len(filters):.1f}); median "
            f"orientation {np.median(found):.2f} (shuffled {np.median(chance):.2f}; 0 none, 1 "
            "a single direction)"
        ]
    layer = net.output if isinstance(net, NetLin) else net.hidden
    weights = layer.weight.detach().cpu().numpy().reshape(-1, SIDE, SIDE)
    shuffled = random.permuted(weights.reshape(len(weights), -1), axis=1).reshape(weights.shape)
    what = "templates" if isinstance(net, NetLin) else "hidden units"
    figures = [
        (np.median(distance(part)), np.median(smoothness(part))) for part in (weights, shuffled)
    ]
    (far, smooth), (far_by_chance, smooth_by_chance) = figures
    return [
        f"{len(weights)} {what}, median: distance between two weighted pixels {far:.1f} pixels "
        f"(weights shuffled {far_by_chance:.1f}), correlation of neighbouring weights "
        f"{smooth:+.2f} (shuffled {smooth_by_chance:+.2f})"
    ]


def distance(weights: np.ndarray) -> np.ndarray:
    """Return the root mean squared distance (N,), in pixels, between two pixels of each picture.

    weights: (N, H, W); a pixel is drawn as often as its squared weight is large. A stroke at one
    place has a short distance, weights all over the picture a long one.
    """
    share = weights**2 / (weights**2).sum(axis=(1, 2), keepdims=True).clip(min=1e-12)
    squares = 0.0
    for axis, size in ((1, weights.shape[1]), (2, weights.shape[2])):
        marginal, place = share.sum(axis=3 - axis), np.arange(size)
        squares += marginal @ place**2 - (marginal @ place) ** 2
    return np.sqrt(2 * squares)


def smoothness(weights: np.ndarray) -> np.ndarray:
    """Return the correlation (N,) of weights (N, H, W) with those of their right and lower
    neighbours (Moran's I)."""
    centred = weights - weights.mean(axis=(1, 2), keepdims=True)
    right, lower = centred[:, :, 1:] * centred[:, :, :-1], centred[:, 1:] * centred[:, :-1]
    products = (right.sum(axis=(1, 2)) + lower.sum(axis=(1, 2))) / (right[0].size + lower[0].size)
    return products / (centred**2).mean(axis=(1, 2)).clip(min=1e-12)


def orientation(filters: np.ndarray) -> np.ndarray:
    """Return how much of each filter's Fourier spectrum lies in one direction, 0 .. 1.

    filters: (..., K, K). The spectrum of an edge or stroke of one direction lies on a line: the
    length of the mean of exp(2 i angle), weighted with the power; 0 frequency is left out.
    """
    size = 4 * filters.shape[-1]
    power = np.abs(np.fft.fft2(filters, (size, size))) ** 2
    y, x = np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size), indexing="ij")
    # A disc of frequencies has no direction of its own; the square's corners have.
    power = power * ((x**2 + y**2 > 0) & (x**2 + y**2 < 0.25))
    turns = (power * np.exp(2j * np.arctan2(y, x))).sum(axis=(-2, -1))
    return np.abs(turns) / power.sum(axis=(-2, -1)).clip(min=1e-12)
