"""The maps of a network's symbols: fixed points, attracting cycles, and words' steps along them.

A symbol is a map of the network's state vector to the next one; the state of an SRN is its hidden
vector, that of an LSTM its hidden and context vectors side by side. A network counts by moving
along such a map: towards an attractor or away from a saddle, one step for each symbol (Rodriguez,
Wiles and Elman, 1999), or by a context unit that grows and shrinks (Gers and Schmidhuber, 2001;
units.py). The functions here measure which; explain.py prints what they return.
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

# Further symbols after which distances from fixed points are measured. After the last of them
# attracting cycles are looked for, up to MAX_PERIOD.
EXTRA_SYMBOLS, MAX_PERIOD = (0, 10, 100, 1000), 40
# Starts of each kind from which fixed points are searched for.
STARTS = 64
# A state is near a fixed point if it is closer than this share of the mean step along the words.
NEAR = 0.5
# Symbols after which a run that has not ended counts as never ending.
MAX_RUN = 200


# Fixed points and cycles


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A state vector that `period` steps of a symbol's map bring back to itself.

    cycle: (period, D), the vectors that it passes through; values: (D,) complex, the eigenvalues of
    the Jacobian of these steps, the largest first; distances: how far it is from the nearest state
    to which the symbol leads in words, and once EXTRA_SYMBOLS symbols more have been read.
    """

    cycle: np.ndarray
    values: np.ndarray
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
        growing = np.abs(self.values) > 1
        return "repeller" if growing.all() else "saddle" if growing.any() else "attractor"

    @property
    def index(self) -> int:
        """The sign of det(1 - Jacobian)."""
        return int(np.sign(np.prod(1 - self.values).real))

    def away(self, states: np.ndarray) -> np.ndarray:
        """Return the distances (T,) of states (T, D) from the nearest vector of the cycle."""
        return np.linalg.norm(states[:, None] - self.cycle, axis=2).min(axis=1)


def symbol_map(net, symbol: int) -> Callable[[Tensor], Tensor]:
    """Return the map (N, D) -> (N, D) of a network's state vectors by one symbol, in float64 on the
    CPU, because some devices have no float64."""
    net = copy.deepcopy(net).cpu().double().requires_grad_(False)

    def after(states: Tensor) -> Tensor:
        symbols = torch.full((len(states),), symbol)
        return torch.cat(net.step(symbols, states.split(net.hid, dim=1)), dim=1)

    return after


