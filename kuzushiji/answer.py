"""The answer at the end of Part 1's commands: sentences, each measured on the networks at hand.

A sentence is left out where its condition does not hold. The records that the sentences are made
from are those of --json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cli.tables import count

# The assignment's required accuracy of NetFull.
REQUIRED_ACCURACY = 0.84
# Standard errors by which a network that has learned is better than guessing.
BETTER = 3
# Minimum number of images of a confusion that is named; fewer differ between runs of a recipe.
MIN_CONFUSION = 3
# Two mean images are alike if their correlation is among this many highest of the 45 pairs.
ALIKE = 10
# Level of significance: 0.05, divided by the ten characters or pairs that are tested.
LEVEL = 0.005
# Minimum number of test images of a form whose error rate is named.
MIN_IMAGES = 10
# Error rates of a form that a network cannot read, and of one that it has learned.
HARD, LEARNED = 0.5, 0.1


def network_sentences(network: Mapping) -> list[str]:
    """Return the answer for one network from its record (kuzu_main.measure)."""
    correct, total = network["correct"], network["total"]
    when = f" after epoch {network['epochs']} (unfinished)" * network["unfinished"]
    sentences = [
        f"{network['title']} on {network['images']}{when}: {correct} of {total} test images "
        f"correct ({correct / total:.2%}), {count(total - correct, 'error')}."
    ]
    most, share = network["largest_class"]
    if correct <= total * share + BETTER * math.sqrt(total * share * (1 - share)):
        always = f"always answering {most} would be right for {share:.2%}"
        return [*sentences, f"It has not learned: {always}."]
    if network["training_accuracy"] is not None:
        train, gap = network["training_accuracy"], network["training_accuracy"] - correct / total
        sentences.append(
            f"On {network['training_images']} of its training images it is right for {train:.2%}, "
            f"{abs(gap) * 100:.1f} points {'more' if gap >= 0 else 'less'}."
        )
    return [*sentences, *_confusions(network), *_unevenness(network["forms"])]


def _named(network: Mapping) -> list[dict]:
    """Return the records of the three most frequent confusions of at least MIN_CONFUSION images."""
    return [pair for pair in network["confusions"][:3] if pair["count"] >= MIN_CONFUSION]


def _listed(network: Mapping) -> str:
    """Return a sentence on the most frequent confusions, without its beginning and its end."""
    return ", ".join(
        f"{pair['target']} -> {pair['chosen']} ({pair['count']} of {pair['total']})"
        for pair in _named(network)
    )


def _confusions(network: Mapping) -> list[str]:
    if not network["confusions"]:
        return []
    named = _named(network)
    if not named:
        most = network["confusions"][0]["count"]
        times = "once" if most == 1 else "twice"
        return [f"No pair of characters stands out: none is confused more than {times}."]
    sentences = [f"Most frequent confusions (target -> predicted): {_listed(network)}."]
    for pair in named:
        reasons = []
        if pair["rank"] <= ALIKE:
            reasons.append(
                f"the two look alike overall (correlation of mean images {pair['correlation']:.2f},"
                f" rank {pair['rank']} of 45)"
            )
        if pair["p"] < LEVEL and 2 * pair["in_form"] > pair["count"]:
            reasons.append(
                f"{pair['in_form']} of these {pair['count']} are written in a form that "
                f"{pair['form_share']:.0%} of {pair['target']} have (form {pair['form']})"
            )
        if reasons:
            sentences.append(f"{pair['target']} -> {pair['chosen']}: {'; '.join(reasons)}.")
    return sentences


def _unevenness(forms: list[dict]) -> list[str]:
    """Return a sentence on how unevenly errors fall on the forms of a character."""
    uneven = dict.fromkeys(form["target"] for form in forms if form["p"] < LEVEL)
    extremes = {}
    for name in uneven:
        rated = [form for form in forms if form["target"] == name and form["images"] >= MIN_IMAGES]
        if len(rated) > 1:
            ordered = sorted(rated, key=lambda form: form["error_rate"])
            extremes[name] = ordered[0], ordered[-1]
    if not extremes:
        return []
    name = max(extremes, key=lambda name: extremes[name][1]["error_rate"])
    best, worst = extremes[name]
    tested = len({form["target"] for form in forms})
    return [
        f"Errors gather in certain forms of {len(uneven)} of the {tested} characters (p < {LEVEL} "
        f"each, permutation test): of {name}, {worst['error_rate']:.0%} are wrong in form "
        f"{worst['form']} ({worst['share']:.0%} of {name}), {best['error_rate']:.0%} in form "
        f"{best['form']} ({best['share']:.0%})."
    ]


def comparison_sentences(networks: list[Mapping]) -> list[str]:
    """Return the answer for several networks, the simplest first, from their records."""
    first, last = networks[0], networks[-1]
    sentences = [
        f"Correct of {first['total']} test images of {first['images']}: "
        + ", ".join(
            f"{network['title']} {network['accuracy']:.2%} ({network['parameters']} parameters)"
            for network in networks
        )
        + "."
    ]
    for network in networks:
        if _named(network):
            sentences.append(f"{network['title']} confuses most often {_listed(network)}.")
        elif network["confusions"]:
            sentences.append(f"{network['title']}: no pair of characters stands out.")
    rows = [
        rates
        for rates in zip(*(network["forms"] for network in networks), strict=True)
        if rates[0]["images"] >= MIN_IMAGES and rates[0]["error_rate"] >= HARD
    ]
    if not rows or len(networks) < 2:
        return sentences
    learned = [
        f"{network['title']} gets at most {LEARNED:.0%} of {number} of them wrong"
        for index, network in enumerate(networks)
        if (number := sum(rates[index]["error_rate"] <= LEARNED for rates in rows))
    ]
    hard = (
        f"Forms (of at least {MIN_IMAGES} test images) of which {first['title']} gets at least "
        f"{HARD:.0%} wrong: {len(rows)}"
    )
    sentences.append("; ".join([hard, *learned]) + ".")
    rows = [rates for rates in rows if rates[-1]["error_rate"] <= LEARNED]
    rows.sort(key=lambda rates: -rates[0]["error_rate"])
    for rates in rows[:2]:
        form = rates[0]
        wrong = ", ".join(
            f"{rate['error_rate']:.0%} by {network['title']}"
            for rate, network in zip(rates, networks, strict=True)
        )
        sentences.append(
            f"{form['target']} in form {form['form']} ({form['share']:.0%} of {form['target']}) is "
            f"learned by {last['title']}: {wrong} wrong."
        )
    return sentences


def sweep_sentences(networks: list[Mapping]) -> list[str]:
    """Return the answer for NetFull with several numbers of hidden units, from their records."""
    enough = [network for network in networks if network["accuracy"] >= REQUIRED_ACCURACY]
    if not enough:
        return [f"No network reaches {REQUIRED_ACCURACY:.0%}: try more hidden units or epochs."]
    fewest = min(enough, key=lambda network: network["recipe"]["hid"])
    best = max(networks, key=lambda network: network["accuracy"])
    sentences = [
        f"Of these, {fewest['recipe']['hid']} is the smallest number of hidden units that reaches "
        f"{REQUIRED_ACCURACY:.0%}: {fewest['accuracy']:.2%} with {fewest['parameters']} parameters."
    ]
    if best is not fewest:
        sentences.append(
            f"The highest accuracy is {best['accuracy']:.2%}, with {best['recipe']['hid']}."
        )
    return sentences
