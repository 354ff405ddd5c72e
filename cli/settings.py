"""Settings: types of flags, and dataclasses whose fields are flags.

    lr: float = flag(Number(0, 100, low_excluded=True), "learning rate")

A field that is None does not apply to the network.
"""

from __future__ import annotations

from cli import files
from cli.process import UserError

import argparse
import dataclasses
import difflib
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Help with defaults, except None and False."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser with defaults in the help, one-line errors and near misses named."""

    def __init__(self, **options):
        super().__init__(formatter_class=_Help, allow_abbrev=False, **options)

    def parse_args(self, words: Sequence[str] | None = None, namespace=None) -> argparse.Namespace:
        """Return the flags. Raises UserError if one is unknown or has an invalid value."""
        args = super().parse_args(self._typed(sys.argv[1:] if words is None else words), namespace)
        files.picture_format = getattr(args, "format", "jpg")
        if getattr(args, "device", "") is None:
            args.device = default_device()
        return args

    def _typed(self, words: Sequence[str]) -> list[str]:
        """Return the words as they were meant. Raises UserError if a flag is unknown.

        Hyphens of a flag may be copied from a page; PowerShell passes a list 1,2 as two words.
        """
        result, action = [], None
        for word in words:
            word = re.sub("^-*[‐-―−]+-*(?=[A-Za-z])", "--", word)
            name = word.split("=")[0]
            if re.match("-+[A-Za-z]", word):
                action = self._option_string_actions.get(name)
                if action is None:
                    near = difflib.get_close_matches(
                        f"--{name.lstrip('-')}", self._option_string_actions, n=1
                    )
                    hint = f": did you mean {near[0]}?" if near else ""
                    self.error(f"unknown flag {name}{hint}")
            elif action and action.type not in (None, path) and result[-1][:1] != "-":
                result[-1] += f",{word}"
                continue
            result.append(word)
        return result

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see --help)", status=2)


# Types of flags


@dataclass(frozen=True)
class Number:
    """An argparse type: a number from `low` (exclusive if `low_excluded`) to `high`.

    kind: float, or int for whole numbers.
    """

    low: float
    high: float
    kind: type = float
    low_excluded: bool = False

    def __call__(self, text: str) -> float:
        try:
            # int() and float() accept 2_0 for 20, which nobody means.
            value = math.nan if "_" in text else self.kind(text)
        except ValueError:
            value = math.nan
        if not self.low <= value <= self.high or (self.low_excluded and value == self.low):
            name = "a number" if self.kind is float else "a whole number"
            start, end = ("above", "and at most") if self.low_excluded else ("from", "to")
            limits = f"{start} {self.low:.16g} {end} {self.high:.16g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {name} {limits}")
        return value


@dataclass(frozen=True)
class CommaSeparated:
    """An argparse type: comma-separated values of an argparse type, exactly `count` if given."""

    item_type: Callable[[str], Any]
    count: int | None = None

    def __call__(self, text: str) -> tuple:
        values = tuple(self.item_type(part.strip()) for part in text.split(","))
        if self.count is not None and len(values) != self.count:
            raise argparse.ArgumentTypeError(
                f"{text!r} has {len(values)} numbers, not {self.count}"
            )
        return values


def boolean(text: str) -> bool:
    """Return True or False. An argparse type."""
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
        # Compute, because a device may be reported that torch cannot use, or whose memory is full.
        ones = torch.ones(2, 2, device=found)
        (ones @ ones).sum().item()
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used: {reason}") from None
    return found


def default_device() -> torch.device:
    """Return the GPU, or the CPU if there is none. Prints a line if there is one that fails."""
    if torch.cuda.is_available():
        try:
            return device("cuda")
        except argparse.ArgumentTypeError as error:
            print(f"computing on the CPU: {error}", file=sys.stderr)
    return torch.device("cpu")


SEED = Number(0, 2**32 - 1, int)


# Dataclasses of flags


def flag(kind: Callable[[str], Any] | type[bool] | Iterable[str], help: str, **options) -> Any:
    """Return a dataclass field that is a flag, by default None.

    kind: an argparse type; bool for True by `--flag` or `--flag True` and False by `--flag False`;
    a tuple of words for a choice. options: of add_argument.
    """
    if kind is bool:
        options |= dict(type=boolean, nargs="?", const=True, metavar="True|False")
    elif isinstance(kind, tuple):
        options |= dict(choices=kind)
    else:
        options |= dict(type=kind)
    return dataclasses.field(default=None, metadata=dict(options, help=help))


