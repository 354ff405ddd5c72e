"""Text on the dynamics of a network in Part 3: tables of the measurements of dynamics.py.

Each function returns text. Every number, and every word that depends on one, is measured on the
network at hand.
"""

from __future__ import annotations

import numpy as np

from recurrent.dynamics import (
    EXTRA_SYMBOLS,
    MAX_NEAR_STEPS,
    MAX_PERIOD,
    MAX_RUN,
    STARTS,
    WARM_UP,
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

# Highest n in the table of generalisation.
MAX_N_SHOWN = 20
# Maximum number of fixed points listed for one map.
MAX_POINTS_LISTED = 6
# Maximum numbers of components of a state vector, and of its eigenvalues, that are printed.
MAX_COMPONENTS, MAX_EIGENVALUES = 8, 4
# Steps are equal if the longest exceeds the shortest by at most this share.
MAX_EQUAL_EXCESS = 0.1
# Maximum relative deviation of a ratio of rates from the ratio that the language needs.
RATIO_TOLERANCE = 0.25


def format_count(count: int, noun: str) -> str:
    """Return "1 state" or "2 states"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_vector(values: np.ndarray) -> str:
    """Return "(-0.23, 0.65)"."""
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"


def format_eigenvalue(value: complex) -> str:
    """Return "0.26" or "0.19+1.16i"; 5 digits ("0.99964") if the modulus would round to 1.00."""
    digits = 2 if abs(abs(value) - 1) >= 0.005 else 5
    real = f"{value.real:.{digits}f}"
    return real if abs(value.imag) < 0.005 else f"{real}{value.imag:+.{digits}f}i"


def format_table(rows: list[list[str]], gap: int = 2) -> str:
    """Return rows of cells as left-aligned columns."""
    widths = [max(map(len, column)) + gap for column in zip(*rows, strict=True)]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


# Fixed points


def fixed_point_table(points: dict[int, list[FixedPoint]], language: Language, hid: int) -> str:
    """Return a table of the fixed points and cycles of each symbol's map, with notes on what was
    not found."""
    later = [f"+{count}" for count in EXTRA_SYMBOLS[1:]]
    legend = [
        "Fixed points and attracting cycles found for each symbol's map of state vectors.",
        "attractor: no eigenvalue of the Jacobian has modulus > 1; saddle: some do; repeller: all "
        "do.",
        "distance: to the nearest state reached by reading the symbol in a word;",
        f"{', '.join(later)}: the same after reading the symbol that many more times, from at "
        f"most {STARTS} of these states.",
    ]
    if any(fixed.period > 1 for found in points.values() for fixed in found):
        legend.append("A cycle is listed with one of its states and the eigenvalues of one period.")
    rows = [["symbol", "kind", "hidden", "context", "eigenvalues", "distance", *later]]
    notes = []
    for symbol, found in points.items():
        letter = language.symbols[symbol]
        for fixed in found[:MAX_POINTS_LISTED]:
            kind = f"{fixed.kind}, period {fixed.period}" if fixed.period > 1 else fixed.kind
            short = len(fixed.point) <= MAX_COMPONENTS
            vectors = [format_vector(x) if short else "" for x in np.split(fixed.point, [hid])]
            values = [format_eigenvalue(value) for value in fixed.eigenvalues[:MAX_EIGENVALUES]]
            values += ["..."] if len(fixed.eigenvalues) > MAX_EIGENVALUES else []
            distances = [f"{distance:.2f}" for distance in fixed.distances]
            rows.append([letter, kind, *vectors, " ".join(values), *distances])
        if len(found) > MAX_POINTS_LISTED:
            notes.append(f"{letter}: {len(found) - MAX_POINTS_LISTED} more at larger distances")
        if not indices_sum_to_one(found):
            notes.append(
                f"{letter}: not all fixed points were found (their indices do not sum to 1)"
            )
        if all(fixed.kind != "attractor" for fixed in found):
            notes.append(
                f"{letter}: no attractor was found, neither a fixed point nor a cycle (of period "
                f"<= {MAX_PERIOD}, after {WARM_UP} {letter}'s)"
            )
    # Empty columns are left out: an SRN has no context units, and long vectors are not printed.
    kept = [any(row[k] not in ("", "()") for row in rows[1:]) for k in range(len(rows[0]))]
    rows = [[cell for cell, keep in zip(row, kept, strict=True) if keep] for row in rows]
    return "\n".join([*legend, format_table(rows), *notes])


# Counting


def trend(steps: np.ndarray) -> str:
    """Return "equal", "shrinking", "growing" or "shrinking, then growing"; "" if the step lengths
    (T,) are none of these throughout."""
    if len(steps) < 2:
        return ""
    if steps.max() <= (1 + MAX_EQUAL_EXCESS) * steps.min():
        return "equal"
    shortest = int(steps.argmin())
    before, after = np.diff(steps[: shortest + 1]), np.diff(steps[shortest:])
    monotone = (before < 0).all() and (after > 0).all()
    words = ["shrinking"] * (len(before) > 0) + ["growing"] * (len(after) > 0)
    return ", then ".join(words) if monotone else ""


def run_table(
    runs: list[np.ndarray], points: dict[int, list[FixedPoint]], language: Language
) -> str:
    """Return a table of the steps along each run.

    runs: states (k n + 1, D) of each run, as run_states returns them.
    """
    rows = [["run", "first step", "later steps", "trend", "reversals", "fixed point"]]
    for symbol, states in enumerate(runs):
        first, *later = step_lengths(states)
        cells = [f"{language.symbols[symbol]}'s", f"{first:.2f}"]
        cells += [" ".join(f"{step:.2f}" for step in later), trend(np.array(later))]
        cells.append(f"{reversal_rate(states[1:]):.0%}" if len(later) > 1 else "")
        slowest = states[[1 + np.argmin(later)]] if later else states[1:]
        distances = [float(fixed.distances_from(slowest)[0]) for fixed in points[symbol]]
        rows.append([*cells, f"{min(distances):.2f}" if distances else "none found"])
    return format_table(rows)


def countdown_table(found: list[tuple[int, float, float]]) -> str:
    """Return a table of the distances of countdown_alignment."""
    rows = [["n", "before", "after", "after / before"]]
    for n, before, after in found:
        rows.append([str(n), f"{before:.3f}", f"{after:.3f}", f"{after / max(before, 1e-9):.2f}"])
    return format_table(rows)


def rodriguez_check(
    points: dict[int, list[FixedPoint]], language: Language, limit: float, runs: list[np.ndarray]
) -> str:
    """Return the check of Rodriguez, Wiles and Elman (1999) for fixed points near the words.

    limit: maximum distance of a near point; runs: states of each run of the word max_n.
    """
    a, b = language.symbols[:2]
    needed = language.times[1]
    kinds = ("attractor", "saddle")
    nearest = [
        next((fixed for fixed in points[symbol] if fixed.kind == kind), None)
        for symbol, kind in enumerate(kinds)
    ]
    names = [f"{kind} of {letter}" for kind, letter in zip(kinds, (a, b), strict=True)]
    head = (
        "Comparison with Rodriguez, Wiles and Elman (1999): contraction at an attractor of "
        f"{a}, expansion at a saddle of {b}."
    )
    if any(fixed is None or fixed.distances[0] > limit for fixed in nearest):
        distances = [
            f"{name}: {'none found' if fixed is None else format(fixed.distances[0], '.2f')}"
            for fixed, name in zip(nearest, names, strict=True)
        ]
        return (
            f"{head}\nNot applicable: both must be within {limit:.2f} ({MAX_NEAR_STEPS:g} times "
            "the mean step length) of a state in words.\n"
            f"Distance of the nearest {'; '.join(distances)}."
        )
    rows = [["fixed point", "distance", "rate", "measured"]]
    for fixed, name, states in zip(nearest, names, runs, strict=False):
        distances = fixed.distances_from(states[1:])
        measured = " ".join(f"{x:.2f}" for x in distances[1:] / np.maximum(distances[:-1], 1e-9))
        rows.append([name, f"{fixed.distances[0]:.2f}", f"{fixed.rate:.3f}", measured])
    contraction, expansion = (fixed.rate for fixed in nearest)
    ratio = np.log(1 / max(contraction, 1e-300)) / np.log(expansion)
    verdict = "matched" if abs(ratio / needed - 1) <= RATIO_TOLERANCE else "not matched"
    lines = [
        head,
        "rate: largest modulus of an eigenvalue, by which a symbol multiplies small distances;",
        f"measured: ratios of successive distances in the word n = {language.max_n}.",
        format_table(rows),
        f"{b}'s per {a} by these rates: log(1/{contraction:.3f}) / log({expansion:.3f}) = "
        f"{ratio:.2f}; needed: {needed}; {verdict} (tolerance {RATIO_TOLERANCE:.0%}).",
    ]
    return "\n".join(lines)


def counting_text(net, language: Language, points: dict[int, list[FixedPoint]]) -> str:
    """Return tables of how the network counts: steps along each run, alignment, rates."""
    last, factor = language.symbols[-1], language.times[-1]
    runs = run_states(net, language, language.max_n)
    blocks = [
        f"Step lengths of the state vector in the word n = {language.max_n}, read after n = 1.\n"
        "trend: of the later steps (equal: the longest exceeds the shortest by at most "
        f"{MAX_EQUAL_EXCESS:.0%}; blank: no single trend);\n"
        "reversals: share of turns between successive later steps that exceed 90 degrees;\n"
        "fixed point: distance from the start of the shortest later step to the nearest fixed "
        f"point or cycle found.\n{run_table(runs, points, language)}"
    ]
    if found := countdown_alignment(net, language):
        blocks.append(
            "Distance between the states of the words n and n - 1.\n"
            f"before: both after their first {last}; after: once the word n alone has read "
            f"{factor} more {last}'s (0: exactly aligned).\n{countdown_table(found)}"
        )
    blocks.append(rodriguez_check(points, language, near_distance(net, language), runs))
    return "\n\n".join(blocks)


def generalisation_table(runs: PredictedRuns, steps: np.ndarray, language: Language) -> str:
    """Return a table of single words n = 1, 2, ...: exact or not, and predicted run lengths.

    steps: distances between the states after n - 1 and n A's.
    """
    a, *letters = language.symbols
    count = len(runs.exact)
    legend = [
        f"Generalisation: single words up to n = {count} (trained on n <= {language.max_n}).",
        f"{a} step: distance between the states after n - 1 and n {a}'s; exact: all deterministic "
        "symbols correct;",
        "predicted: symbols of a run read until the network predicts another symbol (earlier runs "
        "have their correct lengths).",
    ]
    heads = [f"{letter}'s predicted (correct)" for letter in letters]
    rows = [["n", f"{a} step", "exact", *heads]]
    for n, (step, exact, lengths) in enumerate(
        zip(steps, runs.exact, runs.lengths.T, strict=True), start=1
    ):
        pairs = zip(lengths, language.times[1:], strict=True)
        cells = [f"{length or f'over {MAX_RUN}'} ({factor * n})" for length, factor in pairs]
        rows.append([str(n), f"{step:.3f}", "yes" if exact else "no", *cells])
    text = "\n".join([*legend, format_table(rows)])
    if runs.exact.all():
        return f"{text}\nAll of these words are exact."
    lines = [f"First n that is not exact: {int(runs.exact.argmin()) + 1}."]
    for letter, lengths in zip(letters, runs.lengths, strict=True):
        other = np.flatnonzero(lengths != lengths[-1])
        same_from = int(other[-1]) + 2 if len(other) else 1
        if same_from <= count / 2 and lengths[-1]:
            lines.append(
                f"From n = {same_from} to {count} the predicted number of {letter}'s is constant: "
                f"{lengths[-1]}."
            )
    return "\n".join([text, " ".join(lines)])
