"""Part 3 in words: what dynamics.py measured, as tables and sentences.

Each function returns text. Every figure, and every word that depends on one, is measured on the
network at hand, so that a network that counts in another way is explained in another way.
"""

from __future__ import annotations

import numpy as np

from recurrent.dynamics import (
    EXTRA_SYMBOLS,
    MAX_PERIOD,
    MAX_RUN,
    FixedPoint,
    PredictedRuns,
    countdown_alignment,
    indices_sum_to_one,
    near_distance,
    reversal_rate,
    run_states,
    step_lengths,
)
from recurrent.language import Language

# How far beyond the trained n the table of counts goes.
MAX_N_SHOWN = 20
# Fixed points of one map that are listed, and components of a state that are printed.
LISTED, WIDE = 6, 8
# Steps are even if the longest exceeds the shortest by no more than this share.
EVEN = 0.1
# A ratio of eigenvalues matches if it is within this share of what the language needs.
MATCHED = 0.25


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def vector(values: np.ndarray) -> str:
    """(-0.23, 0.65)"""
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"


def join_and(parts: list[str]) -> str:
    """a, b and c"""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def table(rows: list[list[str]], gap: int = 2) -> str:
    """Rows of cells as columns, all aligned to the left."""
    widths = [max(map(len, column)) + gap for column in zip(*rows, strict=True)]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


# Fixed points


def eigenvalue(value: complex) -> str:
    """Return 0.26, 0.19+1.16i, or 0.99964 where fewer digits would be 1."""
    digits = 2 if abs(abs(value) - 1) >= 0.005 else 5
    real = f"{value.real:.{digits}f}"
    return real if abs(value.imag) < 0.005 else f"{real}{value.imag:+.{digits}f}i"


def fixed_points(points: dict[int, list[FixedPoint]], language: Language, hid: int) -> str:
    """Return a table of the fixed points and cycles of each symbol's map, and what is missing."""
    head = (
        "Fixed points and attracting cycles found of each symbol's map; distance from the nearest "
        f"state in words, and after {EXTRA_SYMBOLS[1]}, {EXTRA_SYMBOLS[2]}, {EXTRA_SYMBOLS[3]} more of the symbol:"
    )
    later = [f"+{count}" for count in EXTRA_SYMBOLS[1:]]
    rows = [["map of", "kind", "hidden", "context", "eigenvalues", "distance", *later]]
    notes = []
    for symbol, found in points.items():
        letter = language.symbols[symbol]
        for fixed in found[:LISTED]:
            kind = f"{fixed.kind}, period {fixed.period}" if fixed.period > 1 else fixed.kind
            short = len(fixed.point) <= WIDE
            places = [vector(part) if short else "" for part in np.split(fixed.point, [hid])]
            values = [eigenvalue(value) for value in fixed.values[:4]]
            values += ["..."] if len(fixed.values) > 4 else []
            distances = [f"{distance:.2f}" for distance in fixed.distances]
            rows.append([letter, kind, *places, " ".join(values), *distances])
        if len(found) > LISTED:
            notes.append(f"{letter}: {len(found) - LISTED} more, farther from the words")
        if not indices_sum_to_one(found):
            notes.append(
                f"{letter}: not all were found (the indices of fixed points do not sum to 1)"
            )
        if all(fixed.kind != "attractor" for fixed in found):
            notes.append(
                f"{letter}: no attractor was found; after {EXTRA_SYMBOLS[-1]} {letter}'s no state comes "
                f"back within {MAX_PERIOD} more"
            )
    # An SRN's context units are a copy of its hidden units, and wide vectors are not printed.
    kept = [any(row[k] not in ("", "()") for row in rows[1:]) for k in range(len(rows[0]))]
    short = [[cell for cell, keep in zip(row, kept, strict=True) if keep] for row in rows]
    return "\n".join([head, table(short), *notes])


# Counting


def trend(steps: np.ndarray) -> str:
    """Return even, shrinking, growing, or shrinking then growing for step lengths (T,) that all are
    so, else ""."""
    if len(steps) < 2:
        return ""
    if steps.max() <= (1 + EVEN) * steps.min():
        return "even"
    shortest = int(steps.argmin())
    before, after = np.diff(steps[: shortest + 1]), np.diff(steps[shortest:])
    monotone = (before < 0).all() and (after > 0).all()
    words = ["shrinking"] * (len(before) > 0) + ["growing"] * (len(after) > 0)
    return ", then ".join(words) if monotone else ""


def run_table(
    runs: list[np.ndarray], points: dict[int, list[FixedPoint]], language: Language
) -> str:
    """Return a table of the steps along each run: states (k n + 1, D) as run_states has them."""
    rows = [["run", "first step", "the next ones", "", "reversals", "fixed point"]]
    for symbol, states in enumerate(runs):
        first, *rest = step_lengths(states)
        cells = [f"{language.symbols[symbol]}'s", f"{first:.2f}"]
        cells += [" ".join(f"{step:.2f}" for step in rest), trend(np.array(rest))]
        cells.append(f"{reversal_rate(states[1:]):.0%}" if len(rest) > 1 else "")
        slowest = states[[1 + np.argmin(rest)]] if rest else states[1:]
        away = [float(fixed.away(slowest)[0]) for fixed in points[symbol]]
        rows.append([*cells, f"{min(away):.2f}" if away else "none found"])
    return table(rows)


