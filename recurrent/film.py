"""A film of a network reading a few words: its state vector, its machine's state, its output."""

from __future__ import annotations

import io

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from PIL import Image

from recurrent.diagrams import draw_machine, draw_states
from recurrent.extraction import Extraction, Plane, States
from recurrent.language import Language, Machine
from recurrent.pictures import DPI, symbol_colour, words_shown

# Maximum number of symbols in a film, unless a single word is longer.
MAX_SYMBOLS = 44
# Milliseconds per frame; a frame is a symbol.
FRAME_TIME = 620
# Colour of the current state vector, machine state and letter.
HIGHLIGHT = "#ffcc00"


def film_words(language: Language) -> list[str]:
    """Return the words of a film: the shortest ones, in all at most MAX_SYMBOLS symbols."""
    words = list(words_shown(language))
    while len(words) > 1 and sum(map(len, words)) > MAX_SYMBOLS:
        words.pop()
    return words


@torch.no_grad()
def make_film(
    net, language: Language, states: States, extraction: Extraction, plane: Plane, title: str
) -> bytes:
    """Return a film, an animated GIF: chained words are read one after the other, other words each
    from the initial state."""
    words, machine = film_words(language), extraction.machine
    frames = []
    for text in ["".join(words)] if language.chained else words:
        symbols = language.encode(text)
        path = net.states(torch.from_numpy(symbols)[:, None])[:, 0]
        path = torch.cat([net.initial_state(1), path])
        probs = net.read_out(path).softmax(dim=-1).cpu().numpy()
        # Nothing predicts the first symbol.
        probs[0] = 0
        path, state = path.cpu().double().numpy(), np.concatenate([[0], machine.follow(symbols)])
        # The last symbol of an unchained word is not read.
        for step in range(len(text) + (1 if language.chained else 0)):
            frames.append((text, step, path[: step + 1], int(state[step]), probs[step]))
    figure = Figure(figsize=(10, 6), dpi=DPI)
    FigureCanvasAgg(figure)
    background = _draw_background(figure, language, states, extraction, plane, title)
    return _animate(figure, background, frames, language, machine, plane)


def _draw_background(figure, language, states, extraction, plane, title) -> dict:
    """Draw what does not move; return the axes by name, and the radius of a machine's state.

    The panels are drawn once and shown as one image, because drawing a hundred arrows takes half a
    second and a film has fifty frames.
    """
    figure.text(0.5, 0.965, title, fontsize=11, ha="center", va="center")
    left = figure.add_axes((0.075, 0.31, 0.39, 0.56))
    draw_states(left, states, extraction, language, plane)
    left.set_xlabel(plane.labels[0], fontsize=8)
    left.set_ylabel(plane.labels[1], fontsize=8, labelpad=1)
    left.tick_params(labelsize=7)
    left.locator_params(nbins=5)
    left.set_title("state vectors", fontsize=9)
    right = figure.add_axes((0.485, 0.25, 0.51, 0.62))
    radius = draw_machine(right, extraction.machine)
    right.set_title("machine on the words", fontsize=9, pad=14)
    bars = figure.add_axes((0.075, 0.06, 0.39, 0.13))
    bars.set(xlim=(-0.6, language.classes - 0.4), ylim=(0, 1))
    bars.set_xticks(range(language.classes), list(language.symbols), fontsize=9, weight="bold")
    bars.set_yticks([0, 0.5, 1], ["0", "½", "1"], fontsize=7)
    bars.set_title("probability of the next symbol", fontsize=9, pad=3)
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba()).copy()
    overlays = {}
    for name, axes in (("left", left), ("right", right), ("bars", bars)):
        # An empty copy of the axes, in which only the moving parts are drawn.
        overlays[name] = figure.add_axes(axes.get_position(), xlim=axes.get_xlim())
        overlays[name].set(ylim=axes.get_ylim(), autoscale_on=False)
        overlays[name].axis("off")
        figure.delaxes(axes)
    figure.texts.clear()
    whole = figure.add_axes((0, 0, 1, 1), zorder=-1)
    whole.axis("off")
    whole.imshow(image, aspect="auto")
    return overlays | {"radius": radius}


def _animate(figure, background, frames, language, machine, plane) -> bytes:
    """Return the film of the frames (text, step, path (step + 1, D), machine state, probs (C,))."""
    left, right, bars = (background[name] for name in ("left", "right", "bars"))
    (trail,) = left.plot([], [], color="0.15", linewidth=1.4)
    style = dict(markerfacecolor=HIGHLIGHT, markeredgecolor="black")
    (dot,) = left.plot([], [], "o", markersize=10, **style)
    # Larger than a small state, with room for its name.
    radius = max(background["radius"], 0.022 * np.ptp(right.get_ylim()))
    marker = right.add_patch(
        Circle((0, 0), 1.2 * radius, facecolor=HIGHLIGHT, edgecolor="black", lw=1.6)
    )
    label = right.text(0, 0, "", fontsize=7, weight="bold", ha="center", va="center")
    heights = bars.bar(range(language.classes), [0.0] * language.classes, 0.7)
    for symbol, bar in enumerate(heights):
        bar.set_color(symbol_colour(symbol))
    lines = [figure.text(0.5, y, "", fontsize=11, family="monospace") for y in (0.15, 0.105, 0.06)]

    def show(text: str, step: int, path: np.ndarray, state: int, probs: np.ndarray) -> Image.Image:
        positions = plane.project(path)
        trail.set_data(*positions[-6:].T)
        dot.set_data(*positions[-1:].T)
        marker.set_visible(state >= 0)
        name = machine.names[state] if state >= 0 else ""
        label.set_text(name.replace(" ", "\n"))
        if state >= 0:
            marker.set_center(machine.places[state])
            label.set_position(machine.places[state])
        for bar, height in zip(heights, probs, strict=True):
            bar.set_height(height)
        lines[0].set_text(f"read:  {text[:step][-34:] or '-'}")
        lines[1].set_text(f"state: {name or 'none of the machine'}")
        lines[2].set_text(f"next:  {_following(machine, state)}")
        figure.canvas.draw()
        return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")

    # One palette for all frames, with the colours of all bars, and no dithering: only what moves
    # differs from frame to frame, and takes room in the file.
    palette = show(*frames[0][:4], np.ones(language.classes)).quantize()
    images = [show(*frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=FRAME_TIME, loop=0
    )
    return buffer.getvalue()


def _following(machine: Machine, state: int) -> str:
    """Return what a machine predicts in a state, "" for state -1."""
    if state < 0:
        return ""
    output, allowed = machine.outputs[state], np.flatnonzero(machine.transitions[state] >= 0)
    symbols = [output] if output >= 0 else allowed
    return " or ".join(machine.symbols[symbol] for symbol in symbols) or "-"
