"""Recipes of Part 1: architecture and training of each network, by the names of the flags.

`RECIPES`     the defaults, a table by recipe and network.
`recipe_for`  completes the flags that a user typed.
`build`       makes the network of a recipe from the classes in kuzu.py.
`read`        reads a checkpoint of kuzu_main.py.
"""

from __future__ import annotations

from cli import files, training
from cli.process import UserError
from cli.settings import CommaSeparated, Number, applying, chosen, flag, restore
from cli.training import Run

import argparse
import inspect
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

import kuzu
from kuzushiji.dataset import SIDE

# Names of the classes in kuzu.py, looked up when used, because the file may be a student's own.
NETS = {"lin": "NetLin", "full": "NetFull", "conv": "NetConv"}
# The flags that are arguments of the classes.
ARCHITECTURE = ("hid", "filters", "kernels", "fc", "batch_norm", "dropout")


def _kernels(text: str) -> tuple[int, int]:
    sizes = CommaSeparated(Number(1, 11, int), count=2)(text)
    if any(size % 2 == 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{sizes} must be odd")
    return sizes


def _normalisation(text: str) -> tuple[float, float]:
    values = CommaSeparated(Number(0, 1), count=2)(text)
    if values[1] < 0.001:
        raise argparse.ArgumentTypeError(f"{text!r}: the second number must be at least 0.001")
    return values


@dataclass(frozen=True)
class Recipe:
    """A network's training and architecture, by flag; None for flags of other networks.

    The largest network has 200 million parameters: 3 GB with gradients and moments.
    """

    optim: str = flag(("sgd", "adamw"), "optimizer")
    lr: float = flag(Number(0, 100, low_excluded=True), "learning rate (onecycle: its maximum)")
    mom: float = flag(Number(0, 0.9999), "momentum (adamw: beta 1)")
    batch: int = flag(Number(1, 60_000, int), "images in a batch")
    weight_decay: float = flag(Number(0, 100), "weight decay")
    schedule: str = flag(
        ("constant", "onecycle"),
        "learning rate over time: constant; onecycle: rises, then falls to 0",
    )
    label_smoothing: float = flag(
        Number(0, 0.9), "share of the target probability spread over all classes"
    )
    augment: float = flag(
        Number(0, 10), "strength of the augmentation of training images, 0 for none"
    )
    shuffle: bool = flag(bool, "shuffle the training images in each epoch")
    normalize: tuple[float, float] = flag(
        _normalisation, "a pixel x, scaled to 0 .. 1, becomes (x - MEAN) / STD", metavar="MEAN,STD"
    )
    hid: int | None = flag(Number(1, 100_000, int), "hidden units (full)")
    filters: tuple[int, int] | None = flag(
        CommaSeparated(Number(1, 512, int), count=2),
        "filters of the two convolutions (conv)",
        metavar="N,M",
    )
    kernels: tuple[int, int] | None = flag(
        _kernels, "side lengths of the filters, odd, at most 11 (conv)", metavar="N,M"
    )
    fc: int | None = flag(
        Number(0, 10_000, int), "units of the fully connected layer, 0 to omit it (conv)"
    )
    batch_norm: bool | None = flag(bool, "batch normalisation before each relu (conv)")
    dropout: float | None = flag(Number(0, 0.95), "dropout probability (full, conv)")

    # adamw's beta 2, not a flag.
    beta2 = 0.999


# "assignment" is the assignment's own training; "tuned" was chosen by experiments on training
# images only (docs/recipes.md).
_ASSIGNMENT = Recipe(
    optim="sgd", lr=0.01, mom=0.5, batch=64, weight_decay=0.0, schedule="constant",
    label_smoothing=0.0, augment=0.0, shuffle=False, normalize=(0.5, 0.5),
)  # fmt: skip
_TUNED = Recipe(
    optim="adamw", lr=0.003, mom=0.9, batch=128, weight_decay=0.01, schedule="onecycle",
    label_smoothing=0.1, augment=1.0, shuffle=True, normalize=(0.5, 0.5),
)  # fmt: skip
RECIPES = {
    ("assignment", "lin"): _ASSIGNMENT,
    ("assignment", "full"): replace(_ASSIGNMENT, hid=100, dropout=0.0),
    ("assignment", "conv"): replace(
        _ASSIGNMENT, filters=(64, 128), kernels=(5, 3), fc=0, batch_norm=False, dropout=0.0
    ),
    ("tuned", "lin"): replace(
        _TUNED, weight_decay=1.0, label_smoothing=0.0, augment=0.0, normalize=(0.19, 0.35)
    ),
    ("tuned", "full"): replace(
        _TUNED, lr=0.0015, batch=64, normalize=(0.19, 0.35), hid=300, dropout=0.0
    ),
    ("tuned", "conv"): replace(
        _TUNED, filters=(24, 64), kernels=(5, 5), fc=160, batch_norm=True, dropout=0.2
    ),
}


def recipe_for(args: argparse.Namespace, net: str) -> Recipe:
    """Return the recipe of a network: the user's flags, the rest from --recipe.

    Flags that are not arguments of its class do not apply. Raises UserError if values do not fit
    together.
    """
    # A class that is missing is reported by `build`.
    accepted = inspect.signature(getattr(kuzu, NETS[net], object)).parameters
    foreign = {name: None for name in ARCHITECTURE if name not in accepted}
    recipe = chosen(args, replace(RECIPES[args.recipe or "tuned", net], **foreign))
    if recipe.batch == 1 and recipe.batch_norm:
        raise UserError("--batch 1 needs --batch_norm False: one image has no variance", status=2)
    return recipe


def build(net: str, recipe: Recipe) -> nn.Module:
    """Return a new network. Raises UserError if the class in kuzu.py does not fit: a network from
    (N, 1, 28, 28) to (N, 10) log probabilities."""
    shape = {name: value for name, value in applying(recipe).items() if name in ARCHITECTURE}
    try:
        built = getattr(kuzu, NETS[net])(**shape)
        with torch.no_grad():
            output = built.eval()(torch.zeros(2, 1, SIDE, SIDE))
        if output.shape != (2, 10):
            raise ValueError(f"it returned the shape {tuple(output.shape)} for 2 images")
        if not torch.allclose(output.exp().sum(dim=1), torch.ones(2), atol=1e-3):
            raise ValueError("its probabilities do not add up to 1: end with log_softmax")
    except Exception as error:  # of a student's own class
        raise UserError(
            f"{NETS[net]} in kuzu.py must return log probabilities of the shape (N, 10), but: "
            f"{type(error).__name__}: {error}"
        ) from error
    return built.train()


def parameter_count(net: nn.Module) -> int:
    """Return the number of independent parameters of a network."""
    return sum(parameter.numel() for parameter in net.parameters())


def parameter_text(net: nn.Module) -> str:
    """Return the number of independent parameters, as a sum over the layers if the network's class
    has `parameter_sum`."""
    terms = f"{net.parameter_sum()} = " if hasattr(net, "parameter_sum") else ""
    return f"{terms}{parameter_count(net)}"


def read(path: Path, flag: str, device: torch.device) -> Run:
    """Return the run of a checkpoint, with its network on a device.

    That of an older version can only be tested: it has no optimizer and is complete. Raises
    UserError, naming `flag`, for other files.
    """
    state, run = files.read_checkpoint(path, flag)
    try:
        if run is None:  # the format of older versions
            recipe = dict(state["recipe"])
            about = {"net": recipe.pop("net"), "images": state["images"], "split": state["split"]}
            run, state = {"about": about, "recipe": recipe}, state["state"]
        about, recipe = run["about"], restore(Recipe, run["recipe"])
        net = build(about["net"], recipe)
        files.load_weights(net, state)
        if "optimizer" in run:
            return training.resume(run, recipe, net.to(device))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise UserError(f"{flag} {path}: not a network saved by this script: {reason}") from error
    return Run(about, recipe, 0, 0, net.to(device), None)
