"""A training run of Part 1 or Part 3: optimizer, learning rate, checkpoints.

Everything that changes during training is a function of explicit time: the learning rate of the
share of training that is completed, random numbers of the seed and the current epoch or block. A
checkpoint is therefore only settings, seed, progress, weights and the optimizer's moments, and a
resumed run ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

from cli import files

import inspect
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn, optim

# Share of training in which the learning rate rises, with the schedule onecycle.
RISE = 0.2


@dataclass
class Run:
    """A network in training.

    about: what the network is trained on, a dict of numbers and strings (task, images).
    recipe: a dataclass of flags (settings.py) with at least optim, lr, mom, weight_decay, schedule.
    length: planned epochs (Part 1) or thousands of sequences (Part 3); done: completed ones.
    reports: records of tests during training. seconds: training time.
    """

    about: dict
    recipe: Any
    seed: int
    length: int
    net: nn.Module
    optimizer: optim.Optimizer
    done: int = 0
    reports: list[dict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        return self.done >= self.length


def lr_at(recipe, share: float) -> float:
    """Return the learning rate at `share` of training, 0 .. 1.

    constant; cosine: falls to 0; onecycle: rises, then falls to 0 (torch's OneCycleLR, but of the
    share of training instead of the number of updates, because batches may grow).
    """
    if recipe.schedule == "constant":
        return recipe.lr
    rise = RISE if recipe.schedule == "onecycle" else 0.0
    if share < rise:
        return recipe.lr * (0.52 - 0.48 * math.cos(math.pi * share / rise))
    return recipe.lr * (1 + math.cos(math.pi * (share - rise) / (1 - rise))) / 2


def update(run: Run, loss: torch.Tensor, share: float, clip: float = 0.0) -> None:
    """Update the weights by the gradient of `loss` at `share` of training.

    clip: maximum norm of the gradient, 0 for no limit.
    """
    run.optimizer.zero_grad()
    loss.backward()
    if clip:
        nn.utils.clip_grad_norm_(run.net.parameters(), clip)
    run.optimizer.param_groups[0]["lr"] = lr_at(run.recipe, share)
    run.optimizer.step()


# Optimizers


def _without_compiler(optimizer: type[optim.Optimizer]) -> type[optim.Optimizer]:
    """Return a subclass of an optimizer class without the decorators of its methods.

    Their first use imports torch._dynamo, only to exclude the optimizer from compilation: 2 s, a
    fifth of the time of training an SRN. torch has no option to disable it.
    """
    names = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    # Adam's check for CUDA graphs, which are not used, fails on the CPU beside an unusable GPU.
    methods["_accelerator_graph_capture_health_check"] = lambda self: None
    # step's decorator also disables gradients.
    methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), methods)


SGD, Adam, AdamW = map(_without_compiler, (optim.SGD, optim.Adam, optim.AdamW))


def make_optimizer(recipe, net: nn.Module) -> optim.Optimizer:
    """Return a recipe's optimizer: sgd, adam or adamw."""
    if recipe.optim == "sgd":
        return SGD(net.parameters(), recipe.lr, recipe.mom, weight_decay=recipe.weight_decay)
    kind, betas = Adam if recipe.optim == "adam" else AdamW, (recipe.mom, recipe.beta2)
    return kind(net.parameters(), recipe.lr, betas, weight_decay=recipe.weight_decay, fused=True)


# Checkpoints


def save(run: Run, path: Path) -> None:
    """Write a checkpoint, which `resume` continues and any script for the network loads."""
    state = run.net.state_dict()
    for name in state:
        state[name] = state[name].cpu()
    moments = run.optimizer.state_dict()["state"]
    content = {name: getattr(run, name) for name in ("about", "seed", "length", "done", "reports")}
    content |= {"recipe": asdict(run.recipe), "seconds": run.seconds, "optimizer": moments}
    files.write_checkpoint(path, state, content)


def resume(saved: dict, recipe, net: nn.Module) -> Run:
    """Return the Run that a checkpoint holds. Raises ValueError if it is damaged.

    saved: the checkpoint's run; recipe, net: made from it, with the weights loaded.
    """
    optimizer = make_optimizer(recipe, net)
    kinds = dict(about=dict, seed=int, length=int, done=int, reports=list, seconds=float)
    parts = {name: saved.get(name) for name in kinds}
    moments = saved.get("optimizer")
    if not all(map(isinstance, [*parts.values(), moments], [*kinds.values(), dict])):
        raise ValueError(f"it lacks {', '.join(kinds)} or optimizer")
    for index, parameter in enumerate(net.parameters()):
        tensors = [value for value in moments.get(index, {}).values() if torch.is_tensor(value)]
        if any(value.ndim and value.shape != parameter.shape for value in tensors):
            raise ValueError("its optimizer is that of another network")
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    return Run(recipe=recipe, net=net, optimizer=optimizer, **parts)
