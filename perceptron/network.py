"""The network of check.py as the scripts use it, its points, and its training.

Any class fits that computes sigmoid(V sigmoid(W x + b) + c), or the same with step units, has W, b,
V and c as its parameters in this order, and keeps its hidden activations in `hid`.
"""

from __future__ import annotations

from cli.files import require_file
from cli.process import Progress, Stop, UserError
from cli.settings import Number, flag
from cli.training import Adam

import csv
from argparse import ArgumentTypeError
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import check

# The parameters, in their order, by their names under "Enter Weights Here".
NAMES = ("in_hid_weight", "hid_bias", "hid_out_weight", "out_bias")


def make_net(hid: int, act: str, values: Iterable | None = None) -> nn.Module:
    """Return check.MLP(hid, act) with weights W (hid, 2), b (hid,), V (1, hid), c (1,).

    values: None for those of its set_weights(). Raises UserError if the class or these do not fit.
    """
    try:
        net = check.MLP(hid, act)
        if values is None:
            net.set_weights()
        else:
            for parameter, value in zip(net.parameters(), values, strict=True):
                parameter.data = torch.as_tensor(value, dtype=torch.float32)
        shapes = (hid, 2), (hid,), (1, hid), (1,)
        for name, parameter, shape in zip(NAMES, net.parameters(), shapes, strict=True):
            if parameter.shape != shape:
                raise UserError(
                    f"{name} in check.py has the shape {tuple(parameter.shape)}, but {hid} hidden "
                    f'units need {shape}: change it under "Enter Weights Here", or change --hid'
                )
            if not parameter.isfinite().all():
                raise UserError(f"{name} in check.py contains a non-finite number")
        activations(net, torch.zeros(1, 2))
        net.act = act
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        # of a class edited by a student
        raise UserError(
            f'check.py: MLP({hid}, "{act}") or its weights cannot be used: {error}'
        ) from error
    return net


def weights(net: nn.Module) -> dict[str, Tensor]:
    """Return the weights and biases by their names under "Enter Weights Here"."""
    return {name: p.detach() for name, p in zip(NAMES, net.parameters(), strict=True)}


@torch.no_grad()
def activations(net: nn.Module, points: Tensor) -> Tensor:
    """Return the activations of the hidden units and, as last column, the output: (N, hid + 1)."""
    output = net(points)
    return torch.cat([net.hid, output], dim=1)


def correct_points(net: nn.Module, points: Tensor, target: Tensor) -> Tensor:
    """Return which outputs, thresholded at 0.5, equal the targets (N, 1): (N,) bool."""
    return (activations(net, points)[:, -1] >= 0.5) == (target[:, 0] >= 0.5)


# Points

COLUMNS = {"X1": Number(-1e6, 1e6), "X2": Number(-1e6, 1e6), "T": Number(0, 1, int)}


def read_table(path: Path) -> tuple[Tensor, Tensor]:
    """Return points (N, 2) and targets (N, 1), 0 or 1, from a CSV file with columns X1, X2 and T.

    Raises UserError, with row (line of the file) and column, if a value is missing or invalid.
    """
    require_file(path, "--data")
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--data {path} is not a readable CSV file: {error}") from error
    header, values = reader.fieldnames, []
    if any(header.count(column) != 1 for column in COLUMNS) or not rows:
        raise UserError(
            f"--data {path}: {len(rows)} points below the header {','.join(header)!r}; expected "
            "the columns X1, X2 and T, separated by commas, and a row for each point"
        )
    for line, row in rows:
        if None in row:
            raise UserError(f"--data {path}, row {line}: more values than the header has columns")
        for column, kind in COLUMNS.items():
            try:
                values.append(kind((row[column] or "").strip()))
            except ArgumentTypeError as error:
                raise UserError(f"--data {path}, row {line}, column {column}: {error}") from None
    table = torch.tensor(values, dtype=torch.float32).view(-1, len(COLUMNS))
    return table[:, :2], table[:, 2:]


# Training: networks side by side, each as if alone, so that restarts cost as much as one.