def flag_names(settings) -> tuple[str, ...]:
    """Return the names of a dataclass's flags."""
    return tuple(field.name for field in dataclasses.fields(settings) if field.metadata)


def add_flags(parser, settings: type) -> None:
    """Add a flag for each flag field of a dataclass to a parser or group."""
    for field in dataclasses.fields(settings):
        if field.metadata:
            parser.add_argument(f"--{field.name}", **field.metadata)


def chosen(args: argparse.Namespace, defaults):
    """Return `defaults`, a dataclass instance, with the flags that were given; a flag whose default
    is None does not apply and is ignored."""
    names = (name for name in applying(defaults) if getattr(args, name) is not None)
    return dataclasses.replace(defaults, **{name: getattr(args, name) for name in names})


def applying(settings) -> dict[str, Any]:
    """Return the flags of a dataclass instance that apply, with their values."""
    values = {name: getattr(settings, name) for name in flag_names(settings)}
    return {name: value for name, value in values.items() if value is not None}


def refuse_given(args: argparse.Namespace, flag: str, names: Iterable[str]) -> None:
    """Raise UserError if one of the flags `names` was given beside `flag`, whose file has them."""
    for name in names:
        if getattr(args, name, None) is not None:
            raise UserError(f"{flag} reads --{name} from the file: leave it out", status=2)


def restore(settings: type, values: Any):
    """Return an instance of a dataclass from a dict of values that a file contains.

    Raises ValueError unless each value is one that could be typed.
    """
    names = flag_names(settings)
    if not isinstance(values, dict) or not set(values) <= set(names):
        raise ValueError(f"these are not the values of {', '.join(names)}")
    for field in dataclasses.fields(settings):
        value, options = values.get(field.name), field.metadata
        if value is None:
            continue
        try:
            typed = options.get("type", str)(_as_typed(value))
        except argparse.ArgumentTypeError as error:
            raise ValueError(f"{field.name}: {error}") from None
        if typed != value or typed not in options.get("choices", (typed,)):
            raise ValueError(f"{field.name} cannot be {value!r}")
    return settings(**values)


def _as_typed(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def format_flags(settings) -> str:
    """Return the flags of a dataclass instance that apply, or of a dict, as typed:
    '--optim sgd --lr 0.01 --filters 24,64'."""
    values = settings if isinstance(settings, dict) else applying(settings)
    return " ".join(f"--{name} {_as_typed(value)}" for name, value in values.items())


def command(script: str, *words) -> str:
    """Return a command as it is typed here: "python3 seq_train.py --resume 'my net.pth'".

    script: file name of one of the scripts, which are in the folder of the running one.
    """
    # Windows has no python3, and its pythonw prints nothing.
    python = Path(sys.executable or "python3").name.removesuffix(".exe").removesuffix("w")
    beside = Path(sys.argv[0]).parent / script
    words = [python, *map(str, (beside if beside.exists() else script, *words))]
    # Both cmd.exe and PowerShell accept double quotes; PowerShell needs them for a,b.
    quoted = (word if re.fullmatch(r"[\w.:\\/=+-]+", word) else f'"{word}"' for word in words)
    return " ".join(quoted) if os.name == "nt" else shlex.join(words)


def add_common_flags(parser: argparse.ArgumentParser, default_device: str | None = "cpu") -> None:
    """Add the flags of all scripts. default_device: None for the GPU if there is one."""
    add, gpu = parser.add_argument, "" if default_device else " (default: cuda if available)"
    add("--seed", type=SEED, help="random seed, which makes a run repeatable (default: random)")
    add("--plot", type=path, default=Path("plot"), metavar="DIR", help="folder for pictures")
    add("--format", choices=("jpg", "png", "pdf", "svg"), default="jpg", help="of pictures")
    add("--json", type=path, metavar="FILE", help="write the results as JSON")
    add("--device", type=device, default=default_device, metavar="NAME",
        help=f"torch device: cpu, cuda, mps, ...{gpu}")  # fmt: skip
    add("--no_cuda", dest="device", action="store_const", const=torch.device("cpu"),
        help="same as --device cpu (a flag of the course's scripts)")  # fmt: skip
