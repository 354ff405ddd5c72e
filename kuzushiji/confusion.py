"""Which characters a network confuses, and in which forms they are written.

A confusion matrix has a row for each target class and a column for each predicted class, and holds
numbers of images.

A character of old Japanese is written in several forms (hentaigana), and a linear network has one
template for all of them. The forms are found by k-means in the training images of each character;
a test image belongs to the form whose centre is the closest.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.cluster.vq import kmeans2, vq

from kuzushiji.dataset import SIDE, Images

# Forms looked for in each character.
FORMS = 4
# Typical training images of a form.
TYPICAL = 2
# Random distributions of a character's errors over its forms in the permutation test.
PERMUTATIONS = 2000


@dataclass
class Result:
    """Result of a test on N images: log probabilities (N, 10) and targets (N,)."""

    log_probabilities: np.ndarray
    target: np.ndarray

    def __post_init__(self):
        self.predicted = self.log_probabilities.argmax(axis=1)
        pairs = np.bincount(10 * self.target + self.predicted, minlength=100)
        self.matrix = pairs.reshape(10, 10).astype(float)
        self.total = len(self.target)
        self.correct = int(self.matrix.trace())
        self.accuracy = self.correct / self.total
        self.loss = -self.log_probabilities[np.arange(self.total), self.target].mean()

    def __str__(self) -> str:
        """Return the assignment's test line."""
        return (
            f"Test set: Average loss: {self.loss:.4f}, "
            f"Accuracy: {self.correct}/{self.total} ({100 * self.accuracy:.0f}%)"
        )

    def show(self) -> None:
        """Print the confusion matrix and the test line in the assignment's format."""
        print(f"{type(self.matrix)}\n{self.matrix}\n\n{self}\n", flush=True)


def worst_confusions(
    matrix: np.ndarray, limit: int, min_count: int = 1
) -> list[tuple[int, int, int]]:
    """Return at most `limit` confusions (target, predicted, number of images) of a matrix (10, 10),
    the most frequent first, of at least `min_count` images each."""
    wrong = matrix.astype(int)
    np.fill_diagonal(wrong, 0)
    cells = np.argsort(-wrong, axis=None, kind="stable")[:limit].tolist()
    worst = [(*divmod(cell, 10), int(wrong.flat[cell])) for cell in cells]
    return [confusion for confusion in worst if confusion[2] >= min_count]


# Forms


@dataclass(frozen=True)
class Forms:
    """The forms of the ten classes, the most frequent form of each class first.

    share: (10, FORMS) share of the class's training images, 0 for a form that does not exist.
    mean: (10, FORMS, 28, 28) mean training image. typical: (10, FORMS, TYPICAL) indices of the
    training images closest to the centre. test: (N,) form of each test image, within its class.
    """

    share: np.ndarray
    mean: np.ndarray
    typical: np.ndarray
    test: np.ndarray


@functools.lru_cache(1)
def find_forms(images: Images) -> Forms:
    """Return the forms of each class."""
    train, target = images.train.cpu().numpy(), images.train_target.cpu().numpy()
    tests, test_target = averaged(images.test.cpu().numpy()), images.test_target.cpu().numpy()
    share, mean = np.zeros((10, FORMS)), np.zeros((10, FORMS, SIDE, SIDE))
    typical, test = np.zeros((10, FORMS, TYPICAL), int), np.zeros(len(tests), int)
    for index in np.unique(target):
        members = np.flatnonzero(target == index)
        points = averaged(train[members])
        centres = k_means(points)
        frequencies = np.bincount(vq(points, centres)[0], minlength=len(centres))
        centres = centres[np.argsort(-frequencies, kind="stable")]
        code, distance = vq(points, centres)
        for form in np.unique(code):
            found = np.flatnonzero(code == form)
            share[index, form] = len(found) / len(members)
            mean[index, form] = train[members[found]].mean(axis=0)
            nearest = found[np.argsort(distance[found], kind="stable")]
            typical[index, form] = members[np.resize(nearest, TYPICAL)]
        here = np.flatnonzero(test_target == index)
        test[here] = vq(tests[here], centres)[0]
    return Forms(share, mean, typical, test)


