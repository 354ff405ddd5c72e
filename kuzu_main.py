"""Part 1: train a network to recognise Kuzushiji characters, and explain its confusions.

    command                                 test images correct  training, one thread (AMD EPYC)
    kuzu_main.py --net lin --split 0..4     73.4 %               1 s
    kuzu_main.py --net full --split 0..4    89.9 %               5 s
    kuzu_main.py --net conv --split 0       97.9 %               84 s

The means of five splits of Kuzushiji-10k, not KMNIST, each with its number as --seed (NetConv: one
split), after 10 epochs. Also:

    python3 kuzu_main.py --net conv --recipe assignment  the assignment's network and plain SGD
    python3 kuzu_main.py --sweep 10,20,50,100,200        accuracy against hidden units
    python3 kuzu_main.py --compare                       the three networks beside each other

Prints training lines, the confusion matrix and the test line after each epoch, and finally the most
frequent confusions and a few sentences on the reasons.
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

from kuzushiji.augmentation import batches, prepare
from kuzushiji.confusion import confusion_matrix
from kuzushiji.dataset import Images, load_images
from kuzushiji.forms import Forms, find_forms
from kuzushiji.recipes import ARCHITECTURE, NETS, RECIPES, Recipe, build, read, recipe_for
from kuzushiji.report import Result, architecture_line, measure, show_network, show_networks

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
    parser.add_argument(
        "--net",
        choices=NETS,
        help="network: linear, with one hidden layer, or convolutional (default: full)",
    )
    parser.add_argument(
        "--recipe",
        choices=sorted({recipe for recipe, _ in RECIPES}),
        help="defaults of the training and network flags: assignment (the assignment's networks, "
        "SGD, lr 0.01, momentum 0.5) or tuned (chosen by experiment; default: tuned)",
    )
    parser.add_argument(
        "--epochs", type=Number(1, 1_000_000, int), help="passes over the images (default: 10)"
    )
    settings.add_common_flags(parser, default_device=None)
    text = "threads on the CPU (default: 1 for lin and full, torch's default for conv)"
    parser.add_argument("--num_threads", type=Number(1, 1024, int), metavar="N", help=text)
    settings.add_flags(parser.add_argument_group("training and network"), Recipe)

    group = parser.add_argument_group("images and files")
    group.add_argument(
        "--dataset",
        choices=("kmnist", "kuzushiji10k"),
        help="kmnist: an error if it is unavailable; kuzushiji10k: KMNIST's 10,000 test images, "
        "split into 8,000 for training and 2,000 for testing (default: kmnist, else kuzushiji10k)",
    )
    group.add_argument(
        "--split",
        type=settings.SEED,
        metavar="N",
        help="use kuzushiji10k, split into training and test images with this seed (default: 0)",
    )
    group.add_argument(
        "--data",
        type=settings.path,
        metavar="DIR",
        help="folder of KMNIST/raw, into which missing KMNIST files are downloaded (default: data)",
    )
    for name, text in {
        "save": "save the network after every epoch",
        "load": "test a saved network, do not train",
        "resume": "resume interrupted training after the last completed epoch, with the settings "
        "saved in FILE (same result as an uninterrupted run)",
    }.items():
        group.add_argument(f"--{name}", type=settings.path, metavar="FILE", help=text)

    group = parser.add_argument_group("several networks")
    group = group.add_mutually_exclusive_group()
    group.add_argument(
        "--sweep",
        type=CommaSeparated(Number(1, 100_000, int)),
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
    if several and args.net not in (None, "full" if args.sweep else None):
        parser.error(f"{several} chooses the networks itself: omit --net {args.net}")
    if args.load and (args.save or args.resume):
        parser.error("--load only tests a network: omit --save and --resume")
    if args.load or args.resume:
        names = (
            "net",
            "recipe",
            "epochs",
            *settings.flag_names(Recipe),
            *["seed"] * bool(args.resume),
        )
        settings.refuse_given(args, "--load" if args.load else "--resume", names)
    if args.split is not None and args.dataset == "kmnist":
        parser.error(f"--split {args.split} needs --dataset kuzushiji10k: KMNIST has one split")
    return args


# Training


def start(net: str, recipe: Recipe, epochs: int, seed: int, images: Images) -> Run:
    """Return a new run on the device of the images."""
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
    parts = batches(order, recipe.batch)
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

    save_to: checkpoint path, written after each epoch. quiet: test after the last epoch only, and
        print no training lines.
    """
    print(f"{architecture_line(run.net)}\nrecipe: {settings.format_flags(run.recipe)}", flush=True)
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
        if not quiet:
            result.show()
    return result


# Testing


def test(run: Run, pixels: torch.Tensor, target: torch.Tensor) -> Result:
    """Return the Result of a network on images (N, 28, 28) of the classes `target` (N,)."""
    run.net.eval()
    with torch.inference_mode():
        parts = [run.net(prepare(part, run.recipe.normalize)) for part in pixels.split(1000)]
        # On the CPU first, because some devices do not have float64.
        output, target = torch.cat(parts).cpu().double(), target.cpu()
    matrix = confusion_matrix(target.numpy(), output.argmax(dim=1).numpy())
    return Result(matrix, F.nll_loss(output, target).item(), output.numpy())


def record(run: Run, result: Result, images: Images, forms: Forms) -> dict:
    """Return the record of a network that was tested, see `measure`."""
    train, count = None, len(images.test)
    if run.about["images"] == images.name:
        train = test(run, images.train[:count], images.train_target[:count])
    return measure(run, result, train, images, forms)


# Several networks


