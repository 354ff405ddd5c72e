"""Part 1: train a network to recognise Kuzushiji characters and show its confusions.

    python3 kuzu_main.py --net lin|full|conv             the assignment's three commands
    python3 kuzu_main.py --net conv --recipe assignment  the assignment's network and plain SGD
    python3 kuzu_main.py --sweep 10,20,50,100,200        accuracy against hidden units
    python3 kuzu_main.py --compare                       the three networks in one table
    python3 kuzu_main.py --net conv --split 0            on Kuzushiji-10k, without downloading

Prints training lines, the confusion matrix and the test line after each epoch, and finally the most
frequent confusions and possible reasons for them.
"""

from __future__ import annotations

from cli import files, flags, process
from cli.errors import UserError
from cli.process import Progress, Stop

import argparse
import math
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix

import kuzu
from kuzushiji import confusion, features, pictures
from kuzushiji.augmentation import prepare
from kuzushiji.dataset import Images, KMNISTUnavailable, load_kmnist, load_kuzushiji10k
from kuzushiji.recipes import NETS, Recipe, add_recipe_flags, recipe_for
from kuzushiji.runs import Run, batches, read, resume, save, start

# Images between two training lines: 100 batches of 64, as in the assignment.
REPORT_EVERY = 6400
# The assignment's required accuracy of NetFull.
REQUIRED_ACCURACY = 0.84


# Flags


