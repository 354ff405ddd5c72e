"""Pictures of a two-layer perceptron: each unit's activation over the plane, and the weights."""

from __future__ import annotations

import math

import numpy as np
import torch
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch
from torch import Tensor, nn

from perceptron.network import activations, correct_points, weights
from perceptron.summary import dividing_lines, format_number

# Blue and orange, which colour-blind readers can distinguish, darker towards 0 and 1. The limits of
# an activation's four colours are the same for step units, which have only the outer two.
LEVELS = (0, 0.1, 0.5, 0.9, 1)
COLOURS = ("#9dbfe0", "#dbe8f4", "#fbe3c8", "#f2a65a")
# Dividing lines of more hidden units are drawn without an entry in the legend.
MAX_LEGEND = 8
# Grid points per axis of a picture of the plane.
STEPS = 400


def unit_picture(net: nn.Module, points: Tensor, target: Tensor, unit: int | None = None) -> Figure:
    """Draw a hidden unit's activation over the plane, with its dividing line.

    unit: None for the output unit, with the dividing lines of all hidden units (dashed).
    """
    lines, (weight, bias, *_) = dividing_lines(net), weights(net).values()
    low, high = points.min(dim=0).values, points.max(dim=0).values
    margin = max(0.5, (high - low).max().item() / 4)
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    x1, x2 = torch.linspace(left, right, STEPS), torch.linspace(bottom, top, STEPS)
    values = activations(net, torch.cartesian_prod(x1, x2))[:, -1 if unit is None else unit]

    figure = Figure(figsize=(5.6, 5.7), dpi=100)
    axes = figure.add_axes((0.1, 0.22, 0.86, 0.71))
    axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="x1", ylabel="x2", aspect="equal")
    colours = ListedColormap(COLOURS)
    axes.imshow(
        values.view(STEPS, STEPS).T.numpy(), cmap=colours, norm=BoundaryNorm(LEVELS, len(COLOURS)),
        origin="lower", extent=(left, right, bottom, top), interpolation="nearest",
    )  # fmt: skip
    for value, face, marker in ((1, "#b2182b", "o"), (0, "white", "s")):
        chosen = points[target[:, 0] == value]
        axes.scatter(
            *chosen.T.numpy(), s=90, c=face, marker=marker, edgecolors="black", zorder=5,
            label=f"target {value}",
        )  # fmt: skip
    for index in range(len(lines)) if unit is None else [unit]:
        (w1, w2), b = weight[index].tolist(), bias[index].item()
        corners = [w1 * x + w2 * y + b for x in (left, right) for y in (bottom, top)]
        visible = min(corners) < 0 < max(corners)
        style = dict(color="black", linewidth=2)
        if unit is None:
            style = dict(color=f"C{index % 10}", linestyle="--", linewidth=1.3)
            if len(lines) <= MAX_LEGEND:
                style |= dict(label=f"line of H{index + 1}")
        if visible:
            # The foot of the perpendicular from the origin is on the line.
            foot = [-b * w / (w1**2 + w2**2) for w in (w1, w2)]
            axes.axline(foot, slope=-w1 / w2 if w2 else math.inf, **style)

    if unit is None:
        name, correct = "output", int(correct_points(net, points, target).sum())
        title = f"Network with {len(lines)} hidden units: {correct} of {len(points)} points correct"
    else:
        name, line, active = lines[unit].values()
        title = f"{name}: active {active} {line}"
        if not visible and line != "(no line)":
            title += " (outside this picture)"
    axes.set_title(title, fontsize=11)
    names = (f"{name} below 0.1", "0.1 to 0.5", "0.5 to 0.9", "above 0.9")
    shown = list(zip(COLOURS, names, strict=True))
    if net.act == "step":
        shown = [(COLOURS[0], f"{name} = 0"), (COLOURS[-1], f"{name} = 1")]
    handles = [Patch(color=colour, label=label) for colour, label in shown]
    handles += axes.get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def network_picture(net: nn.Module) -> Figure:
    """Draw the network: units as circles with biases, connections as arrows with weights."""
    weight, bias, (outgoing,), out_bias = (values.tolist() for values in weights(net).values())
    hid = len(bias)
    heights = (hid - 1) / 2 - np.arange(hid)
    spread, middle, end = max(0.5, (hid - 1) / 4), 4.0, 8.0
    nodes = {"x1": (0.0, spread), "x2": (0.0, -spread)}
    nodes |= {f"H{unit + 1}": (middle, height) for unit, height in enumerate(heights)}
    nodes["output"] = (end, 0.0)
    biases = {f"H{unit + 1}": value for unit, value in enumerate(bias)} | {"output": out_bias[0]}
    arrows = [(f"x{i + 1}", f"H{unit + 1}", weight[unit][i]) for unit in range(hid) for i in (0, 1)]
    arrows += [(f"H{unit + 1}", "output", outgoing[unit]) for unit in range(hid)]

    figure = Figure(figsize=(9, max(4.0, 1.05 * hid + 0.8)), dpi=100)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.92))
    largest = max(abs(value) for *_, value in arrows) or 1.0
    for start, stop, value in arrows:
        axes.annotate(
            "", nodes[stop], nodes[start], zorder=1,
            arrowprops=dict(
                arrowstyle="-|>", color=_colour(value), shrinkA=20, shrinkB=24,
                linewidth=0.8 + 2 * abs(value) / largest,
            ),
        )  # fmt: skip
    ends = np.array([(nodes[start], nodes[stop]) for start, stop, _ in arrows])
    for (*_, value), spot, ((x, y), (x_end, y_end)) in zip(
        arrows, _label_spots(ends), ends, strict=True
    ):
        axes.text(
            *spot, format_number(value), ha="center", va="center", fontsize=9, zorder=3,
            color=_colour(value), rotation=math.degrees(math.atan2(y_end - y, x_end - x)),
            bbox=dict(facecolor="white", edgecolor="none", pad=0.6),
        )  # fmt: skip
    for name, centre in nodes.items():
        axes.add_patch(Circle(centre, 0.36, facecolor="white", edgecolor="black", zorder=4))
        text = f"{name}\nb {format_number(biases[name])}" if name in biases else name
        axes.text(*centre, text, ha="center", va="center", fontsize=8.5, zorder=5)
    kind = "sigmoid" if net.act == "sig" else "step"
    axes.set_title(
        f"{hid} hidden {kind} units; blue: positive weight, red: negative, b: bias", fontsize=11
    )
    half = max(heights[0], spread) + 0.5
    axes.set(xlim=(-0.5, end + 0.5), ylim=(-half, half), aspect="equal")
    axes.axis("off")
    return figure


def _colour(value: float) -> str:
    return "#b2182b" if value < 0 else "#2166ac"


def _label_spots(ends: np.ndarray) -> list[np.ndarray]:
    """Return a spot on each line (2, 2) of `ends` (lines, 2, 2) for its label: one after another as
    far as possible from the other lines and the labels before."""
    spots: list[np.ndarray] = []
    for index, (start, stop) in enumerate(ends):
        others = np.delete(ends, index, axis=0)
        best, most = start, -1.0
        for share in np.linspace(0.2, 0.8, 25):
            spot = start + share * (stop - start)
            along = others[:, 1] - others[:, 0]
            part = ((spot - others[:, 0]) * along).sum(axis=1) / (along**2).sum(axis=1)
            nearest = others[:, 0] + np.clip(part, 0, 1)[:, None] * along
            # A label is wider than a line: a distance from another label counts half.
            room = [*np.hypot(*(nearest - spot).T), *(math.dist(spot, s) / 2 for s in spots)]
            if min(room) > most:
                best, most = spot, min(room)
        spots.append(best)
    return spots
