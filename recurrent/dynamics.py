"""Dynamics of a trained network: fixed points and cycles of each symbol's map, and counting.

Each symbol defines a map from one state vector to the next; the state is the hidden vector of an
SRN, the hidden and context vectors of an LSTM side by side. A network counts by moving along such a
map, one step per symbol, towards an attractor or away from a saddle (Rodriguez, Wiles and Elman,
1999), or by a context unit that grows and shrinks (Gers and Schmidhuber, 2001; units.py). The
functions here measure the dynamics; explain.py prints them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from recurrent.extraction import Trajectory
from recurrent.language import Language

# Numbers of further symbols after which distances from fixed points are measured.
EXTRA_SYMBOLS = (0, 10, 100, 1000)
# Number of symbols read before cycles are searched for, so that transients have died out.
WARM_UP = max(EXTRA_SYMBOLS)
# Longest period of a cycle searched for, in symbols.
MAX_PERIOD = 40
# Number of starting points of each kind in the search for fixed points.
STARTS = 64
# Number of Newton iterations, and the maximum length of their steps in the hidden units.
NEWTON_ITERATIONS, MAX_HIDDEN_STEP = 40, 0.5
# Maximum residual |f(x) - x| / (1 + |x|) of a fixed point.
MAX_RESIDUAL = 1e-9
# Maximum distance between a state and itself one period later, on a cycle.
CYCLE_TOLERANCE = 1e-6
# Maximum distance |x - y| / (1 + |x|) of two points that count as the same.
SAME_POINT = 1e-4
# Minimum of 1 - f in float64, where a forget gate f may round to 1.
MIN_FORGETTING = 1e-12
# Maximum distance of a state near a fixed point, in mean step lengths along words.
MAX_NEAR_STEPS = 0.5
# Maximum length of a predicted run, in symbols; longer ones count as endless.
MAX_RUN = 200


# Fixed points and cycles


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A fixed point of a symbol's map, or a cycle of `period` states.

    cycle: (period, D), the states in order; eigenvalues: (D,) complex, those of the Jacobian of one
    period, largest modulus first; distances: from the nearest state that the symbol reaches in
    words, and from the nearest of at most STARTS of these after the other EXTRA_SYMBOLS.
    """

    cycle: np.ndarray
    eigenvalues: np.ndarray
    distances: tuple[float, ...] = (0.0,) * len(EXTRA_SYMBOLS)

    @property
    def point(self) -> np.ndarray:
        return self.cycle[0]

    @property
    def period(self) -> int:
        return len(self.cycle)

    @property
    def kind(self) -> str:
        """attractor, saddle or repeller."""
        expanding = np.abs(self.eigenvalues) > 1
        return "repeller" if expanding.all() else "saddle" if expanding.any() else "attractor"

    @property
    def rate(self) -> float:
        """The modulus of the leading eigenvalue per symbol: distances are multiplied by it."""
        return float(abs(self.eigenvalues[0]) ** (1 / self.period))

    @property
    def index(self) -> int:
        """The fixed-point index, the sign of det(1 - Jacobian)."""
        return int(np.sign(np.prod(1 - self.eigenvalues).real))

    def distances_from(self, states: np.ndarray) -> np.ndarray:
        """Return the distances (T,) between states (T, D) and the nearest state of the cycle."""
        return np.linalg.norm(states[:, None] - self.cycle, axis=2).min(axis=1)


def symbol_map(net, symbol: int) -> Callable[[Tensor], Tensor]:
    """Return a symbol's map (N, D) -> (N, D) of state vectors, in float64 on the CPU, because some
    devices have no float64."""
    net = copy.deepcopy(net).cpu().double().requires_grad_(False)

    def step(states: Tensor) -> Tensor:
        symbols = torch.full((len(states),), symbol)
        return torch.cat(net.step(symbols, states.split(net.hid, dim=1)), dim=1)

    return step


