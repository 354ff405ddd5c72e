"""Roles of single units in counting, and their ablation.

A unit is a hidden unit of an SRN or a context unit of an LSTM. Every word is read after every word,
because the state in which a word begins may depend on the word before.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from recurrent.dynamics import PredictedRuns, predict_runs, run_states, states_after
from recurrent.language import Language

# A unit is still in a run if it moves there by less than this share of its whole range.
MAX_STILL_SHARE = 0.05
# Maximum relative deviation of an even step from the median step, and minimum share of even steps
# of a unit that moves in even steps.
MAX_EVEN_DEVIATION, MIN_EVEN_SHARE = 0.25, 0.75
ABLATIONS = ("zeroed", "clamped")
# Maximum number of units that are ablated, the first ones of a network.
MAX_ABLATED_UNITS = 8

# For each (n of the word before, n): the units' values (k n + 1, H) in each run, as in run_states.
Values = dict[tuple[int, int], list[np.ndarray]]


@dataclass(frozen=True)
class UnitRole:
    """The role of a unit in a run, after the run's first symbol.

    steps: smallest, median and largest change per symbol; even_share: share of the steps that
    deviate by at most MAX_EVEN_DEVIATION from the median; read_spread, left_spread: largest
    difference between the unit's values in two words with the same number of symbols read, or left
    to read, in the run; range_share: largest range within one word, as a share of the whole range.
    """

    unit: int
    run: int
    steps: tuple[float, float, float]
    even_share: float
    read_spread: float
    left_spread: float
    range_share: float

    @property
    def step(self) -> float:
        return self.steps[1]

    @property
    def kind(self) -> str:
        """still; read or left (the symbols that the unit counts); even (even steps); moves."""
        low, _, high = self.steps
        if self.range_share < MAX_STILL_SHARE:
            return "still"
        if low * high <= 0:
            return "moves"
        # With a spread below one step, the values of different counts do not overlap.
        if min(self.read_spread, self.left_spread) < min(abs(low), abs(high)):
            return "read" if self.read_spread <= self.left_spread else "left"
        return "even" if self.even_share >= MIN_EVEN_SHARE else "moves"


def _pairs(language: Language) -> list[tuple[int, int]]:
    """Return all pairs (n of the word before, n)."""
    return list(product(range(1, language.max_n + 1), repeat=2))


def unit_values(net, language: Language) -> Values:
    """Return the units' values along all words after all words."""
    return {
        (before, n): [states[:, -net.hid :] for states in run_states(net, language, n, before)]
        for before, n in _pairs(language)
    }


@torch.no_grad()
def forgetting(net, language: Language) -> np.ndarray | None:
    """Return the maximum of 1 - f (H, C) of each context unit in each run, over all words after all
    words; None for an SRN. f is the forget gate: the unit loses the share 1 - f of its value."""
    if net.blocks == 1:
        return None
    highest = torch.zeros(net.hid, language.classes)
    for before, n in _pairs(language):
        for run, states in enumerate(run_states(net, language, n, before)):
            hidden = torch.from_numpy(states[:-1, : net.hid]).to(net.U)
            forget = net.gates(torch.full((len(hidden),), run), hidden)[1]
            highest[:, run] = torch.maximum(highest[:, run], (1 - forget).amax(dim=0).cpu())
    return highest.numpy()


def unit_roles(values: Values) -> list[UnitRole]:
    """Return the UnitRole of every unit in every run, ordered by unit."""
    runs = next(iter(values.values()))
    return [unit_role(values, *key) for key in np.ndindex(runs[0].shape[1], len(runs))]


def unit_role(values: Values, unit: int, run: int) -> UnitRole:
    """Return the UnitRole of a unit in a run."""
    series = [runs[run][1:, unit] for runs in values.values()]
    all_values = np.concatenate([states[:, unit] for runs in values.values() for states in runs])
    steps = np.concatenate([np.diff(word) for word in series])
    # A run of one symbol has no step after its first symbol.
    steps = steps if len(steps) else np.zeros(1)
    step = np.median(steps)
    return UnitRole(
        unit,
        run,
        (float(steps.min()), float(step), float(steps.max())),
        even_share=float((np.abs(steps - step) < MAX_EVEN_DEVIATION * abs(step)).mean()),
        read_spread=_spread(series),
        left_spread=_spread([word[::-1] for word in series]),
        range_share=max(map(np.ptp, series)) / max(np.ptp(all_values), 1e-9),
    )


def _spread(series: list[np.ndarray]) -> float:
    """Return the largest difference between values of two series (T,) at the same position."""
    aligned = defaultdict(list)
    for word in series:
        for position, value in enumerate(word):
            aligned[position].append(value)
    return float(max(map(np.ptp, aligned.values())))


def values_at(values: Values, unit: int, run: int, position: int) -> np.ndarray:
    """Return a unit's value (max_n,) at a position of a run for each n, averaged over the words
    before. position: 1 after the first symbol, -1 after the last."""
    found = defaultdict(list)
    for (_, n), runs in values.items():
        found[n].append(runs[run][position, unit])
    return np.array([np.mean(found[n]) for n in sorted(found)])


# Ablation


def ablations(net, language: Language) -> dict[tuple[int | None, int, str], PredictedRuns]:
    """Return the results of `ablate` by (unit, run, method), of no ablation by (None, 1, "")."""
    keys = product(range(min(net.hid, MAX_ABLATED_UNITS)), range(1, language.classes), ABLATIONS)
    return {key: ablate(net, language, *key) for key in [(None, 1, ""), *keys]}


@torch.no_grad()
def ablate(net, language: Language, unit: int | None, run: int, method: str) -> PredictedRuns:
    """Return the PredictedRuns of all words after all words, with a unit ablated in a run (None: no
    unit).

    method: "zeroed", set to 0 before the run's first symbol; "clamped", fixed during the run at its
    value before the first symbol.
    """
    pairs = _pairs(language)
    read = sum(language.times[:run])
    texts = [language.word(before) + language.word(n)[: read * n] for before, n in pairs]
    n, state = np.array([n for _, n in pairs]), states_after(net, language, texts)
    if unit is None:
        return predict_runs(net, language, state, n, run)
    if method == "zeroed":
        # An LSTM's hidden unit o tanh(c) is 0 where its context unit c is 0.
        zeroed = tuple(_with_unit(part, unit, torch.zeros(len(n)).to(part)) for part in state)
        return predict_runs(net, language, zeroed, n, run)
    clamped, symbols = state[-1][:, unit], torch.full((len(n),), run)

    def clamp(before: tuple[Tensor, ...], after: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if net.blocks == 1:
            return (_with_unit(after[0], unit, clamped),)
        output_gate = net.gates(symbols, before[0])[3][:, unit]
        hidden = _with_unit(after[0], unit, output_gate * clamped.tanh())
        return hidden, _with_unit(after[1], unit, clamped)

    return predict_runs(net, language, state, n, run, clamp)


def _with_unit(part: Tensor, unit: int, value: Tensor) -> Tensor:
    """Return a copy of values (N, H) with those of one unit replaced by (N,)."""
    part = part.clone()
    part[:, unit] = value
    return part
