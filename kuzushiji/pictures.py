"""Pictures of confusions, misclassified images, forms, and accuracy against hidden units."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kuzushiji.answer import MIN_IMAGES
from kuzushiji.confusion import worst_confusions
from kuzushiji.dataset import Images
from kuzushiji.forms import FORMS, TYPICAL, Forms
from kuzushiji.tiles import Tiles


def confusion_picture(matrix: np.ndarray, images: Images, title: str) -> Figure:
    """Draw a confusion matrix as a heat map of its errors; the diagonal is grey."""
    figure = Figure(figsize=(8, 7), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    counts = matrix.astype(int)
    errors = np.ma.masked_array(counts, mask=np.eye(10, dtype=bool))
    top = max(int(errors.max()), 1)
    axes.set_facecolor("0.88")
    shown = axes.imshow(errors, cmap="YlOrRd", vmin=0, vmax=top)
    for (row, column), count in np.ndenumerate(counts):
        correct = row == column
        color = "white" if not correct and count > 0.6 * top else "black" if count else "0.75"
        # in_layout=False, because measuring a hundred texts takes half of the time.
        how = dict(ha="center", va="center", weight="bold" if correct else None, in_layout=False)
        axes.text(column, row, f"{count}", color=color, fontsize=10, **how)
    axes.set_xticks(range(10), images.classes)
    axes.set_yticks(range(10), images.classes)
    axes.set_xlabel("predicted character")
    axes.set_ylabel("target character")
    axes.set_title("\n".join(textwrap.wrap(title, 84)), fontsize=11)
    label = "misclassified images (diagonal: correct)"
    ticks = MaxNLocator(integer=True)
    figure.colorbar(shown, ax=axes, shrink=0.8, label=label, ticks=ticks)
    return figure


def mistakes_picture(
    matrix: np.ndarray, log_probabilities: np.ndarray, images: Images, forms: Forms, title: str
) -> Figure | None:
    """Draw the most frequent confusions, a row for each: a typical training image of each form of
    the target, misclassified test images, the same of the predicted class.

    Below each misclassified image is the probability of the predicted class; the highest comes
    first. Single errors are shown only if there are no others. Return None if there is no error.

    log_probabilities: (N, 10), the network's output for the N test images.
    """
    rows, mistaken = 5, 6
    worst = worst_confusions(matrix, rows, min_count=2) or worst_confusions(matrix, rows)
    if not worst:
        return None
    train, test = images.train.cpu().numpy(), images.test.cpu().numpy()
    target, predicted = images.test_target.cpu().numpy(), log_probabilities.argmax(axis=1)
    # From the left: a name, typical images, a count, misclassified images, a name, typical images.
    first, middle = 0.95, FORMS + 2.0
    last, pitch, top = middle + mistaken + 1.05, 1.32, 1.2
    tiles = Tiles(last + FORMS + 0.15, top + pitch * len(worst) + 0.05, 12, title)
    tiles.band(middle - 0.95, 0.65, mistaken + 1.05, tiles.height, "#fff1e0")
    tiles.text(first + FORMS / 2, top - 0.25, "forms of the target", fontsize=11)
    tiles.text(middle + mistaken / 2, top - 0.25, "misclassified, with P(predicted class)")
    tiles.text(last + FORMS / 2, top - 0.25, "forms of the predicted class", fontsize=11)
    for row, (index, other, count, total) in enumerate(worst):
        y = top + pitch * row
        for x, shown in ((first, index), (last, other)):
            tiles.text(x - 0.1, y + 0.5, images.classes[shown], ha="right", fontsize=13)
            for form in np.flatnonzero(forms.share[shown]):
                tiles.image(x + form, y, train[forms.typical[shown, form, 0]], 255)
        tiles.text(middle - 0.475, y + 0.5, f"{count}\nof {total}")
        wrong = np.flatnonzero((target == index) & (predicted == other))
        probability = np.exp(log_probabilities[wrong, other])
        for column, place in enumerate(np.argsort(-probability, kind="stable")[:mistaken]):
            tiles.image(middle + column, y, test[wrong[place]], 255)
            tiles.text(middle + column + 0.5, y + 1.1, f"{probability[place]:.0%}", fontsize=9)
    return tiles.finish()


def forms_picture(
    forms: Forms, records: Mapping[str, list[dict]], images: Images, where: str
) -> Figure:
    """Draw the forms of each character, a row for each character: the mean image of a form and
    typical ones, with its share of the training images and its error rates below.

    records: of `form_records`, by the name of the network. The form that the first network gets
    wrong most often, among those of at least MIN_IMAGES test images, is marked. where: the title.
    """
    train, width, pitch, top = images.train.cpu().numpy(), 1.3 + TYPICAL, 1.4, 1.3
    title = f"Forms of the characters, and how often they are wrong: {where}"
    tiles = Tiles(1.1 + FORMS * width, top + 10 * pitch, 12, title)
    tiles.text(
        tiles.width / 2, 0.68,
        "mean image and typical images; below: share of the training images, and test images that "
        "are wrong (orange: the most)",
    )  # fmt: skip
    for form in range(FORMS):
        tiles.text(1.1 + width * form + (1 + TYPICAL) / 2, top - 0.15, f"form {form + 1}")
    rates = list(zip(*records.values(), strict=True))
    for index, name in enumerate(images.classes):
        y, here = top + pitch * index, [rows for rows in rates if rows[0]["target"] == name]
        tiles.text(0.95, y + 0.5, name, ha="right", fontsize=13)
        enough = [rows[0] for rows in here if rows[0]["images"] >= MIN_IMAGES]
        worst = max(enough, key=lambda row: row["error_rate"], default=None)
        for rows in here:
            form = rows[0]["form"] - 1
            x = 1.1 + width * form
            if rows[0] is worst and worst["errors"]:
                tiles.band(x - 0.1, y - 0.05, width - 0.1, pitch - 0.02, "#ffd9a8")
            tiles.image(x, y, forms.mean[index, form], 255)
            for column, place in enumerate(forms.typical[index, form]):
                tiles.image(x + 1 + column, y, train[place], 255)
            wrong = [
                "-" if row["error_rate"] is None else f"{row['error_rate']:.0%}" for row in rows
            ]
            names = [net[3:] for net in records] if len(records) > 1 else ["wrong:"]
            pairs = map(" ".join, zip(names, wrong, strict=True))
            text = f"{rows[0]['share']:.0%}; {', '.join(pairs)}"
            tiles.text(x + (1 + TYPICAL) / 2, y + 1.16, text, fontsize=9)
    return tiles.finish()


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
