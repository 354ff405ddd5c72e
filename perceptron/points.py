"""The table of Part 2: points in the plane and their targets, from a CSV file."""

from __future__ import annotations

import csv
from argparse import ArgumentTypeError
from pathlib import Path

import torch
from torch import Tensor

from cli.files import require_file
from cli.process import UserError
from cli.settings import Number

COORDINATE = Number(-1e6, 1e6)


def read_table(path: Path) -> tuple[Tensor, Tensor]:
    """Return points (N, 2) and targets (N, 1) from a CSV file with columns X1, X2 and T.

    Raises UserError, with row (line of the file) and column, if a value is missing or invalid.
    """
    require_file(path, "--data")
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--data {path} is not a readable CSV file: {error}") from error
    header = [name.strip() for name in reader.fieldnames or ()]
    if any(header.count(name) != 1 for name in ("X1", "X2", "T")):
        raise UserError(
            f"--data {path}, row 1: the header is {','.join(header)!r}, but the columns X1, X2 and "
            "T are needed, separated by commas"
        )
    if not rows:
        raise UserError(f"--data {path} has no points: add a row for each below the header")
    values, first_seen = [], {}
    for line, row in rows:
        where = f"--data {path}, row {line}"
        if None in row:
            raise UserError(f"{where}: more values than the {len(header)} columns")
        cells = {name.strip(): (cell or "").strip() for name, cell in row.items()}
        point = []
        for column, kind in (("X1", COORDINATE), ("X2", COORDINATE), ("T", _label)):
            try:
                point.append(kind(cells[column]))
            except ArgumentTypeError as error:
                raise UserError(f"{where}, column {column}: {error}") from None
        first_line, first_label = first_seen.setdefault(tuple(point[:2]), (line, point[2]))
        if first_label != point[2]:
            raise UserError(f"{where}: same point as row {first_line}, but a different target")
        values.append(point)
    table = torch.tensor(values, dtype=torch.float32)
    return table[:, :2], table[:, 2:]


def _label(cell: str) -> float:
    value = Number(0, 1)(cell)
    if value not in (0, 1):
        raise ArgumentTypeError(f"{cell!r} is neither 0 nor 1")
    return value
