"""Flags whose bad values are refused by name, and those that all scripts have."""

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
    """Shows the defaults that tell a reader something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """argparse as a student needs it: defaults in the help, one line for an error."""

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
    """An argparse type: a number from `low` to `high`, or above `low` if that is excluded.

    nan and inf are refused.
    """

    low: float
    high: float
    low_excluded: bool = False

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high or (self.low_excluded and value == self.low):
            least = f"{'above' if self.low_excluded else 'at least'} {self.low:g}"
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number {least} and at most {self.high:g}"
            )
        return value


@dataclass(frozen=True)
class CommaSeparated:
    """An argparse type: values of the type `one` with commas between them, `count` if given."""

    one: Callable
    count: int | None = None

    def __call__(self, text: str) -> tuple:
        values = tuple(self.one(part.strip()) for part in text.split(","))
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
    """An argparse type: the path of a file or folder; an empty one is refused."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not a path")
    return Path(text)


def device(text: str) -> torch.device:
    """An argparse type: where torch can compute, like cpu or cuda:0."""
    try:
        found = torch.device(text)
        # Some devices take numbers and give none back.
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used: {reason}") from None
    return found


def add_common_flags(parser: argparse.ArgumentParser, default_device: str | None = "cpu") -> None:
    """Add the flags that every script here has: --seed, --plot, --json, --device and --no_cuda."""
    parser.add_argument(
        "--seed",
        type=Integer(0, 2**32 - 1),
        help="repeats a run: same seed, same output (default: drawn and printed)",
    )
    parser.add_argument(
        "--plot", type=path, default=Path("plot"), metavar="DIR", help="folder for the pictures"
    )
    parser.add_argument(
        "--json",
        type=path,
        metavar="FILE",
        help="write the figures of this run as JSON, for tables and plots of your own",
    )
    parser.add_argument(
        "--device",
        type=device,
        default=default_device,
        metavar="NAME",
        help="where to compute: cpu, cuda, mps, ...",
    )
    parser.add_argument(
        "--no_cuda",
        dest="device",
        action="store_const",
        const=device("cpu"),
        help="the course's name for --device cpu",
    )


def add_switch(group, flag: str, help: str) -> None:
    """Add a flag that is on as `--flag` or `--flag True`, off as `--flag False`, else None."""
    group.add_argument(flag, type=Switch(), nargs="?", const=True, metavar="True|False", help=help)


def format_flags(values: dict) -> str:
    """Flags with their values, to be typed again: '--optim sgd --lr 0.01 --filters 24,64'."""
    words = []
    for name, value in values.items():
        value = ",".join(map(str, value)) if isinstance(value, tuple) else value
        words.append(f"--{name} {value}")
    return " ".join(words)
