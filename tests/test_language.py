"""Words, probabilities and state numbers of the languages, and minimisation, against independent
definitions."""

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrent.language import NOTHING, SEVERAL, WORDS, minimise
from recurrent.task import make_language

times = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(lambda more: (1, *more))


def name_of(times: tuple[int, ...]) -> str:
    runs = zip("abcdefghij", times, strict=False)
    return "".join(f"{letter}{'' if factor == 1 else factor}n" for letter, factor in runs)


def word_of(times: tuple[int, ...], n: int) -> str:
    return "".join(letter * (factor * n) for letter, factor in zip("ABCDE", times, strict=False))


# Counting languages


@pytest.mark.parametrize(
    "name", ["", "an", "bnan", "a2nbn", "anb0n", "ANBN", "anbnbn", "ancn", "anbn ", "foo"]
)
def test_invalid_names_are_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' is not a language: use reber or a name like"):
        make_language(name)


@given(times, st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_sequences_are_five_words_and_the_next_a(times, max_n, seed):
    language = make_language(name_of(times), max_n)
    words = [word_of(times, n) for n in range(1, max_n + 1)]
    assert language.times == times
    assert list(language.all_words) == words
    assert language.shortest_words(3) == tuple(words[:3])
    assert language.with_max_n(max_n + 2).all_words == (
        *words, *(word_of(times, n) for n in (max_n + 1, max_n + 2)),
    )  # fmt: skip
    batch = language.batch(7, np.random.default_rng(seed))
    texts = language.to_strings(batch)
    for text, column, nodes, mask in zip(
        texts, batch.symbols.T, batch.nodes.T, batch.mask.T, strict=True
    ):
        found = re.findall("A+[^A]+", text)
        assert (len(found), "".join(found)) == (WORDS, text)
        assert set(found) <= set(words)
        assert mask.tolist() == [True] * len(text) + [False] * (len(mask) - len(text))
        # The first symbol of a sixth word is predicted.
        assert language.decode(column[: len(text) + 1]) == text + "A"
        # A word has ended at node 0, and nowhere else.
        ended = np.cumsum([len(word) for word in found]) - 1
        assert np.flatnonzero(nodes[: len(text)] == 0).tolist() == ended.tolist()
        assert not nodes[len(text) :].any()
    again = language.from_strings(texts)
    assert all((one == other).all() for one, other in zip(batch, again, strict=True))
    part, last = batch.part(5, 7), texts[5:]
    assert language.to_strings(part) == last
    assert len(part.mask) == max(map(len, last))


def test_a_foreign_symbol_is_refused():
    with pytest.raises(ValueError, match="'X' is not one of the symbols AB"):
        make_language("anb2n").from_strings(["AXB"])


@pytest.mark.parametrize(("name", "max_n"), [("anbn", 5), ("anb2n", 4), ("anb2nc3n", 4)])
def test_the_graph_is_the_minimal_machine_of_its_words(name, max_n):
    """States are equivalent if the same continuations complete a word, and the same symbols are
    asked for: after an A, none."""
    language = make_language(name, max_n)
    words = [word_of(language.times, n) for n in range(1, max_n + 1)]
    residuals = {}
    for prefix in {word[:end] for word in words for end in range(len(word))}:
        rests = frozenset(word[len(prefix) :] for word in words if word.startswith(prefix))
        residuals[prefix] = (rests, prefix.endswith("A"))
    by_node = {"": 0}
    for prefix in sorted(residuals, key=len):
        if prefix:
            symbol = language.symbols.index(prefix[-1])
            by_node[prefix] = int(language.transitions[by_node[prefix[:-1]], symbol])
    assert set(by_node.values()) == set(range(language.machine.count))
    # One node for each residual, one residual for each node.
    pairs = {(by_node[prefix], residual) for prefix, residual in residuals.items()}
    assert len(pairs) == len(set(residuals.values())) == language.machine.count
    assert language.machine.minimal().count == language.machine.count
    # Names are what is left of the word, where n is known.
    for prefix, (rests, _) in residuals.items():
        if prefix and not prefix.endswith("A"):
            (rest,) = rests
            left = " ".join(f"{letter}{count}" for letter, count in sorted(Counter(rest).items()))
            assert language.machine.names[by_node[prefix]] == left


def test_probabilities_and_state_numbers_of_the_assignment():
    language = make_language("anb2nc3n")
    sequences = language.from_strings(["AAABBBBBBCCCCCCCCC", "ABBCCC"])
    nodes, symbols = sequences.nodes.numpy(), sequences.symbols[:-1].numpy()
    target = language.target_probs[nodes[:, 0]]
    assert (target[:3] == [0.8, 0.2, 0]).all()
    assert (target[3:8] == [0, 1, 0]).all()
    assert (target[8:17] == [0, 0, 1]).all()
    assert (target[17] == [1, 0, 0]).all()
    assert (language.deterministic[nodes[:, 0]] == [False] * 3 + [True] * 15).all()
    expected = [1, 2, 3]
    for factor in (2, 3):
        expected += [3 + (1 - i) / factor for i in range(1, 3 * factor)] + [0]
    assert language.numbers[nodes[:, 0], symbols[:, 0]] == pytest.approx(expected)
    expected = [1, 1, 0, 1, 2 / 3, 0]
    assert language.numbers[nodes[:6, 1], symbols[:6, 1]] == pytest.approx(expected)


@pytest.mark.parametrize(("name", "max_n"), [("anbn", 3), ("anb2nc3n", 4)])
def test_words_are_sampled_with_equal_probability(name, max_n):
    language, count = make_language(name, max_n), 20_000
    rows = language.sample_words(count, np.random.default_rng(0))
    found = np.bincount((rows == 0).sum(axis=1), minlength=max_n + 1)[1:]
    # Within five standard deviations of a binomial count.
    deviation = (count / max_n * (1 - 1 / max_n)) ** 0.5
    assert found == pytest.approx(np.full(max_n, count / max_n), abs=5 * deviation)


# Reber's grammars

# Reber's words as regular expressions: S* is the loop at node 2, T* the loop at node 6.
LOWER = "T*V(?:PXT*V)*(?:V|PS)"
PLAIN = f"B(?:TS*X(?:S|X{LOWER})|P{LOWER})E"
EMBEDDED = f"B(?:T{PLAIN}T|P{PLAIN}P)E"


def all_words(embed: bool, longest: int) -> set[str]:
    """Return the words of up to `longest` symbols, by the regular expression alone."""
    if embed:
        return {f"B{x}{word}{x}E" for x in "TP" for word in all_words(False, longest - 4)}
    texts = (
        "".join(letters) for k in range(1, longest - 1) for letters in product("TPSXV", repeat=k)
    )
    return {f"B{text}E" for text in texts if re.fullmatch(PLAIN, f"B{text}E")}


@pytest.mark.parametrize("embed", [False, True])
def test_reber_s_words_are_those_of_the_regular_expression(embed):
    language = make_language("reber", embed=embed)
    rows = language.sample_words(4000, np.random.default_rng(2))
    texts = [language.decode(row[row >= 0]) for row in rows]
    assert all(re.fullmatch(EMBEDDED if embed else PLAIN, text) for text in texts)
    assert len(set(texts)) > 100
    assert language.to_strings(language.from_strings(texts)) == texts
    longest = 12 if embed else 8
    short = all_words(embed, longest)
    assert {text for text in texts if len(text) <= longest} == short
    first = language.shortest_words(len(short))
    assert set(first) == short
    assert [len(text) for text in first] == sorted(len(text) for text in short)
    # Where two edges leave a node, both are equally probable.
    assert set(np.unique(language.sampling_probs)) == {0, 0.5, 1}
    branches = Counter(text[1] for text in texts)
    assert branches["T"] == pytest.approx(2000, abs=5 * 1000**0.5)


def test_shorter_words_than_the_minimum_are_drawn_again():
    plain, long = make_language("reber"), make_language("reber", 8)
    rows = [x.sample_words(6000, np.random.default_rng(k)) for k, x in enumerate((plain, long))]
    free, found = (
        Counter(plain.decode(row[row >= 0]) for row in part if (row >= 0).sum() >= 8)
        for part in rows
    )
    assert found.total() == 6000
    # The same words in the same proportions, within five standard errors.
    for text, number in free.most_common(10):
        share = number / free.total()
        assert found[text] / 6000 == pytest.approx(share, abs=5 * (share / free.total()) ** 0.5)
    assert long.shortest_words(1) == ("BTSSSXSE",)
    with pytest.raises(ValueError, match="--length 25: at most 24 for reber"):
        make_language("reber", 25)


def test_state_numbers_of_reber_are_those_of_the_course():
    language = make_language("reber")
    sequences = language.from_strings(["BTSXXTTVPXTVPSE"])
    nodes, symbols = sequences.nodes[:, 0].numpy(), sequences.symbols[:-1, 0].numpy()
    expected = [1, 2, 2, 3, 6, 6, 6, 5, 3, 6, 6, 5, 3, 4]
    assert language.numbers[nodes, symbols].astype(int).tolist() == expected
    assert [language.machine.names[node] for node in nodes] == [str(k) for k in expected]


def test_the_second_to_last_letter_of_embedded_reber_is_deterministic():
    language = make_language("reber", embed=True)
    # The node before it depends on the second letter.
    nodes = language.from_strings(["BTBTXSETE", "BPBTXSEPE"]).nodes[-2]
    assert language.deterministic[nodes.numpy()].all()
    assert [language.machine.names[node] for node in nodes] == ["T?", "P?"]


# Machines


@st.composite
def machines(draw) -> tuple[np.ndarray, np.ndarray]:
    """Random transitions (M, C), some missing, and outputs (M,)."""
    size, letters = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    rows = st.lists(st.integers(-1, size - 1), min_size=letters, max_size=letters)
    transitions = draw(st.lists(rows, min_size=size, max_size=size))
    outputs = draw(st.lists(st.sampled_from([SEVERAL, NOTHING, 0]), min_size=size, max_size=size))
    return np.array(transitions), np.array(outputs)


def behaviour(transitions, outputs, start: int, text) -> tuple:
    """Return the outputs after each symbol of a text, until a transition is missing."""
    found, state = [int(outputs[start])], start
    for symbol in text:
        state = int(transitions[state, symbol])
        if state < 0:
            return (*found, None)
        found.append(int(outputs[state]))
    return tuple(found)


@given(machines())
@settings(max_examples=60, deadline=None)
def test_minimise_merges_exactly_the_states_of_equal_behaviour(machine):
    """By all texts of M - 1 symbols, which tell any two of M states apart."""
    transitions, outputs = machine
    size, letters = transitions.shape
    reached, waiting = {0}, [0]
    for state in waiting:
        new = [to for to in transitions[state].tolist() if to >= 0 and to not in reached]
        reached.update(new)
        waiting += new
    texts = list(product(range(letters), repeat=size - 1))

    def observed(transitions, outputs, start: int) -> tuple:
        return tuple(behaviour(transitions, outputs, start, text) for text in texts)

    seen = [observed(transitions, outputs, state) for state in range(size)]
    edges, predictions, state_of = minimise(transitions, outputs)
    assert len(edges) == len({seen[state] for state in reached})
    for state in range(size):
        if state_of[state] < 0:
            assert seen[state] not in {seen[other] for other in reached}
        else:
            assert seen[state] == observed(edges, predictions, state_of[state])
    # Renumbering the states does not change the minimal machine.
    order = np.r_[0, 1 + np.random.default_rng(0).permutation(size - 1)]
    place = np.append(np.argsort(order), -1)
    again = minimise(place[transitions[order]], outputs[order])
    assert np.array_equal(edges, again[0])
    assert np.array_equal(predictions, again[1])