def build_parser() -> flags.Parser:
    """Return the script's parser."""
    parser = flags.Parser(
        description="Train a network to recognise Kuzushiji characters and show its confusions.",
        epilog="Training and network flags that are not given have the values of the network's "
        "recipe, which are printed.",
    )
    add_recipe_flags(parser)
    parser.add_argument(
        "--epochs", type=flags.Integer(1, 1_000_000), help="passes over the images (default: 10)"
    )
    flags.add_common_flags(parser, default_device=None)

    group = parser.add_argument_group("images and files")
    group.add_argument(
        "--dataset",
        choices=("kmnist", "kuzushiji10k"),
        help="kmnist: KMNIST, or an error if it is unavailable; kuzushiji10k: KMNIST's 10,000 test "
        "images, which come with this program, split into 8,000 training and 2,000 test images "
        "(default: kmnist if present or downloadable, else kuzushiji10k)",
    )
    group.add_argument(
        "--split",
        type=flags.Integer(0, 2**32 - 1),
        metavar="N",
        help="use kuzushiji10k, split into training and test images with this seed (default: 0)",
    )
    group.add_argument(
        "--data",
        type=flags.path,
        default=Path("data"),
        metavar="DIR",
        help="folder that contains KMNIST/raw; missing KMNIST files are downloaded into it",
    )
    group.add_argument(
        "--save", type=flags.path, metavar="FILE", help="save the network after every epoch"
    )
    group.add_argument(
        "--load", type=flags.path, metavar="FILE", help="test a saved network, do not train"
    )
    group.add_argument(
        "--resume",
        type=flags.path,
        metavar="FILE",
        help="resume interrupted training after the last completed epoch, with the settings saved "
        "in FILE (same result as an uninterrupted run)",
    )

    group = parser.add_argument_group("several networks")
    group = group.add_mutually_exclusive_group()
    group.add_argument(
        "--sweep",
        type=flags.CommaSeparated(flags.Integer(1, 100_000)),
        metavar="N,N,...",
        help="train NetFull with each of these numbers of hidden units",
    )
    group.add_argument("--compare", action="store_true", help="train all three networks")
    return parser


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the flags. Raises UserError if they are incompatible."""
    parser = build_parser()
    args = parser.parse_args(argv)
    several = "--sweep" if args.sweep else "--compare" if args.compare else None
    if several and (args.load or args.save or args.resume):
        parser.error(f"{several} trains several networks: omit --load, --save and --resume")
    if several and args.net and not (args.sweep and args.net == "full"):
        parser.error(f"{several} chooses the networks itself: omit --net {args.net}")
    if args.load and (args.save or args.resume):
        parser.error("--load only tests a network: omit --save and --resume")
    if args.load or args.resume:
        flag = "--load" if args.load else "--resume"
        saved = ("net", "recipe", "epochs", *(field.name for field in fields(Recipe)[1:]))
        saved += ("seed",) if args.resume else ()
        if given := [name for name in saved if getattr(args, name) is not None]:
            parser.error(f"{flag} reads --{given[0]} from the file: leave it out")
    if args.split is not None and args.dataset == "kmnist":
        parser.error(f"--split {args.split} needs --dataset kuzushiji10k: KMNIST has one split")
    return args


def choose_images(args: argparse.Namespace, split: int | None) -> Images:
    """Return the images chosen by --dataset, --split and --data.

    split: the default of --split, the split that a saved network was trained on. Prints a line on
    standard error if Kuzushiji-10k replaces KMNIST. Raises UserError if no images are available.
    """
    if args.split is not None:
        split = args.split
    elif args.dataset:
        split = 0 if args.dataset == "kuzushiji10k" else None
    if split is not None:
        return load_kuzushiji10k(split)
    try:
        images = load_kmnist(args.data)
    except KMNISTUnavailable as reason:
        if args.dataset:
            raise
        print(
            f"{reason}; using Kuzushiji-10k instead (KMNIST's 10,000 test images, split 8,000 / "
            "2,000): the results below are not KMNIST results",
            file=sys.stderr,
        )
        return load_kuzushiji10k(0)
    if args.dataset and images.name != "KMNIST":
        raise UserError(
            f"{args.data}/KMNIST/raw holds a data set other than KMNIST: omit --dataset kmnist"
        )
    return images


# Training


def train(run: Run, images: Images, stop: Stop, progress: Progress, quiet: bool = False) -> bool:
    """Train for one epoch; return False if `stop` ended it early."""
    recipe, epoch = run.recipe, run.epoch + 1
    run.net.train()
    total = len(images.train)
    order = torch.randperm(total) if recipe.shuffle else torch.arange(total)
    parts = batches(order, recipe.batch)
    for number, chosen in enumerate(parts):
        if stop:
            return False
        target = images.train_target[chosen]
        output = run.net(prepare(images.train[chosen], recipe.normalize, recipe.augment))
        # On log probabilities cross entropy is the nll loss. Label smoothing spreads a share of the
        # target over all classes (Szegedy et al., 2016).
        loss = F.cross_entropy(output, target, label_smoothing=recipe.label_smoothing)
        run.optimizer.zero_grad()
        loss.backward()
        run.optimizer.step()
        run.schedule.step()
        seen = number * recipe.batch
        if seen % REPORT_EVERY < recipe.batch:
            loss = F.nll_loss(output.detach(), target).item()
            if not math.isfinite(loss):
                raise UserError(f"the loss is {loss} in epoch {epoch}: lower --lr {recipe.lr:g}")
            if not quiet:
                progress.clear()
                share = 100 * number / len(parts)
                print(f"Train Epoch: {epoch} [{seen}/{total} ({share:.0f}%)]\tLoss: {loss:.6f}")
        done = run.epoch * run.steps + number + 1
        progress.update(done, f"{recipe.title}, epoch {epoch} of {run.epochs}")
    run.epoch = epoch
    return True


# Testing


@dataclass
class Result:
    """Result of a test: confusion matrix (10, 10), average loss and log probabilities (N, 10).

    seconds: time of training including tests, None for a loaded network.
    """

    matrix: np.ndarray
    loss: float
    log_probabilities: np.ndarray
    seconds: float | None = None

    @property
    def correct(self) -> int:
        return int(self.matrix.trace())

    @property
    def total(self) -> int:
        return int(self.matrix.sum())

    @property
    def accuracy(self) -> float:
        return self.correct / self.total

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


def test(recipe: Recipe, net: torch.nn.Module, images: Images) -> Result:
    """Return the Result of a network on the test images."""
    net.eval()
    with torch.inference_mode():
        parts = [net(prepare(part, recipe.normalize)) for part in images.test.split(1000)]
        output = torch.cat(parts).double()
        loss = F.nll_loss(output, images.test_target).item()
    target, chosen = images.test_target.cpu(), output.argmax(dim=1).cpu()
    matrix = confusion_matrix(target, chosen, labels=range(10)).astype(float)
    return Result(matrix, loss, output.cpu().numpy())


def fit(run: Run, images: Images, stop: Stop, save_to: Path | None = None, quiet=False) -> Result:
    """Train a network to its last epoch, test it after each epoch, and return the last Result.

    save_to: checkpoint path, written after each epoch. quiet: test after the last epoch only, and
        print no training lines.
    """
    print(f"{architecture_line(run.net)}\nrecipe: {run.recipe.flags()}", flush=True)
    progress = Progress(
        run.epochs * len(batches(torch.arange(len(images.train)), run.recipe.batch))
    )
    completed, result, begun = True, None, time.monotonic()
    while completed and run.epoch < run.epochs:
        completed = train(run, images, stop, progress, quiet)
        if completed and save_to:
            save(run, save_to, images)
        if not quiet or not completed or run.epoch == run.epochs:
            result = test(run.recipe, run.net, images)
            progress.clear()
        if not quiet:
            result.show()
    result.seconds = time.monotonic() - begun
    return result


def architecture_line(net: torch.nn.Module) -> str:
    """Return a network's name and its number of independent parameters as a sum over layers."""
    return (
        f"{type(net).__name__}: {net.parameter_sum()} = {kuzu.parameter_count(net)} "
        "independent parameters"
    )


# Confusions and possible reasons


def explain(
    args, recipe: Recipe, net: torch.nn.Module, result: Result, images: Images
) -> list[str]:
    """Print confusions and possible reasons, save pictures in --plot; return the reasons."""
    glyphs = _printable("".join(images.glyphs))
    name = recipe.title
    print("Accuracy of each character:")
    print("\n".join(confusion.class_lines(result.matrix, images, glyphs)))
    print("Most frequent confusions (target -> predicted):")
    print("\n".join(confusion.confusion_lines(result.matrix, images, glyphs)))
    print(
        "Possible reasons, measured on training images and weights (rank 1: the most similar pair):"
    )
    reasons = features.reason_lines(result.matrix, images) + features.feature_lines(net)
    print("\n".join(reasons))
    title = f"{name} on {images.name}: {result.correct} of {result.total} correct, "
    title += f"{result.accuracy:.2%}"
    print(title)
    picture = pictures.confusion_picture(result.matrix, images, title)
    files.save_picture(picture, args.plot / f"kuzu_{recipe.net}_confusion.jpg")
    picture = pictures.mistakes_picture(
        result.matrix,
        result.log_probabilities,
        images,
        f"Most frequent confusions of {name} ({images.name})",
    )
    if picture is not None:
        files.save_picture(picture, args.plot / f"kuzu_{recipe.net}_mistakes.jpg")
    title = f"First-layer weights of {name} ({images.name})"
    picture = features.features_picture(net, images, recipe.normalize, title)
    files.save_picture(picture, args.plot / f"kuzu_{recipe.net}_features.jpg")
    return reasons


def network_results(
    recipe: Recipe,
    net: torch.nn.Module,
    result: Result,
    images: Images,
    epochs: int | None = None,
    reasons: list[str] | None = None,
) -> dict:
    """Return the results of a network for --json.

    epochs: epochs of training, None for a loaded network; reasons: those that `explain` returns,
    None for a network of a sweep.
    """
    confusions = confusion.worst_confusions(result.matrix, 10)
    return {
        "net": recipe.net,
        "title": recipe.title,
        "recipe": asdict(recipe),
        "parameter_sum": net.parameter_sum(),
        "parameters": kuzu.parameter_count(net),
        "epochs": epochs,
        "seconds": result.seconds,
        "loss": result.loss,
        "accuracy": result.accuracy,
        "matrix": result.matrix,
        "confusions": [
            {
                "target": images.classes[target],
                "chosen": images.classes[chosen],
                "count": count,
                "total": total,
            }
            for target, chosen, count, total in confusions
        ],
        "reasons": reasons,
    }


def _printable(text: str) -> bool:
    """Return whether stdout's encoding has all of `text`; with LANG=C it may not."""
    if sys.stdout is None:  # closed by the caller
        return False
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def sweep(args: argparse.Namespace, images: Images, stop: Stop) -> list[dict]:
    """Train NetFull with each number of hidden units in --sweep; print a table, draw a curve.

    Return the results of each network.
    """
    networks = []
    for hid in dict.fromkeys(args.sweep):
        torch.manual_seed(args.seed)
        run = start(recipe_for(args, "full", hid=hid), args.epochs, args.seed, images)
        result = fit(run, images, stop, quiet=True)
        print(result.line, flush=True)
        if stop:
            break
        networks.append(network_results(run.recipe, run.net, result, images, run.epoch))
    print(f"\nNetFull on {images.name}, {args.epochs} epochs:")
    print("hidden units  parameters  accuracy  seconds")
    sizes = [row["recipe"]["hid"] for row in networks]
    accuracies = [row["accuracy"] for row in networks]
    for hid, row in zip(sizes, networks, strict=True):
        print(f"{hid:12}  {row['parameters']:10}  {row['accuracy']:8.2%}  {row['seconds']:7.1f}")
    enough = [
        hid for hid, share in zip(sizes, accuracies, strict=True) if share >= REQUIRED_ACCURACY
    ]
    if enough:
        print(
            f"smallest number of hidden units that reaches {REQUIRED_ACCURACY:.0%}: {min(enough)}"
        )
    else:
        print(f"no network reaches {REQUIRED_ACCURACY:.0%}: try more hidden units or epochs")
    if networks:
        title = f"NetFull on {images.name}"
        picture = pictures.sweep_picture(sizes, accuracies, REQUIRED_ACCURACY, title)
        files.save_picture(picture, args.plot / "kuzu_sweep.jpg")
    return networks


