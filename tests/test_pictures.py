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


def analysed(net, language):
    """Return a network's states, machine and plane."""
    states = states_on(net, language, evaluation_set(language))
    return states, extract(net, language, states), Plane(net, states.vectors)


@pytest.fixture(scope="module", params=["anbn", "reber", "counter"])
def network(request):
    language = make_language("anb2n" if request.param == "counter" else request.param, 0, False)
    net = counter_net() if request.param == "counter" else automaton_net(language)
    return net, language, *analysed(net, language)


def texts(figure) -> list[str]:
    """Return all texts drawn on a figure."""
    return [text.get_text() for text in figure.findobj(lambda x: hasattr(x, "get_text"))]


def states_texts(language, states, extraction, plane) -> list[str]:
    """Return the texts in the picture of a network's states."""
    figure = diagrams.states_picture(states, extraction, language, plane, "a title", named=True)
    figure.savefig(io.BytesIO(), format="png")
    return texts(figure)


def test_the_states_picture_names_every_state(network):
    _, language, states, extraction, plane = network
    drawn = states_texts(language, states, extraction, plane)
    # The end of a Reber word has no state vector, because nothing is read after it.
    assert set(extraction.machine.names) - {"end"} <= set(drawn)
    together = (extraction.state == 0).sum() > 1
    assert any("the same state of the machine as start" in text for text in drawn) == together
    assert drawn.count("start") == 1


def test_a_cross_apart_from_its_state_has_the_state_s_name():
    language = make_language("anbn")
    net = automaton_net(language)
    with torch.no_grad():
        net.H0[net.H0 > 0] = 0.3
    assert states_texts(language, *analysed(net, language)).count("start") == 2


def test_a_crowd_of_states_is_magnified_where_nothing_is_covered():
    machine = Machine(
        "AB", np.array([[1, -1], [2, 0], [3, 0], [4, 0], [-1, 0]]), np.full(5, SEVERAL),
        ("start", "A1", "A2", "A3", "A4"), np.zeros((5, 2)),
    )  # fmt: skip
    centres = np.array([[0.0, 0], [0.95, 1], [0.97, 1], [0.99, 1], [1.0, 1]])
    axes = Figure(figsize=(10, 7.6)).add_axes((0.08, 0.08, 0.81, 0.86))
    zoom, magnified = diagrams._inset(axes, centres, machine, centres)
    assert magnified.tolist() == [False, True, True, True, True]
    box = zoom.get_position()
    place = axes.transAxes.inverted().transform(axes.figure.transFigure.transform(box.get_points()))
    assert ((centres < place[0]) | (centres > place[1])).any(axis=1).all()
    # Without a crowd, and where the crowd is most of the picture, nothing is magnified.
    for far in (np.random.default_rng(0).permutation(np.linspace(0, 1, 10)).reshape(5, 2),):
        assert diagrams._inset(axes, far, machine, far)[0] is None


def test_names_do_not_cover_each_other():
    axes = Figure(figsize=(6, 5)).add_axes((0, 0, 1, 1))
    axes.axis("off")
    anchors = np.array([[0.5, 0.5], [0.51, 0.5], [0.5, 0.52], [np.nan, np.nan], [0.99, 0.99]])
    names = ["A1", "B2 C6", "start", "end", "corner"]
    diagrams.place_names(axes, anchors, names, anchors[:3], 10)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts].count("end") == 0
    assert len(boxes) == 4
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
        assert axes.get_window_extent().contains(*box.p0)
        assert axes.get_window_extent().contains(*box.p1)


def test_the_machine_s_picture_has_the_title_inside_and_a_side_of_at_most_3000_pixels():
    for name, length in (("anbn", 1), ("anb2nc3n", 9)):
        machine, title = make_language(name, length).machine, "a title " * 12
        figure = diagrams.machine_picture(machine, title)
        figure.savefig(io.BytesIO(), format="png")
        assert max(figure.get_size_inches()) * diagrams.DPI <= max(diagrams.MAX_SIDE, 1200) + 100
        for text in figure.texts:
            assert figure.bbox.contains(*text.get_window_extent().p0)
            assert figure.bbox.contains(*text.get_window_extent().p1)


def test_the_film_shows_each_symbol_within_its_size(network):
    net, language, states, extraction, plane = network
    content = film.make_film(net, language, states, extraction, plane, "a title")
    assert len(content) < 1_500_000
    words = film.film_words(language)
    length = sum(map(len, words)) + (1 if language.chained else 0)
    with Image.open(io.BytesIO(content)) as made:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(made)]
        assert made.info["duration"] == film.FRAME_TIME
    assert len(frames) == length
    assert all((one != other).any() for one, other in pairwise(frames))
    # The marker of the machine's state, in the right half, is in every frame.
    gold = np.array([255, 204, 0])
    for frame in frames:
        assert (np.abs(frame[:, 500:].astype(int) - gold).max(axis=-1) < 40).sum() > 50


def test_a_film_of_a_network_that_leaves_its_machine():
    net, language = automaton_net(make_language("anbn")), make_language("anbn")
    states, extraction, plane = analysed(net, language)
    machine = extraction.machine
    machine.transitions[1:] = -1
    content = film.make_film(net, language, states, extraction, plane, "a title")
    assert content.startswith(b"GIF")
    assert film._following(machine, -1) == ""
    assert film._following(machine, 0) == "A"


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
    two = Plane(SRN(2, 2), vectors[:, :2])
    assert two.direct
    assert np.array_equal(two.project(vectors[:, :2]), vectors[:, :2])
    one = Plane(SRN(2, 1), vectors[:, :1])
    assert np.array_equal(one.project(vectors[:, :1])[:, 0], vectors[:, 0])


def test_the_maps_legend_lists_only_what_is_drawn():
    torch.manual_seed(0)
    language = make_language("anb2n")
    net = SRN(2, 2, init=1.0)
    states, _, plane = analysed(net, language)
    for kinds in ((), ("saddle",)):
        point = {"symbol": "A", "point": np.zeros(2)}
        records = [point | {"kind": kind} for kind in kinds]
        figure = pictures.maps_picture(net, language, states, plane, records, "a title")
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert set(labels) & set(pictures.MARKERS) == set(kinds)
        assert [label for label in labels if label.startswith("n = ")] == [
            f"n = {n}" for n in range(1, 5)
        ]
