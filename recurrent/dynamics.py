"""How a recurrent network does what it does: the maps of its symbols, its counters, its proof.

A symbol is a map of the network's state vector to the next one; the state of an SRN is its hidden
vector, that of an LSTM its hidden and context vectors side by side. A network counts by moving
along such a map: towards an attractor or away from a saddle, one step for each symbol (Rodriguez,
Wiles and Elman, 1999), or by a context unit that grows and shrinks (Gers and Schmidhuber, 2001).
The functions here measure which; what they return are arrays and numbers, drawn by pictures.py
and printed by seq_plot.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise

import numpy as np
import torch
from scipy.stats import linregress
from torch import Tensor

from recurrent.extraction import Trajectory
from recurrent.language import Language

# Fixed points


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A state vector that a symbol maps to itself.

    point: (D,); values: (D,) complex, the eigenvalues of the map's Jacobian there, the longest
    first; vectors: (D, D) complex, their eigenvectors as columns.
    """

    point: np.ndarray
    values: np.ndarray
    vectors: np.ndarray

    @property
    def kind(self) -> str:
        """attractor, saddle or repeller."""
        growing = np.abs(self.values) > 1
        return "repeller" if growing.all() else "saddle" if growing.any() else "attractor"


def symbol_map(net, symbol: int) -> Callable[[Tensor], Tensor]:
    """The map (N, D) -> (N, D) of a network's state vectors by one symbol, in float64 on the CPU:
    some devices have no float64."""
    net = copy.deepcopy(net).cpu().double().requires_grad_(False)

    def after(states: Tensor) -> Tensor:
        symbols = torch.full((len(states),), symbol)
        return torch.cat(net.step(symbols, states.split(net.hid, dim=1)), dim=1)

    return after


def jacobians(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) (N, D) and the Jacobian (N, D, D) at each row of x of a map that acts on single rows."""
    # Rows do not mix, so the gradient of a column's sum is that of each row's own value.
    by_row = torch.autograd.functional.jacobian(lambda x: f(x).sum(dim=0), x)
    return f(x), by_row.transpose(0, 1)


def fixed_points(f: Callable[[Tensor], Tensor], starts: np.ndarray) -> list[FixedPoint]:
    """The fixed points of f: (N, D) -> (N, D) to which Newton's method leads from starts (S, D).

    Every start is tried as it is and after 200 steps of f, which finds the attractors.
    """
    # scipy.optimize.root, which takes one start at a time, needs ten times as long.
    x = moved = torch.as_tensor(starts, dtype=torch.float64)
    identity = torch.eye(x.shape[1], dtype=torch.float64)
    for _ in range(200):
        moved = f(moved)
    x = torch.cat([x, moved])
    for _ in range(40):
        y, jacobian = jacobians(f, x)
        step = torch.linalg.lstsq(jacobian - identity, (x - y)[..., None]).solution[..., 0]
        # No step longer than a half: far from a fixed point the straight line misleads.
        length = step.norm(dim=1, keepdim=True)
        x = torch.nan_to_num(x + step * (0.5 / length.clamp(min=0.5)))
    y, jacobian = jacobians(f, x)
    still = (y - x).norm(dim=1) < 1e-9
    found: list[FixedPoint] = []
    for point, matrix in zip(x[still].numpy(), jacobian[still].numpy(), strict=True):
        if all(np.linalg.norm(point - other.point) > 1e-4 for other in found):
            values, vectors = np.linalg.eig(matrix)
            order = np.argsort(-np.abs(values))
            found.append(FixedPoint(point, values[order], vectors[:, order]))
    return sorted(found, key=lambda fixed: tuple(fixed.point.round(6)))


def map_points(net, trajectory: Trajectory, letter: int, most: int = 6) -> list[FixedPoint]:
    """The fixed points of a symbol's map, at most so many: those nearest to where it leads."""
    random = np.random.default_rng(0)
    # A step of Newton's method costs the cube of the dimension; every start has two chances.
    count = 200 if trajectory.state.shape[1] < 8 else 60
    starts = trajectory.state[random.permutation(len(trajectory.state))[:count]]
    if net.blocks == 1:
        starts = np.concatenate([starts, random.uniform(-1, 1, (count, net.hid))])
    found = fixed_points(symbol_map(net, letter), starts)
    reached = trajectory.state[trajectory.symbol == letter]
    distance = [np.linalg.norm(reached - fixed.point, axis=1).min() for fixed in found]
    nearest = sorted(np.argsort(distance)[:most])
    return [found[index] for index in nearest]


# Counting


def _step(net, state: tuple[Tensor, ...], symbol: int) -> tuple[Tensor, ...]:
    """The state (1, D) after one symbol more."""
    return net.step(torch.tensor([int(symbol)]), state)


