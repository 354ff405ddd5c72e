"""Part 3 in words: what dynamics.py and machine.py measured, as tables and sentences.

Each function returns text. Every figure and every word that depends on one is measured on the
network at hand, so that a network that counts in another way is explained in another way.
"""

from __future__ import annotations

import numpy as np

from recurrent.dynamics import (
    Counter,
    FixedPoint,
    Match,
    countdown_alignment,
    countdown,
    match_rates,
    limit_cycle,
    run_states,
    reversal_rate,
)
from recurrent.language import Language
from recurrent.metrics import long_range_score

# How far beyond the trained n the table of counts goes.
FAR = 20


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def vector(values: np.ndarray) -> str:
    """(-0.23, 0.65)"""
    return "(" + ", ".join(f"{value:.2f}" for value in values) + ")"


def listed(parts: list[str]) -> str:
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
    return f"{value.real:.2f}" if abs(value.imag) < 0.005 else f"{value.real:.2f}{value.imag:+.2f}i"


def fixed_points(points: dict[int, list[FixedPoint]], language: Language, hid: int) -> str:
    """A line for each fixed point of each symbol's map: kind, place, eigenvalues."""
    rows = [["map of", "fixed point", "hidden", "context", "eigenvalues, the longest first"]]
    for symbol, found in points.items():
        letter = language.symbols[symbol]
        for fixed in found:
            short = len(fixed.point) <= 8
            parts = [vector(fixed.point[:hid]), vector(fixed.point[hid:])]
            values = [eigenvalue(value) for value in fixed.values[:4]]
            values += ["..."] if len(fixed.values) > 4 else []
            places = parts if short else ["-", "-"]
            rows.append([letter, fixed.kind, *places, " ".join(values)])
        if not found:
            rows.append([letter, "none found", "", "", ""])
    # An SRN's context units are a copy of its hidden units, and wide vectors are not printed.
    blank = [all(row[column] in ("()", "-", "") for row in rows[1:]) for column in range(5)]
    return table(
        [[cell for cell, empty in zip(row, blank, strict=True) if not empty] for row in rows]
    )


# Counting


def steps_of_a_run(states: np.ndarray, letter: str, found: list[FixedPoint], name: str) -> str:
    """A sentence on how the state moves along a run: states (T + 1, D), before and after it."""
    steps = np.linalg.norm(np.diff(states, axis=0), axis=1)
    parts = [f"{letter}: the first one moves the {name} by {steps[0]:.2f}"]
    if len(steps) > 1:
        parts.append("the next ones by " + " ".join(f"{step:.2f}" for step in steps[1:]))
    if len(steps) > 2:
        turns, slowest = reversal_rate(states[1:]), int(np.argmin(steps[1:]))
        way = "oscillating" if turns > 0.5 else "turning at times" if turns else "monotone"
        if steps[1:].max() < 1.5 * steps[1:].min():
            way += ", even"
        elif 0 < slowest < len(steps) - 2:
            way += ", slow in the middle"
        else:
            way += ", ever shorter" if slowest else ", ever longer"
        parts.append(f"{way} ({turns:.0%} of the turns are sharper than a right angle)")
    if found and len(steps) > 1:
        away = [np.linalg.norm(states[1:] - fixed.point, axis=1) for fixed in found]
        nearest = int(np.argmin([distance.min() for distance in away]))
        fixed, distance = found[nearest], away[nearest]
        change = distance[-1] / max(distance[0], 1e-9)
        way = "towards the" if change < 0.5 else "away from the" if change > 2 else "nearest is the"
        parts.append(
            f"{way} {fixed.kind} with eigenvalue {eigenvalue(fixed.values[0])} "
            f"(distance {distance[0]:.2f}, at last {distance[-1]:.2f})"
        )
    return "; ".join(parts)


def counting(net, language: Language, points: dict[int, list[FixedPoint]]) -> str:
    """How the network counts: its steps along each run, and whether up and down are in step."""
    times, name = language.times, "hidden vector" if net.blocks == 1 else "state vector"
    runs = run_states(net, language, language.max_n)
    lines = [f"How it counts, along the word with n = {language.max_n}:"]
    for symbol, states in enumerate(runs):
        letter = f"{language.symbols[symbol]}'s"
        lines.append("  " + steps_of_a_run(states, letter, points[symbol], name))
    last, factor = language.symbols[-1], times[-1]
    if caught := countdown_alignment(net, language):
        good = [str(n) for n, apart, left in caught if left < apart / 2]
        aparts = listed([f"{apart:.3f} (n = {n})" for n, apart, _ in caught])
        lefts = listed([f"{left:.3f}" for _, _, left in caught])
        lines.append(
            f"In step: {factor} {last}'s should undo one A. After the first {last} the vectors of "
            f"n and n - 1 are {aparts} apart; {factor} {last}'s more bring that of n to within "
            f"{lefts} of where that of n - 1 was. "
            + (f"Less than half is left for n = {listed(good)}." if good else "None comes close.")
        )
    lines.append(rates(match_rates(net, language, points), language))
    return "\n".join(lines)


