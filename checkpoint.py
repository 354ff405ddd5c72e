"""Files of trained weights: written whole or not at all, read without running code in them."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from script import Fault, replacing


def write(path: Path, content: dict) -> None:
    """Write a dict of tensors, numbers, strings and containers of them, atomically; or Fault."""
    # In memory first: a full disk is then an OSError like any other, not one of torch's own.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read(path: Path, flag: str) -> dict:
    """What `write` wrote, on the CPU. Fault, naming `flag`, if the file is none of that kind."""
    try:
        # Read first: torch.load raises an OSError of its own on a file that is cut off.
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise Fault(f"{flag} {path}: {error.strerror or error}") from error
    try:
        content = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # nearly anything may be raised by a damaged or foreign file
        content = None
    if not isinstance(content, dict):
        raise Fault(f"{flag} {path}: not a whole file of weights")
    return content
