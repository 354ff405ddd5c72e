"""What kuzu_main.py reports of its networks: records, pictures, and the answer in sentences.

A record is a dict that --json writes; each sentence is made from it, and is left out where its
condition does not hold.
"""

from __future__ import annotations

from cli import files
from cli.tables import count, table
from cli.training import Run

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from kuzushiji import pictures
from kuzushiji.confusion import Result, confusion_records, form_records
from kuzushiji.dataset import Images
from kuzushiji.pictures import MIN_IMAGES
from kuzushiji.recipes import NETS, parameter_count, parameter_text

# The assignment's required accuracy of NetFull.
REQUIRED_ACCURACY = 0.84
# Standard errors by which a network that has learned is better than guessing.
BETTER = 3
# Minimum number of images of a confusion that is named; fewer differ between runs of a recipe.
MIN_CONFUSION = 3
# Two mean images are alike if their correlation is among this many highest of the 45 pairs.
ALIKE = 10
# Level of significance: 0.05, divided by the ten characters or confusions that are tested.
LEVEL = 0.005
# Error rates of a form that a network cannot read, and of one that it has learned.
HARD, LEARNED = 0.5, 0.1


def measure(run: Run, result: Result, train: Result | None, images: Images) -> dict:
    """Return a network's record.

    result: on the test images; train: on some of its training images, None if these are unknown.
    """
    totals = result.matrix.sum(axis=1)
    network = {
        "net": run.about["net"],
        "title": NETS[run.about["net"]],
        "images": images.name,
        "recipe": {"net": run.about["net"]} | asdict(run.recipe),
        "hid": run.recipe.hid,
        "parameter_sum": parameter_text(run.net).split(" = ")[0],
        "parameters": parameter_count(run.net),
        # None for a network saved by an older version.
        "epochs": run.done or None,
        "unfinished": not run.complete,
        "seconds": run.seconds or None,
        "loss": result.loss,
        "accuracy": result.accuracy,
        "correct": result.correct,
        "total": result.total,
        "largest_class": (images.classes[int(totals.argmax())], totals.max() / result.total),
        "training_accuracy": train and train.accuracy,
        "training_images": train and train.total,
        "matrix": result.matrix,
        "confusions": confusion_records(result, images),
        "forms": form_records(result, images),
    }
    return network | {"sentences": network_sentences(network)}


def show_network(run: Run, result: Result, network: Mapping, images: Images, folder: Path) -> None:
    """Save a network's pictures in a folder. network: its record."""
    title, correct = network["title"], f"{result.correct} of {result.total} correct"
    where = f"{title} ({images.name})"
    heading = f"{title} on {images.name}: {correct}, {result.accuracy:.2%}"
    figures = {
        "confusion": pictures.confusion_picture(result.matrix, images.classes, heading),
        "mistakes": pictures.mistakes_picture(result, images, where),
        "forms": pictures.forms_picture({title: network["forms"]}, images, where),
        "features": pictures.weights_picture(run.net, images, run.recipe.normalize, where),
    }
    for kind, figure in figures.items():
        if figure:
            files.save_picture(figure, folder / f"kuzu_{network['net']}_{kind}.jpg")


def show_networks(
    networks: Sequence[Mapping], images: Images, folder: Path, sweep: bool
) -> list[str]:
    """Print a table of trained networks, and save a picture of them; return the answer.

    networks: their records; sweep: whether they are NetFull with several numbers of hidden units.
    """
    print(f"{images.name}, {networks[0]['epochs']} epochs:\n")
    columns = ["title", *["hid"] * sweep, "accuracy", "seconds", "parameters", "parameter_sum"]
    rows = [{name: network[name] for name in columns} for network in networks]
    print(table(rows, {"accuracy": ".2%", "seconds": ".1f"}))
    if sweep:
        picture = pictures.sweep_picture(networks, REQUIRED_ACCURACY, images.name)
        files.save_picture(picture, folder / "kuzu_sweep.jpg")
        return sweep_sentences(networks)
    records = {network["title"]: network["forms"] for network in networks}
    picture = pictures.forms_picture(records, images, f"all networks ({images.name})")
    files.save_picture(picture, folder / "kuzu_compare_forms.jpg")
    return comparison_sentences(networks)


# The answer


def network_sentences(network: Mapping) -> list[str]:
    """Return the answer for one network from its record."""
    correct, total, accuracy = network["correct"], network["total"], network["accuracy"]
    when = f" after epoch {network['epochs']} (unfinished)" * network["unfinished"]
    sentences = [
        f"{network['title']} on {network['images']}{when}: {correct} of {total} test images "
        f"correct ({accuracy:.2%}), {count(total - correct, 'error')}."
    ]
    most, share = network["largest_class"]
    if accuracy <= share + BETTER * math.sqrt(share * (1 - share) / total):
        always = f"always answering {most} would be right for {share:.2%}"
        return [*sentences, f"It has not learned: {always}."]
    if (train := network["training_accuracy"]) is not None:
        gap = f"{abs(train - accuracy) * 100:.1f} points {'more' if train >= accuracy else 'less'}"
        sentences.append(
            f"On {network['training_images']} of its training images it is right for {train:.2%}, "
            f"{gap}."
        )
    sentences += [f"{text[0].upper()}{text[1:]}." for text in _frequent(network)]
    for pair in _named(network):
        reasons = []
        if pair["rank"] <= ALIKE:
            reasons.append(
                "the two look alike overall (correlation of mean images "
                f"{pair['correlation']:.2f}, rank {pair['rank']} of 45)"
            )
        if pair["p"] < LEVEL and 2 * pair["in_form"] > pair["count"]:
            reasons.append(
                f"{pair['in_form']} of these {pair['count']} are written in a form that "
                f"{pair['form_share']:.0%} of {pair['target']} have (form {pair['form']})"
            )
        if reasons:
            sentences.append(f"{pair['target']} -> {pair['chosen']}: {'; '.join(reasons)}.")
    return sentences + _uneven_forms(network["forms"])


