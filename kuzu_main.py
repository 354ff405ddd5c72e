"""Part 1: train a network to recognise Kuzushiji characters, and explain its confusions.

    command                                 test images correct  training, one thread (AMD EPYC)
    kuzu_main.py --net lin --split 0..4     73.4 %               1 s
    kuzu_main.py --net full --split 0..4    89.9 %               5 s
    kuzu_main.py --net conv --split 0..4    97.5 %               44 s

The means of five splits of Kuzushiji-10k, not KMNIST, each with its number as --seed, after 10
epochs. Also:

    python3 kuzu_main.py --net conv --recipe assignment  the assignment's network and plain SGD
    python3 kuzu_main.py --sweep 10,20,50,100,200        accuracy against hidden units
    python3 kuzu_main.py --compare                       the three networks beside each other

Prints training lines, the confusion matrix and the test line after each epoch, and finally the most
frequent confusions and their reasons.
"""

from __future__ import annotations

from cli import files, process, settings, training
from cli.process import Progress, Stop, UserError
from cli.settings import CommaSeparated, Number
from cli.tables import in_short
from cli.training import Run

import argparse
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from kuzushiji.augmentation import prepare
from kuzushiji.confusion import Result
from kuzushiji.dataset import Images, load_images
from kuzushiji.recipes import (
    ARCHITECTURE,
    NETS,
    Recipe,
    build,
    parameter_text,
    read,
    recipe_for,
)
from kuzushiji.report import measure, show_network, show_networks

# Images between two training lines: 100 batches of 64, as in the assignment.
REPORT_EVERY = 6400


# Flags


def build_parser() -> settings.Parser:
    """Return the script's parser."""
    parser = settings.Parser(
        description="Train a network to recognise Kuzushiji characters and explain its confusions.",
        epilog="Training and network flags that are not given have the values of the network's "
        "recipe, which are printed.",
    )
    add = parser.add_argument
    add("--net", choices=NETS,
        help="linear, with one hidden layer, or convolutional (default: full)")  # fmt: skip
    add("--recipe", choices=("assignment", "tuned"),
        help="defaults of the training and network flags: assignment (the assignment's networks, "
        "SGD, lr 0.01, momentum 0.5) or tuned (chosen by experiment; default: tuned)")  # fmt: skip
    add("--epochs", type=Number(1, 1_000_000, int), help="passes over the images (default: 10)")
    settings.add_common_flags(parser, default_device=None)
    add("--num_threads", type=Number(1, 1024, int), metavar="N",
        help="threads on the CPU (default: 1 for lin and full, all for conv)")  # fmt: skip
    settings.add_flags(parser.add_argument_group("training and network"), Recipe)

    add = parser.add_argument_group("images and files").add_argument
    add("--dataset", choices=("kmnist", "kuzushiji10k"),
        help="kmnist: an error if it is unavailable; kuzushiji10k: KMNIST's 10,000 test images, "
        "split into 8,000 for training and 2,000 for testing (default: kmnist, else kuzushiji10k)",
    )  # fmt: skip
    add("--split", type=settings.SEED, metavar="N",
        help="use kuzushiji10k, split with this seed (default: 0)")  # fmt: skip
    add("--data", type=settings.path, metavar="DIR",
        help="folder of KMNIST/raw, into which missing KMNIST files are downloaded (default: data)",
    )  # fmt: skip
    file = dict(type=settings.path, metavar="FILE")
    add("--save", **file, help="save the network after every epoch")

    group = parser.add_argument_group("instead of one new network").add_mutually_exclusive_group()
    group.add_argument("--load", **file, help="test a saved network, do not train")
    group.add_argument("--resume", **file, help="resume interrupted training after the last "
        "completed epoch (same result as an uninterrupted run)")  # fmt: skip
    group.add_argument("--sweep", type=CommaSeparated(Number(1, 100_000, int)), metavar="N,N,...",
        help="train NetFull with each of these numbers of hidden units")  # fmt: skip
    group.add_argument("--compare", action="store_true", help="train all three networks")
    return parser


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the flags. Raises UserError if they are incompatible."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.save and (args.load or args.sweep or args.compare):
        parser.error("--save saves one network that is trained: omit it")
    if (args.net and args.compare) or (args.net in ("lin", "conv") and args.sweep):
        parser.error(f"--sweep and --compare choose the networks: omit --net {args.net}")
    if args.load or args.resume:
        names = ["net", "recipe", "epochs", *settings.flag_names(Recipe)]
        names += ["seed"] if args.resume else []
        settings.refuse_given(args, "--load" if args.load else "--resume", names)
    if args.split is not None and args.dataset == "kmnist":
        parser.error(f"--split {args.split} needs --dataset kuzushiji10k: KMNIST has one split")
    return args


