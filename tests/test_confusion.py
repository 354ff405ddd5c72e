"""Confusions, forms of characters, and their pictures against scipy and plain counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import MonteCarloMethod, chi2_contingency, hypergeom
from shared import characters

from kuzu import NetConv, NetFull, NetLin
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
    assert len({item[:2] for item in worst}) == len(worst)


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
    # Class 2 in three forms, 5 in four, and 7, a single image; none of the others.
    train = striped({2: (30, 50, 20), 5: (40, 30, 20, 10), 7: (1,)})
    test = striped({2: (20, 20, 20), 5: (10, 10, 10, 10)})
    images = Images("stripes", *train, *test)
    found = confusion.find_forms(images)
    assert np.allclose(found.share[5], [0.4, 0.3, 0.2, 0.1])
    # k-means splits one of class 2's forms.
    assert found.share[2].sum() == pytest.approx(1)
    assert found.share[7].tolist() == [1, 0, 0, 0]
    assert not found.share[[0, 1, 3, 4, 6, 8, 9]].any()
    # Of class 5, the order of the stripes is that of their frequency.
    assert found.test[60:].tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10
    pixels, target = train[0].numpy(), train[1].numpy()
    for form, place in enumerate((0, 7, 14, 21)):
        members = (target == 5) & (pixels[:, place, 0] == 255)
        assert np.allclose(found.mean[5, form], pixels[members].mean(axis=0))
        assert members[found.typical[5, form]].all()
        assert len(set(found.typical[5, form])) == TYPICAL

    target = test[1].numpy()
    predicted = target.copy()
    predicted[65:72] = 2
    records = confusion.form_records(chooses(predicted, target), images)
    columns = ("share", "images", "errors", "error_rate")
    assert [[r[name] for name in columns] for r in records if r["target"] == "ha"] == [
        [0.4, 10, 5, 0.5], [0.3, 10, 2, 0.2], [0.2, 10, 0, 0], [0.1, 10, 0, 0],
    ]  # fmt: skip
    assert all(record["p"] == 1 for record in records if record["target"] == "su")
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
    target, random = images.test_target.numpy(), np.random.default_rng(0)
    results = [
        chooses(np.where(random.random(360) < share, (target + 1) % 10, target), target)
        for share in (0.1, 0.3)
    ]
    # Misclassified images have a probability below them.
    figure = pictures.mistakes_picture(results[0], images, "NetLin")
    kept = {image.tobytes() for image in images.test.numpy()[results[0].predicted == target]}
    shown = {image.tobytes() for image in drawn(figure)}
    tests = shown & {image.tobytes() for image in images.test.numpy()}
    assert len(tests) == sum("91%" in text for text in texts(figure)) > 15
    assert not shown & kept
    assert pictures.mistakes_picture(chooses(target, target), images, "NetLin") is None

    names = ("NetLin", "NetConv")
    records = [confusion.form_records(result, images) for result in results]
    figure = pictures.forms_picture(dict(zip(names, records, strict=True)), images, "a title")
    assert len(drawn(figure)) == 10 * FORMS * (1 + TYPICAL)
    for lin, conv in zip(*records, strict=True):
        rates = f"Lin {lin['error_rate']:.0%}, Conv {conv['error_rate']:.0%}"
        assert f"{lin['share']:.0%}; {rates}" in texts(figure)


@pytest.mark.parametrize(
    ("net", "count"),
    [
        (NetLin(), 20),
        (NetFull(33), 20),
        (NetConv((30, 2), fc=3), 1 + 48),
        # Students' networks, of which the last is not the assignment's.
        (torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(2, 2)), 1 + 4),
        (torch.nn.Sequential(torch.nn.Linear(784, 9), torch.nn.Linear(10, 10)), None),
    ],
)
def test_every_network_of_the_assignment_has_a_picture_of_weights(net, count, images):
    figure = pictures.weights_picture(net, images, (0.5, 0.5), "a title")
    assert (len(drawn(figure)) if figure else None) == count


def test_the_unit_that_influences_the_outputs_most_is_drawn_first(images):
    net = NetFull(7)
    with torch.no_grad():
        net.output.weight[:, 4] *= 50
        # A constant unit does not influence the outputs, however large its weights.
        net.output.weight[:, 2] *= 1000
        net.hidden.weight[2] = 0
    first, *_, last = drawn(pictures.weights_picture(net, images, (0.5, 0.5), "a title"))
    assert np.allclose(first, net.hidden.weight[4].detach().view(28, 28))
    assert not last.any()
