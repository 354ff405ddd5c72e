"""Text: tables of records, and the answer at the end of a command's output.

What is measured is a list of dicts, which `table` prints and --json writes.
"""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path


def table(records: Iterable[Mapping], formats: Mapping[str, str] | None = None) -> str:
    """Return records as left-aligned columns below their keys.

    formats: the format of a key's numbers, such as "+.2f" or ".1%"; other values are printed by
    str, None as a blank. Returns "" without records.
    """
    formats, records = formats or {}, list(records)
    if not records:
        return ""
    rows = [list(records[0])]
    for record in records:
        rows.append([_cell(value, formats.get(key, "")) for key, value in record.items()])
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cell(value, form: str) -> str:
    if value is None:
        return ""
    return format(value, form) if form and not isinstance(value, str) else str(value)


def count(number: int, noun: str) -> str:
    """Return "1 state" or "2 states", with a comma in thousands."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def in_short(sentences: Iterable[str]) -> str:
    """Return the answer at the end of a command's output: the heading "In short", and sentences."""
    lines = [textwrap.fill(text, 98, subsequent_indent="  ") for text in sentences]
    return "\n".join(["", "In short", *lines])


def processor() -> str:
    """Return the processor's name, which stands beside every time that is printed."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
