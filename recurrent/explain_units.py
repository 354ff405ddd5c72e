"""Text on single units: tables of the measurements of units.py."""

from __future__ import annotations

import textwrap

import numpy as np

from recurrent.dynamics import MAX_RUN, PredictedRuns
from recurrent.explain import format_table
from recurrent.language import Language
from recurrent.units import (
    MAX_EVEN_DEVIATION,
    MAX_STILL_SHARE,
    MIN_EVEN_SHARE,
    UnitRole,
    Values,
    values_at,
)

# Kinds of roles in which a unit encodes the symbols of a run or moves in even steps.
ENCODING_KINDS = ("read", "left", "even")
ROLE_NAMES = {"still": "constant", "moves": "other", "even": "even steps"}
LEGEND = (
    "step: median change per symbol (smallest .. largest), from the second symbol of the run on;",
    f"even: share of steps within {MAX_EVEN_DEVIATION:.0%} of the median;",
    "read, left: largest difference of the unit's value between two words with as many symbols of",
    "  the run read, or still to come;",
)
FORGETTING = "1 - f: largest share of its value that a unit forgets at a symbol (f: forget gate);"
ROLES = (
    f"role: constant (moves by less than {MAX_STILL_SHARE:.0%} of its whole range);",
    "  encodes symbols read, or left (steps of one sign, this difference below the smallest step);",
    f"  even steps (steps of one sign, at least {MIN_EVEN_SHARE:.0%} of them even); other.",
)


def role_name(role: UnitRole, letter: str) -> str:
    """Return the role of a unit in the run of a letter."""
    return ROLE_NAMES.get(role.kind) or f"encodes {letter}'s {role.kind}"


def role_table(
    found: list[UnitRole], language: Language, units: str, forgetting: np.ndarray | None = None
) -> str:
    """Return a table of each unit's role in each run, below its legend.

    units: what a unit is called; forgetting: (H, C), the maximum of 1 - f of each context unit in
    each run, None for an SRN.
    """
    gates = [] if forgetting is None else ["1 - f"]
    rows = [[units, "run", "step", "even", "read", "left", *gates, "role"]]
    for role in found:
        letter = language.symbols[role.run]
        low, step, high = role.steps
        steps = f"{step:+.2f} ({low:+.2f} .. {high:+.2f})"
        spreads = [f"{role.read_spread:.2f}", f"{role.left_spread:.2f}"]
        cells = [steps, f"{role.even_share:.0%}", *spreads]
        cells = cells if role.kind != "still" else [""] * 4
        cells += [f"{forgetting[role.unit, role.run]:.4f}"] if gates else []
        rows.append([str(role.unit), f"{letter}'s", *cells, role_name(role, letter)])
    runs = ", ".join(f"{letter}'s" for letter in language.symbols)
    head = f"Role of each {units} in each run of a word ({runs})."
    legend = [head, *LEGEND, *([FORGETTING] if gates else []), *ROLES]
    return "\n".join([*legend, format_table(rows)])


def end_table(found: list[UnitRole], values: Values, language: Language, units: str) -> str:
    """Return a table of the values after each run's last symbol by n, for all units that encode
    symbols or move in even steps."""
    encoding = sorted({role.unit for role in found if role.kind in ENCODING_KINDS})
    if not encoding:
        return f"No {units} encodes symbols or moves in even steps as defined above."
    legend = (
        f"Values after the last symbol of each run, of the {units}s that encode symbols or move in "
        "even steps\nin some run, averaged over all preceding words; per n: mean increase from n "
        "to n + 1."
    )
    heads = [f"n = {n + 1}" for n in range(language.max_n)]
    rows = [[units, "after the last", *heads, "per n"]]
    for unit in encoding:
        for run, letter in enumerate(language.symbols):
            ends = values_at(values, unit, run, -1)
            per_n = f"{np.diff(ends).mean():+.2f}" if len(ends) > 1 else ""
            rows.append([str(unit), letter, *(f"{end:.2f}" for end in ends), per_n])
    return f"{legend}\n{format_table(rows)}"


