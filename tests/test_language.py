"""Words, probabilities and state numbers of the languages against independent definitions."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrent.language import WORDS
from recurrent.task import make_language

times = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(lambda more: (1, *more))


def name_of(times: tuple[int, ...]) -> str:
    runs = zip("abcdefghij", times, strict=False)
    return "".join(f"{letter}{'' if factor == 1 else factor}n" for letter, factor in runs)


# Counting languages


@pytest.mark.parametrize(
    "name", ["", "an", "bnan", "a2nbn", "anb0n", "ANBN", "anbnbn", "ancn", "anbn ", "foo"]
)
def test_invalid_names_are_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' is not a language: use reber or a name like"):
        make_language(name)


def matches(text: str, times: tuple[int, ...], max_n: int) -> bool:
    """Return whether text is a^n b^(times[1] n) ... with n in 1 .. max_n."""
    n = text.count("A")
    return 1 <= n <= max_n and text == "".join(
        letter * (factor * n) for letter, factor in zip("ABCDE", times, strict=False)
    )


@given(times, st.integers(1, 6), st.data())
@settings(max_examples=30, deadline=None)
def test_words_are_those_of_the_definition(times, max_n, data):
    language = make_language(name_of(times), max_n)
    assert language.times == times
    words = language.words_up_to(sum(times) * max_n)
    assert words == list(language.all_words) == [language.word(n) for n in range(1, max_n + 1)]
    assert all(matches(word, times, max_n) and language.is_word(word) for word in words)
    assert language.with_max_n(max_n + 2).all_words[:max_n] == language.all_words
    # A word with one letter replaced, inserted or deleted is not one, except by chance.
    word = list(data.draw(st.sampled_from(words)))
    index = data.draw(st.integers(0, len(word) - 1))
    change = data.draw(st.sampled_from(["delete", "insert", "replace"]))
    if change == "delete":
        del word[index]
    else:
        word[index : index + (change == "replace")] = [data.draw(st.sampled_from(language.symbols))]
    assert language.is_word("".join(word)) == matches("".join(word), times, max_n)


@given(times, st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_sequences_are_five_words_and_the_next_a(times, max_n, seed):
    language = make_language(name_of(times), max_n)
    batch = language.batch(7, np.random.default_rng(seed))
    assert batch.count == 7
    for column in range(7):
        steps = int(batch.mask[:, column].sum())
        text = language.decode(batch.symbols[: steps + 1, column])
        words = re.findall(r"A+[^A]+", text[:-1])
        assert text[-1] == "A"
        assert "".join(words) == text[:-1]
        assert len(words) == WORDS
        assert all(matches(word, times, max_n) for word in words)
        assert not batch.mask[steps:, column].any()
        # Each node follows from the symbol read; in the padding it stays at 0.
        nodes = batch.nodes[:, column].tolist()
        node = 0
        for letter, expected in zip(text[:-1], nodes[:steps], strict=True):
            node = int(language.transitions[node, language.symbols.index(letter)])
            assert node == expected
        assert nodes[steps - 1 :] == [0] * (len(nodes) - steps + 1)


def test_each_n_is_sampled_equally_often():
    words = make_language("anb2nc3n", 4).sample_words(20_000, np.random.default_rng(0))
    counts = np.bincount((words == 0).sum(axis=0), minlength=5)
    # Within five standard deviations of a binomial count.
    assert counts[1:] == pytest.approx(5000, abs=5 * (20_000 * 0.25 * 0.75) ** 0.5)


def test_probabilities_and_state_numbers_of_the_assignment():
    language = make_language("anb2nc3n")
    sequences = language.from_strings(["AAABBBBBBCCCCCCCCC", "ABBCCC"])
    nodes = sequences.nodes[:, 0].numpy()
    target = language.target_probs[nodes]
    assert (target[:3] == [0.8, 0.2, 0]).all()
    assert (target[3:8] == [0, 1, 0]).all()
    assert (target[8:17] == [0, 0, 1]).all()
    assert (target[17] == [1, 0, 0]).all()
    assert (language.deterministic[nodes] == [False] * 3 + [True] * 15).all()
    third = 1 / 3
    expected = [1, 2, 3, 3, 2.5, 2, 1.5, 1, 0, 3, 3 - third, 3 - 2 * third, 2, 2 - third]
    expected += [2 - 2 * third, 1, 1 - third, 0]
    assert language.number[nodes] == pytest.approx(expected)
    number = language.number[sequences.nodes[:6, 1].numpy()]
    assert number == pytest.approx([1, 1, 0, 1, 1 - third, 0])


@pytest.mark.parametrize("name", ["anbn", "anb3nc2n"])
def test_the_loss_threshold_is_just_above_the_loss_of_an_optimal_predictor(name):
    language = make_language(name)
    loss, steps = 0.0, 0
    for n, word in enumerate(language.all_words, 1):
        for index in range(len(word)):
            if index < n:
                # The probability of another A after index + 1 of them, n being uniform on 1 .. 4.
                another = (3 - index) / (4 - index)
                loss += ((another - 0.8) ** 2 + (1 - another - 0.2) ** 2) / language.classes
            steps += 1
    assert language.loss_threshold == pytest.approx(loss / steps + 0.01)


# Reber's grammars

# Reber's words as regular expressions: S* is the loop at node 1, T* the loop at node 5.
LOWER = "T*V(?:PXT*V)*(?:V|PS)"
PLAIN = f"B(?:TS*X(?:S|X{LOWER})|P{LOWER})E"
EMBEDDED = f"B(?:T{PLAIN}T|P{PLAIN}P)E"


@pytest.mark.parametrize(("embed", "pattern"), [(False, PLAIN), (True, EMBEDDED)])
def test_sampled_words_and_is_word_agree_with_the_regular_expression(embed, pattern):
    language = make_language("reber", embed=embed)
    random = np.random.default_rng(2)
    words = language.sample_words(2000, random).T
    texts = [language.decode(word[word >= 0]) for word in words]
    assert len(set(texts)) > 100
    rejected = 0
    for text in texts:
        assert re.fullmatch(pattern, text)
        assert language.is_word(text)
        # With one random letter replaced, most are not words.
        index = random.integers(len(text))
        text = text[:index] + "BTSXPVE"[random.integers(7)] + text[index + 1 :]
        assert language.is_word(text) == bool(re.fullmatch(pattern, text))
        rejected += not language.is_word(text)
    assert rejected > 1300
    for text in ("", "B", "BTXSEB", "btxse", "AB"):
        assert not language.is_word(text)


@pytest.mark.parametrize("embed", [False, True])
def test_words_up_to_returns_all_short_words(embed):
    language = make_language("reber", embed=embed)
    words = language.words_up_to(10)
    sampled = language.sample_words(10_000, np.random.default_rng(3)).T
    short = {language.decode(word[word >= 0]) for word in sampled if (word >= 0).sum() <= 10}
    assert set(words) == short
    assert len(words) == len(set(words))


@pytest.mark.parametrize(("embed", "min_length"), [(False, 0), (False, 10), (True, 16)])
def test_probabilities_with_a_minimum_length_are_those_of_rejection_sampling(embed, min_length):
    language = make_language("reber", min_length, embed)
    words = make_language("reber", 0, embed).sample_words(50_000, np.random.default_rng(7))
    words = words[:, (words >= 0).sum(axis=0) >= min_length]
    nodes = language.follow(words)
    assert nodes.min() >= 0
    assert (nodes[-1] == language.end).all()
    for node in np.unique(nodes[:-1][words[1:] >= 0]):
        successors = words[1:][(nodes[:-1] == node) & (words[1:] >= 0)]
        frequency = np.bincount(successors, minlength=7) / len(successors)
        # Five standard errors.
        error = 5 * np.sqrt(0.25 / len(successors)) + 1e-9
        assert frequency == pytest.approx(language.target_probs[node], abs=error)
    lengths = (language.sample_words(2000, np.random.default_rng(5)) >= 0).sum(axis=0)
    assert lengths.min() >= min_length
    assert np.delete(language.sampling_probs, language.end, axis=0).sum(axis=1) == pytest.approx(1)
    assert not language.sampling_probs[language.end].any()


def test_state_numbers_are_the_nodes_of_the_assignment_s_graph():
    """Numbers as in the docstring of reber.py: 0 after the B, 6 at the end."""
    for min_length in (0, 12):
        language = make_language("reber", min_length)
        text = "BTSXXTTVPXTVPSE"
        numbers = language.number[language.follow(language.encode(text))].astype(int).tolist()
        assert numbers == [0, 1, 1, 2, 5, 5, 5, 4, 2, 5, 5, 4, 2, 3, 6]


def test_the_second_to_last_letter_of_embedded_reber_is_deterministic():
    language = make_language("reber", embed=True)
    # The node before it depends on the second letter.
    nodes = language.from_strings(["BTBTXSETE", "BPBTXSEPE"]).nodes[-2]
    assert language.deterministic[nodes.numpy()].all()
    assert nodes[0] != nodes[1]
