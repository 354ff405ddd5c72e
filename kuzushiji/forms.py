"""The forms in which a character is written, and which of them a network gets wrong.

A character of old Japanese is written in several forms (hentaigana), and a linear network has one
template for all of them. The forms are found by k-means in the training images of each character;
a test image belongs to the form whose centre is the closest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuzushiji.dataset import SIDE, Images

# Forms looked for in each character.
FORMS = 4
# Runs of k-means, of which the best is used, and iterations of each.
RESTARTS, ITERATIONS = 5, 15
# Maximum number of a character's training images used by k-means.
MAX_IMAGES = 1000
# Typical training images of a form.
TYPICAL = 2
# Random distributions of a character's errors over its forms in the permutation test.
PERMUTATIONS = 2000


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


def find_forms(images: Images) -> Forms:
    """Return the forms of each class."""
    train, target = images.train.cpu().numpy(), images.train_target.cpu().numpy()
    tests, test_target = averaged(images.test.cpu().numpy()), images.test_target.cpu().numpy()
    share, mean = np.zeros((10, FORMS)), np.zeros((10, FORMS, SIDE, SIDE))
    typical, test = np.zeros((10, FORMS, TYPICAL), int), np.zeros(len(tests), int)
    for index in np.unique(target):
        members = np.flatnonzero(target == index)
        points = averaged(train[members])
        centres = k_means(points[:MAX_IMAGES])
        distance = distances(points, centres)
        code = distance.argmin(axis=1)
        order = np.argsort(-np.bincount(code, minlength=len(centres)), kind="stable")
        for form, centre in enumerate(order):
            found = np.flatnonzero(code == centre)
            if len(found):
                share[index, form] = len(found) / len(members)
                mean[index, form] = train[members[found]].mean(axis=0)
                nearest = found[np.argsort(distance[found, centre], kind="stable")]
                typical[index, form] = members[np.resize(nearest, TYPICAL)]
        here = test_target == index
        # Centres in the order of the forms.
        test[here] = distances(tests[here], centres[order]).argmin(axis=1)
    return Forms(share, mean, typical, test)


def averaged(pixels: np.ndarray) -> np.ndarray:
    """Return images (N, 28, 28) averaged over squares of 2 x 2 pixels, as vectors (N, 196).

    k-means of them takes 0.5 s instead of 1.4 s, and its forms explain as many confusions of NetLin
    (2.2 of the 3 most frequent ones instead of 1.6, mean of five splits).
    """
    half = SIDE // 2
    return pixels.reshape(-1, half, 2, half, 2).mean(axis=(2, 4), dtype=np.float32).reshape(-1, 196)


def k_means(points: np.ndarray) -> np.ndarray:
    """Return at most FORMS centres (K, D) of points (N, D): the best of RESTARTS runs.

    Lloyd's algorithm, started by k-means++ (Arthur and Vassilvitskii, 2007). In numpy, because
    importing scipy's takes 0.4 s and scikit-learn's 2 s.
    """
    count = min(FORMS, len(np.unique(points, axis=0)))
    random, best, least = np.random.default_rng(0), points[:1], np.inf
    for _ in range(RESTARTS):
        centres = points[random.integers(len(points), size=1)]
        while len(centres) < count:
            chances = distances(points, centres).min(axis=1)
            chosen = random.choice(len(points), p=chances / chances.sum())
            centres = np.concatenate([centres, points[[chosen]]])
        for _ in range(ITERATIONS):
            code = distances(points, centres).argmin(axis=1)
            for centre in np.unique(code):
                centres[centre] = points[code == centre].mean(axis=0)
        distortion = distances(points, centres).min(axis=1).sum()
        if distortion < least:
            best, least = centres, distortion
    return best


def distances(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the squared distances (N, K) of points (N, D) from centres (K, D)."""
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)
    return np.maximum(squares - 2 * points @ centres.T, 0).astype(float)


def form_records(forms: Forms, images: Images, wrong: np.ndarray) -> list[dict]:
    """Return a record for each form that exists: its share of the training images, its test images
    and how many of them are wrong, and the p-value of `uneven` for its class.

    wrong: (N,) whether the network misclassifies each test image.
    """
    records, target = [], images.test_target.cpu().numpy()
    for index, name in enumerate(images.classes):
        here = target == index
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

    def statistic(errors: np.ndarray) -> np.ndarray:
        # Proportional to the chi-squared statistic of the table of errors and correct images.
        return ((errors - expected) ** 2 / np.maximum(expected, 1e-12)).sum(axis=-1)

    at_least = (statistic(permuted) >= statistic(errors) - 1e-9).sum()
    return float((1 + at_least) / (1 + PERMUTATIONS))
