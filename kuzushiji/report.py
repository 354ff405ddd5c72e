"""What kuzu_main.py prints and draws of its networks."""

from __future__ import annotations

from cli import files
from cli.tables import table
from cli.training import Run

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from torch import nn

from kuzushiji import answer, pictures, weights
from kuzushiji.confusion import comparison, confusion_records
from kuzushiji.dataset import Images
from kuzushiji.forms import Forms, form_records
from kuzushiji.recipes import NETS, parameter_count, parameter_text


@dataclass
class Result:
    """Result of a test: confusion matrix (10, 10), average loss and log probabilities (N, 10)."""

    matrix: np.ndarray
    loss: float
    log_probabilities: np.ndarray

    @property
    def correct(self) -> int:
        return int(self.matrix.trace())

    @property
    def total(self) -> int:
        return int(self.matrix.sum())

    @property
    def line(self) -> str:
        """The assignment's test line."""
        return (
            f"Test set: Average loss: {self.loss:.4f}, "
            f"Accuracy: {self.correct}/{self.total} ({100 * self.correct / self.total:.0f}%)"
        )

    def show(self) -> None:
        """Print the confusion matrix and the test line in the assignment's format."""
        print(type(self.matrix))
        print(self.matrix)
        print(f"\n{self.line}\n", flush=True)


def architecture_line(net: nn.Module) -> str:
    """Return a network's name and its number of independent parameters."""
    return f"{type(net).__name__}: {parameter_text(net)} independent parameters"


def measure(run: Run, result: Result, train: Result | None, images: Images, forms: Forms) -> dict:
    """Return a network's record, from which text is printed and which --json writes.

    result: on the test images; train: on some of its training images, None if these are unknown.
    """
    name, chosen = run.about["net"], result.log_probabilities.argmax(axis=1)
    totals = result.matrix.sum(axis=1)
    network = {
        "net": name,
        "title": NETS[name],
        "images": images.name,
        "recipe": {"net": name} | asdict(run.recipe),
        "hid": run.recipe.hid,
        "parameter_sum": parameter_text(run.net).split(" = ")[0],
        "parameters": parameter_count(run.net),
        # None for a network saved by an older version.
        "epochs": run.done or None,
        "unfinished": not run.complete,
        "seconds": run.seconds or None,
        "loss": result.loss,
        "accuracy": result.correct / result.total,
        "correct": result.correct,
        "total": result.total,
        "largest_class": (images.classes[int(totals.argmax())], totals.max() / result.total),
        "training_accuracy": train and train.correct / train.total,
        "training_images": train and train.total,
        "matrix": result.matrix,
        "confusions": confusion_records(result.matrix, chosen, forms, images),
        "forms": form_records(forms, images, chosen != images.test_target.cpu().numpy()),
    }
    return network | {"sentences": answer.network_sentences(network)}


def show_network(
    run: Run, result: Result, network: dict, images: Images, forms: Forms, folder: Path
) -> None:
    """Print a network's most frequent confusions, and save its pictures in a folder.

    network: its record.
    """
    print(
        "Most frequent confusions (correlation, rank: of the two mean images, among 45 pairs;\n"
        "form, form_share: of the target, in which most of them are written; p: of this by chance):"
    )
    # Single errors differ between networks of the same recipe.
    rows = [row for row in network["confusions"] if row["count"] > 1]
    formats = {"correlation": ".2f", "form_share": ".0%", "p": ".4f"}
    print(table(rows, formats) or "no confusion occurs more than once")
    name, title, logs = network["net"], network["title"], result.log_probabilities
    where, net, normalize = f"{title} ({images.name})", run.net, run.recipe.normalize
    figures = {
        "confusion": pictures.confusion_picture(
            result.matrix,
            images,
            f"{title} on {images.name}: {result.correct} of {result.total} correct, "
            f"{network['accuracy']:.2%}",
        ),
        "mistakes": pictures.mistakes_picture(
            result.matrix, logs, images, forms, f"Most frequent confusions of {where}"
        ),
        "forms": pictures.forms_picture(forms, {title: network["forms"]}, images, where),
        "features": weights.weights_picture(name, net, images, normalize, where),
        "decision": weights.decision_picture(name, net, result.matrix, logs, images, normalize),
    }
    for kind, figure in figures.items():
        if figure:
            files.save_picture(figure, folder / f"kuzu_{name}_{kind}.jpg")


def show_networks(
    networks: list[dict], images: Images, forms: Forms, folder: Path, sweep: bool
) -> list[str]:
    """Print a table of trained networks, and save a picture of them; return the answer.

    networks: their records; sweep: whether they are NetFull with several numbers of hidden units.
    """
    print(f"{images.name}, {networks[0]['epochs']} epochs:\n")
    columns = ["title", *["hid"] * sweep, "accuracy", "seconds", "parameters", "parameter_sum"]
    rows = [{name: network[name] for name in columns} for network in networks]
    print(table(rows, {"accuracy": ".2%", "seconds": ".1f"}))
    if sweep:
        picture = pictures.sweep_picture(networks, answer.REQUIRED_ACCURACY, images.name)
        files.save_picture(picture, folder / "kuzu_sweep.jpg")
        return answer.sweep_sentences(networks)
    print(f"\n{table(comparison(networks, images.classes))}")
    records = {network["title"]: network["forms"] for network in networks}
    picture = pictures.forms_picture(forms, records, images, f"all networks ({images.name})")
    files.save_picture(picture, folder / "kuzu_compare_forms.jpg")
    return answer.comparison_sentences(networks)
