"""Pictures of a network's dynamics: the map of each symbol, words' paths on it, fixed points."""

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

# A fixed point's mark by its kind.
MARKS = {"attractor": "o", "saddle": "X", "repeller": "^"}


def dynamics_picture(
    net, language: Language, trajectory: Trajectory, points: dict[int, list[FixedPoint]], title: str
) -> Figure:
    """Draw a panel for each symbol: where its map moves the state, words' paths, fixed points.

    Two hidden units of an SRN are drawn as they are, with the field of the map and the line at
    which the output's choice changes; anything larger in its plane of largest spread.
    """
    plane = _Plane(net, trajectory)
    columns = min(len(points), 4)
    rows = -(-len(points) // columns)
    figure = Figure(figsize=(1 + 3.7 * columns, 1.5 + 3.7 * rows), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    words = words_shown(language)
    shades = colormaps["viridis"](np.linspace(0.05, 0.85, len(words)))
    gold = dict(markerfacecolor="gold", markeredgecolor="black")
    for axes in grid.flat[len(points) :]:
        axes.axis("off")
    for axes, (symbol, found) in zip(grid.flat, points.items(), strict=False):
        plane.frame(axes)
        if plane.direct:
            _field(axes, net, symbol)
            _decision(axes, net, language)
        else:
            axes.plot(*plane.of(trajectory.state).T, ".", color="0.82", markersize=3, zorder=1)
        for text, shade in zip(words, shades, strict=True):
            _steps(axes, net, language, plane, text, symbol, shade)
        places = [plane.of(fixed.point[None])[0] for fixed in found]
        shown = [plane.inside(place) for place in places]
        for fixed, place, inside in zip(found, places, shown, strict=True):
            if inside:
                axes.plot(*place, MARKS[fixed.kind], markersize=11, zorder=6, **gold)
        if not all(shown):
            axes.text(
                0.98, 0.02, f"fixed points outside: {shown.count(False)}", ha="right",
                transform=axes.transAxes, fontsize=9, color="0.3",
            )  # fmt: skip
        axes.set_title(f"symbol {language.symbols[symbol]}", color=symbol_colour(symbol))
        axes.set_xlabel(plane.names[0])
    for axes in grid[:, 0]:
        axes.set_ylabel(plane.names[1])
    blank = grid.flat[0]
    handles = [
        blank.plot([], [], color=shade, linewidth=2, label=word_name(language, text))[0]
        for text, shade in zip(words, shades, strict=True)
    ]
    handles += [
        blank.plot([], [], mark, markersize=9, label=f"{kind} of the map", **gold)[0]
        for kind, mark in MARKS.items()
    ]
    if plane.direct:
        handles += blank.plot([], [], color="black", linewidth=1.2, label="output's choice changes")
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    if not plane.direct:
        units = "hidden and context units" if net.blocks > 1 else "hidden units"
        title += f"\nprincipal components of the {units}"
    figure.suptitle(title, fontsize=11)
    return figure


class _Plane:
    """The plane in which state vectors are drawn, and the part of it that is shown."""

    def __init__(self, net, trajectory: Trajectory):
        self.direct = net.blocks == 1 and net.hid == 2
        if self.direct:
            self.names = ("hidden unit 0", "hidden unit 1")
            self.low, self.high = np.full(2, -1.08), np.full(2, 1.08)
        else:
            self._pca = PCA(2).fit(self._wide(trajectory.state))
            share = 100 * self._pca.explained_variance_ratio_
            self.names = tuple(
                f"{order} principal component ({part:.0f} % of the variance)"
                for order, part in zip(("first", "second"), share, strict=True)
            )
            places = self.of(trajectory.state)
            room = 0.12 * np.ptp(places, axis=0) + 1e-6
            self.low, self.high = places.min(axis=0) - room, places.max(axis=0) + room

    def of(self, states: np.ndarray) -> np.ndarray:
        return states if self.direct else self._pca.transform(self._wide(states))

    @staticmethod
    def _wide(states: np.ndarray) -> np.ndarray:
        """States with at least two components, the second of a single unit being 0."""
        return np.pad(states, ((0, 0), (0, max(0, 2 - states.shape[1]))))

    def inside(self, place: np.ndarray) -> bool:
        return bool((place > self.low).all() and (place < self.high).all())

    def frame(self, axes) -> None:
        axes.set_xlim(self.low[0], self.high[0])
        axes.set_ylim(self.low[1], self.high[1])


def _steps(axes, net, language: Language, plane: _Plane, text: str, symbol: int, shade) -> None:
    """Draw the steps of a word that one symbol makes, the word being read after another one."""
    symbols = language.encode(word_before(language) + text)
    states = plane.of(states_along(net, symbols))[-len(text) - 1 :]
    numbers = language.encode(text)
    for (one, other), read in zip(pairwise(states), numbers, strict=True):
        if read == symbol:
            axes.annotate(
                "", other, one, zorder=4,
                arrowprops=dict(
                    arrowstyle="-|>", mutation_scale=15,
                    color=shade, linewidth=2, shrinkA=0, shrinkB=0,
                ),
            )  # fmt: skip


def _field(axes, net, symbol: int) -> None:
    """Draw small arrows that show where the map of a symbol moves hidden vectors."""
    across = np.linspace(-1, 1, 17)
    grid = np.stack(np.meshgrid(across, across), axis=-1).reshape(-1, 2)
    moved = symbol_map(net, symbol)(torch.from_numpy(grid)).numpy() - grid
    # Lengths are compressed: a slow passage is as important as a jump.
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    moved = moved / np.maximum(length, 1e-9) * 0.11 * np.clip(length, 0, 1) ** 0.5
    axes.quiver(
        *grid.T, *moved.T, color="0.72", angles="xy", scale_units="xy", scale=1, width=0.004,
        zorder=1,
    )  # fmt: skip


def _decision(axes, net, language: Language) -> None:
    """Draw lines where the most probable symbol changes."""
    across = np.linspace(-1.08, 1.08, 300)
    grid = np.stack(np.meshgrid(across, across), axis=-1)
    with torch.no_grad():
        output = net.read_out(torch.from_numpy(grid).to(net.V)).cpu().numpy()
    choice = output.argmax(axis=-1)
    for symbol in range(language.classes):
        if (choice == symbol).any() and (choice != symbol).any():
            lead = output[..., symbol] - np.delete(output, symbol, axis=-1).max(axis=-1)
            axes.contour(
                across, across, lead, levels=[0], colors="black", linewidths=1.2,
                zorder=2,
            )  # fmt: skip
            rows, columns = np.nonzero(choice == symbol)
            if len(rows) < 60:
                continue
            place = across[int(np.median(columns))], across[int(np.median(rows))]
            axes.text(
                *place, language.symbols[symbol], color=symbol_colour(symbol), fontsize=22,
                alpha=0.35, ha="center", va="center", zorder=1.5, weight="bold",
            )  # fmt: skip