def jacobians(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(x) and the Jacobians (N, D, D) at x (N, D) of f, which maps rows independently."""
    # Because rows are independent, the gradient of column sums is the Jacobian of each row.
    by_row = torch.autograd.functional.jacobian(lambda x: f(x).sum(dim=0), x)
    return f(x), by_row.transpose(0, 1)


def fixed_points(f: Callable[[Tensor], Tensor], starts: np.ndarray, hid: int) -> list[FixedPoint]:
    """Return the fixed points of f: (N, D) -> (N, D) that Newton's method finds from starts (S, D),
    whose first `hid` components are hidden units."""
    # scipy.optimize.root solves from one start at a time and takes ten times as long.
    x = torch.as_tensor(starts, dtype=torch.float64)
    identity = torch.eye(x.shape[1], dtype=torch.float64)
    for _ in range(NEWTON_ITERATIONS):
        y, jacobian = jacobians(f, x)
        step = torch.linalg.lstsq(jacobian - identity, (x - y)[..., None]).solution[..., 0]
        # Hidden units are bounded and nonlinear, so that long steps diverge. Context units may
        # have their fixed point far from the words: only the hidden part limits the step.
        length = step[:, :hid].norm(dim=1, keepdim=True)
        x = torch.nan_to_num(x + step * (MAX_HIDDEN_STEP / length.clamp(min=MAX_HIDDEN_STEP)))
    converged = (f(x) - x).norm(dim=1) < MAX_RESIDUAL * (1 + x.norm(dim=1))
    found = _distinct_cycles(f, list(x[converged].split(1)))
    return sorted(found, key=lambda fixed: tuple(fixed.point.round(6)))


def attracting_cycles(f: Callable[[Tensor], Tensor], states: np.ndarray) -> list[FixedPoint]:
    """Return the cycles of periods 2 .. MAX_PERIOD on which states (S, D) lie."""
    orbit = [torch.as_tensor(states, dtype=torch.float64)]
    for _ in range(2 * MAX_PERIOD):
        orbit.append(f(orbit[-1]))
    orbits = torch.stack(orbit, dim=1)
    distance = (orbits[:, 1:] - orbits[:, :1]).norm(dim=2).numpy()
    found = []
    for row, returned in zip(orbits, distance < CYCLE_TOLERANCE, strict=True):
        period = int(returned.argmax()) + 1
        # A state that returns by chance does not return after further periods.
        if 1 < period <= MAX_PERIOD and returned[period - 1 :: period].all():
            found.append(row[:period])
    return _distinct_cycles(f, found)


def _distinct_cycles(f: Callable[[Tensor], Tensor], found: list[Tensor]) -> list[FixedPoint]:
    """Return the distinct cycles among lists of states (period, D)."""
    cycles: list[FixedPoint] = []
    for states in found:
        point = states[:1].numpy()
        tolerance = SAME_POINT * (1 + np.linalg.norm(point))
        if all(other.distances_from(point)[0] > tolerance for other in cycles):
            _, steps = jacobians(f, states)
            product = reduce(lambda product, step: step @ product, steps)
            values = np.linalg.eigvals(product.numpy())
            cycles.append(FixedPoint(states.numpy(), values[np.argsort(-np.abs(values))]))
    return cycles


def with_stationary_context(net, symbol: int, hidden: np.ndarray) -> np.ndarray:
    """Return states (N, D) of hidden vectors (N, H) with the context that the symbol leaves
    unchanged, c = i g / (1 - f): an LSTM's fixed point, if `hidden` is its hidden vector."""
    if net.blocks == 1:
        return hidden
    net = copy.deepcopy(net).cpu().double().requires_grad_(False)
    symbols = torch.full((len(hidden),), symbol)
    i, f, g, o = net.gates(symbols, torch.from_numpy(hidden))
    context = i * g / (1 - f).clamp(min=MIN_FORGETTING)
    return torch.cat([o * context.tanh(), context], dim=1).numpy()


def fixed_points_and_cycles(net, trajectory: Trajectory, symbol: int) -> list[FixedPoint]:
    """Return the fixed points and attracting cycles found for a symbol, nearest to words first.

    Newton's method starts from states in words, from random hidden vectors with stationary context,
    and from where WARM_UP symbols lead these. It may miss fixed points: see indices_sum_to_one.
    """
    random = np.random.default_rng(0)
    f, states = symbol_map(net, symbol), random.permutation(trajectory.state)[:STARTS]
    reached = trajectory.state[trajectory.symbol == symbol]
    sample = random.permutation(reached)[:STARTS]
    hidden = random.uniform(-1, 1, (STARTS, net.hid))
    cube = with_stationary_context(net, symbol, hidden)
    orbit = [torch.from_numpy(np.concatenate([sample, cube]))]
    for _ in range(WARM_UP):
        orbit.append(f(orbit[-1]))
    warmed_up = orbit[WARM_UP].numpy()
    found = fixed_points(f, np.concatenate([states, cube, warmed_up]), net.hid)
    found += attracting_cycles(f, warmed_up)
    later = [reached, *(orbit[count].numpy()[: len(sample)] for count in EXTRA_SYMBOLS[1:])]
    measured = [
        replace(fixed, distances=tuple(float(fixed.distances_from(x).min()) for x in later))
        for fixed in found
    ]
    return sorted(measured, key=lambda fixed: fixed.distances[0])


def indices_sum_to_one(found: list[FixedPoint]) -> bool:
    """Return whether the indices of a map's fixed points sum to 1, which is necessary for the list
    to be complete.

    The maps of both networks send a compact convex set into itself: hidden units are bounded by 1,
    the context by a forget gate that is below some f < 1. Therefore each map has a fixed point
    (Brouwer, 1911), and the signs of det(1 - Jacobian) of all fixed points sum to 1 (Lefschetz,
    1926).
    """
    return sum(fixed.index for fixed in found if fixed.period == 1) == 1


# Counting


@torch.no_grad()
def states_after(net, language: Language, texts: list[str]) -> tuple[Tensor, ...]:
    """Return the state, parts (N, H), after each of N texts, read from the initial state."""
    symbols = pad_sequence([torch.from_numpy(language.encode(text)) for text in texts])
    run, last = net(symbols), [len(text) - 1 for text in texts]
    parts = [run.hidden] if run.context is None else [run.hidden, run.context]
    return tuple(part[last, range(len(texts))] for part in parts)


@torch.no_grad()
def states_along(net, symbols: np.ndarray) -> np.ndarray:
    """Return the state vectors (T + 1, D) along symbols (T,), the initial one first."""
    run, start = net(torch.from_numpy(symbols)[:, None]), net.initial_state(1)
    parts = [run.hidden] if run.context is None else [run.hidden, run.context]
    pairs = zip(start, parts, strict=True)
    states = [torch.cat([first, part[:, 0]]) for first, part in pairs]
    return torch.cat(states, dim=1).cpu().double().numpy()


def run_states(net, language: Language, n: int, before: int = 1) -> list[np.ndarray]:
    """Return the state vectors (k n + 1, D) along each run of the word n, from just before its
    first symbol to after its last. The word n = `before` is read first."""
    first = language.word(before)
    states = states_along(net, language.encode(first + language.word(n)))
    ends = len(first) + n * np.cumsum([0, *language.times])
    return [states[begin : end + 1] for begin, end in pairwise(ends)]


def step_lengths(states: np.ndarray) -> np.ndarray:
    """Return the distances (T - 1,) between successive states (T, D)."""
    return np.linalg.norm(np.diff(states, axis=0), axis=1)


def reversal_rate(states: np.ndarray) -> float:
    """Return the share of successive steps of states (T, D) that turn by more than 90 degrees."""
    steps = np.diff(states, axis=0)
    turns = (steps[1:] * steps[:-1]).sum(axis=1) < 0
    return float(turns.mean()) if len(turns) else 0.0


def countdown_alignment(net, language: Language) -> list[tuple[int, float, float]]:
    """Return (n, before, after) for n = 2 .. max_n: how well k symbols of the last run, which has
    k n symbols, offset an increase of n by 1.

    before: distance between the states of the words n and n - 1 after the first symbol of the last
    run; after: the same when the word n has read k symbols more.
    """
    factor, found = language.times[-1], []
    runs = [run_states(net, language, n)[-1] for n in range(1, language.max_n + 1)]
    for n, (shorter, longer) in enumerate(pairwise(runs), start=2):
        before = np.linalg.norm(longer[1] - shorter[1])
        after = np.linalg.norm(longer[1 + factor] - shorter[1])
        found.append((n, float(before), float(after)))
    return found


def near_distance(net, language: Language) -> float:
    """Return the maximum distance of a state near a fixed point: MAX_NEAR_STEPS mean steps."""
    words = (run_states(net, language, n) for n in range(1, language.max_n + 1))
    steps = np.concatenate([step_lengths(states) for runs in words for states in runs])
    return MAX_NEAR_STEPS * float(steps.mean())


@dataclass(frozen=True, eq=False)
class PredictedRuns:
    """Lengths of the runs that a network predicts in N words.

    n: (N,); lengths: (R, N) int64, the number of symbols of each later run after which the network
    predicts another symbol, 0 if not within MAX_RUN; exact: (N,) bool, whether all these lengths
    and the first symbols of the runs that follow (the next word's too) are correct.
    """

    n: np.ndarray
    lengths: np.ndarray
    exact: np.ndarray


# Changes the state at each symbol of a run: (state before, state after) -> state after.
Intervention = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]


