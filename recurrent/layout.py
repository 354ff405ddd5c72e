"""Placement of a picture's arrows and texts with as little overlap as possible, in pixels.

A Layout records the occupied pixels: shapes, which arrows join or avoid, text boxes, and arrows.
Each new element gets, of many candidates, the place with the lowest cost of overlap, bend and
distance, and is avoided by later ones. Libraries for label placement (adjustText) move texts only;
here arrows are bent as well.
"""

from __future__ import annotations

import numpy as np
from matplotlib.bezier import BezierSegment, split_de_casteljau

# Number of points at which a curve's overlaps are tested, and their curve parameters.
CURVE_SAMPLES = 40
CURVE_PARAMETERS = np.linspace(0, 1, CURVE_SAMPLES)
# Candidate offsets of an arrow's middle, as a share of its length.
BENDS = (0, 0.06, -0.06, 0.12, -0.12, 0.2, -0.2, 0.3, -0.3, 0.45, -0.45)
# Candidate offsets of an arrow's control point, in pixels: twice those of its middle.
CONTROL_OFFSETS = (24, -24, 40, -40, 60, -60)
# Minimum distance between elements, in pixels.
MIN_GAP = 3.0
# Arrows shorter than this, in pixels, are hard to see.
MIN_ARROW_LENGTH = 26.0
# Costs: of leaving the picture, of touching a text or shape, of crossing an arrow.
OUTSIDE_COST, TOUCH_COST, CROSSING_COST = 30.0, 10.0, 2.0


def subcurve(points: np.ndarray, start: float, end: float) -> np.ndarray:
    """Return the control points (K, 2) of a Bezier curve's part from t = start to t = end > 0."""
    before_end, _ = split_de_casteljau(points, end)
    _, part = split_de_casteljau(before_end, start / end)
    return np.array(part)


