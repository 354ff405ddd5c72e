"""How a network counts: margins, counters, maps of symbols, clamped units.

Margin: the logit of the next run's symbol minus that of the run's own, after each symbol of a run;
positive means that the network ends the run. Counter: a unit whose value is a straight line in the
number of symbols read, or left, in a run (Gers and Schmidhuber, 2001). Fixed points of a symbol's
map: an SRN may count up while A's contract the state towards an attractor, and down while B's
expand it away from a saddle (Rodriguez, Wiles and Elman, 1999). Slow point: where a map has no
fixed point but moves least (Sussillo and Barak, 2013). Every word is read after every word, because
the state in which a word begins may depend on the word before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from torch import Tensor

from recurrent.extraction import States
from recurrent.language import Language

# A unit moves in a run if its range there is at least this share of its whole range.
MIN_MOVE = 0.05
# Minimum R^2 of a straight line in a table.
MIN_SHOWN = 0.5
# Number of starting points of each kind in the search for stationary points, of its iterations,
# and the limits of their damping.
STARTS, ITERATIONS, MIN_DAMPING, MAX_DAMPING = 48, 60, 1e-9, 1e6
# Maximum gradient of |f(h) - h|^2 / 2 at a stationary point; maximum speed |f(h) - h| of a fixed
# point, and minimum speed of a slow one.
MAX_GRADIENT, MAX_RESIDUAL, MIN_SPEED = 1e-5, 1e-9, 1e-3
# Maximum distance |x - y| / (1 + |x|) of two points that count as the same.
SAME_POINT = 1e-4
# Maximum length of a predicted run, in symbols; longer ones count as endless.
MAX_RUN = 200
# Maximum number of units that are clamped, the first ones of a network.
MAX_CLAMPED_UNITS = 8


# Runs of words


def pairs(language: Language) -> list[tuple[int, int]]:
    """Return all pairs (n of the word before, n)."""
    return list(product(range(1, language.max_n + 1), repeat=2))


@torch.no_grad()
def run_states(net, language: Language, n: int, before: int = 1) -> list[Tensor]:
    """Return the states (k n, D) after each symbol of each run of the word n, read after the word
    `before`."""
    first, word = language.word(before), language.word(n)
    states = net.states(torch.from_numpy(language.encode(first + word))[:, None])[:, 0]
    return list(states[len(first) :].split([factor * n for factor in language.times]))


@torch.no_grad()
def margins(net, language: Language, n: int, before: int = 1) -> list[np.ndarray]:
    """Return the margins (k n,) after each symbol of each later run of the word n, read after the
    word `before`."""
    found = []
    for run, states in enumerate(run_states(net, language, n, before)):
        logits = net.read_out(states).cpu().double().numpy()
        found.append(logits[:, (run + 1) % language.classes] - logits[:, run])
    return found[1:]


def countdown(net, language: Language) -> list[dict]:
    """Return a record of the margins in each later run, aligned by the symbols that are left.

    up_to: the largest number k of symbols left such that with each of 0 .. k left the margins of
    all words after all words differ by less than one more symbol changes any of them; spread: the
    largest difference there; change: the smallest change; None if there is no such k.
    """
    found = {pair: margins(net, language, pair[1], pair[0]) for pair in pairs(language)}
    records = []
    for run in range(1, language.classes):
        words = [series[run - 1][::-1] for series in found.values()]
        spread, change, best = 0.0, np.inf, None
        for left in range(language.times[run] * language.max_n - 1):
            values = [word[left] for word in words if len(word) > left]
            steps = [word[left] - word[left + 1] for word in words if len(word) > left + 1]
            spread, change = max(spread, np.ptp(values)), min(change, *steps, np.inf)
            if not spread < change:
                break
            best = (left, spread, change)
        keys = ("up_to", "spread", "change")
        values = best or (None, None, None)
        records.append({"run": language.symbols[run]} | dict(zip(keys, values, strict=True)))
    return records


def margin_records(net, language: Language) -> list[dict]:
    """Return the margins after each symbol of each later run, for n = 1 .. max_n + 2 after the word
    1."""
    return [
        {"n": n, "run": language.symbols[run], "margins": values}
        for n in range(1, language.max_n + 3)
        for run, values in enumerate(margins(net, language, n), 1)
    ]


# Counters


def counters(net, language: Language) -> list[dict]:
    """Return a record for each run and unit that moves in it: the straight lines through the unit's
    values against the number of symbols read and left in the run, over all words after all words.

    read, left: slope per symbol read, in both; read_r2, left_r2: R^2. What is left of the first run
    is not determined, None. Units: hidden units of an SRN, context units of an LSTM.
    """
    words = [
        (
            n,
            [
                net.memory(part).cpu().double().numpy()
                for part in run_states(net, language, n, before)
            ],
        )
        for before, n in pairs(language)
    ]
    every = np.concatenate([part for _, parts in words for part in parts])
    records = []
    for run, factor in enumerate(language.times):
        values = np.concatenate([parts[run] for _, parts in words])
        read = np.concatenate([np.arange(1, factor * n + 1) for n, _ in words])
        left = np.concatenate([np.arange(factor * n)[::-1] for n, _ in words])
        for unit in range(net.hid):
            if np.ptp(values[:, unit]) <= MIN_MOVE * np.ptp(every[:, unit]) or language.max_n < 2:
                continue
            record = {"run": language.symbols[run], "unit": unit}
            for key, x in (("read", read), ("left", -left)):
                if key == "left" and not run:
                    record |= {"left": None, "left_r2": None}
                    continue
                slope, correlation = (
                    np.polyfit(x, values[:, unit], 1)[0],
                    np.corrcoef(x, values[:, unit]),
                )
                record |= {key: float(slope), f"{key}_r2": float(correlation[0, 1] ** 2)}
            records.append(record)
    return records


# Predicted runs, and clamped units


@torch.no_grad()
def predict_runs(
    net,
    language: Language,
    state: Tensor,
    n: np.ndarray,
    first: int = 1,
    clamped: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of the runs that a network predicts in N words, and whether each word is
    right from there on.

    state: (N, D) just before run `first` of each word; n: (N,). The network reads a run's symbol
    until it has predicted another one; the next run starts from its state after the correct k n
    symbols. clamped: a unit that keeps its value during run `first`. Returns (R, N) int64, the
    number of symbols of each later run after which another symbol is predicted, 0 if not within
    MAX_RUN; and (N,) bool.
    """
    lengths = np.zeros((language.classes - first, len(n)), dtype=np.int64)
    right = np.ones(len(n), dtype=bool)
    for run, length in zip(range(first, language.classes), lengths, strict=True):
        symbols, correct = torch.full((len(n),), run), language.times[run] * n
        next_symbol, next_state = (run + 1) % language.classes, state
        for step in range(1, MAX_RUN + 1):
            after = net.step(symbols, state)
            keeps = run == first and clamped is not None
            state = _clamp(net, symbols, state, after, clamped) if keeps else after
            predicted = net.read_out(state).argmax(dim=1).cpu().numpy()
            length[(length == 0) & (predicted != run)] = step
            right &= (step != correct) | (predicted == next_symbol)
            ends = torch.from_numpy(step == correct)[:, None].to(state.device)
            next_state = torch.where(ends, state, next_state)
            if length.all() and step >= correct.max():
                break
        right &= length == correct
        state = next_state
    return lengths, right


def _clamp(net, symbols: Tensor, before: Tensor, after: Tensor, unit: int) -> Tensor:
    """Return the states `after` with a unit's value as it was `before`."""
    after, size = after.clone(), before.shape[1]
    column = size - net.hid + unit
    after[:, column] = before[:, column]
    if size > net.hid:
        # The hidden unit shows the clamped context unit through the output gate.
        output_gate = net.gates(symbols, before)[3][:, unit]
        after[:, unit] = output_gate * before[:, column].tanh()
    return after


@torch.no_grad()
def ablations(net, language: Language) -> list[dict]:
    """Return for each unit how many words after all words are still right, by the run during which
    the unit keeps the value that it had before; the first record is without ablation."""
    n, records = np.array([n for _, n in pairs(language)]), []
    starts = []
    for run in range(1, language.classes):
        states = [
            run_states(net, language, n, before)[run - 1][-1] for before, n in pairs(language)
        ]
        starts.append(torch.stack(states))
    for unit in [None, *range(min(net.hid, MAX_CLAMPED_UNITS))]:
        record = {"clamped unit": "none" if unit is None else unit}
        for run, state in enumerate(starts, 1):
            _, right = predict_runs(net, language, state, n, run, unit)
            record[f"in the {language.symbols[run]}'s"] = f"{right.sum()}/{len(n)}"
        records.append(record)
    return records


@torch.no_grad()
def first_failure(net, language: Language, n: int) -> dict | None:
    """Return where a network goes wrong in the word n: after which word before, in which run, the
    symbols after which it predicts the run's end (0: never), and their correct number; None if all
    lengths are right after each of the words 1 .. max_n."""
    for before in range(1, language.max_n + 1):
        states = run_states(net, language, n, before)
        lengths, _ = predict_runs(net, language, states[0][-1:], np.array([n]))
        for run, length in enumerate(lengths[:, 0].tolist(), 1):
            correct = language.times[run] * n
            if length != correct:
                record = {"n": n, "before": before, "run": language.symbols[run]}
                return record | {"ends": length, "correct": correct}
    return None


# Fixed points and slow points


def symbol_map(net, symbol: int) -> Callable[[Tensor], Tensor]:
    """Return a symbol's map (N, D) -> (N, D) of states, in float64 on the CPU, because some devices
    have no float64."""
    net = copy.deepcopy(net).cpu().double().requires_grad_(False)
    return lambda states: net.step(torch.full((len(states),), symbol), states)


def jacobians(f: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return f(x) and the Jacobians (N, D, D) at x (N, D) of f, which maps rows independently."""
    # Because rows are independent, the gradient of column sums is the Jacobian of each row.
    by_row = torch.autograd.functional.jacobian(lambda x: f(x).sum(dim=0), x)
    return f(x), by_row.transpose(0, 1)


def find_stationary(f: Callable[[Tensor], Tensor], starts: np.ndarray) -> np.ndarray:
    """Return the distinct points (K, D) at which f: (N, D) -> (N, D) moves states least, found from
    starts (S, D): local minima of |f(x) - x|, of which those where it is 0 are fixed points.

    By the method of Levenberg and Marquardt: Newton's with damped steps, for all starts at once.
    scipy.optimize solves from one start at a time and takes ten times as long.
    """
    x = torch.as_tensor(starts, dtype=torch.float64)
    identity = torch.eye(x.shape[1], dtype=torch.float64)
    damping = torch.full((len(x), 1, 1), 0.1, dtype=torch.float64)
    for _ in range(ITERATIONS):
        y, jacobian = jacobians(f, x)
        across = (jacobian - identity).transpose(1, 2)
        matrix = across @ across.transpose(1, 2) + damping * identity
        # solve_ex, because a singular matrix is not an error: its step is not finite, thus refused.
        moved = x - torch.linalg.solve_ex(matrix, across @ (y - x)[..., None])[0][..., 0]
        better = (f(moved) - moved).norm(dim=1) < (y - x).norm(dim=1)
        x = torch.where(better[:, None], moved, x)
        damping = damping * torch.where(better, 0.2, 5.0)[:, None, None]
        damping = damping.clamp(MIN_DAMPING, MAX_DAMPING)
    y, jacobian = jacobians(f, x)
    gradient = ((jacobian - identity).transpose(1, 2) @ (y - x)[..., None])[..., 0]
    found = []
    for point in x[gradient.norm(dim=1) < MAX_GRADIENT].numpy():
        tolerance = SAME_POINT * (1 + np.linalg.norm(point))
        if all(np.linalg.norm(point - other) > tolerance for other in found):
            found.append(point)
    return np.array(found).reshape(-1, x.shape[1])


def eigenvalues(f: Callable[[Tensor], Tensor], point: np.ndarray) -> np.ndarray:
    """Return the eigenvalues (D,) of the Jacobian of f at a point (D,), largest modulus first."""
    _, jacobian = jacobians(f, torch.from_numpy(point)[None])
    values = np.linalg.eigvals(jacobian[0].numpy())
    return values[np.argsort(-np.abs(values))]


def kind_of(values: np.ndarray, speed: float) -> str | None:
    """Return the kind of a stationary point with these eigenvalues and this speed; None if it can
    be neither called a fixed point nor a slow one."""
    expanding = np.abs(values) > 1
    if speed > MAX_RESIDUAL:
        return "slow point" if speed > MIN_SPEED else None
    return "repeller" if expanding.all() else "saddle" if expanding.any() else "attractor"


def stationary_points(net, language: Language, states: States) -> list[dict]:
    """Return a record for each fixed or slow point found of each symbol's map of an SRN, by symbol,
    nearest to the words first.

    speed: |f(h) - h|; distance: from the nearest state that the symbol reaches in words; after_10:
    the same after ten more of the symbol. The search starts from states in words and from random
    ones; it may miss points.
    """
    random, records = np.random.default_rng(0), []
    for symbol in np.unique(states.symbol[1:]).tolist():
        f, reached = symbol_map(net, symbol), states.vectors[states.symbol == symbol]
        sample, rows = random.permutation(reached)[:STARTS], []
        later = torch.from_numpy(sample)
        for _ in range(10):
            later = f(later)
        hidden = random.uniform(-1, 1, (STARTS, net.hid))
        for point in find_stationary(f, np.concatenate([sample, hidden])):
            values = eigenvalues(f, point)
            speed = float((f(torch.from_numpy(point)[None]) - torch.from_numpy(point)).norm())
            rows.append(
                {
                    "symbol": language.symbols[symbol],
                    "kind": kind_of(values, speed),
                    "point": point,
                    "speed": speed,
                    "eigenvalues": values,
                    "distance": float(np.linalg.norm(reached - point, axis=1).min()),
                    "after_10": float(np.linalg.norm(later.numpy() - point, axis=1).min()),
                }
            )
        rows = (row for row in rows if row["kind"])
        records += sorted(rows, key=lambda row: row["distance"])
    return records


def passage(net, language: Language, point: np.ndarray, run: int) -> dict:
    """Return how words pass a point in a run: left, the symbols left where each word n = 1 ..
    max_n is nearest to it; apart, its distance there; growing, whether all later steps of the
    longest word grow."""
    left, apart = [], []
    for n in range(1, language.max_n + 1):
        states = run_states(net, language, n)[run].cpu().double().numpy()
        distance = np.linalg.norm(states - point, axis=1)
        left.append(len(states) - 1 - int(distance.argmin()))
        apart.append(float(distance.min()))
    steps = np.linalg.norm(np.diff(states[distance.argmin() :], axis=0), axis=1)
    growing = bool(len(steps) > 1 and (np.diff(steps) > 0).all())
    return {"left": left, "apart": apart, "growing": growing}


def decision_boundary(net) -> str | None:
    """Return where two hidden units predict the second of two symbols: "10.92 h0 + 2.08 h1 >
    -7.89"; None for other networks."""
    if net.hid != 2 or net.symbols != 2:
        return None
    V, out_bias = net.V.detach(), net.out_bias.detach()
    (w0, w1), bias = (V[:, 1] - V[:, 0]).tolist(), out_bias[1] - out_bias[0]
    return f"{w0:.2f} h0 {'+' if w1 >= 0 else '-'} {abs(w1):.2f} h1 > {-float(bias):.2f}"
