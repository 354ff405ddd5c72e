"""Part 3 in words: what units.py measured, as tables and sentences."""

from __future__ import annotations

import numpy as np

from recurrent.dynamics import MAX_RUN, PredictedRuns
from recurrent.explain import table
from recurrent.language import Language
from recurrent.units import EVEN, STILL, UnitRole, Values, values_at

# Kinds of a UnitRole by which a run leaves its mark on a unit, symbol by symbol.
COUNTS = ("read", "left", "even")
LEGEND = (
    "step: median change by a symbol after the run's first (smallest .. largest); even: steps "
    f"within {EVEN:.0%} of the\nmedian; read, left: how far two words are apart at most after as "
    "many symbols read, or with as many left (less\nthan the shortest step, all steps of one sign: "
    f"the unit counts them); still: moves through less than {STILL:.0%} of its range"
)
FORGETTING = (
    "1 - f: what the forget\ngate lacks to 1 at most, the share of its value that a unit loses"
)


def role_name(role: UnitRole, letter: str) -> str:
    """Return what a unit does in the run of a letter."""
    names = {
        "still": "still",
        "moves": "moves",
        "even": "even steps, from a start that varies",
    }
    return names.get(role.kind) or f"counts {letter}'s {role.kind}"


def roles(
    found: list[UnitRole], language: Language, units: str, forgetting: np.ndarray | None = None
) -> str:
    """Return a table of what each unit does in each run, after its legend.

    forgetting: (H, C), 1 - f at most of each context unit in each run; None where there are no gates.
    """
    gates = [] if forgetting is None else ["1 - f"]
    rows = [[units, "run", "step", "even", "read", "left", *gates, "it"]]
    for role in found:
        letter = language.symbols[role.run]
        low, step, high = role.steps
        steps = f"{step:+.2f} ({low:+.2f} .. {high:+.2f})"
        cells = [steps, f"{role.even:.0%}", f"{role.read:.2f}", f"{role.left:.2f}"]
        cells = cells if role.kind != "still" else [""] * 4
        cells += [f"{forgetting[role.unit, role.run]:.4f}"] if gates else []
        rows.append([str(role.unit), f"{letter}'s", *cells, role_name(role, letter)])
    legend = f"{LEGEND}; {FORGETTING}" if gates else LEGEND
    return f"{legend}\n{table(rows)}"


def end_table(found: list[UnitRole], values: Values, language: Language, units: str) -> str:
    """Return a table of values after each run's last symbol against n, of all units that count."""
    counting = sorted({role.unit for role in found if role.kind in COUNTS})
    if not counting:
        return f"No {units} counts, or moves in even steps."
    rows = [[units, "after the last", *(f"n = {n + 1}" for n in range(language.max_n)), "per n"]]
    for unit in counting:
        for run, letter in enumerate(language.symbols):
            ends = values_at(values, unit, run, -1)
            per_n = f"{np.diff(ends).mean():+.2f}" if len(ends) > 1 else ""
            rows.append([str(unit), letter, *(f"{end:.2f}" for end in ends), per_n])
    return table(rows)


def transfers(found: list[UnitRole], values: Values, language: Language, units: str) -> str:
    """Return a sentence for each unit that carries a count from one run to the next.

    It does so if it counts the symbols left of the second run and has stepped the other way in the
    first one, to values in order of n.
    """
    roles = {(role.unit, role.run): role for role in found}
    sentences = []
    for run in range(1, language.classes):
        before, letter = language.symbols[run - 1 : run + 1]
        first, second = (f"{k}n" if k > 1 else "n" for k in language.times[run - 1 : run + 1])
        head, factor = f"How {first} {before}'s become {second} {letter}'s", language.times[run]
        carried = []
        for role in found:
            loading = roles[role.unit, run - 1]
            ends = values_at(values, role.unit, run - 1, -1)
            steady = loading.kind in COUNTS and loading.step * role.step < 0
            if role.run != run or role.kind != "left" or not steady or len(ends) < 2:
                continue
            if (np.diff(ends) * loading.step > 0).all():
                starts = values_at(values, role.unit, run, 1)
                carried.append(
                    f"{head}: {units} {role.unit}, which steps by {loading.step:+.2f} with each "
                    f"{before}, is at {numbers(ends)} after the last {before} for n = 1 .. "
                    f"{len(ends)} and at {numbers(starts)} after the first {letter}, "
                    f"{np.diff(starts).mean():+.2f} for each n; {factor} {letter}'s of "
                    f"{role.step:+.2f} take it back, so that with as many {letter}'s left it is at "
                    f"the same value for every n, to within {role.left:.2f}."
                )
        sentences += carried or [
            f"{head}: no single unit steps one way with the {before}'s and the other way with the "
            f"{letter}'s, by how many are left."
        ]
    return "\n".join(sentences)


def numbers(values: np.ndarray) -> str:
    """Return 0.59, 1.09, 1.54"""
    return ", ".join(f"{value:.2f}" for value in values)


def ablations(results: dict[tuple[int | None, int, str], PredictedRuns], language: Language) -> str:
    """Return a table of what goes wrong: results[unit, run, how] as units.ablate returns them."""
    letters = language.symbols[1:]
    rows = [["disturbed unit", "exact", *(f"end of {letter}'s" for letter in letters)]]
    for (unit, run, how), runs in results.items():
        letter = language.symbols[run]
        what = f"0 before the first {letter}" if how == "zeroed" else f"clamped in the {letter}'s"
        cells = [""] * (run - 1)
        for lengths, factor in zip(runs.lengths, language.times[run:], strict=True):
            cells.append(end_counts(lengths, factor * runs.n))
        name = "none" if unit is None else f"{unit}: {what}"
        rows.append([name, f"{runs.exact.sum()}/{len(runs.exact)}", *cells])
    return (
        "Words predicted exactly from there on, and how many runs are predicted to end too early / "
        f"right / too late / never (not within {MAX_RUN} symbols):\n{table(rows)}"
    )


def end_counts(lengths: np.ndarray, due: np.ndarray) -> str:
    """Return "early / right / late / never" for predicted lengths (N,), 0 for never."""
    never = lengths == 0
    kinds = [~never & (lengths < due), lengths == due, lengths > due, never]
    return " / ".join(str(int(kind.sum())) for kind in kinds)
