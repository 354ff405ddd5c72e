"""The frames of a film, of networks that implement their languages."""

import numpy as np
import pytest
from shared import automaton_net

from recurrent.extraction import extract_machine
from recurrent.film import FILM_TIME, FRAMES_PER_SYMBOL, Scene, make_frames, read_words
from recurrent.metrics import evaluation_set
from recurrent.task import make_language


def implement(name: str):
    """Return a network that implements a language, the language, and the extracted machine."""
    language = make_language(name, 3 if name == "anbn" else 0, False)
    net = automaton_net(language)
    return net, language, extract_machine(net, language, evaluation_set(language))


@pytest.fixture(scope="module", params=["anbn", "reber"])
def implemented(request):
    return implement(request.param)


def test_a_reading_has_the_states_of_network_and_machine(implemented):
    net, language, extracted = implemented
    readings = read_words(net, language, extracted.machine)
    assert [reading.words for reading in readings] == (
        [["AB", "AABB", "AAABBB"]]
        if language.chained
        else [["BTXSE"], ["BPVVE"], ["BTSXSE"], ["BPTVVE"]]
    )
    for reading in readings:
        nodes = language.follow(language.encode(reading.text))
        names = [extracted.names[state] for state in reading.states]
        assert names == [language.labels[node] for node in (0, *nodes)]
        predicted = reading.probs[1:] if language.chained else reading.probs[1:-1]
        assert np.allclose(predicted, language.sampling_probs[nodes[: len(predicted)]], atol=0.02)
        assert not reading.probs[0].any()
        assert np.isfinite(reading.vectors).all()


def test_the_trail_starts_with_the_word(implemented):
    net, language, extracted = implemented
    (reading, *_) = read_words(net, language, extracted.machine)
    starts = [reading.word_start(step) for step in range(len(reading.states))]
    assert starts == ([0, 0, 0, 2, 2, 2, 2, *6 * [6]] if len(reading.words) > 1 else 6 * [0])


def test_a_film_moves_through_all_symbols_in_its_time(implemented):
    net, language, extracted = implemented
    readings = read_words(net, language, extracted.machine)
    frames = make_frames(readings)
    assert len(frames) == sum(1 + FRAMES_PER_SYMBOL * len(reading.text) for reading in readings)
    assert sum(frame.milliseconds for frame in frames) == pytest.approx(FILM_TIME, rel=0.3)
    assert frames == sorted(frames)
    arrived = [(frame.reading, frame.step) for frame in frames if frame.progress == 1]
    assert arrived == [
        (number, step)
        for number, reading in enumerate(readings)
        for step in range(len(reading.states))
    ]


def test_all_moving_artists_show_the_same_moment(implemented):
    net, language, extracted = implemented
    readings = read_words(net, language, extracted.machine)
    scene = Scene(language, extracted, readings, "a title")
    for frame in make_frames(readings)[:: FRAMES_PER_SYMBOL + 1]:
        scene.show(frame)
        reading, before = readings[frame.reading], max(frame.step - 1, 0)
        word_so_far = reading.text[reading.word_start(frame.step) : frame.step]
        state = reading.states[frame.step if frame.progress > 0.5 else before]
        assert tuple(scene.state_marker.get_center()) == tuple(scene.state_centres[state])
        assert scene.lines[1].get_text().startswith(f"state {extracted.names[state]};")
        assert scene.lines[0].get_text() == f"read: {word_so_far}"
        positions = scene.positions[frame.reading]
        expected = positions[before] + frame.progress * (positions[frame.step] - positions[before])
        assert np.allclose(np.ravel(scene.vector_marker.get_data()), expected)
        assert scene.letter_label.get_text() == reading.text[before]
        assert scene.letter_label.get_visible() == (frame.step > 0)
