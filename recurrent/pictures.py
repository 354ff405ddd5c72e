"""Pictures of units: scatter plots in 2D and 3D, and units over time; colours of all pictures."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist

from recurrent.language import Language

DPI = 100
# Relative side lengths of the 3D box, matplotlib's default.
BOX = (4, 4, 3)
# Symbol colours in all pictures (arrows, panels, curves), also distinct for the colour-blind.
SYMBOL_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#5a3ea6", "#333333")
# Labels of the colour bar: the state numbers of counting languages and of grammars.
COUNTING_LABEL = "state number: A's read, then n counted down to 0 in each later run"
GRAMMAR_LABEL = "state number: node of the grammar"


def symbol_colour(symbol: int) -> str:
    return SYMBOL_COLOURS[symbol % len(SYMBOL_COLOURS)]


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
    # Fixed axes, because matplotlib's automatic layout takes longer than all the drawing.
    figure = Figure(figsize=(7, 5.4), dpi=DPI)
    axes = figure.add_axes((0.12, 0.13, 0.7, 0.79))
    one, other = pair
    # State 0 is drawn last, because its many dots are all in one place and hide few others.
    order = np.argsort(-number, kind="stable")
    dots = axes.scatter(
        values[order, one], values[order, other], c=number[order], cmap="jet", s=26,
        edgecolors="0.25", linewidths=0.4, vmin=0, vmax=language.number.max(),
    )  # fmt: skip
    if start is not None:
        axes.plot(*start[[one, other]], "x", color="black", markersize=11, markeredgewidth=2.4)
        axes.plot(
            [], [], "x", color="black", markersize=9, markeredgewidth=2, label="initial state"
        )
        figure.legend(loc="lower right", frameon=False)
    axes.set(xlabel=f"{units} {one}", ylabel=f"{units} {other}")
    axes.set_title(title, fontsize=10)
    axes.margins(0.06)
    axes.grid(alpha=0.25)
    colour_bar(figure, dots, language, cax=figure.add_axes((0.845, 0.13, 0.025, 0.79)))
    return figure


def colour_bar(figure: Figure, dots, language: Language, **options) -> None:
    bar = figure.colorbar(dots, **options)
    bar.set_label(COUNTING_LABEL if language.times else GRAMMAR_LABEL, fontsize=8)
    if language.number.max() <= 20:
        bar.set_ticks(np.arange(language.number.max() + 1))


def cube_picture(
    values: np.ndarray,
    number: np.ndarray,
    units: str,
    title: str,
    language: Language,
    figure: Figure | None = None,
) -> Figure:
    """Draw a 3D scatter plot of the first three units, into `figure` if given.

    values: (P, H) activations; number: (P,) state numbers; units: see pair_picture.
    """
    figure = figure or Figure(figsize=(7.4, 5.6), dpi=DPI)
    axes = figure.add_axes((0.03, 0.04, 0.78, 0.88), projection="3d")
    dots = axes.scatter(
        *values[:, :3].T, c=number, cmap="jet", s=26, edgecolors="0.25", linewidths=0.4,
        vmin=0, vmax=language.number.max(), depthshade=False,
    )  # fmt: skip
    axes.set(xlabel=f"{units} 0", ylabel=f"{units} 1", zlabel=f"{units} 2")
    axes.set_title(title, fontsize=10)
    axes.locator_params(nbins=5)
    axes.tick_params(labelsize=8)
    elevation, azimuth = best_view(values[:, :3], number)
    axes.view_init(elevation, azimuth)
    axes.set_box_aspect(BOX, zoom=0.95)
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


# Units over time


def words_shown(language: Language) -> tuple[str, ...]:
    """Return the words for pictures: all of a counting language, the four shortest of another."""
    if language.all_words:
        return language.all_words
    max_length = 6
    while len(words := language.words_up_to(max_length)) < 4:
        max_length += 1
    return tuple(words[:4])


def word_before(language: Language) -> str:
    """Return the word to read before a shown one; "" if words are not chained."""
    return words_shown(language)[0] if language.chained else ""


def word_name(language: Language, text: str) -> str:
    """Return "n = 3" for a counting language's word, any other word itself."""
    return f"n = {language.all_words.index(text) + 1}" if language.all_words else text


@torch.no_grad()
def time_picture(net, language: Language, title: str) -> Figure:
    """Draw units, gates and probabilities over the longest shown word, read after another word."""
    before, text = word_before(language), words_shown(language)[-1]
    symbols = torch.from_numpy(language.encode(before + text))[:, None]
    run = net(symbols)
    rows = [("hidden units", run.hidden)]
    if run.context is not None:
        earlier = torch.cat([net.initial_state(1)[0][None], run.hidden[:-1]])
        names = ("input gate", "forget gate", "cell input (g)", "output gate")
        gates = zip(names, net.gates(symbols, earlier), strict=True)
        rows = [("context units", run.context), *rows, *gates]
    rows.append(("P(next symbol)", run.logits.softmax(-1)))
    width = float(np.clip(3 + 0.22 * len(symbols), 7, 16))
    figure = Figure(figsize=(width, 1.2 + 1.35 * len(rows)), dpi=DPI, layout="constrained")
    steps = np.arange(len(symbols))
    for axes, (name, values) in zip(figure.subplots(len(rows), 1, sharex=True), rows, strict=True):
        for step, symbol in enumerate(symbols[:, 0]):
            axes.axvspan(step - 0.5, step + 0.5, color=symbol_colour(int(symbol)), alpha=0.13, lw=0)
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
    axes.set_xlabel(
        f"symbol read: {word_name(language, before)}, then {word_name(language, text)}"
        if language.times
        else "symbol read"
    )
    figure.suptitle(title, fontsize=11)
    return figure
