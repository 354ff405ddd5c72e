"""Each sentence of Part 1's answer: with a record that just meets its condition, and one that just
misses it."""

import pytest

from kuzushiji import report

# A network without a remarkable property, a confusion, and a form of a character.
NETWORK = dict(
    title="NetLin", images="X", unfinished=False, epochs=10, correct=1500, total=2000,
    accuracy=0.75, largest_class=("o", 0.1), training_accuracy=None, training_images=2000,
    parameters=7850, confusions=[], forms=[], hid=100,
)  # fmt: skip
PAIR = dict(target="na", chosen="wo", count=5, total=200, correlation=0.5, rank=11, form=2,
            in_form=3, form_share=0.27, p=0.01)  # fmt: skip
FORM = dict(target="ha", form=1, share=0.5, images=10, errors=1, error_rate=0.1, p=0.01)


UNEVEN = [FORM | dict(p=0.004), FORM | dict(form=2, p=0.004, error_rate=0.9, share=0.07)]
ONE_NETWORK = [
    # Three standard errors, 2.01 %, above the 10 % that a constant answer has right.
    (dict(accuracy=0.12), dict(accuracy=0.1202),
     "It has not learned: always answering o would be right for 10.00%."),
    (dict(training_accuracy=0.7512), dict(training_accuracy=None),
     "On 2000 of its training images it is right for 75.12%, 0.1 points more."),
    (dict(training_accuracy=0.74), dict(training_accuracy=0.76), "74.00%, 1.0 points less."),
    (dict(unfinished=True, epochs=3), dict(unfinished=False, epochs=3),
     "NetLin on X after epoch 3 (unfinished): 1500 of 2000"),
    (dict(confusions=[PAIR | dict(count=3)]), dict(confusions=[PAIR | dict(count=2)]),
     "Most frequent confusions (target -> predicted): na -> wo (3 of 200)."),
    (dict(confusions=[PAIR | dict(rank=10)]), dict(confusions=[PAIR | dict(rank=11)]),
     "na -> wo: the two look alike overall (correlation of mean images 0.50, rank 10 of 45)."),
    (dict(confusions=[PAIR | dict(p=0.0049)]), dict(confusions=[PAIR | dict(p=0.005)]),
     "na -> wo: 3 of these 5 are written in a form that 27% of na have (form 2)."),
    # Half of the images is not most of them.
    (dict(confusions=[PAIR | dict(p=0.001)]), dict(confusions=[PAIR | dict(p=0.001, count=6)]),
     "of these "),
    (dict(forms=UNEVEN), dict(forms=[FORM, FORM | dict(form=2, error_rate=0.9)]),
     "Errors gather in certain forms of 1 of the 1 characters (p < 0.005 each, permutation test): "
     "of ha, 90% are wrong in form 2 (7% of ha), 10% in form 1 (50%)."),
]  # fmt: skip


@pytest.mark.parametrize(("met", "missed", "sentence"), ONE_NETWORK, ids=range(len(ONE_NETWORK)))
def test_a_sentence_is_printed_only_where_it_holds(met, missed, sentence):
    assert any(sentence in text for text in report.network_sentences(NETWORK | met))
    assert not any(sentence in text for text in report.network_sentences(NETWORK | missed))


@pytest.mark.parametrize(
    ("first", "last", "images", "count"),
    [(0.5, 0.1, 10, 2), (0.5, 0.11, 10, 1), (0.49, 0.1, 10, 0), (0.5, 0.1, 9, 0)],
)
def test_a_comparison_names_forms_that_a_network_learns(first, last, images, count):
    """NetLin is wrong on `first` of a form's images, NetConv on `last`: so many sentences."""
    hard_form = FORM | dict(form=4, share=0.07, images=images)
    networks = [
        NETWORK | dict(title=title, forms=[hard_form | {"error_rate": rate}])
        for title, rate in (("NetLin", first), ("NetFull", 0.3), ("NetConv", last))
    ]
    hard = "Forms of which NetLin gets at least 50% wrong: 1"
    hard += "; NetConv gets at most 10% of 1 of them wrong." if count == 2 else "."
    learned = "ha in form 4 (7% of ha) is learned by NetConv: 50% by NetLin, 30% by NetFull, "
    learned += "10% by NetConv wrong."
    assert report.comparison_sentences(networks)[1:] == [hard, learned][:count]


def test_a_comparison_names_confusions_or_that_none_stands_out():
    named = NETWORK | dict(confusions=[PAIR | dict(count=3)])
    few = NETWORK | dict(title="NetConv", confusions=[PAIR | dict(count=2)])
    assert report.comparison_sentences([named, few]) == [
        "Correct of 2000 test images of X: NetLin 75.00% (7850 parameters), NetConv 75.00% (7850 "
        "parameters).",
        "NetLin: most frequent confusions (target -> predicted): na -> wo (3 of 200).",
        "NetConv: no pair of characters stands out: none is confused more than twice.",
    ]


def test_a_sweep_names_the_smallest_size_that_is_enough():
    sizes = [NETWORK | dict(accuracy=a, hid=h) for a, h in ((0.85, 50), (0.9, 100), (0.83, 20))]
    assert report.sweep_sentences(sizes) == [
        "Of these, 50 is the smallest number of hidden units that reaches 84%: 85.00%, 7850 "
        "parameters.",
        "The highest accuracy is 90.00%, with 100.",
    ]
    assert report.sweep_sentences([NETWORK | dict(accuracy=0.8399)]) == [
        "No network reaches 84%: try more hidden units or epochs."
    ]
