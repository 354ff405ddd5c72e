"""The task of Part 3: a language, and the network that learns it.

Shared by seq_train.py and seq_plot.py: flags, checkpoint names, construction of the network, and
the printed form of its activations.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

import anb2n
import reber
from cli import checkpoint, flags
from cli.errors import UserError
from recurrent.language import Language
from seq_models import LSTM, PARAMETER_NAMES, SRN

# Number of training sequences per report; they are sampled as one block, which has its own seed.
REPORT_EVERY = 1000
# Thousands of training sequences per checkpoint.
CHECKPOINT_EVERY = 10
# Exit status after training without success.
FAILED = 3
# Default folders of checkpoints and pictures.
DEFAULT_FOLDERS = {"out_path": Path("net"), "plot": Path("plot")}
# Default hidden units and thousands of training sequences, by language and network; the first four
# are the course's. For others: as many hidden units as symbols, and 100 thousand sequences.
DEFAULTS = {
    ("anb2n", "srn"): (2, 100),
    ("anb2nc3n", "lstm"): (3, 100),
    ("anb2nc3n", "srn"): (4, 200),
    ("reber", "srn"): (2, 50),
    ("reber", "lstm"): (2, 100),
    ("reber_embed", "srn"): (8, 100),
    ("reber_embed", "lstm"): (8, 100),
    ("anbncn", "srn"): (4, 100),
}


# The language and the network


def make_language(name: str, length: int = 0, embed: bool = False) -> Language:
    """Return the language for the values of --lang, --length (0: the default) and --embed.

    Raises ValueError for an unknown name.
    """
    if name == "reber":
        return reber.reber(embed, length)
    return anb2n.counting(name, length or anb2n.MAX_N)


@dataclass(frozen=True)
class Task:
    """The values of the task flags, defaults included: a field for each flag."""

    lang: str
    embed: bool
    length: int
    model: str
    hid: int

    @cached_property
    def language(self) -> Language:
        return make_language(self.lang, self.length, self.embed)

    @property
    def title(self) -> str:
        return f"{self.model.upper()} with {self.hid} hidden units"

    @property
    def stem(self) -> str:
        """The prefix of the network's file names: anb2n_srn2."""
        return f"{self.language.name}_{self.model}{self.hid}"

    @property
    def default_epoch(self) -> int:
        """The default length of training in thousands of sequences."""
        return _defaults(self.language, self.model)[1]

    @property
    def flags(self) -> list[str]:
        """The flags of this task, as command-line arguments."""
        words = ["--lang", self.lang]
        words += ["--embed"] if self.embed else []
        if self.length != (anb2n.MAX_N if self.language.times else 0):
            words += ["--length", str(self.length)]
        return [*words, "--model", self.model, "--hid", str(self.hid)]

    def checkpoint(self, folder: Path, epoch: int) -> Path:
        """Return the checkpoint path after `epoch` thousand sequences: net/anb2n_srn2_100.pth."""
        return folder / f"{self.stem}_{epoch}.pth"

    def epoch_flags(self, epoch: int) -> list[str]:
        """Return --epoch for a training run that saves checkpoint `epoch`, as arguments.

        Empty if a default run saves it, so that checkpoint 50 is halfway through a run of 100, and
        not the end of a shorter one.
        """
        saved_by_default = epoch % CHECKPOINT_EVERY == 0 and epoch <= self.default_epoch
        return [] if saved_by_default else ["--epoch", str(epoch)]


TASK_FLAGS = tuple(field.name for field in fields(Task))


def _defaults(language: Language, model: str) -> tuple[int, int]:
    """Return default hidden units and thousands of sequences."""
    return DEFAULTS.get((language.name, model), (language.classes, 100))


def build_network(task: Task, **init_args) -> SRN | LSTM:
    """Return the task's network with random weights; init_args: see SRN and LSTM."""
    network_class = SRN if task.model == "srn" else LSTM
    return network_class(task.language.classes, task.hid, **init_args)


# Flags


