"""What a network mistakes for what: tables and sentences from a confusion matrix.

A confusion matrix has a row for each target class and a column for each class that the network
chose, and holds numbers of images (Part 1 of the assignment).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kuzushiji.dataset import Images


class Confusion(NamedTuple):
    """`count` images of class `target`, of which there are `total`, were taken for `chosen`."""

    target: int
    chosen: int
    count: int
    total: int


def worst_confusions(matrix: np.ndarray, most: int) -> list[Confusion]:
    """The most frequent confusions of a (10, 10) matrix, at most `most`, worst first."""
    wrong = matrix.astype(int)
    np.fill_diagonal(wrong, 0)
    totals = matrix.sum(axis=1).astype(int)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    cells = zip(*np.unravel_index(order, wrong.shape), strict=True)
    return [
        Confusion(int(row), int(column), int(wrong[row, column]), int(totals[row]))
        for row, column in cells
        if wrong[row, column]
    ]


def class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """The share of each class's images that was chosen right, (10,), nan for a class with none."""
    totals = matrix.sum(axis=1)
    return np.divide(matrix.diagonal(), totals, out=np.full(len(totals), np.nan), where=totals > 0)


def confusion_lines(matrix: np.ndarray, images: Images, glyphs: bool, most: int = 10) -> list[str]:
    """The worst confusions as lines of text: `ha -> su: 125 of 1000`, worst first."""
    lines = []
    for target, chosen, count, total in worst_confusions(matrix, most):
        line = f"{images.classes[target]} -> {images.classes[chosen]}: {count} of {total}"
        if glyphs and images.glyphs:
            line = f"{line:24}{images.glyphs[target]} -> {images.glyphs[chosen]}"
        lines.append(line)
    return lines


def class_lines(matrix: np.ndarray, images: Images, glyphs: bool) -> list[str]:
    """The accuracy of each class as lines of text, with the class it is most often taken for."""
    lines = []
    for index, (name, share) in enumerate(zip(images.classes, class_accuracy(matrix), strict=True)):
        glyph = f" {images.glyphs[index]}" if glyphs and images.glyphs else ""
        right, total = int(matrix[index, index]), int(matrix[index].sum())
        lines.append(f"{index} {name:3}{glyph} {right:5} of {total:4} = {share:6.1%}")
    return lines


def comparison(matrices: dict[str, np.ndarray], images: Images) -> str:
    """How the confusions change from the first network to the last, in sentences with figures.

    matrices: the confusion matrix of each network, by its name, the simplest first.
    """

    def pair(confusion: Confusion) -> str:
        return f"{images.classes[confusion.target]} -> {images.classes[confusion.chosen]}"

    names = list(matrices)
    wrong = {name: int(matrix.sum() - matrix.trace()) for name, matrix in matrices.items()}
    total = int(matrices[names[0]].sum())
    errors = ", ".join(f"{name} {count} ({count / total:.1%})" for name, count in wrong.items())
    lines = [f"Of {total} test images are mistaken: {errors}."]
    worst = worst_confusions(matrices[names[0]], 6)
    if worst:
        lines.append(
            f"The worst confusions of {names[0]}, and what {' and '.join(names[1:])} leave:"
        )
    for confusion in worst:
        counts = [int(matrix[confusion.target, confusion.chosen]) for matrix in matrices.values()]
        lines.append(f"  {pair(confusion)}: {' -> '.join(map(str, counts))}")
    every = {
        name: {confusion[:2] for confusion in worst_confusions(matrix, matrix.size)}
        for name, matrix in matrices.items()
    }
    gone = len(every[names[0]] - every[names[-1]])
    lines.append(
        f"{names[0]} confuses {len(every[names[0]])} of the {len(images.classes) * 9} pairs of "
        f"characters at least once; {gone} of those pairs are never confused by {names[-1]}."
    )
    hardest = ", ".join(
        f"{pair(confusion)} ({confusion.count})"
        for confusion in worst_confusions(matrices[names[-1]], 3)
    )
    if hardest:
        lines.append(f"What stays hard for {names[-1]}: {hardest}.")
    return "\n".join(lines)