def train_several(
    args: argparse.Namespace, images: Images, forms: Forms, stop: Stop
) -> tuple[list[dict], list[str]]:
    """Train the networks of --sweep or --compare, all with the same seed.

    Return their records, and the answer.
    """
    if args.sweep:
        full = recipe_for(args, "full")
        plan = [("full", replace(full, hid=hid)) for hid in dict.fromkeys(args.sweep)]
    else:
        plan = [(net, recipe_for(args, net)) for net in NETS]
    for net, recipe in plan:
        # A student's unfinished network is reported before the others are trained.
        build(net, recipe)
    networks = []
    for net, recipe in plan:
        set_threads(args, net)
        torch.manual_seed(args.seed)
        run = start(net, recipe, args.epochs, args.seed, images)
        result = fit(run, images, stop, quiet=True)
        if args.sweep or stop:
            print(f"{result.line}\n", flush=True)
        if stop:
            print(f"interrupted: {len(networks)} of {len(plan)} networks are complete")
            break
        networks.append(record(run, result, images, forms))
        if args.compare:
            result.show()
            show_network(run, result, networks[-1], images, forms, args.plot)
            print()
    if not networks:
        return [], []
    return networks, show_networks(networks, images, forms, args.plot, bool(args.sweep))


# The script


def restored(path: Path, flag: str, images: Images, saved: tuple) -> Run:
    """Return the run of a checkpoint. Raises UserError, naming `flag`, if it cannot be used.

    saved: of `read`.
    """
    net, recipe, content = saved
    about, net = content["about"], net.to(images.train.device)
    other = about["images"] != images.name
    if flag == "--load" and other and about["split"] is not None:
        print(
            f"the network was trained on {about['images']}, that is on test images of KMNIST: its "
            f"accuracy on {images.name} is not an accuracy on unseen images",
            file=sys.stderr,
        )
    try:
        if "optimizer" in content:
            run = training.resume(content, recipe, net)
        else:
            # Saved by an older version.
            run = Run(about, recipe, 0, 0, net, None)
    except (TypeError, ValueError) as error:
        raise UserError(f"{flag} {path}: damaged: {error}") from error
    if flag == "--resume":
        if run.optimizer is None:
            raise UserError(
                f"--resume {path}: saved by an older version of this script: --load tests it, but "
                "its training cannot be resumed"
            )
        if run.complete:
            raise UserError(f"--resume {path}: training is complete: test it with --load")
        if other:
            raise UserError(f"--resume {path}: trained on {about['images']}, not on {images.name}")
    return run


def set_threads(args: argparse.Namespace, net: str) -> None:
    """Set the number of threads: one for small networks, which several make 3 to 6 times slower on
    a busy machine."""
    torch.set_num_threads(args.num_threads or (args.default_threads if net == "conv" else 1))


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    # Before training, because training may take hours.
    files.require_writable(args.plot)
    for path, flag in ((args.save, "--save"), (args.json, "--json")):
        if path:
            files.require_savable(path, flag)
    path, flag = args.load or args.resume, "--load" if args.load else "--resume"
    saved, split = read(path, flag) if path else None, args.split
    if saved and split is None and not args.dataset and not args.data:
        split = saved[-1]["about"]["split"]

    np.set_printoptions(precision=4, suppress=True)
    images = load_images(args.dataset, split, args.data).to(args.device)
    counts = f"{len(images.train)} training images, {len(images.test)} test images"
    print(f"images: {images.name}, {counts}")
    args.epochs, args.default_threads = args.epochs or 10, torch.get_num_threads()
    with Stop() as stop:
        if args.sweep or args.compare:
            args.seed = process.seed_everything(args.seed)
            networks, sentences = train_several(args, images, find_forms(images), stop)
        else:
            save_to = args.save or args.resume
            run, result = run_one(args, images, stop, saved, save_to)
            forms = find_forms(images)
            network = record(run, result, images, forms)
            show_network(run, result, network, images, forms, args.plot)
            networks, sentences = [network], network["sentences"]
            if not args.load:
                finish(run, save_to, stop)
        if args.json:
            about = {"name": images.name, "split": images.split, "classes": images.classes}
            about |= {"train": len(images.train), "test": len(images.test)}
            results = {"images": about, "seed": args.seed, "networks": networks}
            files.write_json(args.json, results | {"sentences": sentences})
    torch.set_num_threads(args.default_threads)
    if sentences:
        print(in_short(sentences))
    return stop.status


def run_one(
    args: argparse.Namespace, images: Images, stop: Stop, saved: tuple | None, save_to: Path | None
) -> tuple[Run, Result]:
    """Train, resume or only test one network; return it and its Result.

    saved: the checkpoint of --load or --resume, see `read`.
    """
    if args.load:
        run = restored(args.load, "--load", images, saved)
        print(architecture_line(run.net))
        result = test(run, images.test, images.test_target)
        result.show()
        return run, result
    if args.resume:
        run = restored(args.resume, "--resume", images, saved)
        process.seed_everything(run.seed)
        print(f"resuming after epoch {run.done} of {run.length}")
    else:
        net = args.net or "full"
        recipe = recipe_for(args, net)
        for name in ARCHITECTURE:
            if getattr(args, name) is not None and getattr(recipe, name) is None:
                print(f"--{name} does not apply to {NETS[net]}: ignored", file=sys.stderr)
        run = start(net, recipe, args.epochs, process.seed_everything(args.seed), images)
    args.seed = run.seed
    set_threads(args, run.about["net"])
    return run, fit(run, images, stop, save_to)


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


if __name__ == "__main__":
    process.run(main)