def rates(match: Match | tuple[str, str], language: Language) -> str:
    """The check of Rodriguez, Wiles and Elman (1999) in a sentence."""
    head = "Rodriguez, Wiles and Elman (1999): "
    a, b = language.symbols[:2]
    if not isinstance(match, Match):
        has = [f"has only: {kinds}" if kinds else "has no fixed point" for kinds in match]
        return (
            f"{head}their check needs an attractor of {a} and a saddle of {b}. The map of {a} "
            f"{has[0]}; that of {b} {has[1]}. This network counts in another way."
        )
    wanted = language.times[1]
    verdict = "matched" if abs(match.times / wanted - 1) < 0.25 else "not matched"
    return (
        f"{head}near the attractor of {a} a distance shrinks by {abs(match.up):.3f} with each {a}; "
        f"near the saddle of {b} it grows by {abs(match.down):.3f} with each {b}. One {a} is then "
        f"undone by log(1/{abs(match.up):.3f}) / log({abs(match.down):.3f}) = {match.times:.2f} "
        f"{b}'s, and {wanted} are needed: {verdict}."
    )


def counts_beyond(net, language: Language, exact: np.ndarray) -> str:
    """A table of n = 1 .. 20: exact or not, and how many symbols of each run are wanted.

    exact: (20,) bool, for each n whether its word is predicted exactly.
    """
    times = language.times
    letters = language.symbols[1 : len(times)]
    rows = [["n", "exact", *(f"{letter}'s wanted (right)" for letter in letters)]]
    for n, right in enumerate(exact, start=1):
        wanted = countdown(net, language, n)
        cells = [
            f"{count or 'no end'} ({factor * n})"
            for count, factor in zip(wanted, times[1:], strict=True)
        ]
        rows.append([str(n), "yes" if right else "no", *cells])
    return table(rows)


def why_it_breaks(
    net, language: Language, exact: np.ndarray, points: dict[int, list[FixedPoint]]
) -> str:
    """Where the count breaks first, and by what."""
    if exact.all():
        return f"Every word up to n = {len(exact)} is predicted exactly."
    if not exact[0]:
        return "Not even n = 1 is predicted exactly."
    n = int(np.argmin(exact)) + 1
    wanted, times = countdown(net, language, n), language.times
    wrong = next(
        (run for run, count in enumerate(wanted, start=1) if count != times[run] * n), None
    )
    if wrong is None:
        return f"n = {n} is the first that is not predicted exactly."
    letter, count = language.symbols[wrong], wanted[wrong - 1]
    # How far n and n - 1 are from each other after the A's, and after the first of the wrong run.
    runs = [run_states(net, language, k) for k in range(1, n + 1)]
    after_a = _gaps([states[0][-1] for states in runs])
    after_first = _gaps([states[wrong][1] for states in runs])
    trained = min(language.max_n, n - 1)
    lines = [
        f"It breaks at n = {n}: {count or 'no end of'} {letter}'s are wanted instead of "
        f"{times[wrong] * n}."
    ]
    for when, gaps in (("the A's", after_a), (f"the first {letter}", after_first)):
        line = f"After {when} the vectors of n = {n - 1} and {n} are {gaps[-1]:.2f} apart"
        usual = gaps[: trained - 1]
        if len(usual):
            line += f" (those up to {trained}: {', '.join(f'{gap:.2f}' for gap in usual)})"
            if gaps[-1] < 0.35 * np.median(usual):
                lines.append(line + ": they are hardly told apart any more.")
                break
        lines.append(line + ".")
    else:
        lines.append(
            "They are told apart, but the way back is no longer in step with the way there."
        )
    return " ".join([*lines, _many_a(net, points[0])])


def _gaps(states: list[np.ndarray]) -> np.ndarray:
    """The distances between successive vectors."""
    return np.linalg.norm(np.diff(np.stack(states), axis=0), axis=1)


def _many_a(net, found: list[FixedPoint]) -> str:
    """What the map of A does with more and more A's, and which fixed point is the reason."""
    period, last = limit_cycle(net, 0)
    away = [np.linalg.norm(last - fixed.point) for fixed in found]
    if period == 1:
        text = "With ever more A's the state comes to rest"
        if found and min(away) < 0.05:
            fixed = found[int(np.argmin(away))]
            left = abs(fixed.values[0])
            share = "less than 1%" if left < 0.01 else f"{left:.0%}"
            text += (
                f" at the {fixed.kind} with eigenvalue {eigenvalue(fixed.values[0])}: each A "
                f"leaves {share} of the distance, so counts run together"
            )
        return text + "."
    if period:
        text = f"With ever more A's the state goes round in a cycle of {period}"
    else:
        text = "With ever more A's the state neither rests nor repeats itself"
    if found:
        fixed = found[int(np.argmin(away))]
        text += f", near the {fixed.kind} with eigenvalue {eigenvalue(fixed.values[0])}"
    else:
        text += ": the map of A has no fixed point to hold it"
    return text + "."


