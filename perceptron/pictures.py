"""Pictures of a two-layer perceptron: each unit's activation over the plane, and the weights."""

from __future__ import annotations

import math

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from check import MLP, dividing_lines, format_number

# Orange and blue, which colour-blind readers can distinguish.
ACTIVE_COLOUR, INACTIVE_COLOUR = "#f6c28b", "#c9dcf0"


class Plane:
    """The region shown in a picture: all points with a margin, and a fine grid of plane points."""

    def __init__(self, points: Tensor, steps: int = 400):
        low, high = points.min(dim=0).values, points.max(dim=0).values
        margin = max(0.5, (high - low).max().item() / 4)
        (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
        self.extent = (left, right, bottom, top)
        x1, x2 = torch.linspace(left, right, steps), torch.linspace(bottom, top, steps)
        self.grid = torch.cartesian_prod(x1, x2)
        self.steps = steps

    def image(self, values: Tensor) -> np.ndarray:
        """Return grid values (steps * steps,) as an image (steps, steps), bottom row first."""
        return values.view(self.steps, self.steps).T.numpy()


def _plane_axes(plane: Plane, points: Tensor, target: Tensor, title: str):
    """Return a figure, and its axes with the points coloured by target."""
    figure = Figure(figsize=(5.6, 5.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for value, face, marker in ((1, "#b2182b", "o"), (0, "white", "s")):
        chosen = points[target.squeeze(1) == value]
        axes.scatter(
            *chosen.T, s=90, c=face, marker=marker, edgecolors="black", zorder=5,
            label=f"target {value}",
        )  # fmt: skip
    axes.set(xlim=plane.extent[:2], ylim=plane.extent[2:], xlabel="x1", ylabel="x2")
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=11)
    return figure, axes


def _add_legend(figure: Figure) -> Figure:
    """Add a legend below the axes; return the figure."""
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_line(axes, plane: Plane, weight: list[float], bias: float, **style) -> bool:
    """Draw the line weight . x + bias = 0; return False, drawing nothing, if it is outside."""
    w1, w2 = weight
    left, right, bottom, top = plane.extent
    corners = [w1 * x + w2 * y + bias for x in (left, right) for y in (bottom, top)]
    if not min(corners) < 0 < max(corners):
        return False
    # The foot of the perpendicular from the origin is on the line.
    foot = [-bias * w / (w1**2 + w2**2) for w in weight]
    axes.axline(foot, slope=-w1 / w2 if w2 else math.inf, **style)
    return True


def hidden_picture(net: MLP, unit: int, points: Tensor, target: Tensor) -> Figure:
    """Draw where hidden unit `unit` is active (at least 0.5), with its dividing line."""
    plane = Plane(points)
    with torch.no_grad():
        net(plane.grid)
    active = (net.hid[:, unit] >= 0.5).float()
    line, side = dividing_lines(net)[unit]
    name = f"H{unit + 1} (hid_{len(net.hid_bias)}_{unit})"
    figure, axes = _plane_axes(plane, points, target, f"{name}: active {side}")
    _fill_regions(axes, plane.image(active), plane, ("active", "inactive"))
    weight, bias = net.in_hid_weight[unit].tolist(), net.hid_bias[unit].item()
    crosses = _draw_line(axes, plane, weight, bias, color="black", linewidth=2)
    label = f"line {line}" if any(weight) else "no line: both weights are 0"
    label += ": outside this picture" if any(weight) and not crosses else ""
    # At the bottom if the line is above the picture's centre, so that the label does not hide it.
    left, right, bottom, top = plane.extent
    centre = weight[0] * (left + right) / 2 + weight[1] * (bottom + top) / 2 + bias
    low = crosses and weight[1] * centre < 0
    axes.text(
        0.5, 0.02 if low else 0.98, label, transform=axes.transAxes, zorder=6,
        ha="center", va="bottom" if low else "top",
        bbox=dict(facecolor="white", edgecolor="0.6", boxstyle="round,pad=0.25"),
    )  # fmt: skip
    return _add_legend(figure)


def output_picture(net: MLP, points: Tensor, target: Tensor) -> Figure:
    """Draw where the output is at least 0.5, with the hidden units' dividing lines (dashed)."""
    plane = Plane(points)
    with torch.no_grad():
        predicted = (net(plane.grid).squeeze(1) >= 0.5).float()
    hid = len(net.hid_bias)
    correct = int(((net(points) >= 0.5) == (target >= 0.5)).sum())
    title = f"Network with {hid} hidden units: {correct} of {len(points)} points correct"
    figure, axes = _plane_axes(plane, points, target, title)
    _fill_regions(axes, plane.image(predicted), plane, ("output >= 0.5", "output < 0.5"))
    pairs = zip(net.in_hid_weight.tolist(), net.hid_bias.tolist(), strict=True)
    for unit, (weight, bias) in enumerate(pairs):
        style = dict(color=f"C{unit % 10}", linestyle="--", linewidth=1.3)
        # A longer legend would leave no room for the axes.
        label = {"label": f"line of H{unit + 1}"} if hid <= 12 else {}
        _draw_line(axes, plane, weight, bias, **style, **label)
    return _add_legend(figure)


def _fill_regions(axes, values: np.ndarray, plane: Plane, labels: tuple[str, str]) -> None:
    """Colour the plane by an image of 1 and 0, whose legend labels are `labels` in this order."""
    colours = ListedColormap([INACTIVE_COLOUR, ACTIVE_COLOUR])
    axes.imshow(
        values, cmap=colours, vmin=0, vmax=1, origin="lower", extent=plane.extent,
        interpolation="nearest", zorder=0,
    )  # fmt: skip
    for label, colour in zip(labels, (ACTIVE_COLOUR, INACTIVE_COLOUR), strict=True):
        axes.fill_between([], [], color=colour, label=label)


def surface_picture(net: MLP, points: Tensor, target: Tensor) -> Figure:
    """Draw the output over the plane, without a threshold, with contour lines."""
    plane = Plane(points)
    with torch.no_grad():
        output = plane.image(net(plane.grid).squeeze(1))
    title = f"Output of the network with {len(net.hid_bias)} hidden units"
    figure, axes = _plane_axes(plane, points, target, title)
    image = axes.imshow(
        output, cmap="cividis", vmin=0, vmax=1, origin="lower", extent=plane.extent, zorder=0
    )
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    if output.min() < 0.5 < output.max():
        lines = axes.contour(
            output, levels=levels, origin="lower", extent=plane.extent, colors="white",
            linewidths=[1, 1, 2.4, 1, 1],
        )  # fmt: skip
        if net.act == "sig":
            axes.clabel(lines, fmt="%.1f", fontsize=8)
    figure.colorbar(image, ax=axes, label="output (thick line: 0.5)", shrink=0.85)
    return _add_legend(figure)


def network_picture(net: MLP) -> Figure:
    """Draw the network: units as circles with biases, connections as arrows with weights."""
    weights, biases = net.in_hid_weight.tolist(), net.hid_bias.tolist()
    outgoing, hid = net.hid_out_weight[0].tolist(), len(biases)
    figure = Figure(figsize=(9, max(4.0, 1.05 * hid + 0.8)), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    heights = [(hid - 1) / 2 - unit for unit in range(hid)]
    spread = max(0.5, (hid - 1) / 4)
    inputs = [(0.0, spread), (0.0, -spread)]
    hidden = [(4.0, height) for height in heights]
    largest = max(map(abs, [w for row in weights for w in row] + outgoing)) or 1.0

    def connect(start, end, weight: float, fraction: float) -> None:
        """Draw an arrow, with its weight at this fraction of its length."""
        colour = "#b2182b" if weight < 0 else "#2166ac"
        axes.annotate(
            "", end, start, zorder=1,
            arrowprops=dict(
                arrowstyle="-|>", color=colour, shrinkA=20, shrinkB=24,
                linewidth=0.8 + 2 * abs(weight) / largest,
            ),
        )  # fmt: skip
        x, y = (a + fraction * (b - a) for a, b in zip(start, end, strict=True))
        axes.text(
            x, y, format_number(weight), ha="center", va="center", fontsize=9, color=colour,
            zorder=3, bbox=dict(facecolor="white", edgecolor="none", pad=1),
        )  # fmt: skip

    def circle(centre, name: str, bias: float | None = None) -> None:
        axes.add_patch(Circle(centre, 0.36, facecolor="white", edgecolor="black", zorder=4))
        text = name if bias is None else f"{name}\nb {format_number(bias)}"
        axes.text(*centre, text, ha="center", va="center", fontsize=8.5, zorder=5)

    for unit, centre in enumerate(hidden):
        # At different fractions for the two inputs, so that their labels do not overlap.
        connect(inputs[0], centre, weights[unit][0], 0.72)
        connect(inputs[1], centre, weights[unit][1], 0.5)
        connect(centre, (8.0, 0.0), outgoing[unit], 0.42)
        circle(centre, f"H{unit + 1}", biases[unit])
    for index, centre in enumerate(inputs, 1):
        circle(centre, f"x{index}")
    circle((8.0, 0.0), "output", net.out_bias.item())
    activation = "sigmoid" if net.act == "sig" else "step"
    axes.set_title(
        f"{hid} hidden {activation} units; blue: positive weight, red: negative, b: bias",
        fontsize=11,
    )
    axes.set_xlim(-0.5, 8.5)
    axes.set_ylim(min(heights[-1], -spread) - 0.5, max(heights[0], spread) + 0.5)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure
