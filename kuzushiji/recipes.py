"""Recipes of Part 1: architecture and training of each network, by the names of the flags."""

from __future__ import annotations

from cli import flags
from cli.errors import UserError

import argparse
from dataclasses import asdict, dataclass, replace

import torch

import kuzu

# Maximum number of parameters of a network: 4 GB with gradients and moments.
MAX_PARAMETERS = 250_000_000
NETS = {"lin": kuzu.NetLin, "full": kuzu.NetFull, "conv": kuzu.NetConv}
# The architecture flags of each network.
ARCHITECTURE_FLAGS = {
    "lin": (),
    "full": ("hid", "dropout"),
    "conv": ("filters", "kernels", "fc", "batch_norm", "dropout"),
}


@dataclass(frozen=True)
class Recipe:
    """A network's architecture and training, by flag; None for flags of other networks."""

    net: str
    optim: str
    lr: float
    mom: float
    batch: int
    weight_decay: float
    schedule: str
    label_smoothing: float
    augment: float
    shuffle: bool
    normalize: tuple[float, float]
    hid: int | None = None
    filters: tuple[int, int] | None = None
    kernels: tuple[int, int] | None = None
    fc: int | None = None
    batch_norm: bool | None = None
    dropout: float | None = None

    @property
    def title(self) -> str:
        return NETS[self.net].__name__

    def flags(self) -> str:
        """Return the recipe as flags: '--optim sgd --lr 0.01 ...'."""
        values = asdict(self)
        del values["net"]
        return flags.format_flags(
            {key: value for key, value in values.items() if value is not None}
        )


# Default values of the flags. "assignment" is the assignment's own training; "tuned" was chosen by
# experiments on training images only (docs/recipes.md).
_ASSIGNMENT = dict(
    optim="sgd", lr=0.01, mom=0.5, batch=64, weight_decay=0.0, schedule="constant",
    label_smoothing=0.0, augment=0.0, shuffle=False, normalize=(0.5, 0.5),
)  # fmt: skip
_TUNED = dict(
    optim="adamw", lr=0.003, mom=0.9, batch=128, weight_decay=0.01, schedule="onecycle",
    label_smoothing=0.1, augment=1.0, shuffle=True, normalize=(0.5, 0.5),
)  # fmt: skip
RECIPES = {
    "assignment": {
        "lin": Recipe("lin", **_ASSIGNMENT),
        "full": Recipe("full", **_ASSIGNMENT, hid=100, dropout=0.0),
        "conv": Recipe(
            "conv", **_ASSIGNMENT, filters=(64, 128), kernels=(5, 3), fc=0, batch_norm=False,
            dropout=0.0,
        ),
    },
    "tuned": {
        "lin": Recipe(
            "lin",
            **_TUNED
            | dict(weight_decay=1.0, label_smoothing=0.0, augment=0.0, normalize=(0.19, 0.35)),
        ),
        "full": Recipe(
            "full",
            **_TUNED | dict(lr=0.0015, batch=64, normalize=(0.19, 0.35)), hid=300, dropout=0.0,
        ),
        "conv": Recipe(
            "conv", **_TUNED, filters=(24, 64), kernels=(5, 5), fc=160, batch_norm=True, dropout=0.2
        ),
    },
}  # fmt: skip


# As flags


def _kernels(text: str) -> tuple[int, int]:
    sizes = flags.CommaSeparated(flags.Integer(1, 27), count=2)(text)
    if any(size % 2 == 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{sizes} must be odd, to preserve the image size")
    return sizes


def _normalisation(text: str) -> tuple[float, float]:
    values = flags.CommaSeparated(flags.Number(0, 1), count=2)(text)
    if values[1] < 0.001:
        raise argparse.ArgumentTypeError(f"{text!r}: the second number must be at least 0.001")
    return values


def add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    """Add --net, --recipe, and a flag for each value of a recipe."""
    parser.add_argument(
        "--net",
        choices=NETS,
        help="network: linear, with one hidden layer, or convolutional (default: full)",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="defaults of the training and network flags: assignment (the assignment's networks, "
        "SGD, lr 0.01, momentum 0.5) or tuned (chosen by experiment; default: tuned)",
    )
    group = parser.add_argument_group("training")
    group.add_argument(
        "--lr",
        type=flags.Number(0, 100, low_excluded=True),
        help="learning rate (onecycle: its maximum)",
    )
    group.add_argument("--mom", type=flags.Number(0, 0.9999), help="momentum (adamw: beta 1)")
    group.add_argument("--batch", type=flags.Integer(1, 60_000), help="images in a batch")
    group.add_argument("--optim", choices=("sgd", "adamw"), help="optimizer")
    group.add_argument("--weight_decay", type=flags.Number(0, 100), help="weight decay")
    group.add_argument(
        "--schedule",
        choices=("constant", "onecycle"),
        help="learning rate over time: constant; onecycle: rises, then falls to 0",
    )
    group.add_argument(
        "--label_smoothing",
        type=flags.Number(0, 0.9),
        help="share of the target probability spread over all classes",
    )
    group.add_argument(
        "--augment",
        type=flags.Number(0, 10),
        help="strength of the augmentation of training images, 0 for none",
    )
    flags.add_switch(group, "--shuffle", "shuffle the training images in each epoch")
    group.add_argument(
        "--normalize",
        type=_normalisation,
        metavar="MEAN,STD",
        help="a pixel x, scaled to 0 .. 1, becomes (x - MEAN) / STD",
    )

    group = parser.add_argument_group("network")
    group.add_argument("--hid", type=flags.Integer(1, 100_000), help="hidden units (full)")
    group.add_argument(
        "--filters",
        type=flags.CommaSeparated(flags.Integer(1, 4096), count=2),
        metavar="N,M",
        help="filters of the two convolutions (conv)",
    )
    group.add_argument(
        "--kernels",
        type=_kernels,
        metavar="N,M",
        help="side lengths of the filters, odd (conv)",
    )
    group.add_argument(
        "--fc",
        type=flags.Integer(0, 100_000),
        help="units of the fully connected layer, 0 to omit it (conv)",
    )
    flags.add_switch(group, "--batch_norm", "batch normalisation before each relu (conv)")
    group.add_argument(
        "--dropout", type=flags.Number(0, 0.95), help="dropout probability (full, conv)"
    )


def recipe_for(args: argparse.Namespace, net: str, **fixed) -> Recipe:
    """Return the recipe of a network: the user's flags, the rest from --recipe.

    fixed: values that replace both. Raises UserError if the values do not fit together.
    """
    recipe = RECIPES[args.recipe or "tuned"][net]
    given = {
        name: getattr(args, name)
        for name, value in asdict(recipe).items()
        if name != "net" and value is not None and getattr(args, name) is not None
    }
    recipe = replace(recipe, **given | fixed)
    if recipe.batch == 1 and recipe.batch_norm:
        raise UserError("--batch 1 needs --batch_norm False: one image has no variance", status=2)
    return recipe


def build(recipe: Recipe) -> torch.nn.Module:
    """Return a new network. Raises UserError if it has more than MAX_PARAMETERS parameters."""
    shape = {name: getattr(recipe, name) for name in ARCHITECTURE_FLAGS[recipe.net]}
    # On the meta device first, because the system kills a script that runs out of memory.
    with torch.device("meta"):
        size = kuzu.parameter_count(NETS[recipe.net](**shape))
    if size > MAX_PARAMETERS:
        raise UserError(
            f"{flags.format_flags(shape)}: {size} parameters, more than {MAX_PARAMETERS}; "
            "choose a smaller network"
        )
    return NETS[recipe.net](**shape)