def long_range(net, language: Language) -> str:
    """Return a line on the symbol that takes a long memory to predict."""
    score = long_range_score(net, language)
    return (
        f"last symbol but one: {score.correct}/{score.total} correct in fresh words, squared error "
        f"{score.loss:.4f}"
    )


# Units


def phase_names(language: Language) -> list[str]:
    """What is counted in each run: "A's so far", "B's left", ..."""
    return [
        f"{letter}'s so far" if run == 0 else f"{letter}'s left"
        for run, letter in enumerate(language.symbols)
    ]


def counters(found: list[Counter], language: Language, units: str) -> str:
    """A table of all Counters: what each unit does in each run."""
    phases = phase_names(language)
    note = "slope with each symbol read; r: correlation with what the column is called"
    count = 1 + max(counter.unit for counter in found)
    rows = [["unit", *phases]]
    for unit in range(count):
        cells = {counter.phase: counter for counter in found if counter.unit == unit}
        rows.append(
            [
                f"{units} {unit}",
                *(
                    f"{cells[run].does}: {cells[run].slope:+.2f} a symbol, "
                    f"r = {cells[run].correlation:+.2f}"
                    for run in range(len(phases))
                ),
            ]
        )
    return f"{table(rows, gap=4)}\n({note})"


def roles(found: list[Counter], language: Language, units: str) -> str:
    """A paragraph on which unit counts what, and what waits meanwhile."""
    sentences = []
    for run, letter in enumerate(language.symbols):
        here = [counter for counter in found if counter.phase == run]
        counts = [c for c in here if c.does.startswith("counts")]
        still = [str(c.unit) for c in here if c.does == "holds still"]
        if counts:
            best = max(counts, key=lambda c: abs(c.correlation) * c.span)
            others = [f"{c.unit} (r = {c.correlation:+.2f})" for c in counts if c is not best]
            text = (
                f"The {letter}'s are counted by {units} {best.unit}, which goes "
                f"{'up' if best.slope > 0 else 'down'} by {abs(best.slope):.2f} with each "
                f"(r = {best.correlation:+.2f}) over {best.span:.0%} of its range"
            )
            if others:
                text += f", and by {listed(others)}"
        else:
            text = f"No single unit counts the {letter}'s in a straight line"
        if still:
            plain = "holds" if len(still) == 1 else "hold"
            text += f"; {listed(still)} {plain} still"
        sentences.append(text + ".")
    return " ".join(sentences)


def ablations(results: dict[tuple[int, int, str], list[tuple[int, int]]], language, units) -> str:
    """A table of what stays right: results[unit, run, how] is (right, asked) for each run from
    that one on."""
    runs = len(language.symbols)
    rows = [["disturbed", *(f"{letter}'s right" for letter in language.symbols[1:])]]
    for (unit, run, how), outcome in results.items():
        letter = language.symbols[run]
        cells = [""] * (runs - 1)
        for later, (right, asked) in zip(range(run, runs), outcome, strict=True):
            if later:
                cells[later - 1] = f"{right} of {asked}" if asked else ""
        what = (
            f"set to 0 before the first {letter}"
            if how == "zeroed"
            else f"held through the {letter}'s"
        )
        rows.append([f"{units} {unit} {what}", *cells])
    return table(rows)


def worst_ablations(results: dict, language: Language, units: str) -> str:
    """A sentence on which disturbance breaks most, and which breaks nothing."""

    def kept(outcome: list[tuple[int, int]]) -> float:
        return sum(right for right, _ in outcome) / sum(asked for _, asked in outcome)

    shares = {key: kept(outcome) for key, outcome in results.items()}
    (unit, run, how), share = min(shares.items(), key=lambda item: item[1])
    letter = language.symbols[run]
    when = (
        f"set to 0 as the {letter}'s begin" if how == "zeroed" else f"held through the {letter}'s"
    )
    harmless = [key for key, value in shares.items() if value == 1]
    text = f"Worst is {units} {unit} {when}: {share:.0%} of what is certain afterwards stays right."
    if harmless:
        names = [
            f"{unit} ({'zeroed' if how == 'zeroed' else 'held'}, {language.symbols[run]}'s)"
            for unit, run, how in harmless
        ]
        text += f" Nothing breaks for {units} {listed(names)}."
    return text
