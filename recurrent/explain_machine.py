"""Text on the machine extracted from a network: clusters, states, differences from the language."""

from __future__ import annotations

import numpy as np

from recurrent.explain import format_count, format_table
from recurrent.extraction import Difference, Trajectory
from recurrent.language import Language
from recurrent.machine import (
    THRESHOLD_SHARE,
    Clustering,
    Machine,
    as_table,
    probability_threshold,
)

# Maximum number of differing states in a line of the comparison.
MAX_STATES_LISTED = 8
# Maximum number of rows in the table of differences.
MAX_ROWS = 20


def threshold(language: Language) -> str:
    """Return a line on when a network allows a symbol."""
    return (
        "the network allows a symbol if its probability P >= "
        f"{probability_threshold(language):.3g} ({THRESHOLD_SHARE:g} times the lowest probability "
        f"of a\npossible next symbol in {language.name}); the first symbol of a sequence is not "
        "predicted"
    )


def clustering_summary(clustering: Clustering, machine: Machine, trajectory: Trajectory) -> str:
    """Return the numbers of state vectors, of clusters, and of states of the minimised machine."""
    units = "hidden units" if clustering.size == trajectory.hid else "hidden and context units"
    clusters = format_count(clustering.count, "cluster")
    verdict = (
        f"{clustering.inconsistent} inconsistent state vectors"
        if clustering.inconsistent
        else "transitions and predictions consistent"
    )
    return (
        f"{len(trajectory.state)} state vectors ({units}) -> {clusters} ({verdict}) -> "
        f"{format_count(machine.count, 'state')} after minimisation"
    )


def state_table(machine: Machine, names: list[str], language: Language) -> str:
    """Return the transition table of an extracted machine, below its legend."""
    examples = ""
    if language.times:
        examples = "A2: 2 A's read; B3: 3 B's to come; "
        examples += "B3 C6: 3 B's, then 6 C's to come; " if language.classes > 2 else ""
    return (
        "next state for each symbol (-: not allowed); a state is named after the states in which\n"
        f"{language.name}'s minimal machine is after the same symbols ({examples}outside: none)\n"
        f"{as_table(machine, names)}"
    )


def difference_table(
    found: list[Difference], labels: list[str], language: Language, count: int
) -> str:
    """Return a table of the symbols that network and language allow differently.

    labels: names of the minimal machine's states; count: the number of sequences.
    """
    head = f"symbols allowed on {count} sequences of {language.name}: "
    if not found:
        return head + "the same for network and language"
    rows = [["state", "symbol", "allowed by", "P (network)", "differing / all visits"]]
    for item in found:
        rows.append(
            [
                labels[item.state],
                language.symbols[item.symbol],
                "network only" if item.by_network else "language only",
                f"{item.low:.3f} .. {item.high:.3f}",
                f"{item.count} / {item.visits}",
            ]
        )
    shown = format_table(rows[: 1 + MAX_ROWS])
    rest = len(rows) - 1 - MAX_ROWS
    return f"{head}network and language differ\n{shown}" + (f"\n... {rest} more" * (rest > 0))


def comparison(
    machine: Machine,
    reference: Machine,
    overlap: np.ndarray,
    names: list[str],
    labels: list[str],
    lang: str,
) -> str:
    """Return a comparison of the extracted machine with the language's minimal machine.

    overlap: (M, N) bool; names (M) and labels (N): the state names of the two machines.
    """
    head = f"minimal machine of {lang}: {format_count(reference.count, 'state')}; "
    if machine == reference:
        return head + "isomorphic to the extracted one"
    merged = [
        f"{', '.join(labels[state] for state in np.flatnonzero(row))} -> {name}"
        for name, row in zip(names, overlap, strict=True)
        if row.sum() > 1
    ]
    split = [
        f"{label} -> {', '.join(names[state] for state in np.flatnonzero(column))}"
        for label, column in zip(labels, overlap.T, strict=True)
        if column.sum() > 1
    ]
    missing = [label for label, column in zip(labels, overlap.T, strict=True) if not column.any()]
    lines = [head + "not isomorphic to the extracted one"]
    for kind, parts in (
        ("merged in the extracted machine", merged),
        ("split in the extracted machine", split),
        ("missing from the extracted machine", missing),
    ):
        rest = len(parts) - MAX_STATES_LISTED
        more = [f"... {rest} more"] if rest > 0 else []
        lines += [f"  {kind}: {'; '.join(parts[:MAX_STATES_LISTED] + more)}"] if parts else []
    return "\n".join(lines)
