"""Pictures of a network's states: clusters of its vectors, and the machine that they form."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from itertools import combinations, pairwise
from operator import itemgetter

import networkx
import numpy as np
from matplotlib.collections import PathCollection
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
from recurrent.machine import Clustering, Machine
from recurrent.pictures import DPI, colour_bar, symbol_colour

# More states than these leave no room for the names of all: their picture shows the shape only,
# arrows in the colours of their symbols.
CROWDED = 60
# More clusters than these are not outlined: nobody could tell them apart.
MAX_OUTLINED = 150
# The radius of a machine's circles, in pixels of the picture of it.
RADIUS = 24.0
# Pixels of a unit below which a machine's names, and the letters of its arrows, are left out.
SMALLEST_NAMES, SMALLEST_LETTERS = 0.4, 0.7

# Clusters


def best_plane(vectors: np.ndarray, cluster: np.ndarray, names: list[str]):
    """Return the projection of vectors (P, D) onto a plane (P, 2), and the names of both axes.

    The clusters lie apart in it: tried are all pairs of components, the plane of the largest
    spread (PCA) and that which separates the clusters most (LDA); taken is that in which the
    fewest centres come close.
    """
    width = vectors.shape[1]
    if width == 1:
        return lambda vectors: np.pad(vectors, ((0, 0), (0, 1))), (names[0], "")
    # Of many components the pairs would take minutes.
    pairs = combinations(range(width if width <= 12 else 2), 2)
    planes = [(itemgetter((..., pair)), (names[pair[0]], names[pair[1]])) for pair in pairs]
    if width > 2:
        axes = ("first principal component", "second principal component")
        planes.append((PCA(2).fit(vectors).transform, axes))
    # LDA has one axis fewer than clusters.
    if width > 2 and len(vectors) > cluster.max() + 1 > 2:
        axes = ("first discriminant", "second discriminant")
        analysis = LinearDiscriminantAnalysis(n_components=2).fit(vectors, cluster)
        planes.append((analysis.transform, axes))
    crowds = []
    for project, _ in planes:
        plane = project(vectors)
        low, spread = plane.min(axis=0), np.maximum(np.ptp(plane, axis=0), 1e-9)
        centres = np.array([plane[cluster == g].mean(axis=0) for g in range(cluster.max() + 1)])
        # A pair costs more the closer it is; what is a tenth of the picture apart costs nothing.
        crowds.append(np.clip(0.1 - pdist((centres - low) / spread), 0, None).sum())
    return planes[int(np.argmin(crowds))]


def plane_of(trajectory: Trajectory, states: Clustering):
    """Return best_plane of what `states` is a clustering of."""
    names = [
        f"{kind} unit {unit}" for kind in ("hidden", "context") for unit in range(trajectory.hid)
    ]
    return best_plane(trajectory.state[:, : states.size], states.cluster, names)


def states_picture(
    trajectory: Trajectory, states: Clustering, names: list[str], language: Language, title: str
) -> Figure:
    """Draw the clusters of a network's vectors with their names, and arrows between them.

    names: of each cluster. The picture is the annotated one that the assignment asks for. Dots
    outside the language have no colour. Of more than MAX_OUTLINED clusters only the dots are drawn.
    """
    # A sequence's end is a state without vectors: no arrow can point to it here.
    count = int(states.cluster.max()) + 1
    inner = states.machine.transitions[:count]
    machine = replace(states.machine, transitions=np.where(inner < count, inner, -1))
    project, labels = plane_of(trajectory, states)
    plane = project(trajectory.state[:, : states.size])
    many = count > 16
    font = 8 if many else 10
    figure = Figure(figsize=(13, 10) if many else (10, 7.6), dpi=DPI)
    axes = figure.add_axes((0.08, 0.08, 0.81, 0.86))
    set_limits(axes, plane)
    dots, rings, padding = draw_clusters(axes, plane, trajectory, states, language)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_title(title, fontsize=11)
    colour_bar(figure, dots, language, cax=figure.add_axes((0.915, 0.12, 0.016, 0.76)))
    if not rings:
        return figure
    size = axes.get_window_extent().size
    layout = Layout(size, [_dense(ring) for ring in rings], np.full(count, padding))
    arrows = _route(layout, machine)
    back = partial(_from_pixels, axes)
    for g, name in enumerate(names[:count] if count <= CROWDED else []):
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


def set_limits(axes, places: np.ndarray) -> None:
    """Have the axes show places (P, 2), and have them stay so: boundaries are made of pixels."""
    low, high = places.min(axis=0), places.max(axis=0)
    room = np.maximum((high - low) * 0.07, 1e-3)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])


def draw_clusters(
    axes, plane: np.ndarray, trajectory: Trajectory, states: Clustering, language: Language
) -> tuple[PathCollection, list[np.ndarray], float]:
    """Draw dots at places `plane` (P, 2), the start as a cross, and a boundary round each cluster.

    Return the dots, the rings (K, 2) that they lie in, in pixels from the corner of
    the axes, and how far from them the boundaries are; no rings of more than MAX_OUTLINED clusters.
    """
    number = np.where(trajectory.node >= 0, language.number[trajectory.node], np.nan)
    dots = axes.scatter(
        *plane.T, c=number, cmap="jet", s=14, edgecolors="0.25", linewidths=0.3, vmin=0,
        vmax=language.number.max(), zorder=4, plotnonfinite=True,
    )  # fmt: skip
    axes.plot(*plane[0], "x", color="black", markersize=12, markeredgewidth=2.6, zorder=6)
    count = int(states.cluster.max()) + 1
    if count > MAX_OUTLINED:
        return dots, [], 0.0
    pixels = axes.transData.transform(plane) - axes.get_window_extent().p0
    padding = _padding(pixels, states.cluster)
    rings = [_ring(pixels[states.cluster == g]) for g in range(count)]
    for ring in rings:
        _boundary(axes, _from_pixels(axes, ring), padding)
    return dots, rings, padding


def _from_pixels(axes, places: np.ndarray) -> np.ndarray:
    """Return where pixels, counted from the corner of the axes, are in the axes' own units."""
    return axes.transData.inverted().transform(places + axes.get_window_extent().p0)


