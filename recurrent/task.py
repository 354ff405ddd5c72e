"""The task of Part 3: which network learns which language.

seq_train.py and seq_plot.py take the same flags for it, find the same checkpoint by it, build the
same network, and print what the network does on a sequence in the same form.
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
from seq_models import LSTM, PARAMETERS, SRN

# Sequences between two reports of training; they are sampled together, by a seed of their own.
REPORT_EVERY = 1000
# Thousands of sequences between two checkpoints.
CHECKPOINT_EVERY = 10
# Exit status of training that ends without success.
FAILED = 3
# Where checkpoints and pictures go by default.
FOLDERS = {"out_path": Path("net"), "plot": Path("plot")}
# Hidden units and thousands of sequences for each language and network; the first four rows are
# the course's. What is not here gets as many hidden units as symbols, and 100.
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
    """Return the language that --lang, --length and --embed describe; length 0 is its default.

    Raises ValueError if no language has that name.
    """
    if name == "reber":
        return reber.reber(embed, length)
    return anb2n.counting(name, length or anb2n.MAX_N)


@dataclass(frozen=True)
class Task:
    """What the task flags ask for, with nothing left open: a field for each flag."""

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
        """anb2n_srn2: what the names of the network's files begin with."""
        return f"{self.language.name}_{self.model}{self.hid}"

    @property
    def default_epoch(self) -> int:
        """How long training takes by default, in thousands of sequences."""
        return _defaults(self.language, self.model)[1]

    @property
    def flags(self) -> list[str]:
        """The words of a command line that ask for this task."""
        words = ["--lang", self.lang]
        words += ["--embed"] if self.embed else []
        if self.length != (anb2n.MAX_N if self.language.times else 0):
            words += ["--length", str(self.length)]
        return [*words, "--model", self.model, "--hid", str(self.hid)]

    def checkpoint(self, folder: Path, epoch: int) -> Path:
        """net/anb2n_srn2_100.pth: the checkpoint's path, by thousands of sequences seen."""
        return folder / f"{self.stem}_{epoch}.pth"

    def epoch_flags(self, epoch: int) -> list[str]:
        """The words with which training leaves checkpoint `epoch`: none where it does by default.

        So checkpoint 50 is one on the way to 100, and not the end of a shorter training.
        """
        on_the_way = epoch % CHECKPOINT_EVERY == 0 and epoch <= self.default_epoch
        return [] if on_the_way else ["--epoch", str(epoch)]


TASK_FLAGS = tuple(field.name for field in fields(Task))


def _defaults(language: Language, model: str) -> tuple[int, int]:
    """Hidden units and thousands of sequences."""
    return DEFAULTS.get((language.name, model), (language.classes, 100))


def build_network(task: Task, **start) -> SRN | LSTM:
    """Return the task's network with random first weights; `start`: see SRN and LSTM."""
    kind = SRN if task.model == "srn" else LSTM
    return kind(task.language.classes, task.hid, **start)


# Flags


def add_task_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that ask for a task, and for the folder of its checkpoints."""
    parser.add_argument(
        "--lang",
        metavar="NAME",
        help="reber, or a counting language: anbn, anb2n, anbncn, anb2nc3n, ... (default: anb2n)",
    )
    flags.add_switch(parser, "--embed", "the embedded Reber grammar")
    parser.add_argument(
        "--length",
        type=flags.Integer(0, 40),
        help="highest n (default: 4); reber: minimum number of symbols in a word",
    )
    parser.add_argument("--model", choices=("srn", "lstm"), help="network (default: srn)")
    parser.add_argument(
        "--hid",
        type=flags.Integer(0, 1000),
        help="hidden units (default, or 0: as many as the course takes, or one for each symbol)",
    )
    parser.add_argument(
        "--out_path",
        type=flags.path,
        default=FOLDERS["out_path"],
        metavar="DIR",
        help="folder of checkpoints",
    )


def resolve_task(args: argparse.Namespace) -> Task:
    """Return the task that the flags ask for.

    Raises UserError if there is no such language.
    """
    lang, model = "anb2n" if args.lang is None else args.lang, args.model or "srn"
    if args.embed and lang != "reber":
        raise UserError(f"--embed goes with --lang reber, not with --lang {lang}", status=2)
    try:
        language = make_language(lang, args.length or 0, bool(args.embed))
    except ValueError as error:
        raise UserError(f"argument --lang: {error}", status=2) from None
    hid, _ = _defaults(language, model)
    length = language.max_n or language.min_length
    return Task(lang, bool(args.embed), length, model, args.hid or hid)


def folder_flags(args: argparse.Namespace) -> list[str]:
    """Return the words that repeat --out_path and --plot where they are not the usual folders."""
    words = []
    for name, usual in FOLDERS.items():
        if (folder := getattr(args, name)) != usual:
            words += [f"--{name}", str(folder)]
    return words


# Checkpoints


def is_bare(content: dict) -> bool:
    """Return whether a file holds weights and nothing else, as the course's own files do."""
    return set(content) in PARAMETERS


def load_checkpoint(content: dict, asked: Task | None = None) -> tuple[Task, SRN | LSTM]:
    """Return task and network of a checkpoint's content; a bare one has the task asked for.

    Raises ValueError if it is not whole.
    """
    try:
        bare = is_bare(content)
        task = asked if bare else Task(**content["task"])
        net = build_network(task)
        checkpoint.load_weights(net, content if bare else content["net"])
    except checkpoint.LOAD_ERRORS as error:
        raise ValueError(str(error)) from error
    return task, net


# Printed as the course prints


def print_numbers_as_the_course() -> None:
    """Have numpy print arrays as the course's scripts do: two digits, a place for the sign."""
    np.set_printoptions(precision=2, suppress=True, sign=" ", floatmode="fixed", linewidth=200)


@torch.no_grad()
def activations(net, language: Language, text: str) -> dict:
    """Return what a network does on `text`, after each of the T symbols that it reads.

    symbols: T + 1 of them, the last is predicted; hidden (T, H); context (T, H), None of an SRN,
    whose context units are a copy of its hidden units; probabilities (T, C).
    """
    sequences = language.from_strings([text])
    run = net(sequences.symbols[:-1])
    return {
        "symbols": language.decode(sequences.symbols[:, 0]),
        "hidden": run.hidden[:, 0].cpu().numpy(),
        "context": None if run.context is None else run.context[:, 0].cpu().numpy(),
        "probabilities": run.logits.softmax(-1)[:, 0].cpu().numpy(),
    }


def print_sequence(net, language: Language, text: str, context: bool = False) -> dict:
    """Print and return the activations of a network on `text`: a line for each symbol read, with
    the hidden units after it, the context units if asked for, and the output probabilities."""
    found = activations(net, language, text)
    context = context and found["context"] is not None
    names = ("hidden", "context", "probabilities") if context else ("hidden", "probabilities")
    print(f"-----\nsymbol= {found['symbols']}")
    units = "hidden and context" if context else "hidden"
    print(f"{units} activations and output probabilities [{language.symbols}]:")
    for row in zip(found["symbols"][:-1], *(found[name] for name in names), strict=True):
        print(*row)
    return found
