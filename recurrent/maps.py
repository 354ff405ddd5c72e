"""Pictures of a network's dynamics: map, fixed points and trajectories for each symbol."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from recurrent.dynamics import FixedPoint, states_along, symbol_map
from recurrent.extraction import Trajectory
from recurrent.language import Language
from recurrent.pictures import DPI, symbol_colour, word_before, word_name, words_shown

# Marker of each kind of fixed point.
MARKERS = {"attractor": "o", "saddle": "X", "repeller": "^"}
# Limit of the axes for two hidden units, whose values are between -1 and 1.
LIMIT = 1.08
# Margin of the axes for principal components, as a share of the range of the states.
MARGIN = 0.12
# Minimum number of pixels (of 300 x 300) of a decision region that is labelled with its symbol.
MIN_REGION = 60


def dynamics_picture(
    net, language: Language, trajectory: Trajectory, points: dict[int, list[FixedPoint]], title: str
) -> Figure:
    """Draw a panel for each symbol: its map, its fixed points, and its steps in words.

    The state of an SRN with two hidden units is drawn directly, with the vector field of the map
    and the decision boundary of the output; any other state by its first two principal components.
    """
    plane = _Plane(net, trajectory)
    columns = min(len(points), 4)
    rows = -(-len(points) // columns)
    figure = Figure(figsize=(1 + 3.7 * columns, 1.5 + 3.7 * rows), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    words = words_shown(language)
    colours = colormaps["viridis"](np.linspace(0.05, 0.85, len(words)))
    gold = dict(markerfacecolor="gold", markeredgecolor="black")
    for axes in grid.flat[len(points) :]:
        axes.axis("off")
    for axes, (symbol, found) in zip(grid.flat, points.items(), strict=False):
        plane.set_limits(axes)
        if plane.direct:
            _draw_field(axes, net, symbol)
            _draw_decisions(axes, net, language)
        else:
            axes.plot(*plane.project(trajectory.state).T, ".", color="0.82", markersize=3, zorder=1)
        for text, colour in zip(words, colours, strict=True):
            _draw_steps(axes, net, language, plane, text, symbol, colour)
        outside = 0
        for fixed in found:
            position = plane.project(fixed.point[None])[0]
            if plane.contains(position):
                axes.plot(*position, MARKERS[fixed.kind], markersize=11, zorder=6, **gold)
            else:
                outside += 1
        if outside:
            axes.text(
                0.98, 0.02, f"fixed points outside the axes: {outside}", ha="right",
                transform=axes.transAxes, fontsize=9, color="0.3",
            )  # fmt: skip
        axes.set_title(f"symbol {language.symbols[symbol]}", color=symbol_colour(symbol))
        axes.set_xlabel(plane.labels[0])
    for axes in grid[:, 0]:
        axes.set_ylabel(plane.labels[1])
    blank = grid.flat[0]
    handles = [
        blank.plot([], [], color=colour, linewidth=2, label=word_name(language, text))[0]
        for text, colour in zip(words, colours, strict=True)
    ]
    handles += [
        blank.plot([], [], marker, markersize=9, label=kind, **gold)[0]
        for kind, marker in MARKERS.items()
    ]
    if plane.direct:
        handles += blank.plot([], [], color="black", linewidth=1.2, label="decision boundary")
        field = dict(marker=r"$\rightarrow$", markersize=12, linestyle="", color="0.6")
        handles += blank.plot([], [], label="step of the map (not to scale)", **field)
    else:
        handles += blank.plot([], [], ".", color="0.7", label="states in words")
    columns = 5 if plane.direct else 4
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )
    if not plane.direct:
        units = "hidden and context units" if net.blocks > 1 else "hidden units"
        title += f"\nprincipal components of the {units}"
    figure.suptitle(title, fontsize=11)
    return figure


class _Plane:
    """The plane onto which state vectors are projected, with the limits of the axes.

    direct: whether it is the plane of two hidden units; otherwise that of two principal components.
    """

    def __init__(self, net, trajectory: Trajectory):
        self.direct = net.blocks == 1 and net.hid == 2
        if self.direct:
            self.labels = ("hidden unit 0", "hidden unit 1")
            self.low, self.high = np.full(2, -LIMIT), np.full(2, LIMIT)
        else:
            self._pca = PCA(2).fit(self._pad(trajectory.state))
            share = 100 * self._pca.explained_variance_ratio_
            self.labels = tuple(
                f"{order} principal component ({part:.0f} % of the variance)"
                for order, part in zip(("first", "second"), share, strict=True)
            )
            projected = self.project(trajectory.state)
            margin = MARGIN * np.ptp(projected, axis=0) + 1e-6
            self.low, self.high = projected.min(axis=0) - margin, projected.max(axis=0) + margin

    def project(self, states: np.ndarray) -> np.ndarray:
        """Return the positions (N, 2) of states (N, D)."""
        return states if self.direct else self._pca.transform(self._pad(states))

    @staticmethod
    def _pad(states: np.ndarray) -> np.ndarray:
        """Return states with a second component of 0 if they have only one."""
        return np.pad(states, ((0, 0), (0, max(0, 2 - states.shape[1]))))

    def contains(self, position: np.ndarray) -> bool:
        """Return whether a position (2,) is within the limits of the axes."""
        return bool((position > self.low).all() and (position < self.high).all())

    def set_limits(self, axes) -> None:
        axes.set_xlim(self.low[0], self.high[0])
        axes.set_ylim(self.low[1], self.high[1])


def _draw_steps(
    axes, net, language: Language, plane: _Plane, text: str, symbol: int, colour
) -> None:
    """Draw a word's steps by one symbol; the word is read after word_before, if sequences are
    chained."""
    symbols = language.encode(word_before(language) + text)
    states = plane.project(states_along(net, symbols))[-len(text) - 1 :]
    for (start, end), read in zip(pairwise(states), language.encode(text), strict=True):
        if read == symbol:
            axes.annotate(
                "", end, start, zorder=4,
                arrowprops=dict(
                    arrowstyle="-|>", mutation_scale=15,
                    color=colour, linewidth=2, shrinkA=0, shrinkB=0,
                ),
            )  # fmt: skip


def _draw_field(axes, net, symbol: int) -> None:
    """Draw the vector field of a symbol's map: small arrows in the directions of its steps."""
    across = np.linspace(-1, 1, 17)
    grid = np.stack(np.meshgrid(across, across), axis=-1).reshape(-1, 2)
    moved = symbol_map(net, symbol)(torch.from_numpy(grid)).numpy() - grid
    # Square roots of the lengths, because short steps matter as much as long ones.
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    moved = moved / np.maximum(length, 1e-9) * 0.11 * np.clip(length, 0, 1) ** 0.5
    axes.quiver(
        *grid.T, *moved.T, color="0.72", angles="xy", scale_units="xy", scale=1, width=0.004,
        zorder=1,
    )  # fmt: skip


def _draw_decisions(axes, net, language: Language) -> None:
    """Draw the decision boundaries of the output, and the most probable symbol of each region."""
    across = np.linspace(-LIMIT, LIMIT, 300)
    grid = np.stack(np.meshgrid(across, across), axis=-1)
    with torch.no_grad():
        output = net.read_out(torch.from_numpy(grid).to(net.V)).cpu().numpy()
    predicted = output.argmax(axis=-1)
    for symbol in range(language.classes):
        if (predicted == symbol).any() and (predicted != symbol).any():
            lead = output[..., symbol] - np.delete(output, symbol, axis=-1).max(axis=-1)
            axes.contour(
                across, across, lead, levels=[0], colors="black", linewidths=1.2,
                zorder=2,
            )  # fmt: skip
            rows, columns = np.nonzero(predicted == symbol)
            if len(rows) < MIN_REGION:
                continue
            centre = across[int(np.median(columns))], across[int(np.median(rows))]
            axes.text(
                *centre, language.symbols[symbol], color=symbol_colour(symbol), fontsize=22,
                alpha=0.35, ha="center", va="center", zorder=1.5, weight="bold",
            )  # fmt: skip