def _padding(pixels: np.ndarray, cluster: np.ndarray) -> float:
    """Return how far a boundary is from its dots: less where clusters are close to each other."""
    gaps = []
    for g in range(cluster.max() + 1):
        rest = pixels[cluster != g]
        if len(rest):
            gaps.append(cKDTree(rest).query(pixels[cluster == g])[0].min())
    return float(np.clip(0.45 * np.percentile(gaps, 20), 6, 11)) if gaps else 11.0


def _ring(places: np.ndarray) -> np.ndarray:
    """Return the corners (K, 2) of the convex hull of places, the first one again as the last."""
    try:
        places = places[ConvexHull(places).vertices]
    except (QhullError, ValueError):
        # Too few of them, or all on a line. A line without length would not be drawn.
        order = np.lexsort(places.T)
        places = places[[order[0], order[-1]]] + np.array([[0, 0], [0, 1]])
    return np.vstack([places, places[:1]])


def _dense(ring: np.ndarray, step: float = 5.0) -> np.ndarray:
    """Return places along a ring, no farther from each other than `step`."""
    sides = pairwise(ring)
    return np.concatenate(
        [
            np.linspace(a, b, 1 + int(np.ceil(np.linalg.norm(b - a) / step)), endpoint=False)
            for a, b in sides
        ]
    )


def _boundary(axes, ring: np.ndarray, padding: float) -> None:
    """Draw a line round a ring, `padding` pixels wider: a thick line with round corners, and on
    it a thinner one in the colour of the ground."""
    for colour, width, layer in (("0.35", padding * 2, 1), ("#f3efe2", padding * 2 - 2.4, 1.1)):
        points = width * 72 / DPI
        style = dict(solid_capstyle="round", solid_joinstyle="round", zorder=layer)
        axes.plot(*ring.T, color=colour, linewidth=points, **style)
        axes.fill(*ring.T, facecolor=colour, edgecolor="none", zorder=layer)


@cache
def text_size(text: str, font: float) -> tuple[float, float]:
    """Return width and height of a text of one or more lines, in pixels."""
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


