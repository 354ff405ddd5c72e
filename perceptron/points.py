"""The table of Part 2: points in the plane and their targets, from a CSV file."""

from __future__ import annotations

from cli.files import require_file
from cli.process import UserError
from cli.settings import Number

import csv
from argparse import ArgumentTypeError
from pathlib import Path

import torch
from torch import Tensor

COLUMNS = {"X1": Number(-1e6, 1e6), "X2": Number(-1e6, 1e6), "T": Number(0, 1, int)}


def read_table(path: Path) -> tuple[Tensor, Tensor]:
    """Return points (N, 2) and targets (N, 1), 0 or 1, from a CSV file with columns X1, X2 and T.

    Raises UserError, with row (line of the file) and column, if a value is missing or invalid.
    """
    require_file(path, "--data")
    try:
        reader = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--data {path} is not a readable CSV file: {error}") from error
    header, values = reader.fieldnames, []
    if any(header.count(column) != 1 for column in COLUMNS) or not rows:
        raise UserError(
            f"--data {path}: {len(rows)} points below the header {','.join(header)!r}; expected "
            "the columns X1, X2 and T, separated by commas, and a row for each point"
        )
    for line, row in rows:
        if None in row:
            raise UserError(f"--data {path}, row {line}: more values than the header has columns")
        for column, kind in COLUMNS.items():
            try:
                values.append(kind((row[column] or "").strip()))
            except ArgumentTypeError as error:
                raise UserError(f"--data {path}, row {line}, column {column}: {error}") from None
    table = torch.tensor(values, dtype=torch.float32).view(-1, len(COLUMNS))
    return table[:, :2], table[:, 2:]
