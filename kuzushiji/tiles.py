"""Many small images in one picture, put into one array: a tenth of the time of an Axes for each."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps, colors
from matplotlib.figure import Figure

# Pixels of the picture in an inch.
DPI = 100


class Tiles:
    """A picture of images and texts below a title; the unit of length is an image's side.

    width, height: size of the picture; (x, y) = (0, 0) is its upper left corner.
    inches: its width in inches.
    """

    def __init__(self, width: float, height: float, inches: float, title: str):
        self.width, self.height, self.unit = width, height, inches * DPI / width
        self.figure = Figure(figsize=(inches, inches * height / width), dpi=DPI)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        size = round(height * self.unit), round(width * self.unit)
        self.canvas = np.full((*size, 3), 255, np.uint8)
        # Places and values of the images drawn.
        self.images: list[tuple[float, float, np.ndarray]] = []
        self.text(width / 2, 0.3, title, fontsize=12)

    def image(self, x: float, y: float, values: np.ndarray, limit: float) -> None:
        """Draw an image (H, W) with the upper left corner at (x, y): 0 white, `limit` black."""
        self._put(x, y, values, values / limit, "gray_r")

    def weights(self, x: float, y: float, values: np.ndarray, limit: float = 0.0) -> None:
        """Draw weights (H, W): `limit` red, 0 white, -limit blue; limit: by default the maximum."""
        limit = limit or max(np.abs(values).max(), 1e-9)
        self._put(x, y, values, (values / limit + 1) / 2, "RdBu_r")

    def _put(self, x: float, y: float, values: np.ndarray, shares: np.ndarray, map: str) -> None:
        self.images.append((x, y, values))
        # A thin margin separates neighbouring images; 1 pixel of it is a frame.
        left, top = round((x + 0.03) * self.unit), round((y + 0.03) * self.unit)
        side = round(0.94 * self.unit)
        rows, columns = (np.arange(side) * size // side for size in values.shape)
        place = self.canvas[top : top + side, left : left + side]
        place[:] = colormaps[map](shares, bytes=True)[rows][:, columns, :3]
        place[[0, -1]] = place[:, [0, -1]] = 102

    def band(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Colour a rectangle, over which images are drawn later."""
        left, top, right, bottom = (round(z * self.unit) for z in (x, y, x + width, y + height))
        self.canvas[top:bottom, left:right] = np.multiply(colors.to_rgb(color), 255)

    def text(self, x: float, y: float, text: str, **how) -> None:
        """Write text centred at (x, y); `how`: options of Axes.text."""
        self.axes.text(x, y, text, **({"ha": "center", "va": "center", "fontsize": 10} | how))

    def finish(self) -> Figure:
        """Return the picture."""
        self.figure.figimage(self.canvas, zorder=-1)
        return self.figure
