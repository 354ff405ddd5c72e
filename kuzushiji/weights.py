"""Pictures of the weights of Part 1's networks.

NetLin has a weight for each pixel and class: ten templates. NetFull has a picture of weights for
each hidden unit, NetConv a small one for each filter. Networks of a student's kuzu.py are drawn as
well, by their layers.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from kuzushiji.augmentation import prepare
from kuzushiji.confusion import mean_images, worst_confusions
from kuzushiji.dataset import SIDE, Images
from kuzushiji.tiles import Tiles

# Maximum number of units, of filters and of misclassified images in a picture.
MAX_UNITS, MAX_FILTERS, MAX_MISTAKES = 20, 24, 6


def layers(net: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    """Return a network's linear and convolutional layers, in the order of its definition."""
    return [layer for layer in net.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]


def weights_picture(
    name: str, net: nn.Module, images: Images, normalize: tuple[float, float], where: str
) -> Figure | None:
    """Draw the weights of a network's first layer; None if its layers are not the assignment's.

    name: lin, full or conv. normalize: of the recipe. where: the network and its images.
    """
    found = layers(net)
    shapes, pixels = [tuple(layer.weight.shape[1:]) for layer in found], (SIDE * SIDE,)
    if name == "conv":
        fits = len(shapes) > 1 and len(shapes[0]) == 3
    else:
        fits = len(shapes) == (1 if name == "lin" else 2) and shapes[0] == pixels
    if not fits:
        return None
    title = f"First-layer weights of {where}: red positive, blue negative"
    with torch.inference_mode():
        draw = {"lin": _templates, "full": _hidden_units, "conv": _filters}[name]
        return draw(found, images, normalize, title).finish()


def _templates(found: list, images: Images, normalize, title: str) -> Tiles:
    """Draw the mean image of each class above its template."""
    tiles = Tiles(0.6 + 10 * 1.05, 3.25, 12, title)
    for index, mean in enumerate(mean_images(images)):
        x = 0.5 + 1.05 * index
        tiles.text(x + 0.5, 0.85, images.classes[index], fontsize=11)
        tiles.image(x, 1.05, mean, max(mean.max(), 1))
        tiles.weights(x, 2.1, found[0].weight[index].cpu().view(SIDE, SIDE).numpy())
    tiles.text(0.3, 1.55, "mean image", rotation=90)
    tiles.text(0.3, 2.6, "weights", rotation=90)
    return tiles


def strongest_units(hidden: nn.Linear, output: nn.Linear, pixels: torch.Tensor) -> torch.Tensor:
    """Return the hidden tanh units, the most influential first: by the standard deviation of the
    activation over images (N, 784), times the norm of the outgoing weights."""
    spread = torch.tanh(hidden(pixels)).std(dim=0)
    return (spread * output.weight.norm(dim=0)).argsort(descending=True)


