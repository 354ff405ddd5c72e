"""Words, probabilities and state numbers of the languages, and minimisation, against independent
definitions."""

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrent.language import NOTHING, SEVERAL, WORDS, minimise
from recurrent.task import make_language

# Counting languages

times = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(lambda more: (1, *more))


@pytest.mark.parametrize("name", ["", "an", "bnan", "a2nbn", "anb0n", "ANBN", "anbnbn", "ancn"])
def test_invalid_names_are_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' is not a language: use reber or a name like"):
        make_language(name)


@given(times, st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_sequences_are_five_words_and_the_next_a(times, max_n, seed):
    name = "".join(f"{letter}{k}n" for letter, k in zip("abcde", times, strict=False))
    language = make_language(name.replace("1", ""), max_n)
    runs = list(zip("ABCDE", times, strict=False))
    words = ("".join(x * (k * n) for x, k in runs) for n in range(1, max_n + 1))
    assert language.times == times
    assert language.all_words == tuple(words)
    batch = language.batch(7, np.random.default_rng(seed))
    texts = language.to_strings(batch)
    for text, symbols, nodes, mask in zip(texts, *(part.T for part in batch), strict=True):
        found = re.findall("A+[^A]+", text)
        assert (len(found), "".join(found)) == (WORDS, text)
        assert set(found) <= set(language.all_words)
        assert mask.tolist() == [step < len(text) for step in range(len(mask))]
        # The first symbol of a sixth word is predicted.
        assert language.decode(symbols[: len(text) + 1]) == text + "A"
        # A word has ended at node 0, and nowhere else.
        ended = np.cumsum([len(word) for word in found]) - 1
        assert np.flatnonzero(nodes[: len(text)] == 0).tolist() == ended.tolist()
        assert not nodes[len(text) :].any()
    assert language.to_strings(batch.part(5, 7)) == texts[5:]


def test_probabilities_and_state_numbers_of_the_assignment():
    language = make_language("anb2nc3n")
    sequence = language.from_strings(["AABBBBCCCCCC"])
    nodes, symbols = sequence.nodes[:, 0].numpy(), sequence.symbols[:-1, 0].numpy()
    target = [[0.8, 0.2, 0]] * 2 + [[0, 1, 0]] * 3 + [[0, 0, 1]] * 6 + [[1, 0, 0]]
    assert language.target_probs[nodes].tolist() == target
    assert language.deterministic[nodes].tolist() == [False] * 2 + [True] * 10
    numbers = [1, 2, 2, 1.5, 1, 0, 2, 5 / 3, 4 / 3, 1, 2 / 3, 0]
    assert language.numbers[nodes, symbols] == pytest.approx(numbers)


# Reber's grammars

# Reber's words as regular expressions: S* is the loop at node 2, T* the loop at node 6.
LOWER = "T*V(?:PXT*V)*(?:V|PS)"
PLAIN = f"B(?:TS*X(?:S|X{LOWER})|P{LOWER})E"
EMBEDDED = f"B(?:T{PLAIN}T|P{PLAIN}P)E"


def test_embedded_words_are_those_of_the_regular_expression():
    language = make_language("reber", embed=True)
    rows = language.sample_words(4000, np.random.default_rng(2))
    texts = [language.decode(row[row >= 0]) for row in rows]
    assert all(re.fullmatch(EMBEDDED, text) for text in texts)
    # All words of up to eleven symbols, by the regular expression alone.
    inner = ["".join(letters) for k in range(6) for letters in product("TPSXV", repeat=k)]
    candidates = {f"B{x}B{text}E{x}E" for x in "TP" for text in inner}
    short = {text for text in candidates if re.fullmatch(EMBEDDED, text)}
    assert {text for text in texts if len(text) <= 11} == short
    assert set(language.shortest_words(len(short))) == short
    # Where two edges leave a node, both are equally probable.
    assert set(np.unique(language.sampling_probs)) == {0, 0.5, 1}


def test_words_of_a_minimum_length():
    language = make_language("reber", 8)
    lengths = (language.sample_words(500, np.random.default_rng(2)) >= 0).sum(axis=1)
    assert lengths.min() == 8


def test_states_of_reber_have_the_course_s_numbers():
    language, numbers = make_language("reber"), [1, 2, 2, 3, 6, 6, 6, 5, 3, 6, 6, 5, 3, 4]
    sequence = language.from_strings(["BTSXXTTVPXTVPSE"])
    nodes, symbols = sequence.nodes[:, 0].numpy(), sequence.symbols[:-1, 0].numpy()
    assert language.numbers[nodes, symbols].tolist() == numbers
    assert [language.machine.names[node] for node in nodes] == [*map(str, numbers)]


# Machines


@st.composite
def machines(draw) -> tuple[np.ndarray, np.ndarray]:
    """Random transitions (M, C), some missing, and outputs (M,)."""
    size, letters = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    rows = st.lists(st.integers(-1, size - 1), min_size=letters, max_size=letters)
    transitions = draw(st.lists(rows, min_size=size, max_size=size))
    outputs = draw(st.lists(st.sampled_from([SEVERAL, NOTHING, 0]), min_size=size, max_size=size))
    return np.array(transitions), np.array(outputs)


@given(machines())
@settings(max_examples=60, deadline=None)
def test_minimise_merges_exactly_the_equivalent_states(machine):
    """Equivalent by filling a table of pairs of states that some text tells apart."""
    transitions, outputs = machine
    size, known = len(transitions), transitions >= 0
    differ = (outputs[:, None] != outputs) | (known[:, None] != known).any(axis=2)
    for _, symbol in product(range(size), range(transitions.shape[1])):
        to, both = transitions[:, symbol], np.outer(known[:, symbol], known[:, symbol])
        differ |= both & differ[to[:, None], to]
    reached = np.arange(size) == 0
    for _ in range(size):
        reached[transitions[reached][known[reached]]] = True
    edges, predictions, state_of = minimise(transitions, outputs)
    assert np.array_equal(state_of < 0, differ[:, reached].all(axis=1))
    assert np.array_equal((state_of[:, None] != state_of)[reached][:, reached],
                          differ[reached][:, reached])  # fmt: skip
    assert np.array_equal(predictions[state_of[reached]], outputs[reached])
    after = np.where(known, state_of[transitions], -1)
    assert np.array_equal(edges[state_of[reached]], after[reached])
