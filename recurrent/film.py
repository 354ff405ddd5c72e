"""A film of a network reading a few words: its state vector, its machine's state, its output."""

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
    MIN_ZOOM_NAMES,
    STATE_RADIUS,
    cluster_projection,
    draw_clusters,
    draw_machine,
    machine_positions,
    set_limits,
)
from recurrent.dynamics import states_along
from recurrent.extraction import Extraction
from recurrent.language import Language
from recurrent.machine import Machine, probability_threshold
from recurrent.pictures import DPI, symbol_colour, words_shown

# Maximum number of symbols in a film, unless a single word is longer.
MAX_SYMBOLS = 44
# Frames in which the state vector moves to its next position; the last one is shown longer.
FRAMES_PER_SYMBOL = 5
# Times in milliseconds: of the film, of a moving frame, of a symbol (minimum and maximum).
FILM_TIME, FRAME_TIME, MIN_SYMBOL_TIME, MAX_SYMBOL_TIME = 20_000, 70, 350, 1200
# Number of colours in a film; fewer make a smaller file.
PALETTE_SIZE = 128
# Colour of the current state vector, machine state and letter.
HIGHLIGHT = "#ffcc00"


class Frame(NamedTuple):
    """A frame of a film.

    reading: the index of the sequence; step: the number of symbols read; progress: of the state
    vector from its previous position (0) to that of `step` (1); milliseconds: the duration.
    """

    reading: int
    step: int
    progress: float
    milliseconds: int


@dataclass(frozen=True, eq=False)
class Reading:
    """The states of network and machine on a sequence of T symbols; row 0 is before the first.

    words:   the words of the sequence.
    vectors: (T + 1, D) hidden (and context) vectors; the last one is repeated for the symbol that
        ends an unchained word, because the network does not read it.
    states:  (T + 1,) the machine's states, -1 from the first symbol on that it does not allow.
    probs:   (T + 1, C) probabilities of the next symbol, 0 where the network is not trained.
    """

    words: list[str]
    vectors: np.ndarray
    states: np.ndarray
    probs: np.ndarray

    @property
    def text(self) -> str:
        return "".join(self.words)

    def word_start(self, step: int) -> int:
        """Return the step before the first symbol of the word read at `step`."""
        ends = accumulate(map(len, self.words), initial=0)
        return max(end for end in ends if end < max(step, 1))


def read_words(net, language: Language, machine: Machine) -> list[Reading]:
    """Return the Readings of a film's words: one sequence if words are chained, else one each."""
    words = list(words_shown(language))
    while len(words) > 1 and sum(map(len, words)) > MAX_SYMBOLS:
        words.pop()
    return [
        _read_sequence(net, language, machine, group)
        for group in ([words] if language.chained else [[word] for word in words])
    ]


@torch.no_grad()
def _read_sequence(net, language: Language, machine: Machine, words: list[str]) -> Reading:
    symbols = language.encode("".join(words))
    vectors = states_along(net, symbols)
    hidden = torch.from_numpy(vectors[:, : net.hid]).to(net.V)
    probs = net.read_out(hidden).softmax(dim=-1).cpu().numpy()
    probs[0] = 0
    if not language.chained:
        vectors[-1], probs[-1] = vectors[-2], 0
    states = np.concatenate([[machine.start], machine.follow(symbols)])
    return Reading(words, vectors, states, probs)


def make_frames(readings: list[Reading]) -> list[Frame]:
    """Return a film's frames: one for each initial state, FRAMES_PER_SYMBOL for each symbol."""
    total = sum(len(reading.states) for reading in readings)
    symbol_time = int(np.clip(FILM_TIME // total // 10 * 10, MIN_SYMBOL_TIME, MAX_SYMBOL_TIME))
    last_time = symbol_time - (FRAMES_PER_SYMBOL - 1) * FRAME_TIME
    frames = []
    for number, reading in enumerate(readings):
        frames.append(Frame(number, 0, 1.0, symbol_time))
        for step in range(1, len(reading.states)):
            for t in np.arange(1, FRAMES_PER_SYMBOL + 1) / FRAMES_PER_SYMBOL:
                # Eased: slow at both ends.
                progress = float(t * t * (3 - 2 * t))
                frames.append(Frame(number, step, progress, FRAME_TIME if t < 1 else last_time))
    return frames


def make_film(net, language: Language, extracted: Extraction, title: str) -> bytes:
    """Return the film as an animated GIF."""
    readings = read_words(net, language, extracted.machine)
    frames = make_frames(readings)
    images = Scene(language, extracted, readings, title).images(frames)
    buffer = io.BytesIO()
    # matplotlib's PillowWriter draws the whole figure and chooses new colours for each frame: 60 s
    # and 4.7 MB, against 8 s and 0.3 MB (LSTM on anb2nc3n, one core).
    next(images).save(
        buffer, "GIF", save_all=True, append_images=images, loop=0,
        duration=[frame.milliseconds for frame in frames],
    )  # fmt: skip
    return buffer.getvalue()


class Scene:
    """The figure of a film: the background is drawn once, the moving artists for each frame."""

    def __init__(
        self, language: Language, extracted: Extraction, readings: list[Reading], title: str
    ):
        self.language, self.extracted, self.readings = language, extracted, readings
        self.figure = Figure(figsize=(8, 6), dpi=DPI)
        self.canvas = FigureCanvasAgg(self.figure)
        self.figure.text(0.5, 0.975, title, fontsize=10, ha="center", va="center")
        self.moving = [
            *self._draw_clusters(self.figure.add_axes((0.075, 0.37, 0.37, 0.53))),
            *self._draw_machine(self.figure.add_axes((0.455, 0.31, 0.54, 0.59))),
            *self._draw_words(self.figure.add_axes((0.02, 0.205, 0.96, 0.07))),
            *self._draw_bars(self.figure.add_axes((0.075, 0.05, 0.37, 0.115))),
            *self._draw_text(0.5, (0.145, 0.105)),
        ]
        for artist in self.moving:
            artist.set_animated(True)

    def _draw_clusters(self, axes):
        trajectory, (clustering, _) = self.extracted.trajectory, self.extracted.shown
        size = clustering.size
        project, labels = cluster_projection(trajectory, clustering)
        plane = project(trajectory.state[:, :size])
        self.positions = [project(reading.vectors[:, :size]) for reading in self.readings]
        set_limits(axes, np.vstack([plane, *self.positions]))
        draw_clusters(axes, plane, trajectory, clustering, self.language)
        axes.set_xlabel(labels[0], fontsize=8)
        axes.set_ylabel(labels[1], fontsize=8, labelpad=1)
        axes.tick_params(labelsize=7)
        axes.locator_params(nbins=5)
        units = "hidden" if size == trajectory.hid else "hidden and context"
        axes.set_title(f"state vectors ({units} units)", fontsize=9)
        self.trail = axes.add_collection(LineCollection([], linewidths=2.2, zorder=8))
        style = dict(markerfacecolor=HIGHLIGHT, markeredgecolor="black", zorder=9)
        (self.vector_marker,) = axes.plot([], [], "o", markersize=11, **style)
        return self.trail, self.vector_marker

    def _draw_machine(self, axes):
        extracted = self.extracted
        positions = machine_positions(extracted.machine, extracted.overlap, extracted.positions)
        scale, room = 74.0, axes.get_window_extent().size
        zoom = (room / (np.ptp(positions, axis=0) * scale + 4 * STATE_RADIUS)).min()
        self.state_centres, low, high = draw_machine(
            axes, extracted.machine, extracted.names, positions, scale, min(1.0, zoom)
        )
        half = max(0.8, *(high - low + 16) / room) * room / 2
        axes.set_xlim((low + high)[0] / 2 - half[0], (low + high)[0] / 2 + half[0])
        axes.set_ylim((low + high)[1] / 2 - half[1], (low + high)[1] / 2 + half[1])
        # Pixels per data unit. The marker has a radius of at least 7 pixels: room for 5 letters.
        zoom = room[0] / half[0] / 2
        radius = max(STATE_RADIUS, 7 / zoom)
        names = [
            name.replace(" ", "\n") if zoom > MIN_ZOOM_NAMES else "" for name in extracted.names
        ]
        self.state_texts = [name if max(map(len, name.split("\n"))) < 6 else "" for name in names]
        self.state_marker = axes.add_patch(
            Circle((0, 0), radius, facecolor=HIGHLIGHT, edgecolor="black", linewidth=1.8, zorder=8)
        )
        axes.set_title("machine extracted from the network", fontsize=9)
        style = dict(fontsize=6, weight="bold", ha="center", va="center", zorder=9)
        self.state_label = axes.text(0, 0, "", **style)
        return self.state_marker, self.state_label

    def _draw_words(self, axes):
        axes.axis("off")
        words = [word for reading in self.readings for word in reading.words]
        columns = sum(map(len, words)) + len(words) - 1
        axes.set(xlim=(-1, max(columns, 30)), ylim=(-0.5, 0.5))
        # Width of a column in pixels, and font size in points.
        width = axes.get_window_extent().width / (max(columns, 30) + 1)
        font = min(13.0, 0.5 * width)
        style = dict(ha="center", va="center", fontsize=font, weight="bold")
        self.letter_columns, first = [], max(30 - columns, 0) / 2
        (self.letter_marker,) = axes.plot(
            [], [], "s", markersize=0.64 * width, markerfacecolor=HIGHLIGHT, markeredgecolor="black"
        )
        for reading in self.readings:
            letter_columns = []
            for word in reading.words:
                letter_columns += [first + position for position in range(len(word))]
                first += len(word) + 1
            self.letter_columns.append(letter_columns)
            for column, letter in zip(letter_columns, reading.text, strict=True):
                colour = symbol_colour(self.language.symbols.index(letter))
                axes.text(column, -0.05, letter, color=colour, **style)
        self.letter_label = axes.text(0, -0.05, "", color="black", **style)
        return self.letter_marker, self.letter_label

    def _draw_bars(self, axes):
        symbols = range(self.language.classes)
        axes.set(xlim=(-0.6, len(symbols) - 0.4), ylim=(0, 1))
        axes.set_xticks(symbols, list(self.language.symbols), fontsize=9, weight="bold")
        axes.set_yticks([0, 0.5, 1], ["0", "½", "1"], fontsize=7)
        axes.set_title("probability of the next symbol", fontsize=9, pad=3)
        axes.axhline(probability_threshold(self.language), color="0.5", lw=0.8, ls="--")
        self.bars = axes.bar(symbols, [0.0] * len(symbols), 0.7, zorder=3)
        for symbol, bar in enumerate(self.bars):
            bar.set_color(symbol_colour(symbol))
        return self.bars

    def _draw_text(self, left: float, heights: tuple[float, ...]):
        self.figure.text(
            left, 0.05, "yellow: current     ×: initial state     dashed line: threshold",
            fontsize=8, color="0.35",
        )  # fmt: skip
        self.lines = [self.figure.text(left, height, "", fontsize=10) for height in heights]
        return self.lines

    def images(self, frames: list[Frame]) -> Iterator[Image.Image]:
        """Yield the image of each frame, all in one palette."""
        self.canvas.draw()
        background = self.canvas.copy_from_bbox(self.figure.bbox)
        palette = self._palette()
        for frame in frames:
            self.show(frame)
            self.canvas.restore_region(background)
            for artist in self.moving:
                self.figure.draw_artist(artist)
            yield self._image().quantize(palette=palette, dither=Image.Dither.NONE)

    def _image(self) -> Image.Image:
        return Image.fromarray(np.asarray(self.canvas.buffer_rgba())).convert("RGB")

    def _palette(self) -> Image.Image:
        """Return an image whose palette has the moving artists' colours, and the background's most
        frequent ones."""
        image = self._image()
        # Rounded to 16 levels, because shades of one colour would fill the palette.
        image = image.point(lambda value: round(value / 17) * 17)
        counted = sorted(image.getcolors(image.width * image.height), reverse=True)
        needed = [HIGHLIGHT, *map(symbol_colour, range(self.language.classes))]
        colours = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in needed]
        colours += [colour for _, colour in counted[: PALETTE_SIZE - len(colours)]]
        palette = Image.new("P", (1, 1))
        palette.putpalette(np.array(colours, dtype=np.uint8).tobytes())
        return palette

    def show(self, frame: Frame) -> None:
        """Set all moving artists to a frame."""
        reading, positions = self.readings[frame.reading], self.positions[frame.reading]
        before, step = max(frame.step - 1, 0), frame.step
        start = reading.word_start(step)

        def interpolate(values: np.ndarray) -> np.ndarray:
            return values[before] + frame.progress * (values[step] - values[before])

        position = interpolate(positions)
        self.vector_marker.set_data(*position[:, None])
        points = np.vstack([positions[start:step], position])
        self.trail.set_segments(np.stack([points[:-1], points[1:]], axis=1))
        symbols = self.language.encode(reading.text)[start:step]
        self.trail.set_color([symbol_colour(symbol) for symbol in symbols])
        state = int(reading.states[step if frame.progress > 0.5 else before])
        self.state_marker.set_visible(state >= 0)
        self.state_marker.set_center(self.state_centres[state])
        self.state_label.set_text(self.state_texts[state] if state >= 0 else "")
        self.state_label.set_position(self.state_centres[state])
        for artist in (self.letter_marker, self.letter_label):
            artist.set_visible(step > 0)
        column = self.letter_columns[frame.reading][before]
        self.letter_marker.set_data([column], [0])
        self.letter_label.set_x(column)
        self.letter_label.set_text(reading.text[before])
        self.lines[0].set_text(f"read: {reading.text[start:step]}")
        self.lines[1].set_text(self._prediction(state))
        for bar, height in zip(self.bars, interpolate(reading.probs), strict=True):
            bar.set_height(height)

    def _prediction(self, state: int) -> str:
        """Return a line with the name and prediction of a machine state, -1 if there is none."""
        if state < 0:
            return "no state: the machine does not allow this symbol"
        allowed = self.language.decode(np.flatnonzero(self.extracted.machine.prediction[state]))
        return f"state {self.extracted.names[state]}; next: {' or '.join(allowed) or 'nothing'}"