def _named(network: Mapping) -> list[dict]:
    """Return the records of the three most frequent confusions of at least MIN_CONFUSION images."""
    return [pair for pair in network["confusions"][:3] if pair["count"] >= MIN_CONFUSION]


def _frequent(network: Mapping) -> list[str]:
    """Return which confusions are frequent, as a sentence without capital and full stop."""
    if named := _named(network):
        pairs = (f"{p['target']} -> {p['chosen']} ({p['count']} of {p['total']})" for p in named)
        return [f"most frequent confusions (target -> predicted): {', '.join(pairs)}"]
    if network["confusions"]:
        times = "once" if network["confusions"][0]["count"] == 1 else "twice"
        return [f"no pair of characters stands out: none is confused more than {times}"]
    return []


def _uneven_forms(forms: Sequence[Mapping]) -> list[str]:
    """Return how unevenly errors fall on the forms of a character, with the worst example."""
    uneven = {form["target"] for form in forms if form["p"] < LEVEL}
    rated = [form for form in forms if form["target"] in uneven and form["images"] >= MIN_IMAGES]
    worst = max(rated, key=lambda form: form["error_rate"], default=None)
    same = (form for form in rated if form["target"] == worst["target"])
    best = min(same, key=lambda form: form["error_rate"], default=None)
    if best is worst:
        return []
    return [
        f"Errors gather in certain forms of {len(uneven)} of the "
        f"{len({form['target'] for form in forms})} characters (p < {LEVEL} each, permutation "
        f"test): of {worst['target']}, {worst['error_rate']:.0%} are wrong in form {worst['form']} "
        f"({worst['share']:.0%} of {worst['target']}), {best['error_rate']:.0%} in form "
        f"{best['form']} ({best['share']:.0%})."
    ]


def comparison_sentences(networks: Sequence[Mapping]) -> list[str]:
    """Return the answer for several networks, the simplest first, from their records."""
    first, last = networks[0], networks[-1]
    titles = [network["title"] for network in networks]
    accuracies = (
        f"{network['title']} {network['accuracy']:.2%} ({network['parameters']} parameters)"
        for network in networks
    )
    total = f"Correct of {first['total']} test images of {first['images']}"
    sentences = [f"{total}: {', '.join(accuracies)}."]
    sentences += [f"{net['title']}: {text}." for net in networks for text in _frequent(net)]
    # The forms that the first network cannot read, with the error rates of all networks.
    hard = [
        (forms[0], [form["error_rate"] for form in forms])
        for forms in zip(*(network["forms"] for network in networks), strict=True)
        if forms[0]["images"] >= MIN_IMAGES and forms[0]["error_rate"] >= HARD
    ]
    if not hard or len(networks) < 2:
        return sentences
    parts = [f"Forms of which {first['title']} gets at least {HARD:.0%} wrong: {len(hard)}"]
    for place, title in enumerate(titles):
        if learned := sum(rates[place] <= LEARNED for _, rates in hard):
            parts.append(f"{title} gets at most {LEARNED:.0%} of {learned} of them wrong")
    sentences.append("; ".join(parts) + ".")
    hard = [(form, rates) for form, rates in hard if rates[-1] <= LEARNED]
    for form, rates in sorted(hard, key=lambda pair: -pair[1][0])[:2]:
        wrong = (f"{rate:.0%} by {title}" for rate, title in zip(rates, titles, strict=True))
        sentences.append(
            f"{form['target']} in form {form['form']} ({form['share']:.0%} of {form['target']}) is "
            f"learned by {last['title']}: {', '.join(wrong)} wrong."
        )
    return sentences


def sweep_sentences(networks: Sequence[Mapping]) -> list[str]:
    """Return the answer for NetFull with several numbers of hidden units, from their records."""
    enough = [network for network in networks if network["accuracy"] >= REQUIRED_ACCURACY]
    if not enough:
        return [f"No network reaches {REQUIRED_ACCURACY:.0%}: try more hidden units or epochs."]
    fewest = min(enough, key=lambda network: network["hid"])
    best = max(networks, key=lambda network: network["accuracy"])
    return [
        f"Of these, {fewest['hid']} is the smallest number of hidden units that reaches "
        f"{REQUIRED_ACCURACY:.0%}: {fewest['accuracy']:.2%}, {fewest['parameters']} parameters.",
        f"The highest accuracy is {best['accuracy']:.2%}, with {best['hid']}.",
    ]
