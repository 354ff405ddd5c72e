"""Files of trained weights: written whole or not at all, read without running code in them."""

from __future__ import annotations

import io
import warnings
import zipfile
from pathlib import Path

import torch

from cli import files
from cli.errors import UserError


def write(path: Path, content: dict) -> None:
    """Write a dict of tensors, numbers, strings and containers of them, atomically."""
    # In memory first: a full disk is then an OSError like any other, not one of torch's own.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    files.write(path, buffer.getvalue())


def read(path: Path, flag: str) -> dict:
    """Return what `write` wrote, on the CPU; raises UserError, naming `flag`, for other files."""
    files.require_file(path, flag)
    try:
        # Read first: torch.load raises an OSError of its own on a file that is cut off.
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise UserError(f"{flag} {path}: {error.strerror or error}") from error
    try:
        with warnings.catch_warnings():
            # Of unusual pickles torch warns before it refuses them.
            warnings.simplefilter("ignore")
            _check_sums(content)
            content = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # nearly anything may be raised by a damaged or foreign file
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{flag} {path}: not a whole file of weights")
    return content


def _check_sums(content: io.BytesIO) -> None:
    """Raise ValueError if a bit of an archive, which torch.save writes, has changed.

    torch.load itself does not notice. Files of before 2020 are not archives, and have no sums.
    """
    if zipfile.is_zipfile(content):
        with zipfile.ZipFile(content) as archive:
            # What is compressed, which nothing is here, may grow to any size.
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in archive.infolist())
            if not stored or archive.testzip():
                raise ValueError("damaged")
    content.seek(0)


# What using the content of a foreign file raises.
LOAD_ERRORS = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, UserError)


def load_weights(net: torch.nn.Module, state: dict) -> None:
    """Give a network the weights in a state_dict that was read; one of LOAD_ERRORS if they do not fit."""
    net.load_state_dict(state)
    for name, value in net.state_dict().items():
        if not value.isfinite().all():
            raise ValueError(f"not all of {name} are finite numbers")
