"""Pictures of a network's states: clusters of its vectors, and the machine that they form."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise

import networkx
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from scipy.spatial import ConvexHull, QhullError, cKDTree
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from recurrent.extraction import Trajectory
from recurrent.language import Language
from recurrent.layout import Layout
from recurrent.machine import Machine, States
from recurrent.pictures import DPI, colour_bar, symbol_colour

# More states than these leave no room for the names of all: their picture shows the shape only,
# arrows in the colours of their symbols.
CROWDED = 60
# More clusters than these are not outlined: nobody could tell them apart.
MAX_OUTLINED = 150

# Clusters


def best_plane(vectors: np.ndarray, cluster: np.ndarray, names: list[str]):
    """A plane in which the clusters lie apart: (P, 2) coordinates and the names of both axes.

    Tried are all pairs of components, the plane of the largest spread (PCA) and that which
    separates the clusters most (LDA); taken is that in which the fewest centres come close.
    """
    width = vectors.shape[1]
    if width == 1:
        return np.column_stack([vectors, np.zeros(len(vectors))]), (names[0], "")
    # Of many components the pairs would take minutes.
    pairs = combinations(range(width if width <= 12 else 2), 2)
    planes = [(vectors[:, pair], (names[pair[0]], names[pair[1]])) for pair in pairs]
    if width > 2:
        axes = ("first principal component", "second principal component")
        planes.append((PCA(2).fit_transform(vectors), axes))
    # LDA has one axis fewer than clusters.
    if width > 2 and len(vectors) > cluster.max() + 1 > 2:
        axes = ("first discriminant", "second discriminant")
        planes.append(
            (LinearDiscriminantAnalysis(n_components=2).fit_transform(vectors, cluster), axes)
        )
    crowds = []
    for plane, _ in planes:
        low, spread = plane.min(axis=0), np.maximum(np.ptp(plane, axis=0), 1e-9)
        centres = np.array([plane[cluster == g].mean(axis=0) for g in range(cluster.max() + 1)])
        # A pair costs more the closer it is; what is a tenth of the picture apart costs nothing.
        crowds.append(np.clip(0.1 - pdist((centres - low) / spread), 0, None).sum())
    return planes[int(np.argmin(crowds))]


def states_picture(
    trajectory: Trajectory, states: States, names: list[str], language: Language, title: str
) -> Figure:
    """The clusters of a network's vectors with their boundaries and names, and arrows between them.

    names: of each cluster. The picture is the annotated one that the assignment asks for. Dots
    outside the language have no colour. Of more than MAX_OUTLINED clusters only the dots are drawn.
    """
    vectors, cluster = trajectory.state[:, : states.size], states.cluster
    # A sequence's end is a state without vectors: no arrow can point to it here.
    count = int(cluster.max()) + 1
    inner = states.machine.transitions[:count]
    machine = replace(states.machine, transitions=np.where(inner < count, inner, -1))
    axis_names = [f"hidden unit {unit}" for unit in range(trajectory.hid)]
    axis_names += [f"context unit {unit}" for unit in range(trajectory.hid)]
    plane, labels = best_plane(vectors, cluster, axis_names)
    many = count > 16
    font = 8 if many else 10
    figure, axes = _canvas((13, 10) if many else (10, 7.6), plane, 0.07)
    window = axes.get_window_extent()
    # Places in pixels from the corner of the axes, for the layout, and back.
    pixels = axes.transData.transform(plane) - window.p0

    def back(places: np.ndarray) -> np.ndarray:
        return axes.transData.inverted().transform(places + window.p0)

    dots = axes.scatter(
        *plane.T, c=np.where(trajectory.node >= 0, language.number[trajectory.node], np.nan), cmap="jet", s=14,
        edgecolors="0.25", linewidths=0.3, vmin=0, vmax=language.number.max(), zorder=4,
        plotnonfinite=True,
    )  # fmt: skip
    axes.plot(*plane[0], "x", color="black", markersize=12, markeredgewidth=2.6, zorder=6)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_title(title, fontsize=11)
    colour_bar(figure, dots, language, cax=figure.add_axes((0.915, 0.12, 0.016, 0.76)))
    if count > MAX_OUTLINED:
        return figure
    padding = _padding(pixels, cluster)
    rings = [_ring(pixels[cluster == g]) for g in range(count)]
    layout = Layout(window.size, [_dense(ring) for ring in rings], np.full(len(rings), padding))
    for ring in rings:
        _boundary(axes, back(ring), padding)
    arrows = _route(layout, machine)
    for g, name in enumerate(names if count <= CROWDED else []):
        width, height = text_size(name, font)
        at = layout.text(g, (width + 4, height + 4))
        near = layout.shapes[g][np.linalg.norm(layout.shapes[g] - at, axis=1).argmin()]
        if np.linalg.norm(near - at) > 14 + padding + np.hypot(width, height) / 2:
            axes.plot(*back(np.array([near, at])).T, color="0.5", linewidth=0.7, zorder=2)
        axes.text(
            *back(at), name, fontsize=font, weight="bold", ha="center", va="center", zorder=7,
            bbox=dict(facecolor="white", edgecolor="none", alpha=0.75, pad=0.6),
        )  # fmt: skip
    _draw_arrows(axes, layout, arrows, machine.symbols, back, font)
    return figure


def _canvas(inches: tuple[float, float], plane: np.ndarray, margin: float):
    """A figure whose axes stay where they are, so that places can be reckoned in pixels."""
    figure = Figure(figsize=inches, dpi=DPI)
    axes = figure.add_axes((0.08, 0.08, 0.81, 0.86))
    low, high = plane.min(axis=0), plane.max(axis=0)
    room = np.maximum((high - low) * margin, 1e-3)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])
    return figure, axes


def _padding(pixels: np.ndarray, cluster: np.ndarray) -> float:
    """How far a boundary keeps from its dots: less where clusters are close to each other."""
    gaps = []
    for g in range(cluster.max() + 1):
        rest = pixels[cluster != g]
        if len(rest):
            gaps.append(cKDTree(rest).query(pixels[cluster == g])[0].min())
    return float(np.clip(0.45 * np.percentile(gaps, 20), 6, 11)) if gaps else 11.0


def _ring(places: np.ndarray) -> np.ndarray:
    """The corners (K, 2) of the convex hull of places, closed: the first corner comes last too."""
    try:
        places = places[ConvexHull(places).vertices]
    except (QhullError, ValueError):
        # Too few of them, or all on a line.
        order = np.lexsort(places.T)
        places = places[[order[0], order[-1]]]
    return np.vstack([places, places[:1]])


def _dense(ring: np.ndarray, step: float = 5.0) -> np.ndarray:
    """Places along a ring, no farther from each other than `step`."""
    sides = pairwise(ring)
    return np.concatenate(
        [
            np.linspace(a, b, 1 + int(np.ceil(np.linalg.norm(b - a) / step)), endpoint=False)
            for a, b in sides
        ]
    )


def _boundary(axes, ring: np.ndarray, padding: float) -> None:
    """A line round a ring, `padding` pixels wider: a thick line with round corners, and on it a
    thinner one in the colour of the ground."""
    for colour, width, layer in (("0.35", padding * 2, 1), ("#f3efe2", padding * 2 - 2.4, 1.1)):
        points = width * 72 / DPI
        style = dict(solid_capstyle="round", solid_joinstyle="round", zorder=layer)
        axes.plot(*ring.T, color=colour, linewidth=points, **style)
        axes.fill(*ring.T, facecolor=colour, edgecolor="none", zorder=layer)


@cache
def text_size(text: str, font: float) -> tuple[float, float]:
    """Width and height of a text of one or more lines, in pixels."""
    lines = text.split("\n")
    widths = [TextPath((0, 0), line or " ", size=font).get_extents().width for line in lines]
    return max(widths) * 1.12 * DPI / 72, len(lines) * 1.25 * font * DPI / 72


def _route(layout: Layout, machine: Machine) -> list[tuple[int, list[int]]]:
    """Put a machine's arrows on a layout whose shapes are its states: (arrow, its symbols) each."""
    arrows = {}
    for state, row in enumerate(machine.transitions):
        for symbol, after in enumerate(row):
            if after >= 0:
                arrows.setdefault((state, int(after)), []).append(symbol)

    def length(pair: tuple[int, int]) -> float:
        return np.linalg.norm(np.subtract(*layout.centres[list(pair)]))

    search = machine.count <= CROWDED
    # Short arrows have the least choice.
    return [(layout.arrow(*pair, search), arrows[pair]) for pair in sorted(arrows, key=length)]