# Training


def start(net: str, recipe: Recipe, epochs: int, seed: int, images: Images) -> Run:
    """Return a new run on the device of the images, which `seed` repeats."""
    torch.manual_seed(seed)
    about = {"net": net, "images": images.name, "split": images.split}
    network = build(net, recipe).to(images.train.device)
    optimizer = training.make_optimizer(recipe, network)
    return Run(about, recipe, seed, epochs, network, optimizer)


def train(run: Run, images: Images, stop: Stop, progress: Progress, quiet: bool = False) -> bool:
    """Train for one epoch; return False if `stop` ended it early."""
    recipe, epoch, total = run.recipe, run.done + 1, len(images.train)
    run.net.train()
    # Random numbers of each epoch, so that a resumed run equals an uninterrupted one.
    torch.manual_seed(int(np.random.SeedSequence((run.seed, epoch)).generate_state(1)[0]))
    order = torch.randperm(total) if recipe.shuffle else torch.arange(total)
    parts = list(order.split(recipe.batch))
    if len(parts) > 1 and len(parts[-1]) == 1 < recipe.batch:
        # Merged, because batch normalisation needs more than one image.
        parts[-2:] = [torch.cat(parts[-2:])]
    for number, chosen in enumerate(parts):
        if stop:
            return False
        target, share = images.train_target[chosen], number / len(parts)
        output = run.net(prepare(images.train[chosen], recipe.normalize, recipe.augment))
        # On log probabilities cross entropy is the nll loss. Label smoothing spreads a share of the
        # target over all classes (Szegedy et al., 2016).
        loss = F.cross_entropy(output, target, label_smoothing=recipe.label_smoothing)
        training.update(run, loss, (run.done + share) / run.length)
        seen = number * recipe.batch
        if seen % REPORT_EVERY < recipe.batch:
            loss = F.nll_loss(output.detach(), target).item()
            if not math.isfinite(loss):
                raise UserError(f"the loss is {loss} in epoch {epoch}: lower --lr {recipe.lr:g}")
            if not quiet:
                progress.clear()
                print(f"Train Epoch: {epoch} [{seen}/{total} ({share:.0%})]\tLoss: {loss:.6f}")
        progress.update(
            run.done * total + min(seen + recipe.batch, total),
            f"{NETS[run.about['net']]}, epoch {epoch} of {run.length}",
        )
    run.done = epoch
    return True


def fit(run: Run, images: Images, stop: Stop, save_to: Path | None = None, quiet=False) -> Result:
    """Train a network to its last epoch, test it after each epoch, and return the last Result.

    save_to: checkpoint path, written after each epoch. quiet: print neither training lines nor the
        tests before the last.
    """
    print(f"recipe: {settings.format_flags(run.recipe)}", flush=True)
    total = len(images.train)
    progress = Progress(run.length * total, run.done * total)
    completed, result = True, None
    while completed and not run.complete:
        begun = time.monotonic()
        completed = train(run, images, stop, progress, quiet)
        run.seconds += time.monotonic() - begun
        if completed and save_to:
            training.save(run, save_to)
        if not quiet or not completed or run.complete:
            result = test(run, images.test, images.test_target)
            progress.clear()
            result.show()
    return result


def test(run: Run, pixels: torch.Tensor, target: torch.Tensor) -> Result:
    """Return the Result of a network on images (N, 28, 28) of the classes `target` (N,)."""
    run.net.eval()
    with torch.inference_mode():
        parts = [run.net(prepare(part, run.recipe.normalize)) for part in pixels.split(1000)]
    # On the CPU first, because some devices do not have float64.
    return Result(torch.cat(parts).cpu().double().numpy(), target.cpu().numpy())


def record(run: Run, result: Result, images: Images) -> dict:
    """Return the record of a network that was tested, and is tested on training images here."""
    train, some = None, slice(len(images.test))
    if run.about["images"] == images.name:
        train = test(run, images.train[some], images.train_target[some])
    return measure(run, result, train, images)


# The script


