"""Confusions, forms of characters, and their pictures against scipy and plain counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import MonteCarloMethod, chi2_contingency, hypergeom
from shared import characters

from kuzushiji import confusion, pictures
from kuzushiji.confusion import FORMS, TYPICAL, Result
from kuzushiji.dataset import CLASSES, Images


@pytest.fixture(scope="module")
def images() -> Images:
    return characters(1000, 360)


def chooses(predicted: np.ndarray, target: np.ndarray) -> Result:
    """Return the result of a network that predicts classes with probability 0.91."""
    return Result(np.log(0.01 + 0.9 * np.eye(10)[predicted]), np.asarray(target))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=50))
@settings(max_examples=30, deadline=None)
def test_a_result_counts_targets_and_predictions(pairs):
    target, predicted = np.array(pairs).T
    result = chooses(predicted, target)
    for cell, count in np.ndenumerate(result.matrix):
        assert count == pairs.count(cell)
    assert (result.correct, result.total) == ((target == predicted).sum(), len(pairs))
    logs = torch.from_numpy(result.log_probabilities)
    loss = torch.nn.functional.nll_loss(logs, torch.from_numpy(target))
    assert result.loss == pytest.approx(loss.item())


@given(arrays(int, (10, 10), elements=st.integers(0, 30)), st.integers(1, 120))
@settings(max_examples=50, deadline=None)
def test_worst_confusions_are_the_largest_counts_off_the_diagonal(matrix, limit):
    worst = confusion.worst_confusions(matrix.astype(float), limit)
    wrong = [int(n) for (i, j), n in np.ndenumerate(matrix) if i != j and n]
    assert [count for _, _, count in worst] == sorted(wrong, reverse=True)[:limit]
    assert all(count == matrix[target, predicted] for target, predicted, count in worst)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_tail_is_that_of_the_hypergeometric_distribution(total, good, draws, least):
    good, draws = min(good, total), min(draws, total)
    expected = hypergeom.sf(least - 1, total, good, draws)
    assert confusion.tail(least, draws, good, total) == pytest.approx(expected, abs=1e-9)


def test_a_confusion_names_the_form_of_most_of_its_images_and_how_alike_the_two_are(images):
    found, target = confusion.find_forms(images), images.test_target.numpy()
    (su,) = np.nonzero(target == 2)
    # Five of one form, one of another, confused with tsu.
    form = np.bincount(found.test[su]).argmax()
    predicted = target.copy()
    predicted[su[found.test[su] == form][:5]] = predicted[su[found.test[su] != form][:1]] = 3
    (record,) = confusion.confusion_records(chooses(predicted, target), images)
    pixels, train_target = images.train.flatten(1).numpy(), images.train_target.numpy()
    means = [pixels[train_target == index].mean(axis=0) for index in range(10)]
    correlations = np.corrcoef(means)[np.triu_indices(10, 1)]
    correlation = np.corrcoef(means[2], means[3])[0, 1]
    assert record == dict(
        target="su", chosen="tsu", count=6, total=len(su), correlation=pytest.approx(correlation),
        rank=(correlations > correlation - 1e-9).sum(), form=form + 1, in_form=5,
        form_share=found.share[2, form],
        p=pytest.approx(hypergeom.sf(4, len(su), (found.test[su] == form).sum(), 6)),
    )  # fmt: skip


# Forms


def striped(counts: dict[int, tuple[int, ...]]) -> tuple[torch.Tensor, ...]:
    """Return images of noise with a black stripe, and their classes.

    counts: numbers of images of a class by the place of the stripe, its form.
    """
    numbers = [number for forms in counts.values() for number in forms]
    target = np.repeat(list(counts), [sum(forms) for forms in counts.values()])
    place = np.repeat([place for forms in counts.values() for place in range(len(forms))], numbers)
    pixels = np.random.default_rng(0).integers(0, 60, (len(target), 28, 28), np.uint8)
    pixels[np.arange(28) // 7 == place[:, None]] = 255
    return torch.from_numpy(pixels), torch.from_numpy(target)


def test_forms_are_found_the_most_frequent_first_and_their_errors_counted():
    # Class 5 in four forms, and 7, a single image; none of the others.
    train = striped({5: (40, 30, 20, 10), 7: (1,)})
    test = striped({5: (10, 10, 10, 10)})
    images = Images("stripes", *train, *test)
    found = confusion.find_forms(images)
    assert np.allclose(found.share[5], [0.4, 0.3, 0.2, 0.1])
    assert found.share[7].tolist() == [1, 0, 0, 0]
    # The order of the stripes is that of their frequency.
    assert found.test.tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10
    pixels, target = train[0].numpy(), train[1].numpy()
    for form, place in enumerate((0, 7, 14, 21)):
        members = (target == 5) & (pixels[:, place, 0] == 255)
        assert np.allclose(found.mean[5, form], pixels[members].mean(axis=0))
        assert members[found.typical[5, form]].all()

    target = test[1].numpy()
    predicted = target.copy()
    predicted[5:12] = 2
    records = confusion.form_records(chooses(predicted, target), images)
    columns = ("share", "images", "errors", "error_rate")
    assert [[r[name] for name in columns] for r in records if r["target"] == "ha"] == [
        [0.4, 10, 5, 0.5], [0.3, 10, 2, 0.2], [0.2, 10, 0, 0], [0.1, 10, 0, 0],
    ]  # fmt: skip
    # No test image is of class 7.
    assert [r["error_rate"] for r in records if r["target"] == "ya"] == [None]


@pytest.mark.parametrize("errors", [(3, 1, 1, 0), (0, 0, 2, 4), (6, 0, 0, 1), (2, 2, 2, 2)])
def test_uneven_matches_scipy_s_test(errors):
    counts, errors = np.array([6, 5, 4, 5]), np.array(errors)
    random = MonteCarloMethod(n_resamples=5000, rng=np.random.default_rng(0))
    expected = chi2_contingency([errors, counts - errors], correction=False, method=random).pvalue
    assert confusion.uneven(counts, errors) == pytest.approx(expected, abs=0.04)
    # No errors, and nothing but errors, fall on the forms evenly.
    assert confusion.uneven(counts, 0 * errors) == confusion.uneven(counts, counts) == 1


# Pictures


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]


def drawn(figure) -> list[np.ndarray]:
    """Return the images in a picture."""
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


def test_confusion_picture_shows_every_count():
    matrix = np.arange(100).reshape(10, 10)
    shown = texts(pictures.confusion_picture(matrix, CLASSES, "NetLin"))
    assert {"predicted character", "target character", *map(str, range(100))} <= set(shown)


def test_pictures_of_mistakes_and_forms(images):
    target = images.test_target.numpy()
    predicted = np.where(np.arange(360) % 5, target, (target + 1) % 10)
    # Misclassified images have a probability below them.
    figure = pictures.mistakes_picture(chooses(predicted, target), images, "NetLin")
    kept = {image.tobytes() for image in images.test.numpy()[predicted == target]}
    shown = {image.tobytes() for image in drawn(figure)}
    tests = shown & {image.tobytes() for image in images.test.numpy()}
    assert len(tests) == sum("91%" in text for text in texts(figure)) > 15
    assert not shown & kept
    assert pictures.mistakes_picture(chooses(target, target), images, "NetLin") is None

    records = [confusion.form_records(chooses(p, target), images) for p in (predicted, target)]
    named = dict(zip(("NetLin", "NetConv"), records, strict=True))
    figure = pictures.forms_picture(named, images, "a title")
    assert len(drawn(figure)) == 10 * FORMS * (1 + TYPICAL)
    for form in records[0]:
        assert f"{form['share']:.0%}; Lin {form['error_rate']:.0%}, Conv 0%" in texts(figure)
