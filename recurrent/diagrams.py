"""Pictures of a network's clusters of state vectors, and of the machine extracted from them."""

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

# Maximum number of states or clusters with names and labelled arrows; with more, the picture shows
# only the shape of the graph, with arrows in their symbols' colours.
MAX_NAMED_STATES = 60
# Maximum number of clusters with an outline; more could not be distinguished.
MAX_OUTLINED_CLUSTERS = 150
# Radius of a machine's states, in pixels at zoom 1.
STATE_RADIUS = 24.0
# Zooms below which the names of a machine's states, and its arrows' labels, are left out.
MIN_ZOOM_NAMES, MIN_ZOOM_LABELS = 0.4, 0.7

# Clusters


def best_projection(vectors: np.ndarray, cluster: np.ndarray, names: list[str]):
    """Return the projection of vectors (P, D) to a plane (P, 2), and the labels of its two axes.

    Candidates are all pairs of components, the first two principal components (PCA) and the two
    best discriminants (LDA); returned is the plane with the least crowded cluster centres.

    cluster: (P,); names: the names of the components.
    """
    width = vectors.shape[1]
    if width == 1:
        return lambda vectors: np.pad(vectors, ((0, 0), (0, 1))), (names[0], "")
    # One pair only of more than 12 components, because all pairs would take minutes.
    pairs = combinations(range(width if width <= 12 else 2), 2)
    planes = [(itemgetter((..., pair)), (names[pair[0]], names[pair[1]])) for pair in pairs]
    if width > 2:
        axes = ("first principal component", "second principal component")
        planes.append((PCA(2).fit(vectors).transform, axes))
    # LDA has fewer axes than clusters, so two axes need three clusters.
    if width > 2 and len(vectors) > cluster.max() + 1 > 2:
        axes = ("first discriminant", "second discriminant")
        analysis = LinearDiscriminantAnalysis(n_components=2).fit(vectors, cluster)
        planes.append((analysis.transform, axes))
    crowding = []
    for project, _ in planes:
        plane = project(vectors)
        low, spread = plane.min(axis=0), np.maximum(np.ptp(plane, axis=0), 1e-9)
        centres = np.array([plane[cluster == g].mean(axis=0) for g in range(cluster.max() + 1)])
        # The cost of a pair of centres: its distance's shortfall from a tenth of the picture.
        crowding.append(np.clip(0.1 - pdist((centres - low) / spread), 0, None).sum())
    return planes[int(np.argmin(crowding))]


def cluster_projection(trajectory: Trajectory, clustering: Clustering):
    """Return the best_projection of the vectors of a clustering."""
    names = [
        f"{kind} unit {unit}" for kind in ("hidden", "context") for unit in range(trajectory.hid)
    ]
    return best_projection(trajectory.state[:, : clustering.size], clustering.cluster, names)


def states_picture(
    trajectory: Trajectory,
    clustering: Clustering,
    names: list[str],
    language: Language,
    title: str,
) -> Figure:
    """Draw the outlined and named clusters of a network's state vectors, and their transitions.

    This is the annotated image of the assignment. names: of the clusters. Dots outside the language
    are hollow. Of more than MAX_OUTLINED_CLUSTERS clusters only the dots are drawn.
    """
    # The machine's state after the end of a sequence has no vectors, so it gets no arrows.
    count = clustering.count
    inner = clustering.machine.transitions[:count]
    machine = replace(clustering.machine, transitions=np.where(inner < count, inner, -1))
    project, labels = cluster_projection(trajectory, clustering)
    plane = project(trajectory.state[:, : clustering.size])
    many = count > 16
    font = 8 if many else 10
    figure = Figure(figsize=(13, 10) if many else (10, 7.6), dpi=DPI)
    axes = figure.add_axes((0.08, 0.08, 0.81, 0.86))
    set_limits(axes, plane)
    dots, rings, padding = draw_clusters(axes, plane, trajectory, clustering, language)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_title(title, fontsize=11)
    colour_bar(figure, dots, language, cax=figure.add_axes((0.915, 0.12, 0.016, 0.76)))
    if not rings:
        return figure
    size = axes.get_window_extent().size
    layout = Layout(size, [_dense(ring) for ring in rings], np.full(count, padding))
    arrows = _add_arrows(layout, machine)
    to_data = partial(_from_pixels, axes)
    for g, name in enumerate(names[:count] if count <= MAX_NAMED_STATES else []):
        width, height = text_size(name, font)
        at = layout.add_text(g, (width + 4, height + 4))
        near = layout.shapes[g][np.linalg.norm(layout.shapes[g] - at, axis=1).argmin()]
        if np.linalg.norm(near - at) > 14 + padding + np.hypot(width, height) / 2:
            axes.plot(*to_data(np.array([near, at])).T, color="0.5", linewidth=0.7, zorder=2)
        axes.text(
            *to_data(at), name, fontsize=font, weight="bold", ha="center", va="center", zorder=7,
            bbox=dict(facecolor="white", edgecolor="none", alpha=0.75, pad=0.6),
        )  # fmt: skip
    _draw_arrows(axes, layout, arrows, machine.symbols, to_data, font)
    return figure


def set_limits(axes, positions: np.ndarray) -> None:
    """Fit the axes' limits to positions (P, 2), and fix them, because outlines depend on them."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    room = np.maximum((high - low) * 0.07, 1e-3)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])


def draw_clusters(
    axes, plane: np.ndarray, trajectory: Trajectory, clustering: Clustering, language: Language
) -> tuple[PathCollection, list[np.ndarray], float]:
    """Draw dots at `plane` (P, 2), the initial one as a cross, and the clusters' outlines.

    Returns the dots, the rings (K, 2) round the clusters' dots, in pixels from the axes' lower left
    corner, and the outlines' distance from the rings in pixels. Of more than MAX_OUTLINED_CLUSTERS
    clusters there are no rings.
    """
    number = np.where(trajectory.node >= 0, language.number[trajectory.node], np.nan)
    dots = axes.scatter(
        *plane.T, c=number, cmap="jet", s=14, edgecolors="0.25", linewidths=0.3, vmin=0,
        vmax=language.number.max(), zorder=4, plotnonfinite=True,
    )  # fmt: skip
    axes.plot(*plane[0], "x", color="black", markersize=12, markeredgewidth=2.6, zorder=6)
    count = clustering.count
    if count > MAX_OUTLINED_CLUSTERS:
        return dots, [], 0.0
    pixels = axes.transData.transform(plane) - axes.get_window_extent().p0
    padding = _padding(pixels, clustering.cluster)
    rings = [_ring(pixels[clustering.cluster == g]) for g in range(count)]
    for ring in rings:
        _draw_outline(axes, _from_pixels(axes, ring), padding)
    return dots, rings, padding


def _from_pixels(axes, positions: np.ndarray) -> np.ndarray:
    """Return the data coordinates of pixels, counted from the axes' lower left corner."""
    return axes.transData.inverted().transform(positions + axes.get_window_extent().p0)


def _padding(pixels: np.ndarray, cluster: np.ndarray) -> float:
    """Return the outlines' distance from their dots in pixels: smaller if clusters are close."""
    gaps = []
    for g in range(cluster.max() + 1):
        rest = pixels[cluster != g]
        if len(rest):
            gaps.append(cKDTree(rest).query(pixels[cluster == g])[0].min())
    return float(np.clip(0.45 * np.percentile(gaps, 20), 6, 11)) if gaps else 11.0


def _ring(positions: np.ndarray) -> np.ndarray:
    """Return the corners (K, 2) of the convex hull of points, the first one repeated at the end."""
    try:
        positions = positions[ConvexHull(positions).vertices]
    except (QhullError, ValueError):
        # Fewer than three points, or all on a line; one of length 0 would not be drawn.
        order = np.lexsort(positions.T)
        positions = positions[[order[0], order[-1]]] + np.array([[0, 0], [0, 1]])
    return np.vstack([positions, positions[:1]])


