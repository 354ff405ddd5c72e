"""The task of Part 3, a language and the network that learns it, and the recipes of its training.

Increasing the batch size during training reduces gradient noise as lowering the learning rate does,
but needs fewer updates (Smith et al., 2018).
"""

from __future__ import annotations

from cli.process import UserError
from cli.settings import CommaSeparated, Number, chosen, flag

import argparse
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import anb2n
import reber
from recurrent.language import Language
from seq_models import LSTM, SRN

# Number of training sequences per report; they are sampled as one block, which has its own seed.
BLOCK = 1000
# Exit status after training without success.
FAILED = 3
# Highest minimum length of a Reber word: longer words are too rare to be drawn.
MAX_MIN_LENGTH = 24
# Thousands of sequences from which on --epoch is taken for a number of sequences.
IMPLAUSIBLE_EPOCH = 10_000


# The language and the network


def make_language(name: str, length: int = 0, embed: bool = False) -> Language:
    """Return the language for the values of --lang, --length (0: the default) and --embed.

    Raises ValueError for an unknown name, or a length at which words are too rare.
    """
    if name != "reber":
        return anb2n.counting(name, length or anb2n.MAX_N)
    if length > MAX_MIN_LENGTH:
        raise ValueError(f"--length {length}: at most {MAX_MIN_LENGTH} for reber, longer are rare")
    return reber.reber(embed, length)


@dataclass(frozen=True)
class Task:
    """A language and a network, by the names of their flags."""

    lang: str = flag(
        str,
        "language: reber, or a counting language anbn, anb2n, anbncn, anb2nc3n, ... "
        "(default: anb2n)",
        metavar="NAME",
    )
    embed: bool = flag(bool, "with --lang reber: the embedded grammar")
    length: int = flag(
        Number(0, 40, int),
        "counting languages: highest n (default: 4); reber: minimum word length in symbols",
    )
    model: str = flag(("srn", "lstm"), "network (default: srn)")
    hid: int = flag(
        Number(0, 1000, int),
        "number of hidden units (omitted or 0: depends on language and network)",
    )

    @cached_property
    def language(self) -> Language:
        return make_language(self.lang, self.length, self.embed)

    @property
    def title(self) -> str:
        units = "hidden unit" if self.hid == 1 else "hidden units"
        return f"{self.model.upper()} with {self.hid} {units}"

    @property
    def stem(self) -> str:
        """The prefix of the network's file names: anb2n_srn2."""
        return f"{self.language.name}_{self.model}{self.hid}"

    @property
    def default_epoch(self) -> int:
        """The default length of training in thousands of sequences."""
        return _defaults(self.language, self.model)["epoch"]

    @property
    def words(self) -> list[str]:
        """The flags of this task, as command-line arguments."""
        words = ["--lang", self.lang, *["--embed"] * self.embed]
        if self.length != (anb2n.MAX_N if self.language.times else 0):
            words += ["--length", str(self.length)]
        return [*words, "--model", self.model, "--hid", str(self.hid)]

    def checkpoint(self, folder: Path, epoch: int) -> Path:
        """Return the checkpoint path after `epoch` thousand sequences: net/anb2n_srn2_100.pth."""
        return folder / f"{self.stem}_{epoch}.pth"


def resolve_task(args: argparse.Namespace) -> Task:
    """Return the Task of the flags. Raises UserError if the language does not exist."""
    lang = "anb2n" if args.lang is None else args.lang
    model, length = args.model or "srn", args.length or 0
    if args.embed and lang != "reber":
        raise UserError(f"--embed requires --lang reber, not --lang {lang}", status=2)
    try:
        language = make_language(lang, length, bool(args.embed))
    except ValueError as error:
        raise UserError(f"argument --lang: {error}", status=2) from None
    hid = args.hid or _defaults(language, model)["hid"]
    return Task(lang, bool(args.embed), language.max_n or length, model, hid)


def check_epoch(epoch: int | None) -> None:
    """Raise UserError if --epoch seems to count sequences, as the printed epoch does."""
    if epoch and epoch >= IMPLAUSIBLE_EPOCH:
        raise UserError(
            f"--epoch {epoch} is {epoch} thousand sequences: did you mean --epoch {epoch // 1000}?",
            status=2,
        )


def check_words(language: Language, words: tuple[str, ...] | None) -> None:
    """Raise UserError unless a network can read the texts of --words."""
    # The last letter of a word that is not followed by another is only predicted.
    least = 1 if language.chained else 2
    for text in words or ():
        foreign = set(text) - set(language.symbols)
        if foreign or len(text) < least:
            reason = f"{min(foreign)!r} is not one" if foreign else f"it needs {least} or more"
            raise UserError(
                f"argument --words: {text!r}: {reason} of the symbols of {language.name}, "
                f"{language.symbols}",
                status=2,
            )


