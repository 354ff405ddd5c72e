"""Pictures of a two-layer perceptron: what each unit computes over the plane, and its weights."""

from __future__ import annotations

import math

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from check import MLP, dividing_lines, format_number

# Colours that the colour-blind can tell apart: orange where a unit fires, blue where it does not.
FIRES, SILENT = "#f6c28b", "#c9dcf0"


class Plane:
    """The part of the plane that is drawn: all points and a margin, with a fine grid over it."""

    def __init__(self, points: Tensor, steps: int = 400):
        low, high = points.min(dim=0).values, points.max(dim=0).values
        margin = max(0.5, (high - low).max().item() / 4)
        (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
        self.extent = (left, right, bottom, top)
        across, up = torch.linspace(left, right, steps), torch.linspace(bottom, top, steps)
        self.grid = torch.cartesian_prod(across, up)
        self.steps = steps

    def image(self, values: Tensor) -> np.ndarray:
        """Return values on the grid, (steps * steps,), as an image with its lowest row first."""
        return values.view(self.steps, self.steps).T.numpy()


def _plane_axes(plane: Plane, points: Tensor, target: Tensor, title: str):
    """Return a figure with the points, coloured by target, to draw a unit's function on."""
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


def _legend(figure: Figure) -> Figure:
    """Put the legend of all that was drawn under the picture."""
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_line(axes, plane: Plane, weight: list[float], bias: float, **style) -> bool:
    """Draw where weight . x + bias = 0; return whether that line crosses the plane drawn."""
    w1, w2 = weight
    left, right, bottom, top = plane.extent
    corners = [w1 * x + w2 * y + bias for x in (left, right) for y in (bottom, top)]
    if not min(corners) < 0 < max(corners):
        return False
    # Through the point of the line that is nearest to the origin.
    nearest = [-bias * w / (w1**2 + w2**2) for w in weight]
    axes.axline(nearest, slope=-w1 / w2 if w2 else math.inf, **style)
    return True


def hidden_picture(net: MLP, node: int, points: Tensor, target: Tensor) -> Figure:
    """Draw where hidden unit `node` is active (at least 0.5), with its dividing line."""
    plane = Plane(points)
    with torch.no_grad():
        net(plane.grid)
    active = (net.hid[:, node] >= 0.5).float()
    line, side = dividing_lines(net)[node]
    name = f"H{node + 1} (hid_{len(net.hid_bias)}_{node})"
    figure, axes = _plane_axes(plane, points, target, f"{name}: active {side}")
    _show(axes, plane.image(active), plane, ("active", "not active"))
    weight, bias = net.in_hid_weight[node].tolist(), net.hid_bias[node].item()
    crosses = _draw_line(axes, plane, weight, bias, color="black", linewidth=2)
    label = f"line {line}" if any(weight) else "no line: both weights are 0"
    label += ": outside this picture" if any(weight) and not crosses else ""
    # Where the line is not: low, if it passes above the picture's centre.
    left, right, bottom, top = plane.extent
    centre = weight[0] * (left + right) / 2 + weight[1] * (bottom + top) / 2 + bias
    low = crosses and weight[1] * centre < 0
    axes.text(
        0.5, 0.02 if low else 0.98, label, transform=axes.transAxes, zorder=6,
        ha="center", va="bottom" if low else "top",
        bbox=dict(facecolor="white", edgecolor="0.6", boxstyle="round,pad=0.25"),
    )  # fmt: skip
    return _legend(figure)


def output_picture(net: MLP, points: Tensor, target: Tensor) -> Figure:
    """Draw where the output is at least 0.5, with the hidden units' dividing lines, dashed."""
    plane = Plane(points)
    with torch.no_grad():
        answer = (net(plane.grid).squeeze(1) >= 0.5).float()
    count = len(net.hid_bias)
    wrong = int(((net(points) >= 0.5) != (target >= 0.5)).sum())
    title = f"Output of the network with {count} hidden units: {len(points) - wrong} of "
    figure, axes = _plane_axes(plane, points, target, f"{title}{len(points)} right")
    _show(axes, plane.image(answer), plane, ("output 1", "output 0"))
    pairs = zip(net.in_hid_weight.tolist(), net.hid_bias.tolist(), strict=True)
    for node, (weight, bias) in enumerate(pairs):
        style = dict(color=f"C{node % 10}", linestyle="--", linewidth=1.3)
        # More names than these would leave no room for the picture.
        name = {"label": f"line of H{node + 1}"} if count <= 12 else {}
        _draw_line(axes, plane, weight, bias, **style, **name)
    return _legend(figure)


def _show(axes, values: np.ndarray, plane: Plane, names: tuple[str, str]) -> None:
    """Colour the plane by a function with values 1 and 0, which are called `names`."""
    colours = ListedColormap([SILENT, FIRES])
    axes.imshow(
        values, cmap=colours, vmin=0, vmax=1, origin="lower", extent=plane.extent,
        interpolation="nearest", zorder=0,
    )  # fmt: skip
    for name, colour in zip(names, (FIRES, SILENT), strict=True):
        axes.fill_between([], [], color=colour, label=name)


def surface_picture(net: MLP, points: Tensor, target: Tensor) -> Figure:
    """Draw the output before it is cut at 0.5, in shades, with contour lines."""
    plane = Plane(points)
    with torch.no_grad():
        output = plane.image(net(plane.grid).squeeze(1))
    count = len(net.hid_bias)
    title = f"Output with {count} hidden units, not cut at 0.5"
    figure, axes = _plane_axes(plane, points, target, title)
    shown = axes.imshow(
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
    figure.colorbar(shown, ax=axes, label="output (thick line: 0.5)", shrink=0.85)
    return _legend(figure)


def network_picture(net: MLP) -> Figure:
    """Draw the network: circles with their biases, arrows with their weights."""
    weights, biases = net.in_hid_weight.tolist(), net.hid_bias.tolist()
    outgoing, count = net.hid_out_weight[0].tolist(), len(biases)
    figure = Figure(figsize=(9, max(4.0, 1.05 * count + 0.8)), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    heights = [(count - 1) / 2 - node for node in range(count)]
    spread = max(0.5, (count - 1) / 4)
    inputs = [(0.0, spread), (0.0, -spread)]
    hidden = [(4.0, height) for height in heights]
    largest = max(map(abs, [w for row in weights for w in row] + outgoing)) or 1.0

    def connect(start, end, weight: float, place: float) -> None:
        colour = "#b2182b" if weight < 0 else "#2166ac"
        axes.annotate(
            "", end, start, zorder=1,
            arrowprops=dict(
                arrowstyle="-|>", color=colour, shrinkA=20, shrinkB=24,
                linewidth=0.8 + 2 * abs(weight) / largest,
            ),
        )  # fmt: skip
        x, y = (a + place * (b - a) for a, b in zip(start, end, strict=True))
        axes.text(
            x, y, format_number(weight), ha="center", va="center", fontsize=9, color=colour, zorder=3,
            bbox=dict(facecolor="white", edgecolor="none", pad=1),
        )  # fmt: skip

    def circle(place, name: str, bias: float | None = None) -> None:
        axes.add_patch(Circle(place, 0.36, facecolor="white", edgecolor="black", zorder=4))
        text = name if bias is None else f"{name}\nb {format_number(bias)}"
        axes.text(*place, text, ha="center", va="center", fontsize=8.5, zorder=5)

    for node, place in enumerate(hidden):
        # The labels of the two inputs stand in two columns, so that they never meet.
        connect(inputs[0], place, weights[node][0], 0.72)
        connect(inputs[1], place, weights[node][1], 0.5)
        connect(place, (8.0, 0.0), outgoing[node], 0.42)
        circle(place, f"H{node + 1}", biases[node])
    for index, place in enumerate(inputs, 1):
        circle(place, f"x{index}")
    circle((8.0, 0.0), "output", net.out_bias.item())
    unit = "sigmoid" if net.act == "sig" else "step"
    axes.set_title(
        f"{count} hidden {unit} units; blue: weight above 0, red: below 0, b: bias", fontsize=11
    )
    axes.set_xlim(-0.5, 8.5)
    axes.set_ylim(min(heights[-1], -spread) - 0.5, max(heights[0], spread) + 0.5)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure
