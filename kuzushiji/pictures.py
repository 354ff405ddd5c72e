"""Pictures of confusions, misclassified images, forms, weights, and accuracy against hidden units.

Networks of a student's kuzu.py are drawn as well, by their layers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import nn

from kuzushiji.augmentation import prepare
from kuzushiji.confusion import FORMS, Result, find_forms, mean_images, worst_confusions
from kuzushiji.dataset import SIDE, Images

# Minimum number of test images of a form whose error rate is remarkable.
MIN_IMAGES = 10
# Maximum number of units, of filters and of misclassified images in a picture.
MAX_UNITS, MAX_FILTERS, MAX_MISTAKES = 20, 24, 6


def confusion_picture(matrix: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix as a heat map of its errors; the diagonal is grey."""
    figure = Figure(figsize=(8, 7), dpi=100)
    axes = figure.add_axes((0.1, 0.1, 0.74, 0.8))
    counts = matrix.astype(int)
    errors = np.ma.masked_array(counts, mask=np.eye(10, dtype=bool))
    top = max(int(errors.max()), 1)
    axes.set_facecolor("0.88")
    shown = axes.imshow(errors, cmap="YlOrRd", vmin=0, vmax=top)
    for (row, column), count in np.ndenumerate(counts):
        correct = row == column
        color = "white" if not correct and count > 0.6 * top else "black" if count else "0.75"
        how = dict(ha="center", va="center", weight="bold" if correct else None)
        axes.text(column, row, f"{count}", color=color, fontsize=10, **how)
    axes.set_xticks(range(10), classes)
    axes.set_yticks(range(10), classes)
    axes.set_xlabel("predicted character")
    axes.set_ylabel("target character")
    axes.set_title("\n".join(textwrap.wrap(title, 84)), fontsize=11)
    label = "misclassified images (diagonal: correct)"
    ticks = MaxNLocator(integer=True)
    figure.colorbar(shown, cax=figure.add_axes((0.87, 0.2, 0.03, 0.6)), label=label, ticks=ticks)
    return figure


