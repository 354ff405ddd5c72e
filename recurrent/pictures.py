"""Pictures of units: scatter plots in 2D and 3D, units over time, countdown, maps; all colours."""

from __future__ import annotations

import textwrap
from itertools import pairwise

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist

from recurrent.dynamics import margins, symbol_map
from recurrent.language import Language

DPI = 100
# Relative side lengths of the 3D box, matplotlib's default.
BOX = (4, 4, 3)
# Symbol colours in all pictures (arrows, panels, curves), also distinct for the colour-blind.
SYMBOL_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#5a3ea6", "#333333")
# Labels of the colour bar: the state numbers of counting languages and of grammars.
COUNTING_LABEL = "state number: A's read, then n counted down to 0 in each later run"
GRAMMAR_LABEL = "state number: node of the grammar"
# Marker of each kind of fixed point, and of a slow point.
MARKERS = {"attractor": "o", "saddle": "X", "repeller": "^", "slow point": "D"}
# Limit of the axes for two hidden units, whose values are between -1 and 1.
LIMIT = 1.08
# Minimum number of pixels (of 300 x 300) of a decision region that is labelled with its symbol.
MIN_REGION = 60
# Number of words in a picture of a language that does not count, the shortest ones.
WORDS_SHOWN = 4


def symbol_colour(symbol: int) -> str:
    return SYMBOL_COLOURS[symbol % len(SYMBOL_COLOURS)]


def wrapped(title: str, width: float) -> str:
    """Return a title in lines as long as a figure of this width in inches, at font size 11."""
    return textwrap.fill(title, int(11 * width))


def panels(
    title: str,
    rows: int,
    columns: int,
    size: tuple[float, float],
    between: float = 0.75,
    right: float = 0.3,
    bottom: float = 0.6,
    top: float = 0.4,
    **options,
) -> tuple[Figure, np.ndarray]:
    """Return a Figure with a grid of axes (rows, columns) of this size, in inches as all distances,
    below a title in as many lines as it needs; top: room for the titles of the first row's axes.

    matplotlib's automatic layout takes longer than all the drawing.
    """
    width, height, left = *size, 0.8
    across = left + columns * width + (columns - 1) * between + right
    title = wrapped(title, across)
    top += 0.2 + 0.2 * title.count("\n")
    along = bottom + rows * height + (rows - 1) * between + top
    place = dict(left=left / across, right=1 - right / across, wspace=between / width)
    place |= dict(bottom=bottom / along, top=1 - top / along, hspace=between / height)
    figure = Figure(figsize=(across, along), dpi=DPI)
    figure.suptitle(title, y=1 - 0.08 / along, fontsize=11)
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=place, **options)


# Scatter plots


def pair_picture(
    values: np.ndarray,
    number: np.ndarray,
    pair: tuple[int, int],
    units: str,
    title: str,
    language: Language,
    start: np.ndarray | None = None,
) -> Figure:
    """Draw a scatter plot of two units, a dot for each symbol read.

    values: (P, H) activations; number: (P,) state numbers, drawn as colours (jet, as in the
    assignment); units: "hidden unit" or "context unit"; start: (H,) initial values, drawn as a
    cross.
    """
    figure = Figure(figsize=(7, 5.4), dpi=DPI)
    axes = figure.add_axes((0.12, 0.13, 0.7, 0.79))
    one, other = pair
    # State 0 is drawn last, because its many dots are all in one place and hide few others.
    order = np.argsort(-number, kind="stable")
    dots = axes.scatter(
        values[order, one], values[order, other], c=number[order], cmap="jet", s=26,
        edgecolors="0.25", linewidths=0.4, vmin=0, vmax=language.numbers.max(),
    )  # fmt: skip
    if start is not None:
        axes.plot(*start[[one, other]], "x", color="black", markersize=11, markeredgewidth=2.4)
        axes.plot(
            [], [], "x", color="black", markersize=9, markeredgewidth=2, label="initial state"
        )
        figure.legend(loc="lower right", frameon=False)
    axes.set(xlabel=f"{units} {one}", ylabel=f"{units} {other}")
    axes.set_title(wrapped(title, figure.get_figwidth()), fontsize=10)
    axes.margins(0.06)
    axes.grid(alpha=0.25)
    colour_bar(figure, dots, language, cax=figure.add_axes((0.845, 0.13, 0.025, 0.79)))
    return figure


def colour_bar(figure: Figure, dots, language: Language, **options) -> None:
    bar = figure.colorbar(dots, **options)
    bar.set_label(COUNTING_LABEL if language.times else GRAMMAR_LABEL, fontsize=8)
    if language.numbers.max() <= 20:
        bar.set_ticks(np.arange(language.numbers.max() + 1))


def cube_picture(
    net,
    values: np.ndarray,
    number: np.ndarray,
    context: bool,
    title: str,
    language: Language,
    figure: Figure | None = None,
) -> Figure:
    """Draw a 3D scatter plot of the first three units, and the words' paths coloured by the symbol
    read, into `figure` if given.

    values: (P, H) activations; number: (P,) state numbers; context: whether the units are context
    units.
    """
    figure = figure or Figure(figsize=(7.4, 5.6), dpi=DPI)
    axes = figure.add_axes((0.0, 0.1, 0.82, 0.84), projection="3d")
    for text in words_shown(language):
        states, symbols = word_states(net, language, text)
        path = states[:, net.hid :][:, :3] if context else states[:, : net.hid][:, :3]
        for (a, b), symbol in zip(pairwise(path), symbols, strict=True):
            axes.plot(*np.stack([a, b], axis=1), color=symbol_colour(symbol), lw=1.0, alpha=0.7)
    dots = axes.scatter(
        *values[:, :3].T, c=number, cmap="jet", s=26, edgecolors="0.25", linewidths=0.4,
        vmin=0, vmax=language.numbers.max(), depthshade=False,
    )  # fmt: skip
    units = "context unit" if context else "hidden unit"
    axes.set(xlabel=f"{units} 0", ylabel=f"{units} 1", zlabel=f"{units} 2")
    axes.set_title(wrapped(title, figure.get_figwidth()), fontsize=10)
    axes.locator_params(nbins=5)
    axes.tick_params(labelsize=8)
    elevation, azimuth = best_view(values[:, :3], number)
    axes.view_init(elevation, azimuth)
    axes.set_box_aspect(BOX, zoom=1.1)
    handles = [
        axes.plot([], [], color=symbol_colour(k), label=letter)[0]
        for k, letter in enumerate(language.symbols)
    ]
    figure.legend(
        handles=handles, title="path: symbol read", loc="lower left", fontsize=8, title_fontsize=8,
        frameon=False, ncols=4,
    )  # fmt: skip
    colour_bar(figure, dots, language, cax=figure.add_axes((0.87, 0.15, 0.025, 0.7)))
    return figure


def best_view(points: np.ndarray, number: np.ndarray) -> tuple[float, float]:
    """Return the elevation and azimuth, in degrees, that best separate dots of different numbers.

    points: (P, 3); number: (P,).
    """
    scaled = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-9)
    # Dots closer than a hundredth of the box count as one.
    dots = np.unique(np.column_stack([scaled.round(2) * BOX, number]), axis=0)
    other = pdist(dots[:, 3:]) > 0
    views = [(e, a) for e in (15, 25, 35) for a in range(-180, 180, 15)]

    def crowding(view: tuple[int, int]) -> float:
        e, a = np.radians(view)
        across = (-np.sin(a), np.cos(a), 0)
        up = (-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e))
        distances = pdist(dots[:, :3] @ np.array([across, up]).T)[other]
        # Distances above a tenth of the box cost nothing.
        return np.clip(0.1 * BOX[0] - distances, 0, None).sum()

    return min(views, key=crowding)


# Words


def words_shown(language: Language) -> tuple[str, ...]:
    """Return the words for pictures: all of a counting language, the shortest ones of another."""
    return language.all_words or language.shortest_words(WORDS_SHOWN)


def word_before(language: Language) -> str:
    """Return the word to read before a shown one; "" if words are not chained."""
    return words_shown(language)[0] if language.chained else ""


def word_name(language: Language, text: str) -> str:
    """Return "n = 3" for a counting language's word, any other word itself."""
    return f"n = {language.all_words.index(text) + 1}" if language.all_words else text


@torch.no_grad()
def word_states(net, language: Language, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the states (T + 1, D) along a word, from before its first symbol on, and its symbols
    (T,); in a counting language it is read after word_before. The last symbol of a word of another
    language is only predicted, and not among the symbols."""
    before = word_before(language)
    symbols = language.encode(before + (text if language.chained else text[:-1]))
    states = net.states(torch.from_numpy(symbols)[:, None])[:, 0]
    states = torch.cat([net.initial_state(1), states]).cpu().double().numpy()
    return states[len(before) :], symbols[len(before) :]


@torch.no_grad()
def time_picture(net, language: Language, title: str, own: str = "") -> Figure:
    """Draw units, gates and probabilities over the text `own`, or else over the longest shown word,
    read after another word."""
    before, text = ("", own) if own else (word_before(language), words_shown(language)[-1])
    symbols = torch.from_numpy(language.encode(before + text))[:, None]
    states = net.states(symbols)
    rows = [("hidden units", states[..., : net.hid])]
    if net.blocks > 1:
        earlier = torch.cat([net.initial_state(1)[None], states[:-1]])
        names = ("input gate", "forget gate", "cell input (g)", "output gate")
        gates = zip(names, net.gates(symbols, earlier), strict=True)
        rows = [("context units", net.memory(states)), *rows, *gates]
    rows.append(("P(next symbol)", net.read_out(states).softmax(-1)))
    width = float(np.clip(1.4 + 0.22 * len(symbols), 5.4, 14.4))
    how = dict(between=0.15, right=0.9, top=0.15, sharex=True)
    figure, grid = panels(title, len(rows), 1, (width, 1.25), **how)
    steps, read = np.arange(len(symbols)), symbols[:, 0].numpy()
    for axes, (name, values) in zip(grid[:, 0], rows, strict=True):
        axes.use_sticky_edges = False
        for symbol in np.unique(read).tolist():
            style = dict(color=symbol_colour(symbol), alpha=0.13, lw=0)
            across = axes.get_xaxis_transform()
            axes.bar(steps[read == symbol], 1, 1, transform=across, **style)
        if before:
            axes.axvline(len(before) - 0.5, color="0.3", linewidth=1.2)
        for unit, curve in enumerate(values[:, 0].cpu().numpy().T):
            is_output = name == "P(next symbol)"
            colour = symbol_colour(unit) if is_output else f"C{unit % 10}"
            label = language.symbols[unit] if is_output else f"unit {unit}"
            axes.plot(steps, curve, ".-", color=colour, label=label, markersize=4, linewidth=1.2)
        axes.set_ylabel(name, fontsize=9)
        axes.grid(alpha=0.25, axis="y")
        if values.shape[-1] <= 8:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    axes.set_xticks(steps, list(before + text), fontsize=8)
    axes.set_xlim(-0.5, len(symbols) - 0.5)
    named = f": {word_name(language, before)}, then {word_name(language, text)}" if before else ""
    axes.set_xlabel(f"symbol read{named}")
    return figure


# How it counts


def countdown_picture(net, language: Language, title: str) -> Figure:
    """Draw the margin against the symbols left, a panel for each later run, a line for each n up to
    max_n, dashed for the next two."""
    runs = range(1, language.classes)
    figure, grid = panels(title, 1, len(runs), (3.9, 3.3), right=1.75)
    numbers = range(1, language.max_n + 3)
    colours = colormaps["viridis"](np.linspace(0.05, 0.9, len(numbers)))
    found = [margins(net, language, n) for n in numbers]
    for axes, run in zip(grid[0], runs, strict=True):
        letter = language.symbols[run]
        after = language.symbols[(run + 1) % language.classes]
        for n, colour, series in zip(numbers, colours, found, strict=True):
            values = series[run - 1]
            trained = n <= language.max_n
            axes.plot(
                np.arange(len(values))[::-1], values, ".-" if trained else ".--", color=colour,
                label=f"n = {n}" + ("" if trained else " (not trained)"), linewidth=1.6,
            )  # fmt: skip
        axes.axhline(0, color="black", linewidth=1)
        axes.text(0.02, 0, f"above: predicts {after}", transform=axes.get_yaxis_transform(),
                  va="bottom", fontsize=8)  # fmt: skip
        axes.invert_xaxis()
        axes.set_title(f"after each {letter}", fontsize=10)
        axes.set_xlabel(f"{letter}'s left")
        axes.set_ylabel(f"margin: logit of {after} minus logit of {letter}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="center right", fontsize=8)
    return figure


def maps_picture(net, language: Language, symbols: list[int], points: list[dict], title: str):
    """Draw, for an SRN with two hidden units, a panel for each of the symbols: the vector field of
    its map, its fixed and slow points, its steps in words, and the decision boundary of the output.

    points: their records (dynamics.stationary_points).
    """
    columns = min(len(symbols), 4)
    rows = -(-len(symbols) // columns)
    figure, grid = panels(title, rows, columns, (3.9, 4.0), bottom=1.15)
    words = words_shown(language)
    colours = colormaps["viridis"](np.linspace(0.05, 0.85, len(words)))
    gold, drawn = dict(markerfacecolor="gold", markeredgecolor="black", linestyle=""), set()
    for axes in grid.flat[len(symbols) :]:
        axes.axis("off")
    for axes, symbol in zip(grid.flat, symbols, strict=False):
        _draw_field(axes, net, symbol)
        _draw_decisions(axes, net, language)
        # The longest word first, because its path begins with those of the others.
        for text, colour in reversed(list(zip(words, colours, strict=True))):
            path, read = word_states(net, language, text)
            steps = np.diff(path, axis=0)[read == symbol]
            how = dict(angles="xy", scale_units="xy", scale=1, width=0.008, zorder=4)
            axes.quiver(*path[:-1][read == symbol].T, *steps.T, color=colour, **how)
        for point in points:
            if point["symbol"] == language.symbols[symbol]:
                axes.plot(*point["point"], MARKERS[point["kind"]], markersize=11, zorder=6, **gold)
                drawn.add(point["kind"])
        axes.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), xlabel="hidden unit 0")
        axes.set_xticks(np.linspace(-1, 1, 5))
        axes.set_title(f"symbol {language.symbols[symbol]}", color=symbol_colour(symbol))
    for axes in grid[:, 0]:
        axes.set_ylabel("hidden unit 1")
    blank = grid.flat[0]
    handles = [
        blank.plot([], [], color=colour, linewidth=2, label=word_name(language, text))[0]
        for text, colour in zip(words, colours, strict=True)
    ]
    handles += [
        blank.plot([], [], marker, markersize=9, label=kind, **gold)[0]
        for kind, marker in MARKERS.items()
        if kind in drawn
    ]
    handles += blank.plot([], [], color="black", linewidth=1.2, label="decision boundary")
    arrow = dict(marker=r"$\rightarrow$", markersize=12, linestyle="", color="0.6")
    handles += blank.plot([], [], label="step of the map (not to scale)", **arrow)
    figure.legend(handles=handles, loc="lower center", ncols=5, frameon=False, fontsize=9)
    return figure


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
            axes.contour(across, across, lead, levels=[0], colors="black", linewidths=1.2, zorder=2)
            rows, columns = np.nonzero(predicted == symbol)
            if len(rows) < MIN_REGION:
                continue
            centre = across[int(np.median(columns))], across[int(np.median(rows))]
            axes.text(
                *centre, language.symbols[symbol], color=symbol_colour(symbol), fontsize=22,
                alpha=0.35, ha="center", va="center", zorder=1.5, weight="bold",
            )  # fmt: skip
