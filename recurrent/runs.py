"""Training runs of Part 3: start, save and resume."""

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
from recurrent.metrics import Evaluation, Score, evaluation_set, reference_loss
from recurrent.recipes import RECIPE_FLAGS, Recipe, resolve_recipe
from recurrent.task import (
    REPORT_EVERY,
    TASK_FLAGS,
    Task,
    build_network,
    is_state_dict,
    load_checkpoint,
    resolve_task,
)


@dataclass
class Run:
    """A network in training, with its settings and the progress so far.

    epoch: length of the run in thousands of sequences. seen: number of sequences so far. reports:
    (seen, Score) of each report. seconds: training time.
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
        """The fraction of training completed, 0 .. 1."""
        return self.seen / (self.epoch * REPORT_EVERY)

    @property
    def scores(self) -> list[Score]:
        return [score for _, score in self.reports]

    @cached_property
    def evaluation_sequences(self) -> Sequences:
        return evaluation_set(self.language)

    @cached_property
    def evaluation(self) -> Evaluation:
        return Evaluation(self.language, self.evaluation_sequences)

    @cached_property
    def reference_loss(self) -> float:
        """The loss of an optimal predictor."""
        return reference_loss(self.language, self.evaluation_sequences)

    @property
    def plot_command(self) -> str:
        """The command that plots the run's last checkpoint."""
        words = [*self.task.flags, "--epoch", str(self.seen // REPORT_EVERY)]
        return f"python3 seq_plot.py {shlex.join(words)}"


def new_run(args: argparse.Namespace) -> Run:
    """Return a new Run with the settings of the flags."""
    task = resolve_task(args)
    recipe = resolve_recipe(args, task)
    seed = process.seed_everything(args.seed)
    net = build_network(task, **recipe.init_args).to(args.device)
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
    """Save a checkpoint for `resume` and seq_plot.py in `folder`; return its path."""
    path = run.task.checkpoint(folder, run.seen // REPORT_EVERY)
    content = {
        "task": asdict(run.task),
        "recipe": run.recipe.flag_values,
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
    """Return the Run that --resume continues; a new one if the file contains only weights.

    Raises UserError if the file is invalid, or if a flag is given whose value the file determines.
    """
    content = checkpoint.read(args.resume, "--resume")
    if is_state_dict(content):
        return start_from_weights(content, args)
    for name in ("seed", *TASK_FLAGS, *RECIPE_FLAGS):
        if getattr(args, name, None) is not None:
            raise UserError(f"--resume reads --{name} from the file: leave it out", status=2)
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
        raise UserError(
            f"--resume {args.resume}: damaged, or not a checkpoint of seq_train.py"
        ) from error
    if seen >= epoch * REPORT_EVERY:
        raise UserError(
            f"--resume {args.resume}: already trained on {seen} sequences; "
            f"to train longer, use --epoch {seen // REPORT_EVERY + 1} or higher"
        )
    return Run(task, recipe, seed, epoch, net, optimizer, seen, reports, seconds)


def start_from_weights(weights: dict, args: argparse.Namespace) -> Run:
    """Return a new Run that starts from a state_dict, as the course saves it.

    Raises UserError if it does not fit the network of the flags.
    """
    run = new_run(args)
    try:
        checkpoint.load_weights(run.net, weights)
    except checkpoint.LOAD_ERRORS as error:
        raise UserError(
            f"--resume {args.resume}: weights of another network (check --lang, --model, --hid): "
            f"{error}"
        ) from error
    return run
