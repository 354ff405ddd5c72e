"""Types of flags, with errors that name invalid values, and the flags of all scripts."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch

from cli.errors import UserError


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help with defaults, except None and False."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser with defaults in the help and one-line errors."""

    def __init__(self, **options):
        super().__init__(formatter_class=_Help, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)", status=2)


@dataclass(frozen=True)
class Integer:
    """An argparse type: a whole number from `low` to `high`."""

    low: int
    high: int

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not self.low <= value <= self.high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {self.low} to {self.high}"
            )
        return value


@dataclass(frozen=True)
class Number:
    """An argparse type: a finite number from `low` (exclusive if `low_excluded`) to `high`."""

    low: float
    high: float
    low_excluded: bool = False

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high or (self.low_excluded and value == self.low):
            limits = "above {:g} and at most {:g}" if self.low_excluded else "from {:g} to {:g}"
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number {limits.format(self.low, self.high)}"
            )
        return value


@dataclass(frozen=True)
class CommaSeparated:
    """An argparse type: comma-separated values of an argparse type, exactly `count` if given."""

    item_type: Callable
    count: int | None = None

    def __call__(self, text: str) -> tuple:
        values = tuple(self.item_type(part.strip()) for part in text.split(","))
        if self.count is not None and len(values) != self.count:
            raise argparse.ArgumentTypeError(
                f"{text!r} has {len(values)} numbers, not {self.count}"
            )
        return values


@dataclass(frozen=True)
class Switch:
    """An argparse type: True or False."""

    def __call__(self, text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
        return text.lower() == "true"


def path(text: str) -> Path:
    """Return a path. An argparse type that rejects empty paths."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not a path")
    return Path(text)


def device(text: str) -> torch.device:
    """Return a torch device, such as cpu or cuda:0. An argparse type that rejects unusable ones."""
    try:
        found = torch.device(text)
        # Creating a tensor is not enough, because the device "meta" fails only in item().
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used: {reason}") from None
    return found


def add_common_flags(parser: argparse.ArgumentParser, default_device: str | None = "cpu") -> None:
    """Add the flags of all scripts: --seed, --plot, --json, --device and --no_cuda."""
    parser.add_argument(
        "--seed",
        type=Integer(0, 2**32 - 1),
        help="random seed, which makes a run repeatable (default: chosen at random and printed)",
    )
    parser.add_argument(
        "--plot", type=path, default=Path("plot"), metavar="DIR", help="folder for pictures"
    )
    parser.add_argument(
        "--json",
        type=path,
        metavar="FILE",
        help="write the results as JSON",
    )
    parser.add_argument(
        "--device",
        type=device,
        default=default_device,
        metavar="NAME",
        help="torch device: cpu, cuda, mps, ..."
        + ("" if default_device else " (default: cuda if available, else cpu)"),
    )
    parser.add_argument(
        "--no_cuda",
        dest="device",
        action="store_const",
        const=device("cpu"),
        help="same as --device cpu (a flag of the course's scripts)",
    )


def add_switch(group, flag: str, help: str) -> None:
    """Add a flag: True for `--flag` or `--flag True`, False for `--flag False`, None by default."""
    group.add_argument(flag, type=Switch(), nargs="?", const=True, metavar="True|False", help=help)


def format_flags(values: dict) -> str:
    """Return flags with their values as typed: '--optim sgd --lr 0.01 --filters 24,64'."""
    words = []
    for name, value in values.items():
        value = ",".join(map(str, value)) if isinstance(value, tuple) else value
        words.append(f"--{name} {value}")
    return " ".join(words)
