"""Pictures of the weights of Part 1's networks.

NetLin has a weight for each pixel and class: ten templates. NetFull has a picture of weights for
each hidden unit, NetConv a small one for each filter.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from kuzushiji.augmentation import prepare
from kuzushiji.confusion import mean_images, worst_confusions
from kuzushiji.dataset import SIDE, Images
from kuzushiji.pictures import Labels
from kuzushiji.tiles import Tiles

# Maximum number of units and of filters in a picture, and of misclassified images.
MAX_UNITS, MAX_FILTERS, MAX_MISTAKES = 20, 24, 6
LEGEND = "red positive, blue negative"


def layers(net: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """Return a network's linear and convolutional layers, in the order of its definition."""
    return [layer for layer in net.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]


def weights_picture(
    name: str, net: nn.Module, images: Images, normalize: tuple[float, float], title: str
) -> Figure | None:
    """Draw the weights of a network's first layer; None if it is not the assignment's.

    name: lin, full or conv. normalize: of the recipe. title: printed above, before a legend.
    """
    found = layers(net)
    inputs = tuple(found[0].weight.shape[1:]) if found else ()
    fits = len(found) >= 2 and len(inputs) == 3 if name == "conv" else inputs == (SIDE * SIDE,)
    if not fits or len(found) != {"lin": 1, "full": 2}.get(name, len(found)):
        return None
    draw, legend = {
        "lin": (_templates, ""),
        "full": (_hidden_units, "; +/\u2212: class with the largest/smallest output weight"),
        "conv": (_filters, "; below each filter: its response to the ink of the test image"),
    }[name]
    with torch.inference_mode():
        tiles = draw(found, images, normalize)
    tiles.title(f"{title}: {LEGEND}{legend}")
    return tiles.finish()


def _templates(found: list, images: Images, normalize) -> Tiles:
    """Draw the mean image of each class above its template."""
    labels = Labels(images)
    tiles = Tiles(0.6 + 10 * 1.05, 3.25, inches=12)
    weights = found[0].weight.cpu().view(10, SIDE, SIDE).numpy()
    for index, mean in enumerate(mean_images(images)):
        x = 0.5 + 1.05 * index
        tiles.text(x + 0.5, 0.85, labels.text[index], family=labels.family, fontsize=11)
        tiles.image(x, 1.05, mean)
        tiles.weights(x, 2.1, weights[index])
    for y, name in ((1.55, "mean image"), (2.6, "weights")):
        tiles.text(0.3, y, name, rotation=90)
    return tiles


def strongest_units(hidden: nn.Linear, output: nn.Linear, pixels: torch.Tensor) -> torch.Tensor:
    """Return the hidden tanh units, the most influential first: by the standard deviation of the
    activation over images (N, 784), times the norm of the outgoing weights."""
    spread = torch.tanh(hidden(pixels)).std(dim=0)
    return (spread * output.weight.norm(dim=0)).argsort(descending=True)