def _hidden_units(found: list, images: Images, normalize, title: str) -> Tiles:
    """Draw the strongest hidden units, each with its most excited and most inhibited class."""
    hidden, output = found
    pixels = prepare(images.test, normalize).flatten(1)
    chosen = strongest_units(hidden, output, pixels)[:MAX_UNITS].tolist()
    title += "; +/\u2212: class with the largest/smallest output weight"
    tiles = Tiles(11.1, 0.65 + 1.3 * -(-len(chosen) // 10), 12, title)
    for place, unit in enumerate(chosen):
        x, y = 0.1 + 1.1 * (place % 10), 0.65 + 1.3 * (place // 10)
        tiles.weights(x, y, hidden.weight[unit].cpu().view(SIDE, SIDE).numpy())
        out = output.weight[:, unit]
        most, least = images.classes[int(out.argmax())], images.classes[int(out.argmin())]
        tiles.text(x + 0.5, y + 1.1, f"+ {most}  \u2212 {least}", fontsize=8.5)
    return tiles


def _filters(found: list, images: Images, normalize, title: str) -> Tiles:
    """Draw the first filters, and below each how the ink of one test image changes its output."""
    # A ma, whose strokes have many directions, if there is one.
    example = int((images.test_target == 6).int().argmax())
    shown = images.test[example : example + 1]
    inputs = prepare(torch.cat([shown, torch.zeros_like(shown)]), normalize)
    response, empty = found[0](inputs)
    filters, maps = found[0].weight[:MAX_FILTERS, 0].cpu().numpy(), (response - empty).cpu().numpy()
    title += "; below each filter: its response to the ink of the test image"
    tiles = Tiles(14, 0.7 + 2.2 * -(-len(filters) // 12), 13, title)
    tiles.image(0.1, 0.7, shown[0].cpu().numpy(), 255)
    tiles.text(0.6, 1.85, "test image", fontsize=9)
    for index, values in enumerate(filters):
        x, y = 1.35 + 1.05 * (index % 12), 0.7 + 2.2 * (index // 12)
        tiles.weights(x, y, values)
        tiles.weights(x, y + 1, maps[index])
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
    weight, bias = output.weight[chosen] - output.weight[target], output.bias
    empty = prepare(torch.zeros_like(images), normalize).flatten(1)
    ink = (prepare(images, normalize).flatten(1) - empty) * weight
    odds = ink.sum(dim=1) + empty @ weight + (bias[chosen] - bias[target])
    return ink.view(-1, SIDE, SIDE).cpu().numpy(), odds.cpu().numpy()


def decision_picture(
    name: str,
    net: nn.Module,
    matrix: np.ndarray,
    log_probabilities: np.ndarray,
    images: Images,
    normalize: tuple[float, float],
) -> Figure | None:
    """Draw what decides the most frequent confusion of a linear network: the difference of the two
    templates at the ink of misclassified images. None without errors or for other networks.

    log_probabilities: (N, 10), the network's output for the N test images.
    """  # fmt: skip
    worst, found = worst_confusions(matrix, 1), layers(net)
    if name != "lin" or not worst or len(found) != 1 or found[0].bias is None:
        return None
    target, chosen, *_ = worst[0]
    predicted = torch.from_numpy(log_probabilities.argmax(axis=1)).to(images.test.device)
    shown = images.test[(images.test_target == target) & (predicted == chosen)][:MAX_MISTAKES]
    with torch.inference_mode():
        ink, odds = evidence(found[0], shown, normalize, target, chosen)
        templates = found[0].weight.cpu().view(-1, SIDE, SIDE).numpy()[[target, chosen]]
    first, second = images.classes[target], images.classes[chosen]
    title = f"What decides NetLin's most frequent confusion, {first} classified as {second}"
    tiles = Tiles(4 + 1.1 * MAX_MISTAKES, 3.75, 12, f"{title} ({images.name})")
    drawn = {
        first: templates[0],
        second: templates[1],
        f"{second} \u2212 {first}": np.diff(templates, axis=0)[0],
    }
    for place, (label, values) in enumerate(drawn.items()):
        tiles.weights(0.15 + 1.1 * place, 1.5, values)
        tiles.text(0.65 + 1.1 * place, 1.3, label)
    tiles.text(1.75, 2.75, "weights: red positive, blue negative", fontsize=9)
    tiles.text(
        3.8 + 0.55 * MAX_MISTAKES, 0.75,
        f"misclassified images; below, their ink: red where it adds to the log odds of {second} "
        f"against {first}, blue where it subtracts",
        fontsize=9.5,
    )  # fmt: skip
    for place, (pixels, values) in enumerate(zip(shown.cpu().numpy(), ink, strict=True)):
        x, total = 3.9 + 1.1 * place, values.sum()
        tiles.image(x, 1.0, pixels, 255)
        tiles.weights(x, 2.05, values, float(np.abs(ink).max()))
        text = (
            f"ink {total:+.1f}\nempty image {odds[place] - total:+.1f}\nlog odds {odds[place]:+.1f}"
        )
        tiles.text(x + 0.5, 3.3, text, fontsize=8.5)
    return tiles.finish()