def build_network(task: Task, recipe: Recipe | None = None) -> SRN | LSTM:
    """Return the task's network with random weights, by the recipe's initialisation if given."""
    network_class = SRN if task.model == "srn" else LSTM
    names = INIT[task.model] if recipe else ()
    init = {name: getattr(recipe, name) for name in names}
    return network_class(task.language.classes, task.hid, **init)


# Recipes


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters by the names of their flags, None if one does not apply to the network."""

    optim: str = flag(("sgd", "adam"), "optimizer")
    lr: float = flag(Number(0, 100, low_excluded=True), "learning rate (maximum, if it varies)")
    mom: float = flag(Number(0, 0.9999), "momentum (adam: beta1)")
    beta2: float = flag(Number(0, 0.99999), "beta2 of adam")
    weight_decay: float = flag(Number(0, 100), "weight decay")
    batch: tuple[int, ...] = flag(
        CommaSeparated(Number(1, BLOCK, int)),
        "batch sizes (sequences per update), each for an equal part of training",
        metavar="N,N,...",
    )
    schedule: str = flag(
        ("constant", "cosine", "onecycle"),
        "learning rate: constant; cosine: falls to 0; onecycle: rises, then falls to 0",
    )
    clip: float = flag(Number(0, 1e9), "maximum gradient norm, 0 for no clipping")
    init: float = flag(Number(0, 100), "standard deviation of the initial weights (srn)")
    init_output: float = flag(
        Number(0, 100), "standard deviation of the initial output weights (srn)"
    )
    identity: bool = flag(bool, "initialise the recurrent weights to the identity matrix (srn)")
    counter: bool = flag(
        bool, "initialise the context units as counters, which forget nothing (lstm)"
    )

    def batch_at(self, share: float) -> int:
        """Return the batch size at a share of training, 0 .. 1."""
        return self.batch[min(int(share * len(self.batch)), len(self.batch) - 1)]


# The fields that are arguments of each network's constructor.
INIT = {"srn": ("init", "init_output", "identity"), "lstm": ("counter",)}
_ASSIGNMENT = Recipe(
    optim="sgd", lr=0.005, mom=0.0, beta2=0.999, weight_decay=1e-4, batch=(1,),
    schedule="constant", clip=0.0,
)  # fmt: skip
_TUNED = Recipe(
    optim="adam", lr=0.03, mom=0.9, beta2=0.99, weight_decay=0.0, batch=(25, 50, 125, 250),
    schedule="onecycle", clip=1.0,
)  # fmt: skip
# "assignment": the course's training; "tuned": chosen by experiment, see docs/recipes.md.
RECIPES = {
    "assignment": {
        "srn": replace(_ASSIGNMENT, init=0.001, init_output=0.001, identity=False),
        "lstm": replace(_ASSIGNMENT, counter=False),
    },
    "tuned": {
        "srn": replace(
            _TUNED, lr=0.05, batch=(20, 50, 100, 250), init=0.1, init_output=0.1, identity=True
        ),
        "lstm": replace(_TUNED, counter=False),
    },
}
# Hidden units, thousands of training sequences, and changes to "tuned", by language and network;
# the sizes and lengths of the assignment's languages are the course's. For others: as many hidden
# units as symbols, and 100 thousand sequences. anb2nc3n: the assignment plots the LSTM after half
# of its training, where with a learning rate of 0.03 two of ten networks had no distinct states.
# Reber: not the identity, because nothing is counted; with smaller initial output weights, two
# states nearly coincide in one network of five.
DEFAULTS = {
    ("anb2n", "srn"): dict(hid=2),
    ("anb2nc3n", "srn"): dict(hid=4, epoch=200, lr=0.03),
    ("anb2nc3n", "lstm"): dict(hid=3, lr=0.02),
    ("anbncn", "srn"): dict(hid=4),
    ("reber", "srn"): dict(
        hid=2, epoch=50, lr=0.1, mom=0.8, beta2=0.9, weight_decay=1e-4, batch=(10,),
        init_output=1.0, identity=False,
    ),
    ("reber", "lstm"): dict(hid=2, batch=(10, 20, 50, 100)),
    ("reber_embed", "srn"): dict(hid=8),
    ("reber_embed", "lstm"): dict(hid=8, lr=0.02, batch=(10, 20, 50, 100)),
}  # fmt: skip


def _defaults(language: Language, model: str) -> dict:
    """Return the row of DEFAULTS for a language and a network, hid and epoch included."""
    found = DEFAULTS.get((language.name, model), {})
    return dict(hid=language.classes, epoch=100) | found


def resolve_recipe(args: argparse.Namespace, task: Task) -> Recipe:
    """Return the Recipe of the flags; values that are not given are those of --recipe."""
    recipe = RECIPES[args.recipe][task.model]
    if args.recipe == "tuned":
        changes = _defaults(task.language, task.model)
        recipe = replace(recipe, **{k: v for k, v in changes.items() if k not in ("hid", "epoch")})
    return chosen(args, recipe)
