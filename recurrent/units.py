"""What single units count, and what goes wrong without them (ablation).

A unit is a hidden unit of an SRN, a context unit of an LSTM. Every word is taken after every word,
since a network may begin the second one elsewhere.
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

# A unit that moves through less than this share of its whole range in a run holds still.
STILL = 0.05
# A step is even if it is within this share of the median step; steps are even if most of them are.
EVEN, MOST = 0.25, 0.75
ABLATIONS = ("zeroed", "clamped")
# Units of a network that are disturbed, at most.
DISTURBED = 8

# For each n before and n: the units' values (k n + 1, H) in each run, as run_states has them.
Values = dict[tuple[int, int], list[np.ndarray]]


@dataclass(frozen=True)
class UnitRole:
    """What a unit does in a run, after the first symbol of the run.

    steps: its smallest, median and largest change by a symbol; even: the share of steps within EVEN
    of the median; read, left: how far its values in two words are apart at most, after as many
    symbols read, or with as many left; span: the share of its whole range that it moves through in
    one word, at most.
    """

    unit: int
    run: int
    steps: tuple[float, float, float]
    even: float
    read: float
    left: float
    span: float

    @property
    def step(self) -> float:
        return self.steps[1]

    @property
    def kind(self) -> str:
        """still, read or left (it counts these symbols), even (steps alone) or moves."""
        low, _, high = self.steps
        if self.span < STILL:
            return "still"
        if low * high <= 0:
            return "moves"
        # Values of the same count are closer than one step: those of different counts do not mix.
        if min(self.read, self.left) < min(abs(low), abs(high)):
            return "read" if self.read <= self.left else "left"
        return "even" if self.even >= MOST else "moves"


def _pairs(language: Language) -> list[tuple[int, int]]:
    """Return the n of every word after every word: (before, n)."""
    return list(product(range(1, language.max_n + 1), repeat=2))


def unit_values(net, language: Language) -> Values:
    """Return the units' values along all words after all words."""
    return {
        (before, n): [states[:, -net.hid :] for states in run_states(net, language, n, before)]
        for before, n in _pairs(language)
    }


@torch.no_grad()
def forgetting(net, language: Language) -> np.ndarray | None:
    """Return (H, C): 1 - f at most, f the forget gate of an LSTM's context unit, in each run of the
    words, all after all words; None for an SRN. It is the share of its value that a unit loses."""
    if net.blocks == 1:
        return None
    most = torch.zeros(net.hid, language.classes)
    for before, n in _pairs(language):
        for run, states in enumerate(run_states(net, language, n, before)):
            hidden = torch.from_numpy(states[:-1, : net.hid]).to(net.U)
            forget = net.gates(torch.full((len(hidden),), run), hidden)[1]
            most[:, run] = torch.maximum(most[:, run], (1 - forget).amax(dim=0).cpu())
    return most.numpy()


def unit_roles(values: Values) -> list[UnitRole]:
    """Return the UnitRole of every unit in every run, the runs of a unit together."""
    runs = next(iter(values.values()))
    return [unit_role(values, *key) for key in np.ndindex(runs[0].shape[1], len(runs))]


def unit_role(values: Values, unit: int, run: int) -> UnitRole:
    """Return the UnitRole of a unit in a run."""
    paths = [runs[run][1:, unit] for runs in values.values()]
    everything = np.concatenate([states[:, unit] for runs in values.values() for states in runs])
    steps = np.concatenate([np.diff(path) for path in paths])
    # There are none where n is 1 alone: no A follows another.
    steps = steps if len(steps) else np.zeros(1)
    step = np.median(steps)
    return UnitRole(
        unit,
        run,
        (float(steps.min()), float(step), float(steps.max())),
        even=float((np.abs(steps - step) < EVEN * abs(step)).mean()),
        read=_spread(paths),
        left=_spread([path[::-1] for path in paths]),
        span=max(map(np.ptp, paths)) / max(np.ptp(everything), 1e-9),
    )


def _spread(paths: list[np.ndarray]) -> float:
    """Return the largest difference between values of paths (T,) at the same place."""
    same = defaultdict(list)
    for path in paths:
        for place, value in enumerate(path):
            same[place].append(value)
    return float(max(map(np.ptp, same.values())))


def values_at(values: Values, unit: int, run: int, place: int) -> np.ndarray:
    """Return a unit's value (max_n,) at a place of a run for each n, as a mean over the words
    before. place: 1 after the first symbol, -1 after the last."""
    found = defaultdict(list)
    for (_, n), runs in values.items():
        found[n].append(runs[run][place, unit])
    return np.array([np.mean(found[n]) for n in sorted(found)])


# Ablation


def ablations(net, language: Language) -> dict[tuple[int | None, int, str], PredictedRuns]:
    """Return what `ablate` does by unit, run and way; by (None, 1, "") of the network as it is."""
    keys = product(range(min(net.hid, DISTURBED)), range(1, language.classes), ABLATIONS)
    return {key: ablate(net, language, *key) for key in [(None, 1, ""), *keys]}


@torch.no_grad()
def ablate(net, language: Language, unit: int | None, run: int, how: str) -> PredictedRuns:
    """Return the PredictedRuns of all words after all words, with a unit disturbed in a run (None: no unit).

    how: "zeroed", set to 0 before the run's first symbol; "clamped", held throughout the run at
    its value before.
    """
    pairs = _pairs(language)
    read = sum(language.times[:run])
    texts = [language.word(before) + language.word(n)[: read * n] for before, n in pairs]
    n, state = np.array([n for _, n in pairs]), states_after(net, language, texts)
    if unit is None:
        return predict_runs(net, language, state, n, run)
    if how == "zeroed":
        # An LSTM's hidden unit is 0 where its context unit is.
        zeroed = tuple(_replaced(part, unit, torch.zeros(len(n)).to(part)) for part in state)
        return predict_runs(net, language, zeroed, n, run)
    held, symbols = state[-1][:, unit], torch.full((len(n),), run)

    def clamp(before: tuple[Tensor, ...], after: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if net.blocks == 1:
            return (_replaced(after[0], unit, held),)
        output_gate = net.gates(symbols, before[0])[3][:, unit]
        hidden = _replaced(after[0], unit, output_gate * held.tanh())
        return hidden, _replaced(after[1], unit, held)

    return predict_runs(net, language, state, n, run, clamp)


def _replaced(part: Tensor, unit: int, value: Tensor) -> Tensor:
    """Return (N, H) values with those of one unit replaced by (N,)."""
    part = part.clone()
    part[:, unit] = value
    return part