def _hidden_units(found: list, images: Images, normalize) -> Tiles:
    """Draw the strongest hidden units, each with its most excited and most inhibited class."""
    labels, (hidden, output) = Labels(images), found
    pixels = prepare(images.test, normalize).flatten(1)
    chosen = strongest_units(hidden, output, pixels)[:MAX_UNITS].tolist()
    columns, pitch = 10, 1.3
    tiles = Tiles(columns * 1.1 + 0.1, 0.65 + pitch * -(-len(chosen) // columns), inches=12)
    for place, unit in enumerate(chosen):
        x, y = 0.1 + 1.1 * (place % columns), 0.65 + pitch * (place // columns)
        tiles.weights(x, y, hidden.weight[unit].cpu().view(SIDE, SIDE).numpy())
        out = output.weight[:, unit]
        classes = f"+ {labels.text[int(out.argmax())]}  \u2212 {labels.text[int(out.argmin())]}"
        tiles.text(x + 0.5, y + 1.1, classes, family=labels.family, fontsize=8.5)
    return tiles


def _filters(found: list, images: Images, normalize) -> Tiles:
    """Draw the first filters, and below each how the ink of one test image changes its output."""
    example = int((images.test_target == 6).nonzero()[0]) if (images.test_target == 6).any() else 0
    shown = images.test[example : example + 1]
    empty = torch.zeros_like(shown)
    maps = (found[0](prepare(shown, normalize)) - found[0](prepare(empty, normalize)))[0]
    filters = found[0].weight[:MAX_FILTERS, 0].cpu().numpy()
    columns, pitch = 12, 2.2
    tiles = Tiles(1.4 + columns * 1.05, 0.7 + pitch * -(-len(filters) // columns), inches=13)
    tiles.image(0.1, 0.7, images.test[example].cpu().numpy(), 255)
    tiles.text(0.6, 1.85, "test image", fontsize=9)
    for index, values in enumerate(filters):
        x, y = 1.35 + 1.05 * (index % columns), 0.7 + pitch * (index // columns)
        tiles.weights(x, y, values)
        tiles.weights(x, y + 1, maps[index].cpu().numpy())
    return tiles


def evidence(
    output: nn.Linear,
    images: torch.Tensor,
    normalize: tuple[float, float],
    target: int,
    chosen: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what decides between two classes in a linear network.

    images: (N, 28, 28). Returns the evidence of each pixel's ink (N, 28, 28), whose sum over the
    pixels changes the log odds of `chosen` against `target` from those of an empty image, and the
    log odds of each image (N,).
    """
    weight, bias = (output.weight[chosen] - output.weight[target]), output.bias
    empty = prepare(torch.zeros_like(images), normalize).flatten(1)
    ink = (prepare(images, normalize).flatten(1) - empty) * weight
    odds = ink.sum(dim=1) + empty @ weight + (bias[chosen] - bias[target])
    return ink.view(-1, SIDE, SIDE).cpu().numpy(), odds.cpu().numpy()


def decision_picture(
    net: nn.Module, matrix: np.ndarray, predicted: np.ndarray, images: Images, normalize, title: str
) -> Figure | None:
    """Draw what decides the most frequent confusion of a linear network: the difference of the two
    templates at the ink of misclassified images. None without errors.

    predicted: (N,) the class that the network chose for each test image.
    """
    worst, found = worst_confusions(matrix, 1), layers(net)
    if not worst or len(found) != 1 or found[0].bias is None:
        return None
    target, chosen, *_ = worst[0]
    wrong = (images.test_target.cpu().numpy() == target) & (predicted == chosen)
    shown = images.test[
        torch.from_numpy(np.flatnonzero(wrong))[:MAX_MISTAKES].to(images.test.device)
    ]
    with torch.inference_mode():
        ink, odds = evidence(found[0], shown, normalize, target, chosen)
        templates = found[0].weight[[target, chosen]].cpu().view(2, SIDE, SIDE).numpy()
    first, second = images.classes[target], images.classes[chosen]
    tiles = Tiles(4 + 1.1 * MAX_MISTAKES, 3.75, inches=12)
    tiles.title(title)
    pictures = (
        (first, templates[0]),
        (second, templates[1]),
        (f"{second} \u2212 {first}", templates[1] - templates[0]),
    )
    for place, (name, values) in enumerate(pictures):
        x = 0.15 + 1.1 * place
        tiles.weights(x, 1.5, values)
        tiles.text(x + 0.5, 1.3, name)
    tiles.text(1.75, 2.75, f"weights: {LEGEND}", fontsize=9)
    limit = float(np.abs(ink).max())
    tiles.text(
        3.8 + 0.55 * MAX_MISTAKES, 0.75,
        f"{first} classified as {second}; below, its ink: red where it adds to the log odds of "
        f"{second} against {first}, blue where it subtracts",
        fontsize=9.5,
    )  # fmt: skip
    for place in range(len(shown)):
        x = 3.9 + 1.1 * place
        tiles.image(x, 1.0, shown[place].cpu().numpy(), 255)
        tiles.weights(x, 2.05, ink[place], limit)
        empty = odds[place] - ink[place].sum()
        tiles.text(
            x + 0.5,
            3.3,
            f"ink {ink[place].sum():+.1f}\nempty image {empty:+.1f}\nlog odds {odds[place]:+.1f}",
            fontsize=8.5,
        )
    return tiles.finish()