def sweep_picture(networks: Sequence[Mapping], target: float, name: str) -> Figure:
    """Draw the test accuracy against the number of hidden units, and the target accuracy.

    networks: their records; name: of the images.
    """
    figure = Figure(figsize=(7, 4.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    places = sorted((network["hid"], 100 * network["accuracy"]) for network in networks)
    sizes, percent = zip(*places, strict=True)
    axes.axhline(100 * target, color="0.5", linestyle="--", label=f"required: {target:.0%}")
    axes.plot(sizes, percent, "o-", color="tab:blue", label="test accuracy")
    for place in places:
        axes.annotate(f"{place[1]:.1f}", place, (0, 7), textcoords="offset points", ha="center")
    axes.set_xscale("log")
    axes.set_xticks(sizes, map(str, sizes))
    axes.minorticks_off()
    axes.margins(y=0.15)
    axes.set(xlabel="hidden units (logarithmic)", ylabel="test accuracy (%)")
    axes.set_title(f"NetFull on {name}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


# Pictures of many images; the unit of length is an image's side, and (0, 0) the upper left corner.
# All images are in one Axes, because an Axes for each takes ten times as long.


def sheet(width: float, height: float, inches: float, title: str) -> Axes:
    """Return an empty sheet below a title, `inches` wide."""
    figure = Figure(figsize=(inches, inches * height / width), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    write(axes, width / 2, 0.3, title, fontsize=12)
    return axes


def write(axes: Axes, x: float, y: float, text: str, **how) -> None:
    """Write text centred at (x, y); `how`: options of Axes.text."""
    axes.text(x, y, text, **(dict(ha="center", va="center", fontsize=10) | how))


def band(axes: Axes, x: float, y: float, width: float, height: float, color: str) -> None:
    """Colour a rectangle behind images."""
    axes.add_patch(Rectangle((x, y), width, height, color=color, linewidth=0, zorder=-1))


def put(
    axes: Axes, x: float, y: float, values: np.ndarray, low: float = 0, high: float = 255,
    colors: str = "gray_r",
) -> None:  # fmt: skip
    """Draw an image (H, W) with the upper left corner at (x, y): `low` white, `high` black."""
    # A thin margin separates neighbouring images.
    left, top, side = x + 0.03, y + 0.03, 0.94
    axes.imshow(
        values,
        cmap=colors,
        vmin=low,
        vmax=high,
        extent=(left, left + side, top + side, top),
        aspect="auto",
        interpolation="nearest",
    )
    frame = Rectangle((left, top), side, side, fill=False, edgecolor="0.4", linewidth=0.7)
    axes.add_patch(frame)


def put_weights(axes: Axes, x: float, y: float, values: np.ndarray, limit: float = 0.0) -> None:
    """Draw weights (H, W): `limit`, by default the maximum, red, 0 white, -limit blue."""
    limit = limit or max(np.abs(values).max(), 1e-9)
    put(axes, x, y, values, -limit, limit, "RdBu_r")


def mistakes_picture(result: Result, images: Images, where: str) -> Figure | None:
    """Draw the most frequent confusions, a row for each: a typical training image of each form of
    the target, misclassified test images, the same of the predicted class.

    Below each misclassified image is the probability of the predicted class; the highest comes
    first. Single errors are shown only if there are no others. Return None if there is no error.
    """
    worst = worst_confusions(result.matrix, 5, min_count=2) or worst_confusions(result.matrix, 5)
    if not worst:
        return None
    train, test, forms = images.train.cpu().numpy(), images.test.cpu().numpy(), find_forms(images)
    # From the left: a name, typical images, a count, misclassified images, a name, typical images.
    first, middle = 0.95, FORMS + 2.0
    last, pitch, top = middle + MAX_MISTAKES + 1.05, 1.32, 1.2
    height = top + pitch * len(worst) + 0.05
    axes = sheet(last + FORMS + 0.15, height, 12, f"Most frequent confusions of {where}")
    band(axes, middle - 0.95, 0.65, MAX_MISTAKES + 1.05, height, "#fff1e0")
    write(axes, first + FORMS / 2, top - 0.25, "forms of the target", fontsize=11)
    write(axes, middle + MAX_MISTAKES / 2, top - 0.25, "misclassified, with P(predicted class)")
    write(axes, last + FORMS / 2, top - 0.25, "forms of the predicted class", fontsize=11)
    for row, (index, other, count) in enumerate(worst):
        y = top + pitch * row
        for x, shown in ((first, index), (last, other)):
            write(axes, x - 0.1, y + 0.5, images.classes[shown], ha="right", fontsize=13)
            for form in np.flatnonzero(forms.share[shown]):
                put(axes, x + form, y, train[forms.typical[shown, form, 0]])
        total = (result.target == index).sum()
        write(axes, middle - 0.475, y + 0.5, f"{count}\nof {total}")
        wrong = np.flatnonzero((result.target == index) & (result.predicted == other))
        probability = np.exp(result.log_probabilities[wrong, other])
        for column, place in enumerate(np.argsort(-probability, kind="stable")[:MAX_MISTAKES]):
            x = middle + column
            put(axes, x, y, test[wrong[place]])
            write(axes, x + 0.5, y + 1.1, f"{probability[place]:.0%}", fontsize=9)
    return axes.figure


def forms_picture(records: Mapping[str, Sequence[Mapping]], images: Images, where: str) -> Figure:
    """Draw the forms of each character, a row for each character: the mean image of a form and
    typical ones, with its share of the training images and its error rates below.

    records: of `form_records`, by the name of the network. The form that the first network gets
    wrong most often, among those of at least MIN_IMAGES test images, is marked. where: the title.
    """
    train, forms, width, pitch, top = images.train.cpu().numpy(), find_forms(images), 3.3, 1.4, 1.3
    title = f"Forms of the characters, and how often they are wrong: {where}"
    axes = sheet(1.1 + FORMS * width, top + 10 * pitch, 12, title)
    write(
        axes, (1.1 + FORMS * width) / 2, 0.68,
        "mean image and typical images; below: share of the training images, and test images that "
        "are wrong (orange: the most)",
    )  # fmt: skip
    for form in range(FORMS):
        write(axes, 1.1 + width * form + 1.5, top - 0.15, f"form {form + 1}")
    names = [name[3:] for name in records] if len(records) > 1 else ["wrong:"]
    rates = list(zip(*records.values(), strict=True))
    for index, name in enumerate(images.classes):
        y, here = top + pitch * index, [rows for rows in rates if rows[0]["target"] == name]
        write(axes, 0.95, y + 0.5, name, ha="right", fontsize=13)
        enough = [rows[0] for rows in here if rows[0]["images"] >= MIN_IMAGES]
        worst = max(enough, key=lambda row: row["error_rate"], default=None)
        for rows in here:
            form = rows[0]["form"] - 1
            x = 1.1 + width * form
            if rows[0] is worst and worst["errors"]:
                band(axes, x - 0.1, y - 0.05, width - 0.1, pitch - 0.02, "#ffd9a8")
            put(axes, x, y, forms.mean[index, form])
            for column, place in enumerate(forms.typical[index, form]):
                put(axes, x + 1 + column, y, train[place])
            wrong = [
                "-" if row["error_rate"] is None else f"{row['error_rate']:.0%}" for row in rows
            ]
            text = ", ".join(map(" ".join, zip(names, wrong, strict=True)))
            write(axes, x + 1.5, y + 1.16, f"{rows[0]['share']:.0%}; {text}", fontsize=9)
    return axes.figure


# Pictures of weights


def _layers(net: nn.Module) -> tuple[list[nn.Module], list[tuple[int, ...]]]:
    """Return a network's linear and convolutional layers, and the shapes of their weights."""
    layers = [layer for layer in net.modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
    return layers, [tuple(layer.weight.shape) for layer in layers]


@torch.inference_mode()
def weights_picture(
    net: nn.Module, images: Images, normalize: tuple[float, float], where: str
) -> Figure | None:
    """Draw the weights of a network's first layer: ten templates, the strongest hidden units, or
    filters. None if its layers are not the assignment's.

    normalize: of the recipe. where: the network and its images.
    """
    layers, shapes = _layers(net)
    title = f"First-layer weights of {where}: red positive, blue negative"
    match shapes:
        case [(10, 784)]:
            return _templates(layers[0], images, title)
        case [(hid, 784), (10, inputs)] if hid == inputs:
            return _hidden_units(*layers, images, normalize, title)
        case [(_, 1, _, _), *_]:
            return _filters(layers[0], images, normalize, title)
    return None


def _templates(output: nn.Linear, images: Images, title: str) -> Figure:
    """Draw the mean image of each class above its template."""
    axes = sheet(0.6 + 10 * 1.05, 3.25, 12, title)
    for index, mean in enumerate(mean_images(images)):
        x = 0.5 + 1.05 * index
        write(axes, x + 0.5, 0.85, images.classes[index], fontsize=11)
        put(axes, x, 1.05, mean, high=max(mean.max(), 1))
        put_weights(axes, x, 2.1, output.weight[index].cpu().view(SIDE, SIDE).numpy())
    write(axes, 0.3, 1.55, "mean image", rotation=90)
    write(axes, 0.3, 2.6, "weights", rotation=90)
    return axes.figure


def _hidden_units(
    hidden: nn.Linear, output: nn.Linear, images: Images, normalize, title: str
) -> Figure:
    """Draw the most influential hidden tanh units, each with its most excited and most inhibited
    class: by the standard deviation of the activation over the test images, times the norm of the
    outgoing weights."""
    activation = torch.tanh(hidden(prepare(images.test, normalize).flatten(1)))
    influence = activation.std(dim=0) * output.weight.norm(dim=0)
    chosen = influence.argsort(descending=True)[:MAX_UNITS].tolist()
    title += "; +/\u2212: class with the largest/smallest output weight"
    axes = sheet(11.1, 0.65 + 1.3 * -(-len(chosen) // 10), 12, title)
    for place, unit in enumerate(chosen):
        x, y = 0.1 + 1.1 * (place % 10), 0.65 + 1.3 * (place // 10)
        put_weights(axes, x, y, hidden.weight[unit].cpu().view(SIDE, SIDE).numpy())
        out = output.weight[:, unit]
        most, least = images.classes[int(out.argmax())], images.classes[int(out.argmin())]
        write(axes, x + 0.5, y + 1.1, f"+ {most}  \u2212 {least}", fontsize=8.5)
    return axes.figure


def _filters(convolution: nn.Conv2d, images: Images, normalize, title: str) -> Figure:
    """Draw the first filters, and below each how the ink of one test image changes its output."""
    # A ma, whose strokes have many directions, if there is one.
    example = int((images.test_target == 6).int().argmax())
    shown = images.test[example : example + 1]
    inputs = prepare(torch.cat([shown, torch.zeros_like(shown)]), normalize)
    response, empty = convolution(inputs).cpu()
    filters, maps = convolution.weight[:MAX_FILTERS, 0].cpu().numpy(), (response - empty).numpy()
    title += "; below each filter: its response to the ink of the test image"
    axes = sheet(14, 0.7 + 2.2 * -(-len(filters) // 12), 13, title)
    put(axes, 0.1, 0.7, shown[0].cpu().numpy())
    write(axes, 0.6, 1.85, "test image", fontsize=9)
    for index, values in enumerate(filters):
        x, y = 1.35 + 1.05 * (index % 12), 0.7 + 2.2 * (index // 12)
        put_weights(axes, x, y, values)
        put_weights(axes, x, y + 1, maps[index])
    return axes.figure
