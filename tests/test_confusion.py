"""Confusions and their pictures against scipy and plain counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.stats import hypergeom
from shared import characters

from kuzu import NetConv, NetFull, NetLin
from kuzushiji import confusion, forms, pictures, weights
from kuzushiji.augmentation import prepare
from kuzushiji.dataset import CLASSES, Images
from kuzushiji.tiles import Tiles


@pytest.fixture(scope="module")
def images() -> Images:
    return characters(1000, 360)


@pytest.fixture(scope="module")
def found(images) -> forms.Forms:
    return forms.find_forms(images)


def outputs(chosen: np.ndarray) -> np.ndarray:
    """Log probabilities of a network that chooses `chosen` with probability 0.91."""
    return np.log(0.01 + 0.9 * np.eye(10)[chosen])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=50))
@settings(max_examples=30, deadline=None)
def test_a_matrix_counts_targets_and_choices(pairs):
    matrix = confusion.confusion_matrix(*np.array(pairs).T)
    for (row, column), count in np.ndenumerate(matrix):
        assert count == pairs.count((row, column))


@given(arrays(int, (10, 10), elements=st.integers(0, 30)), st.integers(1, 120))
@settings(max_examples=50, deadline=None)
def test_worst_confusions_are_the_largest_counts_off_the_diagonal(matrix, limit):
    worst = confusion.worst_confusions(matrix.astype(float), limit)
    wrong = [int(n) for (i, j), n in np.ndenumerate(matrix) if i != j and n]
    assert [item.count for item in worst] == sorted(wrong, reverse=True)[:limit]
    for target, chosen, count, total in worst:
        assert count == matrix[target, chosen]
        assert total == matrix[target].sum()
    assert len({item[:2] for item in worst}) == len(worst)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_tail_is_that_of_the_hypergeometric_distribution(total, good, draws, least):
    good, draws = min(good, total), min(draws, total)
    expected = hypergeom.sf(least - 1, total, good, draws)
    assert confusion.tail(least, draws, good, total) == pytest.approx(expected, abs=1e-9)


def test_likeness_is_the_correlation_of_mean_images(images):
    pixels, target = images.train.numpy().astype(float), images.train_target.numpy()
    means = [pixels[target == index].mean(axis=0).ravel() for index in range(10)]
    alike = confusion.likeness(images)
    for (one, other), (correlation, _) in alike.items():
        assert correlation == pytest.approx(np.corrcoef(means[one], means[other])[0, 1])
    by_rank = sorted(alike.values(), key=lambda pair: pair[1])
    assert [rank for _, rank in by_rank] == list(range(1, 46))
    assert sorted(by_rank, reverse=True) == by_rank


def test_a_confusion_names_the_form_of_most_of_its_images(images, found):
    target = images.test_target.numpy()
    (su,) = np.nonzero(target == 2)
    # Five of one form, one of another, confused with tsu.
    form = np.bincount(found.test[su]).argmax()
    inside, outside = su[found.test[su] == form][:5], su[found.test[su] != form][:1]
    chosen = target.copy()
    chosen[[*inside, *outside]] = 3
    matrix = confusion.confusion_matrix(target, chosen)
    (record,) = confusion.confusion_records(matrix, chosen, found, images)
    assert (record["target"], record["chosen"], record["count"]) == ("su", "tsu", 6)
    assert (record["form"], record["in_form"]) == (form + 1, 5)
    assert record["form_share"] == found.share[2, form]
    expected = hypergeom.sf(4, len(su), (found.test[su] == form).sum(), 6)
    assert record["p"] == pytest.approx(expected)
    assert (record["correlation"], record["rank"]) == confusion.likeness(images)[2, 3]


def test_comparison_has_a_column_for_each_network():
    first, last = 90 * np.eye(10), 99 * np.eye(10)
    first[6, 2], first[5, 2], last[6, 2], last[0, 1] = 40, 25, 4, 1
    rows = confusion.comparison(
        [{"title": "NetLin", "matrix": first}, {"title": "NetConv", "matrix": last}], CLASSES
    )
    assert [list(row.values()) for row in rows] == [
        ["errors in 965 images", 65, 5],
        ["ma -> su", 40, 4],
        ["ha -> su", 25, 0],
    ]


# Pictures


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]


@pytest.fixture
def drawn(monkeypatch) -> list[Tiles]:
    """All Tiles that a test draws."""
    made, finish = [], Tiles.finish
    monkeypatch.setattr(Tiles, "finish", lambda tiles: made.append(tiles) or finish(tiles))
    return made


def test_tiles_draw_an_image_at_its_place():
    tiles = Tiles(4, 2, 2, "")
    values = np.array([[0, 255], [255, 0]])
    tiles.band(0, 0, 4, 1, "#ff0000")
    tiles.image(1, 1, values, 255)
    tiles.weights(2, 1, np.array([[-1.0, 2.0]]))
    canvas = FigureCanvasAgg(tiles.finish())
    canvas.draw()
    shown = np.asarray(canvas.buffer_rgba())[..., :3]
    assert shown.shape == (100, 200, 3)
    # Pixels are 25 wide; the corners of the image are white, black, black, white.
    assert shown[20, 20].tolist() == [255, 0, 0]
    assert [shown[y, x, 0] for y in (60, 90) for x in (60, 90)] == [255, 0, 0, 255]
    blue, red = shown[75, 110].astype(int), shown[75, 140].astype(int)
    assert blue[2] > blue[0] + 10
    assert red[0] > red[2] + 50


def test_confusion_picture_shows_every_count(images):
    matrix = np.arange(100).reshape(10, 10)
    shown = texts(pictures.confusion_picture(matrix, images, "NetLin"))
    assert all(str(count) in shown for count in range(100))
    assert {"predicted character", "target character"} <= set(shown)


def test_mistakes_picture_shows_only_misclassified_images(images, found, drawn):
    target = images.test_target.numpy()
    chosen = np.where(np.random.default_rng(0).random(360) < 0.3, (target + 1) % 10, target)
    matrix = confusion.confusion_matrix(target, chosen)
    figure = pictures.mistakes_picture(matrix, outputs(chosen), images, found, "NetLin")
    wrong = images.test.numpy()[target != chosen]
    # Misclassified images have a probability below them.
    captions = {text.get_position() for text in figure.axes[0].texts if "91%" in text.get_text()}
    below = [pixels for x, y, pixels in drawn[0].images if (x + 0.5, y + 1.1) in captions]
    assert len(below) == len(captions) > 20
    assert all((image == wrong).all(axis=(1, 2)).any() for image in below)
    matrix = confusion.confusion_matrix(target, target)
    assert pictures.mistakes_picture(matrix, outputs(target), images, found, "x") is None


def test_forms_picture_shows_shares_and_rates_of_each_network(images, found, drawn):
    wrong = np.random.default_rng(0).random((2, 360)) < 0.3
    records = {
        name: forms.form_records(found, images, row)
        for name, row in zip(("NetLin", "NetConv"), wrong, strict=True)
    }
    shown = texts(pictures.forms_picture(found, records, images, "a title"))
    assert len(drawn[0].images) == 10 * forms.FORMS * (1 + forms.TYPICAL)
    for lin, conv in zip(*records.values(), strict=True):
        rates = f"Lin {lin['error_rate']:.0%}, Conv {conv['error_rate']:.0%}"
        assert f"{lin['share']:.0%}; {rates}" in shown
    one = {"NetLin": records["NetLin"]}
    shown = texts(pictures.forms_picture(found, one, images, "a title"))
    assert f"{lin['share']:.0%}; wrong: {lin['error_rate']:.0%}" in shown


@pytest.mark.parametrize(
    ("name", "net", "count"),
    [
        ("lin", NetLin(), 20),
        ("full", NetFull(1), 1),
        ("full", NetFull(33), 20),
        ("conv", NetConv((30, 2), fc=3), 1 + 48),
        # Students' networks, of which the last three are not the assignment's.
        ("lin", torch.nn.Sequential(torch.nn.Linear(784, 10)), 20),
        ("conv", torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Linear(2, 2)), 1 + 4),
        ("full", torch.nn.Sequential(torch.nn.Linear(784, 5)), None),
        ("lin", torch.nn.Sequential(torch.nn.Linear(28, 10)), None),
        ("lin", torch.nn.Identity(), None),
    ],
)
def test_every_network_of_the_assignment_has_a_picture_of_weights(name, net, count, images, drawn):
    figure = weights.weights_picture(name, net, images, (0.5, 0.5), "a title")
    assert (figure is None) == (count is None)
    assert count is None or len(drawn[0].images) == count


def test_the_strongest_unit_influences_the_outputs_most(images):
    torch.manual_seed(0)
    net = NetFull(7)
    with torch.no_grad():
        net.output.weight[:, 4] *= 50
        # A constant unit does not influence the outputs, however large its weights.
        net.output.weight[:, 2] *= 1000
        net.hidden.weight[2] = 0
    pixels = prepare(images.test, (0.5, 0.5)).flatten(1)
    order = weights.strongest_units(net.hidden, net.output, pixels).tolist()
    assert (order[0], order[-1]) == (4, 2)


def test_evidence_adds_up_to_the_log_odds_of_two_classes(images):
    torch.manual_seed(0)
    net, normalize = NetLin(), (0.2, 0.4)
    with torch.no_grad():
        ink, odds = weights.evidence(net.output, images.test[:5], normalize, 2, 6)
        logs = net(prepare(images.test[:5], normalize))
        empty = net(prepare(torch.zeros(1, 28, 28), normalize))
    assert np.allclose(odds, logs[:, 6] - logs[:, 2], atol=1e-5)
    assert np.allclose(ink.sum(axis=(1, 2)) + (empty[0, 6] - empty[0, 2]).item(), odds, atol=1e-4)
    # Without ink there is no evidence.
    assert not ink[(images.test[:5] == 0).numpy()].any()


def test_the_decision_picture_shows_the_most_frequent_confusion(images, drawn):
    target = images.test_target.numpy()
    chosen = target.copy()
    wrong = np.flatnonzero(target == 2)[:3]
    chosen[wrong] = 6

    def draw(name, chosen):
        matrix = confusion.confusion_matrix(target, chosen)
        return weights.decision_picture(name, NetLin(), matrix, outputs(chosen), images, (0.5, 0.5))

    assert draw("lin", chosen) is not None
    shown = [pixels for _, _, pixels in drawn[0].images]
    assert all(
        (pixels == images.test.numpy()[wrong]).all(axis=(1, 2)).any() for pixels in shown[3::2]
    )
    assert len(shown) == 3 + 2 * 3
    assert draw("lin", target) is draw("full", chosen) is None