def _dense(ring: np.ndarray, step: float = 5.0) -> np.ndarray:
    """Return points along a ring at distances of at most `step`."""
    sides = pairwise(ring)
    return np.concatenate(
        [
            np.linspace(a, b, 1 + int(np.ceil(np.linalg.norm(b - a) / step)), endpoint=False)
            for a, b in sides
        ]
    )


def _draw_outline(axes, ring: np.ndarray, padding: float) -> None:
    """Draw an outline at `padding` pixels from a ring: a thick line with round corners, and on it a
    thinner one in the fill colour."""
    for colour, width, layer in (("0.35", padding * 2, 1), ("#f3efe2", padding * 2 - 2.4, 1.1)):
        points = width * 72 / DPI
        style = dict(solid_capstyle="round", solid_joinstyle="round", zorder=layer)
        axes.plot(*ring.T, color=colour, linewidth=points, **style)
        axes.fill(*ring.T, facecolor=colour, edgecolor="none", zorder=layer)


@cache
def text_size(text: str, font: float) -> tuple[float, float]:
    """Return the width and height in pixels of a text of one or more lines; font: in points."""
    lines = text.split("\n")
    widths = [TextPath((0, 0), line or " ", size=font).get_extents().width for line in lines]
    return max(widths) * 1.12 * DPI / 72, len(lines) * 1.25 * font * DPI / 72


def _add_arrows(layout: Layout, machine: Machine) -> list[tuple[int, list[int]]]:
    """Add a machine's transitions to a layout whose shapes are its states; return for each arrow
    its index in the layout and its symbols."""
    arrows = {}
    for state, row in enumerate(machine.transitions):
        for symbol, target in enumerate(row):
            if target >= 0:
                arrows.setdefault((state, int(target)), []).append(symbol)

    def length(pair: tuple[int, int]) -> float:
        return np.linalg.norm(np.subtract(*layout.centres[list(pair)]))

    search = machine.count <= MAX_NAMED_STATES
    # Short arrows first, because they have the fewest free places.
    return [(layout.add_arrow(*pair, search), arrows[pair]) for pair in sorted(arrows, key=length)]