def jacobians(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(x) (N, D) and the Jacobian (N, D, D) at each row of x, of a map of single rows."""
    # Rows do not mix, so the gradient of a column's sum is that of each row's own value.
    by_row = torch.autograd.functional.jacobian(lambda x: f(x).sum(dim=0), x)
    return f(x), by_row.transpose(0, 1)


def fixed_points(f: Callable[[Tensor], Tensor], starts: np.ndarray, hid: int) -> list[FixedPoint]:
    """Return the fixed points of f: (N, D) -> (N, D) that Newton's method finds from starts (S, D),
    whose first `hid` components are hidden units."""
    # scipy.optimize.root, which takes one start at a time, needs ten times as long.
    x = torch.as_tensor(starts, dtype=torch.float64)
    identity = torch.eye(x.shape[1], dtype=torch.float64)
    for _ in range(40):
        y, jacobian = jacobians(f, x)
        step = torch.linalg.lstsq(jacobian - identity, (x - y)[..., None]).solution[..., 0]
        # Far from a fixed point the straight line misleads: hidden units, which bend it, move by
        # half a unit at most. Context units may lie far out.
        length = step[:, :hid].norm(dim=1, keepdim=True)
        x = torch.nan_to_num(x + step * (0.5 / length.clamp(min=0.5)))
    still = (f(x) - x).norm(dim=1) < 1e-9 * (1 + x.norm(dim=1))
    found = _cycles(f, list(x[still].split(1)))
    return sorted(found, key=lambda fixed: tuple(fixed.point.round(6)))


def attracting_cycles(f: Callable[[Tensor], Tensor], settled: np.ndarray) -> list[FixedPoint]:
    """Return the cycles of periods 2 .. MAX_PERIOD in which states (S, D) have settled."""
    ahead = [torch.as_tensor(settled, dtype=torch.float64)]
    for _ in range(2 * MAX_PERIOD):
        ahead.append(f(ahead[-1]))
    ahead = torch.stack(ahead, dim=1)
    away = (ahead[:, 1:] - ahead[:, :1]).norm(dim=2).numpy()
    found = []
    for row, back in zip(ahead, away < 1e-6, strict=True):
        period = int(back.argmax()) + 1
        # What comes so close by chance is elsewhere a period later.
        if 1 < period <= MAX_PERIOD and back[period - 1 :: period].all():
            found.append(row[:period])
    return _cycles(f, found)


def _cycles(f: Callable[[Tensor], Tensor], found: list[Tensor]) -> list[FixedPoint]:
    """Return cycles, each once, from their states (period, D)."""
    cycles: list[FixedPoint] = []
    for states in found:
        point = states[:1].numpy()
        close = 1e-4 * (1 + np.linalg.norm(point))
        if all(other.away(point)[0] > close for other in cycles):
            _, steps = jacobians(f, states)
            product = reduce(lambda product, step: step @ product, steps)
            values = np.linalg.eigvals(product.numpy())
            cycles.append(FixedPoint(states.numpy(), values[np.argsort(-np.abs(values))]))
    return cycles


def resting_states(net, symbol: int, hidden: np.ndarray) -> np.ndarray:
    """Return hidden vectors (N, H) as states (N, D) whose context units the symbol leaves as they
    are: c = i g / (1 - f), by which an LSTM's fixed points are where their hidden units are."""
    if net.blocks == 1:
        return hidden
    net = copy.deepcopy(net).cpu().double().requires_grad_(False)
    symbols = torch.full((len(hidden),), symbol)
    i, f, g, o = net.gates(symbols, torch.from_numpy(hidden))
    context = i * g / (1 - f).clamp(min=1e-12)
    return torch.cat([o * context.tanh(), context], dim=1).numpy()


def map_points(net, trajectory: Trajectory, symbol: int) -> list[FixedPoint]:
    """Return a symbol's fixed points and attracting cycles, those nearest to words first.

    Newton's method starts from states in words, from states all over the cube of hidden vectors
    with the context at rest, however far out, and from where these lead. What it does not find may
    be there all the same: see `complete`.
    """
    random = np.random.default_rng(0)
    f, states = symbol_map(net, symbol), random.permutation(trajectory.state)[:STARTS]
    reached = trajectory.state[trajectory.symbol == symbol]
    words = random.permutation(reached)[:STARTS]
    cube = resting_states(net, symbol, random.uniform(-1, 1, (STARTS, net.hid)))
    further = {0: torch.from_numpy(np.concatenate([words, cube]))}
    for step in range(max(EXTRA_SYMBOLS)):
        further[step + 1] = f(further[step])
    settled = further[max(EXTRA_SYMBOLS)].numpy()
    found = fixed_points(f, np.concatenate([states, cube, settled]), net.hid)
    found += attracting_cycles(f, settled)
    later = [reached, *(further[step].numpy()[: len(words)] for step in EXTRA_SYMBOLS[1:])]
    measured = [
        replace(fixed, distances=tuple(float(fixed.away(states).min()) for states in later))
        for fixed in found
    ]
    return sorted(measured, key=lambda fixed: fixed.distances[0])


def indices_sum_to_one(found: list[FixedPoint]) -> bool:
    """Return whether the indices of a map's fixed points sum to 1, as those of all of them do.

    Both networks' maps send a compact convex set into itself (hidden units stay within 1; a forget
    gate below some f < 1 bounds the context), so that there is a fixed point (Brouwer), and the
    signs of det(1 - Jacobian) sum to 1 over all of them (Lefschetz). If not, some were not found.
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
    """Return (T + 1, D): a network's initial state vector, and that after each of symbols (T,)."""
    run, start = net(torch.from_numpy(symbols)[:, None]), net.initial_state(1)
    parts = [run.hidden] if run.context is None else [run.hidden, run.context]
    pairs = zip(start, parts, strict=True)
    states = [torch.cat([first, part[:, 0]]) for first, part in pairs]
    return torch.cat(states, dim=1).cpu().double().numpy()


def run_states(net, language: Language, n: int, before: int = 1) -> list[np.ndarray]:
    """Return for each run of the word with this n the state vectors (k n + 1, D) from just before
    its first symbol to after its last. The word with n = `before` is read first."""
    first = language.word(before)
    states = states_along(net, language.encode(first + language.word(n)))
    ends = len(first) + n * np.cumsum([0, *language.times])
    return [states[begin : end + 1] for begin, end in pairwise(ends)]


def step_lengths(states: np.ndarray) -> np.ndarray:
    """Return the distances (T - 1,) between successive states (T, D)."""
    return np.linalg.norm(np.diff(states, axis=0), axis=1)


def reversal_rate(states: np.ndarray) -> float:
    """Return the share of turns between successive steps of (T, D) that exceed a right angle."""
    steps = np.diff(states, axis=0)
    turns = (steps[1:] * steps[:-1]).sum(axis=1) < 0
    return float(turns.mean()) if len(turns) else 0.0


def countdown_alignment(net, language: Language) -> list[tuple[int, float, float]]:
    """Return (n, before, after) for n = 2 .. max_n: whether k symbols undo one n more.

    before: the distance between the words of n and of n - 1 after the first symbol of the last run,
    which is k n symbols long; after: the same once the word of n has read k symbols more of it.
    """
    factor, found = language.times[-1], []
    runs = [run_states(net, language, n)[-1] for n in range(1, language.max_n + 1)]
    for n, (fewer, more) in enumerate(pairwise(runs), start=2):
        before = np.linalg.norm(more[1] - fewer[1])
        after = np.linalg.norm(more[1 + factor] - fewer[1])
        found.append((n, float(before), float(after)))
    return found


def near_distance(net, language: Language) -> float:
    """Return NEAR times the mean step in words: the distance below which they are near a point."""
    words = (run_states(net, language, n) for n in range(1, language.max_n + 1))
    steps = np.concatenate([step_lengths(states) for runs in words for states in runs])
    return NEAR * float(steps.mean())


@dataclass(frozen=True, eq=False)
class PredictedRuns:
    """How N words go on by a network's predictions.

    n: (N,); lengths: (R, N) int64, after how many symbols of each later run another is predicted, 0
    if not within MAX_RUN symbols; exact: (N,) bool, whether all these predictions are right, and that
    of the first symbol of the next run, or word.
    """

    n: np.ndarray
    lengths: np.ndarray
    exact: np.ndarray


# Changes a state on its way through a run: from the states before and after a symbol.
Disturbance = Callable[[tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]


@torch.no_grad()
def predict_runs(
    net,
    language: Language,
    state: tuple[Tensor, ...],
    n: np.ndarray,
    first: int = 1,
    disturb: Disturbance = lambda before, after: after,
) -> PredictedRuns:
    """Return the PredictedRuns of words with n (N,), from `state` just before run `first` of each.

    A run's symbol is fed on and on until the network has predicted another one; the next run begins
    where it should, after k n symbols. `disturb` changes the states of run `first`.
    """
    lengths = np.zeros((language.classes - first, len(n)), dtype=np.int64)
    exact = np.ones(len(n), dtype=bool)
    for run, length in zip(range(first, language.classes), lengths, strict=True):
        symbols, due = torch.full((len(n),), run), language.times[run] * n
        following, onward = (run + 1) % language.classes, state
        for step in range(1, MAX_RUN + 1):
            after = net.step(symbols, state)
            state = disturb(state, after) if run == first else after
            predicted = net.read_out(state[0]).argmax(dim=1).cpu().numpy()
            length[(length == 0) & (predicted != run)] = step
            exact &= (step != due) | (predicted == following)
            here = torch.from_numpy(step == due)[:, None].to(state[0].device)
            pairs = zip(state, onward, strict=True)
            onward = tuple(torch.where(here, now, other) for now, other in pairs)
            if length.all() and step >= due.max():
                break
        exact &= length == due
        state = onward
    return PredictedRuns(n, lengths, exact)


def predict_single_words(net, language: Language, limit: int) -> PredictedRuns:
    """Return the PredictedRuns of single words with n = 1 .. limit."""
    n = np.arange(1, limit + 1)
    state = states_after(net, language, [language.symbols[0] * count for count in n])
    return predict_runs(net, language, state, n)
