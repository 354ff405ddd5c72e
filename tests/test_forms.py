"""The forms of characters, and which a network gets wrong, on hand-made images."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency
from shared import characters

from kuzushiji import forms
from kuzushiji.dataset import Images


def written_in(counts: dict[int, tuple[int, ...]], seed: int) -> tuple[torch.Tensor, ...]:
    """Return images of noise with a black stripe, and their classes.

    counts: numbers of images of a class by the place of the stripe, its form.
    """
    random, pixels, target = np.random.default_rng(seed), [], []
    for index, numbers in counts.items():
        for place, number in enumerate(numbers):
            noise = random.integers(0, 60, (number, 28, 28), np.uint8)
            noise[:, 7 * place : 7 * place + 6] = 255
            pixels.append(noise)
            target += [index] * number
    return torch.from_numpy(np.concatenate(pixels)), torch.tensor(target)


@pytest.fixture(scope="module")
def striped() -> Images:
    """Images of classes 2, in three forms, and 5, in four; no images of the others."""
    train = written_in({2: (30, 50, 20), 5: (40, 30, 20, 10)}, 0)
    test = written_in({2: (20, 20, 20), 5: (10, 10, 10, 10)}, 1)
    return replace(characters(1, 1), train=train[0], train_target=train[1], test=test[0],
                   test_target=test[1])  # fmt: skip


def test_forms_are_found_the_most_frequent_first(striped):
    found = forms.find_forms(striped)
    assert np.allclose(found.share[5], [0.4, 0.3, 0.2, 0.1])
    # Class 2 has three forms, of which k-means splits one.
    assert found.share[2].sum() == pytest.approx(1)
    assert not found.share[[0, 1, 3, 4, 6, 7, 8, 9]].any()
    # Of class 5, the order of the stripes is that of their frequency.
    assert found.test[60:].tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10
    pixels, target = striped.train.numpy(), striped.train_target.numpy()
    for form, place in enumerate((0, 7, 14, 21)):
        members = (target == 5) & (pixels[:, place, 0] == 255)
        assert np.allclose(found.mean[5, form], pixels[members].mean(axis=0))
        assert members[found.typical[5, form]].all()
        assert len(set(found.typical[5, form])) == forms.TYPICAL


def test_records_count_the_errors_of_each_form(striped):
    found = forms.find_forms(striped)
    wrong = np.zeros(100, bool)
    wrong[65:72] = True
    records = forms.form_records(found, striped, wrong)
    assert {record["target"] for record in records} == {"su", "ha"}
    ha = [record for record in records if record["target"] == "ha"]
    assert [record["errors"] for record in ha] == [5, 2, 0, 0]
    assert [record["error_rate"] for record in ha] == [0.5, 0.2, 0, 0]
    assert [record["share"] for record in ha] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert all(record["p"] == 1 for record in records if record["target"] == "su")


def test_few_images_have_fewer_forms():
    images = characters(12, 30)
    images = replace(images, train=images.train[[0, 0, 0, *range(12)]],
                     train_target=torch.tensor([3] * 15))  # fmt: skip
    found = forms.find_forms(images)
    assert found.share[3].sum() == pytest.approx(1)
    single = replace(images, train=images.train[:3], train_target=torch.tensor([3] * 3))
    assert forms.find_forms(single).share[3].tolist() == [1, 0, 0, 0]


def test_k_means_reaches_the_distortion_of_the_true_forms():
    random = np.random.default_rng(0)
    places = random.normal(size=(4, 9)) * 5
    points = (places[np.arange(400) % 4] + random.normal(size=(400, 9))).astype(np.float32)
    centres = forms.k_means(points)
    distance = ((points[:, None] - centres) ** 2).sum(axis=2).min(axis=1)
    truth = sum(((points[k::4] - points[k::4].mean(axis=0)) ** 2).sum() for k in range(4))
    assert distance.sum() == pytest.approx(truth, rel=1e-4)


def test_images_are_averaged_over_squares():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    assert forms.averaged(pixels)[2, 14 * 5 + 9] == pixels[2, 10:12, 18:20].mean()


def exact(counts: np.ndarray, errors: np.ndarray) -> float:
    """Return the p-value of `uneven` by adding up all distributions of the errors."""
    total = errors.sum()

    def statistic(errors):
        table = np.array([errors, counts - errors])
        return chi2_contingency(table, correction=False).statistic

    observed, p = statistic(errors), 0.0
    for other in itertools.product(*(range(count + 1) for count in counts)):
        if sum(other) == total and statistic(np.array(other)) >= observed - 1e-9:
            p += math.prod(map(math.comb, counts.tolist(), other))
    return p / math.comb(int(counts.sum()), int(total))


@pytest.mark.parametrize("errors", [(3, 1, 1, 0), (0, 0, 2, 4), (6, 0, 0, 1), (2, 2, 2, 2)])
def test_uneven_matches_the_exact_test(errors):
    counts, errors = np.array([6, 5, 4, 5]), np.array(errors)
    assert forms.uneven(counts, errors) == pytest.approx(exact(counts, errors), abs=0.03)


def test_uneven_matches_the_chi_squared_test_of_many_images():
    counts, errors = np.array([500, 300, 100, 100]), np.array([100, 75, 23, 30])
    expected = chi2_contingency([errors, counts - errors]).pvalue
    assert 0.02 < expected < 0.2
    assert forms.uneven(counts, errors) == pytest.approx(expected, abs=0.02)
    # No errors, and nothing but errors, fall on the forms evenly.
    assert forms.uneven(counts, 0 * errors) == forms.uneven(counts, counts) == 1