def plan(args: argparse.Namespace, images: Images) -> list[Run]:
    """Return new runs of the networks to train, all with the same seed, which is printed.

    All are built before one is trained, so that a student's unfinished network is reported.
    """
    nets = NETS if args.compare else [args.net or "full"]
    recipes = [(net, recipe_for(args, net)) for net in nets]
    if args.sweep:
        recipes = [("full", replace(recipes[0][1], hid=hid)) for hid in dict.fromkeys(args.sweep)]
    for name in ARCHITECTURE:
        if getattr(args, name) is not None and all(getattr(r, name) is None for _, r in recipes):
            print(f"--{name} does not apply to {NETS[recipes[0][0]]}: ignored", file=sys.stderr)
    args.seed = process.seed_everything(args.seed)
    return [start(net, recipe, args.epochs or 10, args.seed, images) for net, recipe in recipes]


def check_saved(run: Run, images: Images, path: Path, resume: bool) -> None:
    """Raise UserError if the run of a checkpoint cannot be resumed on these images; print a line if
    it is tested on images that it was trained on."""
    trained_on = run.about["images"]
    if resume and run.complete:
        raise UserError(
            f"--resume {path}: training is complete, or is that of an older version of this "
            "script: test it with --load"
        )
    if resume and trained_on != images.name:
        raise UserError(f"--resume {path}: trained on {trained_on}, not on {images.name}")
    if trained_on != images.name and run.about["split"] is not None:
        print(
            f"the network was trained on {trained_on}, that is on test images of KMNIST: its "
            f"accuracy on {images.name} is not an accuracy on unseen images",
            file=sys.stderr,
        )


def finish(run: Run, save_to: Path | None, stop: Stop) -> None:
    """Print the checkpoint path, and the command that resumes an interrupted run."""
    saved, stopped = save_to and run.done, stop and not run.complete
    if saved:
        print(f"weights: {save_to}" + (f", after epoch {run.done}" if stopped else ""))
    if stopped and saved:
        print(f"to go on: {settings.command('kuzu_main.py', '--resume', save_to)}")
    elif stopped:
        hint = "interrupted in epoch 1" if save_to else "--save FILE saves after every epoch"
        print(f"nothing was saved: {hint}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    # Before training, because training may take hours.
    files.require_writable(args.plot)
    for path, flag in ((args.save, "--save"), (args.json, "--json")):
        if path:
            files.require_savable(path, flag)
    path, saved, split = args.load or args.resume, None, args.split
    if path:
        saved = read(path, "--load" if args.load else "--resume", args.device)
        if split is None and not args.dataset and not args.data:
            split = saved.about["split"]

    np.set_printoptions(precision=4, suppress=True)
    images = load_images(args.dataset, split, args.data).to(args.device)
    counts = f"{len(images.train)} training images, {len(images.test)} test images"
    print(f"images: {images.name}, {counts}")
    if saved:
        check_saved(saved, images, path, bool(args.resume))
    if args.resume:
        args.seed = process.seed_everything(saved.seed)
        print(f"resuming after epoch {saved.done} of {saved.length}")
    runs = [saved] if saved else plan(args, images)
    several, save_to = bool(args.sweep or args.compare), args.save or args.resume
    networks, sentences, threads = [], [], torch.get_num_threads()
    with Stop() as stop:
        for run in runs:
            # Several threads make a small network 3 to 6 times slower on a busy machine.
            small = run.about["net"] != "conv"
            torch.set_num_threads(args.num_threads or (1 if small else threads))
            print(f"{type(run.net).__name__}: {parameter_text(run.net)} independent parameters")
            if args.load:
                result = test(run, images.test, images.test_target)
                result.show()
            else:
                result = fit(run, images, stop, save_to, quiet=several)
            if several and stop:
                print(f"interrupted: {len(networks)} of {len(runs)} networks are complete")
                break
            networks.append(record(run, result, images))
            if not args.sweep:
                show_network(run, result, networks[-1], images, args.plot)
        torch.set_num_threads(threads)
        if several and networks:
            sentences = show_networks(networks, images, args.plot, bool(args.sweep))
        elif networks:
            sentences = networks[0]["sentences"]
        if not several and not args.load:
            finish(runs[0], save_to, stop)
        if args.json:
            about = {"name": images.name, "split": images.split, "classes": images.classes}
            about |= {"train": len(images.train), "test": len(images.test)}
            results = {"images": about, "seed": args.seed, "networks": networks}
            files.write_json(args.json, results | {"sentences": sentences})
    if sentences:
        print(in_short(sentences))
    return stop.status


if __name__ == "__main__":
    process.run(main)
