"""What the networks of Part 1 look at: mean images and templates, hidden units, filters.

NetLin has one weight for each pixel and class, so that its weights are ten pictures; NetFull has
such a picture for each hidden unit; NetConv a small one for each filter, moved over the image.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from kuzu import SIDE, NetConv, NetFull, NetLin
from kuzushiji.augmentation import prepare
from kuzushiji.confusion import class_accuracy, worst_confusions
from kuzushiji.dataset import Images
from kuzushiji.pictures import Labels
from kuzushiji.tiles import Tiles

# Units and filters shown at most.
UNITS, FILTERS = 20, 24


# Why characters are confused, measured on the training images


def mean_images(images: Images) -> np.ndarray:
    """The mean training image of each class, (10, 28, 28); nan for a class without images."""
    pixels, target = images.train.cpu().float(), images.train_target.cpu()
    return torch.stack([pixels[target == index].mean(dim=0) for index in range(10)]).numpy()


def likeness(images: Images) -> np.ndarray:
    """The correlation of the classes' mean images, pixel by pixel, (10, 10)."""
    return np.corrcoef(mean_images(images).reshape(10, -1))


def astray(images: Images) -> np.ndarray:
    """The share of each class's training images, (10,), that are nearer to the mean image of
    another class than to that of their own: written in another way than most."""
    pixels, target = images.train.cpu().flatten(1).float(), images.train_target.cpu()
    means = torch.from_numpy(mean_images(images)).flatten(1)
    # A class without images has no mean to be near to.
    distance = torch.cdist(pixels, means).nan_to_num(nan=float("inf"))
    wrong = distance.argmin(dim=1) != target
    return np.array([wrong[target == index].float().mean().item() for index in range(10)])


def rank_correlation(values, others) -> float:
    """Return Spearman's rank correlation of two rows; nan if one of them does not vary."""
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return float("nan")
    return float(spearmanr(values, others).statistic)


def reason_lines(matrix: np.ndarray, images: Images, most: int = 5) -> list[str]:
    """What the training images say of the confusions in a (10, 10) matrix, as lines of text."""
    alike, away, names = likeness(images), astray(images), images.classes
    pairs = list(combinations(range(10), 2))
    order = sorted(pairs, key=lambda pair: -alike[pair])
    lines = []
    for target, chosen, count, _ in worst_confusions(matrix, most):
        pair = min(target, chosen), max(target, chosen)
        lines.append(
            f"{names[target]} -> {names[chosen]} ({count}): their mean images correlate by "
            f"{alike[pair]:.2f}, number {order.index(pair) + 1} of the {len(pairs)} pairs"
        )
    mistaken = np.array([matrix[pair] + matrix[pair[::-1]] for pair in pairs])
    lines.append(
        "over all pairs: the more alike two mean images, the more confusions (rank correlation "
        f"{rank_correlation(mistaken, [alike[pair] for pair in pairs]):+.2f})"
    )
    most_away = [int(index) for index in np.argsort(-away)[:2]]
    lines.append(
        "images nearer to another character's mean than to their own's: "
        + ", ".join(f"{away[index]:.0%} of {names[index]}" for index in most_away)
        + f", {away.mean():.0%} on average; the more, the less often right (rank correlation "
        f"{rank_correlation(class_accuracy(matrix), away):+.2f})"
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
    """Figures on a network's first weights, as lines of text."""
    if isinstance(net, NetConv):
        filters = net.conv1.weight.detach().flatten(1)
        balance = filters.sum(dim=1).abs() / filters.abs().sum(dim=1).clamp(min=1e-9)
        edges = int((balance < 0.25).sum())
        return [
            f"first filters: {edges} of {len(filters)} weigh ink and ground about equally (their "
            "sum is below a quarter of their size): they answer to edges and strokes, not to ink"
        ]
    layer = net.output if isinstance(net, NetLin) else net.hidden
    squares = layer.weight.detach().square().sort(dim=1, descending=True).values
    half = (squares.cumsum(dim=1) < squares.sum(dim=1, keepdim=True) / 2).sum(dim=1) + 1
    what = "template" if isinstance(net, NetLin) else "hidden unit"
    return [
        f"the median {what} has half of its squared weights on {int(half.median())} of its "
        f"{SIDE * SIDE} pixels"
    ]
