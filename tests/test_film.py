"""What a film shows at each moment, on networks that are their languages."""

import numpy as np
import pytest
from shared import automaton_net

from recurrent.extraction import find_machine
from recurrent.film import DURATION, GLIDE, Stage, frames, readings
from recurrent.metrics import evaluation_set
from recurrent.task import make_language


def learn(name: str):
    """Return a network that is a language, the language, and the machine in the network."""
    language = make_language(name, 3 if name == "anbn" else 0, False)
    net = automaton_net(language)
    return net, language, find_machine(net, language, evaluation_set(language))


@pytest.fixture(scope="module", params=["anbn", "reber"])
def learned(request):
    return learn(request.param)


def test_a_reading_is_what_network_and_machine_do(learned):
    net, language, found = learned
    read = readings(net, language, found.machine)
    assert [reading.words for reading in read] == (
        [["AB", "AABB", "AAABBB"]]
        if language.chained
        else [["BTXSE"], ["BPVVE"], ["BTSXSE"], ["BPTVVE"]]
    )
    for reading in read:
        nodes = language.follow(language.encode(reading.text))
        names = [found.names[state] for state in reading.states]
        assert names == [language.labels[node] for node in (0, *nodes)]
        predicted = reading.probs[1:] if language.chained else reading.probs[1:-1]
        assert np.allclose(predicted, language.sampling_probs[nodes[: len(predicted)]], atol=0.02)
        assert not reading.probs[0].any()
        assert np.isfinite(reading.vectors).all()


def test_the_trail_begins_with_the_word(learned):
    (reading, *_) = readings(learned[0], learned[1], learned[2].machine)
    first = [reading.first(step) for step in range(len(reading.states))]
    assert first == ([0, 0, 0, 2, 2, 2, 2, *6 * [6]] if len(reading.words) > 1 else 6 * [0])


def test_a_film_glides_through_all_symbols_in_its_time(learned):
    read = readings(learned[0], learned[1], learned[2].machine)
    shown = frames(read)
    assert len(shown) == sum(1 + GLIDE * len(reading.text) for reading in read)
    assert sum(frame.milliseconds for frame in shown) == pytest.approx(DURATION, rel=0.3)
    assert shown == sorted(shown)
    arrived = [(frame.reading, frame.step) for frame in shown if frame.share == 1]
    assert arrived == [(r, s) for r in range(len(read)) for s in range(len(read[r].states))]


def test_everything_that_moves_shows_the_same_moment(learned):
    net, language, found = learned
    read = readings(net, language, found.machine)
    stage = Stage(language, found, read, "a title")
    for frame in frames(read)[:: GLIDE + 1]:
        stage.move(frame)
        reading, before = read[frame.reading], max(frame.step - 1, 0)
        begun = reading.text[reading.first(frame.step) : frame.step]
        state = reading.states[frame.step if frame.share > 0.5 else before]
        assert tuple(stage.lit.get_center()) == tuple(stage.circles[state])
        assert stage.lines[1].get_text().startswith(f"state {found.names[state]};")
        assert stage.lines[0].get_text() == f"read: {begun}"
        places = stage.places[frame.reading]
        here = (1 - frame.share) * places[before] + frame.share * places[frame.step]
        assert np.allclose(np.ravel(stage.point.get_data()), here)
        assert stage.letter.get_text() == reading.text[before]
        assert stage.letter.get_visible() == (frame.step > 0)