def _draw_arrows(axes, layout: Layout, arrows, symbols: str, back, font: float) -> None:
    """Draw what _route has put on the layout, each arrow with its symbols. back: from pixels to
    the units of the axes."""
    for number, read in arrows:
        colour = symbol_colour(read[0]) if len(read) == 1 else "0.25"
        route = back(layout.routes[number])
        codes = [Path.MOVETO] + [Path.CURVE3 if len(route) == 3 else Path.CURVE4] * (len(route) - 1)
        axes.add_patch(
            FancyArrowPatch(
                path=Path(route, codes), arrowstyle="-|>", mutation_scale=11, color=colour,
                linewidth=1.2, zorder=3, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip
        if len(layout.shapes) > CROWDED:
            continue
        text = ",".join(symbols[symbol] for symbol in read)
        width, height = text_size(text, font)
        axes.text(
            *back(layout.label(number, (width + 3, height))), text, fontsize=font, color=colour,
            zorder=5, ha="center", va="center",
            bbox=dict(facecolor="white", edgecolor="none", pad=0.6, alpha=0.85),
        )  # fmt: skip


def machine_picture(machine: Machine, names: list[str], places: np.ndarray, title: str) -> Figure:
    """A machine as circles and arrows. places: (M, 2), where its states are drawn.

    The state before the first symbol has an arrow from nowhere and, since words begin and end in
    it, a second circle; a circle's colour is that of the symbol which is certain to come.
    """
    scale, radius, room = 92.0, 24.0, 150.0
    names = [name.replace(" ", "\n") for name in names]
    pixels = (places - places.min(axis=0)) * scale + room
    circles = [place[None] for place in pixels]
    layout = Layout(pixels.max(axis=0) + room, circles, np.full(len(pixels), radius))
    # One unit of the axes is a pixel.
    figure = Figure(dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    _draw_arrows(axes, layout, _route(layout, machine), machine.symbols, lambda place: place, 10)
    for state, (place, name) in enumerate(zip(pixels, names, strict=True)):
        (allowed,) = np.nonzero(machine.prediction[state])
        face = symbol_colour(allowed[0]) + "30" if len(allowed) == 1 else "white"
        axes.add_patch(Circle(place, radius, facecolor="white", edgecolor="none", zorder=5.9))
        axes.add_patch(Circle(place, radius, facecolor=face, edgecolor="black", zorder=6))
        if state == machine.start:
            axes.add_patch(Circle(place, radius - 3.5, fill=False, edgecolor="black", zorder=6))
        font = 9 if max(map(len, name.split("\n"))) < 4 else 7.5
        axes.text(*place, name, fontsize=font, ha="center", va="center", zorder=7)
    start = pixels[machine.start]
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False) + np.pi
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    tips = start + ways[:, None] * (radius + np.linspace(4, 46, 8))[:, None]
    tip, tail = tips[layout.crowd(tips).argmin()][[0, -1]]
    style = dict(arrowstyle="-|>", color="black", linewidth=1.4, shrinkA=0, shrinkB=0)
    axes.annotate("", tip, tail, arrowprops=style)
    low, high = layout.extent()
    low, high = np.minimum(low, tail) - 22, np.maximum(high, tail) + np.array([22, 48])
    # Wide enough for the title.
    spare = max(0.0, text_size(title, 11)[0] + 40 - (high - low)[0]) / 2
    low, high = low - np.array([spare, 0]), high + np.array([spare, 0])
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    figure.set_size_inches(*(high - low) / DPI)
    axes.text((low[0] + high[0]) / 2, high[1] - 12, title, fontsize=11, ha="center", va="top")
    return figure


def places_of(machine: Machine, overlap: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Where a machine's states are drawn (M, 2): where the language's states that they overlap
    are; by their distances alone (Kamada and Kawai, 1989) if two would come to one place.

    overlap: (M, N), reference: (N, 2).
    """
    counts = overlap.sum(axis=1)
    if counts.all():
        places = (overlap @ reference) / counts[:, None]
        if pdist(places).min(initial=1) > 0.6:
            return places
    graph = networkx.empty_graph(machine.count)
    graph.add_edges_from(
        (int(state), int(machine.transitions[state, symbol]))
        for state, symbol in np.argwhere(machine.prediction)
    )
    layout = networkx.kamada_kawai_layout(graph)
    places = np.array([layout[state] for state in range(machine.count)])
    return places / max(pdist(places).min(initial=1), 1e-3) * 0.9
