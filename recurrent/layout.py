"""Where the arrows and labels of a picture go, so that none hides another. All lengths in pixels.

A Layout knows what is in the picture already: shapes that arrows join and must otherwise go round,
boxes with text, and curves. Each thing that is added takes, of many places, the one that hides
least, and is then in the way of what comes later. Libraries that place labels (adjustText) move
texts only; here arrows must bend as well.
"""

from __future__ import annotations

import numpy as np
from matplotlib.bezier import BezierSegment, split_de_casteljau

# A curve is followed in so many steps.
SAMPLES = 40
STEPS = np.linspace(0, 1, SAMPLES)
# How far an arrow's middle may lie aside, as a share of its length and in pixels.
BENDS = (0, 0.06, -0.06, 0.12, -0.12, 0.2, -0.2, 0.3, -0.3, 0.45, -0.45)
SIDESTEPS = (24, -24, 40, -40, 60, -60)
# Space that is kept between things.
GAP = 3.0
# An arrow shorter than this is hard to see.
SHORT = 26.0
# What it costs to leave the layout, to touch a text or a shape, and to cross a curve.
OUTSIDE, TOUCHED, CROSSED = 30.0, 10.0, 2.0


def subcurve(points: np.ndarray, start: float, end: float) -> np.ndarray:
    """Return the control points (K, 2) of the part from t = start to end > 0 of a Bezier curve."""
    before_end, _ = split_de_casteljau(points, end)
    _, part = split_de_casteljau(before_end, start / end)
    return np.array(part)


class Layout:
    """A picture of width x height that is filled step by step.

    shapes: for each, the places (K, 2) that it covers, each with `radius` (N,) around it.
    """

    def __init__(self, size, shapes: list[np.ndarray], radius: np.ndarray):
        self.size = np.asarray(size, dtype=float)
        self.shapes, self.radius = shapes, np.asarray(radius, dtype=float)
        self.centres = np.array([shape.mean(axis=0) for shape in shapes])
        self.boxes = np.empty((0, 4))
        # The control points of each arrow's curve, and the pixels (P, 2) that it is on.
        self.routes: list[np.ndarray] = []
        self._pixels: list[np.ndarray] = []
        self._joined: set[tuple[int, int]] = set()
        # What covers each pixel: the number of a shape, or -1; how many arrows are close to it;
        # whether an arrow is on it.
        rows, columns = (self.size[::-1].astype(int) + 1).tolist()
        self._shape = np.full((rows, columns), -1, dtype=np.int32)
        self._near = np.zeros((rows, columns), dtype=np.int32)
        self._line = np.zeros((rows, columns), dtype=np.int32)
        for number, (shape, around) in enumerate(zip(shapes, self.radius, strict=True)):
            self._shape[self._stamp(shape, around)] = number
        self._shape_sums = _integral_image(self._shape >= 0)
        self._line_sums: np.ndarray | None = None

    def arrow(self, start: int, end: int, search: bool = True) -> int:
        """Join two shapes, or one with itself; the number of the curve among `routes`.

        Without a search it is the straightest one, whatever it hides.
        """
        routes = self._loops(start) if start == end else self._arcs(start, end)
        costs = [
            cost + (self._cost_of_curve(route, start, end) if search else 0.0)
            for cost, route in routes
        ]
        self.routes.append(route := routes[int(np.argmin(costs))][1])
        self._joined.add((start, end))
        curve = BezierSegment(route)(np.linspace(0, 1, 8 * SAMPLES))
        # Only the middle: arrows to the same shape must meet there.
        self._near[self._stamp(curve[len(curve) // 8 : -len(curve) // 8], 2 * GAP)] += 1
        self._line[self._stamp(curve, 0.5)] += 1
        self._pixels.append(np.unique(np.rint(curve).astype(int), axis=0))
        self._line_sums = None
        return len(self.routes) - 1

    def label(self, arrow: int, size: tuple[float, float]) -> np.ndarray:
        """The centre (2,) of a text of this size that stands on an arrow, or close beside it."""
        t = np.linspace(0.2, 0.8, 25)
        on = BezierSegment(self.routes[arrow])(t)
        along = np.gradient(on, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
        length = np.linalg.norm(np.diff(on, axis=0), axis=1).sum() / 0.6
        # On a short arrow a text would hide it; beside it, it must not touch it.
        beside = abs(across) @ np.array(size) / 2 + 2
        sides = ((0, 12 * (length < SHORT + max(size))), (1, 1), (-1, 1))
        centres = np.concatenate([on + side * across * beside[:, None] for side, _ in sides])
        cost = np.concatenate([price + abs(t - 0.5) for _, price in sides])
        cost += self._cost_of_boxes(centres, size, self._pixels[arrow])
        return self._put(centres[cost.argmin()], size)

    def text(self, shape: int, size: tuple[float, float]) -> np.ndarray:
        """The centre (2,) of a text of this size beside a shape that it names."""
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        # So far from its centre does the box just touch a circle, in each direction.
        edge = 1 / np.maximum(abs(ways) / (np.array(size) / 2), 1e-9).max(axis=1)
        places = self.shapes[shape]
        places = places[:: max(1, len(places) // 12)]
        centres, cost = [], []
        for far in (2, 8, 16, 28, 45, 65, 90, 120):
            for place in places:
                centres.append(place + ways * (edge + self.radius[shape] + far)[:, None])
                cost.append(np.full(len(ways), far / 10))
        centres, cost = np.concatenate(centres), np.concatenate(cost)
        cost = cost + self._cost_of_boxes(centres, size)
        return self._put(centres[cost.argmin()], size)

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """The corners (2,) and (2,) of the part of the layout that has something on it."""
        rows, columns = np.nonzero((self._shape >= 0) | (self._line > 0))
        places = np.concatenate(
            [np.stack([columns, rows], axis=1), self.boxes[:, :2], self.boxes[:, 2:]]
        )
        return places.min(axis=0), places.max(axis=0)

    def crowd(self, curves: np.ndarray) -> np.ndarray:
        """(K,) how much of each curve (K, S, 2) is close to an arrow or on a shape."""
        near, shape = self._at(self._near, curves) > 0, self._at(self._shape, curves) >= 0
        return (near + 2 * shape).sum(axis=1)

    # Pixels

    def _stamp(self, places: np.ndarray, around: float) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the pixels that are no farther than `around` from places (K, 2).

        Many come several times, which makes no difference to what numpy assigns or adds to them.
        """
        reach = np.arange(-int(around), int(around) + 1)
        across, up = np.meshgrid(reach, reach)
        within = across**2 + up**2 <= max(around, 0.5) ** 2
        x = (np.rint(places[:, 0, None]) + across[within]).astype(int)
        y = (np.rint(places[:, 1, None]) + up[within]).astype(int)
        rows, columns = self._shape.shape
        inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
        return y[inside], x[inside]

    def _at(self, pixels: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The values (...) of pixels (rows, columns) at places (..., 2), or the nearest inside."""
        rows, columns = pixels.shape
        x = np.clip(np.rint(places[..., 0]).astype(int), 0, columns - 1)
        y = np.clip(np.rint(places[..., 1]).astype(int), 0, rows - 1)
        return pixels[y, x]

    # Costs

    def _arcs(self, start: int, end: int) -> list[tuple[float, np.ndarray]]:
        """Curves of all bends from one shape's edge to another's, and what their bend costs."""
        a, b = self.centres[[start, end]]
        along = b - a
        length = max(np.linalg.norm(along), 1e-9)
        across = np.array([-along[1], along[0]]) / length
        t = np.linspace(0, 1, 201)
        routes = []
        for aside in (*(2 * bend * length for bend in BENDS), *SIDESTEPS):
            # The way there and the way back must not be the same.
            if aside == 0 and (end, start) in self._joined:
                continue
            whole = np.array([a, (a + b) / 2 + aside * across, b])
            curve = BezierSegment(whole)(t)
            leaves = np.flatnonzero(self._inside(curve, start))
            enters = np.flatnonzero(self._inside(curve, end))
            first = t[leaves.max()] if len(leaves) else 0.0
            last = t[enters.min()] if len(enters) else 1.0
            if first < last:
                routes.append((3 * abs(aside) / (length + 40), subcurve(whole, first, last)))
        return routes or [(0.0, np.array([a, (a + b) / 2, b]))]

    def _loops(self, shape: int) -> list[tuple[float, np.ndarray]]:
        """Loops from a shape to itself, in all directions."""
        routes = []
        for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False) + np.pi / 2:
            way = np.array([np.cos(angle), np.sin(angle)])
            place = self.shapes[shape][(self.shapes[shape] @ way).argmax()]
            radius = self.radius[shape] + 2
            ways = [np.array([np.cos(a), np.sin(a)]) for a in (angle - 0.5, angle + 0.5)]
            far = radius + 38
            points = [
                place + reach * side
                for side, reach in zip(
                    np.repeat(ways, 2, axis=0), (radius, far, far, radius), strict=True
                )
            ]
            routes.append((0.0, np.array(points)))
        return routes

    def _inside(self, curve: np.ndarray, shape: int) -> np.ndarray:
        """(S,) bool: which samples of a curve lie in a shape, or less than two pixels from it."""
        away = np.linalg.norm(curve[:, None] - self.shapes[shape], axis=-1).min(axis=1)
        return away < self.radius[shape] + 2

    def _cost_of_curve(self, route: np.ndarray, start: int, end: int) -> float:
        curve = BezierSegment(route)(STEPS)
        outside = ((curve < GAP) | (curve > self.size - GAP)).any()
        touched = set(self._at(self._shape, curve).tolist()) - {-1, start, end}
        cost = OUTSIDE * outside + TOUCHED * len(touched) + TOUCHED * self._within(curve).sum()
        length = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
        cost += max(0.0, SHORT - length) / 4
        crossed = self._at(self._near, curve[SAMPLES // 8 : -SAMPLES // 8]) > 0
        return float(cost + CROSSED * crossed.sum() / 4)

    def _within(self, points: np.ndarray) -> np.ndarray:
        """Which boxes (B,) one of the points (S, 2) lies in."""
        low, high = self.boxes[:, :2] - GAP, self.boxes[:, 2:] + GAP
        inside = (points[:, None] > low) & (points[:, None] < high)
        return inside.all(axis=-1).any(axis=0)

    def _cost_of_boxes(
        self, centres: np.ndarray, size: tuple[float, float], own: np.ndarray | None = None
    ) -> np.ndarray:
        """(K,) what it costs to put a text at each of the centres (K, 2).

        own: the pixels (P, 2) of an arrow that it may lie on.
        """
        half = np.array(size) / 2 + 1
        low, high = centres - half, centres + half
        cost = OUTSIDE * ((low < GAP) | (high > self.size - GAP)).any(axis=1)
        apart = (low[:, None] > self.boxes[:, 2:]) | (high[:, None] < self.boxes[:, :2])
        cost = cost + 3 * TOUCHED * (~apart.any(axis=-1)).sum(axis=1)
        cost += TOUCHED * (self._sums(self._shape_sums, low, high) > 0)
        if self._line_sums is None:
            self._line_sums = _integral_image(self._line)
        hidden = self._sums(self._line_sums, low, high)
        if own is not None:
            inside = (own >= np.rint(low)[:, None]) & (own <= np.rint(high)[:, None])
            hidden = hidden - inside.all(axis=-1).sum(axis=1)
        return cost + CROSSED / 4 * hidden

    def _sums(self, table: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(K,) the sums of pixels in boxes with corners low and high (K, 2), of running sums."""
        low, high = np.rint(low), np.rint(high) + 1
        corners = [np.stack([x[:, 0], y[:, 1]], axis=1) for x in (low, high) for y in (low, high)]
        a, b, c, d = (self._at(table, corner) for corner in corners)
        return a - b - c + d

    def _put(self, centre: np.ndarray, size: tuple[float, float]) -> np.ndarray:
        half = np.array(size) / 2
        self.boxes = np.vstack([self.boxes, [*(centre - half), *(centre + half)]])
        return centre


def _integral_image(pixels: np.ndarray) -> np.ndarray:
    """The sums of all pixels above and left of each corner: any box's sum is then four of them."""
    return np.pad(pixels.cumsum(axis=0, dtype=np.int32).cumsum(axis=1), ((1, 0), (1, 0)))
