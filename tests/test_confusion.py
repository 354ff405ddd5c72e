"""Tables and pictures of confusions against scikit-learn and plain counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix, recall_score

from kuzushiji import confusion, pictures
from kuzushiji.dataset import HIRAGANA, Images

CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def images(count: int = 60) -> Images:
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (count, 28, 28), np.uint8))
    target = torch.arange(count) % 10
    return Images("noise", pixels, target, pixels, target, CLASSES, HIRAGANA)


def outputs(target: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Log probabilities of a network that chooses `chosen` with probability 0.91."""
    return np.log(0.01 + 0.9 * np.eye(10)[chosen])


@given(arrays(int, (10, 10), elements=st.integers(0, 30)), st.integers(1, 120))
@settings(max_examples=100, deadline=None)
def test_worst_confusions_are_the_largest_counts_off_the_diagonal(matrix, limit):
    found = confusion.worst_confusions(matrix.astype(float), limit)
    wrong = [int(n) for (i, j), n in np.ndenumerate(matrix) if i != j and n]
    assert [item.count for item in found] == sorted(wrong, reverse=True)[:limit]
    for target, chosen, count, total in found:
        assert count == matrix[target, chosen]
        assert total == matrix[target].sum()
    assert len({item[:2] for item in found}) == len(found)


def test_class_accuracy_is_the_recall_of_each_class():
    random = np.random.default_rng(1)
    target, chosen = random.integers(0, 10, 300), random.integers(0, 10, 300)
    matrix = confusion_matrix(target, chosen, labels=range(10))
    expected = recall_score(target, chosen, average=None)
    assert np.allclose(confusion.class_accuracy(matrix), expected)
    matrix[3] = 0
    assert np.isnan(confusion.class_accuracy(matrix)[3])


def test_lines_match_assignment():
    matrix = np.zeros((10, 10))
    matrix[5, 2], matrix[5, 5], matrix[6, 2] = 125, 875, 142
    assert confusion.confusion_lines(matrix, images(), glyphs=False) == [
        "ma -> su: 142 of 142",
        "ha -> su: 125 of 1000",
    ]
    assert confusion.confusion_lines(matrix, images(), glyphs=True)[1].endswith("は -> す")
    line = confusion.class_lines(matrix, images(), glyphs=True)[5]
    assert "ha" in line
    assert "は" in line
    assert "875 of 1000 =  87.5%" in line


def test_single_errors_are_not_listed():
    matrix = 9 * np.eye(10)
    matrix[5, 2] = 1
    assert confusion.confusion_lines(matrix, images(), glyphs=False) == [
        "no confusion occurs more than once"
    ]


def test_comparison_is_a_table_with_a_column_for_each_network():
    first, last = 90 * np.eye(10), 99 * np.eye(10)
    first[6, 2], first[5, 2], last[6, 2], last[0, 1] = 40, 25, 4, 1
    head, *rows = confusion.comparison({"NetLin": first, "NetConv": last}, CLASSES).splitlines()
    assert head.split() == ["NetLin", "NetConv"]
    assert [row.split()[-2:] for row in rows] == [["65", "5"], ["2", "2"], ["40", "4"], ["25", "0"]]
    assert [row[:8] for row in rows[2:]] == ["ma -> su", "ha -> su"]


def test_typical_images_show_each_form_most_frequent_first():
    forms = np.zeros((3, 28, 28), np.uint8)
    forms[0, :9], forms[1, 9:18], forms[2, 18:] = 255, 255, 255
    noise = np.random.default_rng(0).integers(0, 20, (60, 28, 28), np.uint8)
    pixels = np.maximum(forms[[0] * 10 + [1] * 30 + [2] * 20], noise)
    typical = pictures.typical_images(pixels, 3)
    assert [int(np.argmax((image @ np.ones(28))[[4, 13, 22]])) for image in typical] == [1, 2, 0]
    assert all((image == pixels).all(axis=(1, 2)).any() for image in typical)
    assert len(pictures.typical_images(np.repeat(pixels[:2], 5, axis=0), 4)) == 2


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]


def test_confusion_picture_shows_every_count():
    matrix = np.arange(100).reshape(10, 10)
    figure = pictures.confusion_picture(matrix, images(), "NetLin")
    shown = texts(figure)
    assert all(str(count) in shown for count in range(100))
    assert {"predicted character", "target character"} <= set(shown)


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_mistakes_picture_shows_only_misclassified_images(share):
    data = images()
    target = data.test_target.numpy()
    chosen = np.where(np.random.default_rng(0).random(60) < share, (target + 1) % 10, target)
    matrix = confusion_matrix(target, chosen, labels=range(10))
    figure = pictures.mistakes_picture(matrix, outputs(target, chosen), data, "NetLin")
    wrong = data.test.numpy()[target != chosen]
    (axes,) = figure.axes
    # Misclassified images have a probability below them.
    captions = [text for text in axes.texts if text.get_text().endswith("%")]
    places = [text.get_position()[0] for text in captions]
    drawn = [
        image.get_array()
        for image in axes.images
        if any(image.get_extent()[0] < place < image.get_extent()[1] for place in places)
    ]
    assert len(drawn) == len(captions) > 0
    assert all((image == wrong).all(axis=(1, 2)).any() for image in drawn)
    assert "91%" in texts(figure)


def test_single_errors_are_drawn_only_if_there_are_no_others():
    data = images()
    target = data.test_target.numpy()
    of_two, of_three = np.flatnonzero(target == 2), np.flatnonzero(target == 3)

    def drawn(wrong: dict) -> list[str]:
        chosen = target.copy()
        for index, other in wrong.items():
            chosen[index] = other
        matrix = confusion_matrix(target, chosen, labels=range(10))
        figure = pictures.mistakes_picture(matrix, outputs(target, chosen), data, "x")
        return [text for text in texts(figure) if text[:1].isdigit() and "\nof " in text]

    once, twice = {of_two[0]: 5}, {of_three[0]: 4, of_three[1]: 4}
    assert len(drawn(once)) == 1
    assert len(drawn(once | twice)) == 1
    assert drawn(once) != drawn(once | twice)


def test_a_network_without_errors_has_no_picture_of_them():
    data = images()
    target = data.test_target.numpy()
    matrix = confusion_matrix(target, target, labels=range(10))
    assert pictures.mistakes_picture(matrix, outputs(target, target), data, "x") is None


def test_a_font_is_used_only_if_it_has_the_characters():
    from matplotlib import font_manager

    font = pictures.glyph_font(HIRAGANA)
    if font is not None:
        path = font_manager.findfont(font, fallback_to_default=False)
        known = font_manager.get_font(path).get_charmap()
        assert all(ord(glyph) in known for glyph in HIRAGANA)
    assert pictures.glyph_font(("\U0010fffd",)) is None


@pytest.mark.parametrize("font", [True, False])
def test_hiragana_are_drawn_only_with_a_font(font, monkeypatch):
    monkeypatch.setattr(pictures, "glyph_font", lambda glyphs: "DejaVu Sans" if font else None)
    labels = pictures.Labels(images())
    assert labels.text[0] == ("o お" if font else "o")
