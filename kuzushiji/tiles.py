"""Many small images on one Axes, drawn in a tenth of the time of an Axes for each."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle


class Tiles:
    """A Figure with images and texts; the unit of length is an image's side.

    width, height: size of the picture; (x, y) = (0, 0) is its upper left corner.
    inches: its width in inches.
    """

    def __init__(self, width: float, height: float, inches: float):
        self.figure = Figure(figsize=(inches, inches * height / width), dpi=100)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set(xlim=(0, width), ylim=(height, 0))

    def image(self, x: float, y: float, pixels: np.ndarray, **how) -> None:
        """Draw pixels (H, W) with the upper left corner at (x, y); `how`: options of imshow."""
        # A thin margin separates neighbouring images.
        left, right, top, bottom = x + 0.03, x + 0.97, y + 0.03, y + 0.97
        how = {"cmap": "gray_r", "aspect": "auto"} | how
        self.axes.imshow(pixels, extent=(left, right, bottom, top), **how)
        self.axes.add_patch(Rectangle((left, top), 0.94, 0.94, fill=False, color="0.4", lw=0.6))

    def band(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Colour a rectangle of the background."""
        self.axes.add_patch(Rectangle((x, y), width, height, color=color, lw=0, zorder=-1))

    def text(self, x: float, y: float, text: str, **how) -> None:
        """Write text centred at (x, y); `how`: options of Axes.text."""
        self.axes.text(x, y, text, **({"ha": "center", "va": "center", "fontsize": 10} | how))
