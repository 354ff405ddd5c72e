"""The machine in a network, in words: its clusters, and where it differs from the language."""

from __future__ import annotations

import numpy as np

from recurrent.explain import join_and, plural, table
from recurrent.extraction import Difference, Trajectory
from recurrent.language import Language
from recurrent.machine import ALLOWED_SHARE, Clustering, Machine, probability_threshold

# Differences between two machines that are listed, of each kind.
MAX_LISTED = 8
# Differences in what network and language allow that are listed.
MAX_ROWS = 20


def threshold(language: Language) -> str:
    """Return a line on when a network allows a symbol."""
    return (
        f"a symbol is allowed where the network gives it P >= {probability_threshold(language):.3g}"
        f" ({ALLOWED_SHARE:g} of the rarest next symbol's P in {language.name}); the first symbol "
        "is given"
    )


def found_states(states: Clustering, small: Machine, trajectory: Trajectory) -> str:
    """Return a line on the clusters of the vectors and the states that they make."""
    where = "hidden" if states.size == trajectory.hid else "hidden and context"
    found = (
        f"{states.inconsistent} inconsistent"
        if states.inconsistent
        else "transitions and predictions consistent"
    )
    return (
        f"{len(trajectory.state)} {where} states -> {plural(states.machine.count, 'cluster')} "
        f"({found}) -> {plural(small.count, 'state')} after minimisation"
    )


def difference_table(
    found: list[Difference], labels: list[str], language: Language, count: int
) -> str:
    """Return where, on `count` sequences of the language, the network allows other symbols."""
    head = f"symbols allowed on {count} sequences of {language.name}: "
    if not found:
        return head + "the same by network and language"
    rows = [["state", "symbol", "allowed by", "network's P", "visits"]]
    for item in found:
        rows.append(
            [
                labels[item.state],
                language.symbols[item.symbol],
                "network only" if item.by_network else "language only",
                f"{item.low:.2f} .. {item.high:.2f}",
                f"{item.count}/{item.visits}",
            ]
        )
    shown = table(rows[: 1 + MAX_ROWS])
    rest = len(rows) - 1 - MAX_ROWS
    return f"{head}network and language differ\n{shown}" + (f"\n... {rest} more" * (rest > 0))


def compared(
    small: Machine,
    reference: Machine,
    overlap: np.ndarray,
    names: list[str],
    labels: list[str],
    lang: str,
) -> str:
    """Return a comparison of a network's machine with the language's minimal one.

    overlap: (M, N) bool.
    """
    head = f"minimal machine of {lang}: {plural(reference.count, 'state')}; "
    if small == reference:
        return head + "isomorphic to the extracted one"
    one = [
        f"{name} is {join_and([labels[state] for state in np.flatnonzero(row)])}"
        for name, row in zip(names, overlap, strict=True)
        if row.sum() > 1
    ]
    several = [
        f"{label} is {join_and([names[state] for state in np.flatnonzero(column)])}"
        for label, column in zip(labels, overlap.T, strict=True)
        if column.sum() > 1
    ]
    missing = [label for label, column in zip(labels, overlap.T, strict=True) if not column.any()]
    lines = [head + "not isomorphic to the extracted one"]
    for what, parts in (
        ("one state for several", one),
        ("several states for one", several),
        ("not found", missing),
    ):
        more = [f"... {len(parts) - MAX_LISTED} more"] if len(parts) > MAX_LISTED else []
        lines += [f"  {what}: {'; '.join(parts[:MAX_LISTED] + more)}"] if parts else []
    return "\n".join(lines)