# Epochs between two training lines.
REPORT_EVERY = 100
# Training ends when a network has classified all points correctly for this number of epochs.
STABLE_EPOCHS = 2000
# The course's weight decay for Adam.
WEIGHT_DECAY = 1e-5


@dataclass(frozen=True)
class Recipe:
    """Settings of training."""

    lr: float = flag(Number(0, 100, low_excluded=True), "learning rate")
    init: float = flag(Number(0, 100), "standard deviation of the initial weights")
    epoch: int = flag(
        Number(1, 10_000_000, int),
        f"maximum number of epochs; training ends earlier after {STABLE_EPOCHS} epochs with all "
        "points correct",
    )
    restarts: int = flag(
        Number(1, 10_000, int), "networks with different initial weights, trained side by side"
    )


RECIPES = {
    "assignment": Recipe(lr=0.001, init=0.15, epoch=200_000, restarts=1),
    "tuned": Recipe(lr=0.1, init=1.0, epoch=6000, restarts=32),
}


def init_weights(recipe: Recipe, hid: int) -> list[Tensor]:
    """Sample normally distributed W (R, hid, 2), b (R, 1, hid), V (R, 1, hid), c (R, 1, 1) for
    R = `recipe.restarts` networks."""
    shapes = (hid, 2), (1, hid), (1, hid), (1, 1)
    return [torch.randn(recipe.restarts, *shape) * recipe.init for shape in shapes]


def two_layers(points: Tensor, weight, bias, out_weight, out_bias) -> Tensor:
    """Return the outputs (N, 1) of a network of sigmoid units, (R, N, 1) of R networks."""
    return torch.sigmoid(torch.sigmoid(points @ weight.mT + bias) @ out_weight.mT + out_bias)


def train(weights: list[Tensor], recipe: Recipe, points: Tensor, target: Tensor, stop: Stop):
    """Train networks from the weights of `init_weights` on points (N, 2) and targets (N, 1).

    Full batch. Prints the best network's loss and accuracy every REPORT_EVERY epochs. Ends at
    `recipe.epoch`, at `stop`, or when a network has been correct for STABLE_EPOCHS. Returns the
    best network's weights, and a dict: epochs, restarts, and how many of these are correct.

    Each network trains as if alone, because its loss depends only on its own weights and Adam
    updates every weight separately.
    """
    device, restarts = points.device, recipe.restarts
    weights = [values.clone().to(device).requires_grad_() for values in weights]
    optimizer = Adam(weights, recipe.lr, weight_decay=WEIGHT_DECAY, fused=True)
    targets = target.expand(restarts, *target.shape)
    epochs_correct = torch.zeros(restarts, dtype=torch.int64, device=device)
    best, progress = 0, Progress(recipe.epoch)
    for epoch in range(1, recipe.epoch + 1):
        output = two_layers(points, *weights)
        loss = F.binary_cross_entropy(output, targets, reduction="none").mean(dim=(1, 2))
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        correct = ((output.detach() >= 0.5) == (targets >= 0.5)).sum(dim=(1, 2))
        epochs_correct = (epochs_correct + 1) * (correct == len(points))
        done = stop or epoch == recipe.epoch or epochs_correct.max() >= STABLE_EPOCHS
        if epoch % REPORT_EVERY == 0 or done:
            best = max(range(restarts), key=lambda i: (correct[i], epochs_correct[i], -loss[i]))
            progress.clear()
            if epoch % REPORT_EVERY == 0:
                accuracy = 100 * correct[best].item() / len(points)
                print(f"ep: {epoch} loss: {loss[best]:.4f} acc: {accuracy:.2f}", flush=True)
        if done:
            break
        progress.update(epoch, f"epoch {epoch} of at most {recipe.epoch}")
    # After the last update, which `correct` precedes.
    solved = ((two_layers(points, *weights) >= 0.5) == (targets >= 0.5)).all(dim=(1, 2))
    results = {"epochs": epoch, "restarts": restarts, "restarts_correct": int(solved.sum())}
    found = [values[best].detach().cpu() for values in weights]
    return [found[0], found[1].flatten(), found[2], found[3].flatten()], results