def _draw_arrows(
    axes, layout: Layout, arrows, symbols: str, to_data, font: float, zoom: float = 1.0
) -> None:
    """Draw the arrows of _add_arrows with their symbols.

    to_data: function from pixels to data coordinates; zoom: see draw_machine.
    """
    for number, read in arrows:
        colour = symbol_colour(read[0]) if len(read) == 1 else "0.25"
        route = to_data(layout.routes[number])
        codes = [Path.MOVETO] + [Path.CURVE3 if len(route) == 3 else Path.CURVE4] * (len(route) - 1)
        axes.add_patch(
            FancyArrowPatch(
                path=Path(route, codes), arrowstyle="-|>", mutation_scale=11 * zoom**0.5,
                color=colour, linewidth=1.2 * zoom**0.5, zorder=3, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip
        if len(layout.shapes) > MAX_NAMED_STATES or zoom < MIN_ZOOM_LABELS:
            continue
        text = ",".join(symbols[symbol] for symbol in read)
        width, height = text_size(text, font)
        axes.text(
            *to_data(layout.add_label(number, (width + 3, height))), text, fontsize=font,
            color=colour, zorder=5, ha="center", va="center",
            bbox=dict(facecolor="white", edgecolor="none", pad=0.6, alpha=0.85),
        )  # fmt: skip


def machine_picture(
    machine: Machine, names: list[str], positions: np.ndarray, title: str
) -> Figure:
    """Draw a machine's state diagram with its states at positions (M, 2).

    The initial state has an arrow from nowhere, states in which words end a double circle. A state
    that allows only one symbol has that symbol's colour.
    """
    figure = Figure(dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    _, low, high = draw_machine(axes, machine, names, positions)
    low, high = low - 22, high + np.array([22, 48])
    # The title may be wider than the machine.
    margin = max(0.0, text_size(title, 11)[0] + 40 - (high - low)[0]) / 2
    low, high = low - np.array([margin, 0]), high + np.array([margin, 0])
    # Data coordinates are pixels.
    figure.set_size_inches(*(high - low) / DPI)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.text((low[0] + high[0]) / 2, high[1] - 12, title, fontsize=11, ha="center", va="top")
    return figure


def draw_machine(
    axes,
    machine: Machine,
    names: list[str],
    positions: np.ndarray,
    scale: float = 92.0,
    zoom: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a machine's states with a radius of STATE_RADIUS data units, and its transitions.

    positions: (M, 2); scale: data units per unit of these; zoom: pixels per data unit. Texts that
    would be too small are left out. Returns the circles' centres (M, 2), and the lower left and the
    upper right corner, (2,) each, of the drawing.
    """
    names = [name.replace(" ", "\n") for name in names]
    room = 150.0
    pixels = (positions - positions.min(axis=0)) * scale + room
    circles = [position[None] for position in pixels]
    layout = Layout(pixels.max(axis=0) + room, circles, np.full(len(pixels), STATE_RADIUS))
    axes.axis("off")
    arrows = _add_arrows(layout, machine)
    _draw_arrows(axes, layout, arrows, machine.symbols, lambda position: position, 10, zoom)
    # Chained words end in the state in which the next one begins.
    chained = (machine.transitions == machine.start).any()
    ends = [machine.start] if chained else np.flatnonzero(~machine.prediction.any(axis=1))
    for state, (position, name) in enumerate(zip(pixels, names, strict=True)):
        (allowed,) = np.nonzero(machine.prediction[state])
        face = symbol_colour(allowed[0]) + "30" if len(allowed) == 1 else "white"
        circle = dict(edgecolor="black", zorder=6, lw=zoom)
        white = dict(facecolor="white", edgecolor="none", zorder=5.9)
        axes.add_patch(Circle(position, STATE_RADIUS, **white))
        axes.add_patch(Circle(position, STATE_RADIUS, facecolor=face, **circle))
        if state in ends:
            axes.add_patch(Circle(position, STATE_RADIUS - 3.5, fill=False, **circle))
        font = 9 if max(map(len, name.split("\n"))) < 4 else 7.5
        if zoom > MIN_ZOOM_NAMES:
            size = max(font * zoom, 6)
            axes.text(*position, name, fontsize=size, ha="center", va="center", zorder=7)
    start = pixels[machine.start]
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False) + np.pi
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    candidates = start + directions[:, None] * (STATE_RADIUS + np.linspace(4, 46, 8))[:, None]
    tip, tail = candidates[layout.overlap_count(candidates).argmin()][[0, -1]]
    style = dict(arrowstyle="-|>", color="black", linewidth=1.4 * zoom, shrinkA=0, shrinkB=0)
    axes.annotate("", tip, tail, arrowprops=style | dict(mutation_scale=10 * zoom))
    low, high = layout.extent()
    return pixels, np.minimum(low, tail), np.maximum(high, tail)


def machine_positions(machine: Machine, overlap: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the positions (M, 2) of a machine's states in a diagram.

    Each is the mean position of the reference states that the state overlaps. If a state overlaps
    none, or two positions are too close, a spring layout (Kamada and Kawai, 1989) is used instead.

    overlap: (M, N) bool; reference: (N, 2), the positions of the reference states.
    """
    counts = overlap.sum(axis=1)
    if counts.all():
        positions = (overlap @ reference) / counts[:, None]
        if pdist(positions).min(initial=1) > 0.6:
            return positions
    graph = networkx.empty_graph(machine.count)
    graph.add_edges_from(
        (int(state), int(machine.transitions[state, symbol]))
        for state, symbol in np.argwhere(machine.prediction)
    )
    layout = networkx.kamada_kawai_layout(graph)
    positions = np.array([layout[state] for state in range(machine.count)])
    return positions / max(pdist(positions).min(initial=1), 1e-3) * 0.9