@torch.no_grad()
def states_along(net, symbols: np.ndarray) -> np.ndarray:
    """(T + 1, D): the initial state vector of a network, and that after each of symbols (T,)."""
    state = net.initial(1)
    states = [torch.cat(state, 1)]
    for symbol in symbols:
        state = _step(net, state, symbol)
        states.append(torch.cat(state, 1))
    return torch.cat(states).cpu().double().numpy()


def run_states(net, language: Language, n: int) -> list[np.ndarray]:
    """For each run of the word with this n, the state vectors (k n + 1, D) from just before its
    first symbol to after its last. The word is read after one with n = 1."""
    before = language.word(1)
    states = states_along(net, language.encode(before + language.word(n)))
    ends = len(before) + n * np.cumsum([0, *language.times])
    return [states[begin : end + 1] for begin, end in pairwise(ends)]


def reversal_rate(states: np.ndarray) -> float:
    """How many of the turns of a path (T, D) are sharper than a right angle: 0 .. 1; 0 for a path
    without a turn."""
    steps = np.diff(states, axis=0)
    turns = (steps[1:] * steps[:-1]).sum(axis=1) < 0
    return float(turns.mean()) if len(turns) else 0.0


def countdown_alignment(net, language: Language) -> list[tuple[int, float, float]]:
    """Whether the count-down takes k steps for each step of the count-up: (n, apart, left) each.

    apart: how far the states of n and of n - 1 A's are from each other after the first symbol of
    the last run, k n symbols long; left: how far they are once the n's has read k symbols more.
    """
    factor, found = language.times[-1], []
    runs = [run_states(net, language, n)[-1] for n in range(1, language.max_n + 1)]
    for n, (fewer, more) in enumerate(pairwise(runs), start=2):
        apart = np.linalg.norm(more[1] - fewer[1])
        left = np.linalg.norm(more[1 + factor] - fewer[1])
        found.append((n, float(apart), float(left)))
    return found