def _draw_arrows(axes, layout: Layout, arrows, symbols: str, back, font: float, zoom=1.0) -> None:
    """Draw what _route has put on the layout, each arrow with its symbols. back: from pixels to
    the units of the axes; zoom: see draw_machine."""
    for number, read in arrows:
        colour = symbol_colour(read[0]) if len(read) == 1 else "0.25"
        route = back(layout.routes[number])
        codes = [Path.MOVETO] + [Path.CURVE3 if len(route) == 3 else Path.CURVE4] * (len(route) - 1)
        axes.add_patch(
            FancyArrowPatch(
                path=Path(route, codes), arrowstyle="-|>", mutation_scale=11 * zoom**0.5,
                color=colour, linewidth=1.2 * zoom**0.5, zorder=3, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip
        if len(layout.shapes) > CROWDED or zoom < SMALLEST_LETTERS:
            continue
        text = ",".join(symbols[symbol] for symbol in read)
        width, height = text_size(text, font)
        axes.text(
            *back(layout.label(number, (width + 3, height))), text, fontsize=font, color=colour,
            zorder=5, ha="center", va="center",
            bbox=dict(facecolor="white", edgecolor="none", pad=0.6, alpha=0.85),
        )  # fmt: skip


def machine_picture(machine: Machine, names: list[str], places: np.ndarray, title: str) -> Figure:
    """Draw a machine as circles and arrows. places: (M, 2), of its states.

    The state before the first symbol has an arrow from nowhere, the one in which words end, which
    may be the same, a second circle; a circle's colour is that of the only symbol that can follow.
    """
    figure = Figure(dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    _, low, high = draw_machine(axes, machine, names, places)
    low, high = low - 22, high + np.array([22, 48])
    # Wide enough for the title.
    spare = max(0.0, text_size(title, 11)[0] + 40 - (high - low)[0]) / 2
    low, high = low - np.array([spare, 0]), high + np.array([spare, 0])
    # One unit of the axes is a pixel.
    figure.set_size_inches(*(high - low) / DPI)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.text((low[0] + high[0]) / 2, high[1] - 12, title, fontsize=11, ha="center", va="top")
    return figure


def draw_machine(
    axes, machine: Machine, names: list[str], places: np.ndarray, scale=92.0, zoom=1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a machine whose circles have a radius of RADIUS units of the axes.

    scale: units from a place to the next; zoom: pixels that a unit has. Letters that would be too
    small are left out. Return the circles' centres (M, 2) and the corners (2,) and (2,) of it all.
    """
    names = [name.replace(" ", "\n") for name in names]
    room = 150.0
    pixels = (places - places.min(axis=0)) * scale + room
    circles = [place[None] for place in pixels]
    layout = Layout(pixels.max(axis=0) + room, circles, np.full(len(pixels), RADIUS))
    axes.axis("off")
    arrows = _route(layout, machine)
    _draw_arrows(axes, layout, arrows, machine.symbols, lambda place: place, 10, zoom)
    # Words that follow each other end where they begin.
    chained = (machine.transitions == machine.start).any()
    ends = [machine.start] if chained else np.flatnonzero(~machine.prediction.any(axis=1))
    for state, (place, name) in enumerate(zip(pixels, names, strict=True)):
        (allowed,) = np.nonzero(machine.prediction[state])
        face = symbol_colour(allowed[0]) + "30" if len(allowed) == 1 else "white"
        axes.add_patch(Circle(place, RADIUS, facecolor="white", edgecolor="none", zorder=5.9))
        axes.add_patch(Circle(place, RADIUS, facecolor=face, edgecolor="black", zorder=6, lw=zoom))
        if state in ends:
            inner = Circle(place, RADIUS - 3.5, fill=False, edgecolor="black", zorder=6, lw=zoom)
            axes.add_patch(inner)
        font = 9 if max(map(len, name.split("\n"))) < 4 else 7.5
        if zoom > SMALLEST_NAMES:
            size = max(font * zoom, 6)
            axes.text(*place, name, fontsize=size, ha="center", va="center", zorder=7)
    start = pixels[machine.start]
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False) + np.pi
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    tips = start + ways[:, None] * (RADIUS + np.linspace(4, 46, 8))[:, None]
    tip, tail = tips[layout.crowd(tips).argmin()][[0, -1]]
    style = dict(arrowstyle="-|>", color="black", linewidth=1.4 * zoom, shrinkA=0, shrinkB=0)
    axes.annotate("", tip, tail, arrowprops=style | dict(mutation_scale=10 * zoom))
    low, high = layout.extent()
    return pixels, np.minimum(low, tail), np.maximum(high, tail)


def machine_places(machine: Machine, overlap: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return where a machine's states are drawn (M, 2): where the language's states that they
    overlap are; by their distances alone (Kamada and Kawai, 1989) if two would come to one place.

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
