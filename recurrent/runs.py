"""A training run of Part 3: how it starts, what is saved of it, how it is resumed."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict, astuple, dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from cli import checkpoint, optimizers, process
from cli.errors import UserError
from recurrent.language import Language, Sequences
from recurrent.metrics import Evaluation, Score, evaluation_set, loss_floor
from recurrent.recipes import RECIPES, Recipe, resolve_recipe
from recurrent.task import (
    REPORT_EVERY,
    TASK_FLAGS,
    Task,
    build_network,
    is_bare,
    load_checkpoint,
    resolve_task,
)


@dataclass
class Run:
    """A network in training, and what it was trained with and on so far.

    epoch: thousands of sequences in all; seen: sequences seen; reports: (seen, Score) each;
    seconds: spent training.
    """

    task: Task
    recipe: Recipe
    seed: int
    epoch: int
    net: torch.nn.Module
    optimizer: torch.optim.Optimizer
    seen: int = 0
    reports: list[tuple[int, Score]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def language(self) -> Language:
        return self.task.language

    @property
    def stem(self) -> str:
        return self.task.stem

    @property
    def progress(self) -> float:
        """The share of the run's sequences that were seen, 0 .. 1."""
        return self.seen / (self.epoch * REPORT_EVERY)

    @property
    def scores(self) -> list[Score]:
        return [score for _, score in self.reports]

    @cached_property
    def scored(self) -> Sequences:
        """The sequences on which the network is scored."""
        return evaluation_set(self.language)

    @cached_property
    def evaluation(self) -> Evaluation:
        """What judges the network."""
        return Evaluation(self.language, self.scored)

    @cached_property
    def floor(self) -> float:
        """The loss of the best possible predictor."""
        return loss_floor(self.language, self.scored)

    @property
    def plot_command(self) -> str:
        """What shows the run's last checkpoint."""
        words = [*self.task.flags, "--epoch", str(self.seen // REPORT_EVERY)]
        return f"python3 seq_plot.py {shlex.join(words)}"


def new_run(args: argparse.Namespace) -> Run:
    """Return a new Run, as the flags describe it."""
    task = resolve_task(args)
    recipe = resolve_recipe(args, task)
    seed = process.seed_everything(args.seed)
    net = build_network(task, **recipe.start).to(args.device)
    epoch = args.epoch or task.default_epoch
    return Run(task, recipe, seed, epoch, net, make_optimizer(recipe, net))


def make_optimizer(recipe: Recipe, net: torch.nn.Module) -> torch.optim.Optimizer:
    if recipe.optim == "sgd":
        return optimizers.SGD(
            net.parameters(), recipe.lr, recipe.mom, weight_decay=recipe.weight_decay
        )
    betas = (recipe.mom, recipe.beta2)
    return optimizers.Adam(
        net.parameters(), recipe.lr, betas, weight_decay=recipe.weight_decay, fused=True
    )


# Checkpoints


def save(run: Run, folder: Path) -> Path:
    """Write all that `resume` and seq_plot.py need into `folder`; return the checkpoint's path."""
    path = run.task.checkpoint(folder, run.seen // REPORT_EVERY)
    content = {
        "task": asdict(run.task),
        "recipe": run.recipe.values,
        "seed": run.seed,
        "epoch": run.epoch,
        "seen": run.seen,
        "reports": [(seen, *astuple(score)) for seen, score in run.reports],
        "seconds": run.seconds,
        "net": run.net.state_dict(),
        "optimizer": run.optimizer.state_dict(),
    }
    checkpoint.write(path, content)
    return path


def resume(args: argparse.Namespace) -> Run:
    """Return the Run that --resume goes on with.

    Raises UserError if the file or the flags do not allow it.
    """
    content = checkpoint.read(args.resume, "--resume")
    if is_bare(content):
        return start_from(content, args)
    for name in ("seed", *TASK_FLAGS, *RECIPES["tuned"]["srn"].values):
        if getattr(args, name, None) is not None:
            raise UserError(f"--resume takes --{name} from the file: leave it out", status=2)
    try:
        task, net = load_checkpoint(content)
        recipe = Recipe(**content["recipe"])
        optimizer = make_optimizer(recipe, net.to(args.device))
        moments = {"state": content["optimizer"]["state"]}
        optimizer.load_state_dict(optimizer.state_dict() | moments)
        reports = [(seen, Score(*score)) for seen, *score in content["reports"]]
        seen, seconds = content["seen"], content["seconds"]
        epoch = args.epoch or content["epoch"]
        seed = process.seed_everything(content["seed"])
    except checkpoint.LOAD_ERRORS as error:
        raise UserError(f"--resume {args.resume}: not a whole checkpoint of this script") from error
    if seen >= epoch * REPORT_EVERY:
        raise UserError(
            f"--resume {args.resume}: the run has seen all of its {seen} sequences; "
            f"a higher --epoch than {epoch} makes it longer"
        )
    return Run(task, recipe, seed, epoch, net, optimizer, seen, reports, seconds)


def start_from(weights: dict, args: argparse.Namespace) -> Run:
    """Return a new Run that starts from weights of the course's own.

    Raises UserError if they are of another network.
    """
    run = new_run(args)
    try:
        checkpoint.load_weights(run.net, weights)
    except checkpoint.LOAD_ERRORS as error:
        raise UserError(f"--resume {args.resume}: weights of another network: {error}") from error
    return run