def compare(args: argparse.Namespace, images: Images, stop: Stop) -> list[dict]:
    """Train the three networks; print the assignment's table and a table of confusions.

    Return the results of each network.
    """
    networks, matrices, table = [], {}, []
    for name in NETS:
        torch.manual_seed(args.seed)
        run = start(recipe_for(args, name), args.epochs, args.seed, images)
        result = fit(run, images, stop, quiet=True)
        result.show()
        if stop:
            print("interrupted: no comparison")
            return networks
        reasons = explain(args, run.recipe, run.net, result, images)
        results = network_results(run.recipe, run.net, result, images, run.epoch, reasons)
        networks.append(results)
        print()
        title = run.recipe.title
        matrices[title] = result.matrix
        table.append(
            f"| {title} | {result.accuracy:.2%} | {architecture_line(run.net).split(': ')[1]} |"
        )
    print(f"{images.name}, {args.epochs} epochs:\n")
    print("| Model | Accuracy | Number of independent parameters |\n| --- | --- | --- |")
    print("\n".join(table))
    print(f"\n{confusion.comparison(matrices, images.classes)}")
    return networks


# The script


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    # Before training, because training may take hours.
    files.require_writable(args.plot)
    if args.save:
        files.require_savable(args.save, "--save")
    if args.json:
        files.require_savable(args.json, "--json")
    path = args.load or args.resume
    saved = read(path, "--load" if args.load else "--resume") if path else (None, None, {})
    recipe, net, content = saved

    np.set_printoptions(precision=4, suppress=True)
    device = args.device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = choose_images(args, content.get("split")).to(device)
    counts = f"{len(images.train)} training images, {len(images.test)} test images"
    print(f"images: {images.name}, {counts}")
    args.epochs = args.epochs or 10
    with Stop() as stop:
        if args.load:
            if content["split"] is not None and content["images"] != images.name:
                print(
                    f"the network was trained on {content['images']}, that is on test images of "
                    f"KMNIST: its accuracy on {images.name} is not an accuracy on unseen images",
                    file=sys.stderr,
                )
            print(architecture_line(net))
            result = test(recipe, net.to(device), images)
            result.show()
            reasons = explain(args, recipe, net, result, images)
            networks = [network_results(recipe, net, result, images, reasons=reasons)]
        elif args.sweep or args.compare:
            # The same seed for all networks.
            args.seed = process.seed_everything(args.seed)
            networks = (sweep if args.sweep else compare)(args, images, stop)
        else:
            if args.resume:
                run, save_to = resume(path, recipe, net, content, images), args.save or path
            else:
                recipe = recipe_for(args, args.net or "full")
                seed, save_to = process.seed_everything(args.seed), args.save
                run = start(recipe, args.epochs, seed, images)
            args.seed, result = run.seed, fit(run, images, stop, save_to)
            reasons = explain(args, recipe, run.net, result, images)
            networks = [network_results(recipe, run.net, result, images, run.epoch, reasons)]
            finish(run, save_to, stop)
        if args.json:
            about = {"name": images.name, "split": images.split, "classes": images.classes}
            about |= {"train": len(images.train), "test": len(images.test)}
            results = {"images": about, "seed": args.seed, "networks": networks}
            files.write_json(args.json, results)
    return stop.status


def finish(run: Run, save_to: Path | None, stop: Stop) -> None:
    """Print the checkpoint path, and the command that resumes an interrupted run."""
    saved, stopped = save_to and run.epoch, stop and run.epoch < run.epochs
    if saved:
        print(f"weights: {save_to}" + (f", after epoch {run.epoch}" if stopped else ""))
    if stopped and saved:
        print(f"to go on: python3 kuzu_main.py --resume {save_to}")
    elif stopped:
        hint = "interrupted in epoch 1" if save_to else "--save FILE saves after every epoch"
        print(f"nothing was saved: {hint}", file=sys.stderr)


if __name__ == "__main__":
    process.run(main)