def limit_cycle(net, symbol: int, most: int = 40, close: float = 1e-3) -> tuple[int, np.ndarray]:
    """Where a symbol leads that comes again and again: the period of the cycle that the state
    vector ends in (1: it rests; 0: none of at most so many), and the last vector (D,)."""
    states = states_along(net, np.full(1000 + most, symbol))
    last = states[-1]
    away = np.linalg.norm(states[-2 : -most - 2 : -1] - last, axis=1)
    # A slow drift is no rest: it is as far away after two periods as after one, and more.
    found = [p for p in range(1, most // 2 + 1) if max(away[p - 1], away[2 * p - 1]) < close]
    return (found[0] if found else 0), last


@dataclass(frozen=True)
class Match:
    """The rates of count-up and count-down, by the eigenvalues of two fixed points.

    up: of the attractor that the A's approach; down: of the saddle that the B's leave; times: how
    many B's undo the step of one A, log(1 / |up|) / log |down|.
    """

    up: complex
    down: complex
    times: float


def match_rates(
    net, language: Language, points: dict[int, list[FixedPoint]]
) -> Match | tuple[str, str]:
    """The check of Rodriguez, Wiles and Elman (1999); or, where the map of A has no attractor or
    that of B no saddle, the kinds of fixed points that each of them has."""
    runs = run_states(net, language, language.max_n)
    up = [fixed for fixed in points[0] if fixed.kind == "attractor"]
    down = [fixed for fixed in points[1] if fixed.kind == "saddle"]
    if not up or not down:
        return tuple(
            ", ".join(sorted({fixed.kind for fixed in points[symbol]})) for symbol in (0, 1)
        )
    rates = [
        fixed.values[0]
        for found, states in ((up, runs[0]), (down, runs[1][1:]))
        for fixed in [min(found, key=lambda fixed: _away(fixed, states))]
    ]
    return Match(*rates, float(np.log(1 / abs(rates[0])) / np.log(abs(rates[1]))))


def _away(fixed: FixedPoint, states: np.ndarray) -> float:
    """How close a path (T, D) comes to a fixed point."""
    return float(np.linalg.norm(states - fixed.point, axis=1).min())


@torch.no_grad()
def countdown(net, language: Language, n: int, most: int = 200) -> list[int]:
    """How many of each later run's symbols the network wants after n A's: [2 n, 3 n] is right.

    After the A's the run's symbol is fed, as often as the network predicts it once more; the runs
    before a run are fed in their right lengths.
    """
    times, wanted = language.times, []
    state = reduce(partial(_step, net), [0] * n, net.initial(1))
    for letter in range(1, len(times)):
        here, count = state, 0
        for step in range(1, most + 1):
            here = _step(net, here, letter)
            if step == times[letter] * n:
                state = here
            if not count and int(net.read_out(here[0]).argmax()) != letter:
                count = step
            if count and step >= times[letter] * n:
                break
        wanted.append(count)
    return wanted


@dataclass(frozen=True)
class Counter:
    """What a unit does in one phase: slope per symbol, its correlation with the count (A's so far,
    or symbols of the run left), and the share of its whole range that it moves through."""

    unit: int
    phase: int
    slope: float
    correlation: float
    span: float

    @property
    def does(self) -> str:
        if self.span < 0.1:
            return "holds still"
        if abs(self.correlation) < 0.9:
            return "moves, but does not count"
        return "counts " + ("up" if self.slope > 0 else "down")


def phases(language: Language) -> tuple[np.ndarray, np.ndarray]:
    """A counting language's nodes: (N,) the run that each is in, (N,) its count: A's so far, or
    symbols of the run that are left. A run's last symbol belongs to the run."""
    phase, count = np.zeros((2, len(language.transitions)), dtype=np.int64)
    phase[0] = len(language.times) - 1
    for n, text in enumerate(language.all_words, start=1):
        runs = language.encode(text)
        path = language.follow(runs)
        left = np.concatenate([np.arange(k * n)[::-1] for k in language.times])
        left[:n] = np.arange(1, n + 1)
        phase[path], count[path] = runs, left
    return phase, count


def counters(values: np.ndarray, phase: np.ndarray, count: np.ndarray) -> list[Counter]:
    """A Counter for every unit and phase. values: (P, H) of units; phase and count: (P,)."""
    found = []
    ranges = np.maximum(np.ptp(values, axis=0), 1e-9)
    for unit, run in np.ndindex(values.shape[1], int(phase.max()) + 1):
        chosen = phase == run
        x, y = count[chosen], values[chosen, unit]
        slope = correlation = 0.0
        # Where n is 1 alone, there is but one count of A's.
        if np.ptp(x):
            slope, _, correlation, *_ = map(float, linregress(x, y))
        # Later runs count down: one symbol more is one less that is left.
        slope = slope if run == 0 else -slope
        found.append(Counter(unit, run, slope, correlation, float(np.ptp(y) / ranges[unit])))
    return found


ABLATIONS = ("zeroed", "frozen")


@torch.no_grad()
def ablate(net, language: Language, unit: int, run: int, how: str) -> list[tuple[int, int]]:
    """Predictions that stay right when a unit is disturbed as a run begins: (right, asked) for
    each run from that one on, over the words n = 1 .. length, each after one whole word.

    how: "zeroed", set to 0 before the run's first symbol; "frozen", held at its value throughout
    the run. The unit is an LSTM's context unit, an SRN's hidden unit. A prediction counts for the
    run of the symbol that is predicted; that of a next word's A counts for the last run.
    """
    right, asked = np.zeros((2, language.classes), dtype=np.int64)
    for n in range(1, language.max_n + 1):
        before = language.encode(language.word(1 + n % language.max_n))
        state = reduce(partial(_step, net), before, net.initial(1))
        node, held = 0, None
        text = language.encode(language.word(n)).tolist()
        # A symbol's number is that of its run.
        for symbol, following in pairwise([*text, language.first]):
            if symbol == run and held is None:
                held = state[-1][:, unit].clone()
                if how == "zeroed":
                    state = _zero(state, unit)
            before_step = state
            state = _step(net, state, symbol)
            if how == "frozen" and symbol == run:
                state = _hold(net, state, before_step, symbol, unit, held)
            node = int(language.transitions[node, symbol])
            if language.deterministic[node] and symbol >= run:
                # A next word's A counts for the last run.
                told = max(symbol, following)
                asked[told] += 1
                right[told] += int(net.read_out(state[0]).argmax()) == following
    return list(zip(right.tolist(), asked.tolist(), strict=True))[run:]


def _zero(state: tuple[Tensor, ...], unit: int) -> tuple[Tensor, ...]:
    """The state with a unit at 0: an LSTM's hidden unit is 0 where its context unit is."""
    state = tuple(part.clone() for part in state)
    for part in state:
        part[:, unit] = 0
    return state


def _hold(
    net, state: tuple[Tensor, ...], before: tuple[Tensor, ...], symbol: int, unit: int, held: Tensor
) -> tuple[Tensor, ...]:
    """The state with a unit back at the value `held`, its hidden unit following by its gate."""
    state = tuple(part.clone() for part in state)
    state[-1][:, unit] = held
    if len(state) > 1:
        gate = net.gates(torch.tensor([symbol]), before[0])[3]
        state[0][:, unit] = gate[:, unit] * held.tanh()
    return state
