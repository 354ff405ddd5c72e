"""Diagrams of machines and of state vectors grouped by machine state: outlines, arrows and names.

Arrows are matplotlib's annotations with a fixed bend; a name goes where it covers the fewest dots
and no other name. Both serve the machine, the states and the film.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist

from recurrent.extraction import Extraction, Plane, States
from recurrent.language import NOTHING, Language, Machine
from recurrent.pictures import DPI, colour_bar, symbol_colour

# Radius of a machine's states, and pixels per unit of their places.
RADIUS, SCALE = 21.0, 86.0
# Maximum side length of a picture, in pixels.
MAX_SIDE = 3000
# Width of a letter and height of a line relative to the font size.
LETTER, LINE = 0.82, 1.6
# Distance of outlines from their dots, in pixels.
PADDING = 7.0
# Shortest arrow, in pixels, on which there is room for a letter; on others the colour says it.
MIN_LABELLED = 16
# Maximum distance of crowded states, in pixels; minimum number of states that are magnified,
# and the side length of the inset relative to the axes.
CROWDED, MIN_CROWD, INSET = 38, 4, 0.36
# Distance of arrows' and of loops' ends from the dots of states, in pixels.
GAP, LOOP = 11, 17


def draw_arrows(
    axes, places: np.ndarray, machine: Machine, gap: float, fontsize: float, loop: float = 0
) -> None:
    """Draw a machine's transitions as labelled arrows between places (M, 2) in data units.

    gap: distance of an arrow's ends from its places, in pixels; loop: the same of loops, if more.
    Transitions to or from a place that is nan are left out.
    """
    arrows = defaultdict(list)
    for state, symbol in np.argwhere(machine.transitions >= 0).tolist():
        arrows[state, int(machine.transitions[state, symbol])].append(symbol)
    pixels = axes.transData.transform(places)
    for (a, b), read in arrows.items():
        colour = symbol_colour(read[0]) if len(read) == 1 else "0.25"
        start, end = pixels[[a, b]]
        if not np.isfinite([start, end]).all():
            continue
        style = dict(arrowstyle="-|>", color=colour, mutation_scale=10, linewidth=1.1)
        if a == b:
            # A loop on the side away from the state's other arrows.
            others = [x for pair in arrows if a in pair for x in pair if x != a]
            away = start - pixels[others]
            away = away / np.linalg.norm(away, axis=1, keepdims=True).clip(1e-9)
            out, size = np.nansum([[0, 1e-6], *away], axis=0), max(gap + 1, loop)
            out = out / np.linalg.norm(out)
            across = np.array([-out[1], out[0]])
            ends = start + size * (0.85 * out + 0.5 * np.array([[1], [-1]]) * across)
            start, end, bend, shrink = *ends, -1.6, 0
            label = pixels[a] + out * (size * 2.1 + 7)
        else:
            bend, shrink = 0.16 if (b, a) in arrows else 0.08, gap * 72 / DPI
            along = end - start
            label = (start + end) / 2 + np.array([along[1], -along[0]]) * bend / 2
            if np.linalg.norm(along) < 2 * gap + 4:
                continue
        style |= dict(connectionstyle=f"arc3,rad={bend}", shrinkA=shrink, shrinkB=shrink)
        axes.annotate("", end, start, "figure pixels", "figure pixels", zorder=3, arrowprops=style)
        if a == b or np.linalg.norm(along) - 2 * gap >= MIN_LABELLED:
            axes.annotate(
                ",".join(machine.symbols[symbol] for symbol in read), label, color=colour,
                xycoords="figure pixels", ha="center", va="center", fontsize=fontsize, zorder=5,
                bbox=dict(facecolor="white", edgecolor="none", pad=0.5, alpha=0.85),
            )  # fmt: skip


def place_names(axes, anchors: np.ndarray, names, dots: np.ndarray, fontsize: float) -> None:
    """Write names beside their anchors (M, 2), each where it covers the fewest of the dots (P, 2)
    and no other name, within the axes; both in data units, nan for no name."""
    taken, room = np.empty((0, 4)), axes.get_window_extent()
    anchors, dots = axes.transData.transform(anchors), axes.transData.transform(dots)
    height = LINE * fontsize * DPI / 72
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for g in np.argsort(anchors[:, 1]):
        if not names[g] or not np.isfinite(anchors[g]).all():
            continue
        size = np.array([LETTER * len(names[g]) * fontsize * DPI / 72 + 4, height])
        centres = np.concatenate([anchors[g] + ring * (size / 2 + d) for d in (8, 18, 34, 56, 84)])
        low, high = centres - size / 2, centres + size / 2
        covered = ((dots > low[:, None]) & (dots < high[:, None])).all(-1).sum(1)
        meets = (taken[:, :2] < high[:, None]) & (taken[:, 2:] > low[:, None])
        meets = meets.all(-1).sum(1)
        outside = ((low < room.p0) | (high > room.p1)).any(axis=1)
        best = (covered + 50 * meets + 100 * outside + np.arange(len(centres)) / 20).argmin()
        taken = np.vstack([taken, [*low[best], *high[best]]])
        far = np.linalg.norm(centres[best] - anchors[g]) > height + size[0] / 2
        axes.annotate(
            names[g], anchors[g], centres[best], "figure pixels", "figure pixels", ha="center",
            va="center", fontsize=fontsize, weight="bold", zorder=7,
            arrowprops=dict(arrowstyle="-", color="0.55", lw=0.7) if far else None,
            bbox=dict(facecolor="white", edgecolor="none", pad=0.4, alpha=0.7),
        )  # fmt: skip


# The machine


def machine_picture(machine: Machine, title: str) -> Figure:
    """Draw a machine's state diagram.

    The initial state has an arrow from nowhere, states in which words end a double circle. A state
    that predicts one symbol has that symbol's colour.
    """
    size = np.ptp(machine.places, axis=0) * SCALE + 4.6 * RADIUS
    scale = min(1.0, *(MAX_SIDE / size))
    # Room for the title and the legend.
    width, height = max(size[0] * scale, 7.9 * len(title) + 40, 560), size[1] * scale + 74
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 30 / height, 1, 1 - 74 / height))
    draw_machine(axes, machine)
    figure.text(0.5, 1 - 22 / height, title, fontsize=11, ha="center", va="center")
    legend = "colour: the only symbol predicted; double ring: a word ends here"
    figure.text(0.5, 14 / height, legend, fontsize=8.5, ha="center", va="center", color="0.3")
    return figure


def draw_machine(axes, machine: Machine, fontsize: float = 9.0) -> float:
    """Draw a machine into axes; return its states' radius in data units, the places' units."""
    axes.axis("off")
    axes.set_aspect("equal")
    low, high = machine.places.min(axis=0), machine.places.max(axis=0)
    room = 2.3 * RADIUS / SCALE
    axes.set_xlim(low[0] - room, high[0] + room)
    axes.set_ylim(low[1] - room, high[1] + room)
    axes.apply_aspect()
    radius = RADIUS / SCALE
    pixels = radius * np.diff(axes.transData.transform([[0, 0], [1, 0]])[:, 0])[0]
    fontsize = fontsize * min(1.0, pixels / RADIUS)
    draw_arrows(axes, machine.places, machine, pixels + 1, max(fontsize, 5))
    chained = (machine.transitions == 0).any()
    for state, (place, name) in enumerate(zip(machine.places, machine.names, strict=True)):
        output = machine.outputs[state]
        face = symbol_colour(output) if output >= 0 else "white"
        axes.add_patch(Circle(place, radius, facecolor="white", edgecolor="none", zorder=5.8))
        circle = dict(edgecolor="black", linewidth=min(1.0, pixels / 14), zorder=6)
        alpha = 0.22 if output >= 0 else 1.0
        axes.add_patch(Circle(place, radius, facecolor=face, alpha=alpha, zorder=5.9))
        axes.add_patch(Circle(place, radius, fill=False, **circle))
        if output == NOTHING or (chained and state == 0):
            axes.add_patch(Circle(place, radius * 0.85, fill=False, **circle))
        lines = name.replace(" ", "\n")
        longest = max(map(len, lines.split("\n")))
        fits = min(fontsize, 2.4 * pixels / max(longest, 2))
        if fits >= 3.5:
            axes.text(*place, lines, fontsize=fits, ha="center", va="center", zorder=7)
    start = machine.places[0]
    taken = machine.places[1:] if machine.count > 1 else start[None] - 1
    # From the side on which there is most room.
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False) + np.pi
    sides = start + 2.1 * radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    free = np.linalg.norm(sides[:, None] - taken, axis=2).min(axis=1).clip(max=1.0)
    tail = sides[free.argmax()]
    tip = start + (tail - start) / 2.1 * 1.05
    style = dict(arrowstyle="-|>", color="black", linewidth=1.3, shrinkA=0, shrinkB=0)
    axes.annotate("", tip, tail, arrowprops=style)
    return radius


# State vectors, grouped by the machine's states


def states_picture(
    states: States,
    extraction: Extraction,
    language: Language,
    plane: Plane,
    title: str,
    named: bool,
) -> Figure:
    """Draw a network's state vectors as dots, with an outline, a name and arrows for each state of
    its machine: the annotated image of the assignment.

    named: False draws only the dots, for a machine with too many states.
    """
    many = extraction.machine.count > 16
    figure = Figure(figsize=(13, 10) if many else (10, 7.6), dpi=DPI)
    axes = figure.add_axes((0.08, 0.08, 0.81, 0.86))
    dots = draw_states(axes, states, extraction if named else None, language, plane)
    axes.set(xlabel=plane.labels[0], ylabel=plane.labels[1])
    colour_bar(figure, dots, language, cax=figure.add_axes((0.915, 0.12, 0.016, 0.76)))
    meaning, names = "before the first symbol", np.array(extraction.machine.names, dtype=object)
    if named:
        positions, fontsize = plane.project(states.vectors), 8 if many else 10
        centres = _centres(positions, extraction)
        draw_arrows(axes, centres, extraction.machine, GAP, fontsize, LOOP)
        zoom, magnified = _inset(axes, centres, extraction.machine, positions)
        if zoom:
            draw_states(zoom, states, extraction, language, plane, _box(centres[magnified], 0.18))
            inside = np.where(magnified[:, None], centres, np.nan)
            draw_arrows(zoom, inside, extraction.machine, GAP, fontsize, LOOP)
            place_names(zoom, inside, names, positions, fontsize)
            zoom.set(xticks=[], yticks=[])
        shown, anchors = np.where(magnified, "", names), centres
        if (extraction.state == 0).sum() > 1:
            meaning += f", the same state of the machine as {names[0]}"
            apart = np.diff(axes.transData.transform([positions[0], centres[0]]), axis=0)
            if np.linalg.norm(apart) > 2 * GAP:
                shown, anchors = np.append(shown, names[0]), np.vstack([centres, positions[0]])
        place_names(axes, anchors, shown, positions, fontsize)
        for symbol, letter in enumerate(language.symbols):
            axes.plot([], [], color=symbol_colour(symbol), label=letter)
        figure.legend(
            title="arrow: symbol read", loc="lower left", fontsize=8, title_fontsize=8, ncols=7,
            frameon=False, bbox_to_anchor=(0.0, -0.005),
        )  # fmt: skip
    axes.set_title(f"{title}\n×: initial state, {meaning}", fontsize=11)
    return figure


def _box(points: np.ndarray, room: float) -> np.ndarray:
    """Return the corners (2, 2) of a box round points (P, 2), with room relative to its size."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.maximum((high - low) * room, 1e-3)
    return np.array([low - room, high + room])


def _inset(axes, centres: np.ndarray, machine: Machine, dots: np.ndarray):
    """Return axes to magnify the largest crowd of states whose arrows are too short to be drawn,
    and which states (M,) bool it has; None and no state if there is none or no room.

    The place is the one that covers no dot and the fewest arrows.
    """
    pixels, size = axes.transData.transform(np.nan_to_num(centres)), axes.get_window_extent()
    near = cdist(pixels, pixels) < CROWDED
    near &= np.isfinite(centres).all(axis=1) & np.isfinite(centres).all(axis=1)[:, None]
    group = connected_components(near)[1]
    crowd = group == np.bincount(group).argmax()
    nothing = None, np.zeros(len(centres), dtype=bool)
    if crowd.sum() < MIN_CROWD or (np.ptp(pixels[crowd], axis=0) > 0.3 * size.size).any():
        return nothing
    state, symbol = np.nonzero(machine.transitions >= 0)
    ends = centres[state], centres[machine.transitions[state, symbol]]
    along = np.concatenate([ends[0] * (1 - t) + ends[1] * t for t in np.linspace(0, 1, 20)])
    dots, along = (
        axes.transAxes.inverted().transform(axes.transData.transform(x)) for x in (dots, along)
    )

    def covered(points: np.ndarray, place: tuple[float, float]) -> int:
        return (
            ((points > np.array(place) - 0.03) & (points < np.array(place) + INSET + 0.03))
            .all(axis=1)
            .sum()
        )

    across = np.linspace(0.02, 0.98 - INSET, 9)
    free = [(x, y) for x in across for y in across if not covered(dots, (x, y))]
    if not free:
        return nothing
    place = min(free, key=lambda place: covered(along, place))
    zoom = axes.inset_axes((*place, INSET, INSET), zorder=8)
    low, high = _box(centres[crowd], 0.18)
    axes.indicate_inset((*low, *(high - low)), zoom, edgecolor="0.3", alpha=0.6)
    return zoom, crowd


def draw_states(
    axes, states: States, extraction: Extraction | None, language, plane: Plane, box=None
):
    """Draw dots, the initial one as a cross, and an outline round each state of the machine, if
    given; return the dots. The limits of the axes are fixed, because outlines depend on them: the
    corners of `box`, or else round all dots."""
    positions = plane.project(states.vectors)
    limits = _box(positions, 0.07) if box is None else box
    axes.set(xlim=limits[:, 0], ylim=limits[:, 1])
    dots = axes.scatter(
        *positions.T, c=states.number, cmap="jet", s=14, edgecolors="0.25", linewidths=0.3, vmin=0,
        vmax=language.numbers.max(), zorder=4,
    )  # fmt: skip
    axes.plot(*positions[0], "x", color="black", markersize=11, markeredgewidth=2.4, zorder=6)
    if extraction is not None:
        _outline(axes, positions[:1])
        for members in _members(extraction):
            if len(members):
                _outline(axes, positions[members])
    return dots


def _members(extraction: Extraction) -> list[np.ndarray]:
    """Return the indices of each machine state's dots, without the cross if others share its state,
    because it lies apart from them."""
    found = [np.flatnonzero(extraction.state == s) for s in range(extraction.machine.count)]
    found[0] = found[0][1:] if len(found[0]) > 1 else found[0]
    return found


def _centres(positions: np.ndarray, extraction: Extraction) -> np.ndarray:
    """Return the position (M, 2) of each machine state's middle dot, nan for a state without."""
    found = np.full((extraction.machine.count, 2), np.nan)
    for state, members in enumerate(_members(extraction)):
        group = positions[members]
        if len(group):
            apart = np.linalg.norm(group - np.median(group, axis=0), axis=1)
            found[state] = group[apart.argmin()]
    return found


def _outline(axes, positions: np.ndarray) -> None:
    """Draw an outline round positions (K, 2): their convex hull as a thick line with round corners,
    and on it a thinner one in the fill colour."""
    try:
        ring = positions[ConvexHull(positions).vertices]
    except (QhullError, ValueError):
        # Fewer than three points, or all on a line; a line shorter than a pixel would not be drawn.
        order = np.lexsort(positions.T)
        pixel = 1.5 * np.ptp(axes.get_ylim()) / axes.get_window_extent().height
        ring = positions[[order[0], order[-1]]] + np.array([[0, 0], [0, pixel]])
    ring = np.vstack([ring, ring[:1]])
    for colour, width, layer in (("0.35", PADDING * 2, 1), ("#f3efe2", PADDING * 2 - 2.4, 1.1)):
        style = dict(solid_capstyle="round", solid_joinstyle="round", zorder=layer)
        axes.plot(*ring.T, color=colour, linewidth=width * 72 / DPI, **style)
        axes.fill(*ring.T, facecolor=colour, edgecolor="none", zorder=layer)
