"""Pictures of confusion matrices, misclassified images, and accuracy against hidden units."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from kuzushiji.confusion import worst_confusions
from kuzushiji.dataset import Images
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


def typical_images(pixels: np.ndarray, limit: int) -> np.ndarray:
    """Return typical images (at most `limit`, 28, 28) of a class with images (N, 28, 28).

    The images are clustered by k-means. Returned is the image closest to each centre, the largest
    cluster first.
    """
    if not len(pixels):
        return pixels
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    limit = min(limit, len(np.unique(flat, axis=0)))
    # A thousand images are enough to find the main forms.
    flat = flat[:1000] if limit < len(flat) else flat
    # One thread, because the order in which threads add up may change the images chosen.
    with threadpool_limits(1):
        clusters = KMeans(limit, n_init=1, random_state=0).fit(flat)
    nearest = clusters.transform(flat).argmin(axis=0)
    sizes = np.bincount(clusters.labels_, minlength=limit)
    return pixels[nearest[np.argsort(-sizes, kind="stable")]]


def mistakes_picture(
    matrix: np.ndarray, log_probabilities: np.ndarray, images: Images, title: str
) -> Figure | None:
    """Draw the most frequent confusions, a row for each: typical training images of the target,
    misclassified test images, typical training images of the predicted class.

    Below each misclassified image is the probability of the predicted class; the highest comes
    first. Single errors are shown only if there are no others. Return None if there is no error.

    log_probabilities: (N, 10), the network's output for the N test images.
    """
    rows, typical, mistaken = 5, 4, 6
    worst = worst_confusions(matrix, rows, min_count=2) or worst_confusions(matrix, rows)
    if not worst:
        return None
    labels = Labels(images)
    train, train_target = images.train.cpu().numpy(), images.train_target.cpu().numpy()
    test, test_target = images.test.cpu().numpy(), images.test_target.cpu().numpy()
    forms = {
        index: typical_images(train[train_target == index], typical)
        for index in {index for confusion in worst for index in confusion[:2]}
    }
    # From the left: a name, typical images, a count, misclassified images, a name, typical images.
    name, count_width, pitch, top = 0.95, 1.05, 1.32, 1.2
    first = name
    middle = first + typical + count_width
    last = middle + mistaken + name + 0.1
    tiles = Tiles(last + typical + 0.15, top + pitch * len(worst) + 0.05, inches=12)
    tiles.text((last + typical) / 2, 0.35, title, fontsize=12)
    tiles.band(middle - count_width + 0.1, 0.65, mistaken + count_width, 99, "#fff1e0")
    heads = (
        "typical images: target",
        "misclassified, with P(predicted class)",
        "typical images: predicted class",
    )
    for x, columns, head in zip(
        (first, middle, last), (typical, mistaken, typical), heads, strict=True
    ):
        tiles.text(x + columns / 2, top - 0.25, head, fontsize=11)
    chosen = log_probabilities.argmax(axis=1)
    for row, (target, other, count, total) in enumerate(worst):
        y = top + pitch * row
        wrong = np.flatnonzero((test_target == target) & (chosen == other))
        probability = np.exp(log_probabilities[wrong, other])
        order = np.argsort(-probability, kind="stable")[:mistaken]
        for x, index in ((first, target), (last, other)):
            how = {"ha": "right", "fontsize": 13, "family": labels.family}
            tiles.text(x - 0.1, y + 0.5, labels.text[index], **how)
            for column, pixels in enumerate(forms[index]):
                tiles.image(x + column, y, pixels, vmin=0, vmax=255)
        tiles.text(middle - count_width / 2 + 0.05, y + 0.5, f"{count}\nof {total}")
        for column, index in enumerate(order):
            tiles.image(middle + column, y, test[wrong[index]], vmin=0, vmax=255)
            tiles.text(middle + column + 0.5, y + 1.1, f"{probability[index]:.0%}", fontsize=9)
    return tiles.figure


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
