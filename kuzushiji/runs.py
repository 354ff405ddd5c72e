"""Training runs of Part 1: start, save and resume."""

from __future__ import annotations

from cli import checkpoint, optimizers, process
from cli.errors import UserError

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from kuzushiji.dataset import Images
from kuzushiji.recipes import Recipe, build


@dataclass
class Run:
    """A network in training.

    epochs: planned epochs; epoch: completed epochs; steps: batches in an epoch.
    """

    recipe: Recipe
    epochs: int
    seed: int
    net: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    steps: int
    epoch: int = 0


def start(recipe: Recipe, epochs: int, seed: int, images: Images) -> Run:
    """Return a new run on the device of the images."""
    net = build(recipe).to(images.train.device)
    if recipe.optim == "sgd":
        optimizer = optimizers.SGD(
            net.parameters(), recipe.lr, recipe.mom, weight_decay=recipe.weight_decay
        )
    else:
        betas = (recipe.mom, 0.999)
        optimizer = optimizers.AdamW(
            net.parameters(), recipe.lr, betas, weight_decay=recipe.weight_decay, fused=True
        )
    steps, rise = len(batches(torch.arange(len(images.train)), recipe.batch)), 0.2
    # OneCycleLR needs at least one step for its rise; very short runs use a constant rate.
    if recipe.schedule == "constant" or rise * epochs * steps <= 1:
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    else:
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, total_steps=epochs * steps, pct_start=rise, cycle_momentum=False
        )
    return Run(recipe, epochs, seed, net, optimizer, schedule, steps)


def batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Return `order` (N,) cut into batches of `size` indices, the last one shorter."""
    parts = list(order.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1 < size:
        # Merged, because batch normalisation needs more than one image.
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


# Files


def save(run: Run, path: Path, images: Images) -> None:
    """Save a network, its recipe, and the state of its training unless that has ended."""
    content = {
        "recipe": asdict(run.recipe),
        "images": images.name,
        "split": images.split,
        "state": {name: value.cpu() for name, value in run.net.state_dict().items()},
    }
    if run.epoch < run.epochs:
        content["training"] = {
            "epochs": run.epochs,
            "epoch": run.epoch,
            "seed": run.seed,
            "optimizer": run.optimizer.state_dict(),
            "schedule": run.schedule.state_dict(),
            "random": torch.get_rng_state(),
        }
    checkpoint.write(path, content)


def read(path: Path, flag: str) -> tuple[Recipe, torch.nn.Module, dict]:
    """Return recipe, network and whole content of a file that `save` wrote.

    Raises UserError, naming `flag`, for other files.
    """
    content = checkpoint.read(path, flag)
    try:
        recipe = Recipe(**content["recipe"])
        net = build(recipe)
        checkpoint.load_weights(net, content["state"])
        if not isinstance(content["images"], str):
            raise TypeError("the name of its images is missing")
    except checkpoint.LOAD_ERRORS as error:
        raise UserError(f"{flag} {path}: not a network saved by this script: {error}") from error
    return recipe, net, content


def resume(path: Path, recipe: Recipe, net, content: dict, images: Images) -> Run:
    """Return the run that --resume continues, from `read`'s recipe, network and content.

    Raises UserError if training has ended, or was on other images.
    """
    if "training" not in content:
        raise UserError(f"--resume {path}: training is complete: test this network with --load")
    if content["images"] != images.name:
        raise UserError(f"--resume {path}: trained on {content['images']}, not on {images.name}")
    saved = content["training"]
    try:
        run = start(recipe, saved["epochs"], process.seed_everything(saved["seed"]), images)
        run.net.load_state_dict(net.state_dict())
        run.optimizer.load_state_dict(saved["optimizer"])
        run.schedule.load_state_dict(saved["schedule"])
        run.epoch = saved["epoch"]
        torch.set_rng_state(saved["random"])
    except checkpoint.LOAD_ERRORS as error:
        raise UserError(f"--resume {path}: not a run saved by this script: {error}") from error
    print(f"resuming after epoch {run.epoch} of {run.epochs}")
    return run