class Layout:
    """The occupied pixels of a picture, to which arrows and texts are added one by one.

    size: width and height; shapes: the points (K, 2) that define each of N shapes, which covers all
    pixels within its radius (N,) of them.
    """

    def __init__(self, size, shapes: list[np.ndarray], radius: np.ndarray):
        self.size = np.asarray(size, dtype=float)
        self.shapes, self.radius = shapes, np.asarray(radius, dtype=float)
        self.centres = np.array([shape.mean(axis=0) for shape in shapes])
        # Left, bottom, right and top of each text.
        self.boxes = np.empty((0, 4))
        # Of each arrow: the control points of its curve, and the pixels (P, 2) that it covers.
        self.routes: list[np.ndarray] = []
        self._route_pixels: list[np.ndarray] = []
        self._connected: set[tuple[int, int]] = set()
        # Of each pixel: the shape that covers it or -1; the number of arrows close to it; the
        # number of arrows that cover it.
        rows, columns = (self.size[::-1].astype(int) + 1).tolist()
        self._shape = np.full((rows, columns), -1, dtype=np.int32)
        self._near = np.zeros((rows, columns), dtype=np.int32)
        self._line = np.zeros((rows, columns), dtype=np.int32)
        for number, (shape, distance) in enumerate(zip(shapes, self.radius, strict=True)):
            self._shape[self._pixels_within(shape, distance)] = number
        self._shape_sums = _integral_image(self._shape >= 0)
        self._line_sums: np.ndarray | None = None

    def add_arrow(self, start: int, end: int, search: bool = True) -> int:
        """Join two shapes, or a shape to itself; return the arrow's index in `routes`.

        Without a search the straightest curve is used, whatever it overlaps.
        """
        routes = self._loops(start) if start == end else self._arcs(start, end)
        costs = [
            cost + (self._curve_cost(route, start, end) if search else 0.0)
            for cost, route in routes
        ]
        self.routes.append(route := routes[int(np.argmin(costs))][1])
        self._connected.add((start, end))
        curve = BezierSegment(route)(np.linspace(0, 1, 8 * CURVE_SAMPLES))
        # Only the middle, because arrows to the same shape must meet at their ends.
        middle = curve[len(curve) // 8 : -len(curve) // 8]
        self._near[self._pixels_within(middle, 2 * MIN_GAP)] += 1
        self._line[self._pixels_within(curve, 0.5)] += 1
        self._route_pixels.append(np.unique(np.rint(curve).astype(int), axis=0))
        self._line_sums = None
        return len(self.routes) - 1

    def add_label(self, arrow: int, size: tuple[float, float]) -> np.ndarray:
        """Add a text of a size (width, height) on or beside an arrow; return its centre (2,)."""
        t = np.linspace(0.2, 0.8, 25)
        on = BezierSegment(self.routes[arrow])(t)
        along = np.gradient(on, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
        length = np.linalg.norm(np.diff(on, axis=0), axis=1).sum() / 0.6
        # The distance at which a text beside the arrow does not touch it.
        beside = abs(across) @ np.array(size) / 2 + 2
        # A text on a short arrow costs more, because it would hide the arrow.
        sides = ((0, 12 * (length < MIN_ARROW_LENGTH + max(size))), (1, 1), (-1, 1))
        centres = np.concatenate([on + side * across * beside[:, None] for side, _ in sides])
        cost = np.concatenate([side_cost + abs(t - 0.5) for _, side_cost in sides])
        cost += self._box_costs(centres, size, self._route_pixels[arrow])
        return self._add_box(centres[cost.argmin()], size)

    def add_text(self, shape: int, size: tuple[float, float]) -> np.ndarray:
        """Add a text of a size (width, height) beside a shape; return its centre (2,)."""
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        # The distance from the text's centre to the edge of its box in each direction.
        edge = 1 / np.maximum(abs(directions) / (np.array(size) / 2), 1e-9).max(axis=1)
        points = self.shapes[shape]
        points = points[:: max(1, len(points) // 12)]
        centres, cost = [], []
        for gap in (2, 8, 16, 28, 45, 65, 90, 120):
            for point in points:
                centres.append(point + directions * (edge + self.radius[shape] + gap)[:, None])
                cost.append(np.full(len(directions), gap / 10))
        centres, cost = np.concatenate(centres), np.concatenate(cost)
        cost = cost + self._box_costs(centres, size)
        return self._add_box(centres[cost.argmin()], size)

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower left and the upper right corner, (2,) each, of all elements together."""
        rows, columns = np.nonzero((self._shape >= 0) | (self._line > 0))
        points = np.concatenate(
            [np.stack([columns, rows], axis=1), self.boxes[:, :2], self.boxes[:, 2:]]
        )
        return points.min(axis=0), points.max(axis=0)

    def overlap_count(self, curves: np.ndarray) -> np.ndarray:
        """Return (K,) how many points of each curve (K, S, 2) are close to an arrow or, counted
        twice, on a shape."""
        near = self._values_at(self._near, curves) > 0
        on_shape = self._values_at(self._shape, curves) >= 0
        return (near + 2 * on_shape).sum(axis=1)

    # Pixels

    def _pixels_within(self, points: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns of the pixels within a distance of points (K, 2).

        Pixels repeat; numpy's assignment and += at these indices change each pixel once.
        """
        offsets = np.arange(-int(distance), int(distance) + 1)
        across, up = np.meshgrid(offsets, offsets)
        within = across**2 + up**2 <= max(distance, 0.5) ** 2
        x = (np.rint(points[:, 0, None]) + across[within]).astype(int)
        y = (np.rint(points[:, 1, None]) + up[within]).astype(int)
        rows, columns = self._shape.shape
        inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
        return y[inside], x[inside]

    def _values_at(self, pixels: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the values (...) of pixels (rows, columns) nearest to points (..., 2)."""
        rows, columns = pixels.shape
        x = np.clip(np.rint(points[..., 0]).astype(int), 0, columns - 1)
        y = np.clip(np.rint(points[..., 1]).astype(int), 0, rows - 1)
        return pixels[y, x]

    # Costs

    def _arcs(self, start: int, end: int) -> list[tuple[float, np.ndarray]]:
        """Return the cost of the bend and the control points of each candidate curve from one
        shape's edge to another's."""
        a, b = self.centres[[start, end]]
        along = b - a
        length = max(np.linalg.norm(along), 1e-9)
        across = np.array([-along[1], along[0]]) / length
        t = np.linspace(0, 1, 201)
        routes = []
        for offset in (*(2 * bend * length for bend in BENDS), *CONTROL_OFFSETS):
            # Two straight arrows in opposite directions would coincide.
            if offset == 0 and (end, start) in self._connected:
                continue
            whole = np.array([a, (a + b) / 2 + offset * across, b])
            curve = BezierSegment(whole)(t)
            in_start = np.flatnonzero(self._in_shape(curve, start))
            in_end = np.flatnonzero(self._in_shape(curve, end))
            first = t[in_start.max()] if len(in_start) else 0.0
            last = t[in_end.min()] if len(in_end) else 1.0
            if first < last:
                routes.append((3 * abs(offset) / (length + 40), subcurve(whole, first, last)))
        return routes or [(0.0, np.array([a, (a + b) / 2, b]))]

    def _loops(self, shape: int) -> list[tuple[float, np.ndarray]]:
        """Return cost 0 and the control points of each candidate loop from a shape to itself."""
        routes = []
        for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False) + np.pi / 2:
            direction = np.array([np.cos(angle), np.sin(angle)])
            place = self.shapes[shape][(self.shapes[shape] @ direction).argmax()]
            near = self.radius[shape] + 2
            far = near + 38
            sides = [np.array([np.cos(a), np.sin(a)]) for a in (angle - 0.5, angle + 0.5)]
            points = [
                place + distance * side
                for side, distance in zip(
                    np.repeat(sides, 2, axis=0), (near, far, far, near), strict=True
                )
            ]
            routes.append((0.0, np.array(points)))
        return routes

    def _in_shape(self, curve: np.ndarray, shape: int) -> np.ndarray:
        """Return (S,) bool: which points of a curve (S, 2) are less than 2 pixels from a shape."""
        distance = np.linalg.norm(curve[:, None] - self.shapes[shape], axis=-1).min(axis=1)
        return distance < self.radius[shape] + 2

    def _curve_cost(self, route: np.ndarray, start: int, end: int) -> float:
        """Return the cost of an arrow's overlaps and shortness."""
        curve = BezierSegment(route)(CURVE_PARAMETERS)
        outside = ((curve < MIN_GAP) | (curve > self.size - MIN_GAP)).any()
        touched = set(self._values_at(self._shape, curve).tolist()) - {-1, start, end}
        cost = OUTSIDE_COST * outside + TOUCH_COST * len(touched)
        cost += TOUCH_COST * self._boxes_hit(curve).sum()
        length = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
        cost += max(0.0, MIN_ARROW_LENGTH - length) / 4
        middle = curve[CURVE_SAMPLES // 8 : -CURVE_SAMPLES // 8]
        crossing = self._values_at(self._near, middle) > 0
        return float(cost + CROSSING_COST * crossing.sum() / 4)

    def _boxes_hit(self, points: np.ndarray) -> np.ndarray:
        """Return (B,) bool: which text boxes contain one of the points (S, 2)."""
        low, high = self.boxes[:, :2] - MIN_GAP, self.boxes[:, 2:] + MIN_GAP
        inside = (points[:, None] > low) & (points[:, None] < high)
        return inside.all(axis=-1).any(axis=0)

    def _box_costs(
        self, centres: np.ndarray, size: tuple[float, float], allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """Return (K,) the cost of a text at each of the centres (K, 2).

        allowed: the pixels (P, 2) of the labelled arrow, which the text may cover.
        """
        half = np.array(size) / 2 + 1
        low, high = centres - half, centres + half
        cost = OUTSIDE_COST * ((low < MIN_GAP) | (high > self.size - MIN_GAP)).any(axis=1)
        separate = (low[:, None] > self.boxes[:, 2:]) | (high[:, None] < self.boxes[:, :2])
        cost = cost + 3 * TOUCH_COST * (~separate.any(axis=-1)).sum(axis=1)
        cost += TOUCH_COST * (self._box_sums(self._shape_sums, low, high) > 0)
        if self._line_sums is None:
            self._line_sums = _integral_image(self._line)
        covered = self._box_sums(self._line_sums, low, high)
        if allowed is not None:
            inside = (allowed >= np.rint(low)[:, None]) & (allowed <= np.rint(high)[:, None])
            covered = covered - inside.all(axis=-1).sum(axis=1)
        return cost + CROSSING_COST / 4 * covered

    def _box_sums(self, table: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return (K,) an integral image's sums over boxes with corners low and high (K, 2)."""
        low, high = np.rint(low), np.rint(high) + 1
        corners = [np.stack([x[:, 0], y[:, 1]], axis=1) for x in (low, high) for y in (low, high)]
        a, b, c, d = (self._values_at(table, corner) for corner in corners)
        return a - b - c + d

    def _add_box(self, centre: np.ndarray, size: tuple[float, float]) -> np.ndarray:
        half = np.array(size) / 2
        self.boxes = np.vstack([self.boxes, [*(centre - half), *(centre + half)]])
        return centre


def _integral_image(pixels: np.ndarray) -> np.ndarray:
    """Return the sums of all pixels below and left of each pixel corner: the sum over a box is then
    that of four of them, with signs."""
    return np.pad(pixels.cumsum(axis=0, dtype=np.int32).cumsum(axis=1), ((1, 0), (1, 0)))
