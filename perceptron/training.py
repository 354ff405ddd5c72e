"""Training of sigmoid networks side by side, each as if alone: restarts at the price of one."""

from __future__ import annotations

from cli.process import Progress, Stop
from cli.settings import Number, flag
from cli.training import Adam

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

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