def averaged(pixels: np.ndarray) -> np.ndarray:
    """Return images (N, 28, 28) averaged over squares of 2 x 2 pixels, as vectors (N, 196).

    k-means of them takes a third of the time, and its forms explain as many confusions of NetLin.
    """
    half = SIDE // 2
    return pixels.reshape(-1, half, 2, half, 2).mean(axis=(2, 4), dtype=np.float32).reshape(-1, 196)


def k_means(points: np.ndarray) -> np.ndarray:
    """Return at most FORMS centres (K, D) of points (N, D): the best of five runs of k-means++ on
    at most 1,000 points, which take 0.1 s."""
    points, random = points[:1000], np.random.default_rng(0)
    count = min(FORMS, len(np.unique(points, axis=0)))
    runs = [kmeans2(points, count, iter=15, minit="++", rng=random)[0] for _ in range(5)]
    return min(runs, key=lambda centres: (vq(points, centres)[1] ** 2).sum())


# Records


def form_records(result: Result, images: Images) -> list[dict]:
    """Return a record for each form that exists: its share of the training images, its test images
    and how many of them are wrong, and the p-value of `uneven` for its class."""
    forms, wrong, records = find_forms(images), result.predicted != result.target, []
    for index, name in enumerate(images.classes):
        here = result.target == index
        counts = np.bincount(forms.test[here], minlength=FORMS)
        errors = np.bincount(forms.test[here & wrong], minlength=FORMS)
        p = uneven(counts, errors)
        records += [
            {
                "target": name,
                "form": form + 1,
                "share": float(forms.share[index, form]),
                "images": int(counts[form]),
                "errors": int(errors[form]),
                "error_rate": errors[form] / counts[form] if counts[form] else None,
                "p": p,
            }
            for form in range(FORMS)
            if forms.share[index, form]
        ]
    return records


def confusion_records(result: Result, images: Images) -> list[dict]:
    """Return records of the ten most frequent confusions.

    correlation, rank: of the two mean images, see `likeness`. form: the form of the target in which
    most of these `count` images are written; in_form: their number; form_share: share of the
    target's training images in this form; p: probability of at least so many in this form if the
    confused images were drawn at random from the target's test images.
    """
    forms, alike, records = find_forms(images), likeness(images), []
    for row, column, count in worst_confusions(result.matrix, 10):
        here = result.target == row
        available = np.bincount(forms.test[here], minlength=FORMS)
        confused = np.bincount(forms.test[here & (result.predicted == column)], minlength=FORMS)
        correlation, rank = alike[min(row, column), max(row, column)]
        form, total = int(confused.argmax()), int(here.sum())
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


# Tests of significance; importing scipy.stats takes over a second.


def tail(successes: int, draws: int, good: int, total: int) -> float:
    """Return the probability of at least `successes` good ones among `draws` draws without
    replacement from `total`, of which `good` are good (hypergeometric distribution)."""
    ways = (
        math.comb(good, k) * math.comb(total - good, draws - k) for k in range(successes, draws + 1)
    )
    return sum(ways) / math.comb(total, draws)


def uneven(counts: np.ndarray, errors: np.ndarray) -> float:
    """Return the p-value of a permutation test of the chi-squared statistic: the share of random
    distributions of the errors over a class's images that are at least as uneven.

    counts, errors: (FORMS,) images and errors of each form. The observed distribution is one of
    the PERMUTATIONS + 1. A permutation test, because forms of few images are frequent.
    """
    total = errors.sum()
    if total in (0, counts.sum()):
        return 1.0
    random = np.random.default_rng(0)
    permuted = random.multivariate_hypergeometric(counts, total, PERMUTATIONS, method="marginals")
    expected = total * counts / counts.sum()
    # Proportional to the chi-squared statistic of the table of errors and correct images.
    distance = (np.vstack([errors, permuted]) - expected) ** 2
    statistic = (distance / np.maximum(expected, 1e-12)).sum(axis=1)
    return float((statistic >= statistic[0] - 1e-9).mean())
