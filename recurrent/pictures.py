"""Pictures of units: against each other, in space, and over time; the colours of all pictures."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.spatial.distance import pdist

from recurrent.language import Language

DPI = 100
# The sides of the box in space, as matplotlib has them.
BOX = (4, 4, 3)
# One colour for each symbol (its arrows, panels and phases), for the colour-blind too.
SYMBOLS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#5a3ea6", "#333333")
# What the colours of the dots mean, for each kind of language.
COUNTING = "state number: A's so far; later what is left of n (0: a run's last symbol)"
GRAMMAR = "state number: node of the grammar"


def symbol_colour(symbol: int) -> str:
    return SYMBOLS[symbol % len(SYMBOLS)]


def colour_label(language: Language) -> str:
    """Return the label of the colour bar of a language's dots."""
    return COUNTING if language.times else GRAMMAR


# Dots: one picture for each pair of units


def pair_picture(
    values: np.ndarray,
    number: np.ndarray,
    pair: tuple[int, int],
    units: str,
    title: str,
    language: Language,
    start: np.ndarray | None = None,
) -> Figure:
    """Draw two units against each other, a dot for each symbol read.

    values: (P, H) activations; number: (P,) state numbers, which are the colours (jet, as the
    assignment has it); units: what a unit is called; start: (H,) the initial state, a cross.
    """
    # Fixed places: to find them by matplotlib's layout takes longer than to draw the rest.
    figure = Figure(figsize=(7, 5.4), dpi=DPI)
    axes = figure.add_axes((0.12, 0.13, 0.7, 0.79))
    one, other = pair
    # The lowest number is drawn last: most dots have it, but they are all in one place.
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


def colour_bar(figure: Figure, dots, language: Language, **place) -> None:
    bar = figure.colorbar(dots, **place)
    bar.set_label(colour_label(language), fontsize=8)
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
    """Draw the first three units in space; in `figure`, if one is given.

    values: (P, H) activations; number: (P,) state numbers.
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
    """Return the elevation and azimuth (degrees) in which dots of other numbers lie farthest apart.

    points: (P, 3); number: (P,).
    """
    scaled = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-9)
    # Dots that cannot be told apart in space are one.
    dots = np.unique(np.column_stack([scaled.round(2) * BOX, number]), axis=0)
    other = pdist(dots[:, 3:]) > 0
    views = [(e, a) for e in (15, 25, 35) for a in range(-180, 180, 15)]

    def crowd(view: tuple[int, int]) -> float:
        e, a = np.radians(view)
        across = (-np.sin(a), np.cos(a), 0)
        up = (-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e))
        apart = pdist(dots[:, :3] @ np.array([across, up]).T)[other]
        # What is more than a tenth of the box apart costs nothing.
        return np.clip(0.1 * BOX[0] - apart, 0, None).sum()

    return min(views, key=crowd)


# A word over time


def words_shown(language: Language) -> tuple[str, ...]:
    """Return the words that are shown: all of a counting language's, else the four shortest."""
    if language.all_words:
        return language.all_words
    longest = 6
    while len(words := language.words(longest)) < 4:
        longest += 1
    return tuple(words[:4])


def word_before(language: Language) -> str:
    """Return the word that is read before one that is shown; none where a sequence is one word."""
    return words_shown(language)[0] if language.chained else ""


def word_name(language: Language, text: str) -> str:
    return f"n = {language.all_words.index(text) + 1}" if language.all_words else text


@torch.no_grad()
def time_picture(net, language: Language, title: str) -> Figure:
    """Draw all units, gates and probabilities along one long word, read after another one."""
    before, text = word_before(language), words_shown(language)[-1]
    symbols = torch.from_numpy(language.encode(before + text))[:, None]
    run = net(symbols)
    rows = [("hidden units", run.hidden)]
    if run.context is not None:
        earlier = torch.cat([net.initial_state(1)[0][None], run.hidden[:-1]])
        names = ("input gate", "forget gate", "new value (g)", "output gate")
        gates = zip(names, net.gates(symbols, earlier), strict=True)
        rows = [("context units", run.context), *rows, *gates]
    rows.append(("probability", run.logits.softmax(-1)))
    width = float(np.clip(3 + 0.22 * len(symbols), 7, 16))
    figure = Figure(figsize=(width, 1.2 + 1.35 * len(rows)), dpi=DPI, layout="constrained")
    places = np.arange(len(symbols))
    for axes, (name, values) in zip(figure.subplots(len(rows), 1, sharex=True), rows, strict=True):
        for place, symbol in enumerate(symbols[:, 0]):
            axes.axvspan(
                place - 0.5, place + 0.5, color=symbol_colour(int(symbol)), alpha=0.13, lw=0
            )
        if before:
            axes.axvline(len(before) - 0.5, color="0.3", linewidth=1.2)
        for unit, curve in enumerate(values[:, 0].cpu().numpy().T):
            last = name == "probability"
            colour = symbol_colour(unit) if last else f"C{unit % 10}"
            label = f"of {language.symbols[unit]}" if last else f"unit {unit}"
            axes.plot(places, curve, ".-", color=colour, label=label, markersize=4, linewidth=1.2)
        axes.set_ylabel(name, fontsize=9)
        axes.grid(alpha=0.25, axis="y")
        if values.shape[-1] <= 8:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    axes.set_xticks(places, list(before + text), fontsize=8)
    axes.set_xlim(-0.5, len(symbols) - 0.5)
    axes.set_xlabel(
        f"symbol read: {word_name(language, before)}, then {word_name(language, text)}"
        if language.times
        else "symbol read"
    )
    figure.suptitle(title, fontsize=11)
    return figure
