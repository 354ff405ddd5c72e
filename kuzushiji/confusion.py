"""Confusions: the most frequent ones, and measurements of what they have in common.

A confusion matrix has a row for each target class and a column for each class chosen by the
network, and holds numbers of images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from kuzushiji.dataset import SIDE, Images
from kuzushiji.forms import FORMS, Forms


class Confusion(NamedTuple):
    """`count` of the `total` images of class `target` were classified as `chosen`."""

    target: int
    chosen: int
    count: int
    total: int


def confusion_matrix(target: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the confusion matrix (10, 10) of targets and chosen classes (N,), as floats."""
    return np.bincount(10 * target + chosen, minlength=100).reshape(10, 10).astype(float)


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


def mean_images(images: Images) -> np.ndarray:
    """Return the mean training image of each class, (10, 28, 28); 0 if a class has no images."""
    pixels, target = images.train.cpu().numpy(), images.train_target.cpu().numpy()
    means = np.zeros((10, SIDE, SIDE))
    for index in np.unique(target):
        means[index] = pixels[target == index].mean(axis=0)
    return means


def likeness(images: Images) -> dict[tuple[int, int], tuple[float, int]]:
    """Return for each pair of classes (low, high) the correlation of their mean images over pixels,
    and its rank among the 45 pairs, 1 for the most similar."""
    with np.errstate(invalid="ignore"):
        # Undefined for a class without images, which ranks last.
        correlation = np.nan_to_num(np.corrcoef(mean_images(images).reshape(10, -1)))
    pairs = sorted(combinations(range(10), 2), key=lambda pair: -correlation[pair])
    return {pair: (float(correlation[pair]), rank) for rank, pair in enumerate(pairs, 1)}


def confusion_records(
    matrix: np.ndarray, chosen: np.ndarray, forms: Forms, images: Images, limit: int = 10
) -> list[dict]:
    """Return records of the most frequent confusions.

    correlation, rank: of the two mean images, see `likeness`. form: the form of the target in which
    most of these `count` images are written; in_form: their number; form_share: share of the
    target's training images in this form; p: probability of at least so many in this form if the
    confused images were drawn at random from the target's test images.
    chosen: (N,) the class that the network chose for each test image.
    """
    records, alike, target = [], likeness(images), images.test_target.cpu().numpy()
    for confusion in worst_confusions(matrix, limit):
        row, column, count, total = confusion
        correlation, rank = alike[min(row, column), max(row, column)]
        available = np.bincount(forms.test[target == row], minlength=FORMS)
        confused = np.bincount(forms.test[(target == row) & (chosen == column)], minlength=FORMS)
        form = int(confused.argmax())
        records.append(
            {
                "target": images.classes[row],
                "chosen": images.classes[column],
                "count": count,
                "total": total,
                "correlation": correlation,
                "rank": rank,
                "form": form + 1,
                "in_form": int(confused[form]),
                "form_share": float(forms.share[row, form]),
                "p": tail(int(confused[form]), count, int(available[form]), total),
            }
        )
    return records


def tail(successes: int, draws: int, good: int, total: int) -> float:
    """Return the probability of at least `successes` good ones among `draws` draws without
    replacement from `total`, of which `good` are good (hypergeometric distribution)."""
    ways = (
        math.comb(good, k) * math.comb(total - good, draws - k) for k in range(successes, draws + 1)
    )
    return sum(ways) / math.comb(total, draws)


def comparison(networks: Sequence[Mapping], classes: Sequence[str]) -> list[dict]:
    """Return records of errors and confusions with a column for each network, the simplest first.

    networks: records with title and matrix. The rows are the most frequent confusions of the first
    network and of the last.
    """
    first, last = networks[0]["matrix"], networks[-1]["matrix"]
    shown = worst_confusions(first, 6, min_count=2) + worst_confusions(last, 3, min_count=2)
    rows = {f"errors in {first.sum():.0f} images": lambda matrix: matrix.sum() - matrix.trace()}
    for pair in dict.fromkeys((confusion.target, confusion.chosen) for confusion in shown):
        name = " -> ".join(classes[index] for index in pair)
        rows[name] = lambda matrix, pair=pair: matrix[pair]
    return [
        {"target -> chosen": name} | {net["title"]: int(number(net["matrix"])) for net in networks}
        for name, number in rows.items()
    ]