def countdown_table(found: list[tuple[int, float, float]]) -> str:
    """Return a table of countdown_alignment's distances."""
    rows = [["n", "before", "after", "after / before"]]
    for n, before, after in found:
        rows.append([str(n), f"{before:.3f}", f"{after:.3f}", f"{after / max(before, 1e-9):.2f}"])
    return table(rows)


def rates(
    points: dict[int, list[FixedPoint]], language: Language, limit: float, runs: list[np.ndarray]
) -> str:
    """Return the check of Rodriguez, Wiles and Elman (1999), for points that words come near.

    limit: the distance from words up to which a point is near; runs: the states of the longest
    word, as run_states has them.
    """
    a, b = language.symbols[:2]
    nearest = [
        next((fixed for fixed in points[symbol] if fixed.kind == kind), None)
        for symbol, kind in enumerate(("attractor", "saddle"))
    ]
    head = "Rodriguez, Wiles and Elman (1999)"
    if any(fixed is None or fixed.distances[0] > limit for fixed in nearest):
        where = [
            f"no {name} was found" if fixed is None else f"the nearest {name} is at {distance}"
            for fixed, name in zip(nearest, (f"attractor of {a}", f"saddle of {b}"), strict=True)
            for distance in ["" if fixed is None else f"{fixed.distances[0]:.2f}"]
        ]
        return (
            f"{head} compare the eigenvalues of an attractor of {a} and a saddle of {b} that words "
            f"come near (within {limit:.2f}, half their mean step); here {join_and(where)}, so that "
            "the check does not apply."
        )
    up, down = (abs(fixed.values[0]) for fixed in nearest)
    ratio, needed = np.log(1 / max(up, 1e-300)) / np.log(down), language.times[1]
    verdict = "matched" if abs(ratio / needed - 1) <= MATCHED else "not matched"
    measured = [
        " ".join(f"{ratio:.2f}" for ratio in away[1:] / np.maximum(away[:-1], 1e-9))
        for fixed, states in zip(nearest, runs, strict=False)
        for away in [fixed.away(states[1:])]
    ]
    return (
        f"{head}: words come within {nearest[0].distances[0]:.2f} of an attractor of {a}, at which "
        f"an {a} multiplies distances by {up:.3f} (measured from one {a} to the next of n = "
        f"{language.max_n}: {measured[0]}), and within {nearest[1].distances[0]:.2f} of a saddle "
        f"of {b}, at which a {b} does by {down:.3f} (measured: {measured[1]}). By the rates at the "
        f"points an {a} is undone by log(1/{up:.3f}) / log({down:.3f}) = {ratio:.2f} {b}'s "
        f"(needed: {needed}): {verdict} (within {MATCHED:.0%})."
    )


def counting(net, language: Language, points: dict[int, list[FixedPoint]]) -> str:
    """Return how the network counts: its steps along each run, and whether up and down agree."""
    last, factor = language.symbols[-1], language.times[-1]
    runs = run_states(net, language, language.max_n)
    lines = [
        f"Lengths of the steps along n = {language.max_n}, read after a word with n = 1; distance "
        "of the nearest fixed point at the shortest of the next ones:",
        run_table(runs, points, language),
    ]
    if found := countdown_alignment(net, language):
        lines += [
            f"Distance between the words of n and n - 1: before, after the first {last} of both; "
            f"after, once that of n has read {factor} more:",
            countdown_table(found),
        ]
    return "\n".join([*lines, rates(points, language, near_distance(net, language), runs)])


def generalisation(runs: PredictedRuns, steps: np.ndarray, language: Language) -> str:
    """Return a table of single words n = 1, 2, ...: exact or not, and the predicted lengths.

    steps: the distances between the states after n - 1 and n A's.
    """
    a, *letters = language.symbols
    rows = [["n", f"step of {a}", "exact", *(f"{letter}'s (right)" for letter in letters)]]
    for n, (step, exact, lengths) in enumerate(
        zip(steps, runs.exact, runs.lengths.T, strict=True), start=1
    ):
        pairs = zip(lengths, language.times[1:], strict=True)
        cells = [f"{length or f'over {MAX_RUN}'} ({factor * n})" for length, factor in pairs]
        rows.append([str(n), f"{step:.3f}", "yes" if exact else "no", *cells])
    text, count = table(rows), len(runs.exact)
    if runs.exact.all():
        return f"{text}\nAll are exact."
    lines = [f"The first that is not exact is n = {int(runs.exact.argmin()) + 1}."]
    for letter, lengths in zip(letters, runs.lengths, strict=True):
        other = np.flatnonzero(lengths != lengths[-1])
        same_from = int(other[-1]) + 2 if len(other) else 1
        if same_from <= count / 2 and lengths[-1]:
            lines.append(
                f"For every n from {same_from} to {count} the same number of {letter}'s is "
                f"predicted: {lengths[-1]}."
            )
    return "\n".join([text, " ".join(lines)])
