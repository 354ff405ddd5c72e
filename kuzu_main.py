"""Part 1: train a network to recognise Kuzushiji characters and show what it mistakes for what.

    python3 kuzu_main.py --net lin|full|conv            the brief's three commands
    python3 kuzu_main.py --net conv --recipe brief      as the brief trains: its network, plain SGD
    python3 kuzu_main.py --sweep 10,20,50,100,200       accuracy against hidden nodes
    python3 kuzu_main.py --compare                      the three networks in one table
    python3 kuzu_main.py --net conv --dataset digits    without KMNIST's images, offline

torch and matplotlib are imported inside the functions, so that --help and a mistyped flag are
answered at once.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import script
from script import Fault, Progress, Stop

if TYPE_CHECKING:
    import numpy as np
    import torch

    from kuzu_data import Images

# A training line is printed every so many images: 100 batches of 64, as in the brief.
REPORT = 6400
# The most parameters a network may have: as many as 4 GB hold with gradients and moments.
MOST = 250_000_000
# The accuracy that the brief asks of NetFull.
WANTED = 0.84

TITLES = {"lin": "NetLin", "full": "NetFull", "conv": "NetConv"}
# The flags that shape each network.
SHAPE = {
    "lin": (),
    "full": ("hid", "dropout"),
    "conv": ("filters", "kernels", "fc", "batch_norm", "dropout"),
}
# What a flag is where the user does not set it. "brief" is the assignment's own training; "best"
# was chosen by experiments on training images alone (README.md, "How the recipes were found").
_BRIEF = dict(
    optim="sgd", lr=0.01, mom=0.5, batch=64, decay=0.0, schedule="constant", smoothing=0.0,
    distort=0.0, shuffle=False, normalize=(0.5, 0.5),
)  # fmt: skip
_BEST = dict(
    optim="adamw", lr=0.003, mom=0.9, batch=128, decay=0.01, schedule="onecycle", smoothing=0.1,
    distort=1.0, shuffle=True, normalize=(0.5, 0.5),
)  # fmt: skip
RECIPES = {
    "brief": {
        "lin": _BRIEF,
        "full": _BRIEF | dict(hid=100, dropout=0.0),
        "conv": _BRIEF
        | dict(filters=(64, 128), kernels=(5, 3), fc=0, batch_norm=False, dropout=0.0),
    },
    "best": {
        "lin": _BEST | dict(decay=1.0, smoothing=0.0, distort=0.0, normalize=(0.19, 0.35)),
        "full": _BEST | dict(lr=0.001, batch=32, normalize=(0.19, 0.35), hid=300, dropout=0.0),
        "conv": _BEST
        | dict(filters=(24, 64), kernels=(5, 5), fc=128, batch_norm=True, dropout=0.3),
    },
}


def _kernels(text: str) -> tuple[int, int]:
    sizes = script.several(script.integer(1, 27), count=2)(text)
    if any(size % 2 == 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{sizes} must be odd, to keep the images' size")
    return sizes


def _normalisation(text: str) -> tuple[float, float]:
    values = script.several(script.number(0, 1), count=2)(text)
    if values[1] < 0.001:
        raise argparse.ArgumentTypeError(f"{text!r}: the second number must be at least 0.001")
    return values


def flags() -> script.Parser:
    """The script's flags."""
    integer, number = script.integer, script.number
    parser = script.Parser(
        description="Train a network on Kuzushiji characters and show what it mistakes for what.",
        epilog="Flags without a default take the recipe's value for the network, which is printed.",
    )
    parser.add_argument("--net", choices=TITLES, help="lin, full or conv (default: full)")
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="values of all flags below that are not given: the assignment's own "
        "(its networks, SGD, lr 0.01, momentum 0.5) or the best that we found (default: best)",
    )
    parser.add_argument(
        "--epochs", type=integer(1, 1_000_000), help="passes over the images (default: 10)"
    )
    script.add_common_flags(parser)

    group = parser.add_argument_group("training")
    group.add_argument("--lr", type=number(0, 100, above=True), help="(highest) learning rate")
    group.add_argument("--mom", type=number(0, 0.9999), help="momentum (adamw: beta 1)")
    group.add_argument("--batch", type=integer(1, 60_000), help="images in a batch")
    group.add_argument("--optim", choices=("sgd", "adamw"), help="optimiser")
    group.add_argument("--decay", type=number(0, 100), help="weight decay")
    group.add_argument(
        "--schedule",
        choices=("constant", "onecycle"),
        help="learning rate over time: constant, or up and then down to 0",
    )
    group.add_argument("--smoothing", type=number(0, 0.9), help="label smoothing, 0 for none")
    group.add_argument(
        "--distort",
        type=number(0, 10),
        help="random moves and bends of the training images, 0 for none",
    )
    script.add_switch(group, "--shuffle", "a new order of the images in each epoch")

    group.add_argument(
        "--normalize",
        type=_normalisation,
        metavar="MEAN,STD",
        help="what is subtracted from pixels of 0 to 1, and what they are then divided by",
    )

    group = parser.add_argument_group("network")
    group.add_argument("--hid", type=integer(1, 100_000), help="hidden nodes (full)")
    group.add_argument(
        "--filters",
        type=script.several(integer(1, 4096), count=2),
        metavar="N,M",
        help="filters of the two convolutions (conv)",
    )
    group.add_argument(
        "--kernels",
        type=_kernels,
        metavar="N,M",
        help="their sizes, odd numbers (conv)",
    )
    group.add_argument(
        "--fc",
        type=integer(0, 100_000),
        help="nodes of the fully connected layer, 0 to leave it out (conv)",
    )
    script.add_switch(group, "--batch_norm", "batch normalisation before each relu (conv)")
    group.add_argument("--dropout", type=number(0, 0.95), help="share of nodes (full, conv)")

    group = parser.add_argument_group("images and files")
    group.add_argument(
        "--dataset",
        choices=("kmnist", "digits"),
        default="kmnist",
        help="digits: scikit-learn's 1,797 digits, which need no download",
    )
    group.add_argument(
        "--data",
        type=script.path,
        default=Path("data"),
        metavar="DIR",
        help="folder of KMNIST/raw; the images are downloaded into it if missing",
    )
    group.add_argument(
        "--save", type=script.path, metavar="FILE", help="save the weights, after every epoch"
    )
    group.add_argument(
        "--load", type=script.path, metavar="FILE", help="test these saved weights, do not train"
    )
    group.add_argument(
        "--resume",
        type=script.path,
        metavar="FILE",
        help="go on from what --save wrote before training had ended, with its flags; the end is "
        "that of an unbroken run, and is saved into the same file unless --save names another",
    )

    group = parser.add_argument_group("several networks")
    group = group.add_mutually_exclusive_group()
    group.add_argument(
        "--sweep",
        type=script.several(integer(1, 100_000)),
        metavar="N,N,...",
        help="train NetFull with each of these numbers of hidden nodes",
    )
    group.add_argument("--compare", action="store_true", help="train all three networks")
    return parser


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = flags()
    args = parser.parse_args(argv)
    several = "--sweep" if args.sweep else "--compare" if args.compare else None
    if several and (args.load or args.save or args.resume):
        parser.error(f"{several} trains several networks: it goes with no --load, --save, --resume")
    if args.load and (args.save or args.resume):
        parser.error("--load only tests: it goes with neither --save nor --resume")
    if args.resume:
        known = ("net", "recipe", "epochs", "seed", *RECIPES["best"]["conv"], "hid")
        given = [name for name in known if getattr(args, name) is not None]
        if given:
            parser.error(f"--resume takes --{given[0]} from the file: leave it out")
        args.save = args.save or args.resume
    if several and args.net and not (args.sweep and args.net == "full"):
        parser.error(f"{several} chooses the networks itself: leave out --net {args.net}")
    args.epochs = args.epochs or 10
    return args


def settings(args: argparse.Namespace, net: str, **fixed) -> argparse.Namespace:
    """The flags for one network: the user's, else the recipe's; `fixed` overrides both.

    A quiet run prints no line for each epoch; it is one of several networks in a table.
    """
    given = {name: value for name, value in vars(args).items() if value is not None}
    values = RECIPES[args.recipe or "best"][net] | given | {"net": net} | fixed
    if values["batch"] == 1 and net == "conv" and values["batch_norm"]:
        raise Fault("--batch 1 has no spread to normalise: add --batch_norm False", status=2)
    return argparse.Namespace(**{"seed": None, "save": None, "quiet": False, **values})


# Training and testing


@dataclass
class Result:
    """What a test gives: the (10, 10) confusion matrix, the average loss and (N, 10) outputs."""

    matrix: np.ndarray
    loss: float
    log_probabilities: np.ndarray

    @property
    def accuracy(self) -> float:
        return float(self.matrix.trace() / self.matrix.sum())

    @property
    def line(self) -> str:
        """The brief's line for a test."""
        right, total = int(self.matrix.trace()), int(self.matrix.sum())
        return (
            f"Test set: Average loss: {self.loss:.4f}, "
            f"Accuracy: {right}/{total} ({100 * right / total:.0f}%)"
        )

    def show(self) -> None:
        """Print the confusion matrix and the test line as the brief does."""
        print(type(self.matrix))
        print(self.matrix)
        print(f"\n{self.line}\n", flush=True)


def build(args: argparse.Namespace, device: torch.device) -> torch.nn.Module:
    """The network that the flags describe; Fault if it is far too large."""
    import torch

    import kuzu

    shape = {name: getattr(args, name) for name in SHAPE[args.net]}
    make = getattr(kuzu, TITLES[args.net])
    # Without memory first: a machine that runs out of it kills the script without a word.
    with torch.device("meta"):
        size = kuzu.parameter_count(make(**shape))
    if size > MOST:
        raise Fault(f"{script.as_flags(shape)} makes {size} parameters; at most {MOST} are allowed")
    return make(**shape).to(device)


def optimiser(args: argparse.Namespace, net: torch.nn.Module, steps: int):
    """The optimiser and its schedule over `steps` batches."""
    from torch import optim

    if args.optim == "sgd":
        optimizer = optim.SGD(net.parameters(), args.lr, args.mom, weight_decay=args.decay)
    else:
        optimizer = optim.AdamW(
            net.parameters(), args.lr, (args.mom, 0.999), weight_decay=args.decay, fused=True
        )
    rise = 0.2
    # A rise needs a step at least; the few batches of a trial have none to spare.
    if args.schedule == "constant" or rise * steps <= 1:
        return optimizer, optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    return optimizer, optim.lr_scheduler.OneCycleLR(
        optimizer, args.lr, total_steps=steps, pct_start=rise, cycle_momentum=False
    )


def batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """The indices of the images of each batch of an epoch."""
    import torch

    parts = list(order.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1 < size:
        # Batch normalisation cannot use a batch of one image.
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


@dataclass
class Training:
    """A network in training.

    epoch: the one in progress, from 1; order: its (N,) indices of images, None before it has
    begun; done: its batches that are done.
    """

    net: torch.nn.Module
    optimizer: Any
    schedule: Any
    epoch: int = 1
    order: torch.Tensor | None = None
    done: int = 0

    @classmethod
    def start(cls, args: argparse.Namespace, images: Images, device) -> Training:
        net = build(args, device)
        steps = args.epochs * math.ceil(len(images.train) / args.batch)
        return cls(net, *optimiser(args, net, steps))


def train(args, training: Training, images: Images, stop, progress) -> bool:
    """The rest of a pass over the training images; whether it came to its end before `stop`."""
    import torch
    import torch.nn.functional as F

    from kuzu_data import prepare

    net, epoch = training.net, training.epoch
    net.train()
    total = len(images.train)
    if training.order is None:
        training.order = torch.randperm(total) if args.shuffle else torch.arange(total)
    parts = batches(training.order, args.batch)
    for number in range(training.done, len(parts)):
        if stop:
            return False
        chosen = parts[number]
        target = images.train_target[chosen]
        output = net(prepare(images.train[chosen], args.normalize, args.distort))
        # The outputs are log probabilities, on which cross entropy is the nll loss; with label
        # smoothing a share of the target is spread over all classes (Szegedy et al., 2016).
        loss = F.cross_entropy(output, target, label_smoothing=args.smoothing)
        training.optimizer.zero_grad()
        loss.backward()
        training.optimizer.step()
        training.schedule.step()
        training.done = number + 1
        seen = number * args.batch
        if seen % REPORT < args.batch:
            loss = F.nll_loss(output.detach(), target).item()
            if not loss < float("inf"):
                raise Fault(f"the loss is {loss} in epoch {epoch}; lower --lr {args.lr:g}")
            if not args.quiet:
                progress.clear()
                share = 100 * number / len(parts)
                print(f"Train Epoch: {epoch} [{seen}/{total} ({share:.0f}%)]\tLoss: {loss:.6f}")
        done = (epoch - 1) * len(parts) + number + 1
        progress.update(done, f"{TITLES[args.net]}, epoch {epoch} of {args.epochs}")
    training.epoch, training.order, training.done = epoch + 1, None, 0
    return True


def test(args: argparse.Namespace, net: torch.nn.Module, images: Images) -> Result:
    """Test a network on the test images."""
    import torch
    import torch.nn.functional as F
    from sklearn.metrics import confusion_matrix

    from kuzu_data import prepare

    net.eval()
    with torch.inference_mode():
        parts = [net(prepare(part, args.normalize)) for part in images.test.split(1000)]
        output = torch.cat(parts).double()
        loss = F.nll_loss(output, images.test_target).item()
    target, chosen = images.test_target.cpu(), output.argmax(dim=1).cpu()
    matrix = confusion_matrix(target, chosen, labels=range(10)).astype(float)
    return Result(matrix, loss, output.cpu().numpy())


def fit(args, images: Images, device, stop: Stop, training: Training | None = None):
    """Train a network for all epochs and test it after each (if quiet, after the last only).

    training: where an earlier run ended. Returns the network and its last Result.
    """
    training = training or Training.start(args, images, device)
    net = training.net
    recipe = {name: getattr(args, name) for name in RECIPES["best"][args.net]}
    print(f"{describe(net)}\nrecipe: {script.as_flags(recipe)}", flush=True)
    progress = Progress(args.epochs * math.ceil(len(images.train) / args.batch))
    while training.epoch <= args.epochs:
        ended = train(args, training, images, stop, progress)
        if args.save:
            save(args, training, images)
        last = not ended or training.epoch > args.epochs
        if last or not args.quiet:
            result = test(args, net, images)
            progress.clear()
        if not args.quiet:
            result.show()
        if last:
            break
    return net, result


def describe(net: torch.nn.Module) -> str:
    """A network's name and its number of independent parameters, as a sum over its layers."""
    import kuzu

    return (
        f"{type(net).__name__}: {net.parameter_sum()} = {kuzu.parameter_count(net)} "
        "independent parameters"
    )


# Weights


# The flags without which saved weights are worth nothing: the network's, and what it reads.
def _needed(net: str) -> tuple[str, ...]:
    return *SHAPE[net], "normalize"


# The flags that decide how training goes on.
def _deciding(net: str) -> tuple[str, ...]:
    return *RECIPES["best"][net], "epochs", "seed"


def save(args, training: Training, images: Images) -> None:
    """Write the weights to --save, with what is needed to build the network again, and to go on
    with its training where that has not ended."""
    import torch

    import checkpoint

    content = {
        "net": args.net,
        "flags": {name: getattr(args, name) for name in _needed(args.net)},
        "state": {name: value.cpu() for name, value in training.net.state_dict().items()},
        "images": images.name,
    }
    if training.epoch <= args.epochs:
        content["training"] = {
            "flags": {name: getattr(args, name) for name in _deciding(args.net)},
            "epoch": training.epoch,
            "order": training.order,
            "done": training.done,
            "optimizer": training.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
    checkpoint.write(args.save, content)


def read(path: Path, flag: str) -> dict:
    """What `save` wrote: its "flags" as a command line would give them; or Fault."""
    import checkpoint

    content = checkpoint.read(path, flag)
    try:
        name, known = content["net"], flags()
        names = _deciding(name) if "training" in content else _needed(name)
        kept = {**content["flags"], **content.get("training", {"flags": {}})["flags"]}
        # These flags and no others: there are some that say what is overwritten.
        if set(kept) != set(names) or not set(_needed(name)) <= set(content["flags"]):
            raise KeyError
        if not isinstance(content["state"], dict) or not isinstance(content["images"], str):
            raise TypeError
        content["flags"] = {flag: known.value(flag, value) for flag, value in kept.items()}
    except checkpoint.UNFIT:
        raise Fault(f"{flag} {path}: not a whole file of weights saved by this script") from None
    return content


def rebuild(args: argparse.Namespace, path: Path, state: dict, device) -> torch.nn.Module:
    """The network of a file, with its weights; Fault if they do not fit it."""
    import torch

    import checkpoint

    try:
        checkpoint.check_weights(build(args, torch.device("meta")), state)
        net = build(args, device)
        net.load_state_dict(state)
    except checkpoint.UNFIT as error:
        raise Fault(f"{path}: the weights do not fit their own network: {error}") from error
    return net


def load(args: argparse.Namespace, device: torch.device):
    """The flags and the network of --load; Fault if it is no such file, or of another network."""
    path = args.load
    content = read(path, "--load")
    name = content["net"]
    if args.net not in (None, name):
        raise Fault(f"--load {path}: the weights are of --net {name}, not of --net {args.net}")
    kept = {flag: content["flags"][flag] for flag in _needed(name)}
    for flag, value in kept.items():
        if getattr(args, flag) not in (None, value):
            raise Fault(f"--load {path}: its --{flag} is {value}, not {getattr(args, flag)}")
    args = settings(args, name, **kept)
    return args, rebuild(args, path, content["state"], device)


def resume(args: argparse.Namespace, images: Images, device: torch.device):
    """The flags and the Training that --resume goes on with; Fault if there is none."""
    import warnings

    import torch

    import checkpoint

    path = args.resume
    content = read(path, "--resume")
    if "training" not in content:
        raise Fault(f"--resume {path}: training had come to its end; --load tests these weights")
    if content["images"] != images.name:
        raise Fault(f"--resume {path}: trained on {content['images']}, not on {images.name}")
    try:
        args = settings(args, content["net"], **content["flags"])
    except Fault as fault:
        raise Fault(f"--resume {path}: {fault}") from None
    net = rebuild(args, path, content["state"], device)
    script.seed_everything(args.seed)
    training = Training.start(args, images, device)
    training.net.load_state_dict(net.state_dict())
    kept = content["training"]
    try:
        checkpoint.load_moments(training.optimizer, kept["optimizer"])
        training.epoch, training.order, training.done = kept["epoch"], kept["order"], kept["done"]
        whole = torch.arange(len(images.train))
        if training.order is not None and not (
            checkpoint.is_like(training.order, whole)
            and torch.equal(training.order.sort().values, whole)
        ):
            raise ValueError("the order of the images is none of these images")
        each = len(batches(whole, args.batch))
        if not (1 <= training.epoch <= args.epochs and 0 <= training.done <= each):
            raise ValueError("its epoch is none of the run's")
        steps = (training.epoch - 1) * each + training.done
        torch.set_rng_state(kept["random"])
    except checkpoint.UNFIT as error:
        raise Fault(f"--resume {path}: not a whole file of this script: {error}") from error
    with warnings.catch_warnings():
        # torch warns of steps of the rate alone, which are what is wanted here.
        warnings.simplefilter("ignore")
        training.schedule.last_epoch = steps - 1
        training.schedule.step()
    print(f"going on in epoch {training.epoch} of {args.epochs}")
    return args, training


# What was learned


def explain(args, net: torch.nn.Module, result: Result, images: Images) -> None:
    """Print what is mistaken for what and why, and draw it into --plot."""
    import kuzu_confusion as confusion
    import kuzu_features as features

    glyphs = _printable("".join(images.glyphs))
    name = TITLES[args.net]
    print("Accuracy of each character:")
    print("\n".join(confusion.class_lines(result.matrix, images, glyphs)))
    print("Most frequent confusions (target -> chosen):")
    print("\n".join(confusion.confusion_lines(result.matrix, images, glyphs)) or "none")
    print("Why, measured on the training images:")
    print("\n".join(features.reason_lines(result.matrix, images)))
    print("\n".join(features.feature_lines(net)))
    right, total = int(result.matrix.trace()), int(result.matrix.sum())
    title = f"{name} on {images.name}: {right} of {total} right, {result.accuracy:.2%}"
    print(title)
    picture = confusion.confusion_picture(result.matrix, images, title)
    script.save_picture(picture, args.plot / f"kuzu_{args.net}_confusion.jpg")
    picture = confusion.mistakes_picture(
        result.matrix,
        result.log_probabilities,
        images,
        f"What {name} mistakes for what, worst first ({images.name})",
    )
    if picture is not None:
        script.save_picture(picture, args.plot / f"kuzu_{args.net}_mistakes.jpg")
    title = f"What {name} looks at ({images.name}): red speaks for, blue against"
    picture = features.features_picture(net, images, args.normalize, title)
    script.save_picture(picture, args.plot / f"kuzu_{args.net}_features.jpg")


def _printable(text: str) -> bool:
    """Whether stdout can take `text`; with LANG=C on some machines it cannot."""
    if sys.stdout is None:  # closed from the start
        return False
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def sweep(args: argparse.Namespace, images: Images, device, stop: Stop) -> None:
    """Train NetFull with each number of hidden nodes in --sweep; print a table, draw a curve."""
    import torch

    import kuzu

    rows = []
    for hid in dict.fromkeys(args.sweep):
        torch.manual_seed(args.seed)
        start = time.monotonic()
        net, result = fit(settings(args, "full", hid=hid, quiet=True), images, device, stop)
        seconds = time.monotonic() - start
        print(result.line, flush=True)
        if stop:
            break
        rows.append((hid, kuzu.parameter_count(net), result.accuracy, seconds))
    print(f"\nNetFull on {images.name}, {args.epochs} epochs:")
    print("hidden nodes  parameters  accuracy  seconds")
    for hid, parameters, accuracy, seconds in rows:
        print(f"{hid:12}  {parameters:10}  {accuracy:8.2%}  {seconds:7.1f}")
    enough = [hid for hid, _, accuracy, _ in rows if accuracy >= WANTED]
    if enough:
        print(f"{min(enough)} hidden nodes are the fewest of these that reach {WANTED:.0%}")
    else:
        print(f"none of these reaches {WANTED:.0%}: try more hidden nodes or more epochs")
    if rows:
        sizes, accuracies = [row[0] for row in rows], [row[2] for row in rows]
        picture = sweep_picture(sizes, accuracies, f"NetFull on {images.name}")
        script.save_picture(picture, args.plot / "kuzu_sweep.jpg")


def sweep_picture(sizes: list[int], accuracies: list[float], title: str):
    """A Figure of the test accuracy against the number of hidden nodes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    sizes, percent = [sizes[i] for i in order], [100 * accuracies[i] for i in order]
    axes.axhline(100 * WANTED, color="0.5", linestyle="--", label=f"{WANTED:.0%}, the brief's aim")
    axes.plot(sizes, percent, "o-", color="tab:blue", label="test accuracy")
    for size, value in zip(sizes, percent, strict=True):
        axes.annotate(
            f"{value:.1f}", (size, value), (0, 7), textcoords="offset points", ha="center"
        )
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.margins(y=0.15)
    axes.set(xlabel="hidden nodes (logarithmic)", ylabel="test accuracy (%)", title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def compare(args: argparse.Namespace, images: Images, device, stop: Stop) -> None:
    """Train the three networks; print the brief's table and how the confusions change."""
    import torch

    import kuzu_confusion as confusion

    results, table = {}, []
    for name, title in TITLES.items():
        torch.manual_seed(args.seed)
        own = settings(args, name, quiet=True)
        net, result = fit(own, images, device, stop)
        result.show()
        if stop:
            break
        explain(own, net, result, images)
        print()
        results[title] = result.matrix
        table.append(f"| {title} | {result.accuracy:.2%} | {describe(net).split(': ')[1]} |")
    if len(results) < len(TITLES):
        print("not all three networks were trained: no comparison")
        return
    print(f"On {images.name}, {args.epochs} epochs:\n")
    print("| Model | Accuracy | Number of independent parameters |\n| --- | --- | --- |")
    print("\n".join(table))
    print(f"\n{confusion.comparison(results, images)}")


# The script


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    # What can be refused is refused before torch is imported and hours are spent.
    script.require_writable(args.plot)
    for flag, path in (("--load", args.load), ("--resume", args.resume)):
        if path:
            script.require_file(path, flag)
    if args.save:
        script.require_savable(args.save, "--save")

    import numpy as np
    import torch

    from kuzu_data import LOADERS

    np.set_printoptions(precision=4, suppress=True)
    device = script.choose_device(args.device, "cuda" if torch.cuda.is_available() else "cpu")
    images = LOADERS[args.dataset](args.data).to(device)
    print(f"images: {images.name}, {len(images.train)} to train, {len(images.test)} to test")
    with Stop() as stop:
        if args.sweep or args.compare:
            # One seed for all, so that the networks differ in nothing else.
            args.seed = script.seed_everything(args.seed)
            (sweep if args.sweep else compare)(args, images, device, stop)
        elif args.load:
            args, net = load(args, device)
            print(describe(net))
            result = test(args, net, images)
            result.show()
            explain(args, net, result, images)
        else:
            if args.resume:
                args, training = resume(args, images, device)
            else:
                args, training = settings(args, args.net or "full"), None
                args.seed = script.seed_everything(args.seed)
            net, result = fit(args, images, device, stop, training)
            if args.save:
                print(f"weights: {args.save}")
            explain(args, net, result, images)
            if stop and args.save:
                print(f"to go on: python3 kuzu_main.py --resume {args.save}")
            elif stop:
                print("without --save nothing was kept of the weights", file=sys.stderr)
    return stop.status


if __name__ == "__main__":
    script.run(main)
