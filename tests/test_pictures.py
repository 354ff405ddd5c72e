"""Pictures, diagrams and film of Part 3, on hand-made networks: what must be seen."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageSequence
from shared import automaton_net, counter_net

from recurrent import diagrams, film, pictures
from recurrent.extraction import Plane, extract, states_on
from recurrent.metrics import evaluation_set
from recurrent.task import make_language
from seq_models import SRN

AN_B2N, REBER = make_language("anb2n", 2), make_language("reber")
NETWORKS = [(counter_net(), AN_B2N), (automaton_net(REBER), REBER)]


def analysed(net, language):
    """Return a network's states, machine and plane."""
    states = states_on(net, language, evaluation_set(language))
    return states, extract(net, language, states), Plane(net, states.vectors)


def texts(figure) -> list[str]:
    """Return the texts in a figure, which is drawn first."""
    figure.savefig(io.BytesIO(), format="png")
    return [text.get_text() for text in figure.findobj(lambda x: hasattr(x, "get_text"))]


@pytest.mark.parametrize(("net", "language"), NETWORKS)
def test_the_pictures_of_states_and_machine_name_every_state(net, language):
    states, extraction, plane = analysed(net, language)
    figure = diagrams.states_picture(states, extraction, language, plane, "a title", named=True)
    drawn = texts(figure)
    # The end of a Reber word has no state vector, because nothing is read after it.
    assert {*language.machine.names} - {"end"} <= {*drawn}
    together = any("the same state of the machine as start" in text for text in drawn)
    assert together == language.chained
    drawn = texts(diagrams.machine_picture(extraction.machine, "a title"))
    assert {*language.machine.names} <= {*drawn}


def test_names_do_not_cover_each_other():
    axes = Figure(figsize=(6, 5)).add_axes((0, 0, 1, 1))
    axes.axis("off")
    anchors = np.array([[0.5, 0.5], [0.51, 0.5], [0.5, 0.52], [np.nan, np.nan], [0.99, 0.99]])
    names = ["A1", "B2 C6", "start", "end", "corner"]
    diagrams.place_names(axes, anchors, names, anchors[:3], 10)
    assert {text.get_text() for text in axes.texts} == {*names} - {"end"}
    boxes = [text.get_window_extent() for text in axes.texts]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])


@pytest.mark.parametrize(("net", "language"), NETWORKS)
def test_the_film_shows_each_symbol_and_the_machine_s_state(net, language):
    states, extraction, plane = analysed(net, language)
    content = film.make_film(net, language, states, extraction, plane, "a title")
    with Image.open(io.BytesIO(content)) as made:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(made)]
    words = film.film_words(language)
    assert len(frames) == sum(map(len, words)) + language.chained
    assert all((one != other).any() for one, other in pairwise(frames))
    # The marker of the machine's state, in the right half.
    gold = np.array([255, 204, 0])
    assert all((abs(frame[:, 500:] - gold).max(axis=-1) < 40).sum() > 50 for frame in frames)
    # After a transition that the machine lacks.
    assert film._following(extraction.machine, -1) == ""


def test_the_plane_is_that_of_two_units_or_of_the_principal_components():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 5)) @ random.normal(size=(5, 5))
    plane = Plane(SRN(2, 5), vectors)
    values, axes = np.linalg.eigh(np.cov(vectors.T))
    expected = (vectors - vectors.mean(axis=0)) @ axes[:, ::-1][:, :2]
    assert np.allclose(np.abs(plane.project(vectors)), np.abs(expected))
    assert f"({100 * values[-1] / values.sum():.0f} %" in plane.labels[0]
    for width in (1, 2):
        units = vectors[:, :width]
        assert np.array_equal(Plane(SRN(2, width), units).project(units)[:, :width], units)


def test_the_maps_show_decisions_and_the_points_of_their_symbol():
    net = SRN(2, 2, init=1.0)
    net.V.data, net.out_bias.data = torch.tensor([[1.0, -1], [0, 0]]), torch.zeros(2)
    points = [("saddle", "A", [0.5, 0.0]), ("slow point", "B", [0.0, -0.5])]
    records = [{"kind": kind, "symbol": s, "point": np.array(point)} for kind, s, point in points]
    figure = pictures.maps_picture(net, AN_B2N, [0, 1], records, "a title")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:5] == ["n = 1", "n = 2", "saddle", "slow point", "decision boundary"]
    for axes, (_, symbol, point) in zip(figure.axes, points, strict=True):
        shown = [line.get_xydata().tolist() for line in axes.lines if line.get_markersize() == 11]
        assert (axes.get_title(), shown) == (f"symbol {symbol}", [[point]])
        regions = {text.get_text(): text.get_position()[0] for text in axes.texts}
        assert regions["B"] < 0 < regions["A"]


def test_a_title_of_several_lines_has_room_above_the_axes():
    figure, grid = pictures.panels("many words " * 20, 1, 2, (3, 2), top=0.15)
    (title,) = figure.texts
    assert title.get_text().count("\n") > 1
    box = title.get_window_extent()
    assert grid[0, 0].get_window_extent().y1 < box.y0 < box.y1 < figure.bbox.y1
