"""Pictures of confusions, misclassified images, forms, and accuracy against hidden units."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kuzushiji.answer import MIN_IMAGES
from kuzushiji.confusion import worst_confusions
from kuzushiji.dataset import Images
from kuzushiji.forms import FORMS, TYPICAL, Forms
from kuzushiji.tiles import Tiles


def glyph_font(glyphs: tuple[str, ...]) -> str | None:
    """Return the name of an installed font that has all of `glyphs`, or None."""
    marks = ("CJK", "Gothic", "Mincho", "Hiragino", "Meiryo", "IPA", "Takao", "Yu ", "Kosugi")
    marks += ("Sawarabi", "BIZ UD", "Unicode", "Fallback", "VL ", "Unifont", "Osaka")
    for entry in font_manager.fontManager.ttflist:
        if any(mark in entry.name for mark in marks):
            try:
                known = font_manager.get_font(entry.fname).get_charmap()
            except (OSError, RuntimeError):
                continue
            if all(ord(glyph) in known for glyph in glyphs):
                return entry.name
    return None


class Labels:
    """The classes' names for a picture, with their glyphs if a font has them."""

    def __init__(self, images: Images):
        font = glyph_font(images.glyphs) if images.glyphs else None
        self.family = ["DejaVu Sans", font] if font else ["DejaVu Sans"]
        pairs = zip(images.classes, images.glyphs, strict=True) if font else ()
        self.text = [f"{name} {glyph}" for name, glyph in pairs] or list(images.classes)


