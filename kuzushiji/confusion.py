"""Tables from a confusion matrix: accuracy of each class, and the most frequent confusions.

A confusion matrix has a row for each target class and a column for each class chosen by the
network, and holds numbers of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kuzushiji.dataset import Images


class Confusion(NamedTuple):
    """`count` of the `total` images of class `target` were classified as `chosen`."""

    target: int
    chosen: int
    count: int
    total: int


def worst_confusions(matrix: np.ndarray, limit: int, min_count: int = 1) -> list[Confusion]:
    """Return at most `limit` confusions of a (10, 10) matrix, the most frequent first.

    min_count: minimum number of images.
    """
    wrong = matrix.astype(int)
    np.fill_diagonal(wrong, 0)
    totals = matrix.sum(axis=1).astype(int)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    cells = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        Confusion(int(row), int(column), int(wrong[row, column]), int(totals[row]))
        for row, column in cells
        if wrong[row, column] >= min_count
    ]


def class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Return the accuracy of each class, (10,); nan for a class without images."""
    totals = matrix.sum(axis=1)
    return np.divide(matrix.diagonal(), totals, out=np.full(len(totals), np.nan), where=totals > 0)


def confusion_lines(matrix: np.ndarray, images: Images, glyphs: bool) -> list[str]:
    """Return the ten most frequent confusions as lines of text: `ha -> su: 125 of 1000`.

    Single errors are omitted, because they differ between networks of the same recipe.
    glyphs: whether to add the characters themselves.
    """
    lines = []
    for target, chosen, count, total in worst_confusions(matrix, 10, min_count=2):
        line = f"{images.classes[target]} -> {images.classes[chosen]}: {count} of {total}"
        if glyphs and images.glyphs:
            line = f"{line:24}{images.glyphs[target]} -> {images.glyphs[chosen]}"
        lines.append(line)
    return lines or ["no confusion occurs more than once"]


def class_lines(matrix: np.ndarray, images: Images, glyphs: bool) -> list[str]:
    """Return the accuracy of each class as lines of text; glyphs: see confusion_lines."""
    lines = []
    for index, (name, share) in enumerate(zip(images.classes, class_accuracy(matrix), strict=True)):
        glyph = f" {images.glyphs[index]}" if glyphs and images.glyphs else ""
        correct, total = int(matrix[index, index]), int(matrix[index].sum())
        lines.append(f"{index} {name:3}{glyph} {correct:5} of {total:4} = {share:6.1%}")
    return lines


def comparison(matrices: dict[str, np.ndarray], classes: Sequence[str]) -> str:
    """Return a table of errors and confusions with a column for each network.

    matrices: the confusion matrix of each network by its name, the simplest network first. The rows
    are the most frequent confusions of the first network and of the last.
    """
    first, *_, last = matrices.values()
    total = int(first.sum())
    shown = worst_confusions(first, 6, min_count=2) + worst_confusions(last, 3, min_count=2)
    pairs = dict.fromkeys((confusion.target, confusion.chosen) for confusion in shown)
    rows = {f"errors in {total} images": [int(m.sum() - m.trace()) for m in matrices.values()]}
    rows["ordered pairs with errors (of 90)"] = [
        len(worst_confusions(matrix, matrix.size)) for matrix in matrices.values()
    ]
    for pair in pairs:
        name = " -> ".join(classes[index] for index in pair)
        rows[name] = [int(matrix[pair]) for matrix in matrices.values()]
    width = max(map(len, rows))
    head = " " * width + "".join(f"{name:>9}" for name in matrices)
    lines = [f"{name:{width}}" + "".join(f"{n:9}" for n in counts) for name, counts in rows.items()]
    return "\n".join([head, *lines])