def add_task_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a task, and --out_path."""
    parser.add_argument(
        "--lang",
        metavar="NAME",
        help="language: reber, or a counting language anbn, anb2n, anbncn, anb2nc3n, ... "
        "(default: anb2n)",
    )
    flags.add_switch(parser, "--embed", "with --lang reber: the embedded grammar")
    parser.add_argument(
        "--length",
        type=flags.Integer(0, 40),
        help="counting languages: highest n (default: 4); reber: minimum word length in symbols",
    )
    parser.add_argument("--model", choices=("srn", "lstm"), help="network (default: srn)")
    parser.add_argument(
        "--hid",
        type=flags.Integer(0, 1000),
        help="number of hidden units (omitted or 0: depends on language and network)",
    )
    parser.add_argument(
        "--out_path",
        type=flags.path,
        default=DEFAULT_FOLDERS["out_path"],
        metavar="DIR",
        help="folder for the checkpoints",
    )


def resolve_task(args: argparse.Namespace) -> Task:
    """Return the Task of the flags. Raises UserError if the language does not exist."""
    lang, model = "anb2n" if args.lang is None else args.lang, args.model or "srn"
    if args.embed and lang != "reber":
        raise UserError(f"--embed requires --lang reber, not --lang {lang}", status=2)
    try:
        language = make_language(lang, args.length or 0, bool(args.embed))
    except ValueError as error:
        raise UserError(f"argument --lang: {error}", status=2) from None
    hid, _ = _defaults(language, model)
    length = language.max_n or language.min_length
    return Task(lang, bool(args.embed), length, model, args.hid or hid)


def folder_flags(args: argparse.Namespace) -> list[str]:
    """Return --out_path and --plot as command-line arguments, if they differ from the defaults."""
    words = []
    for name, default in DEFAULT_FOLDERS.items():
        if (folder := getattr(args, name)) != default:
            words += [f"--{name}", str(folder)]
    return words


# Checkpoints


def is_state_dict(content: dict) -> bool:
    """Return whether a file contains only weights, as the course's files do."""
    return set(content) in PARAMETER_NAMES


def load_checkpoint(content: dict, default: Task | None = None) -> tuple[Task, SRN | LSTM]:
    """Return task and network of a checkpoint's content.

    default: the task if the content is only weights. Raises ValueError if the content is invalid.
    """
    try:
        only_weights = is_state_dict(content)
        task = default if only_weights else Task(**content["task"])
        net = build_network(task)
        checkpoint.load_weights(net, content if only_weights else content["net"])
    except checkpoint.LOAD_ERRORS as error:
        raise ValueError(str(error)) from error
    return task, net


# Printing in the course's format


def match_course_number_format() -> None:
    """Set numpy's print options to those of the course's scripts: two decimals, room for a sign."""
    np.set_printoptions(precision=2, suppress=True, sign=" ", floatmode="fixed", linewidth=200)


@torch.no_grad()
def activations(net, language: Language, text: str) -> dict:
    """Return a network's activations on `text` after each of the T symbols that it reads.

    symbols: T + 1 letters, the last one is only predicted; hidden: (T, H); context: (T, H), None
    for an SRN, whose context units are copies of its hidden units; probabilities: (T, C).
    """
    sequences = language.from_strings([text])
    output = net(sequences.symbols[:-1])
    return {
        "symbols": language.decode(sequences.symbols[:, 0]),
        "hidden": output.hidden[:, 0].cpu().numpy(),
        "context": None if output.context is None else output.context[:, 0].cpu().numpy(),
        "probabilities": output.logits.softmax(-1)[:, 0].cpu().numpy(),
    }


def print_sequence(net, language: Language, text: str, context: bool = False) -> dict:
    """Print a network's activations on `text`, one line per symbol read; return them.

    A line has the hidden units, the context units if `context`, and the output probabilities.
    """
    values = activations(net, language, text)
    context = context and values["context"] is not None
    names = ("hidden", "context", "probabilities") if context else ("hidden", "probabilities")
    print(f"-----\nsymbol= {values['symbols']}")
    units = "hidden and context" if context else "hidden"
    print(f"{units} activations and output probabilities [{language.symbols}]:")
    for row in zip(values["symbols"][:-1], *(values[name] for name in names), strict=True):
        print(*row)
    return values