def confusion_picture(matrix: np.ndarray, images: Images, title: str) -> Figure:
    """Draw a confusion matrix as a heat map of its errors; the diagonal is grey."""
    labels = Labels(images)
    figure = Figure(figsize=(8, 7), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    counts = matrix.astype(int)
    errors = np.ma.masked_array(counts, mask=np.eye(len(counts), dtype=bool))
    top = max(int(errors.max()), 1)
    axes.set_facecolor("0.88")
    shown = axes.imshow(errors, cmap="YlOrRd", vmin=0, vmax=top)
    for (row, column), count in np.ndenumerate(counts):
        correct = row == column
        dark = not correct and count > 0.6 * top
        axes.text(
            column,
            row,
            f"{count}",
            ha="center",
            va="center",
            color="white" if dark else "0.75" if not count else "black",
            weight="bold" if correct else "normal",
            fontsize=10,
        )
    places = range(len(counts))
    axes.set_xticks(places, labels.text, family=labels.family)
    axes.set_yticks(places, labels.text, family=labels.family)
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
    labels = Labels(images)
    train, test = images.train.cpu().numpy(), images.test.cpu().numpy()
    target = images.test_target.cpu().numpy()
    # From the left: a name, typical images, a count, misclassified images, a name, typical images.
    name, count_width, pitch, top = 0.95, 1.05, 1.32, 1.2
    first, middle = name, name + FORMS + count_width
    last = middle + mistaken + name + 0.1
    tiles = Tiles(last + FORMS + 0.15, top + pitch * len(worst) + 0.05, inches=12)
    tiles.title(title)
    tiles.band(middle - count_width + 0.1, 0.65, mistaken + count_width, 99, "#fff1e0")
    heads = (
        (first, FORMS, "forms of the target"),
        (middle, mistaken, "misclassified, with P(predicted class)"),
        (last, FORMS, "forms of the predicted class"),
    )
    for x, columns, head in heads:
        tiles.text(x + columns / 2, top - 0.25, head, fontsize=11)
    for row, (index, other, count, total) in enumerate(worst):
        y = top + pitch * row
        wrong = np.flatnonzero((target == index) & (log_probabilities.argmax(axis=1) == other))
        probability = np.exp(log_probabilities[wrong, other])
        for x, shown in ((first, index), (last, other)):
            how = {"ha": "right", "fontsize": 13, "family": labels.family}
            tiles.text(x - 0.1, y + 0.5, labels.text[shown], **how)
            for form in np.flatnonzero(forms.share[shown]):
                tiles.image(x + form, y, train[forms.typical[shown, form, 0]], 255)
        tiles.text(middle - count_width / 2 + 0.05, y + 0.5, f"{count}\nof {total}")
        for column, place in enumerate(np.argsort(-probability, kind="stable")[:mistaken]):
            tiles.image(middle + column, y, test[wrong[place]], 255)
            tiles.text(middle + column + 0.5, y + 1.1, f"{probability[place]:.0%}", fontsize=9)
    return tiles.finish()


def forms_picture(
    forms: Forms, records: dict[str, list[dict]], images: Images, title: str
) -> Figure:
    """Draw the forms of each character, a row for each character: the mean image of a form and
    typical ones, with its share of the training images and its error rates below.

    records: of `form_records`, by the name of the network. The form that the first network gets
    wrong most often, among those of at least MIN_IMAGES test images, is marked.
    """
    labels, train = Labels(images), images.train.cpu().numpy()
    width, pitch, top = 1 + TYPICAL + 0.3, 1.4, 1.3
    rates = {}
    for row in (row for network in records.values() for row in network):
        place = images.classes.index(row["target"]), row["form"] - 1
        rates.setdefault(place, []).append(row)
    tiles = Tiles(1.1 + FORMS * width, top + 10 * pitch, inches=12)
    tiles.title(title)
    tiles.text(
        tiles.width / 2, 0.68,
        "mean image and typical images; below: share of the training images, and test images that "
        "are wrong (orange: the most)",
    )  # fmt: skip
    for form in range(FORMS):
        tiles.text(1.1 + width * form + (1 + TYPICAL) / 2, top - 0.15, f"form {form + 1}")
    for index, label in enumerate(labels.text):
        y = top + pitch * index
        tiles.text(0.95, y + 0.5, label, ha="right", fontsize=13, family=labels.family)
        shown = {form: rates[index, form] for form in range(FORMS) if (index, form) in rates}
        enough = [form for form in shown if shown[form][0]["images"] >= MIN_IMAGES]
        worst = max(enough, key=lambda form: shown[form][0]["error_rate"], default=None)
        for form, rows in shown.items():
            x = 1.1 + width * form
            if form == worst and rows[0]["errors"]:
                tiles.band(x - 0.1, y - 0.05, width - 0.1, pitch - 0.02, "#ffd9a8")
            tiles.image(x, y, forms.mean[index, form], 255)
            for column, place in enumerate(forms.typical[index, form]):
                tiles.image(x + 1 + column, y, train[place], 255)
            wrong = [
                f"{name[3:] if len(records) > 1 else 'wrong:'} "
                + ("-" if row["error_rate"] is None else f"{row['error_rate']:.0%}")
                for name, row in zip(records, rows, strict=True)
            ]
            text = f"{rows[0]['share']:.0%}; {', '.join(wrong)}"
            tiles.text(x + (1 + TYPICAL) / 2, y + 1.16, text, fontsize=9)
    return tiles.finish()


def sweep_picture(sizes: list[int], accuracies: list[float], target: float, title: str) -> Figure:
    """Draw the test accuracy against the number of hidden units, and the target accuracy."""
    figure = Figure(figsize=(7, 4.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    order = np.argsort(sizes)
    sizes, percent = np.array(sizes)[order], 100 * np.array(accuracies)[order]
    axes.axhline(100 * target, color="0.5", linestyle="--", label=f"required: {target:.0%}")
    axes.plot(sizes, percent, "o-", color="tab:blue", label="test accuracy")
    for place in zip(sizes, percent, strict=True):
        axes.annotate(f"{place[1]:.1f}", place, (0, 7), textcoords="offset points", ha="center")
    axes.set_xscale("log")
    axes.set_xticks(sizes, map(str, sizes))
    axes.minorticks_off()
    axes.margins(y=0.15)
    axes.set(xlabel="hidden units (logarithmic)", ylabel="test accuracy (%)", title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure
