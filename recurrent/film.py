"""A film of a network that reads a few words: its vector, its machine's state, its predictions."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from PIL import Image

from recurrent.diagrams import (
    RADIUS,
    SMALLEST_NAMES,
    draw_clusters,
    draw_machine,
    machine_places,
    plane_of,
    set_limits,
)
from recurrent.dynamics import states_along
from recurrent.extraction import Extraction
from recurrent.language import Language
from recurrent.machine import Machine, probability_threshold
from recurrent.pictures import DPI, symbol_colour, words_shown

# Symbols that are read at most, unless a single word is longer.
MAX_SYMBOLS = 44
# Frames for each symbol, in which the point moves to its next place; the last one is held.
GLIDE = 5
# Milliseconds: of a film, of a frame that is not held, of a symbol at least and at most.
DURATION, MOVING, SHORTEST, LONGEST = 20_000, 70, 350, 1200
# Colours of a film, because fewer of them make a smaller file.
COLOURS = 128
# The colour of what is current: the point, the state, the letter.
NOW = "#ffcc00"


class Frame(NamedTuple):
    """A moment of a film: between two symbols of a reading, and how long it is shown.

    step: how many symbols have been read; share: how far the vector has moved from the one before.
    """

    reading: int
    step: int
    share: float
    milliseconds: int


@dataclass(frozen=True, eq=False)
class Reading:
    """What a network goes through while it reads a sequence of T symbols; row 0 is the start.

    words:   the words of the sequence.
    vectors: (T + 1, D) hidden (and context) vectors; where the words' end is a state of its own,
        which has no vector, the one before.
    states:  (T + 1,) the machine's states, -1 once it cannot follow.
    probs:   (T + 1, C) the next symbol's probabilities, 0 where no prediction is trained.
    """

    words: list[str]
    vectors: np.ndarray
    states: np.ndarray
    probs: np.ndarray

    @property
    def text(self) -> str:
        return "".join(self.words)

    def first(self, step: int) -> int:
        """Return the step at which the word that is read at `step` began."""
        ends = accumulate(map(len, self.words), initial=0)
        return max(end for end in ends if end < max(step, 1))


def readings(net, language: Language, machine: Machine) -> list[Reading]:
    """Return what is shown: words after each other in one sequence, or each in a sequence of its
    own."""
    words = list(words_shown(language))
    while len(words) > 1 and sum(map(len, words)) > MAX_SYMBOLS:
        words.pop()
    return [
        _read(net, language, machine, group)
        for group in ([words] if language.chained else [[word] for word in words])
    ]


@torch.no_grad()
def _read(net, language: Language, machine: Machine, words: list[str]) -> Reading:
    symbols = language.encode("".join(words))
    vectors = states_along(net, symbols)
    hidden = torch.from_numpy(vectors[:, : net.hid]).to(net.V)
    probs = net.read_out(hidden).softmax(dim=-1).cpu().numpy()
    probs[0] = 0
    if not language.chained:
        vectors[-1], probs[-1] = vectors[-2], 0
    states = np.concatenate([[machine.start], machine.follow(symbols)])
    return Reading(words, vectors, states, probs)


def frames(read: list[Reading]) -> list[Frame]:
    """Return the frames of a film: one for each start, GLIDE for each symbol."""
    total = sum(len(reading.states) for reading in read)
    symbol = int(np.clip(DURATION // total // 10 * 10, SHORTEST, LONGEST))
    found = []
    for number, reading in enumerate(read):
        found.append(Frame(number, 0, 1.0, symbol))
        for step in range(1, len(reading.states)):
            for t in np.arange(1, GLIDE + 1) / GLIDE:
                rest = MOVING if t < 1 else symbol - (GLIDE - 1) * MOVING
                # Slow, fast, slow.
                found.append(Frame(number, step, float(t * t * (3 - 2 * t)), rest))
    return found


def film(net, language: Language, found: Extraction, title: str) -> bytes:
    """Return a film as an animated GIF."""
    read = readings(net, language, found.machine)
    shown = frames(read)
    images = Stage(language, found, read, title).images(shown)
    buffer = io.BytesIO()
    # matplotlib's PillowWriter draws the whole figure and chooses the colours anew for each frame:
    # 60 s and 4.7 MB, where this takes 8 s and 0.3 MB (LSTM on anb2nc3n, one core).
    next(images).save(
        buffer, "GIF", save_all=True, append_images=images, loop=0,
        duration=[frame.milliseconds for frame in shown],
    )  # fmt: skip
    return buffer.getvalue()


class Stage:
    """The picture: what stays is drawn once, what moves is drawn on it for each frame."""

    def __init__(self, language: Language, found: Extraction, read: list[Reading], title: str):
        self.language, self.found, self.read = language, found, read
        self.figure = Figure(figsize=(8, 6), dpi=DPI)
        self.canvas = FigureCanvasAgg(self.figure)
        self.figure.text(0.5, 0.975, title, fontsize=10, ha="center", va="center")
        self.moving = [
            *self._clusters(self.figure.add_axes((0.075, 0.37, 0.37, 0.53))),
            *self._machine(self.figure.add_axes((0.455, 0.31, 0.54, 0.59))),
            *self._words(self.figure.add_axes((0.02, 0.205, 0.96, 0.07))),
            *self._bars(self.figure.add_axes((0.075, 0.05, 0.37, 0.115))),
            *self._lines(0.5, (0.145, 0.105)),
        ]
        for artist in self.moving:
            artist.set_animated(True)

    def _clusters(self, axes):
        found, (states, _) = self.found, self.found.drawn
        size = states.size
        project, labels = plane_of(found.trajectory, states)
        plane = project(found.trajectory.state[:, :size])
        self.places = [project(reading.vectors[:, :size]) for reading in self.read]
        set_limits(axes, np.vstack([plane, *self.places]))
        draw_clusters(axes, plane, found.trajectory, states, self.language)
        axes.set_xlabel(labels[0], fontsize=8)
        axes.set_ylabel(labels[1], fontsize=8, labelpad=1)
        axes.tick_params(labelsize=7)
        axes.locator_params(nbins=5)
        space = "hidden" if size == found.trajectory.hid else "hidden and context"
        axes.set_title(f"{space} units: a dot for each vector", fontsize=9)
        self.trail = axes.add_collection(LineCollection([], linewidths=2.2, zorder=8))
        (self.point,) = axes.plot(
            [], [], "o", markersize=11, markerfacecolor=NOW, markeredgecolor="black", zorder=9
        )
        return self.trail, self.point

    def _machine(self, axes):
        found = self.found
        places = machine_places(found.machine, found.overlap, found.places)
        scale, room = 74.0, axes.get_window_extent().size
        zoom = (room / (np.ptp(places, axis=0) * scale + 4 * RADIUS)).min()
        self.circles, low, high = draw_machine(
            axes, found.machine, found.names, places, scale, min(1.0, zoom)
        )
        half = max(0.8, *(high - low + 16) / room) * room / 2
        axes.set_xlim((low + high)[0] / 2 - half[0], (low + high)[0] / 2 + half[0])
        axes.set_ylim((low + high)[1] / 2 - half[1], (low + high)[1] / 2 + half[1])
        # Pixels of a unit. A circle has a radius of at least 7 pixels, its name at most 5 letters.
        zoom = room[0] / half[0] / 2
        radius = max(RADIUS, 7 / zoom)
        names = [name.replace(" ", "\n") if zoom > SMALLEST_NAMES else "" for name in found.names]
        self.names = [name if max(map(len, name.split("\n"))) < 6 else "" for name in names]
        self.lit = axes.add_patch(
            Circle((0, 0), radius, facecolor=NOW, edgecolor="black", linewidth=1.8, zorder=8)
        )
        axes.set_title("machine extracted from the network", fontsize=9)
        style = dict(fontsize=6, weight="bold", ha="center", va="center", zorder=9)
        self.name = axes.text(0, 0, "", **style)
        return self.lit, self.name

    def _words(self, axes):
        axes.axis("off")
        words = [word for reading in self.read for word in reading.words]
        wide = sum(map(len, words)) + len(words) - 1
        axes.set(xlim=(-1, max(wide, 30)), ylim=(-0.5, 0.5))
        # Pixels of a letter's cell, and points.
        cell = axes.get_window_extent().width / (max(wide, 30) + 1)
        font = min(13.0, 0.5 * cell)
        style = dict(ha="center", va="center", fontsize=font, weight="bold")
        self.letters, at = [], max(30 - wide, 0) / 2
        (self.current,) = axes.plot(
            [], [], "s", markersize=0.64 * cell, markerfacecolor=NOW, markeredgecolor="black"
        )
        for reading in self.read:
            letters = []
            for word in reading.words:
                letters += [at + place for place in range(len(word))]
                at += len(word) + 1
            self.letters.append(letters)
            for place, letter in zip(letters, reading.text, strict=True):
                colour = symbol_colour(self.language.symbols.index(letter))
                axes.text(place, -0.05, letter, color=colour, **style)
        self.letter = axes.text(0, -0.05, "", color="black", **style)
        return self.current, self.letter

    def _bars(self, axes):
        symbols = range(self.language.classes)
        axes.set(xlim=(-0.6, len(symbols) - 0.4), ylim=(0, 1))
        axes.set_xticks(symbols, list(self.language.symbols), fontsize=9, weight="bold")
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"], fontsize=7)
        axes.set_title("next symbol: its probability", fontsize=9, pad=3)
        axes.axhline(probability_threshold(self.language), color="0.5", lw=0.8, ls="--")
        self.bars = axes.bar(symbols, [0.0] * len(symbols), 0.7, zorder=3)
        for symbol, bar in enumerate(self.bars):
            bar.set_color(symbol_colour(symbol))
        return self.bars

    def _lines(self, left: float, heights: tuple[float, ...]):
        self.figure.text(
            left, 0.05, "yellow: now     ×: start     dashed line: allowed above it", fontsize=8,
            color="0.35",
        )  # fmt: skip
        self.lines = [self.figure.text(left, height, "", fontsize=10) for height in heights]
        return self.lines

    def images(self, shown: list[Frame]) -> Iterator[Image.Image]:
        """Yield the image of each frame, all in the same few colours."""
        self.canvas.draw()
        background = self.canvas.copy_from_bbox(self.figure.bbox)
        palette = self._palette()
        for frame in shown:
            self.move(frame)
            self.canvas.restore_region(background)
            for artist in self.moving:
                self.figure.draw_artist(artist)
            yield self._image().quantize(palette=palette, dither=Image.Dither.NONE)

    def _image(self) -> Image.Image:
        return Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")

    def _palette(self) -> Image.Image:
        """Return an image with the most frequent colours, and those that will be needed."""
        image = self._image()
        # Colours that are close to each other would be taken for one another: 16 levels each.
        image = image.point(lambda value: round(value / 17) * 17)
        counted = sorted(image.getcolors(image.width * image.height), reverse=True)
        needed = [NOW, *map(symbol_colour, range(self.language.classes))]
        colours = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in needed]
        colours += [colour for _, colour in counted[: COLOURS - len(colours)]]
        palette = Image.new("P", (1, 1))
        palette.putpalette(np.array(colours, dtype=np.uint8).tobytes())
        return palette

    def move(self, frame: Frame) -> None:
        """Move all artists to where they are at a frame."""
        reading, places = self.read[frame.reading], self.places[frame.reading]
        before, step = max(frame.step - 1, 0), frame.step

        def between(values: np.ndarray) -> np.ndarray:
            return values[before] + frame.share * (values[step] - values[before])

        here = between(places)
        self.point.set_data(*here[:, None])
        path = np.vstack([places[reading.first(step) : step], here])
        self.trail.set_segments(np.stack([path[:-1], path[1:]], axis=1))
        read = self.language.encode(reading.text)[reading.first(step) : step]
        self.trail.set_color([symbol_colour(symbol) for symbol in read])
        state = int(reading.states[step if frame.share > 0.5 else before])
        self.lit.set_visible(state >= 0)
        self.lit.set_center(self.circles[state])
        self.name.set_text(self.names[state] if state >= 0 else "")
        self.name.set_position(self.circles[state])
        for artist in (self.current, self.letter):
            artist.set_visible(step > 0)
        column = self.letters[frame.reading][before]
        self.current.set_data([column], [0])
        self.letter.set_x(column)
        self.letter.set_text(reading.text[before])
        self.lines[0].set_text(f"read: {reading.text[reading.first(step) : step]}")
        self.lines[1].set_text(self._prediction(state))
        for bar, height in zip(self.bars, between(reading.probs), strict=True):
            bar.set_height(height)

    def _prediction(self, state: int) -> str:
        if state < 0:
            return "no state: the machine does not predict this symbol"
        after = self.language.decode(np.flatnonzero(self.found.machine.prediction[state]))
        return f"state {self.found.names[state]}; next: {' or '.join(after) or 'nothing'}"