@torch.no_grad()
def predict_runs(
    net,
    language: Language,
    state: tuple[Tensor, ...],
    n: np.ndarray,
    first: int = 1,
    intervention: Intervention = lambda before, after: after,
) -> PredictedRuns:
    """Return the PredictedRuns of words with n (N,), from `state` just before run `first` of each.

    The network reads a run's symbol until it has predicted another one; the next run starts from
    its state after the correct k n symbols. `intervention` changes the states of run `first`.
    """
    lengths = np.zeros((language.classes - first, len(n)), dtype=np.int64)
    exact = np.ones(len(n), dtype=bool)
    for run, length in zip(range(first, language.classes), lengths, strict=True):
        symbols, correct = torch.full((len(n),), run), language.times[run] * n
        next_symbol, next_state = (run + 1) % language.classes, state
        for step in range(1, MAX_RUN + 1):
            after = net.step(symbols, state)
            state = intervention(state, after) if run == first else after
            predicted = net.read_out(state[0]).argmax(dim=1).cpu().numpy()
            length[(length == 0) & (predicted != run)] = step
            exact &= (step != correct) | (predicted == next_symbol)
            ends = torch.from_numpy(step == correct)[:, None].to(state[0].device)
            pairs = zip(state, next_state, strict=True)
            next_state = tuple(torch.where(ends, now, other) for now, other in pairs)
            if length.all() and step >= correct.max():
                break
        exact &= length == correct
        state = next_state
    return PredictedRuns(n, lengths, exact)


def predict_single_words(net, language: Language, limit: int) -> PredictedRuns:
    """Return the PredictedRuns of single words with n = 1 .. limit."""
    n = np.arange(1, limit + 1)
    state = states_after(net, language, [language.symbols[0] * count for count in n])
    return predict_runs(net, language, state, n)
