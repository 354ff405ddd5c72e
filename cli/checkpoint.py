"""Checkpoints: files of weights, written atomically, read without running code in them."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import torch

from cli import files
from cli.errors import UserError


def write(path: Path, content: dict) -> None:
    """Write a dict of tensors, numbers, strings and containers of these atomically."""
    # In memory first, because torch.save does not raise OSError on a full disk.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    files.write(path, buffer.getvalue())


def read(path: Path, flag: str) -> dict:
    """Return a checkpoint's content, on the CPU. Raises UserError, naming `flag`, if invalid."""
    files.require_file(path, flag)
    try:
        # In memory first, because torch.load raises OSError for a truncated file as well.
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise UserError(f"{flag} {path}: {error.strerror or error}") from error
    try:
        with warnings.catch_warnings():
            # torch warns about unusual pickles before it rejects them.
            warnings.simplefilter("ignore")
            _verify_checksums(content)
            content = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # a damaged or foreign file may raise almost any exception
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{flag} {path}: damaged, or not a checkpoint")
    return content


def _verify_checksums(content: io.BytesIO) -> None:
    """Raise ValueError if the content of a zip archive, torch.save's format, fails its checksums.

    torch.load ignores them. Files written before 2020 are not archives and have no checksums.
    """
    if zipfile.is_zipfile(content):
        with zipfile.ZipFile(content) as archive:
            # torch.save does not compress, and a compressed part could expand to any size.
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in archive.infolist())
            if not stored or archive.testzip():
                raise ValueError("damaged")
    content.seek(0)


# Exceptions raised when the content of a foreign file is used.
LOAD_ERRORS = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, UserError)


def load_weights(net: torch.nn.Module, state: dict) -> None:
    """Load a state_dict into a network.

    Raises one of LOAD_ERRORS if it does not fit the network or contains non-finite numbers.
    """
    net.load_state_dict(state)
    for name, value in net.state_dict().items():
        if not value.isfinite().all():
            raise ValueError(f"{name} contains non-finite numbers")