def transfer_text(found: list[UnitRole], values: Values, language: Language, units: str) -> str:
    """Return sentences on the units that carry a count from one run to the next.

    A unit does so if it encodes the symbols of the first run or moves in even steps, ends farther
    in that direction for larger n, and encodes the symbols left of the second run in steps of the
    opposite sign.
    """
    roles = {(role.unit, role.run): role for role in found}
    lines = []
    for run in range(1, language.classes):
        before, letter = language.symbols[run - 1 : run + 1]
        first, second = (f"{k}n" if k > 1 else "n" for k in language.times[run - 1 : run + 1])
        head, factor = f"From {first} {before}'s to {second} {letter}'s", language.times[run]
        sentences = []
        for role in found:
            earlier = roles[role.unit, run - 1]
            ends = values_at(values, role.unit, run - 1, -1)
            opposite = earlier.kind in ENCODING_KINDS and earlier.step * role.step < 0
            if role.run != run or role.kind != "left" or not opposite or len(ends) < 2:
                continue
            if (np.diff(ends) * earlier.step > 0).all():
                starts = values_at(values, role.unit, run, 1)
                sentences.append(
                    f"{head}: {units} {role.unit} changes by {earlier.step:+.2f} per {before} and "
                    f"{role.step:+.2f} per {letter} (medians). After the first {letter} it is at "
                    f"{format_values(starts)} for n = 1 .. {len(starts)}: "
                    f"{np.diff(starts).mean():+.2f} per n, offset by {factor * role.step:+.2f} per "
                    f"{factor} {letter}'s. With the same number of {letter}'s left, its values in "
                    f"any two words differ by at most {role.left_spread:.2f}."
                )
        lines += sentences or [
            f"{head}: no single {units} carries the count (it would have to encode the {before}'s "
            "or move in even steps, end farther in that direction for larger n, and encode the "
            f"{letter}'s left in steps of the opposite sign)."
        ]
    return "\n".join(textwrap.fill(line, 100, subsequent_indent="  ") for line in lines)


def format_values(values: np.ndarray) -> str:
    """Return "0.59, 1.09, 1.54"."""
    return ", ".join(f"{value:.2f}" for value in values)


def ablation_table(
    results: dict[tuple[int | None, int, str], PredictedRuns], language: Language
) -> str:
    """Return a table of the effects of ablations: results[unit, run, method] of units.ablations."""
    letters = language.symbols[1:]
    rows = [["ablation", "exact", *(f"end of {letter}'s" for letter in letters)]]
    for (unit, run, method), runs in results.items():
        letter = language.symbols[run]
        when = f"before the first {letter}" if method == "zeroed" else f"during the {letter}'s"
        cells = [""] * (run - 1)
        for lengths, factor in zip(runs.lengths, language.times[run:], strict=True):
            cells.append(end_counts(lengths, factor * runs.n))
        name = "none" if unit is None else f"unit {unit} {method} {when}"
        rows.append([name, f"{runs.exact.sum()}/{len(runs.exact)}", *cells])
    legend = [
        "zeroed: set to 0 once, before the run; clamped: fixed during the run at its value then;",
        "exact: pairs in which all later deterministic symbols are predicted correctly;",
        "end: pairs in which the network predicts the end of a run too early / at the correct",
        f"  symbol / too late / not within {MAX_RUN} symbols (earlier runs have correct lengths).",
    ]
    return "\n".join([*legend, format_table(rows)])


def end_counts(lengths: np.ndarray, correct: np.ndarray) -> str:
    """Return "early / correct / late / never" for predicted lengths (N,), 0 for never."""
    never = lengths == 0
    kinds = [~never & (lengths < correct), lengths == correct, lengths > correct, never]
    return " / ".join(str(int(kind.sum())) for kind in kinds)
