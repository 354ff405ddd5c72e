"""Pictures, diagrams and film of Part 3, on hand-made networks: sizes, and what must be seen."""

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
from recurrent.language import SEVERAL, Machine
from recurrent.metrics import evaluation_set
from recurrent.task import make_language
from seq_models import SRN

ANBN, AN_B2N = make_language("anbn", 2), make_language("anb2n", 2)
AB, REBER = make_language("anbn", 1), make_language("reber")


def analysed(net, language):
    """Return a network's states, machine and plane."""
    states = states_on(net, language, evaluation_set(language))
    return states, extract(net, language, states), Plane(net, states.vectors)


def chain(count: int) -> Machine:
    """Return a machine of states in a row, of which the last leads to the first."""
    transitions = (np.arange(count)[:, None] + 1) % count
    names, places = [f"A{k}" for k in range(count)], np.stack([range(count), [0] * count], axis=1)
    return Machine("A", transitions, np.full(count, SEVERAL), names, places)


def apart_net():
    """Return a network whose initial state lies apart from the others at the start of a word."""
    net = automaton_net(ANBN)
    net.H0.data[net.H0 > 0] = 0.3
    return net


@pytest.mark.parametrize(
    ("net", "language", "starts"),
    [(counter_net(), AN_B2N, 1), (automaton_net(REBER), REBER, 1), (apart_net(), ANBN, 2)],
)
def test_the_states_picture_names_every_state(net, language, starts):
    states, machine, plane = analysed(net, language)
    figure = diagrams.states_picture(states, machine, language, plane, "a title", named=True)
    figure.savefig(io.BytesIO(), format="png")
    drawn = [text.get_text() for text in figure.findobj(lambda x: hasattr(x, "get_text"))]
    # The end of a Reber word has no state vector, because nothing is read after it.
    assert set(language.machine.names) - {"end"} <= set(drawn)
    together = any("the same state of the machine as start" in text for text in drawn)
    assert together == language.chained
    assert drawn.count("start") == starts


def test_a_crowd_of_states_is_magnified_where_nothing_is_covered():
    axes = Figure(figsize=(10, 7.6)).add_axes((0.08, 0.08, 0.81, 0.86))
    centres = np.array([[0.0, 0], [0.95, 1], [0.97, 1], [0.99, 1], [1.0, 1]])
    zoom, magnified = diagrams._inset(axes, centres, chain(5), centres)
    assert magnified.tolist() == [False, True, True, True, True]
    box = axes.transAxes.inverted().transform(zoom.get_window_extent())
    assert ((centres < box[0]) | (centres > box[1])).any(axis=1).all()
    # Three are not a crowd, and nothing is magnified where it would cover dots everywhere.
    dots = np.random.default_rng(0).random((500, 2))
    for states, covered in ((centres[:4], centres), (centres, dots)):
        assert diagrams._inset(axes, states, chain(len(states)), covered)[0] is None


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
        assert axes.get_window_extent().contains(*box.p0)
        assert axes.get_window_extent().contains(*box.p1)


@pytest.mark.parametrize("count", [3, 45])
def test_the_machine_s_picture_has_the_title_inside_and_a_limited_size(count):
    figure = diagrams.machine_picture(chain(count), "a title " * 12)
    figure.savefig(io.BytesIO(), format="png")
    assert max(figure.get_size_inches()) * diagrams.DPI <= 3100
    for text in figure.texts:
        assert figure.bbox.contains(*text.get_window_extent().p0)
        assert figure.bbox.contains(*text.get_window_extent().p1)


@pytest.mark.parametrize(("language", "left"), [(AN_B2N, False), (REBER, False), (AB, True)])
def test_the_film_shows_each_symbol_and_the_machine_s_state(language, left):
    """left: of a machine without transitions, which is left at the first symbol."""
    net = counter_net() if language is AN_B2N else automaton_net(language)
    states, extraction, plane = analysed(net, language)
    if left:
        extraction.machine.transitions[:] = -1
    content = film.make_film(net, language, states, extraction, plane, "a title")
    assert len(content) < 1_500_000
    with Image.open(io.BytesIO(content)) as made:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(made)]
        assert made.info["duration"] == film.FRAME_TIME
    words = film.film_words(language)
    assert len(frames) == sum(map(len, words)) + language.chained
    assert all((one != other).any() for one, other in pairwise(frames))
    # The marker of the machine's state, in the right half.
    gold = np.array([255, 204, 0])
    marked = [(abs(frame[:, 500:] - gold).max(axis=-1) < 40).sum() > 50 for frame in frames]
    assert marked == [True] + [not left] * (len(frames) - 1)


def test_the_best_view_is_not_along_the_line_between_two_clusters():
    points = np.random.default_rng(0).normal(0, 0.02, (40, 3))
    points[::2, 0] += 1
    _, azimuth = pictures.best_view(points, np.arange(40) % 2)
    assert abs(np.sin(np.radians(azimuth))) > 0.4


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
